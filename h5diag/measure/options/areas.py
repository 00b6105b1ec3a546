"""From option values to the ranges of flash that they protect."""

from __future__ import annotations

from collections.abc import Callable

from h5diag.chip import Area, Chip
from h5diag.measure.options.settings import UNKNOWN, AreaSetting, Extent, Unknown
from h5diag.memory import AddressRange, merged

Value = Callable[[str], "int | Unknown"]


def decode_areas(chip: Chip, value: Value) -> tuple[tuple[AreaSetting, ...], tuple[str, ...]]:
    """Return the areas that the options set, and what is odd about them.

    Parameters
    ----------
    chip
        In the geometry that the options select.
    value
        Gives the value of an option by its name, or `UNKNOWN`.
    """
    out: list[AreaSetting] = []
    warnings: list[str] = []
    tzen = value("TZEN") if chip.trustzone else UNKNOWN
    for area in chip.areas:
        if area.kind == "secure" and not isinstance(tzen, Unknown) and tzen != chip.tzen_on:
            out.append(AreaSetting(area, Extent.EMPTY))
            continue
        made, odd = _area(chip, area, value)
        out.append(made)
        warnings += odd
    return tuple(out), tuple(warnings)


def bank_range(chip: Chip, bank: int) -> AddressRange:
    """Return the physical bank, canonical; the whole flash when it is one bank."""
    banks = chip.banks
    return banks[bank - 1] if bank <= len(banks) else chip.flash_range


def _area(chip: Chip, area: Area, value: Value) -> tuple[AreaSetting, list[str]]:
    size, bank = chip.flash.sector_size, bank_range(chip, area.bank)
    count = bank.size // size
    if area.enable:
        on = value(area.enable)
        if isinstance(on, Unknown):
            return AreaSetting(area, Extent.UNKNOWN), []
        if not on:
            return AreaSetting(area, Extent.EMPTY), []
    if area.groups:
        return _groups(chip, area, value(area.groups), bank), []
    last = value(area.end)
    if isinstance(last, Unknown):
        return AreaSetting(area, Extent.UNKNOWN), []
    if not area.start:
        # The area holds the last sectors of the bank.
        length = min(last + 1, count)
        return _set(area, AddressRange(bank.stop - length * size, bank.stop)), []
    first = value(area.start)
    if isinstance(first, Unknown):
        return AreaSetting(area, Extent.UNKNOWN), []
    if first > last:
        return AreaSetting(area, Extent.EMPTY), []
    odd = []
    if last >= count:
        odd.append(
            f"{area.name} ends with sector {last}, but bank {area.bank} of {chip.title} has {count}: the "
            "values may be meant for a larger part, or the chip is not the one assumed"
        )
    start, stop = min(first, count), min(last + 1, count)
    return (
        _set(area, AddressRange(bank.start + start * size, bank.start + stop * size))
        if start < stop
        else AreaSetting(area, Extent.EMPTY)
    ), odd


def _groups(chip: Chip, area: Area, bits: int | Unknown, bank: AddressRange) -> AreaSetting:
    if isinstance(bits, Unknown):
        return AreaSetting(area, Extent.UNKNOWN)
    size = chip.flash.sector_size * chip.flash.wrp_group_sectors
    groups = [
        AddressRange(bank.start + i * size, bank.start + (i + 1) * size)
        for i in range(bank.size // size)
        if not bits >> i & 1
    ]
    ranges = merged(groups)
    return AreaSetting(area, Extent.SET if ranges else Extent.EMPTY, ranges)


def _set(area: Area, r: AddressRange) -> AreaSetting:
    return AreaSetting(area, Extent.SET, (r,))
