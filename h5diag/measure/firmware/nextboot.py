"""What the next boot will do with an image's two slots.

Sources: ST's stm32-mw-mcuboot ``loader.c`` and ``bootutil_misc.c`` and upstream MCUboot's ``loader.c`` and
``bootutil_public.c``. The difference that shows in a dump: after installing, and on rejecting an image, ST
erases the whole secondary slot; upstream erases its header and its trailer. ST knows the classic magic only;
upstream's magic follows its compiled alignment, on a chip that programs more than 8 bytes at once the aligned one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from h5diag.layout import Mode
from h5diag.measure.firmware.body import BodyKind
from h5diag.measure.firmware.content import ExaminedImage, Fill, SlotContent
from h5diag.measure.firmware.signature import Check
from h5diag.measure.firmware.trailer import Magic, Trailer, TrailerFlag


class Loader(Enum):
    """Whose MCUboot it is."""

    ST = "st"
    UPSTREAM = "upstream"


class Action(Enum):
    """What a boot loader does next."""

    START = "start"
    INSTALL = "install"
    REJECT = "reject"
    REVERT = "revert"
    RESUME = "resume"
    STAY = "stay"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class NextBoot:
    """The next action on an image's slots and one sentence about it."""

    action: Action
    text: str


def magic_accepted(trailer: Trailer, loader: Loader, program_unit: int) -> bool:
    """Tell whether the boot loader takes the magic for its own."""
    if loader is Loader.ST or program_unit <= 8:
        return trailer.magic is Magic.CLASSIC
    return trailer.magic is Magic.ALIGNED and trailer.alignment == program_unit


def acceptable(image: ExaminedImage, *, download: bool) -> Check:
    """Tell whether a boot loader would accept an image, as far as it can be checked here."""
    v = image.verification
    if not image.image.complete:
        return Check.INVALID if image.image.available >= image.image.size else Check.NOT_CHECKED
    if v.hash is Check.INVALID or (v.signature is Check.INVALID and not v.other_signer):
        return Check.INVALID
    if download and image.image.header.encrypted and v.hash is Check.VALID and v.decrypted_hash is not Check.VALID:
        return Check.INVALID  # a plain body under the encrypted flag: decrypting spoils it
    if not download and v.body.kind is BodyKind.ENCRYPTED and v.hash is not Check.VALID:
        return Check.INVALID
    if v.decrypted_hash is Check.VALID and not download:
        return Check.INVALID  # encrypted where it would have to run
    return v.hash


def predict(primary: SlotContent, secondary: SlotContent, mode: Mode, loader: Loader, program_unit: int) -> NextBoot:
    """Return what the next boot does with the two slots of one image; `program_unit` of the flash in bytes."""
    if mode is Mode.SWAP:
        special = _swap(primary, secondary, loader, program_unit)
        if special.action is not Action.STAY:
            return special
    if magic_accepted(secondary.trailer, loader, program_unit) and secondary.at_start:
        verdict = acceptable(secondary.at_start[0], download=True)
        cleared = "the whole secondary slot" if loader is Loader.ST else "the secondary slot's header and trailer"
        if verdict is Check.INVALID:
            return NextBoot(
                Action.REJECT,
                "the boot loader rejects the image in the secondary slot and erases"
                f" {cleared}; then {_start(primary).text}",
            )
        how = (
            "swaps the slots"
            if mode is Mode.SWAP
            else f"erases the primary slot, copies the image into it, verifies the copy and erases {cleared}"
        )
        sure = (
            _trust(secondary.at_start[0])
            if verdict is Check.VALID
            else " (if key, hash and security counter are right: not checked here)"
        )
        return NextBoot(Action.INSTALL, f"the boot loader {how}{sure}")
    if secondary.trailer.magic is Magic.UNREAD and secondary.at_start:
        return NextBoot(Action.UNKNOWN, "the secondary slot's trailer is not in the dump")
    return _start(primary)


def _swap(primary: SlotContent, secondary: SlotContent, loader: Loader, unit: int) -> NextBoot:
    """Return the actions that only swapping has; `Action.STAY` when there is none."""
    p, s = primary.trailer, secondary.trailer
    if magic_accepted(p, loader, unit):
        if p.copy_done is TrailerFlag.UNSET and p.swap_started:
            return NextBoot(Action.RESUME, "the boot loader finishes the swap that was interrupted")
        if not magic_accepted(s, loader, unit) and p.copy_done is TrailerFlag.SET and p.image_ok is TrailerFlag.UNSET:
            return NextBoot(
                Action.REVERT, "the boot loader swaps back: the running image never confirmed itself (image_ok)"
            )
    if (
        magic_accepted(s, loader, unit)
        and secondary.at_start
        and acceptable(secondary.at_start[0], download=True) is not Check.INVALID
    ):
        kind = "for good" if s.image_ok is TrailerFlag.SET else "for a test: it must confirm itself or is swapped back"
        return NextBoot(Action.INSTALL, f"the boot loader swaps the slots{_trust(secondary.at_start[0])}, {kind}")
    return NextBoot(Action.STAY, "")


def _start(primary: SlotContent) -> NextBoot:
    if not primary.at_start:
        if primary.first_sector in (Fill.UNREAD, Fill.ZERO):
            return NextBoot(Action.UNKNOWN, "the primary slot cannot be seen in this dump")
        return NextBoot(
            Action.STAY, "the boot loader finds nothing to start: ST's goes to the ROM boot loader or stops"
        )
    match acceptable(primary.at_start[0], download=False):
        case Check.VALID:
            return NextBoot(
                Action.START, f"the boot loader starts the image in the primary slot{_trust(primary.at_start[0])}"
            )
        case Check.INVALID:
            return NextBoot(
                Action.STAY, "the boot loader finds no valid image to start: ST's goes to the ROM boot loader or stops"
            )
    return NextBoot(Action.UNKNOWN, "the image in the primary slot could not be checked")


def _trust(image: ExaminedImage) -> str:
    """Return the condition that another signer's image is under; empty when a given key made its signature."""
    v = image.verification
    return (
        " if it trusts the key that signed it (none of those given)"
        if v.signature is Check.INVALID and v.other_signer
        else ""
    )
