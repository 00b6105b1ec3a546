"""Fuzz the search's kernel under the address sanitizer: no input may make it read or write outside what it was given.

``python tests/fuzz/fuzz_kernel.py --runs 20000 --seed 1`` builds ``kernel.c`` with the sanitizers of gcc or clang and
runs itself again below them. Every buffer is an array of its own, so that one byte too far is seen. Half of the runs
hand the kernel positions, sizes and counts that do not fit together; it must refuse them or ignore them.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np

from h5diag.measure.locate.kernel import _Kernel as Kernel, _pair, _pieces, _words
from h5diag.measure.locate.pieces import NONE, PIECE, Pair, Runs, Watch, Words, pieces_of

ROOT = Path(__file__).resolve().parents[2]
SANITIZED = "H5DIAG_SANITIZED_KERNEL"
WATCH = Watch()


def sanitized(folder: Path) -> tuple[Path, str]:
    """Return the kernel built with sanitizers, and the run-time that must be loaded before it."""
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    flags = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
    library = module.build(ROOT, out=folder / "sanitized.so", flags=flags)
    command = module.compiler()
    if library is None or command is None:
        raise SystemExit("fuzz_kernel: there is no compiler with sanitizers")
    runtime = subprocess.run([*command, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    return library, runtime.stdout.strip()


def pair_of(rng: np.random.Generator) -> tuple[Pair, Runs]:
    """Return a small pair, and its free stretches; those and the segments may be nonsense."""
    base = rng.integers(0, 256, int(rng.integers(1, 700)), dtype=np.uint8)
    a = np.concatenate([base, np.resize(base[: rng.integers(1, 30)], int(rng.integers(0, 300)))])
    at = int(rng.integers(0, a.size))
    b = np.concatenate([rng.integers(0, 4, int(rng.integers(1, 200)), dtype=np.uint8), a[at:], a[:at]])
    b[rng.integers(0, b.size, 3)] ^= 1
    cuts = [0, *sorted({int(x) for x in rng.integers(1, a.size + 1, int(rng.integers(0, 3)))}), a.size]
    segments = np.array([(x, y) for x, y in pairwise(cuts) if x < y], np.int64).reshape(-1, 2)
    free = np.sort(rng.integers(0, b.size + 1, 2 * int(rng.integers(0, 6))))
    if rng.random() < 0.3:
        free = rng.integers(-5, b.size + 9, free.size)
    if rng.random() < 0.2:
        segments = rng.integers(-5, a.size + 9, (int(rng.integers(0, 4)), 2))
    gain = rng.integers(1, 48, 256).astype(np.int32)
    return Pair(a, b, segments, gain, -13, mask=int(rng.choice([0xFF, 0xFE, 0x10]))), free.reshape(-1, 2)


def one(kernel: Kernel, rng: np.random.Generator) -> None:
    """Call every function with one pair."""
    (pair, free), wild = pair_of(rng), rng.random() < 0.5
    a, b = pair.reference, pair.dump
    refused = contextlib.suppress(AssertionError)
    with refused:
        kernel.fill(b, WATCH)
    with refused:
        kernel._call("fill", b, int(rng.integers(-9, b.size + 1)), np.zeros(2, np.bool_), int(rng.integers(0, 3)))
    size = min(a.size, b.size)
    with refused:
        kernel.equal(a[:size].copy(), b[:size].copy(), WATCH)
    blocks = [rng.random(-(-x.size // 64)) < 0.8 for x in (a, b)]
    words = kernel.words(a, blocks[0], int(rng.choice([1, 3, 4, 16, 4096])), pair.word_mask, WATCH)
    if wild and rng.random() < 0.5:
        head, following, present = words.tables
        following = rng.integers(0, 1 << 32, following.size).astype(np.uint32)
        words = Words(words.stride, words.mask, (head, following, present))
    found, span = NONE, 1 << int(rng.integers(63))
    with refused:
        found = kernel.scan(pair, free, words, blocks[1], int(rng.integers(-100, 300)), span, WATCH)
    if wild:
        found = pieces_of(*rng.integers(-20, 900, (4, int(rng.integers(0, 20)))))
    with refused:
        kernel.grow(pair, found)
    with refused:
        kernel.compare(pair, found)
    with refused:
        kernel.runs(pair, found)
    with refused:
        kernel.claim(pair, free, found, int(rng.integers(-100, 300)))
    with refused:
        room = np.empty(int(rng.integers(0, 40)), PIECE)
        given = (
            int(rng.integers(-2, 12)),
            0,
            int(rng.integers(-2, 2000)),
            int(rng.integers(-9, b.size + 50)),
            int(rng.integers(-9, b.size + 50)),
        )
        seen = np.zeros(((1 << 11) + 1, 3), np.int64)
        kernel._call(
            "scan", _pair(pair, free), _words(words), blocks[1], blocks[1].size, seen, *given, _pieces(room, 0)
        )
    width = int(rng.integers(1, 40))
    with refused:
        counts = kernel.count([(x, rng.random(x.size // width) < 0.7) for x in (a, b)], width)
        kernel.asked(counts, rng.integers(0, (1 << 24) + wild, 50).astype(np.uint32))
    table, groups = np.zeros(2 << 4, np.uint32), np.ones(a.size // 8, np.bool_)
    pairs = np.zeros(1 << 16, np.int64), np.zeros(1 << 16, np.int64)
    with refused:  # a table that gets full
        kernel._call("count", a, a.size, groups, groups.size, 8, *pairs, table, 4)
    kernel.asked((*pairs, table), rng.integers(0, 1 << 24, 50).astype(np.uint32))


def main() -> None:
    """Run as many inputs as asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if SANITIZED not in os.environ:
        with tempfile.TemporaryDirectory() as folder:
            library, runtime = sanitized(Path(folder))
            environment = os.environ | {
                SANITIZED: str(library),
                "LD_PRELOAD": runtime,
                # Python keeps what it has got until it ends.
                "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
                "PYTHONMALLOC": "malloc",
            }
            raise SystemExit(subprocess.run([sys.executable, *sys.argv], env=environment, check=False).returncode)
    kernel = Kernel(Path(os.environ[SANITIZED]))
    for i in range(options.runs):
        one(kernel, np.random.default_rng([options.seed, i]))
    print(f"fuzz_kernel: {options.runs} runs under the sanitizers, nothing outside its bounds")


if __name__ == "__main__":
    main()
