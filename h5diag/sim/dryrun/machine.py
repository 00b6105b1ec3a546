"""The emulated core with its memories, and the sequence of calls that the programmer would make on it.

Order: download, `Init`, `SectorErase` of two sectors, `Init`, `Write` of two pages, `Init`, `Read` (or the memory window).
`Init` comes before every operation, as in every published trace. This module runs in the worker.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import unicorn as u
from unicorn import arm_const as a

from h5diag.sim.dryrun.bus import ModelBus, Nor, Octospi
from h5diag.text import count_text

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
        self.bus = ModelBus(profile, interfaces, self._spend)
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


WRITE_SIZE = 512
_FILLED_AT_ONCE = 0x10000
_JUNK = bytes((i * 37 + 11) & 0x7F for i in range(256))
_DATA = bytes((i * 73 + (i >> 8) * 29 + 5) & 0xFF for i in range(WRITE_SIZE))


def run_sequence(request: dict[str, Any]) -> dict[str, Any]:
    """Run a loader and return calls and observations, plain values for JSON.

    `request` holds ``profile``, ``image`` (hex), ``code`` (first and after-last addresses of instructions),
    ``memory_stop``, ``base``, ``stack``, ``buffer``, ``functions`` (name to address), ``floats``, ``device``
    (``start``, ``size``, ``erased``, ``sectors`` as first and after-last address of two neighbours and the ones
    beside them) and ``identity`` (hex).
    """
    return _Run(request).result()


class _Stop(Exception):
    """The verdict is known."""


class _Run:
    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.device = request["device"]
        self.nor = Nor(self.device["size"], bytes.fromhex(request["identity"]))
        self.interfaces = {registers: Octospi(self.nor) for registers, _ in request["profile"]["xspi"]}
        self.machine = Machine(request["profile"], self.interfaces, request["floats"])
        self.image = bytes.fromhex(request["image"])
        self.base, self.stack, self.buffer = request["base"], request["stack"], request["buffer"]
        sectors = self.device["sectors"]
        self.size = min(WRITE_SIZE, max(sectors[2][1] - sectors[1][0], 4) & ~3)
        self.calls: list[dict[str, Any]] = []
        self.problem, self.kind = "", "pass"
        self.stack_used = 0

    def result(self) -> dict[str, Any]:
        self.machine.write(self.base, b"\x00\xbe\x00\x00" + self.image)
        self.machine.write(self.buffer, bytes(WRITE_SIZE))
        with suppress(_Stop):
            self._operations()
        return {
            "kind": self.kind,
            "problem": self.problem,
            "calls": self.calls,
            "nor": self.nor.remarks,
            "commands": self.nor.commands,
            "assumed": self.machine.bus.assumed,
            "stack_used": self.stack_used,
        }

    def _operations(self) -> None:
        self._call("Init", [])
        self._must_return_one("Init")
        sectors = self.device["sectors"]
        if "SectorErase" in self.request["functions"] and not self.device["volatile"]:
            self._erase(sectors)
            self._call("Init", [])
            self._must_return_one("Init")
        elif not self.device["volatile"]:
            for start, stop in sectors:
                self.nor.fill(start - self.device["start"], b"\xff" * min(stop - start, _FILLED_AT_ONCE))
        if "Write" in self.request["functions"]:
            self._write(sectors[1][0])
        self._read(sectors[1][0])

    def _erase(self, sectors: list[list[int]]) -> None:
        start = self.device["start"]
        for first, stop in sectors:
            for at in (first, max(first, stop - _FILLED_AT_ONCE)):
                size = min(stop - first, _FILLED_AT_ONCE)
                self.nor.fill(at - start, (_JUNK * (size // len(_JUNK) + 1))[:size])
        a, b, b_stop = sectors[1][0], *sectors[2]
        self._call("SectorErase", [a, b])
        self._must_return_one("SectorErase")
        if not self.nor.commands:
            return
        blank = [self.nor.is_blank(first - start, stop - start) for first, stop in sectors]
        if not (blank[1] and blank[2]):
            which = "is" if blank[1] or blank[2] else "and the one after it are"
            left = a if not blank[1] else b
            self._content(f"SectorErase returned 1, but the sector at 0x{left:08X} {which} not blank")
        elif blank[0] and sectors[0][0] < a:
            self._content(f"SectorErase also erased the sector before, at 0x{sectors[0][0]:08X}")
        elif blank[3] and sectors[3][0] >= b_stop:
            self._content(f"SectorErase also erased the sector behind, at 0x{sectors[3][0]:08X}")

    def _write(self, address: int) -> None:
        at, data = address - self.device["start"], _DATA[: self.size]
        behind = self.nor.peek(at + self.size, 256)
        self.machine.write(self.buffer, data)
        self._call("Write", [address, self.size, self.buffer])
        self._must_return_one("Write")
        if not self.nor.commands:
            return
        got = self.nor.peek(at, self.size)
        wrong = [i for i in range(self.size) if got[i] != data[i]]
        if wrong:
            self._content(
                f"Write returned 1, but {len(wrong)} of {count_text(self.size, 'byte')} in the memory are wrong, the first "
                f"at 0x{address + wrong[0]:08X} (0x{got[wrong[0]]:02X} instead of 0x{data[wrong[0]]:02X})"
            )
        if self.nor.peek(at + self.size, 256) != behind:
            self._content("Write changed bytes behind the ones it was given")

    def _read(self, address: int) -> None:
        if not self.nor.commands:
            return
        self._call("Init", [])
        self._must_return_one("Init")
        if "Read" in self.request["functions"]:
            self.machine.write(self.buffer, bytes(self.size))
            self._call("Read", [address, self.size, self.buffer])
            self._must_return_one("Read")
            got = self.machine.read(self.buffer, self.size)
        else:
            mapped = [i for i in self.interfaces.values() if i.is_mapped]
            if not mapped:
                self._content("there is no function Read, and Init leaves memory-mapped mode off: nobody can read it")
                return
            at = address - self.device["start"]
            got = b"".join(mapped[0].window(at + i, 4).to_bytes(4, "little") for i in range(0, self.size, 4))
        if got != self.nor.peek(address - self.device["start"], self.size):
            self._content("Read returned 1, but the bytes in the buffer are not those of the memory")

    def _call(self, name: str, arguments: list[int]) -> None:
        if self.problem:
            raise _Stop
        function = self.request["functions"].get(name)
        if function is None:
            self.kind, self.problem = "fault", f"there is no function {name}"
            raise _Stop
        for interface in self.interfaces.values():
            interface.polling_for = ""
        ending = self.machine.call(function, arguments or ([1] if name == "Init" else []), self.base, self.stack)
        bottom = min(max(self.request["memory_stop"], self.base + 4 + len(self.image)), self.stack)
        self.stack_used = max(self.stack_used, self.machine.stack_depth(bottom, self.stack))
        self.calls.append(
            {
                "function": name,
                "address": function,
                "arguments": arguments,
                "kind": ending.kind,
                "reason": ending.reason,
                "result": ending.registers[0],
                "pc": ending.pc,
                "registers": ending.registers,
            }
        )
        self._conclude(name, ending)

    def _conclude(self, name: str, ending: Ending) -> None:
        ram = self.machine.read(self.base + 4, len(self.image))
        damaged = ram != self.image and any(
            ram[a - self.base - 4 : b - self.base - 4] != self.image[a - self.base - 4 : b - self.base - 4]
            for a, b in self.request["code"]
        )
        if damaged:
            self.kind = "fault"
            room = self.stack - self.base - 4 - len(self.image)
            self.problem = (
                f"{name} overwrote the loader's own code; a stack deeper than {count_text(room, 'byte')} does that"
            )
            if ending.kind != "return":
                self.problem += f", and ended in: {ending.reason}"
            raise _Stop
        if ending.kind == "hang":
            waiting = next((i.polling_for for i in self.interfaces.values() if i.polling_for), "")
            if not waiting and ending.reason.find("register") > 0:
                waiting = f"the last register read is 0x{self.machine.bus.last_polled:08X}"
            self.kind, self.problem = "hang", f"{name} did not return: {ending.reason}"
            self.problem += f"; {waiting}" if waiting else ""
            raise _Stop
        if ending.kind == "fault":
            self.kind, self.problem = "fault", f"{name}: {ending.reason}"
            raise _Stop

    def _must_return_one(self, name: str) -> None:
        result = self.calls[-1]["result"]
        if result != 1:
            self.kind = "fault"
            self.problem = f"{name} returned {result}" if result < 256 else f"{name} returned 0x{result:08X}"
            self.problem += ": it reports failure" if not result else ", neither 1 nor 0"
            raise _Stop

    def _content(self, text: str) -> None:
        self.kind, self.problem = "fault", text
        raise _Stop


# movs r0,#0; mov.w r2,#0x40000000; adds r2,#0x20; movs r3,#4
# loop: subs r3,#1; ittee ne; strne r3,[r2]; addne r0,#1; streq r3,[r2]; addeq r0,#16
#       cmp r3,#0; bne loop; str r0,[sp,#-4]; ldr r1,[sp,#-4]; cmp r0,r1; it eq; addeq r0,#1; bx lr
_CODE = bytes.fromhex("00204ff0804220320423013b19bf1360013013601030002bf7d14df8040c5df8041c884208bf01307047")
_EXPECTED = 3 + 16 + 1
_BASE = 0x20000000


def emulator_is_sound() -> bool:
    """Tell whether conditional stores in IT blocks leave the flags alone, to registers and to RAM."""
    profile = {
        "reset": [],
        "ready": [],
        "follow": [],
        "fixed": [],
        "modelled": [[0x40000000, 0x400]],
        "ram": [[_BASE, 0x1000]],
        "flash": [0x08000000, 0x1000],
        "xspi": [[0x44021000, 0x90000000]],
    }
    machine = Machine(profile, {0x44021000: Octospi(Nor(0x1000, b""))}, [])
    machine.write(_BASE, b"\x00\xbe\x00\x00" + _CODE)
    ending = machine.call(_BASE + 5, [], _BASE, _BASE + 0x800)
    return ending.kind == "return" and ending.registers[0] == _EXPECTED
