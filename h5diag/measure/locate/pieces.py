"""The values that the search passes around: runs of positions, pieces that two sides share, a way to read the dump."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from h5diag.errors import Cancelled
from h5diag.measure.locate.placement import Transform
from h5diag.memory import Bytes, Cancel, Progress

Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]

Runs = npt.NDArray[np.int64]
"""``(n, 2)``: positions, from a start to before a stop."""

Pieces = npt.NDArray[np.void]
"""``(n,)`` of `PIECE`: positions on both sides, size in bytes, and score in quarter bits."""

PIECE = np.dtype([(name, np.int64) for name in ("reference", "dump", "size", "score")])
NONE: Pieces = np.empty(0, PIECE)

BLOCK, WORD = 64, 8  # fill and equality are told block by block; words are looked up. In bytes
QUARTER = 4  # scores are counted in quarter bits


def pieces_of(reference: npt.ArrayLike, dump: npt.ArrayLike, size: npt.ArrayLike, score: npt.ArrayLike = 0) -> Pieces:
    """Return pieces from their columns."""
    out = np.empty(np.size(dump), PIECE)
    out["reference"], out["dump"], out["size"], out["score"] = reference, dump, size, score
    return out


def joined(parts: Sequence[Pieces]) -> Pieces:
    """Return all pieces of the parts."""
    return np.concatenate([NONE, *parts])


def runs_of(pieces: Pieces, side: str = "dump") -> Runs:
    """Return where the pieces lie on one side."""
    return np.stack([pieces[side], pieces[side] + pieces["size"]], axis=1)


def content_bytes(blocks: Flags) -> int:
    """Return the bytes of the blocks that are true."""
    return int(np.count_nonzero(blocks)) * BLOCK


def distinct(values: Numbers) -> Numbers:
    """Return the values sorted, each once; `numpy.unique` would load the masked arrays for it."""
    ordered = np.sort(values)
    return ordered.compress(np.append(True, ordered[1:] != ordered[:-1])[: ordered.size])


def edges(flags: Flags) -> Runs:
    """Return the runs of true flags."""
    padded = np.zeros(flags.size + 2, np.int8)
    padded[1:-1] = flags
    return np.flatnonzero(padded[1:] != padded[:-1]).reshape(-1, 2)


def complement(runs: Runs, size: int) -> Runs:
    """Return what of ``0 .. size`` lies in none of the runs, which may overlap."""
    runs = runs[np.argsort(runs[:, 0], kind="stable")]
    start = np.append(0, np.maximum.accumulate(runs[:, 1]))
    stop = np.append(runs[:, 0], size)
    return np.stack([start, stop], axis=1)[start < stop]


def overlaps(runs: Runs, stretches: Runs) -> tuple[Runs, Numbers, Numbers]:
    """Return the parts of runs in sorted, disjoint stretches, and the numbers of the run and the stretch of each."""
    first = np.searchsorted(stretches[:, 1], runs[:, 0], "right")
    count = np.searchsorted(stretches[:, 0], runs[:, 1], "left") - first
    owner = np.repeat(np.arange(len(runs)), count)
    which = np.arange(owner.size) + np.repeat(first - count.cumsum() + count, count)
    start = np.maximum(runs[owner, 0], stretches[which, 0])
    stop = np.minimum(runs[owner, 1], stretches[which, 1])
    return np.stack([start, stop], axis=1), owner, which


def touched(runs: Runs, count: int) -> Flags:
    """Return which of so many blocks the runs touch."""
    change = np.zeros(count + 1, np.int32)
    np.add.at(change, runs[:, 0] // BLOCK, 1)
    np.add.at(change, (runs[:, 1] - 1) // BLOCK + 1, -1)
    return change.cumsum(dtype=np.int32)[:-1] > 0


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A reference and a dump, as it stands or changed, with what their bytes are worth.

    Parameters
    ----------
    reference, dump
        The flat bytes; the dump's perhaps changed by `transform`.
    segments
        Of the reference: no piece crosses their borders.
    gain, mismatch
        What an equal byte is worth by its value, ``int32 (256,)``, and what a differing one costs (negative).
    transform
        How the dump was changed.
    mask
        Bits of each byte that count: 0xFF, or all but a data line that is known to be wrong.
    """

    reference: Bytes
    dump: Bytes
    segments: Runs
    gain: npt.NDArray[np.int32]
    mismatch: int
    transform: Transform = Transform.AS_IS
    mask: int = 0xFF

    @property
    def word_mask(self) -> int:
        """The mask on each byte, on a whole word."""
        return int.from_bytes(bytes([self.mask] * WORD), "little")


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """Where a side holds which word, at every `stride`-th position; `tables` are the engine's own."""

    stride: int
    mask: int
    tables: tuple[npt.NDArray[np.generic], ...]


class Watch:
    """Passes on progress, which never goes back, and raises `Cancelled` as soon as the person asks."""

    def __init__(self, progress: Progress | None = None, cancel: Cancel | None = None) -> None:
        self._progress, self._cancel, self._done = progress, cancel, 0.0
        self._low, self._high = 0.0, 1.0

    def stage(self, low: float, high: float) -> None:
        """Let `check` count from `low` to `high` from now on."""
        self._low, self._high = low, high
        self.check(0.0)

    def check(self, fraction: float = 0.0) -> None:
        """Report `fraction` of the stage; raise `Cancelled` when asked to stop."""
        if self._cancel is not None and self._cancel():
            raise Cancelled("the search for displaced pieces was stopped")
        done = self._low + (self._high - self._low) * min(max(fraction, 0.0), 1.0)
        if self._progress is not None and done > self._done:
            self._done = done
            self._progress(done)
