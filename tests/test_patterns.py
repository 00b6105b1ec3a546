"""No pattern that reads a stranger's text can take more than time in proportion to a line.

Found in the patterns themselves: a repeat without an end inside another one, or two of them side by side that can share
the same characters, is what makes a search explode.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from re import _constants as sre, _parser as parser

import pytest

import h5diag

LONG = 512
"""A repeat of so many and more counts as one without an end."""

ALLOWED = {
    # The lazy and the greedy side of one literal: matched once a line by fullmatch, lines are cut at 2,000 characters.
    r"flash loader (?P<detail>.+[/\\]flashloader[/\\].+?) is loaded.*",
}


def patterns() -> Iterator[tuple[str, re.Pattern]]:
    seen: set[int] = set()

    def inside(value: object, path: str, depth: int) -> Iterator[tuple[str, re.Pattern]]:
        if isinstance(value, re.Pattern):
            if id(value) not in seen:
                seen.add(id(value))
                yield path, value
        elif depth and hasattr(value, "cache_info") and "Pattern" in str(value.__annotations__.get("return")):
            yield from inside(value(), path + "()", depth)  # compiled when they are first used
        elif depth and isinstance(value, tuple | list | set | frozenset):
            for i, v in enumerate(value):
                yield from inside(v, f"{path}[{i}]", depth - 1)
        elif depth and isinstance(value, dict):
            for k, v in value.items():
                yield from inside(v, f"{path}[{k}]", depth - 1)
        elif depth and hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
            for k in value.__dataclass_fields__:
                yield from inside(getattr(value, k, None), f"{path}.{k}", depth - 1)

    for found in pkgutil.walk_packages(h5diag.__path__, "h5diag."):
        wing = found.name.split(".")[1]
        if wing in {"evidence", "layout", "measure", "case", "judge", "show"} and not found.name.endswith("_kernel"):
            for name, value in vars(importlib.import_module(found.name)).items():
                yield from inside(value, f"{found.name}.{name}", 4)


def characters(op: object, argument: object, flags: int) -> frozenset[int]:
    """Which of the first 128 characters one item can match."""
    if op is sre.LITERAL:
        both = {argument, ord(chr(argument).swapcase())} if flags & re.I and argument < 128 else {argument}
        return frozenset(c for c in both if c < 128)
    if op is sre.NOT_LITERAL:
        return frozenset(range(128)) - {argument}
    if op is sre.ANY:
        return frozenset(range(128)) - (frozenset() if flags & re.S else {10})
    if op is sre.IN:
        text = "".join(map(chr, range(128)))
        compiled = re.compile("x")
        found = set()
        negate = argument and argument[0][0] is sre.NEGATE
        for kind, what in argument:
            if kind is sre.LITERAL:
                found |= characters(sre.LITERAL, what, flags)
            elif kind is sre.RANGE:
                found |= {c for a in range(what[0], min(what[1], 127) + 1) for c in characters(sre.LITERAL, a, flags)}
            elif kind is sre.CATEGORY:
                word = {"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}[str(what).rsplit("_", 1)[-1]]
                compiled = re.compile(word.upper() if "NOT" in str(what) else word)
                found |= {ord(c) for c in text if compiled.match(c)}
        return frozenset(range(128)) - found if negate else frozenset(found)
    return frozenset()


def all_characters(items: object, flags: int) -> frozenset[int]:
    found: frozenset[int] = frozenset()
    for op, argument in items:
        if op in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            found |= all_characters(argument[2], flags)
        elif op is sre.SUBPATTERN:
            found |= all_characters(argument[3], flags)
        elif op is sre.BRANCH:
            for branch in argument[1]:
                found |= all_characters(branch, flags)
        else:
            found |= characters(op, argument, flags)
    return found


def endless(op: object, argument: object) -> bool:
    return op in (sre.MAX_REPEAT, sre.MIN_REPEAT) and (argument[1] is sre.MAXREPEAT or argument[1] >= LONG)


def faults(items: object, flags: int, within: bool = False) -> Iterator[str]:
    """Repeats without an end inside one another, and neighbours that share characters with nothing fixed between."""
    before: frozenset[int] = frozenset()  # what an endless repeat before may go on to match
    for op, argument in items:
        if op is sre.SUBPATTERN:
            yield from faults(argument[3], flags, within)
            inner = list(argument[3])
            if len(inner) == 1 and endless(*inner[0]):
                op, argument = inner[0]
            elif any(o not in (sre.MAX_REPEAT, sre.MIN_REPEAT) or a[0] > 0 for o, a in inner):
                before &= all_characters(inner, flags)
        if op is sre.BRANCH:
            for branch in argument[1]:
                yield from faults(branch, flags, within)
        if op in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            can = all_characters(argument[2], flags)
            if endless(op, argument):
                if within and len(list(argument[2])) == 1:
                    yield "a repeat without an end inside another"
                if before & can:
                    yield "two repeats without an end share characters"
                yield from faults(argument[2], flags, True)
                before = (before & can if argument[0] else before) | can
            else:
                yield from faults(argument[2], flags, within and argument[1] > 1)
                if argument[0] and not before <= can:
                    before = before & can
        elif op in (sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN):
            before = (
                before & characters(op, argument, flags) if not before <= characters(op, argument, flags) else before
            )


def why(pattern: re.Pattern) -> list[str]:
    items = list(parser.parse(pattern.pattern, pattern.flags & ~re.U))
    if items and endless(*items[-1]) and items[-1][1][2][0][0] is sre.ANY:
        items.pop()  # what takes the rest of the line cannot fail
    return [] if pattern.pattern in ALLOWED else list(faults(items, pattern.flags))


FOUND = list(patterns())


def test_there_are_patterns_to_look_at():
    assert len(FOUND) > 60


@pytest.mark.parametrize(("name", "pattern"), FOUND, ids=[n for n, _ in FOUND])
def test_no_pattern_explodes(name: str, pattern: re.Pattern) -> None:
    assert why(pattern) == [], pattern.pattern


@pytest.mark.parametrize(
    ("pattern", "bad"),
    [
        (r"(a+)+b", True),
        (r"(?:\w+\s*)*:", True),
        (r"\s+\s+x", True),
        (r"\d+[0-9a-f]*x", True),
        (r"a\s*b\s*c", False),
        (r"[^:]+:[^:]+:", False),
        (r"(?:ab)+c\d+", False),
        (r"x{0,8}x{0,8}", False),
    ],
)
def test_the_search_for_faults_finds_them(pattern: str, bad: bool) -> None:
    assert bool(why(re.compile(pattern))) is bad
