"""Where the pieces landed: match fraction against displacement, a dot plot, and the data lines."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import Polygon, Rectangle
from matplotlib.ticker import FuncFormatter, NullLocator

from h5diag.measure.locate import Correlation, Mark, Placement
from h5diag.show.plots import style
from h5diag.show.spans import chosen_ticks, condensed_axis
from h5diag.text import size_text

BINS = 600
"""Columns of the background; the peak of each is drawn."""

NAMED = 10
"""Meaningful displacements that get their name written, the ones nearest to zero."""

MOST_DRAWN = 1000
"""Pieces that are drawn, the largest ones: more lines than this are one black patch, and each costs its time."""

KINDS = (
    ("in-place", style.BLUE, "o"),
    ("alias", style.SKY, "s"),
    ("slot", style.VERMILION, "D"),
    ("bank", style.PURPLE, "^"),
    ("image", style.GREEN, "v"),
    ("window-shift", style.YELLOW, "P"),
    ("sector-move", style.ORANGE, "X"),
    ("unexplained", style.BLACK, "d"),
)


def plot_correlation(result: Correlation, *, title: str = "", ax: Axes | None = None) -> Axes:
    """Draw the match fraction against displacement over the whole range, the winner with its meaning.

    Parameters
    ----------
    result
        Of `h5diag.measure.locate.correlate`.
    title
        Instead of the answer.
    ax
        Where to draw; a new figure when left out.

    Returns
    -------
    Axes
        The fraction on a logarithmic scale; dashed lines where a displacement has a meaning of its own.
    """
    ax = ax or style.new_axes(11.5, 4.4)
    low, high = result.span
    width = max(high - low, 1)
    least = 0.5 / max(result.keys, 1)
    near = [m for m in result.marks if low <= m.displacement <= high]
    named = sorted(sorted(near, key=lambda m: abs(m.displacement))[:NAMED], key=lambda m: m.displacement)
    lines = [ax.axvline(m.displacement, color=style.GREY, linestyle=(0, (4, 3)), linewidth=0.9, zorder=1) for m in near]
    rows = _names_above(ax, [(m.displacement, _name_of(m)) for m in named], low, width)
    style.tidy(ax, title or _answer(result), pad=6 + 12 * rows)
    handles: list[Artist] = []
    if result.displacements.size:
        column = np.clip((result.displacements - low) * BINS // width, 0, BINS - 1)
        peak = np.zeros(BINS)
        np.maximum.at(peak, column, result.fraction)
        shown = np.flatnonzero(peak)
        handles.append(
            ax.vlines(
                low + (shown + 0.5) * width / BINS,
                least,
                peak[shown],
                color=style.SKY,
                linewidth=1.4,
                zorder=2,
                label=f"best displacement in each of {BINS} columns",
            )
        )
    if result.found:
        here = np.flatnonzero(result.displacements == result.winner)
        value = max(float(result.fraction[here[0]]) if here.size else least, least)
        handles.append(
            ax.plot(
                result.winner, value, "D", color=style.VERMILION, markersize=8, zorder=5, label="most agreeing bytes"
            )[0]
        )
        ax.annotate(
            f"{100 * value:.3g} %",
            (result.winner, value),
            (10, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=style.VERMILION,
            fontweight="bold",
            zorder=6,
            bbox=style.PLATE,
        )
    else:
        style.words(ax, 0.5, 0.5, "no displacement stands out", 10, transform=ax.transAxes)
    ax.set(
        yscale="log",
        xlim=(low - 0.01 * width, high + 0.01 * width),
        ylim=(least, 2.0),
        xlabel="displacement: where it is minus where it should be (bytes)",
        ylabel="share of the dump's content that agrees",
    )
    ax.xaxis.set_major_locator(style.hex_locator(width))
    style.hex_axis(ax, digits=1)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    if lines:
        lines[0].set_label("displacement with a meaning (in place, bank, slot)")
        handles.append(lines[0])
    if handles:
        style.legend_below(ax, handles, columns=3 if _inches(ax) > 9 else 1)
    return ax


def _inches(ax: Axes) -> float:
    figure = ax.get_figure(root=True)
    return float(figure.get_figwidth()) if figure is not None else 11.5


def _answer(result: Correlation) -> str:
    """Return the title: the displacement, and its meaning in a few words; it is never cut."""
    if not result.found:
        return "No displacement stands out"
    known = next((m.name for m in result.marks if m.displacement == result.winner), "")
    text = f"{style.hex_text(result.winner, 1)}: {style.plain(known or result.winner_text, 400)}"
    return text if len(text) <= 90 else "\n".join(wrap(text, 100))


def _name_of(mark: Mark) -> str:
    return f"{style.plain(mark.name, 60)}, {style.hex_text(mark.displacement, 1)}"


def _names_above(ax: Axes, names: Sequence[tuple[int, str]], low: int, width: int) -> int:
    """Write names over their lines, above the plot where they touch no peak; return how many rows they take."""
    ends: list[float] = []
    letter = 0.072 / (_inches(ax) - 1.0)  # of a name, as a share of the plot's width
    for at, text in names:
        share, half = (at - low) / width, letter * len(text) / 2
        middle = min(max(share, half), 1 - half)
        row = next((n for n, end in enumerate(ends) if middle - half > end), len(ends))
        ends[row : row + 1] = [middle + half + 0.012]
        ax.annotate(
            "",
            (at, 1.0),
            (0, 4 + 12 * row),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            arrowprops={"arrowstyle": "-", "color": style.GREY, "lw": 0.7, "shrinkA": 0, "shrinkB": 0},
            zorder=1,
        )
        ax.annotate(
            text,
            (low + middle * width, 1.0),
            (0, 4 + 12 * row),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            fontsize=7.5,
            ha="center",
            va="bottom",
            color=style.INK,
            zorder=4,
            bbox=style.PLATE,
        )
    return len(ends)


def plot_dots(placement: Placement, *, ax: Axes | None = None) -> Axes:
    """Draw each region as a line from reference address to dump address; what is in place lies on the diagonal.

    Parameters
    ----------
    placement
        Of `h5diag.measure.locate.locate`.
    ax
        Where to draw; a new figure when left out.
    """
    ax = style.titled(ax, "Which piece of the reference is where in the dump", 8.5, 7.0)
    handles, drawn_of, many = [], placement.regions, len(placement.regions)
    if many > MOST_DRAWN:
        drawn_of = tuple(sorted(placement.regions, key=lambda r: -r.size)[:MOST_DRAWN])
    for kind, colour, marker in KINDS:
        some = [r for r in drawn_of if r.explanation.kind.value == kind]
        for r in some:
            drawn = ax.plot(
                [r.reference_start, r.reference_range.stop],
                [r.dump_start, r.dump_range.stop],
                color=colour,
                linewidth=2.2,
                linestyle=":" if r.weak else "-",
                marker=marker,
                markersize=5,
                markevery=[0],
                label=kind,
            )
            if r is some[0]:
                handles.append(drawn[0])
    if not placement.regions:
        return style.nothing(ax, "no piece of the reference was found")
    first = min(r.reference_start for r in placement.regions), min(r.dump_start for r in placement.regions)
    last = max(r.reference_range.stop for r in placement.regions), max(r.dump_range.stop for r in placement.regions)
    for set_limits, a, b in ((ax.set_xlim, first[0], last[0]), (ax.set_ylim, first[1], last[1])):
        margin = max((b - a) // 40, 16)
        set_limits(a - margin, b + margin)
    ax.xaxis.set_major_locator(style.hex_locator(last[0] - first[0]))
    ax.yaxis.set_major_locator(style.hex_locator(last[1] - first[1]))
    style.hex_axis(ax, "x")
    style.hex_axis(ax, "y")
    ax.tick_params(axis="x", rotation=25)
    ax.grid(alpha=0.25)
    of = f"; the {MOST_DRAWN:,} largest of {many:,} pieces" if many > MOST_DRAWN else ""
    ax.set(xlabel=f"address in the reference (bytes){of}", ylabel="address in the dump (bytes)")
    style.legend_below(ax, handles, columns=4)
    return ax


def plot_pieces(placement: Placement, *, ax: Axes | None = None) -> Axes:
    """Draw the pieces of the reference above and where they are in the dump below, a band for each.

    Parameters
    ----------
    placement
        Of `h5diag.measure.locate.locate`.
    ax
        Where to draw; a new figure when left out.
    """
    ax = style.titled(ax, "Where the pieces of the reference are in the dump", 11.0, 3.6)
    ax.set_ylim(-0.35, 2.35)
    if not placement.regions:
        return style.nothing(ax, "no piece of the reference was found")
    pairs = [(r, r.reference_range, r.dump_range) for r in placement.regions]
    ends = [e for _, a, b in pairs for e in (a.start, a.stop, b.start, b.stop)]
    axis = condensed_axis(x for _, a, b in pairs for x in (a, b))
    axis.apply(ax)
    looks = {kind: (colour, marker) for kind, colour, marker in KINDS}
    used: dict[str, Artist] = {}
    for r, above, below in sorted(pairs, key=lambda p: -p[0].size):
        kind = r.explanation.kind.value
        colour, marker = looks[kind]
        band = [(above.start, 1.7), (above.stop, 1.7), (below.stop, 0.3), (below.start, 0.3)]
        ax.add_patch(Polygon(band, closed=True, facecolor=colour, alpha=0.28, linestyle=":" if r.weak else "-"))
        for y, where in ((2.0, above), (0.0, below)):
            ax.add_patch(
                Rectangle((where.start, y - 0.3), where.size, 0.6, facecolor=colour, edgecolor=style.INK, linewidth=0.6)
            )
        (used[kind],) = ax.plot(
            [axis.middle(w.start, w.stop) for w in (above, below)],
            [2.0, 0.0],
            linestyle="",
            marker=marker,
            color=style.PAPER,
            label=kind,
            markeredgecolor=style.INK,
            markersize=6,
            markerfacecolor=colour,
        )
    for d in placement.displacements[:3]:
        r = max((r for r in placement.regions if r.displacement == d.displacement), key=lambda r: r.size)
        said = f"{size_text(d.bytes)}, {'in place' if not d.displacement else style.hex_text(d.displacement, 1)}"
        loud = "bold" if d.displacement else "normal"
        style.words(
            ax, axis.middle(r.reference_start, r.dump_range.stop), 1.0, said, 9, fontweight=loud, bbox=style.PLATE
        )
    style.named_rows(ax, [2.0, 0.0], ["reference", "dump"])
    ax.spines["left"].set_visible(False)
    ticks = chosen_ticks(axis, sorted(set(ends)), apart=0.03)
    style.slanted(ax, ticks, [style.hex_text(t) for t in ticks], 45)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("address; not to scale, what holds no piece is cut out")
    style.legend_below(ax, list(used.values()), columns=4)
    return ax
