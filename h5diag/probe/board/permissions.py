"""What the caller allows, and the gate that every write passes; the default allows nothing.

Some things have no permission at all: PRODUCT_STATE, regression, option bytes, OTP, keys and the high-cycle area are
never written by h5diag.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from h5diag.chip import Chip
from h5diag.errors import PermissionRefused
from h5diag.memory import AddressRange, merged


@dataclass(frozen=True, slots=True)
class Permissions:
    """What may be done to a connected chip beyond reading it.

    Parameters
    ----------
    erase
        Ranges of the user flash, canonical, that may be erased and programmed; whole sectors.
    ram
        The chip's SRAM may be overwritten and code be run in it.
    halt
        The core may be stopped for longer than the reads asked for.
    reset
        The chip may be reset after connecting.
    """

    erase: tuple[AddressRange, ...] = ()
    ram: bool = False
    halt: bool = False
    reset: bool = False

    def require_erase(self, wanted: AddressRange) -> None:
        """Raise `PermissionRefused` unless every byte of `wanted` may be erased and programmed."""
        if not any(r.covers(wanted) for r in merged(self.erase)):
            raise PermissionRefused(
                f"erasing and programming {wanted} was not allowed",
                advice="name exactly this range with --range and --allow-erase",
            )

    def require(self, name: str) -> None:
        """Raise `PermissionRefused` unless ``ram``, ``halt`` or ``reset`` is allowed."""
        if not getattr(self, name):
            words = {"ram": "overwriting the chip's SRAM", "halt": "halting the core", "reset": "resetting the chip"}
            raise PermissionRefused(f"{words[name]} was not allowed", advice="connect with a Permissions that says so")


NOTHING = Permissions()
"""Allows nothing but reading."""


_NEVER = ("OPTCR", "OPTKEYR", "NSOBKKEYR", "SECOBKKEYR", "NSOBKCFGR", "SECOBKCFGR", "HDPEXTR")
_DEBUG = AddressRange(0xE0000000, 0xE0044000)
_AIRCR, _VECTKEY, _SYSRESETREQ = (0xE000ED0C, 0xE002ED0C), 0x05FA, 4
"""Application interrupt and reset control, and its non-secure alias: the one debug register that resets the chip."""


def permit_write(
    chip: Chip, permissions: Permissions, wanted: AddressRange, values: Sequence[int], swapped: Callable[[], bool]
) -> None:
    """Return when words may be written, raise otherwise.

    Parameters
    ----------
    chip, permissions
        What the addresses mean, and what is allowed.
    wanted
        Bus addresses of the words.
    values
        The words: a control register that starts an erase needs the permission for what it erases.
    swapped
        Tells whether the banks are exchanged; asked only before an erase.

    Raises
    ------
    PermissionRefused
        When it is not allowed; option bytes, OTP, keys, the high-cycle area and anything unknown never are.
    """
    start = chip.canonical(wanted.start)
    if start in chip.flash_range:
        permissions.require_erase(AddressRange(start, start + wanted.size))
        return
    for base in (chip.flash_registers, chip.flash_registers_secure):
        if 0 <= wanted.start - base < 0x400:
            for i, value in enumerate(values):
                _permit_register(chip, permissions, wanted.start - base + 4 * i, value, swapped)
            return
    if _DEBUG.covers(wanted):
        permissions.require("halt")
        for i, value in enumerate(values):
            if wanted.start + 4 * i in _AIRCR and value >> 16 == _VECTKEY and value & _SYSRESETREQ:
                permissions.require("reset")
        return
    watchdogs = chip.identity.idcode[0] + 8
    if AddressRange(watchdogs, watchdogs + 4).covers(wanted):
        return  # freezing the watchdogs of a halted core changes nothing that outlives the session
    for r in chip.regions:
        places = [AddressRange(b, b + r.size) for b in (r.base, r.secure_base) if b and r.kind == "ram"]
        if any(place.covers(wanted) for place in places):
            permissions.require("ram")
            return
    raise PermissionRefused(f"writing {wanted} is never allowed", advice="h5diag writes flash and SRAM only")


def _permit_register(
    chip: Chip, permissions: Permissions, offset: int, value: int, swapped: Callable[[], bool]
) -> None:
    name = next((r.name for r in chip.registers if r.offset == offset), "")
    if not name or name in _NEVER or name.endswith(("_CUR", "_PRG")):
        raise PermissionRefused(
            f"writing {name or 'an unknown FLASH register'} is never allowed",
            advice="option bytes, keys and OTP are changed with the vendor's tools only",
        )
    if not permissions.erase:
        raise PermissionRefused("writing FLASH registers was not allowed", advice="allow a range to be erased")
    if name in ("NSCR", "SECCR") and chip.register(name).get("STRT", value):
        permissions.require_erase(_erased_by(chip, name, value, swapped))


def _erased_by(chip: Chip, name: str, value: int, swapped: Callable[[], bool]) -> AddressRange:
    """Return what a control register's value would erase when it starts: a sector, a bank, or everything."""
    r, size = chip.register(name), chip.flash.sector_size
    if r.get("MER", value) or not (r.get("SER", value) or r.get("BER", value)):
        return chip.flash_range
    bank = chip.banks[r.get("BKSEL", value) ^ swapped()]  # BKSEL names the physical bank
    if r.get("BER", value):
        return bank
    start = bank.start + r.get("SNB", value) * size
    return AddressRange(start, start + size)
