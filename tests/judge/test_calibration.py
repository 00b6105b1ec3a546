"""What the checks go by stands in the table, with its why: no bare threshold in a comparison."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import h5diag
from h5diag import tables
from h5diag.errors import InputError
from h5diag.judge import findings, next_test, weighing
from h5diag.judge.findings import calibration, number

JUDGE = Path(h5diag.__file__).parent / "judge"
MODULES = sorted([*JUDGE.glob("*.py"), *(JUDGE / "checks").glob("*.py")])


def operands(node: ast.AST) -> Iterator[ast.Constant]:
    """Yield the numbers of one side of a comparison, but not what a call is given."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield node
    for child in () if isinstance(node, ast.Call) else ast.iter_child_nodes(node):
        yield from operands(child)


def bare(source: str) -> list[tuple[int, float]]:
    """Return line and value of each threshold without a name: a fraction, or a number above a byte that is no mask."""
    out = []
    for node in ast.walk(ast.parse(source)):
        for side in (node.left, *node.comparators) if isinstance(node, ast.Compare) else ():
            for c in operands(side):
                mask = isinstance(c.value, int) and c.value & (c.value + 1) == 0
                if isinstance(c.value, float) or (c.value > 0xFF and not mask):
                    out.append((c.lineno, c.value))
    return out


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(JUDGE)))
def test_no_comparison_has_a_bare_threshold(path):
    assert bare(path.read_text("utf-8")) == []


def test_a_bare_threshold_would_be_seen():
    seen = bare("a = b >= 0.95 * c\nd = 1024 > e % 4\nf = g & 0xFFF == 0xFFFF and h > number(300)\n")
    assert sorted(seen) == [(1, 0.95), (2, 1024)]


def test_every_number_is_gone_by_and_says_why():
    source = "".join(p.read_text("utf-8") for p in JUDGE.rglob("*.py"))
    used = set(re.findall(r"number\(\s*\"([\w-]+)\"\s*\)", source))
    assert used == set(calibration().numbers)
    assert all(len(row.why.split()) > 3 for row in calibration().numbers.values())
    assert number("chunk") == 64


@pytest.mark.parametrize(
    ("path", "kind", "at", "table", "said"),
    [
        ("judge/findings.toml", "rows", "", ("reads-agree", "colour"), "reads-agree.colour is no known key"),
        (
            "judge/findings.toml",
            "rows",
            "",
            ("reads-agree", "words"),
            "reads-agree.words is a whole number, not a text",
        ),
        ("judge/causes.toml", "load_table", "", ("masked-read", "prior"), "masked-read.prior is a text"),
        ("judge/causes.toml", "load_table", "", ("masked-read", "colour"), "masked-read.colour is no known key"),
        (
            "judge/next_tests.toml",
            "known_tests",
            "tests",
            ("programming-log", "colour"),
            "tests.programming-log.colour is no",
        ),
        (
            "judge/next_tests.toml",
            "known_tests",
            "tests",
            ("programming-log", "minutes"),
            "tests.programming-log.minutes is",
        ),
    ],
)
def test_what_is_wrong_in_a_table_is_told_with_its_row_and_line(path, kind, at, table, said, monkeypatch):
    """Whoever corrects words and weights is told where the slip is."""
    key, field = table
    text = tables.packaged_bytes(path).decode("utf-8")
    wrong = "7" if field in ("words", "colour") else '"x"'
    head = re.escape(f"[{at}.{key}]" if at else f"[{key}]")
    slip = re.sub(rf"({head}\n)", rf"\1{field} = {wrong}\n", text) if field == "colour" else None
    slip = slip or re.sub(rf"({head}\n(?:(?!\[)[^\n]*\n)*?){field} = [^\n]*", rf"\1{field} = {wrong}", text)
    assert slip != text
    old = tables.packaged_bytes
    monkeypatch.setattr(tables, "packaged_bytes", lambda name: slip.encode() if name == path else old(name))
    read = {"rows": findings.rows, "load_table": weighing.load_table, "known_tests": next_test.known_tests}[kind]
    read.cache_clear()
    try:
        with pytest.raises(InputError) as caught:
            read()
    finally:
        read.cache_clear()
    line = next(n for n, line in enumerate(slip.split("\n"), 1) if line == f"{field} = {wrong}")
    assert str(caught.value).startswith(f"{path}, line {line}: {said}")
