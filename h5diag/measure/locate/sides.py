"""Both images as flat byte arrays that remember the addresses, and the stop for a person who waits."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from h5diag.chip import Chip
from h5diag.errors import Cancelled
from h5diag.measure.locate.placement import Transform
from h5diag.memory import AddressRange, Bytes, Cancel, MemoryImage, Progress, merged

Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]
Barriers = tuple[Numbers, Numbers]

BLOCK = 64
"""Fill is told block by block, in bytes."""

BARRIER = 4
"""So many blocks of fill in a row end a piece; shorter runs may lie inside one."""

PERIOD = 48
"""Common multiple of the periods of 8, 16 and 24 bytes that make a block fill."""


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """The known bytes of an image one after the other.

    Parameters
    ----------
    data
        ``uint8 (n,)``; the image's own array when it has one segment.
    starts
        Position in `data` of each segment's first byte, then ``n``.
    addresses
        Address of each segment's first byte as the image has it.
    canonical
        The same in canonical addresses.
    """

    data: Bytes
    starts: tuple[int, ...]
    addresses: tuple[int, ...]
    canonical: tuple[int, ...]

    @classmethod
    def of(cls, image: MemoryImage, chip: Chip) -> Side:
        """Return the flat side of `image`; a segment across an alias border is cut there."""
        addresses: list[int] = []
        starts = [0]
        for s in image.segments:
            borders = (chip.flash.secure_base, chip.flash.secure_base + chip.flash.size)
            cuts = [s.start, *sorted(b for b in borders if s.start < b < s.stop), s.stop]
            for a, b in pairwise(cuts):
                addresses.append(a)
                starts.append(starts[-1] + b - a)
        parts = [s.data for s in image.segments]  # whole: what is cut at a border lies together already
        data = parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.uint8), *parts])
        return cls(data, tuple(starts), tuple(addresses), tuple(chip.canonical(a) for a in addresses))

    @property
    def size(self) -> int:
        """Number of bytes."""
        return int(self.data.size)

    def segment(self, position: int) -> int:
        """Return the number of the segment that holds a position."""
        return bisect_right(self.starts, position) - 1

    def segments(self, positions: Numbers) -> Numbers:
        """Return the numbers of the segments that hold positions."""
        return np.searchsorted(np.array(self.starts, np.int64), positions, "right") - 1

    def canonical_addresses(self, positions: Numbers) -> Numbers:
        """Return the canonical addresses of positions."""
        i = self.segments(positions)
        out: Numbers = positions - np.array(self.starts, np.int64)[i] + np.array(self.canonical, np.int64)[i]
        return out

    def address(self, position: int) -> int:
        """Return the image's own address of a position."""
        i = self.segment(position)
        return self.addresses[i] + position - self.starts[i]

    def canonical_address(self, position: int) -> int:
        """Return the canonical address of a position."""
        i = self.segment(position)
        return self.canonical[i] + position - self.starts[i]

    def position(self, address: int) -> int:
        """Return the position of one of the image's own addresses."""
        i = bisect_right(self.addresses, address) - 1
        return self.starts[i] + address - self.addresses[i]

    def ranges(self, start: int, stop: int) -> list[AddressRange]:
        """Return the address ranges of the positions ``[start, stop)``."""
        out = []
        for i in range(self.segment(start), len(self.addresses)):
            a, b = max(start, self.starts[i]), min(stop, self.starts[i + 1])
            if a >= b:
                break
            address = self.addresses[i] + a - self.starts[i]
            out.append(AddressRange(address, address + b - a))
        return out


class Watch:
    """Passes on progress, which never goes back, and raises `Cancelled` as soon as the person asks."""

    def __init__(self, progress: Progress | None, cancel: Cancel | None) -> None:
        self._progress, self._cancel, self._done = progress, cancel, 0.0
        self.low, self.high = 0.0, 1.0  # of the stage
        self._asked = perf_counter()

    def stage(self, low: float, high: float) -> None:
        """Let `check` count from `low` to `high` from now on."""
        self.low, self.high = low, high
        self.check(0.0)

    def check(self, fraction: float) -> None:
        """Report `fraction` of the stage; raise `Cancelled` when asked to stop."""
        self._ask()
        done = self.low + (self.high - self.low) * min(max(fraction, 0.0), 1.0)
        if self._progress is not None and done > self._done:
            self._done = done
            self._progress(done)

    def pause(self) -> None:
        """Raise `Cancelled` when asked to stop; asks every few milliseconds only, however often it is called."""
        if self._cancel is not None and perf_counter() - self._asked > 0.005:
            self._ask()
            self._asked = perf_counter()

    def _ask(self) -> None:
        if self._cancel is not None and self._cancel():
            raise Cancelled("the search for displaced pieces was stopped")


def unknown(image: MemoryImage) -> tuple[AddressRange, ...]:
    """Return the gaps between the image's segments and its unreadable ranges."""
    gaps = [AddressRange(a.stop, b.start) for a, b in pairwise(image.ranges)]
    return merged([*gaps, *image.unreadable])


def content_bytes(blocks: Flags) -> int:
    """Return the bytes of the blocks that are true."""
    return int(np.count_nonzero(blocks)) * BLOCK


def edges(flags: Flags) -> tuple[Numbers, Numbers]:
    """Return first and after-last index of each run of true flags."""
    padded = np.zeros(flags.size + 2, np.int8)
    padded[1:-1] = flags
    change = np.flatnonzero(padded[1:] != padded[:-1])
    return change[::2], change[1::2]


def barriers(side: Side, fill: Flags) -> Barriers:
    """Return start and stop position of each fill run of at least `BARRIER` blocks, to the byte."""
    first, last = edges(fill)
    long = last - first >= BARRIER
    # Touching the end of the data counts as well: there is nothing behind it to bridge to.
    first, last = first[long], last[long]
    start, stop = first * BLOCK, np.minimum(last * BLOCK, side.size)
    if not start.size:
        return start, stop
    # A window before each start and behind each stop, and the ones a period within; near the end byte by byte.
    edge, windows = side.size - BLOCK, sliding_window_view(side.data, BLOCK)
    inside = start >= BLOCK
    apart = windows[start[inside] - BLOCK] != windows[start[inside] - BLOCK + PERIOD]
    start[inside] -= np.where(apart.any(axis=1), apart[:, ::-1].argmax(axis=1), BLOCK)
    inside = stop <= edge
    apart = windows[stop[inside]] != windows[stop[inside] - PERIOD]
    stop[inside] += np.where(apart.any(axis=1), apart.argmax(axis=1), BLOCK)
    for i in np.flatnonzero(~inside).tolist():
        while stop[i] < side.size and side.data[stop[i]] == side.data[stop[i] - PERIOD]:
            stop[i] += 1
    return start, stop


AT_ONCE = 1 << 20
"""Bytes changed between two looks at whether to stop."""

_UNIT = {Transform.BYTESWAP16: "u2", Transform.BYTESWAP32: "u4", Transform.HALFWORDSWAP: "u4"}
_REVERSED = np.array([int(f"{b:08b}"[::-1], 2) for b in range(256)], np.uint8)


def transformed(side: Side, transform: Transform, watch: Watch) -> Bytes:
    """Return the flat bytes of `side` changed by `transform`, each at its own position.

    Words are taken at their addresses; bytes of a word that is not wholly in a segment stay as they are.
    """
    if transform is Transform.AS_IS:
        return side.data
    out, kind = side.data.copy(), _UNIT.get(transform, "u1")
    unit = np.dtype(kind).itemsize
    for i, address in enumerate(side.addresses):
        start = side.starts[i] + -address % unit
        stop = start + (side.starts[i + 1] - start) // unit * unit
        for at in range(start, stop, AT_ONCE):
            watch.pause()
            words = out[at : min(at + AT_ONCE, stop)].view(kind)
            if transform is Transform.INVERTED:
                np.invert(words, out=words)
            elif transform is Transform.BITREVERSED:
                words[:] = _REVERSED.take(words)
            elif transform is Transform.HALFWORDSWAP:
                words[:] = words << 16 | words >> 16
            else:
                words.byteswap(inplace=True)
    return out
