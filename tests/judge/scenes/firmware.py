"""Programs that look like what a compiler and a linker make, so that another build differs as real builds do.

A program is a list of functions; `link` lays them out behind the vector table, resolves calls (BL) and literal
pools, and appends strings and tables. Adding a function moves everything behind it and adjusts every literal.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, replace

_PUSH, _POP = (0xB510, 0xB570, 0xB5F0, 0xB538), {0xB510: 0xBD10, 0xB570: 0xBD70, 0xB5F0: 0xBDF0, 0xB538: 0xBD38}
_WORDS = [
    "sensor",
    "motor",
    "uart",
    "overflow",
    "timeout",
    "calib",
    "ready",
    "voltage",
    "stage",
    "update",
    "error",
    "state",
    "link",
    "tick",
    "flash",
    "pump",
]


@dataclass(frozen=True)
class Function:
    """Body halfwords, and which other functions it calls and points to."""

    body: tuple[int, ...]
    calls: tuple[int, ...]
    pointers: tuple[int, ...]


@dataclass(frozen=True)
class Program:
    """What is linked: functions, strings, a table of constants, the RAM size for the stack pointer."""

    functions: tuple[Function, ...]
    strings: tuple[bytes, ...]
    table: bytes
    stack: int = 0x20018000


def write_program(rng: random.Random, size: int, stack: int = 0x20018000) -> Program:
    """Return a program that links to about `size` bytes."""
    functions = []
    made = 0
    count = max(4, size // 210)
    while made < size * 0.72:
        body = tuple(_halfword(rng) for _ in range(rng.randint(12, 150)))
        functions.append(
            Function(
                body,
                tuple(rng.randrange(count) for _ in range(rng.randint(0, 5))),
                tuple(rng.randrange(count) for _ in range(rng.randint(0, 3))),
            )
        )
        made += 2 * len(body) + 4 * len(functions[-1].calls) + 4 * len(functions[-1].pointers) + 8
    strings = []
    while sum(map(len, strings)) < size * 0.13:
        words = " ".join(rng.choice(_WORDS) for _ in range(rng.randint(2, 6)))
        strings.append(f"[{rng.choice(('E', 'W', 'I'))}] {words} %u\r\n\0".encode())
    rest = max(64, int(size * 0.13)) // 16 * 16
    table = b"".join(struct.pack("<hh", rng.randint(-900, 900), i & 0x7FFF) for i in range(rest // 4))
    return Program(tuple(functions), tuple(strings), table, stack)


def link(program: Program, base: int) -> bytes:
    """Return the program's bytes for the address `base`."""
    vectors = 98 * 4
    starts, at = [], base + vectors
    for f in program.functions:
        starts.append(at)
        size = 2 * (len(f.body) + 2) + 4 * len(f.calls)
        at += size + (-size) % 4 + 4 * len(f.pointers)
    out = bytearray()
    pick = lambda i: starts[i % len(starts)] | 1  # noqa: E731
    for n in range(98):
        value = program.stack if n == 0 else 0 if n in (7, 8, 9, 10, 13) else pick(n if n < 16 else 3)
        out += struct.pack("<I", value)
    for f, start in zip(program.functions, starts, strict=True):
        push = _PUSH[len(f.body) % 4]
        code = bytearray(struct.pack("<H", push))
        gap = max(1, len(f.body) // (len(f.calls) + 1))
        for n, half in enumerate(f.body):
            code += struct.pack("<H", half)
            if n % gap == gap - 1 and n // gap < len(f.calls):
                code += _bl(start + len(code), starts[f.calls[n // gap] % len(starts)])
        code += struct.pack("<H", _POP[push])
        want = 2 * (len(f.body) + 2) + 4 * len(f.calls)
        code = code[:want].ljust(want + (-want) % 4, b"\x00")
        for p in f.pointers:
            code += struct.pack("<I", pick(p))
        out += code
    return bytes(out) + b"".join(program.strings) + program.table


def next_build(program: Program, rng: random.Random, added: int = 1) -> Program:
    """Return the next build: `added` functions more somewhere, one constant and one string changed."""
    functions = list(program.functions)
    for _ in range(added):
        new = Function(tuple(_halfword(rng) for _ in range(rng.randint(40, 260))), (1, 2), (3,))
        functions.insert(rng.randint(len(functions) // 6, len(functions) // 2), new)
    n = rng.randrange(len(functions))
    body = list(functions[n].body)
    body[len(body) // 2] ^= 0x0003
    functions[n] = replace(functions[n], body=tuple(body))
    strings = (b"build 2.%d\0" % rng.randint(2, 9), *program.strings[1:])
    return replace(program, functions=tuple(functions), strings=strings)


def dated(image: bytes, rng: random.Random) -> bytes:
    """Return the same build made at another time: one string of fixed length differs."""
    text = b"Mar %02d 2026 %02d:%02d:%02d" % (
        rng.randint(1, 28),
        rng.randint(0, 23),
        rng.randint(0, 59),
        rng.randint(0, 59),
    )
    at = len(image) * 5 // 6 // 16 * 16
    return image[:at] + text + image[at + len(text) :]


def _halfword(rng: random.Random) -> int:
    r, d = rng.randrange(8), rng.randrange(8)
    return rng.choice(
        (
            0x2000 | d << 8 | rng.choice((0, 1, 2, 4, 8, 0x10, 0x20, 0xFF)),  # movs
            0x6800 | rng.randrange(12) << 6 | r << 3 | d,  # ldr
            0x6000 | rng.randrange(12) << 6 | r << 3 | d,  # str
            0x4600 | r << 3 | d,  # mov
            0x3000 | d << 8 | rng.randrange(64),  # adds
            0x2800 | d << 8 | rng.randrange(32),  # cmp
            0xD000 | rng.randrange(2) << 8 | rng.randrange(30),  # beq, bne
            0x4800 | d << 8 | rng.randrange(24),  # ldr literal
            0x4000 | rng.randrange(16) << 6 | r << 3 | d,  # alu
            0x0000 | rng.randrange(1, 31) << 6 | r << 3 | d,  # lsls
        )
    )


def _bl(here: int, to: int) -> bytes:
    offset = (to - here - 4) >> 1
    s = offset >> 23 & 1
    i1, i2 = offset >> 22 & 1, offset >> 21 & 1
    j1, j2 = (~i1 ^ s) & 1, (~i2 ^ s) & 1
    return struct.pack("<HH", 0xF000 | s << 10 | offset >> 11 & 0x3FF, 0xD000 | j1 << 13 | j2 << 11 | offset & 0x7FF)
