"""The sampling of seeds as one compiled pass, after `warm_up` and with numba (the ``fast`` extra). Same results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Kernel = Callable[..., int]

_warm: list[Kernel] = []


def warm_up() -> bool:
    """Compile the pass over the bytes for this process; False without numba.

    Importing numba and compiling takes seconds that nothing can cut short, so it happens here and never within a
    search. It pays for images of many MB and for repeated calls.
    """
    if not _warm:
        try:
            import numba
        except ImportError:
            return False
        pick: Any = numba.njit(cache=True, nogil=True)(_pick)
        none, word = np.zeros(1, np.bool_), np.uint64(0)
        data = np.zeros(64, np.uint8)
        data.flags.writeable = False
        pick(data, none, 0, 8, word, word, word, none, none, 0, np.zeros(1, np.uint64), np.zeros(1, np.int64))
        _warm.append(pick)
    return True


def kernel() -> Kernel | None:
    """Return the compiled pass, or None before `warm_up`.

    It is called with ``data, blocks, start, stop, limit, turn, mask, first, second, bits, hashes, positions`` and
    returns how many keys it wrote. `limit` 0 takes every word; `bits` 0 means that there is no table.
    """
    return _warm[0] if _warm else None


def _pick(data: Any, blocks: Any, start: Any, stop: Any, limit: Any, turn: Any, mask: Any, first: Any, second: Any,
          bits: Any, hashes: Any, positions: Any) -> Any:
    """Write the hash and position of each selected word that starts in ``[start, stop)``."""
    one, eight, seven = np.uint64(1), np.uint64(8), np.uint64(7)
    high, middle = np.uint64(64 - bits), np.uint64(64 - 2 * bits)
    low_bits = (one << np.uint64(bits)) - one
    low7, ones = np.uint64(0x7F7F7F7F7F7F7F7F), np.uint64(0x0101010101010101)
    word = np.uint64(0xFFFFFFFF)
    count = 0
    for block in range(start >> 6, (stop + 63) >> 6):
        if not blocks[block]:
            continue
        begin, end = max(start, block << 6), min(stop, (block + 1) << 6)
        if begin >= end:
            continue
        raw = np.uint64(0)
        for k in range(7):
            raw = (raw >> eight) | (np.uint64(data[begin + k]) << np.uint64(56))
        for p in range(begin, end):
            raw = (raw >> eight) | (np.uint64(data[p + 7]) << np.uint64(56))
            value = raw & mask
            if limit and ((value & word) * np.uint64(0x9E3779B1) + turn) & word < limit:
                continue
            h = value * np.uint64(0x9E3779B97F4A7C15)
            if bits and not (first[h >> high] and second[(h >> middle) & low_bits]):
                continue
            if value == ((value << np.uint64(32)) | (value >> np.uint64(32))):
                continue
            x = ~(((value & low7) + low7) | value | low7)
            if ((x >> seven) * ones) >> np.uint64(56) >= np.uint64(6):
                continue
            y = ~value
            x = ~(((y & low7) + low7) | y | low7)
            if ((x >> seven) * ones) >> np.uint64(56) >= np.uint64(6):
                continue
            hashes[count] = h
            positions[count] = p
            count += 1
    return count
