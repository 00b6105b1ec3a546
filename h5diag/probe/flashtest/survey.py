"""Before anything is erased: may this range be tested at all, and which of its sectors cannot be?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from h5diag.case.results import Identity
from h5diag.chip import Chip, Sector
from h5diag.errors import InputError, PermissionRefused
from h5diag.measure.options import OptionBytes
from h5diag.memory import Access, AddressRange, merged
from h5diag.probe.board import Board, identify, supply_mv
from h5diag.probe.board.identity import options_of
from h5diag.probe.flashtest.plan import TestPlan

_LOCKED, _OPEN, _HIDING_LEVEL = 0xB4, 0xED, 2
DUMP_FIRST = "dump first: a regression erases everything"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a sector is not tested; `protected` when it is write protection, `hidden` when it reads as zeros."""

    start: int
    reason: str
    protected: bool = False
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found out before the start.

    Parameters
    ----------
    who
        The chip.
    access
        Secure when TrustZone is on, with registers and alias of that side.
    tzen, product_state
        Codes of the option bytes.
    wrp
        Write-protected ranges within the range, canonical.
    voltage_mv
        Supply as the probe measures it; None when it does not.
    swapped
        SWAP_BANK.
    obstacles
        Sectors that are not tested, and why.
    visible
        Sectors outside of the range that this reader may see: they are watched.
    warnings
        What a person should know before saying yes.
    """

    who: Identity
    access: Access
    tzen: int | None
    product_state: int | None
    wrp: tuple[AddressRange, ...]
    voltage_mv: int | None
    swapped: bool
    obstacles: tuple[Obstacle, ...]
    visible: tuple[AddressRange, ...]
    warnings: tuple[str, ...]


def survey(board: Board, plan: TestPlan, *, access: Access = Access.UNKNOWN) -> Survey:
    """Look, read only, and refuse where the test must not run.

    Parameters
    ----------
    board
        Connected with permissions for exactly the range of the plan.
    plan
        What is to be tested.
    access
        Secure or non-secure side; by default secure when TrustZone is on.

    Raises
    ------
    PermissionRefused
        When the permissions are not for exactly the range, or the chip is not in product state Open.
    InputError
        When the range is none of this chip, or the chip is one that the test does not know.
    ProbeError
        When the link fails.
    """
    chip = board.chip
    plan.check(chip)
    require_permission(board, plan.range)
    who = identify(board)
    require_open(chip, who)
    options = options_of(who, chip)
    tzen = options.value("TZEN")
    used = access
    if access is Access.UNKNOWN:
        used = Access.SECURE if tzen == chip.tzen_on else Access.NONSECURE
    if used is Access.SECURE and not board.secure_allowed:
        raise PermissionRefused("the chip does not allow secure accesses now", advice=DUMP_FIRST)
    swapped = options.value("SWAP_BANK") == 1
    everywhere = _obstacles(board, options, who, used, swapped)
    hidden = {o.start for o in everywhere if o.hidden}
    wrp = tuple(
        r.intersection(plan.range) for r in on_the_bus(chip, options.wrp_ranges, swapped) if r.overlaps(plan.range)
    )
    return Survey(
        who,
        used,
        tzen,
        options.value(chip.state_option),
        wrp,
        supply_mv(board),
        swapped,
        tuple(o for o in everywhere if o.start in plan.range),
        tuple(s.range for s in chip.sectors if s.range.start not in hidden and not plan.range.covers(s.range)),
        _warnings(chip, plan, options),
    )


def require_permission(board: Board, wanted: AddressRange) -> None:
    """Raise `PermissionRefused` unless exactly this range may be erased, and the core be halted."""
    if merged(board.permissions.erase) != (wanted,):
        given = ", ".join(map(str, merged(board.permissions.erase))) or "none"
        raise PermissionRefused(
            f"the flash test of {wanted} needs permission to erase exactly that (given: {given})",
            advice="name exactly this range with --range and --allow-erase",
        )
    board.permissions.require("halt")


def require_open(chip: Chip, who: Identity) -> None:
    """Raise unless the chip is the one described, knows product states, and is in Open."""
    if chip.state_option != "PRODUCT_STATE":
        raise InputError(f"the flash test knows the STM32H5 only, not {chip.title}")
    if who.dev_id != chip.identity.dev_id:
        dev_id = "not readable" if who.dev_id is None else f"0x{who.dev_id:03X}"
        raise InputError(f"the chip is not {chip.title} (DEV_ID {dev_id})", advice="name the right one with --chip")
    if who.flash_kib is None:
        raise InputError(
            "the chip does not tell its flash size, so where its banks begin is not known: nothing is erased",
            advice="its boot code may be running: reset the board and try again, or connect under reset first",
        )
    if who.flash_kib * 1024 != chip.flash.size:
        raise InputError(
            f"the chip says {who.flash_kib} KiB of flash, {chip.title} has {chip.flash.size // 1024}",
            advice="name the right one with --chip: the banks begin elsewhere",
        )
    if who.product_state != _OPEN:
        told = who.product_state_text or "not known"
        raise PermissionRefused(
            f"the flash is tested in product state Open only, and this chip is in {told}",
            advice=f"{DUMP_FIRST}; nothing was changed",
        )


def on_the_bus(chip: Chip, ranges: Iterable[AddressRange], swapped: bool) -> tuple[AddressRange, ...]:
    """Return ranges of physical banks as the bus addresses them (SWAP_BANK exchanges the halves)."""
    out = []
    for bank, other in zip(chip.banks, reversed(chip.banks), strict=True):
        for r in ranges:
            part = r.intersection(bank)
            if part.size:
                out.append(part.shifted(other.start - bank.start if swapped else 0))
    return merged(out)


def sectors_of(chip: Chip, where: AddressRange) -> tuple[Sector, ...]:
    """Return the sectors of a range in address order."""
    return tuple(s for s in chip.sectors if where.covers(s.range))


def _obstacles(
    board: Board, options: OptionBytes, who: Identity, access: Access, swapped: bool
) -> tuple[Obstacle, ...]:
    chip = board.chip
    wrp, edata, hidden = (
        on_the_bus(chip, r, swapped) for r in (options.wrp_ranges, options.edata_ranges, options.hdp_ranges)
    )
    secure = on_the_bus(chip, (*options.secure_ranges, *_by_block(board, options, access)), swapped)
    locks = {side: options.value(f"{side}BOOT_LOCK") == _LOCKED for side in ("SEC", "NS")}
    boots = {
        chip.canonical(value << 8): side
        for side in locks
        if locks[side] and (value := options.value(f"{side}BOOTADD")) is not None
    }
    level = who.registers.get("hdpl", 0)
    level = 3 if level is None else level
    out = []
    for s in chip.sectors:
        within = [any(r.overlaps(s.range) for r in ranges) for ranges in (wrp, edata, hidden, secure)]
        boot = next((side for a, side in boots.items() if a in s.range), "")
        if within[0]:
            out.append(Obstacle(s.range.start, "write-protected by the option bytes (WRP)", protected=True))
        elif within[1]:
            out.append(Obstacle(s.range.start, "belongs to the high-cycle data area (EDATA)", hidden=True))
        elif within[2] and locks["SEC"]:
            out.append(Obstacle(s.range.start, "HDP area, and SECBOOT_LOCK is set", hidden=True))
        elif within[2] and level >= _HIDING_LEVEL:
            out.append(Obstacle(s.range.start, f"hidden: HDP area at level {level}", hidden=True))
        elif boot:
            out.append(Obstacle(s.range.start, f"boot area, and {boot}BOOT_LOCK is set"))
        elif options.trustzone and within[3] != (access is Access.SECURE):
            own = "secure" if within[3] else "non-secure"
            why = f"{own} sector, and the accesses are {access.value}: it reads as zeros"
            out.append(Obstacle(s.range.start, why, hidden=True))
    return tuple(out)


def _by_block(board: Board, options: OptionBytes, access: Access) -> tuple[AddressRange, ...]:
    """Return the sectors that SECBB makes secure, in physical banks; the registers are seen from the secure side."""
    chip, out = board.chip, []
    if access is not Access.SECURE or not options.trustzone:
        return ()
    size, per_bank = chip.flash.sector_size, chip.flash.bank_size // chip.flash.sector_size
    for number, bank in enumerate(chip.banks, 1):
        for i in range(per_bank):
            if i % 32 == 0:
                offset = chip.register(f"SECBB{number}R{i // 32 + 1}").offset
                word = board.read_word(chip.flash_registers_secure + offset, access=access)
            if word >> i % 32 & 1:
                out.append(AddressRange(bank.start + i * size, bank.start + (i + 1) * size))
    return merged(out)


def _warnings(chip: Chip, plan: TestPlan, options: OptionBytes) -> tuple[str, ...]:
    out = []
    for name in ("SECBOOTADD", "NSBOOTADD"):
        value = options.value(name)
        if value and chip.canonical(value << 8) in plan.range:
            out.append(
                f"the boot code ({name} 0x{value << 8:08X}) is in the range: until the contents are back the"
                " board does not boot"
            )
    return tuple(dict.fromkeys(out))
