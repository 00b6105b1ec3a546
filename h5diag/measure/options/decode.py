"""From a listing or a register dump to named, explained settings and the ranges of flash that they protect."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from h5diag.chip import Chip, Option, ProtectedArea
from h5diag.evidence.texts import Listing, RawOption, RawRegister, printable
from h5diag.measure.options.meaning import area_meaning, value_meaning
from h5diag.measure.options.settings import (
    AreaSetting,
    Belief,
    Extent,
    OptionBytes,
    RegisterValue,
    Setting,
    chip_name,
)
from h5diag.memory import AddressRange, merged
from h5diag.text import count_text

Value = Callable[[str], int | None]


def decode_areas(chip: Chip, value: Value) -> tuple[tuple[AreaSetting, ...], tuple[str, ...]]:
    """Return the areas that the options set, and what is odd about them.

    Parameters
    ----------
    chip
        In the geometry that the options select.
    value
        Gives the value of an option by its name, or `None`.
    """
    tzen = value("TZEN") if chip.trustzone else None
    off = tzen is not None and tzen != chip.tzen_on
    found = [
        (AreaSetting(a, Extent.EMPTY), "") if a.kind == "secure" and off else _area(chip, a, value) for a in chip.areas
    ]
    return tuple(area for area, _ in found), tuple(odd for _, odd in found if odd)


def _area(chip: Chip, area: ProtectedArea, value: Value) -> tuple[AreaSetting, str]:
    """Return an area as the options set it, and what is odd about it."""
    size, bank, odd = chip.flash.sector_size, chip.bank_range(area.bank), ""
    count = bank.size // size
    if area.enable and (on := value(area.enable)) in (None, area.off):
        return AreaSetting(area, Extent.UNKNOWN if on is None else Extent.EMPTY), odd
    # Of an area without a first sector the last ones of the bank are meant; groups are bits of one option.
    first, last = value(area.start) if area.start else 0, value(area.groups or area.end)
    if first is None or last is None:
        return AreaSetting(area, Extent.UNKNOWN), odd
    if area.groups:
        own, size = chip.option(area.groups).first_group, size * chip.flash.wrp_group_sectors
        numbers = [i for i in range(own, min(own + 32, bank.size // size)) if not last >> i - own & 1]
    elif area.start:
        numbers = list(range(first, min(last + 1, count)))
        if first <= last >= count:
            odd = (
                f"{area.name} ends with sector {last}, but bank {area.bank} of {chip.title} has {count}: the "
                "values may be meant for a larger part, or the chip is not the one assumed"
            )
    else:
        numbers = list(range(max(0, count - 1 - last), count))
    ranges = merged(AddressRange(bank.start + i * size, bank.start + (i + 1) * size) for i in numbers)
    return AreaSetting(area, Extent.SET if ranges else Extent.EMPTY, ranges), odd


def decode_listing(listing: Listing, chip: Chip) -> OptionBytes:
    """Return the settings of a listing; an unknown name is kept and marked so.

    Parameters
    ----------
    listing
        From `h5diag.evidence.texts.parse_listing`.
    chip
        The chip that it is read as.
    """
    warnings = list(listing.warnings)
    if listing.device_id is not None and listing.device_id & chip.identity.dev_id_mask != chip.identity.dev_id:
        warnings.insert(
            0,
            f"the export is of a chip with DEV_ID 0x{listing.device_id:03X}, read here as "
            f"{chip.title} (0x{chip.identity.dev_id:03X})",
        )
    found = _option_bytes(listing.fields, chip, warnings)
    return replace(found, warnings=(*_ending(listing, found), *found.warnings))


def decode_registers(raw: Iterable[RawRegister], chip: Chip) -> OptionBytes:
    """Return the settings of a register dump, by address (either alias) or by register name.

    The registers in force (``_CUR``) count; a pending change (``_PRG`` differs) is a warning.
    """
    values: dict[str, RegisterValue] = {}
    warnings: list[str] = []
    strange, twice, known = 0, set[str](), _register_places(chip)
    for r in raw:
        found = _register(r, known)
        if found is None:
            strange += 1
            continue
        old = values.get(found.name)
        if old and old.value != found.value and found.name not in twice:
            twice.add(found.name)  # once is enough: a text may hold a hundred thousand of them
            both = f"0x{old.value:08X} and 0x{found.value:08X}"
            aliases = f"{old.name} reads {both} through the two aliases: one reader may not see it all"
            warnings.append(aliases if old.secure != found.secure else f"{old.name} was read twice, as {both}")
        # The secure alias sees what the other one may not; a zero never replaces a value.
        if not old or found.value or not old.value:
            values[found.name] = found
    if strange:
        warnings.append(
            f"{count_text(strange, 'word')} are at no address of the FLASH registers of {chip.title} and are left out"
        )
    for name, v in values.items():
        twin = values.get(name.removesuffix("_CUR") + "_PRG") if name.endswith("_CUR") else None
        if twin and twin.value != v.value:
            warnings.append(
                f"{name} is 0x{v.value:08X} but {twin.name} is 0x{twin.value:08X}: an option change was "
                "prepared and is not in force"
            )
    first = chip.option(chip.state_option).register if chip.state_option else ""
    if dead := first in values and not values[first].value:
        warnings.insert(
            0,
            f"{first} reads 0: the core was held in reset, or the registers were not clocked; read "
            "again before concluding anything",
        )
    fields = [
        RawOption(o.name, chip.register(o.register).get(o.field, values[o.register].value))
        for o in chip.options
        if o.register in values and not dead
    ]
    return replace(_option_bytes(fields, chip, warnings), registers=tuple(values.values()))


def _option_bytes(fields: Sequence[RawOption], chip: Chip, warnings: list[str]) -> OptionBytes:
    raw = {chip_name(chip, f.name): f.value for f in fields}
    for mode in (m for m in chip.flash_modes if m.option in raw):
        chip = chip.in_mode(mode.option, raw[mode.option])
    masked, options, settings = _masked(chip, raw), {o.name: o for o in chip.options}, list[Setting]()
    for f in fields:
        option = options.get(chip_name(chip, f.name))
        name, meaning, belief = printable(f.name, 60), "unknown: not in the chip file, kept as printed", Belief.UNNAMED
        if option is not None:
            name, belief = option.name, Belief.MASKED if option.name in masked else _belief(chip, option, f.value)
            meaning = value_meaning(chip, option, f.value, belief)
        spelt = f.name if option is not None and f.name.upper() != name.upper() else ""
        fact = option or Option(f.name, "", "", "number", "unknown option", "")
        settings.append(Setting(name, f.value, printable(f.text), meaning, belief, fact, f.line, printed=spelt))
    known, unnamed = {s.name: s for s in settings if s.known}, [s.name for s in settings if not s.known]
    wrong = [s for s in settings if s.belief is Belief.IMPOSSIBLE]
    if chip.state_option in {s.name for s in wrong}:
        warnings.insert(
            0,
            f"{chip.state_option} 0x{known[chip.state_option].value:X} is no state: the read was "
            "garbage (it happens in hot plug and in reset); read again",
        )
    warnings += [
        f"{s.name} 0x{s.value:X} is not a value it can have: believe nothing that rests on it"
        for s in wrong
        if s.name != chip.state_option
    ]
    if masked:
        warnings.append(
            f"{', '.join(sorted(masked))} read zero because a debugger may not see them in this state: "
            "nothing follows from these zeros"
        )
    if unnamed:
        warnings.append(
            f"not in the file of {chip.title}, kept as printed: {', '.join(unnamed[:12])}"
            + (f" and {len(unnamed) - 12} more" if len(unnamed) > 12 else "")
        )
    if len(unnamed) > len(known):
        warnings.insert(0, f"most names are none of {chip.title}: is it another family? Try --chip")

    def value(name: str) -> int | None:
        s = known.get(name)
        return s.value if s is not None and s.belief is Belief.READ else None

    areas, odd = decode_areas(chip, value)
    warnings += odd
    for i, s in enumerate(settings):
        if of := [a for a in areas if s.name in (a.area.groups, a.area.end) and a.extent is not Extent.UNKNOWN]:
            settings[i] = s = replace(s, follows="; ".join(area_meaning(chip, a) for a in of))
        # The sectors of an area that is not there would name what is not there.
        if off := next(
            (a.area for a in areas if a.extent is Extent.EMPTY and s.name in (a.area.start, a.area.end)), None
        ):
            why = f"of no meaning while {off.enable} is off" if off.enable else "none, the area is empty (start > end)"
            settings[i] = replace(s, meaning=f"{s.option.what}: {why}")
    if value("SWAP_BANK") == 1:
        warnings.append(
            "SWAP_BANK is 1: the ranges here are those of the physical banks; on the bus the two halves are exchanged"
        )
    return OptionBytes(chip, tuple(settings), areas, tuple(warnings))


def _belief(chip: Chip, option: Option, value: int) -> Belief:
    if not option.register:
        return Belief.READ
    # The tool prints all 32 bits of groups whatever their number.
    width = 32 if option.kind == "groups" else chip.register(option.register).field(option.field).width
    nameless = option.kind == "byte" and bool(option.values) and not option.meaning(value)
    # An RDP level other than the named ones is level 1.
    otherwise = option.name == chip.state_option and any(s.otherwise for s in chip.states)
    return Belief.IMPOSSIBLE if value >> width or (nameless and not otherwise) else Belief.READ


def _masked(chip: Chip, raw: dict[str, int]) -> set[str]:
    """Return the options that read zero because the reader may not see them.

    A register of the secure side reads as zero to a non-secure reader, so all of its options are zero together. That is
    certain when one of them cannot be zero, and likely when the state hides the secure side.
    """
    try:
        hides = chip.state(raw[chip.state_option]).masks_secure
    except KeyError:
        hides = True
    out: set[str] = set()
    for register in {o.register for o in chip.options if o.secure}:
        members = [o for o in chip.options if o.register == register and o.name in raw]
        cannot = any(o.kind == "byte" and o.values and not o.meaning(0) for o in members)
        if (cannot or hides) and not any(raw[o.name] for o in members):
            out |= {o.name for o in members if o.secure}
    return out


def _ending(listing: Listing, found: OptionBytes) -> list[str]:
    """Say where a listing that was cut short ends; nothing when it reaches its last area."""
    read = {s.name for s in found.settings}
    wanted = [n for a in found.chip.areas for n in (a.start, a.end, a.groups) if n]
    missing = [n for n in dict.fromkeys([found.chip.state_option, *wanted]) if n and n not in read]
    if not listing.fields or not (missing or listing.cut):
        return []
    where = f"ends at line {listing.last_line}, after {printable(listing.fields[-1].name, 60)}"
    where += f', in the middle of "{printable(listing.cut, 60)}"' if listing.cut else ""
    unseen = f" (not seen: {', '.join(missing[:6])}{' ...' if len(missing) > 6 else ''})" if missing else ""
    return [f"the listing {where}: what follows is not known{unseen}"]


def _register_places(chip: Chip) -> dict[int | str, tuple[str, bool]]:
    """Return the registers of a chip by bus address, through either alias, and by name; True is the secure alias."""
    places: dict[int | str, tuple[str, bool]] = {r.name: (r.name, False) for r in chip.registers}
    for base, secure in ((chip.flash_registers_secure, True), (chip.flash_registers, False)):
        places |= {base + r.offset: (r.name, secure) for r in reversed(chip.registers) if base}
    return places


def _register(r: RawRegister, known: dict[int | str, tuple[str, bool]]) -> RegisterValue | None:
    plain = r.name.removeprefix("FLASH_")
    names: tuple[int | str, ...] = (
        (r.name, plain, f"{r.name}_CUR", f"{plain}_CUR") if r.address is None else (r.address,)
    )
    found = next((known[way] for way in names if way in known), None)
    return RegisterValue(found[0], r.value, found[1]) if found else None
