"""Firmware that never existed: code-like bodies, MCUboot images around them, a loader's ELF. All of it seeded."""

from __future__ import annotations

import hashlib
import struct

import numpy as np

Rng = np.random.Generator

HEADER = 0x400
MAGIC = bytes.fromhex("77c295f360d2ef7f3552500f2cb67980")
OTHER_MAGIC = bytes.fromhex("10002de15d29410b8d77679c110f1f8a")  # what imgtool writes at --align 16

# Common Thumb encodings with the bits that vary from use to use: load, store, move, compare, branch, push, call.
_OPCODES = np.array(
    [
        [0x6800, 0x07FF],
        [0x6000, 0x07FF],
        [0x2000, 0x07FF],
        [0x4600, 0x00FF],
        [0x2800, 0x07FF],
        [0xD000, 0x0F3F],
        [0xE000, 0x00FF],
        [0xB500, 0x00F8],
        [0xBD00, 0x00F8],
        [0x4800, 0x073F],
        [0x1C00, 0x01FF],
        [0xF000, 0x003F],
        [0xF800, 0x07FF],
        [0x0000, 0x07FF],
        [0x4300, 0x003F],
        [0xB000, 0x001F],
    ],
    np.uint16,
)
_WEIGHTS = np.array([16, 12, 14, 10, 6, 9, 4, 3, 3, 7, 4, 4, 4, 2, 1, 1], float)
_SHARES = _WEIGHTS / _WEIGHTS.sum()
_WORDS = (
    "state",
    "error",
    "sensor",
    "config",
    "update",
    "radio",
    "boot",
    "image",
    "timeout",
    "value",
    "reset",
    "clock",
    "motor",
    "limit",
    "voltage",
    "retry",
    "buffer",
    "index",
    "%d",
    "%08x",
    "unexpected",
    "waiting",
    "done",
    "v",
)


def body(rng: Rng, size: int, base: int, *, ram: int = 0x20000000, gap: int = 0) -> bytes:
    """Return `size` bytes that look like a program linked at `base`: vectors, code, strings, tables.

    With `gap`, that many zero bytes stand before the last 16.
    """
    vectors = np.full(16 + 64, base + 0x401, np.uint32)
    vectors[0] = ram + 0x10000
    vectors[1:16] += rng.integers(0, 64, 15, np.uint32) * 4
    text = b"\0".join(" ".join(rng.choice(_WORDS, int(rng.integers(2, 6)))).encode() for _ in range(size // 256 + 2))
    n = int(rng.integers(32, 129))
    table = (np.arange(n) * int(rng.integers(3, 997)) + rng.integers(0, 16, n)).astype("<u2").tobytes()
    head = vectors.astype("<u4").tobytes()
    room = size - gap - len(head) - len(table)
    text = text[: room // 6]
    n = max(0, room - len(text)) // 2 + 1
    kind = rng.choice(len(_OPCODES), n, p=_SHARES)
    # Registers and offsets are small more often than not.
    vary = rng.integers(0, 0x800, n, np.uint16) & rng.integers(0, 0x800, n, np.uint16)
    code = (_OPCODES[kind, 0] | vary & _OPCODES[kind, 1]).astype("<u2").tobytes()
    out = (head + code[: max(0, room - len(text))] + text + table)[: size - gap]
    if not gap:
        return out
    return out[:-16] + b"\1" + bytes(gap + 15)[: gap - 1] + out[-16:]


def signed(rng: Rng, plain: bytes, version: tuple[int, int, int], *, encrypted: bool) -> tuple[bytes, bytes]:
    """Return an MCUboot image twice: as it is downloaded, and as it stands after being installed.

    Hash and structure are right; signature, key hash and wrapped key are noise of the right shape, since no key
    ever comes with a case of the corpus.
    """
    major, minor, revision = version
    counter = struct.pack("<HHHHI", 0x6908, 12, 0x50, 4, major << 24 | minor << 16 | revision)
    header = struct.pack(
        "<IIHHIIBBHII", 0x96F3B83D, 0, HEADER, 12, len(plain), 4 if encrypted else 0, major, minor, revision, 0, 0
    )
    header += b"\xff" * (HEADER - len(header))
    digest = hashlib.sha256(header + plain + counter).digest()
    tlvs = _tlv(0x10, digest) + _tlv(0x01, hashlib.sha256(b"key").digest())
    tlvs += _tlv(0x22, b"\x30\x44\x02\x20" + rng.bytes(32) + b"\x02\x20" + rng.bytes(32))
    if encrypted:
        tlvs += _tlv(0x32, b"\x04" + rng.bytes(112))
    tail = counter + struct.pack("<HH", 0x6907, 4 + len(tlvs)) + tlvs
    return header + (rng.bytes(len(plain)) if encrypted else plain) + tail, header + plain + tail


def _tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("<HH", kind, len(value)) + value


def loader_elf(rng: Rng, base: int, *, device_start: int = 0x90000000, code_size: int = 0x600) -> bytes:
    """Return a small external loader as ELF: StorageInfo in a segment of its own at 0, code at `base` + 4."""
    info = b"SAMPLE-NOR".ljust(100, b"\0") + struct.pack("<HHIIIB3x", 3, 0, device_start, 0x800000, 0x100, 0xFF)
    info += struct.pack("<II", 0x800, 0x1000) + bytes(72)
    # Every function: movs r0, #1; bx lr - enough for whoever only looks at places and sizes.
    code = b"\x01\x20\x70\x47" * 6 + body(rng, max(0x200, code_size), base + 4)[0x140:]
    code += bytes(-len(code) % 4)
    names = ("StorageInfo", "Init", "Write", "SectorErase", "Read", "MassErase")
    strtab = b"\0" + b"\0".join(n.encode() for n in names) + b"\0"
    symtab = bytes(16)
    for i, name in enumerate(names):
        value, size, kind, section = (0, 200, 1, 1) if i == 0 else (base + 4 + 4 * (i - 1) + 1, 4, 2, 2)
        symtab += struct.pack("<IIIBBH", strtab.index(name.encode()), value, size, 0x10 | kind, 0, section)
    shstr = b"\0.info\0.text\0.symtab\0.strtab\0.shstrtab\0"
    parts, at = [], 52 + 2 * 32
    offsets = []
    for part in (info, code, symtab, strtab, shstr):
        offsets.append(at)
        part += bytes(-len(part) % 4)
        parts.append(part)
        at += len(part)
    program = struct.pack("<8I", 1, offsets[0], 0, 0, len(info), len(info), 4, 4)
    program += struct.pack("<8I", 1, offsets[1], base + 4, base + 4, len(code), len(code), 5, 4)
    sections = bytes(40)
    sections += struct.pack("<10I", shstr.index(b".info"), 1, 2, 0, offsets[0], len(info), 0, 0, 4, 0)
    sections += struct.pack("<10I", shstr.index(b".text"), 1, 6, base + 4, offsets[1], len(code), 0, 0, 4, 0)
    sections += struct.pack("<10I", shstr.index(b".symtab"), 2, 0, 0, offsets[2], len(symtab), 4, 1, 4, 16)
    sections += struct.pack("<10I", shstr.index(b".strtab"), 3, 0, 0, offsets[3], len(strtab), 0, 0, 1, 0)
    sections += struct.pack("<10I", shstr.index(b".shstrtab"), 3, 0, 0, offsets[4], len(shstr), 0, 0, 1, 0)
    ident = b"\x7fELF\x01\x01\x01" + bytes(9)
    header = ident + struct.pack("<HHIIIIIHHHHHH", 2, 40, 1, base + 5, 52, at, 0x05000200, 52, 32, 2, 40, 6, 5)
    return header + program + b"".join(parts) + sections
