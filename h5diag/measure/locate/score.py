"""How surprising a piece is: bits under an order-2 byte model of the pair, and how many hits as good chance would show.

The expectation is nominal: it was fitted on pairs of unrelated firmware and holds for content like theirs. The fit is
data, ``calibration.toml``, made by ``benchmarks/locate_calibrate.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from h5diag.measure.locate.kernel import engine
from h5diag.measure.locate.pieces import Pair, Pieces
from h5diag.measure.locate.sides import BLOCK, Flags, Numbers
from h5diag.memory import Bytes
from h5diag.tables import packaged

MISMATCH = 3.3
"""Bits taken off for each differing byte."""

TRAINED = 1 << 17
"""Bytes of either side that the model counts at most: an even sample of its content."""

PRIOR = 2.0
CEILING = 16.0
GROUP = 4
"""Blocks that are sampled together."""

WINDOW, WINDOWS = 256, 16
"""A longer piece is scored on so many windows of so many bytes, and the sum is scaled."""

STRONG = 1e-3
"""A region with a larger expectation than this is weak."""

SHOWN = 10.0
"""A region with a larger expectation than this is not reported at all."""

LEAST = 45.0
"""Nor is one that scores fewer bits than this, wherever it stands."""

CERTAIN = 400.0
"""From this score on a piece may be anything but verbatim: no unrelated pair reached it."""

RICH = 5.0
"""Below `CERTAIN` a piece at a place of no meaning needs so many bits in each byte."""

Floats = npt.NDArray[np.float64]


def _sampled(data: Bytes, fill: Flags, trained: int) -> Flags:
    """Return for each group of blocks whether it is counted."""
    size = BLOCK * GROUP
    out = np.zeros(data.size // size, np.bool_)
    content = np.flatnonzero(fill[: out.size * GROUP].view(np.uint32) != 0x01010101)  # four flags at once
    out[content[:: max(1, -(-content.size * size // trained))]] = True
    return out


class Model:
    """Byte counts of order 0 to 2 over both sides, asked with the asker's own occurrences taken out."""

    def __init__(
        self, reference: Bytes, dump: Bytes, reference_fill: Flags, dump_fill: Flags, trained: int = TRAINED
    ) -> None:
        self._groups = [_sampled(*side, trained) for side in ((reference, reference_fill), (dump, dump_fill))]
        sides = list(zip((reference, dump), self._groups, strict=True))
        self._width = BLOCK * GROUP
        if not any(groups.any() for groups in self._groups):
            # Images of less than a group, or of hardly any content: all of them.
            self._width = max(min(reference.size, dump.size, self._width), 3)
            sides = [(d, np.ones(d.size // self._width, np.bool_)) for d in (reference, dump)]
            self._groups = [groups for _, groups in sides]
        self._counts = engine().count(sides, self._width)
        self._pairs, self._contexts = (x.astype(np.float64) for x in (self._counts.pairs, self._counts.contexts))
        table = self._pairs.reshape(256, 256)
        self._before = table.sum(axis=1)
        self._single = (table.sum(axis=0) + 1) / (table.sum() + 256)

    def surprisal(self, before: npt.NDArray[np.uint32], value: npt.NDArray[np.uint32], own: Floats) -> Floats:
        """Return the bits of each byte `value` after the two bytes `before` (first byte high).

        `own` is how many of the counted occurrences are the asker's own.
        """
        count = engine().asked(self._counts, (before << 8 | value).astype(np.uint32)).astype(np.float64)
        own = np.minimum(own, count)
        one = before & 0xFF
        p1 = (self._pairs[one << 8 | value] - own + PRIOR * self._single[value]) / (self._before[one] - own + PRIOR)
        p2 = (count - own + PRIOR * p1) / (self._contexts[before] - own + PRIOR)
        bits: Floats = np.minimum(-np.log2(p2), CEILING)
        return bits

    def score(self, pair: Pair, pieces: Pieces, *, as_is: bool = True, windows: int = WINDOWS) -> Floats:
        """Return the score in bits of each piece, of a longer one on so many windows.

        `as_is` is False when the pair's dump is not what the model was trained on.
        """
        if not pieces.count:
            return np.zeros(0)
        reference, dump, mask = pair.reference, pair.dump, pair.mask
        r, d, owner, scale = _windows(pieces, windows)
        a = reference[r].astype(np.uint32)
        equal = ((reference[r] ^ dump[d]) & mask) == 0
        two = reference[np.maximum(r - 2, 0)].astype(np.uint32) << 8 | reference[np.maximum(r - 1, 0)]
        own = self._counted(0, r).astype(float)
        if as_is:
            own += self._counted(1, d) & (reference[r] == dump[d])
        fresh = equal & ~repeats(reference[r])
        bits = np.zeros(r.size)
        bits[fresh] = self.surprisal(np.ascontiguousarray(two[fresh]), a[fresh], own[fresh])
        bits[~equal] = -MISMATCH
        if mask != 0xFF:
            bits[equal] *= mask.bit_count() / 8
        return np.bincount(owner, bits, minlength=pieces.count) * scale

    def _counted(self, side: int, positions: Numbers) -> Flags:
        """Return whether the bytes at positions were counted."""
        groups = np.append(self._groups[side], False)
        out: Flags = groups[np.minimum(positions // self._width, groups.size - 1)]
        return out


def _windows(pieces: Pieces, windows: int) -> tuple[Numbers, Numbers, Numbers, Floats]:
    """Return the positions to score on both sides, the piece each belongs to, and each piece's scale."""
    long = pieces.size > max(windows * WINDOW, 2 * WINDOW)
    seen = np.where(long, windows * WINDOW, pieces.size)
    step = np.where(long, (pieces.size - WINDOW) // max(windows - 1, 1), WINDOW)
    owner = np.repeat(np.arange(pieces.count), seen)
    k = np.arange(owner.size) - np.repeat(seen.cumsum() - seen, seen)
    offset = k // WINDOW * step[owner] + k % WINDOW
    return pieces.reference[owner] + offset, pieces.dump[owner] + offset, owner, pieces.size / seen


def repeats(data: Bytes) -> Flags:
    """Return for each byte whether the ones before it foretell it with a period of at most 8 bytes.

    The first bytes of a run do not count as repeats, the later ones do.
    """
    out = np.zeros(data.size, np.bool_)
    out[1:] = data[1:] == data[:-1]
    for period in (2, 3, 4, 5, 6, 7, 8):
        if data.size <= 2 * period:
            break
        run, length = data[period:] == data[:-period], 1
        while length < period:
            step = min(length, period - length)
            run = run[step:] & run[:-step]
            length += step
        out[2 * period - 1 :] |= run
    return out


@dataclass(frozen=True, slots=True)
class _Fit:
    """Expectation ``2**(log2_k - slope * score) * cells``, fitted on the pairs of one instruction set."""

    isa: str
    slope: float
    log2_k: float
    pairs: int
    log2_cells: float
    ref: str


@lru_cache(maxsize=1)
def fits() -> tuple[_Fit, ...]:
    """Return the fits of all instruction sets."""
    return tuple(_Fit(**table) for table in packaged("measure/locate/calibration.toml")["fit"])


@dataclass(frozen=True, slots=True)
class Ground:
    """What the comparison ran over.

    `reference` and `dump` are bytes of content on either side, `sector` is the erase unit, `islands` are the stretches
    of the dump between fill.
    """

    reference: int
    dump: int
    sector: int
    islands: int

    def cells(self, displacement: Numbers, dump_offset: Numbers, known: Flags, island: Flags) -> Floats:
        """Return among how many places each hit is the best.

        A hit where flash content is moved on purpose competes with few places: on a displacement that is
        `known` (in place, a bank, a slot, or one that a long piece proves already), moved by whole sectors, or,
        narrower still, from the start of a sector to the start of a sector; or where it explains a whole `island`.
        """
        everywhere = float(self.reference) * self.dump
        moved = displacement % self.sector == 0
        classes = (
            (known, float(min(self.reference, self.dump))),
            (island, float(self.reference) * self.islands),
            (moved, everywhere / self.sector),
            (moved & (dump_offset % self.sector == 0), max(everywhere / self.sector / self.sector, 1.0)),
        )
        out, ways = np.full(displacement.size, everywhere), np.ones(displacement.size)
        for of_it, places in classes:
            out = np.where(of_it, np.minimum(out, places), out)
            ways += of_it
        return out * ways


def expectation(score: float | Floats, cells: float | Floats) -> Floats:
    """Return the nominal number of chance hits of at least `score` bits among `cells` under the most cautious of the fits."""
    places = np.log2(np.maximum(cells, 1.0))
    out: Floats = 2.0 ** np.minimum(np.max([f.log2_k - f.slope * score + places for f in fits()], axis=0), 200.0)
    return out


def is_weak(expected: float, score: float, size: int, cells: float, ground: Ground) -> bool:
    """Tell whether a hit that is `expected` so often could be chance."""
    if expected > STRONG:
        return True
    structured = cells < float(ground.reference) * ground.dump
    return not structured and score < CERTAIN and score / size < RICH
