"""Half-open address ranges and what can be done with many of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

ADDRESS_LIMIT = 1 << 64


@dataclass(frozen=True, slots=True, order=True)
class AddressRange:
    """The bytes from `start` (inclusive) to `stop` (exclusive).

    Raises
    ------
    ValueError
        When ``0 <= start <= stop <= 2**64`` does not hold.
    """

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.stop <= ADDRESS_LIMIT:
            raise ValueError(f"not an address range: {self.start:#x} to {self.stop:#x}")

    @property
    def size(self) -> int:
        """Number of bytes."""
        return self.stop - self.start

    def __contains__(self, address: object) -> bool:
        return isinstance(address, int) and self.start <= address < self.stop

    def covers(self, other: AddressRange) -> bool:
        """Tell whether every byte of `other` lies in this range."""
        return self.start <= other.start and other.stop <= self.stop

    def intersection(self, other: AddressRange) -> AddressRange:
        """Return the common bytes; an empty range at the larger start when there are none."""
        start = max(self.start, other.start)
        return AddressRange(start, max(start, min(self.stop, other.stop)))

    def overlaps(self, other: AddressRange) -> bool:
        """Tell whether at least one byte is common."""
        return self.start < other.stop and other.start < self.stop

    def shifted(self, displacement: int) -> AddressRange:
        """Return the range moved by `displacement` bytes."""
        return AddressRange(self.start + displacement, self.stop + displacement)

    def __str__(self) -> str:
        """Return the range as manuals print it, the last address included: ``0x08000000 to 0x0801DFFF``."""
        return f"0x{self.start:08X} to 0x{max(self.start, self.stop - 1):08X}"


def merged(ranges: Iterable[AddressRange]) -> tuple[AddressRange, ...]:
    """Return the same bytes as sorted, disjoint, non-touching, non-empty ranges."""
    out: list[AddressRange] = []
    for r in sorted(r for r in ranges if r.size):
        if out and r.start <= out[-1].stop:
            out[-1] = AddressRange(out[-1].start, max(out[-1].stop, r.stop))
        else:
            out.append(r)
    return tuple(out)


def subtracted(ranges: Iterable[AddressRange], holes: Iterable[AddressRange]) -> tuple[AddressRange, ...]:
    """Return the bytes of `ranges` that lie in none of `holes`, as sorted disjoint ranges."""
    out: list[AddressRange] = []
    cut, first = merged(holes), 0
    for r in merged(ranges):
        at = r.start
        while first < len(cut) and cut[first].stop <= at:
            first += 1  # no later range begins before this one
        i = first
        while i < len(cut) and cut[i].start < r.stop:
            if cut[i].start > at:
                out.append(AddressRange(at, cut[i].start))
            at = cut[i].stop
            i += 1
        if at < r.stop:
            out.append(AddressRange(at, r.stop))
    return tuple(out)


def shared(sets: Sequence[Iterable[AddressRange]]) -> tuple[AddressRange, ...]:
    """Return the bytes that each of one or more sets has, as sorted disjoint ranges."""
    first, *others = (merged(s) for s in sets)
    return subtracted(first, (hole for other in others for hole in subtracted(first, other)))
