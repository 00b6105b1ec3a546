"""What a reader was shown in part only: one bank, one alias, one half, and what that leaves open."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from h5diag.case import load_case
from h5diag.case.intake import sort_evidence
from h5diag.evidence.samples import data_folder
from h5diag.judge import diagnose

from .bench import BASE, Bench, flash, leading, program, statuses
from .test_starts import options, said

OLD, NEW = program(61, 0x8000), program(62, 0x9800)


@pytest.mark.parametrize(
    ("dev_id", "chip", "bank", "more"),
    [
        (0x472, "stm32l552ze", 0x40000, {"DBANK": 1}),
        (0x482, "stm32u575zi", 0x100000, {"DUALBANK": 1}),
        (0x478, "stm32h523ce", 0x40000, {}),
    ],
)
def test_halves_that_changed_places_are_told_by_the_banks_of_the_board_s_own_chip(
    tmp_path: Path, dev_id: int, chip: str, bank: int, more: dict[str, int]
) -> None:
    bench = Bench(tmp_path)
    bench.dump(flash((0, NEW), (bank, OLD), size=2 * bank), good=True)
    bench.dump(flash((0, OLD), (bank, NEW), size=2 * bank))
    bench.text("options", options(dev_id, TZEN=0, SWAP_BANK=1, nSWBOOT0=1, **more))
    board = bench.first()
    assert board.measured.chip.name == chip
    assert {r.explanation.kind.value for r in board.measured.placement.strong} == {"bank"}
    assert leading(board) == "bank-swapped"
    assert statuses(board)["other-build"] != "supported"


def brought(folder: Path, files: dict[str, bytes | str]) -> object:
    (folder / "in").mkdir()
    for name, data in files.items():
        (folder / "in" / name).write_bytes(data.encode() if isinstance(data, str) else data)
    sort_evidence([folder / "in"]).write(folder / "case")
    return diagnose(load_case(folder / "case")).first


def test_a_bank_in_which_nothing_belongs_is_not_called_erased(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.dump(np.full(0x100000, 0xFF, np.uint8), base=BASE + 0x100000).image("motor.hex", NEW)
    board = bench.first()
    assert "its place is 0x08000000 to 0x080097FF, which was not read" in said(board, "erased-where-nothing-belongs")
    assert leading(board) == ""
    assert board.verdict.word.value == "undecided"
    assert board.next_test.id == "read-whole"


def test_an_erased_second_bank_alone_is_not_the_whole_flash(tmp_path: Path) -> None:
    board = Bench(tmp_path).dump(np.full(0x100000, 0xFF, np.uint8), base=BASE + 0x100000).first()
    assert "not read" in said(board, "erased-as-far-as-read")
    assert statuses(board)["erased-whole"] == "possible"
    whole = tmp_path / "whole"
    whole.mkdir()
    board = Bench(whole).dump(np.full(0x200000, 0xFF, np.uint8)).first()
    assert statuses(board)["erased-whole"] == "supported"


def rows(base: int, data: bytes) -> str:
    words = [data[i : i + 4][::-1].hex().upper() for i in range(0, len(data), 4)]
    return "".join(f"0x{base + 4 * i:08X} : {' '.join(words[i : i + 4])}\n" for i in range(0, len(words), 4))


@pytest.mark.parametrize(("zero", "full"), [(BASE, 0x0C000000), (0x0C000000, BASE)])
def test_zeros_by_one_address_and_content_by_the_other_are_a_mask(tmp_path: Path, zero: int, full: int) -> None:
    board = brought(tmp_path, {"rows.txt": rows(zero, bytes(64)) + "\n" + rows(full, NEW.tobytes()[:64])})
    assert f"0x{zero:08X} to 0x{zero + 63:08X}" in said(board, "one-alias-reads-zero")
    assert leading(board) == "masked-read"  # type: ignore[arg-type]


def test_the_same_by_both_addresses_is_no_mask(tmp_path: Path) -> None:
    data = bytes(32) + NEW.tobytes()[:32]
    board = brought(tmp_path, {"rows.txt": rows(BASE, data) + "\n" + rows(0x0C000000, data)})
    assert said(board, "one-alias-reads-zero") == ""
    assert leading(board) != "masked-read"  # type: ignore[arg-type]


def test_a_protection_explains_and_leaves_open_whether_its_sectors_take_the_update(tmp_path: Path) -> None:
    held = np.concatenate([NEW[:0x4000], OLD[0x4000:0x6000], NEW[0x6000:]])
    bench = Bench(tmp_path).dump(flash((0, held), size=0x80000)).image("new.hex", NEW)
    values = {"WRP1A_PSTRT": 8, "WRP1A_PEND": 11, "WRP1B_PSTRT": 127, "WRP1B_PEND": 0}
    board = bench.text("options", options(0x472, TZEN=0, DBANK=1, SWAP_BANK=0, **values)).first()
    assert leading(board) == "write-protected"
    assert board.verdict.word.value == "undecided"
    assert any("take the update" in p for p in board.verdict.open_points)


@pytest.mark.parametrize(("file", "finding"), [("l5-overlap", "loader-not-downloaded"), ("l5-good", "")])
def test_a_loader_is_judged_for_the_chip_that_the_log_names(tmp_path: Path, file: str, finding: str) -> None:
    (tmp_path / "loader.stldr").write_bytes((data_folder() / "loaders" / f"{file}.stldr").read_bytes())
    bench = Bench(tmp_path).head('[loader]\nfile = "loader.stldr"')
    board = bench.text("log", "Device ID   : 0x472\nDevice name : STM32L552xx/STM32L562xx\n").first()
    assert [f.id for f in board.findings if f.id.startswith("loader-")] == [finding] * bool(finding)
