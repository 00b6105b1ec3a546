"""Evidence as a person sees it: a dump, how much of it is what and how it was read; the files of a case."""

from __future__ import annotations

from typing import Any

from h5diag.case.case import Case
from h5diag.memory import Access, MemoryImage
from h5diag.show.sheet import Sheet, Strip, Table, bullets, properties, section, sheet, table
from h5diag.show.spans import spans_of, strip_svg, words_of
from h5diag.show.view import View
from h5diag.text import count_text, size_text


def _document(m: MemoryImage) -> dict[str, Any]:
    o = m.origin
    return {
        "bytes": m.size,
        "ranges": [{"start": r.start, "stop": r.stop, "size": r.size} for r in m.ranges],
        "unreadable": [[r.start, r.stop] for r in m.unreadable],
        "unstable": [[r.start, r.stop] for r in m.unstable],
        "sha256": m.sha256(),
        "source": o.source,
        "kind": o.kind,
        "access": o.access.value,
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


VIEWS = {
    MemoryImage: View(_sheet, _document, _plot, "ranges"),
    Case: View(_case_sheet, _case_document, None, "files"),
}
