"""Two views of a flash test: which sector failed with which kind of fault, and at which bit."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from h5diag.case.results import FlashTest
from h5diag.show.plots import style
from h5diag.text import size_text

LOOKS = {
    "good": style.Style("#CFE8DD", "", style.GREEN, "good: nothing found"),
    "bad": style.Style("#F6B48F", "xxx", style.VERMILION, "bad: fails here"),
    "untested": style.Style("#E4E4E4", "///", style.GREY, "not tested: nothing is said"),
}
_COLUMNS, MOST_NAMED = 32, 24
_BITS = 32


def plot_sectors(result: FlashTest, *, ax: Axes | None = None) -> Axes:
    """Draw every sector of the range by its verdict, and a row of marks for each kind of fault that was found.

    Parameters
    ----------
    result
        Of a flash test.
    ax
        Where to draw; a new figure when left out.

    Returns
    -------
    Axes
        One column a sector (for long ranges each column is several, shown as the worst of them), one row a kind.
    """
    per = -(-len(result.sectors) // (4 * _COLUMNS))
    columns = [result.sectors[i : i + per] for i in range(0, len(result.sectors), per)]
    kinds = list(dict.fromkeys(f.kind for f in result.faults))
    ax = style.titled(ax, "The flash test, sector by sector", 11.0, 2.4 + 0.4 * len(kinds))
    order = ("bad", "untested", "good")
    for x, group in enumerate(columns):
        verdict = min((s.verdict for s in group), key=order.index)
        LOOKS[verdict].box(ax, x + 0.04, 0.1, 0.92, 0.8)
        for row, kind in enumerate(kinds, 1):
            if n := sum(f.kind == kind for s in group for f in s.faults):
                LOOKS[verdict].box(ax, x + 0.04, row + 0.1, 0.92, 0.8, hatch="")
                if len(columns) <= MOST_NAMED:
                    style.words(ax, x + 0.5, row + 0.5, str(n))
    ax.set_yticks([i + 0.5 for i in range(len(kinds) + 1)], ["verdict", *kinds])
    step = -(-len(columns) // 16)
    named = range(0, len(columns), step)
    style.slanted(ax, [i + 0.5 for i in named], [style.hex_text(columns[i][0].start) for i in named])
    each = size_text(result.sector_size) if result.sector_size else "one"
    ax.set(
        xlim=(0, max(len(columns), 4)),
        ylim=(len(kinds) + 1, 0),
        xlabel=f"sector, {each} each" + (f"; {per} in a column" if per > 1 else "") + ", by its first address",
    )
    style.legend_below(ax, [k.key() for v, k in LOOKS.items() if result.counted(v)], columns=3)
    return ax


def plot_fault_bits(result: FlashTest, *, ax: Axes | None = None) -> Axes:
    """Draw how many faults sit at each bit of the 32-bit word: a line of the data path shows as one high bar.

    Parameters
    ----------
    result
        Of a flash test.
    ax
        Where to draw; a new figure when left out.

    Returns
    -------
    Axes
        Bits 31 to 0 from left to right; faults whose bit is not known (below the ECC, whole sectors) are counted in
        the title.
    """
    known = [f for f in result.faults if f.bit is not None]
    without = len(result.faults) - len(known)
    more = f" ({without} more have no known bit)" if without else ""
    ax = style.titled(ax, f"Faults by bit of the word{more}", 9.0, 2.8)
    if not known:
        return style.nothing(ax, "no fault with a known bit")
    falls, rises = [0] * _BITS, [0] * _BITS
    for f in known:
        (rises if f.kind == "stuck-at-1" else falls)[(f.bit or 0) % _BITS] += 1
    at = list(range(_BITS))
    bars = [
        ax.bar(
            at,
            falls,
            width=0.8,
            facecolor="#F6B48F",
            edgecolor=style.VERMILION,
            hatch="\\\\\\",
            label="other kinds of fault",
        ),
        ax.bar(
            at,
            rises,
            width=0.8,
            bottom=falls,
            facecolor=style.SKY,
            edgecolor=style.BLUE,
            hatch="///",
            label="stuck-at-1",
        ),
    ]
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(
        xlim=(_BITS - 0.4, -0.6),
        xticks=range(0, _BITS, 4),
        xlabel="bit of the word (0 is the lowest)",
        ylabel="faults",
    )
    style.legend_below(ax, bars, columns=2)
    return ax
