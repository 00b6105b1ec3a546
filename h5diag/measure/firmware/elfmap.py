"""Names for addresses of a build: sections and symbols of its ELF file, at their load addresses."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from io import BytesIO

from h5diag.errors import InputError
from h5diag.evidence.door import Source, read_evidence
from h5diag.evidence.files.elf import ELF_ERRORS
from h5diag.limits import PROGRAM
from h5diag.memory import AddressRange

MOST_SYMBOLS = 1 << 20


@dataclass(frozen=True, slots=True, order=True)
class Named:
    """A section or a symbol; `range` holds load addresses."""

    range: AddressRange
    name: str


@dataclass(frozen=True, slots=True)
class ElfMap:
    """Sections and symbols (functions and objects with a size), each in address order."""

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


def read_elf_map(path: Source) -> ElfMap:
    """Return the names in an ELF file; InputError when it is none or is damaged."""
    file = read_evidence(path, limit=PROGRAM)
    try:
        from elftools.elf.elffile import ELFFile  # its tables take long to load, and most cases have no ELF file

        elf = ELFFile(BytesIO(file.data))
        loads = [
            (h["p_vaddr"], h["p_vaddr"] + h["p_filesz"], h["p_paddr"] - h["p_vaddr"])
            for h in (s.header for s in elf.iter_segments())
            if h["p_type"] == "PT_LOAD" and h["p_filesz"]
        ]
        sections, symbols = [], []
        for section in elf.iter_sections():
            if section["sh_flags"] & 2 and section["sh_type"] != "SHT_NOBITS" and section["sh_size"]:
                sections.append(_named(section.name, section["sh_addr"], section["sh_size"], loads))
        table = elf.get_section_by_name(".symtab")
        if table is not None and table.num_symbols() <= MOST_SYMBOLS:
            for symbol in table.iter_symbols():
                kind, address = symbol["st_info"]["type"], symbol["st_value"]
                if kind in ("STT_FUNC", "STT_OBJECT") and symbol["st_size"]:
                    address -= address & 1 if kind == "STT_FUNC" else 0
                    symbols.append(_named(symbol.name, address, symbol["st_size"], loads))
    except ELF_ERRORS:
        raise InputError("no readable ELF file", source=str(file.path), advice="build or copy it again") from None
    return ElfMap(tuple(sorted(sections)), tuple(sorted(symbols)))


def source_line(path: Source, address: int) -> str:
    """Return the source line of a code address, as ``file.c:42``; empty when the file has no debug information of it."""
    file = read_evidence(path, limit=PROGRAM)
    wanted = address & ~1
    try:
        from elftools.elf.elffile import ELFFile  # its tables take long to load, and most cases have no ELF file

        elf = ELFFile(BytesIO(file.data))
        if not elf.has_dwarf_info():
            return ""
        dwarf = elf.get_dwarf_info()
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
    except ELF_ERRORS:
        raise InputError("no readable ELF file", source=str(file.path), advice="build or copy it again") from None
    return ""


def _named(name: str, address: int, size: int, loads: list[tuple[int, int, int]]) -> Named:
    shift = next((move for start, stop, move in loads if start <= address < stop), 0)
    return Named(AddressRange(address + shift, address + shift + size), name)


def _at(entries: tuple[Named, ...], address: int) -> Named | None:
    i = bisect_right(entries, address, key=lambda n: n.range.start) - 1
    # Symbols may stand inside each other: the innermost one that still holds the address is wanted.
    for entry in reversed(entries[max(0, i - 8) : i + 1]):
        if address in entry.range:
            return entry
    return None
