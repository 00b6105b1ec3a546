"""Faults on the way from the chip to the probe: what a read brings although the memory is sound."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from h5diag.chip import Chip
from h5diag.memory import AddressRange
from h5diag.sim.virtual.bus import BusFault
from h5diag.sim.virtual.faults import ANYWHERE, RANDOM, Fault, FaultKind, Setup

Bytes = npt.NDArray[np.uint8]
_CHUNK = 64


class Unplugged(Exception):
    """The cable is gone."""


class Path:
    """The link of one chip with its faults.

    Parameters
    ----------
    chip
        Tells which addresses are flash: faults without a range strike there only.
    setup
        Faults and seed.
    """

    def __init__(self, chip: Chip, setup: Setup) -> None:
        self._chip = chip
        self._rng = np.random.default_rng([setup.seed, 7])
        self._faults: list[tuple[AddressRange, Fault, int]] = []
        self._unplugs: list[tuple[AddressRange, list[float]]] = []
        self.locked = any(f.kind is FaultKind.LOCKED_PORT for f in setup.faults)
        self.plugged = True
        self._bytes = 0
        for i, fault in enumerate(setup.faults):
            self._place(fault, setup, i)

    def _place(self, fault: Fault, setup: Setup, index: int) -> None:
        rng, flash = setup.rng(index), self._chip.flash_range
        where = (
            flash
            if fault.range == ANYWHERE
            else AddressRange(
                self._chip.canonical(fault.range.start), self._chip.canonical(fault.range.start) + fault.range.size
            )
        )
        if fault.kind is FaultKind.BUS_FAULT and fault.range == ANYWHERE:
            start = flash.start + rng.randrange(flash.size // 4) * 4
            where = AddressRange(start, start + 4)
        if fault.kind is FaultKind.UNPLUG:
            after = rng.randrange(0x10000, 0x100000) if fault.setting("after") == RANDOM else fault.whole("after")
            touch = fault.range != ANYWHERE and fault.setting("after") == RANDOM
            moments = [0.0 if touch else float(after * (k + 1)) for k in range(fault.whole("times"))]
            self._unplugs.append((where if touch else ANYWHERE, moments))
        elif fault.kind in (
            FaultKind.BUS_FAULT,
            FaultKind.BUS_FAULT_SPORADIC,
            FaultKind.ZERO_CHUNK,
            FaultKind.DROP_WORD,
        ):
            self._faults.append((where, fault, setup.seed * 100 + index))

    @property
    def may_be_cut(self) -> bool:
        """Whether the cable may leave in the middle of a burst."""
        return bool(self._unplugs)

    def replug(self) -> None:
        """Put the cable back."""
        self.plugged = True

    def touch(self, address: int, size: int) -> None:
        """Count `size` bytes on the link; raises `Unplugged` when the cable leaves or has left."""
        self._bytes += size
        canonical = self._chip.canonical(address)
        for where, moments in self._unplugs:
            hit = (
                where.overlaps(AddressRange(canonical, canonical + size))
                if where != ANYWHERE
                else bool(moments) and self._bytes >= moments[0]
            )
            if moments and hit:
                moments.pop(0)
                self.plugged = False
        if not self.plugged:
            raise Unplugged

    def distort(self, address: int, data: Bytes, frequency_hz: float) -> Bytes:
        """Return what arrives of one read window; the argument may be changed.

        Raises
        ------
        BusFault
            Where a word fails.
        """
        if not self._faults:
            return data
        start = self._chip.canonical(address)
        window = AddressRange(start, start + data.size)
        for where, fault, seed in self._faults:
            common = where.intersection(window)
            if not common.size or (fault.kind is not FaultKind.BUS_FAULT and frequency_hz <= fault.setting("above")):
                continue
            a, b = common.start - start, common.stop - start
            match fault.kind:
                case FaultKind.BUS_FAULT:
                    raise BusFault(address + a)
                case FaultKind.BUS_FAULT_SPORADIC:
                    hits = np.flatnonzero(self._rng.random(-(-(b - a) // 4)) < fault.setting("rate"))
                    if hits.size:
                        raise BusFault(address + a + 4 * int(hits[0]))
                case FaultKind.ZERO_CHUNK:
                    data = self._zero(fault, seed, start, a, b, data)
                case FaultKind.DROP_WORD:
                    data = self._drop(fault, seed, start, a, b, data)
        return data

    def _zero(self, fault: Fault, seed: int, start: int, a: int, b: int, data: Bytes) -> Bytes:
        first, last = (start + a) // _CHUNK, -(-(start + b) // _CHUNK)
        chance = _hashed(np.arange(first, last), seed) if fault.whole("repeat") else self._rng.random(last - first)
        hits = np.flatnonzero(chance < fault.setting("rate"))
        if hits.size:
            data = data.copy()
        for i in hits:
            at = (first + int(i)) * _CHUNK - start
            data[max(a, at) : min(b, at + _CHUNK)] = 0
        return data

    def _drop(self, fault: Fault, seed: int, start: int, a: int, b: int, data: Bytes) -> Bytes:
        words = (b - a) // 4
        if words < 2:
            return data
        index = np.arange((start + a) // 4, (start + a) // 4 + words)
        chance = _hashed(index, seed) if fault.whole("repeat") else self._rng.random(words)
        hits = np.flatnonzero(chance < fault.setting("rate"))
        if hits.size:
            at = a + 4 * int(hits[0])
            data = np.concatenate([data[:at], data[at + 4 :], data[-4:]])
        return data


def _hashed(index: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.float64]:
    """Return a number in [0, 1) for each index, always the same one for a seed."""
    x = (index.astype(np.uint64) + np.uint64(seed + 1)) * np.uint64(0x9E3779B97F4A7C15)
    x ^= x >> np.uint64(31)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    return (x >> np.uint64(11)).astype(np.float64) / float(1 << 53)
