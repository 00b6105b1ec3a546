"""The test itself: back up, then for each step erase, look, program, look; and put the contents back whatever comes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from h5diag.chip import Sector
from h5diag.errors import InputError, ProbeError, TargetError
from h5diag.memory import Access, AddressRange, Bytes, Cancel, Progress
from h5diag.probe.board import Board, identify
from h5diag.probe.flashtest.classify import classify
from h5diag.probe.flashtest.folder import Folder, Manifest
from h5diag.probe.flashtest.plan import SPEEDS_HZ, TestPlan, Way
from h5diag.probe.flashtest.programmer import ByRegisters, Programmer, choose_programmer
from h5diag.probe.flashtest.reading import Backup, Reader, Visit, read_backup
from h5diag.probe.flashtest.result import Conditions, FlashTestResult
from h5diag.probe.flashtest.steps import Held, PowerSwitch, Stepper, Tell
from h5diag.probe.flashtest.survey import Survey, require_open, require_permission, sectors_of, survey

_TRIES = 3


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did: sectors looked at, written again, and those that do not take their contents back."""

    sectors: int = 0
    written: tuple[int, ...] = ()
    failed: tuple[int, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every sector reads as the backup."""
        return not self.failed


def restore(board: Board, path: str, *, progress: Progress = lambda fraction: None) -> Restored:
    """Put back what an interrupted test left, from its folder.

    Parameters
    ----------
    board
        Connected with permissions for exactly the range of the folder's journal (see `journal_range`).
    path
        The folder.
    progress
        Told how far it is.

    Raises
    ------
    InputError
        When the folder is none, is damaged, or is of another chip.
    PermissionRefused
        When the permissions do not fit, or the chip is not in product state Open.
    ProbeError
        When the link fails; repeat then.
    """
    folder = Folder(path)
    if not folder.begun:
        return Restored()
    manifest = folder.manifest()
    data = folder.backup(manifest)
    require_permission(board, manifest.range)
    who = identify(board)
    require_open(board.chip, who)
    require_same_chip(manifest, who.chip, who.uid, path)
    access = Access(manifest.access)
    held = Held(board, access)
    swapped = bool(board.chip.register("OPTCR").get("SWAP_BANK", board.register("OPTCR")))
    reader = Reader(board, access, swapped)
    programmer, _ = choose_programmer(board, TestPlan(manifest.range, way=Way.AUTO), access)
    try:
        done = put_back(board, programmer, reader, manifest, data, progress=progress)
        folder.note("restored", ok=done.ok, written=list(done.written), failed=list(done.failed))
    finally:
        programmer.close()
        held.release()
    return done


def require_same_chip(manifest: Manifest, chip: str, uid: str, path: str) -> None:
    """Raise `InputError` when the folder's backup is of another chip than the connected one."""
    told = {uid, manifest.uid} - {"unknown"}
    if chip != manifest.chip or len(told) > 1:
        raise InputError(
            f"the backup is of another chip ({manifest.chip} {manifest.uid}), connected is {chip} {uid}",
            source=path,
            advice="connect the board that was tested; nothing was written",
        )


def put_back(
    board: Board,
    programmer: Programmer,
    reader: Reader,
    manifest: Manifest,
    data: Bytes,
    *,
    progress: Progress = lambda fraction: None,
) -> Restored:
    """Compare every sector of the journal with the backup and write those that differ.

    Quad-words that are erased in the backup stay unprogrammed. A sector that does not take its contents is tried three
    times, then at the slowest link speed, and named in the result.
    """
    speed = board.frequency_hz
    written, failed = list[int](), list[int]()
    sectors = [s for s in sectors_of(board.chip, manifest.range) if s.range.start in set(manifest.sectors)]
    for i, s in enumerate(sectors):
        at = s.range.start - manifest.start
        meant = data[at : at + s.range.size]
        for attempt in range(_TRIES):
            if _equal(reader, s.range, meant):
                break
            if attempt:
                board.set_frequency(min(speed, *SPEEDS_HZ))
            try:
                with programmer.erasing():
                    programmer.erase(s)
                with programmer.programming():
                    programmer.program([(s.range.start, meant)])
            except TargetError:  # the comparison says it
                programmer = ByRegisters(board, reader.access, board.chip.flash.program_unit)
                continue
            if s.range.start not in written:
                written.append(s.range.start)
        else:
            if not _equal(reader, s.range, meant):
                failed.append(s.range.start)
        board.set_frequency(speed)
        progress((i + 1) / len(sectors))
    return Restored(len(sectors), tuple(written), tuple(failed))


def _equal(reader: Reader, sector: AddressRange, meant: Bytes) -> bool:
    """Tell whether a sector reads as the backup, in one of two reads, without an error that the ECC cannot correct."""
    for _ in range(2):
        look = reader.look(sector)
        if not look.unreadable and not look.uncorrected and np.array_equal(look.data, meant):
            return True
    return False


def flash_test(
    board: Board,
    plan: TestPlan,
    path: str,
    *,
    access: Access = Access.UNKNOWN,
    power: PowerSwitch | None = None,
    tell: Tell = lambda text: None,
    show: Callable[[Survey], None] = lambda found: None,
    progress: Progress = lambda fraction: None,
    cancel: Cancel = lambda: False,
) -> FlashTestResult:
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
    steps = Stepper(board, plan, found, held, reader, programmer, power, tell, cancel, [said])
    try:
        return _Run(steps, folder, progress).go()
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
    steps: Stepper
    folder: Folder
    progress: Progress
    visits: list[Visit] = field(default_factory=list)
    power_cycles: int = 0

    @property
    def board(self) -> Board:
        return self.steps.board

    @property
    def plan(self) -> TestPlan:
        return self.steps.plan

    @property
    def survey(self) -> Survey:
        return self.steps.survey

    def go(self) -> FlashTestResult:
        self._earlier()
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
            who.chip,
            who.dev_id,
            who.uid,
            self.plan.range.start,
            self.plan.range.stop,
            self.survey.access.value,
            self.plan.key,
            tuple(s.range.start for s in sectors),
            "",
        )
        finished = self._resumed(manifest, backup.data)
        if not finished:
            manifest = self.folder.keep_backup(manifest, backup.data)
        else:
            manifest = self.folder.manifest()
        self.steps.tell(
            f"backup of {len(sectors)} sectors written and verified; it is decrypted firmware, keep it private"
        )
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
            raise InputError(
                f"an interrupted test of {manifest.range} left its contents here",
                source=str(self.folder.path),
                advice=f"put them back first: h5diag flashtest --probe P --restore {self.folder.path}",
            )
        self.steps.tell("an interrupted test is found here: its contents are put back first")
        done = put_back(self.board, self.steps.programmer, self.steps.reader, manifest, self.folder.backup(manifest))
        self.folder.note("restored", ok=done.ok, written=list(done.written), failed=list(done.failed))
        if not done.ok:
            raise InputError(
                f"{len(done.failed)} sectors do not take their contents back",
                advice="the backup is kept; nothing more is erased",
                source=str(self.folder.path),
            )

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
        self.steps.lost = {v.sector: v.lost for v in self.visits if v.lost}
        if finished:
            self.steps.remarks.append(
                f"{len(finished)} of {len(self.plan.steps)} steps were done by an interrupted run"
            )
        return finished

    # ------------------------------------------------------------------------------------------------ the steps
    def _test(self, sectors: list[Sector], manifest: Manifest, data: Bytes, finished: set[int]) -> Restored:
        self.folder.note("erasing")
        speed = self.board.frequency_hz
        steps = [s for s in self.plan.steps if s.number not in finished]
        try:
            for i, step in enumerate(steps):
                self.progress(0.1 + 0.8 * i / len(steps))
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
        except ProbeError as error:
            raise self._waiting(error) from None
        except BaseException:
            self.steps.tell("stopping: the contents are put back")
            self._put_back(manifest, data, speed)
            raise
        return self._put_back(manifest, data, speed)

    def _put_back(self, manifest: Manifest, data: Bytes, speed: int) -> Restored:
        try:
            self.board.set_frequency(speed)
            if self.steps.held.was_reset():
                self.steps.held.hold()
            done = put_back(
                self.board,
                self.steps.programmer,
                self.steps.reader,
                manifest,
                data,
                progress=lambda f: self.progress(0.9 + 0.1 * f),
            )
        except ProbeError as error:
            raise self._waiting(error) from None
        self.folder.note("restored", ok=done.ok, written=list(done.written), failed=list(done.failed))
        self.steps.tell(
            "the contents are back and verified"
            if done.ok
            else f"{len(done.failed)} sectors do not take their contents back: {self.folder.path} keeps them"
        )
        return done

    def _waiting(self, error: ProbeError) -> ProbeError:
        return ProbeError(
            error.problem,
            cause=error.cause,
            advice=f"the contents of {self.plan.range} wait in {self.folder.path}: put them back with "
            f"h5diag flashtest --probe {self.board.name} --restore {self.folder.path}",
        )

    # ------------------------------------------------------------------------------------------------ after
    def _result(self, backup: Backup, sectors: list[Sector], restored: Restored) -> FlashTestResult:
        s = self.survey
        conditions = Conditions(
            s.tzen,
            s.product_state,
            s.wrp,
            s.who.rev_id,
            s.voltage_mv,
            tuple(dict.fromkeys(t.speed_hz for t in self.plan.steps)) if sectors else (),
            self.plan.rounds if sectors else 0,
            self.power_cycles,
        )
        found = classify(self.board.chip, self.plan, self.visits, backup, s.obstacles)
        if self.steps.resets:
            self.steps.remarks.append(f"the chip was reset {self.steps.resets} times during the test")
        result = FlashTestResult(
            self.plan,
            self.board.chip,
            restored.ok,
            conditions,
            found,
            self.plan.erase_cycles if sectors else 0,
            self.steps.programmer.way,
            s.access,
            (*s.warnings, *self.steps.remarks),
        )
        self.folder.keep_result(result.document())
        return result
