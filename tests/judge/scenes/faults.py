"""Really faulty boards, by what happens to cells, rows, columns and banks, with the evidence that people have of it."""

from __future__ import annotations

import json
import random

from .firmware import link, write_program
from .kinds import CELLS, NONE, Item, Scene, app, dump, erased as blank, image, kind, options, pick, put
from .papers import Part, banner, flash_record, programming

_MISMATCH = "Data mismatch found at address 0x{:08X} (byte = 0xFF instead of 0x46)"


def _log(rng: random.Random, part: Part, size: int, at: int, name: str = "") -> Item:
    """Return what the programmer printed: erased, written, and not right at one address."""
    sectors = (0, size // part.sector)
    text = programming("fw.hex", part.base, size, sectors=sectors, verified=False, error=_MISMATCH.format(at))
    return Item("suspect-log", (banner(rng, part) + text).encode(), name=name)


@kind
def erase_leaves_a_band(rng: random.Random) -> Scene:
    """Some rows of one sector do not erase: the old zeros stay under the new program there."""
    part = pick(rng, "h563", "h573", "u575")
    base, code = app(rng, part, share=(0.06, 0.1))
    old = link(write_program(rng, len(code) + 2_000), base)
    start = part.sector * rng.randint(2, 6) + 0x200 * rng.randint(1, 6)
    stop = start + 0x200 * rng.randint(1, 3)
    flash = put(blank(part), part, base, code)
    flash[start:stop] = bytes(a & b for a, b in zip(old[start:stop], code[start:stop], strict=True))
    items = [image(code, base), dump(flash, part), dump(flash, part), _log(rng, part, len(code), base + start)]
    return Scene(
        items, ("flash-defect", "not-erased"), ("suspect", "undecided"), ("worn-cells", "dump-corrupted"), faulty=True
    )


@kind
def half_a_sector_takes_nothing(rng: random.Random) -> Scene:
    """Half of a sector stays erased at every attempt, and the programmer says where, twice."""
    part = pick(rng, "h563", "h573")
    base, code = app(rng, part, share=(0.06, 0.1))
    start = part.sector * rng.randint(2, 6) + part.sector // 2
    flash = put(blank(part), part, base, code)
    put(flash, part, base + start, b"\xff" * (part.sector // 2))
    logs = [_log(rng, part, len(code), base + start, name) for name in ("first", "second")]
    items = [image(code, base), dump(flash, part), dump(flash, part), *logs, options(rng, part, needed=True)]
    right = ("flash-defect", "programming-incomplete")
    return Scene(items, right, ("suspect", "undecided"), ("worn-cells",), faulty=True, say=(f"{base + start:07X}",))


@kind
def charge_lost_by_heat(rng: random.Random) -> Scene:
    """After a rework with hot air, cells of a few neighbouring sectors lost charge; the rest is right."""
    part = pick(rng, "h563", "h573", "h523")
    base, code = app(rng, part, share=(0.12, 0.2))
    before = put(blank(part), part, base, code)
    first = part.sector * rng.randint(1, 3)
    flash = bytearray(before)
    for quad in rng.sample(range(first // 16, (first + 3 * part.sector) // 16), rng.randint(40, 160)):
        at = quad * 16 + rng.randrange(16)
        low = [b for b in range(8) if not flash[at] >> b & 1]
        if low:
            flash[at] |= 1 << rng.choice(low)
    items = [image(code, base), dump(flash, part), dump(flash, part), dump(flash, part)]
    return Scene(items, CELLS, ("suspect",), ("torn-write", "not-erased", "other-build", "board-data"), faulty=True)


@kind
def second_bank_dead(rng: random.Random) -> Scene:
    """A thorough test of sectors in the second bank: none of them erases."""
    part = pick(rng, "h563", "h573")
    start = part.base + part.size // 2 + part.sector * rng.randint(0, 40)
    record = json.loads(flash_record(rng, start, proven=True, faults=True))
    fault = next(f for s in record["sectors"] for f in s["faults"])
    for s in record["sectors"]:
        s["verdict"] = "bad"
        s["faults"] = [fault | {"kind": "dead-sector", "address": s["start"], "bit": None, "detail": "does not erase"}]
    record["faults"] = len(record["sectors"])
    base, code = app(rng, part)
    items = [Item("suspect-flashtest", json.dumps(record).encode()), options(rng, part, needed=True)]
    items.append(dump(put(blank(part), part, base, code), part, needed=False))
    return Scene(items, ("flash-defect",), ("faulty",), ("worn-cells",), faulty=True)


@kind
def one_bit_fails_at_each_attempt(rng: random.Random) -> Scene:
    """One cell does not erase any more; the same byte fails in each of two runs of the programmer."""
    part = pick(rng, "h563", "h573")
    base, code = app(rng, part)
    ones = [i for i in rng.sample(range(0x400, len(code)), 400) if code[i]]
    at = ones[0]
    bit = rng.choice([b for b in range(8) if code[at] >> b & 1])
    flash = put(blank(part), part, base, code)
    flash[at] &= ~(1 << bit)
    logs = [_log(rng, part, len(code), base + at, name) for name in ("monday", "tuesday")]
    items = [image(code, base), dump(flash, part), dump(flash, part), *logs, options(rng, part, needed=True)]
    wrong = ("torn-write", "other-build", "board-data", "dump-corrupted")
    return Scene(items, ("flash-defect", "worn-cells"), ("suspect",), wrong, faulty=True, say=(f"{base + at:07X}",))


@kind
def a_word_too_weak_at_a_low_supply(rng: random.Random) -> Scene:
    """At 3.3 V every read is right; at 1.8 V a few bits of one row read now so, now so."""
    part = pick(rng)
    base, code = app(rng, part)
    flash = put(blank(part), part, base, code)
    row = rng.randrange(4, len(code) // 0x200) * 0x200
    weak = [(row + rng.randrange(0x200), rng.randrange(8)) for _ in range(rng.randint(3, 6))]
    reads = [bytearray(flash) for _ in range(4)]
    for read in reads[1:]:
        for at, bit in weak:
            if at < len(code) and rng.random() < 0.6:
                read[at] ^= 1 << bit
    for i, (at, bit) in enumerate(weak):  # each of them shows in at least one read
        reads[1 + i % 3][min(at, len(code) - 1)] = flash[min(at, len(code) - 1)] ^ 1 << bit
    items = [image(code, base), *(dump(r, part) for r in reads)]
    return Scene(items, ("worn-cells",), ("suspect",), ("flash-defect", "dump-corrupted"), faulty=True)


@kind
def ecc_error_that_a_test_proves(rng: random.Random) -> Scene:
    """The firmware's NMI handler prints one double ECC error after each reset; a test of that sector fails there."""
    part = pick(rng, "h563", "h573")
    start = part.base + part.sector * rng.randint(4, 60)
    record = flash_record(rng, start, proven=True, faults=True)
    word = next(f["address"] for s in json.loads(record)["sectors"] for f in s["faults"])
    line = f"NMI: flash ECC\r\nECCDETR = 0x{0x80000000 | (word - part.base) // 16:08X}\r\n"
    items = [Item("suspect-flashtest", record), Item("suspect-uart", (line * rng.randint(2, 4)).encode())]
    items.append(options(rng, part, needed=True))
    return Scene(items, ("flash-defect",), ("faulty",), ("worn-cells",), faulty=True, say=(f"{word:07X}",))


@kind
def one_column_of_the_flash_word(rng: random.Random) -> Scene:
    """One bit line of a bank reads 0 in every 128-bit word: no debug link has such a line."""
    part = pick(rng, "h563", "h573", "u575")
    base, code = app(rng, part, share=(0.1, 0.14))
    column = rng.randrange(16), rng.randrange(8)
    flash = put(blank(part), part, base, code)
    for at in range(column[0], len(code), 16):
        flash[at] &= ~(1 << column[1])
    items = [image(code, base), dump(flash, part), dump(flash, part)]
    return Scene(
        items, ("flash-defect",), ("suspect", "undecided"), ("not-erased", "other-build", "board-data"), faulty=True
    )


@kind
def two_rows_answer_as_one(rng: random.Random) -> Scene:
    """A row decoder opens the same row for two addresses: the content of one stands at both, in every read."""
    part = pick(rng, "h563", "h573")
    base, code = app(rng, part, share=(0.1, 0.14))
    row, size = rng.randint(8, 40), 0x200
    other = row + rng.choice((3, 5, 6, 9))
    flash = put(blank(part), part, base, code)
    flash[other * size : (other + 1) * size] = flash[row * size : (row + 1) * size]
    items = [image(code, base), dump(flash, part), dump(flash, part)]
    right = ("flash-defect", NONE)
    return Scene(items, right, ("suspect", "undecided"), ("wrong-placement", "other-build"), faulty=True)
