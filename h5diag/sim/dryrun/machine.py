"""A Cortex-M33 with the RAM, flash and registers of a profile, on which one function at a time is called.

This module runs in the worker. No memory hooks are installed: with a write hook the emulator corrupts the flags of a
conditional store in an IT block; register accesses come through its memory-mapped callbacks instead, which the
start-up self-test checks.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import unicorn as u
from unicorn import arm_const as a

from h5diag.sim.dryrun.bus import Bus
from h5diag.sim.dryrun.xspi import Octospi

_PATTERN, _GAP, _TRANSLATION_BUFFER = 0xA5, 160, 32 << 20
# Counted, not timed: the same loader gets the same verdict on a slow computer, and no timer thread is needed.
_MOST_INSTRUCTIONS, _MOST_ACCESSES = 50_000_000, 400_000
_GENERAL = (
    a.UC_ARM_REG_R0,
    a.UC_ARM_REG_R1,
    a.UC_ARM_REG_R2,
    a.UC_ARM_REG_R3,
    a.UC_ARM_REG_R4,
    a.UC_ARM_REG_R5,
    a.UC_ARM_REG_R6,
    a.UC_ARM_REG_R7,
    a.UC_ARM_REG_R8,
    a.UC_ARM_REG_R9,
    a.UC_ARM_REG_R10,
    a.UC_ARM_REG_R11,
    a.UC_ARM_REG_R12,
)
_REASONS = {
    u.UC_ERR_READ_UNMAPPED: "read of an address without memory",
    u.UC_ERR_WRITE_UNMAPPED: "write to an address without memory",
    u.UC_ERR_FETCH_UNMAPPED: "jump to an address without memory",
    u.UC_ERR_WRITE_PROT: "write to flash",
    u.UC_ERR_READ_PROT: "read that is not allowed",
    u.UC_ERR_FETCH_PROT: "jump to memory that holds no code",
    u.UC_ERR_INSN_INVALID: "undefined instruction",
    u.UC_ERR_EXCEPTION: "exception",
}
_INTERRUPTS = {
    1: "undefined instruction",
    2: "supervisor call (SVC) without a vector table",
    3: "jump to memory that holds no code",
    4: "data abort",
    7: "breakpoint (BKPT)",
    8: "return from an exception that was never taken",
    18: "floating-point instruction while the FPU is off (NOCP)",
}


@dataclass(slots=True)
class Ending:
    """How a call ended. `kind` is ``return``, ``fault`` or ``hang``; `pc` the instruction concerned."""

    kind: str
    reason: str
    pc: int
    registers: list[int]


class Machine:
    """Core, memory and registers. `float_addresses` are the image's floating-point instructions."""

    def __init__(self, profile: dict[str, Any], interfaces: dict[int, Octospi], float_addresses: list[int]) -> None:
        self._uc = u.Uc(u.UC_ARCH_ARM, u.UC_MODE_THUMB | u.UC_MODE_MCLASS)
        self._uc.ctl_set_tcg_buffer_size(_TRANSLATION_BUFFER)  # the default of 1 GiB breaks the memory limit
        self._uc.ctl_set_cpu_model(a.UC_CPU_ARM_CORTEX_M33)
        self.bus = Bus(profile, interfaces, self._spend)
        self._accesses, self._stopped, self._address = 0, "", 0
        self._blocks: list[Any] = []
        for start, size in profile["ram"]:
            self._map(start, size, u.UC_PROT_ALL, _PATTERN)
        start, size = profile["flash"]
        self._map(start, size, u.UC_PROT_READ | u.UC_PROT_EXEC, 0xFF, secure_at=0x0C000000)
        self._uc.mem_map(0x0BF00000, 0x100000, u.UC_PROT_READ | u.UC_PROT_EXEC)
        for start, size in ((0x40000000, 0x10000000), (0x50000000, 0x10000000), (0xE0000000, 0x100000)):
            self._uc.mmio_map(start, size, self._read, start, self._write, start)
        for (_, window), interface in zip(profile["xspi"], interfaces.values(), strict=True):
            self._uc.mmio_map(window, 0x10000000, self._window_read, interface, self._window_write, window)
        self._uc.hook_add(u.UC_HOOK_INTR, self._interrupt)
        self._uc.hook_add(u.UC_HOOK_MEM_INVALID, self._invalid)
        for address in float_addresses:
            self._uc.hook_add(u.UC_HOOK_CODE, self._float, begin=address, end=address)

    def write(self, address: int, data: bytes) -> None:
        """Put bytes into RAM."""
        self._uc.mem_write(address, data)

    def read(self, address: int, size: int) -> bytes:
        """Return bytes of RAM."""
        return bytes(self._uc.mem_read(address, size))

    def stack_depth(self, bottom: int, top: int) -> int:
        """Return how many bytes below `top` were ever changed; a gap of `_GAP` untouched bytes ends the stack."""
        data = self.read(bottom, top - bottom)
        gap = data.rfind(bytes((_PATTERN,)) * _GAP)
        rest = data[gap + _GAP :] if gap >= 0 else data
        return len(rest.lstrip(bytes((_PATTERN,))))

    def call(self, function: int, arguments: list[int], base: int, stack: int) -> Ending:
        """Run `function` (Thumb bit set) until it returns to the breakpoint at `base`."""
        for register in _GENERAL:
            self._uc.reg_write(register, 0)
        for register, value in zip(_GENERAL, arguments, strict=False):
            self._uc.reg_write(register, value)
        self._uc.reg_write(a.UC_ARM_REG_XPSR, 0x01000000)
        self._uc.reg_write(a.UC_ARM_REG_MSP, stack)
        self._uc.reg_write(a.UC_ARM_REG_SP, stack)
        self._uc.reg_write(a.UC_ARM_REG_LR, base | 1)
        self._accesses, self._stopped, self._address = 0, "", 0
        try:
            self._uc.emu_start(function, base, count=_MOST_INSTRUCTIONS)
        except u.UcError as error:
            if not self._stopped:
                self._stopped = _REASONS.get(error.errno, str(error))
                if error.errno in (u.UC_ERR_READ_UNMAPPED, u.UC_ERR_WRITE_UNMAPPED, u.UC_ERR_WRITE_PROT):
                    self._stopped += f", 0x{self._address:08X}"
            return self._ending("fault", self._stopped)
        except OverflowError as error:  # a register that the binding cannot hold
            return self._ending("fault", str(error))
        pc = self._uc.reg_read(a.UC_ARM_REG_PC)
        if pc & ~1 == base:
            return self._ending("return", "")
        if self._stopped == "budget":
            return self._ending("hang", f"{_MOST_ACCESSES} register accesses without returning")
        if self._stopped:
            return self._ending("fault", self._stopped)
        return self._ending("hang", f"{_MOST_INSTRUCTIONS} instructions without returning")

    def _ending(self, kind: str, reason: str) -> Ending:
        registers = [
            self._uc.reg_read(r)
            for r in (*_GENERAL, a.UC_ARM_REG_SP, a.UC_ARM_REG_LR, a.UC_ARM_REG_PC, a.UC_ARM_REG_XPSR)
        ]
        return Ending(kind, reason, registers[15], registers)

    def _map(self, start: int, size: int, rights: int, fill: int, secure_at: int = 0) -> None:
        block = ctypes.create_string_buffer(bytes((fill,)) * size, size)
        self._blocks.append(block)  # the emulator keeps only the address
        for alias in (start, secure_at or start + 0x10000000):
            self._uc.mem_map_ptr(alias, size, rights, ctypes.addressof(block))

    def _spend(self) -> None:
        self._accesses += 1
        if self._accesses > _MOST_ACCESSES and not self._stopped:
            self._stopped = "budget"
            self._uc.emu_stop()

    def _read(self, uc: Any, offset: int, size: int, start: int) -> int:
        return self.bus.read(start + offset, size)

    def _write(self, uc: Any, offset: int, size: int, value: int, start: int) -> None:
        self.bus.write(start + offset, size, value)

    def _window_read(self, uc: Any, offset: int, size: int, interface: Octospi) -> int:
        self._spend()
        return interface.window(offset, size)

    def _window_write(self, uc: Any, offset: int, size: int, value: int, window: int) -> None:
        self._fail(f"write into the memory window, 0x{window + offset:08X}")

    def _interrupt(self, uc: Any, number: int, data: Any) -> None:
        self._fail(_INTERRUPTS.get(number, f"exception {number}"))

    def _invalid(self, uc: Any, access: int, address: int, size: int, value: int, data: Any) -> bool:
        self._address = address
        return False

    def _float(self, uc: Any, address: int, size: int, data: Any) -> None:
        if not self.bus.fpu_enabled:
            self._fail(_INTERRUPTS[18])

    def _fail(self, reason: str) -> None:
        if not self._stopped:
            self._stopped = reason
        self._uc.emu_stop()
