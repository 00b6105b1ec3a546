"""Slots of a boot loader and the layout that they make."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from h5diag.chip import Chip
from h5diag.layout.displacement import Explanation, explain
from h5diag.memory import AddressRange


class Mode(Enum):
    """How the boot loader installs an image."""

    OVERWRITE = "overwrite"
    SWAP = "swap"


class Role(Enum):
    """What a slot is for. The secondary slot of an image is where downloads go."""

    BOOT = "boot"
    SCRATCH = "scratch"
    PRIMARY = "primary"
    SECONDARY = "secondary"
    NONE = "none"


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
        Number of the image in the boot loader's terms, -1 for boot and scratch.
    role
        What it is for.
    security
        Who runs its content.
    range
        Canonical (0x08..) addresses, half-open.
    """

    name: str
    image: int
    role: Role
    security: Security
    range: AddressRange

    def __bool__(self) -> bool:
        return self.role is not Role.NONE

    def __str__(self) -> str:
        return self.name


NO_SLOT = Slot("none", -1, Role.NONE, Security.MIXED, AddressRange(0, 0))
"""Stands where an address belongs to no slot; false in a condition."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The slots of a boot loader on a chip.

    Parameters
    ----------
    name
        Preset name or the path of the header.
    chip
        The chip that it is for.
    mode
        How images are installed.
    slots
        Sorted by address, disjoint.
    secure_range
        What the provisioning makes secure (SECWM1), canonical; empty when nothing.
    hidden_range
        What the boot loader hides when it leaves (HDP1), canonical; empty when nothing.
    ref
        Source of the numbers.

    Raises
    ------
    ValueError
        When slots overlap or leave the chip's flash.
    """

    name: str
    chip: Chip
    mode: Mode
    slots: tuple[Slot, ...]
    secure_range: AddressRange
    hidden_range: AddressRange
    ref: str

    def __post_init__(self) -> None:
        slots = tuple(sorted((s for s in self.slots if s.range.size), key=lambda s: s.range))
        object.__setattr__(self, "slots", slots)
        for a, b in pairwise(slots):
            if a.range.overlaps(b.range):
                raise ValueError(f"slots {a.name!r} ({a.range}) and {b.name!r} ({b.range}) overlap")
        for s in slots:
            if not self.chip.flash_range.covers(s.range):
                raise ValueError(
                    f"slot {s.name!r} ({s.range}) leaves the flash of {self.chip.name} ({self.chip.flash_range})"
                )

    def slot_at(self, address: int) -> Slot:
        """Return the slot that holds `address` (either alias), or `NO_SLOT`."""
        canonical = self.chip.canonical(address)
        for s in self.slots:
            if canonical in s.range:
                return s
        return NO_SLOT

    def slot(self, name: str) -> Slot:
        """Return the slot called `name`, or `NO_SLOT`."""
        return next((s for s in self.slots if s.name == name), NO_SLOT)

    def counterpart(self, slot: Slot) -> Slot:
        """Return the other slot of the same image, or `NO_SLOT`."""
        wanted = {Role.PRIMARY: Role.SECONDARY, Role.SECONDARY: Role.PRIMARY}.get(slot.role, Role.NONE)
        return next((s for s in self.slots if s.image == slot.image and s.role is wanted), NO_SLOT)

    @property
    def image_slots(self) -> tuple[Slot, ...]:
        """The primary and secondary slots, in address order."""
        return tuple(s for s in self.slots if s.role in (Role.PRIMARY, Role.SECONDARY))

    def explain(self, reference_start: int, dump_start: int, size: int = 1) -> Explanation:
        """Name the displacement of a piece; see `h5diag.layout.displacement.explain`."""
        return explain(self.chip, reference_start, dump_start, size, slots=self.slots)
