"""Soak of the flash test: injected faults found and named, sound chips without a finding, kills survived.

    python benchmarks/soak_flashtest.py --runs 2000 --sound 500 --kills 200 --interrupts 200 --seed 1

Every run is one line in ``.bench/soak_flashtest-SEED.jsonl``; runs that are there are not made again, so that the soak
may be stopped and gone on with, also by several processes (``--share 0/2``, ``--share 1/2``). ``--table`` only writes
the tables of docs/flashtest.md from the lines.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from h5diag.memory import AddressRange
from h5diag.probe.board import ConnectMode, Permissions, connect
from h5diag.probe.flashtest import FlashTest, Level, TestPlan, Way, flash_test
from h5diag.sim.virtual import VirtualChip, VirtualProbe, parse_items

ROOT = Path(__file__).resolve().parents[1]
SECTOR, BASE, SECTORS, UNIT = 0x2000, 0x08000000, 256, 16
NOTHING = frozenset[str]()


@dataclass(frozen=True)
class Injected:
    """A fault: the item of the virtual probe, the sectors it is in, and the kinds that name it rightly.

    What the virtual probe has no item for is done to the chip by `change`.
    """

    item: str
    sectors: frozenset[int]
    kinds: frozenset[str]
    change: Callable[[VirtualChip], None] = lambda chip: None


Maker = Callable[[random.Random, int], Injected]


def at(start: int, stop: int, name: str, **settings: int) -> str:
    return f"{name}@0x{start:X}-0x{stop:X}" + "".join(f",{k}={v}" for k, v in settings.items())


def quad(rng: random.Random, sector: int) -> int:
    return sector + UNIT * rng.randrange(SECTOR // UNIT)


def one(item: str, sector: int, *kinds: str) -> Injected:
    return Injected(item, frozenset({sector}), frozenset(kinds))


def stuck(value: int) -> Maker:
    def make(rng: random.Random, s: int) -> Injected:
        word = s + 4 * rng.randrange(SECTOR // 4)
        return one(at(word, word + 4, "stuck-bit", bit=rng.randrange(32), value=value), s, f"stuck-at-{value}")

    return make


def cells(count: int) -> Maker:
    def make(rng: random.Random, s: int) -> Injected:
        q = quad(rng, s)
        bits = rng.sample(range(128), count)
        items = "+".join(at(q, q + UNIT, "cell-stuck", bit=b, value=rng.randrange(2)) for b in bits)
        return one(items, s, "ecc-corrected" if count == 1 else "ecc-uncorrected")

    return make


def dead(fails: int) -> Maker:
    kinds = ("ignored-program", "dead-sector") if fails == 2 else ("dead-sector",)
    return lambda rng, s: one(at(s, s + SECTOR, "dead-sector", fails=fails), s, *kinds)


def alias_inside(rng: random.Random, s: int) -> Injected:
    return one(at(s, s + SECTOR, "address-alias", bit=rng.randrange(4, 13), value=rng.randrange(2)), s, "alias")


def alias_sectors(rng: random.Random, s: int) -> Injected:
    pair = s & ~SECTOR
    item = at(pair, pair + 2 * SECTOR, "address-alias", bit=13, value=rng.randrange(2))
    return Injected(item, frozenset({pair, pair + SECTOR}), frozenset({"alias"}))


def coupling(rng: random.Random, s: int) -> Injected:
    distance = rng.randrange(1, 9)
    a = s + UNIT * rng.randrange(SECTOR // UNIT - distance)
    return one(at(a, a + UNIT * (distance + 1), "coupling", distance=distance), s, "coupling")


def unstable(rng: random.Random, s: int) -> Injected:
    return one(at(s, s + SECTOR, "unstable", count=rng.choice((1, 4, 16))), s, "unstable")


def transition(rng: random.Random, s: int) -> Injected:
    """A bit that does not rise once it was 0."""
    offset, mask = s - BASE + rng.randrange(SECTOR), 1 << rng.randrange(8)

    def change(chip: VirtualChip) -> None:
        erase, data = chip.flash.cells.erase, chip.state.data

        def weak(sector: int) -> None:
            low = ~int(data[offset]) & mask
            erase(sector)
            if offset // SECTOR == sector:
                data[offset] &= 0xFF ^ low

        chip.flash.cells.erase = weak  # type: ignore[method-assign]

    return Injected("", frozenset({s}), frozenset({"transition", "stuck-at-0"}), change)


def silent_quad(rng: random.Random, s: int) -> Injected:
    """A quad-word that takes no programming and says nothing."""
    q = quad(rng, s) - BASE

    def change(chip: VirtualChip) -> None:
        program = chip.flash.cells.program

        def silent(offset: int, data: np.ndarray) -> None:
            for a, b in ((offset, min(q, offset + data.size)), (max(offset, q + UNIT), offset + data.size)):
                if a < b:
                    program(a, data[a - offset : b - offset])

        chip.flash.cells.program = silent  # type: ignore[method-assign]

    return Injected("", frozenset({s}), frozenset({"ignored-program"}), change)


def protected(rng: random.Random, s: int) -> Injected:
    bank, index = divmod((s - BASE) // SECTOR, SECTORS // 2)

    def change(chip: VirtualChip) -> None:
        chip.flash.options[f"WRP{bank + 1}R_CUR"] &= ~(1 << index // 4)

    first = s // (4 * SECTOR) * 4 * SECTOR
    return Injected("", frozenset(first + k * SECTOR for k in range(4)), frozenset({"protected"}), change)


CLASSES: dict[str, Maker] = {
    "stuck-at-0 (data path)": stuck(0),
    "stuck-at-1 (data path)": stuck(1),
    "one cell of a quad-word": cells(1),
    "two cells of a quad-word": cells(2),
    "sector does not erase": dead(1),
    "programming ignored": dead(2),
    "dead sector": dead(3),
    "address line within a sector": alias_inside,
    "address line between sectors": alias_sectors,
    "coupling, 1 to 8 quad-words": coupling,
    "unstable cells": unstable,
    "slow sector": lambda rng, s: one(at(s, s + SECTOR, "slow-sector"), s, "slow-erase"),
    "bit that does not rise": transition,
    "quad-word that ignores programming": silent_quad,
    "write-protected group": protected,
    "no read (bus fault)": lambda rng, s: one(at(quad(rng, s), s + SECTOR, "bus-fault"), s),
}
PAIRED = [
    c for c in CLASSES if c not in ("no read (bus fault)", "address line between sectors", "write-protected group")
]
LINK = ("bus-fault-sporadic", "zero-chunk", "drop-word", "zero-chunk,above=2000000", "drop-word,above=2000000")


def job(seed: int, i: int, sound: int) -> tuple[str, random.Random]:
    """Return what run `i` is: runs below zero are sound ones."""
    rng = random.Random(f"{seed}:{i}")
    if i < 0:
        return ("sound" if -i % 5 else "sound chip, bad link"), rng
    names = [*CLASSES, "pair of faults"]
    return names[i % len(names)], rng


def inject(name: str, rng: random.Random, sectors: list[int]) -> list[Injected]:
    if name.startswith("sound"):
        return []
    if name == "pair of faults":
        first, second = rng.sample(sectors, 2)
        return [CLASSES[rng.choice(PAIRED)](rng, first), CLASSES[rng.choice(PAIRED)](rng, second)]
    return [CLASSES[name](rng, rng.choice(sectors))]


def run_one(seed: int, i: int, sound: int) -> dict[str, object]:
    name, rng = job(seed, i, sound)
    count = 3 if name in ("slow sector", "pair of faults") else 2
    start = BASE + SECTOR * (rng.randrange((SECTORS - count) // 2) * 2)
    sectors = [start + k * SECTOR for k in range(count)]
    faults = inject(name, rng, sectors)
    items = "+".join(f.item for f in faults if f.item)
    link = rng.choice(LINK) if "bad link" in name else ""
    setup = parse_items(
        [
            f"seed={rng.randrange(1 << 30)}",
            f"link={rng.choice(('dap', 'memory'))}",
            *(x for x in (*items.split("+"), link) if x),
        ]
    )
    chip = VirtualChip(setup)
    where = AddressRange(start, start + count * SECTOR)
    fill(chip, rng, where)
    for f in faults:
        f.change(chip)
    before = chip.state.data.copy()
    folder = tempfile.mkdtemp()
    begun = time.perf_counter()
    try:
        with connect(
            "virtual",
            probe=VirtualProbe(chip, setup.link),
            mode=ConnectMode.HALT,
            permissions=Permissions(erase=(where,), halt=True),
        ) as board:
            plan = TestPlan(where, Level.STANDARD, way=Way.REGISTERS, burst=SECTOR)
            result = flash_test(board, plan, folder + "/test")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    same = before == chip.state.data
    inside = slice(where.start - BASE, where.stop - BASE)
    operations = chip.flash.operations
    outside = [
        o
        for o in operations
        if o.kind in ("erase", "program") and not where.covers(AddressRange(o.address, o.address + o.size))
    ]
    return {
        "i": i,
        "class": name,
        "items": items or link,
        "seconds": round(time.perf_counter() - begun, 2),
        **judged(faults, result),
        "restored": result.restored,
        "same": bool(same[inside].all()),
        "outside_same": bool(same[: inside.start].all() and same[inside.stop :].all()),
        "outside_writes": len(outside),
        "option_writes": sum(o.kind.startswith("option") for o in operations),
        "reports": [[f"{s.start:08X}", s.verdict, s.reason] for s in result.sectors if s.verdict != "good"],
    }


def fill(chip: VirtualChip, rng: random.Random, where: AddressRange) -> None:
    """Put something into the sectors: noise, code-like bytes and blank parts."""
    for start in range(where.start, where.stop, SECTOR):
        at0, n = start - BASE, rng.choice((0, SECTOR, rng.randrange(0, SECTOR, UNIT)))
        data = np.full(SECTOR, 0xFF, np.uint8)
        data[:n] = np.random.default_rng(rng.randrange(1 << 30)).integers(0, 256, n)
        chip.state.data[at0 : at0 + SECTOR] = data
        chip.state.marks[at0 // UNIT : (at0 + SECTOR) // UNIT] = (data.reshape(-1, UNIT) != 0xFF).any(axis=1)


def judged(faults: list[Injected], result: FlashTest) -> dict[str, object]:
    by_sector = {s.start: s for s in result.sectors}
    found, named = [], []
    for f in faults:
        hits = [by_sector[s] for s in f.sectors & set(by_sector) if by_sector[s].verdict != "good"]
        found.append(bool(hits))
        kinds = {x.kind for s in hits for x in s.faults}
        named.append(bool(kinds & f.kinds) if f.kinds else any(s.verdict == "untested" for s in hits))
    own = {s for f in faults for s in f.sectors}
    false = [s.start for s in result.sectors if s.verdict == "bad" and s.start not in own]
    wrong = [
        s.start
        for s in result.sectors
        if s.verdict == "bad"
        and s.start in own
        and not {x.kind for x in s.faults} <= {k for f in faults if s.start in f.sectors for k in f.kinds}
    ]
    return {
        "found": all(found),
        "named": all(named),
        "false_alarms": len(false),
        "other_names": len(wrong),
        "untested": result.counted("untested"),
        "bad": result.counted("bad"),
    }


# ---------------------------------------------------------------------------------------------------- kills
ENDS = {"kill": signal.SIGKILL, "ctrl-c": signal.SIGINT}


def ended_runs(kind: str, seed: int, wanted: list[int], write: Callable[[dict[str, object]], None]) -> None:
    """Kill or interrupt the client at random moments while another process serves the chip; compare the kept flash.

    After Ctrl-C the exit status must tell the truth: 130 that the contents are back, 3 that they are not.
    """
    if not wanted:
        return
    from h5diag.app.cli import main
    from h5diag.sim.virtual.probe import ChipServer, serve_until_signal

    folder = Path(tempfile.mkdtemp())
    state = folder / "chip.state"
    read, out = os.pipe()
    server = os.fork()
    if not server:
        with ChipServer(VirtualChip(parse_items([f"state={state}"])), 0) as chip_server:
            serve_until_signal(chip_server, lambda: os.write(out, f"{chip_server.port}\n".encode()))
        os._exit(0)
    probe = f"remote:localhost:{int(os.read(read, 32))}"
    try:
        begun = time.monotonic()
        if client(main, test_arguments(probe, folder / "whole", 32), folder):
            raise SystemExit((folder / "client.log").read_text())
        whole = time.monotonic() - begun
        for i in wanted:
            rng = random.Random(f"{seed}:{kind}:{i}")
            first = rng.choice((0, 32, 60, 126, 127, 200))
            original = flash_of(state)
            where = folder / f"test-{i}"
            delay = rng.uniform(0, whole)
            pid = client(main, test_arguments(probe, where, first), folder, wait=False)
            time.sleep(delay)
            os.kill(pid, ENDS[kind])
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            dirty = not np.array_equal(flash_of(state), original)
            waits = where.exists() and (kind == "kill" or status == 3)
            code = client(main, ["flashtest", "--probe", probe, "--restore", str(where)], folder) if waits else 0
            now = flash_of(state)
            write(
                {
                    "i": i,
                    "class": kind,
                    "delay": round(delay, 3),
                    "killed": status < 0,
                    "ended": status,
                    "honest": kind == "kill" or (status in (0, 130) and not dirty) or status == 3,
                    "dirty": dirty,
                    "status": code,
                    "same": bool(np.array_equal(now, original)),
                }
            )
            shutil.rmtree(where, ignore_errors=True)
    finally:
        os.kill(server, signal.SIGTERM)
        os.waitpid(server, 0)
        shutil.rmtree(folder, ignore_errors=True)


def test_arguments(probe: str, folder: Path, first: int) -> list[str]:
    start = BASE + first * SECTOR
    return [
        "flashtest",
        "--probe",
        probe,
        "--range",
        f"0x{start:X}:0x{start + 2 * SECTOR:X}",
        "--allow-erase",
        "--out",
        str(folder),
        "--level",
        "quick",
        "--burst",
        "1024",
        "--way",
        "registers",
    ]


def client(main: Callable[[list[str]], int], arguments: list[str], folder: Path, *, wait: bool = True) -> int:
    """Run the command line in a process of its own; return its exit status, or its id when not waited for."""
    pid = os.fork()
    if not pid:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a soak in the background was started without it
        with (folder / "client.log").open("a") as log, redirect_stdout(log), redirect_stderr(log):
            code = main(arguments)
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if wait else pid


def flash_of(state: Path) -> np.ndarray:
    return np.fromfile(state, np.uint8)[8192 : 8192 + SECTORS * SECTOR]


# ---------------------------------------------------------------------------------------------------- tables
def tables(lines: list[dict]) -> str:
    out = ["| injected | runs | found in its sector | named | other sectors called bad |", "|---|---|---|---|---|"]
    for name in (*CLASSES, "pair of faults"):
        rows = [r for r in lines if r["class"] == name]
        if rows:
            out.append(
                f"| {name} | {len(rows)} | {sum(r['found'] for r in rows)} | {sum(r['named'] for r in rows)} | "
                f"{sum(r['false_alarms'] for r in rows)} |"
            )
    faulty = [r for r in lines if r["class"] in CLASSES or r["class"] == "pair of faults"]
    if faulty:
        out.append(
            f"| **all** | {len(faulty)} | {sum(r['found'] for r in faulty)} | {sum(r['named'] for r in faulty)}"
            f" | {sum(r['false_alarms'] for r in faulty)} |"
        )
    tested = [r for r in lines if r["class"] not in ENDS]
    out += [
        "",
        "| no fault of the chip | runs | with a sector called bad | with a sector left untested |",
        "|---|---|---|---|",
    ]
    for name in ("sound", "sound chip, bad link"):
        rows = [r for r in lines if r["class"] == name]
        if rows:
            out.append(
                f"| {name} | {len(rows)} | {sum(r['bad'] > 0 for r in rows)} | {sum(r['untested'] > 0 for r in rows)} |"
            )
    kills, stops = ([r for r in lines if r["class"] == kind] for kind in ENDS)
    out += [
        "",
        "| safety | |",
        "|---|---|",
        f"| erases and programs outside of the range, over {len(tested)} runs | "
        f"{sum(r['outside_writes'] for r in tested)} |",
        f"| writes to option registers | {sum(r['option_writes'] for r in tested)} |",
        f"| runs after which something outside of the range had changed | "
        f"{sum(not r['outside_same'] for r in tested)} |",
        f"| kills (SIGKILL at a random moment) | {len(kills)} |",
        f"| of these while the flash differed from the original | {sum(r['dirty'] for r in kills)} |",
        f"| flash equal to the original after `--restore` | {sum(r['same'] for r in kills)} |",
        f"| Ctrl-C at a random moment over `remote:` | {len(stops)} |",
        f"| ended with 130 and the contents back; 3, put back by `--restore`; 0, finished before | "
        f"{sum(r['ended'] == 130 for r in stops)}; {sum(r['ended'] == 3 for r in stops)}; "
        f"{sum(r['ended'] == 0 for r in stops)} |",
        f"| exit status true and flash equal to the original in the end | "
        f"{sum(r['honest'] and r['same'] for r in stops)} |",
    ]
    return "\n".join(out) + "\n"


def write_tables(lines: list[dict], seed: int) -> None:
    doc = ROOT / "docs" / "flashtest.md"
    if not doc.exists():
        print(tables(lines))
        return
    text = doc.read_text("utf-8")
    begin, end = "<!-- soak begins -->\n", "<!-- soak ends -->"
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(end)
    doc.write_text(
        f"{head}{begin}Seed {seed}, made by `benchmarks/soak_flashtest.py`.\n\n{tables(lines)}{end}{tail}", "utf-8"
    )


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--runs", type=int, default=2000)
    p.add_argument("--sound", type=int, default=500)
    p.add_argument("--kills", type=int, default=200)
    p.add_argument("--interrupts", type=int, default=200)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument(
        "--lines", type=Path, default=None, help="file of the runs (default .bench/soak_flashtest-SEED.jsonl)"
    )
    p.add_argument("--share", default="0/1", help="K/N: only every Nth run, beginning with the Kth")
    p.add_argument("--seconds", type=float, default=0.0, help="stop after this time")
    p.add_argument("--table", action="store_true")
    o = p.parse_args()
    path = o.lines or ROOT / ".bench" / f"soak_flashtest-{o.seed}.jsonl"
    path.parent.mkdir(exist_ok=True)
    lines = [json.loads(t) for t in path.read_text().splitlines()] if path.exists() else []
    if o.table:
        write_tables(lines, o.seed)
        return 0
    done = {(r["class"] if r["class"] in ENDS else "", r["i"]) for r in lines}
    mine, of = (int(x) for x in o.share.split("/"))
    deadline = time.monotonic() + o.seconds if o.seconds else float("inf")

    def write(row: dict[str, object]) -> None:
        lines.append(row)  # type: ignore[arg-type]
        with path.open("a") as stream:
            stream.write(json.dumps(row) + "\n")

    for kind, count in (("kill", o.kills), ("ctrl-c", o.interrupts)):
        ended_runs(kind, o.seed, [i for i in range(count) if i % of == mine and (kind, i) not in done], write)
    # Faulty and sound runs take turns, so that a soak cut short says something about both.
    jobs = sorted([*range(o.runs), *range(-o.sound, 0)], key=lambda i: i / o.runs if i >= 0 else -i / o.sound)
    for n, i in enumerate(jobs):
        if n % of != mine or ("", i) in done:
            continue
        if time.monotonic() > deadline:
            break
        row = run_one(o.seed, i, o.sound)
        write(row)
        if not row["found"] or not row["named"] or row["false_alarms"] or row["outside_writes"]:
            print(json.dumps(row), file=sys.stderr)
    if of == 1:
        write_tables(lines, o.seed)
    bad = [r for r in lines if r["class"] in ENDS and not (r["same"] and r["honest"])]
    bad += [
        r
        for r in lines
        if r["class"] not in ENDS and (not r["found"] or r["false_alarms"] or r["outside_writes"] or r["option_writes"])
    ]
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
