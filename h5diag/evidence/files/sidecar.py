"""The sidecar ``FILE.map.json`` beside a dump: where it was read, how, and what could not be read."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from h5diag.errors import InputError
from h5diag.evidence.door import EvidenceFile, Source, is_evidence, read_evidence, write_whole
from h5diag.limits import SIDECAR
from h5diag.memory import Access, AddressRange, MemoryImage, merged, subtracted
from h5diag.tables import parse_json

_UNKNOWN = "unknown"
_NO_BASE = -1


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What is known about a dump beside its bytes. Ranges are half-open bus addresses.

    Parameters
    ----------
    base
        Bus address of the first byte of a ``.bin``; -1 when the sidecar does not say.
    holes
        Ranges that were tried and could not be read. In a ``.bin`` they hold fill bytes that mean nothing.
    unread
        Ranges that were never tried (a read that was interrupted, a gap between two pieces), filled likewise.
    unstable
        Ranges whose bytes disagreed between passes.
    access, mode, chip, time
        As in `Origin`.
    passes
        How often everything was read; 0 when not known.
    swd_hz
        Speed of the link; 0 when not known.
    uid
        Unique id of the chip as hexadecimal text, or ``unknown``.
    tool
        Program that read it, or ``unknown``.
    sha256
        SHA-256 of the dump file's bytes; empty when not known.
    remarks
        What the reader noticed, one sentence each.
    """

    base: int = _NO_BASE
    holes: tuple[AddressRange, ...] = ()
    unread: tuple[AddressRange, ...] = ()
    unstable: tuple[AddressRange, ...] = ()
    access: Access = Access.UNKNOWN
    mode: str = _UNKNOWN
    chip: str = _UNKNOWN
    time: str = _UNKNOWN
    passes: int = 0
    swd_hz: int = 0
    uid: str = _UNKNOWN
    tool: str = _UNKNOWN
    sha256: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def has_base(self) -> bool:
        """Tell whether the base address is known."""
        return self.base != _NO_BASE

    @classmethod
    def of(cls, image: MemoryImage, **known: Any) -> Sidecar:
        """Return the sidecar of an image about to be written; `known` adds or replaces fields."""
        origin = image.origin
        span = image.span
        values: dict[str, Any] = {
            "base": span.start,
            "holes": image.unreadable,
            "unstable": image.unstable,
            "access": origin.access,
            "mode": origin.mode,
            "chip": origin.chip,
            "time": origin.time,
            "remarks": origin.remarks,
            "unread": subtracted(image.gaps(span.start, span.stop), image.unreadable),
        }
        return cls(**values | known)


def sidecar_path(path: str | os.PathLike[str]) -> Path:
    """Return the path of the sidecar of the dump `path`: the whole name and ``.map.json``."""
    path = Path(path)
    return path.with_name(path.name + ".map.json")


def read_sidecar(path: Source) -> Sidecar:
    """Return the sidecar beside the dump `path`; an empty `Sidecar` when there is none.

    Numbers may be written as integers or as text (``"0x08000000"``); keys that are not known are left alone.

    Raises
    ------
    InputError
        When the sidecar is there and cannot be used.
    """
    beside = sidecar_path(path.path if isinstance(path, EvidenceFile) else path)
    if not is_evidence(beside):
        return Sidecar()
    file = read_evidence(beside, limit=SIDECAR, inside=path.inside if isinstance(path, EvidenceFile) else None)
    table = parse_json(file.data, str(beside), "delete it if the dump was not written by h5diag")
    return _Reader(table, str(beside)).sidecar()


def write_sidecar(path: str | os.PathLike[str], sidecar: Sidecar) -> Path:
    """Write the sidecar of the dump `path`, replacing an older one at once, and return where it is."""
    beside = sidecar_path(path)
    table: dict[str, Any] = {}
    if sidecar.has_base:
        table["base"] = sidecar.base
    for name in ("holes", "unread", "unstable"):
        table[name] = [[r.start, r.stop] for r in getattr(sidecar, name)]
    table["access"] = sidecar.access.value
    for name in ("mode", "chip", "time", "passes", "swd_hz", "uid", "tool", "sha256"):
        table[name] = getattr(sidecar, name)
    table["remarks"] = list(sidecar.remarks)
    return write_whole(beside, json.dumps(table, indent=1) + "\n")


def file_sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes as hexadecimal text."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class _Reader:
    """Takes typed values out of the JSON object and names the key that does not fit."""

    table: dict[str, Any]
    source: str

    def sidecar(self) -> Sidecar:
        access = self.text("access")
        if access not in {a.value for a in Access}:
            raise self.error("access", "must be secure, nonsecure or unknown")
        remarks = self.table.get("remarks", [])
        if not isinstance(remarks, list) or not all(isinstance(r, str) for r in remarks):
            raise self.error("remarks", "must be a list of texts")
        return Sidecar(
            base=self.number("base", _NO_BASE),
            holes=self.ranges("holes"),
            unread=self.ranges("unread"),
            unstable=self.ranges("unstable"),
            access=Access(access),
            mode=self.text("mode"),
            chip=self.text("chip"),
            time=self.text("time"),
            passes=self.number("passes", 0),
            swd_hz=self.number("swd_hz", 0),
            uid=self.text("uid"),
            tool=self.text("tool"),
            sha256=self.text("sha256", "").lower(),
            remarks=tuple(remarks),
        )

    def error(self, key: str, problem: str) -> InputError:
        return InputError(f"{key} {problem}", source=self.source, place=f"key {key!r}")

    def text(self, key: str, default: str = _UNKNOWN) -> str:
        value = self.table.get(key, default)
        if not isinstance(value, str):
            raise self.error(key, "must be a text")
        return value

    def number(self, key: str, default: int) -> int:
        return _number(self.table[key], self, key) if key in self.table else default

    def ranges(self, key: str) -> tuple[AddressRange, ...]:
        value = self.table.get(key, [])
        if not isinstance(value, list):
            raise self.error(key, "must be a list of [start, stop]")
        out = []
        for pair in value:
            if not isinstance(pair, list) or len(pair) != 2:
                raise self.error(key, "must be a list of [start, stop]")
            start, stop = (_number(v, self, key) for v in pair)
            if start > stop:
                raise self.error(key, f"holds a range that ends before it begins (0x{start:X}, 0x{stop:X})")
            out.append(AddressRange(start, stop))
        return merged(out)


def _number(value: object, reader: _Reader, key: str) -> int:
    if isinstance(value, str):
        try:
            value = int(value, 0)
        except ValueError:
            raise reader.error(key, f"must be a number, not {value!r}") from None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1 << 64:
        raise reader.error(key, "must be a number from 0 to 2**64")
    return value
