"""Repeated reads put together: what agrees is kept once, what disagrees is kept with every reading.

Memory stays near the size of the dump: one byte and a quarter per byte, and all readings only of blocks that disagree.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from h5diag.memory import AddressRange, Bytes, merged

BLOCK = 1024
_MOST = 255


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
        self._readings: dict[int, list[tuple[Bytes, npt.NDArray[np.uint8]]]] = {}
        self._disputed = np.zeros(range.size // 4, np.bool_)
        self.block_reads = 0
        self.block_misses = 0

    def add(self, start: int, data: Bytes) -> int:
        """Take a reading of consecutive words and return how many words are newly disputed."""
        at = (start - self.range.start) // 4
        n = data.size // 4
        counts = self.counts[at:at + n]
        own = self.value[4 * at:4 * (at + n)]
        if not counts.any() and not self._readings:
            own[:] = data
            counts += 1
            self.block_reads += -(-n * 4 // BLOCK)
            return 0
        differs = (own.view("<u4") != np.ascontiguousarray(data).view("<u4")) & (counts > 0)
        first, last = at * 4 // BLOCK, (at * 4 + n * 4 - 1) // BLOCK
        self.block_reads += last - first + 1
        fresh = 0
        if differs.any() or self._readings:
            blocks = set(((at + np.flatnonzero(differs)) * 4 // BLOCK).tolist())
            blocks |= {b for b in self._readings if first <= b <= last}
            for block in sorted(blocks):
                fresh += self._record(block, at, data)
        unread = counts == 0
        if unread.any():
            own.view("<u4")[unread] = np.ascontiguousarray(data).view("<u4")[unread]
        np.minimum(counts, _MOST - 1, out=counts)
        counts += 1
        for block in sorted(b for b in self._readings if first <= b <= last):
            self._elect(block)
        return fresh

    def _span(self, block: int) -> tuple[int, int]:
        return block * BLOCK // 4, min((block + 1) * BLOCK // 4, self.counts.size)

    def _record(self, block: int, at: int, data: Bytes) -> int:
        """Keep a reading of a block that disagrees; the earlier, equal ones become one of their weight."""
        a, b = self._span(block)
        if block not in self._readings:
            self._readings[block] = [(self.value[4 * a:4 * b].copy(), self.counts[a:b].copy())]
        lo, hi = max(a, at), min(b, at + data.size // 4)
        reading, weight = np.zeros(4 * (b - a), np.uint8), np.zeros(b - a, np.uint8)
        reading[4 * (lo - a):4 * (hi - a)] = data[4 * (lo - at):4 * (hi - at)]
        weight[lo - a:hi - a] = 1
        words = reading.view("<u4")
        bad = np.zeros(b - a, np.bool_)
        for i, (other, heavy) in enumerate(self._readings[block]):
            bad |= (other.view("<u4") != words) & (heavy > 0) & (weight > 0)
            if np.array_equal(other, reading) and bool(((heavy > 0) >= (weight > 0)).all()):
                np.minimum(heavy, _MOST - 1, out=heavy)
                self._readings[block][i] = (other, heavy + weight)
                break
        else:
            self._readings[block].append((reading, weight))
        if bad.any():
            self.block_misses += 1
        fresh = int(np.count_nonzero(bad & ~self._disputed[a:b]))
        self._disputed[a:b] |= bad
        return fresh

    def _elect(self, block: int) -> None:
        """Let each byte of a block take the value that most readings gave; the first one on a tie."""
        a, b = self._span(block)
        data = np.stack([r for r, _ in self._readings[block]])
        weight = np.repeat(np.stack([w for _, w in self._readings[block]]).astype(np.uint16), 4, axis=1)
        score = np.stack([(weight * (data == row)).sum(axis=0) * (w > 0) for row, w in zip(data, weight, strict=True)])
        best = score.argmax(axis=0)
        self.value[4 * a:4 * b] = data[best, np.arange(data.shape[1])]

    # ------------------------------------------------------------------------------------------------ results
    @property
    def disputed(self) -> tuple[AddressRange, ...]:
        """The words whose readings disagreed, as ranges."""
        return self._ranges(self._disputed)

    @property
    def disputed_blocks(self) -> tuple[AddressRange, ...]:
        """The blocks that hold them."""
        base = self.range.start
        return merged(AddressRange(base + 4 * a, base + 4 * b) for a, b in map(self._span, self._readings))

    @property
    def unread(self) -> tuple[AddressRange, ...]:
        """The words that no reading covers, as ranges."""
        return self._ranges(self.counts == 0)

    def settled(self, where: AddressRange) -> bool:
        """Tell whether every byte of the disputed words in `where` has a lead of two readings."""
        base = self.range.start
        for block in self._readings:
            a, b = self._span(block)
            if not AddressRange(base + 4 * a, base + 4 * b).overlaps(where):
                continue
            data = np.stack([r for r, _ in self._readings[block]])
            weight = np.repeat(np.stack([w for _, w in self._readings[block]]).astype(np.int32), 4, axis=1)
            won = (weight * (data == self.value[4 * a:4 * b])).sum(axis=0)
            bad = np.repeat(self._disputed[a:b], 4)
            if (2 * won - weight.sum(axis=0) < 2)[bad].any():
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
        if not self.block_misses or not self.fewest:
            return 0.0
        share = min(1.0, self.block_misses / max(1, self.block_reads))
        return float(-(-self.range.size // BLOCK) * share ** self.fewest)

    def _ranges(self, words: npt.NDArray[np.bool_]) -> tuple[AddressRange, ...]:
        edges = np.flatnonzero(np.diff(np.concatenate([[False], words, [False]]).astype(np.int8)))
        base = self.range.start
        return tuple(AddressRange(base + 4 * int(a), base + 4 * int(b)) for a, b in edges.reshape(-1, 2))
