"""The MCUboot image format: header and TLV areas, bytes in, value out.

Sources: MCUboot ``boot/bootutil/include/bootutil/image.h`` (upstream) and the same header in ST's
stm32-mw-mcuboot, which differs in flags 0x2 and 0x8 and adds the magics of STiROT; measured on images made by
imgtool 2.5.0. Everything is little-endian.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum, IntEnum, IntFlag

from h5diag.errors import InputError

HEADER_SIZE = 32
MOST_RECORDS = 4096
"""Records of one TLV area that are read; real images have about ten."""
TLV_INFO_MAGIC = 0x6907
TLV_PROTECTED_MAGIC = 0x6908
_HEADER = struct.Struct("<IIHHIIBBHII")
_PAIR = struct.Struct("<HH")
_DEPENDENCY = struct.Struct("<B3xBBHI")


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
COMPRESSED_FLAGS = Flag.COMPRESSED_LZMA1 | Flag.COMPRESSED_LZMA2


class TlvType(IntEnum):
    """Types of TLV records."""

    KEYHASH = 0x01
    PUBKEY = 0x02
    SHA256 = 0x10
    SHA384 = 0x11
    SHA512 = 0x12
    RSA2048 = 0x20
    ECDSA224 = 0x21
    ECDSA = 0x22
    RSA3072 = 0x23
    ED25519 = 0x24
    SIG_PURE = 0x25
    ENC_RSA2048 = 0x30
    ENC_KW = 0x31
    ENC_EC256 = 0x32
    ENC_X25519 = 0x33
    ENC_X25519_SHA512 = 0x34
    DEPENDENCY = 0x40
    SECURITY_COUNTER = 0x50
    BOOT_RECORD = 0x60
    DECOMP_SIZE = 0x70
    DECOMP_SHA = 0x71
    DECOMP_SIGNATURE = 0x72
    COMP_DEC_SIZE = 0x73
    UUID_VID = 0x74
    UUID_CID = 0x75
    ST_AUTH_TAG = 0x3A0


HASH_TYPES = (TlvType.SHA256, TlvType.SHA384, TlvType.SHA512)
SIGNATURE_TYPES = (TlvType.RSA2048, TlvType.ECDSA224, TlvType.ECDSA, TlvType.RSA3072, TlvType.ED25519)
ENCRYPTION_TYPES = (TlvType.ENC_RSA2048, TlvType.ENC_KW, TlvType.ENC_EC256, TlvType.ENC_X25519,
                    TlvType.ENC_X25519_SHA512)
_KNOWN_TYPES = {int(t): t.name for t in TlvType}


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
        if self.flags & (Flag.ENCRYPTED_AES128 | Flag.ST_ENCRYPTED_AES256):
            return True
        return bool(self.flags & Flag.ENCRYPTED_AES256)

    @property
    def compressed(self) -> bool:
        """Tell whether the body is said to be compressed."""
        return bool(self.flags & COMPRESSED_FLAGS)

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


@dataclass(frozen=True, slots=True)
class Tlv:
    """One record.

    Parameters
    ----------
    type
        All 16 bits of the type.
    value
        The payload, cut short when `complete` is false.
    offset
        Of the record's own first byte from the start of the image.
    protected
        Whether the image hash covers it.
    complete
        False when its length points behind the bytes that there are.
    """

    type: int
    value: bytes
    offset: int
    protected: bool
    complete: bool = True

    @property
    def name(self) -> str:
        """The type's name, or its number where it has none."""
        return _KNOWN_TYPES.get(self.type, f"0x{self.type:04X}")

    @property
    def number(self) -> int:
        """The payload as one little-endian number (security counter, sizes)."""
        return int.from_bytes(self.value, "little")


@dataclass(frozen=True, slots=True)
class Tlvs:
    """The TLV areas of an image.

    Parameters
    ----------
    records
        In the order of the file, protected ones first.
    hashed_size
        Bytes from the start of the image that its hash covers: header, body and protected area.
    size
        Bytes from the start of the image to the end of its last TLV area.
    problems
        What is wrong with the areas, one sentence each; empty when they are well formed.
    walkable
        False when a record's own header lies behind the bytes that there are.
    """

    records: tuple[Tlv, ...]
    hashed_size: int
    size: int
    problems: tuple[str, ...] = ()
    walkable: bool = True

    @property
    def plain(self) -> tuple[Tlv, ...]:
        """The records outside the protected area."""
        return tuple(r for r in self.records if not r.protected)

    @property
    def protected(self) -> tuple[Tlv, ...]:
        """The records inside the protected area."""
        return tuple(r for r in self.records if r.protected)


@dataclass(frozen=True, slots=True)
class Dependency:
    """An image asks for at least `version` of image number `image`."""

    image: int
    version: Version


def dependencies(tlvs: Tlvs) -> tuple[Dependency, ...]:
    """Return what the protected records ask of other images; records of another length are passed over."""
    out = []
    for r in tlvs.protected:
        if r.type == TlvType.DEPENDENCY and len(r.value) == _DEPENDENCY.size:
            image, *version = _DEPENDENCY.unpack(r.value)
            out.append(Dependency(image, Version(*version)))
    return tuple(out)


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


def parse_tlvs(data: bytes | memoryview, header: Header) -> Tlvs:
    """Return the TLV areas behind the body.

    Parameters
    ----------
    data
        The bytes from the start of the image on; what follows the image is not looked at, except where a
        record's length reaches into it.
    header
        The image's header.

    Raises
    ------
    InputError
        When no TLV area stands behind the body, with its offset as place.
    """
    at, records, problems = header.tlv_offset, list[Tlv](), list[str]()
    magic, total = _info(data, at)
    walkable = True
    if magic == TLV_PROTECTED_MAGIC:
        walkable &= _walk(data, at, total, records, problems, protected=True)
        if total != header.protected_size:
            problems.append(f"the protected TLV area has {total} bytes, the header says {header.protected_size}")
        at += total
        magic, total = _info(data, at)
    elif header.protected_size:
        problems.append(f"the header announces {header.protected_size} bytes of protected TLVs, there are none")
    if magic != TLV_INFO_MAGIC:
        raise InputError(f"0x{magic:04X} stands where a TLV area begins", place=f"offset 0x{at:X}")
    walkable &= _walk(data, at, total, records, problems, protected=False)
    return Tlvs(tuple(records), at, at + total, tuple(problems), walkable)


def _info(data: bytes | memoryview, at: int) -> tuple[int, int]:
    if at + _PAIR.size > len(data):
        raise InputError("the bytes end before the TLV area", place=f"offset 0x{at:X}")
    magic, total = _PAIR.unpack_from(data, at)
    return magic, total


def _walk(data: bytes | memoryview, start: int, total: int, records: list[Tlv], problems: list[str], *,
          protected: bool) -> bool:
    """Add the records of one area; return False when it runs out of bytes. Ends: every step is 4 or more."""
    at, stop = start + _PAIR.size, start + total
    if total < _PAIR.size:
        problems.append(f"the TLV area at offset 0x{start:X} says that it has {total} bytes")
    while at < stop:
        if len(records) >= MOST_RECORDS:
            problems.append(f"the TLV area at offset 0x{start:X} has more than {MOST_RECORDS} records")
            return False
        if at + _PAIR.size > len(data):
            problems.append(f"the bytes end inside the TLV area, at offset 0x{len(data):X}")
            return False
        kind, size = _PAIR.unpack_from(data, at)
        value = bytes(data[at + _PAIR.size:at + _PAIR.size + size])
        complete = len(value) == size
        if at + _PAIR.size + size > stop:
            problems.append(f"the record at offset 0x{at:X} is longer than its area")
        records.append(Tlv(kind, value, at, protected, complete))
        at += _PAIR.size + size
    return True
