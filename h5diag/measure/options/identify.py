"""Which chip a text speaks of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from h5diag.chip import DEFAULT_CHIP, Chip, find_chips, load_chip
from h5diag.evidence.texts import Banner, Listing


class Basis(Enum):
    """What a choice of chip rests on."""

    GIVEN = "given"
    LOG = "log"
    NAMES = "names"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True)
class ChipChoice:
    """A chip and why it was chosen; `text` is a sentence for a person, empty when the user gave it."""

    chip: Chip
    basis: Basis
    text: str = ""


def choose_chip(banner: Banner, listing: Listing, given: str = "") -> ChipChoice:
    """Return the chip given by name, or that of the log, or that whose option names fit, or the default.

    Raises
    ------
    InputError
        When `given` names no chip.
    """
    if given:
        return ChipChoice(load_chip(given), Basis.GIVEN)
    dev_id = banner.dev_id if banner.dev_id > 0 else listing.device_id
    if dev_id > 0:
        flash_kib = banner.flash_kib or listing.flash_kib
        found = find_chips(dev_id, flash_kib)
        if found:
            size = "" if flash_kib else ", flash size not read"
            chip = _named(found, banner.device_name)
            others = sorted({c.name for c in found} - {chip.name})
            also = f"; DEV_ID 0x{dev_id & 0xFFF:03X} is also that of {', '.join(others)}" if others else ""
            return ChipChoice(chip, Basis.LOG, f"{chip.title}, from DEV_ID 0x{dev_id & 0xFFF:03X}{size}{also}")
    names = {f.name.upper() for f in listing.fields}
    word = (
        "h5"
        if "PRODUCT_STATE" in names and "TZEN" in names
        else "h503"
        if "PRODUCT_STATE" in names and "SRAM1_ECC" in names
        else "l5"
        if names & {"DBANK", "SRAM2_PE", "DB256"} and "RDP" in names
        else "u5"
        if "RDP" in names and names & {"DUALBANK", "SRAM_RST", "UNLOCK_1A"}
        else ""
    )
    if word:
        chip = load_chip(word)
        return ChipChoice(
            chip,
            Basis.NAMES,
            f"{chip.title}, assumed: the option names are those of its family, "
            "nothing names the part or its size; give --chip to be sure",
        )
    chip = load_chip(DEFAULT_CHIP)
    return ChipChoice(chip, Basis.ASSUMED, f"{chip.title}, assumed: nothing in the text names the chip; give --chip")


def _named(found: tuple[Chip, ...], device_name: str) -> Chip:
    """Return the first chip whose line the tool's device name speaks of (``H563``, ``H56x``), else the first of all."""
    low = device_name.lower()
    for chip in found:
        line = chip.name[6:9]
        if line in low or f"{line[:2]}x" in low:
            return chip
    return found[0]
