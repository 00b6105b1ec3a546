"""Pieces that cross from slot to slot, cut at the border so that each part has the name of its own slot."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import replace

from h5diag.layout import ExplanationKind, Layout
from h5diag.measure.locate.fill import alike, wrong_bits
from h5diag.measure.locate.placement import Region
from h5diag.measure.locate.score import Model
from h5diag.measure.locate.search import Span
from h5diag.measure.locate.sides import Side
from h5diag.memory import Bytes

WHOLE_PIECE = (ExplanationKind.IMAGE, ExplanationKind.WINDOW_SHIFT)
"""What is said of a piece as a whole is said of each of its parts."""


def cuts(s: Span, layout: Layout, a: Side, b: Side) -> list[int]:
    """Return after how many bytes of a piece a slot begins or ends, on either side, in order."""
    borders = sorted({x for slot in layout.slots for x in (slot.range.start, slot.range.stop)})
    out: set[int] = set()
    for start in (a.canonical_address(s.reference), b.canonical_address(s.dump)):
        out |= {x - start for x in borders[bisect_right(borders, start) : bisect_left(borders, start + s.size)]}
    return sorted(out)


def parts(
    r: Region, s: Span, dump: Bytes, at: list[int], layout: Layout, a: Side, model: Model, *, as_is: bool
) -> list[Region]:
    """Return the parts of a region, cut after so many bytes.

    Each has its own bytes, errors and score; whether it could be chance is judged on the whole piece.
    """
    out = []
    for low, high in zip([0, *at], [*at, s.size], strict=True):
        here, there, size = s.reference + low, s.dump + low, high - low
        x, y = a.data[here : here + size], dump[there : there + size]
        errors = wrong_bits(x, y)
        score = float(model.score(a.data, dump, [(here, there, size)], as_is=as_is, mask=s.mask)[0])
        start, target = r.reference_start + low, r.dump_start + low
        out.append(
            replace(
                r,
                reference_start=start,
                dump_start=target,
                size=size,
                equal_bytes=alike(x, y),
                bit_errors=errors,
                score_bits=round(score, 1),
                lines=r.lines if errors else (),
                explanation=r.explanation if r.explanation.kind in WHOLE_PIECE else layout.explain(start, target, size),
            )
        )
    return out
