"""A control chart of a lot: does the share of boards that deviate stay what it was, or did something begin one day?

The chart for proportions (p-chart): NIST/SEMATECH e-Handbook of Statistical Methods, section 6.3.3.2. Its limits are
those of the binomial distribution itself, as few boards of a lot deviate and the usual three sigma of the normal one
would cry wolf there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

GROUP, GROUPS = 20, 40
"""Boards of a group at least, and groups of a chart at most: fewer boards tell nothing, more points nobody reads."""

LEAST_GROUPS = 3
"""Groups of which one can be unlike the others."""

TAIL = 0.00135
"""Chance on either side that a steady line leaves its limits: what three sigma are of a normal distribution."""


@dataclass(frozen=True, slots=True)
class Group:
    """Boards that follow each other in time.

    Parameters
    ----------
    first, last
        ISO 8601 times of the first and the last of them.
    boards, deviating
        How many there are, and how many of them deviate.
    low, high
        Shares between which a steady line stays, both included.
    """

    first: str
    last: str
    boards: int
    deviating: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """Share of the boards that deviate."""
        return self.deviating / self.boards

    @property
    def outside(self) -> bool:
        """Whether a steady line would hardly show that."""
        return not self.low <= self.share <= self.high


@dataclass(frozen=True, slots=True)
class ControlChart:
    """Groups of boards in the order of time, and `centre`, the share of all boards that deviates."""

    centre: float
    groups: tuple[Group, ...]

    @property
    def outside(self) -> tuple[Group, ...]:
        """The groups outside of their limits."""
        return tuple(g for g in self.groups if g.outside)


def control_chart(boards: Sequence[tuple[str, bool]]) -> ControlChart | None:
    """Return the chart of boards, each with its ISO 8601 time (all in one zone) and whether it deviates.

    None where there are too few boards for a chart, or all have one time.
    """
    ordered = sorted(boards, key=lambda b: b[0])
    size = max(GROUP, -(-len(ordered) // GROUPS))
    if len(ordered) < LEAST_GROUPS * size or ordered[0][0] == ordered[-1][0]:
        return None
    centre = sum(deviates for _, deviates in ordered) / len(ordered)
    groups = []
    count = len(ordered) // size
    for n in range(count):
        some = ordered[n * size : (n + 1) * size if n + 1 < count else None]
        low, high = limits(len(some), centre)
        groups.append(Group(some[0][0], some[-1][0], len(some), sum(d for _, d in some), low, high))
    return ControlChart(centre, tuple(groups))


@lru_cache(maxsize=4)
def limits(boards: int, share: float) -> tuple[float, float]:
    """Return the lowest and the highest share that a group of so many boards of a steady line has, both included."""
    if not 0 < share < 1:
        return share, share
    k = np.arange(boards + 1)
    factorial = np.array([math.lgamma(i + 1) for i in range(boards + 1)])
    logs = factorial[-1] - factorial - factorial[::-1] + k * math.log(share) + (boards - k) * math.log1p(-share)
    chance = np.exp(logs)
    below = np.cumsum(chance)  # of at most k
    above = np.cumsum(chance[::-1])[::-1]  # of at least k
    return float(k[below > TAIL][0] / boards), float(k[above > TAIL][-1] / boards)
