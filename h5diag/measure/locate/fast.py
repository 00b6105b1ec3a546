"""The sampling of seeds as one compiled pass, after `warm_up` and with numba (the ``fast`` extra). Same results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from h5diag.memory import Bytes

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
        none, word = np.zeros(1, np.uint8), np.uint64(0)
        pick(
            *shifted(np.zeros(64, np.uint8)),
            np.zeros(1, np.bool_),
            0,
            8,
            word,
            1,
            word,
            none,
            none,
            0,
            False,
            np.zeros(64, np.uint64),
            np.zeros(64, np.int64),
        )
        _warm.append(pick)
    return True


def shifted(data: Bytes) -> tuple[npt.NDArray[np.uint32], ...]:
    """Return the 4-byte words of `data` from each of its first four bytes on, as read-only views."""
    # The first view is aligned, the others are not: the compiled pass knows no other case.
    data = data.copy() if data.ctypes.data & 3 else data
    views = []
    for phase in range(4):
        view = np.ndarray((max(data.size - phase, 0) // 4,), np.dtype(np.uint32), data, phase)
        view.flags.writeable = False
        views.append(view)
    return tuple(views)


def kernel() -> Kernel | None:
    """Return the compiled pass, or None before `warm_up`.

    It is called with the four arrays of `shifted` and ``blocks, start, stop, limit, stride, mask, first, second,
    bits, packed, hashes, positions`` and returns how many keys it wrote. `limit` 0 takes every word, or every one
    at a multiple of `stride`; `bits` 0 means that there is no table.
    """
    return _warm[0] if _warm else None


def _pick(
    v0: Any,
    v1: Any,
    v2: Any,
    v3: Any,
    blocks: Any,
    start: Any,
    stop: Any,
    limit: Any,
    stride: Any,
    mask: Any,
    first: Any,
    second: Any,
    bits: Any,
    packed: Any,
    hashes: Any,
    positions: Any,
) -> Any:
    """Write the hash and position of each selected word that starts in ``[start, stop)``."""
    one, three, seven = np.uint64(1), np.uint64(3), np.uint64(7)
    high, middle = np.uint64(64 - bits), np.uint64(64 - 2 * bits)
    low_bits = (one << np.uint64(bits)) - one
    low7, ones = np.uint64(0x7F7F7F7F7F7F7F7F), np.uint64(0x0101010101010101)
    word, by32, by64 = np.uint64(0xFFFFFFFF), np.uint64(0x9E3779B1), np.uint64(0x9E3779B97F4A7C15)
    count = 0
    at, values = np.empty(64, np.int64), np.empty(64, np.uint64)
    for block in range(start >> 6, (stop + 63) >> 6):
        if not blocks[block]:
            continue
        # What is selected goes to the front of a short list without a branch that would be guessed wrong.
        chosen = 0
        for phase in range(4 if stride < 4 else 1):
            view = v0 if phase == 0 else v1 if phase == 1 else v2 if phase == 2 else v3
            end = min((block + 1) << 4, view.size - 1, (stop - phase + 3) >> 2)
            begin = block << 4
            if begin >= end:
                continue
            word0 = np.uint64(view[begin])
            for i in range(begin, end):
                word1 = np.uint64(view[i + 1])
                value = (word0 | (word1 << np.uint64(32))) & mask
                word0 = word1
                at[chosen] = (i << 2) + phase
                values[chosen] = value
                if limit:
                    chosen += (((value & word) * by32) & word) >= limit
                elif bits:
                    place = (value * by64) >> high
                    if packed:
                        chosen += (first[place >> three] >> (place & seven)) & one
                    else:
                        chosen += first[place]
                else:
                    chosen += at[chosen] % stride == 0
        for k in range(chosen):
            value = values[k]
            h = value * by64
            if bits:
                place, other = h >> high, (h >> middle) & low_bits
                if packed:
                    there = first[place >> three] >> (place & seven) & second[other >> three] >> (other & seven) & one
                else:
                    there = first[place] & second[other] & one
                if not there:
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
            positions[count] = at[k]
            count += 1
    return count
