"""What a displacement means: in place, alias, slot, bank, sector move, or unexplained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from h5diag.chip import Chip
from h5diag.memory import AddressRange

if TYPE_CHECKING:
    from h5diag.layout.slots import Slot


class ExplanationKind(Enum):
    """The names a displacement can get, in the order in which they are tried."""

    IN_PLACE = "in-place"
    ALIAS = "alias"
    SLOT = "slot"
    BANK = "bank"
    IMAGE = "image"
    WINDOW_SHIFT = "window-shift"
    SECTOR_MOVE = "sector-move"
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A displacement's name and one sentence with the addresses."""

    kind: ExplanationKind
    text: str


def explain(
    chip: Chip, reference_start: int, dump_start: int, size: int = 1, *, slots: Sequence[Slot] = ()
) -> Explanation:
    """Name the displacement of a piece of `size` bytes.

    Parameters
    ----------
    chip
        Gives aliases, banks and sectors.
    reference_start, dump_start
        Where the piece stands in the reference and in the dump, in the views they were read by.
    size
        Bytes of the piece.
    slots
        Slots of the boot loader; without them no displacement is called ``slot``.

    Returns
    -------
    Explanation
        ``image`` and ``window-shift`` need more than two addresses and are not decided here.
    """
    there, here = chip.canonical(reference_start), chip.canonical(dump_start)
    displacement = here - there
    if displacement == 0:
        if reference_start == dump_start:
            return Explanation(ExplanationKind.IN_PLACE, "where it should be")
        return Explanation(
            ExplanationKind.ALIAS,
            f"the same cells seen through the other alias (0x{reference_start:08X} and 0x{dump_start:08X})",
        )
    moved = f"0x{abs(displacement):X} {'above' if displacement > 0 else 'below'} its place"
    source, target = _slot(slots, there), _slot(slots, here)
    # A piece may run over a slot's end when neighbours moved together; the offset in the slot decides.
    if source and target and source is not target and there - source.range.start == here - target.range.start:
        whose = "its own image" if source.image == target.image else "another image"
        return Explanation(
            ExplanationKind.SLOT,
            f"from slot '{source.name}' (0x{source.range.start:08X}) to slot"
            f" '{target.name}' (0x{target.range.start:08X}) of {whose}, {moved}",
        )
    flash = chip.flash
    in_flash = chip.flash_range.covers(AddressRange(there, there + size)) and chip.flash_range.covers(
        AddressRange(here, here + size)
    )
    if in_flash and abs(displacement) == flash.bank_size:
        return Explanation(ExplanationKind.BANK, f"the same offset in the other bank, {moved}")
    if in_flash and displacement % flash.sector_size == 0:
        count = abs(displacement) // flash.sector_size
        return Explanation(
            ExplanationKind.SECTOR_MOVE,
            f"{count} whole sector{'s' if count > 1 else ''} of {flash.sector_size // 1024} KiB, {moved}",
        )
    return Explanation(ExplanationKind.UNEXPLAINED, f"{moved}: no slot, bank or sector explains it")


def _slot(slots: Sequence[Slot], address: int) -> Slot | None:
    return next((s for s in slots if address in s.range), None)
