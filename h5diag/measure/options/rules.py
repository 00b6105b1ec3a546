"""What a boot loader expects of the option bytes, and whether a board has it.

OEMiROT compares these options with its own table before it looks at any slot; with one that differs it stops (a
development build) or resets for ever (a release build), and leaves the slots as they are. Source: STM32CubeH5,
OEMiROT_Boot, LL_SECU_CheckStaticProtections, and ROT_Provisioning/OEMiROT, ob_flash_programming.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from h5diag.chip import Chip
from h5diag.layout import Layout, Loader
from h5diag.measure.options.meaning import value_meaning
from h5diag.measure.options.settings import Belief, Extent, OptionBytes
from h5diag.memory import AddressRange


class Agreement(Enum):
    """How an option stands to what is expected of it."""

    AGREES = "agrees"
    OLDER_PACKAGE = "older-package"
    DIFFERS = "differs"
    NOT_KNOWN = "not-known"


@dataclass(frozen=True, slots=True)
class Expectation:
    """A value that the boot loader wants.

    `older` are values that the same script of an earlier package (STM32CubeH5 v1.0.0) set legitimately.
    """

    name: str
    value: int
    why: str
    older: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class OptionCheck:
    """An expectation met or not. `found` means nothing when `agreement` is NOT_KNOWN."""

    name: str
    agreement: Agreement
    expected: int
    found: int
    text: str


def expectations(layout: Layout) -> tuple[Expectation, ...]:
    """Return what OEMiROT of this layout expects, as far as the chip has such options."""
    chip, sector = layout.chip, layout.chip.flash.sector_size
    boot = layout.boot.range if layout.boot is not None else AddressRange(0, 0)
    out = [
        Expectation("TZEN", chip.tzen_on, "the boot code is secure code"),
        Expectation("SWAP_BANK", 0, "the boot code lies in bank 1"),
        Expectation("BOOT_UBE", 0xB4, "otherwise the chip starts its own secure boot instead"),
        Expectation("SECBOOT_LOCK", 0xB4, "the boot address must not be changed"),
        Expectation("SRAM2_RST", 0, "secrets in SRAM2 are erased at reset"),
        Expectation("SRAM2_ECC", 0, "SRAM2 is used with error correction"),
    ]
    if boot.size:
        shift = chip.option("SECBOOTADD").address_shift if _has(chip, "SECBOOTADD") else 8
        out.append(Expectation("SECBOOTADD", chip.secure_alias(boot.start) >> shift, "the chip starts there"))
        out += _sectors(chip, "SECWM1", layout.secure_range, sector, "boot code and secure primary slot", (0xB,))
        out += _sectors(chip, "HDP1", layout.hidden_range, sector, "the boot code hides itself when it leaves", (0x7,))
        group = sector * max(1, chip.flash.wrp_group_sectors)
        bits = sum(1 << i for i in range((boot.size + group - 1) // group))
        start = (boot.start - chip.flash.base) // group
        out.append(
            Expectation("WRPSGn1", 0xFFFFFFFF & ~(bits << start), "the boot code cannot be overwritten", (0xFFFFFFFC,))
        )
    return tuple(e for e in out if _has(chip, e.name))


def check_options(options: OptionBytes, layout: Layout) -> tuple[OptionCheck, ...]:
    """Compare a board with what the boot loader of `layout` expects; those that differ come first.

    Only ST's own boot code checks option bytes at its start: for another loader, and for a board of another family
    than the layout's, the result is empty.
    """
    if options.chip.family != layout.chip.family or layout.loader is Loader.UPSTREAM:
        return ()
    out = [_check(options, e) for e in expectations(layout) if _has(options.chip, e.name)]
    out += [*_second_bank(options), *_product_state(options), *_edata(options, layout)]
    order = (Agreement.DIFFERS, Agreement.OLDER_PACKAGE, Agreement.NOT_KNOWN, Agreement.AGREES)
    return tuple(sorted(out, key=lambda c: order.index(c.agreement)))


def _has(chip: Chip, name: str) -> bool:
    return any(name == o.name or name in o.aliases for o in chip.options)


def _sectors(
    chip: Chip, area: str, r: AddressRange, sector: int, why: str, older: tuple[int, ...]
) -> list[Expectation]:
    if not r.size:
        return []
    first, last = (r.start - chip.flash.base) // sector, (r.stop - 1 - chip.flash.base) // sector
    return [Expectation(f"{area}_STRT", first, why), Expectation(f"{area}_END", last, why, older)]


_TEXTS = {
    Agreement.NOT_KNOWN: "{e.name} is not known on this board; 0x{e.value:X} ({wanted}) is expected: {e.why}",
    Agreement.AGREES: "{e.name} is 0x{found:X} as expected",
    Agreement.OLDER_PACKAGE: "{e.name} is 0x{found:X}, what package v1.0.0 set; the present one expects 0x{e.value:X}: right"
    " only with the boot code of that package",
    Agreement.DIFFERS: "{e.name} is 0x{found:X}, 0x{e.value:X} ({wanted}) is expected: {e.why}; OEMiROT stops at its start-up"
    " check and touches no slot",
}


def _check(options: OptionBytes, e: Expectation) -> OptionCheck:
    found = options.value(e.name)
    if found is None:
        agreement = Agreement.NOT_KNOWN
    elif _same(options, e.name, found, e.value):
        agreement = Agreement.AGREES
    else:
        agreement = Agreement.OLDER_PACKAGE if found in e.older else Agreement.DIFFERS
    wanted = value_meaning(options.chip, options.chip.option(e.name), e.value, Belief.READ).rpartition(": ")[2]
    return OptionCheck(
        e.name, agreement, e.value, found or 0, _TEXTS[agreement].format(e=e, found=found or 0, wanted=wanted)
    )


def _same(options: OptionBytes, name: str, found: int, wanted: int) -> bool:
    option = options.chip.option(name)
    if option.kind != "groups":
        return found == wanted
    group = options.chip.flash.sector_size * max(1, options.chip.flash.wrp_group_sectors)
    mask = (1 << options.chip.bank_range(option.bank).size // group) - 1
    return found & mask == wanted & mask


def _second_bank(options: OptionBytes) -> Iterator[OptionCheck]:
    for a in (a for a in options.areas if a.area.name == "SECWM2" and a.area.start):
        first, last = options.value(a.area.start), options.value(a.area.end)
        if first is None or last is None:
            yield OptionCheck("SECWM2", Agreement.NOT_KNOWN, 0, 0, "SECWM2 is not known here; none is expected")
        elif a.extent is Extent.SET:
            text = (
                f"SECWM2 makes sectors {first} to {last} of bank 2 secure, none is expected: OEMiROT stops at its start-up"
                " check and touches no slot"
            )
            yield OptionCheck(a.area.start, Agreement.DIFFERS, 0x7F, first, text)
        else:
            yield OptionCheck("SECWM2", Agreement.AGREES, 0, 0, "SECWM2 is empty as expected")


_CLOSED, _BROKEN_OFF = (True, ", enough for every build"), (False, ": a transition was interrupted")
_STATES = {
    "Provisioning": (
        False,
        ": the user's firmware does not run, so nothing is installed; the provisioning was not finished",
    ),
    "Regression": _BROKEN_OFF,
    "NS-Regression": _BROKEN_OFF,
    "Closed": _CLOSED,
    "Locked": _CLOSED,
}
"""Product states by the chip files' names: whether the boot code installs in them, and what follows."""
_OTHER_STATE = (
    True,
    ": enough for a development build of the boot code; a release build wants Closed and otherwise resets for ever",
)


def _product_state(options: OptionBytes) -> Iterator[OptionCheck]:
    state = options.state
    if state is not None and options.chip.state_option == "PRODUCT_STATE":
        installs, text = _STATES.get(state.name, _OTHER_STATE)
        agreement, expected = (Agreement.AGREES, state.value) if installs else (Agreement.DIFFERS, 0xED)
        yield OptionCheck("PRODUCT_STATE", agreement, expected, state.value, f"PRODUCT_STATE is {state.name}{text}")


def _edata(options: OptionBytes, layout: Layout) -> Iterator[OptionCheck]:
    for a in (a for a in options.areas if a.area.kind == "high-cycle"):
        for r in a.ranges:
            if hit := [s.name for s in layout.slots if s.range.overlaps(r)]:
                text = (
                    f"the high-cycle data area takes {r} away from {', '.join(hit)}: the slot cannot be written or read"
                    " there as code"
                )
                yield OptionCheck(a.area.end, Agreement.DIFFERS, 0, options.value(a.area.end) or 0, text)
