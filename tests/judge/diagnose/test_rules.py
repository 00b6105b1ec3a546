"""The house rules of the diagnosis: table and checks belong together, checks read measurements only."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import h5diag.judge.checks as checks
from h5diag.judge.checks import CHECKS
from h5diag.judge.verdict.next_test import known_tests
from h5diag.judge.verdict.weighing import load_table

FOLDER = Path(inspect.getfile(checks)).parent
SOURCES = [*FOLDER.glob("*.py"), FOLDER.parent / "judge.py", FOLDER.parent / "across.py"]


def made() -> set[str]:
    """Ids of all findings that the checks can make: the string constants that look like one."""
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and re.fullmatch(r"[a-z0-9-]+", node.value)
            ):
                found.add(node.value)
    return found


def test_every_row_of_the_table_belongs_to_a_finding_that_is_made():
    assert set(load_table().weights) <= made()


def test_every_test_that_is_asked_for_exists():
    known = {t.id for t in known_tests()}
    for path in SOURCES:
        for asked in re.findall(r'asks="([a-z-]+)"', path.read_text("utf-8")):
            assert asked in known, (path.name, asked)


def test_every_check_stands_in_the_tuple_and_says_what_it_asks():
    named = {name for path in FOLDER.glob("*.py") for name in re.findall(r"^def (check_\w+)\(", path.read_text(), re.M)}
    assert named == {c.__name__ for c in CHECKS}
    for check in CHECKS:
        assert (check.__doc__ or "").strip().splitlines()[0].endswith("?"), check.__name__


def test_a_check_opens_no_file_and_no_probe():
    for path in FOLDER.glob("*.py"):
        text = path.read_text("utf-8")
        assert not re.search(r"\bopen\(|read_image|read_text|read_bytes|h5diag\.board", text), path.name
