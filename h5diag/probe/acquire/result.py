"""What a dump brought: the image, how often it agreed, and what the map file says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from h5diag.evidence.files import Sidecar
from h5diag.memory import AddressRange, MemoryImage, subtracted


@dataclass(frozen=True, slots=True)
class SpeedPoint:
    """Reads at one link speed: bytes read, and bytes that differ from the majority of all reads or failed."""

    swd_hz: int
    bytes: int
    disagreeing: int


@dataclass(frozen=True, slots=True)
class Dump:
    """A finished dump.

    Parameters
    ----------
    image
        Bytes (the majority where reads disagree), unreadable and unstable ranges, origin.
    passes
        How often everything was read.
    swd_hz, uid
        Speed of the link, and the chip's unique id.
    coincidence
        Expected number of blocks of 1 KB that were wrong in the same way in every pass, estimated from how often
        reads disagreed; it covers faults that are independent between passes and says nothing about others.
    sporadic_words
        Words that failed in one read and could be read in another.
    sweep
        Agreement by link speed, slowest first; empty when not asked for.
    path, sha256
        Where it was written and the SHA-256 of that file; empty when it was not.
    """

    image: MemoryImage
    passes: int
    swd_hz: int
    uid: str
    coincidence: float
    sporadic_words: int = 0
    sweep: tuple[SpeedPoint, ...] = ()
    path: Path = Path()
    sha256: str = ""

    @property
    def agreed(self) -> tuple[AddressRange, ...]:
        """Ranges of which every read agreed."""
        return subtracted(self.image.ranges, self.image.unstable)

    @property
    def wording(self) -> str:
        """What may be said about the bytes: how often they agreed, never that they are right."""
        total = sum(r.size for r in self.agreed)
        if self.passes < 2:
            return f"{total} bytes were read once: nothing is known about how well"
        return f"{total} bytes: every reading agrees in {self.passes} passes"

    def sidecar(self, tool: str, *, unread: tuple[AddressRange, ...] = ()) -> Sidecar:
        """Return the map of this dump."""
        return Sidecar.of(self.image, passes=self.passes, swd_hz=self.swd_hz, uid=self.uid, tool=tool, unread=unread)
