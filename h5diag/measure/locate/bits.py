"""Agreement bit by bit on one displacement: a stuck or inverted data line shows at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from h5diag.chip import Chip, load_chip
from h5diag.measure.locate.lines import LineCounts, count_lines, faults_of
from h5diag.measure.locate.placement import LineFault
from h5diag.measure.locate.sides import Side
from h5diag.memory import MemoryImage


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
    totals = np.zeros((4, 32), np.int64)
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
