"""A case's files are opened once each, by whatever way the answer is asked for."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from h5diag.case.intake import gathering, sort_evidence
from h5diag.evidence.files import Sidecar, read_image, write_image, write_sidecar
from h5diag.evidence.samples import data_folder

DATA = data_folder()
TOML = """layout = "flash_layout.h"
[good]
dumps = ["good.bin"]
options = "good-ob.txt"
log = "good-log.txt"
[suspect]
dumps = ["suspect-1.hex"]
later = ["later.srec"]
options = "suspect-ob.txt"
log = ["suspect-log.txt", "second-log.txt"]
info = "info.json"
flashtest = "flashtest.json"
sweep = "sweep.json"
registers = "regs.txt"
uart = "uart.txt"
[provisioning]
logs = ["provisioning.txt"]
[[images]]
file = "app.elf"
[[images]]
file = "app.hex"
[loader]
file = "l.stldr"
log = "vb3.txt"
[keys]
verify = ["pub.pem"]
decrypt = ["key.pem"]
"""
COUNTING = """
import collections, json, os, sys
folder, opened = os.path.realpath(sys.argv.pop(1)), collections.Counter()
def look(event, details):
    if event == "open" and isinstance(details[0], str):
        path = os.path.join(folder, details[0])  # the door opens by name within the folder that it holds
        if os.path.realpath(path).startswith(folder + os.sep) and os.path.isfile(path):
            opened[os.path.relpath(os.path.realpath(path), folder)] += 1
sys.addaudithook(look)
from h5diag.app.cli import main
status = main(sys.argv[1:])
print(json.dumps([status, opened]), file=sys.stderr)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    case = tmp_path / "case"
    case.mkdir()
    for name in ("good-ob.txt", "good-log.txt", "suspect-1.hex", "suspect-ob.txt", "suspect-log.txt"):
        shutil.copy(DATA / "founding" / name, case)
    for name in ("info.json", "flashtest.json"):
        shutil.copy(DATA / "defect" / name, case)
    good = read_image(DATA / "founding" / "good.hex")
    write_image(good, case / "good.bin")
    write_image(read_image(DATA / "founding" / "suspect-2.hex"), case / "later.srec")
    write_sidecar(case / "suspect-1.hex", Sidecar(mode="hotplug", uid="001122334455667788990011"))
    app = read_image(DATA / "images" / "standalone.hex")
    write_image(app, case / "app.elf")
    write_image(app, case / "app.hex")
    shutil.copy(DATA / "loaders" / "h5-good.stldr", case / "l.stldr")
    shutil.copy(next((DATA / "loaders" / "logs").rglob("*.txt")), case / "vb3.txt")
    shutil.copy(DATA / "keys" / "sign-p256-pub.pem", case / "pub.pem")
    shutil.copy(DATA / "keys" / "encrypt-p256.pem", case / "key.pem")
    speeds = [{"swd_hz": hz, "bytes": 4096, "disagreeing": 0} for hz in (1_000_000, 4_000_000)]
    for name, text in {
        "sweep.json": json.dumps({"sweep": speeds}),
        "regs.txt": "0x40022020 : 00000000 12345678\n",
        "uart.txt": "[INF] Starting bootloader\n",
        "second-log.txt": "Error: No debug probe detected.\n",
        "provisioning.txt": "Provisioning ended\n",
        "flash_layout.h": (
            "#define FLASH_BASE_ADDRESS 0x08000000\n#define FLASH_AREA_0_OFFSET (0x18000)\n#define FLASH_AREA_0_SIZE (0x8000)\n"
            "#define FLASH_AREA_2_OFFSET (0xBE000)\n#define FLASH_AREA_2_SIZE (0x8000)\n"
        ),
        "case.toml": TOML,
    }.items():
        (case / name).write_text(text)
    return case


@pytest.mark.parametrize("words", [["--json", "--redact"], ["--report", "r.html", "--redact"]], ids=["json", "report"])
def test_every_file_of_a_case_is_opened_once(folder: Path, tmp_path: Path, words: list[str]) -> None:
    program = [sys.executable, "-c", COUNTING, str(folder), "diagnose", str(folder), *words]
    done = subprocess.run(program, capture_output=True, text=True, cwd=tmp_path, check=False)
    status, opened = json.loads(done.stderr.splitlines()[-1])
    assert status in (0, 1), done.stderr
    assert opened == {p.name: 1 for p in folder.iterdir()}


def test_every_dropped_file_is_opened_once(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "sorted"
    program = [sys.executable, "-c", COUNTING, str(folder), "case", str(folder), "--out", str(out), "--json"]
    done = subprocess.run(program, capture_output=True, text=True, cwd=tmp_path, check=False)
    status, opened = json.loads(done.stderr.splitlines()[-1])
    assert status == 0, done.stderr
    assert opened == {p.name: 1 for p in folder.iterdir() if p.name != "case.toml"}
    sources = {p.read_bytes() for p in folder.iterdir()}
    copies = {p.name: p.read_bytes() for p in out.iterdir() if p.name != "case.toml"}
    assert len(copies) >= 15
    assert set(copies.values()) <= sources


def test_folders_of_boards_are_walked_once_and_no_link_leaves_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walks, real = [], gathering.walk_evidence
    monkeypatch.setattr(gathering, "walk_evidence", lambda folder: walks.append(Path(folder).name) or real(folder))
    for side in ("good", "suspect"):
        (tmp_path / side).mkdir()
        shutil.copy(DATA / "founding" / f"{side}-ob.txt", tmp_path / side / "ob.txt")
        shutil.copy(DATA / "founding" / f"{side}-log.txt", tmp_path / side / "log.txt")
    private = tmp_path / "private.pem"
    shutil.copy(DATA / "keys" / "encrypt-p256.pem", private)
    (tmp_path / "good" / "key.pem").symlink_to(private)
    found = sort_evidence([], good=[tmp_path / "good"], suspect=[tmp_path / "suspect"])
    assert walks == ["good", "suspect"]
    assert [len(b.files) for b in (found.boards.good, *found.boards.suspects)] == [2, 2]
    assert [e.path.name for e in found.unused] == ["key.pem"]
    assert "leaves the case folder" in found.unused[0].what


def test_a_file_given_by_two_ways_is_opened_once(folder: Path, tmp_path: Path) -> None:
    words = [str(folder), "--good", str(folder / "good-ob.txt"), "--suspect", str(folder / "suspect-ob.txt")]
    program = [sys.executable, "-c", COUNTING, str(folder), "case", *words, "--out", str(tmp_path / "o"), "--json"]
    done = subprocess.run(program, capture_output=True, text=True, cwd=tmp_path, check=False)
    status, opened = json.loads(done.stderr.splitlines()[-1])
    assert status == 0, done.stderr
    assert set(opened.values()) == {1}
