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


# ---------------------------------------------------------------- a connection that failed since one that worked
JLINK = "SEGGER J-Link Commander V8.10e\nUSB speed mode: High speed (480 MBit/s)\nVTref=3.300V\nJ-Link>connect\n"
WORKED, SHUT = "Found Cortex-M33 r0p4, Little endian.\n", "Can not attach to CPU. Trying connect under reset.\n"


@pytest.mark.parametrize(
    ("text", "since", "cause"),
    [
        (JLINK + WORKED + JLINK + SHUT, True, "door-shut-by-firmware"),
        (JLINK + SHUT, False, "debug-locked"),
        (JLINK + WORKED + "PROGRAMMING OPTION BYTES AREA ...\n" + JLINK + SHUT, False, "debug-locked"),
    ],
)
def test_what_was_reachable_before_is_shut_by_what_came_since(
    tmp_path: Path, text: str, since: bool, cause: str
) -> None:
    board = Bench(tmp_path).text("log", text).first()
    assert bool(said(board, "shut-since")) is since
    assert leading(board) == cause
    assert not parse_log(text).rom_sessions  # the probe's own USB speed is no boot loader's


def test_a_session_before_the_log_comes_before_it(tmp_path: Path) -> None:
    b = Bench(tmp_path)
    for name, text in (("1_ok.txt", JLINK + WORKED), ("2_next_day.txt", JLINK + SHUT)):
        (tmp_path / name).write_text(text)
    board = b.say('log = "2_next_day.txt"').say('registers = "1_ok.txt"').first()
    assert said(board, "shut-since")


# ---------------------------------------------------------------- sectors that are erased inside a program
@pytest.mark.parametrize(
    ("lo", "hi", "told"),
    [
        (0x4000, 0x6000, True),
        (0x4000, 0x8000, True),
        (0x4010, 0x6000, False),
        (0x4000, 0x40000, False),
        (0, 0x2000, False),
    ],
)
def test_a_hole_of_whole_sectors_is_told_without_anything_to_compare(
    tmp_path: Path, lo: int, hi: int, told: bool
) -> None:
    holed = flash((0, program(112, size=0x48000)), size=0x100000)
    holed[lo:hi] = 0xFF
    b = Bench(tmp_path).text("log", "Device ID   : 0x484\n").dump(holed)
    board = b.first()
    assert bool(said(board, "sectors-erased-inside")) is told
    assert not told or f"0x{0x08000000 + lo:08X} to 0x{0x08000000 + hi - 1:08X}" in said(board, "sectors-erased-inside")
    assert not said(b.image("app.hex", program(112, size=0x48000)).first(), "sectors-erased-inside")


def test_the_flags_that_a_firmware_prints_beside_its_write_are_read(tmp_path: Path) -> None:
    line = "[arch] prog 0x08032018 <- 6553F2E4 01A30B7C : HAL_ERROR, FLASH->SR=0x000000A8 ErrorCode=0x000000A8\n"
    board = Bench(tmp_path).say('marking = "STM32L431CC"').text("log", "arch: start\n" + line).first()
    assert leading(board) == "refused-write"
    assert "PROGERR" in said(board, "write-refused")
    assert "0x08032018" in said(board, "write-refused")
