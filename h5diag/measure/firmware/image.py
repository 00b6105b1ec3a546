"""An MCUboot image: its header, and the TLV areas behind its body. Bytes in, value out.

Sources: MCUboot ``boot/bootutil/include/bootutil/image.h`` (upstream) and the same header in ST's
stm32-mw-mcuboot, which differs in flags 0x2 and 0x8 and adds the magics of STiROT; measured on images made by
imgtool 2.5.0. Everything is little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, IntEnum, IntFlag

import numpy as np
import numpy.typing as npt

from h5diag.errors import InputError
from h5diag.limits import LONE_IMAGES, NESTED_IMAGES, TLV_RECORDS
from h5diag.memory import AddressRange, Bytes, MemoryImage, Segment, merged
from h5diag.text import count_text

HEADER_SIZE = 32
_HEADER = struct.Struct("<IIHHIIBBHII")
_FIELDS = np.dtype(
    {
        "names": ["size", "body", "flags", "pad"],
        "formats": ["<u2", "<u4", "<u4", "<u4"],
        "offsets": [8, 12, 16, 28],
        "itemsize": HEADER_SIZE,
    }
)


BIG_ENDIAN_MAGIC = 0x3DB8F396
"""The first word of an image that was signed with ``imgtool --endian big``, as a little-endian number."""


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


KNOWN_FLAGS = sum(flag.value for flag in Flag)
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

    @property
    def short(self) -> str:
        """As people write it: without a build number of 0."""
        return str(self) if self.build else str(self).removesuffix("+0")

    @property
    def compared(self) -> tuple[int, int, int]:
        """What boot loaders compare: all but the build number. Ref: boot_version_cmp."""
        return self.major, self.minor, self.revision


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
        swapped = magic == BIG_ENDIAN_MAGIC
        raise InputError(
            "the header is in big-endian order, which no STM32's boot loader reads"
            if swapped
            else f"0x{magic:08X} is no magic of an MCUboot image",
            advice="sign it with --endian little" if swapped else "",
        ) from None
    if size < HEADER_SIZE:
        raise InputError(
            f"the header says that it has {count_text(size, 'byte')}, fewer than the {HEADER_SIZE} it needs"
        )
    return Header(kind, load, size, protected, body, flags, Version(major, minor, revision, build))


TLV_INFO_MAGIC = 0x6907
TLV_PROTECTED_MAGIC = 0x6908

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
    def number(self) -> int | None:
        """The payload as one little-endian number (security counter, sizes); None when it is too long to be one."""
        return int.from_bytes(self.value, "little") if self.complete and len(self.value) <= 8 else None


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
    wishes = (r.value for r in tlvs.protected if r.type == TlvType.DEPENDENCY and len(r.value) == _DEPENDENCY.size)
    return tuple(Dependency(image, Version(*version)) for image, *version in map(_DEPENDENCY.unpack, wishes))


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
    at, records, problems, walkable = header.tlv_offset, list[Tlv](), list[str](), True
    magic, total = _info(data, at)
    if magic == TLV_PROTECTED_MAGIC:
        walkable &= _walk(data, at, total, records, problems, protected=True)
        if total != header.protected_size:
            problems.append(
                f"the protected TLV area has {count_text(total, 'byte')}, the header says {header.protected_size}"
            )
        at += total
        magic, total = _info(data, at)
    elif header.protected_size:
        problems.append(
            f"the header announces {count_text(header.protected_size, 'byte')} of protected TLVs, there are none"
        )
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
        problems.append(f"the TLV area at offset 0x{start:X} says that it has {count_text(total, 'byte')}")
    while at < stop:
        if len(records) >= TLV_RECORDS:
            problems.append(f"the TLV area at offset 0x{start:X} has more than {TLV_RECORDS} records")
            return False
        if at + _PAIR.size > len(data):
            problems.append(f"the bytes end inside the TLV area, at offset 0x{len(data):X}")
            return False
        kind, size = _PAIR.unpack_from(data, at)
        value = bytes(data[at + _PAIR.size : at + _PAIR.size + size])
        if at + _PAIR.size + size > stop:
            problems.append(f"the record at offset 0x{at:X} is longer than its area")
        records.append(Tlv(kind, value, at, protected, len(value) == size))
        at += _PAIR.size + size
    return True


def find_word(data: Bytes, value: int, *, step: int = 1) -> npt.NDArray[np.int64]:
    """Return the offsets of the little-endian word `value`, ascending.

    Parameters
    ----------
    data
        ``uint8 (n,)``.
    value
        The word.
    step
        1 finds it at any offset, 4 or a multiple of 4 only at multiples of that.
    """
    stride, found = max(1, step // 4), [np.empty(0, np.int64)]
    for shift in range(0, min(4, data.size), step):
        words = data[shift : shift + (data.size - shift) // 4 * 4].view("<u4")[::stride]
        found.append(np.flatnonzero(words == value) * (4 * stride) + shift)
    return np.sort(np.concatenate(found))


SECTOR = 0x2000
AT_ONCE = 1 << 14
NO_TLVS = Tlvs((), 0, 0)


@dataclass(frozen=True, slots=True)
class BootImage:
    """An image as it stands in a dump, parsed and nothing more.

    Parameters
    ----------
    address
        Of its first byte, in the dump's own view.
    header
        Its header.
    tlvs
        Its TLV areas; `NO_TLVS` when none stands behind the body.
    available
        Bytes known without a gap from `address` on; the image is cut short when they are fewer than `size`.
    problems
        What is wrong with it, one sentence each.
    """

    address: int
    header: Header
    tlvs: Tlvs
    available: int
    problems: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Tell whether header, body and a TLV area are all there."""
        return bool(self.tlvs.size) and self.tlvs.walkable and self.tlvs.size <= self.available

    @property
    def verifiable(self) -> bool:
        """Tell whether enough is there to verify it; behind the mark of a pure signature imgtool needs no more."""
        return bool(self.tlvs.size) and (
            self.tlvs.walkable or any(r.type & 0xFF == TlvType.SIG_PURE for r in self.tlvs.plain)
        )

    @property
    def size(self) -> int:
        """Bytes from the header to the end of the TLV areas (of the body, where there are none)."""
        return self.tlvs.size or self.header.tlv_offset

    @property
    def range(self) -> AddressRange:
        """Addresses from the header to the end of the TLV areas."""
        return AddressRange(self.address, self.address + self.size)

    @property
    def body(self) -> AddressRange:
        """Addresses of the body."""
        return AddressRange(self.address + self.header.header_size, self.address + self.header.tlv_offset)


def find_images(image: MemoryImage, *, starts: Iterable[int] = ()) -> tuple[BootImage, ...]:
    """Return the images anywhere in a dump, in address order.

    Parameters
    ----------
    image
        The dump.
    starts
        Addresses (of the dump's view) where an image is expected; they go first where a bound holds.
    """
    wanted = frozenset(starts)
    found = [i for segment in image.segments for i in _in_segment(segment, wanted)]
    return tuple(sorted(found, key=lambda i: i.address))


def parse_image(data: memoryview, address: int) -> BootImage:
    """Return the image whose first byte is the first of `data`.

    Parameters
    ----------
    data
        All bytes known without a gap from there on.
    address
        Of the first byte.

    Raises
    ------
    InputError
        When no header stands there.
    """
    header = parse_header(data)
    try:
        tlvs = parse_tlvs(data, header)
    except InputError as error:
        problem = f"no TLV area behind the body: {error.problem}"
        if header.tlv_offset >= 1 << 30:
            problem = f"the header claims a body of {count_text(header.body_size, 'byte')}"
        return BootImage(address, header, NO_TLVS, len(data), (problem,))
    problems = tlvs.problems
    if tlvs.walkable and tlvs.size > len(data):
        problems += ("the last record of the TLV area is cut short",)
    return BootImage(address, header, tlvs, len(data), problems)


def _in_segment(segment: Segment, wanted: frozenset[int]) -> list[BootImage]:
    data = segment.data
    positions = _magics(data)
    if not positions.size:
        return []
    complete, lone = _sorted_out(data, positions, segment.start)
    view = memoryview(data)  # type: ignore[arg-type]
    images, nested, stop = list[BootImage](), list[int](), -1
    for p in complete.tolist():
        if p < stop and segment.start + p not in wanted:
            nested.append(p)
        else:
            images.append(parse_image(view[p:], segment.start + p))
            stop = max(stop, p + images[-1].size)
    # A lone magic inside a complete image is that image's content.
    content = merged(i.range for i in images)
    before = np.searchsorted([r.start - segment.start for r in content], lone, "right")
    reach = np.array([0, *(r.stop - segment.start for r in content)], np.int64)[before]

    def rank(p: int) -> tuple[bool, bool, bool, int]:
        return segment.start + p not in wanted, p != 0, (segment.start + p) % SECTOR != 0, p

    outside = (lone >= reach).tolist()
    alone = [p for p, out in zip(lone.tolist(), outside, strict=True) if out or segment.start + p in wanted]
    more = sorted(nested, key=rank)[:NESTED_IMAGES] + sorted(alone, key=rank)[:LONE_IMAGES]
    return images + [parse_image(view[p:], segment.start + p) for p in more]


def _magics(data: Bytes) -> npt.NDArray[np.int64]:
    """Return the offsets of all magics that have room for a header, ascending.

    MCUboot's is looked for at every offset, since a dump may have lost bytes; those of STiROT at multiples of 16
    only.
    """
    found = np.concatenate([find_word(data, m.value, step=1 if m is HeaderMagic.MCUBOOT else 16) for m in HeaderMagic])
    return np.sort(found[found + HEADER_SIZE <= data.size])


def _sorted_out(
    data: Bytes, positions: npt.NDArray[np.int64], start: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the offsets of complete images and those of credible lone headers."""
    parts = [positions[first : first + AT_ONCE] for first in range(0, positions.size, AT_ONCE)]
    found = [(part, *_image_starts(data, part, start)) for part in parts]
    return np.concatenate([p[whole] for p, whole, _ in found]), np.concatenate([p[lone] for p, _, lone in found])


def _image_starts(
    data: Bytes, positions: npt.NDArray[np.int64], start: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which of the magics begin a complete image, and which a credible header without TLVs."""
    headers = data[positions[:, None] + np.arange(HEADER_SIZE)].view(_FIELDS)[:, 0]
    size = headers["size"].astype(np.int64)
    tlv, sound = positions + size + headers["body"].astype(np.int64), size >= HEADER_SIZE
    reachable = sound & (tlv + 4 <= data.size)
    at = np.where(reachable, tlv, 0)
    word = data[at].astype(np.uint16) | data[np.minimum(at + 1, data.size - 1)].astype(np.uint16) << 8
    complete = reachable & ((word == TLV_INFO_MAGIC) | (word == TLV_PROTECTED_MAGIC))
    aligned = ((start + positions) % 16 == 0) | (positions == 0)
    plain = (headers["flags"] & np.uint32(~KNOWN_FLAGS & 0xFFFFFFFF) == 0) & (headers["pad"] == 0) & (size % 4 == 0)
    return complete, sound & ~complete & aligned & plain
