"""ELF and AXF: the one reader of their tables (segments, sections, symbols, source lines), and the writer.

Whatever counts and sizes a damaged file claims, no more is looked at than it holds: every table is held against the
file before it is read, and every byte stays a view of the file.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import numpy as np

from h5diag.errors import InputError
from h5diag.evidence.door import EvidenceFile, Source, read_evidence
from h5diag.evidence.files.pieces import Overlap, SegmentBuilder
from h5diag.limits import IMAGE_BYTES, PROGRAM, SECTION_NAME, SYMBOLS
from h5diag.memory import AddressRange, MemoryImage, Segment, merged
from h5diag.text import count_text

EM_ARM, EXECUTABLE = 40, 2
_LOAD, _SYMTAB, _NOBITS, _ALLOC, _OBJECT, _FUNCTION = 1, 2, 8, 2, 1, 2
_ADVICE = "the file was cut short or is damaged; copy it again"


@dataclass(frozen=True, slots=True)
class ElfSegment:
    """A loadable segment. `address` is where it runs (VMA), `load_address` where it is stored (LMA).

    `data` holds the bytes that are in the file, from `offset` on; `file_size` says how many there should be,
    `memory_size` how many bytes it takes in memory.
    """

    address: int
    load_address: int
    data: memoryview = field(repr=False)
    file_size: int
    memory_size: int
    offset: int = 0

    @property
    def stop(self) -> int:
        """Address after the last byte in memory."""
        return self.address + self.memory_size


@dataclass(frozen=True, slots=True)
class ElfSection:
    """A row of the table of sections; `address` is where it runs, `link` the number of the section it refers to."""

    name: str
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int

    @property
    def in_memory(self) -> bool:
        """Whether it takes room in memory."""
        return bool(self.flags & _ALLOC and self.size)

    @property
    def stored(self) -> bool:
        """Whether it takes room in memory and has its bytes in the file."""
        return self.in_memory and self.kind != _NOBITS


@dataclass(frozen=True, slots=True)
class ElfSymbol:
    """A named address; bit 0 of a Thumb function's `value` is set. `section` 0 means undefined."""

    name: str
    value: int
    size: int
    kind: int
    section: int

    @property
    def function(self) -> bool:
        """Whether it names code."""
        return self.kind == _FUNCTION


@dataclass(frozen=True, slots=True)
class Elf:
    """The tables of an ELF file; `damage` says what is wrong with the table of sections, which many readers can spare."""

    source: str
    data: memoryview = field(repr=False)
    form: str
    kind: int
    machine: int
    segments: tuple[ElfSegment, ...]
    sections: tuple[ElfSection, ...] = ()
    damage: str = ""

    @property
    def bits(self) -> int:
        """32 or 64."""
        return 64 if "Q" in self.form else 32

    def symbols(self) -> tuple[ElfSymbol, ...]:
        """Return the named symbols, the first `SYMBOLS` of them; none where the table is missing or damaged."""
        table = next((s for s in self.sections if s.kind == _SYMTAB), None)
        if table is None or table.link >= len(self.sections):
            return ()
        named = self.sections[table.link]
        strings = bytes(self.data[named.offset : named.offset + named.size])
        row = struct.Struct(self.form[0] + ("IBBHQQ" if self.bits == 64 else "IIIBBH"))
        raw = self.data[table.offset : table.offset + min(table.size, SYMBOLS * row.size)]
        out = []
        for fields in row.iter_unpack(raw[: len(raw) // row.size * row.size]):
            if self.bits == 64:
                name, info, _, section, value, size = fields
            else:
                name, value, size, info, _, section = fields
            if text := _text(strings, name):
                out.append(ElfSymbol(text, value, size, info & 15, section))
        return tuple(out)

    def functions(self) -> tuple[Named, ...]:
        """Return the functions by the addresses at which they run."""
        at = ((s.value & ~1, max(2, s.size), s.name) for s in self.symbols() if s.function and s.value)
        return tuple(sorted(Named(AddressRange(start, start + size), name) for start, size, name in at))


@dataclass(frozen=True, slots=True, order=True)
class Named:
    """A section or a symbol, and the addresses that it takes."""

    range: AddressRange
    name: str


@dataclass(frozen=True, slots=True)
class ElfMap:
    """Sections and symbols (functions and objects with a size) at their load addresses, each in address order."""

    sections: tuple[Named, ...] = ()
    symbols: tuple[Named, ...] = ()

    def section_at(self, address: int) -> str:
        """Return the name of the section that holds a load address, empty when there is none."""
        found = _at(self.sections, address)
        return found.name if found else ""

    def symbol_at(self, address: int) -> tuple[str, int]:
        """Return the symbol that holds a load address and the offset in it; an empty name when there is none."""
        found = _at(self.symbols, address)
        return (found.name, address - found.range.start) if found else ("", 0)


def parse_elf(data: bytes, source: str) -> Elf:
    """Return the tables of an ELF file of either width and byte order.

    Raises
    ------
    InputError
        With the offset, when the header or the table of segments is none, or leaves the file.
    """
    if data[:4] != b"\x7fELF":
        raise InputError("is not an ELF file", source=source, place="offset 0x0", advice=_ADVICE)
    wide, big = data[4:5] == b"\2", data[5:6] == b"\2"
    form = (">" if big else "<") + "HHI" + ("QQQ" if wide else "III") + "IHHHHHH"
    head = struct.Struct(form)
    if len(data) < 16 + head.size:
        place = f"offset 0x{len(data):X}"
        raise InputError("is a damaged ELF file: it ends inside its header", source=source, place=place, advice=_ADVICE)
    if data[4] not in (1, 2) or data[5] not in (1, 2):
        what = "neither 32-bit nor 64-bit" if data[4] not in (1, 2) else "neither little-endian nor big-endian"
        raise InputError(f"is a damaged ELF file: {what}", source=source, place="offset 0x4", advice=_ADVICE)
    kind, machine, _, _, phoff, shoff, _, _, phsize, phnum, shsize, shnum, names = head.unpack_from(data, 16)
    row = struct.Struct(form[0] + ("IIQQQQQQ" if wide else "8I"))
    view, wrong = memoryview(data), ""
    if phnum and phoff + phnum * phsize > len(data):
        wrong = "lies outside the file"
    elif phnum and phsize != row.size:
        wrong = "is damaged"
    if wrong:
        table = f"the table of segments ({phnum} of {count_text(phsize, 'byte')})"
        raise InputError(f"{table} {wrong}", source=source, place=f"offset 0x{phoff:X}", advice=_ADVICE)
    segments = []
    for i in range(phnum):
        fields = row.unpack_from(data, phoff + i * row.size)
        what, offset, address, load, stored, taken = (fields[0], *(fields[2:7] if wide else fields[1:6]))
        if what == _LOAD and (stored or taken):
            segments.append(ElfSegment(address, load, view[offset : offset + stored], stored, taken, offset))
    elf = Elf(source, view, form, kind, machine, tuple(segments))
    if not shoff or not shnum:
        return elf
    row = struct.Struct(form[0] + ("IIQQQQIIQQ" if wide else "10I"))
    if shsize != row.size or shoff + shnum * row.size > len(data):
        damage = f"the table of sections ({shnum} of {count_text(shsize, 'byte')} at offset 0x{shoff:X}) lies outside the file"
        return Elf(source, view, form, kind, machine, elf.segments, damage=damage)
    rows = [row.unpack_from(data, shoff + i * row.size)[:7] for i in range(shnum)]
    strings = bytes(view[rows[names][4] : rows[names][4] + rows[names][5]]) if names < shnum else b""
    sections = tuple(ElfSection(_text(strings, name), *fields) for name, *fields in rows)
    return Elf(source, view, form, kind, machine, elf.segments, sections)


def _text(strings: bytes, at: int) -> str:
    """Return the text at an offset of a string table, cut where no name is that long; empty at 0 and outside."""
    if not 0 < at < len(strings):
        return ""
    end = strings.find(b"\0", at, at + SECTION_NAME)
    return strings[at : end if end >= 0 else at + SECTION_NAME].decode("utf-8", "replace")


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
    source = str(file.path)
    elf, pieces = parse_elf(file.data, source), SegmentBuilder(source)
    if elf.damage:
        raise InputError(elf.damage, source=source, advice=_ADVICE)
    sections = [AddressRange(s.offset, s.offset + s.size) for s in elf.sections if s.stored]
    wanted = [s for s in elf.segments if s.file_size]
    for number, segment in enumerate(wanted):
        _put(pieces, segment, sections, elf, f"segment {number} at 0x{segment.load_address:08X}")
    if not wanted:
        raise InputError("holds no loadable segment", source=source, advice="an object file must be linked first")
    try:
        return pieces.segments()
    except Overlap as overlap:
        raise InputError(
            f"two loadable segments hold the byte at 0x{overlap.address:08X}",
            source=source,
            advice="check the linker script",
        ) from None


def _put(pieces: SegmentBuilder, segment: ElfSegment, sections: list[AddressRange], elf: Elf, where: str) -> None:
    start, length, address = segment.offset, segment.file_size, segment.load_address
    if len(segment.data) < length or length > IMAGE_BYTES:
        raise InputError(
            f"says that it holds {count_text(length, 'byte')} from offset 0x{start:X}, the file ends at 0x{len(elf.data):X}",
            source=elf.source,
            place=where,
            advice=_ADVICE,
        )
    if address + length > 1 << 64:
        raise InputError("runs past the end of the address space", source=elf.source, place=where)
    # What no section covers is the linker's fill, which a programmer that goes by sections never writes: not known.
    inside = merged(s for s in sections if start <= s.start and s.stop <= start + length)
    for part in inside or (AddressRange(start, start + length),):
        if address + part.start - start > (1 << 63) - IMAGE_BYTES:
            raise InputError("lies beyond any address of a microcontroller", source=elf.source, place=where)
        pieces.put(address + part.start - start, np.frombuffer(elf.data[part.start : part.stop], np.uint8))


def open_elf(path: Source) -> Elf:
    """Return the tables of a program's ELF file; InputError when it is none, or larger than a program may be."""
    file = read_evidence(path, limit=PROGRAM)
    return parse_elf(file.data, str(file.path))


def read_elf_map(path: Source) -> ElfMap:
    """Return the names in an ELF file; InputError when it is none or is damaged."""
    elf = open_elf(path)
    if elf.damage:
        raise InputError(elf.damage, source=elf.source, advice=_ADVICE)

    def placed(name: str, address: int, size: int) -> Named:
        shift = next(
            (s.load_address - s.address for s in elf.segments if s.address <= address < s.address + s.file_size), 0
        )
        return Named(AddressRange(address + shift, address + shift + size), name)

    return ElfMap(
        tuple(sorted(placed(s.name, s.address, s.size) for s in elf.sections if s.stored)),
        tuple(
            sorted(
                placed(s.name, s.value & ~1 if s.function else s.value, s.size)
                for s in elf.symbols()
                if s.kind in (_FUNCTION, _OBJECT) and s.size
            )
        ),
    )


def _at(entries: tuple[Named, ...], address: int) -> Named | None:
    i = bisect_right(entries, address, key=lambda n: n.range.start) - 1
    # Symbols may stand inside each other: the innermost one that still holds the address is wanted.
    return next((e for e in reversed(entries[max(0, i - 8) : i + 1]) if address in e.range), None)


def source_line(path: Source, address: int) -> str:
    """Return the source line of a code address, as ``file.c:42``; empty when the file has no debug information of it."""
    # pyelftools is for DWARF alone: its tables take long to load, and most cases have no ELF file.
    from elftools.elf.elffile import ELFFile

    elf, wanted = open_elf(path), address & ~1
    try:
        tables = ELFFile(BytesIO(elf.data))
        if not tables.has_dwarf_info():
            return ""
        dwarf = tables.get_dwarf_info()
        for unit in dwarf.iter_CUs():
            program = dwarf.line_program_for_CU(unit)
            if program is None:
                continue
            before = None
            for entry in program.get_entries():
                state = entry.state
                if state is None:
                    continue
                if before is not None and before.address <= wanted < state.address and not before.end_sequence:
                    # File numbers count from 1 up to DWARF 4, from 0 from DWARF 5 on.
                    names = program["file_entry"]
                    index = before.file - (0 if program["version"] >= 5 else 1)
                    name = names[index].name.decode("utf-8", "replace") if 0 <= index < len(names) else ""
                    return f"{name}:{before.line}" if name else ""
                before = None if state.end_sequence else state
    except Exception as error:  # pyelftools raises whatever its parsers meet in damaged debug information
        what = f"its debug information is damaged ({type(error).__name__})"
        raise InputError(what, source=elf.source, advice="build or copy it again") from None
    return ""


def write_elf(image: MemoryImage, stream: Any) -> None:
    """Write an ELF for Arm with one loadable segment per piece; 64-bit only when an address needs it.

    The caller knows that their number fits into the header's 16 bits.
    """
    count = len(image.segments)
    wide = image.span.stop > 1 << 32
    head, entry = (64, 56) if wide else (52, 32)
    stream.write(b"\x7fELF" + bytes((2 if wide else 1, 1, 1)) + bytes(9))
    fields = (EXECUTABLE, EM_ARM, 1, 0, head if count else 0, 0, 0, head, entry, count, 0, 0, 0)
    stream.write(struct.pack("<HHIQQQIHHHHHH" if wide else "<HHIIIIIHHHHHH", *fields))
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
