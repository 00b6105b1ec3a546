"""The header of an MCUboot image: bytes in, value out. The TLV areas behind the body are in `tlv`.

Sources: MCUboot ``boot/bootutil/include/bootutil/image.h`` (upstream) and the same header in ST's
stm32-mw-mcuboot, which differs in flags 0x2 and 0x8 and adds the magics of STiROT; measured on images made by
imgtool 2.5.0. Everything is little-endian.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum, IntFlag

from h5diag.errors import InputError

HEADER_SIZE = 32
_HEADER = struct.Struct("<IIHHIIBBHII")


class HeaderMagic(Enum):
    """First word of an image."""

    MCUBOOT = 0x96F3B83D
    STIROT = 0x73AB1024
    STIROT_DATA = 0x55F7394E


class Flag(IntFlag):
    """Header flags. Where ST and upstream disagree both names are given by `flag_names`."""

    PIC = 0x1
    PRIMARY_ONLY = 0x2
    ENCRYPTED_AES128 = 0x4
    ENCRYPTED_AES256 = 0x8
    NON_BOOTABLE = 0x10
    RAM_LOAD = 0x20
    ROM_FIXED = 0x100
    COMPRESSED_LZMA1 = 0x200
    COMPRESSED_LZMA2 = 0x400
    COMPRESSED_ARM_THUMB = 0x800
    ST_ENCRYPTED_AES256 = 0x20000000
    ST_CHIP_SPECIFIC = 0x40000000
    ST_LICENCE_FILE = 0x80000000


KNOWN_FLAGS = 0
for _flag in Flag:
    KNOWN_FLAGS |= _flag.value
ENCRYPTED_FLAGS = Flag.ENCRYPTED_AES128 | Flag.ENCRYPTED_AES256 | Flag.ST_ENCRYPTED_AES256


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """Image version; ordered as the boot loader compares (the build number last)."""

    major: int
    minor: int
    revision: int
    build: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.revision}+{self.build}"


@dataclass(frozen=True, slots=True)
class Header:
    """The first 32 bytes of an image. Sizes in bytes; `protected_size` includes the area's own 4 bytes."""

    magic: HeaderMagic
    load_address: int
    header_size: int
    protected_size: int
    body_size: int
    flags: int
    version: Version

    @property
    def encrypted(self) -> bool:
        """What the header says, which is not always what the body is (ST's init images)."""
        return bool(self.flags & ENCRYPTED_FLAGS)

    @property
    def tlv_offset(self) -> int:
        """Offset of the first TLV area from the start of the image."""
        return self.header_size + self.body_size

    @property
    def flag_names(self) -> tuple[str, ...]:
        """Names of the flags that are set, unknown bits as a number."""
        names = [f.name or "" for f in Flag if self.flags & f and f is not Flag.ENCRYPTED_AES256]
        if self.flags & Flag.ENCRYPTED_AES256:
            names.append("ENCRYPTED_AES256 or ST's OTFDEC")
        if rest := self.flags & ~KNOWN_FLAGS:
            names.append(f"0x{rest:X}")
        return tuple(names)


def parse_header(data: bytes | memoryview) -> Header:
    """Return the header at the start of `data`.

    Raises
    ------
    InputError
        When there are fewer than 32 bytes, the magic is another one or the header size is below 32.
    """
    if len(data) < HEADER_SIZE:
        raise InputError(f"an image header has {HEADER_SIZE} bytes, here are {len(data)}")
    magic, load, size, protected, body, flags, major, minor, revision, build, _ = _HEADER.unpack_from(data)
    try:
        kind = HeaderMagic(magic)
    except ValueError:
        raise InputError(f"0x{magic:08X} is no magic of an MCUboot image") from None
    if size < HEADER_SIZE:
        raise InputError(f"the header says that it has {size} bytes, fewer than the {HEADER_SIZE} it needs")
    return Header(kind, load, size, protected, body, flags, Version(major, minor, revision, build))
