"""What logs and files say beside the dump: which file was written where, which memory it was, what wraps a file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from h5diag.case.intake import sort_evidence
from h5diag.evidence.door import read_evidence
from h5diag.evidence.files import read_image
from h5diag.evidence.files.containers import uf2_family
from h5diag.limits import MEMORY

from .bench import BASE, Bench, flash, leading, listing, program, programmed, statuses
from .test_starts import options, said

PROGRAM, OLD = program(71), program(72)
F4 = "Device ID   : 0x413\nFlash size  : 1 MBytes\n"


# ---------------------------------------------------------------- the erased value
def test_a_family_that_erases_to_zero_hides_nothing(tmp_path: Path) -> None:
    text = options(0x447, RDP=0xAA, WPRMOD=0, BOR_LEV=8)
    board = Bench(tmp_path).dump(flash((0, PROGRAM), size=0x30000, fill=0)).image("app.hex", PROGRAM)
    assert statuses(board.text("options", text).first())["masked-read"] not in ("possible", "supported")
    assert board.first().verdict.word.value == "sound"
    blank = Bench(tmp_path).dump(flash(size=0x30000, fill=0)).text("options", text).first()
    assert leading(blank) == "erased-whole"
    assert "read 0x00" in said(blank, "all-erased")
    other = Bench(tmp_path).dump(flash((0, PROGRAM), size=0x30000, fill=0)).image("app.hex", PROGRAM)
    assert (
        statuses(other.text("options", options(0x413, RDP=0xAA, WDG_SW=1, BOR_LEV=3)).first())["masked-read"]
        == "possible"
    )


# ---------------------------------------------------------------- a download that failed
NO_SEGMENT = "Error: failed to download Segment[0]\n"


@pytest.mark.parametrize(("line", "lead"), [(NO_SEGMENT, "programming-incomplete"), ("", "erased-whole")])
def test_an_erased_board_beside_a_download_that_failed_was_not_programmed(tmp_path: Path, line: str, lead: str) -> None:
    head = "Opening and parsing file: app.hex\n  File          : app.hex\n  Size          : 36 KB\n"
    log = f"{F4}{head}  Address       : 0x08000000\n{line}"
    assert leading(Bench(tmp_path).dump(flash(size=0x100000)).log(log).first()) == lead


def test_a_hex_file_without_an_address_is_named(tmp_path: Path) -> None:
    board = Bench(tmp_path).dump(flash(size=0x100000)).image("app.hex", PROGRAM, 0).first()
    assert "app.hex begins at 0x00000000" in said(board, "file-begins-at-zero")
    assert "0x08000000" in said(board, "file-begins-at-zero")
    there = Bench(tmp_path).dump(flash((0, PROGRAM), size=0x100000)).image("app.hex", PROGRAM, 0).first()
    assert not said(there, "file-begins-at-zero")
    assert there.verdict.word.value == "sound"


def test_a_download_that_failed_and_no_dump_is_not_programmed(tmp_path: Path) -> None:
    failed = programmed("app.hex", BASE, 36) + "Error: Download verification failed\n"
    board = Bench(tmp_path).log(failed).first()
    assert leading(board) == "programming-incomplete"
    assert statuses(board)["programming-incomplete"] == "possible"
    assert leading(Bench(tmp_path).log(programmed("app.hex", BASE, 36)).first()) == ""


def test_a_failed_download_whose_reason_is_told_is_told_by_that(tmp_path: Path) -> None:
    log = "Open On-Chip Debugger 0.12.0\n** Programming Started **\nInfo : device id = 0x20036410\n"
    log += "Error: stm32x device protected\nError: failed erasing sectors 0 to 22\n"
    assert leading(Bench(tmp_path).text("log", log).first()) == "write-protected"


# ---------------------------------------------------------------- one place that fails with every file
def failing(files: tuple[str, ...], places: tuple[int, ...], erase: bool = True) -> str:
    out = F4 + ("Mass erase successfully achieved\n" if erase else "")
    for name, at in zip(files, places, strict=True):
        out += (
            f"Opening and parsing file: {name}\n  File          : {name}\n  Size          : 36.00 KB\n"
            f"  Address       : 0x08000000\nFile download complete\n"
            f"Error: Data mismatch found at address 0x{at:08X} (byte = 0x2F instead of 0x6F)\n"
        )
    return out


@pytest.mark.parametrize(
    ("files", "places", "erase", "lead"),
    [
        (("a.hex", "b.hex"), (BASE + 0x6A41, BASE + 0x6A41), True, "flash-defect"),
        (("a.hex", "b.hex"), (BASE + 0x6A41, BASE + 0x7001), True, "programming-incomplete"),
        (("a.hex", "a.hex"), (BASE + 0x6A41, BASE + 0x6A41), True, "programming-incomplete"),
        (("a.hex", "b.hex"), (BASE + 0x6A41, BASE + 0x6A41), False, "programming-incomplete"),
    ],
)
def test_what_fails_at_one_place_with_two_files_is_that_place(
    tmp_path: Path, files: tuple[str, ...], places: tuple[int, ...], erase: bool, lead: str
) -> None:
    board = Bench(tmp_path).log(failing(files, places, erase)).first()
    assert leading(board) == lead
    assert board.verdict.word.value == "undecided"


def test_of_two_files_that_were_written_the_one_that_is_there_is_expected(tmp_path: Path) -> None:
    new = flash((0, PROGRAM))
    new[0x4000:0x6000] = 0xFF
    b = Bench(tmp_path).dump(new).image("v1.hex", OLD).image("v2.hex", PROGRAM)
    board = b.log(failing(("v1.hex", "v2.hex"), (BASE + 0x4000, BASE + 0x4000))).first()
    assert leading(board) == "programming-incomplete"
    assert statuses(board)["other-build"] not in ("supported", "possible")
    assert statuses(board)["flash-defect"] == "possible"


# ---------------------------------------------------------------- an ECC error where all was read back right
@pytest.mark.parametrize(("size", "lead"), [(512, "flash-defect"), (4, "torn-write")])
def test_an_ecc_error_in_a_place_that_was_verified_since(tmp_path: Path, size: int, lead: str) -> None:
    at = 0x3A400
    log = "Device ID   : 0x484\nFlash size  : 2 MBytes\n" + programmed("fw.bin", BASE, size)
    b = Bench(tmp_path).text("registers", f"0x40022104 : {0x80000000 | at // 16:08X}\n0x40022018 : 00000000\n")
    board = b.text("log", log + "Download verified successfully\n").first()
    assert leading(board) == lead
    assert statuses(board)["flash-defect"] != "supported"


# ---------------------------------------------------------------- fill is no reason
def test_fill_is_named_after_what_matters(tmp_path: Path) -> None:
    app = program(74)
    file, chip = app.copy(), app.copy()
    file[0x188:0x1A0], chip[0x188:0x1A0] = 0, 0xFF
    b = Bench(tmp_path).dump(flash((0, OLD), (0x20000, chip))).image("app.hex", file, BASE + 0x20000)
    board = b.first()
    stand = statuses(board)
    assert stand["padding"] == stand["linked-elsewhere"] == "supported"
    assert leading(board) == "linked-elsewhere"
    assert board.verdict.summary.index("linked") < board.verdict.summary.index("fill")


# ---------------------------------------------------------------- external memory
def test_an_external_memory_of_zeros_was_not_asked(tmp_path: Path) -> None:
    board = Bench(tmp_path).dump(np.zeros(0x8000, np.uint8), base=0x90000000).first()
    assert leading(board) == "loader-bypassed"
    assert statuses(board)["masked-read"] not in ("possible", "supported")


@pytest.mark.parametrize(("loader", "lead"), [("", "loader-bypassed"), ("-el MX25L.stldr\n", "programming-incomplete")])
def test_an_external_segment_without_a_loader(tmp_path: Path, loader: str, lead: str) -> None:
    log = failing(("gui.hex",), (0x900002F3,)) + loader
    assert leading(Bench(tmp_path).log(log).first()) == lead


# ---------------------------------------------------------------- files with their wrapping
@pytest.mark.parametrize(
    ("head", "kind"),
    [(b"\x7fELF\x01\x01\x01", "an ELF file"), (b":020000040800F2\r\n:10", "an Intel HEX file"), (b"", "")],
)
def test_a_file_written_with_its_wrapping_is_named(tmp_path: Path, head: bytes, kind: str) -> None:
    data = flash((0, PROGRAM), size=0x40000)
    data[: len(head)] = np.frombuffer(head, np.uint8)
    board = Bench(tmp_path).dump(data).first()
    claim = said(board, "file-with-its-wrapping")
    assert bool(claim) is bool(kind)
    assert kind in claim
    assert (leading(board) == "wrong-placement") is bool(kind)


def test_a_round_read_that_begins_like_an_elf_file_is_a_read(tmp_path: Path) -> None:
    data = flash((0, PROGRAM), size=0x40000)
    data[:4] = np.frombuffer(b"\x7fELF", np.uint8)
    (tmp_path / "flash_read.bin").write_bytes(data.tobytes())
    assert read_image(tmp_path / "flash_read.bin").size == 0x40000
    data[:15] = np.frombuffer(b":020000040800F2", np.uint8)
    (tmp_path / "flash_read.bin").write_bytes(data.tobytes())
    assert read_image(tmp_path / "flash_read.bin").size == 0x40000
    (tmp_path / "small.bin").write_bytes(b":0400000001020304F2\r\n:00000001FF\r\n")
    assert read_image(tmp_path / "small.bin").size == 4


# ---------------------------------------------------------------- whose file it is, and of which chip
def uf2(family: int) -> bytes:
    words = (0x0A324655, 0x9E5D5157, 0x2000, BASE, 256, 0, 1, family)
    return (
        np.array(words, "<u4").tobytes()
        + PROGRAM[:256].tobytes()
        + bytes(220)
        + np.array([0x0AB16F30], "<u4").tobytes()
    )


@pytest.mark.parametrize(("family", "name"), [(0x57755A57, "STM32F4"), (0xADA52840, None)])
def test_a_uf2_file_names_its_family(tmp_path: Path, family: int, name: str | None) -> None:
    (tmp_path / "app.uf2").write_bytes(uf2(family))
    assert uf2_family(read_evidence(tmp_path / "app.uf2", limit=MEMORY)) == name
    b = Bench(tmp_path).dump(flash((0, PROGRAM), size=0x40000))
    b.rest.append('[[images]]\nfile = "app.uf2"')
    choice = b.first().measured.choice
    assert choice.assumed is (name is None)
    assert choice.chip is None or name is None


@pytest.mark.parametrize(
    ("log", "name"),
    [
        ("Open On-Chip Debugger 0.12.0\nInfo : nRF52840-xxAA(build code: D0) 1024kB Flash, 256kB RAM\n", "nRF52840"),
        ("0000755 I Target type is nrf52833 [board]\n", "nrf52833"),
        ('SEGGER J-Link Commander V7.96\nDevice "GD32F303RC" selected.\n', "GD32F303RC"),
        ("Open On-Chip Debugger 0.12.0\nInfo : [chip.cpu] Cortex-M4 r0p1 processor detected\n", ""),
    ],
)
def test_a_part_of_another_maker_is_no_stm32(tmp_path: Path, log: str, name: str) -> None:
    board = Bench(tmp_path).dump(flash((0, PROGRAM), size=0x40000)).text("log", log).first()
    choice = board.measured.choice
    assert choice.assumed is not bool(name)
    if name:
        assert choice.chip is None
        assert name in choice.text
        assert "no STM32" in choice.text


def test_with_several_boards_a_common_log_names_the_chip(tmp_path: Path) -> None:
    b = Bench(tmp_path).dump(flash((0, PROGRAM))).log(F4)
    b.rest.append('[[suspects]]\nname = "unit 8"\ndumps = ["unit-0.hex"]')
    b.suspect, text = [], b.suspect
    (tmp_path / "case.toml").write_text("\n".join([*b.rest, "[[suspects]]", *text]) + "\n", "utf-8")
    from h5diag.case import load_case
    from h5diag.judge import diagnose

    assert diagnose(load_case(tmp_path)).first.measured.choice.device.dev_id == 0x413  # type: ignore[union-attr]


def test_a_file_that_a_log_says_was_written_is_no_read(tmp_path: Path) -> None:
    (tmp_path / "mem.bin").write_bytes(PROGRAM[:0x8000].tobytes())
    (tmp_path / "readback.bin").write_bytes(flash((0, PROGRAM), size=0x40000).tobytes())
    lone = sort_evidence([tmp_path])
    assert {e.path.name for b in lone.suspects for e in b.files} == {"mem.bin", "readback.bin"}
    (tmp_path / "flash.log").write_text(programmed("mem.bin", BASE, 32))
    found = sort_evidence([tmp_path])
    assert [e.path.name for e in found.rest if e.role.value == "images"] == ["mem.bin"]
    assert {e.path.name for b in found.suspects for e in b.files if e.role.value == "dumps"} == {"readback.bin"}


def test_a_build_called_reference_is_no_read_of_the_good_board(tmp_path: Path) -> None:
    (tmp_path / "fw_reference.bin").write_bytes(PROGRAM[:-13].tobytes())
    for name in ("good_board.bin", "bad_board.bin"):
        (tmp_path / name).write_bytes(flash((0, PROGRAM), size=0x40000).tobytes())
    assert [e.path.name for e in sort_evidence([tmp_path]).rest] == ["fw_reference.bin"]


def test_a_log_of_the_bad_unit_is_its_whose_reads_are_counted(tmp_path: Path) -> None:
    data = flash((0, PROGRAM), size=0x40000).tobytes()
    for name in ("good_unit.bin", "bad_unit_1.bin", "bad_unit_2.bin"):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "bad_unit_log.txt").write_text(programmed("app.hex", BASE, 36))
    found = sort_evidence([tmp_path])
    assert len(found.suspects) == 1
    assert {e.path.name for e in found.suspects[0].files} == {"bad_unit_1.bin", "bad_unit_2.bin", "bad_unit_log.txt"}


# ---------------------------------------------------------------- a file that a log places
def test_a_file_without_an_address_stands_where_a_log_wrote_it(tmp_path: Path) -> None:
    app = program(75, base=BASE + 0xA800, size=0x10000)
    log = "0000755 I Loading app.bin at 0x0800a800 [load_cmd]\n"
    log += "0006354 C flash erase sector failure (address 0x08010000; result code 0x1) [__main__]\n"
    b = Bench(tmp_path).dump(flash((0xA800, app[:0x5800]), size=0x20000)).image("app.bin", app, None)
    board = b.text("log", options(0x468, RDP=0xAA, IWDG_SW=1) + log).first()
    assert leading(board) == "programming-incomplete"
    assert "0x0800FFFF" in " ".join(f.claim for f in board.findings)


@pytest.mark.parametrize("share", [0.6, 0.1])
def test_a_file_of_which_a_part_stands_where_it_was_linked_is_held_against_that_place(
    tmp_path: Path, share: float
) -> None:
    new, old = (program(seed, base=BASE + 0x8000) for seed in (1, 2))
    cut = int(share * new.size) & ~0xF
    there = np.concatenate((new[:cut], new[cut:] & old[cut:]))
    b = Bench(tmp_path).dump(flash((0, program(3, size=0x6000)), (0x8000, there)))
    board = b.image("new.bin", new, base=None).image("old.bin", old, base=None).first()
    place = f"0x{BASE + 0x8000 + cut:08X}"[:9]
    assert (place in said(board, "old-under-new")) is (share > 0.25)
    assert (leading(board) == "not-erased") is (share > 0.25)


@pytest.mark.parametrize(("fill", "room", "told"), [(0, 0x200, True), (0xFF, 0x400, True), (0, 0x1C0, False)])
def test_a_build_with_room_for_a_header_and_none_in_it_was_not_signed(
    tmp_path: Path, fill: int, room: int, told: bool
) -> None:
    built = np.concatenate((np.full(room, fill, np.uint8), program(4, base=BASE + 0x10000 + room)))
    b = Bench(tmp_path).dump(flash((0, program(3, size=0x6000)), (0x10000, built)))
    board = b.image("zephyr.hex", built, BASE + 0x10000).first()
    assert bool(said(board, "header-left-blank")) is told
    if told:
        assert "0x08010000" in said(board, "header-left-blank")
        assert leading(board) == "image-refused"


def test_the_reads_that_are_as_the_file_wants_are_named(tmp_path: Path) -> None:
    slipped = flash((0, PROGRAM))
    slipped[0x2000:0x2400] = np.roll(slipped[0x2000:0x2400], 4)
    board = Bench(tmp_path).dump(flash((0, PROGRAM)), slipped).image("app.hex", PROGRAM).first()
    claim = next(f.claim for f in board.findings if f.id.startswith("reads-d"))
    assert "unit-0.hex is as app.hex; wrong: unit-1.hex" in claim


def test_a_slow_sector_of_a_flash_test_is_named(tmp_path: Path) -> None:
    start = BASE + 0xA0000
    slow = {"kind": "slow-erase", "address": start, "bit": None, "detail": "", "rounds": [1, 2]}
    sector = {"start": start, "verdict": "bad", "erase_s": 6.8, "program_s": 0.06, "faults": [slow]}
    conditions = {"tzen": 195, "product_state": 237, "wrp": [0xFFFFFFFF] * 2, "rev_id": 4103, "voltage_mv": 3290}
    conditions |= {"swd_hz": [1000000], "rounds": 2, "power_cycles": 0, "second_path": None}
    record = {"range": [start, start + 0x2000], "restored": True, "sectors": [sector], "faults": 1}
    (tmp_path / "flashtest.json").write_text(json.dumps(record | {"conditions": conditions}))
    b = Bench(tmp_path).text("options", listing())
    b.suspect.append('flashtest = "flashtest.json"')
    board = b.first()
    assert board.verdict.word.value == "suspect"
    assert "first 0x080A0000, the first takes 6.8 s to erase" in said(board, "flash-test-odd")
