"""What the programmer would do with a loader, done on the emulated core, with the memory's content checked each time.

Order: download, `Init`, `SectorErase` of two sectors, `Init`, `Write` of two pages, `Init`, `Read` (or the memory
window). `Init` comes before every operation, as in every published trace. This module runs in the worker.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from h5diag.sim.dryrun.machine import Ending, Machine
from h5diag.sim.dryrun.nor import Nor
from h5diag.sim.dryrun.xspi import Octospi

WRITE_SIZE = 512
_MOST_FILLED = 0x10000
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
                self.nor.fill(start - self.device["start"], b"\xff" * min(stop - start, _MOST_FILLED))
        if "Write" in self.request["functions"]:
            self._write(sectors[1][0])
        self._read(sectors[1][0])

    def _erase(self, sectors: list[list[int]]) -> None:
        start = self.device["start"]
        for first, stop in sectors:
            for at in (first, max(first, stop - _MOST_FILLED)):
                size = min(stop - first, _MOST_FILLED)
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
                f"Write returned 1, but {len(wrong)} of {self.size} bytes in the memory are wrong, the first "
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
        self._judge(name, ending)

    def _judge(self, name: str, ending: Ending) -> None:
        ram = self.machine.read(self.base + 4, len(self.image))
        damaged = ram != self.image and any(
            ram[a - self.base - 4 : b - self.base - 4] != self.image[a - self.base - 4 : b - self.base - 4]
            for a, b in self.request["code"]
        )
        if damaged:
            self.kind = "fault"
            room = self.stack - self.base - 4 - len(self.image)
            self.problem = f"{name} overwrote the loader's own code; a stack deeper than {room} bytes does that"
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
