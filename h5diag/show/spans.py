"""What a memory map shows: each dump, in each view that it was read by, as stretches of one state.

And the address axis that gives room to what was read: gaps are cut short, long stretches grow slowly. Nothing is
drawn here but the small strips that a notebook shows of a result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from h5diag.measure.compare import Area, AreaState
from h5diag.memory import AddressRange, Bytes, MemoryImage, merged, subtracted
from h5diag.text import size_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from h5diag.judge import Measured


MOST_SPANS = 48
"""A lane with more stretches than this is drawn with a coarser grain."""

FINEST = 256


class Look(Enum):
    """What a stretch of a dump is, as it is drawn."""

    CONTENT = "content"
    DIFFERS = "differs"
    ERASED = "erased (0xFF)"
    ZERO = "zero"
    MASKED = "not shown to the reader (zeros)"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class MapSpan:
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
        Whether it is what the other is held against: the board that works, or files.
    is_file
        Whether it is made of files: what should be there, and was not read anywhere.
    spans
        In address order, canonical.
    small
        Areas that differ and are too small to be a span: they get a marker.
    """

    name: str
    view: int
    good: bool
    spans: tuple[MapSpan, ...]
    small: tuple[Area, ...] = ()
    is_file: bool = False


_kept: list[tuple[Measured, tuple[Lane, ...]]] = []
"""The last lanes: one page asks for them five times, and each costs a look at every byte."""


def lanes(m: Measured) -> tuple[Lane, ...]:
    """Return the lanes of what the suspect is held against and of the suspect, in this order."""
    rows = next((rows for known, rows in _kept if known is m), None)
    if rows is None:
        rows = tuple(_lanes(m))
        _kept[:] = [(m, rows)]
    return rows


def _lanes(m: Measured) -> Iterator[Lane]:
    r, s = m.reference, m.suspect
    for window, shift in _windows(m, r.dump):
        view = r.dump.crop(window.start, window.stop).shifted(shift)
        yield Lane(r.name, window.start, True, spans_of(view, masked=m.good.masked), is_file=r.is_file)
    for window, shift in _windows(m, s.dump):
        view = s.dump.crop(window.start, window.stop).shifted(shift)
        differing = r.comparison.of(AreaState.DIFFERS)
        areas = [replace(a, range=a.range.shifted(shift)) for a in differing if window.covers(a.range)]
        spans = spans_of(view, masked=s.masked, differing=merged(a.range for a in areas))
        apart = [x.range for x in spans if x.look is Look.DIFFERS]
        small = tuple(a for a in areas if not any(x.overlaps(a.range) for x in apart))
        yield Lane(m.name, window.start, False, spans, small)


def _windows(m: Measured, dump: MemoryImage) -> list[tuple[AddressRange, int]]:
    """Return the views of the flash that a dump has, each with its way to canonical addresses.

    A dump of nothing of the flash is of a memory of its own, such as an external one, and has one view.
    """
    held, flash = (*dump.ranges, *dump.unreadable), m.chip.flash
    views = [(AddressRange(b, b + flash.size), flash.base - b) for b in dict.fromkeys((flash.base, flash.secure_base))]
    seen = [v for v in views if any(r.overlaps(v[0]) for r in held)]
    if seen or not held:
        return seen
    return [(AddressRange(min(r.start for r in held), max(r.stop for r in held)), 0)]


def words_of(spans: Iterable[MapSpan]) -> str:
    """Return how much of a dump is what, in words."""
    sums = Counter[Look]()
    for s in spans:
        sums[s.look] += s.range.size
    return ", ".join(f"{size_text(n)} {look.value}" for look, n in sums.items())


def visible_ranges(rows: Sequence[Lane]) -> tuple[AddressRange, ...]:
    """Return what any of the lanes shows, canonical."""
    return merged(s.range for lane in rows for s in lane.spans)


def bits_by_sector(m: Measured) -> tuple[tuple[AddressRange, int, int], ...]:
    """Return (sector, bits that rose, bits that fell) of every sector with bits that count as different."""
    size, reference = m.chip.flash.sector_size, m.reference
    start, stop, _, _, risen, fallen, _ = reference.comparison.counted.columns
    inside = start // size == (stop - 1) // size
    rows = [np.stack([start - start % size, risen, fallen])[:, inside]]
    for area in reference.comparison.counted.columns[:2, ~inside].T.tolist():
        whole = AddressRange(*area)
        for at in range(whole.start - whole.start % size, whole.stop, size):
            part = whole.intersection(AddressRange(at, at + size))
            good, suspect = _read(m, reference.dump, part), _read(m, m.suspect.dump, part)
            bits = [int(np.bitwise_count(x).sum(dtype=np.int64)) for x in (suspect & ~good, good & ~suspect)]
            rows.append(np.array([[at], *([x] for x in bits)], np.int64))
    sectors, up, down = np.concatenate(rows, axis=1)
    first, of = np.unique(m.chip.canonicals(sectors), return_inverse=True)
    sums = [np.bincount(of, x, first.size).astype(np.int64).tolist() for x in (up, down)]
    return tuple((AddressRange(at, at + size), *x) for at, *x in zip(first.tolist(), *sums, strict=True))


def _read(m: Measured, dump: MemoryImage, part: AddressRange) -> Bytes:
    """Return the bytes of a part in whichever alias the dump holds them."""
    canonical = m.chip.canonical(part.start)
    for start in (part.start, canonical, m.chip.secure_alias(canonical)):
        if dump.covers(start, start + part.size):
            return dump.read(start, start + part.size)
    return np.empty(0, np.uint8)


def spans_of(
    view: MemoryImage, *, masked: Iterable[AddressRange] = (), differing: Sequence[AddressRange] = ()
) -> tuple[MapSpan, ...]:
    """Return a dump as at most `MOST_SPANS` stretches, or as few as its gaps allow."""
    grain = FINEST
    while True:
        spans = _spans(view, grain, masked, differing)
        if len(spans) <= MOST_SPANS or grain >= max(view.span.size, FINEST):
            return spans
        grain *= 2


def _spans(
    view: MemoryImage, grain: int, masked: Iterable[AddressRange], differing: Sequence[AddressRange]
) -> tuple[MapSpan, ...]:
    found = [MapSpan(r, Look.UNREADABLE) for r in view.unreadable]
    hidden = merged(masked)
    for segment in view.segments:
        for r in subtracted((segment.range,), hidden):
            data = segment.data[r.start - segment.start : r.stop - segment.start]
            found += _exact(_joined(_looks(data, r.start, grain, differing)), data, r.start)
        found += [MapSpan(h.intersection(segment.range), Look.MASKED) for h in hidden if h.overlaps(segment.range)]
    return _joined(found)


def _looks(data: Bytes, start: int, grain: int, differing: Sequence[AddressRange]) -> list[MapSpan]:
    """Classify a stretch grain by grain: fill with few other bytes is fill, a quarter that differs differs."""
    edges = np.append(start, np.arange(start - start % grain + grain, start + data.size, grain))
    cuts = edges - start
    sizes = np.diff([*cuts, data.size])
    filled, lit = (_counted(data, fill, cuts, grain) for fill in (0xFF, 0x00))
    apart = np.diff(_before(differing, np.append(edges, start + data.size))) * 4 >= sizes
    kinds = np.where(filled * 64 <= sizes, 1, np.where(lit * 64 <= sizes, 2, np.where(apart, 3, 0)))
    looks = (Look.CONTENT, Look.ERASED, Look.ZERO, Look.DIFFERS)
    firsts = np.flatnonzero(np.append(True, kinds[1:] != kinds[:-1]))
    stops = [*edges[firsts[1:]].tolist(), start + data.size]
    return [
        MapSpan(AddressRange(a, b), looks[k])
        for a, b, k in zip(edges[firsts].tolist(), stops, kinds[firsts].tolist(), strict=True)
    ]


def _before(ranges: Sequence[AddressRange], at: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return how many bytes of sorted, disjoint ranges lie before each address."""
    starts, sizes = (np.array([0, *x], np.int64) for x in ([r.start for r in ranges], [r.size for r in ranges]))
    begun = np.searchsorted(starts, at, "right")
    out: npt.NDArray[np.int64] = np.append(0, sizes.cumsum())[begun] - np.maximum((starts + sizes)[begun - 1] - at, 0)
    return out


def _counted(data: Bytes, fill: int, cuts: npt.NDArray[np.int64], grain: int) -> npt.NDArray[np.int64]:
    """Return how many bytes are not `fill` from each cut to the next; a window at a time, of large memories as well."""
    many, out = max(_WINDOW // grain, 1), np.zeros(cuts.size, np.int64)
    for i in range(0, cuts.size, many):
        first, part = cuts[i], data[cuts[i] : cuts[i + many] if i + many < cuts.size else data.size] != fill
        if many > 1:
            out[i : i + many] = np.add.reduceat(part, cuts[i : i + many] - first, dtype=np.int64)
        else:
            out[i] = np.count_nonzero(part)
    return out


_WINDOW = 1 << 20
_FILLS = {Look.ERASED: 0xFF, Look.ZERO: 0x00}


def _exact(spans: tuple[MapSpan, ...], data: Bytes, start: int) -> list[MapSpan]:
    """Move the borders between content and fill to the content's own bytes: a size is that of the content, not of a grain."""
    out: list[MapSpan] = []
    for s in spans:
        if out and (out[-1].look in _FILLS) is not (s.look in _FILLS):
            fill, content = (out[-1], s) if out[-1].look in _FILLS else (s, out[-1])
            part = data[content.range.start - start : content.range.stop - start] != _FILLS[fill.look]
            border = content.range.start + int(part.argmax() if fill is not s else part.size - part[::-1].argmax())
            if part.any() and border < s.range.stop:
                out[-1] = MapSpan(AddressRange(out[-1].range.start, border), out[-1].look)
                s = MapSpan(AddressRange(border, s.range.stop), s.look)
        out.append(s)
    return out


def _joined(spans: Iterable[MapSpan]) -> tuple[MapSpan, ...]:
    out: list[MapSpan] = []
    for s in sorted(spans, key=lambda s: s.range):
        if out and out[-1].look is s.look and out[-1].range.stop == s.range.start:
            out[-1] = MapSpan(AddressRange(out[-1].range.start, s.range.stop), s.look)
        elif s.range.size:
            out.append(s)
    return tuple(out)


# ------------------------------------------------------------------------------------------------ the axis
GAP_WIDTH = 1.6
_KIB = 1024


@dataclass(frozen=True, slots=True)
class CondensedAxis:
    """Addresses against places on the paper, linear between the breaks.

    Parameters
    ----------
    breaks
        Addresses, ascending.
    places
        Where they stand on the paper, ascending.
    gaps
        Ranges that were cut short because nothing there was read.
    """

    breaks: tuple[int, ...]
    places: tuple[float, ...]
    gaps: tuple[AddressRange, ...]

    def place(self, address: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the place of an address; beyond the ends the last slope goes on."""
        return _extended(np.asarray(address, float), self.breaks, self.places)

    def address(self, place: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the address at a place."""
        return _extended(np.asarray(place, float), self.places, self.breaks)

    def width(self, r: AddressRange) -> float:
        """Return the share of the whole width that a range takes, 0 to 1."""
        a, b = self.place([r.start, r.stop])
        return float((b - a) / (self.places[-1] - self.places[0]))

    def middle(self, start: int, stop: int) -> float:
        """Return the address that stands halfway between two on the paper."""
        return float(self.address(self.place([start, stop]).mean()))

    def apply(self, ax: Axes) -> None:
        """Make it the x axis of a plot: data coordinates stay addresses."""
        ax.set_xscale("function", functions=(self.place, self.address))
        ax.set_xlim(self.breaks[0], self.breaks[-1])


def condensed_axis(visible: Iterable[AddressRange], edges: Iterable[int] = ()) -> CondensedAxis:
    """Return the axis for what is visible.

    Parameters
    ----------
    visible
        What was read; everything else becomes a gap.
    edges
        Addresses where something else begins or ends; between two of them, and the ends of what is visible, the axis is
        linear.
    """
    visible = tuple(visible)
    kept, edges = merged(visible), (*edges, *(e for r in visible for e in (r.start, r.stop)))
    if not kept:
        return CondensedAxis((0, 1), (0.0, 1.0), ())
    inner = {e for e in edges if any(r.start < e < r.stop for r in kept)}
    breaks = sorted({*inner, *(r.start for r in kept), *(r.stop for r in kept)})
    gaps = [AddressRange(a.stop, b.start) for a, b in pairwise(kept)]
    starts = {g.start for g in gaps}
    widths = [GAP_WIDTH if a in starts else max(0.5, ((b - a) / _KIB) ** 0.38) for a, b in pairwise(breaks)]
    return CondensedAxis(tuple(breaks), tuple(np.concatenate(([0.0], np.cumsum(widths))).tolist()), tuple(gaps))


def chosen_ticks(axis: CondensedAxis, wanted: Sequence[int], *, apart: float = 0.021) -> list[int]:
    """Return those of the wanted addresses, first come first served, that stand far enough from each other."""
    total = axis.places[-1] - axis.places[0]
    ticks: list[int] = []
    for address in wanted:
        here = float(axis.place(address))
        if axis.breaks[0] <= address <= axis.breaks[-1] and all(
            abs(here - float(axis.place(t))) >= apart * total for t in ticks
        ):
            ticks.append(address)
    return sorted(ticks)


def _extended(x: npt.NDArray[np.float64], xs: Sequence[float], ys: Sequence[float]) -> npt.NDArray[np.float64]:
    a, b = np.asarray(xs, float), np.asarray(ys, float)
    out = np.array(np.interp(x, a, b), float)
    low, high = (b[1] - b[0]) / (a[1] - a[0]), (b[-1] - b[-2]) / (a[-1] - a[-2])
    out[x < a[0]] = (b[0] + (x - a[0]) * low)[x < a[0]]
    out[x > a[-1]] = (b[-1] + (x - a[-1]) * high)[x > a[-1]]
    return out


# ------------------------------------------------------------------------------------------------ small strips
_STRIP = {
    Look.CONTENT: ("#56B4E9", 1.0, "blue"),
    Look.DIFFERS: ("#D55E00", 1.0, "orange"),
    Look.ERASED: ("#9a9a9a", 0.12, "a grey line"),
    Look.ZERO: ("#E0C000", 0.45, "half-high yellow"),
    Look.MASKED: ("#8c8c8c", 0.65, "grey"),
    Look.UNREADABLE: ("#303030", 1.0, "black"),
}
"""Colour and height of a stretch in a strip, and how a person calls it: the height tells them apart without colour."""

_STRIP_WIDTH, _STRIP_HEIGHT = 760.0, 22.0


def strip_legend(spans: Iterable[MapSpan]) -> list[str]:
    """Return what the colours of a strip mean, those that are there."""
    used = {s.look for s in spans}
    return [f"{words} {look.value}" for look, (_, _, words) in _STRIP.items() if look in used]


def strip_svg(rows: Sequence[tuple[MapSpan, ...]], links: Sequence[tuple[AddressRange, AddressRange]] = ()) -> str:
    """Return rows of stretches over one axis as a small SVG of rectangles; `links` join the first two rows."""
    axis = condensed_axis(s.range for row in rows for s in row)
    scale = _STRIP_WIDTH / axis.places[-1]
    step, out = _STRIP_HEIGHT * 2, []
    for n, row in enumerate(rows):
        for s in row:
            a, b = (float(x) * scale for x in axis.place([s.range.start, s.range.stop]))
            colour, share, _ = _STRIP[s.look]
            out.append(_rectangle(a, n * step + _STRIP_HEIGHT * (1 - share), b - a, _STRIP_HEIGHT * share, colour))
    for above, below in links:
        x = [float(axis.place(v)) * scale for v in (above.start, above.stop, below.stop, below.start)]
        out.append(
            f'<polygon points="{x[0]:.1f},{_STRIP_HEIGHT:.0f} {x[1]:.1f},{_STRIP_HEIGHT:.0f} {x[2]:.1f},{step:.0f} '
            f'{x[3]:.1f},{step:.0f}" fill="#CC79A7" fill-opacity=".35" stroke="#8F3D6B" stroke-width=".8"/>'
        )
    high = step * len(rows) - _STRIP_HEIGHT
    return (
        f'<svg viewBox="0 0 {_STRIP_WIDTH:.0f} {high + 1:.0f}" width="100%" style="max-width:{_STRIP_WIDTH:.0f}px" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(out)}</svg>'
    )


def _rectangle(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.8):.1f}" height="{height:.1f}" fill="{colour}"/>'
