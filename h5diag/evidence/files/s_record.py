"""Motorola S-records: S1, S2 and S3 data with 16, 24 and 32-bit addresses, S5 and S6 counts, S7 to S9 ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from h5diag.errors import InputError
from h5diag.evidence.files.intel_hex import LIMIT, overlapping
from h5diag.evidence.files.pieces import Ints, Overlap, Pieces
from h5diag.evidence.files.records import Records, read_records
from h5diag.evidence.files.rows import encode, page_rows
from h5diag.memory import MemoryImage, Segment

_ADDRESS_BYTES = np.array([2, 2, 3, 4, 0, 2, 3, 4, 3, 2], np.int64)  # by record type; S4 is reserved


def read_s_record(path: Path) -> tuple[Segment, ...]:
    """Return the bytes of an S-record file.

    Raises
    ------
    InputError
        With the line, for a record that is damaged, overlaps another or passes 4 GiB, a wrong record count, and
        a missing end where no count stands for it.
    """
    pieces = Pieces(str(path))
    for _, addresses, counts, data in _data_records(path):
        pieces.add(addresses, counts, data)
    try:
        return pieces.segments()
    except Overlap as overlap:
        raise overlapping(path, overlap.address, ((n, a, c) for n, a, c, _ in _data_records(path))) from None


def _data_records(path: Path) -> Iterator[tuple[Ints, Ints, Ints, npt.NDArray[np.uint8]]]:
    """Yield line numbers, addresses, counts and bytes of the data records, block by block."""
    ended, seen, last, counted = 0, 0, 0, False
    for records in read_records(path, prefix=2, shortest=3, what="S-record"):
        last = int(records.line[-1])
        kind, width = _checked(records, path)
        ends = np.flatnonzero(kind >= 7)
        after = int(records.line[0]) if ended else 0
        if not ended and ends.size:
            ended = int(records.line[ends[0]])
            after = int(records.line[ends[0] + 1]) if ends[0] + 1 < kind.size else 0
        if after:
            raise InputError(
                f"a record follows the end record of line {ended}",
                source=str(path),
                place=f"line {after}",
                advice="two files may have been joined; give them one at a time",
            )
        data = (kind >= 1) & (kind <= 3)
        address = _addresses(records, width)
        running = seen + np.cumsum(data)
        wrong = ((kind == 5) | (kind == 6)) & (address != running)
        if wrong.any():
            i = int(np.argmax(wrong))
            raise InputError(
                f"the count record says {address[i]} data records and {running[i]} stand before it",
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


def _checked(records: Records, path: Path) -> tuple[Ints, Ints]:
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
