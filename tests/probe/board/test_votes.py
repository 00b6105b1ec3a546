"""Readings put together."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from h5diag.memory import AddressRange
from h5diag.probe.acquire import Votes

WHERE = AddressRange(0x08000000, 0x08001800)


def reading(seed=1):
    return np.random.default_rng(seed).integers(0, 256, WHERE.size, dtype=np.uint8)


def test_equal_readings_dispute_nothing():
    votes, data = Votes(WHERE), reading()
    assert [votes.add(WHERE.start, data) for _ in range(3)] == [0, 0, 0]
    assert votes.disputed == votes.unread == ()
    assert votes.fewest == 3
    assert votes.expected_coincidence == 0
    assert np.array_equal(votes.value, data)


def test_the_majority_stands_and_the_place_is_flagged():
    votes, data = Votes(WHERE), reading()
    wrong = data.copy()
    wrong[0x401] ^= 4
    assert votes.add(WHERE.start, wrong) == 0
    assert votes.add(WHERE.start, data) == 1
    assert votes.disputed == (AddressRange(0x08000400, 0x08000404),)
    assert not votes.settled(WHERE)
    votes.add(WHERE.start, data)
    votes.add(WHERE.start, data)
    assert votes.settled(WHERE)
    assert np.array_equal(votes.value, data)


def test_the_majority_may_come_late():
    """Three wrong readings first, then more right ones."""
    votes, data = Votes(WHERE), reading()
    wrong = data.copy()
    wrong[100] ^= 1
    for r in (wrong, wrong, wrong, data, data, data, data):
        votes.add(WHERE.start, r)
    assert np.array_equal(votes.value, data)


def test_unaligned_ranges_are_refused():
    with pytest.raises(ValueError):
        Votes(AddressRange(1, 8))


@given(st.data())
def test_against_a_plain_count(data):
    """Whatever the readings and their extents: value, dispute and coverage are those of a naive count per word."""
    words = 700
    where = AddressRange(0x1000, 0x1000 + 4 * words)
    truth = np.arange(words, dtype="<u4") * 7
    votes, seen = Votes(where), [[] for _ in range(words)]
    for _ in range(data.draw(st.integers(1, 7))):
        a = data.draw(st.integers(0, words - 1))
        b = data.draw(st.integers(a + 1, words))
        got = truth[a:b].copy()
        for i in data.draw(st.lists(st.integers(0, b - a - 1), max_size=4)):
            got[i] ^= data.draw(st.sampled_from([1, 0x100, 0x80000000]))
        votes.add(where.start + 4 * a, got.view(np.uint8))
        for i in range(a, b):
            seen[i].append(got[i - a])
    assert votes.counts.tolist() == [len(s) for s in seen]
    for i, s in enumerate(seen):
        place = AddressRange(where.start + 4 * i, where.start + 4 * i + 4)
        assert any(r.covers(place) for r in votes.disputed) == (len(set(s)) > 1)
        for k in range(4):
            count = np.bincount([int(w) >> 8 * k & 0xFF for w in s], minlength=256) if s else None
            if s:
                value = votes.value[4 * i + k]
                assert count[value] == count.max()


def test_a_lead_of_one_reading_settles_nothing():
    votes, data = Votes(WHERE), reading()
    wrong = data.copy()
    wrong[0x401] ^= 4
    for r in (data, wrong, data):
        votes.add(WHERE.start, r)
    assert not votes.settled(WHERE), "two to one"
    votes.add(WHERE.start, data)
    assert votes.settled(WHERE), "three to one"
