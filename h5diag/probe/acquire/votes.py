"""Repeated reads put together: what agrees is kept once, what disagrees is kept with every reading.

Memory stays near the size of the dump: one byte and a quarter per byte, and all readings only of blocks that disagree.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from h5diag.memory import AddressRange, Bytes, merged

BLOCK = 1024
_MOST = 255


class _Tally:
    """The values that each byte of one block was read as, and how often: ``(k, n)`` arrays, as many rows as needed."""

    def __init__(self, value: Bytes, counts: npt.NDArray[np.uint8]) -> None:
        self.values = value.reshape(1, -1).copy()
        self.counts = np.repeat(counts, 4).astype(np.uint16).reshape(1, -1)

    def add(self, start: int, data: Bytes) -> npt.NDArray[np.bool_]:
        """Take a reading of some bytes and return which of them were never read so before."""
        span = slice(start, start + data.size)
        same = (self.values[:, span] == data) & (self.counts[:, span] > 0)
        self.counts[:, span] += same
        new = np.flatnonzero(~same.any(axis=0))
        if not new.size:
            return np.zeros(data.size, np.bool_)
        at = new + start
        known = self.counts[:, at].any(axis=0)
        if (self.counts[:, at] > 0).all(axis=0).any():
            self.values = np.vstack([self.values, np.zeros_like(self.values[:1])])
            self.counts = np.vstack([self.counts, np.zeros_like(self.counts[:1])])
        row = (self.counts[:, at] == 0).argmax(axis=0)
        self.values[row, at] = data[new]
        self.counts[row, at] = 1
        differs = np.zeros(data.size, np.bool_)
        differs[new[known]] = True
        return differs

    def elected(self, span: slice) -> Bytes:
        """Return the value that each byte was read as most often; the first one on a tie."""
        best = self.counts[:, span].argmax(axis=0)
        out: Bytes = np.take_along_axis(self.values[:, span], best[None], axis=0)[0]
        return out

    def lead(self) -> npt.NDArray[np.int64]:
        """Return by how many readings the elected value leads over all others together."""
        counts = self.counts.astype(np.int64)
        lead: npt.NDArray[np.int64] = 2 * counts.max(axis=0) - counts.sum(axis=0)
        return lead


class Votes:
    """Readings of one range of memory.

    Parameters
    ----------
    range
        Word-aligned bus addresses.
    """

    def __init__(self, range: AddressRange) -> None:
        if range.start % 4 or range.stop % 4:
            raise ValueError(f"not whole words: {range}")
        self.range = range
        self.value = np.zeros(range.size, np.uint8)
        self.counts = np.zeros(range.size // 4, np.uint8)
        self._tallies: dict[int, _Tally] = {}
        self._disputed = np.zeros(range.size // 4, np.bool_)
        self._block_reads = 0.0
        self._block_misses = 0

    def add(self, start: int, data: Bytes) -> int:
        """Take a reading of consecutive words and return how many words are newly disputed."""
        at, n = (start - self.range.start) // 4, data.size // 4
        counts, own = self.counts[at : at + n], self.value[4 * at : 4 * (at + n)]
        self._block_reads += data.size / BLOCK
        first, last = 4 * at // BLOCK, (4 * (at + n) - 1) // BLOCK
        tallied = {b for b in range(first, last + 1) if b in self._tallies} if self._tallies else set()
        seen = counts > 0
        fresh = 0
        if tallied or seen.any():
            words = np.ascontiguousarray(data).view("<u4")
            differs = (own.view("<u4") != words) & seen
            for block in sorted(tallied.union(((at + np.flatnonzero(differs)) * 4 // BLOCK).tolist())):
                fresh += self._record(block, at, data)
                tallied.add(block)
            if not seen.all():
                own.view("<u4")[~seen] = words[~seen]
        else:
            own[:] = data
        np.minimum(counts, _MOST - 1, out=counts)
        counts += 1
        for block in tallied:
            a, b = self._overlap(block, at, n)
            self.value[4 * a : 4 * b] = self._tallies[block].elected(self._within(block, a, b))
        return fresh

    def _span(self, block: int) -> tuple[int, int]:
        return block * BLOCK // 4, min((block + 1) * BLOCK // 4, self.counts.size)

    def _overlap(self, block: int, at: int, n: int) -> tuple[int, int]:
        a, b = self._span(block)
        return max(a, at), min(b, at + n)

    def _within(self, block: int, a: int, b: int) -> slice:
        start = 4 * (a - block * BLOCK // 4)
        return slice(start, start + 4 * (b - a))

    def _record(self, block: int, at: int, data: Bytes) -> int:
        """Tally a reading of a block that disagrees; the earlier, equal ones were its first row."""
        a, b = self._span(block)
        if block not in self._tallies:
            self._tallies[block] = _Tally(self.value[4 * a : 4 * b], self.counts[a:b])
        lo, hi = self._overlap(block, at, data.size // 4)
        bad = self._tallies[block].add(4 * (lo - a), data[4 * (lo - at) : 4 * (hi - at)]).reshape(-1, 4).any(axis=1)
        self._block_misses += bool(bad.any())
        fresh = int(np.count_nonzero(bad & ~self._disputed[lo:hi]))
        self._disputed[lo:hi] |= bad
        return fresh

    # ------------------------------------------------------------------------------------------------ results
    @property
    def disputed(self) -> tuple[AddressRange, ...]:
        """The words whose readings disagreed, as ranges."""
        return self._ranges(self._disputed)

    @property
    def disputed_blocks(self) -> tuple[AddressRange, ...]:
        """The blocks that hold them."""
        base = self.range.start
        return merged(AddressRange(base + 4 * a, base + 4 * b) for a, b in map(self._span, self._tallies))

    @property
    def unread(self) -> tuple[AddressRange, ...]:
        """The words that no reading covers, as ranges."""
        return self._ranges(self.counts == 0)

    def settled(self, where: AddressRange) -> bool:
        """Tell whether every byte of the disputed words in `where` has a lead of two readings."""
        base = self.range.start
        for block, tally in self._tallies.items():
            a, b = self._span(block)
            bad = np.repeat(self._disputed[a:b], 4)
            if AddressRange(base + 4 * a, base + 4 * b).overlaps(where) and (tally.lead() < 2)[bad].any():
                return False
        return True

    @property
    def fewest(self) -> int:
        """How often the least-read word that was read at all was read; 0 when nothing was."""
        seen = self.counts[self.counts > 0]
        return int(seen.min()) if seen.size else 0

    @property
    def expected_coincidence(self) -> float:
        """Expected number of blocks that were wrong in the same way in every reading.

        Out of the share of block readings that disagreed, as if wrong readings were independent between passes and
        always alike; it says nothing about faults that repeat.
        """
        if not self._block_misses or not self.fewest:
            return 0.0
        share = min(1.0, self._block_misses / max(1.0, self._block_reads))
        return float(-(-self.range.size // BLOCK) * share**self.fewest)

    def _ranges(self, words: npt.NDArray[np.bool_]) -> tuple[AddressRange, ...]:
        return ranges_of(words, self.range.start)


def ranges_of(words: npt.NDArray[np.bool_], base: int) -> tuple[AddressRange, ...]:
    """Return runs of True among words as address ranges."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], words, [False]]).astype(np.int8)))
    return tuple(AddressRange(base + 4 * int(a), base + 4 * int(b)) for a, b in edges.reshape(-1, 2))
