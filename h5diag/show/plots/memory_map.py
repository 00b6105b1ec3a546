"""Both dumps over the flash, slots named: where is what, and where do the boards differ?"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from h5diag.judge import BoardDiagnosis, Measured
from h5diag.layout import Slot
from h5diag.measure.firmware import State
from h5diag.measure.locate import Region
from h5diag.memory import AddressRange, merged, subtracted
from h5diag.show.plots import style
from h5diag.show.plots.slots import LOOKS as SLOT_LOOKS
from h5diag.show.spans import CondensedAxis, Lane, Look, MapSpan, chosen_ticks, condensed_axis, lanes, visible_ranges
from h5diag.text import count_text, size_text

LOOKS = {
    Look.CONTENT: style.Style(style.SKY, "", style.BLUE, "content"),
    Look.DIFFERS: style.Style("#F19A66", "///", "#A33B00", "differs from {}"),
    Look.ERASED: style.Style(style.PAPER, "...", "#B5B5B5", "erased (0xFF)"),
    Look.ZERO: style.Style("#F7F3C8", "xx", "#A39A2B", "zero"),
    Look.MASKED: style.Style("#C9C9C9", "\\\\\\", "#6B6B6B", "zeros: the reader is not shown what is there"),
    Look.UNREADABLE: style.Style("#3A3A3A", "++", "#E0E0E0", "unreadable"),
}
_NOT_READ = style.Style("none", "", style.GREY, "not read")
_SLOT = style.Style(style.PALE, "", style.INK, "slot")
_WAITS = style.Style("#FBE7DA", "///", "#D9A27F", "differs: a download that waits")
_INSIDE = {
    Look.MASKED: "not shown",
    Look.ZERO: "zero",
    Look.ERASED: "erased",
    Look.DIFFERS: "differs",
    Look.UNREADABLE: "unreadable",
    Look.CONTENT: "",
}
_LANE, _STEP = 0.62, 1.25
_ALARM = "#8A3B00"


def plot_memory_map(board: BoardDiagnosis | Measured, *, ax: Axes | None = None) -> Axes:
    """Draw the good dump above the suspect's, with the slots of the layout and what became of them.

    Parameters
    ----------
    board
        The diagnosis of a board, or its measurements alone.
    ax
        Where to draw; a new figure when left out.

    Returns
    -------
    Axes
        Its x coordinates are canonical addresses, so that a click tells one; the axis is not to scale.
    """
    m = board.measured if isinstance(board, BoardDiagnosis) else board
    rows = lanes(m)
    files = any(lane.is_file for lane in rows)
    title = "What should be there, and below it what the dump holds" if files else "What each dump holds"
    ax = style.titled(ax, title, 11.5, 2.2 + 1.05 * max(1, len(rows)))
    if not rows:
        return style.nothing(ax, "no dump was given")
    visible, slots = visible_ranges(rows), m.layouts[0].slots if m.layouts else ()
    ends = [e for s in slots for e in (s.range.start, s.range.stop)]
    edges = [e for lane in rows for s in lane.spans for e in (s.range.start, s.range.stop)]
    axis = condensed_axis((s.range for lane in rows for s in lane.spans), ends)
    axis.apply(ax)
    top = (len(rows) - 1) * _STEP
    waiting = [s.slot.range for s in m.suspect.slots if s.state is State.INSTALL_PENDING]
    for n, lane in enumerate(rows):
        _draw_lane(ax, axis, lane, visible, top - n * _STEP, explained=waiting)
        if not lane.is_file:
            for gap in axis.gaps:
                _draw_not_read(ax, axis, gap, top - n * _STEP, 6, 90)
        _draw_images(ax, axis, m, lane, top - n * _STEP)
        _draw_states(ax, axis, m, lane, top - n * _STEP)
    _draw_slots(ax, axis, slots, visible, top + 0.82)
    moved = _draw_moves(ax, m, rows, top)
    ax.set_yticks([top - n * _STEP for n in range(len(rows))], [_lane_name(lane, rows) for lane in rows])
    wanted = [
        e
        for e in (visible[0].start, *ends, *(e for r in visible for e in (r.start, r.stop)), *edges)
        if any(r.start <= e <= r.stop for r in visible)
    ]
    _address_axis(ax, axis, wanted)
    aliases = m.chip.flash.secure_base != m.chip.flash.base and any(r.overlaps(m.chip.flash_range) for r in visible)
    cell = " of the cell (0x08… alias)" if aliases else ""
    ax.set(
        ylim=(-0.72, top + (1.3 if slots else 0.55)),
        xlabel=f"address{cell}; not to scale, what nobody read is cut out",
    )
    reference = style.plain(rows[0].name, 40) if rows[0].is_file else "the good board"
    _legend(
        ax,
        [s for lane in rows for s in lane.spans],
        small=f"a few bytes differ from {reference}" if any(lane.small for lane in rows) else "",
        moved=moved,
        explained=waiting,
        reference=reference,
    )
    return ax


def _lane_name(lane: Lane, rows: Sequence[Lane]) -> str:
    """Return what stands beside a lane: its name, what it is unless the name says so, and its alias if there are two."""
    role = "what should be there" if lane.is_file else "good" if lane.good else "suspect"
    seen = {other.view for other in rows if not other.is_file}
    view = f"read at 0x{lane.view >> 24:02X}…" if len(seen) > 1 and not lane.is_file else ""
    under = ", ".join(t for t in (role if role != lane.name else "", view) if t)
    return style.plain(lane.name, 24) + (f"\n{under}" if under else "")


def plot_spans(
    rows: Sequence[tuple[str, tuple[MapSpan, ...]]],
    *,
    title: str = "What the dump holds",
    unstable: Sequence[AddressRange] = (),
    ax: Axes | None = None,
) -> Axes:
    """Draw dumps as stretches of one look, one above the other over the same addresses.

    Parameters
    ----------
    rows
        Name and stretches of each.
    title
        Of the plot.
    unstable
        Where reads of the first one disagreed: a marker each.
    ax
        Where to draw; a new figure when left out.
    """
    ax = style.titled(ax, title, 11.0, 1.7 + 0.85 * max(1, len(rows)))
    visible = merged(s.range for _, spans in rows for s in spans)
    axis = condensed_axis(s.range for _, spans in rows for s in spans)
    axis.apply(ax)
    for n, (name, spans) in enumerate(rows):
        y = (len(rows) - 1 - n) * _STEP
        _draw_lane(ax, axis, Lane(name, 0, False, spans), visible, y)
        for gap in axis.gaps:
            _draw_not_read(ax, axis, gap, y, 6, 90)
    top = (len(rows) - 1) * _STEP + _LANE / 2 + 0.07
    ax.scatter([r.start for r in unstable], [top] * len(unstable), marker="v", s=46, color=style.VERMILION, zorder=5)
    ax.set_ylim(-0.5, (len(rows) - 1) * _STEP + 0.5)
    ax.set_yticks([(len(rows) - 1 - n) * _STEP for n in range(len(rows))], [style.plain(name, 24) for name, _ in rows])
    _address_axis(ax, axis, [e for r in visible for e in (r.start, r.stop)])
    _legend(ax, [s for _, spans in rows for s in spans], small="reads disagree" if unstable else "")
    return ax


def _address_axis(ax: Axes, axis: CondensedAxis, wanted: Sequence[int]) -> None:
    ticks = chosen_ticks(axis, wanted)
    style.slanted(ax, ticks, [style.hex_text(t) for t in ticks])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.format_coord = lambda x, y: style.hex_text(x)  # type: ignore[method-assign]
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def _legend(
    ax: Axes,
    spans: Sequence[MapSpan],
    *,
    small: str = "",
    moved: bool = False,
    explained: Sequence[AddressRange] = (),
    reference: str = "the good board",
) -> None:
    """Name every look that is there, the marker of small differences and the arrow included."""
    differing = [any(s.range.overlaps(r) for r in explained) for s in spans if s.look is Look.DIFFERS]
    used = [
        LOOKS[k] for k in LOOKS if any(s.look is k for s in spans) and (k is not Look.DIFFERS or not all(differing))
    ]
    if any(differing):
        used.append(_WAITS)
    handles: list[Artist] = [k.key(k.label.format(reference)) for k in used]
    if small:
        handles.append(_key("v", style.VERMILION, small))
    if moved:
        handles.append(_key(">", style.PURPLE, "the same bytes at another place"))
    if handles:
        style.legend_below(ax, handles, columns=3 if len(handles) > 4 else 4)


def _key(marker: str, colour: str, label: str) -> Line2D:
    return Line2D([], [], linestyle="-" if marker == ">" else "", marker=marker, color=colour, label=label)


def _draw_lane(
    ax: Axes,
    axis: CondensedAxis,
    lane: Lane,
    visible: tuple[AddressRange, ...],
    y: float,
    *,
    explained: Sequence[AddressRange] = (),
) -> None:
    """Draw a dump. What differs because a download waits in its slot is pale: the loudest mark is what matters."""
    for missing in subtracted(visible, [s.range for s in lane.spans]) if not lane.is_file else ():
        _draw_not_read(ax, axis, missing, y, size=7.5 if axis.width(missing) > 0.06 else 0)
    for span in lane.spans:
        waits = span.look is Look.DIFFERS and any(span.range.overlaps(r) for r in explained)
        look = _WAITS if waits else LOOKS[span.look]
        look.box(ax, span.range.start, y - _LANE / 2, span.range.size, _LANE, linewidth=0.6)
        words = _INSIDE[span.look]
        share = axis.width(span.range)
        if words and share > 0.055:
            said = f"{size_text(span.range.size)} {words}" if share > 0.09 else words
            style.words(ax, axis.middle(span.range.start, span.range.stop), y, said, 9, bbox=style.PLATE)
    places = [a.range.start + a.range.size / 2 for a in lane.small]
    ax.scatter(places, [y + _LANE / 2 + 0.07] * len(places), marker="v", s=46, color=style.VERMILION, zorder=5)
    if any(s.look is Look.DIFFERS for s in lane.spans) or len(places) > 3:
        return
    for a, place in zip(lane.small, places, strict=True):
        late = float(axis.place(place)) > 0.75 * axis.places[-1]
        words = f"{count_text(a.differing_bytes, 'byte')} differ at 0x{a.range.start:08X}"
        ax.annotate(
            words,
            (place, y + _LANE / 2 + 0.1),
            (-8 if late else 8, 3),
            textcoords="offset points",
            fontsize=9,
            color=_ALARM,
            fontweight="bold",
            ha="right" if late else "left",
        )


def _draw_images(ax: Axes, axis: CondensedAxis, m: Measured, lane: Lane, y: float) -> None:
    """Write the version of each boot-loader image where it begins; a layout names slots and states instead."""
    if m.layouts or lane.good:
        return
    taken = 0.0
    for i in sorted(m.suspect.images, key=lambda i: i.image.address):
        at = m.chip.canonical(i.image.address)
        place = float(axis.place(at)) / axis.places[-1]
        if any(at in s.range for s in lane.spans) and place >= taken:
            words = f"image {i.image.header.version}".removesuffix("+0")
            style.words(ax, at, y - _LANE / 2 - 0.05, f"▲ {words}", 9, ha="left", va="top")
            taken = place + 0.012 * len(words)


def _draw_states(ax: Axes, axis: CondensedAxis, m: Measured, lane: Lane, y: float) -> None:
    """Write what became of each slot that a lane shows: above the good one, where no arrow passes, else below."""
    for s in (m.good if lane.good else m.suspect).slots:
        seen = [p.range.intersection(s.slot.range) for p in lane.spans if p.range.overlaps(s.slot.range)]
        if s.state is not State.UNKNOWN and seen and m.chip.canonical(s.content.address) == s.slot.range.start:
            whole = max(merged(seen), key=axis.width)
            quiet = s.state in (State.INSTALLED, State.EMPTY)
            at, side = (y + _LANE / 2 + 0.04, "bottom") if lane.good else (y - _LANE / 2 - 0.05, "top")
            loud = {} if quiet else {"fontweight": "bold", "color": _ALARM}
            style.words(
                ax,
                axis.middle(whole.start, whole.stop),
                at,
                SLOT_LOOKS[s.state].label,
                9,
                va=side,
                zorder=7,
                bbox=style.PLATE,
                **loud,
            )


def _draw_slots(
    ax: Axes, axis: CondensedAxis, slots: tuple[Slot, ...], visible: tuple[AddressRange, ...], y: float
) -> None:
    for s in slots:
        if not any(r.overlaps(s.range) for r in visible):
            continue
        whole = AddressRange(max(s.range.start, axis.breaks[0]), min(s.range.stop, axis.breaks[-1]))
        _SLOT.box(ax, whole.start, y - 0.2, whole.size, 0.4)
        share = axis.width(whole)
        if share > 0.04:
            name = s.name if share > 0.013 * len(s.name) else s.name.replace(" ", "\n")
            style.words(ax, axis.middle(whole.start, whole.stop), y, name, 9 if "\n" not in name else 7.5)


def _draw_not_read(ax: Axes, axis: CondensedAxis, r: AddressRange, y: float, size: float, rotation: int = 0) -> None:
    """Draw a range that was not read; its words are left out at size 0."""
    _NOT_READ.box(ax, r.start, y - _LANE / 2, r.size, _LANE, linestyle=(0, (2, 3)), linewidth=0.7)
    if size:
        said = f"{size_text(r.size)}\nnot read"
        style.words(ax, axis.middle(r.start, r.stop), y, said, size, color="#555555", rotation=rotation)


def _draw_moves(ax: Axes, m: Measured, rows: tuple[Lane, ...], top: float) -> bool:
    """Draw an arrow from where a displaced piece should stand to where it does, one for each pair of slots."""
    if len(rows) != 2 or not rows[0].good or rows[1].good:
        return False
    drawn: list[Region] = []
    layout = m.layouts[0] if m.layouts else None
    for r in sorted((r for r in m.placement.strong if r.displacement), key=lambda r: r.reference_start):
        pair = [(x.displacement, layout.slot_name(x.reference_start) if layout else "") for x in (r, *drawn)]
        if pair[0] in pair[1:] or len(drawn) == 3:
            continue
        drawn.append(r)
        start, stop = m.chip.canonical(r.reference_start), m.chip.canonical(r.dump_start)
        ax.annotate(
            "",
            (stop, top - _STEP + _LANE / 2),
            (start, top - _LANE / 2),
            zorder=6,
            arrowprops={
                "arrowstyle": "-|>",
                "color": style.PURPLE,
                "lw": 2.2,
                "shrinkA": 0,
                "shrinkB": 0,
                "connectionstyle": "arc3,rad=0",
            },
        )
    if drawn:
        same = sum(d.bytes for d in m.placement.displacements if d.displacement == drawn[0].displacement)
        said = f"arrow: the same bytes ({size_text(same)}), displaced by {style.hex_text(drawn[0].displacement, 0)}"
        loud = {"color": "#8F3D6B", "fontweight": "bold"}
        style.words(ax, 0.995, 1.0, said, 9, ha="right", va="bottom", transform=ax.transAxes, **loud)
    return bool(drawn)
