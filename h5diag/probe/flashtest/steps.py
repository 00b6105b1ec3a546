"""One step of the test on a chip held still: erase every sector, look, program every sector, look."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from h5diag.chip import Sector
from h5diag.errors import Cancelled, PermissionRefused, ProbeError, TargetError
from h5diag.memory import Access, AddressRange, Bytes, Cancel, Progress
from h5diag.probe.board import Board, own_power_switch, reconnect
from h5diag.probe.flashtest.patterns import ROW, ordered, pattern
from h5diag.probe.flashtest.plan import DISTURB_READS, DISTURB_SECTORS, MARCH, PatternStep, TestPlan, Way
from h5diag.probe.flashtest.programmer import ByRegisters, FlashError, Programmer
from h5diag.probe.flashtest.reading import Reader, Reading, Visit
from h5diag.probe.flashtest.survey import Survey

_DHCSR, _HALTED = 0xE000EDF0, 1 << 17
_FREEZE = 1 << 11 | 1 << 12
"""DBGMCU_APB1FZR1: WWDG and IWDG stop while the core is halted (CM, BMP)."""


class HaltedCore:
    """A halted chip.

    Parameters
    ----------
    board
        Connected with the permission to halt.
    access
        Side whose control register tells whether the chip was reset.

    Raises
    ------
    PermissionRefused
        When the watchdogs cannot be frozen: one of them could reset the chip in the middle of an erase.
    """

    def __init__(self, board: Board, access: Access) -> None:
        self.board = board
        side = "SEC" if access is Access.SECURE else "NS"
        base = board.chip.flash_registers_secure if access is Access.SECURE else board.chip.flash_registers
        control = board.chip.register(side + "CR")
        self._control, self._lock, self._access = base + control.offset, control.field("LOCK").mask, access
        self._status, self._waiting = (
            base + board.chip.register(side + "SR").offset,
            board.chip.register(side + "SR").field("WBNE").mask,
        )
        self._freezer = board.chip.identity.idcode[0] + 8
        self._before = board.read_word(self._freezer)
        self.hold()

    def hold(self) -> None:
        """Halt the core and freeze the watchdogs; again after a reset or a power cycle."""
        if not self.board.halted:
            self.board.halt()
        self.board.write_word(self._freezer, self.board.read_word(self._freezer) | _FREEZE)
        if self.board.read_word(self._freezer) & _FREEZE != _FREEZE or not self.board.halted:
            raise PermissionRefused(
                "the core cannot be halted or the watchdogs cannot be frozen",
                advice="a watchdog could reset the chip during an erase; nothing was erased",
            )

        self._drop_cut_short()

    def _drop_cut_short(self) -> None:
        """Let go a quad-word of which a pulled cable delivered only the first words; it was never programmed."""
        if (
            self.board.read_word(self._status, access=self._access) & self._waiting
            and not self.board.read_word(self._control, access=self._access) & self._lock
        ):
            self.board.write_word(self._control, 0, access=self._access)

    def was_reset(self) -> bool:
        """Tell whether the chip was reset since the FLASH registers were unlocked."""
        locked = self.board.read_word(self._control, access=self._access) & self._lock
        return bool(locked) or not self.board.read_word(_DHCSR) & _HALTED

    def power_cycled(self, switch: Callable[[], None]) -> None:
        """Let the supply be turned off and on, and hold the chip again."""
        reconnect(self.board, switch)
        self.hold()

    def release(self) -> None:
        """Give the watchdogs back what they had; the core runs on when the board is closed."""
        self.board.write_word(self._freezer, self._before)


PowerSwitch = Callable[[], None]
Tell = Callable[[str], None]
_MOST_RESETS = 5


@dataclass(frozen=True, slots=True)
class StepResult:
    """A finished step: what was seen, and whether the supply was turned off and on at its end."""

    visits: tuple[Visit, ...]
    power_cycled: bool


@dataclass(slots=True)
class Stepper:
    """Makes steps on a held chip.

    Parameters
    ----------
    board, plan, survey, halted, reader
        The chip and what is done to it.
    programmer
        How to program; replaced by register accesses when core or SRAM fail.
    power
        Asks for a power cycle; None when nobody can.
    tell, cancel
        As in `flash_test`.
    remarks
        Sentences for the result.
    lost
        Sectors that are out of the test by now, and why.
    same_chip
        Raises when another chip is connected than the one that was backed up.
    resets
        How often the chip was reset meanwhile.
    true_hz
        True link speed by the one asked for.
    progress
        Told how much of a step is done.
    """

    board: Board
    plan: TestPlan
    survey: Survey
    halted: HaltedCore
    reader: Reader
    programmer: Programmer
    power: PowerSwitch | None
    tell: Tell
    cancel: Cancel
    same_chip: Callable[[], None]
    remarks: list[str] = field(default_factory=list)
    lost: dict[int, str] = field(default_factory=dict)
    resets: int = 0
    true_hz: dict[int, int] = field(default_factory=dict)
    progress: Progress = lambda fraction: None
    _done: int = 0
    _whole: int = 1

    def _worked(self) -> None:
        self._done += 1
        self.progress(min(1.0, self._done / self._whole))

    def make(self, step: PatternStep, sectors: list[Sector]) -> StepResult:
        """Make one step over all sectors that are not lost yet.

        Raises
        ------
        ProbeError
            When the link fails, or the chip is reset again and again.
        Cancelled
            When asked to stop.
        """
        self.true_hz[step.speed_hz] = self.board.set_frequency(step.speed_hz)
        self.same_chip()
        often = DISTURB_READS * 2 * min(len(sectors), DISTURB_SECTORS)
        self._done, self._whole = 0, 4 * len(sectors) + (4 * len(sectors) + often if step.pattern == MARCH else 0)
        chosen = [
            sectors[i]
            for i in ordered(len(sectors), step.order, step.number)
            if sectors[i].range.start not in self.lost
        ]
        visits = {s.range.start: Visit(s.range.start, step.number) for s in chosen}
        self._each(chosen, visits, "erasing", self._erase)
        self._look(chosen, visits, step, "erased")
        self._each(chosen, visits, "programming", lambda s, v: self._program(s, v, step))
        if self.plan.wait_s:
            time.sleep(self.plan.wait_s)
        self._look(chosen, visits, step, "programmed")
        if step.pattern == MARCH:
            self._march(chosen, visits, step)
        if step.pattern == "address":
            self._outside(sectors, visits)
        cycled = step.last_of_round and step.round < self.plan.rounds and self._power_cycle()
        if cycled:
            self._look(chosen, visits, step, "again")
        self.lost |= {v.sector: v.lost for v in visits.values() if v.lost}
        return StepResult(tuple(visits.values()), cycled)

    def _each(
        self, sectors: Iterable[Sector], visits: dict[int, Visit], session: str, act: Callable[[Sector, Visit], Visit]
    ) -> None:
        """Do something to each sector in sessions of the programmer; a reset loses the sector it came in."""
        todo = deque(s for s in sectors if not visits[s.range.start].lost)
        while todo:
            try:
                with getattr(self.programmer, session)():
                    again = self._some(todo, visits, act)
            except TargetError as error:
                if self.programmer.way is Way.REGISTERS:
                    raise
                again = False
                self._fall_back(error)
            if again:
                self.resets += 1
                if self.resets > _MOST_RESETS:
                    raise ProbeError("the chip is reset again and again", advice="check supply and reset line")
                self.halted.hold()

    def _some(self, todo: deque[Sector], visits: dict[int, Visit], act: Callable[[Sector, Visit], Visit]) -> bool:
        """Take sectors until none is left or the chip was reset; then return True."""
        while todo:
            if self.cancel():
                raise Cancelled("the flash test was stopped")
            s = todo.popleft()
            start = s.range.start
            try:
                visits[start] = act(s, visits[start])
            except FlashError as error:
                visits[start] = replace(visits[start], flags=error.flags, lost=_refused(error))
            except TargetError as error:
                self.board.require_alive()  # a moment without power looks like a fault of the bus
                visits[start] = replace(visits[start], lost=f"the bus refused ({error.problem})")
                if self.programmer.way is Way.ALGORITHM:
                    raise
            self._worked()
            if self.halted.was_reset():
                visits[start] = replace(visits[start], lost="the chip was reset while it was being tested")
                return True
        return False

    def _fall_back(self, error: TargetError) -> None:
        """Go on without core and SRAM when they fail."""
        said = f"the algorithm in SRAM failed ({error.cause or error.problem}): on by register accesses alone"
        self.tell(said)
        self.remarks.append(said)
        self.programmer = ByRegisters(self.board, self.survey.access, self.plan.burst)
        self.halted.hold()

    def _erase(self, sector: Sector, visit: Visit) -> Visit:
        return replace(visit, erase_s=self.programmer.erase(sector))

    def _program_down(self, sector: Sector, visit: Visit, step: PatternStep) -> Visit:
        """Program from the last quad-word to the first: a cell that is spoilt by a later one shows only so."""
        piece = (sector.range.start, self._meant(sector.range, step))
        return replace(visit, program_s=self.programmer.program([piece], descending=True))

    def _program(self, sector: Sector, visit: Visit, step: PatternStep) -> Visit:
        at, data = sector.range.start, self._meant(sector.range, step)
        rows = data.size // ROW if step.order != "ascending" else 1
        width = data.size // rows
        pieces = [(at + i * width, data[i * width : (i + 1) * width]) for i in ordered(rows, step.order, step.number)]
        return replace(visit, program_s=self.programmer.program(pieces))

    def _meant(self, sector: AddressRange, step: PatternStep) -> Bytes:
        return pattern(step.pattern, sector.start, sector.size, step.round - 1)

    def _look(self, sectors: Iterable[Sector], visits: dict[int, Visit], step: PatternStep, phase: str) -> None:
        blank = np.full(self.board.chip.flash.sector_size, self.board.chip.flash.erased, np.uint8)
        for s in sectors:
            visit = visits[s.range.start]
            if visit.lost:
                continue
            if self.cancel():
                raise Cancelled("the flash test was stopped")
            self._worked()
            meant = blank if phase == "erased" else self._meant(s.range, step)
            reads = 1 if phase == "erased" else self.plan.reads
            judged = self.reader.compare(s.range, meant, reads, min(self.plan.speeds_hz), step.round)
            before: Reading = getattr(visit, phase)
            changes: dict[str, Reading | str] = {phase: before or judged.reading, "lost": judged.lost}
            visits[s.range.start] = replace(visit, **changes)  # type: ignore[arg-type]

    def _march(self, sectors: list[Sector], visits: dict[int, Visit], step: PatternStep) -> None:
        """Erase the even sectors while the odd ones hold their zeros, and the other way round; read some often.

        What an erase takes with it beside its own sector, one cell or all of them, shows nowhere else. The first time
        the zeros were programmed upwards, now downwards: what programming a quad-word does to any other one of the
        sector that is programmed already shows in one of the two. Reads disturb erased cells as well as programmed
        ones, so that a few sectors are read often in both states.
        """
        order = sorted(sectors, key=lambda s: s.range.start)
        for first in (0, 1):
            erased, held = order[first::2], order[1 - first :: 2]
            self._each(erased, visits, "erasing", self._erase)
            self._look(held, visits, step, "held")
            self._look(erased, visits, step, "erased")
            self._often(erased[: DISTURB_SECTORS // 2], visits, step, "erased")
            self._each(erased, visits, "programming", lambda s, v: self._program_down(s, v, step))
        self._often(order[:DISTURB_SECTORS], visits, step, "held")

    def _often(self, sectors: list[Sector], visits: dict[int, Visit], step: PatternStep, phase: str) -> None:
        for s in sectors:
            if not visits[s.range.start].lost:
                for _ in range(DISTURB_READS):
                    self.reader.look_once(s.range)
                    self._worked()
        self._look(sectors, visits, step, phase)

    def _outside(self, sectors: list[Sector], visits: dict[int, Visit]) -> None:
        """Look for a sector's own addresses at the places that one stuck address line would lead to."""
        chip, tested = self.board.chip, {s.range.start for s in sectors}
        unit = chip.flash.program_unit
        for start, visit in visits.items():
            if visit.lost:
                continue
            own, found = pattern("address", start, unit), []
            line = chip.flash.sector_size
            while line < chip.flash.size:
                other = (start - chip.flash.base ^ line) + chip.flash.base
                line *= 2
                if other in tested or other not in chip.flash_range:
                    continue
                try:
                    at = self.reader.bus(other)
                    if np.array_equal(self.board.read(at, at + unit, access=self.survey.access), own):
                        found.append(other)
                except TargetError:
                    continue
            visits[start] = replace(visit, outside=tuple(found))

    def _power_cycle(self) -> bool:
        # With an unknown UID nobody could tell whether the board that comes back is the one that went.
        switch = own_power_switch(self.board) or (self.power if self.survey.who.uid is not None else None)
        if not self.plan.power_cycles or switch is None:
            return False
        self.halted.power_cycled(switch)
        return True


def _refused(error: FlashError) -> str:
    if "WRPERR" in error.flags:
        return "refused as protected (WRPERR)"
    return f"the flash controller reported {', '.join(error.flags) or error.problem}"
