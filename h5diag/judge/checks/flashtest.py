"""What a flash test proves, and what it leaves open."""

from __future__ import annotations

from collections.abc import Iterator

from h5diag.case.results import Fault, FlashTest
from h5diag.judge.checks.chip import in_supply
from h5diag.judge.findings import Finding, calibration, found, number
from h5diag.judge.measured import Measured, deviations
from h5diag.measure.repeats import ReadPattern
from h5diag.memory import AddressRange, merged, subtracted
from h5diag.text import count_text, size_text


def check_flash_test(m: Measured) -> Iterator[Finding]:
    """Do the same cells fail in every round, with everything else excluded?"""
    t = m.suspect.board.flashtest
    if t is None or (not t.sectors and t.restored is not False):
        return  # a record without a sector is no test
    if protected := [f for s in t.sectors for f in s.faults if f.kind == "protected"]:
        yield found("write-protected-sectors-failed", count=len(protected), first=protected[0].address)
    if t.restored is False:
        yield found("flash-test-not-restored")
    tested = [s for s in t.sectors if s.verdict != "untested"]
    if backup := [f for s in t.sectors if s.verdict == "untested" for f in s.faults if f.kind == "ecc-uncorrected"]:
        yield found("ecc-at-backup", places=", ".join(f"0x{f.address:08X}" for f in backup[:4]))
    if not tested:
        yield found("flash-test-nothing")
        return
    faults = [f for s in tested for f in s.faults]
    if unstable := [f for f in faults if f.kind == "unstable"]:
        where = [AddressRange(f.address, f.address + 1) for f in unstable]
        yield found("flash-test-unstable", where=where, count=len(unstable), first=unstable[0].address)
    bad = [s for s in tested if s.verdict == "bad"]
    if hard := [f for f in faults if f.kind in calibration().lists["hard"]]:
        yield _weighed(m, t, hard)
    elif any(f.kind not in (*calibration().lists["not-the-chip"], "unstable") for f in faults) or any(
        not s.faults for s in bad
    ):
        odd = bad or [s for s in tested if s.faults]
        slow = [s for s in odd if any(f.kind == "slow-erase" for f in s.faults) and s.erase_s]
        how = f", the first takes {slow[0].erase_s:g} s to erase" if slow else ""
        yield found("flash-test-odd", count=len(odd), first=odd[0].start, how=how)
    elif not bad:
        yield _clean(m, t, len(tested))


def _clean(m: Measured, t: FlashTest, tested: int) -> Finding:
    """Return the finding of a test without a fault; only a thorough one at the right place clears the chip.

    The quick level programs each cell to one value, and a record that does not tell its level may be of it.
    """
    size = m.chip.flash.sector_size
    covered = merged(m.canonical(AddressRange(s.start, s.start + size) for s in t.sectors if s.verdict == "good"))
    id = "flash-test-clean-in-part"
    if t.level in calibration().lists["thorough"] and (t.conditions.rounds or 0) >= number("proving-rounds"):
        differing = deviations(m)
        there = bool(differing) and not subtracted(differing, covered)
        id = "flash-test-clean" if covered == (m.chip.flash_range,) else "flash-test-clean-there" if there else id
    return found(
        id,
        level=t.level or "not told",
        count=tested,
        all=m.chip.flash.size // size,
        size=size_text(tested * size),
        range=str(t.range),
    )


def _weighed(m: Measured, t: FlashTest, hard: list[Fault]) -> Finding:
    unit = m.chip.flash.program_unit
    # Of each place the most rounds; of equal ones the place that is named first.
    rounds = dict.fromkeys((f.address - f.address % unit for f in hard), 0)
    rounds |= {f.address - f.address % unit: f.rounds for f in sorted(hard, key=lambda f: f.rounds)}
    place, most = max(rounds.items(), key=lambda item: item[1])
    missing = _missing(m, t, most)
    fails, first = ("fails", "") if len(rounds) == 1 else ("fail", f"; first 0x{min(rounds):08X}")
    said = (
        f"{count_text(len(rounds), 'quad-word')} {fails} to erase or program"
        f" ({', '.join(sorted({f.kind for f in hard}))}{first}); the one at 0x{place:08X} in {count_text(most, 'round')}"
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
        range=str(t.range),
    )


def _missing(m: Measured, t: FlashTest, rounds: int) -> list[str]:
    """Return what keeps repeated failures from being proof, one phrase each."""
    c, speeds = t.conditions, [hz for hz in t.conditions.swd_hz if hz > 0]
    supply, state, rev = c.voltage_mv, c.product_state, c.rev_id
    due, fast = number("proving-rounds"), number("proving-speeds")
    errata = [e for e in m.chip.errata if e.kind == "silicon" and "read" in e.id and rev in e.revisions]
    points = m.suspect.board.sweep.sweep if m.suspect.board.sweep is not None else ()
    untold = c.tzen is None or state is None
    known = rev in {r.id for r in m.chip.revisions}
    doubts = (
        (
            min(rounds, c.rounds or 0) < due,
            f"no place failed in {count_text(due, 'full round')}",
        ),
        (
            len(set(speeds)) < fast or 100 * max(speeds) < number("apart-percent") * min(speeds),
            f"it ran at fewer than {fast} link speeds that differ",
        ),
        *((True, contradiction) for contradiction in _contradictions(m, t)),
        (
            c.second_path is None,
            "no second way of reading agreed, so a link that errs at fixed places is not excluded",
        ),
        (
            not c.power_cycles or c.power_cycles < 1,
            "there was no power cycle between the rounds",
        ),
        (
            supply is None or not in_supply(supply),
            "the supply was not measured" if supply is None else f"the supply was {supply} mV",
        ),
        (
            c.wrp is None or _protected_there(m, t),
            "write protection was not recorded" if c.wrp is None else "sectors of the range are write-protected",
        ),
        (
            untold,
            "TrustZone and product state were not recorded",
        ),
        (
            not untold and state not in (0xED, "open"),
            f"the product state was {hex(state) if isinstance(state, int) else state}",
        ),
        (
            not known,
            "the silicon revision was not recorded"
            if rev is None
            else f"the silicon revision 0x{rev:04X} is none that is known",
        ),
        (
            known and bool(errata),
            "a known limit of this silicon revision concerns flash reads",
        ),
        (
            m.suspect.reads.pattern in (ReadPattern.CHUNKS, ReadPattern.SHIFT, ReadPattern.OTHER),
            "repeated dumps of this board disagree, so the reading path is not trusted",
        ),
        (
            bool(points) and points[0].disagreeing == 0 and any(p.disagreeing > 0 for p in points),
            "reads of this board depend on the link speed",
        ),
        (
            any(e.about == "board-wiring" for e in m.suspect.log.messages),
            "the log speaks of wiring",
        ),
        (
            m.chip_assumed,
            "the chip is an assumption: name it in case.toml",
        ),
    )
    return [text for holds, text in doubts if holds]


def _contradictions(m: Measured, t: FlashTest) -> list[str]:
    """Return what in the result contradicts itself or the board's other evidence."""
    c, size = t.conditions, m.chip.flash.sector_size
    sectors = [(s, AddressRange(s.start, s.start + size)) for s in t.sectors]
    listed = sum(len(s.faults) for s in t.sectors)
    rev = m.suspect.board.identity.rev_id if m.suspect.board.identity is not None else None
    doubts = (
        (
            any(
                m.canonical([r])[0].start not in m.chip.flash_range or any(f.address not in r for f in s.faults)
                for s, r in sectors
            ),
            "a fault lies outside its sector or outside the flash",
        ),
        (
            any(s.verdict == "bad" and not AddressRange(s.start, s.start + 1).overlaps(t.range) for s in t.sectors),
            "a bad sector lies outside the range of the test",
        ),
        (
            any(
                s.verdict == "good" and any(f.kind in calibration().lists["hard"] for f in s.faults) for s in t.sectors
            ),
            "the result calls a sector good and lists faults in it",
        ),
        (
            t.fault_count not in (None, listed),
            f"the result counts {t.fault_count} faults and lists {listed}",
        ),
        *(
            (
                listing is not None and isinstance(told, int) and told != listing,
                f"the test ran with {name} 0x{told:x}, the board's option bytes say 0x{listing or 0:x}: another board's?"
                if isinstance(told, int)
                else "",
            )
            for name, told in (("TZEN", c.tzen), (m.chip.state_option, c.product_state))
            for listing in (m.suspect.options.value(name),)
        ),
        (
            None not in (c.rev_id, rev) and c.rev_id != rev,
            "the test names another silicon revision than the board",
        ),
    )
    return [text for holds, text in doubts if holds]


def _protected_there(m: Measured, t: FlashTest) -> bool:
    """Tell whether a failing sector was write-protected while the test ran, by what the test itself recorded."""
    c, flash = t.conditions, m.chip.flash
    group = flash.sector_size * max(1, flash.wrp_group_sectors)
    protected = [
        *c.wrp_ranges,
        *(
            AddressRange(at, at + group)
            for bank, register in enumerate(c.wrp_registers)
            for i in range(flash.bank_size // group)
            for at in (flash.base + bank * flash.bank_size + i * group,)
            if not register >> i & 1
        ),
    ]
    bad = [AddressRange(s.start, s.start + flash.sector_size) for s in t.sectors if s.verdict == "bad"]
    told = len(c.wrp_registers)
    if told and any(b.start >= flash.base + told * flash.bank_size for b in m.canonical(bad)):
        return True  # the register of that bank was not recorded
    return c.wrp is True or any(p.overlaps(b) for p in m.canonical(protected) for b in m.canonical(bad))
