"""A dump as a person sees it: how much, where, what it holds, how it was read."""

from __future__ import annotations

from typing import Any

from h5diag.memory import Access, MemoryImage
from h5diag.show.answers import View
from h5diag.show.sheet import Sheet, Strip, bullets, facts, section, sheet, table
from h5diag.show.spans import Look, spans_of, strip_svg
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


def words(m: MemoryImage) -> str:
    """Return how much of a dump is what, in a sentence."""
    sums: dict[Look, int] = {}
    for s in spans_of(m):
        sums[s.look] = sums.get(s.look, 0) + s.range.size
    return ", ".join(f"{size_text(n)} {look.value}" for look, n in sums.items())


def _sheet(m: MemoryImage) -> Sheet:
    o = m.origin
    where = f", {m.span}" if len(m.ranges) == 1 else f" in {count_text(len(m.ranges), 'range')}, {m.span}"
    headline = f"{size_text(m.size)} of memory{where}" if m.size else "no memory: not one byte is known"
    for ranges, word in ((m.unreadable, "unreadable"), (m.unstable, "unstable")):
        if ranges:
            headline += f"; {size_text(sum(r.size for r in ranges))} {word}"
    strip = Strip(strip_svg([spans_of(m)]), words(m)) if m.size else None
    access = "" if o.access is Access.UNKNOWN else f"{o.access.value} accesses"
    return sheet(
        headline + ".",
        section("", strip, only="html"),
        section("What it holds", words(m)),
        section("Ranges", table("addresses|size", ((str(r), size_text(r.size)) for r in m.ranges))),
        section("Unreadable", bullets(map(str, m.unreadable))),
        section("Unstable", bullets(map(str, m.unstable))),
        section(
            "Where it is from",
            facts((("file", o.source), ("kind", o.kind), ("read by", access), ("chip", o.chip or ""))),
        ),
        section("Remarks", bullets(o.remarks)),
    )


def _plot(m: MemoryImage, **options: Any) -> Any:
    from h5diag.show.plots.memory_map import plot_spans
    from h5diag.show.plots.picture import picture

    return picture(
        plot_spans([(m.origin.source or "dump", spans_of(m))], unstable=m.unstable, **options),
        name="memory",
        alt=words(m),
    )


VIEWS = {MemoryImage: View(_sheet, _document, _plot, "ranges")}
