"""For the same evidence every command names the same chip, and how it is known, over all chip files."""

from __future__ import annotations

import html
import json

import numpy as np
import pytest

import h5diag as h5
from h5diag.app.panels.investigation import InvestigationModel
from h5diag.chip import chip_names, choose_chip, load_chip
from h5diag.evidence.files import Sidecar, write_image, write_sidecar
from h5diag.evidence.samples import data_folder
from h5diag.judge.fleet import BoardFile, chip_of_lot
from h5diag.memory import MemoryImage
from h5diag.probe.bench import BenchBoard
from h5diag.sim.virtual import VirtualChip, VirtualProbe

LOADER = str(data_folder() / "loaders" / "h5-good.stldr")
LOADERS_KNOWN = ("h5", "l5", "u5")
CONTENT = np.random.default_rng(5).integers(0, 256, 0x2000, np.uint8).tobytes()


@pytest.fixture
def files(tmp_path):
    """Return the paths of two dumps, alike but for a sector, at the flash base that all chips share."""
    for name, data in (("good", CONTENT * 2), ("suspect", CONTENT + bytes(0x2000))):
        write_image(MemoryImage.from_bytes(data, 0x08000000), tmp_path / f"{name}.hex")
    return tmp_path


def named(*results):
    """Return (chip, how it is known) of each result's document."""
    documents = [r if isinstance(r, dict) else r.to_dict() for r in results]
    return {(d["chip"], d["chip_known_by"]) for d in documents}


def case_of(folder, text):
    (folder / "case.toml").write_text(text + '[good]\ndumps = ["good.hex"]\n[suspect]\ndumps = ["suspect.hex"]\n')
    return folder


def of_dumps(folder, chip=None):
    """Return every result that two dumps give."""
    good, suspect = folder / "good.hex", folder / "suspect.hex"
    yield h5.locate(good, suspect, chip=chip)
    yield h5.correlate(good, suspect, chip=chip)
    yield h5.compare(good, suspect, chip=chip)
    yield h5.examine(suspect, chip=chip)
    boards = [BoardFile("one", str(suspect)), BoardFile("two", str(good))]
    yield chip_of_lot(boards, None, chip or "", None).to_dict()


def banner(chip):
    return (
        "      -------------------------------------------------------------------\n"
        "                        STM32CubeProgrammer v2.21.0\n"
        "      -------------------------------------------------------------------\n\n"
        "ST-LINK SN  : 002F00413532501320393453\nVoltage     : 3.29V\nSWD freq    : 8000 KHz\n"
        f"Device ID   : 0x{chip.identity.dev_id:03X}\nRevision ID : Rev X\n"
        f"Flash size  : {chip.flash.size // 1024} KBytes\nDevice type : MCU\n"
    )


@pytest.mark.parametrize("name", chip_names())
def test_a_chip_that_is_given(name, files):
    log = data_folder() / "founding" / "suspect-log.txt"
    listing = data_folder() / "founding" / "suspect-ob.txt"
    found = [*of_dumps(files, name), h5.read_log(log, chip=name), h5.read_options(listing, chip=name)]
    found.append(h5.read_loader_log(str(data_folder() / "loaders" / "logs" / "h5-good.txt"), chip=name))
    if load_chip(name).family in LOADERS_KNOWN:
        found.append(h5.read_loader(LOADER, chip=name))
    found.append(h5.diagnose(case_of(files, f'chip = "{name}"\n')))
    assert named(*found) == {(name, "given")}


@pytest.mark.parametrize("name", chip_names())
def test_a_chip_that_a_sidecar_names(name, files):
    for dump in ("good", "suspect"):
        write_sidecar(files / f"{dump}.hex", Sidecar(chip=name))
    diagnosis = h5.diagnose(case_of(files, ""))
    assert named(*of_dumps(files), diagnosis) == {(name, "sidecar")}
    assert load_chip(name).title in diagnosis.to_dict()["chip_text"]


@pytest.mark.parametrize("name", chip_names())
def test_a_chip_that_a_log_names(name, files):
    chip = load_chip(name)
    text = banner(chip)
    (files / "log.txt").write_text(text)
    case = case_of(files, "")
    case.joinpath("case.toml").write_text(case.joinpath("case.toml").read_text() + 'log = "log.txt"\n')
    expected = choose_chip(dev_ids=[chip.identity.dev_id], flash_kib=chip.flash.size // 1024).chip
    diagnosis = h5.diagnose(case)
    found = [h5.read_log(text), h5.read_log(text, layout=None), diagnosis]
    listing = "OPTION BYTES BANK: 0\n\n   Product state:\n\n     PRODUCT_STATE: 0xED (Open)\n"
    if chip.state_option == "PRODUCT_STATE":
        found.append(h5.read_options(text + listing))
    assert named(*found) == {(expected.name, "dev-id")}
    found = [h5.read_log(text + "run ap 1\nhalt ap 1\n"), h5.read_loader_log(text + "run ap 1\nhalt ap 1\n")]
    if chip.family in LOADERS_KNOWN:
        found.append(h5.read_loader(LOADER, log=text))
    assert named(*found) == {(expected.name, "dev-id")}


@pytest.mark.parametrize("name", ["stm32h563zi", "stm32h503rb", "stm32l552ze", "stm32u575zi", "stm32wba65ri"])
def test_an_identity_names_it_on_the_page_and_in_the_write_up_too(name, files, tmp_path):
    chip = load_chip(name)
    identity = {"dev_id": chip.identity.dev_id, "flash_kib": chip.flash.size // 1024, "uid": "00" * 12}
    (files / "info.json").write_text(json.dumps(identity))
    case = case_of(files, "")
    case.joinpath("case.toml").write_text(case.joinpath("case.toml").read_text() + 'info = "info.json"\n')
    expected = choose_chip(dev_ids=[chip.identity.dev_id], flash_kib=chip.flash.size // 1024).chip
    diagnosis = h5.diagnose(case)
    assert named(diagnosis) == {(expected.name, "identity")}
    diagnosis.write_up(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert expected.name in page
    assert html.escape(diagnosis.to_dict()["chip_text"]) in page
    model = InvestigationModel(str(case))
    model.run()
    assert named(model.diagnosis) == {(expected.name, "identity")}


def test_a_probe_names_the_part_of_its_flash_size_as_the_diagnosis_does(files):
    """Nobody named the chip: what answers is not the default part, if its flash has another size."""
    small = VirtualProbe(VirtualChip(chip=load_chip("stm32h563zg")))
    with BenchBoard.connect("x", probe=small) as board:
        who, dump = board.identify(), board.dump(0x08000000, 0x08002000)
    assert (who.chip, dump.image.origin.chip, who.flash_kib) == ("stm32h563zg",) * 2 + (1024,)
    (files / "info.json").write_text(json.dumps(who.to_dict()))
    case = case_of(files, "")
    case.joinpath("case.toml").write_text(case.joinpath("case.toml").read_text() + 'info = "info.json"\n')
    assert named(who, dump, h5.diagnose(case)) == {("stm32h563zg", "identity")}


def test_a_chip_that_is_given_is_given_in_every_answer_of_a_probe(tmp_path):
    with h5.connect("virtual:seed=1", chip="h562", erase=(0x08026000, 0x08028000)) as board:
        found = [board.identify(), board.dump(0x08000000, 0x08002000)]
        found.append(board.flash_test(0x08026000, 0x08028000, str(tmp_path / "t"), level="quick", power_cycles=0))
    assert named(*found) == {("stm32h562zi", "given")}
    assert found[0].to_dict()["chip_text"] == "STM32H562ZI (2 MiB), as given"


def test_a_layout_names_the_chip_for_every_command_that_takes_one(files):
    layout = "oemirot-1m-overwrite"
    good, suspect = files / "good.hex", files / "suspect.hex"
    text = "     PRODUCT_STATE: 0xED (Open)\n     TZEN: 0xC3\n"
    found = [
        h5.locate(good, suspect, layout=layout),
        h5.compare(good, suspect, layout=layout),
        h5.examine(suspect, layout=layout),
        h5.diagnose(case_of(files, f'layout = "{layout}"\n')),
        chip_of_lot([BoardFile("one", str(suspect))], None, "", layout).to_dict(),
        h5.read_log("nothing that names a chip\n", layout=layout),
    ]
    assert named(*found) == {(h5.load_layout(layout).chip.name, "layout")}
    assert named(h5.read_options(text, layout=layout)) == named(h5.read_log(text, layout=layout))


def test_an_assumed_chip_is_said_by_every_command(files):
    diagnosis = h5.diagnose(case_of(files, ""))
    assert named(*of_dumps(files), diagnosis) == {("stm32h563zi", "assumed")}
    # Of a text that names none nothing is read as a chip's.
    assert named(h5.read_log("hello\n"), h5.read_loader_log("run ap 1\n" * 3)) == {(None, "assumed")}


def test_a_sorted_case_keeps_what_names_the_chip(files, tmp_path):
    """What a sidecar notes is not given by a person: a DEV_ID still counts for more."""
    write_sidecar(files / "suspect.hex", Sidecar(chip="stm32u575zi"))
    alone = h5.sort_evidence([files / "suspect.hex"]).write(tmp_path / "alone")
    assert named(h5.diagnose(alone)) == {("stm32u575zi", "sidecar")}
    (files / "suspect-log.txt").write_text(banner(load_chip("stm32h563zi")))
    both = h5.sort_evidence([files / "suspect.hex", files / "suspect-log.txt"]).write(tmp_path / "both")
    assert named(h5.diagnose(both), h5.read_log(files / "suspect-log.txt")) == {("stm32h563zi", "dev-id")}


LOCKED = "OPTION BYTES BANK: 0\n\n   Read Out Protection:\n\n     RDP : 0xBB\n     BOR_LEV : 0x0\n     TZEN : 0x1\n"


@pytest.mark.parametrize("name", chip_names())
def test_a_sorted_case_and_an_answer_on_access_name_it_as_the_diagnosis_does(name, files, tmp_path):
    chip = load_chip(name)
    log = files / "suspect-log.txt"
    log.write_text(banner(chip) + LOCKED)
    sorted_ = h5.sort_evidence([files / "good.hex", files / "suspect.hex", log])
    case = sorted_.write(tmp_path / "case")
    expected = choose_chip(dev_ids=[chip.identity.dev_id], flash_kib=chip.flash.size // 1024).chip
    again = h5.sort_evidence([files / "good.hex"], into=case)
    found = [sorted_, again, h5.access(case), h5.access(log), h5.diagnose(case)]
    assert named(*found) == {(expected.name, "dev-id")}
    assert expected.title in str(sorted_)


def test_a_sorted_case_takes_the_chip_from_where_the_diagnosis_does(files, tmp_path):
    write_sidecar(files / "suspect.hex", Sidecar(chip="stm32u575zi"))
    dumps = [files / "good.hex", files / "suspect.hex"]
    (files / "info.json").write_text(json.dumps({"dev_id": 0x478, "flash_kib": 512, "uid": "00" * 12}))
    by = {
        "given": (dumps, {"chip": "stm32h503rb"}),
        "identity": ([*dumps, files / "info.json"], {}),
        "sidecar": (dumps, {}),
        "layout": ([files / "good.hex"], {"layout": "oemirot-1m-overwrite"}),
    }
    for how, (given, said) in by.items():
        sorted_ = h5.sort_evidence(given, **said)
        case = sorted_.write(tmp_path / how)
        assert {k for _, k in named(sorted_)} == {how}
        assert (
            named(sorted_)
            == named(h5.diagnose(case))
            == named(h5.sort_evidence(["sample:founding/good.hex"], into=case))
        )
    # Of one that nothing names no file is read as a chip's.
    assert named(h5.sort_evidence([files / "good.hex"])) == {(None, "assumed")}
    (files / "ob.txt").write_text(LOCKED)
    assert named(h5.access(files / "ob.txt")) == {(None, "assumed")}


L5_OPTIONS = """OPTION BYTES BANK: 0
     RDP          : 0xAA (Level 0, no protection)
     SECWM1_PSTRT : 0x0
     SECWM1_PEND  : 0x7F
     HDP1EN       : 0x0
     DB256        : 0x1
     TZEN         : 0x1
"""


def test_a_listing_beside_two_dumps_names_the_chip_as_it_does_alone(files):
    listing = files / "ob.txt"
    listing.write_text(L5_OPTIONS)
    (files / "case.toml").write_text(
        '[good]\ndumps = ["good.hex"]\n[suspect]\ndumps = ["suspect.hex"]\noptions = "ob.txt"\n'
    )
    good, suspect = files / "good.hex", files / "suspect.hex"
    found = [h5.read_options(listing), h5.read_log(listing), h5.diagnose(files)]
    found += [h5.compare(good, suspect, options_suspect=listing), h5.compare(good, suspect, options_good=listing)]
    assert named(*found) == {("stm32l552ze", "option-names")}


def test_option_names_that_several_devices_have_name_none_of_them():
    found = h5.read_log("OPTION BYTES BANK: 0\n     RDP: 0xAA\n     SPRMOD: 0x0\n     nWRP0: 0x1\n").to_dict()
    assert (found["chip"], found["chip_known_by"]) == (None, "option-names")
    assert found["device"] == {"dev_id": None, "name": "STM32F4"}
