"""Both images as flat bytes that remember their addresses, what of them is fill, and how they are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from h5diag.chip import Chip
from h5diag.measure.locate.kernel import engine
from h5diag.measure.locate.pieces import (
    BLOCK,
    QUARTER,
    Flags,
    Numbers,
    Pair,
    Runs,
    Watch,
    Words,
    complement,
    content_bytes,
    edges,
    overlaps,
)
from h5diag.measure.locate.placement import Transform
from h5diag.memory import AddressRange, Bytes, MemoryImage, merged

BARRIER = 4  # so many blocks of fill in a row end a piece; shorter runs may lie inside one
PERIOD = 48  # common multiple of the periods of 8, 16 and 24 bytes that make a block fill
ERROR_RATE = 0.1
SAMPLED = 1024  # blocks of content whose bytes are counted
AT_ONCE = 1 << 20  # bytes changed between two looks at whether to stop


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """The known bytes of an image one after the other.

    As `prepare` makes it of a reference it serves for many dumps.

    Parameters
    ----------
    image, chip
        Of what, and whose aliases are folded.
    data
        ``uint8 (n,)``; the image's own array when it has one segment.
    starts
        Position in `data` of each segment's first byte, then ``n``; ``int64`` as the next two.
    addresses, canonical
        Address of each segment's first byte, as the image has it and with aliases folded.
    fill
        Which blocks are fill.
    barriers
        The longer runs of fill to the byte.
    """

    image: MemoryImage
    chip: Chip
    data: Bytes
    starts: Numbers
    addresses: Numbers
    canonical: Numbers
    fill: Flags
    barriers: Runs
    _words: dict[tuple[int, int], Words] = field(default_factory=dict)

    @classmethod
    def of(cls, image: MemoryImage, chip: Chip, watch: Watch) -> Side:
        """Return the flat side of `image`; a segment across an alias border is cut there."""
        addresses: list[int] = []
        starts = [0]
        for s in image.segments:
            borders = (chip.flash.secure_base, chip.flash.secure_base + chip.flash.size)
            for a, b in pairwise([s.start, *sorted(b for b in borders if s.start < b < s.stop), s.stop]):
                addresses.append(a)
                starts.append(starts[-1] + b - a)
        parts = [s.data for s in image.segments]  # whole: what is cut at a border lies together already
        data = parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.uint8), *parts])
        canonical = [chip.canonical(a) for a in addresses]
        fill = engine().fill(data, watch)
        where = [np.array(x, np.int64) for x in (starts, addresses, canonical)]
        return cls(image, chip, data, where[0], where[1], where[2], fill, _barriers(data, fill))

    @property
    def size(self) -> int:
        """Number of bytes."""
        return int(self.data.size)

    @property
    def segments(self) -> Runs:
        """Positions of each segment."""
        return np.stack([self.starts[:-1], self.starts[1:]], axis=1)

    @property
    def content(self) -> int:
        """Bytes in blocks without fill."""
        return content_bytes(~self.fill)

    @property
    def unclaimed(self) -> Runs:
        """What lies between the barriers of fill, cut at the borders of the segments."""
        return overlaps(self.segments, complement(self.barriers, self.size))[0]

    @property
    def unknown(self) -> tuple[AddressRange, ...]:
        """The gaps between the image's segments and its unreadable ranges."""
        gaps = [AddressRange(a.stop, b.start) for a, b in pairwise(self.image.ranges)]
        return merged([*gaps, *self.image.unreadable])

    def words(self, stride: int, mask: int, watch: Watch) -> Words:
        """Return the index of its words; only plain ones are kept, broken lines are rare."""
        known = self._words.get((stride, mask))
        if known is None:
            known = engine().words(self.data, ~self.fill, stride, mask, watch)
            if mask == (1 << 64) - 1:
                self._words[stride, mask] = known
        return known

    def has_words(self, stride: int, mask: int) -> bool:
        """Tell whether an index of its words is there already."""
        return (stride, mask) in self._words

    def segment_of(self, positions: Numbers) -> Numbers:
        """Return the numbers of the segments that hold positions."""
        return np.searchsorted(self.starts, positions, "right") - 1

    def at(self, positions: Numbers, *, canonical: bool = False) -> Numbers:
        """Return the addresses of positions."""
        i = self.segment_of(positions)
        return positions - self.starts[i] + (self.canonical if canonical else self.addresses)[i]

    def position(self, address: int) -> int:
        """Return the position of one of the image's own addresses."""
        i = int(np.searchsorted(self.addresses, address, "right")) - 1
        return int(self.starts[i]) + address - int(self.addresses[i])

    def ranges(self, runs: Runs) -> tuple[AddressRange, ...]:
        """Return the address ranges of runs of positions."""
        parts, _, segment = overlaps(runs, self.segments)
        moved = parts + (self.addresses - self.starts[:-1])[segment, None]
        return merged(AddressRange(start, stop) for start, stop in moved.tolist())


def _barriers(data: Bytes, fill: Flags) -> Runs:
    """Return the runs of at least `BARRIER` blocks of fill, to the byte."""
    runs = edges(fill)
    # Touching the end of the data counts as well: there is nothing behind it to bridge to.
    runs = np.minimum(runs[runs[:, 1] - runs[:, 0] >= BARRIER] * BLOCK, data.size)
    if not len(runs):
        return runs
    windows, edge = sliding_window_view(data, BLOCK), data.size - BLOCK
    for end, turn, first in ((0, -1, runs[:, 0] - BLOCK), (1, 1, runs[:, 1].copy())):
        inside = (first >= 0) & (first <= edge)
        apart = windows[first[inside]] != windows[first[inside] - turn * PERIOD]
        apart = np.append(apart[:, ::turn], np.ones((len(apart), 1), np.bool_), axis=1)
        runs[inside, end] += turn * apart.argmax(axis=1)
    # Near the end of the data byte by byte.
    while edge < runs[-1, 1] < data.size and data[runs[-1, 1]] == data[runs[-1, 1] - PERIOD]:
        runs[-1, 1] += 1
    return runs


def pair_of(a: Side, b: Side, transform: Transform, mask: int, watch: Watch) -> Pair:
    """Return a way to read the dump, its bytes weighed by their frequencies in both sides' content."""
    dump = transformed(b, transform, watch)
    counts = np.ones(256)
    for data, fill in ((a.data, a.fill), (dump, b.fill)):
        content = ~fill[: data.size // BLOCK]
        step = max(1, int(np.count_nonzero(content)) // SAMPLED)
        # Not all of a large image is listed first.
        blocks = np.flatnonzero(content[:: max(1, step // 16)]) * max(1, step // 16)
        rows = data[: content.size * BLOCK].reshape(-1, BLOCK)[blocks[:: max(1, blocks.size // SAMPLED)]]
        counts += np.bincount(rows.ravel() & mask, minlength=256)
    share = counts / counts.sum()
    gain = np.clip(np.round(np.log2((1 - ERROR_RATE) / share) * QUARTER), 1, 48).astype(np.int32)
    mismatch = round(float(np.log2(ERROR_RATE / (1 - min((share**2).sum(), 0.9)))) * QUARTER)
    return Pair(a.data, dump, a.segments, gain, mismatch, transform, mask)


_REVERSED = np.array([int(f"{b:08b}"[::-1], 2) for b in range(256)], np.uint8)
_CHANGES: dict[Transform, tuple[str, Callable[[Any], Any]]] = {
    Transform.INVERTED: ("u1", np.invert),
    Transform.BITREVERSED: ("u1", lambda words: _REVERSED[words]),
    Transform.BYTESWAP16: ("u2", lambda words: words.byteswap()),
    Transform.BYTESWAP32: ("u4", lambda words: words.byteswap()),
    Transform.HALFWORDSWAP: ("u4", lambda words: words << 16 | words >> 16),
}


def transformed(side: Side, transform: Transform, watch: Watch) -> Bytes:
    """Return the flat bytes of `side` changed by `transform`, each at its own position.

    Words are taken at their addresses; bytes of a word that is not wholly in a segment stay as they are.
    """
    if transform is Transform.AS_IS:
        return side.data
    out, (kind, change) = side.data.copy(), _CHANGES[transform]
    unit = np.dtype(kind).itemsize
    for (first, stop), address in zip(side.segments.tolist(), side.addresses.tolist(), strict=True):
        start = first + -address % unit
        end = start + (stop - start) // unit * unit
        for at in range(start, end, AT_ONCE):
            watch.check()
            words = out[at : min(at + AT_ONCE, end)].view(kind)
            words[:] = change(words)
    return out
