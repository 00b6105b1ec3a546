"""The cells of the user flash with their ECC, and what can be wrong with them.

Offsets count bytes from the begin of physical bank 1, whatever SWAP_BANK says. The model of the ECC is the count of
cells of a quad-word that differ from what was programmed: one is corrected, two or more are detected.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from h5diag.chip import Chip
from h5diag.sim.virtual.faults import ANYWHERE, RANDOM, FaultKind, Injected, Setup

VIRGIN, WRITTEN, TORN = 0, 1, 2
"""States of a quad-word: never programmed since its erase, programmed, and cut short by a reset."""


@dataclass(frozen=True, slots=True)
class EccEvent:
    """A read that met wrong cells: `offset` of the quad-word; `double` when they could not be corrected."""

    offset: int
    double: bool


@dataclass(slots=True)
class _Bits:
    """Single bits: byte offsets (sorted), masks, and the value 0xFF or 0x00 they are forced to."""

    offsets: npt.NDArray[np.int64]
    masks: npt.NDArray[np.uint8]
    values: npt.NDArray[np.uint8]

    def within(self, start: int, size: int) -> slice:
        a, b = np.searchsorted(self.offsets, (start, start + size))
        return slice(int(a), int(b))

    def __len__(self) -> int:
        return len(self.offsets)


class Cells:
    """Two banks of flash cells.

    Parameters
    ----------
    chip
        Geometry.
    data, marks
        ``uint8``: what was programmed, a byte each, and the state of each quad-word. Changed in place.
    setup
        Its faults of the array are built in.
    """

    def __init__(self, chip: Chip, data: npt.NDArray[np.uint8], marks: npt.NDArray[np.uint8], setup: Setup) -> None:
        self.chip = chip
        self.data = data
        self.marks = marks
        self.unit = chip.flash.program_unit
        self.sector_size = chip.flash.sector_size
        self.dead: dict[int, int] = {}
        self.slow: dict[int, float] = {}
        self._alias: list[tuple[int, int, int, int]] = []
        self._couplings: dict[int, list[tuple[int, int]]] = {}
        self._far_erases: list[tuple[int, int, int]] = []
        self._far_programs: list[tuple[int, int, int]] = []
        self._flicker = np.random.default_rng(setup.seed)
        stuck: list[tuple[int, int, int]] = []
        cells: list[tuple[int, int, int]] = []
        unstable: list[tuple[int, int, int]] = []
        self._rates: list[float] = []
        for i, fault in enumerate(setup.faults):
            self._place(fault, setup, i, stuck, cells, unstable)
        self._stuck, self._cells, self._unstable = _bits(stuck), _bits(cells), _bits(unstable)
        self._rate = max(self._rates, default=0.0)

    def _place(
        self,
        fault: Injected,
        setup: Setup,
        index: int,
        stuck: list[tuple[int, int, int]],
        cells: list[tuple[int, int, int]],
        unstable: list[tuple[int, int, int]],
    ) -> None:
        rng, (start, stop) = setup.rng(index), self.span(fault)
        match fault.kind:
            case FaultKind.STUCK_BIT | FaultKind.CELL_STUCK:
                unit, width = (4, 32) if fault.kind is FaultKind.STUCK_BIT else (self.unit, 128)
                into = stuck if fault.kind is FaultKind.STUCK_BIT else cells
                for _ in range(fault.whole("count")):
                    at = start // unit * unit + rng.randrange(max(1, (stop - start) // unit)) * unit
                    bit = rng.randrange(width) if fault.setting("bit") == RANDOM else fault.whole("bit") % width
                    value = rng.randrange(2) if fault.setting("value") == RANDOM else fault.whole("value")
                    into.append((at + bit // 8, 1 << bit % 8, 0xFF * (value & 1)))
            case FaultKind.UNSTABLE:
                self._rates.append(fault.setting("rate"))
                for _ in range(fault.whole("count")):
                    unstable.append((start + rng.randrange(stop - start), 1 << rng.randrange(8), 0))
            case FaultKind.DEAD_SECTOR | FaultKind.SLOW_SECTOR:
                for sector in self._sectors(fault, rng.randrange):
                    if fault.kind is FaultKind.DEAD_SECTOR:
                        self.dead[sector] = fault.whole("fails")
                    else:
                        self.slow[sector] = fault.setting("factor")
            case FaultKind.ADDRESS_ALIAS:
                top = max(5, (stop - start).bit_length() - 1)
                bit = rng.randrange(4, top) if fault.setting("bit") == RANDOM else fault.whole("bit")
                self._alias.append((start, stop, bit, fault.whole("value")))
            case FaultKind.FAR_ERASE:
                self._far_erases.append((start, stop, fault.whole("distance")))
            case FaultKind.FAR_PROGRAM:
                self._far_programs.append((start, stop, fault.whole("distance")))
            case FaultKind.COUPLING:
                distance = fault.whole("distance") * self.unit
                for _ in range(fault.whole("count")):
                    quads = max(1, (stop - start - distance) // self.unit)
                    at = start // self.unit * self.unit + rng.randrange(quads) * self.unit
                    self._couplings.setdefault(at, []).append((at + distance, rng.randrange(self.unit * 8)))

    def _sectors(self, fault: Injected, choose: object) -> list[int]:
        start, stop = self.span(fault)
        first, last = start // self.sector_size, -(-stop // self.sector_size)
        if fault.range != ANYWHERE:
            return list(range(first, last))
        assert callable(choose)
        return [int(choose(first, last)) for _ in range(fault.whole("count"))]

    def span(self, fault: Injected) -> tuple[int, int]:
        """Return the offsets that a fault's range covers; the whole flash when it names none."""
        size, base = self.chip.flash.size, self.chip.flash.base
        if fault.range == ANYWHERE:
            return 0, size
        start = self.chip.canonical(fault.range.start) - base
        stop = start + fault.range.size
        return (min(max(start, 0), size - 1), min(max(stop, 1), size)) if start < stop else (0, size)

    @property
    def plain(self) -> bool:
        """Whether every read is what was programmed; not so behind a quad-word that was cut short."""
        faults = len(self._alias) + len(self._stuck) + len(self._cells) + len(self._unstable)
        return not faults and TORN not in self.marks.tobytes()

    def aliased(self, offset: int) -> int:
        """Return the offset that the address lines really select."""
        return int(self._aliased_all(np.array(offset))) if self._alias else offset

    def _aliased_all(self, offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        for start, stop, bit, value in self._alias:
            wrong = offsets | 1 << bit if value else offsets & ~(1 << bit)
            offsets = np.where((start <= offsets) & (offsets < stop) & (wrong < self.data.size), wrong, offsets)
        return offsets

    def read(self, offset: int, size: int) -> tuple[npt.NDArray[np.uint8], tuple[EccEvent, ...]]:
        """Return a copy of `size` bytes as the bus sees them and the ECC events met, in address order."""
        if self._alias:
            out = self.data[self._aliased_all(np.arange(offset, offset + size))]
        else:
            out = self.data[offset : offset + size].copy()
        events = self._ecc(offset, size)
        if any(e.double for e in events):
            self._show_cells({e.offset for e in events if e.double}, offset, out)
        if len(self._stuck):
            s = self._stuck.within(offset, size)
            at, m = self._stuck.offsets[s] - offset, self._stuck.masks[s]
            for i, mask, value in zip(at, m, self._stuck.values[s], strict=True):
                out[i] = out[i] & ~mask | mask & value
        if len(self._unstable):
            s = self._unstable.within(offset, size)
            at, m = self._unstable.offsets[s] - offset, self._unstable.masks[s]
            np.bitwise_xor.at(out, at, np.where(self._flicker.random(len(at)) < self._rate, m, 0).astype(np.uint8))
        return out, events

    def _show_cells(self, quads: set[int], offset: int, out: npt.NDArray[np.uint8]) -> None:
        """Let stuck cells through where the ECC cannot correct them."""
        s = self._cells.within(offset, out.size)
        for at, mask, value in zip(self._cells.offsets[s], self._cells.masks[s], self._cells.values[s], strict=True):
            if int(at) // self.unit * self.unit in quads:
                i = int(at) - offset
                out[i] = out[i] & ~mask | mask & value

    def _ecc(self, offset: int, size: int) -> tuple[EccEvent, ...]:
        first, last = offset // self.unit, -(-(offset + size) // self.unit)
        marks = self.marks[first:last]
        torn = np.flatnonzero(marks == TORN) + first if TORN in marks.tobytes() else ()
        wrong: dict[int, int] = {int(q): 2 for q in torn}
        if len(self._cells):
            s = self._cells.within(first * self.unit, (last - first) * self.unit)
            seen: set[tuple[int, int]] = set()
            stuck = zip(self._cells.offsets[s], self._cells.masks[s], self._cells.values[s], strict=True)
            for at, mask, value in stuck:
                held = self.data[self.aliased(int(at))]
                if (held ^ value) & mask and (int(at), int(mask)) not in seen:
                    seen.add((int(at), int(mask)))
                    wrong[int(at) // self.unit] = wrong.get(int(at) // self.unit, 0) + 1
        return tuple(EccEvent(q * self.unit, n > 1) for q, n in sorted(wrong.items()))

    def program(self, offset: int, data: npt.NDArray[np.uint8]) -> None:
        """Program quad-words of one sector: bits can only fall; old AND new stays when it was not erased."""
        if self._alias or self._far_programs:
            for i in range(0, data.size, self.unit):
                self._program(offset + i, data[i : i + self.unit])
        elif not self._couplings:
            self._program(offset, data)
        else:  # in their order: what falls by coupling falls before its own turn, or after
            meeting = sorted(q for q in self._couplings if offset <= q < offset + data.size)
            cuts = [offset, *(q + self.unit for q in meeting), offset + data.size]
            for a, b in pairwise(cuts):
                if a < b:
                    self._program(a, data[a - offset : b - offset])

    def _program(self, offset: int, data: npt.NDArray[np.uint8]) -> None:
        """Program quad-words of which the last one alone may disturb others."""
        offset = self.aliased(offset)
        if self.dead.get(offset // self.sector_size, 0) & 2:
            return
        self.data[offset : offset + data.size] &= data
        self.marks[offset // self.unit : (offset + data.size) // self.unit] = WRITTEN
        for start, stop, distance in self._far_programs:
            if start <= offset < stop and offset + distance + self.unit <= self.data.size:
                self.data[offset + distance : offset + distance + self.unit] &= data
        offset, data = offset + data.size - self.unit, data[-self.unit :]
        for victim, bit in self._couplings.get(offset, ()):
            if not data[bit // 8] >> bit % 8 & 1 and victim + self.unit <= self.data.size:
                self.data[victim + bit // 8] &= 0xFF ^ 1 << bit % 8

    def erase(self, sector: int) -> None:
        """Erase one sector, counted from the begin of physical bank 1."""
        # Lines below the sector do not take part in an erase.
        start = self.aliased(sector * self.sector_size) // self.sector_size * self.sector_size
        if self.dead.get(sector, 0) & 1:
            return
        for first, last, distance in self._far_erases:
            other = (sector + distance) * self.sector_size
            if first <= start < last and other + self.sector_size <= self.data.size:
                self.data[other : other + self.sector_size] = 0xFF
                self.marks[other // self.unit : (other + self.sector_size) // self.unit] = VIRGIN
        self.data[start : start + self.sector_size] = 0xFF
        self.marks[start // self.unit : (start + self.sector_size) // self.unit] = VIRGIN

    def tear(self, offset: int, size: int, rng: np.random.Generator) -> None:
        """Leave a range as a reset leaves it in mid-operation: some cells done, the ECC wrong."""
        first, last = offset // self.unit, (offset + size) // self.unit
        torn = np.flatnonzero(rng.random(last - first) < 0.3) + first if last - first > 1 else np.array([first])
        for quad in torn:
            span = slice(int(quad) * self.unit, (int(quad) + 1) * self.unit)
            self.data[span] |= rng.integers(0, 256, self.unit, dtype=np.uint8)
            self.marks[quad] = TORN


def _bits(entries: list[tuple[int, int, int]]) -> _Bits:
    entries = sorted(entries)
    columns = list(zip(*entries, strict=True)) or [(), (), ()]
    return _Bits(np.array(columns[0], np.int64), np.array(columns[1], np.uint8), np.array(columns[2], np.uint8))
