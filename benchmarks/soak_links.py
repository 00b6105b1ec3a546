"""Soak: no link fault makes a sound chip faulty, and repeatable faults of the cells still reach it.

Each run is one flash test (two rounds, two speeds, a power cycle) of two sectors on a virtual board, judged by the
whole of `diagnose`. Seeded and resumable: every run is a line of JSON in the file, and a run that is there is not made
again. ``python benchmarks/soak_links.py --runs 1000 --out soak-links.jsonl``
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path

from h5diag.case import load_case
from h5diag.case.results import to_document
from h5diag.errors import H5DiagError
from h5diag.judge import diagnose
from h5diag.memory import AddressRange
from h5diag.probe.board import ConnectMode, Permissions, connect
from h5diag.probe.flashtest import Level, TestPlan, Way, flash_test
from h5diag.sim.virtual import VirtualChip, VirtualProbe, parse_items

LINK = (
    "zero-chunk,repeat=1,rate={rate}",
    "zero-chunk,rate={rate}",
    "drop-word,repeat=1,rate={rate}",
    "drop-word,rate={rate}",
    "zero-chunk,rate={rate},above=2000000",
    "drop-word,rate={rate},above=2000000",
    "bus-fault-sporadic,rate={rate}",
)
CELLS = (
    "stuck-bit@{where},value=0",
    "stuck-bit@{where},value=1",
    "cell-stuck@{where},count=1",
    "dead-sector@{where},fails=2",
    "dead-sector@{where},fails=1",
    "address-alias@{where},bit=9",
    "coupling@{where},distance=1",
)


def one(seed: int) -> dict[str, object]:
    """Make one run and return what came of it."""
    rng = random.Random(seed)
    start = 0x08040000 + 0x4000 * rng.randrange(8)
    where, sector = AddressRange(start, start + 0x4000), f"0x{start:X}-0x{start + 0x2000:X}"
    sound = seed % 2 == 0
    items = rng.choice(LINK).format(rate=rng.choice(("0.001", "0.01", "0.05"))) if sound else rng.choice(CELLS)
    items = items.format(where=sector)
    ram = rng.random() < 0.3
    chip = VirtualChip(parse_items(["link=memory", f"seed={seed}", items]))
    before = chip.state.data.copy()
    plan = TestPlan(where, Level.STANDARD, way=Way.REGISTERS, burst=0x2000)
    permissions = Permissions(erase=(where,), halt=True, ram=ram)
    row: dict[str, object] = {"seed": seed, "sound": sound, "fault": items, "core": ram}
    with tempfile.TemporaryDirectory() as folder:
        try:
            with connect(
                "virtual", probe=VirtualProbe(chip, "memory"), mode=ConnectMode.HALT, permissions=permissions
            ) as board:
                result = flash_test(board, plan, str(Path(folder, "t")))
        except H5DiagError as error:
            return row | {"verdict": "none", "error": str(error)[:120], "kept": bool((chip.state.data == before).all())}
        Path(folder, "flashtest.json").write_text(json.dumps(to_document(result)), "utf-8")
        text = 'chip = "stm32h563zi"\n[suspect]\nflashtest = "flashtest.json"\n'
        Path(folder, "case.toml").write_text(text, "utf-8")
        (judged,) = diagnose(load_case(Path(folder))).boards
    return row | {
        "verdict": judged.verdict.word.value,
        "path": result.conditions.second_path,
        "sectors": [s.verdict for s in result.sectors],
        "restored": result.restored,
        "kept": bool((chip.state.data == before).all()),
    }


def main() -> int:
    """Run what is missing and print the table; 1 when a sound chip was called faulty."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--out", default=".bench/soak-links.jsonl")
    options = parser.parse_args()
    path = Path(options.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    done = {row["seed"]: row for row in map(json.loads, lines)}
    with path.open("a", encoding="utf-8") as stream:
        for seed in range(options.runs):
            if seed not in done:
                done[seed] = one(seed)
                stream.write(json.dumps(done[seed]) + "\n")
                stream.flush()
    rows = [done[s] for s in sorted(done)]
    links, cells = [r for r in rows if r["sound"]], [r for r in rows if not r["sound"]]
    faulty = sum(r["verdict"] == "faulty" for r in links)
    found = sum(r["verdict"] == "faulty" for r in cells)
    lost = sum(r["restored"] is True and not r["kept"] for r in links if "restored" in r)
    print(f"link faults on sound boards: {len(links)} runs, {faulty} called faulty, {lost} contents lost unsaid")
    print(f"repeatable cell faults:      {len(cells)} runs, {found} called faulty")
    for r in cells:
        if r["verdict"] != "faulty":
            print(f"  seed {r['seed']}: {r['fault']} -> {r['verdict']} {r.get('sectors', r.get('error'))}")
    return int(faulty > 0)


if __name__ == "__main__":
    sys.exit(main())
