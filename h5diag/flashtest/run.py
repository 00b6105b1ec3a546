"""The test itself: back up, then for each step erase, look, program, look; and put the contents back whatever comes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from h5diag.board import Board, own_power_switch
from h5diag.board.programming import FlashError
from h5diag.chip import Sector
from h5diag.errors import Cancelled, InputError, ProbeError, TargetError
from h5diag.flashtest.backup import Backup, read_backup
from h5diag.flashtest.classify import classify
from h5diag.flashtest.folder import Folder, Manifest
from h5diag.flashtest.observe import Reading, Visit
from h5diag.flashtest.patterns import ROW, ordered, pattern
from h5diag.flashtest.plan import Step, TestPlan, Way
from h5diag.flashtest.programmer import ByRegisters, Programmer, choose_programmer
from h5diag.flashtest.reading import Reader
from h5diag.flashtest.restore import Restored, put_back, require_same_chip
from h5diag.flashtest.result import Conditions, FlashTestResult
from h5diag.flashtest.session import Held
from h5diag.flashtest.survey import Survey, require_permission, sectors_of, survey
from h5diag.memory import Access, AddressRange, Bytes, Cancel, Progress

PowerSwitch = Callable[[], None]
Tell = Callable[[str], None]
_MOST_RESETS = 5


def flash_test(board: Board, plan: TestPlan, path: str, *, access: Access = Access.UNKNOWN,
               power: PowerSwitch | None = None, tell: Tell = lambda text: None,
               show: Callable[[Survey], None] = lambda found: None, progress: Progress = lambda fraction: None,
               cancel: Cancel = lambda: False) -> FlashTestResult:
    """Test the flash of a connected chip and put its contents back.

    Parameters
    ----------
    board
        Connected with permissions to halt and to erase exactly the range of the plan (and ``ram`` for the algorithm).
    plan
        What to do.
    path
        Private folder for backup and journal. One of an interrupted test of the same chip is noticed: its contents
        are put back first, and with the same plan the test goes on where it was.
    access
        Side of the flash; by default the secure one when TrustZone is on.
    power
        Turns the supply off and on while the probe is free, by asking the person for example. A virtual chip does it
        by itself.
    tell, show
        Told what happens, in sentences; shown what was found out before anything is erased.
    progress, cancel
        Told how far it is; asked between sectors whether to stop.

    Raises
    ------
    PermissionRefused, InputError
        When the test must not run; nothing was erased then.
    ProbeError
        When the link fails. The contents wait in the folder for `restore`.
    Cancelled
        When `cancel` said so; the contents are back.
    """
    require_permission(board, plan.range)
    found = survey(board, plan, access=access)
    show(found)
    folder = Folder(path, make=True)
    held = Held(board, found.access)
    reader = Reader(board, found.access, found.swapped)
    programmer, said = choose_programmer(board, plan, found.access)
    tell(said)
    run = _Run(board, plan, found, folder, held, reader, programmer, power, tell, progress, cancel)
    run.remarks.append(said)
    try:
        return run.go()
    finally:
        _quietly(programmer.close)
        _quietly(held.release)


def _quietly(step: Callable[[], None]) -> None:
    """Tidy up; a link that is gone is told by the error that led here."""
    try:
        step()
    except (ProbeError, TargetError):
        return


@dataclass(slots=True)
class _Run:
    board: Board
    plan: TestPlan
    survey: Survey
    folder: Folder
    held: Held
    reader: Reader
    programmer: Programmer
    power: PowerSwitch | None
    tell: Tell
    progress: Progress
    cancel: Cancel
    remarks: list[str] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    lost: dict[int, str] = field(default_factory=dict)
    power_cycles: int = 0
    resets: int = 0

    def go(self) -> FlashTestResult:
        self._earlier()
        backup = read_backup(self.reader, self.plan, self.survey, progress=lambda f: self.progress(0.1 * f),
                             cancel=self.cancel)
        sectors = self._testable(backup)
        who = self.survey.who
        manifest = Manifest(who.chip, who.dev_id, who.uid, self.plan.range.start, self.plan.range.stop,
                            self.survey.access.value, self.plan.key, tuple(s.range.start for s in sectors), "")
        finished = self._resumed(manifest, backup.data)
        if not finished:
            manifest = self.folder.keep_backup(manifest, backup.data)
        else:
            manifest = self.folder.manifest()
        self.tell(f"backup of {len(sectors)} sectors written and verified; it is decrypted firmware, keep it private")
        restored = Restored()
        if sectors:
            restored = self._test(sectors, manifest, backup.data, finished)
        return self._result(backup, sectors, restored)

    # ------------------------------------------------------------------------------------------------ before
    def _earlier(self) -> None:
        """Put back what an interrupted test left in this folder."""
        if not self.folder.begun or not self.folder.unfinished:
            return
        manifest = self.folder.manifest()
        require_same_chip(manifest, self.survey.who.chip, self.survey.who.uid, str(self.folder.path))
        if manifest.range != self.plan.range or manifest.access != self.survey.access.value:
            raise InputError(f"an interrupted test of {manifest.range} left its contents here",
                             source=str(self.folder.path),
                             advice=f"put them back first: h5diag flashtest --probe P --restore {self.folder.path}")
        self.tell("an interrupted test is found here: its contents are put back first")
        done = put_back(self.board, self.programmer, self.reader, manifest, self.folder.backup(manifest))
        self.folder.note("restored", ok=done.ok, written=list(done.written), failed=list(done.failed))
        if not done.ok:
            raise InputError(f"{len(done.failed)} sectors do not take their contents back", advice="the backup is kept;"
                             " nothing more is erased", source=str(self.folder.path))

    def _testable(self, backup: Backup) -> list[Sector]:
        barred = {o.start for o in (*self.survey.obstacles, *backup.obstacles)}
        return [s for s in sectors_of(self.board.chip, self.plan.range) if s.range.start not in barred]

    def _resumed(self, manifest: Manifest, data: Bytes) -> set[int]:
        """Return the steps that an earlier run of the same plan on the same contents finished."""
        if not self.folder.begun:
            return set()
        old = self.folder.manifest()
        if replace(old, sha256="") != manifest or not np.array_equal(self.folder.backup(old), data):
            return set()
        finished, size = set[int](), self.board.chip.flash.sector_size
        for event in self.folder.events():
            if event["event"] == "done":
                return set()
            if event["event"] == "step":
                try:
                    self.visits += [Visit.of(v, size) for v in event["visits"]]
                    finished.add(int(event["number"]))
                    self.power_cycles += int(event["power_cycle"])
                except (KeyError, TypeError, ValueError):
                    continue
        self.lost = {v.sector: v.lost for v in self.visits if v.lost}
        if finished:
            self.remarks.append(f"{len(finished)} of {len(self.plan.steps)} steps were done by an interrupted run")
        return finished

    # ------------------------------------------------------------------------------------------------ the steps
    def _test(self, sectors: list[Sector], manifest: Manifest, data: Bytes, finished: set[int]) -> Restored:
        self.folder.note("erasing")
        speed = self.board.frequency_hz
        steps = [s for s in self.plan.steps if s.number not in finished]
        try:
            for i, step in enumerate(steps):
                self._step(step, sectors, 0.1 + 0.8 * i / len(steps))
            self.folder.note("done")
        except ProbeError as error:
            raise self._waiting(error) from None
        except BaseException:
            self.tell("stopping: the contents are put back")
            self._put_back(manifest, data, speed)
            raise
        return self._put_back(manifest, data, speed)

    def _put_back(self, manifest: Manifest, data: Bytes, speed: int) -> Restored:
        try:
            self.board.set_frequency(speed)
            if self.held.was_reset():
                self.held.hold()
            done = put_back(self.board, self.programmer, self.reader, manifest, data,
                            progress=lambda f: self.progress(0.9 + 0.1 * f))
        except ProbeError as error:
            raise self._waiting(error) from None
        self.folder.note("restored", ok=done.ok, written=list(done.written), failed=list(done.failed))
        self.tell("the contents are back and verified" if done.ok else
                  f"{len(done.failed)} sectors do not take their contents back: {self.folder.path} keeps them")
        return done

    def _waiting(self, error: ProbeError) -> ProbeError:
        return ProbeError(error.problem, cause=error.cause,
                          advice=f"the contents of {self.plan.range} wait in {self.folder.path}: put them back with "
                                 f"h5diag flashtest --probe {self.board.name} --restore {self.folder.path}")

    def _step(self, step: Step, sectors: list[Sector], fraction: float) -> None:
        self.progress(fraction)
        self.board.set_frequency(step.speed_hz)
        chosen = [sectors[i] for i in ordered(len(sectors), step.order, step.number)
                  if sectors[i].range.start not in self.lost]
        visits = {s.range.start: Visit(s.range.start, step.number) for s in chosen}
        self._each(chosen, visits, "erasing", self._erase)
        self._look(chosen, visits, step, "erased")
        self._each(chosen, visits, "programming", lambda s, v: self._program(s, v, step))
        if self.plan.wait_s:
            time.sleep(self.plan.wait_s)
        self._look(chosen, visits, step, "programmed")
        if step.pattern == "address":
            self._outside(sectors, visits)
        cycled = step.last_of_round and step.round < self.plan.rounds and self._power_cycle()
        if cycled:
            self._look(chosen, visits, step, "again")
        self.visits += visits.values()
        self.lost |= {v.sector: v.lost for v in visits.values() if v.lost}
        self.folder.note("step", number=step.number, power_cycle=int(cycled),
                         visits=[v.document() for v in visits.values()])

    def _each(self, sectors: Iterable[Sector], visits: dict[int, Visit], session: str,
              act: Callable[[Sector, Visit], Visit]) -> None:
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
                self.held.hold()

    def _some(self, todo: deque[Sector], visits: dict[int, Visit], act: Callable[[Sector, Visit], Visit]) -> bool:
        """Take sectors until none is left or the chip was reset; then return True."""
        while todo:
            if self.cancel():
                raise Cancelled("the flash test was stopped; the contents are back")
            s = todo.popleft()
            start = s.range.start
            try:
                visits[start] = act(s, visits[start])
            except FlashError as error:
                visits[start] = replace(visits[start], flags=error.flags, lost=_refused(error))
            except TargetError as error:
                visits[start] = replace(visits[start], lost=f"the bus refused ({error.problem})")
                if self.programmer.way is Way.ALGORITHM:
                    raise
            if self.held.was_reset():
                visits[start] = replace(visits[start], lost="the chip was reset while it was being tested")
                return True
        return False

    def _fall_back(self, error: TargetError) -> None:
        """Go on without core and SRAM when they fail."""
        said = f"the algorithm in SRAM failed ({error.cause or error.problem}): on by register accesses alone"
        self.tell(said)
        self.remarks.append(said)
        self.programmer = ByRegisters(self.board, self.survey.access, self.plan.burst)
        self.held.hold()

    def _erase(self, sector: Sector, visit: Visit) -> Visit:
        return replace(visit, erase_s=self.programmer.erase(sector))

    def _program(self, sector: Sector, visit: Visit, step: Step) -> Visit:
        at, data = sector.range.start, self._meant(sector.range, step)
        rows = data.size // ROW if step.order != "ascending" else 1
        width = data.size // rows
        pieces = [(at + i * width, data[i * width:(i + 1) * width]) for i in ordered(rows, step.order, step.number)]
        return replace(visit, program_s=self.programmer.program(pieces))

    def _meant(self, sector: AddressRange, step: Step) -> Bytes:
        return pattern(step.pattern, sector.start, sector.size, step.round - 1)

    def _look(self, sectors: Iterable[Sector], visits: dict[int, Visit], step: Step, phase: str) -> None:
        blank = np.full(self.board.chip.flash.sector_size, self.board.chip.flash.erased, np.uint8)
        for s in sectors:
            visit = visits[s.range.start]
            if visit.lost:
                continue
            if self.cancel():
                raise Cancelled("the flash test was stopped; the contents are back")
            meant = blank if phase == "erased" else self._meant(s.range, step)
            reads = 1 if phase == "erased" else self.plan.reads
            judged = self.reader.compare(s.range, meant, reads, min(self.plan.speeds_hz))
            changes: dict[str, Reading | str] = {phase: judged.reading, "lost": judged.lost}
            visits[s.range.start] = replace(visit, **changes)  # type: ignore[arg-type]

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
        switch = own_power_switch(self.board) or self.power
        if not self.plan.power_cycles or switch is None:
            return False
        self.held.power_cycled(switch)
        self.power_cycles += 1
        return True

    # ------------------------------------------------------------------------------------------------ after
    def _result(self, backup: Backup, sectors: list[Sector], restored: Restored) -> FlashTestResult:
        s = self.survey
        conditions = Conditions(s.tzen, s.product_state, s.wrp, s.who.rev_id, s.voltage_mv,
                                tuple(dict.fromkeys(t.speed_hz for t in self.plan.steps)) if sectors else (),
                                self.plan.rounds if sectors else 0, self.power_cycles)
        found = classify(self.board.chip, self.plan, self.visits, backup, s.obstacles)
        if self.resets:
            self.remarks.append(f"the chip was reset {self.resets} times during the test")
        result = FlashTestResult(self.plan, self.board.chip, restored.ok, conditions, found,
                                 self.plan.erase_cycles if sectors else 0, self.programmer.way,
                                 s.access, (*s.warnings, *self.remarks))
        self.folder.keep_result(result.document())
        return result


def _refused(error: FlashError) -> str:
    if "WRPERR" in error.flags:
        return "refused as protected (WRPERR)"
    return f"the flash controller reported {', '.join(error.flags) or error.problem}"
