"""Sessions of debuggers and loaders as people paste them: which chip they are of, and what became of a connection or write."""

from __future__ import annotations

from pathlib import Path

import pytest

from h5diag.case import load_case
from h5diag.case.intake import sort_evidence
from h5diag.judge import BoardDiagnosis, diagnose

from .bench import Bench, flash, leading, program, statuses

PROGRAM = program(61, size=0x2000)
OPENOCD = "Open On-Chip Debugger 0.12.0\nInfo : STLINK V2J43S7 (API v2)\nInfo : Target voltage: 3.251034\n"


def claims(board: BoardDiagnosis, id: str = "") -> str:
    return " ".join(f.claim for f in board.findings if not id or f.id == id)


# ---------------------------------------------------------------- the chip by a session's own words
CORE = "Info : [stm32l4x.cpu] Cortex-M4 r0p1 processor detected\n"
IDCODE = "device idcode = 0x20036468 (STM32G43/G44xx - Rev Z : 0x2003)\nflash size = 128 KiB\n"


@pytest.mark.parametrize("key", ["log", "registers", "uart"])
@pytest.mark.parametrize(
    ("text", "chip", "name"),
    [
        ("$ pyocd cmd -t stm32u575zitx -c 'savemem 0x08000000 0x10000 d.bin'\n", "stm32u575zi", ""),
        ("$ JLinkExe -device STM32L552ZE -if SWD -speed 4000\n", "stm32l552ze", ""),
        ("$ probe-rs read --chip STM32H573II b32 0x08000000 4\n", "stm32h573ii", ""),
        ("$ openocd -f interface/stlink.cfg -f target/stm32u5x.cfg\n" + OPENOCD, "stm32u575zi", ""),
        ("$ openocd -f board/st_nucleo_l476rg.cfg\n" + OPENOCD, "", "STM32L4"),
        (OPENOCD + CORE, "", "STM32L4"),
        (OPENOCD + "Info : [stm32g4x.cpu] target has 6 breakpoints\n> stm32l4x probe 0\n" + IDCODE, "", "STM32G43"),
        ("$ pyocd flash -t nrf52840 fw.hex\n", "", "nrf52840 is no STM32"),
    ],
)
def test_a_session_names_its_chip(tmp_path: Path, key: str, text: str, chip: str, name: str) -> None:
    Bench(tmp_path).dump(flash((0, PROGRAM), size=0x4000)).text(key, text).first()
    found = diagnose(load_case(tmp_path)).to_dict()
    assert found["chip_known_by"] != "assumed"
    assert (found["chip"] or "") == chip
    assert name in found["chip_text"]


def test_a_series_alone_says_nothing_of_the_size(tmp_path: Path) -> None:
    big = program(62, size=0x1000, base=0x08000000)
    b = Bench(tmp_path).dump(flash((0, PROGRAM), size=0x4000)).image("far.hex", big, 0x08200000)
    board = b.text("log", "$ openocd -f target/stm32h5x.cfg\n" + OPENOCD).first()
    assert not claims(board, "larger-part-meant")
    named = b.text("registers", "> mdw 0x44024000\n0x44024000: 10016484\n").first()
    assert claims(named, "larger-part-meant")


# ---------------------------------------------------------------- option words that a debugger printed
G4 = OPENOCD + "Info : [stm32g4x.cpu] Cortex-M4 r0p1 processor detected\n> stm32l4x option_read 0 0x20\n" + IDCODE
WORD = "Option Register: <0x{at:08x}> = 0x{value:x}\n"
PLACES = (0x40022020, 0x40022024, 0x40022028)


def words(value: int, count: int = 3) -> str:
    return "".join(WORD.format(at=at, value=value) for at in PLACES[:count])


@pytest.mark.parametrize("key", ["log", "registers"])
@pytest.mark.parametrize("level", ["RDP level 1 (0xFF)\n", ""])
def test_option_words_of_all_ones_are_torn_options(tmp_path: Path, key: str, level: str) -> None:
    board = Bench(tmp_path).text(key, G4 + level + words(0xFFFFFFFF)).first()
    assert leading(board) == "options-torn"
    assert "All 3 option words read all ones" in claims(board, "options-all-ones")
    assert ("RDP 0xFF counts as protected" in claims(board)) is bool(level)
    assert statuses(board)["refused-write"] != "supported"
    assert "WRPERR" not in claims(board)


@pytest.mark.parametrize(("count", "level", "torn"), [(1, "(0xFF)", True), (1, "(0xBB)", False), (2, "(0xBB)", True)])
def test_one_word_of_all_ones_needs_a_second_witness(tmp_path: Path, count: int, level: str, torn: bool) -> None:
    board = Bench(tmp_path).text("log", f"{G4}RDP level 1 {level}\n" + words(0xFFFFFFFF, count)).first()
    assert bool(claims(board, "options-all-ones")) is torn


def test_option_words_that_somebody_set_are_read_by_their_addresses(tmp_path: Path) -> None:
    board = Bench(tmp_path).text("log", G4 + WORD.format(at=PLACES[0], value=0xFBEFF8AA) + words(0xFF, 3)[40:]).first()
    assert statuses(board)["options-torn"] == "excluded"
    # nSWBOOT0 0 and nBOOT0 0 in the word at 0x40022020: the ROM boot loader starts.
    rom = 0xFBEFF8AA & ~(1 << 26 | 1 << 27)
    text = G4 + WORD.format(at=PLACES[0], value=rom) + WORD.format(at=PLACES[1], value=0xFF)
    assert leading(Bench(tmp_path).text("log", text).first()) == "starts-elsewhere"


def test_the_boot_words_of_an_older_driver_count_as_well(tmp_path: Path) -> None:
    f7 = OPENOCD + "> stm32f2x options_read 0\nstm32f2x user_options 0xFFC, boot_add0 0x{0}, boot_add1 0x{1}\n"
    torn = Bench(tmp_path).text("log", f7.format("FFFF", "FFFF")).first()
    assert leading(torn) == "options-torn"
    assert leading(Bench(tmp_path).text("log", f7.format("0080", "0040")).first()) == ""


# ---------------------------------------------------------------- registers of nobody
@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("0x40022020: ffffffff\n", False),
        ("NSSR = 0xFFFFFFFF\n", False),
        ("0x40022020: 00040000\n", False),  # of an assumed chip no address names a register
        ("DBGMCU_IDCODE 0x44024000 = 0x10016484\n0x40022020: 00040000\n", True),
        ("DBGMCU_IDCODE 0x44024000 = 0x10016484\n0x40022020: ffffffff\n", False),
    ],
)
def test_a_word_that_no_register_holds_refuses_nothing(tmp_path: Path, text: str, refused: bool) -> None:
    board = Bench(tmp_path).dump(flash((0, PROGRAM), size=0x4000)).text("registers", text).first()
    assert bool(claims(board, "write-refused")) is refused
    assert (statuses(board)["refused-write"] == "supported") is refused


@pytest.mark.parametrize("view", [words(0xFFFFFFFF), "0x08000000: 20004000 08000201 08000205 08000209\n"])
def test_a_session_with_a_view_in_it_stands_for_its_log_too(tmp_path: Path, view: str) -> None:
    (tmp_path / "session.txt").write_text(G4 + view, "utf-8")
    folder = sort_evidence([tmp_path / "session.txt"]).write(tmp_path / "case")
    found = diagnose(load_case(folder))
    assert found.to_dict()["device"]["dev_id"] == 0x468
    assert (leading(found.first) == "options-torn") is ("Option" in view)
