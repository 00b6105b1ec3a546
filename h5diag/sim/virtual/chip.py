"""A whole virtual chip: cells, controller, core, bus and link put together, with reset and product states."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from h5diag.chip import Chip, load_chip
from h5diag.errors import InputError
from h5diag.memory import AddressRange
from h5diag.sim.virtual.boards import Bench, load_board
from h5diag.sim.virtual.bus import RCC_RSR, Bus, BusFault
from h5diag.sim.virtual.cells import VIRGIN, WRITTEN, Cells
from h5diag.sim.virtual.core import Core
from h5diag.sim.virtual.faults import ANYWHERE, RANDOM, FaultKind, Injected, Setup
from h5diag.sim.virtual.flash_controller import Clock, FlashController

Bytes = npt.NDArray[np.uint8]
_CHUNK = 64


class Unplugged(Exception):
    """The cable is gone."""


class Cable:
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
        self._faults: list[tuple[AddressRange, Injected, int]] = []
        self._unplugs: list[tuple[AddressRange, list[float]]] = []
        kinds = {f.kind for f in setup.faults}
        self.locked = FaultKind.LOCKED_PORT in kinds
        self.asleep = FaultKind.CORE_ASLEEP in kinds
        self.no_reset_line = FaultKind.NO_RESET_LINE in kinds
        self.dips: list[int] = []
        self.plugged = True
        self._bytes = 0
        for i, fault in enumerate(setup.faults):
            self._place(fault, setup, i)

    def _place(self, fault: Injected, setup: Setup, index: int) -> None:
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
        elif fault.kind is FaultKind.POWER_DIP:
            after = rng.randrange(16, 1024) if fault.setting("after") == RANDOM else fault.whole("after")
            self.dips += [after * (k + 1) for k in range(fault.whole("times"))]
        elif fault.kind in (
            FaultKind.BUS_FAULT,
            FaultKind.BUS_FAULT_SPORADIC,
            FaultKind.ZERO_CHUNK,
            FaultKind.DROP_WORD,
        ):
            self._faults.append((where, fault, setup.seed * 100 + index))

    @property
    def distorts(self) -> bool:
        """Whether what is read may arrive otherwise."""
        return bool(self._faults)

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

    def _zero(self, fault: Injected, seed: int, start: int, a: int, b: int, data: Bytes) -> Bytes:
        first, last = (start + a) // _CHUNK, -(-(start + b) // _CHUNK)
        chance = _hashed(np.arange(first, last), seed) if fault.whole("repeat") else self._rng.random(last - first)
        hits = np.flatnonzero(chance < fault.setting("rate"))
        if hits.size:
            data = data.copy()
        for i in hits:
            at = (first + int(i)) * _CHUNK - start
            data[max(a, at) : min(b, at + _CHUNK)] = 0
        return data

    def _drop(self, fault: Injected, seed: int, start: int, a: int, b: int, data: Bytes) -> Bytes:
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


_HEADER = 8192
_KIND = "h5diag virtual flash 1"


class _State:
    """Cells, marks and options of a chip, in memory or in a mapped file.

    Parameters
    ----------
    path
        File, made from the board when absent; empty keeps everything in memory.
    chip, board
        What a new chip is made of.

    Raises
    ------
    InputError
        When the file is of another kind or of another chip.
    """

    def __init__(self, path: str, chip: Chip, board: Bench) -> None:
        size, quads = chip.flash.size, chip.flash.size // chip.flash.program_unit
        self.options = dict(board.options)
        self._header: npt.NDArray[np.uint8] | None = None
        self._name = chip.name
        fresh = True
        if path:
            file = Path(path)
            fresh = not file.exists()
            if fresh:
                file.write_bytes(b"\0" * (_HEADER + size + quads))
            elif file.stat().st_size != _HEADER + size + quads:
                raise InputError("not the kept flash of this virtual chip", source=path, advice="name a new file")
            mapped = np.memmap(file, np.uint8, "r+")
            self._header = mapped[:_HEADER]
            self.data, self.marks = mapped[_HEADER : _HEADER + size], mapped[_HEADER + size :]
            if not fresh:
                self.options = self._load(path)
        else:
            self.data, self.marks = np.empty(size, np.uint8), np.empty(quads, np.uint8)
        if fresh:
            self.data[:] = board.flash
            written = (board.flash.reshape(quads, -1) != 0xFF).any(axis=1)
            self.marks[:] = np.where(written, WRITTEN, VIRGIN)
            self.keep(self.options)

    def _load(self, path: str) -> dict[str, int]:
        assert self._header is not None
        try:
            table = json.loads(self._header.tobytes().rstrip(b"\0"))
            if table["kind"] != _KIND or table["chip"] != self._name:
                raise ValueError
            return {str(k): int(v) for k, v in table["options"].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InputError("not the kept flash of this virtual chip", source=path, advice="name a new file") from None

    def keep(self, options: dict[str, int]) -> None:
        """Write the option bytes into the header of the file, if there is one."""
        if self._header is not None:
            text = json.dumps({"kind": _KIND, "chip": self._name, "options": options}).encode()
            self._header[:] = np.frombuffer(text.ljust(_HEADER, b"\0"), np.uint8)


_PIN_RESET, _SOFT_RESET, _POWER_RESET = 1 << 26, 1 << 28, 1 << 27
_MAX_WINDOW = 0x400


class VirtualChip:
    """An STM32H563 that exists in memory only.

    Parameters
    ----------
    setup
        Board, seed, faults, state file.
    chip
        Its description; the virtual chip is tried with two-bank H5 descriptions.
    """

    def __init__(self, setup: Setup | None = None, chip: Chip | None = None) -> None:
        self.description = chip or load_chip()
        self.lock = threading.RLock()
        board = load_board(setup or Setup(), self.description)
        self.board = board
        self.setup = replace(setup or Setup(), faults=(*board.faults, *(setup or Setup()).faults))
        self.clock = Clock()
        self.state = _State(self.setup.state, self.description, board)
        cells = Cells(self.description, self.state.data, self.state.marks, self.setup)
        kinds = {f.kind for f in self.setup.faults}
        if FaultKind.BANK_SWAP in kinds:
            option = self.description.register("OPTSR_CUR").field("SWAP_BANK")
            self.state.options["OPTSR_CUR"] = option.put(self.state.options["OPTSR_CUR"], 1)
        self.flash = FlashController(self.description, cells, self.state.options, self.clock)
        self.path = Cable(self.description, self.setup)
        self._debug = (-1, "")
        self.power_ups = 0
        self._programmed = 0
        self.core = Core(board.walk, self._vector, lambda: self.reset(_SOFT_RESET), lambda: self.secure_debug)
        self.core.vtor, self.core.secure = board.vtor, self.flash.trustzone
        for address, value in board.fault_registers:
            self.core.memory[address] = value
        idcode = board.rev_id << 16 | 0x6000 | self.description.identity.dev_id
        level = (0xB4, 0x51, 0x8A, 0x6F)[board.hdp_level]
        named = {a.name: a.address for a in self.description.addresses}
        words = {
            self.description.identity.idcode[0]: idcode,
            named["SBS_HDPLSR"]: level,
            RCC_RSR: board.reset_flags,
            named["DBGMCU_SR"]: 3 | 1 << 16 | self.core_port_open << 17,
        }
        kib = self.description.flash.size // 1024
        kib = 0 if FaultKind.SIZE_ZERO in kinds else kib
        uid = bytes(12) if FaultKind.UID_ZERO in kinds else board.uid
        identity = uid + kib.to_bytes(2, "little") + board.package.to_bytes(2, "little")
        self.bus = Bus(self.description, self.flash, self.core, identity, board.hdp_level, words)
        self.core.wake()

    # ------------------------------------------------------------------------------------------------ debug access
    @property
    def debug(self) -> str:
        """What the product state leaves to a debugger, in the word of the chip file."""
        options = self.flash.options["OPTSR_CUR"]
        if self._debug[0] != options:
            self._debug = (options, self.description.state(self.flash.option("OPTSR_CUR", "PRODUCT_STATE")).debug)
        return self._debug[1]

    @property
    def core_port_open(self) -> bool:
        """Whether AP1 answers."""
        return not self.path.locked and self.debug in ("full", "nonsecure", "unknown")

    @property
    def secure_debug(self) -> bool:
        """Whether secure accesses are allowed (SPIDEN)."""
        return self.debug == "full"

    def read(self, address: int, size: int, secure: bool) -> npt.NDArray[np.uint8]:
        """Read through the link: bus, then the faults of the way; BusFault or Unplugged."""
        self.path.touch(address, size)
        if self.path.asleep:
            raise BusFault(address)
        out = []
        while size > 0:
            n = min(size, _MAX_WINDOW - address % _MAX_WINDOW) if self.path.distorts else size
            out.append(self.path.distort(address, self.bus.read(address, n, secure), self.clock.frequency_hz))
            address, size = address + n, size - n
        return out[0] if len(out) == 1 else np.concatenate(out)

    def write(self, address: int, data: bytes, secure: bool) -> None:
        """Write through the link; BusFault or Unplugged."""
        self.path.touch(address, len(data))
        if self.path.asleep:
            raise BusFault(address)
        self.bus.write(address, data, secure)
        if self.path.dips and self.description.canonical(address) in self.description.flash_range:
            self._programmed += len(data)
            if self._programmed >= self.path.dips[0] * self.description.flash.program_unit:
                self.path.dips.pop(0)
                self.power_cycle()
        self.keep()

    def keep(self) -> None:
        """Put changed option bytes into the state file; the cells are there already."""
        if self.bus.dirty:
            self.state.keep(self.flash.options)
            self.bus.dirty = False

    # ------------------------------------------------------------------------------------------------ reset
    def _vector(self, address: int) -> int:
        data = self.bus.read(address or self.description.flash.base, 4, self.flash.trustzone)
        return int.from_bytes(data.tobytes(), "little")

    def reset(self, flag: int = _PIN_RESET) -> None:
        """System reset; flash operations under way are torn."""
        self.path.asleep = False
        self.flash.reset()
        self.bus.words[RCC_RSR] |= flag
        self.core.vtor = self.board.vtor
        self.core.reset()

    def power_cycle(self) -> None:
        """Take the supply away and give it back: as a reset, and the SRAM forgets."""
        self.reset(_POWER_RESET)
        self.power_ups += 1
        for region in self.description.regions:
            ram = self.bus.ram(region.name)
            if ram is not None:
                ram[:] = 0xA5

    def hold_reset(self, asserted: bool) -> None:
        """Drive NRST; while it is low the option registers read zero."""
        if self.path.no_reset_line:
            return
        self.path.asleep = False
        if asserted and not self.bus.in_reset:
            self.flash.reset()
            self.bus.words[RCC_RSR] |= _PIN_RESET
            self.core.vtor = self.board.vtor
            self.core.reset(asserted=True)
        elif not asserted and self.bus.in_reset:
            self.core.release()
        self.bus.in_reset = asserted
