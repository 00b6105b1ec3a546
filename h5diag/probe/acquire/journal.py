"""The reads of a dump as they come, on disk: what a kill or a pulled cable leaves is not read again.

One line of JSON says whose reads they are; then records follow, each with its own check sum. A record cut short by a
kill is dropped.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from h5diag.errors import InputError
from h5diag.memory import AddressRange, Bytes

_RECORD = struct.Struct("<4sHHQII")
_MAGIC = b"READ"
_KIND = "h5diag reads 1"
_GOOD, _BAD, _DONE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose reads they are and how they are made; a resume must find all of it equal."""

    chip: str
    dev_id: int
    uid: str
    access: str
    start: int
    stop: int
    chunk: int


@dataclass(frozen=True, slots=True)
class Entry:
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
    identity
        Whose reads.
    resume
        Go on with the file that is there; otherwise it is replaced.

    Raises
    ------
    InputError
        When the file that is there is of another chip or was read in another way.
    """

    def __init__(self, path: str, identity: Identity, *, resume: bool = False) -> None:
        self._file: BinaryIO | None = None
        self.entries: tuple[Entry, ...] = ()
        self._path = path
        self._end = 0
        if not path:
            return
        if resume and Path(path).exists():
            self._check(identity)
            try:
                self._file = Path(path).open("r+b")  # noqa: SIM115 - lives as long as the dump
            except OSError as error:
                raise InputError(f"cannot be written ({error.strerror})", source=path) from None
            return
        try:
            self._file = Path(path).open("w+b")  # noqa: SIM115 - lives as long as the dump
            self._file.write(json.dumps({"kind": _KIND} | asdict(identity)).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise InputError(
                f"cannot be written ({error.strerror})", source=path, advice="name a file in a folder that exists"
            ) from None

    def _check(self, identity: Identity) -> None:
        try:
            with Path(self._path).open("rb") as stream:
                head = json.loads(stream.readline(1 << 16))
            assert head.pop("kind") == _KIND
        except (OSError, ValueError, KeyError, AssertionError, AttributeError):
            raise InputError(
                "not the reads of a dump", source=self._path, advice="delete it and start without --resume"
            ) from None
        for key, now in asdict(identity).items():
            if head.get(key) != now:
                told = {"uid": "chip (UID)", "dev_id": "chip (DEV_ID)", "chip": "chip"}.get(key, key)
                raise InputError(
                    f"the dump begun here is of another {told}: {head.get(key)}, now {now}",
                    source=self._path,
                    advice="start without --resume, or connect the first board",
                )

    def replay(self) -> Iterator[Entry]:
        """Yield what an earlier run wrote, in order, and cut off what it left unfinished."""
        if self._file is None:
            return
        stream = self._file
        stream.seek(0)
        stream.readline()
        end = stream.tell()
        while len(head := stream.read(_RECORD.size)) == _RECORD.size:
            magic, kind, number, start, size, check = _RECORD.unpack(head)
            data = stream.read(size) if kind == _GOOD else b""
            if magic != _MAGIC or (kind == _GOOD and (len(data) != size or zlib.crc32(data) != check)):
                break
            end = stream.tell()
            yield Entry(number, AddressRange(start, start + size), np.frombuffer(data, np.uint8), kind == _DONE)
        stream.seek(end)
        stream.truncate()

    def read(self, number: int, start: int, data: Bytes) -> None:
        """Write down bytes read in pass `number`."""
        self._append(_GOOD, number, start, data.size, data)

    def failed(self, number: int, where: AddressRange) -> None:
        """Write down a range that failed in pass `number`."""
        self._append(_BAD, number, where.start, where.size, None)

    def done(self, number: int, where: AddressRange) -> None:
        """Write down that a chunk is finished in pass `number`; from here on a kill loses nothing of it."""
        self._append(_DONE, number, where.start, where.size, None)
        if self._file is not None:
            self._file.flush()

    def _append(self, kind: int, number: int, start: int, size: int, data: Bytes | None) -> None:
        if self._file is None:
            return
        payload = b"" if data is None else np.ascontiguousarray(data).data
        check = zlib.crc32(payload)
        try:
            self._file.write(_RECORD.pack(_MAGIC, kind, number, start, size, check))
            self._file.write(payload)
        except OSError as error:
            raise InputError(
                f"cannot be written ({error.strerror})", source=self._path, advice="make room, then go on with --resume"
            ) from None

    def close(self, *, delete: bool = False) -> None:
        """Close the file; `delete` it when the dump is complete."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None
            if delete:
                Path(self._path).unlink(missing_ok=True)
