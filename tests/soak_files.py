"""Soak: random sparse memory through the tools that people use, read back byte for byte.

``python tests/soak_files.py --count 200``: intelhex writes, GNU objcopy and srec_cat (where they are installed) write it
again in their own ways, a shell's redirection and old editors change encoding and line ends; h5diag must read the same
bytes from each. What h5diag writes, objcopy must read. One seed's worth runs in the suite.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from intelhex import IntelHex

from h5diag.evidence.files import read_image, write_image
from h5diag.memory import MemoryImage, Segment

OBJCOPY, SREC_CAT = "arm-none-eabi-objcopy", "srec_cat"
Content = list[tuple[int, bytes]]


def sparse(rng: random.Random) -> Content:
    """Return up to eight pieces that never touch, at borders where record formats change their ways."""
    pieces, at = [], rng.choice([0x08000000, 0x0C000000, 0, 0x90000000, 0x0800FFF0, 0x1FFFF])
    for _ in range(rng.randrange(1, 9)):
        at += rng.choice([1, 3, 16, 0x100, 0x1FFF, 0x10000, 0x12345])
        size = rng.choice([1, 2, 15, 16, 17, 33, 255, 1000, 5000])
        pieces.append((at, rng.randbytes(size)))
        at += size
    return pieces


def contents(path: Path) -> Content:
    return [(s.start, s.data.tobytes()) for s in read_image(path).segments]


def variants(rng: random.Random, pieces: Content, folder: Path) -> Iterator[Path]:
    """Write the pieces in every way; yields the files."""
    hex_file = IntelHex()
    for at, data in pieces:
        hex_file.puts(at, data)
    first = folder / "intelhex.hex"
    hex_file.write_hex_file(
        str(first), eolstyle=rng.choice(["native", "CRLF"]), byte_count=rng.choice([16, 32, 255, 7])
    )
    yield first
    raw = first.read_bytes()
    for name, content in (
        ("bom", b"\xef\xbb\xbf" + raw),
        ("utf16", raw.decode().encode("utf-16")),
        ("utf16be", b"\xfe\xff" + raw.decode().encode("utf-16-be")),
        ("utf16-unmarked", raw.decode().encode("utf-16-le")),
        ("cr", raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r")),
        ("lower", raw.lower()),
        ("dos-end", raw + b"\x1a"),
        ("blanks", raw.replace(b"\n", b" \t\n") + b"\n  \n"),
    ):
        path = folder / f"{name}.hex"
        path.write_bytes(content)
        yield path
    for name, options in (
        ("gnu.hex", ["ihex"]),
        ("gnu.srec", ["srec"]),
        ("gnu.s37", ["srec", "--srec-forceS3"]),
        ("gnu.mot", ["srec", f"--srec-len={rng.choice([4, 8, 60])}"]),
    ):
        if shutil.which(OBJCOPY):
            subprocess.run([OBJCOPY, "-I", "ihex", "-O", *options, str(first), str(folder / name)], check=True)
            yield folder / name
    for name, kind in (("srec_cat.hex", "-intel"), ("srec_cat.srec", "-motorola")):
        if shutil.which(SREC_CAT):
            # The count stays: a file with neither it nor a start address tells nobody that it is whole.
            less = rng.choice(["execution-start-address", "header"])
            more = [*rng.choice([[], ["-line-length=44"], ["-address-length=4"]]), f"-disable={less}"]
            command = [SREC_CAT, str(first), "-intel", "-o", str(folder / name), kind, *more]
            subprocess.run(command, check=True, capture_output=True)
            yield folder / name


def soak(seed: int, folder: Path) -> list[str]:
    """Return what is read otherwise than it was written, one line each."""
    rng = random.Random(seed)
    pieces = sparse(rng)
    wrong = [f"seed {seed}: {p.name}" for p in variants(rng, pieces, folder) if contents(p) != pieces]
    image = MemoryImage(tuple(Segment(at, np.frombuffer(data, np.uint8)) for at, data in pieces))
    for suffix, name in (("hex", "ihex"), ("srec", "srec")):
        if shutil.which(OBJCOPY):
            path, back = write_image(image, folder / f"ours.{suffix}"), folder / "back.hex"
            subprocess.run([OBJCOPY, "-I", name, "-O", "ihex", str(path), str(back)], check=True)
            read = IntelHex(str(back))
            got = [(a, bytes(read.tobinarray(start=a, end=b - 1))) for a, b in read.segments()]
            wrong += [f"seed {seed}: objcopy reads our .{suffix} otherwise"] if got != pieces else []
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wrong = [w for seed in range(options.count) for w in soak(seed, Path(folder))]
    print("\n".join(wrong) or f"{options.count} sparse files: all read as they were written")


if __name__ == "__main__":
    main()
