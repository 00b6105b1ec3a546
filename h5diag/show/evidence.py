"""What was given, as a person sees it: a dump and how it was read, the files of a case, a chip, a layout of its flash."""

from __future__ import annotations

from typing import Any

from h5diag.case.case import Case
from h5diag.chip import Chip
from h5diag.layout import Layout
from h5diag.memory import Access, AddressRange, MemoryImage
from h5diag.show.sheet import Sheet, Strip, Table, bullets, properties, section, sheet, table
from h5diag.show.spans import spans_of, strip_svg, words_of
from h5diag.show.view import View, pairs, picked
from h5diag.text import count_text, size_text


def _document(m: MemoryImage) -> dict[str, Any]:
    o = m.origin
    return {
        "bytes": m.size,
        "ranges": [picked(r, "start stop size") for r in m.ranges],
        "unreadable": pairs(m.unreadable),
        "unstable": pairs(m.unstable),
        "sha256": m.sha256(),
        **picked(o, "source kind access"),
        "chip": o.chip or None,
        "remarks": list(o.remarks),
    }


def _sheet(m: MemoryImage) -> Sheet:
    o = m.origin
    where = f", {m.span}" if len(m.ranges) == 1 else f" in {count_text(len(m.ranges), 'range')}, {m.span}"
    headline = f"{size_text(m.size)} of memory{where}" if m.size else "no memory: not one byte is known"
    for ranges, word in ((m.unreadable, "unreadable"), (m.unstable, "unstable")):
        if ranges:
            headline += f"; {size_text(sum(r.size for r in ranges))} {word}"
    spans = spans_of(m)
    strip = Strip(strip_svg([spans]), words_of(spans)) if m.size else None
    access = "" if o.access is Access.UNKNOWN else f"{o.access.value} accesses"
    return sheet(
        headline + ".",
        section("", strip, only="html"),
        section("What it holds", words_of(spans)),
        section("Ranges", table("addresses|size", ((str(r), size_text(r.size)) for r in m.ranges))),
        section("Unreadable", bullets(map(str, m.unreadable))),
        section("Unstable", bullets(map(str, m.unstable))),
        section(
            "Where it is from",
            properties((("file", o.source), ("kind", o.kind), ("read by", access), ("chip", o.chip or ""))),
        ),
        section("Remarks", bullets(o.remarks)),
    )


def _plot(m: MemoryImage, **options: Any) -> Any:
    from h5diag.show.plots.memory_map import plot_spans
    from h5diag.show.plots.picture import picture

    spans = spans_of(m)
    axes = plot_spans([(m.origin.source or "dump", spans)], unstable=m.unstable, **options)
    return picture(axes, name="memory", alt=words_of(spans))


def files_table(case: Case) -> Table:
    """Return every file of a case as it was when it was read."""
    kinds: dict[tuple[str, str, str, str], list[str]] = {}
    for f in case.files:  # one file may serve as several things
        kinds.setdefault((f.board or "", f.name, str(f.size), f.sha256), []).append(f.kind)
    rows = ((board, ", ".join(kind), *rest) for (board, *rest), kind in kinds.items())
    return table("board|what|file|size|SHA-256", rows, most=500)


def _case_document(case: Case) -> dict[str, Any]:
    return {
        "title": case.title,
        "case": str(case.folder),
        "chip": case.chip,
        "files": [
            {"board": f.board, "kind": f.kind, "file": f.name, "size": f.size, "sha256": f.sha256} for f in case.files
        ],
        "good": case.good.name if case.good.known else None,
        "suspects": [b.name for b in case.suspects],
    }


def _case_sheet(case: Case) -> Sheet:
    good = f"against {case.good.name}" if case.good.known else "without a board that works"
    names = ", ".join(b.name for b in case.suspects)
    return sheet(
        f"{case.title}: {names} {good}, {count_text(len(case.files), 'file')}.",
        section("Evidence", files_table(case)),
    )


def _chip_sheet(chip: Chip) -> Sheet:
    flash, banks = chip.flash, chip.banks
    of = f" in {count_text(len(banks), 'bank')}" if len(banks) > 1 else ""
    return sheet(
        f"{chip.name}: {size_text(flash.size)} of flash{of}, {chip.unit}s of {size_text(flash.sector_size)}.",
        section(
            "Memory",
            table(
                "what|range|size",
                (
                    *((f"bank {n}", str(r), size_text(r.size)) for n, r in enumerate(banks, 1)),
                    *((r.name, str(AddressRange(r.base, r.base + r.size)), size_text(r.size)) for r in chip.regions),
                ),
            ),
        ),
        section(
            "",
            properties(
                (
                    ("file", chip.name),
                    ("TrustZone", "yes" if chip.trustzone else "no"),
                    ("life cycle", chip.state_option),
                    ("options", str(len(chip.options))),
                    ("errata", ", ".join(e.id for e in chip.errata)),
                    ("source", chip.ref),
                )
            ),
        ),
    )


def _chip_document(chip: Chip) -> dict[str, Any]:
    flash = chip.flash
    return {
        "chip": chip.name,
        "family": chip.family,
        "trustzone": chip.trustzone,
        "flash": {**picked(flash, "base size sector_size"), "banks": pairs(chip.banks)},
        "regions": [{"name": r.name, "kind": r.kind, "range": [r.base, r.base + r.size]} for r in chip.regions],
    }


def _layout_sheet(layout: Layout) -> Sheet:
    areas = (("secure", layout.secure_range), ("hidden", layout.hidden_range))
    return sheet(
        f"{layout.name}: {count_text(len(layout.slots), 'slot')} on {layout.chip.name}, {layout.mode.value}.",
        section(
            "Slots",
            table(
                "slot|image|runs|range|size|memory",
                (
                    (
                        s.name,
                        "" if s.image is None else str(s.image),
                        s.security.value,
                        str(s.range),
                        size_text(s.range.size),
                        s.device or "flash",
                    )
                    for s in layout.slots
                ),
            ),
        ),
        section("", properties((*((n, str(r)) for n, r in areas if r.size), ("source", layout.ref)))),
        section("Notes", bullets(layout.remarks)),
    )


def _layout_document(layout: Layout) -> dict[str, Any]:
    return {
        "layout": layout.name,
        "chip": layout.chip.name,
        "mode": layout.mode.value,
        "slots": [
            {
                **picked(s, "name image role security"),
                "range": [s.range.start, s.range.stop],
                "device": s.device,
            }
            for s in layout.slots
        ],
        "remarks": list(layout.remarks),
    }


VIEWS = {
    MemoryImage: View(_sheet, _document, _plot, "ranges"),
    Case: View(_case_sheet, _case_document, None, "files"),
    Chip: View(_chip_sheet, _chip_document, None, "regions"),
    Layout: View(_layout_sheet, _layout_document, None, "slots"),
}
