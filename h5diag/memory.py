"""Memory as it was read: half-open address ranges and sparse images that know their gaps.

A `MemoryImage` never invents a byte. What was not read is a gap, what was tried and could not be read is
unreadable, and what disagreed between reads is unstable; none of the three is ever taken for 0x00 or 0xFF.
"""

from __future__ import annotations

import mmap
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from h5diag.answer import Answer
from h5diag.ranges import ADDRESS_LIMIT, AddressRange, merged, subtracted

__all__ = [
    "ADDRESS_LIMIT",
    "Access",
    "AddressRange",
    "Bytes",
    "Cancel",
    "MemoryImage",
    "Origin",
    "Progress",
    "Segment",
    "merged",
    "subtracted",
]

# numpy takes longer to load than a text takes to read, so that it waits for the first byte of memory.
if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
else:
    Bytes = Any
"""A one-dimensional, read-only array of bytes."""

Progress = Callable[[float], None]
"""Called with the fraction done, 0.0 to 1.0."""

Cancel = Callable[[], bool]
"""Asked now and then; True means stop (``threading.Event.is_set`` fits)."""


class Access(Enum):
    """The security attribute of the accesses by which a dump was read."""

    SECURE = "secure"
    NONSECURE = "nonsecure"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the bytes of an image came from, as far as it is known.

    Parameters
    ----------
    source
        File name or probe, for a person; empty when made in memory.
    kind
        ``bin``, ``hex``, ``srec``, ``elf``, ``uf2``, ``text``, ``probe`` or ``memory``.
    access
        Security attribute of the reads.
    mode
        Connect mode (``hotplug``, ``under-reset``, ``normal``); None when not known, as of the next two.
    chip
        Name of the chip file.
    time
        ISO 8601 time of the read.
    remarks
        What the reader noticed, one sentence each (an assumed base address, a masked area, ...).
    base_assumed
        True when nothing gave the address of a binary: it is a guess, and nothing rests on it.
    """

    source: str = ""
    kind: str = "memory"
    access: Access = Access.UNKNOWN
    mode: str | None = None
    chip: str | None = None
    time: str | None = None
    remarks: tuple[str, ...] = ()
    base_assumed: bool = False


def release(data: Bytes | mmap.mmap) -> None:
    """Give back the memory of a mapped file, or of that of which `data` is a part: what is looked at again is read again."""
    base: Any = data
    while hasattr(base, "base"):
        base = base.base
    base = base.obj if isinstance(base, memoryview) else base
    if isinstance(base, mmap.mmap) and hasattr(base, "madvise"):  # not on Windows
        base.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Consecutive bytes that were read.

    Parameters
    ----------
    start
        Bus address of the first byte.
    data
        ``uint8 (n,)``, n >= 1; made read-only.
    """

    start: int
    data: Bytes

    def __post_init__(self) -> None:
        import numpy as np

        data = np.ascontiguousarray(self.data, dtype=np.uint8)
        if data.ndim != 1 or not data.size or not 0 <= self.start <= ADDRESS_LIMIT - data.size:
            raise ValueError(f"not a segment: {data.shape} bytes at {self.start:#x}")
        if data.flags.writeable:
            # A view, so that the caller's own array keeps its flag.
            data = data.view()
            data.flags.writeable = False
        object.__setattr__(self, "data", data)

    @property
    def stop(self) -> int:
        """Address after the last byte."""
        return self.start + int(self.data.size)

    @property
    def range(self) -> AddressRange:
        """The addresses covered."""
        return AddressRange(self.start, self.stop)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Segment):
            return NotImplemented
        import numpy as np

        return self.start == other.start and bool(np.array_equal(self.data, other.data))

    def __hash__(self) -> int:
        return hash((self.start, self.data.size))


@dataclass(frozen=True, slots=True, eq=False)
class MemoryImage(Answer):
    """Sparse memory content with its gaps, its unreadable and its unstable ranges.

    Parameters
    ----------
    segments
        Any order; sorted and joined where they touch. An overlap is refused.
    unreadable
        Ranges that were tried and could not be read; disjoint from the segments.
    unstable
        Ranges whose bytes disagreed between reads; the segments hold the majority.
    origin
        Where it came from; not part of equality.

    Raises
    ------
    ValueError
        When segments overlap each other or an unreadable range.
    """

    segments: tuple[Segment, ...] = ()
    unreadable: tuple[AddressRange, ...] = ()
    unstable: tuple[AddressRange, ...] = ()
    origin: Origin = field(default_factory=Origin)

    def __post_init__(self) -> None:
        object.__setattr__(self, "segments", _joined(self.segments))
        object.__setattr__(self, "unreadable", merged(self.unreadable))
        object.__setattr__(self, "unstable", merged(self.unstable))
        ranges, i = self.ranges, 0
        for hole in self.unreadable:
            while i < len(ranges) and ranges[i].stop <= hole.start:
                i += 1
            if i < len(ranges) and ranges[i].overlaps(hole):
                raise ValueError(f"{hole} is both readable and unreadable")

    @classmethod
    def from_bytes(
        cls, data: bytes | bytearray | memoryview | Bytes, start: int, *, origin: Origin | None = None
    ) -> MemoryImage:
        """Return an image of one segment (none when `data` is empty) at address `start`."""
        import numpy as np

        array = data if isinstance(data, np.ndarray) else np.frombuffer(bytes(data), dtype=np.uint8)
        return cls((Segment(start, array),) if array.size else (), origin=origin or Origin())

    @property
    def ranges(self) -> tuple[AddressRange, ...]:
        """The addresses with known bytes, sorted and disjoint."""
        return tuple(s.range for s in self.segments)

    @property
    def size(self) -> int:
        """Number of known bytes."""
        return sum(int(s.data.size) for s in self.segments)

    @property
    def span(self) -> AddressRange:
        """From the first to after the last known byte; ``[0, 0)`` when there is none."""
        if not self.segments:
            return AddressRange(0, 0)
        return AddressRange(self.segments[0].start, self.segments[-1].stop)

    @property
    def access(self) -> Access:
        """Security attribute of the reads, from the origin."""
        return self.origin.access

    def covers(self, start: int, stop: int) -> bool:
        """Tell whether every byte of ``[start, stop)`` is known."""
        if start >= stop:
            return True
        i = self._segment_at(start)
        return i >= 0 and stop <= self.segments[i].stop

    def read(self, start: int, stop: int) -> Bytes:
        """Return the bytes ``[start, stop)``, ``uint8 (stop - start,)``, without a copy where possible.

        Raises
        ------
        KeyError
            When one of the bytes is not known; the message names the first such address.
        """
        if start >= stop:
            import numpy as np

            return np.empty(0, np.uint8)
        i = self._segment_at(start)
        if i < 0 or stop > self.segments[i].stop:
            first = start if i < 0 else self.segments[i].stop
            raise KeyError(f"no byte known at 0x{first:08X}")
        s = self.segments[i]
        return s.data[start - s.start : stop - s.start]

    def read_filled(self, start: int, stop: int, fill: int = 0xFF) -> tuple[Bytes, npt.NDArray[np.bool_]]:
        """Return the bytes ``[start, stop)`` with `fill` where unknown, and the mask of the known ones."""
        import numpy as np

        data = np.full(stop - start, fill, np.uint8)
        known = np.zeros(stop - start, np.bool_)
        for s in self.segments_in(start, stop):
            data[s.start - start : s.stop - start] = s.data
            known[s.start - start : s.stop - start] = True
        return data, known

    def segments_in(self, start: int, stop: int) -> Iterator[Segment]:
        """Yield the known parts of ``[start, stop)`` in ascending order, cut to it, without a copy."""
        for s in self.segments[max(0, bisect_right(self.segments, start, key=lambda s: s.start) - 1) :]:
            if s.start >= stop:
                return
            a, b = max(start, s.start), min(stop, s.stop)
            if a < b:
                yield s if (a, b) == (s.start, s.stop) else Segment(a, s.data[a - s.start : b - s.start])

    def gaps(self, start: int, stop: int) -> tuple[AddressRange, ...]:
        """Return the parts of ``[start, stop)`` without known bytes, the unreadable ones included."""
        return subtracted((AddressRange(start, stop),), self.ranges)

    def crop(self, start: int, stop: int) -> MemoryImage:
        """Return what lies in ``[start, stop)``, with the same origin."""
        window = AddressRange(start, stop)
        return MemoryImage(
            tuple(self.segments_in(start, stop)),
            tuple(r.intersection(window) for r in self.unreadable),
            tuple(r.intersection(window) for r in self.unstable),
            self.origin,
        )

    def shifted(self, displacement: int) -> MemoryImage:
        """Return the same bytes `displacement` bytes higher."""
        return MemoryImage(
            tuple(Segment(s.start + displacement, s.data) for s in self.segments),
            tuple(r.shifted(displacement) for r in self.unreadable),
            tuple(r.shifted(displacement) for r in self.unstable),
            self.origin,
        )

    def without(self, holes: Iterable[AddressRange]) -> MemoryImage:
        """Return the same memory less what lies in `holes`, which may overlap."""
        holes = merged(holes)
        return replace(self, segments=without(self.segments, holes)) if holes else self

    def with_origin(self, origin: Origin) -> MemoryImage:
        """Return the same bytes with another origin."""
        return replace(self, origin=origin)

    def sha256(self) -> str:
        """Return the SHA-256 over each segment's start (8 bytes, little-endian), length and bytes, as hex."""
        import hashlib

        h = hashlib.sha256()
        for s in self.segments:
            h.update(s.start.to_bytes(8, "little") + int(s.data.size).to_bytes(8, "little"))
            h.update(s.data.data)
        return h.hexdigest()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MemoryImage):
            return NotImplemented
        return (
            self.segments == other.segments and self.unreadable == other.unreadable and self.unstable == other.unstable
        )

    def __hash__(self) -> int:
        return hash((self.segments, self.unreadable, self.unstable))

    def _segment_at(self, address: int) -> int:
        i = bisect_right(self.segments, address, key=lambda s: s.start) - 1
        return i if i >= 0 and address < self.segments[i].stop else -1


def common(one: MemoryImage, other: MemoryImage, by: int = 0) -> Iterator[tuple[int, Bytes, Bytes]]:
    """Yield what both hold when `one` is moved `by` bytes higher: the address in `other`, the bytes of one and of the other."""
    for s in one.segments:
        start = s.start + by
        for t in other.segments_in(start, s.stop + by) if start >= 0 else ():
            yield t.start, s.data[t.start - start : t.stop - start], t.data


def _joined(segments: Iterable[Segment]) -> tuple[Segment, ...]:
    groups: list[list[Segment]] = []
    for s in sorted(segments, key=lambda s: s.start):
        if groups and s.start < groups[-1][-1].stop:
            raise ValueError(f"segments overlap at 0x{s.start:08X}")
        if groups and s.start == groups[-1][-1].stop:
            groups[-1].append(s)
        else:
            groups.append([s])
    if len(groups) == sum(map(len, groups)):
        return tuple(g[0] for g in groups)
    import numpy as np

    return tuple(g[0] if len(g) == 1 else Segment(g[0].start, np.concatenate([s.data for s in g])) for g in groups)


def without(segments: tuple[Segment, ...], holes: tuple[AddressRange, ...]) -> tuple[Segment, ...]:
    """Return the segments less the bytes in `holes`, which are sorted and disjoint."""
    if not holes:
        return segments
    out: list[Segment] = []
    i = 0
    for s in sorted(segments, key=lambda s: s.start):
        at = s.start
        while i < len(holes) and holes[i].stop <= at:
            i += 1
        while i < len(holes) and holes[i].start < s.stop:
            if holes[i].start > at:
                out.append(Segment(at, s.data[at - s.start : holes[i].start - s.start]))
            at = holes[i].stop
            if at >= s.stop:
                break  # the hole may go on into the next segment
            i += 1
        if at < s.stop:
            out.append(Segment(at, s.data[at - s.start :]))
    return tuple(out)
