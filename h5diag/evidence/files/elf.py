"""ELF and AXF: the loadable segments at their load (physical) addresses, read by pyelftools."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from h5diag.errors import InputError
from h5diag.evidence.door import EvidenceFile
from h5diag.evidence.files.pieces import MOST_BYTES, Overlap, Pieces
from h5diag.evidence.files.writing import MOST_HEADERS
from h5diag.memory import AddressRange, MemoryImage, Segment, merged

ELF_ERRORS = (
    ELFError,
    struct.error,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    AssertionError,
    OverflowError,
    EOFError,
)
"""What pyelftools lets through when a header is damaged."""

_ARM = 40
_SHF_ALLOC = 2


def read_elf(file: EvidenceFile) -> tuple[Segment, ...]:
    """Return the loadable bytes of an ELF file at their load addresses.

    Of a segment only its sections count where the file has sections, as objcopy writes them: the ELF header, which
    some linkers put into the first segment, and the zeros between sections are no flash content. Memory that only
    takes room at run time (.bss) holds no bytes of the file and is left out.

    Raises
    ------
    InputError
        With the offset or the segment, when the file is cut short, not loadable, or contradicts itself.
    """
    size, path = file.size, file.path
    pieces = Pieces(str(path))
    with BytesIO(file.data) as stream:
        try:
            elf = ELFFile(stream)
            sections = _sections(elf, path, size)
            if elf.num_segments() > MOST_HEADERS or elf["e_phoff"] + elf.num_segments() * elf["e_phentsize"] > size:
                raise InputError(
                    "the table of segments lies outside the file",
                    source=str(path),
                    place=f"offset 0x{elf['e_phoff']:X}",
                    advice="the file was cut short; copy it again",
                )
            wanted = [h for h in (s.header for s in elf.iter_segments()) if h["p_type"] == "PT_LOAD" and h["p_filesz"]]
        except InputError:
            raise
        except ELF_ERRORS as error:
            raise InputError(
                f"the ELF headers are damaged ({error or type(error).__name__})",
                source=str(path),
                advice="build or copy the file again",
            ) from None
        for i, header in enumerate(wanted):
            _put(pieces, stream, header, sections, path, size, i)
    if not wanted:
        raise InputError("holds no loadable segment", source=str(path), advice="an object file must be linked first")
    try:
        return pieces.segments()
    except Overlap as overlap:
        raise InputError(
            f"two loadable segments hold the byte at 0x{overlap.address:08X}",
            source=str(path),
            advice="check the linker script",
        ) from None


def _put(
    pieces: Pieces, stream: BinaryIO, header: Any, sections: list[tuple[int, int]], path: Path, size: int, number: int
) -> None:
    start, length, address = header["p_offset"], header["p_filesz"], header["p_paddr"]
    where = f"segment {number} at 0x{address:08X}"
    if start + length > size or length > MOST_BYTES:
        raise InputError(
            f"says that it holds {length} bytes from offset 0x{start:X}, the file ends at 0x{size:X}",
            source=str(path),
            place=where,
            advice="the file was cut short or is damaged; copy it again",
        )
    if address + length > 1 << 64:
        raise InputError("runs past the end of the address space", source=str(path), place=where)
    # What no section covers is the linker's fill, which a programmer that goes by sections never writes: not known.
    inside = merged(AddressRange(a, b) for a, b in sections if start <= a and b <= start + length)
    for part in inside or (AddressRange(start, start + length),):
        if address + part.start - start > (1 << 63) - MOST_BYTES:
            raise InputError("lies beyond any address of a microcontroller", source=str(path), place=where)
        stream.seek(part.start)
        data = np.frombuffer(stream.read(part.size), np.uint8)
        if data.size != part.size:
            raise InputError("the file ended while it was read", source=str(path), place=where)
        pieces.put(address + part.start - start, data)


def _sections(elf: Any, path: Path, size: int) -> list[tuple[int, int]]:
    """Return the file ranges of all sections that take room in memory and have bytes in the file."""
    if not elf["e_shoff"]:
        return []
    if elf["e_shoff"] >= size or elf.num_sections() > MOST_HEADERS:
        raise InputError(
            "the table of sections lies outside the file",
            source=str(path),
            place=f"offset 0x{elf['e_shoff']:X}",
            advice="the file was cut short; copy it again",
        )
    headers = [elf._get_section_header(i) for i in range(elf.num_sections())]
    return [
        (h["sh_offset"], h["sh_offset"] + h["sh_size"])
        for h in headers
        if h["sh_flags"] & _SHF_ALLOC and h["sh_type"] != "SHT_NOBITS" and h["sh_size"]
    ]


def write_elf(image: MemoryImage, stream: BinaryIO) -> None:
    """Write an ELF for Arm with one loadable segment per piece; 64-bit only when an address needs it.

    The caller knows that there are fewer than `MOST_HEADERS` pieces.
    """
    count = len(image.segments)
    wide = image.span.stop > 1 << 32
    head, entry = (64, 56) if wide else (52, 32)
    ident = b"\x7fELF" + bytes((2 if wide else 1, 1, 1)) + bytes(9)
    stream.write(
        ident
        + struct.pack(
            "<HHIQQQIHHHHHH" if wide else "<HHIIIIIHHHHHH",
            2,
            _ARM,
            1,
            0,
            head if count else 0,
            0,
            0,
            head,
            entry,
            count,
            0,
            0,
            0,
        )
    )
    at = head + entry * count
    for s in image.segments:
        n = int(s.data.size)
        if wide:
            stream.write(struct.pack("<IIQQQQQQ", 1, 5, at, s.start, s.start, n, n, 1))
        else:
            stream.write(struct.pack("<IIIIIIII", 1, at, s.start, s.start, n, n, 5, 1))
        at += n
    for s in image.segments:
        stream.write(s.data.data)
