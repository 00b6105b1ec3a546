"""What a stranger's case, a full disk or a strange system do to a command: one clear line, never a traceback."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from h5diag.app.cli import main
from h5diag.case import load_case
from h5diag.case.results import parse_flashtest, parse_identity, parse_sweep
from h5diag.errors import InputError
from h5diag.evidence.samples import data_folder
from h5diag.judge import Status, VerdictWord, diagnose

FOUNDING = data_folder() / "founding"
ROOT = Path(__file__).resolve().parents[2]
NINES, EFFS = "9" * 5000, "0x" + "f" * 20_000
TEST = {"range": [0x08000000, 0x08002000], "restored": True, "sectors": []}


def record(key: str, text: str, folder: Path) -> Path:
    (folder / "r.json").write_text(text)
    (folder / "case.toml").write_text(f'[suspect]\n{key} = "r.json"\n')
    return folder


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("info", '{"dev_id": ' + NINES + "}"),
        ("info", '{"dev_id": "' + NINES + '"}'),
        ("info", '{"dev_id": 1156, "flash_kib": ' + "9" * 400 + "}"),
        ("info", '{"dev_id": 1156, "flash_kib": "' + EFFS + '"}'),
        ("info", '{"dev_id": 1156, "registers": {"ecccorr": "' + EFFS + '"}}'),
        ("info", '{"dev_id": 1156, "supply_mv": 1e999}'),
        ("info", '{"dev_id": 1156, "supply_mv": NaN}'),
        ("info", "[" * 100_000),
        ("flashtest", json.dumps(TEST | {"conditions": {"voltage_mv": EFFS}})),
        (
            "flashtest",
            json.dumps(TEST | {"sectors": [{"start": 0x08000000, "verdict": "good", "erase_s": int("9" * 400)}]}),
        ),
        ("sweep", '{"sweep": [{"swd_hz": ' + "9" * 400 + ', "bytes": 1, "disagreeing": 0}]}'),
        ("sweep", '{"sweep": [{"swd_hz": "' + EFFS + '", "bytes": 1, "disagreeing": 0}]}'),
    ],
)
def test_a_number_of_too_many_digits_is_refused_before_it_is_one(tmp_path, capsys, key, text):
    assert main(["diagnose", str(record(key, text, tmp_path))]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "r.json" in error
    assert len(error) < 600


def test_a_flash_test_without_sectors_tests_nothing(tmp_path):
    verdict = diagnose(load_case(record("flashtest", "{}", tmp_path))).first.verdict
    assert verdict.hypothesis("flash-defect").status is Status.NOT_TESTED
    assert verdict.word is VerdictWord.UNDECIDED


def test_a_register_of_another_family_says_nothing(tmp_path):
    text = json.dumps({"dev_id": 0x484, "registers": {"eccr": 0xFFFFFFFF, "nonsense": 1, "opsr": 0}})
    ids = {f.id for f in diagnose(load_case(record("info", text, tmp_path))).first.findings}
    assert not ids & {"ecc-error", "ecc-uncorrected"}


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        (f'layout = "{"x" * 200_000}"', "no name of a layout"),
        (b'title = "a\xff"', "line 1: a byte that is no UTF-8"),
        ("x = " + "[" * 50_000, "nested too deeply"),
        (f"x = {NINES}", "not readable as TOML"),
        ("[suspect]\nbase = " + "9" * 400, "suspect.base is not an address"),
    ],
)
def test_a_hostile_case_toml_is_one_line(tmp_path, capsys, toml, words):
    (tmp_path / "case.toml").write_bytes(toml if isinstance(toml, bytes) else toml.encode())
    assert main(["diagnose", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert words in error


def run(*words: str, shell: str = "", cwd: Path = ROOT, **environment: str | None) -> subprocess.CompletedProcess[str]:
    known = {k: v for k, v in os.environ.items() if k not in environment}
    known |= {k: v for k, v in environment.items() if v is not None}
    known["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    command = [sys.executable, "-m", "h5diag", *words]
    if shell:
        command = ["sh", "-c", '"$@" ' + shell, "sh", *command]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=known, cwd=cwd)


GOOD = str(FOUNDING / "good.hex")


@pytest.mark.skipif(os.name == "nt", reason="needs a shell")
@pytest.mark.parametrize(
    ("words", "shell", "status", "said"),
    [
        (("compare", GOOD, GOOD), ">&-", 0, ""),
        (("compare", GOOD, GOOD), "2>&-", 0, ""),
        (("compare", GOOD, "absent"), ">&- 2>&-", 2, ""),
        (("compare", GOOD, GOOD), ">/dev/full", 2, "standard output: cannot be written to (No space left on device)"),
        (("compare", GOOD, GOOD, "--json"), ">/dev/full", 2, "No space left"),
        (("compare", GOOD, GOOD), ">/dev/full 2>/dev/full", 2, ""),
        (("compare", GOOD, "absent"), "2>/dev/full", 2, ""),
        (("options", str(FOUNDING / "good-ob.txt")), "| true", 0, ""),
    ],
)
def test_streams_that_are_closed_or_full(words, shell, status, said):
    done = run(*words, shell=shell)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert said in done.stderr
    assert done.returncode == status


@pytest.mark.parametrize(
    "environment",
    [
        {"HOME": None, "USERPROFILE": None},
        {"HOME": "/nonexistent/home"},
        {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONWARNINGS": "error"},
    ],
    ids=lambda e: "+".join(e),
)
def test_a_strange_system_changes_nothing(tmp_path, environment):
    report = tmp_path / "r.html"
    done = run("diagnose", str(FOUNDING), "--report", str(report), "--redact", **environment)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert report.stat().st_size > 10_000


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that even root cannot write into")
def test_a_read_only_folder_to_start_in_takes_nothing_but_the_place_of_the_report(tmp_path):
    done = run("diagnose", str(FOUNDING), "--report", str(tmp_path / "r.html"), cwd=Path("/proc"), HOME="/proc/nobody")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "r.html").stat().st_size > 10_000
    done = run("diagnose", str(FOUNDING), "--report", "r.html", cwd=Path("/proc"))
    assert done.returncode == 2
    assert "r.html: cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_leaves_the_older_report(tmp_path, monkeypatch, capsys):
    report = tmp_path / "r.html"
    assert main(["diagnose", str(FOUNDING), "--report", str(report)]) == 0
    older = report.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert main(["diagnose", str(FOUNDING), "--report", str(report)]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert report.read_bytes() == older
    assert os.listdir(tmp_path) == ["r.html"]


def test_an_unreadable_folder_is_told_as_one(tmp_path, monkeypatch):
    (tmp_path / "case.toml").write_text("")

    def refused(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(os, "listdir", refused)
    with pytest.raises(InputError, match=r"cannot be read \(Permission denied\)"):
        load_case(tmp_path)


def test_a_stop_while_it_is_still_loading_is_no_accident(monkeypatch, capsys):
    from h5diag import __main__ as door

    def stopped(name, *more):
        if name == "h5diag.app.cli":
            raise KeyboardInterrupt
        return real(name, *more)

    import builtins

    real = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", stopped)
    monkeypatch.setattr(door.gc, "set_threshold", lambda *numbers: None)
    assert door.main() == 130


RECORDS = {
    "flashtest": {
        "range": [0x08000000, 0x08002000],
        "restored": True,
        "conditions": {"tzen": 1, "wrp": [1], "swd_hz": [1], "rounds": 2, "voltage_mv": 3300},
        "sectors": [
            {
                "start": 0x08000000,
                "verdict": "bad",
                "erase_s": 0.1,
                "faults": [
                    {"kind": "stuck-at-0", "address": 0x08000000, "bit": 3, "rounds": [1, 2], "seen": 1, "chances": 2}
                ],
            }
        ],
        "outside": [[1, 2]],
    },
    "sweep": {"sweep": [{"swd_hz": 1, "bytes": 1, "disagreeing": 0}]},
    "info": {
        "dev_id": 0x484,
        "flash_kib": 2048,
        "supply_mv": 3300,
        "options": {"TZEN": {"value": 0xB4}},
        "registers": {"opsr": 0},
        "core": {"state": "running", "samples": [{"pc": 1, "place": "x"}], "faults": {"cfsr": 1}, "resets": ["pin"]},
    },
}
STRANGE = (None, 5, -1, 1.5, True, "x", [], [1], [[]], {}, {"a": 1}, [{}], [None], 1e308, 10**25, "٣", "0x" + "f" * 17)


def places(value, path=()):
    """Every place in a document, the whole included."""
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*path, key))


@pytest.mark.parametrize("key", RECORDS)
def test_a_record_with_anything_anywhere_is_read_or_refused(key):
    parse = {"flashtest": parse_flashtest, "sweep": parse_sweep, "info": parse_identity}[key]
    parse(json.dumps(RECORDS[key]), "r.json")
    for path in places(RECORDS[key]):
        for strange in STRANGE:
            document = [copy.deepcopy(RECORDS[key])]
            at = document
            for step in (0, *path)[:-1]:
                at = at[step]
            at[(0, *path)[-1]] = strange
            with contextlib.suppress(InputError):
                parse(json.dumps(document[0]), "r.json")


def lying(**told):
    """The flash test of the damaged board, with other values in each fault, sector and condition that has them."""
    test = json.loads((data_folder() / "defect" / "flashtest.json").read_text())
    for table in (test, test["conditions"], *test["sectors"], *(f for s in test["sectors"] for f in s["faults"])):
        table |= {k: v for k, v in told.items() if k in table}
    for fault in (f for s in test["sectors"] for f in s["faults"]):
        fault |= {k: v for k, v in told.items() if k in ("seen", "chances")}
    return test


@pytest.mark.parametrize(
    ("test", "words"),
    [
        (lying(bit=128), "bit is a number that it cannot be (at most 127)"),
        (lying(erase_s=-1.0), "erase_s is a number that it cannot be (at least 0.0)"),
        (lying(voltage_mv=-3300), "conditions.voltage_mv is a number that it cannot be (at least 0)"),
        (lying(seen=-1), "seen is a number that it cannot be (at least 0)"),
        (lying() | {"sectors": lying()["sectors"] * 2}, "a sector stands there twice"),
    ],
)
def test_a_flash_test_that_cannot_be_proves_nothing(tmp_path, capsys, test, words):
    shutil.copytree(data_folder() / "defect", tmp_path / "case")
    (tmp_path / "case" / "flashtest.json").write_text(json.dumps(test))
    assert main(["diagnose", str(tmp_path / "case")]) == 2
    assert words in capsys.readouterr().err


def test_a_flash_test_of_another_chip_proves_nothing(tmp_path, capsys):
    case = shutil.copytree(data_folder() / "defect", tmp_path / "case")
    for chip, status in (("stm32u585ai", 2), ("STM32H563ZIT6", 0), ("stm32h563zi", 0), ("what nobody sells", 0)):
        (case / "flashtest.json").write_text(json.dumps(lying() | {"chip": chip}))
        assert main(["diagnose", str(case)]) == status
    assert "suspect.flashtest is a test of stm32u585ai, and the chip here is stm32h563zi" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="needs names of files that are no UTF-8")
def test_bytes_that_are_no_utf8_go_through_every_way(tmp_path, capsys, monkeypatch):
    """A name of a file, or a word on the command line, may hold what no JSON and no TOML can."""
    monkeypatch.chdir(tmp_path)
    odd = os.fsdecode(b"a\xff\xfeb")
    assert main(["case", str(FOUNDING), "--title", odd, "--marking", odd, "--out", odd]) == 0
    assert main(["diagnose", odd, "--json", "--report", f"{odd}.html", "--csv", f"{odd}.csv"]) == 0
    out = capsys.readouterr().out
    document = json.loads(out[out.index("{") :])
    assert document["report"] == "a??b.html"
    assert load_case(odd).title == "a??b"
    (tmp_path / odd / f"{odd}-suspect.hex").write_bytes((FOUNDING / "suspect-1.hex").read_bytes())
    assert main(["case", odd, "--json"]) == 0
    assert main(["diagnose", odd]) == 0
    assert "Traceback" not in capsys.readouterr().err
