"""Before anything is erased: may this range be tested at all, and which of its sectors cannot be?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from h5diag.chip import Chip, Sector
from h5diag.errors import InputError, PermissionRefused
from h5diag.evidence.texts import RawRegister
from h5diag.measure.options import OptionBytes, decode_registers
from h5diag.memory import Access, AddressRange, merged
from h5diag.probe.board import Board, Identification, identify, supply_mv
from h5diag.probe.flashtest.plan import TestPlan

_LOCKED, _OPEN, _HIDING_LEVEL = 0xB4, 0xED, 2
DUMP_FIRST = "dump first: a regression erases everything"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a sector is not tested; `protected` when it is write protection."""

    start: int
    reason: str
    protected: bool = False


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
        Supply as the probe measures it, 0 when it does not.
    swapped
        SWAP_BANK.
    obstacles
        Sectors that are not tested, and why.
    warnings
        What a person should know before saying yes.
    """

    who: Identification
    access: Access
    tzen: int
    product_state: int
    wrp: tuple[AddressRange, ...]
    voltage_mv: int
    swapped: bool
    obstacles: tuple[Obstacle, ...]
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
    options = decode_registers((RawRegister(v, name=n) for n, v in who.registers if n.endswith("_CUR")), chip)
    tzen = _known(options, "TZEN") if chip.trustzone else 0
    used = access
    if access is Access.UNKNOWN:
        used = Access.SECURE if tzen == chip.tzen_on else Access.NONSECURE
    if used is Access.SECURE and not board.secure_allowed:
        raise PermissionRefused("the chip does not allow secure accesses now", advice=DUMP_FIRST)
    swapped = _known(options, "SWAP_BANK") == 1
    obstacles = _obstacles(board, plan, options, who, used, swapped)
    wrp = tuple(
        r.intersection(plan.range) for r in on_the_bus(chip, options.wrp_ranges, swapped) if r.overlaps(plan.range)
    )
    return Survey(
        who,
        used,
        tzen,
        _known(options, chip.state_option),
        wrp,
        supply_mv(board),
        swapped,
        obstacles,
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


def require_open(chip: Chip, who: Identification) -> None:
    """Raise unless the chip is the one described, knows product states, and is in Open."""
    if chip.state_option != "PRODUCT_STATE":
        raise InputError(f"the flash test knows the STM32H5 only, not {chip.title}")
    if who.chip != chip.name:
        raise InputError(
            f"the chip is not {chip.title} (DEV_ID 0x{who.dev_id:03X})", advice="name the right one with --chip"
        )
    if who.flash_kib and who.flash_kib * 1024 != chip.flash.size:
        raise InputError(
            f"the chip says {who.flash_kib} KB of flash, {chip.title} has {chip.flash.size // 1024}",
            advice="name the right one with --chip: the banks begin elsewhere",
        )
    states = [o.value for o in who.options if o.name == chip.state_option]
    if states != [_OPEN]:
        told = who.product_state if states else "unknown"
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


def _known(options: OptionBytes, name: str) -> int:
    value = options.value(name)
    return -1 if value is None else value


def _obstacles(
    board: Board, plan: TestPlan, options: OptionBytes, who: Identification, access: Access, swapped: bool
) -> tuple[Obstacle, ...]:
    chip = board.chip
    wrp, edata, hidden = (
        on_the_bus(chip, r, swapped) for r in (options.wrp_ranges, options.edata_ranges, options.hdp_ranges)
    )
    secure = on_the_bus(chip, (*options.secure_ranges, *_by_block(board, options, access)), swapped)
    locks = {side: _known(options, f"{side}BOOT_LOCK") == _LOCKED for side in ("SEC", "NS")}
    boots = {chip.canonical(_known(options, f"{side}BOOTADD") << 8): side for side in locks if locks[side]}
    level = _hdp_level(who)
    out = []
    for s in sectors_of(chip, plan.range):
        within = [any(r.overlaps(s.range) for r in ranges) for ranges in (wrp, edata, hidden, secure)]
        boot = next((side for a, side in boots.items() if a in s.range), "")
        if within[0]:
            out.append(Obstacle(s.range.start, "write-protected by the option bytes (WRP)", protected=True))
        elif within[1]:
            out.append(Obstacle(s.range.start, "belongs to the high-cycle data area (EDATA)"))
        elif within[2] and locks["SEC"]:
            out.append(Obstacle(s.range.start, "HDP area, and SECBOOT_LOCK is set"))
        elif within[2] and level >= _HIDING_LEVEL:
            out.append(Obstacle(s.range.start, f"hidden: HDP area at level {level}"))
        elif boot:
            out.append(Obstacle(s.range.start, f"boot area, and {boot}BOOT_LOCK is set"))
        elif _known(options, "TZEN") == chip.tzen_on and within[3] != (access is Access.SECURE):
            own = "secure" if within[3] else "non-secure"
            out.append(Obstacle(s.range.start, f"{own} sector, and the accesses are {access.value}: it reads as zeros"))
    return tuple(out)


def _hdp_level(who: Identification) -> int:
    return {0xB4: 0, 0x51: 1, 0x8A: 2, 0x6F: 3}.get(dict(who.registers).get("HDPL", 0xB4), 3)


def _by_block(board: Board, options: OptionBytes, access: Access) -> tuple[AddressRange, ...]:
    """Return the sectors that SECBB makes secure, in physical banks; the registers are seen from the secure side."""
    chip, out = board.chip, []
    if access is not Access.SECURE or _known(options, "TZEN") != chip.tzen_on:
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
        value = _known(options, name)
        if value > 0 and chip.canonical(value << 8) in plan.range:
            out.append(
                f"the boot code ({name} 0x{value << 8:08X}) is in the range: until the contents are back the"
                " board does not boot"
            )
    return tuple(dict.fromkeys(out))
