"""Reading a chunk that may fault: halved until every readable word is had and every failing one is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from h5diag.errors import TargetError
from h5diag.memory import AddressRange, Bytes

Read = Callable[[int, int], Bytes]
"""Returns the bytes from start to stop, or raises `TargetError` for the whole."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A readable run: bus address of its first byte, and its bytes."""

    start: int
    data: Bytes


@dataclass(frozen=True, slots=True)
class Failure:
    """A word that could not be read."""

    range: AddressRange


def read_whole(read: Read, where: AddressRange) -> Piece | None:
    """Return a range read in one burst, or None when the chip refused it."""
    try:
        return Piece(where.start, read(where.start, where.stop))
    except TargetError:
        return None


def read_pieces(read: Read, where: AddressRange) -> Iterator[Piece | Failure]:
    """Yield the readable runs and the failing words of a word-aligned range, in address order."""
    piece = read_whole(read, where)
    if piece:
        yield piece
    elif where.size <= 4:
        yield Failure(where)
    else:
        middle = where.start + (where.size // 2 + 3 & ~3)
        yield from read_pieces(read, AddressRange(where.start, middle))
        yield from read_pieces(read, AddressRange(middle, where.stop))
