"""The look that all plots share: colours that colour-blind people tell apart, hatches as a second channel, hex axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import Container
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter, MultipleLocator

# Okabe and Ito, "Color Universal Design" (2008); every colour comes with a hatch or a marker of its own.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE, GREY = "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#8C8C8C"
PAPER, INK, PALE = "#FFFFFF", "#1A1A1A", "#F4F4F4"
PLATE = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.0, "alpha": 0.9}
"""What lies under words that stand on a pattern, so that they can be read."""


@dataclass(frozen=True, slots=True)
class Style:
    """How one kind of thing is drawn: face colour, hatch, colour of the hatch, and its name in the legend."""

    face: str
    hatch: str
    line: str
    label: str

    def box(self, ax: Axes, x: float, y: float, width: float, height: float, **how: Any) -> None:
        """Draw a rectangle of this kind from its lower left corner on; `how` changes what Matplotlib is told of it."""
        looks: dict[str, Any] = {"facecolor": self.face, "edgecolor": self.line, "hatch": self.hatch, "linewidth": 0.8}
        ax.add_patch(Rectangle((x, y), width, height, **looks | how))

    def key(self, label: str = "") -> Patch:
        """Return what stands for it in a legend."""
        return Patch(facecolor=self.face, hatch=self.hatch, edgecolor=self.line, label=label or self.label)


def new_axes(width: float = 11.0, height: float = 4.0) -> Axes:
    """Return the axes of a new figure of that size in inches; no global state of matplotlib is touched."""
    return Figure(figsize=(width, height), layout="constrained", facecolor=PAPER).add_subplot(facecolor=PAPER)


def hex_axis(ax: Axes, which: str = "x", *, digits: int = 8) -> None:
    """Write the numbers of an axis as hex, and in the toolbar too."""
    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: hex_text(value, digits)))


def hex_locator(width: int) -> MultipleLocator:
    """Return ticks at round hex numbers, at most eight of them."""
    return MultipleLocator(1 << max((width // 8).bit_length(), 2))


def hex_text(value: float, digits: int = 8) -> str:
    """Return an address in hex."""
    number = round(value)
    return f"-0x{-number:0{digits}X}" if number < 0 else f"0x{number:0{digits}X}"


def tidy(ax: Axes, title: str, *, pad: float = 6.0) -> None:
    """Give a plot its title, `pad` points above it, and take away the lines that say nothing."""
    ax.set_title(title, loc="left", fontsize=12, fontweight="bold", color=INK, pad=pad)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.tick_params(labelsize=8.5, colors=INK)
    ax.xaxis.label.set_fontsize(8.5)
    ax.yaxis.label.set_fontsize(9)


def slanted(ax: Axes, at: Sequence[float], labels: Sequence[str], rotation: int = 55) -> None:
    """Write addresses under the x axis, slanted so that they do not run into each other."""
    ax.set_xticks(at, labels, rotation=rotation, ha="right", rotation_mode="anchor", family="monospace")


def named_rows(ax: Axes, at: Sequence[float], names: Sequence[str]) -> None:
    """Write the names of rows beside them, without ticks."""
    ax.set_yticks(at, names, fontsize=9)
    ax.tick_params(axis="y", length=0)


def titled(ax: Axes | None, title: str, width: float, height: float, *, pad: float = 6.0) -> Axes:
    """Return the axes to draw on, tidied: those that were given, or a new figure's of that size in inches."""
    ax = ax or new_axes(width, height)
    tidy(ax, title, pad=pad)
    return ax


def words(ax: Axes, x: float, y: float, text: str, size: float = 8.5, **how: Any) -> None:
    """Write a text with its middle at a place; `how` changes what Matplotlib is told of it."""
    looks: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": size, "color": INK}
    ax.text(x, y, text, **looks | how)


def nothing(ax: Axes, why: str) -> Axes:
    """Return the axes with a sentence in the place of a picture that has nothing to show."""
    ax.set_axis_off()
    words(ax, 0.5, 0.5, why, 10, transform=ax.transAxes)
    return ax


def plain(text: str, most: int = 60) -> str:
    """Return a stranger's text fit for a plot: one line, and no dollar sign that would start a formula."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    line = line if len(line) <= most else line[: most - 1] + "…"
    return line.replace("$", r"\$")


def legend_below(ax: Axes, handles: Sequence[Artist | Container], *, columns: int) -> None:
    """Put the legend under the plot, where it covers nothing."""
    figure = ax.get_figure(root=True)
    entries: Any = list(handles)
    if figure is None or len(figure.axes) > 1:
        ax.legend(handles=entries, fontsize=8.5, ncols=columns, frameon=False)
        return
    figure.legend(
        handles=entries,
        loc="outside lower left",
        ncols=min(columns, len(handles)),
        frameon=False,
        fontsize=9,
        handlelength=2.6,
        handleheight=1.3,
    )
