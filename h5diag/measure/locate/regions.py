"""From found spans to regions: joined, scored, judged, named; and what is left over."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import repeat

import numpy as np

from h5diag.chip import Chip
from h5diag.layout import ExplanationKind, Layout, explain
from h5diag.measure.locate.bits import LEAST_ERRORS, LineFault, line_faults
from h5diag.measure.locate.kernel import engine
from h5diag.measure.locate.meaning import named, told
from h5diag.measure.locate.patterns import patterns_of
from h5diag.measure.locate.pieces import Free, Pair, Pieces, Span
from h5diag.measure.locate.placement import Displacement, Placement, Region, Transform
from h5diag.measure.locate.score import (
    CERTAIN,
    LEAST,
    SHOWN,
    TRAINED,
    WINDOW,
    WINDOWS,
    Floats,
    Ground,
    Model,
    expectation,
    is_weak,
)
from h5diag.measure.locate.sides import Barriers, Flags, Numbers, Side, Watch, content_bytes
from h5diag.memory import AddressRange, merged

SCORED_AT_ONCE = 64
NONE = Pieces.empty()

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

FEW = 8
"""A piece that leaves so many bytes of an island between fill explains all of it."""

REACH = 64
"""An end moves by at most so many bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """One way to read the dump, and the pieces found in it."""

    transform: Transform
    pair: Pair
    pieces: Pieces


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
    reference: tuple[Side, Flags, Barriers],
    dump: tuple[Side, Flags, Barriers],
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
    reference, dump
        The sides, which of their blocks are fill, and the barriers of it.
    equal
        What is equal in place, fill and plain tables among it.
    chip, layout
        Name the displacements.
    watch
        Told the fraction done; asked whether to stop.
    """
    (a, a_fill, a_barriers), (b, b_fill, b_barriers) = reference, dump
    found = [replace(f, pieces=joined(f.pieces, f.pair)) for f in found if f.pieces.count]
    judged: list[_Judged] = []
    if found:
        plain = min(int(f.pieces.size.min()) for f in found) >= PLAIN
        model = Model(a.data, b.data, a_fill, b_fill, TRAINED // 8 if plain else TRAINED)
        ground = Ground(content_bytes(~a_fill), content_bytes(~b_fill), chip.flash.sector_size, b_barriers[0].size + 1)
        judged = _judged(found, equal, model, ground, b_barriers, chip, layout, watch)
    regions = _regions(judged, chip, layout)
    strong = [j.span for j in judged if not j.weak]
    a_padding, a_rest = _left(
        a, a_barriers, [(s.reference, s.size) for s in strong], equal.reference, equal.size, watch
    )
    b_padding, b_rest = _left(b, b_barriers, [(s.dump, s.size) for s in strong], equal.dump, equal.size, watch)
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


def _scores(f: Found, model: Model, watch: Watch) -> Floats:
    """Return the scores; many long pieces need no fine score each, but for those that a coarse one leaves in doubt."""
    out = np.zeros(f.pieces.count)
    coarse = max(1, min(WINDOWS, SCORED_AT_ONCE // out.size))
    for windows in (coarse, WINDOWS):
        todo = (
            np.arange(out.size) if windows == coarse else np.flatnonzero((out < CERTAIN) & (f.pieces.size > 2 * WINDOW))
        )
        for at in range(0, todo.size, SCORED_AT_ONCE):
            watch.pause()
            part = todo[at : at + SCORED_AT_ONCE]
            as_is = f.transform is Transform.AS_IS
            out[part] = model.score(f.pair, f.pieces.where(part), as_is=as_is, windows=windows)
        if coarse == WINDOWS:
            break
    return out


def _judged(
    found: list[Found],
    equal: Pieces,
    model: Model,
    ground: Ground,
    barriers: Barriers,
    chip: Chip,
    layout: Layout | None,
    watch: Watch,
) -> list[_Judged]:
    """Return the spans that are no chance, or hardly any, with their ends set to the byte."""
    a, b = found[0].pair.a, found[0].pair.b
    scored: list[tuple[Found, Span, float, int, int]] = []
    for f in found:
        known_equal = equal if f.transform is Transform.AS_IS else NONE
        scores, tallies = _scores(f, model, watch), (x.tolist() for x in _tallied(f.pair, f.pieces, known_equal))
        scored += zip(repeat(f), f.pieces.spans(), scores.tolist(), *tallies, strict=False)
    scored.sort(key=lambda entry: entry[1].dump)
    where = np.array([entry[1] for entry in scored], np.int64)
    offsets = b.canonical_addresses(where[:, 1])
    moves = offsets - a.canonical_addresses(where[:, 0])
    points = np.array([entry[2] for entry in scored])
    known = {0, chip.flash.bank_size, -chip.flash.bank_size, *_slot_displacements(layout)}
    proven = (where[:, 2] >= 256) & (expectation(points, float(ground.reference) * ground.dump) < 1e-6)
    known |= set(moves[proven].tolist())
    island = _islands(where[:, 1], where[:, 1] + where[:, 2], barriers, b.size)
    # `numpy.isin` would load the masked arrays for it.
    usual = np.array([m in known for m in moves.tolist()], np.bool_)
    among = ground.cells(moves, offsets - chip.flash.base, usual, island)
    likely = expectation(points, among).tolist()
    taken = [(s.dump, s.dump + s.size) for _, s, *_ in scored]
    out = []
    rows = zip(scored, moves.tolist(), among.tolist(), likely, strict=True)
    for i, ((f, s, score, same, errors), moved, cells, expected) in enumerate(rows):
        if i & 7 == 0:
            watch.check(i / len(scored))
        if score < LEAST or expected > SHOWN:
            continue
        before, whole = same, s
        if same < s.size:
            s = sharpened(s, f.pair, taken)
        if s != whole:
            one = Pieces.of(*np.array([s]).T.copy())
            same, errors = (int(x[0]) for x in engine().tally(replace(f.pair, mask=0xFF), one))
            # What was cut off speaks for the piece no more.
            score *= min(same / before, 1.0)
            expected = float(expectation(score, cells))
            if score < LEAST or expected > SHOWN:
                continue
        size = s.size
        if moved % chip.flash.program_unit == 0:
            s = rounded(s, f.pair, taken, chip.flash.program_unit)
        taken[i] = s.dump, s.dump + s.size
        weak = is_weak(expected, score, s.size, cells, ground)
        out.append(_Judged(f, s, score, expected, weak, same + s.size - size, errors))
    return out


def _islands(start: Numbers, stop: Numbers, barriers: Barriers, size: int) -> Flags:
    """Return which pieces reach from one barrier of fill to the next, but for a few bytes."""
    first, last = (np.concatenate(x) for x in ((barriers[0], [size]), ([0], barriers[1])))
    before = np.searchsorted(last, start + FEW, "right") - 1
    out: Flags = (start - last[before] <= FEW) & (np.abs(first[before] - stop) <= FEW)
    return out


def _tallied(pair: Pair, pieces: Pieces, equal: Pieces) -> tuple[Numbers, Numbers]:
    """Return equal bytes and wrong bits of each piece, on all lines; what is known to be `equal` is not read again."""
    moved = equal.reference - equal.dump
    equal = equal.where(moved == moved[:1])
    on = np.isin(pieces.reference - pieces.dump, moved[:1])
    order = np.argsort(equal.dump)
    start, stop = np.append(0, (equal.dump + equal.size)[order]), np.append(equal.dump[order], pair.dump.size)
    rest, of = Free(start[start < stop], stop[start < stop]).cut(pieces.where(on))
    parts, owner = Pieces.joined([pieces.where(~on), rest]), np.append(np.flatnonzero(~on), np.flatnonzero(on)[of])
    same, wrong = engine().tally(replace(pair, mask=0xFF), parts)
    lost, bits = (np.bincount(owner, x, pieces.count).astype(np.int64) for x in (parts.size - same, wrong))
    return pieces.size - lost, bits


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
        lines: tuple[LineFault, ...] = ()
        if j.errors >= LEAST_ERRORS:
            x, y = f.pair.reference[s.reference : s.reference + s.size], f.pair.dump[s.dump : s.dump + s.size]
            lines = line_faults(x, y, there)
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
                lines=lines,
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
    low = np.array([0, *at], np.int64)
    pieces = Pieces.of(s.reference + low, s.dump + low, np.diff(np.array([*low, s.size])))
    as_is = r.transform is Transform.AS_IS
    scores = [float(model.score(pair, pieces.where([i]), as_is=as_is)[0]) for i in range(low.size)]
    out = []
    for (_, there, size), score, same, errors in zip(
        pieces.spans(), scores, *(x.tolist() for x in _tallied(pair, pieces, NONE)), strict=True
    ):
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
    side: Side, barriers: Barriers, taken: list[tuple[int, int]], plain: Numbers, size: Numbers, watch: Watch
) -> tuple[tuple[AddressRange, ...], tuple[AddressRange, ...]]:
    """Return fill and unexplained content of a side; what is equal in place, if too plain for evidence, is explained."""
    watch.pause()
    first, last = barriers
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


def joined(pieces: Pieces, pair: Pair) -> Pieces:
    """Join neighbours on one diagonal over short gaps and over equal bytes of a short period; the order is the dump's.

    A vector table is full of the same handler: between two pieces that is content, on its own it is padding. A piece
    also grows to the next one where all between is equal but too plain to score.
    """
    pieces = pieces.where(np.argsort(pieces.dump, kind="stable"))
    between = _between(pieces)
    beside = np.diff(pieces.reference - pieces.dump) == 0
    for side, position in ((pair.a, pieces.reference), (pair.b, pieces.dump)):
        beside &= np.diff(side.segments(position)) == 0
    near = beside & (between.size <= JOINED)
    asked = np.flatnonzero(beside & ~near & (between.size <= JOINED_ALIKE))
    run = engine().runs(pair, between.where(asked))
    asked, run = (x[run < between.size[asked] - 1] for x in (asked, run))
    some = between.where(asked)
    same, _ = engine().tally(pair, some)
    similar = (some.size <= JOINED_SIMILAR) & (same >= SIMILAR * some.size) & (run < PLAIN_RUN)
    near[asked] = (same == some.size) | similar
    first = np.flatnonzero(np.append(True, ~near)[: pieces.count])
    last = np.append(first[1:], pieces.count)[: first.size] - 1
    size = (pieces.dump + pieces.size)[last] - pieces.dump[first]
    out = Pieces.of(pieces.reference[first], pieces.dump[first], size)
    for turn in (1, -1):
        _grow_together(out, pair, turn)
    return out


def _between(pieces: Pieces) -> Pieces:
    """Return what lies between each piece and the next one, on the diagonal of the former."""
    here = pieces.where(slice(max(pieces.count - 1, 0)))
    stop = here.dump + here.size
    return Pieces.of(here.reference + here.size, stop, pieces.dump[1:] - stop)


def _grow_together(pieces: Pieces, pair: Pair, turn: int) -> None:
    """Let pieces grow to the next one (`turn` 1) or back to the last one (-1), where all between agrees with them."""
    between, owner = _between(pieces), np.arange(max(pieces.count - 1, 0)) + (turn < 0)
    if turn < 0:
        between.reference[:] = pieces.reference[1:] - between.size
    inside = (between.size > 0) & (between.size <= JOINED_ALIKE) & (between.reference >= 0)
    inside &= between.reference + between.size <= pair.reference.size
    for side, at, own in (
        (pair.a, between.reference, pieces.reference[owner]),
        (pair.b, between.dump, pieces.dump[owner]),
    ):
        inside &= (side.segments(at) == side.segments(own)) & (
            side.segments(at + between.size - 1) == side.segments(own)
        )
    between, owner = between.where(inside), owner[inside]
    varied = engine().runs(pair, between) < JOINED
    between, owner = between.where(varied), owner[varied]
    same, _ = engine().tally(replace(pair, mask=0xFF), between)
    between, owner = between.where(same == between.size), owner[same == between.size]
    pieces.size[owner] += between.size
    if turn < 0:
        pieces.reference[owner], pieces.dump[owner] = between.reference, between.dump


def sharpened(s: Span, pair: Pair, taken: list[tuple[int, int]]) -> Span:
    """Set the ends of a piece with errors where the number of wrong bits turns from few to many.

    Under bit errors a differing byte mostly differs in one bit; unrelated bytes differ in four. How common errors
    are is taken from the whole piece: in an intact piece a few equal bytes behind a wrong one are chance.
    """
    if pair.mask != 0xFF or s.size < 32:
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
    return Span(s.reference - grow_before, s.dump - grow_before, s.size + grow_before + grow_after)


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
    if before and a.data[s.reference - before : s.reference].tobytes() != dump[s.dump - before : s.dump].tobytes():
        before = 0
    r, d = s.reference + s.size, s.dump + s.size
    if after and a.data[r : r + after].tobytes() != dump[d : d + after].tobytes():
        after = 0
    if not before and not after:
        return s
    room_before, room_after = _room(s, a, b, taken)
    before, after = before * (before <= room_before), after * (after <= room_after)
    return Span(s.reference - before, s.dump - before, s.size + before + after)
