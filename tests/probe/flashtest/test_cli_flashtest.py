"""The command: exit statuses, its JSON, a kill with the chip in another process, and its result as evidence."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from h5diag.app.cli import main
from h5diag.evidence.samples import data_folder
from h5diag.probe.flashtest import DUMP_FIRST, KINDS

from .test_faults import soak

RANGE = "0x08026000:0x0802a000"
QUICK = ("--level", "quick", "--way", "registers", "--burst", "0x2000")


def command(capsys, *arguments):
    status = main(["flashtest", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def flash_tested(capsys, tmp_path, item, *more):
    probe = f"virtual:link=memory+{item}" if item else "virtual:link=memory"
    status, out, err = command(
        capsys,
        "--probe",
        probe,
        "--range",
        RANGE,
        "--allow-erase",
        "--out",
        str(tmp_path / "t"),
        "--json",
        *QUICK,
        *more,
    )
    assert status == 0, err
    return json.loads(out)


def test_plan_touches_nothing(capsys, tmp_path):
    status, out, _ = command(capsys, "--range", RANGE, "--plan", "--json", "--probe", "no-such-probe")
    plan = json.loads(out)
    assert status == 0
    assert plan["minutes"] > 0
    assert plan["erase_cycles"] == 31
    assert plan["rated_cycles"] >= 1000
    assert plan["lost"]
    assert plan["cannot_be_tested"]
    assert command(capsys, "--range", RANGE, "--plan")[1].startswith("about")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("--range", RANGE, "--out", "t"), 4, "--allow-erase"),
        (("--allow-erase", "--out", "t"), 2, "--range"),
        (("--range", RANGE, "--allow-erase"), 2, "--out"),
        (("--range", "0x08026010:0x0802a000", "--allow-erase", "--out", "t"), 2, "0x08026000:0x0802A000"),
        (("--range", "0x08fff000:0x08fff800", "--allow-erase", "--out", "t"), 2, "OTP"),
        (("--range", RANGE, "--allow-erase", "--out", "t", "--probe", "virtual:board=founding"), 4, DUMP_FIRST),
        (("--range", RANGE, "--allow-erase", "--out", "t", "--probe", "virtual:locked-port"), 3, "AP1"),
        (("--restore", "nowhere"), 2, "nowhere"),
        (("--range", RANGE, "--rounds", "0", "--plan"), 2, "rounds"),
        (("--range", RANGE, "--burst", "5", "--plan"), 2, "16"),
    ],
)
def test_refusals_are_one_line(capsys, tmp_path, monkeypatch, arguments, status, said):
    monkeypatch.chdir(tmp_path)
    more = () if "--probe" in arguments else ("--probe", "virtual")
    got, out, err = command(capsys, *arguments, *more)
    assert got == status, err
    assert not out
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir()), "nothing written"


def test_the_advice_in_other_states(capsys, tmp_path):
    _, _, err = command(
        capsys, "--range", RANGE, "--allow-erase", "--out", str(tmp_path / "t"), "--probe", "virtual:board=founding"
    )
    assert f"; {DUMP_FIRST}" in err


def test_the_document(capsys, tmp_path):
    d = flash_tested(capsys, tmp_path, "stuck-bit@0x08026100-0x08026104,bit=3,value=1")
    assert d["range"] == [0x08026000, 0x0802A000]
    assert (d["chip"], d["chip_known_by"]) == ("stm32h563zi", "identity")
    assert d["restored"] is True
    assert d["conditions"] == {
        "tzen": 0xC3,
        "product_state": 0xED,
        "wrp": [],
        "rev_id": 0x1007,
        "voltage_mv": 3300,
        "swd_hz": [4_000_000, 1_000_000],
        "rounds": 2,
        "power_cycles": 1,
        "second_path": "core-checksum",
    }
    assert [s["verdict"] for s in d["sectors"]] == ["bad", "good"]
    (fault,) = d["sectors"][0]["faults"]
    assert fault["kind"] in KINDS
    assert (fault["kind"], fault["address"], fault["bit"], fault["rounds"]) == ("stuck-at-1", 0x08026100, 3, 2)
    assert d["faults"] == 1
    assert all(s["erase_s"] > 0 and s["program_s"] > 0 for s in d["sectors"])
    on_disk = json.loads((tmp_path / "t" / "result.json").read_text())
    assert on_disk["sectors"] == d["sectors"]


def test_the_secure_alias_names_the_same_sectors(capsys, tmp_path):
    status, out, _ = command(capsys, "--range", "0x0c026000:0x0c02a000", "--plan", "--json")
    assert status == 0
    assert json.loads(out)["range"] == [0x08026000, 0x0802A000]


def test_restore_without_a_backup(capsys, tmp_path):
    (tmp_path / "t").mkdir()
    status, out, _ = command(capsys, "--restore", str(tmp_path / "t"), "--probe", "virtual", "--json")
    assert status == 0
    assert json.loads(out)["restored"] is True


def test_unplug_then_restore(capsys, tmp_path):
    state = tmp_path / "chip"
    main(["info", "--probe", f"virtual:state={state}"])
    original = soak.flash_of(state)
    status, _, err = command(
        capsys,
        "--probe",
        f"virtual:state={state}+unplug,after=0x18000",
        "--range",
        RANGE,
        "--allow-erase",
        "--out",
        str(tmp_path / "t"),
        *QUICK,
    )
    assert status == 3
    assert f"--restore {tmp_path / 't'}" in err
    assert not np.array_equal(soak.flash_of(state), original)
    status, out, _ = command(capsys, "--probe", f"virtual:state={state}", "--restore", str(tmp_path / "t"), "--json")
    assert status == 0
    assert json.loads(out)["restored"] is True
    assert np.array_equal(soak.flash_of(state), original)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_kills_at_random_moments():
    """A sample; the whole is benchmarks/soak_flashtest.py --kills 200."""
    rows = []
    soak.ended_runs("kill", 5, [0, 1, 2], rows.append)
    assert len(rows) == 3
    # 2: the test had ended before the kill came, and a finished one is not put back again.
    assert all(r["same"] and r["status"] in (0, 2) for r in rows)


# ------------------------------------------------------------------------------------------------ as evidence
@pytest.fixture
def diagnosed(capsys, tmp_path):
    """Test a virtual chip and diagnose the bundled case of a defect with the result in it."""

    def make(item, *more):
        document = flash_tested(capsys, tmp_path, item, *more)
        folder = tmp_path / "case"
        shutil.copytree(Path(data_folder()) / "defect", folder)
        (folder / "flashtest.json").write_text(json.dumps(document))
        assert main(["diagnose", str(folder), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return make


def status_of(document, name="flash-defect"):
    return next(h["status"] for h in document["hypotheses"] if h["id"] == name)


@pytest.mark.parametrize(
    "item", ["cell-stuck@0x08026000-0x08028000", "stuck-bit@0x08026000-0x08028000", "dead-sector@0x08026000-0x08028000"]
)
def test_a_defect_is_proved(diagnosed, item):
    document = diagnosed(item, "--level", "standard")
    assert document["verdict"] == "faulty"
    assert status_of(document) == "supported"


@pytest.mark.parametrize("less", [("--speeds", "4M"), ("--rounds", "1"), ("--no-power-cycle",)])
def test_short_of_proof_is_suspect(diagnosed, less):
    document = diagnosed("stuck-bit@0x08026000-0x08028000", *less)
    assert document["verdict"] == "suspect"


def test_a_sound_chip_is_not_called_faulty(diagnosed):
    document = diagnosed("")
    assert document["verdict"] != "faulty"
    assert status_of(document) != "supported"


def test_protection_is_not_called_faulty(diagnosed):
    document = diagnosed("bus-fault@0x08026000-0x08026004")
    assert document["verdict"] != "faulty"
