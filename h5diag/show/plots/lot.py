"""Pictures of a lot of boards: the sectors in which they deviate, and how many do over time."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from h5diag.judge.control import ControlChart
from h5diag.judge.fleet import Fleet
from h5diag.show.plots import style

NAMED = 6
"""Sectors whose address stands beside them: the most frequent of those that several boards share."""


def plot_sectors_of_lot(fleet: Fleet, *, ax: Axes | None = None) -> Axes:
    """Draw how many boards deviate in each sector.

    Parameters
    ----------
    fleet
        Of `h5diag.judge.fleet.run_fleet`.
    ax
        Where to draw; a new figure when left out.

    Returns
    -------
    Axes
        Addresses of sectors (canonical) against boards, counted by powers of ten so that a single board shows too.
    """
    ax = style.titled(ax, f"In which sectors {fleet.boards:,} boards deviate", 11.0, 3.6)
    addresses, boards = [a for a, _ in fleet.sectors], [n for _, n in fleet.sectors]
    ax.vlines(addresses, 0.7, boards, colors=style.BLUE, linewidth=1.4)
    ax.plot(addresses, boards, linestyle="none", marker="o", markersize=5, color=style.BLUE)
    for address, count in ([(a, n) for a, n in fleet.sectors if n > 1] or list(fleet.sectors[:1]))[:NAMED]:
        ax.annotate(
            f"{style.hex_text(address)}: {count:,}",
            (address, count),
            xytext=(5, 5),
            textcoords="offset points",
            fontsize=8,
            color=style.INK,
        )
    flash = fleet.choice.read_as.flash_range
    ends = min(flash.start, *addresses), max(flash.stop, *addresses)
    ax.set(
        yscale="log",
        xlim=ends,
        ylim=(0.7, max(boards) * 3),
        xlabel="address of the sector (bytes)",
        ylabel="boards",
    )
    ax.xaxis.set_major_locator(style.hex_locator(ends[1] - ends[0]))
    style.hex_axis(ax, "x")
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else "")
    ax.grid(alpha=0.25, axis="y")
    return ax


def plot_control_chart(chart: ControlChart, *, ax: Axes | None = None) -> Axes:
    """Draw the share of boards that are not like most, group by group in the order of time, with its limits.

    Parameters
    ----------
    chart
        Of a lot.
    ax
        Where to draw; a new figure when left out.

    Returns
    -------
    Axes
        A point a group; one outside of its limits is a filled square of another colour.
    """
    ax = style.titled(ax, "Boards that are not like most, over time", 11.0, 3.8)
    x = range(1, len(chart.groups) + 1)
    handles = [
        *ax.plot(
            x, [g.share for g in chart.groups], color=style.BLUE, marker="o", markersize=4, label="share of a group"
        ),
        ax.axhline(chart.centre, color=style.GREY, linewidth=1.2, label=f"all boards: {100 * chart.centre:.1f} %"),
        *ax.step(
            x,
            [g.high for g in chart.groups],
            where="mid",
            color=style.BLACK,
            linestyle="--",
            linewidth=1,
            label="limits of a steady line",
        ),
    ]
    ax.step(x, [g.low for g in chart.groups], where="mid", color=style.BLACK, linestyle="--", linewidth=1)
    if chart.outside:
        out = [(n, g) for n, g in enumerate(chart.groups, 1) if g.outside]
        handles += ax.plot(
            [n for n, _ in out],
            [g.share for _, g in out],
            linestyle="none",
            marker="s",
            markersize=8,
            color=style.VERMILION,
            label="outside",
        )
    ax.set(
        ylim=(-0.01, max(0.05, *(max(g.share, g.high) for g in chart.groups)) * 1.15),
        xlabel="first board of each group: time (UTC)",
        ylabel="share of the boards",
    )
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.xaxis.set_major_locator(MaxNLocator(min(8, len(chart.groups)), integer=True))
    ax.xaxis.set_major_formatter(lambda value, _: _first(chart, round(value)))
    ax.grid(alpha=0.25, axis="y")
    style.legend_below(ax, handles, columns=4)
    return ax


def _first(chart: ControlChart, number: int) -> str:
    if not 1 <= number <= len(chart.groups):
        return ""
    return chart.groups[number - 1].first[:16].replace("T", "\n")
