"""OCTOSPI (and HSPI) at register level: indirect write and read, automatic polling, memory-mapped mode.

Source: register maps and field positions of CMSIS stm32l562xx.h; the order of events of RM0438, chapter OCTOSPI.
This module runs in the worker: standard library only.
"""

from __future__ import annotations

from h5diag.sim.dryrun.nor import Nor

CR, SR, FCR, DLR, AR, DR, PSMKR, PSMAR, CCR, IR = 0x00, 0x20, 0x24, 0x40, 0x48, 0x50, 0x80, 0x88, 0x100, 0x110
_EN, _ABORT = 1, 2
_TCF, _FTF, _SMF, _BUSY = 2, 4, 8, 32
_WRITE, _READ, _POLL, _MAPPED = range(4)
_FIFO, _CHUNK, _MOST_POLLS = 32, 4096, 1000


class Octospi:
    """One interface with the memory behind it."""

    def __init__(self, nor: Nor) -> None:
        self.nor = nor
        self.registers: dict[int, int] = {}
        self.flags, self.busy = 0, False
        self.polling_for = ""
        self._queue, self._left, self._offset = bytearray(), 0, 0
        self._pending: bytearray | None = None

    def read(self, offset: int, size: int) -> int:
        """Return the value of a register access of `size` bytes."""
        word = offset & ~3
        if word == DR:
            return self._take(size)
        value = self._status() if word == SR else self.registers.get(word, 0)
        return value >> 8 * (offset & 3) & (1 << 8 * size) - 1

    def write(self, offset: int, size: int, value: int) -> None:
        """Carry out a register write of `size` bytes."""
        word, shift = offset & ~3, 8 * (offset & 3)
        if word == DR:
            self._give(value.to_bytes(8, "little")[:size])
            return
        mask = (1 << 8 * size) - 1 << shift
        value = self.registers.get(word, 0) & ~mask | value << shift & mask
        if word == FCR:
            self.flags &= ~value
            return
        self.registers[word] = value
        if word == CR and value & _ABORT:
            self.registers[CR] = value & ~_ABORT
            self._reset_transfer()
            self.flags |= _TCF
        elif word == CR:
            self.busy = self.busy and self._mode == _MAPPED
        elif (word == AR and self._has_address) or (word == IR and not self._has_address):
            self._start()

    def window(self, offset: int, size: int) -> int:
        """Return what the bus reads in the memory-mapped window, `offset` from its start."""
        if not self.is_mapped:
            self.nor.say("the memory window was read while memory-mapped mode was off")
            return 0
        self.busy = True
        return int.from_bytes(self.nor.read(self._opcode, offset, 0, size), "little")

    @property
    def is_mapped(self) -> bool:
        """Tell whether memory-mapped mode is on with a read command."""
        return bool(self._enabled and self._mode == _MAPPED and self.nor.is_read(self._opcode))

    @property
    def _enabled(self) -> int:
        return self.registers.get(CR, 0) & _EN

    @property
    def _mode(self) -> int:
        return self.registers.get(CR, 0) >> 28 & 3

    @property
    def _has_address(self) -> bool:
        return bool(self.registers.get(CCR, 0) >> 8 & 7)

    @property
    def _has_data(self) -> bool:
        return bool(self.registers.get(CCR, 0) >> 24 & 7)

    @property
    def _opcode(self) -> int:
        instruction = self.registers.get(IR, 0)
        high, low = instruction >> 8 & 0xFF, instruction & 0xFF
        # An octal command is the opcode and its complement (or, for the octal reads, a fixed second byte).
        return high if high else low

    @property
    def _length(self) -> int:
        return self.registers.get(DLR, 0) + 1

    @property
    def _address(self) -> int:
        return self.registers.get(AR, 0) if self._has_address else 0

    def _status(self) -> int:
        value = self.flags
        if self._pending is not None or self._queue or self._left:
            value |= _FTF
        if self.busy or self._pending or self._left:
            value |= _BUSY
        return value

    def _start(self) -> None:
        if not self._enabled:
            return
        mode = self._mode
        if mode == _WRITE:
            if self._has_data:
                self._pending = bytearray()
            else:
                self.nor.write(self._opcode, self._address, b"")
                self.flags |= _TCF
        elif mode == _READ:
            self.nor.commands += 1
            self._queue, self._left, self._offset = bytearray(), self._length, 0
            self._fetch()
        elif mode == _POLL:
            self._poll()

    def _poll(self) -> None:
        mask, match = self.registers.get(PSMKR, 0), self.registers.get(PSMAR, 0)
        self.nor.commands += 1
        for _ in range(_MOST_POLLS):
            got = int.from_bytes(self.nor.read(self._opcode, self._address, 0, min(self._length, 4)), "little")
            if self.registers.get(CR, 0) >> 23 & 1:
                hit = bool(~(got ^ match) & mask)
            else:
                hit = got & mask == match & mask
            if hit:
                self.flags |= _SMF | (_TCF if self.registers.get(CR, 0) >> 22 & 1 else 0)
                self.busy = False
                return
        self.busy = True
        self.polling_for = (
            f"automatic polling waits for status & 0x{mask:X} = 0x{match:X}, and command "
            f"0x{self._opcode:02X} keeps answering 0x{got:X}"
        )

    def _give(self, data: bytes) -> None:
        if self._pending is None:
            return
        self._pending += data
        if len(self._pending) >= self._length:
            self.nor.write(self._opcode, self._address, bytes(self._pending[: self._length]))
            self._pending = None
            self.flags |= _TCF

    def _take(self, size: int) -> int:
        if len(self._queue) < size:
            self._fetch()
        out = int.from_bytes(self._queue[:size], "little")
        del self._queue[:size]
        self._complete()
        return out

    def _fetch(self) -> None:
        n = min(self._left, _CHUNK)
        if n:
            self._queue += self.nor.read(self._opcode, self._address, self._offset, n)
            self._left -= n
            self._offset += n
        self._complete()

    def _complete(self) -> None:
        if not self._left and len(self._queue) <= _FIFO and self._mode == _READ:
            self.flags |= _TCF

    def _reset_transfer(self) -> None:
        self._queue, self._left, self._offset, self._pending = bytearray(), 0, 0, None
        self.busy = False
