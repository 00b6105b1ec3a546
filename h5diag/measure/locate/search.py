"""The stages that find pieces: equal in place, equal pages, sampled seeds, every seed."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from h5diag.measure.locate.diagonals import NO_CANDIDATES, Candidates, candidates, together
from h5diag.measure.locate.extend import QUARTER, Extender, weights
from h5diag.measure.locate.fill import BLOCK, Flags, Numbers, content_bytes, edges, words
from h5diag.measure.locate.free import Free
from h5diag.measure.locate.seeds import NO_MASK, WORD, Keys, among, join, sample, table
from h5diag.measure.locate.sides import Side, Watch
from h5diag.memory import Bytes

PAGE = 4096
LONG = 1024
"""Bytes from which a run of equal blocks in place is taken before anything else."""

DENSE_LIMIT = 8 << 20
"""Bytes of content up to which every word is looked up; above, only on request."""

DEFERRED = 4096
"""Bytes below which a piece with errors may be deferred."""

ALL_STARTS, STRIDE = 4 << 20, 4
AT_ONCE = 4 << 20
"""Words looked up in one pass over the reference."""

SORTED_AT_ONCE = 1 << 20
"""Keys above which those without a partner are put aside before the sort."""

FOLLOWED, FOLLOWED_OVER, AHEAD = 256, 1 << 16, 4096
"""A piece of so many bytes is followed over fill of at most so many, and over so many bytes of anything else."""

SURE, POSSIBLE = 70 * QUARTER, 40 * QUARTER
"""Score from which a piece is taken from sampled seeds, and from all seeds."""


@dataclass(frozen=True, slots=True)
class Span:
    """A piece in flat positions, found with `mask` on every byte."""

    reference: int
    dump: int
    size: int
    mask: int = 0xFF


@dataclass(slots=True)
class Search:
    """One search of a dump for a reference, as the dump stands or transformed.

    `dump` may differ from ``dump_side.data`` by a transform; `free` is shared between searches. While `deferring`,
    short pieces with errors are left to the look-up of every word, which knows whether an exact copy is elsewhere.
    """

    reference_side: Side
    dump_side: Side
    dump: Bytes
    reference_fill: Flags
    dump_fill: Flags
    free: Free
    watch: Watch
    mask: int = 0xFF
    deferring: bool = False
    spans: list[Span] = field(default_factory=list)
    extender: Extender = field(init=False)

    def __post_init__(self) -> None:
        self.extender = Extender(
            self.reference,
            self.dump,
            weights(self.reference, self.dump, self.reference_fill, self.dump_fill, self.mask),
            self.watch,
            self.mask,
        )

    @property
    def reference(self) -> Bytes:
        """The reference's flat bytes."""
        return self.reference_side.data

    @property
    def word_mask(self) -> int:
        """The mask on each byte, on a whole word."""
        return NO_MASK if self.mask == 0xFF else int.from_bytes(bytes([self.mask] * 8), "little")

    def todo(self) -> Flags:
        """Return the blocks of the dump that still hold something to explain."""
        return self.free.blocks(self.dump.size, self.dump_fill)

    def take(self, found: Candidates, least: int) -> None:
        """Turn candidates into spans, the best covered first; `least` is the score a span must have."""
        order = np.argsort(-found.coverage, kind="stable")
        at, step = 0, 256
        while at < order.size:
            self.watch.check(at / order.size)
            some = found.where(order[at : at + step])
            at, step = at + step, min(step * 2, 4096)
            low, high, inside = self.free.bounds(some.dump)
            some = some.where(inside)
            if not some.size:
                continue
            low, high = self._within_reference(some, low[inside], high[inside])
            before, after, score, is_open = self.extender.many(some.reference, some.dump, low, high)
            good = (score >= least) | is_open
            keep = np.flatnonzero(good)
            # The longest first, as they come; among those that ended the best copy wins, not the first.
            keep = keep[np.argsort(np.where(is_open[keep], -(1 << 40), -score[keep]), kind="stable")]
            for k, (r, d, back, on, open_) in enumerate(
                zip(
                    some.reference[keep].tolist(),
                    some.dump[keep].tolist(),
                    before[keep].tolist(),
                    after[keep].tolist(),
                    is_open[keep].tolist(),
                    strict=True,
                )
            ):
                if k & 7 == 0:
                    self.watch.check(at / order.size)
                i = self.free.find(d)
                if i < 0:
                    continue
                a, b = self.limits(r, d, i)
                if open_ or d - back < a or d + on > b:
                    back = self.extender.reach_back(r, d, d - a)
                    on = self.extender.reach(r, d, b - d)
                self._accept(r, d, back, on, least)

    def _within_reference(self, some: Candidates, low: Numbers, high: Numbers) -> tuple[Numbers, Numbers]:
        starts = np.array(self.reference_side.starts, np.int64)
        i = np.searchsorted(starts, some.reference, "right") - 1
        return (
            np.maximum(low, some.dump - (some.reference - starts[i])),
            np.minimum(high, some.dump + (starts[i + 1] - some.reference)),
        )

    def limits(self, r: int, d: int, stretch: int) -> tuple[int, int]:
        """Return between which dump positions a piece through `r` and `d` may lie, in a free stretch."""
        i = self.reference_side.segment(r)
        starts = self.reference_side.starts
        return (
            max(self.free.starts[stretch], d - (r - starts[i])),
            min(self.free.stops[stretch], d + (starts[i + 1] - r)),
        )

    def _accept(self, r: int, d: int, back: int, on: int, least: int) -> None:
        size = back + on
        if size < 8:
            return
        if (
            self.deferring
            and size < DEFERRED
            and not np.array_equal(self.reference[r - back : r + on], self.dump[d - back : d + on])
        ):
            return
        if size < 512 and int(self.extender.worth(r - back, d - back, size).sum()) < least:
            return
        self.free.take(d - back, d + on)
        self.spans.append(Span(r - back, d - back, size, self.mask))
        if size >= FOLLOWED:
            self._follow(r - d, d + on, forward=True)
            self._follow(r - d, d - back, forward=False)

    def _follow(self, diagonal: int, at: int, *, forward: bool) -> None:
        """Go on behind whatever ended a piece, on the same diagonal, as long as content agrees soon again."""
        free = self.free
        while True:
            if free.find(at if forward else at - 1) < 0:
                i = bisect_left(free.starts, at) if forward else bisect_right(free.stops, at) - 1
                if not 0 <= i < len(free.starts):
                    return
                edge = free.starts[i] if forward else free.stops[i]
                if abs(edge - at) > FOLLOWED_OVER:
                    return
                at = edge
            low, high = (at, at + AHEAD) if forward else (at - AHEAD, at)
            low, high = max(low, 0, -diagonal), min(high, self.dump.size, self.reference.size - diagonal)
            if high - low < 16:
                return
            d = self._first_alike(diagonal, low, high, forward=forward)
            i = free.find(d)
            if i < 0:
                return
            a, b = self.limits(d + diagonal, d, i)
            start = d - self.extender.reach_back(d + diagonal, d, d - a)
            stop = d + self.extender.reach(d + diagonal, d, b - d)
            if stop - start < 8:
                return
            free.take(start, stop)
            self.spans.append(Span(start + diagonal, start, stop - start, self.mask))
            at = stop if forward else start

    def _first_alike(self, diagonal: int, low: int, high: int, *, forward: bool) -> int:
        """Return a free position of equal content on a diagonal, the one next to where a piece ended; or -1."""
        if self.free.within(low, high) < WORD:
            return -1
        worth = self.extender.worth(low + diagonal, low, high - low)
        sums = np.add.reduceat(worth, np.arange(0, worth.size, BLOCK))
        good = np.flatnonzero(sums >= POSSIBLE).tolist()
        for block in good if forward else reversed(good):
            at = block * BLOCK + int(worth[block * BLOCK : block * BLOCK + BLOCK].argmax())
            if self.free.find(low + at) >= 0:
                return low + at
        return -1

    def in_place(self) -> tuple[Candidates, tuple[Span, ...]]:
        """Return the runs of equal blocks at equal addresses: those with content, and all."""
        parts: list[Candidates] = []
        equal: list[Span] = []
        a, b = self.reference_side, self.dump_side
        # The same view first: what is in place in one alias is an alias of itself in the other.
        views = product(range(len(a.addresses)), range(len(b.addresses)))
        for i, j in sorted(
            views, key=lambda v: a.addresses[v[0]] - a.canonical[v[0]] != b.addresses[v[1]] - b.canonical[v[1]]
        ):
            low = max(a.canonical[i], b.canonical[j])
            high = min(a.canonical[i] + a.starts[i + 1] - a.starts[i], b.canonical[j] + b.starts[j + 1] - b.starts[j])
            if high - low < BLOCK:
                continue
            r, d = a.starts[i] + low - a.canonical[i], b.starts[j] + low - b.canonical[j]
            skip = -d % BLOCK
            r, d, size = r + skip, d + skip, (high - low - skip) // BLOCK * BLOCK
            if size <= 0:
                continue
            same = np.zeros(size // BLOCK, np.bool_)
            for at in range(0, size, 1 << 18):
                self.watch.check(at / size)
                stop = min(at + (1 << 18), size)
                packed = (words(self.reference[r + at : r + stop]) == words(self.dump[d + at : d + stop])).view(
                    np.uint64
                )
                same[at // BLOCK : stop // BLOCK] = packed == np.uint64(0x0101010101010101)
            first, last = edges(same)
            equal += [
                Span(r + p * BLOCK, d + p * BLOCK, (q - p) * BLOCK)
                for p, q in zip(first.tolist(), last.tolist(), strict=True)
            ]
            first, last = edges(same & ~self.dump_fill[d // BLOCK : d // BLOCK + same.size])
            middle = (first + last) // 2 * BLOCK
            parts.append(Candidates(r + middle, d + middle, (last - first) * BLOCK))
        return together(parts), tuple(equal)

    def pages(self) -> Candidates:
        """Return the pages whose first block occurs once as a page's first block on either side."""
        firsts = []
        for side, data, fill in (
            (self.reference_side, self.reference, self.reference_fill),
            (self.dump_side, self.dump, self.dump_fill),
        ):
            at = [
                np.arange(start + -canonical % PAGE, stop - BLOCK + 1, PAGE)
                for start, stop, canonical in zip(side.starts, side.starts[1:], side.canonical, strict=False)
            ]
            where = np.concatenate([np.empty(0, np.int64), *at])
            where = where[~fill[where // BLOCK]] if where.size else where
            if data is self.dump:
                where = where[self.free.bounds(where)[2]]
            content = data[where[:, None] + np.arange(BLOCK)].view(np.uint64)
            odd = np.arange(1, 2 * content.shape[1], 2, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
            firsts.append((where, (content * odd).sum(axis=1, dtype=np.uint64)))
        (r, rh), (d, dh) = firsts
        rv, ri, rc = np.unique(rh, return_index=True, return_counts=True)
        dv, di, dc = np.unique(dh, return_index=True, return_counts=True)
        _, x, y = np.intersect1d(rv, dv, assume_unique=True, return_indices=True)
        once = (rc[x] == 1) & (dc[y] == 1)
        r, d = r[ri[x[once]]], d[di[y[once]]]
        order = d.argsort()
        r, d = r[order], d[order]
        same = (self.reference[r[:, None] + np.arange(BLOCK)] == self.dump[d[:, None] + np.arange(BLOCK)]).all(axis=1)
        r, d = r[same], d[same]
        # Pages in a row are one candidate.
        first = np.flatnonzero(np.concatenate([[True], (np.diff(d) != PAGE) | (np.diff(r) != PAGE)])[: d.size])
        count = np.diff(np.append(first, d.size))
        middle = first + count // 2
        return Candidates(r[middle], d[middle], count * PAGE)

    def unused(self) -> Flags:
        """Return the blocks of the reference with content that is in no span yet."""
        blocks = ~self.reference_fill
        for s in self.spans:
            blocks[-(-s.reference // BLOCK) : (s.reference + s.size) // BLOCK] = False
        return blocks

    def sampled(self, rate: int, *, unused: bool = False) -> Candidates:
        """Return candidates from words that the content itself selects, one in ``2**rate``.

        With `unused` only content of the reference that no span holds is looked at.
        """
        dump = sample(self.dump, self.todo(), rate, self.watch, mask=self.word_mask)
        return self._joined(dump, self.unused() if unused else ~self.reference_fill, rate)

    def take_every(self) -> None:
        """Take pieces from every word of what is left of the dump; where that is much, group by group.

        Of more than `ALL_STARTS` bytes only words that start at a multiple of `STRIDE` are looked up. A piece of 32
        bytes holds seven of them, wherever it stands.
        """
        todo = self.todo()
        stride = 1 if content_bytes(todo) <= ALL_STARTS else STRIDE
        blocks, step = np.flatnonzero(todo), AT_ONCE * stride // BLOCK
        low, high = self.watch.low, self.watch.high
        for at in range(0, blocks.size, step):
            part = np.zeros(todo.size, np.bool_)
            part[blocks[at : at + step]] = True
            part &= self.todo()
            share = (high - low) / blocks.size
            self.watch.stage(low + share * at, low + share * min(at + step, blocks.size))
            dump = sample(self.dump, part, 0, self.watch, mask=self.word_mask, stride=stride)
            self.take(self._joined(dump, ~self.reference_fill, 0), POSSIBLE)

    def _joined(self, dump: Keys, blocks: Flags, rate: int) -> Candidates:
        if not dump.size:
            return NO_CANDIDATES
        reference = sample(self.reference, blocks, rate, self.watch, mask=self.word_mask, known=table(dump, self.watch))
        if reference.size + dump.size > SORTED_AT_ONCE:
            dump = among(dump, table(reference, self.watch), self.watch)
        pairs = join(reference, dump, max(self.reference.size, self.dump.size), self.watch)
        return candidates(pairs, rate, self.reference.size, self.watch)
