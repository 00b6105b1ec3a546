"""Measures how quickly the commands answer, as ratios against ``python -c "import numpy"`` in the same run.

    python benchmarks/speed_bench.py [--runs 7] [--boards 300] [--write] [--commands-only]

Processor time of whole processes (user and system), the median of the runs, everybody once in each round. The files
are made here: two boards of 2 MB, a log, a listing; the bundled founding case. ``--boards`` makes a lot for
``h5diag fleet`` of which one board in ten has a sector of its own, on one and on two workers. Then large files and how
the costs grow (``growth_bench.py``). ``--write`` replaces ``docs/speed.md`` and ``docs/images/growth.png``.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from growth_bench import draw, large_files

from h5diag.measure.locate.kernel import engine

ROOT = Path(__file__).resolve().parent.parent
H5DIAG = [sys.executable, "-m", "h5diag"]

# What is promised, in multiples of `import numpy`, which took 160 ms where the promises were made.
MOST = {"--help": 0.5, "log": 2.2, "options": 2.2, "locate": 2.8, "compare": 2.8, "image": 2.8, "diagnose": 4.4}


def child_time(command: list[str], folder: Path) -> float:
    """Return the processor time of a whole process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Compiled modules are kept, as an installation has them.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(
        command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def material(folder: Path) -> dict[str, list[str]]:
    """Make the files, and return the commands on them."""
    rng = np.random.default_rng(1)
    good = np.full(2 << 20, 0xFF, np.uint8)
    good[: 600 << 10] = rng.integers(0, 256, 600 << 10, dtype=np.uint8) & rng.integers(
        0, 256, 600 << 10, dtype=np.uint8
    )
    suspect = good.copy()
    suspect[0x100000:0x180000] = good[0x10000:0x90000]
    suspect[0x20000:0x22000] = 0xFF
    good.tofile(folder / "good.bin")
    suspect.tofile(folder / "suspect.bin")
    logs = [p for p in (ROOT / "data").rglob("*.txt") if p.stat().st_size > 500]
    log = next((p for p in logs if "log" in p.name), logs[0])
    listing = next((p for p in logs if "ob" in p.name or "option" in p.name), logs[0])
    case = next(iter(sorted((ROOT / "data").glob("**/founding*/case.toml")))).parent
    return {
        "--help": ["--help"],
        "log": ["log", str(log)],
        "options": ["options", str(listing)],
        "locate": ["locate", "good.bin", "suspect.bin", "--json"],
        "compare": ["compare", "good.bin", "suspect.bin", "--json"],
        "image": ["image", "suspect.bin", "--json"],
        "diagnose": ["diagnose", str(case), "--json"],
    }


def fleet(folder: Path, boards: int) -> list[tuple[int, int, float, float]]:
    """Return boards, workers, seconds and seconds of processor time of lots of which one board in ten is odd."""
    rng = np.random.default_rng(2)
    good = np.fromfile(folder / "good.bin", np.uint8)
    lot = folder / "lot"
    for i in range(boards):
        (lot / f"b{i:05d}").mkdir(parents=True)
        path = lot / f"b{i:05d}" / "dump.bin"
        if i % 10 and i > 10:
            os.link(lot / "b00001" / "dump.bin", path)
            continue
        data = good.copy()
        if i % 10 == 0:
            data[0x8000 + int(rng.integers(64)) * 8192 :][:100] = rng.integers(0, 256, 100, dtype=np.uint8)
        data.tofile(path)
    out = []
    for count, workers in ((boards // 4, 1), (boards // 2, 1), (boards, 1), (boards, 2)):
        some = folder / f"lot-{count}-{workers}.csv"
        some.write_text("board,path\n" + "".join(f"b{i:05d},lot/b{i:05d}/dump.bin\n" for i in range(count)))
        command = [*H5DIAG, "fleet", str(some), "--reference", "good.bin", "--workers", str(workers), "--json"]
        begun = time.monotonic()
        spent = child_time([*command, "--out", f"out-{count}-{workers}"], folder)
        out.append((count, workers, time.monotonic() - begun, spent))
    return out


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--boards", type=int, default=0)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--commands-only", action="store_true", help="neither large files nor growth")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        jobs = {k: [*H5DIAG, *v] for k, v in material(folder).items()}
        jobs = {"python": [sys.executable, "-c", "pass"], "numpy": [sys.executable, "-c", "import numpy"], **jobs}
        times: dict[str, list[float]] = {k: [] for k in jobs}
        for command in jobs.values():
            child_time(command, folder)
        for _ in range(options.runs):
            for k, command in jobs.items():
                times[k].append(child_time(command, folder))
        middle = {k: statistics.median(v) for k, v in times.items()}
        able = importlib.util.find_spec("distributed") and importlib.util.find_spec("pyarrow")
        lots = fleet(folder, options.boards) if options.boards and able else []
        large = [] if options.commands_only else large_files(folder)
    lines = [
        "# How quickly the commands answer",
        "",
        f"Written by `make bench` (`benchmarks/speed_bench.py`), median of {options.runs} runs, search: {engine().name}.",
        'Processor time of the whole process; what counts is the ratio to `python -c "import numpy"` in the same run.',
        "",
        "| command | ms | times `import numpy` | at most | |",
        "|---|---|---|---|---|",
    ]
    for k, v in middle.items():
        ratio, most = v / middle["numpy"], MOST.get(k)
        state = "" if most is None else "met" if ratio <= most else "**missed**"
        lines.append(f"| `{k}` | {1000 * v:.0f} | {ratio:.2f} | {'' if most is None else most} | {state} |")
    if lots:
        lines += [
            "",
            "## Many boards",
            "",
            "`h5diag fleet`, boards of 2 MB of which one in ten has a sector of its own; with the start of Dask.",
            "",
            "| boards | workers | seconds | processor seconds | boards a second |",
            "|---|---|---|---|---|",
        ]
        lines += [f"| {n} | {w} | {s:.1f} | {c:.1f} | {n / s:.0f} |" for n, w, s, c in lots]
    if large:
        lines += ["", "## Large files", "", "| what | measured | at most | |", "|---|---|---|---|"]
        kept = {True: "met", False: "**missed**", None: ""}
        lines += [f"| {what} | {found} | {most} | {kept[state]} |" for what, found, most, state in large]
        picture = (
            ROOT / "docs" / "images" / "growth.png" if options.write else Path(tempfile.gettempdir()) / "growth.png"
        )
        pieces, sizes = draw([(n, c) for n, w, _, c in lots if w == 1], picture)
        lines += [
            "",
            "## How the costs grow",
            "",
            "![Processor time against pieces, size and boards](images/growth.png)",
            "",
            "| pieces in 2 MB | " + " | ".join(str(n) for n, _ in pieces) + " |",
            "|---|" + "---|" * len(pieces),
            "| ms | " + " | ".join(f"{t:.1f}" for _, t in pieces) + " |",
            "",
            "| MB on both sides, 20 pieces moved | " + " | ".join(str(n) for n, _, _ in sizes) + " |",
            "|---|" + "---|" * len(sizes),
            "| ms | " + " | ".join(f"{t:.1f}" for _, t, _ in sizes) + " |",
            "| copies of the dump | " + " | ".join(f"{t / c:.0f}" for _, t, c in sizes) + " |",
        ]
    text = "\n".join(lines) + "\n"
    print(text)
    print(json.dumps({k: round(v / middle["numpy"], 2) for k, v in middle.items()}), file=sys.stderr)
    if options.write:
        (ROOT / "docs" / "speed.md").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
