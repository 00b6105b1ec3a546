"""The slot map: what became of each slot, and what the next boot will do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MultipleLocator

from h5diag.layout import Role
from h5diag.measure.firmware import SlotState, State
from h5diag.measure.options import Extent, OptionBytes
from h5diag.show.plots import style

LOOKS = {
    State.EMPTY: style.Style(style.PAPER, "...", "#B5B5B5", "empty"),
    State.INSTALLED: style.Style("#BFE3D6", "", style.GREEN, "installed"),
    State.INSTALL_PENDING: style.Style("#CFE6F7", "//", style.BLUE, "waits to be installed"),
    State.NEVER_TAKEN: style.Style("#F7E3B5", "\\\\", "#8A5A00", "never taken"),
    State.REVERTED: style.Style("#EBD3E1", "--", style.PURPLE, "reverted"),
    State.INTERRUPTED: style.Style("#F6C9B0", "xx", style.VERMILION, "interrupted"),
    State.BODY_ERASED: style.Style("#F6C9B0", "oo", style.VERMILION, "header, body erased"),
    State.DIFFERS: style.Style("#F6C9B0", "++", style.VERMILION, "other content"),
    State.WRONG_SLOT: style.Style("#F6C9B0", "||", style.VERMILION, "another slot's image"),
    State.UNKNOWN: style.Style("#E4E4E4", "", style.GREY, "cannot be told"),
}
"""Face, hatch and words of each state; the hatch tells them apart without colour."""

_COLUMN = {Role.PRIMARY: 0, Role.SECONDARY: 1}
_WIDTH, _HEIGHT = 0.86, 0.74


def plot_slots(states: Sequence[SlotState], *, selected: str = "", ax: Axes | None = None) -> Axes:
    """Draw the slots, one row for each image, primary left and secondary right.

    Parameters
    ----------
    states
        As `BootStates` holds them.
    selected
        Name of a slot that gets a thick frame; none when empty.
    ax
        Where to draw; a new figure when left out.
    """
    rows = list(dict.fromkeys(s.slot.image for s in states))
    ax = style.titled(ax, "What became of each slot", 10.5, 1.2 + 1.25 * max(1, len(rows)))
    ax.set_axis_off()
    if not states:
        return style.nothing(ax, "no slot is known: a layout is needed")
    ax.set(xlim=(-0.5, 1.5), ylim=(len(rows) - 0.5, -0.5))
    for s in states:
        _draw(ax, s, rows.index(s.slot.image), thick=s.slot.name == selected)
    for row, image in enumerate(rows):
        if any(s.next_boot.takes_download and s.slot.image == image for s in states):
            ax.annotate(
                "",
                (_WIDTH / 2, row),
                (1 - _WIDTH / 2, row),
                zorder=5,
                arrowprops={"arrowstyle": "-|>", "color": style.BLUE, "lw": 2.4, "shrinkA": 0, "shrinkB": 0},
            )
    style.legend_below(ax, [LOOKS[k].key() for k in dict.fromkeys(s.state for s in states)], columns=5)
    return ax


def _draw(ax: Axes, s: SlotState, row: int, *, thick: bool) -> None:
    look, x = LOOKS[s.state], _COLUMN[s.slot.role]
    corner = x - _WIDTH / 2, row - _HEIGHT / 2
    look.box(ax, *corner, _WIDTH, _HEIGHT, linewidth=0.9)
    style.Style("none", "", style.INK, "").box(ax, *corner, _WIDTH, _HEIGHT, linewidth=3.2 if thick else 0.9)
    style.words(ax, x, row - 0.2, s.slot.name, 10.5, fontweight="bold", bbox=style.PLATE)
    style.words(ax, x, row + 0.02, str(s.slot.range), family="monospace", bbox=style.PLATE)
    version = f", {s.content.at_start[0].image.header.version}" if s.content.at_start else ""
    style.words(ax, x, row + 0.23, f"{look.label}{version}", 9.5, bbox=style.PLATE)


AREA_LOOKS = {
    "secure": style.Style("#CFE6F7", "//", style.BLUE, "secure: a non-secure reader gets zeros"),
    "hidden": style.Style("#C9C9C9", "\\\\", "#6B6B6B", "hidden: zeros after the boot stage"),
    "write-protected": style.Style("#F7E3B5", "..", "#8A5A00", "write-protected"),
    "high-cycle": style.Style("#BFE3D6", "xx", style.GREEN, "high-cycle data area"),
}


def plot_areas(boards: Sequence[tuple[str, OptionBytes]], *, ax: Axes | None = None) -> Axes:
    """Draw which parts of the flash the option bytes protect, one row for each kind and board.

    Parameters
    ----------
    boards
        Name and option bytes of each.
    ax
        Where to draw; a new figure when left out.
    """
    rows = [(kind, name, o) for kind in AREA_LOOKS for name, o in boards if o.extent(kind) is not Extent.EMPTY]
    ax = style.titled(ax, "What the option bytes protect", 11.0, 1.5 + 0.42 * max(1, len(rows)))
    if not rows:
        return style.nothing(ax, "no part of the flash is protected")
    flash = max((o.chip.flash_range for _, _, o in rows), key=lambda r: r.size)
    for y, (kind, _, o) in enumerate(rows):
        look = AREA_LOOKS[kind]
        known = o.extent(kind) is not Extent.UNKNOWN
        how: dict[str, Any] = {} if known else {"facecolor": "none", "hatch": "", "linestyle": (0, (2, 3))}
        for r in o.ranges(kind) if known else (flash,):
            look.box(ax, o.chip.canonical(r.start), y - 0.34, r.size, 0.68, linewidth=0.9, **how)
        if not known:
            style.words(ax, flash.start + flash.size / 2, y, "not known")
    names = [f"{kind}, {style.plain(name, 24)}" if name else kind for kind, name, _ in rows]
    style.named_rows(ax, range(len(rows)), names)
    ax.xaxis.set_major_locator(MultipleLocator(max(flash.size // 8, 1)))
    style.hex_axis(ax)
    ax.tick_params(axis="x", rotation=30)
    ax.set(xlim=(flash.start, flash.stop), ylim=(len(rows) - 0.5, -0.5), xlabel="address of the cell, to scale")
    used = [look for kind, look in AREA_LOOKS.items() if any(k == kind for k, _, _ in rows)]
    style.legend_below(ax, [k.key() for k in used], columns=2)
    return ax
