"""Putting contents back, at the end of a test or from its folder: never over what others wrote, verified in two ways."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np

from h5diag.case.results import Identity
from h5diag.chip import Chip, Sector
from h5diag.errors import InputError, PermissionRefused, ProbeError, TargetError
from h5diag.memory import Access, AddressRange, Bytes, Progress
from h5diag.probe.board import Board, identify
from h5diag.probe.board.identity import options_of
from h5diag.probe.flashtest.folder import Folder, Manifest
from h5diag.probe.flashtest.patterns import could_be_ours
from h5diag.probe.flashtest.plan import SPEEDS_HZ, TestPlan, Way
from h5diag.probe.flashtest.programmer import ByAlgorithm, ByRegisters, Programmer, choose_programmer
from h5diag.probe.flashtest.reading import Reader
from h5diag.probe.flashtest.steps import HaltedCore
from h5diag.probe.flashtest.survey import require_open, require_permission, sectors_of
from h5diag.text import count_text

_TRIES = 3


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did: sectors looked at, written again, and those that do not take their contents back."""

    sectors: int = 0
    written: tuple[int, ...] = ()
    failed: tuple[int, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every sector reads as the backup."""
        return not self.failed


def restore(board: Board, path: str, *, force: bool = False, progress: Progress = lambda fraction: None) -> Restored:
    """Put back what an interrupted test left, from its folder.

    Parameters
    ----------
    board
        Connected with permissions for exactly the range of the folder's manifest.
    path
        The folder.
    force
        Write the backup over contents that somebody else wrote since, and after a test that was finished.
    progress
        Told how far it is.

    Raises
    ------
    InputError
        When the folder is none, is damaged, in use, finished or of another chip, when the banks were exchanged since,
        or when the flash holds what is neither the backup nor a pattern of the test.
    PermissionRefused
        When the permissions do not fit, or the chip is not in product state Open.
    ProbeError
        When the link fails; repeat then.
    """
    folder = Folder(path)
    if not folder.begun or not (folder.erased or force):
        return Restored()
    with folder.alone():
        manifest = folder.manifest()
        data = folder.backup(manifest)
        if not folder.unfinished and not force:
            raise InputError(
                "this test is finished and its contents were put back: there is nothing to put back",
                source=path,
                advice="--force writes the backup over whatever the flash holds now",
            )
        require_permission(board, manifest.range)
        with or_away(board):
            who = identify(board)
            require_open(board.chip, who)
            require_same_chip(manifest, who, path)
            remarks = require_same_banks(manifest, who, board.chip, path)
            access = Access(manifest.access)
            halted = HaltedCore(board, access)
            programmer, core, _ = choose_programmer(board, TestPlan(manifest.range, way=Way.AUTO), access)
            swapped = bool(board.chip.register("OPTCR").get("SWAP_BANK", board.register("OPTCR")))
        reader = Reader(board, access, swapped, core)
        try:
            with or_waiting(board.name, manifest.range, path):
                if not force:
                    require_ours(reader, manifest, data, path, known=None not in (manifest.uid, who.uid))
                done = put_back(board, programmer, reader, manifest, data, progress=progress)
            with suppress(InputError):  # the contents are back, whatever the disk says
                folder.note("restored", ok=done.ok, written=list(done.written), failed=list(done.failed))
        finally:
            leave(board, programmer, core, halted)
    return Restored(done.sectors, done.written, done.failed, remarks)


def require_same_chip(manifest: Manifest, who: Identity, path: str) -> None:
    """Raise `InputError` when the folder's backup is known to be of another chip than the connected one."""
    told = {u for u in (who.uid, manifest.uid) if u is not None}
    if who.chip != manifest.chip or len(told) > 1:
        raise InputError(
            f"the backup is of another chip ({manifest.chip}, UID {manifest.uid or 'not known'}), connected is "
            f"{who.chip}, UID {who.uid or 'not readable'}",
            source=path,
            advice="connect the board that was tested, or name a new folder for this one; nothing was written",
        )


def require_same_banks(manifest: Manifest, who: Identity, chip: Chip, path: str) -> tuple[str, ...]:
    """Raise `InputError` when the backup's addresses mean other cells now; return what else changed, in sentences."""
    options = options_of(who, chip)
    if manifest.swapped is not None and options.swapped != manifest.swapped:
        raise InputError(
            "the banks were exchanged (SWAP_BANK) since the backup was read: its addresses are other cells now",
            source=path,
            advice="exchange them back, then put the contents back; nothing was written",
        )
    if manifest.flash_kib is not None and who.flash_kib != manifest.flash_kib:
        raise InputError(
            f"the chip had {manifest.flash_kib} KiB of flash when the backup was read, and tells {who.flash_kib} now",
            source=path,
            advice="reset the board and try again; nothing was written",
        )
    now = {n: v for n, v in who.registers.items() if v is not None}
    changed = [n.upper() for n, v in manifest.options.items() if n in now and now[n] != v]
    return (f"option registers changed since the backup: {', '.join(changed)}",) if changed else ()


def require_ours(reader: Reader, manifest: Manifest, data: Bytes, path: str, *, known: bool) -> None:
    """Raise `InputError` when a sector holds what neither the backup nor a flash test put there.

    With an unknown UID at least one sector must speak for the backup: it may be another board.
    """
    strange, telling = list[int](), False
    for s in _sectors(reader.board.chip, manifest):
        looks = [reader.look(s.range) for _ in range(2)]
        before = data[s.range.start - manifest.start : s.range.stop - manifest.start]
        ours, tells = could_be_ours([lk.data for lk in looks], before, s.range.start, looks[0].uncorrected)
        telling |= tells
        if not ours:
            strange.append(s.range.start)
    if strange:
        places = ", ".join(f"0x{a:08X}" for a in strange[:4])
        raise InputError(
            f"{count_text(len(strange), 'sector')} hold what neither the backup nor the test wrote ({places}): "
            "somebody programmed the board since, or it is another one",
            source=path,
            advice="keep what is there, or overwrite it with --force; nothing was written",
        )
    if not known and not telling:
        raise InputError(
            "the UID is not known, and nothing in the flash tells that it is the board of the backup",
            source=path,
            advice="reset the board so that it tells its UID, or use --force; nothing was written",
        )


def _sectors(chip: Chip, manifest: Manifest) -> list[Sector]:
    wanted = set(manifest.sectors)
    return [s for s in sectors_of(chip, manifest.range) if s.range.start in wanted]


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
    times, then at the slowest link speed, and named in the result. It is back only when the second way of reading says
    so too.
    """
    speed = board.frequency_hz
    written, failed = list[int](), list[int]()
    sectors = _sectors(board.chip, manifest)
    for i, s in enumerate(sectors):
        progress(i / len(sectors))
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
                board.require_alive()
                programmer = ByRegisters(board, reader.access, board.chip.flash.program_unit)
                continue
            if s.range.start not in written:
                written.append(s.range.start)
        else:
            if not _equal(reader, s.range, meant):
                failed.append(s.range.start)
        board.set_frequency(speed)
    progress(1.0)
    return Restored(len(sectors), tuple(written), tuple(failed))


def _equal(reader: Reader, sector: AddressRange, meant: Bytes) -> bool:
    """Tell whether a sector reads as the backup in both ways, without an error that the ECC cannot correct."""
    looks = [reader.look(sector)]
    if not np.array_equal(looks[0].data, meant):
        looks.append(reader.look(sector))
    if any(lk.uncorrected or lk.unreadable for lk in looks[-1:]):
        return False
    by_core = reader.second.core is not None
    if not by_core and not np.array_equal(looks[-1].data, meant):
        return False
    return not reader.second.differs(sector, meant)


def restore_command(probe: str, path: object) -> str:
    """Return what a person types to put the contents of a folder back."""
    return f"h5diag flashtest --probe {probe} --restore {path}"


def waiting(
    error: ProbeError | TargetError | PermissionRefused, probe: str, where: AddressRange, path: object
) -> ProbeError:
    """Return the error of one who could not put contents back: what failed, where they wait, and how it goes on."""
    cause = getattr(error, "cause", "") or (str(error) if isinstance(error, TargetError) else "")
    return ProbeError(
        error.problem,
        cause=cause,
        advice=f"the contents of {where} are not back, they wait in {path}: when the board answers again put them back "
        f"with {restore_command(probe, path)}",
    )


@contextmanager
def or_away(board: Board) -> Iterator[None]:
    """Tell what the chip refuses while it is away as that, not as a fault of its bus."""
    try:
        yield
    except TargetError:
        board.require_alive()
        raise


@contextmanager
def or_waiting(probe: str, where: AddressRange, path: object) -> Iterator[None]:
    """Turn whatever ends the work inside, Ctrl-C too, into the error that says where the contents wait."""
    try:
        yield
    except (ProbeError, TargetError, PermissionRefused) as error:
        raise waiting(error, probe, where, path) from None
    except KeyboardInterrupt:
        raise waiting(ProbeError("stopped while the contents were put back"), probe, where, path) from None


def leave(board: Board, programmer: Programmer, core: ByAlgorithm | None, halted: HaltedCore) -> None:
    """Tidy up; a link that is gone, or was cut by Ctrl-C, is told by what led here, and no other Ctrl-C hides that."""
    steps = [programmer.close, halted.release]
    if core is not None and core is not programmer:
        steps.insert(1, core.close)
    for step in steps:
        if not board.cut:
            with suppress(ProbeError, TargetError, KeyboardInterrupt):
                step()
