"""What a hex view shows: rows of two dumps side by side, their differences, and a search. Nothing is drawn here."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from h5diag.chip import Chip
from h5diag.errors import InputError
from h5diag.judge import Measured
from h5diag.layout import Slot
from h5diag.memory import AddressRange, Bytes, MemoryImage, merged, release

ROW = 16
LEFT_KNOWN, RIGHT_KNOWN, DIFFERS = 1, 2, 4
"""Flags of a byte in a page."""

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class _Block:
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
    masked
        Ranges of which a reader was not shown the content: what differs there is no difference.
    aliases
        Other names of the same cells: a range, and how far it lies above the canonical one.
    """

    left: MemoryImage
    right: MemoryImage = field(default_factory=MemoryImage)
    names: tuple[str, str] = ("", "")
    marks: tuple[tuple[int, str], ...] = ()
    masked: tuple[AddressRange, ...] = ()
    aliases: tuple[tuple[AddressRange, int], ...] = ()

    @cached_property
    def blocks(self) -> tuple[_Block, ...]:
        """The rows that there are."""
        spans = merged(
            AddressRange(r.start // ROW * ROW, -(-r.stop // ROW) * ROW) for r in (*self.left.ranges, *self.right.ranges)
        )
        return tuple(_Block(s.start, s.size // ROW) for s in spans)

    @cached_property
    def _stretches(self) -> list[tuple[Bytes, Bytes, int]]:
        """What both know, piece by piece: left, right and address."""
        return [
            (s.data[at - s.start :][: min(_PIECE, t.stop - at)], t.data[at - t.start :][:_PIECE], at)
            for s in self.left.segments
            for t in self.right.segments_in(s.start, s.stop)
            for at in range(t.start, t.stop, _PIECE)
        ]

    @cached_property
    def _seen(self) -> dict[int, npt.NDArray[np.int64]]:
        return {}

    def _apart(self, number: int) -> npt.NDArray[np.int64]:
        """Return the runs of differing bytes of a piece, ``int64 (n, 2)``; a piece is looked at once."""
        if number not in self._seen:
            left, right, start = self._stretches[number]
            edges = np.empty(0, np.int64)
            if not np.array_equal(left, right):
                apart = left != right
                for hole in self.masked:
                    apart[max(0, hole.start - start) : max(0, hole.stop - start)] = False
                edges = np.flatnonzero(np.diff(np.concatenate(([False], apart, [False])).view(np.int8))) + start
            self._seen[number] = edges.reshape(-1, 2)
            release(left)
            release(right)
        return self._seen[number]

    def _blocks_in(self, number: int) -> npt.NDArray[np.int64]:
        """Return the differences that begin in a piece, ``int64 (n, 2)``.

        Differences with less than a row of equal bytes between them are one.
        """
        runs = self._apart(number)
        before = self._apart(number - 1)[-1:, 1] if number else runs[:0, 1]
        stops = np.concatenate([before if before.size else [-ROW], runs[:, 1]])
        new = np.flatnonzero(runs[:, 0] - stops[:-1] >= ROW)
        if not new.size:
            return runs[:0]
        out = np.stack((runs[new, 0], runs[np.append(new[1:], len(runs)) - 1, 1]), axis=1)
        for following in range(number + 1, len(self._stretches)):
            more = self._apart(following)
            if not len(more) or more[0, 0] - out[-1, 1] >= ROW:
                break
            apart = np.flatnonzero(more[1:, 0] - more[:-1, 1] >= ROW)
            out[-1, 1] = more[apart[0] if apart.size else -1, 1]
            if apart.size:
                break
        return out

    @cached_property
    def differences(self) -> npt.NDArray[np.int64]:
        """Where both are known and differ and neither was masked, ``int64 (n, 2)``: starts and stops, in order."""
        return np.concatenate([np.empty((0, 2), np.int64), *[self._blocks_in(k) for k in range(len(self._stretches))]])

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
        pieces = len(self._stretches)
        k = bisect_right(self._stretches, address, key=lambda piece: piece[2])
        for number in range(min(k, pieces - 1), -1, -1) if backward else range(max(k - 1, 0), pieces):
            blocks = self._blocks_in(number)
            i = int(np.searchsorted(blocks[:, 0], address, "left" if backward else "right")) - backward
            if 0 <= i < len(blocks):
                return AddressRange(*map(int, blocks[i]))
        return None

    @property
    def counted(self) -> bool:
        """Whether all differences are looked for at once: not in a large external memory."""
        return len(self._stretches) <= 8

    def first_equal(self) -> int | None:
        """Return the first row where both hold the same content (no fill), None when there is none."""
        for s in self.left.segments:
            for t in self.right.segments_in(s.start, s.stop):
                at = -(-t.start // ROW) * ROW
                rows = (t.stop - at) // ROW
                if rows <= 0:
                    continue
                a = s.data[at - s.start : at - s.start + rows * ROW].reshape(rows, ROW)
                b = t.data[at - t.start : at - t.start + rows * ROW].reshape(rows, ROW)
                hits = np.flatnonzero((a == b).all(axis=1) & (a != a[:, :1]).any(axis=1))
                if hits.size:
                    return at + int(hits[0]) * ROW
        return None

    def canonical(self, address: int) -> int:
        """Return an address of any alias as the pages name its cell."""
        return next((address - shift for where, shift in self.aliases if address in where), address)

    def find(self, query: str, after: int) -> AddressRange | None:
        """Return the nearest place after an address, wrapping round, where either dump holds what was asked for.

        Raises
        ------
        InputError
            When nothing was asked for.
        """
        wanted = re.compile(re.escape(parse_query(query)), re.DOTALL)
        for begin in (after + 1, 0):
            hits = [m for dump in (self.left, self.right) if (m := _found(dump, wanted, begin)) is not None]
            if hits:
                return min(hits)
        return None


def _found(dump: MemoryImage, wanted: re.Pattern[bytes], begin: int) -> AddressRange | None:
    for s in dump.segments:
        if s.stop > begin and (m := wanted.search(s.data.data, max(0, begin - s.start))):
            return AddressRange(s.start + m.start(), s.start + m.end())
    return None


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
    """Return the suspect dump beside what it is held against, both by canonical addresses, with the slots as marks.

    Where there is nothing to hold it against it stands alone.
    """
    slots: tuple[Slot, ...] = m.layouts[0].slots if m.layouts else ()
    view = next((b for b in _bases(m.chip) if one_view(m.chip, m.suspect.dump, (b,)).size), m.chip.flash.base)
    reference = m.reference
    suspect = one_view(m.chip, m.suspect.dump, (view, *_bases(m.chip)))
    left = one_view(m.chip, reference.dump, (view, *_bases(m.chip)))
    alone = not left.size
    return HexPages(
        suspect if alone else left,
        MemoryImage() if alone else suspect,
        (m.name, "") if alone else (reference.name, m.name),
        tuple((s.range.start, s.name) for s in slots),
        merged((*m.good.masked, *m.suspect.masked)),
        aliases_of(m.chip),
    )


def aliases_of(chip: Chip) -> tuple[tuple[AddressRange, int], ...]:
    """Return the other names of the flash's cells: where they are, and how far above the canonical ones."""
    size = chip.flash.size
    return tuple((AddressRange(b, b + size), b - chip.flash.base) for b in _bases(chip)[1:])


def _bases(chip: Chip) -> tuple[int, ...]:
    return tuple(dict.fromkeys((chip.flash.base, chip.flash.secure_base)))


def one_view(chip: Chip, dump: MemoryImage, bases: Sequence[int] = ()) -> MemoryImage:
    """Return one view of a dump by canonical addresses, the first of these that it has; as it is when it has none."""
    for base in bases or _bases(chip):
        seen = dump.crop(base, base + chip.flash.size)
        if seen.size:
            return seen.shifted(chip.flash.base - base)
    return MemoryImage() if len(bases) == 1 else dump
