"""Intel HEX and Motorola S-records: lines of record text decoded in blocks, and written.

The whole block is decoded by a few array operations, which is what keeps a 64 MiB image usable: seconds instead of
minutes, no entry per byte, and errors that know their line. Sources: Intel, Hexadecimal Object File Format
Specification, revision A (1988), with segment (02) or linear (04) extensions; S1, S2 and S3 data, S5 and S6 counts, S7
to S9 ends.
"""

from __future__ import annotations

from binascii import Error as BinasciiError, unhexlify
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from h5diag.errors import InputError
from h5diag.evidence.door import EvidenceFile
from h5diag.evidence.files.kind import decode_text
from h5diag.evidence.files.pieces import Ints, Overlap, SegmentBuilder
from h5diag.limits import RECORD_LINE
from h5diag.memory import Bytes, MemoryImage, Segment
from h5diag.text import count_text

BLOCK = 1 << 18
"""Characters that are decoded at a time."""


_NIBBLE = np.full(256, 0xFF, np.uint8)
_NIBBLE[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16, dtype=np.uint8)
_NIBBLE[np.frombuffer(b"ABCDEF", np.uint8)] = np.arange(10, 16, dtype=np.uint8)
_APART = b": \t\r\n\0\x1a"
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


def read_records(file: EvidenceFile, *, prefix: int, shortest: int, what: str) -> Iterator[Records]:
    """Yield the records of a file, block by block.

    Parameters
    ----------
    file
        Its lines end in LF, CR LF or CR; blank lines are skipped.
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
    number, rest, path = 1, b"", file.path
    with _stream(file.data) as stream:
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


def _stream(data: bytes) -> BinaryIO:
    """The bytes as a stream; what a shell's redirection made UTF-16 or gave a mark is decoded whole."""
    head = data[:64]
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") or head[:3] == b"\xef\xbb\xbf" or head.count(0) * 3 > len(head):
        data = decode_text(data).encode("utf-8", "replace")
    return BytesIO(data)


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

    refuse(stop - start > RECORD_LINE, f"the line is longer than any {what}")
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
    size = digits // 2
    body = _body(text, buffer, start + prefix, prefix)
    if body is None or body.size != int(size.sum()) or (digits % 2).any():
        seen = np.concatenate(([0], np.cumsum(_NIBBLE[buffer] < 16, dtype=np.int64)))
        refuse(seen[stop] - seen[start + prefix] != digits, f"a character of the {what} is no hexadecimal digit")
        refuse(digits % 2 == 1, f"the {what} is cut short: an odd number of digits")
    assert body is not None
    return Records(line, lead, tag, np.cumsum(size) - size, size, body), following


def _body(text: bytes, buffer: Bytes, first: Ints, prefix: int) -> Bytes | None:
    """Return all digits of a block as bytes; None, or more or fewer of them, where something else stands among them."""
    if prefix == 1:
        digits = text.translate(None, _APART)
    else:
        kept = _NIBBLE[buffer] < 16
        kept[first - 1] = False  # the tag
        digits = buffer[kept].tobytes()
    try:
        return np.frombuffer(unhexlify(digits), np.uint8)
    except BinasciiError:
        return None


def _stripped(buffer: Bytes, start: Ints, stop: Ints) -> tuple[Ints, Ints]:
    while (more := (stop > start) & _BLANK[buffer[np.maximum(stop - 1, 0)]]).any():
        stop = stop - more
    while (more := (stop > start) & _BLANK[buffer[np.minimum(start, buffer.size - 1)]]).any():
        start = start + more
    return start, stop


WIDTH = 16
"""Data bytes of a record."""

_PAGE = 0x10000
_DIGITS = np.frombuffer("".join(f"{i:02X}" for i in range(256)).encode(), np.uint8).reshape(256, 2)


def page_rows(segment: Segment) -> Iterator[tuple[int, Bytes]]:
    """Yield ``(start, rows)`` with rows ``uint8 (n, width)``: no row crosses a 16-byte or 64 KiB border."""
    at = segment.start
    while at < segment.stop:
        stop = min(segment.stop, (at // _PAGE + 1) * _PAGE)
        middle = min(stop, -(-at // WIDTH) * WIDTH)
        last = max(middle, stop // WIDTH * WIDTH)
        for a, b in ((at, middle), (middle, last), (last, stop)):
            if a < b:
                part = segment.data[a - segment.start : b - segment.start]
                yield a, part.reshape(-1, WIDTH if (a, b) == (middle, last) else b - a)
        at = stop


def encode(prefix: bytes, head: Bytes, data: Bytes, *, negate: bool) -> bytes:
    """Return one line per row: `prefix`, then `head`, `data` and the checksum in hexadecimal.

    The checksum is the two's complement of the sum of the bytes when `negate`, otherwise the one's complement.
    """
    body = np.concatenate((head, data), axis=1)
    sums = body.sum(axis=1, dtype=np.int64)
    body = np.concatenate((body, ((-sums if negate else ~sums) & 0xFF).astype(np.uint8)[:, None]), axis=1)
    text = _DIGITS[body].reshape(body.shape[0], -1)
    lead = np.broadcast_to(np.frombuffer(prefix, np.uint8), (body.shape[0], len(prefix)))
    return np.concatenate((lead, text, np.full((body.shape[0], 1), 0x0A, np.uint8)), axis=1).tobytes()


LIMIT = 1 << 32

_DATA, _END, _SEGMENT, _START_SEGMENT, _LINEAR, _START_LINEAR = range(6)
_FIXED = np.array([-1, 0, 2, 4, 2, 4], np.int64)  # data bytes of each record type, -1 = any


def read_intel_hex(file: EvidenceFile) -> tuple[Segment, ...]:
    """Return the bytes of an Intel HEX file.

    Raises
    ------
    InputError
        With the line, for a record that is damaged, overlaps another or passes 4 GiB, and for a missing end record.
    """
    return _joined(file, _data_records)


DataRecords = Iterator[tuple[Ints, Ints, Ints, npt.NDArray[np.uint8]]]
"""Line numbers, addresses, counts and bytes of data records, block by block."""


def _joined(file: EvidenceFile, records: Callable[[EvidenceFile], DataRecords]) -> tuple[Segment, ...]:
    """Return the segments that the data records of a file make; an overlap is looked up again, for its lines."""
    pieces = SegmentBuilder(str(file.path))
    for _, addresses, counts, data in records(file):
        pieces.add(addresses, counts, data)
    try:
        return pieces.segments()
    except Overlap as overlap:
        raise overlapping(file.path, overlap.address, ((n, a, c) for n, a, c, _ in records(file))) from None


def overlapping(path: Path, address: int, records: Iterator[tuple[Ints, Ints, Ints]]) -> InputError:
    """Return the error for a byte that two records hold, with the lines of the first two of them."""
    lines: list[int] = []
    for numbers, addresses, counts in records:
        lines += numbers[(addresses <= address) & (address < addresses + counts)].tolist()
    first, second = (*lines, 0, 0)[:2]
    return InputError(
        f"the record overlaps that of line {first} at 0x{address:08X} with another value",
        source=str(path),
        place=f"line {second}",
        advice="two files may have been joined; give them one at a time",
    )


def _end_line(records: Records, is_end: npt.NDArray[np.bool_], ended: int, what: str, path: Path) -> int:
    """Return the line of the record that ends the file, 0 before it came; a record behind it is refused."""
    ends = np.flatnonzero(is_end)
    after = int(records.line[0]) if ended else 0
    if not ended and ends.size:
        ended = int(records.line[ends[0]])
        after = int(records.line[ends[0] + 1]) if ends[0] + 1 < is_end.size else 0
    if after:
        raise InputError(
            f"a record follows the {what} record of line {ended}",
            source=str(path),
            place=f"line {after}",
            advice="two files may have been joined; give them one at a time",
        )
    return ended


def _data_records(file: EvidenceFile) -> DataRecords:
    """Yield line numbers, addresses, counts and bytes of the data records, block by block."""
    base, segmented, ended, last, path = 0, False, 0, 0, file.path
    for records in read_records(file, prefix=1, shortest=5, what="Intel HEX record"):
        last = int(records.line[-1])
        count, kind = _checked(records, path)
        ended = _end_line(records, kind == _END, ended, "end-of-file", path)
        bases, flags, base, segmented = _bases(records, kind, base, segmented)
        data = kind == _DATA
        chosen = records.select(data)
        offset = chosen.column(1) << 8 | chosen.column(2)
        address, n = bases[data] + offset, count[data]
        over = (address + n > LIMIT) | flags[data] & (offset + n > 0x10000)
        if over.any():
            i = int(np.argmax(over))
            edge = "4 GiB" if address[i] + n[i] > LIMIT else "the end of its 64 KiB segment"
            raise InputError(
                f"the record at 0x{address[i]:08X} runs past {edge}", source=str(path), place=f"line {chosen.line[i]}"
            )
        yield chosen.line, address, n, records.parts(chosen.begin + 4, n)
    if not ended:
        raise InputError(
            "there is no end-of-file record",
            source=str(path),
            place=f"after line {last}",
            advice="the file was cut short; copy it again",
        )


def _checked(records: Records, path: Path) -> tuple[Ints, Ints]:
    """Return the data count and the type of every record after all checks that one record allows."""
    count, kind = records.column(0), records.column(3)

    def refuse(bad: npt.NDArray[np.bool_], problem: str) -> None:
        if bad.any():
            i = int(np.argmax(bad))
            text = problem.format(
                count=count[i],
                kind=kind[i],
                held=records.size[i] - 5,
                sum=sums[i],
                stored=records.body[records.begin[i] + records.size[i] - 1],
            )
            raise InputError(text, source=str(path), place=f"line {records.line[i]}")

    stored = records.body[records.begin + records.size - 1].astype(np.int64)
    sums = stored - records.sums() & 0xFF
    refuse(records.size < count + 5, "the record is cut short: it announces {count} data bytes and holds {held}")
    refuse(records.size > count + 5, "the record announces {count} data bytes and holds {held}")
    refuse(sums != stored, "bad checksum: {stored:02X} stands there, the record adds up to {sum:02X}")
    refuse(kind > _START_LINEAR, "unknown record type {kind:02X}")
    fixed = _FIXED[np.minimum(kind, _START_LINEAR)]
    refuse((fixed >= 0) & (count != fixed), "a record of type {kind:02X} cannot hold {count} data bytes")
    return count, kind


def _bases(records: Records, kind: Ints, base: int, segmented: bool) -> tuple[Ints, npt.NDArray[np.bool_], int, bool]:
    """Return the base and whether it is a segment's for every record, and both as they stand after the block."""
    bases, flags = np.full(kind.size, base, np.int64), np.full(kind.size, segmented, np.bool_)
    extends = (kind == _SEGMENT) | (kind == _LINEAR)
    at = np.flatnonzero(extends)
    if at.size:
        chosen = records.select(extends)
        value = chosen.column(4) << 8 | chosen.column(5)
        is_segment = kind[at] == _SEGMENT
        value = np.where(is_segment, value << 4, value << 16)
        latest = np.searchsorted(at, np.arange(kind.size), side="right") - 1
        known = latest >= 0
        bases[known], flags[known] = value[latest[known]], is_segment[latest[known]]
    return bases, flags, int(bases[-1]), bool(flags[-1])


def write_intel_hex(image: MemoryImage, stream: BinaryIO) -> None:
    """Write records of 16 bytes with linear extensions; the caller knows that all lies below 4 GiB."""
    high = 0
    for s in image.segments:
        for start, data in page_rows(s):
            if start >> 16 != high:
                high = start >> 16
                extension = np.frombuffer(high.to_bytes(2, "big"), np.uint8).reshape(1, 2)
                stream.write(encode(b":", np.array([[2, 0, 0, 4]], np.uint8), extension, negate=True))
            rows = data.shape[0]
            at = (start & 0xFFFF) + np.arange(rows, dtype=np.int64) * data.shape[1]
            head = np.stack((np.full(rows, data.shape[1]), at >> 8, at & 0xFF, np.zeros(rows, np.int64)), axis=1)
            stream.write(encode(b":", head.astype(np.uint8), data, negate=True))
    stream.write(b":00000001FF\n")


_ADDRESS_BYTES = np.array([2, 2, 3, 4, 0, 2, 3, 4, 3, 2], np.int64)  # by record type; S4 is reserved


def read_s_record(file: EvidenceFile) -> tuple[Segment, ...]:
    """Return the bytes of an S-record file.

    Raises
    ------
    InputError
        With the line, for a record that is damaged, overlaps another or passes 4 GiB, a wrong record count, and
        a missing end where no count stands for it.
    """
    return _joined(file, _s_data_records)


def _s_data_records(file: EvidenceFile) -> DataRecords:
    """Yield line numbers, addresses, counts and bytes of the data records, block by block."""
    ended, seen, last, counted, path = 0, 0, 0, False, file.path
    for records in read_records(file, prefix=2, shortest=3, what="S-record"):
        last = int(records.line[-1])
        kind, width = _s_checked(records, path)
        ended = _end_line(records, kind >= 7, ended, "end", path)
        data = (kind >= 1) & (kind <= 3)
        address = _addresses(records, width)
        running = seen + np.cumsum(data)
        wrong = ((kind == 5) | (kind == 6)) & (address != running)
        if wrong.any():
            i = int(np.argmax(wrong))
            raise InputError(
                f"the count record says {count_text(address[i], 'data record')} and {running[i]} stand before it",
                source=str(path),
                place=f"line {records.line[i]}",
                advice="lines are missing; copy the file again",
            )
        seen = int(running[-1])
        # Without an entry point srec_cat and others write no end record: a count that fits says as much.
        counted = int(kind[-1]) in (5, 6) or (counted and not data.any())
        count = records.size[data] - width[data] - 2
        over = address[data] + count > LIMIT
        if over.any():
            i = int(np.argmax(over))
            raise InputError(
                f"the record at 0x{address[data][i]:08X} runs past 4 GiB",
                source=str(path),
                place=f"line {records.line[data][i]}",
            )
        yield (records.line[data], address[data], count, records.parts(records.begin[data] + 1 + width[data], count))
    if not ended and not counted:
        raise InputError(
            "there is neither an end record (S7, S8 or S9) nor a count (S5 or S6), so nothing tells whether lines are missing",
            source=str(path),
            place=f"after line {last}",
            advice="copy the file again; some tools leave the end record out, then convert it to .hex",
        )


def _addresses(records: Records, width: Ints) -> Ints:
    """Return the big-endian address field of every record."""
    address = np.zeros(width.size, np.int64)
    for i in range(4):
        within = width > i
        address[within] = address[within] << 8 | records.body[records.begin[within] + 1 + i]
    return address


def _s_checked(records: Records, path: Path) -> tuple[Ints, Ints]:
    """Return the type and the address width of every record after all checks that one record allows."""
    kind = records.tag.astype(np.int64) - 0x30
    count = records.column(0)
    width = _ADDRESS_BYTES[np.clip(kind, 0, 9)]
    stored = records.body[records.begin + records.size - 1].astype(np.int64)
    right = ~(records.sums() - stored) & 0xFF

    def refuse(bad: npt.NDArray[np.bool_], problem: str) -> None:
        if bad.any():
            i = int(np.argmax(bad))
            text = problem.format(
                count=count[i], kind=chr(records.tag[i]), held=records.size[i] - 1, stored=stored[i], right=right[i]
            )
            raise InputError(text, source=str(path), place=f"line {records.line[i]}")

    refuse((kind < 0) | (kind > 9) | (width == 0), "unknown record type S{kind}")
    refuse(records.size < count + 1, "the record is cut short: it announces {count} bytes and holds {held}")
    refuse(records.size > count + 1, "the record announces {count} bytes and holds {held}")
    refuse(count < width + 1, "the record is too short for its type S{kind}")
    refuse(stored != right, "bad checksum: {stored:02X} stands there, the record adds up to {right:02X}")
    return kind, width


def write_s_record(image: MemoryImage, stream: BinaryIO) -> None:
    """Write S3 records of 16 bytes and an S7 end; the caller knows that all lies below 4 GiB."""
    stream.write(
        encode(b"S0", np.array([[9, 0, 0]], np.uint8), np.frombuffer(b"h5diag", np.uint8).reshape(1, -1), negate=False)
    )
    for s in image.segments:
        for start, data in page_rows(s):
            at = start + np.arange(data.shape[0], dtype=np.int64) * data.shape[1]
            size = np.full(data.shape[0], data.shape[1] + 5)
            head = np.stack((size, at >> 24, at >> 16 & 0xFF, at >> 8 & 0xFF, at & 0xFF), axis=1)
            stream.write(encode(b"S3", head.astype(np.uint8), data, negate=False))
    stream.write(b"S70500000000FA\n")
