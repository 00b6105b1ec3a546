"""An address axis that gives room to what was read: gaps are cut short, long stretches grow slowly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from h5diag.memory import AddressRange, merged

GAP_WIDTH = 1.6
_KIB = 1024


@dataclass(frozen=True, slots=True)
class CondensedAxis:
    """Addresses against places on the paper, linear between the breaks.

    Parameters
    ----------
    breaks
        Addresses, ascending.
    places
        Where they stand on the paper, ascending.
    gaps
        Ranges that were cut short because nothing there was read.
    """

    breaks: tuple[int, ...]
    places: tuple[float, ...]
    gaps: tuple[AddressRange, ...]

    def place(self, address: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the place of an address; beyond the ends the last slope goes on."""
        return _extended(np.asarray(address, float), self.breaks, self.places)

    def address(self, place: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the address at a place."""
        return _extended(np.asarray(place, float), self.places, self.breaks)

    def width(self, r: AddressRange) -> float:
        """Return the share of the whole width that a range takes, 0 to 1."""
        a, b = self.place([r.start, r.stop])
        return float((b - a) / (self.places[-1] - self.places[0]))

    def apply(self, ax: Axes) -> None:
        """Make it the x axis of a plot: data coordinates stay addresses."""
        ax.set_xscale("function", functions=(self.place, self.address))
        ax.set_xlim(self.breaks[0], self.breaks[-1])


def condensed_axis(shown: Iterable[AddressRange], edges: Iterable[int]) -> CondensedAxis:
    """Return the axis for what is shown.

    Parameters
    ----------
    shown
        What was read; everything else becomes a gap.
    edges
        Addresses where something begins or ends; between two of them the axis is linear.
    """
    kept = merged(shown)
    if not kept:
        return CondensedAxis((0, 1), (0.0, 1.0), ())
    inner = {e for e in edges if any(r.start < e < r.stop for r in kept)}
    breaks = sorted({*inner, *(r.start for r in kept), *(r.stop for r in kept)})
    gaps = [AddressRange(a.stop, b.start) for a, b in pairwise(kept)]
    starts = {g.start for g in gaps}
    widths = [GAP_WIDTH if a in starts else max(0.5, ((b - a) / _KIB) ** 0.38) for a, b in pairwise(breaks)]
    places = np.concatenate(([0.0], np.cumsum(widths)))
    return CondensedAxis(tuple(breaks), tuple(places.tolist()), tuple(gaps))


def chosen_ticks(axis: CondensedAxis, wanted: Sequence[int], *, apart: float = 0.021) -> list[int]:
    """Return those of the wanted addresses, first come first served, that stand far enough from each other."""
    total = axis.places[-1] - axis.places[0]
    taken: list[int] = []
    for address in wanted:
        here = float(axis.place(address))
        if axis.breaks[0] <= address <= axis.breaks[-1] and all(
            abs(here - float(axis.place(t))) >= apart * total for t in taken
        ):
            taken.append(address)
    return sorted(taken)


def _extended(x: npt.NDArray[np.float64], xs: Sequence[float], ys: Sequence[float]) -> npt.NDArray[np.float64]:
    a, b = np.asarray(xs, float), np.asarray(ys, float)
    out = np.array(np.interp(x, a, b), float)
    low, high = (b[1] - b[0]) / (a[1] - a[0]), (b[-1] - b[-2]) / (a[-1] - a[-2])
    out[x < a[0]] = (b[0] + (x - a[0]) * low)[x < a[0]]
    out[x > a[-1]] = (b[-1] + (x - a[-1]) * high)[x > a[-1]]
    return out
