"""Little evidence: what was read is told as far as it goes, and the next test closes what is open."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from h5diag.errors import InputError

from .bench import BASE, Bench, flash, leading, program, programmed, statuses

PROGRAM = program(1)
CHIP = 'chip = "stm32h563zi"'


@pytest.mark.parametrize("size", [16, 0x2000])
@pytest.mark.parametrize("file", [False, True])
def test_an_erased_board_of_which_little_was_read_is_erased_as_far_as_read(
    tmp_path: Path, size: int, file: bool
) -> None:
    b = Bench(tmp_path).head(CHIP).dump(np.full(size, 0xFF, np.uint8))
    board = (b.image("app.hex", PROGRAM) if file else b).first()
    assert leading(board) == "erased-whole"
    assert board.verdict.hypothesis("erased-whole").status.value == "possible"
    ids = {f.id for f in board.findings}
    assert "erased-as-far-as-read" in ids
    assert "unexplained-difference" not in ids
    assert board.next_test.id == "read-whole"


def test_the_whole_read_takes_the_place_of_a_look_at_the_first_bytes(tmp_path: Path) -> None:
    b = Bench(tmp_path).head(CHIP).image("app.hex", PROGRAM)
    board = b.dump(np.full(16, 0xFF, np.uint8), flash()).first()
    assert board.verdict.hypothesis("erased-whole").status.value == "supported"
    assert board.next_test.id != "read-whole"
    assert board.measured.suspect.dump.span.size == flash().size
    assert board.measured.suspect.dump.span.start == BASE


BANNERS = {
    "l4": "Device ID   : 0x415\nRevision ID : Rev 4\nFlash size  : 1 MBytes\nVoltage     : 3.30V\n",
    "g4": "Device ID   : 0x469\nRevision ID : Rev Z\nFlash size  : 512 KBytes\nVoltage     : 3.30V\n",
    "l4+": "Device ID   : 0x470\nRevision ID : Rev Y\nFlash size  : 2 MBytes\nVoltage     : 3.30V\n",
    "l5": "Device ID   : 0x472\nRevision ID : Rev Z\nFlash size  : 512 KBytes\nVoltage     : 3.30V\n",
    "u5": "Device ID   : 0x482\nRevision ID : Rev X\nFlash size  : 2 MBytes\nVoltage     : 3.30V\n",
    "h5": "Device ID   : 0x484\nRevision ID : Rev X\nFlash size  : 2 MBytes\nVoltage     : 3.30V\n",
    "g0": "Device ID   : 0x460\nRevision ID : Rev Z\nFlash size  : 128 KBytes\nVoltage     : 3.30V\n",
}


@pytest.mark.parametrize(
    ("family", "register", "value", "address"),
    [
        ("l4", "ECCR", 0x80012340, 0x08012340),
        ("l4", "ECCR", 0x80092340, 0x08092340),  # BK_ECC is bit 19
        ("l4+", "ECCR", 0x80212340, 0x08112340),  # and bit 21 on the larger ones
        ("g4", "ECCR", 0x80212340, 0x08052340),
        ("g4", "ECCR", 0x20001230, 0x08001230),  # ECCD2: the upper half of a 128-bit word
        ("l5", "ECCR", 0x80212340, 0x08052340),
        ("u5", "ECCR", 0x80212340, 0x08112340),
        ("h5", "ECCDETR", 0x80001234, 0x08012340),
    ],
)
@pytest.mark.parametrize("key", ["registers", "uart"])
def test_an_ecc_register_is_told_as_a_flash_address(
    tmp_path: Path, family: str, register: str, value: int, address: int, key: str
) -> None:
    print_it = f"FLASH_{register} = 0x{value:08X}\n"
    board = Bench(tmp_path).text("log", BANNERS[family]).text(key, "NMI\n" * (key == "uart") + print_it).first()
    (finding,) = (f for f in board.findings if f.id.startswith("ecc-"))
    assert finding.id == "ecc-error"
    assert f"0x{address:08X}" in finding.claim
    assert finding.where[0].start == address


@pytest.mark.parametrize(("family", "value"), [("g0", 0x80001234), ("l4", 0x80101234), ("g4", 0x80401234)])
def test_an_address_of_which_nobody_knows_how_it_counts_is_not_told(tmp_path: Path, family: str, value: int) -> None:
    board = Bench(tmp_path).text("log", BANNERS[family]).text("registers", f"FLASH_ECCR = 0x{value:08X}\n").first()
    (finding,) = (f for f in board.findings if f.id.startswith("ecc-"))
    assert finding.id == "ecc-flag"
    assert not finding.where


@pytest.mark.parametrize("gap", [0x300, 0xD730, 0xE9F8])
@pytest.mark.parametrize("zeros_on", ["chip", "file"])
def test_a_gap_between_pieces_that_a_tool_filled_with_zeros_is_fill(tmp_path: Path, gap: int, zeros_on: str) -> None:
    big = program(1, 0x10000)
    filled, empty = (
        np.concatenate((big[: 0x10000 - gap], np.full(gap, v, np.uint8), program(2, base=BASE + 0x10000)))
        for v in (0, 0xFF)
    )
    chip, file = (filled, empty) if zeros_on == "chip" else (empty, filled)
    for folder, b in (("file", Bench(tmp_path / "file")), ("good", Bench(tmp_path / "good"))):
        b.folder.mkdir()
        b.dump(flash((0, chip)))
        board = (b.image("both.bin", file, None) if folder == "file" else b.dump(flash((0, file)), good=True)).first()
        assert leading(board) in ("padding", "")
        assert board.verdict.hypothesis("padding").status.value == "supported"
        assert board.verdict.hypothesis("masked-read").status.value != "supported"
        assert board.verdict.word.value == "sound"


def test_zeros_between_the_pieces_of_a_hex_file_are_fill(tmp_path: Path) -> None:
    one, two = PROGRAM[:0x3210], program(2, base=BASE + 0x10000)
    chip = flash((0, one), (0x10000, two))
    chip[0x3210:0x10000] = 0
    b = Bench(tmp_path).dump(chip).image("boot.hex", one).image("app.hex", two, BASE + 0x10000)
    board = b.first()
    assert leading(board) == "padding" or board.verdict.word.value == "sound"
    assert "fill-between-pieces" in {f.id for f in board.findings}
    assert not board.verdict.open_points


@pytest.mark.parametrize("start", [0x2000, 0x4000])
def test_zeros_over_whole_sectors_are_not_taken_for_fill(tmp_path: Path, start: int) -> None:
    chip = flash((0, PROGRAM[:start]), (0x10000, program(2, base=BASE + 0x10000)))
    good = chip.copy()
    chip[start:0x10000] = 0
    board = Bench(tmp_path).dump(chip).dump(good, good=True).first()
    assert board.verdict.hypothesis("padding").status.value != "supported"
    assert leading(board) == "masked-read"


ONE_MB = BANNERS["h5"].replace("2 MBytes", "1 MBytes")


@pytest.mark.parametrize("marking", ["", 'marking = "STM32H563ZIT6"'])
def test_a_layout_of_two_megabytes_on_a_part_of_one(tmp_path: Path, marking: str) -> None:
    b = Bench(tmp_path).head('layout = "oemirot-2m-overwrite"').text("log", ONE_MB)
    board = (b.say(marking) if marking else b).first()
    assert leading(board) in ("wrong-size-assumption", "wrong-part")
    assert board.verdict.hypothesis("wrong-part").status.value == ("supported" if marking else "possible")
    assert "0x080FFFFF" in " ".join(f.claim for f in board.findings)
    assert board.next_test.id == "check-the-part"


def test_a_file_beyond_the_flash_that_the_chip_says_it_has(tmp_path: Path) -> None:
    b = Bench(tmp_path).text("log", ONE_MB).dump(flash((0, PROGRAM), size=0x100000)).image("app.hex", PROGRAM)
    board = b.image("second.hex", program(2, base=BASE + 0x100000), BASE + 0x100000).first()
    assert leading(board) == "wrong-size-assumption"
    assert "second.hex" in " ".join(f.claim for f in board.findings if f.id == "larger-part-meant")


def test_a_layout_that_does_not_fit_the_chip_that_somebody_named_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not fit the chip"):
        Bench(tmp_path).head('chip = "stm32h563zg"\nlayout = "oemirot-2m-overwrite"').text("log", ONE_MB).first()


@pytest.mark.parametrize("reads", [1, 2])
def test_one_column_of_the_flash_word_is_no_debug_links_line(tmp_path: Path, reads: int) -> None:
    weak = flash((0, PROGRAM))
    weak[5 : PROGRAM.size : 16] &= 0xF7
    board = Bench(tmp_path).dump(*[weak] * reads).image("app.hex", PROGRAM).first()
    assert f"one-column-fell{'-once' * (reads == 1)}" in {f.id for f in board.findings}
    assert "bit 43 of a 128-bit flash word" in " ".join(f.claim for f in board.findings)
    assert leading(board) == ("flash-defect" if reads > 1 else "")
    assert board.verdict.word.value == ("suspect" if reads > 1 else "undecided")


@pytest.mark.parametrize(
    ("start", "stop", "log", "reads", "id"),
    [
        (0x4600, 0x4C00, True, 2, "fell-inside-a-sector"),
        (0x4600, 0x4C00, True, 1, "only-fell"),
        (0x4600, 0x4C00, False, 2, "only-fell"),
        (0x4000, 0x4C00, True, 2, "only-fell"),  # the old program may have ended there
        (0x4600, 0x6C00, True, 2, "only-fell"),
    ],
)
def test_a_part_of_a_sector_that_stayed_under_an_erase_speaks_of_the_chip(
    tmp_path: Path, start: int, stop: int, log: bool, reads: int, id: str
) -> None:
    bad = flash((0, PROGRAM))
    bad[start:stop] &= program(2)[start:stop]
    b = Bench(tmp_path).dump(*[bad] * reads).image("app.hex", PROGRAM)
    if log:
        b.log("Erasing internal memory sectors [0 4]\n" + programmed("app.hex", BASE, 36, ok=False))
    board = b.first()
    assert {f.id for f in board.findings} & {"fell-inside-a-sector", "only-fell"} == {id}
    chip = id == "fell-inside-a-sector"
    assert leading(board) == ("flash-defect" if chip else "not-erased")
    assert (board.verdict.word.value == "suspect") is chip
    assert statuses(board)["flash-defect"] == "possible"


@pytest.mark.parametrize(("size", "told"), [(0x200, True), (0x60, False), (0x2000, False)])
def test_a_row_that_stands_a_second_time_is_told_and_puts_nothing_forward(
    tmp_path: Path, size: int, told: bool
) -> None:
    bad = flash((0, PROGRAM))
    bad[0x4600 : 0x4600 + size] = PROGRAM[0x1000 : 0x1000 + size]
    board = Bench(tmp_path).dump(bad, bad).image("app.hex", PROGRAM).first()
    claims = [f.claim for f in board.findings if f.id == "stands-again"]
    assert bool(claims) is told
    if told:
        assert "0x08004600 to 0x080047FF" in claims[0]
        assert "0x08001000 to 0x080011FF" in claims[0]
        assert leading(board) == ""
        assert board.next_test.id == "speed-sweep"


def test_a_line_of_every_word_may_be_the_links(tmp_path: Path) -> None:
    weak = flash((0, PROGRAM))
    weak[1 : PROGRAM.size : 4] &= 0xF7
    board = Bench(tmp_path).dump(weak, weak).image("app.hex", PROGRAM).first()
    assert not {f.id for f in board.findings} & {"one-column-fell", "one-column-fell-once"}
