"""Erase and program by register accesses alone: slower than an algorithm in SRAM, but without core and SRAM."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from h5diag.chip import Register, Sector
from h5diag.errors import ProbeError, TargetError
from h5diag.memory import Access, AddressRange, Bytes
from h5diag.probe.board.board import Board

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

    def program(self, address: int, data: Bytes, *, burst: int = 16) -> Timing:
        """Program whole quad-words; those that are all ones stay unprogrammed.

        Parameters
        ----------
        address
            Where, 16-byte aligned; either alias.
        data
            ``uint8``, a multiple of 16 bytes.
        burst
            Bytes written between two looks at the busy flag; more than 16 relies on the bus to wait.

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
        begun, polls = self.board.clock_s(), 0
        self._put(self._cr, self._cr.field("PG").mask)
        try:
            for run in _runs(~blank, burst // unit):
                at = run.start * unit
                self.board.write_words(address + at, words[at // 4 : run.stop * unit // 4], access=self.access)
                polls += self._wait(address + at, (run.stop - run.start) * unit)
        finally:
            self._put(self._cr, 0)
        return Timing(self.board.clock_s() - begun, polls)


def _runs(wanted: np.ndarray[tuple[int], np.dtype[np.bool_]], most: int) -> Iterator[range]:
    """Yield runs of consecutive True, cut to `most`."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wanted, [False]]).astype(np.int8)))
    for a, b in edges.reshape(-1, 2):
        for at in range(int(a), int(b), most):
            yield range(at, min(int(b), at + most))
