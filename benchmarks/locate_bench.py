"""Measures ``h5diag locate`` against its peers on workloads that are drawn anew for every run.

    python benchmarks/locate_bench.py [--seed N] [--draws 20] [--kinds displaced,swapped] [--write]

A draw picks firmware, cuts and faults by a seed that is printed; the same ``--seed`` draws the same again. Ours is the
processor time of the search in this process; the peer's is that of its whole process: xdelta3 as its own program,
HDiffPatch and bsdiff through their Python wheels, measured in this process, which favours them. Everybody works on
each draw in turn, so that load falls on all alike; only ratios count. ``--write`` replaces ``docs/locate-benchmark.md``.

The firmware comes from Debian packages (see ``locate_workloads.py``); where they cannot be fetched, machine code of
the installed Python packages takes their place, and the page says so.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from locate_workloads import Bytes, Piece, Workload, firmware, flipped, marks

from h5diag.measure.locate import PatternKind, Placement, locate
from h5diag.measure.locate.kernel import engine
from h5diag.memory import MemoryImage

ROOT = Path(__file__).resolve().parent.parent
BASE = 0x08000000
Random = np.random.Generator

LIBC, LIBSTDCXX = ("thumb-c", "thumb-m", "v6m-c", "v6m-m", "micropython"), ("thumb-cxx", "v6m-cxx")
"""MicroPython holds newlib's libm; the C library and that of C++ share no code."""

OTHERS = ("opensbi", "seabios", "u-boot-qemu_arm", "ath9k-7010")
LARGE = ("cc1", "lto1")
RECALL = dict.fromkeys(("displaced", "permuted", "many pieces", "swapped", "64 MB", "64 MB of many"), 0.999)
NOISY = 0.99
MOST_BSDIFF = 16 << 20
SLOW = 2.0
"""A peer that took so many seconds is not asked again on the same kind."""


@cache
def stock() -> tuple[dict[str, tuple[Bytes, ...]], str]:
    """Return firmware by class, and where it is from."""
    try:
        names = {"thumb": LIBC + LIBSTDCXX, "libc": LIBC, "libstdc++": LIBSTDCXX, "other": OTHERS, "large": LARGE}
        return {k: tuple(firmware(n) for n in v) for k, v in names.items()}, "Debian packages"
    except (subprocess.CalledProcessError, OSError, StopIteration):
        spec = importlib.util.find_spec("numpy")
        assert spec is not None
        assert spec.origin is not None
        files = sorted(Path(spec.origin).parent.parent.rglob("*.so*"), key=lambda p: -p.stat().st_size)[:24]
        code = [np.fromfile(f, np.uint8) for f in files]
        pools = {
            "thumb": code[4:14],
            "libc": code[4:9],
            "libstdc++": code[9:14],
            "other": code[14:],
            "large": code[:4],
        }
        return {k: tuple(v) for k, v in pools.items()}, "machine code of installed Python packages"


def drawn(rng: Random, kind: str, size: int) -> Bytes:
    """Return `size` bytes of the firmware of a class, from a random place on, several together when one is too short."""
    pool, parts = stock()[0][kind], [np.empty(0, np.uint8)]
    while sum(p.size for p in parts) < size:
        one = pool[int(rng.integers(len(pool)))]
        at = int(rng.integers(0, max(one.size // 4, 1)))
        parts.append(one[at:])
    return np.concatenate(parts)[:size].copy()


def displaced(rng: Random) -> Workload:
    reference = drawn(rng, "thumb", int(rng.integers(200, 900)) << 10)
    at = int(rng.integers(0, (2 << 20) - reference.size)) & ~int(rng.choice([0, 3, 0xFFF, 0x1FFF]))
    dump = np.full(2 << 20, 0xFF, np.uint8)
    dump[at : at + reference.size] = reference
    return Workload("displaced", reference, dump, (Piece(0, at, reference.size),))


def permuted(rng: Random) -> Workload:
    reference, sector = drawn(rng, "thumb", 2 << 20), 8192
    count = int(rng.integers(10, 60))
    runs = np.split(np.arange(256), np.sort(rng.choice(np.arange(1, 256), count, replace=False)))
    holes = set(rng.choice(256, int(rng.integers(0, 80)), replace=False).tolist())
    dump, pieces = np.full(reference.size, 0xFF, np.uint8), []
    at = 0
    for i in rng.permutation(len(runs)):
        for source in runs[i].tolist():
            if at not in holes:
                here, there = at * sector, source * sector
                dump[here : here + sector] = reference[there : there + sector]
                if (
                    pieces
                    and pieces[-1].dump + pieces[-1].size == here
                    and pieces[-1].dump - pieces[-1].reference == here - there
                ):
                    pieces[-1] = Piece(pieces[-1].reference, pieces[-1].dump, pieces[-1].size + sector)
                else:
                    pieces.append(Piece(there, here, sector))
            at += 1
    return Workload("permuted", reference, dump, tuple(pieces))


def is_fill(x: Bytes) -> bool:
    """Tell whether hardly a byte differs from the one 8, 16 or 24 before it."""
    return min(np.count_nonzero(x[lag:] != x[:-lag]) for lag in (8, 16, 24)) < 32


def planted(rng: Random, name: str, reference: Bytes, dump: Bytes, count: int, low: int, high: int) -> Workload:
    """Plant pieces of the reference into the dump, where they do not touch.

    None that is fill from end to end, such as ten thousand bytes of 01 00: of it nobody can tell where it is from.
    """
    pieces, slot = [], dump.size // count
    for k in range(count):
        size = min(int(2 ** rng.uniform(np.log2(low), np.log2(high))), slot - 64)
        r, d = int(rng.integers(0, reference.size - size)), k * slot + int(rng.integers(0, slot - size))
        while is_fill(reference[r : r + size]):
            r = int(rng.integers(0, reference.size - size))
        dump[d : d + size] = reference[r : r + size]
        pieces.append(Piece(r, d, size))
    return Workload(name, reference, dump, tuple(pieces))


def many(rng: Random) -> Workload:
    dump = np.full(2 << 20, int(rng.choice([0, 0xFF])), np.uint8)
    return planted(rng, "many pieces", drawn(rng, "thumb", 2 << 20), dump, int(rng.integers(200, 500)), 256, 4096)


def unrelated(rng: Random) -> Workload:
    dump = drawn(rng, "other", 2 << 20)
    return planted(rng, "unrelated rest", drawn(rng, "thumb", 2 << 20), dump, int(rng.integers(10, 50)), 300, 40_000)


def noisy(rng: Random) -> Workload:
    w = displaced(rng)
    return Workload("2 % of bits", w.reference, flipped(w.dump, 0.02, rng), w.pieces)


def drifting(rng: Random) -> Workload:
    """Functions come and go, and one word in sixty is an address or branch that follows them.

    Those that come are of another library. Out of the same pool they were functions that the reference holds too, built
    for another core: 539 bytes of libstdc++ (22 61 f3 17 42 63 f3 1f 62 10 46 02 b0 70 47, with other branches and
    literals) were rightly found and counted as false.
    """
    own, others = rng.permutation(["libc", "libstdc++"])
    reference = drawn(rng, own, int(rng.integers(300, 1200)) << 10)
    cuts = np.sort(rng.choice(np.arange(64, reference.size // 4 - 64), int(rng.integers(6, 40)), replace=False)) * 4
    parts, pieces, at = [], [], 0
    for a, b in zip([0, *cuts.tolist()], [*cuts.tolist(), reference.size], strict=True):
        gone = int(rng.integers(0, 60)) * 4 if rng.random() < 0.3 else 0
        piece = reference[a + min(gone, b - a) : b].copy()
        where = rng.choice(piece.size // 4, piece.size // 240, replace=False) * 4
        piece[where] += np.uint8(4)
        parts.append(piece)
        pieces.append(Piece(b - piece.size, at, piece.size))
        new = drawn(rng, others, int(rng.integers(8, 200)) * 4) if rng.random() < 0.7 else piece[:0]
        parts.append(new)
        at += piece.size + new.size
    dump = np.full(2 << 20, 0xFF, np.uint8)
    dump[:at] = np.concatenate(parts)
    return Workload("another build", reference, dump, tuple(p for p in pieces if p.size))


def swapped(rng: Random) -> Workload:
    w = displaced(rng)
    name, unit = [("byteswap16", 2), ("byteswap32", 4)][int(rng.integers(2))]
    shift = -w.pieces[0].dump % unit
    dump = np.roll(w.dump, shift).reshape(-1, unit)[:, ::-1].ravel().copy()
    return Workload("swapped", w.reference, dump, (Piece(0, w.pieces[0].dump + shift, w.reference.size),), name)


def header(rng: Random) -> Workload:
    """32 bytes of a header before an encrypted payload: all that tells where an image went."""
    reference, dump = drawn(rng, "thumb", 2 << 20), np.zeros(2 << 20, np.uint8)
    fields = [0x96F3B83D, 0, 0x400, int(rng.integers(1 << 12, 1 << 20)), 4, int(rng.integers(1 << 16)), 0, 0]
    head = np.frombuffer(b"".join(f.to_bytes(4, "little") for f in fields), np.uint8)
    r, d = (int(rng.integers(0, 200)) * 8192 for _ in range(2))
    reference[r : r + 1024] = dump[d : d + 1024] = 0
    reference[r : r + 32] = dump[d : d + 32] = head
    dump[d + 1024 : d + 1024 + (400 << 10)] = rng.integers(0, 256, 400 << 10, dtype=np.uint8)
    return Workload("header", reference, dump, (Piece(r, d, 20),))


def large(rng: Random, name: str = "64 MB", low: int = 4, high: int = 60) -> Workload:
    reference = drawn(rng, "large", 64 << 20)
    dump = reference.copy()
    w = planted(rng, name, reference, dump, int(rng.integers(low, high)), 8192, 256 << 10)
    return Workload(w.name, reference, dump, w.pieces)


KINDS: dict[str, Callable[[Random], Workload]] = {
    "displaced": displaced,
    "permuted": permuted,
    "many pieces": many,
    "unrelated rest": unrelated,
    "2 % of bits": noisy,
    "another build": drifting,
    "swapped": swapped,
    "header": header,
    "64 MB": large,
    "64 MB of many": lambda rng: large(rng, "64 MB of many", 60, 200),
}


def ours(w: Workload) -> Placement:
    return locate(MemoryImage.from_bytes(w.reference, BASE), MemoryImage.from_bytes(w.dump, BASE))


def own_time(work: Callable[[], object]) -> float:
    """Return the processor time of some work in this process."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def child_time(command: list[str]) -> float:
    """Return the processor time of a whole process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def peers() -> dict[str, Callable[[Workload, Path], float]]:
    """Return what is installed of the peers."""
    out: dict[str, Callable[[Workload, Path], float]] = {}
    if shutil.which("xdelta3"):
        out["xdelta3"] = lambda w, f: child_time(
            ["xdelta3", "-f", "-e", "-s", str(f / "r"), str(f / "d"), str(f / "x")]
        )
    if importlib.util.find_spec("hdiffpatch"):
        import hdiffpatch

        out["HDiffPatch"] = lambda w, f: own_time(lambda: hdiffpatch.diff(w.reference.tobytes(), w.dump.tobytes()))
    if importlib.util.find_spec("bsdiff4"):
        import bsdiff4

        out["bsdiff"] = lambda w, f: own_time(lambda: bsdiff4.diff(w.reference.tobytes(), w.dump.tobytes()))
    return out


class Row:
    """What was measured on the draws of one kind."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.times: dict[str, list[float]] = {}
        self.recalls: list[float] = []
        self.false = 0
        self.named = 0
        self.memory = 0.0
        self.pieces: list[int] = []

    def add(self, w: Workload, folder: Path, those: dict[str, Callable[[Workload, Path], float]]) -> None:
        """Measure everybody on one draw."""
        w.reference.tofile(folder / "r")
        w.dump.tofile(folder / "d")
        p = ours(w)  # warms the cache for all
        self.times.setdefault("ours", []).append(own_time(lambda: ours(w)))
        self.times.setdefault("copy", []).append(min(own_time(lambda: w.dump.copy()) for _ in range(3)))
        for name, run in those.items():
            if name == "bsdiff" and w.dump.size > MOST_BSDIFF:
                continue  # minutes and gigabytes
            known = self.times.setdefault(name, [])
            if not known or known[0] < SLOW:
                known.append(run(w, folder))
            else:
                known.append(float("nan"))
        m = marks(w, [(r.reference_start - BASE, r.dump_start - BASE, r.size) for r in p.strong])
        self.recalls.append(m.recall_equal)
        self.pieces.append(len(w.pieces))
        moves = {x.dump - x.reference for x in w.pieces} | {0}
        self.false += sum(1 for r in p.strong if r.displacement not in moves and r.identity < 0.9)
        self.named += p.pattern(PatternKind.OTHER_BUILD) is not None
        if len(self.recalls) == 1:
            tracemalloc.start()
            ours(w)
            self.memory = tracemalloc.get_traced_memory()[1] / w.dump.size
            tracemalloc.stop()

    def ratio(self, peer: str) -> float:
        """Return the median of our time over the peer's, draw by draw; nan where the peer was not measured."""
        pairs = [a / b for a, b in zip(self.times["ours"], self.times.get(peer, []), strict=False) if b == b and b > 0]
        return statistics.median(pairs) if pairs else float("nan")


def page(rows: list[Row], seed: int, draws: int, those: list[str]) -> str:
    absent = ", ".join(n for n in ("xdelta3", "HDiffPatch", "bsdiff") if n not in those)
    lines = [
        "# Measured against the peers",
        "",
        f"Written by `make bench` (`benchmarks/locate_bench.py --seed {seed} --draws {draws}`); what it measures and how is"
        f" said at its top. Firmware: {stock()[1]}. Search: {engine().name}. Times are"
        " medians of processor time; the ratios are ours over the peer's, the median over the draws, each measured on"
        " the same draw; below 1 we are quicker." + (f" Not installed, so not measured: {absent}." if absent else ""),
        "",
        "| kind | draws | ours ms | / xdelta3 | / HDiffPatch | / bsdiff | copies of the dump | recall, worst | false"
        " | peak / dump | |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        ratios = [r.ratio(p) for p in ("xdelta3", "HDiffPatch", "bsdiff")]
        wins = [p for p, x in zip(("xdelta3", "HDiffPatch", "bsdiff"), ratios, strict=True) if x > 1]
        shown = ["" if x != x else f"{x:.3g}" for x in ratios]
        said = f"**{' and '.join(wins)} quicker**" if wins else ""
        if r.kind == "another build":
            said += f"{'; ' if said else ''}called another build in {r.named} of {len(r.recalls)}"
        lines.append(
            f"| {r.kind} | {len(r.recalls)} | {1000 * statistics.median(r.times['ours']):.1f} | {' | '.join(shown)} |"
            f" {r.ratio('copy'):.0f} | {min(r.recalls):.5f} | {r.false} | {r.memory:.2f} | {said} |"
        )
    for r in rows:
        if r.kind.startswith("64 MB"):
            copies = sorted(zip(r.pieces, r.times["ours"], r.times["copy"], strict=True))
            lines += ["", f"Copies of the dump, {r.kind}, by the pieces that were moved: "]
            lines[-1] += ", ".join(f"{n}: {a / b:.1f}" for n, a, b in copies) + "."
    lines += ["", "## Targets", "", "| target | measured | |", "|---|---|---|"]

    def target(text: str, value: float, most: float) -> None:
        if value == value:
            lines.append(f"| {text} | {value:.3g} | {'met' if value <= most else '**missed**'} |")

    over = [x for r in rows if (x := r.ratio("xdelta3")) == x]
    if over:
        target("xdelta3, median of the kinds: at most 1", statistics.median(over), 1)
        target("xdelta3, the worst kind: at most 2", max(over), 2)
    half = [x for r in rows if (x := r.ratio("HDiffPatch")) == x]
    if half:
        target("HDiffPatch, the worst kind: at most 0.5", max(half), 0.5)
    for r in rows:
        if r.kind == "64 MB":
            target("64 MB, fewer than 60 pieces: at most 10 copies of the dump", r.ratio("copy"), 10)
            target("64 MB: peak at most twice the dump", r.memory, 2)
        least = RECALL.get(r.kind, NOISY)
        if r.kind != "header":
            target(f"{r.kind}: bytes missed, at most {1 - least:.3f}", 1 - min(r.recalls), 1 - least)
    target("false regions", float(sum(r.false for r in rows)), 0)
    lines += [
        "",
        "*Recall* counts planted bytes that differ from a neighbour, found on the planted displacement or as an equal",
        "copy; *false* are strong regions on no planted displacement of which a tenth differs. *Peak* is what Python and",
        "numpy allocated beside both images.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=int(time.time()) % 1_000_000)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    sys.stderr.write(f"locate_bench: --seed {options.seed} --draws {options.draws}\n")
    rows, those = [], peers()
    with tempfile.TemporaryDirectory() as name:
        for kind in options.kinds.split(","):
            row = Row(kind)
            for i in range(options.draws):
                row.add(
                    KINDS[kind](np.random.default_rng([options.seed, list(KINDS).index(kind), i])), Path(name), those
                )
            sys.stderr.write(
                f"  {kind}: {1000 * statistics.median(row.times['ours']):.1f} ms,"
                f" {', '.join(f'{row.ratio(p):.2f} of {p}' for p in those)}, recall {min(row.recalls):.5f}, false {row.false}\n"
            )
            rows.append(row)
    text = page(rows, options.seed, options.draws, list(those))
    print(text)
    if options.write:
        (ROOT / "docs" / "locate-benchmark.md").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
