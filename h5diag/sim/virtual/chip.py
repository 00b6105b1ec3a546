"""A whole virtual chip: cells, controller, core, bus and link put together, with reset and product states."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from h5diag.chip import Chip, load_chip
from h5diag.sim.virtual.boards import Board, load_board
from h5diag.sim.virtual.bus import RCC_RSR, Bus
from h5diag.sim.virtual.cells import Cells
from h5diag.sim.virtual.clock import Clock
from h5diag.sim.virtual.core import Core
from h5diag.sim.virtual.faults import Setup
from h5diag.sim.virtual.flash_controller import FlashController
from h5diag.sim.virtual.path import Path
from h5diag.sim.virtual.state import State

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
        self.state = State(self.setup.state, self.description, board)
        cells = Cells(self.description, self.state.data, self.state.marks, self.setup)
        self.flash = FlashController(self.description, cells, self.state.options, self.clock)
        self.core = Core(board.walk, self._vector, lambda: self.reset(_SOFT_RESET))
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
            named["DBGMCU_SR"]: 3 | 1 << 16 | self.core_open(board) << 17,
        }
        self.path = Path(self.description, self.setup)
        if self.path.locked:
            words[named["DBGMCU_SR"]] = 3 | 1 << 16
        kib = self.description.flash.size // 1024
        identity = board.uid + kib.to_bytes(2, "little") + board.package.to_bytes(2, "little")
        self.bus = Bus(self.description, self.flash, self.core, identity, board.hdp_level, words)

    # ------------------------------------------------------------------------------------------------ debug access
    def core_open(self, board: Board) -> bool:
        """Tell whether the product state lets a debugger reach the core at all."""
        state = self.description.state(
            self.description.register("OPTSR_CUR").get("PRODUCT_STATE", self.state.options["OPTSR_CUR"])
        )
        return state.debug in ("full", "nonsecure", "unknown")

    @property
    def core_port_open(self) -> bool:
        """Whether AP1 answers."""
        return not self.path.locked and self.core_open(self.board)

    @property
    def secure_debug(self) -> bool:
        """Whether secure accesses are allowed (SPIDEN)."""
        state = self.description.state(self.flash.option("OPTSR_CUR", "PRODUCT_STATE"))
        return state.debug == "full"

    def read(self, address: int, size: int, secure: bool) -> npt.NDArray[np.uint8]:
        """Read through the link: bus, then the faults of the way; BusFault or Unplugged."""
        self.path.touch(address, size)
        out = []
        while size > 0:
            n = min(size, _MAX_WINDOW - address % _MAX_WINDOW)
            out.append(self.path.distort(address, self.bus.read(address, n, secure), self.clock.frequency_hz))
            address, size = address + n, size - n
        return out[0] if len(out) == 1 else np.concatenate(out)

    def write(self, address: int, data: bytes, secure: bool) -> None:
        """Write through the link; BusFault or Unplugged."""
        self.path.touch(address, len(data))
        self.bus.write(address, data, secure)
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
        self.flash.reset()
        self.bus.words[RCC_RSR] |= flag
        self.core.vtor = self.board.vtor
        self.core.reset()

    def power_cycle(self) -> None:
        """Take the supply away and give it back: as a reset, and the SRAM forgets."""
        self.reset(_POWER_RESET)
        for region in self.description.regions:
            ram = self.bus.ram(region.name)
            if ram is not None:
                ram[:] = 0xA5

    def hold_reset(self, asserted: bool) -> None:
        """Drive NRST; while it is low the option registers read zero."""
        if asserted and not self.bus.in_reset:
            self.flash.reset()
            self.bus.words[RCC_RSR] |= _PIN_RESET
            self.core.vtor = self.board.vtor
            self.core.reset(asserted=True)
        elif not asserted and self.bus.in_reset:
            self.core.release()
        self.bus.in_reset = asserted
