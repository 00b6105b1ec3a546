"""Repeated reads: the pattern of a disagreement is told, and sound reads stay quiet."""

from __future__ import annotations

import numpy as np
import pytest

from h5diag.measure.repeats import ReadPattern, compare_reads
from h5diag.memory import AddressRange, MemoryImage, Segment

BASE = 0x08018000
CODE = np.random.default_rng(3).integers(0, 256, 0x4000, dtype=np.uint8)


def reads(*rows: np.ndarray) -> list[MemoryImage]:
    return [MemoryImage((Segment(BASE, r.copy()),)) for r in rows]


def changed(**at_value: int) -> np.ndarray:
    out = CODE.copy()
    for at, value in at_value.items():
        out[int(at[1:])] = value
    return out


def test_one_read_says_nothing():
    assert compare_reads(reads(CODE)).pattern is ReadPattern.SINGLE
    assert compare_reads([]).pattern is ReadPattern.SINGLE


def test_equal_reads_agree():
    found = compare_reads(reads(CODE, CODE, CODE))
    assert (found.pattern, found.reads, found.common_bytes) == (ReadPattern.AGREE, 3, 0x4000)


def test_a_zeroed_chunk():
    bad = CODE.copy()
    bad[0x1C0:0x200] = 0
    found = compare_reads(reads(CODE, bad))
    assert found.pattern is ReadPattern.CHUNKS
    assert found.ranges[0].start >= BASE + 0x1C0
    assert found.ranges[0].stop <= BASE + 0x200


def test_zeros_off_the_chunk_grid_are_no_chunk():
    bad = CODE.copy()
    bad[0x1D0:0x200] = 0
    assert compare_reads(reads(CODE, bad)).pattern is ReadPattern.OTHER


@pytest.mark.parametrize("words", [1, 2, 5])
def test_dropped_words_shift_the_rest_of_the_window(words):
    bad, n = CODE.copy(), 4 * words
    bad[0x360 : 0x400 - n] = CODE[0x360 + n : 0x400]
    bad[0x400 - n : 0x400] = CODE[:n]
    assert compare_reads(reads(CODE, bad)).pattern is ReadPattern.SHIFT
    assert compare_reads(reads(bad, CODE)).pattern is ReadPattern.SHIFT


def test_single_bits():
    found = compare_reads(reads(CODE, changed(_100=int(CODE[100]) ^ 4, _9000=int(CODE[9000]) ^ 1)))
    assert found.pattern is ReadPattern.BITS
    assert (found.disagreeing_bytes, found.disagreeing_bits) == (2, 2)


def test_bits_that_recur_in_independent_pairs_are_fixed():
    flip = changed(_100=int(CODE[100]) ^ 4, _9000=int(CODE[9000]) ^ 1)
    assert compare_reads(reads(CODE, flip, flip, CODE)).pattern is ReadPattern.FIXED_BITS


def test_bits_that_wander_are_not_fixed():
    rows = [changed(**{f"_{100 + 999 * i}": int(CODE[100 + 999 * i]) ^ 4}) for i in range(4)]
    assert compare_reads(reads(*rows)).pattern is ReadPattern.LONE_BITS


def test_two_bits_of_one_word_pass_the_links_parity():
    rows = [changed(**{f"_{100 + 999 * i}": int(CODE[100 + 999 * i]) ^ 6}) for i in range(4)]
    assert compare_reads(reads(*rows)).pattern is not ReadPattern.LONE_BITS


def test_only_what_all_hold_is_compared():
    short = MemoryImage((Segment(BASE + 0x100, CODE[0x100:0x200].copy()),))
    found = compare_reads([*reads(CODE), short])
    assert (found.pattern, found.common_bytes) == (ReadPattern.AGREE, 0x100)
    nothing = compare_reads([*reads(CODE), MemoryImage(unreadable=(AddressRange(0, 4),))])
    assert (nothing.pattern, nothing.common_bytes) == (ReadPattern.SINGLE, 0)


@pytest.mark.parametrize(("content", "pattern"), [(16, ReadPattern.OTHER), (17, ReadPattern.CHUNKS)])
def test_a_chunk_of_zeros_counts_where_the_other_read_has_content(content, pattern):
    """A block that is nearly all zeros anyway says nothing about a probe that zeroes whole blocks."""
    whole = CODE.copy()
    whole[0x1C0:0x200] = 0
    whole[0x1C0 : 0x1C0 + content] = np.arange(1, content + 1)
    bad = whole.copy()
    bad[0x1C0:0x200] = 0
    assert compare_reads(reads(whole, bad)).pattern is pattern
