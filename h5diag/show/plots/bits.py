"""Which bits differ, sector by sector: did they rise or fall?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

from h5diag.judge import BoardDiagnosis, Measured
from h5diag.memory import AddressRange
from h5diag.show.plots import style
from h5diag.show.plots.causes import board_names
from h5diag.show.spans import bits_by_sector
from h5diag.text import size_text

Rows = tuple[tuple[AddressRange, int, int], ...]

MOST_NAMED = 24
MOST_COLUMNS = 512
"""More sectors than any internal flash has are drawn several to a column: each column is a shape of its own."""


def plot_bits(board: BoardDiagnosis | Measured, *, ax: Axes | None = None) -> Axes:
    """Draw how many bits rose (0 in what the board is held against, 1 here) and fell in each sector that differs.

    Parameters
    ----------
    board
        The diagnosis of a board, or its measurements alone.
    ax
        Where to draw; a new figure when left out.

    Returns
    -------
    Axes
        One column a sector; counts grow by the square root so that two bits still show beside thousands.
    """
    m = board.measured if isinstance(board, BoardDiagnosis) else board
    rows, reference = bits_by_sector(m), m.reference
    wide = m.chip.flash.sector_size
    while len(rows) > MOST_COLUMNS:
        wide *= 2
        rows = _blocks(rows, wide)
    where = f"in {style.plain(reference.name, 30)}" if reference.is_file else "on the good board"
    ax = style.titled(ax, "Which bits differ, by sector", 11.5, 3.6)
    if not rows:
        none = "no bit differs where it was compared" if reference.dump.size else "there is nothing to compare it with"
        return style.nothing(ax, none)
    at = list(range(len(rows)))
    risen, fallen = [r[1] for r in rows], [-r[2] for r in rows]
    bars = [
        ax.bar(
            at,
            risen,
            width=0.72,
            facecolor=style.SKY,
            edgecolor=style.BLUE,
            hatch="///",
            label=f"rose: 0 {where}, 1 here (as erasing does)",
        ),
        ax.bar(
            at,
            fallen,
            width=0.72,
            facecolor="#F6B48F",
            edgecolor=style.VERMILION,
            hatch="\\\\\\",
            label=f"fell: 1 {where}, 0 here (as programming does)",
        ),
    ]
    ax.set_yscale("function", functions=(_root, _square))
    high = max(max(risen), -min(fallen), 4)
    ax.set_ylim(-1.35 * high if min(fallen) else -0.2 * high, 1.35 * high if max(risen) else 0.2 * high)
    if len(rows) <= MOST_NAMED:
        for x, up, down in zip(at, risen, fallen, strict=True):
            for value, side in ((up, "bottom"), (down, "top")):
                if value:
                    ax.annotate(
                        f"{abs(value):,}",
                        (x, value),
                        (0, 2 if value > 0 else -2),
                        ha="center",
                        va=side,
                        textcoords="offset points",
                        fontsize=8.5,
                    )
    ax.set_xlim(-0.6, max(len(rows), 6) - 0.4)
    step = -(-len(rows) // MOST_NAMED)
    ax.set_xticks(
        at[::step],
        [style.hex_text(r[0].start) for r in rows[::step]],
        rotation=55,
        ha="right",
        rotation_mode="anchor",
        family="monospace",
    )
    ax.axhline(0, color=style.INK, linewidth=0.9)
    ax.yaxis.set_major_locator(MaxNLocator(5))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{abs(value):,.0f}"))
    ax.set_ylabel("bits (square-root scale)", fontsize=9)
    ax.set_xlabel(
        f"{'sector' if wide == m.chip.flash.sector_size else 'sectors'}, {wide // 1024} KiB each, by its first address;"
        " masked sectors are left out",
        fontsize=8.5,
    )
    style.legend_below(ax, bars, columns=2)
    return ax


def _blocks(rows: Rows, size: int) -> Rows:
    """Return the sums of blocks of several sectors."""
    sums: dict[int, list[int]] = {}
    for r, risen, fallen in rows:
        block = sums.setdefault(r.start - r.start % size, [0, 0])
        block[0] += risen
        block[1] += fallen
    return tuple((AddressRange(at, at + size), up, down) for at, (up, down) in sums.items())


def plot_boards(boards: Sequence[BoardDiagnosis], *, ax: Axes | None = None) -> Axes:
    """Draw many boards on one scale: a mark for each sector that differs, the larger and darker the more bits do.

    Parameters
    ----------
    boards
        The first one is the one that stands out.
    ax
        Where to draw; a new figure when left out.

    Returns
    -------
    Axes
        One row a board, addresses to the right; what a reader was not shown is grey.
    """
    ax = style.titled(ax, "Bits that differ from the good board, by sector", 11.5, 1.7 + 0.5 * max(1, len(boards)))
    found = [bits_by_sector(b.measured) for b in boards]
    most = max((up + down for rows in found for _, up, down in rows), default=1)
    flash = max((b.measured.chip.flash_range for b in boards), key=lambda r: r.size)
    for y, (b, rows) in enumerate(zip(boards, found, strict=True)):
        for hidden in b.measured.suspect.masked:
            ax.broken_barh(
                [(hidden.start, hidden.size)],
                (y - 0.36, 0.72),
                facecolor="#DDDDDD",
                hatch="\\\\\\",
                edgecolor="#9a9a9a",
            )
        counts = np.array([up + down for _, up, down in rows], float)
        share = np.log1p(counts) / np.log1p(most)
        ax.scatter(
            [r.start + r.size / 2 for r, _, _ in rows],
            [y] * len(rows),
            s=20 + 180 * share,
            c=share,
            cmap="Oranges",
            vmin=-0.3,
            vmax=1,
            marker="s" if y else "D",
            edgecolors=style.VERMILION,
            linewidths=1.0,
            zorder=3,
        )
    ax.set_xlim(flash.start, flash.stop)
    ax.set_ylim(len(boards) - 0.5, -0.5)
    sizes = [size_text(b.measured.comparison.differing_bytes) for b in boards]
    labels = [f"{name}: {size}" for name, size in zip(board_names(boards), sizes, strict=True)]
    ax.set_yticks(range(len(boards)), [f"▶ {t}" if not n else t for n, t in enumerate(labels)], fontsize=9)
    if boards:
        ax.get_yticklabels()[0].set_fontweight("bold")
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_locator(MultipleLocator(max(flash.size // 8, 1)))
    style.hex_axis(ax)
    ax.set_xlabel(
        f"address; the largest mark: {most:,} bits of a sector; hatched: not shown to the reader", fontsize=8.5
    )
    return ax


def _root(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return np.sign(values) * np.sqrt(np.abs(values))


def _square(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return np.sign(values) * np.square(values)
