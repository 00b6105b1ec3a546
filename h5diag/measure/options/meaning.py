"""Sentences about settings, for a person who reads them at night."""

from __future__ import annotations

from h5diag.chip import Chip, Option
from h5diag.measure.options.settings import AreaSetting, Belief, Extent, OptionBytes
from h5diag.memory import AddressRange, merged


def value_meaning(chip: Chip, option: Option, value: int, belief: Belief) -> str:
    """Return what this value of the option means, in one sentence without a full stop."""
    if belief is Belief.MASKED:
        return f"{option.what}: reads zero to this reader, so not known"
    if belief is Belief.IMPOSSIBLE:
        return f"{option.what}: 0x{value:X} is no value it can have"
    return f"{option.what}: {_short(chip, option, value)}"


def _short(chip: Chip, option: Option, value: int) -> str:
    match option.kind:
        case "byte" | "flag":
            text = option.meaning(value)
            if not text and option.name == chip.state_option:
                text = next((s.name for s in chip.states if s.otherwise), "")
            return text or f"0x{value:X}"
        case "address":
            return f"0x{value << option.address_shift:08X}"
        case "sector":
            bank = chip.bank_range(option.bank)
            start = bank.start + value * chip.flash.sector_size
            where = f"0x{start:08X}" if start < bank.stop else "beyond the bank"
            return f"{chip.unit} {value}, {where}"
        case "groups":
            count = chip.bank_range(option.bank).size // (chip.flash.sector_size * max(1, chip.flash.wrp_group_sectors))
            first = option.first_group
            # As ranges of numbers: those that follow each other are one.
            groups = merged(
                AddressRange(i, i + 1) for i in range(first, min(first + 32, count)) if not value >> i - first & 1
            )
            spans = (f"{r.start}" if r.size == 1 else f"{r.start} to {r.stop - 1}" for r in groups)
            return f"groups {', '.join(spans)} protected" if groups else "nothing protected"
    return f"0x{value:X}" if value > 9 else str(value)


def numbered(chip: Chip, first: int, last: int) -> str:
    """Return erase units by their numbers, in the chip's own word: ``sector 7``, ``pages 0 to 3``."""
    return f"{chip.unit} {first}" if first == last else f"{chip.unit}s {first} to {last}"


_NONE = {
    "secure": "no secure area",
    "hidden": "no hidden area",
    "write-protected": "nothing write-protected",
    "high-cycle": "no high-cycle data area",
}
_MEANS = {
    "secure": "secure: {r}; a non-secure read of them returns zeros",
    "hidden": "hidden once the boot code hands over: {r}; a later read is expected to give zeros",
    "write-protected": "write-protected: {r}; they keep their content whatever a tool says",
    "high-cycle": "in the high-cycle data area: {r} holds no code then; what a read there returns is not confirmed",
}
"""What is said of each kind of area, where there is none and where there is one."""


def area_meaning(chip: Chip, setting: AreaSetting) -> str:
    """Return a sentence about an area: where it is and what follows for somebody who reads the flash."""
    area = setting.area
    if setting.extent is Extent.UNKNOWN:
        return f"{area.name}: not known"
    if setting.extent is Extent.EMPTY:
        return f"{_NONE[area.kind]} in bank {area.bank} ({area.name})"
    return "; ".join(_range_meaning(chip, area.kind, area.name, r) for r in setting.ranges)


def _range_meaning(chip: Chip, kind: str, name: str, r: AddressRange) -> str:
    first, last = chip.sector_at(r.start), chip.sector_at(r.stop - 1)
    text = _MEANS[kind].format(r=r.shifted(chip.secure_alias(r.start) - r.start) if kind == "secure" else r)
    verb = "is" if first.index == last.index else "are"
    return f"{numbered(chip, first.index, last.index)} {verb} {text} ({name}, bank {first.bank})"


def summary(options: OptionBytes) -> tuple[str, ...]:
    """Return what matters first, a sentence each: state, TrustZone, areas, boot."""
    chip, state, out = options.chip, options.state, list[str]()
    if state is None:
        out += [f"{chip.state_option}: not known"] if chip.state_option else []
    else:
        title = state.name if state.name.startswith(chip.state_option) else f"{chip.state_option}: {state.name}"
        out.append(f"{title}; {state.what}")
    if chip.trustzone:
        tz = options.trustzone
        out.append("TrustZone: not known" if tz is None else f"TrustZone: {'on' if tz else 'off'}")
    unknown = [a.area.name for a in options.areas if a.extent is Extent.UNKNOWN]
    if unknown:
        out.append(f"not known: {', '.join(unknown)}")
    # What is empty needs a line only when everything of its kind is.
    for kind, word in (
        ("secure", "secure areas"),
        ("hidden", "hidden areas"),
        ("write-protected", "write protection"),
        ("high-cycle", "high-cycle data area"),
    ):
        areas = [a for a in options.areas if a.area.kind == kind]
        if areas and all(a.extent is Extent.EMPTY for a in areas):
            out.append(f"{word}: none")
        out += [area_meaning(chip, a) for a in areas if a.extent is Extent.SET]
    out += [s.meaning for s in options.settings if s.option.kind == "address" or s.name in ("SWAP_BANK", "BOOT_UBE")]
    return tuple(out)
