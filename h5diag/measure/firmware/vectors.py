"""Vector tables of Cortex-M: plausible ones, where they were linked and where they stand.

Source: Armv8-M architecture reference manual, vector table (stack pointer, reset, then fifteen system
exceptions; bit 0 of a handler's address is the Thumb bit). RAM and flash areas come from the chip.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import islice

import numpy as np
import numpy.typing as npt

from h5diag.chip import Chip
from h5diag.layout import Layout, Security, Slot
from h5diag.memory import AddressRange, MemoryImage

ENTRIES = 16
ALIGNMENT = 0x80
"""VTOR keeps bits 31 to 7."""
CODE_RAM = ((0x20000000, 0x20200000), (0x30000000, 0x30200000), (0x0A000000, 0x0A200000), (0x0E000000, 0x0E200000))
"""Where a stack may begin on STM32H5, L5 and U5 when the chip file names no RAM."""


class World(Enum):
    """The security state that a table was linked for."""

    SECURE = "secure"
    NONSECURE = "nonsecure"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class VectorTable:
    """A plausible vector table.

    Parameters
    ----------
    address
        Of its first entry in the dump's view.
    stack
        Initial stack pointer.
    reset
        Address of the reset handler, Thumb bit cleared.
    handlers
        The distinct handlers of the first sixteen entries, Thumb bits cleared, ascending.
    world
        Secure when reset lies in the secure alias of the flash.
    linked
        Lowest address that the handlers prove to be code, rounded down to the sector.
    """

    address: int
    stack: int
    reset: int
    handlers: tuple[int, ...]
    world: World
    linked: int


_MISMATCHED = ((Security.SECURE, World.NONSECURE), (Security.NONSECURE, World.SECURE))


@dataclass(frozen=True, slots=True)
class Link:
    """Whether a table stands where it was linked to stand; `slot` is the one that its reset handler lies in."""

    table: VectorTable
    slot: Slot | None
    displacement: int
    text: str


def vector_table_at(memory: MemoryImage, address: int, chip: Chip) -> VectorTable | None:
    """Return the vector table at `address`, or None when the bytes there are none."""
    if not memory.covers(address, address + ENTRIES * 4):
        return None
    words = np.frombuffer(memory.read(address, address + ENTRIES * 4).tobytes(), "<u4")
    return _table(words, address, chip) if _plausible(words[None, :], chip)[0] else None


def find_vector_tables(memory: MemoryImage, chip: Chip, *, most: int = 256) -> tuple[VectorTable, ...]:
    """Return the plausible vector tables of a dump, in address order, at most `most`.

    A table counts when the stack lies in RAM and is 8-byte aligned, reset, NMI and HardFault are odd addresses
    in the flash, the reserved entries are zero or equal to handlers, and it stands at a multiple of 128 bytes.
    """
    return tuple(islice(_tables(memory, chip), most))


def _tables(memory: MemoryImage, chip: Chip) -> Iterator[VectorTable]:
    for s in memory.segments:
        offsets = np.arange(-s.start % ALIGNMENT, s.data.size - ENTRIES * 4 + 1, ALIGNMENT, dtype=np.int64)
        # Most places fall at the first word already, and reading one word of each is quick.
        stacks = s.data[offsets[:, None] + np.arange(4)].view("<u4")[:, 0]
        offsets = offsets[_in_ranges(stacks, _rams(chip), at_end=True)]
        rows = s.data[offsets[:, None] + np.arange(ENTRIES * 4)].view("<u4")
        for i in np.flatnonzero(_plausible(rows, chip)).tolist():
            yield _table(rows[i], s.start + int(offsets[i]), chip)


def explain_link(table: VectorTable, chip: Chip, layout: Layout | None = None, *, body_size: int = 0) -> Link:
    """Tell whether a table stands where it was linked.

    Parameters
    ----------
    table
        The table.
    chip, layout
        Without a layout the answer rests on whether its handlers lie behind it and is weaker.
    body_size
        Size of the image body that it begins, 0 when it begins none: reset must lie in the body.
    """
    here, there = chip.canonical(table.address), chip.canonical(table.reset)
    slot, own = (layout.slot_at(at) if layout else None for at in (table.reset, table.address))
    if slot and own:
        displacement = own.range.start - slot.range.start
        text = (
            f"stands in the slot it is linked for ('{slot}')"
            if slot is own
            else f"linked for slot '{slot}', stands in slot '{own}'"
        )
        if body_size and not here - displacement <= there < here - displacement + body_size:
            text += "; its reset handler lies outside the image's body"
        if (slot.security, table.world) in _MISMATCHED:
            text += f"; linked {table.world.value} for a slot that is not"
        return Link(table, slot, displacement, text)
    sector = chip.flash.sector_size
    if here // sector * sector <= there:
        return Link(table, slot, 0, "its handlers lie behind it: it may stand where it was linked")
    displacement = here // sector * sector - there // sector * sector
    text = f"its reset handler 0x{table.reset:08X} lies below it: linked elsewhere"
    # A boot loader that copies or exchanges slots starts every image from the primary one.
    return Link(table, slot, displacement, text + (", as is usual in a download slot" if body_size else ""))


def _plausible(words: npt.NDArray[np.uint32], chip: Chip) -> npt.NDArray[np.bool_]:
    """Return for each row of sixteen words whether it is a vector table."""
    stack, f = words[:, 0], chip.flash
    flash = tuple(AddressRange(b, b + f.size) for b in dict.fromkeys((f.base, f.secure_base)))
    ok: npt.NDArray[np.bool_] = ((stack & 7) == 0) & _in_ranges(stack, _rams(chip), at_end=True)
    for i in range(1, ENTRIES):
        handler = (words[:, i] & 1).astype(bool) & _in_ranges(words[:, i], flash)
        ok &= handler | (words[:, i] == 0) if i > 3 else handler
    return ok


def _in_ranges(
    words: npt.NDArray[np.uint32], ranges: tuple[AddressRange, ...], *, at_end: bool = False
) -> npt.NDArray[np.bool_]:
    wide = words.astype(np.int64)
    hit = np.zeros(words.shape, np.bool_)
    for r in ranges:
        hit |= ((wide > r.start) & (wide <= r.stop)) if at_end else ((wide >= r.start) & (wide < r.stop))
    return hit


def _rams(chip: Chip) -> tuple[AddressRange, ...]:
    named = [(b, b + r.size) for r in chip.regions if r.kind == "ram" for b in (r.base, r.secure_base) if b]
    return tuple(AddressRange(a, b) for a, b in named or CODE_RAM)


def _table(words: npt.NDArray[np.uint32], address: int, chip: Chip) -> VectorTable:
    handlers = tuple(sorted({int(w) & ~1 for w in words[1:] if w}))
    reset, sector = int(words[1]) & ~1, chip.flash.sector_size
    secure = chip.flash.secure_base != chip.flash.base and chip.canonical(reset) != reset
    world = World.SECURE if secure else World.NONSECURE if chip.trustzone else World.UNKNOWN
    return VectorTable(address, int(words[0]), reset, handlers, world, handlers[0] // sector * sector)
