"""The search from two images to a placement: in place, whole pages, every word; as the dump stands and changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from h5diag.chip import Chip, load_chip
from h5diag.layout import Layout
from h5diag.measure.locate.kernel import engine
from h5diag.measure.locate.meaning import line_faults
from h5diag.measure.locate.pieces import (
    BLOCK,
    NONE,
    QUARTER,
    Flags,
    Pair,
    Pieces,
    Runs,
    Watch,
    content_bytes,
    distinct,
    edges,
    joined,
    overlaps,
    pieces_of,
    runs_of,
    touched,
)
from h5diag.measure.locate.placement import Placement, Transform
from h5diag.measure.locate.regions import place
from h5diag.measure.locate.side import Side, pair_of, transformed
from h5diag.memory import Cancel, MemoryImage, Progress

# Bytes from which a piece in place, and one of the sparse index, is taken before every word is looked up.
LONG, SETTLED = 1024, 256
# Every so many bytes a word of the reference is known, up to `DENSE_LIMIT` bytes of content, and above; and at first.
# Primes, so that the words of a table of records are not all of the same field.
DENSE, SPARSE, VERY_SPARSE = 4, 61, 509
DENSE_LIMIT = 8 << 20
FEW = 8  # where the dump has so many times less left than the reference, its words are indexed and not the reference's
# Where content agrees the words of so many bytes are not looked up: a span, or the whole run that agrees.
SPAN, WHOLE = 1024, 1 << 62
SURE, POSSIBLE = 70 * QUARTER, 40 * QUARTER  # score of a piece that speaks for a way of reading, and of any piece
PROVEN = 64 * QUARTER  # what a displacement counts, on which a long piece stands already, when pieces compete
# Bytes left unexplained, and their least share of the dump's content, from which other readings are tried.
WORTH_A_WAY, WORTH_A_SHARE = 512, 64
PROBES, PROBE_BLOCKS = 64, 16  # another reading is tried on so many windows of so many blocks
ENOUGH = 1024  # a reading is followed when the windows lead to pieces of so many bytes
ALIKE = 0.97  # share of equal bytes from which a piece of the sparse index is taken at once: tables resemble themselves
SHORTEST = 16  # stretches below this many bytes are not searched any more
COST = 16  # bytes by which a piece must be longer to be taken before another, for each wrong byte
WORTH = 2 * QUARTER  # what a byte that agrees counts where it is not weighed
POOR = 0.1  # share of wrong bits from which a piece in plain reading must compete with the other readings
LOOKED_AT = 8  # so many of the largest pieces with errors are looked at for a stuck line


Prepared = Side


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
    chip = layout.chip if layout else chip or load_chip()
    return Side.of(reference, chip, Watch(progress, cancel))


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
        Gives aliases, banks and sectors; the layout's own, that of a prepared reference, or the default chip.
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
    chip = layout.chip if layout else chip or (reference.chip if isinstance(reference, Side) else load_chip())
    watch = Watch(progress, cancel)
    watch.stage(0.0, 0.05)
    if not isinstance(reference, Side) or reference.chip is not chip:
        reference = Side.of(reference.image if isinstance(reference, Side) else reference, chip, watch)
    watch.stage(0.05, 0.1)
    search = _Search(reference, Side.of(dump, chip, watch), watch, deep=deep)
    found, equal = search.run(transforms=transforms)
    watch.stage(0.9, 1.0)
    placement = place(found, search.a, search.b, equal, layout, watch)
    watch.check(1.0)
    return replace(placement, assumptions=search.assumptions + placement.assumptions)


class _Search:
    """One search: the unclaimed stretches of the dump, and the pieces taken out of them."""

    def __init__(self, a: Side, b: Side, watch: Watch, *, deep: bool) -> None:
        self.a, self.b, self.watch, self.unclaimed = a, b, watch, b.unclaimed
        self.large = max(a.content, b.content) > DENSE_LIMIT
        self.sampled = self.large and not deep
        self.plain = pair_of(a, b, Transform.AS_IS, 0xFF, watch)
        self.taken: dict[Pair, list[Pieces]] = {}
        self.assumptions: tuple[str, ...] = ()

    def run(self, *, transforms: bool) -> tuple[list[tuple[Pair, Pieces]], Pieces]:
        """Return the pieces of each reading of the dump, and what is equal in place however plain."""
        self.watch.stage(0.1, 0.2)
        long, equal = self._in_place()
        self._take(long)
        if len(self._worth_searching()):
            self.watch.stage(0.2, 0.5)
            coarse = self._coarse()
            readings = {self.plain: coarse if self.sampled else self._scan(self.plain)}
            self.watch.stage(0.5, 0.85)
            self._read_otherwise(readings, transforms=transforms)
            self._compete(readings)
            if self.sampled:
                self.assumptions = (
                    f"above 8 MiB of content one word in {SPARSE} of the reference was sampled: a piece below about 100"
                    " bytes may be missed, and broken data lines were not looked for (--deep looks at every word and for"
                    " them)",
                )
        return [(pair, joined(parts)) for pair, parts in self.taken.items()], equal

    def _worth_searching(self, least: int = SHORTEST) -> Runs:
        return self.unclaimed[self.unclaimed[:, 1] - self.unclaimed[:, 0] >= least]

    def _todo(self) -> Flags:
        """Return the blocks without fill that touch a stretch worth searching."""
        return touched(self._worth_searching(), self.b.fill.size) > self.b.fill

    def _claim(self, pair: Pair, wanted: Pieces) -> None:
        got, self.unclaimed = engine().claim(pair, self.unclaimed, wanted, POSSIBLE)
        self.taken.setdefault(pair, []).append(got)

    def _take(self, pieces: Pieces) -> None:
        """Take pieces whose score is what is wrong in them, with all that agrees before and behind them.

        On one displacement everything between may agree and only be too plain to be searched. Of two places that hold
        the same for a while the longer one is taken, and of two that nearly agree the one with fewer wrong bytes.
        """
        order = np.lexsort((pieces["dump"], pieces["reference"] - pieces["dump"]))
        whole = engine().grow(self.plain, pieces[order])
        parts, owner, _ = overlaps(runs_of(whole), self.unclaimed)
        start, size = parts[:, 0], parts[:, 1] - parts[:, 0]
        worth = np.bincount(owner, size, whole.size) - COST * whole["score"]
        wanted = pieces_of((whole["reference"] - whole["dump"])[owner] + start, start, size, size * WORTH)
        self._claim(self.plain, wanted[np.argsort(-worth[owner], kind="stable")])

    def _compete(self, readings: dict[Pair, Pieces]) -> None:
        """Take the pieces of all readings, the best first; on a proven displacement a piece counts more.

        So it does, by its share, where more is found than on others: of two copies one may have a byte less wrong.
        What is wrong in it counts again: the bytes of a long run that agrees are not weighed one by one, those of a
        table that only resembles it are, and may weigh more.
        """
        taken = joined([p for parts in self.taken.values() for p in parts])
        proven = distinct((taken["dump"] - taken["reference"])[taken["size"] >= LONG])
        pieces = joined(list(readings.values()))
        moved = pieces["dump"] - pieces["reference"]
        of = np.searchsorted(distinct(moved), moved)
        on = np.bincount(of, pieces["score"])
        same = np.concatenate([engine().compare(pair, p)[0] for pair, p in readings.items()])
        agree = same / np.maximum(pieces["size"], 1)
        worth = pieces["score"] * agree * agree + PROVEN * (np.isin(moved, proven) + on[of] / on.max(initial=1))
        order = np.argsort(-worth, kind="stable")
        which = np.repeat(np.arange(len(readings)), [p.size for p in readings.values()])[order]
        for part in np.split(np.arange(order.size), np.flatnonzero(np.diff(which)) + 1):
            self.watch.check()
            if part.size:
                self._claim(list(readings)[which[part[0]]], pieces[order[part]])

    def _coarse(self) -> Pieces:
        """Take what a sparse index of words leads to, and return all that it led to.

        That is nearly all that is longer than two of its steps. In a large image a sparser index is asked first: mostly
        it leaves nothing to do.
        """
        for stride in (VERY_SPARSE, SPARSE) if self.large else (SPARSE,):
            words = self.a.words(stride, self.plain.word_mask, self.watch)
            found = engine().scan(self.plain, self.unclaimed, words, self._todo(), POSSIBLE, WHOLE, self.watch)
            large = found[found["size"] >= SETTLED]
            same, _ = engine().compare(self.plain, large)
            large["score"] = large["size"] - same
            self._take(large[same >= ALIKE * large["size"]])
            if not len(self._worth_searching(2 * SPARSE)):
                break
        return found

    def _scan(self, pair: Pair) -> Pieces:
        """Return the pieces around every word that is unclaimed, by an index of whichever side has less to index."""
        a, todo, stride = self.a, self._todo(), SPARSE if self.sampled else DENSE
        # Not in large images: a word that is rare in what is left may stand thousands of times in the reference.
        small = not self.large and content_bytes(todo) * FEW <= a.content
        if not small or a.has_words(stride, pair.word_mask):
            words = a.words(stride, pair.word_mask, self.watch)
            return engine().scan(pair, self.unclaimed, words, todo, POSSIBLE, SPAN, self.watch)
        words = engine().words(pair.dump, todo, DENSE, pair.word_mask, self.watch)
        turned = replace(pair, reference=pair.dump, dump=pair.reference, segments=self.b.segments)
        found = engine().scan(turned, a.unclaimed, words, ~a.fill, POSSIBLE, SPAN, self.watch)
        return pieces_of(found["dump"], found["reference"], found["size"], found["score"])

    def _read_otherwise(self, readings: dict[Pair, Pieces], *, transforms: bool) -> None:
        """Add the readings that explain what the plain one leaves or explains poorly."""
        mask = 0xFF if self.sampled else self._stuck_mask(readings[self.plain])
        if mask != 0xFF:
            masked = pair_of(self.a, self.b, Transform.AS_IS, mask, self.watch)
            readings[masked] = self._scan(masked)
        if self.sampled and not transforms:
            return
        good = joined([_good(pair, pieces) for pair, pieces in readings.items()])
        todo = self._todo() & ~touched(runs_of(good), self.b.fill.size)
        if content_bytes(todo) < max(WORTH_A_WAY, 0 if transforms else self.b.content // WORTH_A_SHARE):
            return
        rereadings: list[tuple[Transform, int]] = [(t, 0xFF) for t in Transform if t is not Transform.AS_IS]
        if not self.sampled:
            rereadings += [(Transform.AS_IS, 0xFF ^ 1 << line) for line in range(8) if mask != 0xFF ^ 1 << line]
        # A sample makes common words look rare, in plain reading as well: only what beats that speaks for a reading.
        common = self._rate(self.plain, todo)
        if common > PROBES * PROBE_BLOCKS * BLOCK:
            return
        rated = []
        for i, (t, m) in enumerate(rereadings):
            # Good enough for a sample: with the weights of the plain reading.
            probe = replace(self.plain, dump=transformed(self.b, t, self.watch), transform=t, mask=m)
            rated.append((self._rate(probe, todo), -i))
        for rate, i in sorted(rated, reverse=True)[:3]:
            if rate >= max(ENOUGH, 2 * common):
                other = pair_of(self.a, self.b, *rereadings[-i], self.watch)
                readings[other] = self._scan(other)

    def _rate(self, pair: Pair, todo: Flags) -> int:
        """Return to how many bytes an even sample of the blocks `todo` leads, when read in another way."""
        some = np.flatnonzero(todo)[::PROBE_BLOCKS]
        some = some[:: max(1, -(-some.size // PROBES))]
        chosen = np.zeros(todo.size, np.bool_)
        chosen[np.minimum(some[:, None] + np.arange(PROBE_BLOCKS), todo.size - 1)] = True
        words = self.a.words(SPARSE, pair.word_mask, self.watch)
        found = engine().scan(pair, self.unclaimed, words, chosen & todo, SURE, SPAN, self.watch)
        return int(_good(pair, found)["size"].sum())

    def _stuck_mask(self, pieces: Pieces) -> int:
        """Return the mask without the data line that explains the errors of a large piece, or 0xFF."""
        same, _ = engine().compare(self.plain, pieces)
        wrong = pieces[same < pieces["size"]]
        largest = wrong[np.argsort(-wrong["size"], kind="stable")[:LOOKED_AT]]
        addresses = self.b.at(largest["dump"], canonical=True).tolist()
        for (r, d, size, _), address in zip(largest.tolist(), addresses, strict=True):
            faults = line_faults(self.plain.reference[r : r + size], self.plain.dump[d : d + size], address)
            if faults:
                return 0xFF ^ 1 << faults[0].line % 8
        return 0xFF

    def _in_place(self) -> tuple[Pieces, Pieces]:
        """Return the long runs of equal content at equal addresses, and all equal runs, fill among them."""
        a, b, long, equal = self.a, self.b, [NONE], [NONE]
        low = np.maximum.outer(a.canonical, b.canonical)
        high = np.minimum.outer(a.canonical + np.diff(a.starts), b.canonical + np.diff(b.starts))
        i, j = np.nonzero(high - low >= BLOCK)
        # The same view first: what is in place in one alias is an alias of itself in the other.
        order = np.argsort((a.addresses - a.canonical)[i] != (b.addresses - b.canonical)[j], kind="stable")
        r, d = ((s.starts[:-1] - s.canonical)[k] + low[i, j] for s, k in ((a, i), (b, j)))
        rows = np.stack([r, d, (high - low)[i, j]], axis=1)[order]
        for r, d, size in (rows + (-rows[:, 1:2] % BLOCK) * [1, 1, -1]).tolist():
            whole = size // BLOCK * BLOCK
            same = engine().equal(a.data[r : r + whole], b.data[d : d + whole], self.watch)
            runs = edges(same)
            equal.append(pieces_of(r + runs[:, 0] * BLOCK, d + runs[:, 0] * BLOCK, (runs[:, 1] - runs[:, 0]) * BLOCK))
            content = ~b.fill[d // BLOCK :][: same.size]
            large = [int(np.count_nonzero(content[x:y])) >= LONG // BLOCK for x, y in runs.tolist()]
            long.append(equal[-1][np.array(large, np.bool_)])
        return joined(long), joined(equal)


def _good(pair: Pair, pieces: Pieces) -> Pieces:
    """Return the pieces that speak for their reading: they score enough and few of their bits are wrong."""
    _, wrong = engine().compare(pair, pieces)
    return pieces.compress((pieces["score"] >= SURE) & (wrong < POOR * 8 * pieces["size"]))
