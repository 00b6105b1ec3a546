"""Kinds written by those who also wrote the checks: causes that the other half leaves out, and really faulty boards."""

from __future__ import annotations

import json
import random
from pathlib import Path

from . import faults as _faults, strangers as _strangers
from .firmware import link, write_program
from .kinds import CELLS, KINDS, NONE, Item, Scene, app, dump, erased, image, kind, options, pick, put
from .papers import PARTS, Options, banner, flash_record, listing

OTHERS = frozenset(n for n, make in KINDS.items() if make.__module__ not in (_strangers.__name__, _faults.__name__))
"""The kinds that somebody wrote who had not read the checks."""
LOADERS = Path(__file__).resolve().parents[3] / "data" / "loaders"


def _test(rng: random.Random, start: int, kinds: list[str], *, full: bool, **conditions: object) -> bytes:
    """Return a record of a flash test in which one quad-word has faults of these kinds."""
    record = json.loads(flash_record(rng, start, proven=full, faults=True))
    for sector in record["sectors"]:
        if sector["faults"]:
            first = sector["faults"][0]
            sector["faults"] = [first | {"kind": k, "bit": None, "detail": k} for k in kinds]
    record["faults"] = sum(len(s["faults"]) for s in record["sectors"])
    record["conditions"] |= conditions
    return json.dumps(record).encode()


def _wavering(rng: random.Random, flash: bytearray, places: list[tuple[int, int]], reads: int) -> list[bytearray]:
    out = []
    for _ in range(reads):
        read = bytearray(flash)
        for at, bit in places:
            if rng.random() < 0.5:
                read[at] ^= 1 << bit
        out.append(read)
    return out


# ---- really faulty ------------------------------------------------------------------------------------------------


@kind
def settings_page_worn_out(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h573", "u575", "l476")
    base, code = app(rng, part)
    page = part.size - part.sector
    flash = put(put(erased(part), part, base, code), part, part.base + page, rng.randbytes(part.sector // 2))
    weak = [(page + rng.randrange(part.sector // 2), rng.randrange(8)) for _ in range(rng.randint(6, 20))]
    reads = [dump(r, part) for r in _wavering(rng, flash, weak, rng.randint(3, 5))]
    return Scene(
        [image(code, base), *reads], ("worn-cells",), ("suspect",), ("flash-defect", "dump-corrupted"), faulty=True
    )


@kind
def doubtful_beside_a_good_board(rng: random.Random) -> Scene:
    part = pick(rng)
    base, code = app(rng, part)
    flash = put(erased(part), part, base, code)
    weak = [(rng.randrange(len(code)), rng.randrange(8)) for _ in range(rng.randint(5, 12))]
    reads = [dump(r, part) for r in _wavering(rng, flash, weak, 3)]
    items = [dump(flash, part, "good"), *reads, options(rng, part)]
    return Scene(items, ("worn-cells",), ("suspect",), ("flash-defect", "dump-corrupted"), faulty=True)


@kind
def charge_lost_beside_a_good_board(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h523", "l552")
    base, code = app(rng, part)
    good = put(erased(part), part, base, code)
    flash = bytearray(good)
    for quad in rng.sample(range(len(code) // 16), rng.randint(60, 200)):
        at = quad * 16 + rng.randrange(16)
        low = [b for b in range(8) if not flash[at] >> b & 1]
        if low:
            flash[at] |= 1 << rng.choice(low)
    items = [dump(good, part, "good"), dump(flash, part), dump(flash, part)]
    return Scene(
        items, CELLS, ("suspect", "undecided"), ("torn-write", "not-erased", "other-build", "board-data"), faulty=True
    )


@kind
def address_line_beside_a_good_board(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h573")
    base, code = app(rng, part, share=(0.14, 0.15))
    good = put(erased(part), part, base, code)
    flash, line = bytearray(good), rng.choice((0x800, 0x2000, 0x8000))
    for at in range(0, part.size, 2 * line):
        flash[at + line : at + 2 * line] = flash[at : at + line]
    items = [dump(good, part, "good"), dump(flash, part), dump(flash, part)]
    wrong = ("wrong-placement", "worn-cells", "dump-corrupted", "other-build")
    return Scene(items, ("flash-defect",), ("suspect", "undecided"), wrong, faulty=True)


@kind
def sector_proved_dead(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h573")
    start = part.base + 0x2000 * rng.randint(4, 60)
    record = _test(rng, start, [rng.choice(("dead-sector", "ignored-program", "stuck-at-1"))], full=True)
    items = [Item("suspect-flashtest", record), options(rng, part, needed=True)]
    return Scene(items, ("flash-defect",), ("faulty",), ("worn-cells",), faulty=True)


@kind
def cell_below_the_ecc(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h573")
    base, code = app(rng, part)
    record = _test(rng, part.base + 0x2000 * rng.randint(4, 60), ["ecc-corrected"], full=True)
    flash = put(erased(part), part, base, code)
    items = [Item("suspect-flashtest", record), dump(flash, part), image(code, base), options(rng, part, needed=True)]
    return Scene(items, ("flash-defect",), ("faulty",), ("worn-cells",), faulty=True)


@kind
def failing_test_at_a_weak_supply(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h573")
    start = part.base + 0x2000 * rng.randint(4, 60)
    record = _test(rng, start, ["stuck-at-0"], full=True, voltage_mv=rng.randint(1200, 1650))
    items = [Item("suspect-flashtest", record), options(rng, part, needed=True)]
    return Scene(items, ("flash-defect",), ("suspect",), ("worn-cells",), faulty=True)


@kind
def test_finds_unstable_cells(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h573")
    record = _test(rng, part.base + 0x2000 * rng.randint(4, 60), ["unstable"], full=True)
    items = [Item("suspect-flashtest", record), options(rng, part, needed=True)]
    return Scene(items, ("worn-cells",), ("suspect",), ("flash-defect",), faulty=True)


# ---- and what is none of the chip's -------------------------------------------------------------------------------


@kind
def part_is_not_the_ordered_one(rng: random.Random) -> Scene:
    text = banner(rng, PARTS["h563g"]) + "\n"
    return Scene(
        [Item("suspect-log", text.encode())],
        ("wrong-part", "wrong-size-assumption"),
        args=["--marking", "STM32H563ZIT6"],
    )


@kind
def errors_at_high_speed_only(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h573")
    points, bad = [], rng.choice((8, 16))
    for mhz in (1, 4, 8, 16):
        points.append({"swd_hz": mhz * 10**6, "bytes": 65536, "disagreeing": rng.randint(3, 90) if mhz >= bad else 0})
    items = [Item("suspect-sweep", json.dumps({"sweep": points}).encode()), options(rng, part, needed=True)]
    return Scene(items, ("board-wiring",))


@kind
def loader_passed_over(rng: random.Random) -> Scene:
    text = (LOADERS / "logs" / "h5-bypassed.txt").read_text("utf-8")
    return Scene([Item("suspect-log", text.encode(), name="vb3")], ("loader-bypassed",))


@kind
def options_cut_by_a_power_loss(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h573", "h523")
    lines = []
    for line in listing(rng, part, Options()).split("\n"):
        name, colon, value = line.partition(": 0x")
        digits = value.split(" ")[0]
        full = digits and all(c in "0123456789abcdefABCDEF" for c in digits) and line.startswith("     ")
        ones = {1: "1", 2: "FF"}.get(len(digits), "F" * len(digits))
        lines.append(f"{name}{colon}{ones}" if full else line)
    return Scene(
        [Item("suspect-options", "\n".join(lines).encode())], ("options-torn",), wrong=(*CELLS, "erased-whole")
    )


@kind
def built_for_the_secure_side(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h573")
    code = link(write_program(rng, rng.randint(30_000, 90_000)), part.base | 0x04000000)
    flash = put(erased(part), part, part.base, code)
    items = [image(code, part.base), dump(flash, part), options(rng, part, Options(), needed=True)]
    return Scene(items, ("linked-elsewhere",), ("sound", "undecided"), (*CELLS, "wrong-placement"))


@kind
def unique_id_through_the_cache(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h573")
    base, code = app(rng, part)
    at = 0x08FFF800 + 4 * rng.randrange(3)
    text = f"*** HardFault ***\nCFSR  = 0x00008200\nHFSR  = 0x40000000\nBFAR  = 0x{at:08X}\nPC    = 0x08000C1A\nICACHE_CR = 0x00000001\n"
    items = [Item("suspect-uart", text.encode()), dump(put(erased(part), part, base, code), part), image(code, base)]
    items.append(options(rng, part, Options(), needed=True))
    return Scene(items, ("stale-cache", NONE), ("sound", "undecided"))
