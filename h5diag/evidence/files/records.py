"""Lines of record text (Intel HEX, S-record) decoded in blocks: memory stays small and errors know their line.

The whole block is decoded by a few array operations; a 64 MB image takes seconds and holds no entry per byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from h5diag.errors import InputError
from h5diag.evidence.files.pieces import MOST_BYTES
from h5diag.evidence.files.text import decode_text
from h5diag.memory import Bytes

BLOCK = 1 << 18
"""Characters that are decoded at a time."""

LONGEST_LINE = 1024
"""The longest record of either format has 521 characters; anything longer is no record."""

Ints = npt.NDArray[np.int64]

_NIBBLE = np.full(256, 0xFF, np.uint8)
_NIBBLE[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16, dtype=np.uint8)
_NIBBLE[np.frombuffer(b"ABCDEF", np.uint8)] = np.arange(10, 16, dtype=np.uint8)
_BLANK = np.zeros(256, np.bool_)
_BLANK[np.frombuffer(b" \t\r\0\x1a", np.uint8)] = True  # some tools pad with NUL or end with Ctrl-Z


@dataclass(frozen=True, slots=True)
class Records:
    """The records of one block in file order, each an array of equal length.

    Parameters
    ----------
    line
        Line number in the file, from 1.
    lead
        First character of the line.
    tag
        Second character of the line where `prefix` was 2, otherwise the first again.
    begin, size
        Where the record's bytes begin in `body`, and how many there are.
    body
        The decoded bytes of all records, checksums included.
    """

    line: Ints
    lead: Bytes
    tag: Bytes
    begin: Ints
    size: Ints
    body: Bytes

    def column(self, i: int) -> Ints:
        """Return byte `i` of every record; the caller knows that each is long enough."""
        return self.body[self.begin + i].astype(np.int64)

    def sums(self) -> Ints:
        """Return the sum of every record's bytes modulo 256."""
        return np.add.reduceat(self.body, self.begin, dtype=np.int64) & 0xFF

    def parts(self, start: Ints, count: Ints) -> Bytes:
        """Return the bytes ``[start, start + count)`` of `body` of all records, one after the other."""
        return self.body[_marked(start, start + count, self.body.size)]

    def select(self, which: npt.NDArray[np.bool_]) -> Records:
        """Return the records where `which` is true."""
        return Records(
            self.line[which], self.lead[which], self.tag[which], self.begin[which], self.size[which], self.body
        )


def read_records(path: Path, *, prefix: int, shortest: int, what: str) -> Iterator[Records]:
    """Yield the records of a file, block by block.

    Parameters
    ----------
    path
        A regular file. Lines end in LF, CR LF or CR; blank lines are skipped.
    prefix
        How many characters stand before the hexadecimal digits: 1 (``:``) or 2 (``S1``).
    shortest
        The least number of bytes of a record.
    what
        The format's name, for errors.

    Raises
    ------
    InputError
        When a line is too long, holds something else than hexadecimal digits, or is cut short.
    """
    number, rest = 1, b""
    with _open(path) as stream:
        while True:
            chunk = stream.read(BLOCK)
            text = rest + chunk
            if not text:
                return
            cut = _last_break(text) if chunk else len(text)
            if chunk and len(text) - cut > BLOCK:
                raise InputError(
                    f"a line of more than {BLOCK} characters is no {what}",
                    source=str(path),
                    place=f"line {number + _breaks(text[:cut])}",
                )
            rest = text[cut:]
            if cut:
                block, number = _decoded(text[:cut], number, path, prefix, shortest, what)
                if block.line.size:
                    yield block


def _open(path: Path) -> BinaryIO:
    """Open a record file; one that a shell's redirection made UTF-16 or gave a mark is decoded whole."""
    stream = path.open("rb")
    head = stream.read(64)
    stream.seek(0)
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") or head[:3] == b"\xef\xbb\xbf" or head.count(0) * 3 > len(head):
        with stream:
            return BytesIO(decode_text(stream.read(2 * MOST_BYTES)).encode("utf-8", "replace"))
    return stream


def _breaks(text: bytes) -> int:
    return text.count(b"\n") + text.count(b"\r") - text.count(b"\r\n")


def _last_break(text: bytes) -> int:
    """A CR at the very end may be half of a CR LF, so it waits for the next block."""
    return max(text.rfind(b"\n"), text.rfind(b"\r", 0, len(text) - 1)) + 1


def _marked(start: Ints, stop: Ints, size: int) -> npt.NDArray[np.bool_]:
    """True inside the ranges, which are in ascending order and do not overlap."""
    delta = np.zeros(size + 1, np.int8)
    delta[start] += 1  # no two ranges begin at one place, none end at one
    delta[stop] -= 1
    return np.cumsum(delta[:-1], dtype=np.int8).astype(np.bool_)


def _decoded(text: bytes, number: int, path: Path, prefix: int, shortest: int, what: str) -> tuple[Records, int]:
    buffer = np.frombuffer(text, np.uint8)
    ends = buffer == 0x0A
    bare = buffer == 0x0D
    bare[:-1] &= ~ends[1:]  # the CR of a CR LF belongs to the line
    breaks = np.flatnonzero(ends | bare)
    start = np.concatenate(([0], breaks + 1))
    stop = np.concatenate((breaks, [buffer.size]))
    line = np.arange(number, number + start.size, dtype=np.int64)
    following = number + int(breaks.size)

    def refuse(bad: npt.NDArray[np.bool_], problem: str, advice: str = "") -> None:
        if bad.any():
            raise InputError(problem, source=str(path), place=f"line {line[np.argmax(bad)]}", advice=advice)

    refuse(stop - start > LONGEST_LINE, f"the line is longer than any {what}")
    start, stop = _stripped(buffer, start, stop)
    keep = stop > start
    start, stop, line = start[keep], stop[keep], line[keep]
    if not start.size:
        empty = np.empty(0, np.int64)
        none = np.empty(0, np.uint8)
        return Records(empty, none, none, empty, empty, none), following
    lead = buffer[start]
    refuse(
        lead != (0x3A if prefix == 1 else 0x53), f"this is no {what}", "the file may be damaged or hold something else"
    )
    digits = stop - start - prefix
    refuse(digits < 2 * shortest, f"the {what} is cut short")
    tag = buffer[start + prefix - 1]
    nibbles = _NIBBLE[buffer]
    seen = np.concatenate(([0], np.cumsum(nibbles < 16, dtype=np.int64)))
    refuse(seen[stop] - seen[start + prefix] != digits, f"a character of the {what} is no hexadecimal digit")
    refuse(digits % 2 == 1, f"the {what} is cut short: an odd number of digits")
    chosen = nibbles[_marked(start + prefix, stop, buffer.size)]
    size = digits // 2
    body = (chosen[0::2] << 4 | chosen[1::2]).astype(np.uint8, copy=False)
    return Records(line, lead, tag, np.cumsum(size) - size, size, body), following


def _stripped(buffer: Bytes, start: Ints, stop: Ints) -> tuple[Ints, Ints]:
    while (more := (stop > start) & _BLANK[buffer[np.maximum(stop - 1, 0)]]).any():
        stop = stop - more
    while (more := (stop > start) & _BLANK[buffer[np.minimum(start, buffer.size - 1)]]).any():
        start = start + more
    return start, stop
