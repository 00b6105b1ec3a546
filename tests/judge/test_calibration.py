"""What the checks go by stands in the table, with its why: no bare threshold in a comparison."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import h5diag
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
