"""Memory into a dump: every readable byte, every unreadable one listed, every unstable one flagged.

After GNU ddrescue: good areas first, bad ones last and down to their words, a map that is written as it goes, and
resumption. After Glasgow's health test of memories: everything is read again in shuffled order until nothing new shows.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from h5diag import __version__
from h5diag.case.results import Identity
from h5diag.errors import InputError, ProbeError, TargetError
from h5diag.evidence.door import remove_written
from h5diag.evidence.files import (
    Kind,
    Sidecar,
    read_sidecar,
    sidecar_path,
    write_image,
    write_sidecar,
)
from h5diag.evidence.files.kind import SUFFIXES
from h5diag.memory import Access, AddressRange, Cancel, MemoryImage, Origin, Progress, Segment, subtracted
from h5diag.probe.acquire.journal import Head, Journal
from h5diag.probe.acquire.passes import Run, Watch
from h5diag.probe.acquire.plan import Dump, DumpPlan
from h5diag.probe.acquire.votes import Votes
from h5diag.probe.board.identity import identify
from h5diag.text import count_text

if TYPE_CHECKING:
    from h5diag.probe.board import Board

TOOL = f"h5diag {__version__}"
_WRITABLE = (Kind.BIN, Kind.HEX, Kind.SREC, Kind.ELF)


def dump(
    board: Board,
    plan: DumpPlan,
    *,
    path: str = "",
    force: bool = False,
    progress: Progress = lambda fraction: None,
    cancel: Cancel = lambda: False,
    watch: Watch = lambda where, state: None,
) -> Dump:
    """Read a range of a chip in several passes, into a file or only into memory.

    Parameters
    ----------
    board
        A connected chip.
    plan
        What to read.
    path
        File to write, its suffix tells the format; ``path.map.json`` is kept up to date meanwhile, and
        ``path.reads`` holds the reads until the dump is complete: an interrupted dump goes on with them. Empty writes
        nothing.
    force
        Replace a dump of the same chip, or throw its reads away; another chip's are never replaced.
    progress, cancel, watch
        Told how far it is, asked whether to stop, told about each chunk.

    Raises
    ------
    InputError
        When a file is there already or cannot be written, or the reads to go on with are of another chip.
    ProbeError
        When the link stays dead; what was read by then is kept.
    PermissionRefused
        When secure reads are asked for and the chip does not allow them.
    Cancelled, KeyboardInterrupt
        When `cancel` says so or the person interrupts; what was read by then is kept.
    """
    if path and SUFFIXES.get(Path(path).suffix.lower()) not in _WRITABLE:
        raise InputError(
            f"memory cannot be written as {Path(path).suffix or 'a file without suffix'}",
            source=path,
            advice="use .bin, .hex, .srec or .elf",
        )
    access = choose_access(board, plan)
    who = identify(board)
    if path:
        _make_way(Path(path), who, force)
    options = {n: v for n, v in who.registers.items() if n.endswith("_cur") and v is not None}
    head = Head(who.chip, who.dev_id, who.uid, access.value, plan.range.start, plan.range.stop, plan.chunk, options)
    journal = Journal(path + ".reads" if path else "", head, fresh=force)
    run = Run(
        board,
        plan,
        access,
        journal,
        lambda: _write_map(run, who, path),
        progress,
        cancel,
        watch,
        Votes(plan.range),
        who.uid,
    )
    speed = board.frequency_hz
    try:
        run.replay()
        run.require_same_contents()
        run.read_all()
        result = _result(run, who)
        if path:
            result = _write(result, Path(path), plan.range)
    except ProbeError as error:
        _keep(run, who, path)
        kept = "; what was read is kept: give the same command again to go on (--resume)" if path else ""
        raise ProbeError(error.problem, advice=error.advice + kept, cause=error.cause) from None
    except KeyboardInterrupt:
        _keep(run, who, path)
        if not path:
            raise
        raise KeyboardInterrupt(
            f"the dump was stopped; what was read is kept in {path}.reads: the same command goes on with it (--resume)"
        ) from None
    except BaseException:
        _keep(run, who, path)
        raise
    finally:
        if board.frequency_hz != speed and not board.closed:
            with suppress(ProbeError):
                board.set_frequency(speed)
    journal.close(delete=True)
    progress(1.0)
    return result


def _make_way(path: Path, who: Identity, force: bool) -> None:
    """Refuse to replace a dump unasked, and another chip's in any case; it stays until the new one is whole."""
    beside = sidecar_path(path)
    if path.with_name(path.name + ".reads").exists() or not (path.exists() or beside.exists()):
        return
    if not force:
        raise InputError(
            "is there already", source=str(path), advice="name another file, or use --force to replace this dump"
        )
    try:
        owner = read_sidecar(path).uid
    except InputError:
        owner = None
    if owner and owner != who.uid:
        raise InputError(
            f"is the dump of another chip (UID {owner}), connected is {who.uid or 'one that does not tell its UID'}",
            source=str(path),
            advice="name another file; not even --force replaces it",
        )


def choose_access(board: Board, plan: DumpPlan) -> Access:
    """Return the attribute to read with: as asked for, else by the alias that the range names."""
    if plan.access is not Access.UNKNOWN:
        return plan.access
    secure = (
        board.chip.flash.secure_base != board.chip.flash.base
        and board.chip.canonical(plan.range.start) != plan.range.start
    )
    return Access.SECURE if secure and board.secure_allowed else Access.NONSECURE


def _origin(run: Run, who: Identity, remarks: tuple[str, ...]) -> Origin:
    mode = {"attach": "hotplug", "halt": "normal"}.get(run.board.mode.value, run.board.mode.value)
    chip, time = who.chip, datetime.now(UTC).isoformat(timespec="seconds")
    return Origin(run.board.name, "probe", run.access, mode, chip, time, remarks)


def _result(run: Run, who: Identity) -> Dump:
    votes, base = run.votes, run.votes.range.start
    known = subtracted((votes.range,), votes.unread)
    segments = tuple(Segment(r.start, votes.value[r.start - base : r.stop - base]) for r in known)
    image = MemoryImage(segments, run.holes, votes.disputed)
    result = Dump(
        image,
        run.passes,
        run.board.true_hz,
        who.uid,
        votes.expected_coincidence,
        retried=run.reader.retried,
        chip_known_by=who.chip_known_by,
    )
    origin = _origin(run, who, (result.wording, *_remarks(run, who)))
    return replace(result, image=image.with_origin(origin))


def _remarks(run: Run, who: Identity) -> list[str]:
    out = [
        f"probe {run.board.probe_id}",
        f"product state {who.product_state_text or 'not known'}, TrustZone {who.trustzone or 'not known'}",
    ]
    out += who.remarks if who.chip is None else ()
    out += [f"{n.upper()} = 0x{v:08X}" for n, v in who.registers.items() if n.endswith("_cur") and v is not None]
    chip = run.board.chip
    for name in ("ECCCORR", "ECCDETR", "ECCR"):
        if all(r.name != name for r in chip.registers):
            continue
        try:
            value = run.board.register(name)
        except (TargetError, ProbeError) as error:  # the reads are whole without it
            out.append(f"{name} could not be read: {error.problem}")
            continue
        place = chip.ecc_location(name, value)
        if place.size:
            when = "before the dump" if value == who.registers.get(name.lower()) else "during the dump"
            out.append(f"{name} reports an error at 0x{place.address:08X} ({place.kind.value}, met {when})")
    out += _zero_remarks(run, who)
    if run.reader.faulted:
        out.append(f"{run.reader.faulted} reads failed as a whole and were made in pieces")
    if run.reader.retried:
        slow = f", at {run.reader.slowest_hz / 1e6:g} MHz at last" if run.reader.slowest_hz else ""
        out.append(
            f"the link failed {count_text(run.reader.retried, 'time')} in passing; those reads were made again{slow}"
        )
    if run.recovered.any():
        out.append(f"{count_text(int(run.recovered.sum()), 'word')} failed in one read and could be read in another")
    return out


def _zero_remarks(run: Run, who: Identity) -> list[str]:
    """Say what zeros may be: the reader was not allowed to see, which happens in whole sectors and without a fault."""
    chip, votes, out = run.board.chip, run.votes, list[str]()
    start = chip.canonical(votes.range.start)
    if start != votes.range.start and run.access is Access.NONSECURE:
        out.append(
            "the secure alias was read non-secure (asked for, or the chip allows no secure accesses): "
            "the attribute decides, not the alias"
        )
    if start not in chip.flash_range or who.trustzone == "off":
        return out
    size = chip.flash.sector_size
    offsets = range(-start % size, votes.range.size - size + 1, size)
    zero = sum(
        not votes.value[a : a + size].any() and bool(votes.counts[a // 4 : (a + size) // 4].all()) for a in offsets
    )
    if zero:
        out.append(
            f"{count_text(zero, 'whole sector')} read as zeros, as those of the other security attribute and hidden ones do; "
            "nothing is known about their cells"
        )
    return out


def _write(result: Dump, path: Path, where: AddressRange) -> Dump:
    if not result.image.size:
        write_sidecar(path, msgspec.structs.replace(result.sidecar(TOOL), base=where.start))
        remove_written(path)  # an older dump is not what this map is about
        return result
    write_image(result.image, path, sidecar=result.sidecar(TOOL), span=where)
    return replace(result, path=path, sha256=read_sidecar(path).sha256)


def _write_map(run: Run, who: Identity, path: str) -> None:
    if not path or Path(path).exists():  # an older dump keeps its own map until the new one is whole
        return
    image = MemoryImage((), run.holes, run.votes.disputed, _origin(run, who, ("the dump is not finished",)))
    known = Sidecar.of(
        image,
        base=run.plan.range.start,
        unread=subtracted(run.votes.unread, image.unreadable),
        passes=run.passes,
        swd_hz=run.board.true_hz,
        uid=who.uid,
        tool=TOOL,
    )
    with suppress(OSError, InputError):  # a full disk shows when the reads themselves are written
        write_sidecar(path, known)


def _keep(run: Run, who: Identity, path: str) -> None:
    _write_map(run, who, path)
    run.journal.close()
