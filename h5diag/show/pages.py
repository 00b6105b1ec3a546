"""What a hex view shows: rows of two dumps side by side, their differences, and a search. Nothing is drawn here."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from h5diag.errors import InputError
from h5diag.judge import Measured
from h5diag.layout import Slot
from h5diag.memory import AddressRange, MemoryImage, merged

ROW = 16
LEFT_KNOWN, RIGHT_KNOWN, DIFFERS = 1, 2, 4
"""Flags of a byte in a page."""

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Block:
    """Rows without a gap: address of the first one and how many."""

    start: int
    rows: int


@dataclass(frozen=True)
class HexPages:
    """Two dumps as rows of sixteen bytes over the same addresses; the right one may be empty.

    Parameters
    ----------
    left, right
        The dumps, shifted so that equal addresses are the same cells.
    names
        What they are called.
    marks
        (address, text) where something begins, such as a slot.
    """

    left: MemoryImage
    right: MemoryImage = field(default_factory=MemoryImage)
    names: tuple[str, str] = ("", "")
    marks: tuple[tuple[int, str], ...] = ()

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The rows that there are."""
        spans = merged(
            AddressRange(r.start // ROW * ROW, -(-r.stop // ROW) * ROW) for r in (*self.left.ranges, *self.right.ranges)
        )
        return tuple(Block(s.start, s.size // ROW) for s in spans)

    @cached_property
    def differences(self) -> tuple[AddressRange, ...]:
        """Where both are known and differ, in address order; joined over less than a row of equal bytes."""
        found = []
        for s in self.left.segments:
            for t in self.right.segments_in(s.start, s.stop):
                for at in range(t.start, t.stop, _PIECE):
                    stop = min(t.stop, at + _PIECE)
                    apart = s.data[at - s.start : stop - s.start] != t.data[at - t.start : stop - t.start]
                    edges = np.flatnonzero(np.diff(np.concatenate(([False], apart, [False])).view(np.int8)))
                    found += [
                        AddressRange(at + int(a), at + int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)
                    ]
        return _joined(found)

    def page(self, start: int, rows: int) -> tuple[bytes, bytes, bytes]:
        """Return left bytes, right bytes and flags of `rows` rows from address `start`."""
        stop = start + rows * ROW
        left, known_left = self.left.read_filled(start, stop, 0)
        right, known_right = self.right.read_filled(start, stop, 0)
        flags = known_left * LEFT_KNOWN + known_right * RIGHT_KNOWN
        flags = flags + (known_left & known_right & (left != right)) * DIFFERS
        return left.tobytes(), right.tobytes(), flags.astype(np.uint8).tobytes()

    def difference_after(self, address: int, *, backward: bool = False) -> AddressRange | None:
        """Return the first difference that begins after an address (before it with `backward`), or None at the end."""
        starts = [d.start for d in self.differences]
        i = bisect_right(starts, address) if not backward else bisect_right(starts, address - 1) - 1
        return self.differences[i] if 0 <= i < len(starts) else None

    def find(self, query: str, after: int) -> AddressRange | None:
        """Return the first place after an address, wrapping round, where either dump holds what was asked for.

        Raises
        ------
        InputError
            When nothing was asked for.
        """
        wanted = parse_query(query)
        for dump in (self.left, self.right):
            starts = [s.start for s in dump.segments]
            order = [*range(max(0, bisect_right(starts, after) - 1), len(starts)), *range(len(starts))]
            for n, i in enumerate(order):
                s = dump.segments[i]
                begin = max(0, after + 1 - s.start) if n == 0 else 0
                at = s.data.tobytes().find(wanted, begin)
                if at >= 0:
                    return AddressRange(s.start + at, s.start + at + len(wanted))
        return None


def _joined(ranges: list[AddressRange]) -> tuple[AddressRange, ...]:
    out: list[AddressRange] = []
    for r in ranges:
        if out and r.start - out[-1].stop < ROW:
            out[-1] = AddressRange(out[-1].start, r.stop)
        else:
            out.append(r)
    return tuple(out)


def parse_query(query: str) -> bytes:
    """Return the bytes of a search: pairs of hex digits are hex, text in quotes or anything else is text."""
    text = query.strip()
    if not text:
        raise InputError("nothing to search for", advice="type hex bytes (3D B8 F3 96) or a text")
    digits = re.sub(r"[\s,:]|0x", "", text, flags=re.IGNORECASE)
    if len(digits) % 2 == 0 and re.fullmatch(r"[0-9A-Fa-f]+", digits):
        return bytes.fromhex(digits)
    return text.strip("\"'").encode("utf-8")


def pages_of(m: Measured) -> HexPages:
    """Return good and suspect dump side by side, both by canonical addresses, with the slots as marks."""
    slots: tuple[Slot, ...] = m.layouts[0].slots if m.layouts else ()
    view = _view_of(m, m.suspect.dump)
    return HexPages(
        _seen(m, m.good.dump, view),
        _seen(m, m.suspect.dump, view),
        (m.good.board.name, m.name),
        tuple((s.range.start, s.name) for s in slots),
    )


def _view_of(m: Measured, dump: MemoryImage) -> int:
    bases = (m.chip.flash.base, m.chip.flash.secure_base)
    return next(
        (b for b in bases if any(r.overlaps(AddressRange(b, b + m.chip.flash.size)) for r in dump.ranges)), bases[0]
    )


def _seen(m: Measured, dump: MemoryImage, view: int) -> MemoryImage:
    """Return one view of a dump by canonical addresses: the wanted one, or the one that it has."""
    for base in (view, m.chip.flash.base, m.chip.flash.secure_base):
        seen = dump.crop(base, base + m.chip.flash.size)
        if seen.size:
            return seen.shifted(m.chip.flash.base - base)
    return dump
