"""What a flash test proves, and what it leaves open."""

from __future__ import annotations

from collections import defaultdict

from h5diag.diagnose.checks.chip import SUPPLY_MV
from h5diag.diagnose.facts import Measured
from h5diag.diagnose.reads import ReadPattern
from h5diag.diagnose.records import NOT_TOLD, Fault, FlashTest
from h5diag.diagnose.wording import count_text, range_text
from h5diag.memory import AddressRange
from h5diag.verdict import Direction, Finding, Number

HARD = frozenset({"stuck-at-0", "stuck-at-1", "transition", "alias", "coupling", "dead-sector", "ignored-program",
                  "slow-erase", "ecc-corrected", "ecc-uncorrected"})
"""Kinds of fault that are a failure of erase or program when they repeat."""

NOT_THE_CHIP = frozenset({"protected", "controller-error"})

PROVING_ROUNDS = 2
PROVING_SPEEDS = 2


def check_flash_test(m: Measured) -> tuple[Finding, ...]:
    """Do the same cells fail in every round, with everything else excluded?"""
    t = m.suspect.board.flashtest
    if not t.given:
        return ()
    out = list(_protected(t))
    tested = [s for s in t.sectors if s.verdict != "untested"]
    if not tested:
        return (*out, Finding("flash-test-nothing", "The flash test could test no sector of its range."))
    unstable = [f for s in tested for f in s.faults if f.kind == "unstable"]
    if unstable:
        out.append(
            Finding(
                "flash-test-unstable",
                f"{count_text(len(unstable), 'cell')} read now 0, now 1 at fixed places"
                f" (first at 0x{unstable[0].address:08X}).",
                direction=Direction.CHIP,
                where=tuple(AddressRange(f.address, f.address + 1) for f in unstable),
            )
        )
    hard = [f for s in tested if s.verdict == "bad" for f in s.faults if f.kind in HARD]
    if hard:
        return (*out, _weighed(m, t, hard))
    bad = [s for s in tested if s.verdict == "bad"]
    if bad and not unstable:
        other = [f for s in bad for f in s.faults if f.kind not in NOT_THE_CHIP]
        if other or not any(s.faults for s in bad):
            out.append(
                Finding(
                    "flash-test-fails-short-of-proof",
                    f"{count_text(len(bad), 'sector')} failed, and the result does not say how.",
                    direction=Direction.CHIP,
                )
            )
            return tuple(out)
    if not bad:
        size = sum(1 for _ in tested) * m.chip.flash.sector_size
        out.append(
            Finding(
                "flash-test-clean",
                f"The flash test passed in all {count_text(len(tested), 'sector')} that it"
                f" tested ({size // 1024} KB of {range_text(t.range)}).",
                direction=Direction.AGAINST,
                limits="Says nothing about sectors that it did not test.",
            )
        )
    return tuple(out)


def _protected(t: FlashTest) -> tuple[Finding, ...]:
    protected = [f for s in t.sectors for f in s.faults if f.kind == "protected"]
    if not protected:
        return ()
    return (Finding("write-protected-sectors-failed", f"{count_text(len(protected), 'sector')} refused because of write"
                    f" protection (first at 0x{protected[0].address:08X}).", direction=Direction.AGAINST),)


def _weighed(m: Measured, t: FlashTest, hard: list[Fault]) -> Finding:
    unit = m.chip.flash.program_unit
    rounds: dict[int, int] = defaultdict(int)
    for f in hard:
        place = f.address - f.address % unit
        rounds[place] = max(rounds[place], f.rounds)
    place, most = max(rounds.items(), key=lambda item: item[1])
    missing = _missing(m, t, most)
    kinds = ", ".join(sorted({f.kind for f in hard}))
    said = (
        f"{count_text(len(rounds), 'quad-word')} fail erase or program ({kinds}; first 0x{min(rounds):08X}); the one at"
        f" 0x{place:08X} in {most} rounds"
    )
    numbers = (Number("faults", len(hard)), Number("rounds", most), Number("speeds", len(set(t.conditions.swd_hz))))
    where = tuple(AddressRange(p, p + unit) for p in sorted(rounds))
    # A range test accounts for what reads wrong in the sectors that it found bad, and nowhere else.
    explains = tuple(AddressRange(s.start, s.start + m.chip.flash.sector_size) for s in t.sectors if s.verdict == "bad")
    if missing:
        return Finding("flash-test-fails-short-of-proof", f"{said}. Not proved, because {'; '.join(missing)}.",
                       numbers=numbers, where=where, direction=Direction.CHIP, explains=m.canonical(explains))
    return Finding(
        "flash-test-proves",
        f"{said}, at {len(set(t.conditions.swd_hz))} link speeds and across a power cycle, with"
        " supply, protection and transport excluded.",
        numbers=numbers,
        where=where,
        direction=Direction.CHIP,
        explains=m.canonical(explains),
        compares=True,
        limits=f"Speaks of {range_text(t.range)} only.",
    )


def _missing(m: Measured, t: FlashTest, rounds: int) -> list[str]:
    """Return what keeps repeated failures from being proof, one phrase each."""
    c, out = t.conditions, []
    if rounds < PROVING_ROUNDS or c.rounds < PROVING_ROUNDS:
        out.append(f"no place failed in {PROVING_ROUNDS} full rounds")
    if len(set(c.swd_hz)) < PROVING_SPEEDS:
        out.append(f"it ran at fewer than {PROVING_SPEEDS} link speeds")
    if c.power_cycles < 1:
        out.append("there was no power cycle between the rounds")
    if c.voltage_mv == NOT_TOLD:
        out.append("the supply was not measured")
    elif not SUPPLY_MV[0] <= c.voltage_mv <= SUPPLY_MV[1]:
        out.append(f"the supply was {c.voltage_mv} mV")
    if not c.wrp_told:
        out.append("write protection was not recorded")
    elif _protected_there(m, t):
        out.append("sectors of the range are write-protected")
    if not c.tzen or not c.product_state:
        out.append("TrustZone and product state were not recorded")
    elif c.product_state not in ("0xed", "open", "237"):
        out.append(f"the product state was {c.product_state}")
    if c.rev_id == NOT_TOLD:
        out.append("the silicon revision was not recorded")
    elif any(e.kind == "silicon" and "read" in e.id and c.rev_id in e.revisions for e in m.chip.errata):
        out.append("a known limit of this silicon revision concerns flash reads")
    if m.suspect.reads.pattern in (ReadPattern.CHUNKS, ReadPattern.SHIFT, ReadPattern.OTHER):
        out.append("repeated dumps of this board disagree, so the reading path is not trusted")
    points = m.suspect.board.sweep.points
    if points and points[0].disagreeing == 0 and any(p.disagreeing > 0 for p in points):
        out.append("reads of this board depend on the link speed")
    if any(e.about == "board-wiring" for e in m.suspect.log.messages):
        out.append("the log speaks of wiring")
    if m.chip_assumed:
        out.append("the chip is an assumption: name it in case.toml")
    return out


def _protected_there(m: Measured, t: FlashTest) -> bool:
    """Tell whether a failing sector was write-protected while the test ran, by what the test itself recorded."""
    c, flash = t.conditions, m.chip.flash
    protected = list(c.wrp_ranges)
    group = flash.sector_size * max(1, flash.wrp_group_sectors)
    for bank, register in enumerate(c.wrp_registers):
        base = flash.base + bank * flash.bank_size
        protected += [AddressRange(base + i * group, base + (i + 1) * group)
                      for i in range(flash.bank_size // group) if not register >> i & 1]
    bad = [AddressRange(s.start, s.start + flash.sector_size) for s in t.sectors if s.verdict == "bad"]
    return c.wrp_flag or any(p.overlaps(b) for p in m.canonical(protected) for b in m.canonical(bad))
