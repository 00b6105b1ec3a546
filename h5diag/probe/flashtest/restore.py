"""Contents put back: after a test, and after a kill, an exception or a pulled cable."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from h5diag.errors import InputError, TargetError
from h5diag.memory import Access, AddressRange, Bytes, Progress
from h5diag.probe.board import Board, identify
from h5diag.probe.flashtest.folder import Folder, Manifest
from h5diag.probe.flashtest.plan import SPEEDS_HZ, TestPlan, Way
from h5diag.probe.flashtest.programmer import ByRegisters, Programmer, choose_programmer
from h5diag.probe.flashtest.reading import Reader
from h5diag.probe.flashtest.session import Held
from h5diag.probe.flashtest.survey import require_open, require_permission, sectors_of

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
