"""How surprising a piece is: bits under an order-2 byte model of the pair, and how many hits as good chance would show.

The expectation is nominal: it was fitted on pairs of unrelated firmware and holds for content like theirs. The fit is
data, ``calibration.toml``, made by ``benchmarks/locate_calibrate.py``.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from h5diag.measure.locate.kernel import engine
from h5diag.measure.locate.pieces import BLOCK, Flags, Numbers, Pair, Pieces, Watch, complement, runs_of
from h5diag.measure.locate.placement import Transform
from h5diag.measure.locate.side import Side
from h5diag.memory import Bytes
from h5diag.tables import packaged

MISMATCH = 3.3  # bits taken off for each differing byte
TRAINED = 1 << 17  # bytes of either side that the model counts at most: an even sample of its content
PRIOR = 2.0
CEILING = 16.0
GROUP = 4  # blocks that are sampled together
WINDOW, WINDOWS = 256, 16  # a longer piece is scored on so many windows of so many bytes, and the sum is scaled
AT_ONCE = 64  # pieces scored between two looks at whether to stop; among more of them each gets fewer windows at first
PLAIN = 1 << 12  # when every piece has so many bytes a coarse model tells enough
STRONG = 1e-3  # a region with a larger expectation than this is weak
SHOWN = 10.0  # a region with a larger expectation than this is not reported at all
LEAST = 45.0  # nor is one that scores fewer bits than this, wherever it stands
CERTAIN = 400.0  # from this score on a piece may be anything but verbatim: no unrelated pair reached it
FEW = 8  # a piece that leaves so many bytes of an island between fill explains all of it
RICH = 5.0  # below `CERTAIN` a piece at a place of no meaning needs so many bits in each byte
Floats = npt.NDArray[np.float64]


class Model:
    """Byte counts of order 0 to 2 over both sides, asked with the asker's own occurrences taken out."""

    def __init__(self, a: Side, b: Side, shortest: int) -> None:
        self._width = BLOCK * GROUP
        self._groups = [_sampled(side, TRAINED // 8 if shortest >= PLAIN else TRAINED) for side in (a, b)]
        if not any(groups.any() for groups in self._groups):
            # Images of less than a group, or of hardly any content: all of them.
            self._width = max(min(a.size, b.size, self._width), 3)
            self._groups = [np.ones(side.size // self._width, np.bool_) for side in (a, b)]
        self._counts = engine().count(list(zip((a.data, b.data), self._groups, strict=True)), self._width)
        self._pairs, self._contexts = (x.astype(np.float64) for x in self._counts[:2])
        table = self._pairs.reshape(256, 256)
        self._before = table.sum(axis=1)
        self._single = (table.sum(axis=0) + 1) / (table.sum() + 256)

    def scores(self, pair: Pair, pieces: Pieces, watch: Watch) -> Floats:
        """Return the score in bits of each piece.

        Many long pieces need no fine score each, but for those that a coarse one leaves in doubt.
        """
        coarse = max(1, min(WINDOWS, AT_ONCE // max(pieces.size, 1)))
        out, todo = np.zeros(pieces.size), np.arange(pieces.size)
        for windows in (coarse, WINDOWS) if coarse < WINDOWS else (WINDOWS,):
            for at in range(0, todo.size, AT_ONCE):
                watch.check()
                part = todo[at : at + AT_ONCE]
                out[part] = self.score(pair, pieces[part], windows)
            todo = np.flatnonzero((out < CERTAIN) & (pieces["size"] > 2 * WINDOW))
        return out

    def score(self, pair: Pair, pieces: Pieces, windows: int) -> Floats:
        """Return the score in bits of each piece, of a longer one on so many windows."""
        reference, dump, mask = pair.reference, pair.dump, pair.mask
        r, d, owner, scale = _windows(pieces, windows)
        equal = ((reference[r] ^ dump[d]) & mask) == 0
        own = self._counted(0, r).astype(float)
        if pair.transform is Transform.AS_IS:
            own += self._counted(1, d) & (reference[r] == dump[d])
        fresh = np.flatnonzero(equal & ~_repeats(reference[r]))
        bits = np.zeros(r.size)
        bits[fresh] = self._surprisal(reference, r[fresh], own[fresh])
        bits[~equal] = -MISMATCH
        if mask != 0xFF:
            bits[equal] *= mask.bit_count() / 8
        return np.bincount(owner, bits, minlength=pieces.size) * scale

    def _surprisal(self, data: Bytes, positions: Numbers, own: Floats) -> Floats:
        """Return the bits of each byte at positions after the two before it.

        `own` is how many of the counted occurrences are the asker's own.
        """
        two, one, value = (data[np.maximum(positions - k, 0)].astype(np.uint32) for k in (2, 1, 0))
        before = two << 8 | one
        count = engine().asked(self._counts, np.asarray(before << 8 | value, np.uint32)).astype(np.float64)
        own = np.minimum(own, count)
        p1 = (self._pairs[one << 8 | value] - own + PRIOR * self._single[value]) / (self._before[one] - own + PRIOR)
        p2 = (count - own + PRIOR * p1) / (self._contexts[before] - own + PRIOR)
        bits: Floats = np.minimum(-np.log2(p2), CEILING)
        return bits

    def _counted(self, side: int, positions: Numbers) -> Flags:
        """Return whether the bytes at positions were counted."""
        groups = np.append(self._groups[side], False)
        return groups[np.minimum(positions // self._width, groups.size - 1)]


def _sampled(side: Side, trained: int) -> Flags:
    """Return for each group of blocks whether it is counted."""
    size = BLOCK * GROUP
    out = np.zeros(side.size // size, np.bool_)
    content = np.flatnonzero(side.fill[: out.size * GROUP].view(np.uint32) != 0x01010101)  # four flags at once
    out[content[:: max(1, -(-content.size * size // trained))]] = True
    return out


def _windows(pieces: Pieces, windows: int) -> tuple[Numbers, Numbers, Numbers, Floats]:
    """Return the positions to score on both sides, the piece each belongs to, and each piece's scale."""
    size = pieces["size"]
    long = size > max(windows * WINDOW, 2 * WINDOW)
    seen = np.where(long, windows * WINDOW, size)
    step = np.where(long, (size - WINDOW) // max(windows - 1, 1), WINDOW)
    owner = np.repeat(np.arange(size.size), seen)
    k = np.arange(owner.size) - np.repeat(seen.cumsum() - seen, seen)
    offset = k // WINDOW * step[owner] + k % WINDOW
    return pieces["reference"][owner] + offset, pieces["dump"][owner] + offset, owner, size / seen


def _repeats(data: Bytes) -> Flags:
    """Return for each byte whether the ones before it foretell it with a period of at most 8 bytes.

    The first bytes of a run do not count as repeats, the later ones do.
    """
    out = np.zeros(data.size, np.bool_)
    out[1:] = data[1:] == data[:-1]
    for period in range(2, 9):
        if data.size <= 2 * period:
            break
        same = data[period:] == data[:-period]
        out[2 * period - 1 :] |= np.logical_and.reduce([same[k : same.size - period + 1 + k] for k in range(period)])
    return out


@lru_cache(maxsize=1)
def fits() -> tuple[tuple[float, float], ...]:
    """Return slope and log2_k of all instruction sets."""
    return tuple((f["slope"], f["log2_k"]) for f in packaged("measure/locate/calibration.toml")["fit"])


def expectation(score: float | Floats, cells: float | Floats) -> Floats:
    """Return the nominal number of chance hits of at least `score` bits among `cells` under the most cautious of the fits."""
    places = np.log2(np.maximum(cells, 1.0))
    out: Floats = np.max([log2_k - slope * score + places for slope, log2_k in fits()], axis=0)
    return 2.0 ** np.minimum(out, 200.0)


def cells_of(a: Side, b: Side, pieces: Pieces, moved: Numbers, known: Flags) -> Floats:
    """Return among how many places each piece, displaced by `moved`, is the best.

    A hit where flash content is moved on purpose competes with few places: on a displacement that is
    `known` (in place, a bank, a slot, or one that a long piece proves already), moved by whole sectors, or,
    narrower still, from the start of a sector to the start of a sector; or where it explains all between fill and fill.
    """
    everywhere, sector = float(a.content) * b.content, b.chip.flash.sector_size
    by_sectors, begins = moved % sector == 0, b.at(pieces["dump"], canonical=True) - b.chip.flash.base
    islands = complement(b.barriers, b.size)
    nearest = islands[np.searchsorted(islands[:, 0], pieces["dump"] + FEW, "right") - 1]
    classes = (
        (known, float(min(a.content, b.content))),
        ((np.abs(nearest - runs_of(pieces)) <= FEW).all(axis=1), float(a.content) * (len(b.barriers) + 1)),
        (by_sectors, everywhere / sector),
        (by_sectors & (begins % sector == 0), max(everywhere / sector / sector, 1.0)),
    )
    out, ways = np.full(moved.size, everywhere), np.ones(moved.size)
    for of_it, places in classes:
        out = np.where(of_it, np.minimum(out, places), out)
        ways += of_it
    return out * ways


def is_weak(expected: float, score: float, size: int, structured: bool) -> bool:
    """Tell whether a hit that is `expected` so often could be chance; `structured` are those with few places."""
    return expected > STRONG or (not structured and score < CERTAIN and score / size < RICH)
