"""A board as its flash cells, and what a reader with one security attribute sees of them.

Layouts are composed here by the formula of ST's flash_layout.h on their own, so that a slip in the library's
presets shows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

Cells = npt.NDArray[np.uint8]
Ranges = tuple[tuple[int, int], ...]

SECTOR, BASE, SECURE_BASE = 0x2000, 0x08000000, 0x0C000000
BOOT_SIZE, SECURE_SLOT = 0x18000, 0x6000


@dataclass(frozen=True, slots=True)
class Slots:
    """Offsets and sizes of the four application slots. `name` is the preset, `begin` the end of boot and scratch."""

    name: str
    begin: int
    nonsecure_size: int

    @property
    def s_primary(self) -> int:
        return self.begin

    @property
    def ns_primary(self) -> int:
        return self.begin + SECURE_SLOT

    @property
    def s_secondary(self) -> int:
        return self.ns_primary + self.nonsecure_size

    @property
    def ns_secondary(self) -> int:
        return self.s_secondary + SECURE_SLOT

    @property
    def end(self) -> int:
        return self.ns_secondary + self.nonsecure_size

    def each(self) -> tuple[tuple[int, int, int], ...]:
        """Primary, secondary, size: of the secure and the non-secure image."""
        return (
            (self.s_primary, self.s_secondary, SECURE_SLOT),
            (self.ns_primary, self.ns_secondary, self.nonsecure_size),
        )


LAYOUTS = {
    f"oemirot-{size}-{mode}": Slots(f"oemirot-{size}-{mode}", BOOT_SIZE + scratch, room)
    for size, room in (("2m", 0xA0000), ("1m", 0x40000))
    for mode, scratch in (("overwrite", 0), ("swap", 0x10000))
}


@dataclass(slots=True)
class Board:
    """Cells, option values and how the board is read.

    `reader` is ``nonsecure``, ``secure`` or ``all`` (secure, with every SECBB bit set first). `hidden` counts the
    sectors from 0 on that the boot stage has hidden. `low` dumps carry 0x08.. addresses on a TrustZone part too.
    """

    cells: Cells
    options: dict[str, int]
    reader: str = "all"
    mode: str = "under-reset"
    hidden: int = 0
    low: bool = False
    banner: dict[str, str] = field(default_factory=dict)

    def copy(self) -> Board:
        return replace(self, cells=self.cells.copy(), options=dict(self.options), banner=dict(self.banner))

    def put(self, offset: int, data: bytes | Cells) -> None:
        array = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data
        self.cells[offset : offset + len(array)] = array

    def erase(self, offset: int, size: int) -> None:
        self.cells[offset : offset + size] = 0xFF

    @property
    def access(self) -> str:
        """The word of case.toml for how it was read."""
        return "nonsecure" if self.reader == "nonsecure" else "secure"

    @property
    def view(self) -> int:
        """The alias that the dump's addresses use."""
        return SECURE_BASE if self.options["TZEN"] == 0xB4 and not self.low else BASE

    def seen(self) -> Cells:
        """Return what the reader gets from every cell (0x00 where the attribute does not fit)."""
        seen = self.cells.copy()
        sectors = len(seen) // SECTOR
        if self.options["TZEN"] == 0xB4 and self.reader != "all":
            secure = np.zeros(sectors, bool)
            for bank in (1, 2):
                a, b = self.options[f"SECWM{bank}_STRT"], self.options[f"SECWM{bank}_END"]
                first = (bank - 1) * sectors // 2
                secure[first + a : first + b + 1] = True
            shown = secure if self.reader == "secure" else ~secure
            seen.reshape(sectors, SECTOR)[~shown] = 0
        seen[: self.hidden * SECTOR] = 0
        return seen


def written_sectors(boards: Iterable[Board]) -> Ranges:
    """Return the ranges of whole sectors in which any of the boards holds something."""
    used = np.zeros(0, bool)
    for board in boards:
        mine = (board.cells.reshape(-1, SECTOR) != 0xFF).any(axis=1)
        used = mine if not used.size else used | mine
    return joined(int(i) * SECTOR for i in np.flatnonzero(used))


def joined(sectors: Iterable[int]) -> Ranges:
    """Return sector starts as ranges."""
    out: list[tuple[int, int]] = []
    for start in sorted(set(sectors)):
        if out and out[-1][1] == start:
            out[-1] = (out[-1][0], start + SECTOR)
        else:
            out.append((start, start + SECTOR))
    return tuple(out)


def united(*many: Ranges) -> Ranges:
    """Return all the sectors of several ranges."""
    return joined(s for ranges in many for a, b in ranges for s in range(a - a % SECTOR, b, SECTOR))


def hex_text(seen: Cells, ranges: Ranges, base: int, row: int) -> str:
    """Return Intel HEX of the ranges of `seen`."""
    lines, high = [], -1
    for start, stop in ranges:
        data = seen[start:stop].tobytes()
        for at in range(start, stop, row):
            address = base + at
            if address >> 16 != high:
                high = address >> 16
                lines.append(_record(0, 4, high.to_bytes(2, "big")))
            lines.append(_record(address & 0xFFFF, 0, data[at - start : at - start + row]))
    lines.append(":00000001FF")
    return "\n".join(lines) + "\n"


def _record(address: int, kind: int, data: bytes) -> str:
    raw = bytes((len(data), address >> 8, address & 0xFF, kind)) + data
    return ":" + (raw + bytes((-sum(raw) & 0xFF,))).hex().upper()


def srec_text(seen: Cells, ranges: Ranges, base: int, row: int) -> str:
    """Return S-records (S3) of the ranges of `seen`."""
    lines = ["S0030000FC"]
    for start, stop in ranges:
        data = seen[start:stop].tobytes()
        for at in range(start, stop, row):
            raw = (base + at).to_bytes(4, "big") + data[at - start : at - start + row]
            raw = bytes((len(raw) + 1,)) + raw
            lines.append("S3" + (raw + bytes((~sum(raw) & 0xFF,))).hex().upper())
    lines.append("S70500000000FA")
    return "\n".join(lines) + "\n"
