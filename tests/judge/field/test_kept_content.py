"""Old content that an update left where it was: told from another build, and put down to the protection or the tool."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from h5diag.chip import Chip
from h5diag.chip.devices import describe
from h5diag.chip.files import find_device
from h5diag.judge import BoardDiagnosis
from h5diag.measure.options import OptionBytes
from h5diag.measure.shapes import Form, difference
from h5diag.memory import MemoryImage

from .bench import BASE, Bench, Bytes, flash, leading, program, programmed, statuses
from .test_causes import PROGRAM, rebuilt
from .test_starts import options

OLD = rebuilt(0x48, 0x1200)
"""Another build of the program; from 0x1200 on everything stands 0x48 bytes higher."""


def mixed(border: int, *, below: Bytes = PROGRAM, above: Bytes = OLD) -> Bytes:
    """Return a flash with one program up to a border and another one from there on."""
    data = flash((0, above))
    data[:border] = below[:border]
    return data


def claims(board: BoardDiagnosis, id: str) -> str:
    return " ".join(f.claim for f in board.findings if f.id == id)


@pytest.mark.parametrize("old", ["", "old.bin", "old.hex"])
@pytest.mark.parametrize(("dev_id", "page"), [(0x467, 0x800), (0x415, 0x800)])
def test_a_part_that_keeps_the_former_build_was_not_programmed(
    tmp_path: Path, old: str, dev_id: int, page: int
) -> None:
    border = 9 * page
    b = Bench(tmp_path).dump(mixed(border), mixed(border)).image("new.hex", PROGRAM)
    if old:
        b.image(old, OLD, BASE if old.endswith("hex") else None)
    board = b.text("log", f"Device ID   : 0x{dev_id:03X}\n" + programmed("new.hex", BASE, 36, ok=False)).first()
    assert leading(board) == "programming-incomplete"
    assert statuses(board)["other-build"] != "supported"
    assert statuses(board)["flash-defect"] in ("not-tested", "possible")
    told = claims(board, "pages-keep-old")
    assert f"from 0x{BASE + border:08X} on" in told
    assert (old or "another build") in told


def test_a_build_that_begins_to_differ_inside_a_page_is_a_build(tmp_path: Path) -> None:
    for border in (0x4810, 0x43A0):
        board = Bench(tmp_path).dump(mixed(border)).image("new.hex", PROGRAM).first()
        assert not claims(board, "pages-keep-old")
        assert leading(board) == "other-build"


def test_an_application_of_another_build_behind_its_boot_loader_is_a_build() -> None:
    chip = describe(find_device(0x467))
    boot, at = program(3, 0x4000), 0x4000
    apps = []
    for seed in (0, 0x48):
        app = (rebuilt(seed, 0x1200) if seed else PROGRAM).copy()
        apps.append(np.concatenate((boot, app)))
    for data in apps:
        data[at + 4 : at + 64].view("<u4")[:] += at
    images = [MemoryImage.from_bytes(data.tobytes(), BASE) for data in apps]
    assert [s.form for s in difference(*images, chip).shapes] == [Form.BUILD]


def protected(dev_id: int, **values: int) -> str:
    rows = {"RDP": 0xAA, "BOR_LEV": 0, "nRST_STOP": 1, "IWDG_SW": 1, "WWDG_SW": 1, "nBOOT1": 1}
    return options(dev_id, **rows, **values)


@pytest.mark.parametrize(
    ("dev_id", "values", "border"),
    [
        (0x497, {"WRP1A_STRT": 0, "WRP1A_END": 7, "WRP1B_STRT": 0x7F, "WRP1B_END": 0}, 0x4000),
        (0x460, {"WRP1A_STRT": 0x3F, "WRP1A_END": 0, "WRP1B_STRT": 0, "WRP1B_END": 7}, 0x4000),
        (0x469, {"DBANK": 1, "WRP1A_STRT": 0, "WRP1A_END": 7}, 0x4000),
        (0x469, {"DBANK": 0, "WRP1A_STRT": 0, "WRP1A_END": 3}, 0x4000),  # pages of 4 KiB with one bank
    ],
)
@pytest.mark.parametrize("logged", [True, False])
def test_pages_that_a_listing_protects_keep_the_former_build(
    tmp_path: Path, dev_id: int, values: dict[str, int], border: int, logged: bool
) -> None:
    data = mixed(border, below=OLD, above=PROGRAM)
    b = Bench(tmp_path).dump(data, data).image("new.hex", PROGRAM).text("options", protected(dev_id, **values))
    if logged:
        b.log(programmed("new.hex", BASE, 36, ok=False))
    board = b.first()
    assert leading(board) == "write-protected"
    assert statuses(board)["other-build"] != "supported"
    names = [n.removesuffix("_STRT") for n, v in values.items() if n.endswith("_STRT") and v == 0]
    told = claims(board, "write-protection-matches")
    assert names[0] in told
    assert f"0x{BASE:08X} to 0x{BASE + border - 1:08X}" in told


def test_pages_protected_elsewhere_explain_nothing(tmp_path: Path) -> None:
    data = mixed(0x4000, below=OLD, above=PROGRAM)
    listing = protected(0x497, WRP1A_STRT=0x40, WRP1A_END=0x47, WRP1B_STRT=0x7F, WRP1B_END=0)
    board = Bench(tmp_path).dump(data, data).image("new.hex", PROGRAM).text("options", listing).first()
    assert claims(board, "write-protection-elsewhere")
    assert leading(board) == "programming-incomplete"


def test_protected_pages_alone_are_still_named(tmp_path: Path) -> None:
    listing = protected(0x497, WRP1A_STRT=0, WRP1A_END=7, WRP1B_STRT=0x7F, WRP1B_END=0)
    board = Bench(tmp_path).text("options", listing).first()
    assert "WRP1A" in claims(board, "write-protection-listed")
    assert "WRP1B" not in claims(board, "write-protection-listed")


def test_a_listing_without_the_pages_says_nothing_of_protection(tmp_path: Path) -> None:
    board = (
        Bench(tmp_path).dump(flash((0, PROGRAM))).image("new.hex", PROGRAM).text("options", protected(0x497)).first()
    )
    assert not any("protection" in f.id for f in board.findings)


def test_the_pages_of_a_device_follow_from_its_banks() -> None:
    chip: Chip = describe(find_device(0x469))
    assert {a.name for a in chip.areas} >= {"WRP1A", "WRP2A"}
    assert OptionBytes(chip, ()).wrp_ranges == ()
    one, two = (chip.in_mode("DBANK", value).flash for value in (0, 1))
    assert (one.sector_size, one.bank_size) == (0x1000, 0x80000)
    assert (two.sector_size, two.bank_size) == (0x800, 0x40000)
