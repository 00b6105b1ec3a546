"""Memory into a dump: every readable byte, every unreadable one listed, every unstable one flagged.

After GNU ddrescue: good areas first, bad ones last and down to their words, a map that is written as it goes, and
resumption. After Glasgow's health test of memories: everything is read again in shuffled order until nothing new shows.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from h5diag import __version__
from h5diag.errors import InputError, ProbeError
from h5diag.evidence.files import Kind, Sidecar, file_sha256, write_image, write_sidecar
from h5diag.evidence.files.kind import SUFFIXES
from h5diag.memory import Access, AddressRange, Cancel, MemoryImage, Origin, Progress, Segment, subtracted
from h5diag.probe.acquire.journal import Identity, Journal
from h5diag.probe.acquire.passes import Run, Watch
from h5diag.probe.acquire.plan import Dump, DumpPlan
from h5diag.probe.acquire.votes import Votes
from h5diag.probe.board import Board, Identification, identify

TOOL = f"h5diag {__version__}"
_WRITABLE = (Kind.BIN, Kind.HEX, Kind.SREC, Kind.ELF)


def dump(
    board: Board,
    plan: DumpPlan,
    *,
    path: str = "",
    resume: bool = False,
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
        ``path.reads`` holds the reads until the dump is complete. Empty writes nothing.
    resume
        Go on with what ``path.reads`` holds, after checking that it is the same chip.
    progress, cancel, watch
        Told how far it is, asked whether to stop, told about each chunk.

    Raises
    ------
    InputError
        When a file cannot be written, or the reads to resume are of another chip.
    ProbeError
        When the link fails; what was read by then is kept for `resume`.
    PermissionRefused
        When secure reads are asked for and the chip does not allow them.
    Cancelled
        When `cancel` says so; what was read by then is kept for `resume`.
    """
    if path and SUFFIXES.get(Path(path).suffix.lower()) not in _WRITABLE:
        raise InputError(
            f"memory cannot be written as {Path(path).suffix or 'a file without suffix'}",
            source=path,
            advice="use .bin, .hex, .srec or .elf",
        )
    access = choose_access(board, plan)
    who = identify(board)
    identity = Identity(who.chip, who.dev_id, who.uid, access.value, plan.range.start, plan.range.stop, plan.chunk)
    journal = Journal(path + ".reads" if path else "", identity, resume=resume)
    run = Run(
        board, plan, access, journal, lambda: _write_map(run, who, path), progress, cancel, watch, Votes(plan.range)
    )
    try:
        run.replay()
        run.read_all()
        result = _result(run, who)
        if path:
            result = _write(result, Path(path))
    except ProbeError as error:
        _keep(run, who, path)
        kept = "; what was read is kept: repeat with --resume" if path and "--resume" not in error.advice else ""
        raise ProbeError(error.problem, advice=error.advice + kept, cause=error.cause) from None
    except BaseException:
        _keep(run, who, path)
        raise
    journal.close(delete=True)
    progress(1.0)
    return result


def choose_access(board: Board, plan: DumpPlan) -> Access:
    """Return the attribute to read with: as asked for, else by the alias that the range names."""
    if plan.access is not Access.UNKNOWN:
        return plan.access
    secure = (
        board.chip.flash.secure_base != board.chip.flash.base
        and board.chip.canonical(plan.range.start) != plan.range.start
    )
    return Access.SECURE if secure and board.secure_allowed else Access.NONSECURE


def _origin(run: Run, who: Identification, remarks: tuple[str, ...]) -> Origin:
    mode = {"attach": "hotplug", "halt": "normal"}.get(run.board.mode.value, run.board.mode.value)
    return Origin(
        run.board.name, "probe", run.access, mode, who.chip, datetime.now(UTC).isoformat(timespec="seconds"), remarks
    )


def _failed(run: Run) -> tuple[AddressRange, ...]:
    return tuple(AddressRange(a, a + 4) for a in run.failed)


def _result(run: Run, who: Identification) -> Dump:
    votes, base = run.votes, run.votes.range.start
    known = subtracted((votes.range,), votes.unread)
    segments = tuple(Segment(r.start, votes.value[r.start - base : r.stop - base]) for r in known)
    image = MemoryImage(segments, _failed(run), votes.disputed)
    result = Dump(image, run.passes, run.board.frequency_hz, who.uid, votes.expected_coincidence, len(run.recovered))
    origin = _origin(run, who, (result.wording, *_remarks(run, who)))
    return replace(result, image=image.with_origin(origin))


def _remarks(run: Run, who: Identification) -> list[str]:
    out = [f"probe {run.board.probe_id}", f"product state {who.product_state}, TrustZone {who.trustzone}"]
    out += [f"{name} = 0x{value:08X}" for name, value in who.registers if name.endswith("_CUR")]
    for name in ("ECCCORR", "ECCDETR"):
        value = run.board.register(name)
        place = run.board.chip.ecc_location(name, value)
        if place.size:
            when = "before the dump" if value == who.register(name) else "during the dump"
            out.append(f"{name} reports an error at 0x{place.address:08X} ({place.kind.value}, met {when})")
    out += _zero_remarks(run, who)
    if run.faulted:
        out.append(f"{run.faulted} reads failed as a whole and were made in pieces")
    if run.recovered:
        out.append(f"{len(run.recovered)} words failed in one read and could be read in another")
    return out


def _zero_remarks(run: Run, who: Identification) -> list[str]:
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
            f"{zero} whole sectors read as zeros, as those of the other security attribute and hidden ones do; "
            "nothing is known about their cells"
        )
    return out


def _write(result: Dump, path: Path) -> Dump:
    if not result.image.size:
        write_sidecar(path, replace(result.sidecar(TOOL), base=result.image.unreadable[0].start))
        return result
    write_image(result.image, path, sidecar=result.sidecar(TOOL))
    return replace(result, path=path, sha256=file_sha256(path))


def _write_map(run: Run, who: Identification, path: str) -> None:
    if not path:
        return
    image = MemoryImage((), _failed(run), run.votes.disputed, _origin(run, who, ("the dump is not finished",)))
    unread = subtracted(run.votes.unread, image.unreadable)
    known = Sidecar.of(
        image,
        base=run.plan.range.start,
        unread=unread,
        passes=run.passes,
        swd_hz=run.board.frequency_hz,
        uid=who.uid,
        tool=TOOL,
    )
    with suppress(OSError):  # a full disk shows when the reads themselves are written
        write_sidecar(path, known)


def _keep(run: Run, who: Identification, path: str) -> None:
    _write_map(run, who, path)
    run.journal.close()
