"""Do repeated reads of one board agree, and if not, in which pattern do they disagree?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import permutations

import numpy as np
import numpy.typing as npt

from h5diag.measure.stretches import bits_in, runs, tells
from h5diag.memory import AddressRange, MemoryImage, common
from h5diag.ranges import shared

CHUNK = 64
"""A clone ST-LINK zeroed chunks of this many bytes (stlink-org/stlink issue 373)."""

_JOIN = 64
"""Bytes of a gap from which on what disagrees is two stretches."""


class ReadPattern(Enum):
    """How repeated reads relate."""

    SINGLE = "one read only"
    AGREE = "they agree"
    CHUNKS = "whole 64-byte chunks are zero in one read and not in another"
    SHIFT = "words are shifted inside a read window"
    FIXED_BITS = "the same bits disagree again and again"
    LONE_BITS = "lone bits of a word disagree, in three reads or more"
    BITS = "single bits disagree"
    OTHER = "they disagree"


@dataclass(frozen=True, slots=True)
class Repeats:
    """What repeated reads have in common.

    Parameters
    ----------
    pattern
        The pattern; the most telling one where several occur.
    reads
        Number of reads.
    common_bytes
        Bytes that all reads hold.
    ranges
        Stretches with disagreement, joined over short gaps, addresses of the dumps' view.
    disagreeing_bytes, disagreeing_bits
        How many bytes, and bits, are not the same in all reads.
    chunks
        Stretches that are such a chunk.
    """

    pattern: ReadPattern
    reads: int
    common_bytes: int
    ranges: tuple[AddressRange, ...] = ()
    disagreeing_bytes: int = 0
    disagreeing_bits: int = 0
    chunks: int = 0


def compare_reads(images: Sequence[MemoryImage]) -> Repeats:
    """Hold repeated reads of one board against each other.

    Parameters
    ----------
    images
        Reads in the order in which they were made; only what all of them hold is compared.
    """
    if len(images) < 2:
        return Repeats(ReadPattern.SINGLE, len(images), sum(i.size for i in images))
    ranges: list[AddressRange] = []
    held = bad_bytes = bad_bits = chunks = shifts = fixed = words = 0
    for area in shared([i.ranges for i in images]):
        rows = np.stack([i.read(area.start, area.stop) for i in images])
        held += area.size
        varying = np.bitwise_or.reduce(rows ^ rows[0], axis=0)
        bad_bytes, bad_bits = bad_bytes + int(np.count_nonzero(varying)), bad_bits + bits_in(varying)
        fixed += _recurring(rows)
        at = (area.start + np.flatnonzero(varying)) // 4  # ascending, so that each step is another word
        words += int(at.size and 1 + np.count_nonzero(np.diff(at)))
        for a, b in runs(varying != 0, _JOIN):
            ranges.append(AddressRange(area.start + a, area.start + b))
            chunks += _is_chunk(rows, a, b, area.start)
            shifts += _is_shift(rows, a, b)
    if not bad_bytes:
        return Repeats(ReadPattern.AGREE if held else ReadPattern.SINGLE, len(images) if held else 1, held)
    single_bits = bad_bits <= 1.5 * bad_bytes and bad_bytes < held / 50
    lone = len(images) > 2 and words <= held // 10000 + 8 and 3 * bad_bits <= 4 * words
    telling = (
        (shifts, ReadPattern.SHIFT),
        (chunks, ReadPattern.CHUNKS),
        (single_bits and fixed > bad_bits / 4, ReadPattern.FIXED_BITS),
        (lone, ReadPattern.LONE_BITS),
        (single_bits, ReadPattern.BITS),
    )
    pattern = next((p for holds, p in telling if holds), ReadPattern.OTHER)
    return Repeats(pattern, len(images), held, tuple(ranges), bad_bytes, bad_bits, chunks)


LEAST_ALIKE = 0.8
"""Reads of one board agree in most of their content, however bad the link; other firmware does not."""


def alike(one: MemoryImage, other: MemoryImage) -> bool:
    """Tell whether two dumps may be reads of the same content: most of the content that both hold agrees."""
    equal = content = 0
    for _, a, b in common(one, other):
        telling = tells(a) | tells(b)
        content += int(np.count_nonzero(telling))
        equal += int(np.count_nonzero(telling & (a == b)))
    return equal >= LEAST_ALIKE * content


def _is_chunk(rows: npt.NDArray[np.uint8], a: int, b: int, base: int) -> bool:
    """Tell whether a read has an aligned chunk of zeros in the run where another has content."""
    for at in range(max(a - (base + a) % CHUNK, 0), b, CHUNK):
        block = rows[:, at : at + CHUNK]
        zero = ~block.any(axis=1)
        if block.shape[1] == CHUNK and zero.any() and (np.count_nonzero(block, axis=1) > CHUNK // 4).any():
            return True
    return False


def _is_shift(rows: npt.NDArray[np.uint8], a: int, b: int) -> bool:
    """Tell whether one read's bytes in the run are another's, some words further on."""
    for one, other in permutations(rows, 2) if b - a >= 24 else ():
        for d in range(4, 68, 4):
            stop = min(b, rows.shape[1] - d)
            part, moved = one[a:stop], other[a + d : stop + d]
            # A run of one value agrees with itself at any shift and tells nothing.
            if part.size >= 24 and np.unique(part).size > 8 and np.count_nonzero(part == moved) > 0.8 * part.size:
                return True
    return False


def _recurring(rows: npt.NDArray[np.uint8]) -> int:
    """Count bits that disagree in two pairs of reads that have no read in common."""
    half = len(rows) // 2
    first, second = (np.bitwise_or.reduce(r ^ r[0], axis=0) for r in (rows[:half], rows[half : 2 * half]))
    return bits_in(first & second)
