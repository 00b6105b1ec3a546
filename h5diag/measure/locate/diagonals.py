"""Seeds in a row on one diagonal: candidates for a piece, the best covered first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from h5diag.measure.locate.fill import Numbers
from h5diag.measure.locate.seeds import WORD, Pairs
from h5diag.measure.locate.sides import Watch


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Places to extend from.

    Parameters
    ----------
    reference, dump
        Position of an equal word on both sides.
    coverage
        About how many bytes of the piece the seeds vouch for.
    """

    reference: Numbers
    dump: Numbers
    coverage: Numbers

    @property
    def size(self) -> int:
        """Number of candidates."""
        return int(self.dump.size)

    def where(self, chosen: Numbers | np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Candidates:
        """Return the chosen ones, in that order."""
        return Candidates(self.reference[chosen], self.dump[chosen], self.coverage[chosen])


NO_CANDIDATES = Candidates(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))


def together(parts: list[Candidates]) -> Candidates:
    """Return all candidates of the parts."""
    return Candidates(
        *(
            np.concatenate([getattr(p, name) for p in (*parts, NO_CANDIDATES)])
            for name in ("reference", "dump", "coverage")
        )
    )


def candidates(pairs: Pairs, rate: int, reference_size: int, watch: Watch) -> Candidates:
    """Return one candidate for each run of seeds on a diagonal.

    Parameters
    ----------
    pairs
        Equal words.
    rate
        One word in ``2**rate`` was sampled.
    reference_size
        Bytes of the reference.
    watch
        Asked whether to stop.

    Returns
    -------
    Candidates
        A seed that stands alone counts only when its word occurs once on either side.
    """
    if not pairs.dump.size:
        return NO_CANDIDATES
    watch.pause()
    key = ((pairs.dump - pairs.reference + reference_size) << 33) | (pairs.dump << 1) | pairs.unique
    watch.pause()
    key.sort()
    watch.pause()
    diagonal, dump = key >> 33, key >> 1 & 0xFFFFFFFF
    watch.pause()
    new = (diagonal[1:] != diagonal[:-1]) | (dump[1:] - dump[:-1] > 256 << rate)
    first = np.flatnonzero(np.concatenate([[True], new]))
    last = np.append(first[1:], key.size) - 1
    watch.pause()
    watch.pause()
    count = last - first + 1
    span = dump[last] - dump[first] + WORD
    coverage = np.minimum(span, count << rate if rate else count + WORD - 1)
    unique = np.add.reduceat(key & 1, first)
    good = (count >= 3) | (unique > 0)
    middle = ((first + last) // 2)[good]
    at = dump[middle]
    return Candidates(at - diagonal[middle] + reference_size, at, np.maximum(coverage[good], WORD))
