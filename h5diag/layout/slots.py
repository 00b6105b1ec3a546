"""Slots of a boot loader, the layout that they make, and what a displacement means in their terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from h5diag.answer import Answer
from h5diag.chip import EXTERNAL, Chip
from h5diag.memory import AddressRange

LEAST_WRAP = 1 << 19
"""No external memory of a board is smaller than that (4 Mbit)."""


class Mode(Enum):
    """How the boot loader installs an image, in MCUboot's own terms."""

    OVERWRITE = "overwrite"
    SWAP_SCRATCH = "swap-scratch"
    SWAP_MOVE = "swap-move"
    SWAP_OFFSET = "swap-offset"
    DIRECT_XIP = "direct-xip"
    DIRECT_XIP_REVERT = "direct-xip-revert"
    RAM_LOAD = "ram-load"

    @property
    def swaps(self) -> bool:
        """Tell whether the two slots change places, so that trailers tell of a test, a confirmation, a revert."""
        return self in (Mode.SWAP_SCRATCH, Mode.SWAP_MOVE, Mode.SWAP_OFFSET)

    @property
    def in_place(self) -> bool:
        """Tell whether either slot's image is started without moving to the other slot."""
        return self in (Mode.DIRECT_XIP, Mode.DIRECT_XIP_REVERT, Mode.RAM_LOAD)


class Loader(Enum):
    """Whose MCUboot it is."""

    ST = "st"
    UPSTREAM = "upstream"


class Role(Enum):
    """What a slot is for. The secondary slot of an image is where downloads go."""

    BOOT = "boot"
    SCRATCH = "scratch"
    PRIMARY = "primary"
    SECONDARY = "secondary"


class Security(Enum):
    """Who runs what the slot holds; ``mixed`` is secure and non-secure code assembled in one image."""

    SECURE = "secure"
    NONSECURE = "nonsecure"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class Slot:
    """A named area of the flash.

    Parameters
    ----------
    name
        As in ``secure primary`` or ``non-secure data secondary``.
    image
        Number of the image in the boot loader's terms; None for boot, scratch and what holds no image.
    role
        What it is for.
    security
        Who runs its content.
    range
        Canonical (0x08..) addresses, half-open; offsets in its own memory for a slot on another `device`.
    device
        Name of the memory it lies in; None for the chip's own flash.
    """

    name: str
    image: int | None
    role: Role
    security: Security
    range: AddressRange
    device: str | None = None

    def __str__(self) -> str:
        return self.name


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
    distance = abs(displacement)
    if here in EXTERNAL and distance >= LEAST_WRAP and distance & (distance - 1) == 0:
        text = f"{moved}, a power of two: so the addresses of an external memory wrap, one address bit is not driven"
        return Explanation(ExplanationKind.UNEXPLAINED, text)
    return Explanation(ExplanationKind.UNEXPLAINED, f"{moved}: no slot, bank or sector explains it")


def _slot(slots: Sequence[Slot], address: int) -> Slot | None:
    return next((s for s in slots if address in s.range), None)


@dataclass(frozen=True, slots=True)
class Layout(Answer):
    """The slots of a boot loader on a chip.

    Parameters
    ----------
    name
        Preset name or the path of the file.
    chip
        The chip that it is for.
    mode
        How images are installed.
    slots
        Sorted by memory and address, disjoint.
    secure_range
        What the provisioning makes secure (SECWM1), canonical; empty when nothing.
    hidden_range
        What the boot loader hides when it leaves (HDP1), canonical; empty when nothing.
    ref
        Source of the numbers.
    loader
        Whose boot loader it is, where the source of the layout tells it; else None.
    remarks
        What was assumed or left out when the layout was read, one sentence each.

    Raises
    ------
    ValueError
        When slots of one memory overlap or leave the chip's flash.
    """

    name: str
    chip: Chip
    mode: Mode
    slots: tuple[Slot, ...]
    secure_range: AddressRange
    hidden_range: AddressRange
    ref: str
    loader: Loader | None = None
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        slots = tuple(sorted((s for s in self.slots if s.range.size), key=lambda s: (s.device or "", s.range)))
        object.__setattr__(self, "slots", slots)
        for a, b in pairwise(slots):
            if a.device == b.device and a.range.overlaps(b.range):
                raise ValueError(f"slots {a.name!r} ({a.range}) and {b.name!r} ({b.range}) overlap")
        for s in slots:
            if s.device is None and not self.chip.flash_range.covers(s.range):
                raise ValueError(
                    f"slot {s.name!r} ({s.range}) leaves the flash of {self.chip.name} ({self.chip.flash_range})"
                )

    def slot_at(self, address: int) -> Slot | None:
        """Return the slot that holds `address` (either alias), or None."""
        canonical = self.chip.canonical(address)
        return next((s for s in self.slots if s.device is None and canonical in s.range), None)

    def slot_name(self, address: int) -> str:
        """Return the name of the slot that holds `address`, or ``none``."""
        return str(self.slot_at(address) or "none")

    def slot(self, name: str) -> Slot | None:
        """Return the slot called `name`, or None."""
        return next((s for s in self.slots if s.name == name), None)

    def counterpart(self, slot: Slot) -> Slot | None:
        """Return the other slot of the same image, or None."""
        wanted = {Role.PRIMARY: Role.SECONDARY, Role.SECONDARY: Role.PRIMARY}.get(slot.role)
        return next((s for s in self.slots if s.image == slot.image and s.role is wanted), None)

    @property
    def boot(self) -> Slot | None:
        """The boot loader's own slot, None where the layout tells of none."""
        return next((s for s in self.slots if s.role is Role.BOOT), None)

    @property
    def image_slots(self) -> tuple[Slot, ...]:
        """The primary and secondary slots, in address order."""
        return tuple(s for s in self.slots if s.role in (Role.PRIMARY, Role.SECONDARY))

    def explain(self, reference_start: int, dump_start: int, size: int = 1) -> Explanation:
        """Name the displacement of a piece; see `explain`."""
        return explain(self.chip, reference_start, dump_start, size, slots=self.slots)
