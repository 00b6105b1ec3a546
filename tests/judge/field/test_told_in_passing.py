"""What stands in a text beside its main matter: options that were typed, a listing in a session, an area that is off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from h5diag.evidence.texts import parse_log

from .bench import Bench, flash, leading, listing, program, programmed, statuses
from .test_starts import said

PROGRAM = program(111)
TYPED = """copied by hand
RDP = {rdp}
nRST_STOP = 1   nRST_STDBY = 1   nRST_SHDW = 1
nSWBOOT0 = 0  nBOOT0 = 1
WRP1A_STRT = 0x3F  WRP1A_END = 0   WRP1B_STRT = 3F  WRP1B_END = 0
SFSA\t0xF4
"""


@pytest.mark.parametrize(("rdp", "value"), [("FF", 0xFF), ("AA", 0xAA), ("0", None), ("1", None)])
def test_options_that_were_typed_are_a_listing(rdp: str, value: int | None) -> None:
    values = {f.name: f.value for f in parse_log(TYPED.format(rdp=rdp)).listing.fields}
    assert values.get("RDP") == value
    assert (values["nRST_SHDW"], values["nSWBOOT0"], values["WRP1A_STRT"], values["WRP1B_STRT"]) == (1, 0, 0x3F, 0x3F)
    assert values["SFSA"] == 0xF4
    # Prose with a name and a number in it is none, and a name that no chip has is none.
    assert not parse_log("we set nBOOT0 1 and nSWBOOT0 0 today\nRDP AA then\nWIDTH = 3  HEIGHT = 4\nTZEN 1 !\n").listing


def test_a_listing_in_the_session_of_the_programming_counts(tmp_path: Path) -> None:
    session = (
        programmed("app.hex", 0x08000000, 36.0) + "\n$ STM32_Programmer_CLI -ob displ\n" + listing(WRP1="0xFFFFFFFE")
    )
    board = Bench(tmp_path).dump(flash((0, PROGRAM))).image("app.hex", PROGRAM).log(session).first()
    assert board.measured.suspect.options.wrp_ranges


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Error: Mass erase operation failed.Please verify flash protection\n", "possible"),
        ("Error: Read protection is active, data read failed\n", "supported"),
    ],
)
def test_a_failed_erase_says_nothing_of_the_port(tmp_path: Path, text: str, status: str) -> None:
    board = Bench(tmp_path).text("log", f"Device ID   : 0x495\nVoltage     : 3.27V\n{text}").first()
    assert (statuses(board)["debug-locked"] == "supported") is (status == "supported")


@pytest.mark.parametrize(("size", "told"), [(0x2B000, True), (0x20000, False)])
def test_a_write_that_reaches_what_an_option_keeps_names_it(tmp_path: Path, size: int, told: bool) -> None:
    lines = f"  File          : stack.bin\n  Size          : {size / 1024:.2f} KB\n  Address       : 0x080CE000\n"
    log = f"Device ID   : 0x495\nMemory Programming ...\n{lines}Erasing internal memory sectors [206 249]\n"
    log += "Error: failed to erase memory\n"
    board = Bench(tmp_path).text("options", TYPED.format(rdp="AA")).text("log", log).first()
    assert ("SFSA (0xF4)" in said(board, "refused-at-option")) is told
    assert not told or "0x080F4000" in said(board, "refused-at-option")


# ---------------------------------------------------------------- nothing answers
@pytest.mark.parametrize(
    ("line", "wiring", "shut"),
    [
        ("Reason: No device found on target.", "possible", "possible"),
        ("Warning: Connection to device 0x484 is lost", "possible", "possible"),
        ("Error: Target not supplied, no target voltage", "supported", "possible"),
    ],
)
def test_silence_alone_supports_no_cause(tmp_path: Path, line: str, wiring: str, shut: str) -> None:
    board = Bench(tmp_path).text("log", f"ST-LINK SN  : 0000\n{line}\n").first()
    assert statuses(board)["board-wiring"] == wiring
    assert statuses(board)["door-shut-by-firmware"] == shut
    assert leading(board) == "board-wiring"


def test_an_authentication_that_nobody_answers_points_to_the_reset_line(tmp_path: Path) -> None:
    text = "Voltage     : 3.26V\nError: Unable to get core ID\n"
    alone = Bench(tmp_path / "alone")
    (tmp_path / "alone").mkdir()
    assert leading(alone.text("log", text).first()) == "door-shut-by-firmware"
    text += "Start Debug Authentication Sequence\nError: Debug Authentication: Failed to communicate with target !\n"
    board = Bench(tmp_path).text("log", text).first()
    assert leading(board) == "board-wiring"
    assert "NRST" in said(board, "wiring-log")


# ---------------------------------------------------------------- an area that is off, and the last bytes of a file
FAULT = "*** HardFault\n    CFSR  0x00008200\n    HFSR  0x40000000\n    BFAR  0x0900A800\n    PC    0x08001E5C\n"


@pytest.mark.parametrize(("on", "cause"), [("0x0", "options-not-applied"), ("0x1", "stale-cache")])
def test_a_fault_in_an_area_that_is_off_is_no_fault_of_the_cache(tmp_path: Path, on: str, cause: str) -> None:
    text = listing(EDATA1_EN=on, EDATA2_EN="0x0")
    board = Bench(tmp_path).text("log", "Device ID   : 0x484\n").text("options", text).text("uart", FAULT).first()
    assert leading(board) == cause
    assert bool(said(board, "fault-in-area-that-is-off")) is (on == "0x0")


@pytest.mark.parametrize(("tail", "told"), [(b"\1\0\0\0\0\0\0\2", True), (bytes(8), False)])
def test_the_last_bytes_of_a_file_may_be_missing_alone(tmp_path: Path, tail: bytes, told: bool) -> None:
    file = np.concatenate([PROGRAM, np.frombuffer(tail, np.uint8)])
    board = Bench(tmp_path).dump(flash((0, PROGRAM))).image("app.bin", file).first()
    assert (leading(board) == "programming-incomplete") is told
