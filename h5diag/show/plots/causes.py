"""Many boards at a glance: which cause stands where on which board?"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from h5diag.judge import BoardDiagnosis, Status
from h5diag.show.plots import style

LOOKS = {
    Status.SUPPORTED: style.Look("#F6B48F", "///", style.VERMILION, "S  supported"),
    Status.POSSIBLE: style.Look("#FBE9A9", "...", style.ORANGE, "p  possible"),
    Status.EXCLUDED: style.Look("#D6E9F5", "", style.BLUE, "–  excluded"),
    Status.NOT_TESTED: style.Look(style.PAPER, "", "#B5B5B5", "   not tested"),
}


def plot_causes(boards: Sequence[BoardDiagnosis], *, ax: Axes | None = None) -> Axes:
    """Draw causes against boards, the cause that most boards share on top.

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
    causes = sorted(weights, key=lambda id: -weights[id])
    if ax is None:
        ax = style.new_axes(max(6.0, 3.2 + 1.5 * len(boards)), 1.6 + 0.3 * max(1, len(causes)))
    style.tidy(ax, "Causes against boards")
    for x, b in enumerate(boards):
        for h in b.verdict.hypotheses:
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
    ax.set_ylim(len(causes) - 0.45, -0.55)
    ax.set_yticks(range(len(causes)), causes, fontsize=9)
    ax.set_xticks(
        range(len(boards)),
        [style.plain(b.name, 22) for b in boards],
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
