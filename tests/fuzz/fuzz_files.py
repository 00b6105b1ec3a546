"""Fuzz everything that reads memory files, sidecars and dropped evidence: no input may do more than an `InputError`.

With atheris it is guided by coverage; without, seeded mutation of the same inputs:
``python tests/fuzz/fuzz_files.py --runs 20000 --seed 1``.
"""

from __future__ import annotations

import argparse
import contextlib
import struct
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path, PurePath

import numpy as np

from h5diag.case.intake import parse_name, tell
from h5diag.errors import InputError
from h5diag.evidence.door import read_evidence
from h5diag.evidence.files import parse_memory_text, read_image, sidecar_path, write_image
from h5diag.limits import MEMORY
from h5diag.memory import AddressRange, MemoryImage, Segment

FOLDER = Path(tempfile.mkdtemp(prefix="h5diag-fuzz-"))
MOST_SECONDS, MOST_BYTES = 5.0, 200 << 20
IMAGE = MemoryImage(
    (Segment(0x0800_0000, np.arange(200, dtype=np.uint8)), Segment(0x0C0B_E000, np.arange(60, dtype=np.uint8))),
    (AddressRange(0x0800_0100, 0x0800_0140),),
)


def _written(suffix: str) -> bytes:
    image = IMAGE if suffix != ".bin" else IMAGE.crop(0, 0x0900_0000)
    return write_image(image, FOLDER / f"seed{suffix}").read_bytes()


def _uf2() -> bytes:
    return b"".join(
        struct.pack("<IIIIIIII", 0x0A324655, 0x9E5D5157, 0x2000, 0x0800_0000 + 256 * i, 256, i, 3, 0)
        + bytes([i] * 476)
        + struct.pack("<I", 0x0AB16F30)
        for i in range(3)
    )


SEEDS = (
    _written(".hex"),
    _written(".srec"),
    _written(".elf"),
    _written(".bin"),
    _uf2(),
    sidecar_path(FOLDER / "seed.bin").read_bytes(),
    b"0x08000000 : 20017FF0 ???????? 08000201\n0x08000010 : 00000000 0x1\n*\n0x08000100\n",
    b"08000000: f07f 0120 0102 0008  ... ....\n00000000  7f 45 4c 46  |.ELF|\n(gdb) x/4xw 8\n0x8 <a+4>:\t0x1\t0x2\n",
    b"OPTION BYTES BANK: 0\n     TZEN         : 0xB4 (on)\n[INF] Swap type: none\n#define FLASH_AREA_0_OFFSET (1)\n",
)
SUFFIXES = (".hex", ".srec", ".elf", ".bin", ".uf2", ".txt", "", ".stldr", ".json")
TOKENS = (
    b"\0",
    b"\xff" * 4,
    b"\x80\0\0\0",
    b":00000001FF\n",
    b":020000040800F2\n",
    b"S9030000FC\n",
    b"?",
    b"*\n",
    b"0x",
    b"\r",
    b"\n",
    b"99999999999999999999",
    b"[[0,1]]",
    b"-1",
    b"\x7fELF",
    b"-----BEGIN PUBLIC KEY-----",
)


def one(data: bytes) -> None:
    """Read `data` as every kind of file; raises when something other than a clean result comes of it."""
    suffix = SUFFIXES[data[-1] % len(SUFFIXES)] if data else ".bin"
    path = FOLDER / f"input{suffix}"
    path.write_bytes(data)
    beside = sidecar_path(path)
    for with_sidecar in (False, True):
        if with_sidecar:
            beside.write_bytes(data)
        with contextlib.suppress(InputError):
            image = read_image(path)
            assert image.size <= max(64 << 20, 4 * len(data))
    beside.unlink()
    with contextlib.suppress(InputError):
        tell(read_evidence(path, limit=MEMORY), parse_name(PurePath(path.name)))
    with contextlib.suppress(InputError):
        parse_memory_text(data.decode("latin-1"))


def mutated(seed: int, runs: int) -> Iterator[bytes]:
    """Yield `runs` inputs: the seeds with bytes changed, cut, doubled or spliced."""
    rng = np.random.default_rng(seed)
    for _ in range(runs):
        data = bytearray(SEEDS[int(rng.integers(len(SEEDS)))])
        for _ in range(int(rng.integers(1, 6))):
            at = int(rng.integers(len(data) + 1))
            match int(rng.integers(6)):
                case 0:
                    data[at : at + 1] = rng.bytes(1)
                case 1:
                    token = TOKENS[int(rng.integers(len(TOKENS)))]
                    data[at : at + len(token)] = token
                case 2:
                    del data[at : at + int(rng.integers(1, 40))]
                case 3:
                    data[at:at] = data[: int(rng.integers(len(data) + 1))]
                case 4:
                    data[at:at] = TOKENS[int(rng.integers(len(TOKENS)))] * int(rng.integers(1, 30))
                case _:
                    data = data[:at] + bytearray(SEEDS[int(rng.integers(len(SEEDS)))])
            data = data[: 1 << 16]
        yield bytes(data)


def run(seed: int, runs: int) -> None:
    """Run `runs` mutated inputs and check time and memory of each."""
    tracemalloc.start()
    try:
        for data in mutated(seed, runs):
            begun = time.process_time()
            tracemalloc.reset_peak()
            try:
                one(data)
                assert time.process_time() - begun < MOST_SECONDS, "too slow"
                assert tracemalloc.get_traced_memory()[1] < MOST_BYTES, "too much memory"
            except BaseException:
                sys.stderr.write(f"fails on {data.hex()}\n")
                raise
    finally:
        tracemalloc.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    begun = time.monotonic()
    try:
        import atheris
    except ImportError:
        run(options.seed, options.runs)
        print(f"fuzz_files: {options.runs} inputs, seed {options.seed}, {time.monotonic() - begun:.0f} s, no failure")
        return
    run(options.seed, options.runs // 10)
    corpus = FOLDER / "corpus"
    corpus.mkdir()
    for i, seed in enumerate(SEEDS):
        (corpus / str(i)).write_bytes(seed)
    atheris.instrument_all()
    atheris.Setup(
        [
            sys.argv[0],
            f"-runs={options.runs}",
            f"-seed={options.seed}",
            "-max_len=65536",
            f"-artifact_prefix={FOLDER}/",
            str(corpus),
        ],
        one,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
