"""Measures ``h5diag locate`` against its peers on real firmware bytes, as ratios within one run.

    python benchmarks/locate_bench.py [--workloads W1,W3] [--seed 1] [--runs 5] [--no-growth] [--write]

xdelta3 (with printdelta, which lists what it found) runs as a child process with its start; HDiffPatch, bsdiff and
fftconvolve run in this process, which favours them; difflib, and bsdiff on W4, run as
children that are killed after 15 s and a minute. All files
are in the cache, this process is warm. Every round measures everybody once, so that load falls on all alike; the
median counts. ``--write`` replaces the table and the curve in ``docs``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from functools import cache
from pathlib import Path

import bsdiff4
import hdiffpatch
import numpy as np
from locate_workloads import WORKLOADS, Workload, firmware, header, marks, w4
from scipy.signal import fftconvolve

import h5diag.measure.locate.fast as fast
from h5diag.measure.locate import Placement, locate, warm_up
from h5diag.memory import MemoryImage

DOCS = Path(__file__).resolve().parent.parent / "docs"
BASE = 0x08000000
SLOW = 60.0

# workload, our way, peer, at most so many times its time (the targets)
TARGETS = [
    ("W1", "numpy", "xdelta3", 2.5),
    ("W1", "numpy", "hdiffpatch", 1 / 4),
    ("W1", "numpy", "bsdiff", 1 / 8),
    ("W2b", "numpy", "hdiffpatch", 1 / 3),
    ("W3", "numpy", "hdiffpatch", 1.0),
    ("W3", "numpy", "bsdiff", 1 / 5),
    ("W4", "numpy", "xdelta3", 1.9),
    ("W4", "numpy", "hdiffpatch", 1 / 3),
    ("W4", "numpy", "bsdiff", 1 / 15),
    ("W3", "fast", "xdelta3", 4.0),
    ("W3", "fast", "hdiffpatch", 1 / 2),
    ("W4", "fast", "xdelta3", 0.8),
]


def clock(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


@cache
def compiled_pass() -> tuple[fast.Kernel, ...]:
    """Return the compiled pass once and for all, none without numba."""
    warm_up()
    return tuple(fast._warm)


def ours(w: Workload, *, compiled: bool) -> Placement:
    fast._warm[:] = compiled_pass() if compiled else []
    return locate(
        MemoryImage.from_bytes(w.reference, BASE),
        MemoryImage.from_bytes(w.dump, BASE),
        transforms=w.transform != "as-is",
    )


def xdelta3(folder: Path) -> None:
    r, d, x = folder / "r", folder / "d", folder / "x"
    subprocess.run(["xdelta3", "-f", "-e", "-s", r, d, x], check=True)
    subprocess.run(["xdelta3", "printdelta", x], check=True, stdout=subprocess.DEVNULL)


def correlation(w: Workload) -> None:
    a, b = (v.astype(np.float32) - v.mean() for v in (w.reference, w.dump))
    int(fftconvolve(b, a[::-1]).argmax())


def limited(code: str, folder: Path, limit: float) -> float:
    """Return the seconds of some Python code in a child, infinity when it takes longer than the limit."""
    try:
        return clock(lambda: subprocess.run([sys.executable, "-c", code], cwd=folder, timeout=limit, check=True))
    except subprocess.TimeoutExpired:
        return float("inf")


ROWS = (
    "import difflib; r, d = ([v[i:i + 16] for i in range(0, len(v), 16)] for v in (open('r', 'rb').read(), "
    "open('d', 'rb').read())); difflib.SequenceMatcher(None, r, d, autojunk=False).get_matching_blocks()"
)
BSDIFF = "import bsdiff4; bsdiff4.file_diff('r', 'd', 'b')"


def peak(name: str, seed: int, answer: multiprocessing.Queue) -> None:  # type: ignore[type-arg]
    """Put the peak memory of one search, in bytes over the inputs, into the queue; runs in a process of its own."""
    w = WORKLOADS[name](seed)
    ours(w, compiled=False)
    tracemalloc.start()
    ours(w, compiled=False)
    answer.put(tracemalloc.get_traced_memory()[1])


def measure(w: Workload, folder: Path, runs: int, *, all_peers: bool) -> dict[str, float]:
    w.reference.tofile(folder / "r")
    w.dump.tofile(folder / "d")
    r, d = w.reference.tobytes(), w.dump.tobytes()
    large = w.dump.size > 8 << 20
    times: dict[str, list[float]] = {}
    jobs: dict[str, Callable[[], object]] = {
        "numpy": lambda: ours(w, compiled=False),
        "fast": lambda: ours(w, compiled=True),
        "xdelta3": lambda: xdelta3(folder),
        "hdiffpatch": lambda: hdiffpatch.diff(r, d),
        "copy": lambda: w.dump.copy(),
    }
    if all_peers and not large:
        jobs |= {"bsdiff": lambda: bsdiff4.diff(r, d), "fftconvolve": lambda: correlation(w)}
    if not all_peers and w.dump.size > 16 << 20:
        del jobs["hdiffpatch"]
    for k in range(runs + 1):
        for name, job in jobs.items():
            slow = name in times and statistics.median(times[name]) > 1
            if slow:
                continue  # one round of a slow peer is enough
            t = clock(job)
            if k or t > 1:  # the first round warms up
                times.setdefault(name, []).append(t)
    out = {name: statistics.median(t) for name, t in times.items()}
    if all_peers:
        if large:
            out["bsdiff"] = limited(BSDIFF, folder, SLOW)
        out["difflib"] = limited(ROWS, folder, SLOW / 4) if w.name in ("W1", "W3") else float("nan")
    return out


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workloads", default=",".join(WORKLOADS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--no-growth", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    compiled_pass()
    lines = [
        "| W | numpy ms | fast ms | xdelta3 ms | HDiffPatch ms | bsdiff ms | fftconvolve ms | difflib rows s |"
        " times a copy | recall | equal | precision | pieces | ends p50/p95 | peak MB |",
        "|---" * 15 + "|",
    ]
    seen: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for which in options.workloads.split(","):
            w = WORKLOADS[which](options.seed)
            m = marks(
                w, [(r.reference_start - BASE, r.dump_start - BASE, r.size) for r in ours(w, compiled=False).strong]
            )
            t = seen[which] = measure(w, folder, options.runs, all_peers=True)
            spawn = multiprocessing.get_context("spawn")
            queue = spawn.Queue()
            child = spawn.Process(target=peak, args=(which, options.seed, queue))
            child.start()
            memory = queue.get() / 2**20
            child.join()
            order = ("numpy", "fast", "xdelta3", "hdiffpatch", "bsdiff", "fftconvolve")
            cells = [
                which,
                *(_ms(t.get(k)) for k in order),
                _s(t.get("difflib")),
                f"{t['numpy'] / t['copy']:.0f}",
                f"{m.recall:.5f}",
                f"{m.recall_equal:.5f}",
                f"{m.precision:.4f}",
                m.pieces,
                f"{m.edges[0]:.0f}/{m.edges[1]:.0f}",
                f"{memory:.0f}",
            ]
            lines.append("| " + " | ".join(cells) + " |")
            print(lines[-1], flush=True)
        verdicts = ["| W | ours | peer | at most | measured | |", "|---|---|---|---|---|---|"]
        for which, way, peer, most in TARGETS:
            if which in seen and peer in seen[which]:
                # A peer that was killed gets the time at which it was.
                ratio = seen[which][way] / min(seen[which][peer], SLOW)
                killed = seen[which][peer] == float("inf")
                verdict = "met" if ratio <= most else "undecided" if killed else "**missed**"
                verdicts.append(
                    f"| {which} | {way} | {peer}{f' (killed after {SLOW:.0f} s)' if killed else ''} |"
                    f" {most:.3g} | {'below ' if killed else ''}{ratio:.3g} | {verdict} |"
                )
        print("\n".join(verdicts))
        deep = [
            "| deep, 64 MB | 32-byte header | other regions | s | CPU s | longest wait for a cancel s |",
            "|---|---|---|---|---|---|",
            *(deep_header(options.seed, compiled=c) for c in (False, True)),
        ]
        print("\n".join(deep), flush=True)
        growth = {} if options.no_growth else _growth(folder, options.seed)
    if options.write:
        load = os.getloadavg()[1]
        text = (
            f"{len(seen)} workloads, seed {options.seed}, median of {options.runs} rounds, load of the machine"
            f" {load:.1f} on {os.cpu_count()} cores: under load only the ratios mean anything.\n\n"
        )
        (DOCS / "locate-benchmark.md").write_text(
            "# Measured against the peers\n\nWritten by `benchmarks/locate_bench.py`; what it measures and how is said"
            " at its top. "
            + text
            + "\n".join(lines)
            + "\n\n## Targets: our time over the peer's\n\n"
            + "\n".join(verdicts)
            + "\n\n## A header in 64 MB\n\nIn random bytes, so that all of both sides is"
            " looked up; `--deep`.\n\n" + "\n".join(deep) + "\n"
        )
        if growth:
            (DOCS / "locate-growth.json").write_text(json.dumps(growth) + "\n")
            _curve(growth)


def deep_header(seed: int, *, compiled: bool) -> str:
    """Return a row about the search for a 32-byte header moved by whole sectors within 64 MB of other content."""
    rng = np.random.default_rng(seed)
    reference = np.resize(np.concatenate([firmware(n) for n in ("cc1", "thumb-cxx", "u-boot-qemu_arm64")]), 64 << 20)
    dump = rng.integers(0, 256, reference.size, dtype=np.uint8)
    r, d = 0x2018000, int(rng.integers(0, 8000)) * 0x2000
    reference[r : r + 32] = dump[d : d + 32] = header(rng)
    asked, longest = time.perf_counter(), 0.0

    def cancel() -> bool:
        nonlocal asked, longest
        longest = max(longest, time.perf_counter() - asked)
        asked = time.perf_counter()
        return False

    fast._warm[:] = compiled_pass() if compiled else []
    begun, used = time.perf_counter(), time.process_time()
    p = locate(MemoryImage.from_bytes(reference, BASE), MemoryImage.from_bytes(dump, BASE), deep=True, cancel=cancel)
    used, took = time.process_time() - used, time.perf_counter() - begun
    found = any(g.dump_start == BASE + d and g.displacement == d - r for g in p.strong)
    return (
        f"| {'fast' if compiled else 'numpy'} | {'found' if found else '**not found**'} | {len(p.strong) - found} |"
        f" {took:.1f} | {used:.1f} | {longest:.2f} |"
    )


def _ms(value: float | None) -> str:
    return "" if value is None else f"> {SLOW * 1e3:,.0f}" if value == float("inf") else f"{value * 1e3:,.1f}"


def _s(value: float | None) -> str:
    return "" if value is None or value != value else f"> {SLOW / 4:.0f}" if value == float("inf") else f"{value:.2f}"


def _growth(folder: Path, seed: int) -> dict[str, list[tuple[int, float]]]:
    out: dict[str, list[tuple[int, float]]] = {}
    for size in (2, 4, 8, 16, 32, 64):
        w = w4(seed, size << 20)
        t = measure(w, folder, 3, all_peers=False)
        for name, value in t.items():
            out.setdefault(name, []).append((size, value))
        print(size, "MB", {k: round(v * 1e3, 1) for k, v in t.items()}, flush=True)
    return out


def _curve(growth: dict[str, list[tuple[int, float]]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    looks = {
        "numpy": ("h5diag (numpy)", "#0072B2", "o", "-"),
        "fast": ("h5diag (fast extra)", "#56B4E9", "s", "-"),
        "xdelta3": ("xdelta3 + printdelta", "#D55E00", "^", "--"),
        "hdiffpatch": ("HDiffPatch", "#009E73", "v", "--"),
        "copy": ("one memory copy", "#8C8C8C", "x", ":"),
    }
    fig, ax = plt.subplots(figsize=(8, 5), layout="constrained")
    for name, (label, colour, marker, line) in looks.items():
        if name in growth:
            sizes, values = zip(*growth[name], strict=True)
            ax.plot(sizes, np.array(values) * 1e3, line, marker=marker, color=colour, label=label)
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="size of reference and dump (MB each), workload W4",
        ylabel="time (ms)",
        title="Growth from 2 to 64 MB",
    )
    ax.set_xticks([2, 4, 8, 16, 32, 64], ["2", "4", "8", "16", "32", "64"])
    ax.minorticks_off()
    ax.grid(alpha=0.3, which="both")
    ax.legend()
    fig.savefig(DOCS / "locate-growth.png", dpi=110)


if __name__ == "__main__":
    main()
