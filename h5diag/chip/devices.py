"""A device without a chip file, described by the vendor's programmer alone.

What its data base says is little but sure: geometry, where options stand and how wide they are. Nothing is said of what
they mean beyond the read protection, and nothing at all of errata, registers or a boot loader.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from msgspec import field
from msgspec.structs import replace

from h5diag.chip.facts import (
    EccArea,
    Fact,
    Field,
    Flash,
    FlashMode,
    IdentityPlaces,
    Meaning,
    Option,
    ProductState,
    ProtectedArea,
    Register,
)
from h5diag.chip.files import Device, device_series, interface_table, strict
from h5diag.chip.model import Chip

_PAGE = 0x1000
_RDP_1 = "read protection: a debugger reaches no flash"
_REF = "PDB"


class Bank(Fact, frozen=True):
    """A bank: its base and its sectors as (count, size)."""

    base: int
    sectors: tuple[tuple[int, int], ...]

    @property
    def size(self) -> int:
        """Bytes of the bank."""
        return sum(count * size for count, size in self.sectors)


class Geometry(Fact, frozen=True):
    """Banks of the user flash; `when` says of which configuration, empty for all."""

    size: int
    banks: tuple[Bank, ...]
    when: str = ""


class _Place(Fact, frozen=True):
    """Where an option stands: `bits` are its lowest bit and its width; an address is value * scale + offset."""

    name: str
    bank: int
    at: int
    bits: tuple[int, int]
    scale: int = 0
    offset: int = 0
    values: tuple[int, ...] = ()


class _Entry(Fact, frozen=True):
    """A device as its file has it."""

    dev_id: int
    name: str
    cpu: str
    traits: tuple[str, ...]
    variant: str = ""
    erased: int | None = None
    program_unit: int | None = None
    flash_size_register: int = 0
    flash_size_default: int = 0
    boot_loader_version_at: int = 0
    sfsp_version_at: int = 0
    geometry: tuple[Geometry, ...] = ()
    options: tuple[_Place, ...] = ()


class Series(Fact, frozen=True):
    """A file of devices; `boot_pin` is the pin that is BOOT0 besides, where one is of weight."""

    series: str
    ref: str
    device: tuple[_Entry, ...]
    boot_pin: str = ""
    boot_pin_ref: str = ""


class _Status(Fact, frozen=True):
    """A status register of the flash interface of some series: its bus address and the bits of its flags.

    `devices` are the DEV_IDs meant, empty for all of the series. `fields` are lowest bit and width of what is no flag;
    `step` the bytes of a unit of ADDR_ECC, 0 where that is not known.
    """

    series: tuple[str, ...]
    name: str
    address: int
    flags: dict[str, int]
    ref: str
    devices: tuple[int, ...] = ()
    fields: dict[str, tuple[int, int]] = field(default_factory=dict)
    step: int = 0


class Interface(Fact, frozen=True):
    """The table of status registers."""

    register: tuple[_Status, ...]


@lru_cache(maxsize=1)
def status_registers() -> tuple[_Status, ...]:
    """Return the status registers of the families without a chip file."""
    return strict(interface_table(), Interface, "interface").register


@lru_cache(maxsize=32)
def load_series(name: str) -> Series:
    """Return the devices of a series (``STM32H7``)."""
    return strict(device_series(name), Series, f"devices/{name.lower()}")


@lru_cache(maxsize=16)
def describe(device: Device, flash_kib: int | None = None) -> Chip:
    """Return the device as a chip of which little is known, with the flash size that was read or the usual one."""
    entries = load_series(device.series).device if device.series else ()
    entry = next((e for e in entries if e.dev_id == device.dev_id), _Entry(device.dev_id, device.title, "", ()))
    base = min((o.at for o in entry.options if o.at != 0xEFFFFFFF), default=0) & ~(_PAGE - 1)
    fields: dict[int, list[Field]] = {}
    for o in entry.options:
        if o.at - base < _PAGE:
            fields.setdefault(o.at - base, []).append(Field(o.name, *o.bits))
    state = next((o.name for o in entry.options if o.name in ("PRODUCT_STATE", "RDP")), "")
    level = next((o for o in entry.options if o.name == "RDP"), None)
    status = [
        s for s in status_registers() if device.series in s.series and device.dev_id in (s.devices or [device.dev_id])
    ]
    flash = _flash(entry, 1024 * flash_kib if flash_kib else entry.flash_size_default)
    return Chip(
        name=f"0x{device.dev_id:03x}",
        title=device.title,
        family=device.series.lower().removeprefix("stm32") or "unknown",
        words=(),
        trustzone="trustzone" in entry.traits,
        flash=flash,
        identity=IdentityPlaces(entry.dev_id, (), entry.flash_size_register, _REF),
        flash_registers=base,
        flash_registers_secure=0,
        state_option=state,
        registers_ref=_REF,
        ref=_REF,
        tzen_on=1,
        registers=(
            *(
                Register(
                    s.name,
                    s.address % _PAGE,
                    (*(Field(n, bit, 1) for n, bit in s.flags.items()), *(Field(n, *at) for n, at in s.fields.items())),
                )
                for s in status
            ),
            *(Register(f"word at 0x{base + at:08X}", at, tuple(of)) for at, of in fields.items()),
        ),
        ecc=tuple(EccArea("user", "", s.step, s.ref, bank_stride=-1) for s in status if s.step),
        states=_levels(level) if level else (),
        options=tuple(_option(o, base) for o in entry.options),
        areas=tuple(_protected(entry)),
        flash_modes=tuple(_modes(entry, flash.size)),
    )


def resized(chip: Chip, size: int) -> Chip:
    """Return the chip with another flash size that its device is known to have; unchanged when it has none such."""
    series = "STM32" + chip.family.upper()
    entry = next((e for e in load_series(series).device if e.dev_id == chip.identity.dev_id), None)
    fitting = [g for g in entry.geometry if g.size == size] if entry else []
    if not fitting or size == chip.flash.size:
        return chip
    bank = next((g.banks[0].size for g in fitting if len(g.banks) == len(chip.banks)), fitting[0].banks[0].size)
    flash = replace(chip.flash, size=size, bank_size=bank, ref=_REF)
    return replace(chip, title=f"{chip.title.partition(' (')[0]} with {size // 1024} KiB", flash=flash)


def _flash(entry: _Entry, size: int) -> Flash:
    """Return the geometry of a size; erase units of several sizes count as their smallest.

    The data base has rows for one size that end before it (a bank that is mapped higher) or beyond it (data memory
    behind the flash): a row that adds up to the size comes first, and none makes the flash larger than was read.
    """
    if not entry.geometry:
        return Flash(0x08000000, 0x08000000, size or 0x2000, size or 0x2000, 0x2000, 16, 0, _REF)
    rows = [[b for b in g.banks if b.size and b.base >> 24 == g.banks[0].base >> 24] for g in entry.geometry]
    known = [banks for g, banks in zip(entry.geometry, rows, strict=True) if banks and g.size == size]
    whole = [banks for banks in known if sum(b.size for b in banks) == size]
    banks = (whole or known or [banks for banks in rows if banks])[-1]
    total, bank = sum(b.size for b in banks), banks[0].size
    size = min(size, total) if known else size or total
    secure = 0x0C000000 if "trustzone" in entry.traits else banks[0].base
    return Flash(
        banks[0].base,
        secure,
        size,
        bank if size % bank == 0 else size,
        min(size for b in banks for _, size in b.sectors),
        entry.program_unit or 16,
        0,
        _REF,
        erased=0xFF if entry.erased is None else entry.erased,
    )


_PAGES = re.compile(r"(WRP\w{1,4})(_P?)STRT")


def _protected(entry: _Entry) -> Iterator[ProtectedArea]:
    """Yield the write-protected ranges, in pages of whatever size there is (RM0351, RM0434, RM0440, RM0444, RM0453)."""
    for o in entry.options:
        if pages := _PAGES.fullmatch(o.name):
            bank = 2 if o.name[3] == "2" else 1
            yield ProtectedArea(pages[1], "write-protected", bank, _REF, o.name, f"{pages[1]}{pages[2]}END")


_WHEN = re.compile(r"(\w+) in \[0x([01])\]")


def _modes(entry: _Entry, size: int) -> Iterator[FlashMode]:
    """Yield the geometries of that size which an option selects: pages twice as large with one bank (G4, L4+)."""
    names = {o.name.upper(): o.name for o in entry.options}
    for g in entry.geometry:
        whole = size == g.size == sum(b.size for b in g.banks)
        if whole and (when := _WHEN.match(g.when)) and (option := names.get(when[1].upper())):
            yield FlashMode(option, int(when[2]), g.banks[0].size, g.banks[0].sectors[0][1], _REF)


def _levels(rdp: _Place) -> tuple[ProductState, ...]:
    if rdp.bits[1] == 1:
        return (
            ProductState(0, "RDP off", "full", "no read protection", _REF),
            ProductState(1, "RDP on", "none", _RDP_1, _REF),
        )
    if 0xCC not in rdp.values and 0xABACABAD not in rdp.values:
        return ()
    return (
        ProductState(0xAA, "RDP 0", "full", "no read protection", _REF),
        ProductState(0xCC, "RDP 2", "none", "read protection for good: no debugging, no way back", _REF),
        ProductState(0xBB, "RDP 1", "none", _RDP_1, _REF, otherwise=True),
    )


def _option(place: _Place, base: int) -> Option:
    known = place.at - base < _PAGE
    values: tuple[Meaning, ...] = ()
    what = "as printed"
    if place.name == "RDP":
        what = "read protection"
        values = tuple(Meaning(s.value, s.name) for s in _levels(place) if not s.otherwise)
    elif "BOOT" in place.name.upper():
        what = "where the core starts"
    return Option(
        place.name,
        f"word at 0x{place.at:08X}" if known else "",
        place.name if known else "",
        "byte"
        if values
        else "address"
        if place.scale and not place.offset and not place.scale & (place.scale - 1)
        else "number",
        what,
        _REF,
        values=values,
        address_shift=max(0, place.scale.bit_length() - 1) if not place.offset else 0,
    )
