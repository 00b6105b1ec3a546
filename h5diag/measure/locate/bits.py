"""The bit errors of a piece by data line: one that is stuck or inverted shows at once."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from h5diag.memory import Bytes


class LineState(Enum):
    """What a data line does to a region."""

    STUCK_AT_0 = "stuck at 0"
    STUCK_AT_1 = "stuck at 1"
    INVERTED = "inverted"


@dataclass(frozen=True, slots=True)
class LineFault:
    """A data line that explains the bit errors of a region.

    Parameters
    ----------
    line
        0 (least significant) up to ``width - 1``, by the address within a bus word of `width` bits.
    width
        8 when all bytes are hit alike; 16 or 32 when only one byte of each bus word is.
    state
        What the line does.
    """

    line: int
    width: int
    state: LineState

    def __str__(self) -> str:
        return f"data line D{self.line} of {self.width} {self.state.value}"


WIDTHS = (8, 16, 32)
MOST_LINES = 32
LEAST_ERRORS = 16
LOOKED_AT, WINDOW = 1 << 14, 256
"""Of a longer piece an even sample of windows is looked at, about so many bytes in all."""

SHARE = 0.9
"""One line must hold this share of a piece's bit errors to be blamed."""


def _by_line(data: Bytes, address: int, width: int) -> npt.NDArray[np.int64]:
    """Return how many bits are set on each line of the bus word."""
    lanes = width // 8
    parts = [np.bincount(data[(lane - address) % lanes :: lanes], minlength=256) @ _BITS for lane in range(lanes)]
    return np.concatenate(parts)


_BITS = (np.arange(256)[:, None] >> np.arange(8)) & 1


def line_faults(reference: Bytes, dump: Bytes, address: int) -> tuple[LineFault, ...]:
    """Return the data line that explains nearly all bit errors of a piece, if there is one."""
    if reference.size > LOOKED_AT:
        step = reference.size // LOOKED_AT
        rows = reference.size // WINDOW
        reference, dump = (v[: rows * WINDOW].reshape(rows, WINDOW)[::step].ravel() for v in (reference, dump))
    wrong = _by_line(reference ^ dump, address, MOST_LINES)
    # Most pieces of another build differ on all lines alike.
    if all(wrong.reshape(-1, width).sum(axis=0).max() < SHARE * wrong.sum() for width in WIDTHS):
        return ()
    x, y = reference, dump
    counts = [_by_line(v, address, MOST_LINES) for v in (x, ~x, x & ~y, ~x & y)]
    total = int((counts[2] + counts[3]).sum())
    if total < LEAST_ERRORS:
        return ()
    for width in WIDTHS:
        ones, zeros, fell, rose = (rows.reshape(-1, width).sum(axis=0).astype(np.float64) for rows in counts)
        line = int((fell + rose).argmax())
        if (fell + rose)[line] < SHARE * total:
            continue
        low = fell[line] >= SHARE * ones[line] and ones[line] > 0
        high = rose[line] >= SHARE * zeros[line] and zeros[line] > 0
        if low and high:
            return (LineFault(line, width, LineState.INVERTED),)
        if low and rose[line] <= (1 - SHARE) * zeros[line]:
            return (LineFault(line, width, LineState.STUCK_AT_0),)
        if high and fell[line] <= (1 - SHARE) * ones[line]:
            return (LineFault(line, width, LineState.STUCK_AT_1),)
    return ()
