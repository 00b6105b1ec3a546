"""From found spans to regions: joined, scored, judged, named; and what is left over."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from h5diag.chip import Chip
from h5diag.layout import ExplanationKind, Layout, explain
from h5diag.measure.locate.bits import LEAST_ERRORS, line_faults
from h5diag.measure.locate.kernel import engine
from h5diag.measure.locate.meaning import named, told
from h5diag.measure.locate.patterns import patterns_of
from h5diag.measure.locate.pieces import Pair, Pieces, Span
from h5diag.measure.locate.placement import Displacement, Placement, Region, Transform
from h5diag.measure.locate.score import LEAST, SHOWN, TRAINED, Ground, Model, expectation, is_weak
from h5diag.measure.locate.sides import Flags, Numbers, Side, Watch, barriers, content_bytes, edges
from h5diag.memory import AddressRange, Bytes, merged

SCORED_AT_ONCE = 64

PLAIN = 1 << 12
"""When every piece has so many bytes a coarse model tells enough."""

JOINED = 64
"""Pieces on one diagonal with at most so many bytes between them are one region."""

JOINED_ALIKE = 1 << 16
"""So are pieces with at most so many equal bytes of a short period, but not of one value, between them."""

JOINED_SIMILAR, SIMILAR, PLAIN_RUN = 4096, 0.5, 256
"""So are pieces with so many bytes between them of which that share agrees, without a longer run of one value."""

NOISY = 0.03
"""Share of differing bytes from which an end may also move outwards."""

LEAST_RATE = 0.0005
"""Share of wrong bits that is taken at least."""

REACH = 64
"""An end moves by at most so many bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Spans of one way to read the dump."""

    transform: Transform
    pair: Pair
    spans: list[Span]


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """A span that is reported, with the judgement on it as a whole."""

    found: Found
    span: Span
    score: float
    expected: float
    weak: bool
    equal: int
    errors: int


def place(
    found: list[Found],
    a: Side,
    b: Side,
    a_fill: Flags,
    b_fill: Flags,
    equal: Pieces,
    chip: Chip,
    layout: Layout | None,
    watch: Watch,
) -> Placement:
    """Return the placement that the spans of all readings make.

    Parameters
    ----------
    found
        Spans of each reading of the dump.
    a, b, a_fill, b_fill
        The sides, and which of their blocks are fill.
    equal
        What is equal in place, fill and plain tables among it.
    chip, layout
        Name the displacements.
    watch
        Told the fraction done; asked whether to stop.
    """
    found = [replace(f, spans=joined_spans(f.spans, f.pair, watch)) for f in found]
    found = [f for f in found if f.spans]
    judged: list[_Judged] = []
    if found:
        plain = min(s.size for f in found for s in f.spans) >= PLAIN
        model = Model(a.data, b.data, a_fill, b_fill, TRAINED // 8 if plain else TRAINED)
        ground = Ground(content_bytes(~a_fill), content_bytes(~b_fill), chip.flash.sector_size)
        judged = _judged(found, model, ground, chip, layout, watch)
    regions = _regions(judged, chip, layout)
    strong = [j.span for j in judged if not j.weak]
    a_padding, a_rest = _left(a, a_fill, [(s.reference, s.size) for s in strong], equal.reference, equal.size, watch)
    b_padding, b_rest = _left(b, b_fill, [(s.dump, s.size) for s in strong], equal.dump, equal.size, watch)
    patterns = patterns_of(regions, a, b, chip, (a_rest, b_rest))
    regions = named(regions, a, b, chip, patterns)
    if layout is not None and judged:
        cut: list[Region] = []
        for r, j in zip(regions, judged, strict=True):
            watch.pause()
            where = _borders(j.span, layout, a, b)
            cut += _parts(r, j, where, layout, model) if where else [r]
        regions = tuple(cut)
    regions = told(regions, patterns)
    return Placement(
        regions=regions,
        displacements=_displacements(regions),
        reference_rest=a_rest,
        dump_rest=b_rest,
        reference_fill=a_padding,
        dump_fill=b_padding,
        patterns=patterns,
    )


def _scores(f: Found, model: Model, watch: Watch) -> list[float]:
    out = [0.0] * len(f.spans)
    for mask in {s.mask for s in f.spans}:
        group = [i for i, s in enumerate(f.spans) if s.mask == mask]
        # Equal parts, so that each is scored as finely as the whole group would be.
        step = -(-len(group) // max(1, -(-len(group) // SCORED_AT_ONCE)))
        for at in range(0, len(group), step):
            watch.pause()
            some = [f.spans[i] for i in group[at : at + step]]
            spans = [(s.reference, s.dump, s.size) for s in some]
            as_is = f.transform is Transform.AS_IS
            scores = model.score(f.pair.reference, f.pair.dump, spans, as_is=as_is, mask=mask)
            for i, score in zip(group[at : at + step], scores.tolist(), strict=True):
                out[i] = score
    return out


def _judged(
    found: list[Found], model: Model, ground: Ground, chip: Chip, layout: Layout | None, watch: Watch
) -> list[_Judged]:
    """Return the spans that are no chance, or hardly any, with their ends set to the byte."""
    a, b = found[0].pair.a, found[0].pair.b
    scored = [(f, s, score) for f in found for s, score in zip(f.spans, _scores(f, model, watch), strict=True)]
    scored.sort(key=lambda entry: entry[1].dump)
    where = np.array([(s.reference, s.dump) for _, s, _ in scored], np.int64)
    offsets = b.canonical_addresses(where[:, 1])
    moves = (offsets - a.canonical_addresses(where[:, 0])).tolist()
    known = {0, chip.flash.bank_size, -chip.flash.bank_size, *_slot_displacements(layout)}
    everywhere = float(ground.reference) * ground.dump
    known |= {
        moved
        for moved, (_, s, score) in zip(moves, scored, strict=True)
        if s.size >= 256 and moved not in known and expectation(score, everywhere) < 1e-6
    }
    taken = [(s.dump, s.dump + s.size) for _, s, _ in scored]
    tallies = {id(s): t for f in found for s, t in zip(f.spans, _tallied(f, f.spans), strict=True)}
    out = []
    for i, ((f, s, score), moved, offset) in enumerate(zip(scored, moves, offsets.tolist(), strict=True)):
        if i & 7 == 0:
            watch.check(i / len(scored))
        cells = ground.cells(moved, offset - chip.flash.base, moved in known)
        expected = expectation(score, cells)
        if score < LEAST or expected > SHOWN:
            continue
        tally, whole = tallies[id(s)], s
        if tally[0] < s.size:
            s = sharpened(s, f.pair, taken)
        if s != whole:
            before, tally = tally, _tallied(f, [s])[0]
            # What was cut off speaks for the piece no more.
            score *= min(tally[0] / before[0], 1.0)
            expected = expectation(score, cells)
            if score < LEAST or expected > SHOWN:
                continue
        size = s.size
        if moved % chip.flash.program_unit == 0:
            s = rounded(s, f.pair, taken, chip.flash.program_unit)
        taken[i] = s.dump, s.dump + s.size
        weak = is_weak(expected, score, s.size, cells, ground)
        out.append(_Judged(f, s, score, expected, weak, tally[0] + s.size - size, tally[1]))
    return out


def _tallied(f: Found, spans: list[Span]) -> list[tuple[int, int]]:
    """Return equal bytes and wrong bits of each span."""
    columns = np.array([(s.reference, s.dump, s.size) for s in spans], np.int64).T.copy()
    equal, wrong = engine().tally(replace(f.pair, mask=0xFF), Pieces.of(*columns))
    return list(zip(equal.tolist(), wrong.tolist(), strict=True))


def _regions(judged: list[_Judged], chip: Chip, layout: Layout | None) -> tuple[Region, ...]:
    """Return the regions by dump address, explained by their two addresses; `judged` comes into the same order."""
    if not judged:
        return ()
    a, b = judged[0].found.pair.a, judged[0].found.pair.b
    judged.sort(key=lambda j: b.address(j.span.dump))
    out: list[Region] = []
    for j in judged:
        s, f = j.span, j.found
        start, there = b.address(s.dump), a.address(s.reference)
        x, y = f.pair.reference[s.reference : s.reference + s.size], f.pair.dump[s.dump : s.dump + s.size]
        out.append(
            Region(
                reference_start=there,
                dump_start=start,
                size=s.size,
                displacement=b.canonical_address(s.dump) - a.canonical_address(s.reference),
                equal_bytes=j.equal,
                bit_errors=j.errors,
                score_bits=round(j.score, 1),
                expectation=j.expected,
                weak=j.weak,
                transform=f.transform,
                explanation=layout.explain(there, start, s.size) if layout else explain(chip, there, start, s.size),
                lines=line_faults(x, y, there) if j.errors >= LEAST_ERRORS else (),
            )
        )
    return tuple(out)


def _slot_displacements(layout: Layout | None) -> set[int]:
    if layout is None:
        return set()
    starts = [s.range.start for s in layout.slots]
    return {x - y for x in starts for y in starts}


WHOLE_PIECE = (ExplanationKind.IMAGE, ExplanationKind.WINDOW_SHIFT)
"""What is said of a piece as a whole is said of each of its parts."""


def _borders(s: Span, layout: Layout, a: Side, b: Side) -> list[int]:
    """Return after how many bytes of a piece a slot begins or ends, on either side, in order."""
    borders = sorted({x for slot in layout.slots for x in (slot.range.start, slot.range.stop)})
    out: set[int] = set()
    for start in (a.canonical_address(s.reference), b.canonical_address(s.dump)):
        out |= {x - start for x in borders[bisect_right(borders, start) : bisect_left(borders, start + s.size)]}
    return sorted(out)


def _parts(r: Region, j: _Judged, at: list[int], layout: Layout, model: Model) -> list[Region]:
    """Return the parts of a region, cut after so many bytes.

    Each has its own bytes, errors and score; whether it could be chance is judged on the whole piece.
    """
    pair, s = j.found.pair, j.span
    spans = [(s.reference + low, s.dump + low, high - low) for low, high in zip([0, *at], [*at, s.size], strict=True)]
    scores = [
        float(model.score(pair.reference, pair.dump, [x], as_is=r.transform is Transform.AS_IS, mask=s.mask)[0])
        for x in spans
    ]
    parts = _tallied(j.found, [Span(*x) for x in spans])
    out = []
    for (_, there, size), score, (same, errors) in zip(spans, scores, parts, strict=True):
        start, target = r.reference_start + there - s.dump, r.dump_start + there - s.dump
        out.append(
            replace(
                r,
                reference_start=start,
                dump_start=target,
                size=size,
                equal_bytes=same,
                bit_errors=errors,
                score_bits=round(score, 1),
                lines=r.lines if errors else (),
                explanation=r.explanation if r.explanation.kind in WHOLE_PIECE else layout.explain(start, target, size),
            )
        )
    return out


def _displacements(regions: Iterable[Region]) -> tuple[Displacement, ...]:
    """Return the bytes of the strong regions that agree, but for a broken data line, by displacement."""
    total: dict[int, int] = {}
    for r in regions:
        if not r.weak:
            total[r.displacement] = total.get(r.displacement, 0) + (r.size if r.lines else r.equal_bytes)
    return tuple(Displacement(d, n) for d, n in sorted(total.items(), key=lambda e: (-e[1], abs(e[0]))))


def _left(
    side: Side, fill: Flags, taken: list[tuple[int, int]], plain: Numbers, size: Numbers, watch: Watch
) -> tuple[tuple[AddressRange, ...], tuple[AddressRange, ...]]:
    """Return fill and unexplained content of a side; what is equal in place, if too plain for evidence, is explained."""
    watch.pause()
    first, last = barriers(side, fill)
    where, length = np.array(taken, np.int64).reshape(-1, 2).T
    begin = np.concatenate([first, where, plain, [side.size]])
    order = np.argsort(begin, kind="stable")
    begin = begin[order]
    reached = np.maximum.accumulate(
        np.concatenate([[0], np.concatenate([last, where + length, plain + size, [0]])[order]])
    )
    free = begin > reached[:-1]
    watch.pause()
    # Barriers may touch at their ends.
    apart = np.ones(first.size, np.bool_)
    apart[1:] = first[1:] > last[:-1]
    stops = last[np.append(np.flatnonzero(apart)[1:], first.size) - 1] if first.size else last
    return _addresses(side, first[apart], stops), _addresses(side, reached[:-1][free], begin[free])


def _addresses(side: Side, start: Numbers, stop: Numbers) -> tuple[AddressRange, ...]:
    """Return the address ranges of stretches of a side, cut at the borders of its segments."""
    if not start.size:
        return ()
    segment = np.searchsorted(np.array(side.starts), start, "right") - 1
    offset = np.array(side.addresses, np.int64)[segment] - np.array(side.starts, np.int64)[segment]
    whole = stop <= np.array(side.starts, np.int64)[segment + 1]
    out: list[AddressRange] = []
    for a, b, shift, inside in zip(start.tolist(), stop.tolist(), offset.tolist(), whole.tolist(), strict=True):
        out += [AddressRange(a + shift, b + shift)] if inside else side.ranges(a, b)
    return merged(out) if not whole.all() else tuple(out)


def joined_spans(spans: list[Span], pair: Pair, watch: Watch) -> list[Span]:
    """Join neighbours on one diagonal over short gaps and over equal bytes of a short period.

    A vector table is full of the same handler: between two pieces that is content, on its own it is padding.
    """
    if not spans:
        return spans
    spans = sorted(spans, key=lambda s: s.dump)
    r, d = np.array([(s.reference, s.dump) for s in spans], np.int64).T
    beside = np.diff(r - d) == 0
    for side, position in ((pair.a, r), (pair.b, d)):
        beside &= np.diff(side.segments(position)) == 0
    out = spans[:1]
    for s, same in zip(spans[1:], beside.tolist(), strict=True):
        watch.pause()
        last = out[-1]
        if same:
            # A piece that a masked line left whole continues one where the line shows.
            mask, stop = last.mask & s.mask, last.dump + last.size
            if s.dump - stop <= JOINED or _one_piece(
                pair.reference[last.reference + last.size : s.reference], pair.dump[stop : s.dump], mask
            ):
                out[-1] = Span(last.reference, last.dump, s.dump + s.size - last.dump, mask)
                continue
        out.append(s)
    for i, (s, following) in enumerate(pairwise(out)):
        if 0 < following.dump - s.dump - s.size <= JOINED_SIMILAR:
            out[i] = _up_to(s, following, pair)
    return out


def _up_to(s: Span, following: Span, pair: Pair) -> Span:
    """Return a piece grown to the next one, where all between is equal but too plain to score."""
    a, b, gap = pair.a, pair.b, following.dump - s.dump - s.size
    r, d = s.reference + s.size, s.dump + s.size
    x = a.data[r : r + gap]
    if x.size < gap or not np.array_equal(x, pair.dump[d : d + gap]) or _longest_run(x) >= JOINED:
        return s
    if a.segment(r - 1) != a.segment(r + gap - 1) or b.segment(d - 1) != b.segment(d + gap):
        return s
    return replace(s, size=s.size + gap)


def _longest_run(x: Bytes) -> int:
    """Return how many bytes in a row repeat their predecessor, at most."""
    first, last = edges(x[1:] == x[:-1])
    return int((last - first).max(initial=0))


def _one_piece(x: Bytes, y: Bytes, mask: int) -> bool:
    if x.size > JOINED_ALIKE or (x[0] == x[-1] and (x == x[0]).all()):
        return False
    equal = x.size - np.count_nonzero((x ^ y) & np.uint8(mask))
    if equal == x.size:
        return True
    if x.size > JOINED_SIMILAR or equal < SIMILAR * x.size:
        return False
    return _longest_run(x) < PLAIN_RUN


def sharpened(s: Span, pair: Pair, taken: list[tuple[int, int]]) -> Span:
    """Set the ends of a piece with errors where the number of wrong bits turns from few to many.

    Under bit errors a differing byte mostly differs in one bit; unrelated bytes differ in four. How common errors
    are is taken from the whole piece: in an intact piece a few equal bytes behind a wrong one are chance.
    """
    if s.mask != 0xFF or s.size < 32:
        return s
    reference, dump = pair.reference, pair.dump
    x, y = reference[s.reference : s.reference + s.size], dump[s.dump : s.dump + s.size]
    wrong = int(np.count_nonzero(x != y)) / s.size
    rate = min(max(1 - (1 - wrong) ** 0.125, LEAST_RATE), 0.2)
    bits = np.arange(9)
    worth = 8 + bits * np.log2(rate) + (8 - bits) * np.log2(1 - rate)
    worth[0] = 2.0  # equal bytes are common among unrelated code as well
    room_before, room_after = _room(s, pair.a, pair.b, taken)
    inside = min(REACH, s.size // 2)
    before, after = max(0, min(room_before, REACH)), max(0, min(room_after, REACH))
    r, d = s.reference + s.size - inside, s.dump + s.size - inside
    tail = worth[_WRONG[reference[r : r + inside + after] ^ dump[d : d + inside + after]]].cumsum()
    r, d = s.reference - before, s.dump - before
    head = worth[_WRONG[reference[r : r + inside + before] ^ dump[d : d + inside + before]]][::-1].cumsum()
    grow_after, grow_before = int(tail.argmax()) + 1 - inside, int(head.argmax()) + 1 - inside
    if wrong < NOISY:
        grow_after, grow_before = min(grow_after, 0), min(grow_before, 0)
    return replace(
        s, reference=s.reference - grow_before, dump=s.dump - grow_before, size=s.size + grow_before + grow_after
    )


_WRONG = np.array([i.bit_count() for i in range(256)], np.intp)


def _room(s: Span, a: Side, b: Side, taken: list[tuple[int, int]]) -> tuple[int, int]:
    """Return how many bytes a piece may grow at its start and at its end."""
    i = bisect_right(taken, (s.dump + s.size // 2, b.size)) - 1
    x, y = b.segment(s.dump), a.segment(s.reference)
    following = taken[i + 1][0] if i + 1 < len(taken) else b.size
    return (
        min(s.dump - max(taken[i - 1][1] if i else 0, b.starts[x]), s.reference - a.starts[y]),
        min(min(following, b.starts[x + 1]) - s.dump - s.size, a.starts[y + 1] - s.reference - s.size),
    )


def rounded(s: Span, pair: Pair, taken: list[tuple[int, int]], unit: int) -> Span:
    """Round a piece that is moved by whole program units out to them where the bytes agree: its last zeros belong to it."""
    a, b, dump = pair.a, pair.b, pair.dump
    start = b.address(s.dump)
    before, after = start % unit, -(start + s.size) % unit
    if before and not np.array_equal(a.data[s.reference - before : s.reference], dump[s.dump - before : s.dump]):
        before = 0
    r, d = s.reference + s.size, s.dump + s.size
    if after and not np.array_equal(a.data[r : r + after], dump[d : d + after]):
        after = 0
    if not before and not after:
        return s
    room_before, room_after = _room(s, a, b, taken)
    before, after = before * (before <= room_before), after * (after <= room_after)
    return replace(s, reference=s.reference - before, dump=s.dump - before, size=s.size + before + after)
