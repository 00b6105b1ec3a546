"""Agreement bit by bit: a data line that is stuck or inverted shows at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from h5diag.chip import Chip, load_chip
from h5diag.measure.locate.placement import LineFault, LineState
from h5diag.measure.locate.sides import Side
from h5diag.memory import Bytes, MemoryImage

WIDTHS = (8, 16, 32)
MOST_LINES = 32
LEAST_ERRORS = 16
LOOKED_AT, WINDOW = 1 << 14, 256
"""Of a longer piece an even sample of windows is looked at, about so many bytes in all."""

SHARE = 0.9
"""One line must hold this share of a piece's bit errors to be blamed."""


@dataclass(frozen=True, slots=True, eq=False)
class LineCounts:
    """Bits by line of a bus word of ``len(ones)`` lines, ``int64``.

    `ones` and `zeros` are how often the reference has a 1 or 0 there, `fell` how many of the ones read 0 and
    `rose` how many of the zeros read 1.
    """

    ones: npt.NDArray[np.int64]
    zeros: npt.NDArray[np.int64]
    fell: npt.NDArray[np.int64]
    rose: npt.NDArray[np.int64]

    @property
    def width(self) -> int:
        """Lines of the bus word."""
        return int(self.ones.size)

    @property
    def errors(self) -> npt.NDArray[np.int64]:
        """Wrong bits of each line."""
        return self.fell + self.rose


def count_lines(reference: Bytes, dump: Bytes, address: int, width: int = MOST_LINES) -> LineCounts:
    """Count the bits of two equally long pieces by data line.

    Parameters
    ----------
    reference, dump
        The same piece on both sides, at most a few MB.
    address
        Of the first byte; it decides which line of the bus word a bit is.
    width
        Lines of the bus word, a multiple of 8.
    """
    x, y = reference, dump
    return LineCounts(*(_by_line(v, address, width) for v in (x, ~x, x & ~y, ~x & y)))


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
    return faults_of(count_lines(reference, dump, address))


def faults_of(counts: LineCounts) -> tuple[LineFault, ...]:
    """Return the data line that holds nearly all errors of 32 counted lines, if there is one."""
    total = int(counts.errors.sum())
    if total < LEAST_ERRORS:
        return ()
    for width in WIDTHS:
        folded = [rows.reshape(-1, width).sum(axis=0) for rows in (counts.ones, counts.zeros, counts.fell, counts.rose)]
        ones, zeros, fell, rose = (v.astype(np.float64) for v in folded)
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


@dataclass(frozen=True, slots=True, eq=False)
class BitLines:
    """How the bits of each data line fared on a displacement.

    Parameters
    ----------
    displacement
        In canonical bytes.
    compared
        Bytes of content that both sides know there; fill of the reference does not count.
    counts
        Bits by line of a 32-bit bus word.
    faults
        The line that explains the errors, if there is one.
    """

    displacement: int
    compared: int
    counts: LineCounts
    faults: tuple[LineFault, ...]

    @property
    def error_share(self) -> npt.NDArray[np.float64]:
        """Share of each line's bits that are wrong, ``float64 (32,)``."""
        share: npt.NDArray[np.float64] = self.counts.errors / np.maximum(self.counts.ones + self.counts.zeros, 1)
        return share


def compare_bits(
    reference: MemoryImage,
    dump: MemoryImage,
    displacement: int,
    *,
    start: int = 0,
    stop: int = 1 << 64,
    chip: Chip | None = None,
) -> BitLines:
    """Compare the two images bit by bit where the reference is moved by `displacement`.

    Parameters
    ----------
    reference, dump
        As given to `locate`.
    displacement
        Dump address minus reference address, canonical.
    start, stop
        Canonical addresses of the dump between which to look, half-open; everything by default.
    chip
        Folds the aliases; the default chip otherwise.
    """
    chip = chip if chip is not None else load_chip()
    a, b = Side.of(reference, chip), Side.of(dump, chip)
    totals = np.zeros((4, MOST_LINES), np.int64)
    compared = 0
    for i, at in enumerate(a.canonical):
        for j, to in enumerate(b.canonical):
            low = max(at + displacement, to, start)
            high = min(at + displacement + a.starts[i + 1] - a.starts[i], to + b.starts[j + 1] - b.starts[j], stop)
            low += -low % 4
            high -= high % 4
            for p in range(low, high, 1 << 20):
                q = min(p + (1 << 20), high)
                x = a.data[a.starts[i] + p - displacement - at : a.starts[i] + q - displacement - at]
                y = b.data[b.starts[j] + p - to : b.starts[j] + q - to]
                words = x[: x.size & ~3].view(np.uint8).reshape(-1, 4)
                content = ~((words == words[:, :1]).all(axis=1))
                x, y = words[content].ravel(), y[: x.size & ~3].reshape(-1, 4)[content].ravel()
                compared += x.size
                c = count_lines(x, y, 0)
                totals += np.array([c.ones, c.zeros, c.fell, c.rose])
    counts = LineCounts(*totals)
    return BitLines(displacement, compared, counts, faults_of(counts))
