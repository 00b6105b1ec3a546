"""Boards and what happened to them: each scene is a story (file, tool, boot loader, fault), then loose evidence.

A scene is written from the event, not from what a program might look for. It returns the files its owner would have
at hand and what a field engineer would answer. Which of the files are handed in, under which names and in which form,
is decided in `evidence.py`.
"""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from .firmware import dated, link, next_build, write_program
from .papers import PARTS, Options, Part, banner, core_record, flash_record, listing, programming

NONE = "none"
CELLS = ("worn-cells", "flash-defect")


@dataclass
class Item:
    """One file: role, content, whether the story can be understood without it, base address for memory.

    `bare` memory is handed in as bytes alone, so that nothing tells its address.
    """

    role: str
    data: bytes
    base: int | None = None
    needed: bool = True
    name: str = ""
    bare: bool = False


@dataclass
class Scene:
    """What is handed in and what the answer is.

    `first` are causes that may lead (``none`` = no cause leads); `wrong` must neither lead nor be supported.
    """

    items: list[Item]
    first: tuple[str, ...]
    verdicts: tuple[str, ...] = ("undecided",)
    wrong: tuple[str, ...] = CELLS
    faulty: bool = False
    say: tuple[str, ...] = ()
    say_not: tuple[str, ...] = ()
    args: list[str] = field(default_factory=list)


Kind = Callable[[random.Random], Scene]
KINDS: dict[str, Kind] = {}
HARMLESS: set[str] = set()


def kind(make: Kind) -> Kind:
    KINDS[make.__name__.replace("_", "-")] = make
    return make


def harmless(make: Kind) -> Kind:
    HARMLESS.add(make.__name__.replace("_", "-"))
    return kind(make)


def erased(part: Part) -> bytearray:
    return bytearray(b"\xff" * part.size)


def put(flash: bytearray, part: Part, base: int, data: bytes) -> bytearray:
    at = base - part.base
    flash[at : at + len(data)] = data
    return flash


def pick(rng: random.Random, *words: str) -> Part:
    return PARTS[rng.choice(words or ("h563", "h563", "h563g", "h573", "h523", "u575", "l552", "l476", "g474"))]


def app(
    rng: random.Random, part: Part, base: int | None = None, share: tuple[float, float] = (0.08, 0.3)
) -> tuple[int, bytes]:
    base = part.base if base is None else base
    size = int(part.size * rng.uniform(*share))
    return base, link(write_program(rng, min(size, 300_000)), base)


def dump(flash: bytes, part: Part, role: str = "suspect", needed: bool = True) -> Item:
    return Item(f"{role}-dump", bytes(flash), part.base, needed)


def image(data: bytes, base: int) -> Item:
    return Item("image", data, base)


def options(
    rng: random.Random, part: Part, o: Options | None = None, role: str = "suspect", needed: bool = False
) -> Item:
    return Item(f"{role}-options", listing(rng, part, o or Options(rdp=0xAA)).encode(), None, needed)


# ---- nothing is wrong ---------------------------------------------------------------------------------------------


@harmless
def equal_boards(rng: random.Random) -> Scene:
    part = pick(rng)
    base, code = app(rng, part)
    flash = put(erased(part), part, base, code)
    return Scene([dump(flash, part, "good"), dump(flash, part), options(rng, part)], (NONE,), ("sound",))


@harmless
def file_and_board_agree(rng: random.Random) -> Scene:
    part = pick(rng)
    base, code = app(rng, part)
    return Scene([image(code, base), dump(put(erased(part), part, base, code), part)], (NONE,), ("sound",))


@harmless
def serial_numbers(rng: random.Random) -> Scene:
    part = pick(rng)
    base, code = app(rng, part)
    page = part.base + part.size - part.sector * rng.randint(1, 3)
    boards = []
    for _ in range(2):
        sheet = b"PROD" + struct.pack("<III", 1, rng.randrange(1 << 24), 0x20260000 + rng.randrange(0x1231))
        sheet += bytes(rng.randrange(256) for _ in range(6)) + b"\0\0" + b"rev C".ljust(16, b"\0")
        boards.append(put(put(erased(part), part, base, code), part, page, sheet + struct.pack("<I", sum(sheet))))
    return Scene(
        [dump(boards[0], part, "good"), dump(boards[1], part)],
        ("board-data", "application-wrote", NONE),
        ("sound", "undecided"),
    )


@harmless
def calibration(rng: random.Random) -> Scene:
    part = pick(rng)
    base, code = app(rng, part)
    page = part.base + part.size // 2 - part.sector
    boards = []
    for _ in range(2):
        table = b"".join(struct.pack("<f", rng.gauss(1.0, 0.02)) for _ in range(rng.choice((24, 48, 96))))
        boards.append(put(put(erased(part), part, base, code), part, page, table + hashlib.md5(table).digest()))
    return Scene(
        [dump(boards[0], part, "good"), dump(boards[1], part), options(rng, part)],
        ("board-data", "application-wrote", NONE),
        ("sound", "undecided"),
    )


@harmless
def eeprom_emulation(rng: random.Random) -> Scene:
    part = pick(rng)
    base, code = app(rng, part)
    page = part.base + part.size - 2 * part.sector
    boards = []
    for writes in (rng.randint(3, 20), rng.randint(40, 110)):
        log = struct.pack("<QQ", 0xEEEEEEEEEEEEEEEE, 0xFFFFFFFFFFFFFFFF)
        for n in range(writes):
            value = rng.randrange(1 << 32)
            log += struct.pack("<IIII", rng.randrange(8), value, n, value ^ 0xA5A5A5A5)
        boards.append(put(put(erased(part), part, base, code), part, page, log))
    return Scene(
        [dump(boards[0], part, "good"), dump(boards[1], part)],
        ("board-data", "application-wrote", NONE),
        ("sound", "undecided"),
    )


@harmless
def built_at_another_hour(rng: random.Random) -> Scene:
    part = pick(rng)
    base, code = app(rng, part)
    a, b = (put(erased(part), part, base, dated(code, rng)) for _ in range(2))
    return Scene(
        [dump(a, part, "good"), dump(b, part)],
        ("other-build", "board-data", "application-wrote", NONE),
        ("sound", "undecided"),
    )


@harmless
def another_build(rng: random.Random) -> Scene:
    part = pick(rng)
    program = write_program(rng, rng.randint(40_000, min(200_000, part.size // 3)))
    newer = next_build(program, rng, rng.randint(1, 3))
    a, b = (put(erased(part), part, part.base, link(p, part.base)) for p in (program, newer))
    items = [dump(a, part, "good"), dump(b, part)]
    return Scene(items, ("other-build",), ("sound", "undecided"), (*CELLS, "wrong-placement", "dump-corrupted"))


@harmless
def tail_filled(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h573", "h523", "u575")
    base, code = app(rng, part)
    code = code[: len(code) // 16 * 16 + rng.randint(1, 15)]
    flash = put(erased(part), part, base, code + b"\0" * (-len(code) % 16))
    other = put(erased(part), part, base, code)
    return Scene([dump(other, part, "good"), dump(flash, part)], ("padding", NONE), ("sound", "undecided"))


@harmless
def loader_and_application(rng: random.Random) -> Scene:
    part = pick(rng)
    boot = link(write_program(rng, rng.randint(9_000, 24_000)), part.base)
    start = part.base + rng.choice((0x8000, 0x10000, 0x20000))
    code = link(write_program(rng, rng.randint(40_000, 120_000)), start)
    flash = put(put(erased(part), part, part.base, boot), part, start, code)
    items = [image(boot, part.base), image(code, start), dump(flash, part), options(rng, part)]
    return Scene(items, (NONE,), ("sound", "undecided"), (*CELLS, "wrong-placement", "programming-incomplete"))


# ---- the file, the tool, the person -------------------------------------------------------------------------------


@kind
def programming_cut(rng: random.Random) -> Scene:
    part = pick(rng)
    base, code = app(rng, part)
    cut = int(len(code) * rng.uniform(0.15, 0.85)) // 16 * 16
    flash = put(erased(part), part, base, code[:cut])
    items = [image(code, base), dump(flash, part)]
    if rng.random() < 0.4:
        text = banner(rng, part) + programming(
            "app.hex", base, len(code), sectors=(0, len(code) // part.sector), stop_at=100 * cut // len(code)
        )
        items.append(Item("suspect-log", text.encode(), None, False))
    return Scene(
        items,
        ("programming-incomplete",),
        ("undecided", "sound"),
        say=(f"0x0?{base + cut:07X}|0x0?{base + cut - 1:07X}",),
    )


@kind
def nothing_written(rng: random.Random) -> Scene:
    part = pick(rng)
    base, old = app(rng, part)
    _, new = app(rng, part)
    flash = put(erased(part), part, base, old)
    items = [Item("image", new, base, name="new"), Item("image", old, base, name="old"), dump(flash, part)]
    return Scene(items, ("programming-incomplete",), ("undecided", "sound"), (*CELLS, "wrong-placement"))


@kind
def over_old_content(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h523", "u575", "l552")
    base, old = app(rng, part)
    _, new = app(rng, part)
    size = max(len(old), len(new))
    old, new = old.ljust(size, b"\xff"), new.ljust(size, b"\xff")
    mixed = bytes(a & b for a, b in zip(old, new, strict=True))
    return Scene(
        [image(new.rstrip(b"\xff"), base), dump(put(erased(part), part, base, mixed), part)],
        ("not-erased",),
        ("undecided", "sound"),
    )


@kind
def wrong_address(rng: random.Random) -> Scene:
    part = pick(rng)
    start = part.base + rng.choice((0x8000, 0x10000, 0x18000, 0x20000))
    code = link(write_program(rng, rng.randint(30_000, 90_000)), start)
    shift = rng.choice((0x1000, 0x4000, 0x8000, -0x4000))
    flash = put(erased(part), part, start + shift, code)
    return Scene(
        [image(code, start), dump(flash, part)],
        ("wrong-placement",),
        ("undecided", "sound"),
        (*CELLS, "dump-corrupted"),
    )


@kind
def linked_for_another_place(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h573", "u575", "l476", "g474")
    boot = link(write_program(rng, rng.randint(9_000, 20_000)), part.base)
    start = part.base + rng.choice((0x8000, 0x10000, 0x20000))
    code = link(write_program(rng, rng.randint(40_000, 110_000)), part.base)
    flash = put(put(erased(part), part, part.base, boot), part, start, code)
    items = [image(boot, part.base), image(code, start), dump(flash, part)]
    return Scene(items, ("linked-elsewhere",), ("sound", "undecided"), (*CELLS, "wrong-placement"))


@kind
def all_gone(rng: random.Random) -> Scene:
    part = pick(rng)
    items = [dump(erased(part), part)]
    if rng.random() < 0.5:
        base, code = app(rng, part)
        items.append(image(code, base))
    return Scene(items, ("erased-whole", "programming-incomplete"), ("undecided",))


@kind
def mirror_sector_erased(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h573", "u575")
    base, code = app(rng, part, share=(0.14, 0.15))
    bank = part.size // 2
    flash = put(erased(part), part, base, code)
    second = link(write_program(rng, 60_000), base + bank)
    put(flash, part, base + bank, second)
    good = bytes(flash)
    n = rng.randint(2, 5)
    put(flash, part, base + n * part.sector, b"\xff" * part.sector)
    return Scene(
        [dump(good, part, "good"), dump(flash, part)],
        ("wrong-bank-erase", "programming-incomplete", "application-wrote", NONE),
        ("undecided",),
        say=(f"0x0?{base + n * part.sector:07X}",),
    )


@kind
def sectors_protected(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h573")
    base, old = app(rng, part, share=(0.12, 0.14))
    _, new = app(rng, part, share=(0.12, 0.14))
    group = 4 * part.sector
    first = rng.randint(0, 2)
    count = rng.randint(1, 2)
    flash = put(put(erased(part), part, base, old), part, base, new)
    for g in range(first, first + count):
        put(flash, part, base + g * group, old[g * group : (g + 1) * group])
    mask = 0xFFFFFFFF
    for g in range(first, first + count):
        mask &= ~(1 << g)
    items = [image(new, base), dump(flash, part), options(rng, part, Options(wrp=(mask, 0xFFFFFFFF)), needed=True)]
    return Scene(items, ("write-protected",), ("undecided", "sound"))


@kind
def banks_exchanged(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h573")
    base, code = app(rng, part)
    bank = part.size // 2
    old = link(write_program(rng, 70_000), base)
    good = put(put(erased(part), part, base, code), part, base + bank, old)
    flash = bytes(good[bank:]) + bytes(good[:bank])
    items = [
        dump(good, part, "good"),
        dump(flash, part),
        options(rng, part, Options(swap=1), needed=True),
        options(rng, part, Options(), "good"),
    ]
    return Scene(items, ("bank-swapped",), ("sound", "undecided"), (*CELLS, "wrong-placement"))


# ---- security -----------------------------------------------------------------------------------------------------


@kind
def secure_sectors_read_zero(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h573", "h523")
    base, code = app(rng, part)
    last = rng.choice((0xB, 0xE, 0xF, 0x13))
    good = put(erased(part), part, base, code)
    flash = bytearray(good)
    flash[: (last + 1) * part.sector] = bytes((last + 1) * part.sector)
    o = Options(tzen=0xB4, secwm1=(0, last), secwm2=(0x7F, 0))
    return Scene(
        [dump(good, part, "good"), dump(flash, part), options(rng, part, o, needed=True)],
        ("masked-read",),
        ("undecided", "sound"),
    )


@kind
def everything_secure(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h573")
    top = part.size // 2 // part.sector - 1
    o = Options(tzen=0xB4, secwm1=(0, top), secwm2=(0, top), state=rng.choice((0xED, 0x17)))
    return Scene(
        [dump(bytearray(part.size), part), options(rng, part, o, needed=True)], ("masked-read",), ("undecided",)
    )


@kind
def read_protected(rng: random.Random) -> Scene:
    part = pick(rng, "u575", "l552", "l476", "g474", "f407")
    o = Options(rdp=rng.choice((0xBB, 0x00, 0x33)))
    text = listing(rng, part, o)
    if rng.random() < 0.5:
        text = text.replace("MBytes\n", "MBytes (default)\n").replace("KBytes\n", "KBytes (default)\n")
    items = [Item("suspect-options", text.encode())]
    if rng.random() < 0.5:
        items.append(
            Item(
                "suspect-log",
                (
                    banner(rng, part)
                    + "\nUPLOADING ...\n  Size          : 1024 Bytes\n  Address       : 0x8000000\n\nRead progress:\n\nError: Data read failed\n"
                ).encode(),
                None,
                False,
            )
        )
    return Scene(items, ("debug-locked",), ("undecided",), (*CELLS, "wrong-size-assumption", "wrong-part"))


@kind
def product_closed(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h573", "h523")
    state = rng.choice((("CLOSED", "0x72"), ("LOCKED", "0x5C"), ("TZ_CLOSED", "0xC6")))
    text = (
        "Start Debug Authentication Sequence\n\n  SDMOpen          :  549 : open                     : SDM API v1.0\n"
        "  open_comms       :  484 : open                     : Asserting target reset\n"
        "discovery: target ID.......................:0x%X\ndiscovery: SoC ID..........................:0x00000000_%08X_%08X_%08X\n"
        "discovery: SDA version.....................:2.4.0\ndiscovery: Vendor ID.......................:STMicroelectronics\n"
        "discovery: PSA lifecycle...................:ST_LIFECYCLE_%s\ndiscovery: PSA auth version................:1.0\n"
        "discovery: ST HDPL1 status.................:0xeaeaeaea\ndiscovery: ST provisioning integrity status:0xeaeaeaea\n"
    ) % (part.dev_id, rng.randrange(1 << 32), rng.randrange(1 << 32), rng.randrange(1 << 32), state[0])
    return Scene([Item("suspect-log", text.encode())], ("debug-locked",), ("undecided",))


# ---- the boot chain -----------------------------------------------------------------------------------------------

OEMIROT = {2048: (0x18000, 0x1E000, 0xBE000, 0xC4000), 1024: (0x18000, 0x1E000, 0x5E000, 0x64000)}


def mcuboot(
    rng: random.Random, body: bytes, version: tuple[int, int, int], header: int = 0x400, encrypt: bool = False
) -> bytes:
    head = struct.pack(
        "<IIHHIIBBHII", 0x96F3B83D, 0, header, 0, len(body), 0x4 if encrypt else 0, *version[:2], version[2], 0, 0
    )
    head = head.ljust(header, b"\0")
    digest = hashlib.sha256(head + body).digest()
    tlv = struct.pack("<HH", 0x10, 32) + digest + struct.pack("<HH", 0x01, 32) + rng.randbytes(32)
    tlv += struct.pack("<HH", 0x22, 70) + rng.randbytes(70)
    if encrypt:
        tlv += struct.pack("<HH", 0x32, 113) + rng.randbytes(113)
    shown = rng.randbytes(len(body)) if encrypt else body
    return head + shown + struct.pack("<HH", 0x6907, len(tlv) + 4) + tlv


MAGIC = bytes.fromhex("77c295f360d2ef7f3552500f2cb67980")


@kind
def install_waits(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h563", "h563g")
    _, n1, s2, n2 = OEMIROT[part.kib]
    boot = link(write_program(rng, 0x12000), part.base | 0x04000000)
    secure = mcuboot(rng, link(write_program(rng, 9_000), 0x0C000000 + 0x18400), (1, 0, 0), encrypt=True)
    plain = mcuboot(rng, link(write_program(rng, 60_000), 0x08000000 + n1 + 0x400), (1, 0, 0), encrypt=True)
    flash = put(erased(part), part, part.base, boot)
    put(flash, part, part.base + s2, secure)
    put(flash, part, part.base + n2, plain)
    for slot, size in ((s2, 0x6000), (n2, 0xA0000 if part.kib == 2048 else 0x40000)):
        put(flash, part, part.base + slot + size - 16, MAGIC)
    o = Options(tzen=0xB4, secwm1=(0, 0xE), hdp1=(0, 0xB), state=rng.choice((0xED, 0x17, 0x2E)))
    items = [dump(flash, part), options(rng, part, o)]
    if rng.random() < 0.5:
        items.append(
            Item("layout", b"oemirot-2m-overwrite" if part.kib == 2048 else b"oemirot-1m-overwrite", None, False)
        )
    log = banner(rng, part) + programming("secure_enc_sign.hex", 0x0C000000 + s2, len(secure), sectors=(95, 97))
    items.append(Item("suspect-log", log.encode(), None, False))
    return Scene(items, ("install-pending",), ("undecided", "sound"), (*CELLS, "wrong-placement"))


@kind
def loader_says_not_valid(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h573")
    text = rng.choice(
        (
            "[INF] Starting bootloader\n[INF] Checking BL2 NV area\n[INF] Swap type: none\n[ERR] Image in the primary slot is not valid!\n[ERR] Unable to find bootable image\n",
            "*** Booting MCUboot v2.1.0 ***\nI: Starting bootloader\nI: Primary image: magic=good, swap_type=0x2, copy_done=0x1, image_ok=0x1\nI: Image index: 0, Swap type: none\nE: Image in the primary slot is not valid!\nE: Unable to find bootable image\n",
            "[INF] Starting bootloader\n[INF] Swap type: test\n[ERR] Image in the secondary slot is not valid!\n[ERR] Unable to find bootable image\n",
        )
    )
    _, n1, *_ = OEMIROT[2048]
    flash = put(erased(part), part, part.base, link(write_program(rng, 0x12000), part.base | 0x04000000))
    put(flash, part, part.base + n1, mcuboot(rng, link(write_program(rng, 60_000), 0x08000000 + n1 + 0x400), (1, 2, 0)))
    items = [Item("suspect-uart", text.encode())]
    if rng.random() < 0.6:
        items.append(dump(flash, part, needed=False))
    return Scene(items, ("image-refused",), ("undecided", "sound"), (*CELLS, "install-pending"))


@kind
def loader_dislikes_options(rng: random.Random) -> Scene:
    end = rng.choice((13, 15, 20))
    text = (
        "[INF] Flash operation: Op=0x0, Area=0x0, Address=0x0\n[INF] TAMPER Activated\n"
        f"[INF] BANK 1 secure flash [0, 14] : OB [0, {end}]\n[ERR] Unexpected value for secure flash protection\n"
    )
    return Scene([Item("suspect-uart", text.encode())], ("options-not-applied",), ("undecided",))


# ---- the core -----------------------------------------------------------------------------------------------------


@kind
def stays_in_rom(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h573")
    base, code = app(rng, part)
    at = 0x0BF97000 + rng.randrange(0x4000) // 2 * 2
    pcs = [at + 2 * rng.randrange(6) for _ in range(6)]
    items = [dump(put(erased(part), part, base, code), part), image(code, base)]
    items.append(
        Item(
            "suspect-core",
            core_record(
                part,
                f"stm32{part.word}zi" if part.word == "h563" else "stm32h573ii",
                pcs,
                "ROM boot loader or RSS (system flash)",
            ),
        )
    )
    return Scene(items, ("starts-elsewhere", "board-wiring"), ("sound", "undecided"))


@kind
def boot_address_elsewhere(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h523")
    base, code = app(rng, part)
    bank = part.size // 2
    wrong = part.base + bank + rng.choice((0, 0x10000))
    items = [
        dump(put(erased(part), part, base, code), part),
        image(code, base),
        options(rng, part, Options(nsboot=wrong >> 8), needed=True),
    ]
    return Scene(items, ("starts-elsewhere", "options-not-applied"), ("sound", "undecided"))


# ---- links and registers ------------------------------------------------------------------------------------------


@kind
def chunks_zeroed_while_reading(rng: random.Random) -> Scene:
    part = pick(rng)
    base, code = app(rng, part)
    flash = put(erased(part), part, base, code)
    reads = []
    for _ in range(2):
        read = bytearray(flash)
        for _ in range(rng.randint(2, 6)):
            at = rng.randrange(len(code) // 64) * 64
            read[at : at + 64] = bytes(64)
        reads.append(dump(read, part))
    return Scene([image(code, base), *reads], ("dump-corrupted",), ("undecided", "suspect", "sound"), CELLS)


@kind
def words_lost_while_reading(rng: random.Random) -> Scene:
    part = pick(rng)
    base, code = app(rng, part)
    flash = bytes(put(erased(part), part, base, code))
    at = rng.randrange(4, len(code) // 1024 - 2) * 1024 + rng.randrange(16, 200) * 4
    stop = (at // 1024 + 1) * 1024
    torn = flash[:at] + flash[at + 8 : stop] + flash[at // 1024 * 1024 : at // 1024 * 1024 + 8] + flash[stop:]
    return Scene(
        [dump(flash, part, "good"), dump(torn, part), dump(flash, part)],
        ("dump-corrupted",),
        ("undecided", "suspect", "sound"),
        CELLS,
    )


@kind
def no_target(rng: random.Random) -> Scene:
    volt = rng.choice((0.0, 0.34, 1.12))
    head = banner(rng, PARTS["h563"], volt=volt).split("SWD freq")[0]
    return Scene(
        [
            Item(
                "suspect-log",
                (
                    head
                    + "Error: Unable to get core ID\nError: Unable to get core ID\nError: No STM32 target found! If your product embeds Debug Authentication, please perform a discovery using Debug Authentication\n"
                ).encode(),
            )
        ],
        ("board-wiring", "door-shut-by-firmware"),
        ("undecided",),
        (*CELLS, "debug-locked"),
    )


@kind
def own_write_refused(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h523")
    bit = rng.choice((17, 18, 20))
    text = (
        f"FLASH_NSSR  0x{1 << bit:08X}\nFLASH_NSCR  0x00000001\n"
        if rng.random() < 0.5
        else f"0x40022020 : {1 << bit:08X}\n0x40022028 : 00000001\n"
    )
    return Scene(
        [Item("suspect-registers", text.encode()), options(rng, part, needed=True)],
        ("refused-write", "write-protected"),
        ("undecided",),
    )


@kind
def reset_during_write(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h573")
    quad = rng.randrange(0x100, 0x7000)
    text = f"0x40022018 : {0x20000000 | quad:08X}\n0x40022100 : 00000000\n0x40022104 : {0x80000000 | quad:08X}\n"
    base, code = app(rng, part)
    flash = put(erased(part), part, base, code)
    items = [Item("suspect-registers", text.encode()), options(rng, part), dump(flash, part), image(code, base)]
    return Scene(items, ("torn-write",), ("sound", "undecided"))


@kind
def high_cycle_area_unwritten(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h523")
    text = f"0x40022100 : 00000000\n0x40022104 : {0x80200000 | rng.randrange(0x1000):08X}\n0x40022108 : 0000FFFF\n"
    return Scene(
        [Item("suspect-registers", text.encode()), options(rng, part, Options(edata=1), needed=True)],
        ("never-written-ecc",),
        ("sound", "undecided"),
        (*CELLS, "torn-write"),
    )


@kind
def firmware_stores_settings(rng: random.Random) -> Scene:
    part = pick(rng)
    base, code = app(rng, part)
    before = put(erased(part), part, base, code)
    page = part.base + part.size - part.sector
    after = put(bytearray(before), part, page, b"CFG1" + rng.randbytes(rng.randint(40, 400)))
    return Scene(
        [dump(before, part, "good"), dump(after, part)],
        ("application-wrote", "board-data", NONE),
        ("sound", "undecided"),
    )


@kind
def external_memory_slips(rng: random.Random) -> Scene:
    size = rng.choice((65536, 131072))
    asset = b"".join(struct.pack("<HH", rng.randrange(1 << 16), i & 0xFFFF) for i in range(size // 4))
    shift = rng.choice((1, 2))
    got = rng.randbytes(shift) + asset[:-shift]
    return Scene(
        [Item("image", asset, 0x90000000, name="assets"), Item("suspect-dump", got, 0x90000000, name="qspi")],
        ("external-read-mode",),
        ("undecided",),
    )


# ---- the chip -----------------------------------------------------------------------------------------------------


@kind
def cells_that_waver(rng: random.Random) -> Scene:
    part = pick(rng)
    base, code = app(rng, part)
    flash = put(erased(part), part, base, code)
    weak = [(rng.randrange(len(code)), rng.randrange(8)) for _ in range(rng.randint(4, 14))]
    reads = []
    for _ in range(rng.randint(3, 4)):
        read = bytearray(flash)
        for at, bit in weak:
            if rng.random() < 0.5:
                read[at] ^= 1 << bit
        reads.append(dump(read, part))
    return Scene(
        [image(code, base), *reads], ("worn-cells",), ("suspect",), ("flash-defect", "dump-corrupted"), faulty=True
    )


@kind
def charge_lost(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h573", "u575")
    base, code = app(rng, part)
    flash = put(erased(part), part, base, code)
    for quad in rng.sample(range(len(code) // 16), rng.randint(90, 400)):
        zeros = [(i, b) for i in range(16) for b in range(8) if not flash[quad * 16 + i] >> b & 1]
        if zeros:
            i, b = rng.choice(zeros)
            flash[quad * 16 + i] |= 1 << b
    items = [image(code, base), dump(flash, part)] + ([dump(flash, part)] if rng.random() < 0.7 else [])
    return Scene(
        items,
        ("worn-cells", "flash-defect", *([] if len(items) > 2 else [NONE])),
        ("suspect", "undecided"),
        ("torn-write", "not-erased", "other-build"),
        faulty=True,
    )


@kind
def address_line_stuck(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h573", "u575")
    base, code = app(rng, part, share=(0.14, 0.15))
    line = rng.choice((0x1000, 0x2000, 0x4000, 0x8000))
    flash = put(erased(part), part, base, code)
    for at in range(0, part.size, 2 * line):
        flash[at + line : at + 2 * line] = flash[at : at + line]
    return Scene(
        [image(code, base), dump(flash, part), dump(flash, part)],
        ("flash-defect",),
        ("suspect", "undecided"),
        ("wrong-placement", "worn-cells", "dump-corrupted"),
        faulty=True,
    )


@kind
def sector_refuses(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h573")
    base, code = app(rng, part, share=(0.1, 0.14))
    old = link(write_program(rng, len(code)), base)
    n = rng.randint(2, 8)
    flash = put(erased(part), part, base, code)
    put(flash, part, base + n * part.sector, old[n * part.sector : (n + 1) * part.sector])
    log = banner(rng, part) + programming(
        "fw.hex",
        base,
        len(code),
        sectors=(0, len(code) // part.sector),
        verified=False,
        error=f"Data mismatch found at address 0x{base + n * part.sector:08X} (byte = 0x10 instead of 0x46)",
    )
    items = [
        image(code, base),
        Item("image", old, base, name="previous"),
        dump(flash, part),
        Item("suspect-log", log.encode()),
        options(rng, part, needed=True),
    ]
    return Scene(
        items,
        ("flash-defect", "programming-incomplete", "not-erased", NONE),
        ("undecided", "suspect"),
        ("worn-cells",),
        faulty=True,
        say=(f"0x0?{base + n * part.sector:07X}",),
    )


@kind
def proven_by_test(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h573")
    base, code = app(rng, part)
    flash = put(erased(part), part, base, code)
    start = part.base + 0x2000 * rng.randint(4, 60)
    record = flash_record(rng, start, proven=True, faults=True)
    items = [Item("suspect-flashtest", record), dump(flash, part), image(code, base), options(rng, part, needed=True)]
    return Scene(items, ("flash-defect",), ("faulty",), ("worn-cells",), faulty=True)


@kind
def one_failure_in_a_test(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h573")
    start = part.base + 0x2000 * rng.randint(4, 60)
    record = flash_record(rng, start, proven=False, faults=True)
    return Scene(
        [Item("suspect-flashtest", record), options(rng, part, needed=True)],
        ("flash-defect",),
        ("suspect", "undecided"),
        ("worn-cells",),
        faulty=True,
    )


@harmless
def flash_test_without_a_fault(rng: random.Random) -> Scene:
    part = pick(rng, "h563", "h573")
    base, code = app(rng, part)
    flash = put(erased(part), part, base, code)
    record = flash_record(rng, part.base + 0x2000 * 8, proven=True, faults=False)
    return Scene(
        [Item("suspect-flashtest", record), dump(flash, part), image(code, base), options(rng, part)],
        (NONE,),
        ("sound", "undecided"),
        CELLS,
    )
