"""Where the pieces landed: for a person, as JSON, as pictures."""

from __future__ import annotations

from typing import Any

from h5diag.measure.locate import Correlation, Pattern, Placement, Region
from h5diag.memory import AddressRange
from h5diag.show.sheet import Section, Sheet, Strip, Table, bullets, section, sheet, table
from h5diag.show.spans import Look, MapSpan, strip_svg
from h5diag.show.view import View, chosen, drawing, pairs, picked
from h5diag.text import count_text

MANY = 40
"""Rows of a table for a person; the rest is counted."""

MANY_PIECES = 10
"""From so many pieces on a dot plot says more than bands between two strips."""


# ------------------------------------------------------------------------------------------------ placement
def placement_document(placement: Placement) -> dict[str, Any]:
    """Return the placement in the terms of ``h5diag locate --json``."""
    return {
        **chosen(placement.choice),
        "regions": [_region(r) for r in placement.regions],
        "displacements": [{"displacement": d.displacement, "bytes": d.bytes} for d in placement.displacements],
        "unexplained": {"reference": pairs(placement.reference_rest), "dump": pairs(placement.dump_rest)},
        "unknown": {"reference": pairs(placement.reference_unknown), "dump": pairs(placement.dump_unknown)},
        "assumptions": list(placement.assumptions),
        "patterns": [_pattern(p) for p in placement.patterns],
    }


def _pattern(p: Pattern) -> dict[str, Any]:
    return {
        "kind": p.kind.value,
        "ranges": pairs(p.ranges),
        "reference_ranges": pairs(p.reference_ranges),
        **picked(p, "bytes pieces drift number text"),
    }


def _region(r: Region) -> dict[str, Any]:
    return {
        **picked(r, "reference_start dump_start size displacement equal_bytes bit_errors score_bits"),
        "nominal_expectation": r.expectation,
        "transform": r.transform.value,
        "explanation": {"kind": r.explanation.kind.value, "text": r.explanation.text},
        "lines": [str(line) for line in r.lines],
        **({"weak": True} if r.weak else {}),
    }


def headline(placement: Placement) -> str:
    """Return the answer in one sentence."""
    strong = placement.strong
    if placement.patterns:
        text = placement.patterns[0].text
        return f"{text[0].upper()}{text[1:]}."
    if not strong:
        weak = len(placement.weak)
        return "No piece of the reference was found in the dump" + (
            f"; {count_text(weak, 'short likeness', 'short likenesses')} could be chance." if weak else "."
        )
    first = placement.displacements[0]
    total = sum(d.bytes for d in placement.displacements)
    best = max((r for r in strong if r.displacement == first.displacement), key=lambda r: r.size)
    where = "at its place" if first.displacement == 0 else f"displaced by {signed(first.displacement)}"
    share = (
        f"{first.bytes:,} of {total:,} found bytes are"
        if len(placement.displacements) > 1
        else f"{total:,} bytes were found, all"
    )
    return f"{share} {where}: {best.explanation.text}."


def signed(value: int) -> str:
    """Return a displacement: hex with its sign."""
    return f"{'-' if value < 0 else '+'}0x{abs(value):X}" if value else "0"


def pieces(placement: Placement, *, displaced_only: bool = False, most: int = MANY) -> Table:
    """Return the pieces as a table, the clearest `most` of them in the order of the dump."""
    regions = [r for r in placement.regions if r.displacement or not displaced_only]
    return table(
        "should be at|is at|size|displacement|equal|score|what it means",
        (
            (
                f"0x{r.reference_start:08X}",
                f"0x{r.dump_start:08X}",
                f"{r.size:,}",
                signed(r.displacement),
                "all" if r.equal_bytes == r.size else f"{min(100 * r.identity, 99.99):.4g} %",
                f"{r.score_bits:.0f}",
                f"{r.explanation.kind.value}: {r.explanation.text}{' (weak: could be chance)' if r.weak else ''}",
            )
            for r in sorted(sorted(regions, key=lambda r: -r.score_bits)[:MANY], key=lambda r: r.dump_start)
        ),
        caption=f"the clearest {MANY} of {len(regions)}" if len(regions) > MANY else "",
        most=most,
    )


def _placement_sheet(p: Placement) -> Sheet:
    return sheet(
        headline(p),
        section("", _pieces_strip(p), only="html"),
        section(
            "Displacements",
            table("displacement|bytes", ((signed(d.displacement), f"{d.bytes:,}") for d in p.displacements), most=8),
        ),
        section("Pieces", pieces(p)),
        _rest(
            "not found in the dump", p.reference_rest, "the dump does not cover their own place" if _outside(p) else ""
        ),
        _rest("in the dump and not in the reference", p.dump_rest),
        _rest("not known in the dump (gap or unreadable)", p.dump_unknown),
        _rest("not known in the reference (gap or unreadable)", p.reference_unknown),
        section("Notes", bullets(p.assumptions)),
    )


def _outside(p: Placement) -> bool:
    """Tell whether all that was not found belongs to addresses that the dump does not show."""
    shown = (*(r.dump_range for r in p.regions), *p.dump_rest, *p.dump_unknown)
    return not any(a.overlaps(b) for a in p.reference_rest for b in shown)


def _rest(title: str, ranges: tuple[AddressRange, ...], note: str = "") -> Section | None:
    total = sum(r.size for r in ranges)
    rows = [(str(r), f"{r.size:,}") for r in sorted(sorted(ranges, key=lambda r: -r.size)[:6])]
    more = f"... and {len(ranges) - 6} more" if len(ranges) > 6 else ""
    return section(f"{total:,} bytes {title}", table("addresses|bytes", rows), more or None, note or None)


def _pieces_strip(p: Placement) -> Strip | None:
    clear = sorted(p.strong, key=lambda r: -r.size)[:MANY_PIECES]
    if not clear:
        return None
    rows = [
        tuple(MapSpan(r, Look.CONTENT) for r in sorted(x.reference_range for x in clear)),
        tuple(MapSpan(r, Look.CONTENT) for r in sorted(x.dump_range for x in clear)),
    ]
    return Strip(strip_svg(rows, [(r.reference_range, r.dump_range) for r in clear]), headline(p))


def _plot_placement(p: Placement, **options: Any) -> Any:
    from h5diag.show.plots.locate import plot_dots, plot_pieces
    from h5diag.show.plots.picture import picture

    draw = plot_dots if len(p.regions) >= MANY_PIECES else plot_pieces
    return picture(draw(p, **options), name="pieces", alt=headline(p))


# ------------------------------------------------------------------------------------------------ correlation
def correlation_words(c: Correlation) -> str:
    """Return what an offset plot says, in a sentence."""
    if not c.found:
        return "No displacement stands out: the dump agrees with the reference nowhere more than by chance."
    share = c.fraction[c.displacements == c.winner]
    agrees = f"{100 * float(share[0]):.3g} % of the content agrees" if share.size else "the content agrees"
    return f"Most bytes agree at displacement {signed(c.winner)}, {c.winner_text}: {agrees} there."


def _correlation_document(c: Correlation) -> dict[str, Any]:
    best = sorted(range(c.displacements.size), key=lambda i: -c.fraction[i])[:MANY]
    return {
        **chosen(c.choice),
        "winner": c.winner if c.found else None,
        "winner_text": c.winner_text,
        "span": list(c.span),
        "peaks": [{"displacement": int(c.displacements[i]), "fraction": float(c.fraction[i])} for i in best],
        "marks": [{"displacement": m.displacement, "name": m.name} for m in c.marks],
        "samples": c.keys,
    }


def _correlation_sheet(c: Correlation) -> Sheet:
    names = {m.displacement: m.name for m in c.marks}
    return sheet(
        correlation_words(c),
        section(
            "Peaks",
            table(
                "displacement|agrees|known as",
                (
                    (signed(p["displacement"]), f"{100 * p['fraction']:.3g} %", names.get(p["displacement"], ""))
                    for p in _correlation_document(c)["peaks"][:8]
                ),
            ),
        ),
    )


VIEWS = {
    Placement: View(_placement_sheet, placement_document, _plot_placement, "regions"),
    Correlation: View(
        _correlation_sheet,
        _correlation_document,
        drawing("locate.plot_correlation", "offsets", correlation_words),
        "peaks",
    ),
}
