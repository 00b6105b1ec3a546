"""From a seed to a piece: ungapped extension with a drop limit, one by one or many at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from h5diag.measure.locate.fill import Flags, Numbers
from h5diag.measure.locate.sides import Watch
from h5diag.memory import Bytes

QUARTER = 4
"""Scores are counted in quarter bits."""

DROP = 80 * QUARTER
"""A piece ends where the score stays this much below its best: about 24 differing bytes in a row."""

ERROR_RATE = 0.1
FIRST, MOST = 256, 1 << 19
"""Bytes compared at first, and at most at once."""

JUMP, NOISY_MOST = 1024, 1 << 16
"""Equal bytes that are passed over unweighed, and bytes weighed at most at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """What an equal byte is worth by its value, ``int32 (256,)``, and what a differing one costs (negative)."""

    gain: npt.NDArray[np.int32]
    mismatch: int


def weights(reference: Bytes, dump: Bytes, reference_fill: Flags, dump_fill: Flags, mask: int) -> Weights:
    """Return log-odds against the byte frequencies of both sides' content, from an even sample of blocks."""
    counts = np.ones(256)
    for data, fill in ((reference, reference_fill), (dump, dump_fill)):
        blocks = np.flatnonzero(~fill[: data.size // 64])
        blocks = blocks[:: max(1, blocks.size // 1024)]
        if blocks.size:
            counts += np.bincount(data[: data.size // 64 * 64].reshape(-1, 64)[blocks].ravel() & mask, minlength=256)
    share = counts / counts.sum()
    gain = np.log2((1 - ERROR_RATE) / share)
    mismatch = np.log2(ERROR_RATE / (1 - min((share**2).sum(), 0.9)))
    return Weights(np.clip(np.round(gain * QUARTER), 1, 48).astype(np.int32), round(float(mismatch) * QUARTER))


@dataclass(frozen=True, slots=True, eq=False)
class Extender:
    """Extends seeds between two sides.

    `mask` holds the bits of each byte that count: 0xFF, or all but a data line that is known to be wrong.
    """

    reference: Bytes
    dump: Bytes
    weights: Weights
    watch: Watch
    mask: int = 0xFF

    def reach(self, r: int, d: int, limit: int) -> int:
        """Return how many bytes from position `r` and `d` on belong to the piece, at most `limit`."""
        return self._reach(r, d, limit, forward=True)

    def reach_back(self, r: int, d: int, limit: int) -> int:
        """Return how many bytes before position `r` and `d` belong to the piece, at most `limit`."""
        return self._reach(r, d, limit, forward=False)

    def _reach(self, r: int, d: int, limit: int, *, forward: bool) -> int:
        turn = 1 if forward else -1
        at, size, noisy = 0, FIRST, JUMP
        behind = best_at = 0  # how far the score is below its best, and where that was
        while at < limit:
            self.watch.pause()
            size = min(size, limit - at)
            low = at if forward else -at - size
            a, b = self.reference[r + low : r + low + size], self.dump[d + low : d + low + size]
            equal = self._equal(a, b)
            alike = self._alike(equal, forward=forward)
            if alike == size or alike >= JUMP:
                at += alike
                behind, best_at = 0, at
                size, noisy = (size * 4, noisy) if alike == size else (JUMP, JUMP)
                size = min(size, MOST)
                continue
            # An error far from the last one is weighed on few bytes: mostly the piece ends here.
            size = min(size, noisy)
            last = r + at - 1 if forward else r - at
            before = self.reference[last : last + 1] if last >= 0 else a[:0]
            run = self._worth(a[::turn][:size], equal[::turn][:size], before).cumsum(dtype=np.int32)
            top = np.maximum.accumulate(run)
            np.maximum(top, behind, out=top)
            stop = self._first(top - run > DROP)
            highest = int(run[:stop].argmax()) if stop else 0
            if stop and run[highest] > behind:
                behind, best_at = int(run[highest]), at + highest + 1
            if stop < size:
                break
            at, behind = at + size, behind - int(run[-1])
            size = noisy = min(noisy * 4, NOISY_MOST)
        # Repeats at the end, which an all-equal block may have taken in, are no evidence.
        edge = r + best_at - 1 if forward else r - best_at
        while best_at > 1 and self.reference[edge] == self.reference[edge - turn]:
            best_at, edge = best_at - 1, edge - turn
        return best_at

    @staticmethod
    def _alike(equal: Flags, *, forward: bool) -> int:
        """Return how many flags are true before the first that is not, from the front or from the back."""
        if equal.all():
            return int(equal.size)
        if forward:
            return int(equal.argmin())
        for stop in range(equal.size, 0, -JUMP):
            part = equal[max(stop - JUMP, 0) : stop]
            if not part.all():
                return int(equal.size - stop + part[::-1].argmin())
        return int(equal.size)

    def worth(self, r: int, d: int, size: int) -> npt.NDArray[np.int32]:
        """Return what each of `size` bytes from `r` and `d` on is worth."""
        a = self.reference[r : r + size]
        return self._worth(a, self._equal(a, self.dump[d : d + size]), a[:0])

    def _equal(self, a: Bytes, b: Bytes) -> Flags:
        equal: Flags = a == b if self.mask == 0xFF else ((a ^ b) & self.mask) == 0
        return equal

    def _worth(self, a: Bytes, equal: Flags, before: Bytes) -> npt.NDArray[np.int32]:
        worth = np.where(equal, self.weights.gain[a & self.mask if self.mask != 0xFF else a], self.weights.mismatch)
        # Fill can neither score nor bridge: an equal byte that repeats its predecessor costs a quarter bit.
        repeat = np.concatenate([before == a[0] if before.size else np.zeros(1, np.bool_), a[1:] == a[:-1]])
        worth[equal & repeat] = -1
        return worth

    @staticmethod
    def _first(flags: Flags) -> int:
        i = int(flags.argmax())
        return i if flags[i] else flags.size

    def many(
        self, r: Numbers, d: Numbers, low: Numbers, high: Numbers, *, window: int = 96
    ) -> tuple[Numbers, Numbers, Numbers, Flags]:
        """Extend many seeds at once, at most `window` bytes to either side.

        Parameters
        ----------
        r, d
            Positions of the seeds.
        low, high
            Positions in the dump between which each piece must stay.

        Returns
        -------
        before, after
            Bytes of the piece before and from the seed on.
        score
            Its score in quarter bits.
        open
            Whether it may go on behind the window.
        """
        before = np.zeros(d.size, np.int64)
        after = np.zeros(d.size, np.int64)
        score = np.zeros(d.size, np.int64)
        reaches = np.zeros(d.size, np.bool_)
        step = np.arange(window)
        for at in range(0, d.size, 2048):
            self.watch.pause()
            part = slice(at, at + 2048)
            for forward in (True, False):
                where = step if forward else -1 - step
                dd, rr = d[part, None] + where, r[part, None] + where
                inside = (dd < high[part, None]) if forward else (dd >= low[part, None])
                dd = np.clip(dd, 0, self.dump.size - 1)
                rr = np.clip(rr, 0, self.reference.size - 1)
                a, b = self.reference[rr], self.dump[dd]
                equal = self._equal(a, b)
                worth = np.where(equal, self.weights.gain[a & self.mask], self.weights.mismatch)
                near = self.reference[np.clip(rr - 1 if forward else rr + 1, 0, self.reference.size - 1)]
                worth[equal & (a == near)] = -1
                worth[~inside] = -DROP * 4
                run = worth.cumsum(axis=1)
                top = np.maximum.accumulate(np.maximum(run, 0), axis=1)
                dead = np.maximum.accumulate(top - run > DROP, axis=1)
                run[dead] = -DROP * 8
                best = run.argmax(axis=1)
                value = run[np.arange(best.size), best]
                length = np.where(value > 0, best + 1, 0)
                score[part] += np.maximum(value, 0)
                reaches[part] |= ~dead[:, -1]
                (after if forward else before)[part] = length
        return before, after, score, reaches
