"""The two ways to erase and program: our code in the chip's SRAM, or register accesses alone.

Register accesses are slower, but need neither core nor SRAM. The code is position-independent and begins with five
branches of four bytes: Init, UnInit, EraseSector, ProgramPage, Checksums; source and build script stand beside the
blob. What the core itself reads is the second way of reading: it does not pass the link.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from pyocd.core.exceptions import FlashEraseFailure, FlashFailure
from pyocd.core.memory_map import FlashRegion
from pyocd.flash.flash import Flash

from h5diag.chip import Chip, Register, Sector
from h5diag.errors import ProbeError, TargetError
from h5diag.memory import Access, AddressRange, Bytes
from h5diag.probe.board import Board
from h5diag.probe.flashtest.plan import TestPlan, Way
from h5diag.sim.virtual import VirtualProbe
from h5diag.sim.virtual.engine import UnicornEngine, available
from h5diag.text import count_text

_HEADER = (0xE7FDBE00,)  # bkpt #0, and a branch back to it: where every call returns to
_STACK = 0x400


def code() -> bytes:
    """Return the blob, padded to whole words."""
    blob = resources.files(__package__).joinpath("algorithm/flash_algorithm.bin").read_bytes()
    return blob + bytes(-len(blob) % 4)


def describe(ram: AddressRange, page_size: int) -> dict[str, Any]:
    """Return pyOCD's description of the algorithm, placed at the begin of `ram`.

    Parameters
    ----------
    ram
        SRAM that may be overwritten: code, 1 KiB of stack, and two buffers of `page_size` must fit.
    page_size
        Bytes programmed by one call; a multiple of 16.

    Raises
    ------
    ValueError
        When `ram` is too small.
    """
    blob = code()
    words = [int.from_bytes(blob[i : i + 4], "little") for i in range(0, len(blob), 4)]
    start = ram.start
    entry = start + 4 * len(_HEADER)
    stack = (entry + len(blob) + _STACK + 7) & ~7
    buffers = [stack, stack + page_size]
    if buffers[-1] + page_size > ram.stop:
        raise ValueError(f"{ram} is too small for the flash algorithm and two pages of {count_text(page_size, 'byte')}")
    return {
        "load_address": start,
        "instructions": [*_HEADER, *words],
        "pc_init": entry + 1,
        "pc_unInit": entry + 5,
        "pc_erase_sector": entry + 9,
        "pc_program_page": entry + 13,
        "pc_checksums": entry + 17,
        "begin_stack": stack,
        "static_base": stack,
        "page_buffers": buffers,
        "min_program_length": 16,
        "analyzer_supported": False,
    }


class CoreFlash(Flash):  # type: ignore[misc]
    """pyOCD's flash class over our code: the geometry comes with each erase, and the core can be asked for checksums."""

    bank_size = 0

    def erase_sector(self, address: int) -> None:
        """Erase the sector at `address`; raises pyOCD's `FlashEraseFailure`."""
        self._called("pc_erase_sector", address, self.bank_size, "flash.timeout.erase_sector", FlashEraseFailure)

    def checksums(self, address: int, size: int, block: int) -> npt.NDArray[np.uint32]:
        """Return one word for each block as the core reads it; see `checksums_of`. Up to 2048 blocks."""
        out = self.page_buffers[0]
        self._called("pc_checksums", address, size, "flash.timeout.analyzer", FlashFailure, block, out)
        return np.array(self.target.read_memory_block32(out, size // block), np.uint32)

    def _called(self, entry: str, address: int, second: int, limit: str, kind: Any, *more: int) -> None:
        registers = dict(zip(("r2", "r3"), more, strict=False))
        timeout = self.target.session.options.get(limit)
        result = self._call_function_and_wait(
            self.flash_algo[entry], r0=address, r1=second, timeout=timeout, **registers
        )
        if result:
            raise kind(f"{entry.removeprefix('pc_')} failed", address=address, result_code=result)


def checksums_of(data: Bytes, block: int) -> npt.NDArray[np.uint32]:
    """Return what the code in SRAM computes of each block: FNV by words, folded."""
    rows = np.ascontiguousarray(data).view("<u4").reshape(-1, block // 4)
    h = np.full(rows.shape[0], 0x811C9DC5, np.uint32)
    for column in rows.T:
        h = (h ^ column) * np.uint32(0x01000193)
        h ^= h >> np.uint32(15)
    return h


def make_flash(
    target: Any, chip: Chip, ram: AddressRange, *, secure: bool = False, page_size: int = 0x2000
) -> CoreFlash:
    """Return pyOCD's `Flash` for the user flash of `target`, over our algorithm.

    Parameters
    ----------
    target
        pyOCD's target, as `Board.target`.
    chip
        Geometry.
    ram
        As in `describe`.
    secure
        Work through the secure alias and registers.
    page_size
        As in `describe`.
    """
    base = chip.flash.secure_base if secure else chip.flash.base
    region = FlashRegion(
        name="user flash",
        start=base,
        length=chip.flash.size,
        sector_size=chip.flash.sector_size,
        page_size=page_size,
        phrase_size=chip.flash.program_unit,
        erased_byte_value=chip.flash.erased,
    )
    flash = CoreFlash(target, describe(ram, page_size))
    flash.region = region
    flash.bank_size = chip.flash.bank_size
    return flash


_LIMIT_S = 5.0
_POLLS = 100_000


class FlashError(TargetError):
    """The FLASH interface refused an operation or reported an error; `flags` are the names of its error bits."""

    def __init__(self, problem: str, flags: tuple[str, ...], *, address: int, size: int) -> None:
        self.flags = flags
        super().__init__(problem, address=address, size=size, cause=", ".join(flags))


@dataclass(frozen=True, slots=True)
class Timing:
    """How long an operation took: seconds on the board's clock, and polls of the busy flag."""

    seconds: float
    polls: int


class DirectFlash:
    """The FLASH interface of a connected chip. Use `unlocked` around erase and program.

    Parameters
    ----------
    board
        A board whose permissions cover what is going to be changed.
    access
        Secure or non-secure registers and accesses; by default the board's own.
    """

    def __init__(self, board: Board, access: Access = Access.UNKNOWN) -> None:
        self.board = board
        self.access = board.access if access is Access.UNKNOWN else access
        self._side = "SEC" if self.access is Access.SECURE else "NS"
        chip = board.chip
        self._cr, self._sr = chip.register(self._side + "CR"), chip.register(self._side + "SR")
        self._base = chip.flash_registers_secure if self._side == "SEC" else chip.flash_registers
        self._ccr = chip.register(self._side + "CCR")
        self._keys = next(k.words for k in chip.keys if k.register == self._side + "KEYR")
        self._busy = sum(self._sr.field(n).mask for n in ("BSY", "WBNE", "DBNE"))
        self._errors = tuple(f for f in self._sr.fields if f.name.endswith("ERR"))

    def _get(self, register: Register) -> int:
        return self.board.read_word(self._base + register.offset, access=self.access)

    def _put(self, register: Register, value: int) -> None:
        self.board.write_word(self._base + register.offset, value, access=self.access)

    @contextmanager
    def unlocked(self) -> Iterator[None]:
        """Hold the board and the unlocked FLASH registers; locks them again, also after an error.

        Raises
        ------
        FlashError
            When the lock does not open: a wrong key was written since the last reset.
        """
        lock = self._cr.field("LOCK").mask
        key = self.board.chip.register(self._side + "KEYR")
        with self.board.locked():
            self._wait(0, 0)
            if self._get(self._cr) & lock:
                for word in self._keys:
                    self._put(key, word)
            if self._get(self._cr) & lock:
                raise FlashError("the FLASH registers stay locked until the next reset", (), address=0, size=0)
            self.clear()
            try:
                yield
            finally:
                self._lock_again(lock)

    def _lock_again(self, lock: int) -> None:
        try:
            self._put(self._cr, lock)
        except (ProbeError, TargetError):
            return  # the error that led here is the one to tell

    def clear(self) -> None:
        """Clear the status flags."""
        self._put(self._ccr, sum(f.mask for f in self._ccr.fields))

    def _wait(self, address: int, size: int) -> int:
        """Poll until nothing is under way, raise what the status says, and return how often was asked."""
        begun = self.board.clock_s()
        for polls in range(1, _POLLS):
            status = self._get(self._sr)
            if not status & self._busy:
                flags = tuple(f.name for f in self._errors if f.get(status))
                if flags and size:
                    self.clear()
                    raise FlashError("the flash reported an error", flags, address=address, size=size)
                return polls
            if self.board.clock_s() - begun > _LIMIT_S:
                break
        raise FlashError("the flash stays busy", ("BSY",), address=address, size=size)

    def erase(self, sector: Sector) -> Timing:
        """Erase one sector and return how long it took.

        Raises
        ------
        PermissionRefused
            When the permissions do not cover it.
        FlashError
            When the chip refuses.
        """
        chip, r = self.board.chip, self._cr
        self.board.permissions.require_erase(sector.range)
        swapped = chip.register("OPTCR").get("SWAP_BANK", self._get(chip.register("OPTCR")))
        bank = (sector.bank - 1) ^ swapped  # BKSEL names the physical bank
        value = r.field("SNB").put(r.field("BKSEL").put(r.field("SER").mask, bank), sector.index)
        begun = self.board.clock_s()
        self._put(r, value)
        self._put(r, value | r.field("STRT").mask)
        try:
            polls = self._wait(sector.range.start, sector.range.size)
        finally:
            self._put(r, 0)
        return Timing(self.board.clock_s() - begun, polls)

    def program(self, address: int, data: Bytes, *, burst: int = 16, descending: bool = False) -> Timing:
        """Program whole quad-words; those that are all ones stay unprogrammed.

        Parameters
        ----------
        address
            Where, 16-byte aligned; either alias.
        data
            ``uint8``, a multiple of 16 bytes.
        burst
            Bytes written between two looks at the busy flag; more than 16 relies on the bus to wait.
        descending
            From the last quad-word to the first.

        Raises
        ------
        ValueError
            When address or size are not aligned.
        PermissionRefused, FlashError
            As in `erase`.
        """
        unit = self.board.chip.flash.program_unit
        if address % unit or data.size % unit or burst % unit or not burst:
            raise ValueError("only whole aligned quad-words can be programmed")
        start = self.board.chip.canonical(address)
        self.board.permissions.require_erase(AddressRange(start, start + data.size))
        words = np.ascontiguousarray(data).view("<u4")
        blank = (data.reshape(-1, unit) == self.board.chip.flash.erased).all(axis=1)
        begun, polls, unseen = self.board.clock_s(), 0, 0
        runs = list(_runs(~blank, 1 if descending else burst // unit))
        self._put(self._cr, self._cr.field("PG").mask)
        try:
            for run in reversed(runs) if descending else runs:
                at, size = run.start * unit, (run.stop - run.start) * unit
                self.board.write_words(address + at, words[at // 4 : at // 4 + size // 4], access=self.access)
                unseen += size
                if not descending or unseen >= burst or run is runs[0]:
                    polls += self._wait(address + at, unseen)
                    unseen = 0
        finally:
            self._put(self._cr, 0)
        return Timing(self.board.clock_s() - begun, polls)


def _runs(wanted: np.ndarray[tuple[int], np.dtype[np.bool_]], most: int) -> Iterator[range]:
    """Yield runs of consecutive True, cut to `most`."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wanted, [False]]).astype(np.int8)))
    for a, b in edges.reshape(-1, 2):
        for at in range(int(a), int(b), most):
            yield range(at, min(int(b), at + most))


_RAM_SIZE, _PAGE, _MOST_BLOCKS = 0x6000, 0x2000, 2048
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

    def program(self, pieces: Iterable[Piece], *, descending: bool = False) -> float:
        """Program; quad-words that are all ones stay unprogrammed. Returns the seconds it took.

        With `descending` the quad-words of each piece are taken from the last to the first.
        """

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

    def program(self, pieces: Iterable[Piece], *, descending: bool = False) -> float:
        """Program and return the seconds it took."""
        return sum(
            self._flash.program(
                bus_address(self._board, self._access, at), data, burst=self._burst, descending=descending
            ).seconds
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

    def checksums(self, where: AddressRange, block: int) -> npt.NDArray[np.uint32]:
        """Return a word for each block of a canonical range, as the core reads it.

        Raises
        ------
        TargetError
            When the core does not come back: it met what it cannot read.
        """
        out = []
        with self._session("VERIFY"):
            for at in range(where.start, where.stop, block * _MOST_BLOCKS):
                size = min(block * _MOST_BLOCKS, where.stop - at)
                out.append(self._flash.checksums(bus_address(self._board, self._access, at), size, block))
        return np.concatenate(out)

    def program(self, pieces: Iterable[Piece], *, descending: bool = False) -> float:
        """Program and return the seconds it took."""
        begun = self._board.clock_s()
        for at, data in pieces:
            self._board.permissions.require_erase(AddressRange(at, at + data.size))
            if not (data == self._board.chip.flash.erased).all():
                address = bus_address(self._board, self._access, at)
                with self._decoded(address, data.size):
                    self._flash.program_page(address | descending, data.tolist())
                self._board.moved += data.size
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


def choose_programmer(board: Board, plan: TestPlan, access: Access) -> tuple[Programmer, ByAlgorithm | None, str]:
    """Return how to program, the core as a second way of reading (None when it cannot be asked), and a sentence.

    Parameters
    ----------
    board
        Connected, core halted.
    plan
        Which way is wanted; `Way.AUTO` and `Way.ALGORITHM` fall back to registers when the core does not run code.
    access
        Side of the flash.
    """
    registers, by = ByRegisters(board, access, plan.burst), "programmed by register accesses alone"
    if not board.permissions.ram:
        return registers, None, f"{by}: overwriting SRAM was not allowed"
    region = next((r for r in board.chip.regions if r.kind == "ram" and r.size >= _RAM_SIZE), None)
    why = "the chip file names no SRAM that is large enough" if region is None else _without_engine(board)
    if region is not None and not why:
        ram = AddressRange(region.base, region.base + _RAM_SIZE)
        why = _refusal(board, access, ram)
        if not why:
            core = ByAlgorithm(board, access, ram)
            if plan.way is Way.REGISTERS:
                return registers, core, f"{by}, as asked for; what is read is compared with what the core reads"
            return core, core, "programmed by an algorithm in the chip's SRAM"
    return registers, None, f"{by}: {why}"


def _without_engine(board: Board) -> str:
    """Return why a virtual chip executes nothing; empty for a real one and where the emulator is plugged in."""
    probe = board.target.session.probe
    if isinstance(probe, VirtualProbe) and probe.chip.core.engine is None:
        if not available():
            return "the virtual chip runs code only with the emulator (pip install 'h5diag[dryrun]')"
        probe.chip.core.engine = UnicornEngine(probe.chip)
    return ""


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
            return "" if _runs_code(board, ram) else "the core does not run code that is put into SRAM"
        finally:
            with board.locked():
                if not board.halted:  # an error of the link while the two instructions ran
                    board.target.halt()
                board.target.write_core_registers_raw(list(_CORE), core)
            board.write_words(ram.start, kept)
    except TargetError as error:
        return f"core or SRAM do not answer ({error.problem})"


def _runs_code(board: Board, ram: AddressRange) -> bool:
    with board.locked():
        board.target.write_core_registers_raw(["r0", "pc", "xpsr"], [0, ram.start, 0x01000000])
        board.target.resume()
        deadline = time.monotonic() + _PATIENCE_S
        while not board.read_word(_DHCSR) & _HALTED:
            if time.monotonic() > deadline:
                board.target.halt()
                return False
        return int(board.target.read_core_registers_raw(["r0"])[0]) == _ANSWER
