"""Everything on the bus that is neither RAM nor flash: peripheral registers, the core's own registers, timers.

A register without a rule keeps what is written to it. A loop that waits for such a register is broken after a while
by turning its bits over; that is an assumption, and it is written down. This module runs in the worker: standard
library only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from h5diag.sim.dryrun.xspi import Octospi

CPACR = 0xE000ED88
_SYST_CSR, _SYST_RVR, _SYST_CVR, _CYCCNT, _CPUID = 0xE000E010, 0xE000E014, 0xE000E018, 0xE0001004, 0xE000ED00
_CPUID_M33 = 0x410FD214
_CYCLES_PER_READ = 4000
_PATIENCE = 4000


class Bus:
    """Registers by canonical address (non-secure alias), with the rules of a profile.

    `spend` is called on every access and may stop the run.
    """

    def __init__(self, profile: dict[str, Any], interfaces: dict[int, Octospi], spend: Callable[[], None]) -> None:
        self.words: dict[int, int] = dict(profile["reset"])
        self.assumed: list[int] = []
        self.last_polled = -1
        self._interfaces = interfaces
        self._spend = spend
        self._ready: dict[int, list[tuple[int, int, int]]] = {}
        for status, bit, control, enable in profile["ready"]:
            self._ready.setdefault(status, []).append((bit, control, enable))
        self._follow: dict[int, list[tuple[int, int, int, int]]] = {}
        for address, low, width, source, source_low in profile["follow"]:
            self._follow.setdefault(address, []).append((low, (1 << width) - 1, source, source_low))
        self._fixed = {a: (s, c) for a, s, c in profile["fixed"]}
        self._modelled = [(a, a + n) for a, n in profile["modelled"]]
        self._cycles, self._count, self._polls, self._turned = 0, 0, 0, False

    def read(self, address: int, size: int) -> int:
        """Return the value of a read of `size` bytes at a bus address."""
        self._spend()
        address = _canonical(address)
        if (interface := self._interfaces.get(address & ~0x3FF)) is not None:
            self.last_polled = address
            return interface.read(address & 0x3FF, size)
        value = self._core(address & ~3) if address >= 0xE0000000 else self._register(address & ~3)
        return value >> 8 * (address & 3) & (1 << 8 * size) - 1

    def write(self, address: int, size: int, value: int) -> None:
        """Carry out a write of `size` bytes at a bus address."""
        self._spend()
        self._polls = 0
        address = _canonical(address)
        if (interface := self._interfaces.get(address & ~0x3FF)) is not None:
            interface.write(address & 0x3FF, size, value)
            return
        word, shift = address & ~3, 8 * (address & 3)
        mask = (1 << 8 * size) - 1 << shift
        self.words[word] = self.words.get(word, 0) & ~mask | value << shift & mask
        if word == _SYST_CVR:
            self.words[word] = self._count = 0

    @property
    def fpu_enabled(self) -> bool:
        """Tell whether CPACR grants access to CP10 and CP11."""
        return self.words.get(CPACR, 0) >> 20 & 15 == 15

    def _register(self, word: int) -> int:
        value = self.words.get(word, 0)
        for bit, control, enable in self._ready.get(word, ()):
            on = self.words.get(control, 0) >> enable & 1
            value = value & ~(1 << bit) | on << bit
        for low, mask, source, source_low in self._follow.get(word, ()):
            value = value & ~(mask << low) | (self.words.get(source, 0) >> source_low & mask) << low
        if word in self._fixed:
            set_bits, clear_bits = self._fixed[word]
            value = (value | set_bits) & ~clear_bits
        return self._patient(word, value)

    def _patient(self, word: int, value: int) -> int:
        """Return `value`, or its opposite once a loop has waited too long for a register without a model."""
        if word != self.last_polled:
            self.last_polled, self._polls, self._turned = word, 0, False
            return value
        self._polls += 1
        if any(a <= word < b for a, b in self._modelled):
            return value
        if self._polls % _PATIENCE == 0:
            self._turned = not self._turned
            if word not in self.assumed:
                self.assumed.append(word)
        return ~value & 0xFFFFFFFF if self._turned else value

    def _core(self, word: int) -> int:
        if word in (_SYST_CSR, _SYST_CVR, _CYCCNT):
            self._cycles += _CYCLES_PER_READ
            for interface in self._interfaces.values():
                interface.nor.pass_time()
        if word == _CYCCNT:
            return self._cycles & 0xFFFFFFFF
        if word == _SYST_CSR:
            return self.words.get(word, 0) | 0x10000
        if word == _SYST_CVR:
            reload = self.words.get(_SYST_RVR, 0) & 0xFFFFFF
            return reload - self._cycles % (reload + 1)
        if word == _CPUID:
            return _CPUID_M33
        return self.words.get(word, 0)


def _canonical(address: int) -> int:
    """The secure alias of a peripheral (0x5...) names the same registers."""
    return address - 0x10000000 if 0x50000000 <= address < 0x60000000 else address
