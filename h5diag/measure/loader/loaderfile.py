"""External loader files, read within bounds, and ``StorageInfo``: how a loader describes its memory.

``StorageInfo`` has 200 bytes, little-endian, natural alignment. Source: ``struct StorageInfo`` of ST's external loader
examples (``Dev_Inf.h``); the layout decodes in 298 of 300 published loaders.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import takewhile

from h5diag.errors import InputError
from h5diag.evidence.door import Source, read_evidence
from h5diag.evidence.files.elf import EM_ARM, EXECUTABLE, Elf, ElfSegment, ElfSymbol, parse_elf
from h5diag.limits import LOADER_SECTIONS, LOADER_SEGMENTS, PROGRAM
from h5diag.ranges import AddressRange
from h5diag.text import count_text

ENTRY_POINTS = ("Init", "Write", "Read", "SectorErase", "MassErase", "Verify", "CheckSum")
"""Functions by which a programmer calls a loader. Source: UM2237 and ST's loader examples."""

_ADVICE = "give the .stldr or .elf file that the linker wrote"


@dataclass(frozen=True, slots=True)
class LoaderFile:
    """What an external loader's ELF file holds: `sections` that take memory, `warnings` what could not be read."""

    source: str
    segments: tuple[ElfSegment, ...]
    sections: tuple[AddressRange, ...]
    symbols: tuple[ElfSymbol, ...]
    warnings: tuple[str, ...] = ()

    def symbol(self, name: str) -> ElfSymbol | None:
        """Return the defined symbol called `name`, or None."""
        return next((s for s in self.symbols if s.name == name and s.section), None)

    @property
    def functions(self) -> tuple[ElfSymbol, ...]:
        """The entry points that are there, in the order of `ENTRY_POINTS`."""
        return tuple(s for n in ENTRY_POINTS if (s := self.symbol(n)) is not None)

    @property
    def info_segment(self) -> ElfSegment | None:
        """The segment that holds ``StorageInfo``, or None."""
        s = self.symbol("StorageInfo")
        return self.segment_at(s.value) if s else None

    @property
    def image_segments(self) -> tuple[ElfSegment, ...]:
        """The segments that run: those with an entry point, or failing that all but ``StorageInfo``'s."""
        holding = {s for f in self.functions if (s := self.segment_at(f.value & ~1)) is not None}
        running = holding or {s for s in self.segments if s is not self.info_segment}
        first = min((s.address for s in running), default=0)
        # Data segments close behind the code are downloaded with it; one far away (StorageInfo at 0) is not.
        near = [s for s in self.segments if abs(s.address - first) < 1 << 20] if running else []
        return tuple(sorted((s for s in near if s in running or s is not self.info_segment), key=lambda s: s.address))

    @property
    def link_address(self) -> int:
        """Address of the first byte that is downloaded, or -1 when nothing is."""
        return self.image_segments[0].address if self.image_segments else -1

    @property
    def image(self) -> bytes:
        """The bytes to download, from `link_address`; gaps between segments are zero."""
        out = bytearray()
        for s in self.image_segments:
            out.extend(bytes(max(0, s.address - self.link_address - len(out))))
            at = s.address - self.link_address
            out[at : at + len(s.data)] = s.data
        return bytes(out)

    @property
    def memory_stop(self) -> int:
        """Address after the last byte of memory used, ``.bss`` included, or -1."""
        return max((s.stop for s in self.image_segments), default=-1)

    @property
    def bss_size(self) -> int:
        """Bytes of memory behind the image that the file does not hold."""
        return max(0, self.memory_stop - self.link_address - len(self.image)) if self.image_segments else 0

    @property
    def storage(self) -> bytes:
        """The bytes of ``StorageInfo``, for `decode_storage`; fewer than `SIZE` where the file does not hold them."""
        s = self.symbol("StorageInfo")
        return self.read(s.value, SIZE) if s else b""

    def segment_at(self, address: int) -> ElfSegment | None:
        """Return the segment whose memory holds `address`, or None; one with bytes there wins over a .bss."""
        holding = [s for s in self.segments if s.address <= address < s.stop]
        return next((s for s in holding if address < s.address + s.file_size), holding[0] if holding else None)

    def read(self, address: int, size: int) -> bytes:
        """Return the stored bytes at `address`, fewer than `size` when the file ends before."""
        s = self.segment_at(address)
        return bytes(s.data[address - s.address : address - s.address + size]) if s else b""

    def place(self, address: int) -> str:
        """Return the function that holds `address` as ``Name+0x12``, or empty."""
        at = address & ~1
        holding = (s for s in self.symbols if s.function and s.section and 0 <= at - (s.value & ~1) < max(s.size, 2))
        best = max(holding, key=lambda s: s.value & ~1, default=None)
        if best is None:
            return ""
        offset = at - (best.value & ~1)
        return f"{best.name}+0x{offset:X}" if offset else best.name


def read_loader(path: Source) -> LoaderFile:
    """Return the loader held in an ELF file.

    Raises
    ------
    InputError
        When the file cannot be read, is larger than `h5diag.limits.PROGRAM`, or is no 32-bit little-endian Arm executable.
    """
    file = read_evidence(path, limit=PROGRAM)
    return parse_loader(file.data, str(file.path))


def parse_loader(data: bytes, source: str = "loader") -> LoaderFile:
    """Return the loader held in the bytes of an ELF file; raises as `read_loader`."""
    elf = _checked(data, source)
    segments = tuple(s for s in elf.segments if s.memory_size)
    if odd := next((s for s in segments if s.stop > 1 << 32 or s.file_size > s.memory_size), None):
        wrong = f"is a broken ELF file: the segment at 0x{odd.address:08X} has impossible sizes"
        raise InputError(wrong, source=source, advice=_ADVICE)
    many = len(elf.sections) > LOADER_SECTIONS
    doubts = (
        (elf.damage or many, "its section headers are cut off or impossible, symbols are unknown"),
        (not elf.damage and not elf.sections, "it has no section headers, so no symbols"),
        (any(len(s.data) < s.file_size for s in segments), "the file ends before the last byte of its segments"),
    )
    warnings = tuple(text for holds, text in doubts if holds)
    sections = tuple(AddressRange(s.address, s.address + s.size) for s in elf.sections if s.in_memory and not many)
    return LoaderFile(source, segments, sections, () if many else elf.symbols(), warnings)


def _checked(data: bytes, source: str) -> Elf:
    """Return the tables of a linked 32-bit Arm program; InputError with the reason for any other file."""
    if not data:
        raise InputError("is empty", source=source, advice=_ADVICE)
    if data[:4] == b"\x7fELF" and 2 in data[4:6]:
        kind = "64-bit" if data[4] == 2 else "big-endian"
        wrong = f"is a {kind} ELF file; a loader is 32-bit little-endian Arm"
        raise InputError(wrong, source=source, place="offset 0x4", advice=_ADVICE)
    elf = parse_elf(data, source)
    count, unlinked = len(elf.segments), "link it; an object file has no addresses yet"
    for sound, place, wrong, advice in (
        (elf.machine == EM_ARM, "offset 0x12", f"for machine {elf.machine}, not for Arm (40)", _ADVICE),
        (elf.kind == EXECUTABLE, "offset 0x10", f"of type {elf.kind}, not a linked executable (2)", unlinked),
        (
            0 < count <= LOADER_SEGMENTS,
            "offset 0x2C",
            f"of {count_text(count, 'segment')}; a loader has one or two",
            _ADVICE,
        ),
    ):
        if not sound:
            raise InputError(f"is an ELF file {wrong}", source=source, place=place, advice=advice)
    return elf


SIZE = 200
_FIXED = struct.Struct("<100sHxxIIIBxxx")
_SECTORS = struct.Struct("<20I")

DEVICE_TYPES = (
    "MCU flash",
    "NAND flash",
    "NOR flash",
    "SRAM",
    "PSRAM",
    "PC card",
    "SPI flash",
    "I2C flash",
    "SDRAM",
    "I2C EEPROM",
)
"""Names of ``DeviceType`` 1, 2, ... in order."""

VOLATILE_TYPES = frozenset((4, 5, 9))
"""Types that need no erase: SRAM, PSRAM, SDRAM."""


@dataclass(frozen=True, slots=True)
class SectorGroup:
    """`count` sectors of `size` bytes each."""

    count: int
    size: int


@dataclass(frozen=True, slots=True)
class StorageInfo:
    """The description of a memory. Sizes are bytes; `terminated` tells whether the list of groups ends with 0, 0."""

    name: str
    type: int
    start: int
    size: int
    page_size: int
    erased: int
    groups: tuple[SectorGroup, ...]
    terminated: bool = True

    @property
    def type_name(self) -> str:
        """The memory's kind in words."""
        known = 1 <= self.type <= len(DEVICE_TYPES)
        return DEVICE_TYPES[self.type - 1] if known else f"unknown type {self.type}"

    @property
    def sectors_size(self) -> int:
        """Bytes covered by all sector groups."""
        return sum(g.count * g.size for g in self.groups)

    def sector_at(self, address: int) -> tuple[int, int]:
        """Return first and after-last address of the sector that holds `address`; KeyError outside."""
        at = self.start
        for g in self.groups:
            if at <= address < at + g.count * g.size:
                first = at + (address - at) // g.size * g.size
                return first, first + g.size
            at += g.count * g.size
        raise KeyError(f"0x{address:08X} lies in no sector")


def decode_storage(data: bytes) -> StorageInfo:
    """Return the description held in the first 200 bytes of `data`.

    Raises
    ------
    ValueError
        When there are fewer than 200 bytes.
    """
    if len(data) < SIZE:
        raise ValueError(f"StorageInfo needs {SIZE} bytes, {len(data)} are there")
    raw, kind, start, size, page, erased = _FIXED.unpack_from(data)
    words = _SECTORS.unpack_from(data, _FIXED.size)
    pairs = list(zip(words[::2], words[1::2], strict=True))
    groups = tuple(SectorGroup(*pair) for pair in takewhile(all, pairs))
    name = "".join(c if c.isprintable() else "?" for c in raw.split(b"\0", 1)[0].decode("ascii", "replace"))
    return StorageInfo(name, kind, start, size, page, erased, groups, len(groups) < len(pairs))
