"""The private folder of a test: the backup, what it is of, and a journal of what was done.

Nothing is erased before backup and manifest are on the disk, flushed, and read back equal.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from h5diag.errors import InputError
from h5diag.evidence.door import read_evidence, write_whole
from h5diag.limits import MEMORY, RECORD, TEST_FOLDER_BYTES
from h5diag.memory import AddressRange, Bytes

_FILES = frozenset(
    {"README.txt", "backup.bin", "manifest.json", "journal.jsonl", "result.json", "lock"}
    | {"backup.bin.new", "manifest.json.new", "result.json.new"}
)
NOTE = """This folder belongs to a flash test of h5diag. backup.bin is what the flash held before: firmware as the chip
runs it, decrypted, with whatever keys and serial numbers were in it. Keep it private, keep it until the test says that
the contents are back, and then delete it. To put the contents back after an interruption:

    h5diag flashtest --probe P --restore DIR
"""


class Manifest(msgspec.Struct, frozen=True):
    """What the backup is of.

    Parameters
    ----------
    chip, dev_id, uid
        Which chip; a restore goes to no other one. `uid` is None when the chip did not tell it.
    start, stop
        The range of the test, canonical. `backup.bin` holds these bytes, zeros for sectors that are not tested.
    access
        ``secure`` or ``nonsecure``.
    plan
        Key of the plan.
    sectors
        Canonical addresses of the sectors that may be erased.
    sha256
        Of `backup.bin`.
    swapped, flash_kib, options
        SWAP_BANK, the size that the chip told, and its option registers by name.
    kind
        Kind of file.
    """

    chip: str
    dev_id: int
    uid: str | None
    start: int
    stop: int
    access: Literal["secure", "nonsecure"]
    plan: str
    sectors: tuple[int, ...]
    sha256: str = ""
    swapped: bool | None = None
    flash_kib: int | None = None
    options: dict[str, int] = {}
    kind: Literal["h5diag flash test 1"] = "h5diag flash test 1"

    def __post_init__(self) -> None:
        if not 0 < self.stop - self.start <= TEST_FOLDER_BYTES or self.start < 0:
            raise ValueError("not a range")

    @property
    def range(self) -> AddressRange:
        """The range of the test."""
        return AddressRange(self.start, self.stop)


class Folder:
    """The folder of one test.

    Parameters
    ----------
    path
        The directory; made with mode 0700 when `make` is true.

    Raises
    ------
    InputError
        When it cannot be made or is not one of a flash test.
    """

    def __init__(self, path: str | Path, *, make: bool = False) -> None:
        self.path = Path(path)
        if make:
            try:
                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
                if set(os.listdir(self.path)) - _FILES:
                    raise InputError("holds other files", source=str(path), advice="name a new folder for the test")
                self.path.chmod(0o700)
                write_whole(self.path / "README.txt", NOTE)
            except OSError as error:
                raise InputError(f"cannot be written ({error.strerror})", source=str(path)) from None
        elif not self.path.is_dir():
            raise InputError("no folder of a flash test", source=str(path), advice="name what --out named")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep every other run out of this folder, also those of other processes; a kill lets it go.

        Raises
        ------
        InputError
            When another run works here.
        """
        try:
            stream = (self.path / "lock").open("ab")
        except OSError as error:
            raise InputError(f"cannot be written ({error.strerror})", source=str(self.path)) from None
        with stream:
            try:
                _lock(stream.fileno())
            except OSError:
                raise InputError(
                    "another run works in this folder",
                    source=str(self.path),
                    advice="wait until it ends, or name a new folder for another board",
                ) from None
            yield

    # ------------------------------------------------------------------------------------------------ backup
    def keep_backup(self, manifest: Manifest, data: Bytes) -> Manifest:
        """Write backup and manifest so that they survive a power cut, and return the manifest as written.

        Raises
        ------
        InputError
            When the disk does not take it, or what is read back differs.
        """
        manifest = msgspec.structs.replace(manifest, sha256=_sha256(data))
        # The manifest goes first and comes last: while there is none, nothing was erased.
        for name in ("manifest.json", "journal.jsonl", "result.json"):
            (self.path / name).unlink(missing_ok=True)
            _sync_folder(self.path)
        self._write("backup.bin", data.tobytes())
        self._write("manifest.json", msgspec.json.encode(manifest))
        if self.manifest() != manifest or not np.array_equal(self.backup(manifest), data):
            raise InputError(
                "the backup on the disk is not what was read",
                source=str(self.path),
                advice="the disk cannot be trusted; nothing was erased",
            )
        return manifest

    def _write(self, name: str, content: bytes) -> None:
        try:
            write_whole(self.path / name, content, private=True)
            _sync_folder(self.path)
        except InputError as error:
            raise InputError(error.problem, source=error.source, advice="make room") from None
        except OSError as error:
            raise InputError(f"cannot be written ({error.strerror})", source=str(self.path / name)) from None

    def keep_result(self, result: msgspec.Struct) -> None:
        """Write the result beside the backup."""
        self._write("result.json", msgspec.json.format(msgspec.json.encode(result)) + b"\n")

    @property
    def begun(self) -> bool:
        """Whether there is a backup; without one nothing was erased."""
        return (self.path / "manifest.json").exists()

    def manifest(self) -> Manifest:
        """Return the manifest; InputError when it is damaged."""
        path = self.path / "manifest.json"
        try:
            return msgspec.json.decode(read_evidence(path, limit=RECORD, inside=self.path).data, type=Manifest)
        except (InputError, msgspec.DecodeError, ValueError, RecursionError) as error:
            why = error.problem if isinstance(error, InputError) else error
            raise InputError(
                f"not the manifest of a flash test ({why})",
                source=str(path),
                advice="without it nothing can be put back; keep the folder",
            ) from None

    def backup(self, manifest: Manifest) -> Bytes:
        """Return the backup, ``uint8`` over the range; InputError when it is damaged."""
        path = self.path / "backup.bin"
        data = np.frombuffer(read_evidence(path, limit=MEMORY, inside=self.path).data, np.uint8)
        if data.size != manifest.range.size or _sha256(data) != manifest.sha256:
            raise InputError(
                "the backup is damaged",
                source=str(path),
                advice="its check sum differs from the manifest; nothing was written to the chip",
            )
        return data

    # ------------------------------------------------------------------------------------------------ journal
    def note(self, event: str, **facts: Any) -> None:
        """Append an event and flush it to the disk."""
        try:
            with (self.path / "journal.jsonl").open("ab") as stream:
                # A line that a kill cut short must not swallow this one.
                stream.write(b"\n" + json.dumps({"event": event} | facts).encode() + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise InputError(
                f"cannot be written ({error.strerror})",
                source=str(self.path / "journal.jsonl"),
                advice="make room, then run with --restore",
            ) from None

    def events(self) -> Iterator[Mapping[str, Any]]:
        """Yield the events; a line that a kill cut short is left out."""
        path = self.path / "journal.jsonl"
        if not path.exists():
            return
        with path.open("rb") as stream:
            for line in stream:
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                if isinstance(event, dict) and "event" in event:
                    yield event

    @property
    def erased(self) -> bool:
        """Whether the test came as far as to erase anything."""
        return any(e["event"] == "erasing" for e in self.events())

    @property
    def unfinished(self) -> bool:
        """Whether sectors may hold something else than the backup."""
        dirty = False
        for event in self.events():
            if event["event"] == "erasing":
                dirty = True
            elif event["event"] == "restored":
                dirty = not event.get("ok", False)
        return dirty


def _sha256(data: Bytes) -> str:
    return hashlib.sha256(np.ascontiguousarray(data).tobytes()).hexdigest()


def _sync_folder(path: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Lock an open file for this process alone; OSError when another one holds it."""
    if os.name == "posix":
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        from importlib import import_module

        msvcrt = import_module("msvcrt")  # only there on Windows
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
