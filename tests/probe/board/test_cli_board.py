"""The commands, as another program sees them."""

import json
import re

import pytest

from h5diag.app.cli import main
from h5diag.chip import chip_names, load_chip
from h5diag.evidence.files import read_image, read_sidecar
from h5diag.show import printing

R = "0x08040000:0x08048000"


def run(capsys, *arguments):
    status = main(list(arguments))
    out = capsys.readouterr()
    return status, out.out, out.err


def test_info(capsys):
    status, out, _ = run(capsys, "info", "--probe", "virtual:board=founding", "--json")
    table = json.loads(out)
    assert status == 0
    named = {"chip", "dev_id", "rev_id", "uid", "flash_kib", "product_state", "tzen", "options", "registers"}
    assert named <= set(table)
    assert (table["chip"], table["dev_id"], table["product_state"], table["tzen"]) == ("stm32h563zi", 0x484, 0x17, 0xB4)
    assert {"ecccorr", "eccdetr", "opsr", "hdpl"} <= set(table["registers"])
    assert table["options"]["SECWM1_END"]["value"] == 0xE
    status, out, _ = run(capsys, "info", "--probe", "virtual", "--layout", "oemirot-2m-overwrite")
    assert status == 0
    assert out.splitlines()[0].startswith("stm32h563zi, DEV_ID 0x484")
    assert "Open, TrustZone off" in out


def test_the_info_of_the_defect_case_is_read_by_diagnose(capsys):
    from h5diag.case.results import parse_identity

    _, out, _ = run(capsys, "info", "--probe", "virtual:board=defect", "--json")
    who = parse_identity(out, "info.json")
    assert (who.tzen, who.product_state, who.registers["hdpl"], who.supply_mv) == (0xC3, 0xED, 1, 3300)


def test_dump(capsys, tmp_path):
    path = tmp_path / "a.bin"
    items = "virtual:unstable@0x08040000-0x08040040+bus-fault@0x08041000-0x08041008+seed=3"
    status, out, err = run(capsys, "dump", "--probe", items, "--out", str(path), "--range", R, "--json")
    table = json.loads(out)
    assert (status, err) == (0, "")
    assert table["unreadable"] == [[0x08041000, 0x08041008]]
    assert table["unstable"]
    assert all(0x08040000 <= a < b <= 0x08040040 for a, b in table["unstable"])
    assert table["bytes"] == 0x8000 - 8
    assert table["passes"] >= 2
    assert table["sha256"] == read_sidecar(path).sha256
    image = read_image(path)
    assert (image.size, [[r.start, r.stop] for r in image.unreadable]) == (0x8000 - 8, table["unreadable"])


def test_dump_for_a_person_and_the_sweep(capsys, tmp_path):
    path = tmp_path / "a.hex"
    common = ("dump", "--probe", "virtual", "--out", str(path), "--range", R, "--sweep")
    status, out, _ = run(capsys, *common, "--passes", "3")
    assert status == 0
    assert "32768 of 32768 bytes agree, 0 unstable, 0 unreadable" in out
    assert "verified" not in out
    assert re.search(r"0\.5 MHz +0 +32768", out)
    status, out, err = run(capsys, *common, "--json")
    assert (status, "--force" in err) == (2, True), "a dump that is there is not overwritten unasked"
    status, out, _ = run(capsys, *common, "--json", "--force")
    from h5diag.case.results import parse_sweep

    assert len(parse_sweep(out, "sweep.json").sweep) == 6


def test_both_aliases_are_two_dumps(capsys, tmp_path):
    path = tmp_path / "a.bin"
    status, out, _ = run(capsys, "dump", "--probe", "virtual", "--out", str(path), "--range", R, "--both", "--json")
    table = json.loads(out)
    assert status == 0
    assert (table["access"], table["secure"]["access"]) == ("nonsecure", "secure")
    other = read_image(tmp_path / "a-secure.bin")
    assert other.span.start == 0x0C040000
    assert (
        run(capsys, "dump", "--probe", "virtual", "--out", str(path), "--range", "0x0C000000:0x0C001000", "--both")[0]
        == 2
    )


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("info", "--probe", "virtual:locked-port"), 3),
        (("dump", "--probe", "virtual:locked-port", "--out", "a.bin"), 3),
        (("dump", "--probe", "virtual:unplug,after=5000", "--out", "a.bin"), 3),
        (("info", "--probe", "auto"), 3),
        (("info", "--probe", "remote:localhost:1"), 3),
        (("info", "--probe", "virtual:nonsense"), 2),
        (("info", "--probe", "virtual", "--chip", "z80"), 2),
        (("info", "--probe", "virtual", "--speed", "fast"), 2),
        (("dump", "--probe", "virtual"), 2),
        (("dump", "--probe", "virtual", "--out", "a.bin", "--range", "5:5"), 2),
        (("dump", "--probe", "virtual", "--out", "a.bin", "--passes", "0"), 2),
        (("dump", "--probe", "virtual", "--out", "a.xyz", "--range", R), 2),
        (("dump", "--probe", "virtual", "--out", "none/a.bin", "--range", R), 2),
        (("virtual", "--fault", "nonsense"), 2),
        (("virtual", "--port", "70000"), 2),
        (("dump", "--probe", "virtual:board=founding", "--out", "a.bin", "--access", "secure"), 4),
    ],
)
def test_exit_statuses_and_one_clear_line(capsys, tmp_path, monkeypatch, arguments, status):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("h5diag.probe.board.probes._found", list)
    got, out, err = run(capsys, *arguments)
    assert (got, out) == (status, "")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    if status in (2, 4):
        assert not list(tmp_path.iterdir())


def test_a_plan_touches_nothing(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("h5diag.probe.board.connect", lambda *a, **k: pytest.fail("touched the probe"))
    status, out, _ = run(capsys, "dump", "--probe", "auto", "--plan", "--json")
    table = json.loads(out)
    assert (status, table["erase_cycles"], table["lost"]) == (0, 0, ["nothing"])
    assert table["minutes"] > 0
    status, out, _ = run(capsys, "dump", "--probe", "auto", "--plan", "--connect", "under-reset")
    assert "resets the chip" in out
    assert not list(tmp_path.iterdir())


def test_probes(capsys, monkeypatch):
    monkeypatch.setattr("h5diag.probe.board.probes._found", list)
    assert run(capsys, "probes", "--json")[1].split() == ["{", '"probes":', "[]", "}"]


def test_record_and_replay(capsys, tmp_path):
    tape = str(tmp_path / "s.jsonl")
    first = run(capsys, "info", "--probe", "virtual", "--record", tape, "--json")
    again = run(capsys, "info", "--probe", f"replay:{tape}", "--json")
    assert (first[0], again[0]) == (0, 0)
    a, b = json.loads(first[1]), json.loads(again[1])
    assert a == b


@pytest.mark.parametrize("name", chip_names())
def test_info_of_every_chip_file_ends_in_words(name, capsys):
    """The virtual chip is an H563: as any other it says that the DEV_ID is another's, and believes no option."""
    status, out, err = run(capsys, "info", "--probe", "virtual", "--chip", name, "--json")
    assert status == 0, err
    document = json.loads(out)
    same = load_chip(name).identity.dev_id == 0x484
    assert (document["chip"] == name) is same
    assert bool(document["options"]) is same
    assert any("is not that of" in r for r in document["remarks"]) is not same


@pytest.mark.parametrize(
    ("arguments", "label"),
    [
        (["dump", "--range", "0x08000000:0x08010000", "--passes", "2", "--out", "d.bin", "--sweep"], "dump"),
        (["dump", "--range", "0x08000000:0x08010000", "--passes", "2", "--out", "e.bin", "--sweep"], "sweep"),
        (
            ["flashtest", "--range", "0x08040000:0x08042000", "--allow-erase", "--out", "t", "--level", "quick"],
            "flash test",
        ),
    ],
)
def test_a_bar_tells_what_is_left_and_how_fast(arguments, label, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(printing, "_BAR_AFTER_S", -1.0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert main([*arguments, "--probe", "virtual"]) == 0
    bars = [line for line in capsys.readouterr().err.split("\r") if line.startswith(f"{label} [")]
    assert any("left" in line and "KiB/s" in line for line in bars), bars


@pytest.mark.parametrize(
    ("given", "answers", "plan"),
    [
        ((), ("stm32h563zi", "identity"), ("stm32h563zi", "assumed")),
        (("--chip", "stm32h562zi"), ("stm32h562zi", "given"), ("stm32h562zi", "given")),
        (("--chip", "stm32u575zi"), (None, "identity"), ("stm32u575zi", "given")),
    ],
)
def test_info_and_dump_name_one_chip_and_a_plan_says_what_it_is_for(given, answers, plan, capsys, tmp_path):
    link = ("--probe", "virtual", *given, "--json")
    part = ("--range", "0x08000000:0x08002000")
    read, planned = [], []
    read.append(run(capsys, "info", *link))
    read.append(run(capsys, "dump", *link, *part, "--out", str(tmp_path / "a.hex")))
    planned.append(run(capsys, "dump", *link, *part, "--plan"))
    planned.append(run(capsys, "flashtest", *link, *part, "--plan"))
    for runs, wanted in ((read, answers), (planned, plan)):
        assert [status for status, _, _ in runs] == [0, 0]
        assert {((d := json.loads(out))["chip"], d["chip_known_by"]) for _, out, _ in runs} == {wanted}
    if answers[1] == "identity":
        assert json.loads(read[0][1])["device"]["dev_id"] == 0x484
