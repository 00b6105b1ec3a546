"""Pieces of memory collected in any order, then joined; an overlap is refused."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from h5diag.errors import InputError
from h5diag.limits import IMAGE_BYTES, IMAGE_PIECES
from h5diag.memory import Bytes, Segment

Ints = npt.NDArray[np.int64]


class Overlap(Exception):
    """Two pieces hold different bytes at `address`; a signal inside this package, never seen outside."""

    def __init__(self, address: int) -> None:
        self.address = address
        super().__init__(f"0x{address:08X}")


class SegmentBuilder:
    """Collects bytes at addresses; costs the bytes plus a few numbers per consecutive run.

    Parameters
    ----------
    source
        The file, for errors.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._starts: list[Ints] = []
        self._counts: list[Ints] = []
        self._data: list[Bytes] = []
        self._bytes = self._runs = 0

    def add(self, addresses: Ints, counts: Ints, data: Bytes) -> None:
        """Take pieces in file order: `data` holds ``counts[i]`` bytes for ``addresses[i]``, one after the other."""
        filled = counts > 0
        addresses, counts = addresses[filled], counts[filled]
        if not addresses.size:
            return
        first = np.ones(addresses.size, np.bool_)
        first[1:] = addresses[1:] != addresses[:-1] + counts[:-1]
        at = np.flatnonzero(first)
        self._starts.append(addresses[at])
        self._counts.append(np.add.reduceat(counts, at))
        self._data.append(data)
        self._bytes += int(data.size)
        self._runs += int(at.size)
        self._check()

    def put(self, address: int, data: Bytes) -> None:
        """Take one piece."""
        self.add(np.array([address], np.int64), np.array([data.size], np.int64), data)

    def _check(self) -> None:
        if self._bytes > IMAGE_BYTES:
            raise InputError(
                f"holds more than {IMAGE_BYTES >> 20} MiB, more than any microcontroller", source=self._source
            )
        if self._runs > IMAGE_PIECES:
            raise InputError(
                f"holds more than {IMAGE_PIECES} separate pieces, which is no memory content", source=self._source
            )

    def segments(self) -> tuple[Segment, ...]:
        """Return the pieces sorted and joined.

        Raises
        ------
        Overlap
            When a byte was given twice with different values.
        """
        if not self._starts:
            return ()
        starts, counts = np.concatenate(self._starts), np.concatenate(self._counts)
        order = np.argsort(starts, kind="stable")
        s, e = starts[order], (starts + counts)[order]
        twice = s[1:] < np.maximum.accumulate(e)[:-1]
        views = [
            block[a : a + n]
            for block, run in zip(self._data, self._counts, strict=True)
            for a, n in zip((np.cumsum(run) - run).tolist(), run.tolist(), strict=True)
        ]
        if not twice.any():
            return tuple(Segment(int(starts[i]), views[i]) for i in order)
        return _once([(int(starts[i]), views[i]) for i in order])


def _once(pieces: list[tuple[int, Bytes]]) -> tuple[Segment, ...]:
    """Return pieces in ascending order without what stands there twice with the same value.

    Raises
    ------
    Overlap
        At the first byte that has two values.
    """
    out: list[Segment] = []
    for start, data in pieces:
        seen = min(int(data.size), out[-1].stop - start) if out else 0
        if seen > 0:
            # The longest piece before holds all that overlaps: shorter ones inside it were compared and dropped.
            before = out[-1].data[start - out[-1].start :][:seen]
            if (other := before != data[:seen]).any():
                raise Overlap(start + int(np.argmax(other)))
            data, start = data[seen:], start + seen
        if data.size and out and out[-1].stop == start:
            out[-1] = Segment(out[-1].start, np.concatenate((out[-1].data, data)))
        elif data.size:
            out.append(Segment(start, data))
    return tuple(out)
