"""Lines of memory laid together: equal bytes given twice are one, different ones are an error."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from h5diag.errors import InputError
from h5diag.memory import AddressRange, Segment

MOST_PIECES = 1 << 17


@dataclass(frozen=True, slots=True)
class Shown:
    """The bytes that one line shows; `known` holds 1 where a byte was readable and 0 where it was not."""

    line: int
    address: int
    data: bytes
    known: bytes

    @property
    def stop(self) -> int:
        """Address after the last byte."""
        return self.address + len(self.data)


def shown_memory(rows: Iterable[Shown], source: str) -> tuple[tuple[Segment, ...], tuple[AddressRange, ...]]:
    """Return the known bytes of all lines and the ranges that could not be read.

    A byte that one line shows and another marks as unreadable counts as read.

    Raises
    ------
    InputError
        With the line, when two lines show different values for one byte or the pieces are too many.
    """
    segments: list[Segment] = []
    unreadable: list[AddressRange] = []
    group: list[Shown] = []
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


def _close(group: list[Shown], stop: int, source: str, segments: list[Segment], unreadable: list[AddressRange]) -> None:
    start = group[0].address
    data, known = np.zeros(stop - start, np.uint8), np.zeros(stop - start, np.bool_)
    for row in group:
        at = slice(row.address - start, row.stop - start)
        new, readable = np.frombuffer(row.data, np.uint8), np.frombuffer(row.known, np.bool_)
        clash = known[at] & readable & (data[at] != new)
        if clash.any():
            address = row.address + int(np.argmax(clash))
            other = next(r for r in group if r.address <= address < r.stop and r.known[address - r.address])
            first, second = sorted((row.line, other.line))
            raise InputError(
                f"the byte at 0x{address:08X} is given twice with different values (also in line {first})",
                source=source,
                place=f"line {second}",
                advice="repeated reads belong into files of their own",
            )
        data[at] = np.where(readable, new, data[at])
        known[at] |= readable
    borders = np.flatnonzero(np.diff(known)) + 1
    if borders.size + len(segments) + len(unreadable) > MOST_PIECES:
        raise InputError(
            f"known and unreadable bytes alternate more than {MOST_PIECES} times",
            source=source,
            place=f"line {group[0].line}",
            advice="that is no memory content",
        )
    edges = [0, *borders.tolist(), stop - start]
    for a, b in pairwise(edges):
        if known[a]:
            segments.append(Segment(start + a, data[a:b]))
        else:
            unreadable.append(AddressRange(start + a, start + b))
