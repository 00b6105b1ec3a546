"""The values that the search passes around: two sides held against each other, and the pieces they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from h5diag.measure.locate.sides import BLOCK, Barriers, Flags, Numbers, Side, Watch
from h5diag.memory import Bytes

WORD = 8
QUARTER = 4
"""Scores are counted in quarter bits."""

DROP = 80 * QUARTER
"""An extension ends where its score stays this much below its best: about 24 differing bytes in a row."""

ERROR_RATE = 0.1
SAMPLED = 1024
"""Blocks of content whose bytes are counted."""

SHORTEST = 16
"""Stretches below this many bytes are not searched any more."""

MOST_COPIES = 16
"""A word that occurs more often in the reference says nothing about where it belongs."""


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """Pieces column by column: positions on both sides, size, and score in quarter bits; ``int64`` each."""

    reference: Numbers
    dump: Numbers
    size: Numbers
    score: Numbers

    @classmethod
    def of(cls, reference: Numbers, dump: Numbers, size: Numbers) -> Pieces:
        """Return pieces without a score yet."""
        return cls(reference, dump, size, np.zeros(dump.size, np.int64))

    @classmethod
    def empty(cls, room: int = 0) -> Pieces:
        """Return columns of `room` zeros."""
        return cls(*(np.zeros(room, np.int64) for _ in range(4)))

    @classmethod
    def joined(cls, parts: list[Pieces]) -> Pieces:
        """Return all pieces of the parts."""
        columns = [(p.reference, p.dump, p.size, p.score) for p in (*parts, cls.empty())]
        return cls(*(np.concatenate(c) for c in zip(*columns, strict=True)))

    @property
    def count(self) -> int:
        """Number of pieces."""
        return int(self.dump.size)

    def spans(self) -> list[Span]:
        """Return them one by one."""
        return list(map(Span, self.reference.tolist(), self.dump.tolist(), self.size.tolist()))

    def where(self, chosen: Numbers | Flags | slice | list[int]) -> Pieces:
        """Return the chosen ones, in that order."""
        columns = (self.reference, self.dump, self.size, self.score)
        return Pieces(*(np.ascontiguousarray(c[chosen]) for c in columns))


class Span(NamedTuple):
    """One piece in flat positions."""

    reference: int
    dump: int
    size: int


def distinct(values: Numbers) -> Numbers:
    """Return the values sorted, each once; `numpy.unique` would load the masked arrays for it."""
    ordered = np.sort(values)
    out: Numbers = ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])[: ordered.size]]
    return out


@dataclass(slots=True, eq=False)
class Free:
    """Sorted, disjoint stretches of the dump that belong to no piece yet; a piece never leaves its stretch."""

    start: Numbers
    stop: Numbers

    @classmethod
    def of(cls, side: Side, barriers: Barriers) -> Free:
        """Return what lies between the barriers of fill, cut at the borders of the segments."""
        first, last = barriers
        borders = np.array(side.starts, np.int64)
        begin = distinct(np.concatenate([borders, last]))
        barrier = np.searchsorted(first, begin, "right") - 1
        inside = (barrier >= 0) & (begin < np.append(last, 0)[barrier])
        begin = begin[~inside & (begin < side.size)]
        ends = distinct(np.concatenate([borders, first]))
        return cls(begin, ends[np.searchsorted(ends, begin, "right")])

    def worth_searching(self) -> Flags:
        """Return which stretches have at least `SHORTEST` bytes."""
        return self.stop - self.start >= SHORTEST

    def content(self) -> int:
        """Return how many bytes are worth searching."""
        return int((self.stop - self.start)[self.worth_searching()].sum())

    def cut(self, pieces: Pieces) -> tuple[Pieces, Numbers]:
        """Return the free parts of pieces, stretch by stretch, and the number of the piece that each is of."""
        first = np.searchsorted(self.stop, pieces.dump, "right")
        count = np.searchsorted(self.start, pieces.dump + pieces.size, "left") - first
        owner = np.repeat(np.arange(pieces.count), count)
        which = np.arange(owner.size) + np.repeat(first - count.cumsum() + count, count)
        start = np.maximum(pieces.dump[owner], self.start[which])
        stop = np.minimum((pieces.dump + pieces.size)[owner], self.stop[which])
        return Pieces.of((pieces.reference - pieces.dump)[owner] + start, start, stop - start), owner

    def blocks(self, fill: Flags) -> Flags:
        """Return the blocks without fill that touch a stretch worth searching."""
        long = self.worth_searching()
        borders = np.stack([self.start[long] // BLOCK, (self.stop[long] - 1) // BLOCK + 1], axis=1).ravel()
        # A block may end one stretch and begin the next.
        borders = np.concatenate([[0], np.maximum.accumulate(borders), [fill.size]])
        out: Flags = np.repeat(np.arange(borders.size - 1) % 2 == 1, np.diff(borders)) > fill
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A reference and a dump, as it stands or changed, with what their bytes are worth.

    Parameters
    ----------
    a, b
        The reference's and the dump's side.
    dump
        The dump's flat bytes, perhaps changed by a transform.
    free
        What of the dump is free; shared between the pairs of one search.
    gain, mismatch
        What an equal byte is worth by its value, ``int32 (256,)``, and what a differing one costs (negative).
    mask
        Bits of each byte that count: 0xFF, or all but a data line that is known to be wrong.
    """

    a: Side
    b: Side
    dump: Bytes
    free: Free
    gain: npt.NDArray[np.int32]
    mismatch: int
    mask: int = 0xFF

    @property
    def reference(self) -> Bytes:
        """The reference's flat bytes."""
        return self.a.data

    @property
    def word_mask(self) -> int:
        """The mask on each byte, on a whole word."""
        return int.from_bytes(bytes([self.mask] * WORD), "little")


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """Where a side holds which word, at every `stride`-th position; `tables` are the search's own."""

    stride: int
    mask: int
    tables: tuple[npt.NDArray[np.generic], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """How often pairs and contexts of two bytes occur, ``int64 (65536,)``, and trigrams, in the engine's own way."""

    pairs: Numbers
    contexts: Numbers
    trigrams: npt.NDArray[np.uint32]


class Engine(Protocol):
    """What the compiled kernel and the plain search both do, with equal results."""

    name: str

    def fill(self, data: Bytes, watch: Watch) -> Flags:
        """Return for each block whether it repeats itself with a period of at most 24 bytes."""

    def equal(self, a: Bytes, b: Bytes, watch: Watch) -> Flags:
        """Return for each whole block of two equally long pieces whether both hold the same."""

    def words(self, data: Bytes, blocks: Flags, stride: int, mask: int, watch: Watch) -> Words:
        """Return the words that start at a multiple of `stride` and in a block that counts."""

    def scan(self, pair: Pair, words: Words, blocks: Flags, least: int, span: int, watch: Watch) -> Pieces:
        """Return the extended pieces around each word of the dump's chosen blocks that the reference holds too."""

    def grow(self, pair: Pair, pieces: Pieces) -> Pieces:
        """Return pieces grown as far as all agrees, fill among it; those that come to touch become one.

        They come by diagonal, then by dump position; the scores of those that become one are added.
        """

    def claim(self, pair: Pair, wanted: Pieces, least: int) -> Pieces:
        """Take pieces in their order out of what is free, and return what was got."""

    def tally(self, pair: Pair, pieces: Pieces) -> tuple[Numbers, Numbers]:
        """Return the equal bytes and the wrong bits of each piece, as far as the mask lets bits count."""

    def runs(self, pair: Pair, pieces: Pieces) -> Numbers:
        """Return how many bytes in a row repeat the one before them, at most, of the reference's part of each piece."""

    def count(self, sides: list[tuple[Bytes, Flags]], width: int) -> Counts:
        """Count the bytes of the chosen groups of `width` bytes."""

    def asked(self, counts: Counts, trigrams: npt.NDArray[np.uint32]) -> Numbers:
        """Return how often each trigram was counted, the first byte high."""


def weights(
    reference: Bytes, dump: Bytes, reference_fill: Flags, dump_fill: Flags, mask: int
) -> tuple[npt.NDArray[np.int32], int]:
    """Return log-odds against the byte frequencies of both sides' content, from an even sample of blocks."""
    counts = np.ones(256)
    for data, fill in ((reference, reference_fill), (dump, dump_fill)):
        content = ~fill[: data.size // BLOCK]
        step = max(1, int(np.count_nonzero(content)) // SAMPLED)
        # Not all of a large image is listed first.
        blocks = np.flatnonzero(content[:: max(1, step // 16)]) * max(1, step // 16)
        blocks = blocks[:: max(1, blocks.size // SAMPLED)]
        if blocks.size:
            rows = data[: data.size // BLOCK * BLOCK].reshape(-1, BLOCK)[blocks]
            counts += np.bincount(rows.ravel() & mask, minlength=256)
    share = counts / counts.sum()
    gain = np.log2((1 - ERROR_RATE) / share)
    mismatch = np.log2(ERROR_RATE / (1 - min((share**2).sum(), 0.9)))
    return np.clip(np.round(gain * QUARTER), 1, 48).astype(np.int32), round(float(mismatch) * QUARTER)
