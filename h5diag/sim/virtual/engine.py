"""Code in the virtual chip's SRAM, run by Unicorn: optional, for flash algorithms.

Flash and registers are reached through callbacks into the bus model, so that its rules hold for the code as they do
for the debugger. TrustZone of the core itself (SAU, banked registers) is not modelled: code runs with the attribute
of the alias it uses.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from h5diag.errors import InputError
from h5diag.sim.virtual.bus import BusFault
from h5diag.sim.virtual.chip import VirtualChip
from h5diag.sim.virtual.core import Core

_SLICE = 200_000
_ACCESS_S, _LINE = 2e-6, 1024
_POLL_S = 10e-6
"""A look at the status while it is busy takes longer than it would: fewer looks, and the same time passes."""
_LOCKUP_HFSR = 0xE000ED2C


def available() -> bool:
    """Tell whether Unicorn is installed."""
    try:
        import unicorn  # noqa: F401
    except ImportError:
        return False
    return True


class UnicornEngine:
    """Runs what the debugger starts, on the memory of a chip. Plug it in with ``chip.core.engine = ...``.

    Parameters
    ----------
    chip
        The chip whose core it is.

    Raises
    ------
    InputError
        When Unicorn is not installed.
    """

    def __init__(self, chip: VirtualChip) -> None:
        try:
            import unicorn
            from unicorn import arm_const
        except ImportError:
            raise InputError(
                "running code on the virtual chip needs Unicorn",
                advice="pip install 'h5diag[dryrun]', or program by register accesses",
            ) from None
        self._chip, self._u, self._names = chip, unicorn, arm_const
        self._stopped: list[str] = []
        self._line, self._cached = -1, b""
        self._uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self._uc.ctl_set_cpu_model(arm_const.UC_CPU_ARM_CORTEX_M33)
        d = chip.description
        self._flash = {d.flash.base, d.flash.secure_base}
        for region in d.regions:
            ram = chip.bus.ram(region.name)
            if ram is not None and ram.size % 0x1000 == 0 and not region.base % 0x1000:
                for base in (region.base, region.secure_base):
                    if base:
                        self._uc.mem_map_ptr(base, ram.size, unicorn.UC_PROT_ALL, ram.ctypes.data)
        self._restore: tuple[npt.NDArray[np.uint8], bytes] | None = None
        self._banks: tuple[npt.NDArray[np.uint8], ...] | None = ()
        self._map_flash()
        self._uc.hook_add(unicorn.UC_HOOK_MEM_WRITE_PROT, self._program)
        for base, size in (
            (0x08FFF000, 0x1000),
            (d.flash_registers & ~0xFFF, 0x1000),
            (d.flash_registers_secure & ~0xFFF, 0x1000),
        ):
            self._uc.mmio_map(base, size, self._load, base, self._store, base)
        self._uc.hook_add(unicorn.UC_HOOK_INTR, self._interrupt)

    def _map_flash(self) -> None:
        """Let the core see the array's bytes themselves where each read is just them, else ask the model each time."""
        banks, size = self._chip.bus.plain_banks(), self._chip.description.flash.size
        same = banks is not None and self._banks and all(a is b for a, b in zip(banks, self._banks, strict=True))
        if same or (banks is None and self._banks is None):
            return
        for base in self._flash:
            if self._banks != ():
                self._uc.mem_unmap(base, size)
            if banks is None:
                self._uc.mmio_map(base, size, self._load, base, self._store, base)
            for i, bank in enumerate(banks or ()):
                self._uc.mem_map_ptr(base + i * bank.size, bank.size, self._u.UC_PROT_READ, bank.ctypes.data)
        self._banks = banks

    def _secure(self, address: int) -> bool:
        return bool(address >> 28 & 1 if address >> 30 else address >> 26 & 1)

    def _load(self, uc: Any, offset: int, size: int, base: int) -> int:
        address = base + offset
        self._finish()
        self._chip.clock.now_s += _ACCESS_S
        if base not in self._flash:
            if self._chip.flash.busy:
                self._chip.clock.now_s += _POLL_S
            return self._word(address, size)
        line = address & -_LINE
        if line != self._line:  # the core fetches the array in lines; one look at the model serves all words of it
            try:
                self._cached = self._chip.bus.read(line, _LINE, self._secure(address)).tobytes()
            except BusFault:
                return self._word(address, size)
            self._line = line
        return int.from_bytes(self._cached[address - line : address - line + size], "little")

    def _word(self, address: int, size: int) -> int:
        try:
            return int.from_bytes(self._chip.bus.read(address, size, self._secure(address)).tobytes(), "little")
        except BusFault:
            self._stop("fault")
            return 0

    def _program(self, uc: Any, access: int, address: int, size: int, value: int, data: Any) -> bool:
        """Take a store into an array that is mapped as it is; what the emulator puts there afterwards is undone."""
        base = max(b for b in self._flash if b <= address)
        self._store(uc, address - base, size, value, base)
        place = self._bytes(address - base, size)
        self._restore = (place, place.tobytes())
        return True

    def _bytes(self, offset: int, size: int) -> npt.NDArray[np.uint8]:
        assert self._banks
        bank, at = divmod(offset, self._banks[0].size)
        return self._banks[bank][at : at + size]

    def _finish(self) -> None:
        if self._restore is not None:
            place, held = self._restore
            place[:] = np.frombuffer(held, np.uint8)
            self._restore = None

    def _store(self, uc: Any, offset: int, size: int, value: int, base: int) -> None:
        address = base + offset
        self._finish()
        self._chip.clock.now_s += _ACCESS_S
        self._line = -1
        try:
            self._chip.bus.write(address, (value & (1 << 8 * size) - 1).to_bytes(size, "little"), self._secure(address))
        except BusFault:
            self._stop("fault")

    def _interrupt(self, uc: Any, number: int, data: Any) -> None:
        self._stop("breakpoint" if number == 7 else "fault")

    def _stop(self, why: str) -> None:
        self._stopped.append(why)
        self._uc.emu_stop()

    def run(self, core: Core) -> bool:
        """Run a slice from the core's registers; True when it stopped at a breakpoint or fault."""
        uc, n = self._uc, self._names
        registers = [(i, n.UC_ARM_REG_R0 + i) for i in range(13)]
        registers += [(13, n.UC_ARM_REG_SP), (14, n.UC_ARM_REG_LR), (15, n.UC_ARM_REG_PC)]
        for i, name in registers[:-1]:
            uc.reg_write(name, core.regs[i])
        self._stopped.clear()
        self._line = -1
        self._map_flash()
        uc.ctl_flush_tb()  # the debugger changes SRAM behind the emulator's back
        try:
            uc.emu_start(core.regs[15] | 1, 0xFFFFFFF0, count=_SLICE)
        except self._u.UcError:
            self._stopped.append("fault")
        self._finish()
        for i, name in registers:
            core.regs[i] = uc.reg_read(name)
        core.regs[15] &= ~1
        if "fault" in self._stopped:
            core.memory[_LOCKUP_HFSR] = 1 << 30
        return bool(self._stopped)
