"""The test itself: back up, then for each step erase, look, program, look; and put the contents back whatever comes.

What the user's flash held is never given up silently: every way out says what was done, whether the contents are back,
and where they wait otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import NoReturn

import msgspec
import numpy as np

from h5diag.case.results import Conditions, FlashTest, SectorTest
from h5diag.chip import Sector
from h5diag.errors import Cancelled, InputError, PowerLost, ProbeError, TargetError
from h5diag.memory import Access, AddressRange, Bytes, Cancel, Progress
from h5diag.probe.board import Board, reconnect
from h5diag.probe.board.identity import require_same_uid
from h5diag.probe.flashtest.classify import classify
from h5diag.probe.flashtest.folder import Folder, Manifest
from h5diag.probe.flashtest.plan import TestPlan, rated_cycles
from h5diag.probe.flashtest.programmer import choose_programmer
from h5diag.probe.flashtest.reading import Backup, Reader, Visit, read_backup
from h5diag.probe.flashtest.restore import (
    Restored,
    leave,
    or_away,
    or_waiting,
    put_back,
    require_ours,
    require_same_banks,
    require_same_chip,
    restore_command,
)
from h5diag.probe.flashtest.second_path import FlashWatch
from h5diag.probe.flashtest.signs import fault_models
from h5diag.probe.flashtest.steps import HaltedCore, PowerSwitch, Stepper, Tell
from h5diag.probe.flashtest.survey import Survey, require_permission, sectors_of, survey
from h5diag.text import count_text


def flash_test(
    board: Board,
    plan: TestPlan,
    path: str,
    *,
    access: Access = Access.UNKNOWN,
    force: bool = False,
    power: PowerSwitch | None = None,
    tell: Tell = lambda text: None,
    show: Callable[[Survey], None] = lambda found: None,
    progress: Progress = lambda fraction: None,
    cancel: Cancel = lambda: False,
) -> FlashTest:
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
    force
        Put an interrupted test's contents back although somebody wrote to the flash since.
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
        When the test must not run, or the disk is full; the text says whether the contents are back.
    ProbeError
        When link or power fail, or sectors do not take their contents back. They wait in the folder for `restore`.
    Cancelled, KeyboardInterrupt
        When `cancel` said so or the person interrupts; the contents are back.
    """
    require_permission(board, plan.range)
    with or_away(board):
        found = survey(board, plan, access=access)
    show(found)
    folder = Folder(path, make=True)
    with folder.alone(), or_away(board):
        if folder.begun:
            require_same_chip(folder.manifest(), found.who, path)
        halted = HaltedCore(board, found.access)
        programmer, core, said = choose_programmer(board, plan, found.access)
        tell(said)
        reader = Reader(board, found.access, found.swapped, core)

        def same_chip() -> None:
            if found.who.uid is not None:
                require_same_uid(board, found.who.uid)

        steps = Stepper(board, plan, found, halted, reader, programmer, power, tell, cancel, same_chip, [said])
        try:
            return _Run(steps, folder, progress, force).go()
        finally:
            leave(board, programmer, core, halted)


@dataclass(slots=True)
class _Run:
    steps: Stepper
    folder: Folder
    progress: Progress
    force: bool
    visits: list[Visit] = field(default_factory=list)
    power_cycles: int = 0
    outside: tuple[AddressRange, ...] = ()

    @property
    def board(self) -> Board:
        return self.steps.board

    @property
    def plan(self) -> TestPlan:
        return self.steps.plan

    @property
    def survey(self) -> Survey:
        return self.steps.survey

    def go(self) -> FlashTest:
        self.progress(0.0)
        self._earlier()
        try:
            backup, sectors, manifest, finished, watch = self._prepared()
        except KeyboardInterrupt:
            raise KeyboardInterrupt("the flash test was stopped before the first erase; nothing was erased") from None
        except ProbeError as error:
            advice = f"nothing was erased; {error.advice}"
            raise type(error)(error.problem, cause=error.cause, advice=advice, passing=error.passing) from None
        restored = Restored()
        if sectors:
            restored = self._test(sectors, manifest, backup.data, finished)
            try:
                self.outside = watch.changed()
                self.steps.reader.forget_ecc()
            except (ProbeError, TargetError) as error:  # the contents are back, and the result is worth keeping
                self.steps.remarks.append(f"the rest of the flash was not compared afterwards: {error}")
        return self._result(backup, sectors, restored)

    # ------------------------------------------------------------------------------------------------ before
    def _prepared(self) -> tuple[Backup, list[Sector], Manifest, set[int], FlashWatch]:
        """Read and keep the backup, and remember the rest of the flash."""
        backup = read_backup(
            self.steps.reader,
            self.plan,
            self.survey,
            progress=lambda f: self.progress(0.1 * f),
            cancel=self.steps.cancel,
        )
        sectors = self._testable(backup)
        who = self.survey.who
        manifest = Manifest(
            chip=who.chip or "",
            dev_id=who.dev_id or 0,
            uid=who.uid,
            start=self.plan.range.start,
            stop=self.plan.range.stop,
            access="secure" if self.survey.access is Access.SECURE else "nonsecure",
            plan=self.plan.key,
            sectors=tuple(s.range.start for s in sectors),
            swapped=self.survey.swapped,
            flash_kib=who.flash_kib,
            options={n: v for n, v in who.registers.items() if n.endswith("_cur") and v is not None},
        )
        finished = self._resumed(manifest, backup.data)
        manifest = self.folder.manifest() if finished else self.folder.keep_backup(manifest, backup.data)
        self.steps.tell(
            f"backup of {count_text(len(sectors), 'sector')} written and verified; it is decrypted firmware, keep it private"
        )
        watch = FlashWatch(self.steps.reader.second, self.survey.visible, self.board.chip.flash.sector_size)
        if sectors:
            watch.remember()
        return backup, sectors, manifest, finished, watch

    def _earlier(self) -> None:
        """Put back what an interrupted test left in this folder."""
        if not self.folder.begun or not self.folder.unfinished:
            return
        manifest, path = self.folder.manifest(), str(self.folder.path)
        if manifest.range != self.plan.range or manifest.access != self.survey.access.value:
            raise InputError(
                f"an interrupted test of {manifest.range} left its contents here",
                source=path,
                advice=f"put them back first: {self._command}",
            )
        require_same_banks(manifest, self.survey.who, self.board.chip, path)
        data = self.folder.backup(manifest)
        with self._or_waiting():
            if not self.force:
                known = None not in (manifest.uid, self.survey.who.uid)
                require_ours(self.steps.reader, manifest, data, path, known=known)
            self.steps.tell("an interrupted test is found here: its contents are put back first")
            done = put_back(self.board, self.steps.programmer, self.steps.reader, manifest, data)
        self._note(done)
        if not done.ok:
            raise self._not_back(done)

    def _testable(self, backup: Backup) -> list[Sector]:
        barred = {o.start for o in (*self.survey.obstacles, *backup.obstacles)}
        return [s for s in sectors_of(self.board.chip, self.plan.range) if s.range.start not in barred]

    def _resumed(self, manifest: Manifest, data: Bytes) -> set[int]:
        """Return the steps that an earlier run of the same plan on the same contents finished."""
        if not self.folder.begun:
            return set()
        old = self.folder.manifest()
        if msgspec.structs.replace(old, sha256="") != manifest or not np.array_equal(self.folder.backup(old), data):
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
        self.steps.lost = {v.sector: v.lost for v in self.visits if v.lost}
        if finished:
            self.steps.remarks.append(
                f"{len(finished)} of {count_text(len(self.plan.steps), 'step')} were done by an interrupted run"
            )
        return finished

    # ------------------------------------------------------------------------------------------------ the steps
    def _test(self, sectors: list[Sector], manifest: Manifest, data: Bytes, finished: set[int]) -> Restored:
        self.folder.note("erasing")
        self.steps.reader.second.erased = True
        speed = self.board.frequency_hz
        steps = [s for s in self.plan.steps if s.number not in finished]
        try:
            for i, step in enumerate(steps):
                self.steps.progress = partial(self._in_step, i, len(steps))
                made = self.steps.make(step, sectors)
                self.visits += made.visits
                self.power_cycles += made.power_cycled
                self.folder.note(
                    "step",
                    number=step.number,
                    power_cycle=int(made.power_cycled),
                    visits=[v.document() for v in made.visits],
                )
            self.folder.note("done")
            return self._put_back(manifest, data, speed)
        except BaseException as stopped:
            self._stopped(stopped, manifest, data, speed)

    def _in_step(self, number: int, of: int, fraction: float) -> None:
        self.progress(0.1 + 0.8 * (number + fraction) / of)

    def _stopped(self, stopped: BaseException, manifest: Manifest, data: Bytes, speed: int) -> NoReturn:
        """Put the contents back whatever came, and say how it ended."""
        with self._or_waiting():
            if isinstance(stopped, PowerLost):  # without power nothing is written: the person looks at the supply first
                raise stopped
            if isinstance(stopped, TargetError | ProbeError):
                self.board.require_alive()
            self.steps.tell("stopping: the contents are put back")
            try:
                done = self._put_back(manifest, data, speed, again=not isinstance(stopped, ProbeError))
            except (ProbeError, TargetError) as error:
                raise (stopped if isinstance(stopped, ProbeError) else error) from None
        if not done.ok:
            raise self._not_back(done) from None
        match stopped:
            case KeyboardInterrupt() | Cancelled():
                raise type(stopped)("the flash test was stopped; the contents are back and verified") from None
            case ProbeError():
                advice = f"the contents are back and verified; {stopped.advice}".rstrip("; ")
                raise ProbeError(stopped.problem, cause=stopped.cause, advice=advice) from None
            case InputError():
                advice = f"the contents are back and verified; {stopped.advice}".rstrip("; ")
                raise InputError(stopped.problem, source=stopped.source, place=stopped.place, advice=advice) from None
        raise stopped

    def _put_back(self, manifest: Manifest, data: Bytes, speed: int, *, again: bool = False) -> Restored:
        """Put the contents back; with `again` over a new connection when the old one was cut in the middle."""
        try:
            if self.board.cut:
                reconnect(self.board, lambda: None)
            done = self._written(manifest, data, speed)
        except ProbeError:
            if not again:
                raise
            reconnect(self.board, lambda: None)
            done = self._written(manifest, data, speed)
        self._note(done)
        self.steps.tell(
            "the contents are back and verified" if done.ok else f"contents not back: {self.folder.path} keeps them"
        )
        return done

    def _written(self, manifest: Manifest, data: Bytes, speed: int) -> Restored:
        self.board.set_frequency(speed)
        self.steps.same_chip()
        if self.steps.halted.was_reset():
            self.steps.halted.hold()
        return put_back(
            self.board,
            self.steps.programmer,
            self.steps.reader,
            manifest,
            data,
            progress=lambda f: self.progress(0.9 + 0.1 * f),
        )

    @property
    def _command(self) -> str:
        return restore_command(self.board.name, self.folder.path)

    def _or_waiting(self) -> AbstractContextManager[None]:
        return or_waiting(self.board.name, self.plan.range, self.folder.path)

    def _note(self, done: Restored) -> None:
        with suppress(InputError):  # a full disk is told by what was written before; the contents are back
            self.folder.note("restored", ok=done.ok, written=list(done.written), failed=list(done.failed))

    def _not_back(self, done: Restored) -> ProbeError:
        places = ", ".join(f"0x{a:08X}" for a in done.failed[:8]) + (" ..." if len(done.failed) > 8 else "")
        return ProbeError(
            f"{count_text(len(done.failed), 'sector')} of {done.sectors} do not take their contents back: {places}",
            advice=f"the others are back; {self.folder.path} keeps the backup, try again with {self._command}",
        )

    # ------------------------------------------------------------------------------------------------ after
    def _result(self, backup: Backup, sectors: list[Sector], restored: Restored) -> FlashTest:
        s, remarks = self.survey, self.steps.remarks
        asked = dict.fromkeys(t.speed_hz for t in self.plan.steps) if sectors else {}
        speeds = tuple(dict.fromkeys(self.steps.true_hz.get(hz, hz) for hz in asked))
        if len(speeds) < len(asked):
            remarks.append(
                "the probe makes the same of several --speeds: they are one speed ("
                + ", ".join(f"{hz / 1e6:g} MHz" for hz in speeds)
                + ")"
            )
        if self.steps.resets:
            remarks.append(f"the chip was reset {count_text(self.steps.resets, 'time')} during the test")
        if self.outside:
            remarks.append(
                "outside of the tested range the flash changed meanwhile: "
                + ", ".join(map(str, self.outside))
                + "; no backup of it was made"
            )
        if self.steps.reader.second.doubtful:
            remarks.append(
                "the link errs at fixed places in a way that other bursts do not show, and the core could not be asked: "
                "the backup may hold its errors, zeros in blocks of 64 bytes or single words; keep the folder, and the "
                "image that was flashed"
            )
        found = classify(self.board.chip, self.plan, self.visits, backup, s.obstacles)
        result = FlashTest(
            bounds=(self.plan.range.start, self.plan.range.stop),
            restored=restored.ok and not self.outside and not self.steps.reader.second.doubtful,
            conditions=Conditions(
                tzen=s.tzen,
                product_state=s.product_state,
                wrp=tuple((r.start, r.stop) for r in s.wrp),
                rev_id=s.who.rev_id,
                voltage_mv=s.voltage_mv,
                swd_hz=speeds,
                rounds=self.plan.rounds if sectors else 0,
                power_cycles=self.power_cycles,
                second_path=self.steps.reader.second.name,
            ),
            sectors=tuple(_completed(found, self.steps.true_hz)),
            fault_count=sum(len(f.faults) for f in found),
            chip=self.board.chip.name,
            chip_known_by=s.who.chip_known_by,
            sector_size=self.board.chip.flash.sector_size,
            level=self.plan.level.value,
            patterns=tuple(dict.fromkeys(t.pattern for t in self.plan.steps)),
            way=self.steps.programmer.way.value,
            access=s.access.value,
            erase_cycles=self.plan.erase_cycles if sectors else 0,
            rated_cycles=rated_cycles(self.board.chip)[0],
            outside=tuple((r.start, r.stop) for r in self.outside),
            remarks=(*s.warnings, *remarks),
            folder=str(self.folder.path),
        )
        try:
            self.folder.keep_result(result)
        except InputError as error:
            return msgspec.structs.replace(result, remarks=(*result.remarks, f"result.json was not written: {error}"))
        return result


def _completed(sectors: Iterable[SectorTest], true_hz: dict[int, int]) -> Iterable[SectorTest]:
    """Yield the sectors with the true link speeds and the level at which each fault sits."""
    replace = msgspec.structs.replace
    for s in sectors:
        faults = tuple(
            replace(
                f,
                swd_hz=tuple(sorted({true_hz.get(hz, hz) for hz in f.swd_hz})),
                level=fault_models().kind(f.kind).level,
            )
            for f in s.faults
        )
        yield replace(s, faults=faults)
