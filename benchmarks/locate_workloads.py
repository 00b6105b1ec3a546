"""Workloads for the search for displaced pieces, made from real firmware bytes.

The bytes come from Debian packages that ``apt-get download`` fetches into ``.bench/`` at the first run: newlib, libm
and libstdc++ linked whole for Armv8-M and other cores, U-Boot, MicroPython, GRUB and the compiler itself for large
NOR contents. Every workload is a function of a seed and says where each planted piece stands.

    W1   an image of 640 KB somewhere in 2 MB of FF         W3   8 KB sectors permuted, with holes
    W2a  the same with 0.1 % of its bits flipped             W3u  40 unaligned pieces over other firmware
    W2b  2 %                                                 W4   64 MB: 200 displaced and many in-place runs
    W2c  5 %                                                 W5   a 32-byte header before an encrypted payload
    W2d  a stuck data line    W2e  inverted                  W6   zeros, thousands of 64-byte tables, five pieces
    W2f  byteswap32           W2g  one inverted data line    W7 half the sectors repeat (address line); W8 banks swapped
"""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

BENCH = Path(__file__).resolve().parent.parent / ".bench"
NEWLIB = "usr/lib/arm-none-eabi/newlib"
PACKAGES = {
    "libnewlib-arm-none-eabi": [
        f"{NEWLIB}/{core}/{lib}.a"
        for core in ("thumb/v8-m.main+fp/softfp", "arm/v5te/hard", "thumb/v6-m/nofp")
        for lib in ("libc", "libm")
    ],
    "libstdc++-arm-none-eabi-newlib": [
        f"{NEWLIB}/{core}/libstdc++.a" for core in ("thumb/v8-m.main+fp/softfp", "arm/v5te/hard", "thumb/v6-m/nofp")
    ],
    "binutils-arm-none-eabi": ["usr/bin/arm-none-eabi-ld", "usr/bin/arm-none-eabi-objcopy"],
    "gcc-arm-none-eabi": ["usr/lib/gcc/arm-none-eabi/12.2.1/cc1", "usr/lib/gcc/arm-none-eabi/12.2.1/lto1"],
    "u-boot-qemu": ["usr/lib/u-boot/"],
    "firmware-microbit-micropython": ["usr/share/firmware-microbit-micropython/firmware.hex"],
    "opensbi": ["usr/lib/riscv64-linux-gnu/opensbi/generic/"],
    "seabios": ["usr/share/seabios/"],
    "nxt-firmware": ["usr/share/nxt-firmware/nxt_firmware.bin"],
    "hackrf-firmware": ["usr/share/hackrf/hackrf_one_usb.bin"],
    "ubertooth-firmware": ["usr/share/ubertooth/firmware/bluetooth_rxtx.dfu"],
    "firmware-ath9k-htc": ["lib/firmware/ath9k_htc/"],
}


def fetch(package: str) -> Path:
    """Return the folder with the wanted files of a Debian package."""
    target = BENCH / "files" / package
    if target.is_dir():
        return target
    debs = BENCH / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    if not list(debs.glob(f"{package}_*.deb")):
        subprocess.run(["apt-get", "download", package], cwd=debs, check=True, capture_output=True)
    partial = target.with_suffix(".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    wanted = tuple(PACKAGES[package])
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(next(debs.glob(f"{package}_*.deb")))], stdout=subprocess.PIPE
    ) as tar:
        assert tar.stdout is not None
        with tarfile.open(fileobj=tar.stdout, mode="r|") as members:
            for member in members:
                name = member.name.removeprefix("./")
                if member.isfile() and name.startswith(wanted):
                    members.extract(member, partial, filter="data")
    partial.rename(target)
    return target


def _linked(core: str, *libraries: str) -> Bytes:
    out = BENCH / "images" / (core.replace("/", "-") + "-" + "-".join(libraries) + ".bin")
    if not out.exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        tools = fetch("binutils-arm-none-eabi") / "usr/bin"
        archives = [
            str(
                fetch("libstdc++-arm-none-eabi-newlib" if "stdc" in lib else "libnewlib-arm-none-eabi")
                / NEWLIB
                / core
                / f"{lib}.a"
            )
            for lib in libraries
        ]
        elf = out.with_suffix(".elf")
        subprocess.run(
            [
                str(tools / "arm-none-eabi-ld"),
                "--whole-archive",
                *archives,
                "-z",
                "muldefs",
                "-Ttext",
                "0x08000000",
                "--unresolved-symbols=ignore-all",
                "-e",
                "0",
                "-S",
                "--defsym",
                "__dso_handle=0",
                "-o",
                str(elf),
            ],
            check=True,
            capture_output=True,
        )
        subprocess.run(
            [
                str(tools / "arm-none-eabi-objcopy"),
                "-O",
                "binary",
                "--gap-fill",
                "0x00",
                "-j",
                ".text",
                "-j",
                ".rodata",
                "-j",
                ".data",
                str(elf),
                str(out),
            ],
            check=True,
            capture_output=True,
        )
        elf.unlink()
    return np.fromfile(out, np.uint8)


def _file(package: str, path: str) -> Bytes:
    return np.fromfile(fetch(package) / path, np.uint8)


@cache
def firmware(name: str) -> Bytes:
    """Return a firmware by name."""
    match name:
        case "thumb-c":
            return _linked("thumb/v8-m.main+fp/softfp", "libc")
        case "thumb-m":
            return _linked("thumb/v8-m.main+fp/softfp", "libm")
        case "thumb-cxx":
            return _linked("thumb/v8-m.main+fp/softfp", "libstdc++")
        case "arm-c":
            return _linked("arm/v5te/hard", "libc")
        case "arm-m":
            return _linked("arm/v5te/hard", "libm")
        case "arm-cxx":
            return _linked("arm/v5te/hard", "libstdc++")
        case "v6m-cxx":
            return _linked("thumb/v6-m/nofp", "libstdc++")
        case "v6m-c":
            return _linked("thumb/v6-m/nofp", "libc")
        case "v6m-m":
            return _linked("thumb/v6-m/nofp", "libm")
        case "micropython":
            import bincopy

            f = bincopy.BinFile()
            package = "firmware-microbit-micropython"
            f.add_ihex((fetch(package) / PACKAGES[package][0]).read_text())
            return np.frombuffer(bytes(max(f.segments, key=lambda s: len(s.data)).data), np.uint8)
        case "opensbi":
            return _file("opensbi", "usr/lib/riscv64-linux-gnu/opensbi/generic/fw_jump.bin")
        case "seabios":
            return _file("seabios", "usr/share/seabios/bios-256k.bin")
        case "nxt":
            return _file("nxt-firmware", "usr/share/nxt-firmware/nxt_firmware.bin")
        case "hackrf":
            return _file("hackrf-firmware", "usr/share/hackrf/hackrf_one_usb.bin")
        case "ubertooth":
            return _file("ubertooth-firmware", "usr/share/ubertooth/firmware/bluetooth_rxtx.dfu")
        case "ath9k-7010":
            return _file("firmware-ath9k-htc", "lib/firmware/ath9k_htc/htc_7010-1.4.0.fw")
        case "cc1" | "lto1":
            return _file("gcc-arm-none-eabi", f"usr/lib/gcc/arm-none-eabi/12.2.1/{name}")
    return _file("u-boot-qemu", f"usr/lib/u-boot/{name.removeprefix('u-boot-')}/u-boot.bin")


@dataclass(frozen=True)
class Piece:
    """A planted piece, in offsets."""

    reference: int
    dump: int
    size: int


@dataclass(frozen=True)
class Workload:
    """Two images and what was planted."""

    name: str
    reference: Bytes
    dump: Bytes
    pieces: tuple[Piece, ...]
    transform: str = "as-is"


def board(size: int = 2 << 20) -> Bytes:
    """Return the flash of a working board: 2 MB of Armv8-M code, with FF at the end of each half."""
    out = np.full(size, 0xFF, np.uint8)
    first = np.concatenate([firmware("thumb-c"), firmware("thumb-m")])[: 900 << 10]
    second = firmware("thumb-cxx")[: 1000 << 10]
    out[: first.size] = first
    out[1 << 20 : (1 << 20) + second.size] = second
    return out


def image() -> Bytes:
    """Return an image of 640 KB."""
    return np.concatenate([firmware("thumb-c"), firmware("thumb-cxx")])[: 640 << 10]


def flipped(data: Bytes, share: float, rng: np.random.Generator) -> Bytes:
    """Return `data` with a share of its bits flipped."""
    flips = rng.random((data.size, 8)) < share
    return data ^ np.packbits(flips, axis=1).ravel()


def _w2(
    name: str,
    seed: int,
    change: Callable[[Bytes, np.random.Generator], Bytes],
    transform: str = "as-is",
    aligned: bool = False,
) -> Workload:
    rng = np.random.default_rng(seed)
    reference = image()
    at = int(rng.integers(0, (2 << 20) - reference.size))
    at &= ~0xFFF if aligned else ~3
    dump = np.full(2 << 20, 0xFF, np.uint8)
    dump[at : at + reference.size] = change(reference, rng)
    return Workload(name, reference, dump, (Piece(0, at, reference.size),), transform)


def _inverted_line(data: Bytes, rng: np.random.Generator) -> Bytes:
    return data ^ np.uint8(1 << rng.integers(8))


def _stuck(data: Bytes, rng: np.random.Generator) -> Bytes:
    bit = np.uint8(1 << rng.integers(8))
    return data | bit if rng.integers(2) else data & ~bit


def _w3(seed: int) -> Workload:
    rng = np.random.default_rng(seed)
    sector, reference = 8192, board()
    runs = np.split(np.arange(256), np.sort(rng.choice(np.arange(1, 256), 39, replace=False)))
    holes = set(rng.choice(256, 60, replace=False).tolist())
    dump = np.full(reference.size, 0xFF, np.uint8)
    pieces, at = [], 0
    for k in rng.permutation(40):
        for s in runs[k]:
            if int(s) not in holes:
                dump[at : at + sector] = reference[s * sector : (s + 1) * sector]
                last = pieces[-1] if pieces else None
                if last and last.dump + last.size == at and last.reference + last.size == s * sector:
                    pieces[-1] = Piece(last.reference, last.dump, last.size + sector)
                else:
                    pieces.append(Piece(int(s) * sector, at, sector))
            at += sector
    return Workload("W3", reference, dump, tuple(pieces))


def _w3u(seed: int) -> Workload:
    rng = np.random.default_rng(seed)
    reference = board()
    other = np.concatenate([firmware("u-boot-qemu_arm"), firmware("u-boot-qemu_arm64"), firmware("micropython")])
    dump = np.resize(other, 2 << 20).copy()
    pieces: list[Piece] = []
    slot = dump.size // 40
    for k, size in enumerate(np.geomspace(300, 48 << 10, 40).astype(int)):
        at = k * slot + int(rng.integers(0, slot - size))
        r = int(rng.integers(0, reference.size - size))
        while np.count_nonzero(np.diff(reference[r : r + size])) < size // 2:
            r = int(rng.integers(0, reference.size - size))
        dump[at : at + size] = flipped(reference[r : r + size], 0.001, rng)
        pieces.append(Piece(r, at, int(size)))
    return Workload("W3u", reference, dump, tuple(pieces))


@cache
def _nor(size: int) -> Bytes:
    parts = [
        firmware(n)
        for n in (
            "cc1",
            "thumb-cxx",
            "u-boot-qemu_arm64",
            "lto1",
            "u-boot-qemu-x86_64",
            "arm-cxx",
            "u-boot-qemu-riscv64",
        )
    ]
    whole = np.concatenate(parts)
    out = np.full(size, 0xFF, np.uint8)
    out[: min(size, whole.size)] = whole[:size]
    return out


def w4(seed: int, size: int = 64 << 20) -> Workload:
    """Return W4 at any size: runs of 4 KB pages, many moved, many where they were, the rest erased."""
    rng = np.random.default_rng(seed)
    reference, page = _nor(size), 4096
    pages = size // page
    runs = np.split(np.arange(pages), np.sort(rng.choice(np.arange(1, pages), min(480, pages // 8), replace=False)))
    dump = np.full(size, 0xFF, np.uint8)
    role = rng.random(len(runs))
    pieces = []
    moved = [run for run, p in zip(runs, role, strict=True) if p < 0.42]
    homes = [int(run[0]) for run in moved]
    for run, p in zip(runs, role, strict=True):
        if 0.42 <= p < 0.85:
            a, n = int(run[0]) * page, run.size * page
            dump[a : a + n] = reference[a : a + n]
            pieces.append(Piece(a, a, n))
    for run, home in zip(moved, rng.permutation(homes), strict=True):
        a, n = int(run[0]) * page, run.size * page
        at = int(home) * page
        room = np.flatnonzero(dump[at : at + n : page] != 0xFF)
        n = min(n, int(room[0]) * page if room.size else n, size - at)
        if n and (dump[at : at + n] == 0xFF).all():
            dump[at : at + n] = reference[a : a + n]
            pieces.append(Piece(a, at, n))
    return Workload("W4", reference, dump, tuple(pieces))


def header(rng: np.random.Generator) -> Bytes:
    """Return an MCUboot header with a plausible size and version."""
    size, version = int(rng.integers(0x2000, 0x90000)), int(rng.integers(1, 9))
    fields = [0x96F3B83D, 0, 0x400, size, 4, version | int(rng.integers(0, 30)) << 8, 0, 0]
    return np.frombuffer(b"".join(f.to_bytes(4, "little") for f in fields), np.uint8)


def _w5(seed: int) -> Workload:
    rng = np.random.default_rng(seed)
    reference = board()
    reference[0x18000:0x1E000] = 0
    reference[0x18000:0x18020] = header(rng)
    body = firmware("micropython")[:0x5C00]
    reference[0x18400 : 0x18400 + body.size] = body
    dump = np.full(reference.size, 0xFF, np.uint8)
    dump[0xBE000:0xBE020] = reference[0x18000:0x18020]
    dump[0xBE020:0xBE400] = 0
    dump[0xBE400 : 0xBE400 + (1 << 20)] = rng.integers(0, 256, 1 << 20, dtype=np.uint8)
    return Workload("W5", reference, dump, (Piece(0x18000, 0xBE000, 0x20),))


def _w6(seed: int) -> Workload:
    rng = np.random.default_rng(seed)
    tables = rng.integers(0, 256, (12, 64), dtype=np.uint8)
    out = []
    for _ in range(2):
        side = np.zeros(2 << 20, np.uint8)
        for at in rng.choice(np.arange(0, side.size, 64), 5000, replace=False):
            side[at : at + 64] = tables[rng.integers(12)]
        out.append(side)
    reference, dump = out
    source, pieces = firmware("thumb-cxx"), []
    for k, size in enumerate((64, 256, 1024, 4096, 20 << 10)):
        r = k * (400 << 10) + int(rng.integers(0, 300 << 10))
        d = ((k + 2) % 5) * (400 << 10) + int(rng.integers(0, 300 << 10))
        s = int(rng.integers(0, source.size - size))
        while np.count_nonzero(np.diff(source[s : s + size])) < 0.7 * size:
            s = int(rng.integers(0, source.size - size))
        reference[r : r + size] = dump[d : d + size] = source[s : s + size]
        pieces.append(Piece(r, d, size))
    return Workload("W6", reference, dump, tuple(pieces))


def _w7(seed: int) -> Workload:
    line = int(np.random.default_rng(seed).integers(13, 20))
    reference = board()
    where = np.arange(reference.size) & ~(1 << line)
    step = 1 << line
    return Workload(
        "W7",
        reference,
        reference[where],
        tuple(Piece(k * step & ~step, k * step, step) for k in range(reference.size // step)),
    )


def _w8(seed: int) -> Workload:
    reference = board()
    half = reference.size // 2
    return Workload("W8", reference, np.roll(reference, half), (Piece(0, half, half), Piece(half, 0, half)))


WORKLOADS: dict[str, Callable[[int], Workload]] = {
    "W1": lambda seed: _w2("W1", seed, lambda d, rng: d, aligned=True),
    "W1n": lambda seed: _w2("W1n", seed, lambda d, rng: d),
    "W2a": lambda seed: _w2("W2a", seed, lambda d, rng: flipped(d, 0.001, rng)),
    "W2b": lambda seed: _w2("W2b", seed, lambda d, rng: flipped(d, 0.02, rng)),
    "W2c": lambda seed: _w2("W2c", seed, lambda d, rng: flipped(d, 0.05, rng)),
    "W2d": lambda seed: _w2("W2d", seed, _stuck),
    "W2e": lambda seed: _w2("W2e", seed, lambda d, rng: ~d, "inverted"),
    "W2f": lambda seed: _w2("W2f", seed, lambda d, rng: d.view(">u4").astype("<u4").view(np.uint8), "byteswap32"),
    "W2g": lambda seed: _w2("W2g", seed, _inverted_line),
    "W3": _w3,
    "W3u": _w3u,
    "W4": w4,
    "W5": _w5,
    "W6": _w6,
    "W7": _w7,
    "W8": _w8,
}


@dataclass(frozen=True)
class Marks:
    """How a placement compares with what was planted.

    `recall` and `precision` count informative bytes (no run of a repeated byte); `recall_equal` also accepts an
    equal byte on another diagonal; `pieces` are covered to 90 %; `edges` are the errors of their ends in bytes.
    """

    recall: float
    recall_equal: float
    precision: float
    pieces: str
    edges: tuple[float, float]


def informative(data: Bytes) -> npt.NDArray[np.bool_]:
    """Tell the bytes that differ from one of the four before and one of the four behind them."""
    out = np.zeros(data.size, np.bool_)
    same = data[1:] == data[:-1]
    for k in range(1, 5):
        out[k:] |= ~same[: data.size - k] if k == 1 else data[k:] != data[:-k]
    return out


def marks(w: Workload, found: list[tuple[int, int, int]]) -> Marks:
    """Return the marks of found pieces ``(reference offset, dump offset, size)``."""
    n = w.dump.size
    far = np.iinfo(np.int64).min
    truth, mine = np.full(n, far), np.full(n, far)
    for p in w.pieces:
        truth[p.dump : p.dump + p.size] = p.dump - p.reference
    for r, d, size in found:
        mine[d : d + size] = d - r
    source, count = np.zeros(n, np.uint8), np.zeros(n, np.bool_)
    for p in w.pieces:
        source[p.dump : p.dump + p.size] = w.reference[p.reference : p.reference + p.size]
        count[p.dump : p.dump + p.size] = informative(w.reference[p.reference : p.reference + p.size])
    said = mine != far
    right = count & (mine == truth)
    value, tells = np.zeros(n, np.uint8), np.zeros(n, np.bool_)
    for r, d, size in found:
        value[d : d + size] = w.reference[r : r + size]
        tells[d : d + size] = informative(w.reference[r : r + size])
    equal = right | (count & said & (value == source))
    reported = said & tells
    good = reported & (mine == truth)
    covered = sum(
        1
        for p in w.pieces
        if (lambda c, m: c.sum() == 0 or (c & m).sum() >= 0.9 * c.sum())(
            count[p.dump : p.dump + p.size], equal[p.dump : p.dump + p.size]
        )
    )
    errors = []
    for p in w.pieces:
        hits = [
            (d, d + s) for r, d, s in found if d - r == p.dump - p.reference and d < p.dump + p.size and d + s > p.dump
        ]
        if hits:
            errors += [min(abs(min(hits)[0] - p.dump), 64), min(abs(max(h[1] for h in hits) - p.dump - p.size), 64)]
    edge = np.array(errors or [64])
    return Marks(
        float(right.sum() / max(count.sum(), 1)),
        float(equal.sum() / max(count.sum(), 1)),
        float(good.sum() / max(reported.sum(), 1)),
        f"{covered}/{len(w.pieces)}",
        (float(np.median(edge)), float(np.percentile(edge, 95))),
    )
