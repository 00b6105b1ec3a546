"""The reads of a dump as they come, on disk: what a kill or a pulled cable leaves is not read again.

One line of JSON says whose reads they are; then records follow, each with its own check sum. A record cut short by a
kill is dropped.
"""

from __future__ import annotations

import io
import json
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from h5diag.errors import InputError
from h5diag.memory import AddressRange, Bytes

_RECORD = struct.Struct("<4sHHQII")
_MAGIC = b"READ"
_KIND = "h5diag reads 1"
_GOOD, _BAD, _DONE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Head:
    """Whose reads they are and how they are made; a resume must find all of it equal."""

    chip: str | None
    dev_id: int | None
    uid: str | None
    access: str
    start: int
    stop: int
    chunk: int
    options: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A record: bytes that were read, or (without data) a range that failed, or (`done`) a chunk finished."""

    number: int
    range: AddressRange
    data: Bytes
    done: bool


class Journal:
    """Appends records to a file; with an empty path it keeps nothing.

    Parameters
    ----------
    path
        The file, ``FILE.reads`` beside the dump; empty for none.
    head
        Whose reads.
    fresh
        Replace the reads that are there; otherwise the dump goes on with them.

    Raises
    ------
    InputError
        When the file that is there is of another chip, or of one that cannot be told, or was read in another way.
    """

    def __init__(self, path: str, head: Head, *, fresh: bool = False) -> None:
        self._file: io.FileIO | None = None
        self.path = path
        self._end = 0
        if not path:
            return
        there = Path(path).exists()
        if there:
            self._check(head, fresh)
        try:
            # Without a buffer: what a full disk did not take must not come up again when the file is closed.
            self._file = io.FileIO(path, "r+" if there and not fresh else "w+")
            if not there or fresh:
                self._write(json.dumps({"kind": _KIND} | asdict(head)).encode() + b"\n")
        except OSError as error:
            raise InputError(
                f"cannot be written ({error.strerror})", source=path, advice="name a file in a folder that exists"
            ) from None

    def _check(self, head: Head, fresh: bool) -> None:
        try:
            with Path(self.path).open("rb") as stream:
                there = json.loads(stream.readline(1 << 16))
            assert there.pop("kind") == _KIND
        except (OSError, ValueError, KeyError, TypeError, AssertionError, AttributeError, RecursionError):
            if fresh:
                return
            raise InputError("not the reads of a dump", source=self.path, advice="delete it, or use --force") from None
        own = asdict(head)
        if there.get("uid") != own["uid"] or own["uid"] is None:
            known = f"{there.get('uid') or 'not known'}, now {own['uid'] or 'not readable'}"
            raise InputError(
                f"the dump begun here is of another chip (UID), or of one that cannot be told: {known}",
                source=self.path,
                advice="name another file for this board, or connect the first one"
                + ("" if own["uid"] else " under reset, so that it tells its UID"),
            )
        for key, now in own.items():
            if key == "options" and there.get(key) != now and not fresh:
                raise InputError(
                    "the option bytes changed since this dump was begun: its reads may be of other cells, or of sectors "
                    "that now read as zeros",
                    source=self.path,
                    advice="name another file, or use --force to throw the earlier reads away",
                )
            if there.get(key) != now and not fresh:
                told = {"dev_id": "chip (DEV_ID)", "start": "range", "stop": "range"}.get(key, key)
                raise InputError(
                    f"the dump begun here is of another {told}: {there.get(key)}, now {now}",
                    source=self.path,
                    advice="give the same command again to go on with it, or --force to throw its reads away",
                )

    def replay(self) -> Iterator[_Entry]:
        """Yield what an earlier run wrote, in order, and cut off what it left unfinished."""
        if self._file is None:
            return
        with Path(self.path).open("rb") as stream:
            stream.readline()
            self._end = stream.tell()
            while len(head := stream.read(_RECORD.size)) == _RECORD.size:
                magic, kind, number, start, size, check = _RECORD.unpack(head)
                data = stream.read(size) if kind == _GOOD else b""
                if magic != _MAGIC or (kind == _GOOD and (len(data) != size or zlib.crc32(data) != check)):
                    break
                self._end = stream.tell()
                yield _Entry(number, AddressRange(start, start + size), np.frombuffer(data, np.uint8), kind == _DONE)
        self._file.seek(self._end)
        self._file.truncate()

    def read(self, number: int, start: int, data: Bytes) -> None:
        """Write down bytes read in pass `number`."""
        self._append(_GOOD, number, start, data.size, data)

    def failed(self, number: int, where: AddressRange) -> None:
        """Write down a range that failed in pass `number`."""
        self._append(_BAD, number, where.start, where.size, None)

    def done(self, number: int, where: AddressRange) -> None:
        """Write down that a chunk is finished in pass `number`; from here on a kill loses nothing of it."""
        self._append(_DONE, number, where.start, where.size, None)

    def _append(self, kind: int, number: int, start: int, size: int, data: Bytes | None) -> None:
        if self._file is None:
            return
        payload = b"" if data is None else np.ascontiguousarray(data).tobytes()
        try:
            self._write(_RECORD.pack(_MAGIC, kind, number, start, size, zlib.crc32(payload)) + payload)
        except OSError as error:
            raise InputError(
                f"cannot be written ({error.strerror})",
                source=self.path,
                advice="make room and give the same command again: it goes on with what is there (--resume)",
            ) from None

    def _write(self, record: bytes) -> None:
        """Write a record whole or not at all."""
        assert self._file is not None
        left = memoryview(record)
        try:
            while left:
                left = left[self._file.write(left) or 0 :]
        except OSError:
            with suppress(OSError):
                self._file.seek(self._end)
                self._file.truncate()
            raise
        self._end += len(record)

    def close(self, *, delete: bool = False) -> None:
        """Close the file; `delete` it when the dump is complete."""
        if self._file is not None:
            with suppress(OSError):  # a disk that is full was told when it did not take a record
                os.fsync(self._file.fileno())
            with suppress(OSError):
                self._file.close()
            self._file = None
            if delete:
                Path(self.path).unlink(missing_ok=True)
