"""From found pieces to regions: joined, scored, judged, named; and what is left over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from h5diag.layout import ExplanationKind, Layout, explain
from h5diag.measure.locate.kernel import engine
from h5diag.measure.locate.meaning import LEAST_ERRORS, explained, line_faults, named
from h5diag.measure.locate.patterns import patterns_of
from h5diag.measure.locate.pieces import (
    NONE,
    Numbers,
    Pair,
    Pieces,
    Watch,
    complement,
    joined,
    overlaps,
    pieces_of,
    runs_of,
)
from h5diag.measure.locate.placement import Displacement, Placement, Region, Transform
from h5diag.measure.locate.plain import ONES
from h5diag.measure.locate.score import LEAST, SHOWN, WINDOWS, Model, cells_of, expectation, is_weak
from h5diag.measure.locate.side import Side
from h5diag.memory import Bytes

MOST_PIECES = 1 << 14  # the largest are judged; more are a pattern of the content, and each costs its time
JOINED = 64  # pieces on one diagonal with at most so many bytes between them are one region
# So are pieces with at most so many equal bytes of a short period, but not of one value, between them.
JOINED_ALIKE = 1 << 16
# So are pieces with so many bytes between them of which that share agrees, without a longer run of one value.
JOINED_SIMILAR, SIMILAR, PLAIN_RUN = 4096, 0.5, 256
NOISY = 0.03  # share of differing bytes from which an end may also move outwards
LEAST_RATE = 0.0005  # share of wrong bits that is taken at least
REACH = 64  # an end moves by at most so many bytes
# What is said of a piece as a whole is said of each of its parts.
WHOLE_PIECE = (ExplanationKind.IMAGE, ExplanationKind.WINDOW_SHIFT)


def place(
    found: Iterable[tuple[Pair, Pieces]],
    a: Side,
    b: Side,
    equal: Pieces,
    layout: Layout | None,
    watch: Watch,
) -> Placement:
    """Return the placement that the pieces of all readings make.

    `equal` is what is equal in place, fill and plain tables among it: if too plain for evidence, it is explained.
    """
    whole = [(pair, together(pair, pieces, a, b)) for pair, pieces in found if pieces.size]
    regions: tuple[Region, ...] = ()
    placed, pairs = NONE, list[Pair]()
    whole, many = _largest(whole)
    if whole:
        model = Model(a, b, min(int(pieces["size"].min()) for _, pieces in whole))
        regions, placed, pairs = _placed(whole, a, b, equal, model, layout, watch)
    taken = placed[[k for k, r in enumerate(regions) if not r.weak]]
    rest = []
    for side, name in ((a, "reference"), (b, "dump")):
        watch.check()
        known = np.concatenate([side.barriers, runs_of(taken, name), runs_of(equal, name)])
        rest.append(side.ranges(complement(known, side.size)))
    patterns = patterns_of(regions, a, b, (rest[0], rest[1]))
    regions = named(regions, a, b, patterns)
    if layout is not None:
        cut: list[Region] = []
        for k, region in enumerate(regions):
            watch.check()
            cut += _parts(region, pairs[k], placed[k : k + 1], a, b, layout, model)
        regions = tuple(cut)
    regions = explained(regions, patterns)
    return Placement(
        regions=regions,
        displacements=_displacements(regions),
        reference_rest=rest[0],
        dump_rest=rest[1],
        reference_fill=a.ranges(a.barriers),
        dump_fill=b.ranges(b.barriers),
        reference_unknown=a.unknown,
        dump_unknown=b.unknown,
        patterns=patterns,
        assumptions=(f"of {many:,} pieces the {MOST_PIECES:,} largest were judged",) if many > MOST_PIECES else (),
    )


def _largest(found: list[tuple[Pair, Pieces]]) -> tuple[list[tuple[Pair, Pieces]], int]:
    """Return the largest pieces, `MOST_PIECES` at most, in their order, and of how many they are."""
    sizes = joined([p for _, p in found])["size"]
    kept = np.zeros(sizes.size, np.bool_)
    kept[np.argsort(-sizes, kind="stable")[:MOST_PIECES]] = True
    parts = np.split(kept, np.cumsum([p.size for _, p in found])[:-1])
    out = [(pair, p[mine]) for (pair, p), mine in zip(found, parts, strict=True)] if found else []
    return [(pair, p) for pair, p in out if p.size], int(sizes.size)


def together(pair: Pair, pieces: Pieces, a: Side, b: Side) -> Pieces:
    """Join neighbours on one diagonal over short gaps and over equal bytes of a short period; the order is the dump's.

    A vector table is full of the same handler: between two pieces that is content, on its own it is padding. A piece
    also grows to the next one, and back to the last one, where all between is equal but too plain to score.
    """
    pieces = pieces[np.argsort(pieces["dump"], kind="stable")]
    between = _between(pieces)
    near = np.diff(pieces["reference"] - pieces["dump"]) == 0
    for side, name in ((a, "reference"), (b, "dump")):
        near &= np.diff(side.segment_of(pieces[name])) == 0
    asked = np.flatnonzero(near & (between["size"] > JOINED) & (between["size"] <= JOINED_ALIKE))
    near &= between["size"] <= JOINED
    size = between["size"][asked]
    same, _ = engine().compare(pair, between[asked])
    similar = (same == size) | (size <= JOINED_SIMILAR) & (same >= SIMILAR * size)
    most = np.where(same == size, size - 1, np.minimum(size - 1, PLAIN_RUN))[similar]
    near[asked[similar]] = engine().runs(pair, between[asked[similar]]) < most
    first = np.flatnonzero(np.append(True, ~near)[: pieces.size])
    last = np.append(first[1:], pieces.size)[: first.size] - 1
    out = pieces[first]
    out["size"] = (pieces["dump"] + pieces["size"])[last] - out["dump"]
    for back in (0, 1):
        between, owner = _between(out), np.arange(max(out.size - 1, 0)) + back
        if back:
            between["reference"] = out["reference"][1:] - between["size"]
        inside = (between["size"] > 0) & (between["size"] <= JOINED_ALIKE)
        for side, name in ((a, "reference"), (b, "dump")):
            for end in (between[name], between[name] + between["size"] - 1):
                inside &= side.segment_of(end) == side.segment_of(out[name][owner])
        between, owner = between[inside], owner[inside]
        same, _ = engine().compare(replace(pair, mask=0xFF), between)
        between, owner = (x[same == between["size"]] for x in (between, owner))
        varied = engine().runs(pair, between) < JOINED
        between, owner = between[varied], owner[varied]
        out["size"][owner] += between["size"]
        if back:
            out["reference"][owner], out["dump"][owner] = between["reference"], between["dump"]
    return out


def _between(pieces: Pieces) -> Pieces:
    """Return what lies between each piece and the next one, on the diagonal of the former."""
    r, d = (runs_of(pieces[:-1], name)[:, 1] for name in ("reference", "dump"))
    return pieces_of(r, d, pieces["dump"][1:] - d)


def _placed(
    found: list[tuple[Pair, Pieces]],
    a: Side,
    b: Side,
    equal: Pieces,
    model: Model,
    layout: Layout | None,
    watch: Watch,
) -> tuple[tuple[Region, ...], Pieces, list[Pair]]:
    """Return the pieces that are no chance, or hardly any, with their ends set to the byte, by dump position."""
    pieces = joined([p for _, p in found])
    order = np.argsort(pieces["dump"], kind="stable")
    pieces, of = pieces[order], np.repeat(np.arange(len(found)), [p.size for _, p in found])[order]
    score = np.concatenate([model.scores(f, p, watch) for f, p in found])[order]
    same, wrong = np.concatenate([_tallied(f, p, equal) for f, p in found], axis=1)[:, order]
    moved = b.at(pieces["dump"], canonical=True) - a.at(pieces["reference"], canonical=True)
    slots, chip = layout.slots if layout is not None else (), b.chip
    known = {0, chip.flash.bank_size, -chip.flash.bank_size}
    known |= {x.range.start - y.range.start for x in slots for y in slots}
    everywhere = float(a.content) * b.content
    known |= set(moved[(pieces["size"] >= 256) & (expectation(score, everywhere) < 1e-6)].tolist())
    # `numpy.isin` would load the masked arrays for it.
    usual = np.array([m in known for m in moved.tolist()], np.bool_)
    cells = cells_of(a, b, pieces, moved, usual)
    shown = (score >= LEAST) & (expectation(score, cells) <= SHOWN)

    ends = _Ends(pieces, a, b)
    for i in np.flatnonzero(shown & (same < pieces["size"])).tolist():
        watch.check()
        ends.sharpen(i, found[of[i]][0])
    changed = ends.pieces()
    for k, (pair, _) in enumerate(found):
        mine = np.flatnonzero((of == k) & (runs_of(changed) != runs_of(pieces)).any(axis=1))
        before = same[mine]
        same[mine], wrong[mine] = engine().compare(replace(pair, mask=0xFF), changed[mine])
        # What was cut off speaks for the piece no more.
        score[mine] *= np.minimum(same[mine] / before, 1.0)
    expected = expectation(score, cells)
    rows = np.flatnonzero(shown & (score >= LEAST) & (expected <= SHOWN))
    for i in rows[moved[rows] % chip.flash.program_unit == 0].tolist():
        ends.round(i, found[of[i]][0], chip.flash.program_unit)
    pieces = ends.pieces()
    same += pieces["size"] - changed["size"]
    start, there = b.at(pieces["dump"]).tolist(), a.at(pieces["reference"]).tolist()
    out = []
    for i in rows.tolist():
        watch.check(i / pieces.size)
        pair, size = found[of[i]][0], int(pieces["size"][i])
        r, d = (slice(at, at + size) for at in pieces[i].tolist()[:2])
        many = wrong[i] >= LEAST_ERRORS
        region = Region(
            reference_start=there[i],
            dump_start=start[i],
            size=size,
            displacement=int(moved[i]),
            equal_bytes=int(same[i]),
            bit_errors=int(wrong[i]),
            score_bits=round(float(score[i]), 1),
            expectation=float(expected[i]),
            weak=is_weak(float(expected[i]), float(score[i]), size, structured=bool(cells[i] < everywhere)),
            transform=pair.transform,
            explanation=explain(chip, there[i], start[i], size, slots=slots),
            lines=line_faults(pair.reference[r], pair.dump[d], there[i]) if many else (),
        )
        out.append(region)
    return tuple(out), pieces[rows], [found[k][0] for k in of[rows]]


def _tallied(pair: Pair, pieces: Pieces, equal: Pieces) -> Numbers:
    """Return equal bytes and wrong bits of each piece, on all lines; what is known to be `equal` is not read again."""
    diagonal, known = pieces["reference"] - pieces["dump"], equal["reference"] - equal["dump"]
    home = (diagonal == known[0]) if known.size and pair.transform is Transform.AS_IS else diagonal != diagonal
    out = np.zeros((2, pieces.size), np.int64)
    for mine, runs in ((home, runs_of(equal[known == known[:1]])), (~home, runs_of(NONE))):
        which = np.flatnonzero(mine)
        parts, owner, _ = overlaps(runs_of(pieces[mine]), complement(runs, pair.dump.size))
        owner, size = which[owner], parts[:, 1] - parts[:, 0]
        some = pieces_of(parts[:, 0] + diagonal[owner], parts[:, 0], size)
        same, wrong = engine().compare(replace(pair, mask=0xFF), some)
        out += [np.bincount(owner, x, pieces.size).astype(np.int64) for x in (size - same, wrong)]
    out[0] = pieces["size"] - out[0]
    return out


class _Ends:
    """Where pieces begin and end in the dump; they stay on their diagonals and apart."""

    def __init__(self, pieces: Pieces, a: Side, b: Side) -> None:
        r, d, size = pieces["reference"], pieces["dump"], pieces["size"]
        own, other = b.segments[b.segment_of(d)], a.segments[a.segment_of(r)] - (r - d)[:, None]
        self.start, self.stop, self.shift = d.tolist(), (d + size).tolist(), (r - d).tolist()
        self.low = np.maximum(own[:, 0], other[:, 0]).tolist()
        self.high = np.minimum(own[:, 1], other[:, 1]).tolist()
        self.address = (b.at(d) - d).tolist()

    def pieces(self) -> Pieces:
        """Return the pieces as they are now."""
        start = np.array(self.start, np.int64)
        return pieces_of(start + self.shift, start, self.stop - start)

    def _room(self, i: int) -> tuple[int, int]:
        """Return how many bytes a piece may grow at its start and at its end."""
        low = max(self.low[i], self.stop[i - 1] if i else 0)
        high = min([self.high[i], *self.start[i + 1 : i + 2]])
        return self.start[i] - low, high - self.stop[i]

    def _changed(self, pair: Pair, i: int, start: int, stop: int) -> Bytes:
        """Return what differs on the piece's diagonal."""
        shift = self.shift[i]
        return pair.reference[start + shift : stop + shift] ^ pair.dump[start:stop]

    def sharpen(self, i: int, pair: Pair) -> None:
        """Set the ends of a piece with errors where the number of wrong bits turns from few to many.

        Under bit errors a differing byte mostly differs in one bit; unrelated bytes differ in four. How common errors
        are is taken from the whole piece: in an intact piece a few equal bytes behind a wrong one are chance.
        """
        start, stop = self.start[i], self.stop[i]
        if pair.mask != 0xFF or stop - start < 32:
            return
        wrong = np.count_nonzero(self._changed(pair, i, start, stop)) / (stop - start)
        rate = min(max(1 - (1 - wrong) ** 0.125, LEAST_RATE), 0.2)
        bits = np.arange(9)
        worth = 8 + bits * np.log2(rate) + (8 - bits) * np.log2(1 - rate)
        worth[0] = 2.0  # equal bytes are common among unrelated code as well
        inside = min(REACH, (stop - start) // 2)
        before, after = (min(max(room, 0), REACH) for room in self._room(i))
        head = worth[ONES[self._changed(pair, i, start - before, start + inside)]][::-1].cumsum()
        tail = worth[ONES[self._changed(pair, i, stop - inside, stop + after)]].cumsum()
        grown = [int(x.argmax()) + 1 - inside for x in (head, tail)]
        if wrong < NOISY:
            grown = [min(x, 0) for x in grown]
        self.start[i], self.stop[i] = start - grown[0], stop + grown[1]

    def round(self, i: int, pair: Pair, unit: int) -> None:
        """Round a piece out to whole program units where the bytes agree: its last zeros belong to it."""
        start, stop = self.start[i], self.stop[i]
        before, after = (start + self.address[i]) % unit, -(stop + self.address[i]) % unit
        room = self._room(i)
        if before <= room[0] and not self._changed(pair, i, start - before, start).any():
            self.start[i] = start - before
        if after <= room[1] and not self._changed(pair, i, stop, stop + after).any():
            self.stop[i] = stop + after


def _parts(
    region: Region, pair: Pair, piece: Pieces, a: Side, b: Side, layout: Layout, model: Model
) -> Iterable[Region]:
    """Yield the parts of a region, cut where a slot begins or ends on either side.

    Each has its own bytes, errors and score; whether it could be chance is judged on the whole piece.
    """
    borders = {x for slot in layout.slots for x in (slot.range.start, slot.range.stop)}
    r, d, size, _ = piece[0].tolist()
    starts = a.at(piece["reference"], canonical=True)[0], b.at(piece["dump"], canonical=True)[0]
    cuts = sorted({int(x - start) for start in starts for x in borders if 0 < x - start < size})
    if not cuts:
        yield region
        return
    low = np.array([0, *cuts])
    pieces = pieces_of(r + low, d + low, np.diff(np.array([*low, size])))
    scores = [float(model.score(pair, pieces[k : k + 1], WINDOWS)[0]) for k in range(low.size)]
    equal, wrong = engine().compare(replace(pair, mask=0xFF), pieces).tolist()
    for at, part, score, same, errors in zip(low.tolist(), pieces["size"].tolist(), scores, equal, wrong, strict=True):
        there, start = region.reference_start + at, region.dump_start + at
        of_whole = region.explanation.kind in WHOLE_PIECE
        yield replace(
            region,
            reference_start=there,
            dump_start=start,
            size=part,
            equal_bytes=same,
            bit_errors=errors,
            score_bits=round(score, 1),
            lines=region.lines if errors else (),
            explanation=region.explanation if of_whole else layout.explain(there, start, part),
        )


def _displacements(regions: Iterable[Region]) -> tuple[Displacement, ...]:
    """Return the bytes of the strong regions that agree, but for a broken data line, by displacement."""
    total: dict[int, int] = {}
    for r in regions:
        if not r.weak:
            total[r.displacement] = total.get(r.displacement, 0) + (r.size if r.lines else r.equal_bytes)
    return tuple(Displacement(d, n) for d, n in sorted(total.items(), key=lambda e: (-e[1], abs(e[0]))))
