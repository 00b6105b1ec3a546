"""What differs in place: for a person, as JSON, as a picture."""

from __future__ import annotations

from typing import Any

from h5diag.measure.compare import Area, AreaState, Comparison
from h5diag.show.sheet import Sheet, Strip, section, sheet, table
from h5diag.show.spans import Look, MapSpan, strip_svg
from h5diag.show.view import View, chosen, pairs
from h5diag.text import count_text, size_text

MANY = 40
"""Rows of a table for a person; the rest is counted."""


def _area(a: Area, c: Comparison) -> dict[str, Any]:
    counts = {"differing_bytes": a.differing_bytes, "bits": {"risen": a.risen, "fallen": a.fallen}}
    return {
        "start": a.range.start,
        "size": a.range.size,
        "state": a.state.value,
        **(counts if a.differing_bytes else {}),
        **({"mask_like": True} if a.mask_like else {}),
        **({"evidence": c.mask_evidence} if a.state is AreaState.MASKED and c.mask_evidence else {}),
        **({"slot": c.layout.slot_name(a.range.start)} if c.layout else {}),
    }


def comparison_document(c: Comparison) -> dict[str, Any]:
    """Return the comparison in the terms of ``h5diag compare --json``."""
    return {
        **chosen(c.choice),
        "areas": [_area(a, c) for a in c.areas],
        "bits": {"risen": c.risen, "fallen": c.fallen},
        "differing_bytes": c.differing_bytes,
        "compared_bytes": c.compared_bytes,
        "not_compared": pairs(c.not_compared),
        "same_view": c.same_view,
    }


def comparison_headline(c: Comparison) -> str:
    """Return the answer in a sentence or two."""
    if not c.areas:
        return "Nothing in common: the two dumps hold no cell that both have."
    if not c.differing_bytes and not c.of(AreaState.MASKED) and not c.of(AreaState.UNREADABLE):
        return f"Equal: all {size_text(c.compared_bytes)} that both dumps hold."
    text = (
        f"{count_text(c.differing_bytes, 'byte')} of {size_text(c.compared_bytes)} differ;"
        f" bits fallen (1 to 0): {c.fallen}, risen (0 to 1): {c.risen}."
    )
    if c.fallen > 15 and not c.risen:
        text += " Bits only fell: as when new content is programmed over old without an erase."
    return text


def _comparison_sheet(c: Comparison) -> Sheet:
    return sheet(
        comparison_headline(c),
        section("", Strip(strip_svg([area_spans(c)]), comparison_headline(c)) if c.areas else None, only="html"),
        section("", None if c.same_view else "The dumps were read through different aliases: compared cell by cell."),
        section(
            "Areas that are not equal",
            table(
                "addresses|size|state|slot|",
                (
                    (
                        str(a.range),
                        size_text(a.range.size),
                        a.state.value,
                        c.layout.slot_name(a.range.start) if c.layout else "",
                        "on sector edges, like a mask"
                        if a.mask_like
                        else c.mask_evidence * (a.state is AreaState.MASKED),
                    )
                    for a in c.areas
                    if a.state is not AreaState.EQUAL
                ),
                most=MANY,
            ),
        ),
    )


_LOOKS = {
    AreaState.EQUAL: Look.CONTENT,
    AreaState.DIFFERS: Look.DIFFERS,
    AreaState.ERASED: Look.ERASED,
    AreaState.ZERO: Look.ZERO,
    AreaState.MASKED: Look.MASKED,
    AreaState.UNREADABLE: Look.UNREADABLE,
}


def area_spans(c: Comparison) -> tuple[MapSpan, ...]:
    """Return the areas as stretches, the largest ones when there are many."""
    large = sorted(c.areas, key=lambda a: (a.state is AreaState.EQUAL, -a.range.size))[:120]
    return tuple(MapSpan(a.range, _LOOKS[a.state]) for a in sorted(large, key=lambda a: a.range))


def _plot_comparison(c: Comparison, **options: Any) -> Any:
    from h5diag.show.plots.memory_map import plot_spans
    from h5diag.show.plots.picture import picture

    axes = plot_spans([("suspect", area_spans(c))], title="The suspect against the good dump", **options)
    return picture(axes, name="areas", alt=comparison_headline(c))


VIEWS = {Comparison: View(_comparison_sheet, comparison_document, _plot_comparison, "areas")}
