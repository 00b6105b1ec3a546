"""The readings of one sector put side by side with what they should have been."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from h5diag.memory import AddressRange, Bytes
from h5diag.probe.flashtest.observe import Reading, Visit
from h5diag.probe.flashtest.patterns import UNIT, pattern
from h5diag.probe.flashtest.plan import Step, TestPlan


@dataclass(frozen=True, slots=True, eq=False)
class Checked:
    """One reading with its step.

    Parameters
    ----------
    step
        Which.
    after_erase
        Whether the sector should be blank.
    meant, got
        ``uint8`` over the sector.
    corrected, uncorrected, flicker
        As in `Reading`.
    """

    step: Step
    after_erase: bool
    meant: Bytes
    got: Bytes
    corrected: tuple[int, ...]
    uncorrected: tuple[int, ...]
    flicker: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SectorEvidence:
    """All readings of a sector in the order they were made.

    Parameters
    ----------
    range
        The sector, canonical.
    before
        What it held before the test.
    readings
        In order; two or three for each step.
    noticed
        What the reads of the backup showed.
    outside
        Steps and addresses outside of the range that held this sector's pattern.
    """

    range: AddressRange
    before: Bytes
    readings: tuple[Checked, ...]
    noticed: Reading = field(default_factory=Reading)
    outside: tuple[tuple[Step, int], ...] = ()

    @property
    def anything(self) -> bool:
        """Whether anything was noticed at all."""
        return bool(self.outside or self.noticed) or any(
            r.corrected or r.uncorrected or r.flicker or r.got is not r.meant for r in self.readings
        )

    @property
    def flickered_once(self) -> bool:
        """Whether a read disagreed somewhere."""
        return any(r.flicker for r in self.readings)

    def repetition(self, showing: Iterable[Checked]) -> tuple[int, tuple[int, ...], int, int]:
        """Return rounds, speeds, readings that show something, and readings there are."""
        steps = [r.step for r in showing]
        return len({s.round for s in steps}), tuple(sorted({s.speed_hz for s in steps})), len(steps), len(self.readings)

    def trusted(self, reading: Checked) -> npt.NDArray[np.bool_]:
        """Return which quad-words of a reading count: not those that the ECC gave up."""
        out = np.ones(self.range.size // UNIT, np.bool_)
        for a in reading.uncorrected:
            out[(a - self.range.start) // UNIT] = False
        for a in reading.flicker:
            out[(a - self.range.start) // UNIT] = False
        return out


def gather(
    plan: TestPlan, sector: AddressRange, visits: Iterable[Visit], before: Bytes, noticed: Reading | None
) -> SectorEvidence:
    """Return the readings of the visits of one sector, in order."""
    steps = {s.number: s for s in plan.steps}
    blank = np.full(sector.size, 0xFF, np.uint8)
    readings, outside = list[Checked](), list[tuple[Step, int]]()
    for v in visits:
        step = steps[v.step]
        programmed = pattern(step.pattern, sector.start, sector.size, step.round - 1)
        wanted = [(v.erased, blank, True), (v.programmed, programmed, False)]
        if v.again or (step.last_of_round and step.round < plan.rounds and plan.power_cycles):
            wanted.append((v.again, programmed, False))
        for reading, meant, erased in wanted:
            got = meant ^ reading.wrong if reading.wrong.size else meant
            readings.append(Checked(step, erased, meant, got, reading.corrected, reading.uncorrected, reading.flicker))
        outside += [(step, a) for a in v.outside]
    return SectorEvidence(sector, before, tuple(readings), noticed or Reading(), tuple(outside))
