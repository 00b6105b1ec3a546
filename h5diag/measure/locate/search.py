"""The search from two images to a placement: in place, whole pages, every word; as the dump stands and changed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from h5diag.chip import Chip, load_chip
from h5diag.layout import Layout
from h5diag.measure.locate.bits import line_faults
from h5diag.measure.locate.kernel import engine
from h5diag.measure.locate.pieces import QUARTER, Free, Pair, Pieces, Words, distinct, weights
from h5diag.measure.locate.placement import Placement, Transform
from h5diag.measure.locate.regions import Found, place
from h5diag.measure.locate.sides import (
    BLOCK,
    Barriers,
    Flags,
    Side,
    Watch,
    barriers,
    content_bytes,
    edges,
    transformed,
    unknown,
)
from h5diag.memory import Cancel, MemoryImage, Progress

LONG, SETTLED = 1024, 256
"""Bytes from which a piece in place, and one of the sparse index, is taken before every word is looked up."""

DENSE, SPARSE, VERY_SPARSE = 4, 61, 509
"""Every so many bytes a word of the reference is known, up to `DENSE_LIMIT` bytes of content, and above; and at first.
Primes, so that the words of a table of records are not all of the same field."""

DENSE_LIMIT = 8 << 20
FEW = 8
"""Where the dump has so many times less left than the reference, its words are indexed and not the reference's."""

SPAN, WHOLE = 1024, 1 << 62
"""Where content agrees the words of so many bytes are not looked up: a span, or the whole run that agrees."""

SURE, POSSIBLE = 70 * QUARTER, 40 * QUARTER
"""Score of a piece that speaks for a way of reading, and of any piece."""

PROVEN = 64 * QUARTER
"""What a displacement counts, on which a long piece stands already, when pieces compete."""

WORTH_A_WAY, WORTH_A_SHARE = 512, 64
"""Bytes left unexplained, and their least share of the dump's content, from which other readings are tried."""

PROBES, PROBE_BLOCKS = 64, 16
"""Another reading is tried on so many windows of so many blocks."""

ENOUGH = 1024
"""A reading is followed when the windows lead to pieces of so many bytes."""

ALIKE = 0.97
"""Share of equal bytes from which a piece of the sparse index is taken at once: tables resemble themselves."""

COST = 16
"""Bytes by which a piece must be longer to be taken before another, for each wrong byte."""

WORTH = 2 * QUARTER
"""What a byte that agrees counts where it is not weighed."""

POOR = 0.1
"""Share of wrong bits from which a piece in plain reading must compete with the other readings."""

LOOKED_AT = 1 << 16
"""Bytes of found pieces among which a stuck line is looked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A reference made ready once, to be looked for in many dumps.

    Parameters
    ----------
    image
        The reference.
    chip
        Whose aliases its addresses were folded by.
    side, fill, barriers
        Its flat bytes, which blocks of them are fill, and the longer runs of fill to the byte.
    """

    image: MemoryImage
    chip: Chip
    side: Side
    fill: Flags
    barriers: Barriers
    _words: dict[tuple[int, int], Words] = field(default_factory=dict)

    def has_words(self, stride: int, mask: int) -> bool:
        """Tell whether an index of its words is there already."""
        return (stride, mask) in self._words

    def words(self, stride: int, mask: int, watch: Watch) -> Words:
        """Return the index of its words; only plain ones are kept, broken lines are rare."""
        known = self._words.get((stride, mask))
        if known is None:
            known = engine().words(self.side.data, ~self.fill, stride, mask, watch)
            if mask == (1 << 64) - 1:
                self._words[stride, mask] = known
        return known


def prepare(
    reference: MemoryImage,
    *,
    chip: Chip | None = None,
    layout: Layout | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Prepared:
    """Make a reference ready to be looked for in many dumps.

    Parameters
    ----------
    reference
        What is known to be good.
    chip, layout
        As they will be given to `locate`.
    progress, cancel
        Told the fraction done; asked every few milliseconds whether to stop.
    """
    chip = layout.chip if layout is not None else chip if chip is not None else load_chip()
    side = Side.of(reference, chip)
    fill = engine().fill(side.data, Watch(progress, cancel))
    return Prepared(reference, chip, side, fill, barriers(side, fill))


def locate(
    reference: MemoryImage | Prepared,
    dump: MemoryImage,
    *,
    layout: Layout | None = None,
    chip: Chip | None = None,
    transforms: bool = False,
    deep: bool = False,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Placement:
    """Find where the pieces of a reference landed in a dump.

    Parameters
    ----------
    reference
        What is known to be good: an image, or the dump of a board that works; or what `prepare` made of it.
    dump
        Where to look.
    layout
        Names slots; without it no displacement is called ``slot``.
    chip
        Gives aliases, banks and sectors; the layout's own, or the default chip.
    transforms
        Look for inverted, byte-swapped, halfword-swapped and bit-reversed content however little is unexplained, and
        in images above 8 MiB. Without it these readings are tried where much is unexplained, or poorly explained.
    deep
        Look up words throughout however large the images are. Without it, above 8 MiB of content, a piece below about
        40 bytes may be missed.
    progress, cancel
        Told the fraction done; asked every few milliseconds whether to stop.

    Returns
    -------
    Placement
        Gaps and unreadable ranges never match and are reported as unknown; fill is never matched.

    Raises
    ------
    Cancelled
        When `cancel` says so.
    """
    chip = layout.chip if layout is not None else chip if chip is not None else load_chip()
    watch = Watch(progress, cancel)
    watch.stage(0.0, 0.05)
    if not isinstance(reference, Prepared) or reference.chip is not chip:
        image = reference.image if isinstance(reference, Prepared) else reference
        reference = prepare(image, chip=chip, cancel=cancel)
    b = Side.of(dump, chip)
    watch.stage(0.05, 0.1)
    search = _Search(reference, b, engine().fill(b.data, watch), watch, deep=deep)
    found, equal = search.run(transforms=transforms)
    watch.stage(0.9, 1.0)
    sides = (reference.side, reference.fill, reference.barriers), (b, search.dump_fill, search.barriers)
    placement = place(found, *sides, equal, chip, layout, watch)
    result = replace(
        placement,
        reference_unknown=unknown(reference.image),
        dump_unknown=unknown(dump),
        assumptions=search.assumptions,
    )
    watch.check(1.0)
    return result


class _Search:
    """One search: the free stretches of the dump, and the pieces taken out of them."""

    def __init__(self, reference: Prepared, side: Side, fill: Flags, watch: Watch, *, deep: bool) -> None:
        self.reference, self.side, self.dump_fill, self.watch = reference, side, fill, watch
        self.barriers = barriers(side, fill)
        self.free = Free.of(side, self.barriers)
        self.content = content_bytes(~fill)
        self.large = max(content_bytes(~reference.fill), self.content) > DENSE_LIMIT
        self.deep = deep
        self.stride = SPARSE if self.large and not deep else DENSE
        self.plain = self._pair(Transform.AS_IS, 0xFF)
        self.sampled = False
        self.taken: list[Found] = []
        self.assumptions: tuple[str, ...] = ()

    def _pair(self, transform: Transform, mask: int) -> Pair:
        a, data = self.reference.side, transformed(self.side, transform, self.watch)
        gain, mismatch = weights(a.data, data, self.reference.fill, self.dump_fill, mask)
        return Pair(a, self.side, data, self.free, gain, mismatch, mask)

    def _probe(self, transform: Transform, mask: int) -> Pair:
        """Return a pair good enough for a sample, with the weights of the plain reading."""
        return replace(self.plain, dump=transformed(self.side, transform, self.watch), mask=mask)

    def run(self, *, transforms: bool) -> tuple[list[Found], Pieces]:
        """Return the pieces of each reading of the dump, and what is equal in place however plain."""
        self.watch.stage(0.1, 0.2)
        plain = Found(Transform.AS_IS, self.plain, Pieces.empty())
        long, equal = self._in_place()
        self._take(plain, long)
        if self.free.content():
            self.watch.stage(0.2, 0.5)
            coarse = self._coarse(plain)
            self.sampled = self.stride == SPARSE
            readings = [replace(plain, pieces=coarse if self.sampled else self._scan(self.plain))]
            self.watch.stage(0.5, 0.85)
            readings += self._other_readings(readings[0], transforms=transforms)
            self._compete(readings)
            if self.large and not self.deep:
                missed = (
                    f"one word in {SPARSE} of the reference was sampled: a piece below about 100 bytes may be missed"
                )
                self.assumptions = (
                    f"above 8 MiB of content {missed + ', and ' if self.sampled else ''}broken data lines were not looked"
                    " for (--deep looks at every word and for them)",
                )
        found: dict[tuple[Transform, int], list[Found]] = {}
        for f in self.taken:
            found.setdefault((f.transform, f.pair.mask), []).append(f)
        return [replace(fs[0], pieces=Pieces.joined([f.pieces for f in fs])) for fs in found.values()], equal

    def _take(self, reading: Found, pieces: Pieces) -> None:
        """Take pieces whose score is what is wrong in them, with all that agrees before and behind them.

        On one displacement everything between may agree and only be too plain to be searched. Of two places that hold
        the same for a while the longer one is taken, and of two that nearly agree the one with fewer wrong bytes.
        """
        order = np.lexsort((pieces.dump, pieces.reference - pieces.dump))
        whole = engine().grow(reading.pair, pieces.where(order))
        parts, owner = self.free.cut(whole)
        worth = np.bincount(owner, parts.size, whole.count) - COST * whole.score
        order = np.argsort(-worth[owner], kind="stable")
        wanted = Pieces(parts.reference, parts.dump, parts.size, parts.size * WORTH).where(order)
        self.taken.append(replace(reading, pieces=engine().claim(reading.pair, wanted, POSSIBLE)))

    def _compete(self, readings: list[Found]) -> None:
        """Take the pieces of all readings, the best first; on a proven displacement a piece counts more.

        So it does, by its share, where more is found than on others: of two copies one may have a byte less wrong.
        """
        long = [f.pieces.where(f.pieces.size >= LONG) for f in self.taken]
        proven = distinct(np.concatenate([np.empty(0, np.int64), *(p.dump - p.reference for p in long)]))
        moved = np.concatenate([r.pieces.dump - r.pieces.reference for r in readings])
        score = np.concatenate([r.pieces.score for r in readings])
        of = np.searchsorted(distinct(moved), moved)
        on = np.bincount(of, score)
        worth = score + PROVEN * (np.isin(moved, proven) + on[of] / on.max(initial=1))
        order = np.argsort(-worth, kind="stable")
        which = np.repeat(np.arange(len(readings)), [r.pieces.count for r in readings])[order]
        number = np.concatenate([np.arange(r.pieces.count) for r in readings])[order]
        change = np.flatnonzero(np.diff(which)) + 1
        for part in np.split(np.arange(order.size), change):
            self.watch.pause()
            if part.size:
                reading = readings[int(which[part[0]])]
                wanted = reading.pieces.where(number[part])
                self.taken.append(replace(reading, pieces=engine().claim(reading.pair, wanted, POSSIBLE)))

    def _coarse(self, plain: Found) -> Pieces:
        """Take what a sparse index of words leads to, and return all that it led to.

        That is nearly all that is longer than two of its steps. In a large image a sparser index is asked first: mostly
        it leaves nothing to do.
        """
        for stride in (VERY_SPARSE, SPARSE) if self.large else (SPARSE,):
            todo = self.free.blocks(self.dump_fill)
            words = self.reference.words(stride, self.plain.word_mask, self.watch)
            found = engine().scan(self.plain, words, todo, POSSIBLE, WHOLE, self.watch)
            large = found.where(found.size >= SETTLED)
            same, _ = engine().tally(self.plain, large)
            large = Pieces(large.reference, large.dump, large.size, large.size - same)
            self._take(plain, large.where(same >= ALIKE * large.size))
            if (self.free.stop - self.free.start).max(initial=0) < 2 * SPARSE:
                break
        return found

    def _scan(self, pair: Pair) -> Pieces:
        """Return the pieces around every word that is free, by an index of whichever side has less to index."""
        todo = self.free.blocks(self.dump_fill)
        # Not in large images: a word that is rare in what is left may stand thousands of times in the reference.
        small = not self.large and content_bytes(todo) * FEW <= content_bytes(~self.reference.fill)
        if small and not self.reference.has_words(self.stride, pair.word_mask):
            return self._turned(pair, todo)
        words = self.reference.words(self.stride, pair.word_mask, self.watch)
        return engine().scan(pair, words, todo, POSSIBLE, SPAN, self.watch)

    def _turned(self, pair: Pair, blocks: Flags) -> Pieces:
        """Return the pieces around the words of some blocks of the dump; the sides change places for it."""
        words = engine().words(pair.dump, blocks, DENSE, pair.word_mask, self.watch)
        a, fill = self.reference.side, self.reference.fill
        own = Side(pair.dump, self.side.starts, self.side.addresses, self.side.canonical)
        turned = Pair(own, a, a.data, Free.of(a, self.reference.barriers), pair.gain, pair.mismatch, pair.mask)
        found = engine().scan(turned, words, ~fill, POSSIBLE, SPAN, self.watch)
        return Pieces(found.dump, found.reference, found.size, found.score)

    def _other_readings(self, plain: Found, *, transforms: bool) -> list[Found]:
        """Return the readings that explain what the plain one leaves or explains poorly."""
        out: list[Found] = []
        lines = self.deep or not self.large
        mask = self._stuck_mask(plain) if lines else 0xFF
        if mask != 0xFF:
            pair = self._pair(Transform.AS_IS, mask)
            out.append(Found(Transform.AS_IS, pair, self._scan(pair)))
        if self.large and not (transforms or self.deep):
            return out
        todo = self._unexplained([plain, *out])
        if content_bytes(todo) < max(WORTH_A_WAY, 0 if transforms else self.content // WORTH_A_SHARE):
            return out
        ways: list[tuple[Transform, int]] = [(t, 0xFF) for t in Transform if t is not Transform.AS_IS]
        ways += [(Transform.AS_IS, 0xFF ^ 1 << line) for line in range(8) if lines and mask == 0xFF]
        # A sample makes common words look rare, in plain reading as well: only what beats that speaks for a reading.
        common = self._rate(self.plain, todo)
        if common > PROBES * PROBE_BLOCKS * BLOCK:
            return out
        rated = [(self._rate(self._probe(t, m), todo), -i) for i, (t, m) in enumerate(ways)]
        for rate, i in sorted(rated, reverse=True)[:3]:
            if rate >= max(ENOUGH, 2 * common):
                pair = self._pair(*ways[-i])
                out.append(Found(ways[-i][0], pair, self._scan(pair)))
        return out

    def _unexplained(self, readings: list[Found]) -> Flags:
        """Return the free blocks that no piece with few wrong bits touches."""
        change = np.zeros(self.dump_fill.size + 1, np.int32)
        for r in readings:
            good = _good(r.pair, r.pieces)
            np.add.at(change, good.dump // BLOCK, 1)
            np.add.at(change, -(-(good.dump + good.size) // BLOCK), -1)
        out: Flags = (change.cumsum()[:-1] == 0) & self.free.blocks(self.dump_fill)
        return out

    def _rate(self, pair: Pair, todo: Flags) -> int:
        """Return to how many bytes an even sample of the blocks `todo` leads, when read in another way."""
        some = np.flatnonzero(todo)[::PROBE_BLOCKS]
        some = some[:: max(1, -(-some.size // PROBES))]
        chosen = np.zeros(todo.size, np.bool_)
        chosen[np.minimum(some[:, None] + np.arange(PROBE_BLOCKS), todo.size - 1).ravel()] = True
        words = self.reference.words(SPARSE, pair.word_mask, self.watch)
        return int(_good(pair, engine().scan(pair, words, chosen & todo, SURE, SPAN, self.watch)).size.sum())

    def _stuck_mask(self, reading: Found) -> int:
        """Return the mask without the data line that explains the errors of the pieces found, or 0xFF."""
        pieces = reading.pieces.where(np.argsort(-reading.pieces.size, kind="stable"))
        same, _ = engine().tally(reading.pair, pieces)
        pieces = pieces.where(same < pieces.size)
        pieces = pieces.where(slice(int(np.searchsorted(pieces.size.cumsum(), LOOKED_AT)) + 1))
        xs, ys = [np.empty(0, np.uint8)], [np.empty(0, np.uint8)]
        for r, d, size in zip(pieces.reference.tolist(), pieces.dump.tolist(), pieces.size.tolist(), strict=True):
            # From a multiple of four on, so that the bytes of a bus word stay where they are.
            skip = -self.side.canonical_address(d) % 4
            whole = max(size - skip, 0) & ~3
            xs.append(reading.pair.reference[r + skip : r + skip + whole])
            ys.append(reading.pair.dump[d + skip : d + skip + whole])
        faults = line_faults(np.concatenate(xs), np.concatenate(ys), 0)
        return 0xFF ^ 1 << faults[0].line % 8 if faults else 0xFF

    def _in_place(self) -> tuple[Pieces, Pieces]:
        """Return the long runs of equal content at equal addresses, and all equal runs, fill among them."""
        a, b, long, equal = self.reference.side, self.side, [Pieces.empty()], [Pieces.empty()]
        at, to = np.array(a.canonical, np.int64), np.array(b.canonical, np.int64)
        low = np.maximum(at[:, None], to[None, :])
        high = np.minimum((at + np.diff(a.starts))[:, None], (to + np.diff(b.starts))[None, :])
        # The same view first: what is in place in one alias is an alias of itself in the other.
        views = [
            (a.addresses[i] - a.canonical[i] != b.addresses[j] - b.canonical[j], i, j)
            for i, j in np.argwhere(high - low >= BLOCK).tolist()
        ]
        for _, i, j in sorted(views):
            r, d = a.starts[i] + int(low[i, j]) - a.canonical[i], b.starts[j] + int(low[i, j]) - b.canonical[j]
            skip = -d % BLOCK
            size = int(high[i, j] - low[i, j] - skip) // BLOCK * BLOCK
            if size <= 0:
                continue
            r, d = r + skip, d + skip
            same = engine().equal(a.data[r : r + size], b.data[d : d + size], self.watch)
            first, last = edges(same)
            equal.append(Pieces.of(r + first * BLOCK, d + first * BLOCK, (last - first) * BLOCK))
            content = ~self.dump_fill[d // BLOCK : d // BLOCK + same.size]
            large = [int(np.count_nonzero(content[x:y])) >= LONG // BLOCK for x, y in zip(first, last, strict=True)]
            long.append(equal[-1].where(np.array(large, np.bool_)))
        return Pieces.joined(long), Pieces.joined(equal)


def _good(pair: Pair, pieces: Pieces) -> Pieces:
    """Return the pieces that speak for their reading: they score enough and few of their bits are wrong."""
    _, wrong = engine().tally(pair, pieces)
    return pieces.where((pieces.score >= SURE) & (wrong < POOR * 8 * pieces.size))
