"""Just enough Thumb to see what a loader must not contain: floating point, supervisor calls, enabled interrupts.

Encodings from the Armv8-M Architecture Reference Manual (DDI 0553), chapter C2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from heapq import heappop, heappush
from importlib import import_module

from h5diag.limits import CODE_BYTES
from h5diag.measure.loader.loaderfile import LoaderFile


class Concern(Enum):
    """What an instruction does that a loader should not."""

    FLOAT = "floating point"
    SUPERVISOR = "supervisor call"
    INTERRUPTS = "interrupts enabled"
    FRAME = "stack frame"


@dataclass(frozen=True, slots=True)
class Remarkable:
    """An instruction worth a remark. `amount` is the frame's size in bytes for `Concern.FRAME`, else 0."""

    address: int
    concern: Concern
    amount: int = 0


def remarkable(loader: LoaderFile) -> tuple[Remarkable, ...]:
    """Return the instructions of the loader that `Concern` names, in address order."""
    return tuple(r for start, data in code_ranges(loader) for r in _scan(start, data))


def instruction_at(loader: LoaderFile, address: int) -> str:
    """Return the instruction stored at `address` in assembler, its bytes in hex when it is none, empty outside."""
    raw = loader.read(address & ~1, 4)
    try:
        c = import_module("capstone")  # comes with pyOCD; without it the bytes have to do
    except ImportError:
        return raw.hex(" ")
    for found in c.Cs(c.CS_ARCH_ARM, c.CS_MODE_THUMB | c.CS_MODE_MCLASS).disasm(raw, address & ~1, 1):
        return " ".join(f"{found.mnemonic} {found.op_str}".split())
    return raw[:2].hex(" ")


def code_ranges(loader: LoaderFile) -> Iterator[tuple[int, bytes]]:
    """Yield address and bytes of what is code: by the mapping symbols ``$t`` and ``$d``, else by function symbols.

    Without either nothing is yielded: data taken for code would give false alarms.
    """
    marks = sorted(
        {(s.value & ~1, s.name[:2]) for s in loader.symbols if s.name[:2] in ("$t", "$d", "$a") and s.section}
    )
    left = CODE_BYTES
    if marks:
        waiting, around = sorted(loader.sections, reverse=True), list[int]()
        for (start, kind), (stop, _) in zip(marks, [*marks[1:], (1 << 32, "")], strict=True):
            while waiting and waiting[-1].start <= start:
                heappush(around, waiting.pop().stop)
            while around and around[0] <= start:
                heappop(around)
            stop = min(stop, around[0]) if around else stop
            if kind == "$t" and left > 0 and (data := loader.read(start, min(stop - start, left))):
                left -= len(data)
                yield start, data
        return
    for s in sorted({(s.value & ~1, s.size) for s in loader.symbols if s.function and s.value & 1 and s.size}):
        if left > 0 and (data := loader.read(s[0], min(s[1], left))):
            left -= len(data)
            yield s[0], data


def _scan(start: int, data: bytes) -> Iterator[Remarkable]:
    halves = struct.unpack(f"<{len(data) // 2}H", data[: len(data) // 2 * 2])
    i = 0
    while i < len(halves):
        first, at = halves[i], start + 2 * i
        if first < 0xE800:
            i += 1
            if first & 0xFF00 == 0xDF00:
                yield Remarkable(at, Concern.SUPERVISOR)
            elif first in (0xB662, 0xB661, 0xB663):
                yield Remarkable(at, Concern.INTERRUPTS)
            elif first & 0xFF80 == 0xB080:
                yield Remarkable(at, Concern.FRAME, (first & 0x7F) * 4)
            continue
        second = halves[i + 1] if i + 1 < len(halves) else 0
        i += 2
        if first & 0xEC00 == 0xEC00 and second >> 8 & 0xE == 0xA:
            yield Remarkable(at, Concern.FLOAT)
        elif first & 0xFBEF == 0xF1AD and second & 0x8F00 == 0x0D00:  # SUB.W SP, SP, #const
            yield Remarkable(at, Concern.FRAME, _modified(_immediate(first, second)))
        elif first & 0xFBFF == 0xF2AD and second & 0x8F00 == 0x0D00:  # SUBW SP, SP, #imm12
            yield Remarkable(at, Concern.FRAME, _immediate(first, second))


def _immediate(first: int, second: int) -> int:
    """The 12 bits i:imm3:imm8 of a 32-bit data-processing instruction."""
    return (first >> 10 & 1) << 11 | (second >> 12 & 7) << 8 | second & 0xFF


def _modified(imm12: int) -> int:
    """Expand a Thumb modified immediate constant (ThumbExpandImm)."""
    low = imm12 & 0xFF
    if imm12 >> 10 == 0:
        return (low, low << 16 | low, low << 24 | low << 8, low * 0x01010101)[imm12 >> 8 & 3]
    value, turn = 0x80 | imm12 & 0x7F, imm12 >> 7
    return (value >> turn | value << (32 - turn)) & 0xFFFFFFFF
