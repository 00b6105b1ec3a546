"""Probes that fail: below pyOCD's own ST-LINK driver, and as a probe whose every call counts and may raise."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from pyocd.probe.stlink_probe import StlinkProbe

from h5diag.sim.virtual import VirtualChip, VirtualProbe, parse_items
from h5diag.sim.virtual.bus import BusFault
from h5diag.sim.virtual.dp_ap import Wire

OK, AP_WAIT, AP_FAULT, AP_ERROR, DP_WAIT, NO_DEVICE, COMMAND_ERROR = 0x80, 0x10, 0x11, 0x12, 0x14, 0x05, 0x08


class FakeStlink:
    """The USB side of an ST-LINK with a virtual chip behind it; `refuse` may give a status instead of an answer."""

    def __init__(
        self, chip: VirtualChip, version: int = 3, refuse: Callable[[str, int, int], int] | None = None
    ) -> None:
        self.chip, self.wire, self.version = chip, Wire(chip), version
        self.refuse = refuse or (lambda what, port, address: 0)
        self.vendor_name, self.product_name, self.serial_number = "STM", f"STLink V{version}", "0042"
        self.max_packet_size, self.version_name, self.is_open = 64, f"V{version}", False
        self.status = (OK, 0)
        self.khz = 0

    def open(self) -> None:
        self.is_open = True

    def close(self) -> None:
        self.is_open = False

    def _register(self, port: int, address: int, value: int | None) -> tuple[int, int]:
        refused = self.refuse("register", port, address)
        if refused:
            return refused, 0
        try:
            if port == 0xFFFF:
                if value is not None:
                    self.wire.write_dp(address, value)
                    return OK, 0
                return OK, self.wire.read_dp(address)
            self.wire.write_dp(8, port << 24 | address & 0xF0)
            if value is not None:
                self.wire.write_ap(address, value)
                return OK, 0
            return OK, self.wire.read_ap(address)
        except BusFault:
            return AP_FAULT, 0

    def _memory(self, address: int, size: int, port: int, csw: int, data: bytes | None) -> bytes:
        refused = self.refuse("memory", port, address)
        if refused:
            self.status = (refused, address)
            return bytes(size)
        secure = self.chip.secure_debug and not csw >> 30 & 1
        try:
            if not self.wire.powered:
                raise BusFault(address)
            self.status = (OK, 0)
            if data is not None:
                for i in range(0, len(data), 1024):
                    self.chip.write(address + i, data[i : i + 1024], secure)
                return b""
            return self.chip.read(address, size, secure).tobytes()
        except BusFault as fault:
            self.status = (AP_FAULT, fault.address)
            return bytes(size)

    def transfer(self, cmd: Any, writeData: Any = None, readSize: int | None = None, timeout: int = 0) -> Any:
        raw = bytes(cmd)
        self.chip.clock.pass_command(1 + (readSize or 0) // 4)
        answer = self._answer(raw, None if writeData is None else bytes(writeData), readSize or 0)
        return answer.ljust(readSize, b"\0")[:readSize] if readSize else answer

    def _answer(self, c: bytes, data: bytes | None, size: int) -> bytes:
        if c[0] == 0xF1:
            return struct.pack(">H", self.version << 12 | 37 << 6 | 26)
        if c[0] == 0xFB:
            return bytes((self.version, 0, 9, 3, 0, 0))
        if c[0] == 0xF7:
            return struct.pack("<II", 1000, 1375)  # 3.3 V
        if c[0] == 0xF5:
            return bytes((1, 0))
        if c[0] != 0xF2:
            return b""
        if c[1] in (0x45, 0x46):
            port, address = struct.unpack_from("<HH", c, 2)
            value = struct.unpack_from("<I", c, 6)[0] if c[1] == 0x46 else None
            status, found = self._register(port, address, value)
            return struct.pack("<HHI", status, 0, found)
        if c[1] in (0x07, 0x08, 0x0C, 0x0D, 0x47, 0x48):
            address, n, port, *csw = struct.unpack_from("<IHBBBB", c, 2)
            return self._memory(address, n, port, int.from_bytes(bytes(csw), "little") << 8, data)
        if c[1] == 0x3E:
            return struct.pack("<HHI", self.status[0], 0, self.status[1])
        if c[1] == 0x4B:
            return struct.pack("<H", self.refuse("open", c[2], 0) or OK)
        if c[1] == 0x3C and c[2] != 2:
            self.chip.hold_reset(c[2] == 0)
        if c[1] == 0x61:
            asked = struct.unpack_from("<I", c, 4)[0]
            self.khz = max((k for k in (24000, 8000, 3300, 1000, 200, 50, 5) if k <= asked), default=5)
            self.chip.clock.frequency_hz = 1000.0 * self.khz
            return struct.pack("<HHI", OK, 0, self.khz)
        return struct.pack("<H", OK)


def stlink(*items: str, version: int = 3, refuse: Callable[[str, int, int], int] | None = None) -> StlinkProbe:
    """Return pyOCD's own ST-LINK probe over a fake one, with a virtual chip behind it."""
    probe = StlinkProbe(FakeStlink(VirtualChip(parse_items(items)), version, refuse))
    probe._board_id = "0000"
    return probe


class CountingProbe(VirtualProbe):
    """A virtual probe at the level of DP and AP whose every call counts, and may raise what `before` raises."""

    def __init__(self, chip: VirtualChip, before: Callable[[str, int], None] = lambda name, words: None) -> None:
        super().__init__(chip)
        self.calls, self.before = 0, before

    def _counted(self, name: str, words: int) -> None:
        self.calls += 1
        self.before(name, words)

    def read_dp(self, addr: int, now: bool = True) -> Any:
        self._counted("read_dp", 1)
        return super().read_dp(addr, now)

    def write_dp(self, addr: int, data: int) -> None:
        self._counted("write_dp", 1)
        super().write_dp(addr, data)

    def read_ap(self, addr: int, now: bool = True) -> Any:
        self._counted("read_ap", 1)
        return super().read_ap(addr, now)

    def write_ap(self, addr: int, data: int) -> None:
        self._counted("write_ap", 1)
        super().write_ap(addr, data)

    def read_ap_multiple(self, addr: int, count: int = 1, now: bool = True) -> Any:
        self._counted("read_ap_multiple", count)
        return super().read_ap_multiple(addr, count, now)

    def write_ap_multiple(self, addr: int, values: Any) -> None:
        self._counted("write_ap_multiple", len(values))
        super().write_ap_multiple(addr, values)


class LastWordProbe(CountingProbe):
    """The last word of each full burst of 1 KiB is the word before it."""

    def read_ap_multiple(self, addr: int, count: int = 1, now: bool = True) -> Any:
        got = super().read_ap_multiple(addr, count, now)

        def spoilt(words: Any) -> Any:
            return [*words[:-1], words[-2]] if count == 256 else words

        return spoilt(got) if now else lambda: spoilt(got())


def cells(probe: Any, start: int, stop: int) -> np.ndarray:
    """What the cells really hold."""
    chip = getattr(probe, "chip", None) or probe._link._device.chip
    return chip.state.data[start - 0x08000000 : stop - 0x08000000]
