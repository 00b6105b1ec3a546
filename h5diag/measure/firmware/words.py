"""Occurrences of a 32-bit word in bytes, by whole-array comparison: quicker than a string search."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from h5diag.memory import Bytes


def find_word(data: Bytes, value: int, *, step: int = 1) -> npt.NDArray[np.int64]:
    """Return the offsets of the little-endian word `value`, ascending.

    Parameters
    ----------
    data
        ``uint8 (n,)``.
    value
        The word.
    step
        1 finds it at any offset, 4 or a multiple of 4 only at multiples of that.
    """
    found = []
    stride = max(1, step // 4)
    for shift in range(0, 4, step):
        count = (data.size - shift) // 4
        if count > 0:
            words = data[shift : shift + count * 4].view("<u4")[::stride]
            found.append(np.flatnonzero(words == value) * (4 * stride) + shift)
    return np.sort(np.concatenate(found)) if found else np.empty(0, np.int64)
