"""What people asked in public and how it showed: one test a kind, with its control."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from h5diag.case import load_case
from h5diag.case.intake import sort_evidence
from h5diag.evidence.files import write_image
from h5diag.judge import diagnose
from h5diag.memory import MemoryImage, Segment

from .bench import BASE, Bench, flash, leading, listing, program, programmed, statuses
from .test_starts import options, said

PROGRAM = program(81)
F4 = "Device ID   : 0x413\nFlash size  : 1 MBytes\n"
MASS = "Device ID   : 0x413\nFlash size  : 1 MBytes\nMass erase ...\n\nMass erase successfully achieved\n"


def test_what_a_programmer_reads_back_is_no_firmwares_view(tmp_path: Path) -> None:
    text = F4 + "10:21:25 : Error: Data mismatch found at address 0x08000400 (byte = 0xFF instead of 0x{:02X})\n"
    board = Bench(tmp_path).dump(flash((0, PROGRAM))).image("a.hex", PROGRAM)
    assert not said(board.text("log", text.format(PROGRAM[0x400])).first(), "firmware-sees-other")
    firmware = f"verify failed at 0x08000400: read 0xFF expected 0x{PROGRAM[0x400]:02X}\n"
    other = Bench(tmp_path).dump(flash((0, PROGRAM))).image("a.hex", PROGRAM).text("uart", firmware)
    assert said(other.first(), "firmware-sees-other")


@pytest.mark.parametrize(("reads", "id"), [(2, "comb-erased"), (1, "comb-erased-once")])
@pytest.mark.parametrize("step", [16, 64])
def test_every_second_row_that_stays_erased_is_no_fill(tmp_path: Path, reads: int, id: str, step: int) -> None:
    bad = flash((0, PROGRAM))
    rows = bad[: PROGRAM.size // (2 * step) * 2 * step].reshape(-1, 2, step)
    rows[:, 1] = 0xFF
    board = Bench(tmp_path).dump(*[bad] * reads).image("app.hex", PROGRAM).first()
    assert f"Every second {step} bytes" in said(board, id)
    assert leading(board) == ("flash-defect" if reads > 1 else "programming-incomplete")
    assert board.verdict.word.value == ("suspect" if reads > 1 else "undecided")
    assert statuses(board)["padding"] not in ("supported", "possible")


def test_holes_that_are_not_every_second_row_are_no_comb(tmp_path: Path) -> None:
    bad = flash((0, PROGRAM))
    for at in range(0, 0x8000, 0x400):
        bad[at + 0x100 : at + 0x180] = 0xFF
    board = Bench(tmp_path).dump(bad, bad).image("app.hex", PROGRAM).first()
    assert not {f.id for f in board.findings} & {"comb-erased", "comb-erased-once"}


@pytest.mark.parametrize(("log", "reads", "told"), [(MASS, 2, True), (MASS, 1, False), (F4, 2, False)])
def test_bits_that_stay_after_an_erase_are_cells(tmp_path: Path, log: str, reads: int, told: bool) -> None:
    left = flash(size=0x100000)
    for at in (0x80010, 0x80411, 0x81234, 0x9F002):
        left[at] &= 0xEF
    board = Bench(tmp_path).dump(*[left] * reads).text("log", log).first()
    assert bool(said(board, "bits-left")) is told
    assert (leading(board) == "flash-defect") is told
    assert (board.verdict.word.value == "suspect") is told


def test_settings_after_an_erase_are_no_cells(tmp_path: Path) -> None:
    left = flash((0x80000, np.arange(1, 200, dtype=np.uint8)), size=0x100000)
    assert not said(Bench(tmp_path).dump(left, left).text("log", MASS).first(), "bits-left")


def test_the_vendors_own_memory_is_no_erased_flash(tmp_path: Path) -> None:
    rom, blank = program(5, 0x800), np.full(0x800, 0xFF, np.uint8)
    b = Bench(tmp_path).dump(blank, base=0x1FFFF000).dump(rom, good=True, base=0x1FFFF000)
    board = b.text("log", "Device ID   : 0x410\nFlash size  : 128 KBytes\n").first()
    assert leading(board) == "system-flash"
    assert not said(board, "all-erased")


@pytest.mark.parametrize("count", [12, 4])
def test_a_listing_that_protects_no_sector_says_so(tmp_path: Path, count: int) -> None:
    rows = {f"nWRP{i}": 1 for i in range(count)}
    board = Bench(tmp_path).text("options", options(0x413, RDP=0xAA, WDG_SW=1, **rows)).first()
    assert bool(said(board, "no-write-protection")) is (count > 8)


def test_a_flash_that_is_protected_everywhere_is_told_without_a_dump(tmp_path: Path) -> None:
    board = Bench(tmp_path).text("options", listing(WRPSGn1="0x0", WRPSGn2="0x0")).first()
    assert "WRPSGn1" in said(board, "write-protection-everywhere")
    assert leading(board) == "write-protected"


@pytest.mark.parametrize(("version", "told"), [("--", False), ("0.0.0", True)])
def test_a_version_that_the_tool_does_not_know_is_no_mask(tmp_path: Path, version: str, told: bool) -> None:
    log = f"Device ID   : 0x484\nDevice name : STM32H5xx\nFlash size  : 2 MBytes\nBL Version  : {version}\n"
    board = Bench(tmp_path).text("log", log).first()
    assert bool(said(board, "version-unreadable")) is told or version != "--"


def test_a_file_that_was_not_there_was_not_written(tmp_path: Path) -> None:
    board = (
        Bench(tmp_path).log("Device ID   : 0x484\nError: File does not exist: ..\\Binary\\app_init_sign.hex\n").first()
    )
    assert "app_init_sign.hex" in said(board, "file-to-write-missing")
    assert leading(board) == "programming-incomplete"


@pytest.mark.parametrize("place", [0x3000, 0x5000])
def test_a_firmware_that_erases_where_its_own_program_is_missing(tmp_path: Path, place: int) -> None:
    bad = flash((0, PROGRAM))
    bad[0x3000:0x3400] = 0xFF
    b = Bench(tmp_path).dump(bad).image("app.hex", PROGRAM).text("uart", f"page 12 (0x{BASE + place:08X}) erase\n")
    board = b.first()
    assert bool(said(board, "firmware-erased-there")) is (place == 0x3000)
    assert (leading(board) == "application-wrote") is (place == 0x3000)


@pytest.mark.parametrize("inside", [True, False])
def test_what_changes_within_a_given_file_is_no_setting(tmp_path: Path, inside: bool) -> None:
    later = flash((0, PROGRAM))
    later[slice(0x3000, 0x3400) if inside else slice(0x40000, 0x40010)] = 0xFF if inside else 0x5A
    write_image(MemoryImage((Segment(BASE, later),)), tmp_path / "run.hex")
    b = Bench(tmp_path).dump(flash((0, PROGRAM))).image("app.hex", PROGRAM)
    board = b.say('later = ["run.hex"]').first()
    assert bool(said(board, "changed-in-a-file")) is inside
    assert bool(said(board, "changed-later")) is not inside
    assert leading(board) == "application-wrote"
    assert ("Nothing is to be repaired" in board.verdict.leading[0].means) is not inside


def test_folders_that_a_number_tells_apart_are_boards_with_their_logs(tmp_path: Path) -> None:
    failed = programmed("fw.hex", BASE, PROGRAM.size / 1024, ok=False)
    for n in (1, 2, 3):
        folder = tmp_path / "in" / f"quad{n}"
        folder.mkdir(parents=True)
        (folder / "flash.bin").write_bytes((flash((0, PROGRAM)) if n < 3 else flash()).tobytes())
    (tmp_path / "in" / "quad3" / "cubeprog.txt").write_text(F4 + failed)
    write_image(MemoryImage((Segment(BASE, PROGRAM),)), tmp_path / "in" / "fw.hex")
    d = diagnose(load_case(sort_evidence([tmp_path / "in"]).write(tmp_path / "case")))
    assert sorted(b.name for b in d.boards) == ["quad 1", "quad 2", "quad 3"]
    words = {b.name: [f.id for f in b.findings] for b in d.boards}
    assert "all-erased-write-failed" in words["quad 3"]
    assert "write-failed-in-log" not in words["quad 1"]


def test_reads_in_numbered_folders_are_one_board(tmp_path: Path) -> None:
    for n in (1, 2):
        (tmp_path / f"read{n}").mkdir()
        (tmp_path / f"read{n}" / "flash.bin").write_bytes(flash((0, PROGRAM)).tobytes())
    assert len(sort_evidence([tmp_path]).boards.suspects) == 1


@pytest.mark.parametrize(("name", "dumps"), [("before.bin", 1), ("display_3.1_before.bin", 0)])
def test_a_read_before_and_one_after_are_of_one_board(tmp_path: Path, name: str, dumps: int) -> None:
    later = flash((0, PROGRAM))
    later[0x3000:0x3400] = 0xFF
    (tmp_path / name).write_bytes((flash((0, PROGRAM)) if dumps else PROGRAM[:-2]).tobytes())
    (tmp_path / ("after.bin" if dumps else "flash.bin")).write_bytes(later.tobytes())
    found = sort_evidence([tmp_path])
    board = found.boards.suspects[0]
    roles = sorted(e.role.value for e in board.files)
    assert roles == (["dumps", "later"] if dumps else ["dumps"])


def test_a_file_of_nothing_but_erased_bytes_was_read(tmp_path: Path) -> None:
    write_image(MemoryImage((Segment(BASE, np.full(16, 0xFF, np.uint8)),)), tmp_path / "my_board.hex")
    board = diagnose(load_case(sort_evidence([tmp_path]).write(tmp_path / "case"))).first
    assert leading(board) == "erased-whole"


@pytest.mark.parametrize(("at", "told"), [(0x40022104, True), (0x40022030, False)])
def test_registers_that_one_family_alone_has_need_no_named_chip(tmp_path: Path, at: int, told: bool) -> None:
    b = Bench(tmp_path).dump(flash((0, PROGRAM))).image("app.hex", PROGRAM)
    board = b.text("registers", f"0x40022018 : 20004A5D\n0x{at:08X} : 80004A5D\n").first()
    assert bool({f.id for f in board.findings} & {"operation-cut", "ecc-torn", "ecc-error"}) is told
