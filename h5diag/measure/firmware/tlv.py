"""The TLV areas behind an image's body: hashes, keys, signatures, wrapped keys, dependencies.

Sources as for `mcuboot`. Two areas may follow each other, the protected one (which the image hash covers) first.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from h5diag.errors import InputError
from h5diag.measure.firmware.mcuboot import Header, Version

TLV_INFO_MAGIC = 0x6907
TLV_PROTECTED_MAGIC = 0x6908
MOST_RECORDS = 512
"""Records of one TLV area that are read; real images have about ten."""

_PAIR = struct.Struct("<HH")
_DEPENDENCY = struct.Struct("<B3xBBHI")


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
ENCRYPTION_TYPES = (
    TlvType.ENC_RSA2048,
    TlvType.ENC_KW,
    TlvType.ENC_EC256,
    TlvType.ENC_X25519,
    TlvType.ENC_X25519_SHA512,
)
_KNOWN_TYPES = {int(t): t.name for t in TlvType}


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


def _walk(
    data: bytes | memoryview, start: int, total: int, records: list[Tlv], problems: list[str], *, protected: bool
) -> bool:
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
        value = bytes(data[at + _PAIR.size : at + _PAIR.size + size])
        complete = len(value) == size
        if at + _PAIR.size + size > stop:
            problems.append(f"the record at offset 0x{at:X} is longer than its area")
        records.append(Tlv(kind, value, at, protected, complete))
        at += _PAIR.size + size
    return True
