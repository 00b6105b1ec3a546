"""The stretches of the dump that hold content and belong to no region yet."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from h5diag.measure.locate.fill import BLOCK, Flags, Numbers, barriers
from h5diag.measure.locate.sides import Side

SHORTEST = 24
"""Stretches below this many bytes are not searched any more."""


class Free:
    """Sorted, disjoint stretches of positions in the dump; a piece never leaves the stretch of its seed."""

    def __init__(self, starts: list[int], stops: list[int]) -> None:
        self.starts, self.stops = starts, stops

    @classmethod
    def of(cls, side: Side, fill: Flags) -> Free:
        """Return what lies between the barriers of fill, cut at the borders of the segments."""
        first, last = barriers(side, fill)
        starts: list[int] = []
        stops: list[int] = []
        # A border between segments is a barrier of no length.
        edges = sorted(list(zip(first.tolist(), last.tolist(), strict=True)) + [(c, c) for c in side.starts])
        at = 0
        for a, b in edges:
            if a > at:
                starts.append(at)
                stops.append(a)
            at = max(at, b)
        return cls(starts, stops)

    def give_back(self, other: Free) -> None:
        """Become like `other`."""
        self.starts[:], self.stops[:] = other.starts, other.stops

    def find(self, position: int) -> int:
        """Return the number of the stretch that holds `position`, -1 when there is none."""
        i = bisect_right(self.starts, position) - 1
        return i if i >= 0 and position < self.stops[i] else -1

    def within(self, start: int, stop: int) -> int:
        """Return how many bytes of ``[start, stop)`` are free."""
        i, total = bisect_right(self.stops, start), 0
        while i < len(self.starts) and self.starts[i] < stop:
            total += min(self.stops[i], stop) - max(self.starts[i], start)
            i += 1
        return total

    def take(self, start: int, stop: int) -> None:
        """Remove ``[start, stop)``, which lies in one stretch."""
        i = self.find(start)
        left, right = self.starts[i], self.stops[i]
        starts = ([left] if start > left else []) + ([stop] if stop < right else [])
        stops = ([start] if start > left else []) + ([right] if stop < right else [])
        self.starts[i : i + 1], self.stops[i : i + 1] = starts, stops

    def worth_searching(self) -> tuple[Numbers, Numbers]:
        """Return start and stop of the stretches of at least `SHORTEST` bytes."""
        start, stop = np.array(self.starts, np.int64), np.array(self.stops, np.int64)
        long = stop - start >= SHORTEST
        return start[long], stop[long]

    def content(self) -> int:
        """Return how many bytes are worth searching."""
        start, stop = self.worth_searching()
        return int((stop - start).sum())

    def blocks(self, size: int, fill: Flags) -> Flags:
        """Return the blocks without fill that touch a stretch worth searching."""
        out = np.zeros(-(-size // BLOCK), np.bool_)
        start, stop = self.worth_searching()
        for a, b in zip((start // BLOCK).tolist(), ((stop - 1) // BLOCK + 1).tolist(), strict=True):
            out[a:b] = True
        out[fill] = False
        return out

    def bounds(self, positions: Numbers) -> tuple[Numbers, Numbers, Flags]:
        """Return start and stop of the stretch of each position, and whether it lies in one."""
        if not self.starts:
            none = np.zeros(positions.size, np.int64)
            return none, none, np.zeros(positions.size, np.bool_)
        start, stop = np.array(self.starts, np.int64), np.array(self.stops, np.int64)
        i = np.maximum(np.searchsorted(start, positions, "right") - 1, 0)
        return start[i], stop[i], (positions >= start[i]) & (positions < stop[i])
