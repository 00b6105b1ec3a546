"""Why a program that stands in the flash does not start: options, link address, a port that opens in one way only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from .bench import BASE, Bench, Bytes, flash, leading, program, statuses

PROGRAM = program(51)


def functions(data: Bytes) -> Bytes:
    """Return the program with a function's begin at each of its fifteen handlers."""
    words = data.copy().view("<u4")
    words[0x200 // 4 : 0x200 // 4 + 15] = 0x4C03B510  # push {r4, lr}; ldr r4, ...
    return words.view(np.uint8).copy()


def options(dev_id: int, **values: int) -> str:
    rows = "".join(f"     {n:<13}: 0x{v:X} (0x{v:X}) \n" for n, v in values.items())
    return f"Device ID   : 0x{dev_id:03X}\n\nOPTION BYTES BANK: 0\n\n   User Configuration:\n\n{rows}"


def said(board: object, finding: str) -> str:
    return " ".join(f.claim for f in board.findings if f.id == finding)  # type: ignore[attr-defined]


# ---------------------------------------------------------------- options of families without a chip file
G0 = {"RDP": 0xAA, "nRST_STOP": 1, "IWDG_SW": 1, "nBOOT_SEL": 1, "nBOOT1": 1, "nBOOT0": 1, "NRST_MODE": 3}
H7 = {"RDP": 0xAA, "IWDG1_SW": 1, "SECURITY": 0, "BCM4": 1, "BCM7": 1, "SWAP_BANK": 0, "BOOT_CM7_ADD0": 0x800}


@pytest.mark.parametrize(
    ("dev_id", "values", "lead", "word"),
    [
        (0x467, G0 | {"nBOOT0": 0}, "starts-elsewhere", "nBOOT_SEL 1, nBOOT0 0) the chip starts its ROM boot loader"),
        (0x467, G0 | {"nBOOT0": 0, "nBOOT1": 0}, "starts-elsewhere", "from its SRAM"),
        (0x467, G0 | {"nBOOT0": 0, "nBOOT_SEL": 0}, "", ""),  # the pin decides, and nBOOT0 says nothing
        (0x467, G0, "", ""),
        (0x450, H7 | {"BCM7": 0}, "starts-elsewhere", "Cortex-M7 is not started at a reset, only the Cortex-M4"),
        (0x450, H7 | {"BOOT_CM7_ADD0": 0x1FF0}, "starts-elsewhere", "BOOT_CM7_ADD0 is 0x1FF00000"),
        (0x450, H7 | {"BOOT_CM7_ADD0": 0x810}, "starts-elsewhere", "0x08100000"),
        (0x450, H7, "", ""),
        (0x449, {"RDP": 0xAA, "WWDG_SW": 1, "IWDG_SW": 1, "BOOT_ADD0": 0x80}, "", ""),  # 0x00200000 is the flash too
        (0x449, {"RDP": 0xAA, "WWDG_SW": 1, "IWDG_SW": 1, "BOOT_ADD0": 0x40}, "starts-elsewhere", "0x00100000"),
    ],
)
def test_the_options_of_a_family_without_a_chip_file_say_where_it_starts(
    tmp_path: Path, dev_id: int, values: dict[str, int], lead: str, word: str
) -> None:
    b = Bench(tmp_path).dump(flash((0, PROGRAM))).image("app.hex", PROGRAM)
    board = b.text("options", options(dev_id, **values)).first()
    assert leading(board) == lead
    claims = " ".join(f.claim for f in board.findings)
    assert word in claims
    assert board.verdict.word.value == ("undecided" if lead else "sound")


# ---------------------------------------------------------------- where a program was linked
def test_the_link_address_is_told_by_what_the_vectors_name(tmp_path: Path) -> None:
    app = functions(program(52, base=BASE + 0x9000))
    board = Bench(tmp_path).dump(flash((0, PROGRAM), (0xC000, app))).image("app.bin", app, None).first()
    assert leading(board) == "linked-elsewhere"
    assert "(most likely 0x08009000, where most of them" in said(board, "vectors-point-elsewhere")


def test_a_program_linked_for_ram_does_not_run_from_the_flash(tmp_path: Path) -> None:
    app = program(54, base=0x20000000)
    board = Bench(tmp_path).dump(flash((0, app))).image("app.bin", app, None).first()
    assert leading(board) == "linked-elsewhere"
    assert "0x20000000" in said(board, "vectors-point-elsewhere")
    # Behind a boot loader it may be meant to be copied.
    copied = Bench(tmp_path).dump(flash((0, PROGRAM), (0x20000, app))).image("app.bin", app, None).first()
    assert statuses(copied)["linked-elsewhere"] not in ("supported", "possible")


# ---------------------------------------------------------------- a port that opens in one way only
OPENOCD = "Open On-Chip Debugger 0.12.0\nInfo : STLINK V2J37S7 (API v2)\nInfo : Target voltage: 3.248722\n"
REFUSED = "Error: init mode failed (unable to connect to the target)\n"
REACHED = "Info : [stm32f1x.cpu] Cortex-M3 r1p1 processor detected\nInfo : device id = 0x20036410\n"


def test_a_port_that_opened_at_a_second_try_is_no_proof_of_bad_wiring(tmp_path: Path) -> None:
    b = Bench(tmp_path).dump(flash((0, PROGRAM), size=0x20000)).image("fw.hex", PROGRAM)
    board = b.text("log", OPENOCD + REFUSED + OPENOCD + REACHED).first()
    stand = statuses(board)
    assert stand["board-wiring"] == stand["door-shut-by-firmware"] == "possible"
    assert stand["debug-locked"] == "excluded"
    assert "reset held" in said(board, "read-after-all")
    assert board.verdict.word.value == "sound"


def test_a_port_that_never_opened_speaks_of_the_wires(tmp_path: Path) -> None:
    board = Bench(tmp_path).text("log", OPENOCD + REACHED + OPENOCD + REFUSED).first()
    assert leading(board) == "board-wiring"
    assert not said(board, "read-after-all")


def test_a_read_without_a_failed_connection_leaves_the_port_open(tmp_path: Path) -> None:
    b = Bench(tmp_path).dump(flash((0, PROGRAM), size=0x20000)).image("fw.hex", PROGRAM)
    assert statuses(b.text("log", OPENOCD + REACHED).first())["door-shut-by-firmware"] == "excluded"


# ---------------------------------------------------------------- one bank or two
@pytest.mark.parametrize("row", [16, 32])
@pytest.mark.parametrize("joined", [False, True])
def test_an_option_for_the_banks_that_was_changed_parts_the_rows(tmp_path: Path, row: int, joined: bool) -> None:
    data = flash((0, PROGRAM), size=0x80000)
    if joined:
        halves = data.reshape(2, -1, row // 2)
        data = np.stack((halves[0], halves[1]), axis=1).reshape(-1)
    else:
        data = np.concatenate([data.reshape(-1, 2, row // 2)[:, i].reshape(-1) for i in (0, 1)])
    b = Bench(tmp_path).dump(data).image("app.hex", PROGRAM)
    board = b.text("options", options(0x469, RDP=0xAA, IWDG_SW=1, DBANK=int(not joined))).first()
    assert leading(board) == "options-not-applied"
    assert f"each {row}-byte row" in said(board, "bank-mode-changed")
    assert not said(board, "unexplained-difference")
    assert statuses(board)["masked-read"] != "supported"


def test_other_content_is_no_change_of_the_banks(tmp_path: Path) -> None:
    data = np.concatenate([flash((0, PROGRAM), size=0x80000).reshape(-1, 2, 8)[:, i].reshape(-1) for i in (0, 1)])
    data[0x40000:0x40100] = 0xA5
    board = Bench(tmp_path).dump(data).image("app.hex", PROGRAM).first()
    assert not said(board, "bank-mode-changed")
