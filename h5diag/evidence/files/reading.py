"""Reading a memory file, whatever its kind, together with its sidecar."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from h5diag.errors import InputError
from h5diag.evidence.door import EvidenceFile, Source
from h5diag.evidence.files.containers import read_dfu, read_uf2
from h5diag.evidence.files.kind import Kind, address_in_name, decode_text, read_head, tell_kind
from h5diag.evidence.files.pieces import MOST_BYTES, without
from h5diag.evidence.files.records import read_intel_hex, read_s_record
from h5diag.evidence.files.sidecar import Sidecar, file_sha256, read_sidecar, sidecar_path
from h5diag.evidence.files.views import MOST_CHARACTERS, parse_memory_text
from h5diag.memory import ADDRESS_LIMIT, Bytes, MemoryImage, Origin, Segment, merged

DEFAULT_BASE = 0x0800_0000
"""Where the user flash of every STM32H5, L5 and U5 begins (FLASH_BASE_NS of the CMSIS device headers)."""


def _elf(path: Path) -> tuple[Segment, ...]:
    from h5diag.evidence.files.elf import read_elf  # its library is loaded for an ELF only

    return read_elf(path)


_READERS = {Kind.HEX: read_intel_hex, Kind.SREC: read_s_record, Kind.ELF: _elf, Kind.UF2: read_uf2}


def read_image(path: Source, *, base: int | None = None) -> MemoryImage:
    """Return the memory that a file holds.

    Parameters
    ----------
    path
        Binary, Intel HEX, S-record, ELF, UF2 or a text with lines ``address : words``; told by content.
        A sidecar ``PATH.map.json`` beside it is read too: what it calls a hole is unreadable, whatever bytes
        the file holds there.
    base
        Bus address of the first byte of a binary; None takes the sidecar's, then 0x08000000 with a remark in
        the origin that this was assumed. Files with addresses of their own ignore it.

    Returns
    -------
    MemoryImage
        Addresses as they stand in the file: 0x08.. and 0x0C.. are not brought together.

    Raises
    ------
    InputError
        With the line or offset, when the file cannot be used. Memory stays within a few times the data.
    """
    path = path.path if isinstance(path, EvidenceFile) else Path(path)
    sidecar = read_sidecar(path)
    kind = tell_kind(path, raw=base is not None or sidecar.has_base)
    remarks = list(sidecar.remarks)
    try:
        if kind is Kind.TEXT:
            image = parse_memory_text(read_text(path), source=str(path))
            segments, unreadable = image.segments, image.unreadable
            remarks += image.origin.remarks
        elif kind is Kind.BIN:
            if path.stat().st_size > MOST_BYTES:
                raise InputError(
                    f"is larger than {MOST_BYTES >> 20} MiB, more than any microcontroller", source=str(path)
                )
            segments, unreadable = (_placed(np.fromfile(path, np.uint8), path, base, sidecar, remarks),), ()
        elif kind is Kind.DFU:
            found = read_dfu(path)
            whole = isinstance(found, tuple)
            segments = found if isinstance(found, tuple) else (_placed(found, path, base, sidecar, remarks),)
            kind, unreadable = (Kind.DFU if whole else Kind.BIN), ()
        else:
            segments, unreadable = _READERS[kind](path), ()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})", source=str(path)) from None
    if sidecar.sha256 and sidecar.sha256 != file_sha256(path):
        remarks.append("the file changed after its sidecar was written: the SHA-256 differs")
    holes = merged(unreadable + sidecar.holes)
    segments = without(segments, merged(sidecar.holes + sidecar.unread))
    assumed = kind is Kind.BIN and base is None and not sidecar.has_base and address_in_name(path) is None
    origin = Origin(
        str(path), kind.value, sidecar.access, sidecar.mode, sidecar.chip, sidecar.time, tuple(remarks), assumed
    )
    return MemoryImage(segments, holes, sidecar.unstable, origin)


def _placed(data: Bytes, path: Path, base: int | None, sidecar: Sidecar, remarks: list[str]) -> Segment:
    size = int(data.size)
    named = address_in_name(path)
    if base is None and not sidecar.has_base and named is not None:
        base = named
        remarks.append(f"the base address 0x{named:08X} is taken from its name")
    elif base is None and not sidecar.has_base:
        remarks.append(
            f"the base address 0x{DEFAULT_BASE:08X} was assumed; give the real one with --base "
            f"or in {sidecar_path(path).name}"
        )
    start = base if base is not None else sidecar.base if sidecar.has_base else DEFAULT_BASE
    if not 0 <= start <= ADDRESS_LIMIT - size:
        raise InputError(f"{size} bytes from 0x{start:X} run past the end of the address space", source=str(path))
    return Segment(start, data)


def read_text(path: str | os.PathLike[str]) -> str:
    """Return the text of a file, decoded by `decode_text`.

    Raises
    ------
    InputError
        When it is missing, a directory, empty or blank, not readable, or larger than 64 MiB.
    """
    path = Path(path)
    read_head(path, 1)
    try:
        if path.stat().st_size > 2 * MOST_CHARACTERS:
            raise InputError(
                f"is a text of more than {2 * MOST_CHARACTERS >> 20} MiB",
                source=str(path),
                advice="cut out the part that matters",
            )
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})", source=str(path)) from None
    if not data.strip():
        raise InputError("is empty", source=str(path), advice="save or copy it again")
    return decode_text(data)
