"""What a dump is to read, what it will cost, and what it brought: no probe is touched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from h5diag.answer import Answer
from h5diag.case.results import SpeedPoint
from h5diag.chip import KnownBy
from h5diag.errors import InputError
from h5diag.evidence.files import Sidecar
from h5diag.memory import Access, AddressRange, MemoryImage, subtracted
from h5diag.text import count_text, size_text

CHUNK = 0x8000
LEAST_CHUNK, MOST_CHUNK = 0x4000, 0x10000
_EFFICIENCY = 0.6
"""What probes get of the wire's speed, as users report it of several kinds."""

WORD_CLOCKS = 46
"""SWD clocks of one 32-bit transfer: request, acknowledge, data, parity and turnarounds (ADIv5)."""


@dataclass(frozen=True, slots=True)
class DumpPlan:
    """What to read and how often.

    Parameters
    ----------
    range
        Bus addresses; widened to whole words.
    passes
        How often everything is read at least; two are needed to notice anything.
    most_passes
        Passes are added while new disagreements show, up to this many.
    chunk
        Bytes per read, 16 to 64 KiB.
    access
        Security attribute; `Access.UNKNOWN` follows the alias: 0x0C.. secure, 0x08.. non-secure.
    """

    range: AddressRange
    passes: int = 2
    most_passes: int = 12
    chunk: int = CHUNK
    access: Access = Access.UNKNOWN

    def __post_init__(self) -> None:
        if not LEAST_CHUNK <= self.chunk <= MOST_CHUNK or self.chunk % 1024:
            raise InputError(f"a chunk of {count_text(self.chunk, 'byte')}", advice="use 16 to 64 KiB, in whole KiB")
        if not 1 <= self.passes <= 100:
            raise InputError(f"{count_text(self.passes, 'pass', 'passes')}", advice="use 1 to 100")
        if not self.range.size or self.range.stop > 1 << 32:
            raise InputError(f"nothing to read in {self.range}", advice="name START:STOP below 4 GiB")
        if self.range.size > 64 << 20:
            raise InputError(f"{self.range} is {size_text(self.range.size)}", advice="read at most 64 MiB at once")
        words = AddressRange(self.range.start & ~3, self.range.stop + 3 & ~3)
        object.__setattr__(self, "range", words)
        object.__setattr__(self, "most_passes", max(self.passes, self.most_passes))

    @property
    def chunks(self) -> tuple[AddressRange, ...]:
        """The chunks in address order, cut at multiples of the chunk size."""
        out, at = [], self.range.start
        while at < self.range.stop:
            stop = min(self.range.stop, (at // self.chunk + 1) * self.chunk)
            out.append(AddressRange(at, stop))
            at = stop
        return tuple(out)

    def seconds(self, frequency_hz: int) -> float:
        """Return about how long the passes take at a link speed: the wire's limit, and what probes get of it."""
        return self.passes * self.range.size / 4 * WORD_CLOCKS / frequency_hz / _EFFICIENCY


@dataclass(frozen=True, slots=True)
class Dump(Answer):
    """A finished dump.

    Parameters
    ----------
    image
        Bytes (the majority where reads disagree), unreadable and unstable ranges, origin.
    passes
        How often everything was read.
    swd_hz, uid
        True speed of the link (the one asked for where the probe does not tell), and the chip's unique id; None when
        it did not read.
    coincidence
        Expected number of blocks of 1 KiB that were wrong in the same way in every pass, estimated from how often
        reads disagreed; it covers faults that are independent between passes and says nothing about others.
    retried
        Bursts that failed on the link and were made again.
    sweep
        Agreement by link speed, slowest first; empty when not asked for.
    chip_known_by
        How the chip is known, as its identity says.
    path, sha256
        Where it was written and the SHA-256 of that file; None when it was not.
    """

    image: MemoryImage
    passes: int
    swd_hz: int
    uid: str | None
    coincidence: float
    sweep: tuple[SpeedPoint, ...] = ()
    retried: int = 0
    chip_known_by: str = KnownBy.IDENTITY.value
    path: Path | None = None
    sha256: str | None = None

    @property
    def agreed(self) -> tuple[AddressRange, ...]:
        """Ranges of which every read agreed."""
        return subtracted(self.image.ranges, self.image.unstable)

    @property
    def wording(self) -> str:
        """What may be said about the bytes: how often they agreed, never that they are right."""
        agreed, unstable, failed = (
            sum(r.size for r in ranges) for ranges in (self.agreed, self.image.unstable, self.image.unreadable)
        )
        total = self.image.size + failed
        if self.passes < 2:
            return f"{agreed} of {count_text(total, 'byte')} were read once, nothing is known about how well; {failed} unreadable"
        return f"{agreed} of {count_text(total, 'byte')} agree, {unstable} unstable, {failed} unreadable"

    def sidecar(self, tool: str, *, unread: tuple[AddressRange, ...] = ()) -> Sidecar:
        """Return the map of this dump."""
        return Sidecar.of(self.image, passes=self.passes, swd_hz=self.swd_hz, uid=self.uid, tool=tool, unread=unread)
