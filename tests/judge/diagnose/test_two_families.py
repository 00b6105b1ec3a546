"""Boards of two chip families in one case: said in one line, each read as its own chip, none held against the other."""

from __future__ import annotations

import numpy as np
import pytest

import h5diag as h5
from h5diag.app.cli import main
from h5diag.chip import load_chip
from h5diag.evidence.files import Sidecar, write_image, write_sidecar
from h5diag.memory import MemoryImage

CONTENT = np.random.default_rng(7).integers(0, 256, 0x4000, np.uint8)
H5, L5 = "stm32h563zi", "stm32l552ze"
LISTING = "OPTION BYTES BANK: 0\n\n     RDP : 0xAA\n     BOR_LEV : 0x0\n     TZEN : 0x0\n     DBANK : 0x1\n"


def banner(name: str) -> str:
    chip = load_chip(name)
    return (
        "STM32CubeProgrammer v2.21.0\nST-LINK SN  : 002F00413532501320393453\nVoltage     : 3.29V\n"
        f"Device ID   : 0x{chip.identity.dev_id:03X}\nRevision ID : Rev X\n"
        f"Flash size  : {chip.flash.size // 1024} KBytes\nDevice type : MCU\n"
    )


@pytest.fixture
def folder(tmp_path):
    for name in ("good", "suspect", "third"):
        data = CONTENT.copy()
        data[0x100:0x180] = 0xFF if name == "suspect" else data[0x100:0x180]
        write_image(MemoryImage.from_bytes(data.tobytes(), 0x08000000), tmp_path / f"{name}.hex")
    (tmp_path / "good-log.txt").write_text(banner(L5) + LISTING)
    (tmp_path / "suspect-log.txt").write_text(banner(H5))
    (tmp_path / "third-log.txt").write_text(banner(L5))
    return tmp_path


def case_of(folder, good='log = "good-log.txt"', suspect='log = "suspect-log.txt"', top=""):
    (folder / "case.toml").write_text(
        f'{top}\n[good]\nname = "golden"\ndumps = ["good.hex"]\n{good}\n'
        f'[suspect]\nname = "sick"\ndumps = ["suspect.hex"]\n{suspect}\n'
    )
    return h5.diagnose(folder)


def told(board) -> list[str]:
    return [f.claim for f in board.findings if f.id == "other-family"]


def test_a_good_board_of_another_family_is_said_and_read_as_its_own_chip(folder):
    d = case_of(folder)
    m = d.first.measured
    (line,) = told(d.first)
    assert line.startswith("golden is an STM32L5")
    assert "sick an STM32H563ZI" in line
    assert (m.chip.name, m.good.options.chip.name) == (H5, load_chip(L5).name)
    assert m.good.options.value("DBANK") == 1  # the H5 has no such option
    # Nothing of it is a measure: neither contents nor options.
    assert (m.has_good, m.comparison.compared_bytes) == (False, 0)
    assert "options-differ" not in {f.id for f in d.first.findings}
    assert d.to_dict()["verdict"] == "undecided"
    assert d.first.next_test.id == "known-good" or "known-good" in {t.id for t in d.first.more_tests}
    assert d.to_dict()["chip"] == H5
    assert "golden is an STM32L5" in str(d)


@pytest.mark.parametrize("how", ["sidecar", "marking", "options"])
def test_what_names_a_board_s_chip_names_it_here(how, folder):
    if how == "sidecar":
        write_sidecar(folder / "good.hex", Sidecar(chip=L5))
    (folder / "good-log.txt").write_text(LISTING + "     SECWM1_PSTRT : 0x0\n     HDP1EN : 0x0\n     DB256 : 0x1\n")
    good = {"sidecar": "", "marking": 'marking = "STM32L552ZET6"', "options": 'options = "good-log.txt"'}[how]
    d = case_of(folder, good)
    assert len(told(d.first)) == 1
    assert d.first.measured.good_choice.family == "l5"


def test_a_chip_that_the_case_names_is_the_suspect_s(folder):
    d = case_of(folder, suspect="", top=f'chip = "{H5}"')
    assert len(told(d.first)) == 1
    assert d.first.measured.chip.name == H5


def test_a_layout_is_the_suspect_s_and_never_the_other_board_s(folder):
    """The good board's DEV_ID came before the suspect's option names: the layout was refused by the L5."""
    rows = {"PRODUCT_STATE": 0xED, "BOOT_UBE": 0xB4, "SECWM1_STRT": 0, "TZEN": 0xB4, "SECBOOTADD": 0}
    listing = "OPTION BYTES BANK: 0\n" + "".join(f"     {name}: 0x{value:X}\n" for name, value in rows.items())
    (folder / "suspect-log.txt").write_text(listing)
    d = case_of(folder, suspect='options = "suspect-log.txt"', top='layout = "oemirot-2m-overwrite"')
    assert (d.first.measured.chip.family, d.first.measured.layouts[0].name) == ("h5", "oemirot-2m-overwrite")


@pytest.mark.parametrize("good", ["", 'log = "suspect-log.txt"', 'marking = "STM32H573IIK3Q"'])
def test_boards_of_one_family_are_compared_as_before(good, folder):
    m = case_of(folder, good).first.measured
    assert (m.others, m.good_choice) == ((), None)
    assert (m.has_good, m.comparison.differing_bytes) == (True, 0x80)


def test_suspects_of_two_families_are_each_read_as_their_own_chip(folder):
    (folder / "case.toml").write_text(
        '[good]\nname = "golden"\ndumps = ["good.hex"]\nlog = "good-log.txt"\n'
        '[[suspects]]\nname = "one"\ndumps = ["suspect.hex"]\nlog = "suspect-log.txt"\n'
        '[[suspects]]\nname = "two"\ndumps = ["third.hex"]\nlog = "third-log.txt"\n'
    )
    d = h5.diagnose(folder)
    by = {b.name: b for b in d.boards}
    assert {n: b.measured.chip.family for n, b in by.items()} == {"one": "h5", "two": "l5"}
    assert len(told(by["one"])) == 2
    assert [t.split(" is ")[0] for t in told(by["two"])] == ["one"]
    assert by["two"].measured.comparison.compared_bytes == CONTENT.size
    assert not {f.id for f in d.across} & {"lot-agrees", "two-differ", "same-fault-every-board"}


def test_a_case_that_is_sorted_asks(folder, capsys):
    out = folder / "sorted"
    files = [str(folder / f"{n}{end}") for n in ("good", "suspect") for end in (".hex", "-log.txt")]
    assert main(["case", *files, "--out", str(out)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "good is of the L5, suspect is of the H5: two chip families" in text
    assert main(["case", *files[2:], "--out", str(folder / "alone")]) == 0
    assert "two chip families" not in capsys.readouterr().out
