"""What the flash test finds, by class of fault, over a model of the array that is none of the project's own.

    python benchmarks/flash_models.py --places 8 --seed 1 --out .bench/flash_models.jsonl

The classes are those of the literature: stuck-at, transition, coupling, bridging and address decoder faults after van
de Goor (Testing Semiconductor Memories, 1991); disturbs, over-erase and retention of flash after Mohammad and Saluja
(Flash Memory Disturbances: Modeling and Test, VTS 2001) and Yeh and others (Flash Memory Testing and Built-In
Self-Diagnosis With March-Like Test Algorithms, IEEE TCAD 2007). A fault acts as if there were no ECC, which is harder:
nothing but the data tells of it; the classes that name the ECC are below it. Each run is `flash_test` at ``standard``
with two sectors, over pyOCD and the controller; only the array is exchanged. A run that is in the file is not made again.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from h5diag.memory import AddressRange
from h5diag.probe.board import ConnectMode, Permissions, connect
from h5diag.probe.flashtest import Level, TestPlan, Way, flash_test
from h5diag.sim.virtual import VirtualChip, VirtualProbe, parse_items
from h5diag.sim.virtual.cells import VIRGIN, WRITTEN, EccEvent

ROOT = Path(__file__).resolve().parents[1]
BASE, SECTOR, QUAD, ROW = 0x08000000, 0x2000, 16, 512
PER = SECTOR // QUAD


class Array:
    """Cells that hold bits, and one fault that may change them whenever the array is erased, programmed or read.

    Parameters
    ----------
    chip
        Its array is exchanged for this one.
    rng
        Chooses places and moments.
    """

    def __init__(self, chip: VirtualChip, rng: random.Random) -> None:
        self.chip, self.rng = chip, rng
        self.held, self.marks = chip.state.data, chip.state.marks
        self.data, self.unit, self.sector_size, self.slow, self.plain = (
            self.held,
            QUAD,
            SECTOR,
            dict[int, float](),
            False,
        )
        self.after_erase: list[Callable[[int, np.ndarray], None]] = []
        self.after_program: list[Callable[[int, np.ndarray, np.ndarray], None]] = []
        self.at_read: list[Callable[[int, np.ndarray], None]] = []
        self.events: Callable[[int, int], list[EccEvent]] = lambda offset, size: []
        self.program_to: Callable[[int], tuple[int, ...]] = lambda quad: (quad,)
        self.read_from: Callable[[int], tuple[int, ...]] | None = None
        chip.flash.cells = self  # type: ignore[assignment]

    def erase(self, sector: int) -> None:
        span = slice(sector * SECTOR, (sector + 1) * SECTOR)
        before = self.held[span].copy()
        self.held[span] = 0xFF
        self.marks[sector * PER : (sector + 1) * PER] = VIRGIN
        for act in self.after_erase:
            act(sector, before)

    def program(self, offset: int, data: np.ndarray) -> None:
        for i in range(0, data.size, QUAD):
            for q in self.program_to(offset + i):
                before = self.held[q : q + QUAD].copy()
                self.held[q : q + QUAD] &= data[i : i + QUAD]
                self.marks[q // QUAD] = WRITTEN
                for act in self.after_program:
                    act(q, data[i : i + QUAD], before)

    def read(self, offset: int, size: int) -> tuple[np.ndarray, tuple[EccEvent, ...]]:
        if self.read_from is None:
            out = self.held[offset : offset + size].copy()
        else:
            first, last = offset // QUAD * QUAD, -(-(offset + size) // QUAD) * QUAD
            rows = []
            for q in range(first, last, QUAD):
                row = np.full(QUAD, 0xFF, np.uint8)
                for real in self.read_from(q):
                    row &= self.held[real : real + QUAD]
                rows.append(row)
            out = np.concatenate(rows)[offset - first :][:size].copy()
        for act in self.at_read:
            act(offset, out)
        return out, tuple(self.events(offset, size))

    def tear(self, offset: int, size: int, rng: np.random.Generator) -> None:
        raise AssertionError("no run resets the chip in the middle of an operation")

    # -------------------------------------------------------------------------------------------- single bits
    def bit(self, cell: tuple[int, int]) -> int:
        return int(self.held[cell[0]]) >> cell[1] & 1

    def put(self, cell: tuple[int, int], value: int) -> None:
        self.held[cell[0]] = self.held[cell[0]] & (0xFF ^ 1 << cell[1]) | value << cell[1]

    def show(self, cell: tuple[int, int], value: Callable[[], int]) -> None:
        """Let reads of one cell bring something else than it holds."""

        def act(offset: int, out: np.ndarray) -> None:
            i = cell[0] - offset
            if 0 <= i < out.size:
                out[i] = out[i] & (0xFF ^ 1 << cell[1]) | value() << cell[1]

        self.at_read.append(act)


class Place:
    """Where a fault is: its sector, the other one of the range, and cells in it by chance."""

    def __init__(self, rng: random.Random, first: int, second: int) -> None:
        self.rng, self.sector, self.other = rng, first, second

    @property
    def start(self) -> int:
        return self.sector * SECTOR

    def quad(self, margin: int = 0) -> int:
        return self.start + QUAD * self.rng.randrange(margin, PER - margin)

    def cell(self, quad: int | None = None) -> tuple[int, int]:
        base = self.quad() if quad is None else quad
        return base + self.rng.randrange(QUAD), self.rng.randrange(8)

    def pair(self, distance: int = 0) -> tuple[tuple[int, int], tuple[int, int]]:
        """Two cells: of one quad-word, or of the same bit `distance` quad-words apart."""
        a = self.cell(self.start + QUAD * self.rng.randrange(PER - distance))
        if distance:
            return a, (a[0] + QUAD * distance, a[1])
        b = a
        while b == a:
            b = self.cell(a[0] // QUAD * QUAD)
        return a, b


Maker = Callable[[Array, Place], None]


def stuck(value: int) -> Maker:
    return lambda a, p: a.show(p.cell(), lambda: value)


def bit_line(value: int) -> Maker:
    def make(a: Array, p: Place) -> None:
        byte, bit = p.rng.randrange(QUAD), p.rng.randrange(8)

        def act(offset: int, out: np.ndarray) -> None:
            at = np.arange(offset, offset + out.size)
            hit = (at // SECTOR == p.sector) & (at % QUAD == byte)
            out[hit] = out[hit] & (0xFF ^ 1 << bit) | value << bit

        a.at_read.append(act)

    return make


def word_line(a: Array, p: Place) -> None:
    row = p.quad() // ROW * ROW

    def act(offset: int, out: np.ndarray) -> None:
        at = np.arange(offset, offset + out.size)
        out[at // ROW * ROW == row] = 0xFF

    a.at_read.append(act)


def not_rising(chance: float) -> Maker:
    def make(a: Array, p: Place) -> None:
        cell = p.cell()

        def act(sector: int, before: np.ndarray) -> None:
            low = not before[cell[0] % SECTOR] >> cell[1] & 1
            if sector == p.sector and low and a.rng.random() < chance:
                a.put(cell, 0)

        a.after_erase.append(act)

    return make


def not_falling(chance: float) -> Maker:
    def make(a: Array, p: Place) -> None:
        cell = p.cell()

        def act(quad: int, data: np.ndarray, before: np.ndarray) -> None:
            i = cell[0] - quad
            if 0 <= i < QUAD and before[i] >> cell[1] & 1 and a.rng.random() < chance:
                a.put(cell, 1)

        a.after_program.append(act)

    return make


def stuck_open(a: Array, p: Place) -> None:
    """A cell that is not connected: the sense amplifier keeps what it read before."""
    cell = p.cell(p.quad(1))

    def act(offset: int, out: np.ndarray) -> None:
        i = cell[0] - offset
        if 0 <= i < out.size:
            last = int(out[i - QUAD]) if i >= QUAD else 0xFF
            out[i] = out[i] & (0xFF ^ 1 << cell[1]) | (last & 1 << cell[1])

    a.at_read.append(act)


def coupled(effect: Callable[[int], int], distance: Callable[[random.Random], int]) -> Maker:
    """Programming a 0 into the first cell changes the second one."""

    def make(a: Array, p: Place) -> None:
        aggressor, victim = p.pair(distance(p.rng))
        if p.rng.random() < 0.5:
            aggressor, victim = victim, aggressor

        def act(quad: int, data: np.ndarray, before: np.ndarray) -> None:
            i = aggressor[0] - quad
            if 0 <= i < QUAD and before[i] >> aggressor[1] & 1 and not a.bit(aggressor):
                a.put(victim, effect(a.bit(victim)))

        a.after_program.append(act)

    return make


def state(aggressor_is: int, value: int) -> Maker:
    """While the first cell holds a value the second one reads another."""

    def make(a: Array, p: Place) -> None:
        aggressor, victim = p.pair(p.rng.choice((0, 1, 2)))
        a.show(victim, lambda: value if a.bit(aggressor) == aggressor_is else a.bit(victim))

    return make


def bridge(rule: Callable[[int, int], int], distance: int) -> Maker:
    def make(a: Array, p: Place) -> None:
        one, two = p.pair(distance)
        for cell in (one, two):
            a.show(cell, lambda: rule(a.bit(one), a.bit(two)))

    return make


def bit_line_short(a: Array, p: Place) -> None:
    byte, bit = p.rng.randrange(QUAD), p.rng.randrange(7)

    def act(offset: int, out: np.ndarray) -> None:
        at = np.arange(offset, offset + out.size)
        hit = (at // SECTOR == p.sector) & (at % QUAD == byte)
        both = out[hit] >> bit & out[hit] >> bit + 1 & 1
        out[hit] = out[hit] & (0xFF ^ 3 << bit) | both << bit | both << bit + 1

    a.at_read.append(act)


def word_line_short(a: Array, p: Place) -> None:
    row = p.start + ROW * p.rng.randrange(SECTOR // ROW - 1)

    def reached(quad: int) -> tuple[int, ...]:
        if row <= quad < row + ROW:
            return quad, quad + ROW
        return (quad, quad - ROW) if row + ROW <= quad < row + 2 * ROW else (quad,)

    a.program_to = reached


def gate_disturb(a: Array, p: Place) -> None:
    """Programming another quad-word of the row charges an erased cell."""
    cell = p.cell()

    def act(quad: int, data: np.ndarray, before: np.ndarray) -> None:
        if quad // ROW == cell[0] // ROW and quad != cell[0] // QUAD * QUAD:
            a.put(cell, 0)

    a.after_program.append(act)


def drain_disturb(a: Array, p: Place) -> None:
    """Programming a 0 into the same column of the sector takes a cell's charge."""
    cell = p.cell()

    def act(quad: int, data: np.ndarray, before: np.ndarray) -> None:
        own = cell[0] // QUAD * QUAD
        if quad // SECTOR == p.sector and quad != own and not data[cell[0] % QUAD] >> cell[1] & 1:
            a.put(cell, 1)

    a.after_program.append(act)


def erase_disturb(count: int, value: int) -> Maker:
    """Erasing the other sector changes cells of this one."""

    def make(a: Array, p: Place) -> None:
        cells = [p.cell() for _ in range(count)]

        def act(sector: int, before: np.ndarray) -> None:
            if sector == p.other:
                for cell in cells:
                    a.put(cell, value)

        a.after_erase.append(act)

    return make


def erased_along(a: Array, p: Place) -> None:
    def act(sector: int, before: np.ndarray) -> None:
        if sector == p.other:
            a.held[p.start : p.start + SECTOR] = 0xFF

    a.after_erase.append(act)


def read_disturb(reads: int, value: int) -> Maker:
    def make(a: Array, p: Place) -> None:
        cell, seen = p.cell(), [0]

        def act(offset: int, out: np.ndarray) -> None:
            if offset <= cell[0] < offset + out.size:
                seen[0] += 1
                if seen[0] >= reads:
                    a.put(cell, value)

        a.at_read.append(act)
        a.after_erase.append(lambda sector, before: seen.__setitem__(0, 0) if sector == p.sector else None)

    return make


def over_erased(a: Array, p: Place) -> None:
    """A depleted cell conducts always: its column reads ones until the cell is programmed."""
    cell = p.cell()

    def act(offset: int, out: np.ndarray) -> None:
        if a.bit(cell):
            at = np.arange(offset, offset + out.size)
            hit = (at // SECTOR == p.sector) & (at % QUAD == cell[0] % QUAD)
            out[hit] |= 1 << cell[1]

    a.at_read.append(act)


def leaking(by_power: bool) -> Maker:
    """A cell that loses its charge while there is no supply, or within 20 ms."""

    def make(a: Array, p: Place) -> None:
        cell = p.cell()
        since = [a.chip.power_ups, a.chip.clock.now_s]

        def programmed(quad: int, data: np.ndarray, before: np.ndarray) -> None:
            if quad <= cell[0] < quad + QUAD:
                since[:] = a.chip.power_ups, a.chip.clock.now_s

        def act(offset: int, out: np.ndarray) -> None:
            late = a.chip.power_ups > since[0] if by_power else a.chip.clock.now_s > since[1] + 0.02
            i = cell[0] - offset
            if late and 0 <= i < out.size:
                a.put(cell, 1)
                out[i] |= 1 << cell[1]

        a.after_program.append(programmed)
        a.at_read.append(act)

    return make


def no_cell(a: Array, p: Place) -> None:
    quad = p.quad()
    a.program_to = lambda q: () if q == quad else (q,)
    a.read_from = lambda q: () if q == quad else (q,)


def wrong_cell(a: Array, p: Place) -> None:
    """An address that reaches another one's cells; its own are reached by nobody."""
    quad, other = p.rng.sample(range(PER), 2)
    mine, its = p.start + QUAD * quad, p.start + QUAD * other
    a.program_to = a.read_from = lambda q: (its,) if q == mine else (q,)


def several_cells(a: Array, p: Place) -> None:
    """An address that reaches its own cells and another one's."""
    quad, other = p.rng.sample(range(PER), 2)
    mine, its = p.start + QUAD * quad, p.start + QUAD * other
    a.program_to = a.read_from = lambda q: (mine, its) if q == mine else (q,)


def exchanged(a: Array, p: Place) -> None:
    """A row decoder that is open in one line: the upper half of a block of rows is the lower one."""
    line = QUAD << p.rng.randrange(0, 8)
    a.program_to = a.read_from = lambda q: (q & ~line,) if q // SECTOR == p.sector else (q,)


def between_sectors(a: Array, p: Place) -> None:
    """Programming the other sector also programs a quad-word here."""
    offset = p.quad() - p.start
    theirs = p.other * SECTOR + offset
    a.program_to = lambda q: (q, p.start + offset) if q == theirs else (q,)


def under_ecc(count: int) -> Maker:
    """Cells below the ECC that hold one value: one is corrected, two show."""

    def make(a: Array, p: Place) -> None:
        quad = p.quad()
        cells = {p.cell(quad): p.rng.randrange(2) for _ in range(64)}
        chosen = dict(list(cells.items())[:count])

        def wrong() -> int:
            return sum(a.bit(c) != v for c, v in chosen.items())

        if count > 1:
            for cell, value in chosen.items():
                a.show(cell, lambda cell=cell, value=value: value if wrong() > 1 else a.bit(cell))

        def events(offset: int, size: int) -> list[EccEvent]:
            inside = offset < quad + QUAD and quad < offset + size
            return [EccEvent(quad, wrong() > 1)] if inside and wrong() else []

        a.events = events

    return make


def parity_cell(a: Array, p: Place) -> None:
    """A cell of the check bits: the data is right and the ECC corrects whenever the quad-word is programmed."""
    quad = p.quad()

    def events(offset: int, size: int) -> list[EccEvent]:
        inside = offset < quad + QUAD and quad < offset + size
        return [EccEvent(quad, False)] if inside and a.held[quad : quad + QUAD].sum() % 2 else []

    a.events = events


def weak(chance: float) -> Maker:
    """A cell near its threshold, cold, hot or fast: reads wrong now and then."""

    def make(a: Array, p: Place) -> None:
        cell = p.cell()
        a.show(cell, lambda: a.bit(cell) ^ (a.rng.random() < chance))

    return make


def half_programmed(a: Array, p: Place) -> None:
    quad = p.quad()

    def act(q: int, data: np.ndarray, before: np.ndarray) -> None:
        if q == quad:
            a.held[q + 8 : q + QUAD] = before[8:]

    a.after_program.append(act)


def never_programmed(a: Array, p: Place) -> None:
    quad = p.quad()
    a.program_to = lambda q: () if q == quad else (q,)


def no_erase(a: Array, p: Place) -> None:
    def act(sector: int, before: np.ndarray) -> None:
        if sector == p.sector:
            a.held[p.start : p.start + SECTOR] = before

    a.after_erase.append(act)


def no_program(a: Array, p: Place) -> None:
    a.program_to = lambda q: () if q // SECTOR == p.sector else (q,)


CLASSES: dict[str, Maker] = {
    "stuck at 0": stuck(0),
    "stuck at 1": stuck(1),
    "bit line stuck at 0": bit_line(0),
    "bit line stuck at 1": bit_line(1),
    "word line open: a row reads ones": word_line,
    "transition: does not rise": not_rising(1.0),
    "transition: does not fall": not_falling(1.0),
    "does not rise, once in 20 erases": not_rising(0.05),
    "does not fall, once in 20 programs": not_falling(0.05),
    "stuck open: reads as the cell before": stuck_open,
    "coupling, inverting, in a quad-word": coupled(lambda v: 1 - v, lambda rng: 0),
    "coupling, inverting, next quad-word": coupled(lambda v: 1 - v, lambda rng: 1),
    "coupling to 0 in a quad-word": coupled(lambda v: 0, lambda rng: 0),
    "coupling to 1 in a quad-word": coupled(lambda v: 1, lambda rng: 0),
    "coupling to 0, 1 to 64 quad-words": coupled(lambda v: 0, lambda rng: rng.randrange(1, 65)),
    "coupling to 1, 1 to 64 quad-words": coupled(lambda v: 1, lambda rng: rng.randrange(1, 65)),
    "state: reads 0 beside a 0": state(0, 0),
    "state: reads 1 beside a 0": state(0, 1),
    "state: reads 0 beside a 1": state(1, 0),
    "state: reads 1 beside a 1": state(1, 1),
    "bridge, and, in a quad-word": bridge(lambda x, y: x & y, 0),
    "bridge, or, in a quad-word": bridge(lambda x, y: x | y, 0),
    "bridge, and, next quad-word": bridge(lambda x, y: x & y, 1),
    "bridge, or, next quad-word": bridge(lambda x, y: x | y, 1),
    "two bit lines shorted": bit_line_short,
    "two word lines shorted": word_line_short,
    "gate disturb: programs in the row charge": gate_disturb,
    "drain disturb: programs in the column discharge": drain_disturb,
    "erase disturb of one cell, to 1": erase_disturb(1, 1),
    "erase disturb of two cells, to 1": erase_disturb(2, 1),
    "erase disturb of one cell, to 0": erase_disturb(1, 0),
    "an erase takes another sector": erased_along,
    "read disturb after 60 reads, to 0": read_disturb(60, 0),
    "read disturb after 60 reads, to 1": read_disturb(60, 1),
    "over-erased: its column reads ones": over_erased,
    "retention: lost within 20 ms": leaking(by_power=False),
    "retention: lost without supply": leaking(by_power=True),
    "decoder: no cell at an address": no_cell,
    "decoder: another address's cells": wrong_cell,
    "decoder: two cells at an address": several_cells,
    "decoder: one address line open": exchanged,
    "decoder: programs reach another sector": between_sectors,
    "one cell below the ECC": under_ecc(1),
    "two cells below the ECC": under_ecc(2),
    "a check bit of the ECC": parity_cell,
    "weak cell, wrong in half of the reads": weak(0.5),
    "weak cell, wrong in one read of 20": weak(0.05),
    "quad-word never programmed": never_programmed,
    "quad-word half programmed": half_programmed,
    "sector does not erase": no_erase,
    "sector takes no programming": no_program,
    "none": lambda a, p: None,
}


def one(name: str, place: int, seed: int) -> dict[str, object]:
    """Make one run and return what came of it."""
    rng = random.Random(f"{seed}:{name}:{place}")
    chip = VirtualChip(parse_items([f"seed={rng.randrange(1 << 30)}", f"link={rng.choice(('dap', 'memory'))}"]))
    first = rng.randrange(0, 127) * 2
    sectors = [first, first + 1]
    where = AddressRange(BASE + first * SECTOR, BASE + (first + 2) * SECTOR)
    at = first * SECTOR
    noise = np.random.default_rng(rng.randrange(1 << 30)).integers(0, 256, 2 * SECTOR, np.uint8)
    chip.state.data[at : at + 2 * SECTOR] = noise
    chip.state.marks[at // QUAD : (at + 2 * SECTOR) // QUAD] = WRITTEN
    array = Array(chip, rng)
    mine = rng.choice(sectors)
    CLASSES[name](array, Place(rng, mine, next(s for s in sectors if s != mine)))
    folder = tempfile.mkdtemp()
    try:
        probe = VirtualProbe(chip, chip.setup.link)
        allowed = Permissions(erase=(where,), halt=True)
        with connect("virtual", probe=probe, mode=ConnectMode.HALT, permissions=allowed) as board:
            result = flash_test(board, TestPlan(where, Level.STANDARD, way=Way.REGISTERS, burst=SECTOR), folder + "/t")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    said = {(s.start - BASE) // SECTOR: s for s in result.sectors if s.verdict != "good"}
    return {
        "class": name,
        "place": place,
        "found": mine in said,
        "bad": mine in said and said[mine].verdict == "bad",
        "others": sum(s.verdict == "bad" for at, s in said.items() if at != mine),
        "kinds": sorted({f.kind for s in said.values() for f in s.faults}),
        "reasons": [s.reason for s in said.values() if s.verdict == "untested"],
    }


def table(rows: list[dict]) -> str:
    out = [
        "| class | runs | found in its sector | called bad | other sector called bad | named |",
        "|---|---|---|---|---|---|",
    ]
    for name in CLASSES:
        mine = [r for r in rows if r["class"] == name]
        if mine:
            found, bad = sum(r["found"] for r in mine), sum(r["bad"] for r in mine)
            others = sum(bool(r["others"]) for r in mine)
            kinds = ", ".join(sorted({k for r in mine for k in r["kinds"]})) or "-"
            out.append(f"| {name} | {len(mine)} | {found} | {bad} | {others} | {kinds} |")
    return "\n".join(out) + "\n"


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--places", type=int, default=8)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--out", type=Path, default=ROOT / ".bench" / "flash_models.jsonl")
    p.add_argument("--classes", default="", help="only those whose name has this text")
    p.add_argument("--doc", type=Path, default=None, help="write the table between its marks in this page")
    o = p.parse_args()
    o.out.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(t) for t in o.out.read_text("utf-8").splitlines()] if o.out.exists() else []
    done = {(r["class"], r["place"]) for r in rows}
    with o.out.open("a", encoding="utf-8") as stream:
        for place in range(o.places):
            for name in CLASSES:
                if o.classes in name and (name, place) not in done:
                    rows.append(one(name, place, o.seed))
                    stream.write(json.dumps(rows[-1]) + "\n")
                    stream.flush()
    text = table(rows)
    print(text)
    if o.doc is not None:
        page = o.doc.read_text("utf-8")
        begin, end = "<!-- models begin -->\n", "<!-- models end -->"
        head, tail = page.split(begin)[0], page.split(end)[1]
        o.doc.write_text(f"{head}{begin}{text}{end}{tail}", "utf-8")
    return int(
        any(r["others"] for r in rows if r["class"] == "none") or any(r["bad"] for r in rows if r["class"] == "none")
    )


if __name__ == "__main__":
    raise SystemExit(main())
