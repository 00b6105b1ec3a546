"""Write the bundled cases from the committed images: ``python data/build_cases.py [--out DIR]``.

Everything here is computed: the same images give the same files, byte for byte. A board is modelled as the
cells of its flash; a dump is what a reader with one security attribute sees of them, by the rule measured on
silicon (an access whose attribute differs from the sector's reads 0x00 and reports nothing).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from intelhex import IntelHex

HERE = Path(__file__).resolve().parent
IMAGES = HERE / "images"

BASE, SECURE_BASE, FLASH_SIZE, SECTOR = 0x08000000, 0x0C000000, 0x200000, 0x2000
S_PRIMARY, NS_PRIMARY, S_SECONDARY, NS_SECONDARY, SLOTS_END = 0x18000, 0x1E000, 0xBE000, 0xC4000, 0x164000
S_SLOT, NS_SLOT, HEADER = 0x6000, 0xA0000, 0x400
SECURE_SECTORS = range(0x0F)           # SECWM1 0..0xE
HIDDEN_SECTORS = range(0x0C)           # HDP1 0..0xB

# What the dumps of an OEMiROT board hold, as flash offsets: the boot area, the secure primary slot and the head of
# the non-secure one; its trailer, the secure secondary slot and the head of the non-secure one; the last trailer.
# The rest was not read. A board whose boot stage has hidden itself is read from the slots on.
TAIL = ((0xBDF00, 0xC5800), (SLOTS_END - 0x100, SLOTS_END))
READ_ALL = ((0x00000, 0x1F800), *TAIL)
READ_SLOTS = ((S_PRIMARY, 0x1F800), *TAIL)
READ_SHORT = ((0x10000, 0x1F800), *TAIL)
READ_SOUND = ((0x00000, 0x02000), (S_PRIMARY, 0x1F800), *TAIL)
READ_ALONE = ((0x00000, 0x02000), (0x24000, 0x28000))


@dataclass(slots=True)
class Board:
    """The cells of a 2 MB flash, erased, and what of it is secure or hidden at the moment of reading."""

    cells: bytearray = field(default_factory=lambda: bytearray(b"\xff" * FLASH_SIZE))
    secure: range = SECURE_SECTORS
    hidden: range = range(0)

    def program(self, hexfile: IntelHex) -> None:
        """Program every record of `hexfile`, whichever alias its addresses use."""
        for start, stop in hexfile.segments():
            offset = start - (SECURE_BASE if start >= SECURE_BASE else BASE)
            self.cells[offset:offset + stop - start] = hexfile.tobinstr(start=start, size=stop - start)

    def program_at(self, offset: int, data: bytes) -> None:
        """Program `data` at a flash offset."""
        self.cells[offset:offset + len(data)] = data

    def install(self, primary: int, secondary: int, size: int, plain: bytes) -> None:
        """Do what the boot loader does: copy the slot with its body decrypted, then erase the download slot."""
        slot = self.cells[secondary:secondary + size]
        slot[HEADER:HEADER + len(plain)] = plain
        self.cells[primary:primary + size] = slot
        self.cells[secondary:secondary + size] = b"\xff" * size

    def read(self, ranges: tuple[tuple[int, int], ...], access: str, base: int = SECURE_BASE) -> IntelHex:
        """Return what accesses with this attribute see; ``all`` is a secure reader that first sets every SECBB bit."""
        seen = IntelHex()
        for start, stop in ranges:
            data = bytearray(self.cells[start:stop])
            for sector in range(start // SECTOR, -(-stop // SECTOR)):
                allowed = access == "all" or (access == "secure") == (sector in self.secure)
                if sector in self.hidden or not allowed:
                    a, b = max(start, sector * SECTOR), min(stop, (sector + 1) * SECTOR)
                    data[a - start:b - start] = bytes(b - a)
            seen.puts(base + start, bytes(data))
        return seen


def image(name: str) -> IntelHex:
    """Return a committed signed image."""
    return IntelHex(str(IMAGES / name))


def installed_board() -> Board:
    """Return a board on which the boot loader took both download images (package 1.3.0: encrypted, then installed)."""
    board = pending_board("a")
    board.install(S_PRIMARY, S_SECONDARY, S_SLOT, (IMAGES / "secure.bin").read_bytes())
    board.install(NS_PRIMARY, NS_SECONDARY, NS_SLOT, (IMAGES / "nonsecure.bin").read_bytes())
    # The boot stage has handed over: its area is hidden at HDP level 3.
    board.hidden = HIDDEN_SECTORS
    return board


def pending_board(run: str, magic: bool = True) -> Board:
    """Return a board with the images of signing run `run` in its download slots, never installed."""
    board = Board()
    board.program_at(0, (IMAGES / "boot.bin").read_bytes())
    board.program(image(f"secure_enc_sign_{run}.hex"))
    board.program(image(f"nonsecure_enc_sign_{run}.hex"))
    if not magic:
        for end in (NS_SECONDARY, SLOTS_END):
            board.program_at(end - 16, b"\xff" * 16)
    return board


def init_board() -> Board:
    """Return a board whose images went straight to the primary slots (package 1.4.0 and later)."""
    board = Board()
    board.program_at(0, (IMAGES / "boot.bin").read_bytes())
    board.program(image("secure_init_sign.hex"))
    board.program(image("nonsecure_init_sign.hex"))
    return board


def alone_board() -> Board:
    """Return a board with the stand-alone application, TrustZone off."""
    board = Board(secure=range(0))
    board.program(image("standalone.hex"))
    return board


# ---- texts of STM32CubeProgrammer, in our own values ----

STATES = {0xED: "(Open)", 0x17: "(Provisioning, Debug partially opened (only non-secure)) ", 0x2E: "(iROT-Provisioned)"}
OEMIROT: Mapping[str, int] = {
    "PRODUCT_STATE": 0xED, "BOR_LEV": 0, "BORH_EN": 0, "IO_VDD_HSLV": 0, "IO_VDDIO2_HSLV": 0, "IWDG_STOP": 1,
    "IWDG_STDBY": 1, "BOOT_UBE": 0xB4, "SWAP_BANK": 0, "IWDG_SW": 1, "NRST_STOP": 1, "NRST_STDBY": 1, "TZEN": 0xB4,
    "SRAM2_ECC": 0, "SRAM3_ECC": 1, "BKPRAM_ECC": 1, "SRAM2_RST": 0, "SRAM1_3_RST": 1, "NSBOOTADD": 0x80000,
    "NSBOOT_LOCK": 0xC3, "SECBOOT_LOCK": 0xB4, "SECBOOTADD": 0xC0000, "SECWM1_STRT": 0, "SECWM1_END": 0xE,
    "WRPSGn1": 0xFFFFFFF8, "SECWM2_STRT": 0x7F, "SECWM2_END": 0, "WRPSGn2": 0xFFFFFFFF, "LOCKBL": 0,
    "EDATA1_EN": 0, "EDATA1_STRT": 0, "EDATA2_EN": 0, "EDATA2_STRT": 0, "HDP1_STRT": 0, "HDP1_END": 0xB,
    "HDP2_STRT": 1, "HDP2_END": 0,
}
# Read without the secure attribute, the secure boot register gives zero.
PROVISIONING = {**OEMIROT, "PRODUCT_STATE": 0x17, "SECBOOT_LOCK": 0, "SECBOOTADD": 0}
PROVISIONED = {**PROVISIONING, "PRODUCT_STATE": 0x2E}
PLAIN = {**OEMIROT, "TZEN": 0xC3, "SRAM2_ECC": 1, "SRAM2_RST": 1, "SECBOOT_LOCK": 0xC3, "SECWM1_STRT": 0x7F,
         "SECWM1_END": 0, "WRPSGn1": 0xFFFFFFFF, "HDP1_STRT": 1, "HDP1_END": 0}

BANKS: tuple[tuple[int, int, tuple[tuple[str, tuple[str, ...]], ...]], ...] = (
    (0x40022050, 8, (("Product state", ("PRODUCT_STATE",)), ("BOR Level", ("BOR_LEV", "BORH_EN")),
                     ("User Configuration", ("IO_VDD_HSLV", "IO_VDDIO2_HSLV", "IWDG_STOP", "IWDG_STDBY", "BOOT_UBE",
                                             "SWAP_BANK", "IWDG_SW", "NRST_STOP", "NRST_STDBY")))),
    (0x40022070, 8, (("User Configuration 2", ("TZEN", "SRAM2_ECC", "SRAM3_ECC", "BKPRAM_ECC", "SRAM2_RST",
                                               "SRAM1_3_RST")),)),
    (0x40022080, 16, (("Boot Configuration", ("NSBOOTADD", "NSBOOT_LOCK", "SECBOOT_LOCK", "SECBOOTADD")),)),
    (0x400220E0, 16, (("Bank1 - Flash watermark area definition", ("SECWM1_STRT", "SECWM1_END")),
                      ("Write sector group protection 1", ("WRPSGn1",)))),
    (0x400221E0, 16, (("Bank2 - Flash watermark area definition", ("SECWM2_STRT", "SECWM2_END")),
                      ("Write sector group protection 2", ("WRPSGn2",)))),
    (0x40022090, 8, (("OTP write protection", ("LOCKBL",)),)),
    (0x400220F0, 8, (("Flash data bank 1 sectors", ("EDATA1_EN", "EDATA1_STRT")),)),
    (0x400221F0, 8, (("Flash data bank 2 sectors", ("EDATA2_EN", "EDATA2_STRT")),)),
    (0x400220F8, 8, (("Flash HDP bank 1", ("HDP1_STRT", "HDP1_END")),)),
    (0x400221F8, 8, (("Flash HDP bank 2", ("HDP2_STRT", "HDP2_END")),)),
)


def remark(name: str, value: int) -> str:
    """Return what the tool prints after the value: one blank and a text, or two blanks and a number."""
    if name == "PRODUCT_STATE":
        return " " + STATES[value]
    if name in ("TZEN", "BOOT_UBE", "NSBOOT_LOCK", "SECBOOT_LOCK") and value:
        words = {"TZEN": ("Trust zone enabled", "Trust zone disabled"), "BOOT_UBE": ("OEM-iRoT", "ST-iRoT")}
        on, off = words.get(name, ("locked", "not locked"))
        return f" ({on if value == 0xB4 else off})"
    if name.startswith("SECWM"):
        return f"  (0x{BASE + (0x100000 if name[5] == '2' else 0) + value * SECTOR:X})"
    if name.startswith("HDP"):
        return f"  (0x{value * SECTOR:X})"
    if name in ("NSBOOTADD", "SECBOOTADD"):
        return f"  (0x{value << 8:X})"
    return f"  (0x{0 if name.startswith('WRPSG') else value:X})"


def listing(values: Mapping[str, int], log: str) -> str:
    """Return what ``-c ... -ob displ`` prints: the banner, the upload part, ten banks of fields."""
    out = [log.rstrip("\n"), "", "UPLOADING OPTION BYTES DATA ...", ""]
    for number, (address, size, _) in enumerate(BANKS):
        out += [f"  Bank          : 0x{number:02X}", f"  Address       : 0x{address:08x}",
                f"  Size          : {size} Bytes", "", "[" + "=" * 50 + "] 100% ", ""]
    out.append("")
    for number, (_, _, groups) in enumerate(BANKS):
        out.append(f"OPTION BYTES BANK: {number}")
        for title, names in groups:
            out += ["", f"   {title}:", ""]
            out += [f"     {name:<13}: 0x{values[name]:X}{remark(name, values[name])}" for name in names]
        out.append("")
    return "\n".join(out) + "\n"


def banner(serial: str, voltage: str, *, mode: str = "Hot Plug", reset: str = "Software reset",
           flash: str = "2 MBytes", sfsp: str = "v2.5.0", board: str = "--", firmware: str = "V3J15M7") -> str:
    """Return the connection banner; a `mode` left empty is a banner pasted without its connect and reset lines."""
    line = " " * 6 + "-" * 67
    rows = [("ST-LINK SN", serial), ("ST-LINK FW", firmware), ("Board", board), ("Voltage", voltage),
            ("SWD freq", "8000 KHz"), ("Connect mode", mode), ("Reset mode", reset), ("Device ID", "0x484"),
            ("Revision ID", "Rev X"), ("Device name", "STM32H56x/573"), ("Flash size", flash), ("Device type", "MCU"),
            ("Device CPU", "Cortex-M33"), ("BL Version", "0xE4"), ("SFSP Version", sfsp)]
    if not mode:
        rows = [r for r in rows if r[0] not in ("Connect mode", "Reset mode")]
    return "\n".join([line, " " * 24 + "STM32CubeProgrammer v2.21.0", line, "",
                      *(f"{key:<12}: {value}" for key, value in rows), ""])


GOOD_SERIAL, SUSPECT_SERIAL = "0030003A3033511937363734", "002F00413532501320393453"
GOOD_BANNER = banner(GOOD_SERIAL, "3.27V", mode="Normal", flash="2 MBytes (default)", board="NUCLEO-H563ZI")
SUSPECT_BANNER = banner(SUSPECT_SERIAL, "3.29V", sfsp="v45.48.46")


# ---- the cases ----

OEMIROT_HEAD = 'chip = "stm32h563zi"\nlayout = "oemirot-2m-overwrite"\n'


def founding(out: Path) -> None:
    """Write the founding case: everything about how the two boards were read is known."""
    write_hex(out / "good.hex", installed_board().read(READ_SLOTS, "all"))
    for n in (1, 2):
        write_hex(out / f"suspect-{n}.hex", pending_board("b").read(READ_ALL, "nonsecure"))
    write(out / "good-log.txt", GOOD_BANNER)
    write(out / "suspect-log.txt", SUSPECT_BANNER)
    write(out / "good-ob.txt", listing(OEMIROT, GOOD_BANNER))
    write(out / "suspect-ob.txt", listing(PROVISIONING, SUSPECT_BANNER))
    write(out / "case.toml", f'''\
title = "OEMiROT image not where it should be"
{OEMIROT_HEAD}
[good]
name = "nucleo"
dumps = ["good.hex"]
access = "secure"
mode = "hotplug"
tool = "OpenOCD (ST), which makes every sector secure while it reads"
options = "good-ob.txt"
log = "good-log.txt"

[suspect]
name = "custom board 1"
dumps = ["suspect-1.hex", "suspect-2.hex"]
access = "nonsecure"
mode = "hotplug"
after_da = false
resets_since_flash = 4
tool = "STM32CubeProgrammer 2.21.0"
options = "suspect-ob.txt"
log = "suspect-log.txt"
marking = "STM32H563ZIT6"

[provisioning]
package = "1.3.0"
''')
    expected(out, "sound", "install-pending", supported=("install-pending", "masked-read"),
             excluded=("dump-corrupted", "options-not-applied", "bank-swapped"),
             not_judged=[[BASE, BASE + NS_PRIMARY]],
             good={"secure primary": "installed", "secure secondary": "empty"},
             suspect={"secure secondary": "install-pending", "non-secure secondary": "install-pending",
                      "non-secure primary": "empty"}, open_points=[])


def founding_as_posted(out: Path) -> None:
    """Write the founding case as the thread tells it: nobody says how the boards were read."""
    write_hex(out / "good.hex", installed_board().read(READ_SLOTS, "all"))
    write_hex(out / "suspect.hex", pending_board("b").read(READ_SHORT, "nonsecure"))
    good_log = banner(GOOD_SERIAL, "3.27V", mode="", flash="2 MBytes (default)", board="NUCLEO-H563ZI")
    suspect_log = banner(SUSPECT_SERIAL, "3.29V", mode="", sfsp="v45.48.46")
    write(out / "good-log.txt", good_log)
    write(out / "suspect-log.txt", suspect_log)
    write(out / "good-ob.txt", listing(OEMIROT, good_log))
    write(out / "suspect-ob.txt", listing(PROVISIONING, suspect_log))
    write(out / "case.toml", f'''\
title = "OEMiROT image not where it should be, as posted"
{OEMIROT_HEAD}
[good]
name = "nucleo"
dumps = ["good.hex"]
options = "good-ob.txt"
log = "good-log.txt"

[suspect]
name = "custom board 1"
dumps = ["suspect.hex"]
options = "suspect-ob.txt"
log = "suspect-log.txt"
''')
    expected(out, "undecided", "install-pending", possible=("masked-read",),
             good={"secure primary": "installed", "secure secondary": "empty"},
             suspect={"secure secondary": "install-pending"}, open_points=["read", "zeros", "SFSP"],
             says=("not shown faulty: do not replace the chip yet",))


def founding_no_magic(out: Path) -> None:
    """Write the variant whose download slots lack the trailer magic: the boot loader runs and never takes them."""
    write_hex(out / "good.hex", installed_board().read(READ_SLOTS, "all"))
    for n in (1, 2):
        write_hex(out / f"suspect-{n}.hex", pending_board("b", magic=False).read(READ_SHORT, "nonsecure"))
    log = banner(SUSPECT_SERIAL, "3.29V")
    write(out / "good-log.txt", GOOD_BANNER)
    write(out / "suspect-log.txt", log)
    write(out / "good-ob.txt", listing(OEMIROT, GOOD_BANNER))
    write(out / "suspect-ob.txt", listing(PROVISIONED, log))
    write(out / "case.toml", f'''\
title = "OEMiROT image in the download slot, never taken"
{OEMIROT_HEAD}
[good]
name = "nucleo"
dumps = ["good.hex"]
access = "secure"
mode = "hotplug"
tool = "OpenOCD (ST), which makes every sector secure while it reads"
options = "good-ob.txt"
log = "good-log.txt"

[suspect]
name = "custom board 3"
dumps = ["suspect-1.hex", "suspect-2.hex"]
access = "nonsecure"
mode = "hotplug"
after_da = false
resets_since_flash = 4
tool = "STM32CubeProgrammer 2.21.0"
options = "suspect-ob.txt"
log = "suspect-log.txt"
marking = "STM32H563ZIT6"

[provisioning]
package = "1.3.0"
''')
    expected(out, "sound", "install-pending", supported=("install-pending", "masked-read"),
             excluded=("dump-corrupted", "options-not-applied", "bank-swapped"),
             not_judged=[[BASE + 0x10000, BASE + NS_PRIMARY]],
             good={"secure primary": "installed", "secure secondary": "empty"},
             suspect={"secure secondary": "never-taken", "non-secure secondary": "never-taken",
                      "non-secure primary": "empty"}, open_points=[])


DEFECT = 0x26A40                                     # a quad-word of the stand-alone product's tables
DEFECT_BITS = ((DEFECT + 0x3, 5), (DEFECT + 0xC, 1))  # two cells of it that cannot be 1


def defect(out: Path) -> None:
    """Write the case of a chip with a real flash defect: TrustZone off, Open, a flash test that shows it."""
    good, bad = alone_board(), alone_board()
    for offset, bit in DEFECT_BITS:
        bad.cells[offset] &= ~(1 << bit)
    write_hex(out / "good.hex", good.read(READ_ALONE, "nonsecure", BASE))
    for n in (1, 2):
        write_hex(out / f"suspect-{n}.hex", bad.read(READ_ALONE, "nonsecure", BASE))
    good_log, log = banner(GOOD_SERIAL, "3.27V", board="NUCLEO-H563ZI"), banner(SUSPECT_SERIAL, "3.28V")
    write(out / "good-log.txt", good_log)
    write(out / "suspect-log.txt", log)
    write(out / "good-ob.txt", listing(PLAIN, good_log))
    write(out / "suspect-ob.txt", listing(PLAIN, log))
    write_json(out / "info.json", identity(PLAIN))
    rounds = [1, 2, 3, 4]
    faults: list[dict[str, object]] = [
        {"kind": "ecc-uncorrected", "address": BASE + DEFECT, "bit": None, "rounds": rounds,
         "detail": "ECCDETR names this quad-word after every pattern that sets both cells"}]
    faults += [{"kind": "stuck-at-0", "address": BASE + offset, "bit": bit, "rounds": rounds,
                "detail": "reads 0 after erase and after every pattern"} for offset, bit in DEFECT_BITS]
    write_json(out / "flashtest.json", flash_test((0x24000, 0x28000), 0xC3, {DEFECT: faults}))
    write(out / "case.toml", '''\
title = "One quad-word of the tables reads wrong on one board"
chip = "stm32h563zi"

[good]
name = "board 7"
dumps = ["good.hex"]
access = "nonsecure"
mode = "hotplug"
tool = "STM32CubeProgrammer 2.21.0"
options = "good-ob.txt"
log = "good-log.txt"

[suspect]
name = "board 12"
dumps = ["suspect-1.hex", "suspect-2.hex"]
access = "nonsecure"
mode = "hotplug"
after_da = false
resets_since_flash = 2
tool = "STM32CubeProgrammer 2.21.0"
options = "suspect-ob.txt"
log = "suspect-log.txt"
info = "info.json"
flashtest = "flashtest.json"
marking = "STM32H563ZIT6"
''')
    expected(out, "faulty", "flash-defect", supported=("flash-defect",),
             excluded=("dump-corrupted", "masked-read", "bank-swapped", "wrong-part"),
             differs=[BASE + a for a, _ in DEFECT_BITS], open_points=[])


def sound(out: Path) -> None:
    """Write the case of a board with nothing wrong: same content, same options, a clean flash test."""
    write_hex(out / "good.hex", init_board().read(READ_SOUND, "all"))
    for n in (1, 2):
        write_hex(out / f"suspect-{n}.hex", init_board().read(READ_SOUND, "all"))
    good_log = banner(GOOD_SERIAL, "3.27V", mode="Under Reset", reset="Hardware reset", board="NUCLEO-H563ZI")
    log = banner(SUSPECT_SERIAL, "3.30V", mode="Under Reset", reset="Hardware reset")
    write(out / "good-log.txt", good_log)
    write(out / "suspect-log.txt", log)
    write(out / "good-ob.txt", listing(OEMIROT, good_log))
    write(out / "suspect-ob.txt", listing(OEMIROT, log))
    write_json(out / "info.json", identity(OEMIROT))
    write_json(out / "flashtest.json", flash_test((NS_SECONDARY, NS_SECONDARY + 4 * SECTOR), 0xB4, {}))
    write(out / "case.toml", f'''\
title = "A board that only needed another cable"
{OEMIROT_HEAD}
[good]
name = "nucleo"
dumps = ["good.hex"]
access = "secure"
mode = "under-reset"
tool = "OpenOCD (ST), which makes every sector secure while it reads"
options = "good-ob.txt"
log = "good-log.txt"

[suspect]
name = "custom board 2"
dumps = ["suspect-1.hex", "suspect-2.hex"]
access = "secure"
mode = "under-reset"
after_da = false
resets_since_flash = 5
tool = "OpenOCD (ST), which makes every sector secure while it reads"
options = "suspect-ob.txt"
log = "suspect-log.txt"
info = "info.json"
flashtest = "flashtest.json"
marking = "STM32H563ZIT6"

[provisioning]
package = "1.4.0"
''')
    expected(out, "sound", "", excluded=("dump-corrupted", "install-pending", "options-not-applied", "bank-swapped"),
             good={"secure primary": "installed", "secure secondary": "empty"},
             suspect={"secure primary": "installed", "non-secure primary": "installed", "secure secondary": "empty",
                      "non-secure secondary": "empty"}, open_points=[])


def identity(options: Mapping[str, int]) -> dict[str, object]:
    """Return what ``h5diag info --json`` says of a rev X part with clean ECC and operation status registers."""
    return {"chip": "stm32h563zi", "dev_id": 0x484, "rev_id": 0x1007, "uid": "003A002D3433510A33363934",
            "flash_kib": 2048, "product_state": options["PRODUCT_STATE"], "tzen": options["TZEN"],
            "options": {name: {"value": value} for name, value in options.items()},
            "registers": {"ecccorr": 0, "eccdetr": 0, "opsr": 0, "hdpl": 1}}


def flash_test(tested: tuple[int, int], tzen: int, faults: Mapping[int, list[dict[str, object]]]) -> dict[str, object]:
    """Return what ``h5diag flashtest --json`` says: four rounds, two link speeds, a power cycle in the middle."""
    sectors: list[dict[str, object]] = []
    for start in range(*tested, SECTOR):
        found = [f for offset, fs in faults.items() if offset // SECTOR == start // SECTOR for f in fs]
        sectors.append({"start": BASE + start, "verdict": "bad" if found else "good", "erase_s": 0.0021,
                        "program_s": 0.059, "faults": found})
    return {"range": [BASE + tested[0], BASE + tested[1]], "restored": True,
            "conditions": {"tzen": tzen, "product_state": 0xED, "wrp": [0xFFFFFFFF, 0xFFFFFFFF] if tzen == 0xC3
                           else [0xFFFFFFF8, 0xFFFFFFFF], "rev_id": 0x1007, "voltage_mv": 3280,
                           "swd_hz": [1_000_000, 8_000_000], "rounds": 4, "power_cycles": 1},
            "sectors": sectors, "faults": sum(len(fs) for fs in faults.values())}


def expected(out: Path, verdict: str, first: str, *, supported: tuple[str, ...] = (), possible: tuple[str, ...] = (),
             excluded: tuple[str, ...] = (), **rest: object) -> None:
    """Write ``expected.json``, which the tests hold the diagnosis against; `open_points` has a word of each point."""
    hypotheses = {**dict.fromkeys(supported, "supported"), **dict.fromkeys(possible, "possible"),
                  **dict.fromkeys(excluded, "excluded")}
    write_json(out / "expected.json", {"verdict": verdict, "first": first, "supported": list(supported),
                                       "hypotheses": hypotheses, **rest})


def write(path: Path, text: str) -> None:
    """Write text with line feeds."""
    path.write_text(text, "utf-8", newline="\n")


def write_json(path: Path, value: object) -> None:
    """Write JSON for people to read."""
    write(path, json.dumps(value, indent=1) + "\n")


def write_hex(path: Path, hexfile: IntelHex) -> None:
    """Write long records: the folder stays small."""
    with path.open("w", newline="\n") as stream:
        hexfile.write_hex_file(stream, byte_count=128)


CASES: Mapping[str, Callable[[Path], None]] = {
    "founding": founding, "founding-as-posted": founding_as_posted, "founding-no-magic": founding_no_magic,
    "defect": defect, "sound": sound,
}


def build(out: Path) -> None:
    """Write every case into a folder of its own under `out`."""
    for name, make in CASES.items():
        (out / name).mkdir(parents=True, exist_ok=True)
        make(out / name)


def main() -> None:
    """Write the cases where they belong, or to ``--out``."""
    parser = argparse.ArgumentParser(description="Write the bundled cases from the committed images.")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the case folders (default: data)")
    build(parser.parse_args().out)


if __name__ == "__main__":
    main()
