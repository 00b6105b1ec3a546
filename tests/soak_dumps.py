"""Randomized faulty dumps: ``python tests/soak_dumps.py --runs 10000 --seed 1 --out FILE [--table docs/dump-soak.md]``.

Each run makes a virtual chip with one to three faults of random kind, rate and place, dumps a small range in two or
more passes, and compares what is called agreed with what the cells hold. For faults that are independent between
passes the number of blocks (1 KiB) that came wrong in the same way in every pass is compared with the rate that
follows from the faults' own probabilities and the passes made. Repeatable faults must never be called verified.
Results are appended to FILE, one JSON line per run: a run that is there is not made again.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from h5diag.memory import AddressRange
from h5diag.probe.acquire import Dump, DumpPlan, dump
from h5diag.probe.board import Board, connect
from h5diag.sim.virtual import FaultKind

BLOCK = 1024
INDEPENDENT = ("zero-chunk", "drop-word", "bus-fault-sporadic", "unstable")
REPEATABLE = ("zero-chunk,repeat=1", "drop-word,repeat=1", "stuck-bit", "address-alias", "bus-fault")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run. `wrong` counts blocks agreed and wrong, `expected` their expectation from the faults' own rates."""

    run: int
    kinds: str
    link: str
    passes: int
    blocks: int
    disputed: int
    unreadable: int
    unreadable_wrong: int
    wrong: int
    expected: float
    repeatable: bool
    claims_verified: bool
    unflagged_bits: int
    unstable_bits: int


def faults(rng: random.Random, where: AddressRange) -> tuple[list[str], bool]:
    """Return fault items for one run, and whether one of them repeats from pass to pass."""
    repeat = rng.random() < 0.3
    names = rng.sample(REPEATABLE if repeat else INDEPENDENT, rng.choice((1, 1, 2)))
    items = []
    for text in names:
        name, _, more = text.partition(",")
        item = name + f"@0x{where.start:X}-0x{where.stop:X}"
        if name == "zero-chunk":
            item += f",rate={10 ** rng.uniform(-3.5, -1):.6f}"
        elif name == "bus-fault-sporadic":
            item += f",rate={10 ** rng.uniform(-4, -2.3):.6f}"
        elif name == "drop-word":
            item += f",rate={10 ** rng.uniform(-5, -3):.7f}"
        elif name == "unstable":
            item += f",count={rng.randrange(1, 17)},rate={rng.uniform(0.2, 0.5):.3f}"
        elif name == "stuck-bit":
            item += f",count={rng.randrange(1, 9)}"
        elif name == "bus-fault":
            start = where.start + 4 * rng.randrange(where.size // 4 - 64)
            item = f"bus-fault@0x{start:X}-0x{start + 4 * rng.randrange(1, 64):X}"
        items.append(item + ("," + more if more else ""))
    return items, repeat


def expectation(board: Board, done: Dump, where: AddressRange) -> float:
    """Return how many blocks are expected to be wrong alike in every pass, by chance; an upper bound."""
    total, blocks, n = 0.0, where.size // BLOCK, done.passes
    for fault in board._session.probe.chip.setup.faults:
        match fault.kind:
            case FaultKind.ZERO_CHUNK:
                total += blocks * (1 - (1 - fault.setting("rate") ** n) ** (BLOCK // 64))
            case FaultKind.DROP_WORD:
                total += blocks * (1 - (1 - fault.setting("rate")) ** (BLOCK // 4)) ** n
            case FaultKind.UNSTABLE:
                total += fault.whole("count") * fault.setting("rate") ** n
    return total


def one_run(number: int, seed: int) -> Outcome:
    """Make one run."""
    rng = random.Random(seed * 1_000_003 + number)
    start = 0x08040000 + BLOCK * rng.randrange(64)
    where = AddressRange(start, start + BLOCK * rng.choice((4, 4, 8, 16)))
    items, repeat = faults(rng, where)
    link = rng.choice(("dap", "memory"))
    with connect("virtual:" + "+".join([*items, f"seed={number}", f"link={link}"])) as board:
        done = dump(board, DumpPlan(where, chunk=0x4000))
        chip = board._session.probe.chip
        at = where.start - 0x08000000
        truth = chip.state.data[at : at + where.size]
        wrong: set[int] = set()
        for r in done.agreed:
            bad = np.flatnonzero(
                done.image.read(r.start, r.stop) != truth[r.start - where.start : r.stop - where.start]
            )
            wrong |= {int(b) for b in (bad + r.start - where.start) // BLOCK}
        really = {f.range for f in chip.setup.faults if f.kind is FaultKind.BUS_FAULT}
        bits = chip.flash.cells._unstable.offsets + 0x08000000
        unflagged = sum(not any(int(b) in r for r in done.image.unstable) for b in set(bits.tolist()))
        words = (done.wording, *done.image.origin.remarks)
        return Outcome(
            number,
            " + ".join(sorted(i.partition("@")[0] + (" repeating" if "repeat=1" in i else "") for i in items)),
            link,
            done.passes,
            where.size // BLOCK,
            len(done.image.unstable),
            len(done.image.unreadable),
            len(set(done.image.unreadable) ^ really),
            len(wrong),
            0.0 if repeat else expectation(board, done, where),
            repeat,
            any("verified" in w.lower() for w in words),
            unflagged,
            len(set(bits.tolist())),
        )


def check(outcomes: list[Outcome]) -> list[str]:
    """Return what is not as it should be; empty when all is well."""
    problems = []
    free = [o for o in outcomes if not o.repeatable]
    seen, expected = sum(o.wrong for o in free), sum(o.expected for o in free)
    if seen > expected + 4 * math.sqrt(expected) + 1:
        problems.append(f"{seen} blocks agreed and wrong, {expected:.3f} expected by chance")
    if bad := [o.run for o in outcomes if o.unreadable_wrong]:
        problems.append(f"unreadable ranges are not those of the faults in runs {bad[:10]}")
    if bad := [o.run for o in outcomes if o.claims_verified]:
        problems.append(f"called verified in runs {bad[:10]}")
    return problems


def table(outcomes: list[Outcome], seed: int) -> str:
    """Return the results as Markdown."""
    free = [o for o in outcomes if not o.repeatable]
    lines = [
        "# Randomized faulty dumps",
        "",
        f"`python tests/soak_dumps.py --runs {len(outcomes)} --seed {seed}`: ranges of 4 to 16 KB, at DP/AP level and",
        "through the accelerated memory interface. A block is 1 KB; *agreed and wrong* counts blocks that came wrong",
        "in the same way in every pass. The expectation follows from the faults' own rates and the passes made.",
        "",
        f"Faults that are independent between passes: {len(free)} runs, {sum(o.blocks for o in free)} blocks,",
        f"**{sum(o.wrong for o in free)} agreed and wrong, {sum(o.expected for o in free):.2f} expected by chance**; "
        f"{sum(o.unflagged_bits for o in free)} of {sum(o.unstable_bits for o in free)} unstable bits not flagged.",
        "",
        "Faults that repeat look like data: the map says `agrees in N passes`, never more. Their wrong blocks are",
        "listed here to show what repeated reading cannot find.",
        "",
        "| faults | runs | passes | blocks | disputed ranges | agreed and wrong | expected by chance |",
        "|---|---|---|---|---|---|---|",
    ]
    for repeat in (False, True):
        for kinds in sorted({o.kinds for o in outcomes if o.repeatable == repeat}):
            rows = [o for o in outcomes if o.kinds == kinds and o.repeatable == repeat]
            passes = sorted(o.passes for o in rows)
            chance = "repeats" if repeat else f"{sum(o.expected for o in rows):.3f}"
            lines.append(
                f"| {kinds} | {len(rows)} | {passes[0]} to {passes[-1]}, median {passes[len(rows) // 2]} | "
                f"{sum(o.blocks for o in rows)} | {sum(o.disputed for o in rows)} | "
                f"{sum(o.wrong for o in rows)} | {chance} |"
            )
    return "\n".join(lines) + "\n"


def resumed(path: Path | None) -> Iterator[Outcome]:
    """Yield the runs that the file holds."""
    if path is not None and path.exists():
        for line in path.read_text("utf-8").splitlines():
            yield Outcome(**json.loads(line))


def main() -> int:
    """Run, and return 1 when something is not as it should be."""
    parser = argparse.ArgumentParser(description="Randomized faulty dumps of a virtual chip.")
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=None, help="one JSON line per run; what is there is not repeated")
    parser.add_argument("--table", type=Path, default=None, help="write the result table as Markdown")
    options = parser.parse_args()
    done = {o.run: o for o in resumed(options.out)}
    for number in range(options.runs):
        if number not in done:
            done[number] = one_run(number, options.seed)
            if options.out is not None:
                with options.out.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(asdict(done[number])) + "\n")
    outcomes = [done[n] for n in range(options.runs)]
    text = table(outcomes, options.seed)
    sys.stdout.write(text)
    if options.table is not None:
        options.table.write_text(text, "utf-8")
    problems = check(outcomes)
    sys.stdout.write("\n".join(problems or ["all is as it should be"]) + "\n")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
