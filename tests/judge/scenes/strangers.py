"""More scenes from outside: other families, other tools, other ways to lose a program.

Their stories were collected before the checks were read; what was missed of them was mended since.
"""

from __future__ import annotations

import random
import struct

from .firmware import link, write_program
from .kinds import CELLS, NONE, Item, Scene, app, dump, erased, image, kind, options, pick, put
from .papers import PARTS, Options, banner, hex_file, programming


def _text(role: str, text: str) -> Item:
    return Item(f"suspect-{role}", text.encode())


def _stflash(rng: random.Random, device: str, sram: int, kib: int, size: int) -> str:
    at = f"2025-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}T{rng.randint(8, 18):02d}:{rng.randint(0, 59):02d}:11"
    return (
        f"st-flash 1.{rng.randint(7, 8)}.0\n{at} INFO common.c: {device}: {sram} KiB SRAM, {kib} KiB flash in at least 2 KiB pages.\n"
        f"{at} INFO common_flash.c: Attempting to write {size} ({size:#x}) bytes to stm32 address: 134217728 (0x8000000)\n"
    )


@kind
def second_core_forgotten(rng: random.Random) -> Scene:
    """Only one of two programs was flashed; the bank of the other is empty."""
    part = PARTS["h743"]
    base, one = app(rng, part, share=(0.02, 0.1))
    _, two = app(rng, part, part.base + part.size // 2, share=(0.01, 0.05))
    flash = put(erased(part), part, base, one)
    log = banner(rng, part) + programming("app_1.hex", base, len(one), sectors=(0, 1))
    items = [image(one, base), image(two, part.base + part.size // 2), dump(flash, part), _text("log", log)]
    return Scene(items, ("programming-incomplete",), ("undecided",), (*CELLS, "wrong-placement"))


@kind
def last_bytes_missing(rng: random.Random) -> Scene:
    """The tool programs whole units and leaves out the half one at the end of the file."""
    part = pick(rng, "u575", "h563", "h523")
    base, code = app(rng, part)
    code = code[: len(code) // 16 * 16] + struct.pack("<II", rng.getrandbits(32) | 1, rng.getrandbits(32) | 1)
    flash = put(erased(part), part, base, code[:-8])
    return Scene([image(code, base), dump(flash, part)], ("programming-incomplete", "padding"), ("undecided", "sound"))


@kind
def pages_gone_inside(rng: random.Random) -> Scene:
    """Some pages of a program were erased after it had been written."""
    part = pick(rng)
    base, code = app(rng, part, share=(0.15, 0.3))
    flash = put(erased(part), part, base, code)
    first = rng.randrange(2, len(code) // part.sector - 2) if len(code) // part.sector > 5 else 1
    gone = part.base + first * part.sector
    put(flash, part, gone, b"\xff" * min(part.sector, len(code) // 4))
    wrong = (*CELLS, "wrong-placement", "dump-corrupted", "not-erased")
    right = ("programming-incomplete", "application-wrote", "wrong-bank-erase", NONE)
    return Scene([image(code, base), dump(flash, part)], right, ("undecided",), wrong, say=(f"0x{gone:08X}",))


@kind
def linked_at_the_alias(rng: random.Random) -> Scene:
    """An old project is linked at 0, where the flash is mapped as well."""
    part = pick(rng, "f407", "l476", "g474")
    code = link(write_program(rng, rng.randint(20_000, 90_000)), 0)
    items = [image(code, 0), dump(put(erased(part), part, part.base, code), part), _text("log", banner(rng, part))]
    return Scene(items, (NONE,), ("sound", "undecided"), (*CELLS, "wrong-placement", "linked-elsewhere"))


@kind
def part_of_the_flash_saved(rng: random.Random) -> Scene:
    """The memory window was saved from where the program begins, and nobody wrote down the address."""
    part = pick(rng, "h563", "u575", "f407")
    base = part.base + rng.choice((0x8000, 0x10000, 0x20000))
    _, code = app(rng, part, base, share=(0.03, 0.06))
    held = code + b"\xff" * (-len(code) % 0x10000)
    items = [image(code, base), Item("suspect-dump", held, part.base, bare=True)]
    wrong = (*CELLS, "wrong-placement", "linked-elsewhere", "programming-incomplete")
    return Scene(items, (NONE,), ("sound", "undecided"), wrong)


@kind
def helper_over_the_program(rng: random.Random) -> Scene:
    """A vendor's helper was programmed over the start of the application; it is not among the files."""
    part = pick(rng, "g474", "l476", "h563")
    base, code = app(rng, part, share=(0.15, 0.3))
    helper = link(write_program(rng, 6_000), base)[: 2 * part.sector]
    size = -(-len(helper) // part.sector) * part.sector
    flash = put(erased(part), part, base, code)
    put(put(flash, part, base, b"\xff" * size), part, base, helper)
    log = banner(rng, part) + programming("service_operator.bin", base, len(helper), sectors=(0, 1), verified=False)
    items = [image(code, base), dump(flash, part), _text("log", log)]
    wrong = (*CELLS, "dump-corrupted", "not-erased", "wrong-placement")
    return Scene(
        items, ("programming-incomplete", "other-build", NONE), ("undecided",), wrong, say=("service_operator",)
    )


@kind
def watchdog_from_reset(rng: random.Random) -> Scene:
    """The hardware watchdog is on, and the firmware never reloads it."""
    part = pick(rng, "h563", "h573")
    base, code = app(rng, part)
    lines = f"\r\n{rng.choice(('Logger', 'Pump', 'Gateway'))} {rng.randint(1, 4)}.{rng.randint(0, 9)}\r\nreset cause: IWDG\r\ninit...\r\n"
    ob = options(rng, part, Options(extra={"IWDG_SW": "0x0  (0x0)"}), needed=True)
    items = [image(code, base), dump(put(erased(part), part, base, code), part), ob, _text("uart", lines * 8)]
    return Scene(
        items, (NONE, "options-not-applied"), ("sound", "undecided"), (*CELLS, "debug-locked"), say=("watchdog",)
    )


@kind
def sectors_locked_in_an_older_family(rng: random.Random) -> Scene:
    """One sector bit of an F4 says protected, and the programmer cannot erase."""
    part, locked = PARTS["f407"], rng.randrange(12)
    rows = "".join(f"     nWRP{i:<9}: 0x{int(i != locked)} (Write protection) \n" for i in range(12))
    text = (
        banner(rng, part) + "\nUPLOADING OPTION BYTES DATA ...\n\nOPTION BYTES BANK: 0\n\n   Read Out Protection:\n\n"
        f"     RDP          : 0xAA (Level 0, no protection) \n\n   Write Protection:\n\n{rows}\n"
    )
    refused = f"J-Link>loadfile fw.hex\nFailed to erase sectors {locked} @ address 0x08008000 ((erase error))\n"
    items = [
        Item("suspect-options", text.encode()),
        _text("log", "SEGGER J-Link Commander V7.94e\nVTref=3.31V\n" + refused),
    ]
    return Scene(items, ("write-protected",), ("undecided",), say=(f"nWRP{locked}",))


@kind
def flags_of_another_family(rng: random.Random) -> Scene:
    """The status register of a family without a chip file says why its own write was refused."""
    part = pick(rng, "g474", "l476")
    flags = rng.choice((0xA0, 0x80, 0x88, 0x28))
    regs = f"FLASH_SR : 0x{flags:08X}\nFLASH_CR : 0xC0000000\n"
    return Scene(
        [_text("registers", regs), _text("log", banner(rng, part))], ("refused-write",), say=("PGSERR|PGAERR|PROGERR",)
    )


@kind
def supply_too_low_for_words(rng: random.Random) -> Scene:
    """An F4 at 2.4 V: the programmer writes 32 bits at a time, which the chip refuses."""
    size, volts = rng.randint(9_000, 40_000), rng.randint(2150, 2600)
    text = _stflash(rng, rng.choice(("F411xx", "F446xx", "F42x_F43x")), 128, 512, size)
    text += f"2025-03-04T10:11:12 DEBUG common.c: target voltage = {volts}mV\n"
    text += "2025-03-04T10:11:13 ERROR common_flash.c: Flash programming error: 0x00000040\n"
    return Scene(
        [_text("log", text)],
        ("board-wiring", "refused-write", "programming-incomplete"),
        ("undecided",),
        (*CELLS, "debug-locked"),
        say=(rf"{volts / 1000:.2f}".replace(".", r"\."),),
    )


@kind
def copied_chip(rng: random.Random) -> Scene:
    """The debug port answers with an identity that the marked part does not have."""
    text = (
        "Open On-Chip Debugger 0.12.0\nLicensed under GNU GPL v2\nInfo : clock speed 1000 kHz\n"
        f"Info : Target voltage: 3.{rng.randint(18, 33)}\nWarn : UNEXPECTED idcode: 0x{rng.choice((0x2BA01477, 0x4BA00477)):08x}\n"
        "Error: expected 1 of 1: 0x1ba01477\n"
    )
    return Scene([_text("log", text)], ("wrong-part",), ("undecided",), (*CELLS, "debug-locked"))


@kind
def file_larger_than_the_part(rng: random.Random) -> Scene:
    """The program is for a larger part of the same line."""
    part = pick(rng, "g474", "h523", "l552")
    size = part.size + rng.randrange(4_000, 60_000)
    log = banner(rng, part) + (
        f"Memory Programming ...\nOpening and parsing file: product.hex\n  File          : product.hex\n  Size          : {size / 1024:.2f} KB \n"
        "  Address       : 0x08000000 \n\nError: Operation exceeds memory limits\n"
    )
    right = ("wrong-size-assumption", "wrong-part", "programming-incomplete")
    return Scene([_text("log", log)], right, ("undecided",), (*CELLS, "debug-locked"))


@kind
def supply_gone_since_monday(rng: random.Random) -> Scene:
    """It worked; today the probe measures hardly any supply and finds no target."""
    part = pick(rng)
    good = banner(rng, part) + programming("fw.hex", part.base, 30_000, sectors=(0, 3))
    volts = rng.uniform(0.4, 1.5)
    bad = banner(rng, part, volt=volts).split("SWD freq")[0] + "Error: No STM32 target found!\n"
    items = [Item("suspect-log", good.encode(), name="monday"), Item("suspect-log", bad.encode(), name="today")]
    return Scene(
        items, ("board-wiring",), ("undecided",), (*CELLS, "debug-locked"), say=(rf"{volts:.2f}".replace(".", r"\."),)
    )


@kind
def second_bank_starts(rng: random.Random) -> Scene:
    """BFB2 of an L4 starts the older program in the second bank."""
    part = PARTS["l476"]
    base, new = app(rng, part, share=(0.05, 0.15))
    old = link(write_program(rng, 50_000), base)
    flash = put(put(erased(part), part, base, new), part, base + part.size // 2, old)
    o = options(
        rng,
        part,
        Options(
            rdp=0xAA, extra={"nBOOT0": "0x1  (0x1)", "IWDG_SW": "0x1 \n     BFB2         : 0x1 (Dual-bank boot enable)"}
        ),
        needed=True,
    )
    items = [image(new, base), dump(flash, part), o, _text("log", banner(rng, part))]
    return Scene(
        items, ("starts-elsewhere", "bank-swapped"), ("undecided",), (*CELLS, "wrong-placement"), say=("BFB2",)
    )


@kind
def what_was_never_written_reads_zero(rng: random.Random) -> Scene:
    """An L0 erases to zero: nothing is hidden, nothing is lost."""
    part = PARTS["l073"]
    code = link(write_program(rng, rng.randint(20_000, 90_000)), part.base)
    flash = put(bytearray(part.size), part, part.base, code)
    items = [image(code, part.base), dump(flash, part), _text("log", banner(rng, part))]
    return Scene(items, (NONE,), ("sound",), (*CELLS, "masked-read", "erased-whole", "programming-incomplete"))


@kind
def hex_file_without_an_address(rng: random.Random) -> Scene:
    """A .hex made from a .bin begins at zero, and the programmer wrote nothing."""
    part = pick(rng, "f407", "g474", "u575")
    code = link(write_program(rng, rng.randint(20_000, 90_000)), part.base)
    log = banner(rng, part) + programming("app.hex", 0, len(code), sectors=(0, 1), stop_at=0)
    items = [image(code, 0), dump(erased(part), part), _text("log", log)]
    right = ("programming-incomplete", "wrong-placement", "linked-elsewhere")
    return Scene(items, right, ("undecided",), (*CELLS, "erased-whole"), say=("begins at 0x00000000",))


@kind
def written_with_its_wrapping(rng: random.Random) -> Scene:
    """A tool that knows .bin alone was given the .hex: its text stands in the flash."""
    part = pick(rng, "f407", "l476", "g474")
    code = link(write_program(rng, rng.randint(20_000, 60_000)), part.base)
    flash = put(erased(part), part, part.base, hex_file(code, part.base))
    items = [image(code, part.base), dump(flash, part), _text("log", banner(rng, part))]
    wrong = (*CELLS, "dump-corrupted", "other-build")
    return Scene(items, ("wrong-placement",), ("undecided", "sound"), wrong, say=("Intel HEX",))


@kind
def bank_option_changed_since(rng: random.Random) -> Scene:
    """Programmed with one bank, read with two: each row's halves lie in one bank each."""
    part = PARTS["g474"]
    base, code = app(rng, part)
    flash = bytes(put(erased(part), part, base, code))
    parted = b"".join(b"".join(flash[i + h : i + h + 8] for i in range(0, len(flash), 16)) for h in (0, 8))
    items = [image(code, base), dump(parted, part), _text("log", banner(rng, part))]
    wrong = (*CELLS, "masked-read", "dump-corrupted", "other-build", "wrong-placement")
    return Scene(items, ("options-not-applied",), ("undecided", "sound"), wrong, say=("DBANK",))


@kind
def the_port_opens_with_reset_held(rng: random.Random) -> Scene:
    """The firmware turns the debug pins off; a second try with reset held reads everything."""
    part = pick(rng, "f407", "l476")
    base, code = app(rng, part)
    head = (
        "Open On-Chip Debugger 0.12.0\nInfo : STLINK V2J37S7 (API v2) VID:PID 0483:3748\nInfo : Target voltage: 3.25\n"
    )
    log = head + "Error: init mode failed (unable to connect to the target)\n" + head
    log += (
        f"Info : [stm32.cpu] Cortex-M4 r0p1 processor detected\nInfo : device id = 0x1007{0x6000 | part.dev_id:04x}\n"
    )
    items = [image(code, base), dump(put(erased(part), part, base, code), part), _text("log", log)]
    right = ("door-shut-by-firmware", "board-wiring", NONE)
    return Scene(items, right, ("sound", "undecided"), (*CELLS, "debug-locked"), say=("reset held",))
