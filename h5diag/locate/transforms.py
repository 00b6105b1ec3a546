"""Whole-dump changes of the bytes: inverted, swapped, bit-reversed."""

from __future__ import annotations

import numpy as np

from h5diag.locate.placement import Transform
from h5diag.locate.sides import Side
from h5diag.memory import Bytes

_REVERSED = np.array([int(f"{b:08b}"[::-1], 2) for b in range(256)], np.uint8)

_UNIT = {Transform.BYTESWAP16: (2, (1, 0)), Transform.BYTESWAP32: (4, (3, 2, 1, 0)),
         Transform.HALFWORDSWAP: (4, (2, 3, 0, 1))}


def transformed(side: Side, transform: Transform) -> Bytes:
    """Return the flat bytes of `side` changed by `transform`, each at its own position.

    Words are taken at their addresses; bytes of a word that is not wholly in a segment stay as they are.
    """
    match transform:
        case Transform.AS_IS:
            return side.data
        case Transform.INVERTED:
            return ~side.data
        case Transform.BITREVERSED:
            return _REVERSED[side.data]
    unit, order = _UNIT[transform]
    out = side.data.copy()
    for i, address in enumerate(side.addresses):
        start = side.starts[i] + -address % unit
        stop = start + (side.starts[i + 1] - start) // unit * unit
        if stop > start:
            rows = side.data[start:stop].reshape(-1, unit)
            target = out[start:stop].reshape(-1, unit)
            for to, source in enumerate(order):
                target[:, to] = rows[:, source]
    return out
