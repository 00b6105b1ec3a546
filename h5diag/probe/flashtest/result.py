"""What a flash test found: for programs as JSON, for a person as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from h5diag.chip import Chip
from h5diag.memory import Access, AddressRange
from h5diag.probe.flashtest.plan import UNCONFIRMED_ENDURANCE, TestPlan, Way

NO_BIT = -1


@dataclass(frozen=True, slots=True)
class FoundFault:
    """A fault.

    Parameters
    ----------
    kind
        One of `models.KINDS`.
    address
        Canonical: of the 32-bit word when `bit` is known, else of the quad-word, word or sector concerned.
    bit
        0 to 31 within the word at `address`; `NO_BIT` when not known.
    detail
        What was seen, in words.
    rounds
        In how many rounds it showed.
    speeds_hz
        At which link speeds.
    seen, chances
        Readings that showed it, of those that could.
    """

    kind: str
    address: int
    bit: int
    detail: str
    rounds: int
    speeds_hz: tuple[int, ...] = ()
    seen: int = 0
    chances: int = 0


@dataclass(frozen=True, slots=True)
class SectorResult:
    """A sector: ``good``, ``bad`` or ``untested`` (then `reason` tells why); times are medians, -1 not measured."""

    start: int
    verdict: str
    reason: str
    erase_s: float
    program_s: float
    faults: tuple[FoundFault, ...]


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under what it ran; the codes of the option bytes, the supply (0: not measured), speeds, rounds, power cycles."""

    tzen: int
    product_state: int
    wrp: tuple[AddressRange, ...]
    rev_id: int
    voltage_mv: int
    swd_hz: tuple[int, ...]
    rounds: int
    power_cycles: int


@dataclass(frozen=True, slots=True)
class FlashTestResult:
    """The result of a test.

    Parameters
    ----------
    plan, chip
        What was done to what.
    restored
        Whether every sector reads as before.
    conditions, sectors
        Under what it ran, and what each sector showed, in address order.
    erase_cycles
        Erase cycles that each tested sector was given at most.
    way, access
        How it was programmed, and from which side.
    remarks
        Sentences for a person.
    """

    plan: TestPlan
    chip: Chip
    restored: bool
    conditions: Conditions
    sectors: tuple[SectorResult, ...]
    erase_cycles: int
    way: Way
    access: Access
    remarks: tuple[str, ...] = ()

    @property
    def faults(self) -> tuple[FoundFault, ...]:
        """All faults in address order."""
        return tuple(f for s in self.sectors for f in s.faults)

    def counted(self, verdict: str) -> int:
        """Return how many sectors have this verdict."""
        return sum(s.verdict == verdict for s in self.sectors)

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        from h5diag.probe.flashtest.signs import fault_models

        c, models = self.conditions, fault_models()
        sectors = [
            {
                "start": s.start,
                "verdict": s.verdict,
                "reason": s.reason,
                "erase_s": s.erase_s if s.erase_s >= 0 else None,
                "program_s": s.program_s if s.program_s >= 0 else None,
                "faults": [
                    {
                        "kind": f.kind,
                        "address": f.address,
                        "bit": None if f.bit == NO_BIT else f.bit,
                        "detail": f.detail,
                        "rounds": f.rounds,
                        "swd_hz": list(f.speeds_hz),
                        "seen": f.seen,
                        "chances": f.chances,
                        "level": models.kind(f.kind).level,
                    }
                    for f in s.faults
                ],
            }
            for s in self.sectors
        ]
        return {
            "range": [self.plan.range.start, self.plan.range.stop],
            "restored": self.restored,
            "conditions": {
                "tzen": c.tzen,
                "product_state": c.product_state,
                "wrp": [[r.start, r.stop] for r in c.wrp],
                "rev_id": c.rev_id,
                "voltage_mv": c.voltage_mv or None,
                "swd_hz": list(c.swd_hz),
                "rounds": c.rounds,
                "power_cycles": c.power_cycles,
            },
            "sectors": sectors,
            "faults": len(self.faults),
            "chip": self.chip.name,
            "level": self.plan.level.value,
            "patterns": list(dict.fromkeys(s.pattern for s in self.plan.steps)),
            "way": self.way.value,
            "access": self.access.value,
            "erase_cycles": self.erase_cycles,
            "rated_cycles": rated_cycles(self.chip)[0],
            "remarks": list(self.remarks),
        }

    def text(self) -> str:
        """Return the result for a person, the answer first."""
        good, bad, untested = (self.counted(v) for v in ("good", "bad", "untested"))
        kib = self.chip.flash.sector_size // 1024
        if bad:
            head = f"{bad} of {len(self.sectors)} sectors fail"
        elif good:
            head = f"no fault in {good} of {len(self.sectors)} sectors ({good * kib} KB)"
        else:
            head = "no sector could be tested"
        lines = [head + (f"; {untested} not tested: nothing is said about them" if untested and good + bad else "")]
        if not self.erase_cycles:
            lines.append("nothing was erased")
        else:
            lines.append(
                "the contents are back and verified"
                if self.restored
                else "THE CONTENTS ARE NOT ALL BACK: the folder keeps them, see --restore"
            )
        for s in self.sectors:
            if s.verdict != "good":
                lines.append(f"0x{s.start:08X}  {s.verdict:9}{s.reason}".rstrip())
            for f in s.faults[:20]:
                bit = "" if f.bit == NO_BIT else f" bit {f.bit}"
                lines.append(f"    {f.kind:16} 0x{f.address:08X}{bit}  {f.detail} (in {f.rounds} rounds)")
            if len(s.faults) > 20:
                lines.append(f"    and {len(s.faults) - 20} more, see --json")
        c = self.conditions
        speeds = ", ".join(f"{hz / 1e6:g}" for hz in c.swd_hz) or "-"
        supply = f"{c.voltage_mv} mV" if c.voltage_mv else "not measured"
        lines.append(
            f"conditions      {c.rounds} rounds at {speeds} MHz, {c.power_cycles} power cycles, supply {supply}"
        )
        rated, told = rated_cycles(self.chip)
        lines.append(f"wear            {self.erase_cycles} erase cycles of each sector; rated for {rated} ({told})")
        return "\n".join([*lines, *(f"remark          {r}" for r in self.remarks)])


def rated_cycles(chip: Chip) -> tuple[int, str]:
    """Return the rated erase cycles of a sector, and where the number is from."""
    if chip.flash.endurance_cycles:
        return chip.flash.endurance_cycles, "chip file"
    return UNCONFIRMED_ENDURANCE, "usual for this flash, not checked against the data sheet"
