"""What a memory map shows: each dump, in each view that it was read by, as stretches of one state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from h5diag.judge import BoardFacts, Measured
from h5diag.measure.compare import Area, AreaState
from h5diag.memory import AddressRange, Bytes, MemoryImage, merged, subtracted

MOST_SPANS = 48
"""A lane with more stretches than this is drawn with a coarser grain."""

FINEST = 256


class Look(Enum):
    """What a stretch of a dump is, as it is drawn."""

    CONTENT = "content"
    DIFFERS = "differs from the good board"
    ERASED = "erased (0xFF)"
    ZERO = "zero"
    MASKED = "not shown to the reader (zeros)"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one look, canonical addresses."""

    range: AddressRange
    look: Look


@dataclass(frozen=True, slots=True)
class Lane:
    """A dump in one view.

    Parameters
    ----------
    name
        Of the board.
    view
        Address of the view's first flash byte, as the reader named it.
    good
        Whether it is the board that works.
    spans
        In address order, canonical.
    small
        Areas that differ and are too small to be a span: they get a marker.
    """

    name: str
    view: int
    good: bool
    spans: tuple[Span, ...]
    small: tuple[Area, ...] = ()


def lanes(m: Measured) -> tuple[Lane, ...]:
    """Return the lanes of the good board and of the suspect, the good one first."""
    out = []
    for facts, good in ((m.good, True), (m.suspect, False)):
        for base in dict.fromkeys((m.chip.flash.base, m.chip.flash.secure_base)):
            if any(
                r.overlaps(AddressRange(base, base + m.chip.flash.size))
                for r in (*facts.dump.ranges, *facts.dump.unreadable)
            ):
                out.append(_lane(m, facts, base, good))
    return tuple(out)


def shown_ranges(rows: Sequence[Lane]) -> tuple[AddressRange, ...]:
    """Return what any of the lanes shows, canonical."""
    return merged(s.range for lane in rows for s in lane.spans)


def bits_by_sector(m: Measured) -> tuple[tuple[AddressRange, int, int], ...]:
    """Return (sector, bits that rose, bits that fell) of every sector with bits that count as different."""
    size = m.chip.flash.sector_size
    sums: dict[int, list[int]] = {}
    for area in m.comparison.counted:
        cuts = range(area.range.start - area.range.start % size, area.range.stop, size)
        for at in cuts:
            part = area.range.intersection(AddressRange(at, at + size))
            rows = sums.setdefault(m.chip.canonical(at), [0, 0])
            if part == area.range:
                risen, fallen = area.risen, area.fallen
            else:
                good, suspect = _read(m, m.good.dump, part), _read(m, m.suspect.dump, part)
                risen, fallen = (
                    int(np.bitwise_count(x).sum(dtype=np.int64)) for x in (suspect & ~good, good & ~suspect)
                )
            rows[0] += risen
            rows[1] += fallen
    return tuple((AddressRange(at, at + size), sums[at][0], sums[at][1]) for at in sorted(sums))


def _read(m: Measured, dump: MemoryImage, part: AddressRange) -> Bytes:
    """Return the bytes of a part in whichever alias the dump holds them."""
    canonical = m.chip.canonical(part.start)
    for start in (part.start, canonical, m.chip.secure_alias(canonical)):
        if dump.covers(start, start + part.size):
            return dump.read(start, start + part.size)
    return np.empty(0, np.uint8)


def _lane(m: Measured, facts: BoardFacts, base: int, good: bool) -> Lane:
    shift = m.chip.flash.base - base
    view = facts.dump.crop(base, base + m.chip.flash.size).shifted(shift)
    inside = AddressRange(base, base + m.chip.flash.size)
    areas = (
        ()
        if good
        else tuple(
            replace(a, range=a.range.shifted(shift))
            for a in m.comparison.of(AreaState.DIFFERS)
            if inside.covers(a.range)
        )
    )
    differing = merged(a.range for a in areas)
    grain = FINEST
    while True:
        spans = _spans(view, grain, facts.masked, differing)
        if len(spans) <= MOST_SPANS or grain >= m.chip.flash.size:
            break
        grain *= 2
    small = tuple(a for a in areas if not any(s.look is Look.DIFFERS and s.range.overlaps(a.range) for s in spans))
    return Lane(facts.board.name, base, good, spans, small)


def _spans(
    view: MemoryImage, grain: int, masked: Iterable[AddressRange], differing: Sequence[AddressRange]
) -> tuple[Span, ...]:
    found = [Span(r, Look.UNREADABLE) for r in view.unreadable]
    hidden = merged(masked)
    for segment in view.segments:
        for r in subtracted((segment.range,), hidden):
            found += _looks(segment.data[r.start - segment.start : r.stop - segment.start], r.start, grain, differing)
        found += [Span(h.intersection(segment.range), Look.MASKED) for h in hidden if h.overlaps(segment.range)]
    return _joined(found)


def _looks(data: Bytes, start: int, grain: int, differing: Sequence[AddressRange]) -> list[Span]:
    """Classify a stretch grain by grain: fill with few other bytes is fill, a quarter that differs differs."""
    edges = np.unique(np.concatenate(([start], np.arange(start - start % grain + grain, start + data.size, grain))))
    cuts = edges - start
    sizes = np.diff([*cuts, data.size])
    filled = np.add.reduceat((data != 0xFF).astype(np.int64), cuts)
    lit = np.add.reduceat((data != 0x00).astype(np.int64), cuts)
    flags = np.zeros(data.size, np.int64)
    for r in differing:
        flags[max(0, r.start - start) : max(0, r.stop - start)] = 1
    apart = np.add.reduceat(flags, cuts) * 4 >= sizes
    kinds = np.where(filled * 64 <= sizes, 1, np.where(lit * 64 <= sizes, 2, np.where(apart, 3, 0)))
    looks = (Look.CONTENT, Look.ERASED, Look.ZERO, Look.DIFFERS)
    return [Span(AddressRange(int(a), int(a + n)), looks[int(k)]) for a, n, k in zip(edges, sizes, kinds, strict=True)]


def _joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    out: list[Span] = []
    for s in sorted(spans, key=lambda s: s.range):
        if out and out[-1].look is s.look and out[-1].range.stop == s.range.start:
            out[-1] = Span(AddressRange(out[-1].range.start, s.range.stop), s.look)
        elif s.range.size:
            out.append(s)
    return tuple(out)
