"""``keys``, ``access``, ``preflight`` and ``rehearse`` on the command line: their JSON, their words, their exit status."""

from __future__ import annotations

import json
import random

import provisioning_sets as sets
import pytest

from h5diag.app.cli import main


def run(capsys, *argv: object) -> tuple[int, dict]:
    status = main([*(str(a) for a in argv), "--json"])
    return status, json.loads(capsys.readouterr().out)


@pytest.fixture
def folder(tmp_path):
    plan = sets.sound_plan(random.Random(21))
    plan.to = "CLOSED"
    return plan.write(tmp_path)


def test_preflight_has_the_contracts_fields_and_statuses(folder, capsys):
    status, found = run(capsys, "preflight", folder, "--options", folder.parent / "board.txt", "--to", "closed")
    assert (status, found["verdict"], found["to"], found["path"]) == (0, "go", "CLOSED", "oemirot")
    assert set(found) >= {"verdict", "to", "chip", "chip_known_by", "path", "checks", "lost_if_wrong", "ask"}
    assert all(set(c) >= {"id", "state", "text", "file", "place", "needs"} for c in found["checks"])
    assert {a["id"] for a in found["ask"]} == {"ask-nrst", "ask-usb", "ask-boot0", "ask-supply", "ask-tool-version"}
    status, found = run(capsys, "preflight", folder / "ROT_Provisioning", "--to", "0x5C")
    assert (status, found["verdict"], found["to"]) == (1, "no-go", "LOCKED")


def test_what_a_person_reads_begins_with_the_verdict(folder, capsys):
    assert main(["preflight", str(folder), "--to", "LOCKED"]) == 1
    text = capsys.readouterr().out
    assert "NO-GO to LOCKED" in text.splitlines()[0]
    assert text.index("what stops it") < text.index("no file can tell")


def test_rehearse_lists_every_step(folder, capsys):
    status, found = run(capsys, "rehearse", folder / "ROT_Provisioning/OEMiROT/provisioning.sh", "--to", "CLOSED")
    assert (status, found["verdict"]) == (0, "go"), found["reasons"]
    assert all(set(s) >= {"line", "command", "state", "irreversible", "boots", "reopenable"} for s in found["steps"])
    assert [s["state"] for s in found["steps"]][-1] == "CLOSED"
    assert found["steps"][-1]["reopenable"] is True


def test_access_and_keys(folder, tmp_path, capsys):
    status, found = run(capsys, "keys", folder / "ROT_Provisioning/DA")
    assert (status, set(found)) == (0, {"files", "fits"})
    assert {f["kind"] for f in found["files"]} >= {"obk-da-cert", "certificate", "private-key", "password", "script"}
    text = tmp_path / "discovery.txt"
    lines = ("PSA lifecycle................:ST_LIFECYCLE_LOCKED", "ST provisioning integrity status:0xeaeaeaea")
    text.write_text("".join(f"discovery: {x}\n" for x in lines), "utf-8")
    status, found = run(capsys, "access", text)
    assert (status, found["answer"]) == (1, "lost")
    assert set(found) >= {"answer", "needs", "fits", "erases", "why"}


@pytest.mark.parametrize(
    "argv",
    [
        ("preflight", "nowhere"),
        ("keys", "nowhere"),
        ("access", "nowhere"),
        ("rehearse", "nowhere.sh"),
        ("preflight", ".", "--to", "SHUT"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_status_2(argv, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(list(argv)) == 2
    out = capsys.readouterr()
    assert out.out == ""
    assert len(out.err.strip().splitlines()) == 1
