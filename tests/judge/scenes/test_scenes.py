"""A sample of the scenes: one of each kind is never led astray, and nearly all come out right.

The table over many seeds is `docs/verdict-scenes.md`, written by ``make soak``.
"""

from __future__ import annotations

import pytest

from .evidence import make_scene
from .more_kinds import KINDS
from .score import Answer, growing, judge, made_worse

SEED = 0


@pytest.fixture(scope="module")
def answers() -> dict[str, Answer]:
    return {name: judge(name, SEED) for name in KINDS}


def test_no_answer_leads_astray(answers: dict[str, Answer]) -> None:
    astray = {a.kind: a.reasons for a in answers.values() if a.word == "misleading"}
    assert not astray


def test_no_answer_has_a_flaw_that_a_machine_can_see(answers: dict[str, Answer]) -> None:
    assert not {a.kind: a.flaws for a in answers.values() if a.flaws}


def test_nine_in_ten_are_right_at_once(answers: dict[str, Answer]) -> None:
    rest = {a.kind: a.reasons for a in answers.values() if a.word != "ok"}
    assert len(rest) <= len(KINDS) // 10, rest


def test_a_scene_is_the_same_for_the_same_seed() -> None:
    for name in ("another-build", "install-waits", "cells-that-waver"):
        one, other, third = make_scene(name, 7), make_scene(name, 7), make_scene(name, 8)
        assert [i.data for i in one.items] == [i.data for i in other.items]
        assert [i.data for i in one.items] != [i.data for i in third.items]


@pytest.mark.parametrize("name", ["programming-cut", "secure-sectors-read-zero", "cells-that-waver", "install-waits"])
def test_more_evidence_makes_no_right_answer_wrong(name: str) -> None:
    """All kinds: ``python tests/soak_evidence.py``."""
    assert not made_worse(growing(name, SEED))
