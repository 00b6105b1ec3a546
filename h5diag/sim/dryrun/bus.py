"""The dry run's peripherals: a bus of registers, a serial NOR flash, and the memory controllers before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from h5diag.text import count_text

CPACR = 0xE000ED88
_SYST_CSR, _SYST_RVR, _SYST_CVR, _CYCCNT, _CPUID = 0xE000E010, 0xE000E014, 0xE000E018, 0xE0001004, 0xE000ED00
_CPUID_M33 = 0x410FD214
_CYCLES_PER_READ = 4000
_PATIENCE = 4000


class ModelBus:
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


PAGE, _BLOCK = 256, 4096
_READS = frozenset(
    (0x03, 0x0B, 0x3B, 0x6B, 0xBB, 0xEB, 0x13, 0x0C, 0x3C, 0x6C, 0xBC, 0xEC, 0xEE, 0xCB, 0xCC, 0x7C, 0xFD)
)
_PROGRAMS = frozenset((0x02, 0x32, 0x38, 0x12, 0x34, 0x3E, 0xA2, 0xD2, 0x82, 0x84))
_ERASES = {0x20: 0x1000, 0x21: 0x1000, 0xD7: 0x1000, 0x52: 0x8000, 0x5C: 0x8000, 0xD8: 0x10000, 0xDC: 0x10000}
_CHIP_ERASES = frozenset((0xC7, 0x60, 0xC4))
_VOLATILE_WRITES = frozenset((0x72, 0x61, 0x81))
_REGISTER_WRITES = _VOLATILE_WRITES | {0x01, 0x31, 0x11, 0xB1}
_SILENT = frozenset((0xB7, 0xE9, 0x66, 0x99, 0xFF, 0xF5, 0x38, 0x98, 0xAB, 0xB9, 0x50, 0x30, 0x7A, 0x75, 0xC0, 0x77))
_BUSY_POLLS = 3


class Nor:
    """A memory of `size` bytes, erased where nothing was put; `identity` is what command 0x9F returns."""

    def __init__(self, size: int, identity: bytes) -> None:
        self.size, self.identity = max(size, _BLOCK), identity
        self.write_enabled, self.busy = False, 0
        self.registers = {0x35: 0, 0x15: 0, 0x65: 0xFF, 0x85: 0xFB, 0xB5: 0xFF}
        self.remarks: list[str] = []
        self.commands = 0
        self._blocks: dict[int, bytearray] = {}
        self._second_configuration: dict[int, int] = {}

    def fill(self, start: int, data: bytes) -> None:
        """Put bytes in place, as if they had been programmed before."""
        done = 0
        while done < len(data):
            at = (start + done) % self.size
            n = min(len(data) - done, _BLOCK - at % _BLOCK)
            self._block(at)[at % _BLOCK : at % _BLOCK + n] = data[done : done + n]
            done += n

    def peek(self, start: int, size: int) -> bytes:
        """Return bytes without any command."""
        out = bytearray()
        while len(out) < size:
            at = (start + len(out)) % self.size
            part = self._blocks.get(at // _BLOCK)
            n = min(size - len(out), _BLOCK - at % _BLOCK)
            out += part[at % _BLOCK : at % _BLOCK + n] if part else b"\xff" * n
        return bytes(out)

    def is_blank(self, start: int, stop: int) -> bool:
        """Tell whether every byte of the range is erased, however large the range is."""
        for n, block in self._blocks.items():
            first, last = max(start, n * _BLOCK), min(stop, (n + 1) * _BLOCK)
            if first < last and block.count(0xFF, first - n * _BLOCK, last - n * _BLOCK) != last - first:
                return False
        return True

    def pass_time(self) -> None:
        """Let a little time pass: a timer was read, or the status register."""
        self.busy = max(0, self.busy - 1)

    def status(self) -> int:
        """Return the status register: bit 0 busy, bit 1 write-enable latch, bit 6 quad enable."""
        value = (1 if self.busy else 0) | (2 if self.write_enabled else 0) | 0x40
        self.pass_time()
        return value

    def read(self, opcode: int, address: int, offset: int, size: int) -> bytes:
        """Return `size` answer bytes from `offset` on of the command `opcode`."""
        if opcode == 0x05:
            return bytes(self.status() for _ in range(min(size, 4))).ljust(size, b"\0")
        if opcode == 0x70:
            return bytes((0 if self.status() & 1 else 0x80,)) * size
        if opcode == 0x2B:
            self.pass_time()
            return bytes(size)  # security register: no program or erase has failed
        if self.busy:
            self.say(f"command 0x{opcode:02X} came while the memory was busy and was ignored")
            return b"\xff" * size
        if opcode in (0x9F, 0x9E, 0xAF):
            return _cut(self.identity, offset, size)
        if opcode in (0x90, 0xAB):
            return _cut(self.identity[:1] + self.identity[2:3], offset, size)
        if opcode in self.registers:
            return bytes((self.registers[opcode],)) * size
        if opcode == 0x71:
            return bytes((self._second_configuration.get(address, 0),)) * size
        if opcode in _READS:
            return self.peek(address + offset, size)
        self.say(f"command 0x{opcode:02X} is not modelled; its answer was taken as zeros")
        return bytes(size)

    def is_read(self, opcode: int) -> bool:
        """Tell whether the opcode reads the array, as memory-mapped mode needs."""
        return opcode in _READS

    def write(self, opcode: int, address: int, data: bytes) -> None:
        """Carry out a command that returns nothing."""
        self.commands += 1
        if opcode == 0x06:
            self.write_enabled = not self.busy
            return
        if opcode == 0x04:
            self.write_enabled = False
            return
        if opcode in _SILENT and not data:
            return
        erases = opcode in _ERASES or opcode in _CHIP_ERASES
        name = "program" if opcode in _PROGRAMS else "erase" if erases else "register"
        if name == "register" and opcode not in _REGISTER_WRITES:
            self.say(f"command 0x{opcode:02X} is not modelled and did nothing")
            return
        if self.busy:
            self.say(f"{name} command 0x{opcode:02X} came while the memory was busy and was ignored")
            return
        if not self.write_enabled:
            self.say(
                f"{name} command 0x{opcode:02X} was ignored: the write-enable latch was not set, no 0x06 came before it"
            )
            return
        self.write_enabled, self.busy = False, 0 if opcode in _VOLATILE_WRITES else _BUSY_POLLS
        if opcode in _PROGRAMS:
            self._program(address, data)
        elif opcode in _ERASES:
            self._erase(address, _ERASES[opcode])
        elif opcode in _CHIP_ERASES:
            self._blocks.clear()
        elif opcode == 0x72 and data and len(self._second_configuration) < 64:
            self._second_configuration[address] = data[0]
        elif opcode in (0x01, 0x31) and data:
            self.registers[0x35] = data[1] if opcode == 0x01 and len(data) > 1 else data[0] if opcode == 0x31 else 0

    def _program(self, address: int, data: bytes) -> None:
        if len(data) > PAGE:
            self.say(f"{count_text(len(data), 'byte')} were sent in one program command; only the last {PAGE} count")
        elif data and address % PAGE + len(data) > PAGE:
            self.say(f"a program command at offset 0x{address % self.size:X} ran over the end of its page and wrapped")
        first = address - address % PAGE
        risen = False
        for i, value in enumerate(data):
            at = (first + (address + i) % PAGE) % self.size
            block = self._block(at)
            risen = risen or bool(value & ~block[at % _BLOCK])
            block[at % _BLOCK] &= value
        if risen:
            self.say(f"offset 0x{address % self.size:X} was programmed without being erased before")

    def _erase(self, address: int, size: int) -> None:
        start = address % self.size // size * size
        for n in range(start // _BLOCK, (start + size) // _BLOCK):
            self._blocks.pop(n, None)

    def _block(self, address: int) -> bytearray:
        return self._blocks.setdefault(address % self.size // _BLOCK, bytearray(b"\xff" * _BLOCK))

    def say(self, text: str) -> None:
        """Note what the driver did wrong, each thing once."""
        if len(self.remarks) < 20 and text not in self.remarks:
            self.remarks.append(text)


def _cut(answer: bytes, offset: int, size: int) -> bytes:
    return answer[offset : offset + size].ljust(size, b"\0")


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
