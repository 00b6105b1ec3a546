"""What stands where it was not linked for, what starts nothing, and what a tool said that it erased."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from h5diag.case.intake import sort_evidence
from h5diag.evidence.texts import parse_log

from .bench import BASE, Bench, flash, leading, program, statuses
from .test_starts import options, said

H562 = "Device ID   : 0x484\nRevision ID : Rev X\nFlash size  : 1 MBytes\n"
U5 = "Device ID   : 0x482\nFlash size  : 2 MBytes\n"


def linked(base: int, functions: int = 60, vectors: int = 2) -> np.ndarray:
    """Return a program of `functions` that each push the link register, with a table of their addresses."""
    rng = np.random.default_rng(functions)
    halves = rng.integers(0x1000, 0x4500, 0x4000, dtype=np.uint16)
    at = 0x200 + 2 * np.sort(rng.choice(0x3400, functions, replace=False))
    halves[at // 2] = 0xB510
    words = halves.view("<u4")
    words[-functions:] = base + at + 1
    words[:16] = base + at[np.arange(16) % vectors] + 1
    words[0] = 0x20010000
    return halves.view(np.uint8)


# ---------------------------------------------------------------- linked for another place than where it stands
@pytest.mark.parametrize(("base", "lead"), [(BASE + 0x2000, "linked-elsewhere"), (BASE, "")])
def test_two_handlers_and_sixty_pointers_tell_where_a_program_is_linked(tmp_path: Path, base: int, lead: str) -> None:
    app = linked(base)
    board = Bench(tmp_path).dump(flash((0, app), size=0x100000)).log(H562).image("app.bin", app, None).first()
    assert leading(board) == lead
    assert (f"0x{base:08X}" in said(board, "vectors-point-elsewhere")) is bool(lead)


def test_pointers_that_fit_many_places_name_none(tmp_path: Path) -> None:
    app = linked(BASE + 0x2000, functions=6)
    board = Bench(tmp_path).dump(flash((0, app), size=0x100000)).log(H562).image("app.bin", app, None).first()
    assert not said(board, "vectors-point-elsewhere")


# ---------------------------------------------------------------- nothing where the chip starts
@pytest.mark.parametrize(
    ("erase", "lead"), [("Mass erase successfully achieved\n", "erased-whole"), ("", "programming-incomplete")]
)
def test_an_application_without_its_boot_loader_does_not_start(tmp_path: Path, erase: str, lead: str) -> None:
    app = program(81, base=BASE + 0x10000)
    board = Bench(tmp_path).dump(flash((0x10000, app))).text("log", U5 + erase).image("app.hex", app, BASE + 0x10000)
    assert leading(board.first()) == lead
    with_loader = Bench(tmp_path).dump(flash((0, program(82, 0x4000)), (0x10000, app))).text("log", U5 + erase)
    assert leading(with_loader.image("app.hex", app, BASE + 0x10000).first()) == ""


def test_a_boot_address_that_is_known_is_asked_instead(tmp_path: Path) -> None:
    app = program(83, base=BASE + 0x10000)
    text = options(0x482, RDP=0xAA, TZEN=0, NSBOOTADD0=(BASE + 0x10000) >> 7)
    board = Bench(tmp_path).dump(flash((0x10000, app))).text("options", text).image("app.hex", app, BASE + 0x10000)
    assert not said(board.first(), "start-erased")


# ---------------------------------------------------------------- sectors that a tool says it erased
@pytest.mark.parametrize(
    ("line", "lead"),
    [
        ("Erasing internal memory sector 80\n", "wrong-bank-erase"),
        ("Erasing internal memory sectors [80 81]\n", "wrong-bank-erase"),
        ("Erasing internal memory sector 90\n", "programming-incomplete"),
    ],
)
def test_the_sector_of_that_number_in_the_other_bank_is_gone(tmp_path: Path, line: str, lead: str) -> None:
    app = program(84, 0x40000)
    dump = flash((0, app), (0xA0000, program(85, 0x2000)), size=0x100000)
    dump[0x20000:0x22000] = 0xFF
    board = Bench(tmp_path).dump(dump).image("drive.hex", app).text("log", H562 + line).first()
    assert leading(board) == lead


# ---------------------------------------------------------------- zeros that run into the next sector
def test_masked_zeros_end_where_the_secure_area_does(tmp_path: Path) -> None:
    app = program(86)
    app[:2] = 0
    text = options(0x472, RDP=0xAA, TZEN=1, DBANK=1, SECWM1_PSTRT=0, SECWM1_PEND=0x7F, SECWM2_PSTRT=0x7F, SECWM2_PEND=0)
    dump = flash((0, np.zeros(0x40000, np.uint8)), (0x40000, app), size=0x80000)
    board = Bench(tmp_path).dump(dump).text("options", text).first()
    assert "0x08000000 to 0x0803FFFF" in said(board, "zeros-where-secure")
    assert "0x08040001" not in " ".join([*board.verdict.open_points, said(board, "zeros-where-secure")])


# ---------------------------------------------------------------- registers in what the firmware printed
def test_registers_by_their_addresses_in_a_handlers_print(tmp_path: Path) -> None:
    text = "NMI while reading the serial number\n0x40022100 : 00000000\n0x40022104 : 81000610\nPC   = 0x08001F3C\n"
    board = Bench(tmp_path).text("uart", text).text("log", "Device ID   : 0x474\nFlash size  : 128 KBytes\n").first()
    assert statuses(board)["never-written-ecc"] == "supported"
    assert "0x08FFF040" in said(board, "ecc-never-written")


# ---------------------------------------------------------------- texts
def test_a_flashing_that_stops_names_its_chip() -> None:
    log = parse_log(
        "    Flashing app.bin\n     Erasing sectors [00:00:03] [####] 212.00KB/212.00KB\n"
        " Programming pages   [00:00:05] [##--] 128.00KB/212.00KB\n       Error failed to flash app.bin\n"
        "                 0: Failed to program page at address 0x08020000.\n  chip given: STM32L452CCUx\n"
    )
    assert [t.target for t in log.tools] == ["STM32L452CCUx"]
    assert [w.failed for w in log.programming.writes] == [True]


def test_a_text_goes_with_the_board_whose_name_holds_its_words(tmp_path: Path) -> None:
    for name, data in (("board_ok.bin", program(1)), ("board_no_reconnect.bin", program(2))):
        (tmp_path / name).write_bytes(flash((0, data), size=0x100000).tobytes())
    (tmp_path / "info_no_reconnect.txt").write_text(f"STM32CubeProgrammer v2.17.0\n{H562}")
    found = sort_evidence([tmp_path])
    (suspect,) = found.boards.suspects
    assert "info_no_reconnect.txt" in [e.path.name for e in suspect.files]


def test_a_loaders_log_of_a_family_without_a_chip_file_is_judged(tmp_path: Path) -> None:
    (tmp_path / "vb3.txt").write_text(
        "STM32CubeProgrammer v2.20.0\n"
        + H562.replace("0x484", "0x483")
        + "  09:14:02:101 : Warning: flash loader W25Q64_H735.stldr is loaded\n"
        "  09:14:02:118 :   Address       : 0x90000000 \n  09:14:02:119 : r ap 0 @0x90000000 0x00000400 bytes\n"
        "  09:14:04:020 : Data read successfully\n"
    )
    board = Bench(tmp_path).dump(np.zeros(0x40000, np.uint8), base=0x90000000)
    board.rest.append('[loader]\nlog = "vb3.txt"')
    assert leading(board.text("log", H562.replace("0x484", "0x483")).first()) == "loader-bypassed"
