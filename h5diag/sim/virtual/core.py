"""The Cortex-M33 as a debugger sees it: halt, registers, vector catch, PC samples, fault registers, CoreSight tables.

It executes nothing by itself: it walks a list of program counters. An `Engine` may be plugged in to run code in SRAM.
Addresses are those of the Armv8-M architecture reference manual.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

DHCSR, DCRSR, DCRDR, DEMCR = 0xE000EDF0, 0xE000EDF4, 0xE000EDF8, 0xE000EDFC
AIRCR, VTOR, DFSR, DWT_PCSR, DSCSR = 0xE000ED0C, 0xE000ED08, 0xE000ED30, 0xE000101C, 0xE000EE08
_FP_CTRL, _DWT_CTRL = 0xE0002000, 0xE0001000
_KEY, _VECTKEY, _TRCENA, _DAUTHSTATUS = 0xA05F, 0x05FA, 1 << 24, 0xE000EFB8
_FIXED = {
    0xE000ED00: 0x410FD214,  # CPUID: Cortex-M33 r0p4
    0xE000ED40: 0x00000030,
    0xE000ED44: 0x00000210,
    0xE000ED48: 0x00200000,
    0xE000ED60: 0x01101110,
    0xE000ED6C: 0x01111131,
    0xE000ED90: 0x00000800,
    0xE000EF40: 0x10110021,
    0xE000EF44: 0x11000011,
    0xE000EF48: 0x00000040,
    0xE000E004: 0x00000003,
}
_ARM, _ST = (0x3B, 4), (0x20, 0)
PC, XPSR, LR, SP = 15, 16, 14, 13


def component(
    base: int, part: int, maker: tuple[int, int], kind: int, devarch: int = 0, entries: tuple[int, ...] = ()
) -> dict[int, int]:
    """Return the CoreSight identification words of a component of class `kind` (1 ROM table, 9 component)."""
    jep, bank = maker
    words = {base + 4 * i: e for i, e in enumerate(entries)}
    words |= {
        base + 0xFBC: devarch,
        base + 0xFD0: bank,
        base + 0xFE0: part & 0xFF,
        base + 0xFE4: part >> 8 | (jep & 15) << 4,
        base + 0xFE8: 8 | jep >> 4,
        base + 0xFF0: 0x0D,
        base + 0xFF4: kind << 4,
        base + 0xFF8: 0x05,
        base + 0xFFC: 0xB1,
    }
    return words


def entry(table: int, address: int) -> int:
    """Return the ROM table word at `table` that points to `address`."""
    return (address - table) & 0xFFFFF000 | 3


CORE_TABLES = (
    component(0xE00FE000, 0x484, _ST, 1, entries=(entry(0xE00FE000, 0xE00FF000),))
    | component(
        0xE00FF000, 0x4C9, _ARM, 1, entries=tuple(entry(0xE00FF000, a) for a in (0xE000E000, 0xE0001000, 0xE0002000))
    )
    | component(0xE000E000, 0xD21, _ARM, 9, 0x47702A04)
    | component(0xE0001000, 0xD21, _ARM, 9, 0x47701A02)
    | component(0xE0002000, 0xD21, _ARM, 9, 0x47701A03)
)
SYSTEM_TABLES = component(0xE00E0000, 0x484, _ST, 1)


class Emulator(Protocol):
    """Runs code until a breakpoint or for a while; returns True when it stopped at a breakpoint."""

    def run(self, core: Core) -> bool:
        """Run from the core's registers and write them back."""


class Core:
    """Debug registers and state of the core.

    Parameters
    ----------
    walk
        Program counters that a running core is found at, in turn.
    vector
        Returns the word at an address of the vector table, for a reset.
    on_reset
        Called when the core asks for a system reset.
    secure_debug
        Whether the debugger may see and halt secure code now.
    """

    def __init__(
        self,
        walk: tuple[int, ...],
        vector: Callable[[int], int],
        on_reset: Callable[[], None],
        secure_debug: Callable[[], bool] = lambda: True,
    ) -> None:
        self.walk, self._vector, self._on_reset = walk or (0,), vector, on_reset
        self._secure_debug = secure_debug
        self.engine: Emulator | None = None
        self.regs = [0] * 128
        self.regs[PC], self.regs[XPSR] = self.walk[0], 0x01000000
        self.vtor = 0
        self.secure = False
        self.memory: dict[int, int] = {}
        self.halted = self.in_reset = False
        self._enabled = self._reset_seen = False
        self._demcr = self._dfsr = self._step = self._dcrdr = self._breakpoints = 0

    def reset(self, asserted: bool = False) -> None:
        """Reset the core; with `asserted` it stays in reset until `release`."""
        self.in_reset, self._reset_seen, self.halted = asserted, True, False
        self.regs[:17] = [0] * 17
        self.regs[XPSR] = 0x01000000
        if not asserted:
            self.release()

    def release(self) -> None:
        """Leave reset; stops at the first instruction when vector catch is armed."""
        self.in_reset = False
        self.regs[SP], self.regs[PC] = self._vector(self.vtor), self._vector(self.vtor + 4) & ~1
        self._step = 0
        if self._demcr & 1 and self._enabled and not self._hidden:
            self.halted, self._dfsr = True, self._dfsr | 8

    def wake(self) -> None:
        """Give the running program a stack and somewhere to return to: a core that ran has both."""
        self.regs[SP] = self._vector(self.vtor)
        self.regs[LR] = self.walk[-1] | 1

    @property
    def _hidden(self) -> bool:
        """Whether the core runs secure code that this debugger may neither see nor stop."""
        return self.secure and not self._secure_debug()

    @property
    def program_counter(self) -> int:
        """Where the core is; a running one moves on at each look."""
        if self.halted:
            return self.regs[PC]
        self._step += 1
        return self.walk[self._step % len(self.walk)]

    def read(self, address: int) -> int:
        """Return a word of the private peripheral bus."""
        if address in _FIXED:
            return _FIXED[address]
        if address == DHCSR:
            self._run()
            value = 1 << 16 | self._enabled | self.halted << 1 | self.halted << 17 | 1 << 24
            value |= (self._reset_seen or self.in_reset) << 25 | self._secure_debug() << 20
            self._reset_seen = False
            return value
        if address == DWT_PCSR:
            if not self._demcr & _TRCENA:
                return 0
            silent = self.halted or self.in_reset or self._hidden
            return 0xFFFFFFFF if silent else self.program_counter
        fixed = {
            DCRDR: self._dcrdr,
            DEMCR: self._demcr,
            DFSR: self._dfsr,
            VTOR: self.vtor,
            AIRCR: 0xFA050000,
            DSCSR: self.secure << 16,
            _FP_CTRL: 0x10000080 | self._breakpoints,
            _DAUTHSTATUS: 0xFF if self._secure_debug() else 0xAF,
            _DWT_CTRL: 0x40000000,
        }
        if address in fixed:
            return fixed[address]
        return self.memory.get(address, CORE_TABLES.get(address, 0))

    def write(self, address: int, value: int) -> None:
        """Write a word of the private peripheral bus."""
        match address:
            case 0xE000EDF0:
                if value >> 16 == _KEY:
                    self._control(value)
            case 0xE000EDF4:
                self._select(value)
            case 0xE000EDF8:
                self._dcrdr = value
            case 0xE000EDFC:
                self._demcr = value
            case 0xE000ED30:
                self._dfsr &= ~value
            case 0xE000ED08:
                self.vtor = value & ~0x7F
            case 0xE000ED28 | 0xE000ED2C:  # CFSR, HFSR: writing 1 clears
                self.memory[address] = self.memory.get(address, 0) & ~value
            case 0xE0002000:
                if value & 2:
                    self._breakpoints = value & 1
            case 0xE000ED0C:
                if value >> 16 == _VECTKEY and value & 4:
                    self._on_reset()
            case _ if address not in _FIXED and address not in CORE_TABLES:
                self.memory[address] = value

    def _control(self, value: int) -> None:
        self._enabled = bool(value & 1)
        if not self._enabled:
            self.halted = False
        elif value & 2 and not self.halted and not self._hidden:
            self.regs[PC] = self.program_counter
            self.halted, self._dfsr = True, self._dfsr | 1
        elif not value & 2 and self.halted:
            self.halted = False
            if value & 4:
                self.regs[PC] += 2
                self.halted, self._dfsr = True, self._dfsr | 1
            self._run()

    def _run(self) -> None:
        if self.halted or self.in_reset or self.engine is None or not self._enabled:
            return
        if self.engine.run(self):
            self.halted, self._dfsr = True, self._dfsr | 2

    def _select(self, value: int) -> None:
        index = value & 0x7F
        if value >> 16 & 1:
            self.regs[index] = self._dcrdr & ~1 if index == PC else self._dcrdr
        else:
            self._dcrdr = self.regs[index]
