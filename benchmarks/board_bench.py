"""What a dump costs over a bare read of the same chip, at each level, in process and over TCP; ``--json`` for programs.

The rates are those of the model on this machine, not of SWD: only the ratios mean something.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import tracemalloc

from h5diag.memory import AddressRange
from h5diag.probe.acquire import DumpPlan, dump
from h5diag.probe.board import Board, connect
from h5diag.sim.virtual import VirtualChip
from h5diag.sim.virtual.probe import ChipServer

FLASH = AddressRange(0x08000000, 0x08200000)


def measure(board: Board, rounds: int) -> dict[str, float]:
    """Return rates in MB/s, the dump's share of the bare rate, and its peak of memory in times of the dump."""
    bare, one, two = [], [], []
    for _ in range(rounds):
        for seconds, work in (
            (bare, lambda: board.read_words(FLASH.start, FLASH.size // 4)),
            (one, lambda: dump(board, DumpPlan(FLASH, passes=1))),
            (two, lambda: dump(board, DumpPlan(FLASH))),
        ):
            begun = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - begun)
    tracemalloc.start()
    dump(board, DumpPlan(FLASH))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    rate = [2 / statistics.median(s) for s in (bare, one, two)]
    return {
        "bare_mb_s": rate[0],
        "one_pass_mb_s": rate[1],
        "two_passes_mb_s": rate[2],
        "one_pass_of_bare": statistics.median(b / o for b, o in zip(bare, one, strict=True)),
        "peak_of_dump": peak / FLASH.size,
    }


def main() -> None:
    """Print one line per level."""
    parser = argparse.ArgumentParser(description="What a dump costs over a bare read.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = {}
    for link in ("dap", "memory"):
        with connect(f"virtual:link={link}") as board:
            rows[link] = measure(board, options.rounds)
    with ChipServer(VirtualChip()) as server, connect(f"remote:localhost:{server.port}") as board:
        rows["remote"] = measure(board, max(1, options.rounds // 3))
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    for name, row in rows.items():
        print(f"{name:8}" + "  ".join(f"{k} {v:.2f}" for k, v in row.items()))


if __name__ == "__main__":
    main()
