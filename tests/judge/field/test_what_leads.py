"""What is put forward where several causes fit: the cause before its consequence, and no more than a line can tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from h5diag.evidence.files import read_image
from h5diag.evidence.texts import parse_log
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
