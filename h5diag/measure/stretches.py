"""Stretches of flagged bytes, and what all of them hold: looked at together, since there may be a million of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from h5diag.memory import AddressRange, Bytes, MemoryImage, Segment

Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]
Stretches = npt.NDArray[np.int64]
"""Offsets (start, stop) as ``int64 (n, 2)``, sorted and disjoint."""

SAMPLE = 1 << 16
"""So many bytes, evenly spread, tell whether a look at all of them is worth while."""


def runs(flags: Flags, gap: int, least: int = 1) -> list[tuple[int, int]]:
    """Return the flagged stretches of at least so many bytes, joined over gaps of at most `gap` bytes."""
    first, last = stretches(flags, gap, least).T.tolist()
    return list(zip(first, last, strict=True))


def stretches(flags: Flags, gap: int, least: int = 1) -> Stretches:
    """Return the same as an array."""
    edges = np.flatnonzero(flags[1:] != flags[:-1]) + 1
    edges = np.concatenate([[0] * int(flags[:1].sum()), edges, [flags.size] * int(flags[-1:].sum())]).astype(np.int64)
    first, last = edges[::2], edges[1::2]
    apart = first[1:] - last[:-1] >= gap
    first, last = first[np.append(True, apart)[: first.size]], last[np.append(apart, True)[: last.size]]
    long = last - first >= least
    return np.stack([first[long], last[long]], axis=1)


def flagged(places: Places, size: int) -> Flags:
    """Return `size` flags, true at some offsets."""
    flags = np.zeros(size, np.bool_)
    flags[places] = True
    return flags


def tells(data: Bytes) -> Flags:
    """Return which bytes are no fill: neither 0x00 nor 0xFF."""
    flags: Flags = (data != 0xFF) & (data != 0)
    return flags


def occurrences(data: bytes, piece: bytes) -> Iterator[int]:
    """Yield the offsets at which a piece stands, ascending; they may overlap."""
    at = data.find(piece)
    while at >= 0:
        yield at
        at = data.find(piece, at + 1)


def bits_in(data: Bytes) -> int:
    """Count the ones of some bytes."""
    return int(np.bitwise_count(data).sum(dtype=np.int64))


def content_bytes(image: MemoryImage) -> int:
    """Return how many bytes of an image are no fill."""
    return sum(int(np.count_nonzero(tells(s.data))) for s in image.segments)


def sector_begins(start: int, size: int, sector: int) -> Places:
    """Return the offsets at which sectors begin in `size` bytes from address `start` on; the first one may be cut."""
    return np.maximum(np.arange(-(start % sector), size, sector), 0)


def zero_sectors(s: Segment, sector: int) -> list[AddressRange]:
    """Return the whole sectors of a segment that are zero throughout."""
    first = -(-s.start // sector) * sector
    count = max(0, s.stop - first) // sector
    rows = s.data[first - s.start :][: count * sector].reshape(count, sector)
    zeros = (first + i * sector for i in np.flatnonzero(~rows.any(axis=1)).tolist())
    return [AddressRange(at, at + sector) for at in zeros]


def marked(found: Stretches, size: int) -> Flags:
    """Return `size` flags, true in the stretches."""
    step = np.zeros(size + 1, np.int8)
    step[found[:, 0]] += 1
    step[found[:, 1]] -= 1
    out: Flags = step.cumsum(dtype=np.int8)[:-1].view(np.bool_)
    return out


def constant(data: Bytes, found: Stretches) -> Flags:
    """Tell of each stretch whether all its bytes are the same."""
    low, high = (_over(data, found, f) for f in (np.minimum, np.maximum))
    same: Flags = low == high
    return same


def every(flags: Flags, found: Stretches) -> Flags:
    """Tell of each stretch whether all its bytes are flagged."""
    return _over(flags, found, np.logical_and)


def some(flags: Flags, found: Stretches) -> Flags:
    """Tell of each stretch whether one of its bytes is flagged."""
    return _over(flags, found, np.logical_or)


def counts(flags: Flags, start: Places, stop: Places) -> Places:
    """Return how many bytes are flagged between offsets, which may overlap and leave the flags at both ends."""
    if not start.size:
        return start
    sums = np.zeros(flags.size + 1, np.int32)
    np.cumsum(flags, out=sums[1:], dtype=np.int32)
    low, high = (np.clip(x, 0, flags.size) for x in (start, stop))
    return (sums[high] - sums[low]).astype(np.int64)


def _over(data: npt.NDArray[np.generic], found: Stretches, f: np.ufunc) -> npt.NDArray[np.bool_]:
    """Return `f` over the bytes of each stretch, none of which is empty."""
    if not len(found):
        return np.zeros(0, np.bool_)
    # `reduceat` reduces from each offset to the next one; one at the very end is none.
    inner = found.reshape(-1)
    inner = inner[: inner.size - (inner[-1] == data.size)]
    out: npt.NDArray[np.bool_] = f.reduceat(data, inner)[::2]
    return out


def thinned(size: int) -> int:
    """Return the step of an even sample of `SAMPLE` bytes or some more: odd, so that it meets every lane of a bus."""
    return size // SAMPLE | 1


def share_of(one: Bytes, two: Bytes, least: float) -> float:
    """Return the share of bytes that are equal; of a sample, where that is far below `least`."""
    step = thinned(one.size)
    share = float((one[::step] == two[::step]).mean())
    return share if step == 1 or share < least - 0.05 else float((one == two).mean())


def commonest(data: Bytes, least: float) -> tuple[int, float]:
    """Return the commonest value and its share; of a sample, where that is far below `least`."""
    for step in dict.fromkeys((thinned(data.size), 1)):
        found = np.bincount(data[::step])
        share = float(found.max()) / data[::step].size
        if share < least - 0.05:
            break
    return int(found.argmax()), share


# `numpy.unique` would sort, and load the masked arrays for it.
def values(data: Bytes) -> int:
    """Count the different values of some bytes."""
    return int(np.count_nonzero(np.bincount(data)))
