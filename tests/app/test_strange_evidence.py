"""Strange evidence, kind by kind, through whole commands: one answer or one line, in work that grows with the file."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import sys
from pathlib import Path

import cubeprog_texts as texts
import pytest

from h5diag.app.cli import main
from h5diag.case import load_case
from h5diag.evidence.files import read_image
from h5diag.evidence.samples import data_folder
from h5diag.evidence.texts import parse_listing, parse_log, parse_registers
from h5diag.judge import diagnose
from h5diag.measure.logs import explain_text
from tests.work import calls

DATA = data_folder()
STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
ESCAPES = "a\x1b[2J\x1b]0;owned\x07\u202eb"


@pytest.mark.parametrize("length", [0xFFFF, 0xFFFE, 0x8000, 4, 3])
@pytest.mark.parametrize("which", ["area", "entry"])
def test_an_image_whose_tlvs_say_too_much_is_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str], which, length):
    image = read_image(DATA / "images" / "nonsecure_init_sign.hex")
    start = image.span.start
    data = bytearray(image.read_filled(start, image.span.stop)[0].tobytes())
    header, protected, body = struct.unpack_from("<HHI", data, 8)
    at = header + body
    struct.pack_into("<H", data, at + (2 if which == "area" else 6), length)
    assert protected, "the protected area is the one that is changed"
    (tmp_path / "bad.bin").write_bytes(data)
    (tmp_path / "good.hex").write_bytes((DATA / "images" / "nonsecure_init_sign.hex").read_bytes())
    (tmp_path / "case.toml").write_text(
        f'layout = "oemirot-2m-overwrite"\n[good]\ndumps = ["good.hex"]\n[suspect]\ndumps = ["bad.bin"]\nbase = {start}\n'
        f'[[images]]\nfile = "bad.bin"\nbase = {start}\n'
    )
    assert main(["diagnose", str(tmp_path)]) in (0, 1)
    assert main(["image", str(tmp_path / "bad.bin"), "--base", hex(start)]) in (0, 1)
    assert "Traceback" not in capsys.readouterr().err


def test_what_steers_a_terminal_comes_from_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch):
    """Out of titles, names, remarks of sidecars, file names in questions and in errors, on both streams."""
    monkeypatch.chdir(tmp_path)
    drop = tmp_path / "drop"
    drop.mkdir()
    data = (DATA / "founding" / "good.hex").read_bytes()
    for name in (f"{ESCAPES}.hex", f"good {ESCAPES}.hex", f"bad\n{ESCAPES}.hex"):
        (drop / name).write_bytes(data)
        side = {"remarks": [ESCAPES], "chip": ESCAPES, "tool": ESCAPES, "time": ESCAPES, "mode": ESCAPES}
        (drop / f"{name}.map.json").write_text(json.dumps(side))
    (drop / f"{ESCAPES}.txt").write_text(f"Error: {ESCAPES}\n  Board : {ESCAPES}\n" + texts.BANNER)
    (drop / "case.toml").write_text(
        f"title = {json.dumps(ESCAPES)}\n[suspect]\nname = {json.dumps(ESCAPES)}\ntool = {json.dumps(ESCAPES)}\n"
        f"dumps = [{json.dumps(ESCAPES + '.hex')}]\nlog = {json.dumps(ESCAPES + '.txt')}\n"
    )
    first = str(drop / f"{ESCAPES}.hex")
    for words in (
        *(["diagnose", str(drop), "-v"], ["reply", str(drop)], ["compare", first, first], ["image", first]),
        *(["log", str(drop / f"{ESCAPES}.txt")], ["options", str(drop / f"{ESCAPES}.txt")], ["diagnose", ESCAPES]),
        *(["case", first, str(drop / f"{ESCAPES}.txt")], ["locate", first, str(drop / f"absent{ESCAPES}")]),
    ):
        main(words)
        said = capsys.readouterr()
        assert not STEERING.search(said.out), words
        assert not STEERING.search(said.err), words


def test_a_case_takes_nothing_through_a_link_or_from_what_is_no_file(tmp_path: Path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "private.pem").write_text("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")
    drop = tmp_path / "drop"
    drop.mkdir()
    (drop / "good.hex").write_bytes((DATA / "founding" / "good.hex").read_bytes())
    for name, target in {"key.pem": "../private.pem", "zero.bin": "/dev/zero", "loop": ".", "self": "self"}.items():
        (drop / name).symlink_to(target)
    os.mkfifo(drop / "pipe.hex")
    os.link(drop / "good.hex", drop / "again.hex")
    assert main(["case", str(drop)]) == 0
    copied = sorted(p.name for p in (tmp_path / "h5diag-case").rglob("*"))
    assert not {"key.pem", "zero.bin", "pipe.hex"} & set(copied)
    assert b"c2VjcmV0" not in b"".join(p.read_bytes() for p in (tmp_path / "h5diag-case").rglob("*") if p.is_file())
    assert capsys.readouterr().err == ""


MARKUP = (
    "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><svg/onload=x> [a](javascript:b) ![i](http://e.example/x.png) "
    "``` </details> {{7*7}} $\\frac{a}{0}$ | a | # x"
)


@pytest.fixture
def scribbled(tmp_path: Path) -> Path:
    """The founding case with markup in its title, names, texts, sidecar and file names."""
    case = tmp_path / "case"
    shutil.copytree(DATA / "founding", case)
    toml = re.sub(r"(?m)^(tool|marking|uart) = .*\n", "", (case / "case.toml").read_text())
    toml = re.sub(r"(?m)^title = .*$", lambda m: f"title = {json.dumps(MARKUP[:190])}", toml)
    toml = re.sub(r"(?m)^name = .*$", lambda m: f"name = {json.dumps('```' + str(m.start()) + MARKUP[:180])}", toml)
    more = f"uart = 'u.txt'\ntool = {json.dumps(MARKUP)}\nmarking = {json.dumps(MARKUP)}\n"
    dump = "a<b>&\"'`|[x](y)$1_{2}.hex"
    (case / "suspect-1.hex").rename(case / dump)
    toml = toml.replace("[suspect]", "[suspect]\n" + more).replace('"suspect-1.hex"', json.dumps(dump))
    (case / "case.toml").write_text(toml)
    (case / "u.txt").write_text(f"[INF] Starting bootloader\n[ERR] {MARKUP}\nError: {MARKUP}\n")
    side = {"remarks": [MARKUP], "chip": MARKUP, "mode": "hotplug", "time": MARKUP, "tool": MARKUP}
    (case / f"{dump}.map.json").write_text(json.dumps(side))
    with (case / "suspect-log.txt").open("a") as stream:
        stream.write(f"\nError: {MARKUP}\n  Board       : {MARKUP}\n")
    return case


TAGS = re.compile(r"<script>alert|<img src=x|<svg/onload|</details> \{\{")
LINKS = re.compile(r"(?<!\\)\]\((?:javascript|http)|(?<![\\`])!\[i")


def test_markup_in_evidence_stays_text_on_every_page(scribbled: Path, tmp_path: Path, capsys) -> None:
    for name in ("r.html", "r.md"):
        assert main(["diagnose", str(scribbled), "--report", str(tmp_path / name)]) == 0
        page = (tmp_path / name).read_text("utf-8")
        assert "alert(1)" in page, "it was quoted"
        assert not TAGS.search(page), name
        assert name == "r.html" or not LINKS.search(page)
    capsys.readouterr()
    assert main(["reply", str(scribbled)]) == 0
    answer = capsys.readouterr().out
    blocks = answer.split("```")
    assert len(blocks) % 2 == 1, "every block ends where it should"
    outside = "".join(blocks[0::2])
    assert not TAGS.search(outside)
    assert not LINKS.search(outside)


def test_markup_in_evidence_stays_text_in_a_notebook(scribbled: Path) -> None:
    case = load_case(scribbled)
    found = diagnose(case)
    values = (case, found, *(d.image for d in case.suspects[0].dumps), explain_text((scribbled / "u.txt").read_text()))
    for value in values:
        assert not TAGS.search(value._repr_html_()), type(value)
        assert not TAGS.search("".join(value._repr_markdown_().split("```")[0::2])), type(value)


COMMANDS = ("diagnose", "reply", "preflight", "access", "keys", "options", "log", "image", "rehearse", "case", "fleet")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_path_that_is_none_is_one_line(tmp_path: Path, capsys, monkeypatch, command: str) -> None:
    if command == "fleet":
        pytest.importorskip("distributed")
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("self").symlink_to("self")
    Path("many").mkdir()
    more = ["--out", "out"] if command == "fleet" else []
    for name in ("/dev/zero", "pipe", "a\0b", "x" * 5000, "self", "many", "", "~nobody/x", "self/x", "pipe/x"):
        assert main([command, name, *more]) in (0, 1, 2), name[:20]
        error = capsys.readouterr().err
        assert error.count("\n") <= 1, error
        assert "Traceback" not in error


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "self", "self/x", "/dev/full", "/proc/nowhere/x", "/", "."])
def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, capsys, monkeypatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("self").symlink_to("self")
    good = str(DATA / "founding" / "good.hex")
    for words in (
        ["diagnose", str(DATA / "founding"), "--report", name],
        ["diagnose", str(DATA / "founding"), "--csv", name],
        ["case", good, "--out", name],
        ["locate", good, good, "--plot", name],
        ["dump", "--probe", "virtual", "--range", "0x08000000:0x08000100", "--out", name],
        ["dump", "--probe", "virtual", "--range", "0x08000000:0x08000100", "--both", "--out", name],
    ):
        assert main(words) in ((0, 2) if name == "self" else (2,)), words  # a link is replaced, whatever it is
        error = capsys.readouterr().err
        assert error.count("\n") <= 2, error
        assert "Traceback" not in error


GROWING = {
    "blank lines": "\n",
    "blanks": "  \t \n",
    "listing": texts.h5_listing(),
    "export": "".join(f'"NAME{i}": {{"bitNameToValue": 1}},\n' for i in range(20)),
    "registers": texts.REGISTERS_COLUMNS,
    "words": "0x08000000 : 00000000 11111111 22222222 33333333\n",
    "discovery": texts.BANNER + texts.DISCOVERY,
    "programming": texts.provisioning_log(),
    "boot": texts.UART,
    "serials": "ST-LINK SN : 066FFF3833554E3043\n",
    "one line": "SN : 0 0 0 0 ",
    "loader": "Init() -el a.stldr \n",
    "quotes": "> > > -----BEGIN \n",
}


@pytest.mark.parametrize("kind", GROWING)
def test_the_work_for_a_text_grows_as_the_text(kind: str) -> None:
    """Twice the text takes about twice the steps: a text of the largest size that is taken ends within seconds."""
    unit = GROWING[kind]

    def read(text: str) -> None:
        parse_log(text)
        parse_listing(text)
        parse_registers(text)

        explain_text(text)

    def steps(size: int) -> int:
        text, seen = unit * (size // len(unit) + 1), [0]

        def count(frame: object, event: str, value: object) -> None:
            seen[0] += event in ("call", "c_call")

        before = sys.getprofile()
        sys.setprofile(count)
        try:
            read(text)
        finally:
            sys.setprofile(before)
        return seen[0]

    read(unit)  # tables are loaded once
    small = steps(8_000)
    assert steps(16_000) < 2.6 * small + 5_000
    assert steps(32_000) < 5.2 * small + 10_000


def test_sixty_thousand_blank_lines_are_sorted_line_by_line(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log.txt").write_text("\n" * 60_000)
    assert calls(lambda: main(["case", "log.txt"]), 3_000_000)
