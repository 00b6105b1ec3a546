"""SW-DP and MEM-APs of the chip, at the level of ADIv5 register accesses.

AP0 is the system port (DBGMCU), AP1 the core's AHB-AP. Accesses are strict: APSEL and bank come from DP SELECT,
an access without power-up or after a sticky error faults, TAR wraps at 1 KiB.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from h5diag.sim.virtual.bus import BusFault
from h5diag.sim.virtual.chip import VirtualChip

_DPIDR = 0x6BA02477
_CSYSPWRUPREQ, _CDBGPWRUPREQ, _STICKYERR = 1 << 30, 1 << 28, 1 << 5
_CSW, _TAR, _DRW, _BD0, _CFG, _BASE, _IDR = 0x00, 0x04, 0x0C, 0x10, 0xF4, 0xF8, 0xFC
WRAP = 0x400
_IDRS, _BASES, _CSWS = (0x54770002, 0x84770001), (0xE00E0003, 0xE00FE003), (0x80000040, 0xC3800040)
_SPIDEN, _DEVICE_EN, _HNONSEC = 1 << 23, 1 << 6, 1 << 30


class Wire:
    """One debug connection to a chip: the registers of the DP and its ports.

    Parameters
    ----------
    chip
        The chip at the other end.
    """

    def __init__(self, chip: VirtualChip) -> None:
        self.chip = chip
        self._select = self._ctrl = 0
        self._sticky = False
        self._power_ups = chip.power_ups
        self._csw = list(_CSWS)
        self._tar = [0, 0]

    # ------------------------------------------------------------------------------------------------ debug port
    def read_dp(self, address: int) -> int:
        """Return a DP register (0x0, 0x4, 0x8, 0xC)."""
        self._notice_power()
        if address == 0:
            return _DPIDR
        if address == 4:
            bank = self._select & 15
            if bank:
                return {2: 0x04840041, 3: 0x00000001}.get(bank, 0)
            return self._ctrl | (self._ctrl & (_CSYSPWRUPREQ | _CDBGPWRUPREQ)) << 1 | self._sticky * _STICKYERR
        return 0

    def write_dp(self, address: int, value: int) -> None:
        """Write a DP register."""
        self._notice_power()
        if address == 0 and value & 4:
            self._sticky = False
        elif address == 4:
            self._ctrl = value & 0x5FFFFF1E
        elif address == 8:
            self._select = value

    @property
    def powered(self) -> bool:
        """Whether the debug port was asked to power up, and kept its power since."""
        self._notice_power()
        return bool(self._ctrl & _CDBGPWRUPREQ)

    def _notice_power(self) -> None:
        """Forget everything when the chip lost its power meanwhile."""
        if self._power_ups != self.chip.power_ups:
            self._power_ups = self.chip.power_ups
            self._select = self._ctrl = 0
            self._sticky, self._csw, self._tar = False, list(_CSWS), [0, 0]

    # ------------------------------------------------------------------------------------------------ access ports
    def _register(self, address: int) -> tuple[int, int]:
        self._notice_power()
        if self._sticky or not self.powered:
            raise BusFault(0)
        return self._select >> 24, self._select & 0xF0 | address & 0x0C

    def _open(self, port: int) -> bool:
        return port == 0 or (port == 1 and self.chip.core_port_open)

    def read_ap(self, address: int) -> int:
        """Return an AP register; only bits 3:2 of the address count, the rest is in SELECT."""
        port, register = self._register(address)
        if not self._open(port):
            return 0
        match register:
            case 0xFC:
                return _IDRS[port]
            case 0xF8:
                return _BASES[port]
            case 0x00:
                return self._status(port)
            case 0x04:
                return self._tar[port]
            case 0x0C:
                return int(self.read_words(address, 1)[0])
            case 0x10 | 0x14 | 0x18 | 0x1C:
                return self._word_at(port, self._tar[port] & ~15 | register & 12)
        return 0

    def _status(self, port: int) -> int:
        enabled = _DEVICE_EN | (_SPIDEN if port and self.chip.secure_debug else 0)
        return self._csw[port] & ~(_DEVICE_EN | _SPIDEN) | enabled

    def write_ap(self, address: int, value: int) -> None:
        """Write an AP register."""
        port, register = self._register(address)
        if not self._open(port):
            return
        match register:
            case 0x00:
                size = min(value & 7, 2) if port else 2
                keep = 0x7F000030 if port else 0x30
                self._csw[port] = _CSWS[port] & ~keep & ~7 | value & keep | size
            case 0x04:
                self._tar[port] = value & 0xFFFFFFFF
            case 0x0C:
                self.write_words(address, (value,))
            case 0x10 | 0x14 | 0x18 | 0x1C:
                self._guard(port, self._tar[port] & ~15 | register & 12, value.to_bytes(4, "little"))

    def secure(self, port: int) -> bool:
        """Tell whether the port's accesses carry the secure attribute; without SPIDEN they never do."""
        return bool(port) and self.chip.secure_debug and not self._csw[port] & _HNONSEC

    def _word_at(self, port: int, address: int) -> int:
        try:
            return int(self._fetch(port, address, 4).view("<u4")[0])
        except BusFault:
            self._sticky = True
            raise

    def _fetch(self, port: int, address: int, size: int) -> npt.NDArray[np.uint8]:
        if port == 0:
            words = [self.chip.bus.read_system(address + i) for i in range(0, size, 4)]
            return np.array(words, "<u4").view(np.uint8)
        return self.chip.read(address, size, self.secure(port))

    def _guard(self, port: int, address: int, data: bytes) -> None:
        try:
            if port:
                self.chip.write(address, data, self.secure(port))
        except BusFault:
            self._sticky = True
            raise

    def read_words(self, address: int, count: int) -> list[int]:
        """Return `count` successive reads of DRW (or of another register)."""
        port, register = self._register(address)
        if register != _DRW:
            return [self.read_ap(address) for _ in range(count)]
        if not self._open(port):
            return [0] * count
        size, increment = 1 << (self._csw[port] & 7), self._csw[port] >> 4 & 3
        out: list[int] = []
        try:
            if size == 4 and increment:
                while count:
                    at = self._tar[port]
                    n = min(count, (WRAP - at % WRAP) // 4)
                    out += self._fetch(port, at, 4 * n).view("<u4").tolist()
                    self._advance(port, 4 * n)
                    count -= n
                return out
            for _ in range(count):
                at = self._tar[port]
                value = int.from_bytes(self._fetch(port, at & -size, size).tobytes(), "little")
                out.append(value << 8 * (at & 3 & -size))
                self._advance(port, size if increment else 0)
        except BusFault:
            self._sticky = True
            raise
        return out

    def write_words(self, address: int, values: tuple[int, ...] | list[int]) -> None:
        """Write DRW (or another register) with each value in turn."""
        port, register = self._register(address)
        if register != _DRW:
            for v in values:
                self.write_ap(address, v)
            return
        if not self._open(port):
            return
        size, increment = 1 << (self._csw[port] & 7), self._csw[port] >> 4 & 3
        if size == 4 and increment and not self.chip.path.may_be_cut:
            done = 0
            while done < len(values):
                at = self._tar[port]
                n = min(len(values) - done, (WRAP - at % WRAP) // 4)
                self._guard(port, at & ~3, np.array(values[done : done + n], "<u4").tobytes())
                self._advance(port, 4 * n)
                done += n
            return
        for value in values:
            at = self._tar[port]
            data = (value >> 8 * (at & 3 & -size)) & (1 << 8 * size) - 1
            self._guard(port, at & -size, data.to_bytes(size, "little"))
            self._advance(port, size if increment else 0)

    def _advance(self, port: int, size: int) -> None:
        at = self._tar[port]
        self._tar[port] = at & ~(WRAP - 1) | at + size & WRAP - 1
