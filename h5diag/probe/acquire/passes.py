"""The passes of a dump: everything once, bad areas last, then again in shuffled order until nothing new shows."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from h5diag.errors import Cancelled, TargetError
from h5diag.memory import Access, AddressRange, Bytes, Cancel, Progress, subtracted
from h5diag.probe.acquire.journal import Journal
from h5diag.probe.acquire.plan import Dump, DumpPlan, SpeedPoint
from h5diag.probe.acquire.votes import Votes
from h5diag.probe.board import Board

Read = Callable[[int, int], Bytes]
"""Returns the bytes from start to stop, or raises `TargetError` for the whole."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A readable run: bus address of its first byte, and its bytes."""

    start: int
    data: Bytes


@dataclass(frozen=True, slots=True)
class Failure:
    """A word that could not be read."""

    range: AddressRange


def read_whole(read: Read, where: AddressRange) -> Piece | None:
    """Return a range read in one burst, or None when the chip refused it."""
    try:
        return Piece(where.start, read(where.start, where.stop))
    except TargetError:
        return None


def read_pieces(read: Read, where: AddressRange) -> Iterator[Piece | Failure]:
    """Yield the readable runs and the failing words of a word-aligned range, in address order."""
    piece = read_whole(read, where)
    if piece:
        yield piece
    elif where.size <= 4:
        yield Failure(where)
    else:
        middle = where.start + (where.size // 2 + 3 & ~3)
        yield from read_pieces(read, AddressRange(where.start, middle))
        yield from read_pieces(read, AddressRange(middle, where.stop))


Watch = Callable[[AddressRange, str], None]
"""Told each chunk as it is finished, with ``read``, ``disputed`` or ``unreadable``."""

_COINCIDENCE = 0.01
_MORE_PASSES = 4
_MAP_EVERY_S = 1.0
_MOST_READS = 24
_EXTRA, _CHEAP = 4, 0x200000
_FEW, _SMALL = 10, 0x10000
_FEWEST_QUIET, _MOST_QUIET = 3, 12
_BAD_TRIES = 2


@dataclass(slots=True)
class Run:
    """One dump under way; its methods are the steps of it.

    Parameters
    ----------
    board, plan, access
        What is read, and how.
    journal
        Gets every reading.
    write_map
        Called about once a second.
    progress, cancel, watch
        As in `dump`.
    votes
        The readings so far.
    failed, recovered
        Addresses of words that could never be read, and of words that failed at times.
    done
        For each pass the starts of the chunks that are finished.
    passes
        Whole passes made.
    faulted
        Bursts that failed and were then read in pieces.
    """

    board: Board
    plan: DumpPlan
    access: Access
    journal: Journal
    write_map: Callable[[], None]
    progress: Progress
    cancel: Cancel
    watch: Watch
    votes: Votes
    failed: set[int] = field(default_factory=set)
    recovered: set[int] = field(default_factory=set)
    done: dict[int, set[int]] = field(default_factory=dict)
    passes: int = 0
    faulted: int = 0
    _mapped_s: float = 0.0

    def replay(self) -> None:
        """Take what an earlier run left in the journal."""
        for entry in self.journal.replay():
            if entry.done:
                self.done.setdefault(entry.number, set()).add(entry.range.start)
            elif entry.data.size:
                self._count(Piece(entry.range.start, entry.data))
            else:
                self._count(Failure(entry.range))

    def read_all(self) -> None:
        """Make the passes, and then read again what disagrees."""
        for number in range(self.plan.most_passes):
            fresh = self._one_pass(number)
            self.passes = number + 1
            more = number > 0 and fresh and number + 1 < self.plan.passes + _MORE_PASSES
            unsure = number > 0 and self.votes.expected_coincidence >= _COINCIDENCE
            if number + 1 >= self.plan.passes and not more and not unsure:
                break
        if self.passes > 1:
            self._work()

    def _one_pass(self, number: int) -> int:
        """Read every chunk once, bad ones last, and return how many words are newly disputed."""
        chunks = list(self.plan.chunks)
        if number:
            random.Random(number).shuffle(chunks)
        finished = self.done.setdefault(number, set())
        later: list[AddressRange] = []
        fresh = 0
        for i, chunk in enumerate(chunks):
            if chunk.start in finished:
                continue
            self._pause((number + i / len(chunks)) / max(self.plan.passes, number + 1))
            holes = [AddressRange(a, a + 4) for a in self.failed if a in chunk]
            refused, news = [], 0
            for part in subtracted((chunk,), holes):
                piece = read_whole(self._read, part)
                if piece is None:
                    refused.append(part)
                else:
                    news += self._take(number, piece)
            fresh += news
            later += refused
            if not refused:
                self._finish(number, chunk)
                self.watch(chunk, "disputed" if news else "read")
        return fresh + self._bad_areas(number, later)

    def _bad_areas(self, number: int, later: Iterable[AddressRange]) -> int:
        fresh = 0
        for part in later:
            self.faulted += 1
            for found in read_pieces(self._read, part):
                self._pause(-1.0)
                fresh += self._take(number, found)
            self.watch(part, "unreadable" if any(a in part for a in self.failed) else "read")
        for address in sorted(self.failed):
            for _ in range(_BAD_TRIES if number == 0 else 1):
                self._pause(-1.0)
                piece = read_whole(self._read, AddressRange(address, address + 4))
                if piece:
                    fresh += self._take(number, piece)
                    break
        for chunk in self.plan.chunks:
            self._finish(number, chunk)
        return fresh

    def _finish(self, number: int, chunk: AddressRange) -> None:
        if chunk.start not in self.done[number]:
            self.done[number].add(chunk.start)
            self.journal.done(number, chunk)

    def _work(self) -> None:
        """Read where readings disagree again and again, until many in a row bring no new disagreement.

        The fewer the places the more often: a handful of weak cells is worth a dozen quiet reads of their whole
        chunk, where more of them may hide; a bad cable is not.
        """
        areas = self._work_areas()
        size = sum(a.size for a in areas)
        budget = max(_EXTRA * self.plan.range.size, _CHEAP) // max(1, size)
        wanted = min(_MOST_QUIET, max(_FEWEST_QUIET, budget))
        for area in areas:
            quiet, reads = 0, 0
            while reads < _MOST_READS and (quiet < wanted or not self.votes.settled(area)):
                self._pause(-1.0)
                fresh, reads = 0, reads + 1
                for found in read_pieces(self._read, area):
                    fresh += self._take(self.passes, found)
                quiet = 0 if fresh else quiet + 1
            self.watch(area, "disputed")

    def _work_areas(self) -> list[AddressRange]:
        blocks = self.votes.disputed_blocks
        if sum(b.size for b in blocks) * _FEW <= self.plan.range.size or self.plan.range.size <= _SMALL:
            return [c for c in self.plan.chunks if any(c.overlaps(b) for b in blocks)]
        return [
            AddressRange(a, min(b.stop, a + self.plan.chunk))
            for b in blocks
            for a in range(b.start, b.stop, self.plan.chunk)
        ]

    def _take(self, number: int, found: Piece | Failure) -> int:
        if isinstance(found, Failure):
            self.journal.failed(number, found.range)
        else:
            self.journal.read(number, found.start, found.data)
        return self._count(found)

    def _count(self, found: Piece | Failure) -> int:
        if isinstance(found, Failure):
            known = self.votes.counts[(found.range.start - self.plan.range.start) // 4] > 0
            (self.recovered if known else self.failed).add(found.range.start)
            return 0
        back = {a for a in self.failed if found.start <= a < found.start + found.data.size}
        self.failed -= back
        self.recovered |= back
        return self.votes.add(found.start, found.data)

    def _read(self, start: int, stop: int) -> Bytes:
        return self.board.read(start, stop, access=self.access)

    def _pause(self, fraction: float) -> None:
        """Between two reads: tell how far it is, write the map now and then, and stop when asked to."""
        if self.cancel():
            raise Cancelled("the dump was stopped; what was read is kept: repeat with --resume")
        if fraction >= 0:
            self.progress(min(fraction, 1.0))
        if time.monotonic() - self._mapped_s > _MAP_EVERY_S:
            self._mapped_s = time.monotonic()
            self.write_map()


SPEEDS_HZ = (500_000, 1_000_000, 4_000_000, 8_000_000, 16_000_000, 24_000_000)
_MOST_BYTES = 0x40000


def sweep(
    board: Board,
    dumped: Dump,
    *,
    speeds_hz: tuple[int, ...] = SPEEDS_HZ,
    progress: Progress = lambda fraction: None,
    cancel: Cancel = lambda: False,
) -> tuple[SpeedPoint, ...]:
    """Read what was dumped once more at each speed and count the bytes that differ from it or fail.

    At most 256 KB are read per speed, spread over the dump. The speed is put back in the end.

    Raises
    ------
    ProbeError
        When the link fails for good.
    """
    areas = _sample(dumped)
    before = board.frequency_hz
    out: list[SpeedPoint] = []
    try:
        for i, speed in enumerate(sorted(speeds_hz)):
            board.set_frequency(speed)
            read, bad = 0, 0
            for area in areas:
                if cancel():
                    return tuple(out)
                read += area.size
                bad += _disagreeing(board, dumped, area)
            out.append(SpeedPoint(speed, read, bad))
            progress((i + 1) / len(speeds_hz))
    finally:
        board.set_frequency(before)
    return tuple(out)


def _disagreeing(board: Board, dumped: Dump, area: AddressRange) -> int:
    bad = 0
    for found in read_pieces(lambda a, b: board.read(a, b, access=dumped.image.access), area):
        if isinstance(found, Piece):
            bad += int(np.count_nonzero(found.data != dumped.image.read(found.start, found.start + found.data.size)))
        else:
            bad += found.range.size
    return bad


def _sample(dumped: Dump) -> list[AddressRange]:
    chunks = [
        AddressRange(a, min(r.stop, a + 0x4000)) for r in dumped.image.ranges for a in range(r.start, r.stop, 0x4000)
    ]
    step = max(1, -(-sum(c.size for c in chunks) // _MOST_BYTES))
    return chunks[::step]
