"""The passes of a dump: everything once, bad areas last, then again in other bursts until nothing new shows.

After GNU ddrescue: a passing failure of the link is tried again, smaller, later and slower; a hole costs a few calls,
not one for each of its words; and a readable word is never given up for its neighbour.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from h5diag.case.results import SpeedPoint
from h5diag.errors import Cancelled, InputError, ProbeError, TargetError
from h5diag.memory import Access, AddressRange, Bytes, Cancel, Progress, subtracted
from h5diag.probe.acquire.journal import Journal
from h5diag.probe.acquire.plan import Dump, DumpPlan
from h5diag.probe.acquire.votes import Votes, ranges_of
from h5diag.probe.board.identity import require_same_uid
from h5diag.text import count_text

if TYPE_CHECKING:
    from h5diag.probe.board import Board

Watch = Callable[[AddressRange, str], None]
"""Told each chunk as it is finished, with ``read``, ``disputed`` or ``unreadable``."""

BURSTS = (0, 996, 756, 500)
"""Most bytes of a burst in each pass in turn; 0 is a whole chunk. None divides 1 KiB, and none but the first ever fills
the window of an access port: a link that errs at a fixed place of its bursts errs elsewhere in the next pass."""

SPEEDS_HZ = (500_000, 1_000_000, 4_000_000, 8_000_000, 16_000_000, 24_000_000)

_COINCIDENCE = 0.01
_MORE_PASSES = 4
_MAP_EVERY_S = 1.0
_MOST_READS = 24
_EXTRA, _CHEAP = 4, 0x200000
_FEW, _SMALL = 10, 0x10000
_FEWEST_QUIET, _MOST_QUIET = 3, 12
_HOLE_WORDS = 4
"""So many failing words one after the other are a hole: inside it only every `_HOLE_STEP` bytes are tried."""
_HOLE_STEP = 128
"""A failing word costs six calls to the probe; so a hole costs about 50 calls for its first KiB, 25 for each more, and
12 in each pass more."""
_SMALL_HOLE = 64
_FEWEST_BYTES = 64
_BACK_OFF_S = (0.0, 0.002, 0.01, 0.05, 0.1, 0.2, 0.4, 0.8)
_RECOVER_AT, _SLOWER_AT = 1, 4
_SLOWEST_HZ = 100_000
_LOOKS, _LOOK_BYTES, _MOST_WORDS = 8, 256, 0.25


@dataclass(frozen=True, slots=True)
class Piece:
    """A readable run: bus address of its first byte, and its bytes."""

    start: int
    data: Bytes


@dataclass(frozen=True, slots=True)
class Failure:
    """Words that could not be read, or that lie within a hole."""

    range: AddressRange


class PatientReader:
    """Reads through a link that fails now and then.

    Parameters
    ----------
    board, access
        What is read, and as whom.
    pause
        Called between two reads; raises to stop.
    same_chip
        Called when the chip is back after a moment without power; raises when that must not be, or it is another one.
    """

    def __init__(
        self,
        board: Board,
        access: Access,
        pause: Callable[[], None] = lambda: None,
        same_chip: Callable[[], None] = lambda: None,
    ) -> None:
        self.board, self.access, self._pause, self._same_chip = board, access, pause, same_chip
        self._seen = False
        self.retried = 0
        self.faulted = 0
        self.slowest_hz: int | None = None
        self._burst, self._quiet, self._stubborn = 1 << 20, 0, 0

    def attempt(self, start: int, stop: int) -> Bytes | None:
        """Return the bytes of one burst, None when the chip refuses it; what fails in passing is tried again.

        Raises
        ------
        ProbeError
            When the link stays dead however slow, or the probe is gone.
        """
        waits = _BACK_OFF_S if self._stubborn < 3 else _BACK_OFF_S[:3]
        for again, wait_s in enumerate(waits):
            self._pause()
            try:
                data = self.board.read(start, stop, access=self.access)
            except TargetError:
                # Asked once for each run of failures, and before a hole is believed: see `pieces`.
                if self._seen or self.there():
                    self._seen = True
                    return None
            except ProbeError as error:
                if not error.passing or again + 1 == len(waits):
                    if error.passing and self._answers():
                        self._stubborn += 1
                        return None  # the chip says who it is, and still does not give this word: a hole
                    raise
                self._after(again, wait_s)
                if stop - start > _FEWEST_BYTES:
                    return self._halves(start, stop)
            else:
                self._quiet, self._seen = self._quiet + 1, False
                if self._quiet >= 8:
                    self._burst, self._quiet = min(2 * self._burst, 1 << 20), 0
                return data
        return None

    def _halves(self, start: int, stop: int) -> Bytes | None:
        middle = start + ((stop - start) // 2 + 3 & ~3)
        first = self.attempt(start, middle)
        second = self.attempt(middle, stop) if first is not None else None
        return None if first is None or second is None else np.concatenate([first, second])

    def _after(self, again: int, wait_s: float) -> None:
        """Wait, clear what sticks, power the port up, and slow down when that does not help."""
        self.retried += 1
        self._burst, self._quiet = max(_FEWEST_BYTES, min(self._burst, 1 << 12) // 2), 0
        time.sleep(wait_s)
        if again >= _RECOVER_AT:
            self._answers()
        if again >= _SLOWER_AT and self.board.frequency_hz > _SLOWEST_HZ:
            self.slowest_hz = self.board.set_frequency(max(_SLOWEST_HZ, self.board.frequency_hz // 2))

    def there(self) -> bool:
        """Tell whether what fails is the chip's word: False when the chip was away meanwhile, and is back.

        Raises
        ------
        ProbeError
            When it does not answer any more, or another chip does.
        """
        kept = self.board.has_power
        try:
            if self.board.still_there():
                return True
        except ProbeError as error:
            if not error.passing:
                raise
        self.retried += 1
        if not kept:
            self._same_chip()
        return False

    def _answers(self) -> bool:
        try:
            kept = self.board.has_power
            back = self.board.recover()
            if back and not kept:
                self._same_chip()
            return back
        except ProbeError as error:
            if not error.passing:
                raise
            return False

    def pieces(self, where: AddressRange, most: int = 0) -> Iterator[Piece | Failure]:
        """Yield the readable runs and the failures of a word-aligned range, in address order.

        Parameters
        ----------
        where
            Bus addresses.
        most
            Most bytes of a burst; 0 takes all at once.
        """
        at, size, bad = where.start, where.size, 0
        while at < where.stop:
            n = min(size, where.stop - at, self._burst, most or where.size)
            data = self.attempt(at, at + n)
            if data is not None:
                yield Piece(at, data)
                at, size, bad = at + n, 4 * size, 0
                continue
            self.faulted += n > 4
            if n > 4:
                size = max(4, n // 4 & ~3)
                continue
            bad, size = bad + 1, 4
            stop = at + 4 if bad < _HOLE_WORDS else self._far_edge(at, where.stop)
            if stop > at + 4 and not self.there():
                bad, self._seen = 0, False
                continue
            yield Failure(AddressRange(at, stop))
            at = stop

    def _far_edge(self, bad: int, stop: int) -> int:
        """Return where a hole ends: the first readable word behind `bad`, found by few looks."""
        low = bad
        first = bad // _HOLE_STEP * _HOLE_STEP + _HOLE_STEP
        near = range(first, min(stop, first + 8 * _HOLE_STEP), _HOLE_STEP)
        for at in (*near, *range(first + 8 * _HOLE_STEP, stop, 2 * _HOLE_STEP)):
            if self.attempt(at, at + 4) is None:
                low = at
                continue
            return self._edge(low, at)
        return self._edge(low, stop - 4) if self.attempt(stop - 4, stop) is not None else stop

    def _edge(self, bad: int, good: int) -> int:
        """Return the first readable word between one that fails and one that does not."""
        while good - bad > 4:
            middle = bad + ((good - bad) // 2 & ~3)
            if self.attempt(middle, middle + 4) is None:
                bad = middle
            else:
                good = middle
        return good

    def again(self, hole: AddressRange, number: int) -> Iterator[Piece | Failure]:
        """Look at a hole once more: every word of a small one; of a large one its edges and other places within."""
        if hole.size <= _SMALL_HOLE:
            for at in range(hole.start, hole.stop, 4):
                data = self.attempt(at, at + 4)
                yield Failure(AddressRange(at, at + 4)) if data is None else Piece(at, data)
            return
        step = 4 * _HOLE_STEP
        shift = (2 * number + 1) * _HOLE_STEP // 2 % step
        inner = range(hole.start // step * step + shift, hole.stop, step)
        places = [hole.start, *inner, hole.stop - 4]
        done = hole.start
        for at in places:
            if at < done or at not in hole or self.attempt(at, at + 4) is None:
                continue
            first = self._edge(done, at) if at - done > 4 else at
            for found in self.pieces(AddressRange(first, min(hole.stop, at + _HOLE_STEP))):
                yield found
                done = found.range.stop if isinstance(found, Failure) else found.start + found.data.size


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
    uid
        Of the chip that is read; None when it does not tell.
    done
        For each pass the starts of the chunks that are finished.
    passes
        Whole passes made.
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
    uid: str | None
    done: dict[int, set[int]] = field(default_factory=dict)
    passes: int = 0
    reader: PatientReader = field(init=False)
    failed: npt.NDArray[np.bool_] = field(init=False)
    recovered: npt.NDArray[np.bool_] = field(init=False)
    _mapped_s: float = 0.0

    def __post_init__(self) -> None:
        self.reader = PatientReader(self.board, self.access, self._pause, self._same_chip)
        self.failed = np.zeros(self.plan.range.size // 4, np.bool_)
        self.recovered = self.failed.copy()

    @property
    def holes(self) -> tuple[AddressRange, ...]:
        """What could never be read."""
        return ranges_of(self.failed, self.plan.range.start)

    def replay(self) -> None:
        """Take what an earlier run left in the journal."""
        for entry in self.journal.replay():
            if entry.done:
                self.done.setdefault(entry.number, set()).add(entry.range.start)
            else:
                self._count(Piece(entry.range.start, entry.data) if entry.data.size else Failure(entry.range))

    def require_same_contents(self) -> None:
        """Raise `InputError` when an earlier run read something else: the board was programmed since.

        A bad link and weak cells change some words of some places; another program most words of most places.
        """
        known = [c for c in self.plan.chunks if c.start in self.done.get(0, ())]
        looked, other = 0, 0
        for chunk in known[:: -(-len(known) // _LOOKS) or 1]:
            words = slice(
                (chunk.start - self.plan.range.start) // 4, (chunk.start - self.plan.range.start + _LOOK_BYTES) // 4
            )
            data = None if self.failed[words].any() else self.reader.attempt(chunk.start, chunk.start + _LOOK_BYTES)
            if data is not None:
                now, before = data.view("<u4"), self.votes.value[4 * words.start : 4 * words.stop].view("<u4")
                if np.ptp(now) or np.ptp(before):  # blank flash is blank before and after
                    looked, other = looked + 1, other + int(np.mean(now != before) > _MOST_WORDS)
        if looked and other * 2 > looked:
            raise InputError(
                f"the flash reads otherwise at {other} of {count_text(looked, 'place')} since this dump was begun: "
                "it was programmed meanwhile",
                source=self.journal.path,
                advice="name another file, or use --force to throw the earlier reads away",
            )

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
        fresh, read = 0, sum(c.size for c in chunks if c.start in finished)
        known = self.holes
        self._tell(number, read)
        for chunk in chunks:
            if chunk.start in finished:
                continue
            read += chunk.size
            bad, news = False, 0
            for part in subtracted((chunk,), known):
                for burst in _cut(part, BURSTS[number % len(BURSTS)]):
                    data = self.reader.attempt(burst.start, burst.stop)
                    if data is None:
                        later.append(burst)
                        bad = True
                    else:
                        news += self._take(number, Piece(burst.start, data))
            self._tell(number, read)
            fresh += news
            if not bad:
                self._finish(number, chunk)
                self.watch(chunk, "disputed" if news else "read")
        return fresh + self._bad_areas(number, later, known)

    def _bad_areas(self, number: int, later: Iterable[AddressRange], known: tuple[AddressRange, ...]) -> int:
        fresh = 0
        for part in later:
            self.reader.faulted += 1
            for found in self.reader.pieces(part):
                fresh += self._take(number, found)
            self._tell(number, self.plan.range.size)
            at = (part.start - self.plan.range.start) // 4
            self.watch(part, "unreadable" if self.failed[at : at + part.size // 4].any() else "read")
        small = tuple(h for h in self.holes if h.size <= _SMALL_HOLE) if number == 0 else ()
        for hole in known or small:
            for found in self.reader.again(hole, number):
                fresh += self._take(number, found)
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
                fresh, reads = 0, reads + 1
                for part in subtracted((area,), self.holes):
                    for found in self.reader.pieces(part, BURSTS[reads % len(BURSTS)]):
                        fresh += self._take(self.passes, found)
                quiet = 0 if fresh else quiet + 1
            self.watch(area, "disputed")

    def _work_areas(self) -> list[AddressRange]:
        blocks = self.votes.disputed_blocks
        if sum(b.size for b in blocks) * _FEW <= self.plan.range.size or self.plan.range.size <= _SMALL:
            return [c for c in self.plan.chunks if any(c.overlaps(b) for b in blocks)]
        return [part for b in blocks for part in _cut(b, self.plan.chunk)]

    def _take(self, number: int, found: Piece | Failure) -> int:
        if isinstance(found, Failure):
            self.journal.failed(number, found.range)
        else:
            self.journal.read(number, found.start, found.data)
        return self._count(found)

    def _count(self, found: Piece | Failure) -> int:
        start = found.range.start if isinstance(found, Failure) else found.start
        size = found.range.size if isinstance(found, Failure) else found.data.size
        words = slice((start - self.plan.range.start) // 4, (start - self.plan.range.start + size) // 4)
        if isinstance(found, Failure):
            known = self.votes.counts[words] > 0
            self.recovered[words] |= known
            self.failed[words] |= ~known
            return 0
        self.recovered[words] |= self.failed[words]
        self.failed[words] = False
        return self.votes.add(start, found.data)

    def _tell(self, number: int, read: int) -> None:
        self.progress(min(1.0, (number + read / self.plan.range.size) / max(self.plan.passes, number + 1)))

    def _same_chip(self) -> None:
        require_same_uid(self.board, self.uid)

    def _pause(self) -> None:
        """Between two reads: write the map now and then, and stop when asked to."""
        if self.cancel():
            raise Cancelled("the dump was stopped; what was read is kept: the same command goes on with it (--resume)")
        if time.monotonic() - self._mapped_s > _MAP_EVERY_S:
            self._mapped_s = time.monotonic()
            self.write_map()


def _cut(where: AddressRange, most: int) -> Iterator[AddressRange]:
    """Yield a range in bursts of at most `most` bytes; 0 leaves it whole."""
    for at in range(where.start, where.stop, most or max(1, where.size)):
        yield AddressRange(at, min(where.stop, at + (most or where.size)))


# ---------------------------------------------------------------------------------------------------- link speeds
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

    A bad cable disagrees the more the faster, a bad cell at every speed. At most 256 KiB are read per speed, spread
    over the dump. Speeds that the probe makes the same are one row, under the true speed. The speed is put back.

    Raises
    ------
    ProbeError
        When the link fails for good.
    """
    areas = _sample(dumped)
    before = board.frequency_hz
    out: dict[int, SpeedPoint] = {}
    try:
        for i, speed in enumerate(sorted(speeds_hz)):
            true = board.set_frequency(speed)
            if true in out:
                continue
            read, bad = 0, 0
            for j, area in enumerate(areas):
                if cancel():
                    return tuple(out.values())
                progress((i + j / len(areas)) / len(speeds_hz))
                read += area.size
                bad += _disagreeing(board, dumped, area)
            out[true] = SpeedPoint(true, read, bad)
        progress(1.0)
    finally:
        board.set_frequency(before)
    return tuple(out[hz] for hz in sorted(out))


def _disagreeing(board: Board, dumped: Dump, area: AddressRange) -> int:
    """Count bytes that differ or fail; a passing failure of the link counts as its whole burst, and is not tried again."""
    bad = 0
    for burst in _cut(area, 0x1000):
        try:
            data = board.read(burst.start, burst.stop, access=dumped.image.access)
        except TargetError:
            bad += burst.size
        except ProbeError as error:
            if not error.passing:
                raise
            board.recover()
            bad += burst.size
        else:
            bad += int(np.count_nonzero(data != dumped.image.read(burst.start, burst.stop)))
    return bad


def _sample(dumped: Dump) -> list[AddressRange]:
    chunks = [c for r in dumped.image.ranges for c in _cut(r, 0x4000)]
    step = max(1, -(-sum(c.size for c in chunks) // _MOST_BYTES))
    return chunks[::step]
