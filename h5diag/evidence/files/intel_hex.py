"""Intel HEX: 16-bit records with segment (02) or linear (04) extensions, up to 4 GiB.

Source: Intel, Hexadecimal Object File Format Specification, revision A (1988).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from h5diag.errors import InputError
from h5diag.evidence.files.pieces import Ints, Overlap, Pieces
from h5diag.evidence.files.records import Records, read_records
from h5diag.evidence.files.rows import encode, page_rows
from h5diag.memory import MemoryImage, Segment

LIMIT = 1 << 32

_DATA, _END, _SEGMENT, _START_SEGMENT, _LINEAR, _START_LINEAR = range(6)
_FIXED = np.array([-1, 0, 2, 4, 2, 4], np.int64)  # data bytes of each record type, -1 = any


def read_intel_hex(path: Path) -> tuple[Segment, ...]:
    """Return the bytes of an Intel HEX file.

    Raises
    ------
    InputError
        With the line, for a record that is damaged, overlaps another or passes 4 GiB, and for a missing end record.
    """
    pieces = Pieces(str(path))
    for _, addresses, counts, data in _data_records(path):
        pieces.add(addresses, counts, data)
    try:
        return pieces.segments()
    except Overlap as overlap:
        raise overlapping(path, overlap.address, ((n, a, c) for n, a, c, _ in _data_records(path))) from None


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


def _data_records(path: Path) -> Iterator[tuple[Ints, Ints, Ints, npt.NDArray[np.uint8]]]:
    """Yield line numbers, addresses, counts and bytes of the data records, block by block."""
    base, segmented, ended, last = 0, False, 0, 0
    for records in read_records(path, prefix=1, shortest=5, what="Intel HEX record"):
        last = int(records.line[-1])
        count, kind = _checked(records, path)
        ends = np.flatnonzero(kind == _END)
        after = int(records.line[0]) if ended else 0
        if not ended and ends.size:
            ended = int(records.line[ends[0]])
            after = int(records.line[ends[0] + 1]) if ends[0] + 1 < kind.size else 0
        if after:
            raise InputError(
                f"a record follows the end-of-file record of line {ended}",
                source=str(path),
                place=f"line {after}",
                advice="two files may have been joined; give them one at a time",
            )
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
