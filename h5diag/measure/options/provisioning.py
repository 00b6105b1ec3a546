"""What a provisioning or programming log really did, as far as its lines tell."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from h5diag.chip import Chip
from h5diag.evidence.texts import Check, Programming, Write
from h5diag.evidence.texts.programming import base_name
from h5diag.layout import NO_SLOT, Layout, Role, Slot


class Generation(Enum):
    """Which packages of the vendor write images like these."""

    CURRENT = "package 1.4.0 or later: init images go to the primary slots"
    OLDER = "package 1.3.0 or earlier: encrypted images go to the download slots"
    MIXED = "images of both kinds"
    UNKNOWN = "not told by the file names"


class Step(Enum):
    """What became of a step that matters."""

    VERIFIED = "written and read back"
    WRITTEN = "written, not read back"
    FAILED = "failed"
    NOT_SEEN = "not in this log"


@dataclass(frozen=True, slots=True)
class Placed:
    """A file that was written, with the slot it went to (`NO_SLOT` without a layout or outside of all slots)."""

    write: Write
    slot: Slot
    step: Step


@dataclass(frozen=True, slots=True)
class Provisioning:
    """What was written where.

    Parameters
    ----------
    placed
        Every file, in the order of the log.
    boot
        What became of the boot code at the begin of the flash.
    generation
        Which packages write such images.
    keys
        Key files that were sent.
    not_set
        Options that were refused or left as they were, as ``NAME=0xVALUE``.
    """

    placed: tuple[Placed, ...]
    boot: Step
    generation: Generation
    keys: tuple[str, ...] = ()
    not_set: tuple[str, ...] = ()


def read_provisioning(programming: Programming, chip: Chip, layout: Layout | None = None) -> Provisioning:
    """Return what a run wrote; without `layout` no slots are named."""
    placed = tuple(
        Placed(w, layout.slot_at(w.address) if layout and w.address >= 0 else NO_SLOT, _step(w))
        for w in programming.writes
    )
    names = [base_name(w.file).lower() for w in programming.writes]
    init, encrypted = any("init_sign" in n for n in names), any("enc_sign" in n for n in names)
    generation = (
        Generation.MIXED
        if init and encrypted
        else Generation.CURRENT
        if init
        else Generation.OLDER
        if encrypted
        else Generation.UNKNOWN
    )
    boots = [p.step for p in placed if is_boot(p, chip)]
    order = (Step.FAILED, Step.VERIFIED, Step.WRITTEN)
    boot = next((s for s in order if s in boots), Step.NOT_SEEN)
    not_set = tuple(
        dict.fromkeys(f"{o.name}=0x{o.value:X}" for o in programming.options if o.result in ("not-modified", "refused"))
    )
    return Provisioning(placed, boot, generation, programming.keys, not_set)


def is_boot(placed: Placed, chip: Chip) -> bool:
    """Tell whether a file is boot code: by its place, or by its name where no place was printed."""
    write = placed.write
    if write.address >= 0:
        return placed.slot.role is Role.BOOT or chip.canonical(write.address) == chip.flash.base
    name = base_name(write.file).lower()
    return "boot" in name and "sign" not in name


def _step(write: Write) -> Step:
    if write.failed or write.check is Check.FAILED:
        return Step.FAILED
    if write.check is Check.VERIFIED:
        return Step.VERIFIED
    # Without a word on its completion a download may have been cut.
    return Step.WRITTEN if write.complete else Step.FAILED
