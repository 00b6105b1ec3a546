"""Writing a memory file and its sidecar, and the exchange with `intelhex.IntelHex`, other programs' type for memory."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from intelhex import IntelHex
from msgspec.structs import replace

from h5diag.errors import InputError
from h5diag.evidence.door import remove_written, write_together
from h5diag.evidence.files.elf import write_elf
from h5diag.evidence.files.kind import SUFFIXES, Kind
from h5diag.evidence.files.records import LIMIT, write_intel_hex, write_s_record
from h5diag.evidence.files.sidecar import Sidecar, sidecar_path
from h5diag.limits import IMAGE_BYTES, INTELHEX_BYTES
from h5diag.memory import AddressRange, MemoryImage, Origin, Segment, subtracted
from h5diag.text import count_text

_WRITERS = {Kind.HEX: write_intel_hex, Kind.SREC: write_s_record, Kind.ELF: write_elf}
ELF_HEADERS = 0xFFFF
"""Segments of an ELF file from this number on do not fit into its header's 16 bits."""
_FILL = 0xFF


def write_image(
    image: MemoryImage,
    path: str | os.PathLike[str],
    *,
    sidecar: Sidecar | None = None,
    span: AddressRange | None = None,
) -> Path:
    """Write an image so that `read_image` gives it back, and return its path.

    Beside the file a sidecar is written when the image knows more than the format holds: the base of a binary,
    unreadable or unstable ranges, access, mode, chip, time or remarks. A binary holds 0xFF where nothing is
    known, and its sidecar says so. An older file and sidecar of the same name are replaced, both or none.

    Parameters
    ----------
    image
        What to write.
    path
        The suffix chooses the format: ``.bin``, ``.hex``, ``.srec``/``.s19``/``.mot``, ``.elf``/``.axf``.
    sidecar
        More knowledge for the sidecar (see `Sidecar.of`); None takes what the image's origin holds.
    span
        What a binary begins and ends with, though nothing may be known there; None goes from the first known byte to
        the last one.

    Raises
    ------
    InputError
        When the format cannot hold the image, or the file cannot be written.
    """
    path = Path(path)
    kind = SUFFIXES.get(path.suffix.lower(), Kind.TEXT)
    if kind not in (Kind.BIN, *_WRITERS):
        raise InputError(
            f"memory cannot be written as {path.suffix or 'a file without suffix'}",
            source=str(path),
            advice="use .bin, .hex, .srec or .elf",
        )
    span = image.span if span is None or kind is not Kind.BIN else span
    if kind is Kind.BIN and span.size > IMAGE_BYTES:
        raise InputError(
            f"the image spans {count_text(span.size, 'byte')}, too far apart for a binary file",
            source=str(path),
            advice="use .hex or .elf, which hold the pieces alone",
        )
    if kind is Kind.BIN and not image.segments:
        raise InputError("there is no byte to write into a binary file", source=str(path), advice="use .hex")
    if kind in (Kind.HEX, Kind.SREC) and span.stop > LIMIT:
        raise InputError(
            f"0x{span.stop - 1:X} is past 4 GiB, which {kind.value} cannot hold", source=str(path), advice="use .elf"
        )
    if kind is Kind.ELF and len(image.segments) >= ELF_HEADERS:
        raise InputError(
            f"{count_text(len(image.segments), 'separate piece')} are more than an ELF file can hold",
            source=str(path),
            advice="use .hex",
        )
    known = sidecar or Sidecar.of(image)
    needed = sidecar is not None or kind is Kind.BIN or known != Sidecar(base=known.base, unread=known.unread)
    digest = hashlib.sha256()

    def content(stream: BinaryIO) -> None:
        hashing = _Hashing(stream, digest)
        _WRITERS[kind](image, hashing) if kind in _WRITERS else _write_binary(image, hashing, span)

    def beside(stream: BinaryIO) -> None:
        stream.write(_completed(known, image, digest.hexdigest(), span).text.encode())

    write_together([(path, content), *([(sidecar_path(path), beside)] if needed else ())])
    if not needed:
        remove_written(sidecar_path(path))
    return path


class _Hashing:
    """What the writers of the formats write into: it counts each byte into the file's SHA-256 on its way."""

    def __init__(self, stream: BinaryIO, digest: Any) -> None:
        self._stream, self._digest = stream, digest

    def write(self, data: Any) -> None:
        self._digest.update(data)
        self._stream.write(data)


def _completed(given: Sidecar, image: MemoryImage, sha256: str, span: AddressRange) -> Sidecar:
    """The image decides about its bytes; what it does not hold may be more than the gaps between its pieces."""
    own = Sidecar.of(image)
    unread = subtracted(given.unread + own.unread, image.ranges + image.unreadable)
    return replace(given, base=span.start, holes=own.holes, unstable=own.unstable, unread=unread, sha256=sha256)


def _write_binary(image: MemoryImage, stream: _Hashing, span: AddressRange) -> None:
    at = span.start
    for s in (*image.segments, None):
        gap = (span.stop if s is None else s.start) - at
        while gap:
            n = min(gap, 1 << 20)
            stream.write(np.full(n, _FILL, np.uint8).data)
            gap -= n
        if s is not None:
            stream.write(s.data.data)
            at = s.stop


def to_intelhex(image: MemoryImage) -> Any:
    """Return the known bytes as an `intelhex.IntelHex`; gaps stay gaps.

    Raises
    ------
    InputError
        When there are more bytes than that type can reasonably hold.
    """
    if image.size > INTELHEX_BYTES:
        raise InputError(
            f"{count_text(image.size, 'byte')} are too many for an IntelHex object, which keeps an entry per byte",
            source=image.origin.source,
            advice="crop the image first",
        )
    out = IntelHex()
    for s in image.segments:
        out.puts(s.start, s.data.tobytes())
    return out


def from_intelhex(ih: Any, *, source: str = "") -> MemoryImage:
    """Return the bytes of an `intelhex.IntelHex`."""
    segments = tuple(
        Segment(start, np.frombuffer(bytes(ih.tobinarray(start=start, end=stop - 1)), np.uint8))
        for start, stop in ih.segments()
    )
    return MemoryImage(segments, origin=Origin(source, "hex"))
