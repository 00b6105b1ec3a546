"""Pieces of memory put together: in any order, or as the lines of a text show them; no byte has two values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from h5diag.errors import InputError
from h5diag.limits import IMAGE_BYTES, IMAGE_PIECES, VIEW_PIECES
from h5diag.memory import AddressRange, Bytes, Segment

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
            if (other := out[-1].data[start - out[-1].start :][:seen] != data[:seen]).any():
                raise Overlap(start + int(np.argmax(other)))
            data, start = data[seen:], start + seen
        if data.size and out and out[-1].stop == start:
            out[-1] = Segment(out[-1].start, np.concatenate((out[-1].data, data)))
        elif data.size:
            out.append(Segment(start, data))
    return tuple(out)


@dataclass(frozen=True, slots=True)
class Stretch:
    """The bytes that one line shows, or lines of `each` bytes; `known` holds 1 for a readable byte, 0 for another."""

    line: int
    address: int
    data: bytes
    known: bytes
    each: int = 0

    @property
    def stop(self) -> int:
        """Address after the last byte."""
        return self.address + len(self.data)

    def lines(self) -> Iterator[Stretch]:
        """Yield what each line shows."""
        each = self.each or len(self.data)
        for i, at in enumerate(range(0, len(self.data), each)):
            yield Stretch(self.line + i, self.address + at, self.data[at : at + each], self.known[at : at + each])

    def last(self) -> Stretch:
        """Return what the last line shows."""
        if not self.each:
            return self
        at = len(self.data) - self.each
        return Stretch(self.line + at // self.each, self.address + at, self.data[at:], self.known[at:])


def memory_of(rows: Iterable[Stretch], source: str) -> tuple[tuple[Segment, ...], tuple[AddressRange, ...]]:
    """Return the known bytes of all lines and the ranges that could not be read.

    A byte that one line shows and another marks as unreadable counts as read.

    Raises
    ------
    InputError
        With the line, when two lines show different values for one byte or the pieces are too many.
    """
    segments: list[Segment] = []
    unreadable: list[AddressRange] = []
    group: list[Stretch] = []
    stop = 0
    for row in sorted(rows, key=lambda r: (r.address, r.line)):
        if group and row.address > stop:
            _close(group, stop, source, segments, unreadable)
            group = []
        stop = max(stop, row.stop) if group else row.stop
        group.append(row)
    if group:
        _close(group, stop, source, segments, unreadable)
    return tuple(segments), tuple(unreadable)


def _close(
    group: list[Stretch], stop: int, source: str, segments: list[Segment], unreadable: list[AddressRange]
) -> None:
    start = group[0].address
    data, known = bytearray(), bytearray()
    for row in group:
        at = row.address - start
        n = min(len(data) - at, len(row.data))
        if n > 0 and (data[at : at + n] != row.data[:n] or known[at : at + n] != row.known[:n]):
            first = _over(data, known, at, row)
            if first is not None and any(r.each for r in group):
                lines = sorted((line for r in group for line in r.lines()), key=lambda r: (r.address, r.line))
                _close(lines, stop, source, segments, unreadable)  # raises, with the lines
                return
            if first is not None:
                address = row.address + first
                other = next(r for r in group if r.address <= address < r.stop and r.known[address - r.address])
                one, two = sorted((row.line, other.line))
                raise InputError(
                    f"the byte at 0x{address:08X} is given twice with different values (also in line {one})",
                    source=source,
                    place=f"line {two}",
                    advice="repeated reads belong into files of their own",
                )
        data += row.data[max(n, 0) :]
        known += row.known[max(n, 0) :]
    _cut(
        start,
        np.frombuffer(data, np.uint8),
        np.frombuffer(known, np.bool_),
        group[0].line,
        source,
        segments,
        unreadable,
    )


def _over(data: bytearray, known: bytearray, at: int, row: Stretch) -> int | None:
    """Put a line over bytes that are there already; return where in it the first other value stands, or None."""
    here = slice(at, at + len(row.data))
    old, seen = np.frombuffer(data, np.uint8)[here], np.frombuffer(known, np.bool_)[here]
    new, readable = np.frombuffer(row.data, np.uint8)[: old.size], np.frombuffer(row.known, np.bool_)[: old.size]
    clash = seen & readable & (old != new)
    if clash.any():
        return int(np.argmax(clash))
    old[readable] = new[readable]
    seen |= readable
    return None


def _cut(
    start: int,
    data: Bytes,
    known: npt.NDArray[np.bool_],
    line: int,
    source: str,
    segments: list[Segment],
    unreadable: list[AddressRange],
) -> None:
    borders = np.flatnonzero(np.diff(known)) + 1
    if borders.size + len(segments) + len(unreadable) > VIEW_PIECES:
        raise InputError(
            f"known and unreadable bytes alternate more than {VIEW_PIECES} times",
            source=source,
            place=f"line {line}",
            advice="that is no memory content",
        )
    for a, b in pairwise([0, *borders.tolist(), len(data)]):
        if known[a]:
            segments.append(Segment(start + a, data[a:b]))
        else:
            unreadable.append(AddressRange(start + a, start + b))
