"""Quarrels between pieces: a small one that sits in the way of a large one which explains its bytes as well."""

from __future__ import annotations

from bisect import bisect_left

from h5diag.measure.locate.fill import alike
from h5diag.measure.locate.search import Search, Span

NEAR = 16
"""Bytes between two pieces that quarrel, at most."""

WEIGHT = 3
"""The large piece has at least so many times the bytes of the small one."""


def settle(search: Search) -> None:
    """Let each piece of `search` swallow small neighbours whose bytes it explains at least as well, and grow on.

    Such neighbours are accidents, or tables that occur twice, found before the large piece was.
    """
    order = sorted(search.spans, key=lambda s: s.dump)
    for large in sorted(search.spans, key=lambda s: -s.size):
        if large not in order[bisect_left(order, large.dump, key=_start) :][:1]:
            continue  # swallowed by now
        search.watch.pause()
        grown = _grown(search, order, large, forward=True)
        grown = _grown(search, order, grown, forward=False)
        if grown != large:
            # It swallowed up to its new start: no other piece begins between there and the old one.
            order[bisect_left(order, grown.dump, key=_start)] = grown
    search.spans[:] = order


def _start(s: Span) -> int:
    return s.dump


def _grown(search: Search, order: list[Span], large: Span, *, forward: bool) -> Span:
    diagonal = large.reference - large.dump
    while True:
        i = bisect_left(order, large.dump + (large.size if forward else 0), key=_start) - (0 if forward else 1)
        if not 0 <= i < len(order):
            return large
        small = order[i]
        gap = small.dump - large.dump - large.size if forward else large.dump - small.dump - small.size
        if (
            gap > NEAR
            or small.size * WEIGHT > large.size
            or small.reference - small.dump == diagonal
            or search.dump_side.segment(small.dump) != search.dump_side.segment(large.dump)
        ):
            return large
        low = large.dump + large.size if forward else small.dump
        high = small.dump + small.size if forward else large.dump
        segment = search.reference_side.segment(large.reference)
        if (
            not search.reference_side.starts[segment]
            <= low + diagonal
            <= high + diagonal
            <= search.reference_side.starts[segment + 1]
        ):
            return large
        if _equal(search, Span(low + diagonal, low, high - low)) < _equal(search, small):
            return large
        order.pop(i)
        for a, b in ((low, small.dump), (small.dump + small.size, high)):
            if a < b and search.free.find(a) >= 0:
                search.free.take(a, b)
        edge = high if forward else low
        stretch = search.free.find(edge if forward else edge - 1)
        more = 0
        if stretch >= 0:
            a, b = search.limits((edge if forward else edge - 1) + diagonal, edge if forward else edge - 1, stretch)
            more = (
                search.extender.reach(edge + diagonal, edge, b - edge)
                if forward
                else search.extender.reach_back(edge + diagonal, edge, edge - a)
            )
            if more:
                search.free.take(edge if forward else edge - more, edge + more if forward else edge)
        start = large.dump if forward else low - more
        stop = high + more if forward else large.dump + large.size
        large = Span(start + diagonal, start, stop - start, large.mask)


def _equal(search: Search, s: Span) -> int:
    x = search.reference[s.reference : s.reference + s.size]
    return alike(x, search.dump[s.dump : s.dump + s.size])
