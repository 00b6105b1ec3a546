"""The two ways to erase and program: our code in the chip's SRAM, or register accesses alone."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from h5diag.chip import Sector
from h5diag.errors import TargetError
from h5diag.memory import Access, AddressRange, Bytes
from h5diag.probe.board import Board
from h5diag.probe.board.algorithm import make_flash
from h5diag.probe.board.programming import DirectFlash, FlashError
from h5diag.probe.flashtest.plan import TestPlan, Way
from h5diag.sim.virtual import VirtualProbe
from h5diag.sim.virtual.engine import UnicornEngine, available

_RAM_SIZE, _PAGE = 0x6000, 0x2000
_DHCSR, _DSCSR, _HALTED, _IN_SECURE = 0xE000EDF0, 0xE000EE08, 1 << 17, 1 << 16
_ANSWER, _CODE, _PATIENCE_S = 0x5A, 0xBE00205A, 0.3  # movs r0, #0x5a; bkpt #0
_CORE = ("r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "sp", "lr", "pc", "xpsr")

Piece = tuple[int, Bytes]
"""Canonical address and bytes to program, whole quad-words."""


class Programmer(Protocol):
    """Erases and programs within a session. Raises `FlashError` with the flags, or `TargetError`."""

    way: Way

    @contextmanager
    def erasing(self) -> Iterator[None]:
        """Hold the chip for erases."""

    @contextmanager
    def programming(self) -> Iterator[None]:
        """Hold the chip for programming."""

    def erase(self, sector: Sector) -> float:
        """Erase and return the seconds it took."""

    def program(self, pieces: Iterable[Piece]) -> float:
        """Program; quad-words that are all ones stay unprogrammed. Returns the seconds it took."""

    def close(self) -> None:
        """Put back what was changed beside the flash."""


class ByRegisters:
    """Register accesses alone: needs neither core nor SRAM."""

    way = Way.REGISTERS

    def __init__(self, board: Board, access: Access, burst: int) -> None:
        self._board, self._access, self._burst = board, access, burst
        self._flash = DirectFlash(board, access)

    def erasing(self) -> Any:
        """Hold the chip, FLASH registers unlocked."""
        return self._flash.unlocked()

    programming = erasing

    def erase(self, sector: Sector) -> float:
        """Erase and return the seconds it took."""
        return self._flash.erase(sector).seconds

    def program(self, pieces: Iterable[Piece]) -> float:
        """Program and return the seconds it took."""
        return sum(
            self._flash.program(bus_address(self._board, self._access, at), data, burst=self._burst).seconds
            for at, data in pieces
        )

    def close(self) -> None:
        """Nothing else was changed."""


class ByAlgorithm:
    """Our own position-independent code in SRAM, through pyOCD's `Flash`."""

    way = Way.ALGORITHM

    def __init__(self, board: Board, access: Access, ram: AddressRange) -> None:
        self._board, self._access, self._ram = board, access, ram
        self._flash: Any = None
        self._kept = board.read_words(ram.start, ram.size // 4)
        with board.locked():
            self._core = board.target.read_core_registers_raw(list(_CORE))

    @contextmanager
    def _session(self, operation: str) -> Iterator[None]:
        board = self._board
        with board.locked():
            self._flash = make_flash(
                board.target, board.chip, self._ram, secure=self._access is Access.SECURE, page_size=_PAGE
            )
            self._flash.init(self._flash.Operation[operation], board.chip.flash.base)
            try:
                yield
            finally:
                self._flash.cleanup()

    def erasing(self) -> Any:
        """Load the code and hold the chip."""
        return self._session("ERASE")

    def programming(self) -> Any:
        """Load the code and hold the chip."""
        return self._session("PROGRAM")

    def erase(self, sector: Sector) -> float:
        """Erase and return the seconds it took."""
        at = bus_address(self._board, self._access, sector.range.start)
        self._board.permissions.require_erase(sector.range)
        begun = self._board.clock_s()
        with self._decoded(at, sector.range.size):
            self._flash.erase_sector(at)
        return self._board.clock_s() - begun

    def program(self, pieces: Iterable[Piece]) -> float:
        """Program and return the seconds it took."""
        begun = self._board.clock_s()
        for at, data in pieces:
            self._board.permissions.require_erase(AddressRange(at, at + data.size))
            if not (data == self._board.chip.flash.erased).all():
                address = bus_address(self._board, self._access, at)
                with self._decoded(address, data.size):
                    self._flash.program_page(address, data.tolist())
        return self._board.clock_s() - begun

    @contextmanager
    def _decoded(self, address: int, size: int) -> Iterator[None]:
        """Turn a failure of the code into the error flags that the FLASH interface shows."""
        try:
            with self._board.locked():
                yield
        except TargetError as error:
            side = "SEC" if self._access is Access.SECURE else "NS"
            status = self._board.register(side + "SR", access=self._access)
            fields = self._board.chip.register(side + "SR").fields
            flags = tuple(f.name for f in fields if f.name.endswith("ERR") and f.get(status))
            if not flags:
                raise
            raise FlashError("the flash reported an error", flags, address=address, size=size) from error

    def close(self) -> None:
        """Put SRAM and core registers back as they were."""
        self._board.write_words(self._ram.start, self._kept)
        with self._board.locked():
            self._board.target.write_core_registers_raw(list(_CORE), self._core)


def bus_address(board: Board, access: Access, address: int) -> int:
    """Return the address on the bus for a canonical one: the secure alias for secure accesses."""
    return board.chip.secure_alias(address) if access is Access.SECURE else address


def choose_programmer(board: Board, plan: TestPlan, access: Access) -> tuple[Programmer, str]:
    """Return how to program, and a sentence about the choice.

    Parameters
    ----------
    board
        Connected, core halted.
    plan
        Which way is wanted; `Way.AUTO` and `Way.ALGORITHM` fall back to registers when the core does not run code.
    access
        Side of the flash.
    """
    registers = ByRegisters(board, access, plan.burst)
    if plan.way is Way.REGISTERS:
        return registers, "programmed by register accesses alone, as asked for"
    if not board.permissions.ram:
        return registers, "programmed by register accesses alone: overwriting SRAM was not allowed"
    probe = board.target.session.probe
    if isinstance(probe, VirtualProbe) and probe.chip.core.engine is None:
        if not available():
            return (
                registers,
                "programmed by register accesses alone: the virtual chip runs code only with the "
                "emulator (pip install 'h5diag[dryrun]')",
            )
        probe.chip.core.engine = UnicornEngine(probe.chip)
    region = next(r for r in board.chip.regions if r.kind == "ram" and r.size >= _RAM_SIZE)
    ram = AddressRange(region.base, region.base + _RAM_SIZE)
    why = _refusal(board, access, ram)
    if why:
        return registers, f"programmed by register accesses alone: {why}"
    return ByAlgorithm(board, access, ram), "programmed by an algorithm in the chip's SRAM"


def _refusal(board: Board, access: Access, ram: AddressRange) -> str:
    """Return why the core cannot be trusted to program; empty when it runs two instructions as it should."""
    try:
        if access is Access.SECURE and not board.read_word(_DSCSR) & _IN_SECURE:
            return "the halted core is in the non-secure state"
        kept = board.read_words(ram.start, 1)
        with board.locked():
            core = board.target.read_core_registers_raw(list(_CORE))
        try:
            for word in (0x5555AAAA, 0xAAAA5555, _CODE):
                board.write_words(ram.start, [word])
                if board.read_word(ram.start) != word:
                    return "the SRAM does not hold what is written to it"
            return "" if _runs(board, ram) else "the core does not run code that is put into SRAM"
        finally:
            board.write_words(ram.start, kept)
            with board.locked():
                board.target.write_core_registers_raw(list(_CORE), core)
    except TargetError as error:
        return f"core or SRAM do not answer ({error.problem})"


def _runs(board: Board, ram: AddressRange) -> bool:
    with board.locked():
        board.target.write_core_registers_raw(["r0", "pc", "xpsr"], [0, ram.start, 0x01000000])
        board.target.resume()
        deadline = time.monotonic() + _PATIENCE_S
        while not board.read_word(_DHCSR) & _HALTED:
            if time.monotonic() > deadline:
                board.target.halt()
                return False
        return int(board.target.read_core_registers_raw(["r0"])[0]) == _ANSWER
