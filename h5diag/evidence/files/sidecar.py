"""The sidecar ``FILE.map.json`` beside a dump: where it was read, how, and what could not be read."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import msgspec

from h5diag.errors import InputError
from h5diag.evidence.door import EvidenceFile, Source, is_evidence, read_evidence, write_whole
from h5diag.limits import NUMBER_DIGITS, SIDECAR
from h5diag.memory import Access, AddressRange, MemoryImage, merged, subtracted
from h5diag.tables import convert, line_of, parse_json

_RANGES = ("holes", "unread", "unstable")
_NUMBERS = ("base", "passes", "swd_hz")
_TEXTS = ("mode", "chip", "time", "uid", "tool", "sha256")
_NOT_SAID = ("", "unknown")
"""What sidecars of h5diag 0.1 and 0.2 say where a text was not known; their numbers were then 0."""


_MOST_STRANGE, _LONGEST_KEY = 4, 40
"""Keys that are named because nobody knows them, and letters of each."""


class Sidecar(msgspec.Struct, frozen=True):
    """What is known about a dump beside its bytes; None where the sidecar does not say.

    Parameters
    ----------
    base
        Bus address of the first byte of a ``.bin``.
    holes
        Ranges that were tried and could not be read. In a ``.bin`` they hold fill bytes that mean nothing.
    unread
        Ranges that were never tried (a read that was interrupted, a gap between two pieces), filled likewise.
    unstable
        Ranges whose bytes disagreed between passes. All ranges are half-open bus addresses.
    access, mode, chip, time
        As in `Origin`.
    passes
        How often everything was read.
    swd_hz
        Speed of the link.
    uid
        Unique id of the chip as hexadecimal text.
    tool
        Program that read it.
    sha256
        SHA-256 of the dump file's bytes, lower case.
    remarks
        What the reader noticed, one sentence each.
    """

    base: int | None = None
    holes: tuple[AddressRange, ...] = ()
    unread: tuple[AddressRange, ...] = ()
    unstable: tuple[AddressRange, ...] = ()
    access: Access = Access.UNKNOWN
    mode: str | None = None
    chip: str | None = None
    time: str | None = None
    passes: int | None = None
    swd_hz: int | None = None
    uid: str | None = None
    tool: str | None = None
    sha256: str | None = None
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.base is not None and not 0 <= self.base < 1 << 64:
            raise ValueError("base must be a number from 0 to 2**64")

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

    @property
    def text(self) -> str:
        """The content of the file that holds it."""
        table = {k: v for k, v in msgspec.to_builtins(self).items() if v is not None}
        for key in _RANGES:
            table[key] = [[r.start, r.stop] for r in getattr(self, key)]
        return json.dumps(table, indent=1) + "\n"


def sidecar_path(path: str | os.PathLike[str]) -> Path:
    """Return the path of the sidecar of the dump `path`: the whole name and ``.map.json``."""
    return Path(f"{Path(path)}.map.json")  # `with_name` raises where a path has no name, as "/" has none


def open_sidecar(dump: Source) -> EvidenceFile | None:
    """Return the sidecar file beside a dump, None when there is none; InputError when it cannot be read."""
    path = sidecar_path(dump.path if isinstance(dump, EvidenceFile) else dump)
    inside = dump.inside if isinstance(dump, EvidenceFile) else None
    return read_evidence(path, limit=SIDECAR, inside=inside) if is_evidence(path) else None


def parse_sidecar(file: EvidenceFile) -> Sidecar:
    """Return what a sidecar says.

    Numbers may be written as integers or as text (``"0x08000000"``); of keys that are not known a remark tells.

    Raises
    ------
    InputError
        Naming the key that cannot be used.
    """
    source = str(file.path)
    table = parse_json(file.data, source, "delete it if the dump was not written by h5diag")
    text = file.data.decode("utf-8-sig")
    for key in _RANGES:
        table[key] = _ranges(table.get(key, []), key, source, text)
    for key in _NUMBERS:
        if key in table:
            number = _number(table[key], key, source, text)
            table[key] = number if number or key == "base" else None
    for key in _TEXTS:
        if table.get(key) in _NOT_SAID:
            del table[key]
    if isinstance(table.get("sha256"), str):
        table["sha256"] = table["sha256"].lower()
    side = convert(table, Sidecar, source, text)
    strange = sorted(set(table) - set(Sidecar.__struct_fields__))[:_MOST_STRANGE]
    said = tuple(f"the sidecar's key {key[:_LONGEST_KEY]!r} is not known, it was left alone" for key in strange)
    ranges = {key: merged(getattr(side, key)) for key in _RANGES}
    return msgspec.structs.replace(side, remarks=side.remarks + said, **ranges)


def read_sidecar(dump: Source) -> Sidecar:
    """Return the sidecar beside a dump, an empty one when there is none; InputError when it cannot be used."""
    file = open_sidecar(dump)
    return parse_sidecar(file) if file else Sidecar()


def write_sidecar(path: str | os.PathLike[str], sidecar: Sidecar) -> Path:
    """Write the sidecar of the dump `path`, replacing an older one at once, and return where it is."""
    return write_whole(sidecar_path(path), sidecar.text)


def _ranges(rows: Any, key: str, source: str, text: str) -> list[dict[str, int]]:
    if not isinstance(rows, list) or not all(isinstance(r, list) and len(r) == 2 for r in rows):
        raise InputError(f"{key} must be a list of [start, stop]", source=source, place=f"line {line_of(text, key)}")
    pairs = [[_number(v, key, source, text) for v in r] for r in rows]
    for start, stop in pairs:
        if start > stop:
            raise InputError(
                f"{key} holds a range that ends before it begins (0x{start:X}, 0x{stop:X})",
                source=source,
                place=f"line {line_of(text, key)}",
            )
    return [{"start": start, "stop": stop} for start, stop in pairs]


def _number(value: Any, key: str, source: str, text: str) -> int:
    if isinstance(value, str) and len(value) <= NUMBER_DIGITS:
        with contextlib.suppress(ValueError):
            value = int(value, 0)
    if type(value) is not int or not 0 <= value <= 1 << 64:
        raise InputError(f"{key} must be a number from 0 to 2**64", source=source, place=f"line {line_of(text, key)}")
    return value
