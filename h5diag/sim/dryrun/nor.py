"""A serial NOR memory as far as erase, program and read can be told right from wrong.

It knows the write-enable latch, the busy flag, the page wrap, and that programming only clears bits. It does not
know dummy cycles, lanes, double data rate or address width. This module runs in the worker: standard library only.
"""

from __future__ import annotations

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
            self.say(f"{len(data)} bytes were sent in one program command; only the last {PAGE} count")
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
