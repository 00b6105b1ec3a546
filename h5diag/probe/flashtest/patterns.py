"""What is written into the flash: patterns that tell kinds of faults apart, and the orders they are written in.

Each pattern is a function of the cell's address alone (and a seed), so that what a sector should hold can be made
again at any time, also after a kill.
"""

from __future__ import annotations

import random
from functools import lru_cache
from itertools import combinations, islice

import numpy as np
import numpy.typing as npt

from h5diag.memory import Bytes

UNIT = 16
"""Bytes of a quad-word, the programming unit of the STM32H5."""

ROW = 512
"""Bytes that are programmed together where the order is not ascending."""

ORDERS = ("ascending", "descending", "shuffled")

PAIR_STEPS, _WEIGHT, _CODES = 11, 5, 461
PAIRS = tuple(f"pairs-{i}" for i in range(PAIR_STEPS))
"""Eleven patterns that belong together.

Every cell gets one of 461 code words of eleven bits with five ones, by ``(bit + 37 * quad-word) mod 461``. No code
word covers another one, and none is another's complement. So over the eleven patterns any two cells of a quad-word,
and any two cells of the same bit in quad-words less than 461 apart, take the values 01, 10 and 00 (and 11 after each
erase): what a pair of cells can do to each other shows.
"""

PATTERNS = (
    "solid",
    "checkerboard",
    "checkerboard-inverse",
    "address",
    "address-inverse",
    "random",
    "random-inverse",
    *PAIRS,
)
"""Every pattern by name; ``solid`` is all zeros, as an erased sector is all ones."""


@lru_cache(maxsize=64)
def pattern(name: str, start: int, size: int, seed: int = 0) -> Bytes:
    """Return the bytes of a pattern, ``uint8 (size,)``, read-only.

    Parameters
    ----------
    name
        One of `PATTERNS`.
    start, size
        Canonical address and size, whole quad-words.
    seed
        For ``random``: each round has its own.

    Raises
    ------
    ValueError
        When the name is unknown or the range is not of whole quad-words.
    """
    if start % UNIT or size % UNIT:
        raise ValueError(f"not whole quad-words: 0x{start:X}, {size}")
    out = _pattern(name, start, size, seed)
    out.flags.writeable = False
    return out


def _pattern(name: str, start: int, size: int, seed: int) -> Bytes:
    if name.endswith("-inverse"):
        return ~_pattern(name.removesuffix("-inverse"), start, size, seed)
    quads = np.arange(start // UNIT, (start + size) // UNIT, dtype=np.uint32)
    if name in ("solid", "march"):
        return np.zeros(size, np.uint8)
    if name == "checkerboard":  # along the bits of a quad-word and from one to the next
        return np.repeat(np.where(quads & 1, 0xAA, 0x55).astype(np.uint8), UNIT)
    if name == "address":
        words = quads * np.uint32(UNIT)
        return np.stack([words, ~words, words, ~words], axis=1).astype("<u4").reshape(-1).view(np.uint8)
    if name == "random":
        return _noise(quads, seed)
    if name in PAIRS:
        return _code(quads, PAIRS.index(name))
    raise ValueError(f"no pattern is called {name!r}")


def _noise(quads: np.ndarray[tuple[int], np.dtype[np.uint32]], seed: int) -> Bytes:
    """Return noise that depends on address and seed only (the finaliser of SplitMix64)."""
    halves = quads.astype(np.uint64)[:, None] * np.uint64(2) + np.arange(2, dtype=np.uint64)
    x: npt.NDArray[np.uint64] = np.add(halves, np.uint64((seed << 40) + 1), dtype=np.uint64)
    x = x * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        x = np.bitwise_xor(x, np.right_shift(x, np.uint64(shift))) * np.uint64(factor)
    return x.astype("<u8").reshape(-1).view(np.uint8)


def code_words() -> tuple[int, ...]:
    """Return the 461 code words of `PAIRS`; bit i is the value in pattern i."""
    return tuple(sum(1 << i for i in ones) for ones in islice(combinations(range(PAIR_STEPS), _WEIGHT), _CODES))


_WORDS = np.array(code_words(), np.uint16)


def _code(quads: np.ndarray[tuple[int], np.dtype[np.uint32]], step: int) -> Bytes:
    index = (np.arange(8 * UNIT)[None, :] + 37 * quads.astype(np.int64)[:, None]) % _CODES
    return np.packbits((_WORDS[index] >> step & 1).astype(np.uint8), axis=1, bitorder="little").reshape(-1)


def ordered(count: int, order: str, seed: int) -> list[int]:
    """Return the numbers below `count` in one of `ORDERS`."""
    out = list(range(count))
    if order == "descending":
        out.reverse()
    elif order == "shuffled":
        random.Random(seed).shuffle(out)
    elif order != "ascending":
        raise ValueError(f"no order is called {order!r}")
    return out


def left_behind(data: Bytes, start: int) -> str:
    """Return the pattern that an interrupted test left in a sector, or an empty text.

    A sector that was cut in the middle of programming holds quad-words of the pattern and erased ones. All-zero
    content and a lone checkerboard are not taken for ours: real data looks so too.

    Parameters
    ----------
    data
        A sector.
    start
        Its canonical address.
    """
    rows = data.reshape(-1, UNIT)
    filled = (rows != 0xFF).any(axis=1)
    if filled.sum() < 4:
        return ""
    for name in PATTERNS:
        if name == "solid":
            continue
        for seed in range(_ROUND_SEEDS) if name.startswith("random") else (0,):
            mine = pattern(name, start, data.size, seed).reshape(-1, UNIT)
            if np.array_equal(rows[filled], mine[filled]):
                return name
    return ""


_ROUND_SEEDS = 8


_FEW_BITS = 4
"""So many bits of a quad-word may be wrong for a fault of the chip; more are somebody's data."""


def could_be_ours(looks: list[Bytes], before: Bytes, start: int, spoilt: tuple[int, ...]) -> tuple[bool, bool]:
    """Return whether a sector holds nothing but the backup, patterns and blank quad-words, and whether that tells.

    A sector that was cut in the middle of a program or restore is a mixture of them. What the ECC names, what reads
    disagree about and what is a few bits away is the chip's fault or the link's, and nobody's data.

    Parameters
    ----------
    looks
        Two readings of the sector.
    before
        What the backup holds.
    start
        Its canonical address.
    spoilt
        Addresses of quad-words that the ECC gave up.
    """
    now = looks[0].reshape(-1, UNIT)
    blank = (now == 0xFF).all(axis=1)
    open_points = ~blank & (now == looks[-1].reshape(-1, UNIT)).all(axis=1)
    for a in spoilt:
        open_points[(a - start) // UNIT] = False
    telling = False
    candidates = [before.reshape(-1, UNIT)]
    for name in (*PATTERNS,):
        seeds = range(_ROUND_SEEDS) if name.startswith("random") else (0,)
        candidates += [pattern(name, start, before.size, seed).reshape(-1, UNIT) for seed in seeds]
    for i, candidate in enumerate(candidates):
        if not open_points.any() and telling:
            break
        bits = np.unpackbits(now ^ candidate, axis=1).sum(axis=1)
        near = (bits <= _FEW_BITS) & ~blank
        # Zeros and checkerboards are found in anybody's flash; the backup and the rest in nobody else's.
        if i == 0 or i - 1 >= _PLAIN:
            telling |= bool((near & (candidate != candidate[:, :1]).any(axis=1)).sum() >= 4)
        open_points &= ~near
    return not open_points.any(), telling


_PLAIN = 3
"""The first patterns of `PATTERNS`, that anybody's flash may hold too."""
