"""A chip held still for a flash test: core halted, watchdogs frozen, and a look whether it stayed so."""

from __future__ import annotations

from collections.abc import Callable

from h5diag.errors import PermissionRefused
from h5diag.memory import Access
from h5diag.probe.board import Board, reconnect

_DHCSR, _HALTED = 0xE000EDF0, 1 << 17
_FREEZE = 1 << 11 | 1 << 12
"""DBGMCU_APB1FZR1: WWDG and IWDG stop while the core is halted (CM, BMP)."""


class Held:
    """A halted chip.

    Parameters
    ----------
    board
        Connected with the permission to halt.
    access
        Side whose control register tells whether the chip was reset.

    Raises
    ------
    PermissionRefused
        When the watchdogs cannot be frozen: one of them could reset the chip in the middle of an erase.
    """

    def __init__(self, board: Board, access: Access) -> None:
        self.board = board
        side = "SEC" if access is Access.SECURE else "NS"
        base = board.chip.flash_registers_secure if access is Access.SECURE else board.chip.flash_registers
        control = board.chip.register(side + "CR")
        self._control, self._lock, self._access = base + control.offset, control.field("LOCK").mask, access
        self._status, self._waiting = (
            base + board.chip.register(side + "SR").offset,
            board.chip.register(side + "SR").field("WBNE").mask,
        )
        self._freezer = board.chip.identity.idcode[0] + 8
        self._before = board.read_word(self._freezer)
        self.hold()

    def hold(self) -> None:
        """Halt the core and freeze the watchdogs; again after a reset or a power cycle."""
        if not self.board.halted:
            self.board.halt()
        self.board.write_word(self._freezer, self.board.read_word(self._freezer) | _FREEZE)
        if self.board.read_word(self._freezer) & _FREEZE != _FREEZE or not self.board.halted:
            raise PermissionRefused(
                "the core cannot be halted or the watchdogs cannot be frozen",
                advice="a watchdog could reset the chip during an erase; nothing was erased",
            )

        self._drop_cut_short()

    def _drop_cut_short(self) -> None:
        """Let go a quad-word of which a pulled cable delivered only the first words; it was never programmed."""
        if (
            self.board.read_word(self._status, access=self._access) & self._waiting
            and not self.board.read_word(self._control, access=self._access) & self._lock
        ):
            self.board.write_word(self._control, 0, access=self._access)

    def was_reset(self) -> bool:
        """Tell whether the chip was reset since the FLASH registers were unlocked."""
        locked = self.board.read_word(self._control, access=self._access) & self._lock
        return bool(locked) or not self.board.read_word(_DHCSR) & _HALTED

    def power_cycled(self, switch: Callable[[], None]) -> None:
        """Let the supply be turned off and on, and hold the chip again."""
        reconnect(self.board, switch)
        self.hold()

    def release(self) -> None:
        """Give the watchdogs back what they had; the core runs on when the board is closed."""
        self.board.write_word(self._freezer, self._before)
