"""Whole-dump changes of the bytes: inverted, swapped, bit-reversed."""

from __future__ import annotations

import numpy as np

from h5diag.measure.locate.placement import Transform
from h5diag.measure.locate.sides import Side, Watch
from h5diag.memory import Bytes

_REVERSED = np.array([int(f"{b:08b}"[::-1], 2) for b in range(256)], np.uint8)

_INVERTED = ~np.arange(256, dtype=np.uint8)

AT_ONCE = 1 << 20
"""Bytes changed between two looks at whether to stop."""

_UNIT = {
    Transform.BYTESWAP16: (2, (1, 0)),
    Transform.BYTESWAP32: (4, (3, 2, 1, 0)),
    Transform.HALFWORDSWAP: (4, (2, 3, 0, 1)),
}


def transformed(side: Side, transform: Transform, watch: Watch) -> Bytes:
    """Return the flat bytes of `side` changed by `transform`, each at its own position.

    Words are taken at their addresses; bytes of a word that is not wholly in a segment stay as they are.
    """
    out = np.empty(side.size if transform is not Transform.AS_IS else 0, np.uint8)
    match transform:
        case Transform.AS_IS:
            return side.data
        case Transform.INVERTED | Transform.BITREVERSED:
            table = _INVERTED if transform is Transform.INVERTED else _REVERSED
            for at in range(0, side.size, AT_ONCE):
                watch.pause()
                table.take(side.data[at : at + AT_ONCE], out=out[at : at + AT_ONCE], mode="clip")
            return out
    unit, order = _UNIT[transform]
    for at in range(0, side.size, AT_ONCE):
        watch.pause()
        out[at : at + AT_ONCE] = side.data[at : at + AT_ONCE]
    for i, address in enumerate(side.addresses):
        start = side.starts[i] + -address % unit
        stop = start + (side.starts[i + 1] - start) // unit * unit
        if stop > start:
            rows = side.data[start:stop].reshape(-1, unit)
            target = out[start:stop].reshape(-1, unit)
            for at in range(0, len(rows), AT_ONCE // unit):
                watch.pause()
                for to, source in enumerate(order):
                    target[at : at + AT_ONCE // unit, to] = rows[at : at + AT_ONCE // unit, source]
    return out
