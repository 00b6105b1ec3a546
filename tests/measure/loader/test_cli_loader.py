from __future__ import annotations

import json

import pytest

from h5diag.app.cli import main

from .conftest import LOADERS

FOUNDING = str(LOADERS / "logs" / "l5-tz-not-downloaded.txt")
L5, L5_TZ = str(LOADERS / "l5-good.stldr"), str(LOADERS / "l5-tz-good.stldr")


@pytest.fixture
def ask(capsys):
    def run(*words, status=0):
        assert main(["loader", *words]) == status
        out, err = capsys.readouterr()
        return json.loads(out) if "--json" in words and not status else out, err

    return run


def test_lint(ask):
    document, _ = ask("lint", L5, "--chip", "l5", "--tz", "on", "--json")
    assert document["ok"] is True
    assert [(f["code"], f["severity"]) for f in document["findings"]] == [("L041", "warning")]
    assert set(document["findings"][0]) >= {"code", "severity", "text"}
    text, _ = ask("lint", L5, "--chip", "l5", "--tz", "on")
    assert text.startswith("It may not work: 1 warning.")
    assert "0x20018004" in text
    text, _ = ask("lint", L5_TZ, "--chip", "stm32l562qe", "--tz", "on")
    assert text.startswith("Nothing found that would break it.")
    document, _ = ask("lint", str(LOADERS / "h5-shared-segment.stldr"), "--chip", "h5", "--json")
    assert document["ok"] is False


def test_lint_with_the_users_log(ask):
    log = str(LOADERS / "logs" / "l5-tz-good.txt")
    assert ask("lint", L5, "--chip", "l5", "--log", log, "--json")[0]["ok"] is False
    assert ask("lint", L5_TZ, "--chip", "l5", "--log", log, "--json")[0]["ok"] is True


def test_the_chip_comes_from_the_log_or_is_an_assumption(ask):
    document, err = ask("lint", L5, "--log", FOUNDING, "--json")
    assert (document["family"], err) == ("l5", "")
    document, err = ask("lint", str(LOADERS / "h5-good.stldr"), "--json")
    assert document["family"] == "h5"
    assert "assumed" in err


def test_explain(ask):
    document, _ = ask("explain", FOUNDING, "--json")
    assert document["downloaded"] is False
    assert "never downloaded" in document["conclusion"]
    assert document["calls"][0]["function"] == "Init"
    assert document["calls"][0]["msp"] == 0
    assert isinstance(document["remarks"], list)
    document, _ = ask(
        "explain", str(LOADERS / "logs" / "h5-good.txt"), "--elf", str(LOADERS / "h5-good.stldr"), "--json"
    )
    assert document["downloaded"] is True
    assert len(document["calls"]) == 6
    text, _ = ask("explain", FOUNDING, "--elf", L5, "--tz", "on")
    assert text.startswith("The loader was never downloaded")
    assert "linked at 0x20000004, while one" in " ".join(text.split())
    assert all(len(line) <= 110 for line in text.splitlines())


def test_a_log_without_calls_is_unknown(ask, tmp_path):
    path = tmp_path / "log.txt"
    path.write_text("nothing of interest\n")
    document, _ = ask("explain", str(path), "--json")
    assert document["downloaded"] is None
    assert document["calls"] == []


def test_run(ask, tmp_path):
    document, _ = ask("run", str(LOADERS / "u5-good.stldr"), "--chip", "u5", "--json")
    assert document["verdict"] == "pass"
    assert [c["function"] for c in document["calls"]] == ["Init", "SectorErase", "Init", "Write", "Init", "Read"]
    assert any("TrustZone" in text for text in document["limits"])
    trace = tmp_path / "trace.txt"
    text, _ = ask("run", L5, "--chip", "l5", "--tz", "on", "--trace", str(trace))
    assert text.startswith("not-downloaded: It is linked at 0x20000004")
    assert ask("explain", str(trace), "--json")[0]["downloaded"] is False
    text, _ = ask("run", str(LOADERS / "h5-null-call.stldr"), "--chip", "h5")
    assert text.startswith("fault: Init: jump to an address without memory.")
    assert "called from Init+" in text
    assert "xPSR" in text
    assert "It does not know:" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("lint", "nowhere.stldr", "--chip", "l5"), "nowhere.stldr: there is no such file"),
        (("lint", FOUNDING, "--chip", "l5"), "is not an ELF file"),
        (("run", FOUNDING, "--chip", "l5"), "is not an ELF file"),
        (("explain", L5), "is not a text"),
        (("explain", FOUNDING, "--elf", FOUNDING), "is not an ELF file"),
        (("lint", L5, "--chip", "f407"), "f407"),
        (("lint", L5, "--chip", "l5", "--tz", "maybe"), "invalid choice"),
        (("run", L5, "--chip", "l5", "--trace", "/nowhere/x"), "/nowhere/x: cannot be written"),
        (("run",), "required"),
    ],
)
def test_bad_input_is_one_line_and_status_2(ask, words, message):
    out, err = ask(*words, status=2)
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
