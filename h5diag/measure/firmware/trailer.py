"""The trailer at the end of a slot: magic, image_ok, copy_done, swap information.

Source: MCUboot ``boot/bootutil/src/bootutil_public.c`` and ST's ``bootutil_misc.c``; imgtool 2.5.0 and ST's fork of it
for what the signing tools write. From the end backwards: the magic (16 bytes, in its own alignment unit), image_ok,
copy_done, swap_info, swap_size, each in a unit of BOOT_MAX_ALIGN. ST's boot code knows the classic magic only and is
compiled with the flash's program unit: on H5 and U5 image_ok stands at -32, on L5 at -24.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

CLASSIC_MAGIC = bytes.fromhex("77c295f360d2ef7f3552500f2cb67980")
ALIGNED_MAGIC_TAIL = bytes.fromhex("2de15d29410b8d77679c110f1f8a")
MAGIC_SIZE = 16
DAMAGED_BITS = 24
"""Chance bytes are about 64 bits off; fewer than this many happens once in 10**13 of them."""
READ_SIZE = 32 * 6
"""Bytes before the end of a slot that `parse_trailer` can make use of."""
MOST_STATUS = 256 * 3
"""Swap status entries that are looked at: three for each sector of a slot."""


@dataclass(frozen=True, slots=True)
class TrailerPlaces:
    """Where the fields stand, in bytes before the end of the slot.

    Saved image keys and the swap status entries stand before `swap_size`.
    """

    image_ok: int
    copy_done: int
    swap_info: int
    swap_size: int


def trailer_places(alignment: int, *, with_sizes: bool = False) -> TrailerPlaces:
    """Return the places for a BOOT_MAX_ALIGN; swap-offset has one more before swap_size (`with_sizes`).

    Ref: boot_image_ok_off and its neighbours.
    """
    ok = max(MAGIC_SIZE, alignment) + alignment
    size = ok + (3 + with_sizes) * alignment
    return TrailerPlaces(ok, ok + alignment, ok + 2 * alignment, size)


class Magic(Enum):
    """What stands in the last 16 bytes of a slot."""

    CLASSIC = "classic"
    ALIGNED = "aligned"
    UNSET = "unset"
    ZERO = "zero"
    OTHER = "other"
    UNREAD = "unread"

    @property
    def is_magic(self) -> bool:
        """Tell whether it is one of the two that boot loaders write."""
        return self in (Magic.CLASSIC, Magic.ALIGNED)


class TrailerFlag(Enum):
    """A flag byte of the trailer: 0x01, 0xFF, anything else, or not known."""

    SET = "set"
    UNSET = "unset"
    BAD = "bad"
    UNREAD = "unread"


@dataclass(frozen=True, slots=True)
class Trailer:
    """The trailer of a slot.

    Parameters
    ----------
    magic
        Kind of the magic.
    alignment
        Unit of the fields in bytes; 0 when no magic tells it.
    image_ok, copy_done
        The two flags; `TrailerFlag.UNSET` where the trailer is erased.
    swap_info
        The raw byte (low half: swap type, high half: image number), 0xFF when erased or unknown.
    status_entries
        Swap status entries that were written; 0 when none or unknown.
    wrong_bits
        For `Magic.OTHER`: how many bits are off the classic magic when they are so few that it must have been one
        (below `DAMAGED_BITS`), else 0.
    """

    magic: Magic
    alignment: int = 0
    image_ok: TrailerFlag = TrailerFlag.UNREAD
    copy_done: TrailerFlag = TrailerFlag.UNREAD
    swap_info: int = 0xFF
    status_entries: int = 0
    wrong_bits: int = 0


UNREAD_TRAILER = Trailer(Magic.UNREAD)
_MAGICS = {
    CLASSIC_MAGIC: (Magic.CLASSIC, 8),
    b"\xff" * MAGIC_SIZE: (Magic.UNSET, 0),
    bytes(MAGIC_SIZE): (Magic.ZERO, 0),
}


def parse_magic(data: bytes) -> tuple[Magic, int]:
    """Return the kind of the 16 bytes `data` and the alignment it stands for (0 when none)."""
    if len(data) < MAGIC_SIZE:
        return Magic.UNREAD, 0
    if data[2:] == ALIGNED_MAGIC_TAIL:
        return Magic.ALIGNED, int.from_bytes(data[:2], "little")
    return _MAGICS.get(data, (Magic.OTHER, 0))


def parse_trailer(tail: bytes, *, program_unit: int = 0) -> Trailer:
    """Return the trailer that ends with the last byte of `tail`.

    Parameters
    ----------
    tail
        The end of the slot behind its image, ideally `READ_SIZE` bytes and more (swap status needs
        ``MOST_STATUS * alignment`` in addition); fewer leave fields unread.
    program_unit
        The flash's program unit in bytes. With 16, the fields of a classic trailer stand in units of 16 (image_ok at
        offset -32), as ST's boot code is compiled and as ST's imgtool writes them, unless the flags themselves show
        units of 8, as a signing tool may have been told.
    """
    magic, alignment = parse_magic(tail[-MAGIC_SIZE:])
    if not magic.is_magic:
        flag = TrailerFlag.UNREAD if magic is Magic.UNREAD else TrailerFlag.UNSET
        off = (int.from_bytes(tail[-MAGIC_SIZE:], "big") ^ int.from_bytes(CLASSIC_MAGIC, "big")).bit_count()
        return Trailer(magic, 0, flag, flag, wrong_bits=off if magic is Magic.OTHER and off < DAMAGED_BITS else 0)
    if alignment not in (8, 16, 32):
        return Trailer(Magic.OTHER, 0, TrailerFlag.UNREAD, TrailerFlag.UNREAD)
    if magic is Magic.CLASSIC and program_unit == 16 and _byte(tail, 24) & _byte(tail, 40) in (0xFF, -1):
        alignment = 16  # nothing stands where only an alignment of 8 puts a flag
    places = trailer_places(alignment)
    image_ok, copy_done, swap_info = (_byte(tail, p) for p in (places.image_ok, places.copy_done, places.swap_info))
    entries = _status(tail, len(tail) - places.swap_size, alignment)
    return Trailer(magic, alignment, _flag(image_ok), _flag(copy_done), swap_info & 0xFF, entries)


def _byte(tail: bytes, back: int) -> int:
    return tail[-back] if back <= len(tail) else -1


def _flag(value: int) -> TrailerFlag:
    return {1: TrailerFlag.SET, 0xFF: TrailerFlag.UNSET, -1: TrailerFlag.UNREAD}.get(value, TrailerFlag.BAD)


def _status(tail: bytes, stop: int, alignment: int) -> int:
    """Count the swap status entries before swap_size: a state from 1 to 3, the rest of its unit erased.

    How many units are reserved is the boot loader's configuration; saved image keys in between do not look so.
    """
    rest = b"\xff" * (alignment - 1)
    return sum(
        1
        for at in range(stop - alignment, max(-1, stop - MOST_STATUS * alignment - 1), -alignment)
        if at >= 0 and 1 <= tail[at] <= 3 and tail[at + 1 : at + alignment] == rest
    )
