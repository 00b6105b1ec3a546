"""A sample of the randomized dumps of ``tests/soak_dumps.py``, and its own controls."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
import soak_dumps


@pytest.fixture(scope="module")
def outcomes():
    return [soak_dumps.one_run(n, seed=77) for n in range(200)]


def test_no_wrong_byte_passes_as_agreed_beyond_chance(outcomes):
    assert soak_dumps.check(outcomes) == []
    # A bit that reads right (or wrong) in every one of the few passes cannot be told from a stable one.
    assert sum(o.unflagged_bits for o in outcomes) <= sum(o.unstable_bits for o in outcomes) // 20


def test_the_sample_holds_every_kind_of_fault(outcomes):
    seen = " ".join(o.kinds for o in outcomes)
    names = ("zero-chunk", "drop-word", "bus-fault-sporadic", "unstable", "stuck-bit", "address-alias", "repeating")
    assert all(n in seen for n in names)
    assert any(o.repeatable and o.wrong for o in outcomes)
    assert any(not o.repeatable and o.disputed for o in outcomes)


def test_the_check_itself_can_fail(outcomes):
    free = next(i for i, o in enumerate(outcomes) if not o.repeatable)
    for change in ({"wrong": 50}, {"unreadable_wrong": 1}, {"claims_verified": True}):
        broken = [*outcomes]
        broken[free] = replace(outcomes[free], **change)
        assert soak_dumps.check(broken)


def test_the_table_tells_the_figures(outcomes):
    text = soak_dumps.table(outcomes, 77)
    assert f"--runs {len(outcomes)}" in text
    assert "agrees in N passes" in text
