"""How surprising a piece is: bits under an order-2 byte model of the pair, and a nominal expectation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from h5diag.measure.locate.fill import BLOCK, Flags, Numbers, repeats
from h5diag.memory import Bytes

MISMATCH = 3.3
"""Bits taken off for each differing byte."""

TRAINED = 1 << 17
"""Bytes of either side that the model counts at most: an even sample of its content."""

PRIOR = 2.0
CEILING = 16.0
GROUP = 4
"""Blocks that are sampled together."""

WINDOW, WINDOWS = 256, 16
"""A longer piece is scored on so many windows of so many bytes, and the sum is scaled."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """The trained bytes of a side: trigrams in any order and, for each group of blocks, whether it was taken."""

    trigrams: npt.NDArray[np.uint32]
    groups: Flags


def _sampled(data: Bytes, fill: Flags, trained: int) -> Sampled:
    size = BLOCK * GROUP
    count = data.size // size
    content = ~fill[: count * GROUP].reshape(count, GROUP).all(axis=1)
    chosen = np.flatnonzero(content)
    chosen = chosen[:: max(1, -(-chosen.size * size // trained))]
    groups = np.zeros(count + 1, np.bool_)
    groups[chosen] = True
    rows = data[: count * size].reshape(count, size)[chosen].astype(np.uint32)
    trigrams = _packed(rows)
    if count == 0 and data.size > 2:
        groups[0] = True
        trigrams = _packed(data.astype(np.uint32)[None])
    return Sampled(trigrams, groups)


def _packed(rows: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    packed = rows[:, :-2] << 16 | rows[:, 1:-1] << 8 | rows[:, 2:]
    return packed.ravel().astype(np.uint32, copy=False)


class Model:
    """Byte counts of order 0 to 2 over both sides, asked with the asker's own occurrences taken out."""

    def __init__(
        self, reference: Bytes, dump: Bytes, reference_fill: Flags, dump_fill: Flags, trained: int = TRAINED
    ) -> None:
        self._reference = _sampled(reference, reference_fill, trained)
        self._dump = _sampled(dump, dump_fill, trained)
        trigrams = np.concatenate([self._reference.trigrams, self._dump.trigrams])
        trigrams.sort()
        self._trigrams = trigrams
        last = trigrams & 0xFFFF
        self._pairs = np.bincount(last, minlength=1 << 16).astype(np.float64)
        self._context2 = np.bincount(trigrams >> 8, minlength=1 << 16).astype(np.float64)
        self._context1 = self._pairs.reshape(256, 256).sum(axis=1)
        single = self._pairs.reshape(256, 256).sum(axis=0) + 1
        self._single = single / single.sum()

    def surprisal(self, before: npt.NDArray[np.uint32], value: npt.NDArray[np.uint32], own: Floats) -> Floats:
        """Return the bits of each byte `value` after the two bytes `before` (first byte high).

        `own` is how many of the counted occurrences are the asker's own.
        """
        trigram = before << 8 | value
        order = trigram.argsort()
        ordered = trigram[order]
        count = np.empty(trigram.size)
        count[order] = np.searchsorted(self._trigrams, ordered, "right") - np.searchsorted(
            self._trigrams, ordered, "left"
        )
        own = np.minimum(own, count)
        one = before & 0xFF
        p1 = (self._pairs[one << 8 | value] - own + PRIOR * self._single[value]) / (self._context1[one] - own + PRIOR)
        p2 = (count - own + PRIOR * p1) / (self._context2[before] - own + PRIOR)
        bits: Floats = np.minimum(-np.log2(p2), CEILING)
        return bits

    def score(
        self,
        reference: Bytes,
        dump: Bytes,
        spans: Sequence[tuple[int, int, int]],
        *,
        as_is: bool = True,
        mask: int = 0xFF,
    ) -> Floats:
        """Return the score in bits of each span ``(reference position, dump position, size)``.

        `as_is` is False when `dump` is not what the model was trained on.
        """
        r, d, owner, scale = _windows(spans)
        if not r.size:
            return np.zeros(len(spans))
        a = reference[r].astype(np.uint32)
        equal = ((reference[r] ^ dump[d]) & mask) == 0
        two = reference[np.maximum(r - 2, 0)].astype(np.uint32) << 8 | reference[np.maximum(r - 1, 0)]
        own = self._reference.groups[np.minimum(r // (BLOCK * GROUP), self._reference.groups.size - 1)].astype(float)
        if as_is:
            mine = self._dump.groups[np.minimum(d // (BLOCK * GROUP), self._dump.groups.size - 1)]
            own += mine & (reference[r] == dump[d])
        fresh = equal & ~repeats(reference[r])
        bits = np.zeros(r.size)
        bits[fresh] = self.surprisal(two[fresh].astype(np.uint32), a[fresh], own[fresh])
        bits[~equal] = -MISMATCH
        if mask != 0xFF:
            bits[equal] *= mask.bit_count() / 8
        return np.bincount(owner, bits, minlength=len(spans)) * scale


def _windows(spans: Sequence[tuple[int, int, int]]) -> tuple[Numbers, Numbers, Numbers, Floats]:
    """Return the positions to score on both sides, the span each belongs to, and each span's scale."""
    r_parts, d_parts, owner = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    scale = np.ones(len(spans))
    # Many long pieces need no fine score each.
    windows = max(1, min(WINDOWS, 64 // max(len(spans), 1)))
    for i, (r, d, size) in enumerate(spans):
        if size <= max(windows * WINDOW, 2 * WINDOW):
            offset = np.arange(size)
        else:
            begin = np.linspace(0, size - WINDOW, windows).astype(np.int64)
            offset = (begin[:, None] + np.arange(WINDOW)).ravel()
            scale[i] = size / offset.size
        r_parts.append(r + offset)
        d_parts.append(d + offset)
        owner.append(np.full(offset.size, i))
    return np.concatenate(r_parts), np.concatenate(d_parts), np.concatenate(owner), scale
