"""Boards as bars: which bits differ, what the evidence says of each cause, and many boards at a glance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

from h5diag.judge import BoardDiagnosis, Measured, Status
from h5diag.judge.weighing import load_table
from h5diag.memory import AddressRange
from h5diag.show.plots import style
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
    step = -(-len(rows) // MOST_NAMED)
    style.slanted(ax, at[::step], [style.hex_text(r[0].start) for r in rows[::step]])
    ax.axhline(0, color=style.INK, linewidth=0.9)
    ax.yaxis.set_major_locator(MaxNLocator(5))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{abs(value):,.0f}"))
    ax.set(
        xlim=(-0.6, max(len(rows), 6) - 0.4),
        ylim=(-1.35 * high if min(fallen) else -0.2 * high, 1.35 * high if max(risen) else 0.2 * high),
        xlabel=f"{'sector' if wide == m.chip.flash.sector_size else 'sectors'}, {wide // 1024} KiB each,"
        " by its first address; masked sectors are left out",
        ylabel="bits (square-root scale)",
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
        share = np.log1p(np.array([up + down for _, up, down in rows], float)) / np.log1p(most)
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
    sizes = [size_text(b.measured.comparison.differing_bytes) for b in boards]
    labels = [f"{name}: {size}" for name, size in zip(board_names(boards), sizes, strict=True)]
    style.named_rows(ax, range(len(boards)), [f"▶ {t}" if not n else t for n, t in enumerate(labels)])
    for first in ax.get_yticklabels()[:1]:
        first.set_fontweight("bold")
    ax.xaxis.set_major_locator(MultipleLocator(max(flash.size // 8, 1)))
    style.hex_axis(ax)
    ax.set(
        xlim=(flash.start, flash.stop),
        ylim=(len(boards) - 0.5, -0.5),
        xlabel=f"address; the largest mark: {most:,} bits of a sector; hatched: not shown to the reader",
    )
    return ax


def _root(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return np.sign(values) * np.sqrt(np.abs(values))


def _square(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return np.sign(values) * np.square(values)


LOOKS = {
    Status.SUPPORTED: style.Style("#F6B48F", "///", style.VERMILION, "S  supported"),
    Status.POSSIBLE: style.Style("#FBE9A9", "...", style.ORANGE, "p  possible"),
    Status.EXCLUDED: style.Style("#D6E9F5", "", style.BLUE, "–  excluded"),
    Status.NOT_TESTED: style.Style(style.PAPER, "", "#B5B5B5", "   not tested"),
}


MOST_BARS, MOST_EXCLUDED = 14, 4
"""Causes that get a bar, and how many of them that are excluded: what speaks against the others is in the table."""


def plot_weighing(board: BoardDiagnosis, *, ax: Axes | None = None) -> Axes:
    """Draw how far the evidence moved each cause: a bar in decibans from where it stood before to where it stands now.

    Parameters
    ----------
    board
        The diagnosis of a board. Causes that no evidence touched have no bar.
    ax
        Where to draw; a new figure when left out.
    """
    moved = [h for h in board.verdict.hypotheses if h.status is not Status.NOT_TESTED]
    ordered = sorted(moved, key=lambda h: -h.score)
    open_, out = ([h for h in ordered if (h.status is Status.EXCLUDED) is x] for x in (False, True))
    shown = [*open_[: MOST_BARS - MOST_EXCLUDED], *out[:MOST_EXCLUDED]]
    left_out = len(moved) - len(shown)
    ax = style.titled(ax, "How far the evidence moves each cause", 11.0, 1.5 + 0.26 * max(2, len(shown)), pad=18)
    lines = load_table()
    marks = ((lines.supported_at, "supported from here"), (lines.excluded_at, "excluded from here"))
    ends = [0, *(at for at, _ in marks), *(h.score for h in shown), *(h.cause.prior for h in shown)]
    room = 0.09 * (max(ends) - min(ends))
    for y, h in enumerate(shown):
        look = LOOKS[h.status]
        begin, up = h.cause.prior, h.score >= h.cause.prior
        ax.barh(
            y,
            h.score - begin,
            0.66,
            left=begin,
            facecolor=look.face,
            edgecolor=look.line,
            hatch=look.hatch,
            linewidth=0.8,
            zorder=2,
        )
        ax.plot([begin, begin], [y - 0.42, y + 0.42], color=style.INK, linewidth=2.0, zorder=4)
        ax.annotate(
            f"{h.score:+d}",
            (h.score, y),
            (4 if up else -4, 0),
            textcoords="offset points",
            ha="left" if up else "right",
            va="center",
            fontsize=8.5,
            fontweight="normal" if h.status is Status.EXCLUDED else "bold",
        )
    for at, words in marks:
        ax.axvline(at, color=style.GREY, linestyle=(0, (4, 3)), linewidth=0.9, zorder=1)
        ax.annotate(
            words,
            (at, 1.0),
            (0, 1),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            fontsize=8,
            ha="left" if at > 0 else "right",
            va="bottom",
            color="#555555",
        )
    ax.axvline(0, color=style.GREY, linewidth=0.8, zorder=1)
    style.named_rows(ax, range(len(shown)), [h.cause.name for h in shown])
    for label, h in zip(ax.get_yticklabels(), shown, strict=True):
        label.set_fontweight("bold" if h in board.verdict.leading else "normal")
    rest = f"; {left_out} more causes stand lower" if left_out else ""
    ax.set(
        xlim=(min(ends) - room, max(ends) + room),
        ylim=(max(len(shown), 1) - 0.4, -0.6),
        xlabel=f"decibans: +10 is ten times more likely, -10 ten times less; black line: before the evidence{rest}",
    )
    used = [k for k in LOOKS if any(h.status is k for h in shown)]
    style.legend_below(ax, [LOOKS[k].key(k.value) for k in used], columns=3)
    return ax


def board_names(boards: Sequence[BoardDiagnosis]) -> list[str]:
    """Return the names of boards as a plot writes them; two that are called the same are told apart by their cases."""
    names = [b.name for b in boards]
    return [
        style.plain(f"{name} ({case})" if names.count(name) > 1 else name, 40)
        for name, case in zip(names, [b.measured.case.folder.name for b in boards], strict=True)
    ]


def plot_causes(boards: Sequence[BoardDiagnosis], *, ax: Axes | None = None) -> Axes:
    """Draw causes against boards, the cause that most boards share on top; what stands on none of them has no row.

    Parameters
    ----------
    boards
        Diagnoses, in the order of the columns.
    ax
        Where to draw; a new figure when left out.
    """
    rank = {Status.SUPPORTED: 100, Status.POSSIBLE: 1}
    weights: dict[str, int] = {}
    for b in boards:
        for h in b.verdict.hypotheses:
            weights[h.id] = weights.get(h.id, 0) + rank.get(h.status, 0)
    causes = [id for id in sorted(weights, key=lambda id: -weights[id]) if weights[id]]
    names = {h.id: h.cause.name for b in boards for h in b.verdict.hypotheses}
    ax = style.titled(ax, "Causes against boards", max(6.0, 3.2 + 1.5 * len(boards)), 1.6 + 0.3 * max(1, len(causes)))
    for x, b in enumerate(boards):
        for h in (h for h in b.verdict.hypotheses if h.id in causes):
            look, y = LOOKS[h.status], causes.index(h.id)
            look.box(ax, x - 0.48, y - 0.46, 0.96, 0.92, linewidth=0.7)
            if letter := look.label[0].strip():
                style.words(ax, x, y, letter, 9, fontweight="bold", bbox=style.PLATE)
    ax.set(xlim=(-0.55, len(boards) - 0.45), ylim=(max(len(causes), 1) - 0.45, -0.55))
    style.named_rows(ax, range(len(causes)), [names[id] for id in causes])
    if left_out := len(weights) - len(causes):
        ax.set_xlabel(f"{left_out} more causes are excluded or not tested on every board")
    ax.set_xticks(range(len(boards)), board_names(boards), rotation=20, ha="right", rotation_mode="anchor", fontsize=9)
    ax.tick_params(length=0)
    style.legend_below(ax, [k.key() for k in LOOKS.values()], columns=4)
    return ax
