"""Reading a memory file, whatever its kind, together with its sidecar."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from h5diag.errors import InputError
from h5diag.evidence.door import EvidenceFile, Source, read_evidence, whole
from h5diag.evidence.files.kind import Kind, address_in_name, decode_text, tell_kind
from h5diag.evidence.files.sidecar import Sidecar, open_sidecar, parse_sidecar, sidecar_path
from h5diag.limits import FLASH, LARGE_TEXT, MEMORY, VIEW
from h5diag.memory import ADDRESS_LIMIT, AddressRange, Bytes, MemoryImage, Origin, Segment, merged, without
from h5diag.text import count_text, size_text

DEFAULT_BASE = 0x0800_0000
"""Where the user flash of every STM32H5, L5 and U5 begins (FLASH_BASE_NS of the CMSIS device headers)."""
BOOT_ALIAS = 0x0020_0000
"""Below this the boot memory is mapped again, in the families that are linked there (RM0008, RM0090: boot alias)."""


_READERS = {
    Kind.HEX: ("records", "read_intel_hex"),
    Kind.SREC: ("records", "read_s_record"),
    Kind.ELF: ("elf", "read_elf"),
    Kind.UF2: ("containers", "read_uf2"),
    Kind.DFU: ("containers", "read_dfu"),
    Kind.TEXT: ("views", "parse_memory_text"),
}
"""Module and function that read a kind, imported when there is such a file."""


def _reader(kind: Kind) -> Callable[..., Any]:
    module, name = _READERS[kind]
    reader: Callable[..., Any] = getattr(import_module(f"h5diag.evidence.files.{module}"), name)
    return reader


def read_image(
    source: Source, *, base: int | None = None, beside: EvidenceFile | None = None, most: int = FLASH.size
) -> MemoryImage:
    """Return the memory that a file holds.

    Parameters
    ----------
    source
        Binary, Intel HEX, S-record, ELF, UF2 or a text with lines ``address : words``; told by content.
        A sidecar ``PATH.map.json`` beside it is read too: what it calls a hole is unreadable, whatever bytes
        the file holds there.
    base
        Bus address of the first byte of a binary; None takes the sidecar's, then 0x08000000 with a remark in
        the origin that this was assumed. Files with addresses of their own ignore it; a text whose addresses
        count from 0 (``hexdump``, ``xxd``) has none, and is a binary in other words.
    beside
        The sidecar, where it was opened already.
    most
        Bytes of memory that are taken.

    Returns
    -------
    MemoryImage
        Addresses as they stand in the file: 0x08.. and 0x0C.. are not brought together.

    Raises
    ------
    InputError
        With the line or offset, when the file cannot be used. Memory stays within a few times the data.
    """
    file = read_evidence(source, limit=FLASH)
    opened = beside or open_sidecar(file)
    sidecar = parse_sidecar(opened) if opened else Sidecar()
    kind = tell_kind(file, raw=base is not None or sidecar.base is not None)
    if kind is not Kind.BIN:
        file = whole(read_evidence(file, limit=MEMORY))
    remarks = list(sidecar.remarks)
    unreadable: tuple[AddressRange, ...] = ()
    offsets, named = False, None
    if kind is Kind.TEXT:
        text = decode_text(read_evidence(file, limit=VIEW).data)
        if not text.strip():
            raise InputError("is empty", source=str(file.path), advice="save or copy it again")
        image = _reader(kind)(text, source=str(file.path))
        named = _chip_of(text)
        remarks += image.origin.remarks
        offsets = bool(image.segments) and image.span.start < BOOT_ALIAS
        if offsets:
            image = image.shifted(_base(file.path, base, sidecar, remarks))
        segments, unreadable = image.segments, image.unreadable
    elif kind in (Kind.BIN, Kind.DFU):
        found = np.frombuffer(file.mapped or file.data, np.uint8) if kind is Kind.BIN else _reader(kind)(file)
        kind = Kind.DFU if isinstance(found, tuple) else Kind.BIN
        segments = found if isinstance(found, tuple) else (_placed(found, file.path, base, sidecar, remarks),)
    else:
        segments = _reader(kind)(file)
    if sidecar.sha256 and sidecar.sha256 != file.sha256:
        remarks.append("the file changed after its sidecar was written: the SHA-256 differs")
    holes = merged(unreadable + sidecar.holes)
    segments = without(segments, merged(sidecar.holes + sidecar.unread))
    assumed = (
        (kind is Kind.BIN or offsets) and base is None and sidecar.base is None and address_in_name(file.path) is None
    )
    chip = sidecar.chip or named
    if kind is Kind.UF2 and chip is None:
        from h5diag.evidence.files.containers import uf2_family

        chip = uf2_family(file)
    origin = Origin(
        str(file.path), kind.value, sidecar.access, sidecar.mode, chip, sidecar.time, tuple(remarks), assumed
    )
    image = MemoryImage(segments, holes, sidecar.unstable, origin)
    if image.size > most:
        problem = f"holds {size_text(image.size)} of memory, {size_text(most)} at most are taken here"
        raise InputError(problem, source=str(file.path), advice=MEMORY.advice)
    return image


def _chip_of(text: str) -> str | None:
    """Return the chip that a tool names above the memory that it printed; None when it names none."""
    from h5diag.evidence.texts import chip_of, parse_log

    choice = chip_of([parse_log(text[:LARGE_TEXT])])
    return (
        None if choice.assumed else choice.chip.name if choice.chip else choice.device.name if choice.device else None
    )


def _placed(data: Bytes, path: Path, base: int | None, sidecar: Sidecar, remarks: list[str]) -> Segment:
    size = int(data.size)
    if not size:
        raise InputError("holds no byte of memory", source=str(path), advice="copy it again")
    start = _base(path, base, sidecar, remarks)
    if not 0 <= start <= ADDRESS_LIMIT - size:
        raise InputError(
            f"{count_text(size, 'byte')} from 0x{start:X} run past the end of the address space", source=str(path)
        )
    return Segment(start, data)


def _base(path: Path, base: int | None, sidecar: Sidecar, remarks: list[str]) -> int:
    """Return the address of the first byte of a file without addresses, and remark what it rests on."""
    if base is None:
        base = sidecar.base
    if base is None and (base := address_in_name(path)) is not None:
        remarks.append(f"the base address 0x{base:08X} is taken from its name")
    if base is None:
        remarks.append(
            f"the base address 0x{DEFAULT_BASE:08X} was assumed; give the real one with --base "
            f"or in {sidecar_path(path).name}"
        )
    return DEFAULT_BASE if base is None else base
