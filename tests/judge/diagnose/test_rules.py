"""The house rules of the diagnosis: findings, causes and tests belong together, checks read measurements only."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

import h5diag.judge.checks as checks
from h5diag.judge.checks import CHECKS
from h5diag.judge.findings import calibration, found, rows
from h5diag.judge.next_test import known_tests
from h5diag.judge.weighing import causes

FOLDER = Path(inspect.getfile(checks)).parent
SOURCES = [*FOLDER.glob("*.py"), *FOLDER.parent.glob("*.py")]


def yielded() -> set[str]:
    """Ids of all findings that the checks can make: the constants that look like one, where they are made."""
    out = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", node.value)
            ):
                out.add(node.value)
    return out | {id for ids in calibration().ids.values() for id in ids.values()}


def called() -> set[str]:
    """Ids that stand literally in a call of `found`."""
    out = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "found":
                out |= {c.value for c in ast.walk(node.args[0]) if isinstance(c, ast.Constant)}
    return out - {None}


def test_every_row_belongs_to_a_finding_that_is_made_and_the_reverse():
    assert set(rows()) <= yielded()
    assert {id for id in called() if isinstance(id, str) and "-" in id} <= set(rows())


def named(kind: str) -> set[str]:
    """Names by which the code asks the calibration for a number, a list, ids or an advice."""
    texts = [path.read_text("utf-8") for path in SOURCES]
    asked = r'\bnumber\("([a-z-]+)"\)' if kind == "numbers" else rf'calibration\(\)\.{kind}\["([a-z-]+)"\]'
    return {name for text in texts for name in re.findall(asked, text)}


def test_what_the_checks_go_by_is_asked_for_and_says_why():
    table = calibration()
    assert named("numbers") == set(table.numbers)
    assert named("lists") == set(table.lists)
    words = {c.value for p in SOURCES for c in ast.walk(ast.parse(p.read_text("utf-8"))) if isinstance(c, ast.Constant)}
    assert named("ids") <= set(table.ids) <= words
    assert named("advice") <= set(table.advice) <= words | {"way-reopenable", "way-lost", "way-unknown"}
    assert {id for ids in table.ids.values() for id in ids.values()} <= set(rows())
    assert all(len(row.why) > 15 for row in table.numbers.values())


def test_an_id_without_a_row_is_refused():
    with pytest.raises(KeyError):
        found("no-such-finding")


def test_every_test_that_is_asked_for_exists():
    known = {t.id for t in known_tests()}
    assert {t for row in rows().values() for t in row.asks.split()} <= known
    assert {c for t in known_tests() for c in t.separates} <= {c.id for c in causes()}


def test_every_cause_is_moved_and_told_apart_by_something():
    moved = {cause for row in rows().values() for cause in row.moves}
    separated = {cause for t in known_tests() for cause in t.separates}
    for cause in causes():
        assert cause.id in moved, cause.id
        assert cause.id in separated, cause.id
        assert any(row.moves.get(cause.id, 0) > 0 for row in rows().values()), cause.id


def test_words_are_sentences_and_weights_have_measure():
    for id, row in rows().items():
        assert row.words.rstrip("}")[-1:] in ".t" or row.words.endswith("}"), id
        assert all(-40 <= v <= 40 and v for v in row.moves.values()), id


def test_every_check_stands_in_the_tuple_and_says_what_it_asks():
    named = {name for path in FOLDER.glob("*.py") for name in re.findall(r"^def (check_\w+)\(", path.read_text(), re.M)}
    assert named == {c.__name__ for c in CHECKS}
    for check in CHECKS:
        assert (check.__doc__ or "").strip().splitlines()[0].endswith("?"), check.__name__


def test_a_check_opens_no_file_and_no_probe():
    for path in FOLDER.glob("*.py"):
        text = path.read_text("utf-8")
        assert not re.search(r"\bopen\(|read_image|read_text|read_bytes|h5diag\.board", text), path.name
