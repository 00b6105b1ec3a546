"""What one step of the flash test moves over the link, against the least that erase, program and read need.

    python benchmarks/flashtest_bench.py [--json FILE]

A transfer is one 32-bit access to a DP or AP register. The least for one sector: start the erase and see it end (two
transfers), read 8 KB to see that it is blank, write 8 KB, read 8 KB. The standard level reads what was programmed
twice, which alone is a ratio of 1.33. Two link speeds are not needed for a count, so the numbers are the same on any
machine.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from h5diag.memory import AddressRange
from h5diag.probe.board import ConnectMode, Permissions, connect
from h5diag.probe.flashtest import Level, TestPlan, Way, flash_test
from h5diag.sim.virtual import VirtualChip, VirtualProbe, parse_items
from h5diag.sim.virtual.engine import available

SECTOR = AddressRange(0x08040000, 0x08042000)
LEAST = 2 + 3 * SECTOR.size // 4


class Counting(VirtualProbe):
    """A probe that counts commands and transfers."""

    commands = transfers = 0

    @contextmanager
    def _link(self, words: int) -> Iterator[None]:
        self.commands += 1
        self.transfers += words
        with super()._link(words):
            yield


def count(plan: TestPlan) -> tuple[int, int, float, str | None]:
    probe = Counting(VirtualChip(parse_items(())))
    with (
        tempfile.TemporaryDirectory() as folder,
        connect(
            "virtual",
            probe=probe,
            mode=ConnectMode.HALT,
            permissions=Permissions(erase=(plan.range,), halt=True, ram=True),
        ) as board,
    ):
        result = flash_test(board, plan, folder + "/t")
    return probe.commands, probe.transfers, probe.simulated_time_s, result.way


def per_step(plan: TestPlan) -> dict[str, Any]:
    """Return what one step costs: the difference between two rounds and one."""
    once, twice = (count(replace(plan, rounds=r)) for r in (1, 2))
    steps = len(plan.steps) // plan.rounds
    commands, transfers, seconds = ((b - a) / steps for a, b in zip(once[:3], twice[:3], strict=True))
    return {
        "way": once[3],
        "burst": plan.burst,
        "level": plan.level.value,
        "commands": round(commands, 1),
        "transfers": round(transfers, 1),
        "bytes": round(4 * transfers),
        "ratio": round(transfers / LEAST, 3),
        "seconds_at_4_MHz": round(seconds, 4),
    }


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--json", default="")
    o = p.parse_args()
    base = TestPlan(SECTOR, Level.STANDARD, speeds_hz=(4_000_000,), power_cycles=False)
    plans = [replace(base, way=Way.REGISTERS, burst=b, level=v) for b in (16, 1024) for v in (Level.QUICK, base.level)]
    if available():
        plans += [replace(base, way=Way.ALGORITHM, level=v) for v in (Level.QUICK, base.level)]
    rows = [per_step(plan) for plan in plans]
    print(f"least for one sector: {LEAST} transfers, {4 * LEAST} bytes")
    print("| level | way | burst | commands | transfers | bytes | of the least | s at 4 MHz |")
    print("|---|---|---|---|---|---|---|---|")
    for r in rows:
        print(
            f"| {r['level']} | {r['way']} | {r['burst'] if r['way'] == 'registers' else '-'} | {r['commands']:g} | "
            f"{r['transfers']:g} | {r['bytes']} | {r['ratio']} | {r['seconds_at_4_MHz']} |"
        )
    if o.json:
        Path(o.json).write_text(json.dumps({"least": LEAST, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
