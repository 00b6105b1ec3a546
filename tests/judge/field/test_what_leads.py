"""What is put forward where several causes fit: the cause before its consequence, and no more than a line can tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from h5diag.case import load_case
from h5diag.evidence.files import read_image
from h5diag.evidence.texts import parse_log
from h5diag.judge import diagnose
from h5diag.judge.weighing import load_table

from .bench import BASE, Bench, flash, leading, listing, program, statuses
from .test_starts import said

PROGRAM, OLD = program(101, size=0x20000), program(102, size=0x20000)
U585 = """      -------------------------------------------------------------------
                       STM32CubeProgrammer v2.19.0
      -------------------------------------------------------------------

Device ID   : 0x482
Revision ID : Rev X
"""


ST_FLASH = """st-flash 1.7.0
2025-06-25T07:41:02 INFO common.c: STM32G0Bx_G0Cx: 144 KiB SRAM, 512 KiB flash in at least 2 KiB pages.
2025-06-25T07:41:11 ERROR common_flash.c: Flash memory contains a non-erased value
2025-06-25T07:41:11 ERROR common_flash.c: Flash programming error: 0x00000088
stlink_fwrite_flash() == -1
"""


def test_a_consequence_names_causes_that_are_there_and_never_each_other() -> None:
    follows = {c.id: set(c.follows) for c in load_table().causes if c.follows}
    assert follows["refused-write"] >= {"not-erased", "write-protected"}
    assert not [(a, b) for a, causes in follows.items() for b in causes if a in follows.get(b, ())]


def test_old_content_from_a_border_on_comes_before_the_refusal_that_followed(tmp_path: Path) -> None:
    holds = flash((0, OLD), size=0x80000)
    holds[:0x10000] = PROGRAM[:0x10000]
    b = Bench(tmp_path).dump(holds).image("old.hex", OLD).image("new.hex", PROGRAM)
    b.text("log", ST_FLASH)
    board = b.first()
    assert statuses(board)["refused-write"] == statuses(board)["programming-incomplete"] == "supported"
    assert leading(board) == "programming-incomplete"


# ---------------------------------------------------------------- an erase that is told by bank and sector
@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ("HAL_FLASHEx_Erase(TYPEERASE_SECTORS, Banks=FLASH_BANK_2, Sector=0, NbSectors=16)", "firmware-erased-mirror"),
        ("fota: erase bank 1 first_page=0 nb=16", "firmware-erased-there"),
        ("fota: erase bank 1 sector 0 num=16 of 128", "firmware-erased-there"),
        ("fota: erase bank 2 sector 40 nb=16", ""),
        ("fota: erasing sector 0", ""),
    ],
)
def test_an_erase_by_bank_and_sector_is_held_against_what_is_gone(tmp_path: Path, line: str, finding: str) -> None:
    whole = program(103, size=0x30000)
    gone = flash((0, whole), (0x100000, OLD))
    gone[:0x20000] = 0xFF
    b = Bench(tmp_path).dump(gone).image("app.hex", whole).text("uart", f"boot\n{line}\n")
    board = b.text("options", listing(SWAP_BANK="0x1 (bank 1 and bank 2 swapped)")).first()
    told = {f.id: f.claim for f in board.findings if f.id.startswith("firmware-erased")}
    assert set(told) == ({finding} if finding else set())
    if finding == "firmware-erased-mirror":
        assert "0x08000000 to 0x0801FFFF" in told[finding]
        assert leading(board) == "wrong-bank-erase"


# ---------------------------------------------------------------- a port that is shut, and one that may be
@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("AP[0]: Skipped. Could not read CPUID register", "possible"),
        ("Error: Could not find core in Coresight setup", "possible"),
        ("Error: Core access was denied", "supported"),
        ("AP[0]: Skipped. Could not read CPUID register\nActive read protected STM32 device detected.", "supported"),
    ],
)
def test_a_core_that_does_not_answer_is_no_proof_of_a_closed_port(tmp_path: Path, line: str, status: str) -> None:
    board = Bench(tmp_path).text("log", f"J-Link>connect\nFound SW-DP with ID 0x6BA02477\n{line}\n").first()
    assert statuses(board)["debug-locked"] == status
    assert statuses(board)["board-wiring"] == ("possible" if status == "possible" else "not-tested")
    assert any(e.unsure for e in parse_log(f"J-Link>connect\n{line}\n").messages) is line.startswith(
        ("AP", "Error: Could")
    )


@pytest.mark.parametrize(("name", "cause"), [("RDP", "debug-locked"), ("nSWBOOT0", "options-not-applied")])
def test_a_protection_that_did_not_go_back_is_one(tmp_path: Path, name: str, cause: str) -> None:
    words = f'Error: Expected value for Option Byte "{name}": 0x1, found: 0x55\n'
    board = Bench(tmp_path).text("log", f"{U585}\nPROGRAMMING OPTION BYTES AREA ...\n{words}").first()
    assert leading(board) == cause


# ---------------------------------------------------------------- what a firmware prints of its own refused write
@pytest.mark.parametrize("place", [0x080FE120, 0x080FE150])
def test_the_place_of_a_refused_write_is_told_in_the_firmwares_words(tmp_path: Path, place: int) -> None:
    b = Bench(tmp_path).text("log", U585).text("registers", "0x40022020 : 00000008\n")
    b.text(
        "uart", f"log: HAL_FLASH_Program(QUADWORD, 0x{place:08X}) -> HAL_ERROR\nlog: HAL_FLASH_Program(0x080FE000) OK\n"
    )
    board = b.first()
    assert leading(board) == "refused-write"
    assert f"0x{place:08X}" in said(board, "write-refused")
    assert "0x080FE000" not in said(board, "write-refused")


def test_a_banner_above_printed_memory_names_the_chip(tmp_path: Path) -> None:
    rows = "".join(f"0x{BASE + i:08X} : 20040000 08000201 08000205 08000209\n" for i in range(0, 64, 16))
    for name, text, chip in (("u5.txt", U585 + rows, "stm32u575zi"), ("plain.txt", rows, None)):
        (tmp_path / name).write_text(text)
        assert read_image(tmp_path / name).origin.chip == chip


# ---------------------------------------------------------------- what the graphical tool shows, and what others print
TAB = """Option bytes
   RDP            AA
   nRST_STOP      [x] Checked
   DBANK          Unchecked
   TZEN           [x] Checked  : Global TrustZone security enabled
   SECBOOTADD0    Value 0x180000   Address 0x0C000000
   SECWM1_PSTRT   Value 0x0        Address 0x08000000
   SECWM1_PEND    Value 0x7f       Address 0x0803F800
 Device ID   0x472
 Flash size 512 KB
"""


def test_the_tab_of_options_is_a_listing(tmp_path: Path) -> None:
    log = parse_log(TAB)
    values = {f.name: (f.value, f.text) for f in log.listing.fields}
    assert values["RDP"] == (0xAA, "")
    assert (values["nRST_STOP"][0], values["DBANK"][0], values["TZEN"][0]) == (1, 0, 1)
    assert values["SECBOOTADD0"] == (0x180000, "0x0C000000")
    assert values["SECWM1_PEND"] == (0x7F, "0x0803F800")
    assert set(log.dev_ids) == {0x472}
    assert not parse_log("RDP AA\nthe box is Checked\nValue 0x10 Address 0x20\nDevice ID is 0x472").listing
    board = Bench(tmp_path).dump(flash((0x40000, OLD), size=0x80000, fill=0)).text("options", TAB).first()
    assert "SECWM1" in said(board, "zeros-where-secure")


OPENOCD = """Open On-Chip Debugger 0.12.0
Info : device idcode = 0x20016472 (STM32L55/L56xx - Rev 2.1 : 0x2001)
Info : TZEN = {tzen} : TrustZone
Info : RDP level 0 (0xAA)
Info : flash size = 512 KiB
"""


@pytest.mark.parametrize(("tzen", "told"), [(0, True), (1, False)])
def test_trustzone_as_another_tool_prints_it_counts(tmp_path: Path, tzen: int, told: bool) -> None:
    secure = program(104, base=0x0C000000)
    b = Bench(tmp_path).dump(flash((0, secure), size=0x80000)).image("secure.hex", secure, 0x0C000000)
    board = b.text("log", OPENOCD.format(tzen=tzen)).first()
    assert bool(said(board, "linked-for-the-other-side")) is told
    assert (leading(board) == "linked-elsewhere") is told


# ---------------------------------------------------------------- what a tool was refused, and where it stopped by itself
WB = """Device ID   : 0x495

OPTION BYTES BANK: 0

   Security Configuration Option bytes:

     SFSA         : 0xCE  (0x80CE000)
     ESE          : 0x1 (Security enabled)
     FSD          : 0x0 (0x0)
"""


@pytest.mark.parametrize(("at", "told"), [(0x080CE000, True), (0x080CD000, False)])
def test_a_refusal_where_an_option_points_names_the_option(tmp_path: Path, at: int, told: bool) -> None:
    said_by_tool = (
        f"J-Link>erase\nError: Failed to erase sectors 0 @ address 0x{at:08X} (Erase error. Sector may be protected.)\n"
    )
    b = Bench(tmp_path).text("options", WB).text("log", said_by_tool)
    board = b.first()
    assert ("SFSA (0xCE)" in said(board, "refused-at-option")) is told
    assert statuses(board)["write-protected"] == ("supported" if told else "possible")


def test_an_error_of_the_tool_itself_is_what_happened(tmp_path: Path) -> None:
    line = "Error: Trying to write to flash region 0x08fff000..0x08fff800, but no suitable (default) flash loader algorithm"
    b = Bench(tmp_path).text("log", f"$ probe-rs erase --chip STM32H533RE\n{line} is linked to the given target.\n")
    board = b.first()
    assert "0x08fff000" in said(board, "tool-stopped")
    assert "error of its own" in board.verdict.summary
    assert leading(board) == ""
    # Beside a dump it explains nothing.
    assert not said(b.dump(flash((0, PROGRAM))).first(), "tool-stopped")


@pytest.mark.parametrize(
    ("note", "low"),
    [
        ("VDD (pins 19, 32)  3,31 V\nVDDA (pin 13)  0,42 V\nVCAP  1,20 V\n", 0.42),
        ("VDD = 3.28 V, VDDA: 3.30V\nVCAP 1.2 V\n", None),
        ("at the chip: VCC 1.55 V while erasing\n", 1.55),
        ("version 0.42 of VDDA code\n", None),
    ],
)
def test_a_supply_that_somebody_measured_counts(tmp_path: Path, note: str, low: float | None) -> None:
    board = Bench(tmp_path).dump(flash((0, PROGRAM))).text("log", note).first()
    assert (statuses(board)["board-wiring"] == "supported") is (low is not None)
    assert (f"{low:.2f} V" in said(board, "low-voltage")) if low else not said(board, "low-voltage")


# ---------------------------------------------------------------- two releases, and several boards
def dated(seed: int, date: bytes) -> np.ndarray:
    body = program(seed, size=0x8000)
    body[0x1000 : 0x1000 + len(date) + 1] = np.frombuffer(date + b"\0", np.uint8)
    return body


@pytest.mark.parametrize(
    ("there", "absent", "finding"),
    [
        (("app_1.2.0.hex", b"x"), ("app_1.1.9.hex", b"x"), "older-file-not-there"),
        (("app_1.1.9.hex", b"x"), ("app_1.2.0.hex", b"x"), "file-not-there"),
        (("a.hex", b"Mar 11 2025"), ("b.hex", b"Nov 30 2024"), "older-file-not-there"),
        (("a.hex", b"Nov 30 2024"), ("b.hex", b"Mar  1 2025"), "file-not-there"),
        (("a.hex", b"x"), ("b.hex", b"x"), "file-not-there"),
    ],
)
def test_an_earlier_release_is_not_missed(tmp_path: Path, there: tuple, absent: tuple, finding: str) -> None:
    new, old = dated(105, there[1]), dated(106, absent[1])
    board = Bench(tmp_path).dump(flash((0, new))).image(there[0], new).image(absent[0], old).first()
    ids = {f.id for f in board.findings}
    assert ids & {"file-not-there", "older-file-not-there"} == {finding}
    assert statuses(board)["programming-incomplete"] == ("possible" if finding == "file-not-there" else "not-tested")


def test_the_board_of_which_something_is_supported_comes_first(tmp_path: Path) -> None:
    bad, good = PROGRAM.copy(), PROGRAM
    bad[0x8000:0x10000] = OLD[0x8000:0x10000]
    toml = ""
    for n, data in enumerate((good, bad), 1):
        (tmp_path / f"{n}.bin").write_bytes(flash((0, data), size=0x100000).tobytes())
        (tmp_path / f"{n}.txt").write_text(listing(**({"WRP1": "0xFFFFFFFD"} if n == 2 else {})))
        toml += f'[[suspects]]\nname = "board {n}"\ndumps = ["{n}.bin"]\noptions = "{n}.txt"\n'
    (tmp_path / "new.bin").write_bytes(PROGRAM.tobytes())
    (tmp_path / "other.bin").write_bytes(OLD.tobytes())
    for name in ("new.bin", "other.bin"):
        toml += f'[[images]]\nfile = "{name}"\nbase = 0x08000000\n'
    (tmp_path / "case.toml").write_text(toml)
    boards = {b.name: b.verdict for b in diagnose(load_case(tmp_path)).boards}
    assert list(boards) == ["board 2", "board 1"]
    assert boards["board 1"].word is boards["board 2"].word
