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


def test_every_row_says_what_to_do_and_what_follows(tmp_path, capsys):
    seen: set[tuple[str, str]] = set()
    for n, name in enumerate(
        ("flag of another part", "bound to another chip", "no trailer", "WRP too few", "already closed")
    ):
        top = sets.faulty_plan(random.Random(n), name).write(tmp_path / str(n))
        _, found = run(capsys, "preflight", top)
        for check in found["checks"]:
            told = bool(check["needs"]), bool(check["follows"])
            assert told == ((False, False) if check["state"] == "pass" else (True, True)), check
            seen.add((check["id"], check["state"]))
    assert {
        ("obk-encryption", "fail"),
        ("da-binding", "unknown"),
        ("image-trailer", "fail"),
        ("script-result", "warn"),
    } <= seen
    flag = next(
        c
        for c in run(capsys, "preflight", tmp_path / "0" / next((tmp_path / "0").iterdir()).name)[1]["checks"]
        if c["state"] == "fail"
    )
    assert "DoEncryption" in flag["needs"]


def test_keys_stay_inside_a_narrow_terminal(folder, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["keys", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any("key-of-certificate" in line for line in lines)


SM = """\
STM32_Programmer_CLI -c port=SWD mode=UR -e all || exit 1
STM32_Programmer_CLI -c port=SWD mode=HotPlug -sfi ./Binary/all.sfi ./Keys/license.bin -rsse ./Binary/rsse.bin || exit 1
"""


def test_a_secure_manager_is_recognised_and_never_called_sound(tmp_path, capsys):
    sm = tmp_path / "STM32H573I-DK" / "ROT_Provisioning" / "SM"
    files = {
        "provisioning.sh": SM.encode(),
        "Binary/all.sfi": b"x" * 64,
        "Keys/license.bin": b"SFIG" + bytes(132),
        "Binary/rsse.bin": b"y" * 64,
    }
    files["Binary/general.obk"] = sets.obk(0x0FFD0A80, b"\0\1\7A" + bytes(60), 1)
    sets.write(files, sm)
    status, found = run(capsys, "preflight", sm.parent)
    assert (status, found["verdict"], found["path"]) == (1, "unknown", "secure-manager")
    row = next(c for c in found["checks"] if c["id"] == "secure-manager")
    assert row["state"] == "unknown"
    assert "all.sfi" in row["text"]
    assert "spare board" in row["needs"]
    log = tmp_path / "log.txt"
    log.write_text(
        "STM32CubeProgrammer v2.18.0\nDevice ID   : 0x484\nDevice name : STM32H56x/573\nSFSP Version: v0.1.1\n", "utf-8"
    )
    status, found = run(capsys, "preflight", sm.parent, "--log", log)
    assert (status, found["verdict"]) == (1, "no-go")
    assert [c["id"] for c in found["checks"] if c["state"] == "fail"] == ["secure-manager"]
    (sm / "Keys/license.bin").unlink()
    _, found = run(capsys, "preflight", sm.parent)
    assert [c["id"] for c in found["checks"] if c["state"] == "fail"] == ["files-present"]
    _, found = run(capsys, "keys", sm)
    why = {f["file"]: f.get("why", "") for f in found["files"]}
    assert "secure service" in why["Binary/all.sfi"]
    assert "not published" in why["Binary/general.obk"]
    status, found = run(capsys, "rehearse", sm / "provisioning.sh", "--chip", "h573")
    assert (status, found["verdict"]) == (1, "unknown")
    assert "cannot be seen" in found["steps"][-1]["open"]
