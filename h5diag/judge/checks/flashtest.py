"""What a flash test proves, and what it leaves open."""

from __future__ import annotations

from collections import defaultdict

from h5diag.case.records import Fault, FlashTest, Identity
from h5diag.judge.checks.chip import SUPPLY_MV
from h5diag.judge.findings import Finding, found
from h5diag.judge.measured import Measured, deviations
from h5diag.measure.repeats import ReadPattern
from h5diag.memory import AddressRange, merged, subtracted
from h5diag.text import count_text, range_text, size_text

HARD = frozenset(
    {
        "stuck-at-0",
        "stuck-at-1",
        "transition",
        "alias",
        "coupling",
        "dead-sector",
        "ignored-program",
        "ecc-corrected",
        "ecc-uncorrected",
    }
)
"""Kinds of fault that are a failure of erase or program when they repeat."""

NOT_THE_CHIP = frozenset({"protected", "controller-error"})

PROVING_ROUNDS = 2
PROVING_SPEEDS = 2
THOROUGH = ("standard", "full")
"""Levels that show every cell both values and every neighbour."""
APART = 1.5
"""Two link speeds count as two when one is at least so many times the other."""


def check_flash_test(m: Measured) -> tuple[Finding, ...]:
    """Do the same cells fail in every round, with everything else excluded?"""
    t = m.suspect.board.flashtest
    if t is None or (not t.sectors and t.restored is not False):
        return ()  # a record without a sector is no test
    out = list(_protected(t))
    if t.restored is False:
        out.append(found("flash-test-not-restored"))
    backup = [f for s in t.sectors if s.verdict == "untested" for f in s.faults if f.kind == "ecc-uncorrected"]
    if backup:
        out.append(found("ecc-at-backup", places=", ".join(f"0x{f.address:08X}" for f in backup[:4])))
    tested = [s for s in t.sectors if s.verdict != "untested"]
    if not tested:
        return (*out, found("flash-test-nothing"))
    unstable = [f for s in tested for f in s.faults if f.kind == "unstable"]
    if unstable:
        out.append(
            found(
                "flash-test-unstable",
                where=tuple(AddressRange(f.address, f.address + 1) for f in unstable),
                count=len(unstable),
                first=unstable[0].address,
            )
        )
    hard = [f for s in tested for f in s.faults if f.kind in HARD]
    bad = [s for s in tested if s.verdict == "bad"]
    if hard:
        return (*out, _weighed(m, t, hard))
    if any(f.kind not in NOT_THE_CHIP | {"unstable"} for s in tested for f in s.faults) or any(
        not s.faults for s in bad
    ):
        odd = bad or [s for s in tested if s.faults]
        slow = [s for s in odd if any(f.kind == "slow-erase" for f in s.faults) and s.erase_s]
        how = f", the first takes {slow[0].erase_s:g} s to erase" if slow else ""
        out.append(found("flash-test-odd", count=len(odd), first=odd[0].start, how=how))
    elif not bad:
        out.append(_clean(m, t, len(tested)))
    return tuple(out)


def _clean(m: Measured, t: FlashTest, tested: int) -> Finding:
    """Return the finding of a test without a fault; only a thorough one at the right place clears the chip.

    The quick level programs each cell to one value, and a record that does not tell its level may be of it.
    """
    size = m.chip.flash.sector_size
    covered = merged(m.canonical(AddressRange(s.start, s.start + size) for s in t.sectors if s.verdict == "good"))
    differing = deviations(m)
    level = t.level in THOROUGH and (t.conditions.rounds or 0) >= PROVING_ROUNDS
    if not level:
        id = "flash-test-clean-in-part"
    elif covered == (m.chip.flash_range,):
        id = "flash-test-clean"
    else:
        there = bool(differing) and not subtracted(differing, covered)
        id = "flash-test-clean-there" if there else "flash-test-clean-in-part"
    return found(
        id,
        level=t.level or "not told",
        count=tested,
        all=m.chip.flash.size // size,
        size=size_text(tested * size),
        range=range_text(t.range),
    )


def _protected(t: FlashTest) -> tuple[Finding, ...]:
    protected = [f for s in t.sectors for f in s.faults if f.kind == "protected"]
    if not protected:
        return ()
    return (found("write-protected-sectors-failed", count=len(protected), first=protected[0].address),)


def _weighed(m: Measured, t: FlashTest, hard: list[Fault]) -> Finding:
    unit = m.chip.flash.program_unit
    rounds: dict[int, int] = defaultdict(int)
    for f in hard:
        place = f.address - f.address % unit
        rounds[place] = max(rounds[place], f.rounds)
    place, most = max(rounds.items(), key=lambda item: item[1])
    missing = _missing(m, t, most)
    kinds = ", ".join(sorted({f.kind for f in hard}))
    fails = "fails" if len(rounds) == 1 else "fail"
    first = "" if len(rounds) == 1 else f"; first 0x{min(rounds):08X}"
    said = (
        f"{count_text(len(rounds), 'quad-word')} {fails} to erase or program ({kinds}{first}); the one at"
        f" 0x{place:08X} in {count_text(most, 'round')}"
    )
    return found(
        "flash-test-fails-short-of-proof" if missing else "flash-test-proves",
        where=tuple(AddressRange(p, p + unit) for p in sorted(rounds)),
        # A range test accounts for what reads wrong in the sectors that it found bad, and nowhere else.
        explains=m.canonical(
            AddressRange(s.start, s.start + m.chip.flash.sector_size) for s in t.sectors if s.verdict == "bad"
        ),
        said=said,
        missing="; ".join(missing),
        speeds=len(set(t.conditions.swd_hz)),
        range=range_text(t.range),
    )


def _missing(m: Measured, t: FlashTest, rounds: int) -> list[str]:
    """Return what keeps repeated failures from being proof, one phrase each."""
    c, out = t.conditions, []
    if rounds < PROVING_ROUNDS or (c.rounds or 0) < PROVING_ROUNDS:
        out.append(f"no place failed in {PROVING_ROUNDS} full rounds")
    speeds = [hz for hz in c.swd_hz if hz > 0]
    if len(set(speeds)) < PROVING_SPEEDS or max(speeds) < APART * min(speeds):
        out.append(f"it ran at fewer than {PROVING_SPEEDS} link speeds that differ")
    out += _contradictions(m, t)
    if c.second_path is None:
        out.append("no second way of reading agreed, so a link that errs at fixed places is not excluded")
    if not c.power_cycles or c.power_cycles < 1:
        out.append("there was no power cycle between the rounds")
    if c.voltage_mv is None:
        out.append("the supply was not measured")
    elif not SUPPLY_MV[0] <= c.voltage_mv <= SUPPLY_MV[1]:
        out.append(f"the supply was {c.voltage_mv} mV")
    if c.wrp is None:
        out.append("write protection was not recorded")
    elif _protected_there(m, t):
        out.append("sectors of the range are write-protected")
    if c.tzen is None or c.product_state is None:
        out.append("TrustZone and product state were not recorded")
    elif c.product_state not in (0xED, "open"):
        state = c.product_state
        out.append(f"the product state was {hex(state) if isinstance(state, int) else state}")
    if c.rev_id is None:
        out.append("the silicon revision was not recorded")
    elif c.rev_id not in {r.id for r in m.chip.revisions}:
        out.append(f"the silicon revision 0x{c.rev_id:04X} is none that is known")
    elif any(e.kind == "silicon" and "read" in e.id and c.rev_id in e.revisions for e in m.chip.errata):
        out.append("a known limit of this silicon revision concerns flash reads")
    if m.suspect.reads.pattern in (ReadPattern.CHUNKS, ReadPattern.SHIFT, ReadPattern.OTHER):
        out.append("repeated dumps of this board disagree, so the reading path is not trusted")
    points = m.suspect.board.sweep.sweep if m.suspect.board.sweep is not None else ()
    if points and points[0].disagreeing == 0 and any(p.disagreeing > 0 for p in points):
        out.append("reads of this board depend on the link speed")
    if any(e.about == "board-wiring" for e in m.suspect.log.messages):
        out.append("the log speaks of wiring")
    if m.chip_assumed:
        out.append("the chip is an assumption: name it in case.toml")
    return out


def _contradictions(m: Measured, t: FlashTest) -> list[str]:
    """Return what in the result contradicts itself or the board's other evidence."""
    c, out, size = t.conditions, [], m.chip.flash.sector_size
    for s in t.sectors:
        sector = AddressRange(s.start, s.start + size)
        if m.canonical([sector])[0].start not in m.chip.flash_range or any(f.address not in sector for f in s.faults):
            out.append("a fault lies outside its sector or outside the flash")
            break
    if any(not AddressRange(s.start, s.start + 1).overlaps(t.range) for s in t.sectors if s.verdict == "bad"):
        out.append("a bad sector lies outside the range of the test")
    if any(s.verdict == "good" and any(f.kind in HARD for f in s.faults) for s in t.sectors):
        out.append("the result calls a sector good and lists faults in it")
    listed = sum(len(s.faults) for s in t.sectors)
    if t.fault_count not in (None, listed):
        out.append(f"the result counts {t.fault_count} faults and lists {listed}")
    for name, told in (("TZEN", c.tzen), (m.chip.state_option, c.product_state)):
        listing = m.suspect.options.value(name)
        if listing is not None and isinstance(told, int) and told != listing:
            out.append(
                f"the test ran with {name} 0x{told:x}, the board's option bytes say 0x{listing:x}: another board's?"
            )
    identity = m.suspect.board.identity or Identity()
    if None not in (c.rev_id, identity.rev_id) and c.rev_id != identity.rev_id:
        out.append("the test names another silicon revision than the board")
    return out


def _protected_there(m: Measured, t: FlashTest) -> bool:
    """Tell whether a failing sector was write-protected while the test ran, by what the test itself recorded."""
    c, flash = t.conditions, m.chip.flash
    protected = list(c.wrp_ranges)
    group = flash.sector_size * max(1, flash.wrp_group_sectors)
    for bank, register in enumerate(c.wrp_registers):
        base = flash.base + bank * flash.bank_size
        protected += [
            AddressRange(base + i * group, base + (i + 1) * group)
            for i in range(flash.bank_size // group)
            if not register >> i & 1
        ]
    bad = [AddressRange(s.start, s.start + flash.sector_size) for s in t.sectors if s.verdict == "bad"]
    told = len(c.wrp_registers)
    if told and any(b.start >= flash.base + told * flash.bank_size for b in m.canonical(bad)):
        return True  # the register of that bank was not recorded
    return c.wrp is True or any(p.overlaps(b) for p in m.canonical(protected) for b in m.canonical(bad))
