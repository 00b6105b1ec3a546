"""Patterns: what they promise about cells and pairs of cells."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from h5diag.probe.flashtest.patterns import PAIRS, PATTERNS, code_words, left_behind, ordered, pattern

START, SIZE = 0x08040000, 0x2000


def test_code_words_show_every_pair_of_values():
    words, full = code_words(), (1 << len(PAIRS)) - 1
    assert len(set(words)) == 461
    assert all(a & ~b and b & ~a and full & ~(a | b) for a, b in combinations(words, 2))


@given(st.integers(0, 511), st.integers(0, 127), st.integers(0, 511), st.integers(0, 127))
def test_two_cells_that_can_disturb_each_other_take_all_values(q, b, other, c):
    """Any two cells of one quad-word, and cells of one bit in two quad-words less than 461 apart."""

    def cell(quad, bit):
        return [int(pattern(p, START, SIZE)[16 * quad + bit // 8]) >> bit % 8 & 1 for p in PAIRS]

    for first, second in (((q, b), (q, c)), ((q, b), (other, b))):
        if first != second and abs(first[0] - second[0]) < 461:
            assert {(0, 1), (1, 0), (0, 0)} <= set(zip(cell(*first), cell(*second), strict=True))


@pytest.mark.parametrize("name", [p for p in PATTERNS if p + "-inverse" in PATTERNS])
def test_an_inverse_is_one(name):
    assert ((pattern(name, START, SIZE, 3) ^ pattern(name + "-inverse", START, SIZE, 3)) == 0xFF).all()


def test_addresses_are_in_the_data():
    words = pattern("address", START, SIZE).view("<u4").reshape(-1, 4)
    assert (words[:, 0] == START + 16 * np.arange(512)).all()
    assert (words[:, 1] == ~words[:, 0]).all()


def test_random_differs_by_seed_and_place():
    a, b, c = pattern("random", START, SIZE), pattern("random", START, SIZE, 1), pattern("random", START + SIZE, SIZE)
    assert not np.array_equal(a, b)
    assert not np.array_equal(a, c)
    assert 0.49 < np.unpackbits(a).mean() < 0.51


def test_what_an_interrupted_test_leaves_is_recognised():
    for name in PATTERNS:
        data = pattern(name, START, SIZE).copy()
        data[0x400:] = 0xFF
        assert left_behind(data, START) == ("" if name == "solid" else name)
    assert left_behind(np.full(SIZE, 0xFF, np.uint8), START) == ""
    assert left_behind(np.random.default_rng(1).integers(0, 256, SIZE, dtype=np.uint8), START) == ""
    assert left_behind(pattern("address", START, SIZE), START + SIZE) == ""


def test_orders():
    assert ordered(4, "ascending", 0) == [0, 1, 2, 3]
    assert ordered(4, "descending", 0) == [3, 2, 1, 0]
    assert sorted(ordered(9, "shuffled", 5)) == list(range(9)) != ordered(9, "shuffled", 5)
    with pytest.raises(ValueError, match="order"):
        ordered(2, "sideways", 0)


@pytest.mark.parametrize(("name", "start", "size"), [("address", 8, 16), ("address", 0, 8), ("stripes", 0, 16)])
def test_bad_arguments(name, start, size):
    with pytest.raises(ValueError):
        pattern(name, start, size)
