"""The weighing as bars, and many boards at a glance: which cause stands where on which board?"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from h5diag.judge import BoardDiagnosis, Status
from h5diag.judge.weighing import load_table
from h5diag.show.plots import style

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
    ax.set_xlim(min(ends) - room, max(ends) + room)
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
    ax.set_ylim(max(len(shown), 1) - 0.4, -0.6)
    ax.set_yticks(range(len(shown)), [h.cause.name for h in shown], fontsize=9)
    for label, h in zip(ax.get_yticklabels(), shown, strict=True):
        label.set_fontweight("bold" if h in board.verdict.leading else "normal")
    ax.tick_params(axis="y", length=0)
    rest = f"; {left_out} more causes stand lower" if left_out else ""
    ax.set_xlabel(
        f"decibans: +10 is ten times more likely, -10 ten times less; black line: before the evidence{rest}", fontsize=9
    )
    used = [k for k in LOOKS if any(h.status is k for h in shown)]
    style.legend_below(
        ax,
        [Patch(facecolor=LOOKS[k].face, hatch=LOOKS[k].hatch, edgecolor=LOOKS[k].line, label=k.value) for k in used],
        columns=3,
    )
    return ax


def board_names(boards: Sequence[BoardDiagnosis]) -> list[str]:
    """Return the names of boards as a plot writes them; two that are called the same are told apart by their cases."""
    names = [b.name for b in boards]
    cases = [b.measured.case.folder.name for b in boards]
    return [
        style.plain(f"{name} ({case})" if names.count(name) > 1 else name, 40)
        for name, case in zip(names, cases, strict=True)
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
            ax.add_patch(
                Rectangle(
                    (x - 0.48, y - 0.46),
                    0.96,
                    0.92,
                    facecolor=look.face,
                    edgecolor=look.line,
                    hatch=look.hatch,
                    linewidth=0.7,
                )
            )
            if letter := look.label[0].strip():
                ax.text(
                    x,
                    y,
                    letter,
                    ha="center",
                    va="center",
                    fontsize=9,
                    fontweight="bold",
                    bbox={"facecolor": style.PAPER, "edgecolor": "none", "pad": 1.0, "alpha": 0.9},
                )
    ax.set_xlim(-0.55, len(boards) - 0.45)
    ax.set_ylim(max(len(causes), 1) - 0.45, -0.55)
    ax.set_yticks(range(len(causes)), [names[id] for id in causes], fontsize=9)
    left_out = len(weights) - len(causes)
    if left_out:
        ax.set_xlabel(f"{left_out} more causes are excluded or not tested on every board", fontsize=8.5)
    ax.set_xticks(
        range(len(boards)),
        board_names(boards),
        rotation=20,
        ha="right",
        rotation_mode="anchor",
        fontsize=9,
    )
    ax.tick_params(length=0)
    style.legend_below(
        ax, [Patch(facecolor=k.face, hatch=k.hatch, edgecolor=k.line, label=k.label) for k in LOOKS.values()], columns=4
    )
    return ax
