"""A secret is found wherever a case can hold it, and in whatever form it leaves: texts, tables, messages, pictures."""

from __future__ import annotations

import base64
import json
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from random import Random

import pytest

from h5diag.app.cli import main
from h5diag.case import load_case
from h5diag.evidence.samples import data_folder
from h5diag.judge import diagnose
from h5diag.show.report import redactor_of
from h5diag.show.report.redaction import Redactor
from tests import provisioning_sets as sets

SIGNER, READER = (sets.private_key(Random(seed)) for seed in (21, 22))
OBK = sets.obk(0x0FFD0160, sets.spki(SIGNER) + b"\0" + sets.spki(SIGNER) + b"\0" + sets.scalar70(READER) + bytes(2), 0)
SCALAR = READER.private_numbers().private_value.to_bytes(32, "big")
"""The private key that the object holds."""
PEM = "\n".join(
    (
        "-----BEGIN EC PRIVATE KEY-----",
        "mhccaqeeie5izwx1bmdlbmhvcnrhbgjlcmljahp3zxjn",
        "aaaabbbbccccddddeeeeffff",
        "QmVydA9x",
        "-----END EC PRIVATE KEY-----",
    )
)
LOG = (
    r"map file C:\\Users\\grimgerde\\fw\\a.map, listing Users\rossweisse\a.lst, object ../../swanhilde/fw/a.o",
    '"/home/ortrud brabant/fw dir/b.hex"',
    "STM32_Programmer_CLI -pwd=Hunding77 --password Hunding81 pwd: Hunding,7;8x",
    "<Password>Hunding88</Password> SSHPASS=Hunding86 sshpass -p Hunding80 ssh x",
    "router 2001:db8::8a2e:370:7334 and ::8a2e:370:7335, 02:1a:7d:da:71:13: up, link ether 021a7dda7114 brd",
    "Host: thursday-lab7",
    "Nov 30 04:10:11 mimesforge kernel: usb 1-1 attached",
    "-rw-r--r-- 1 loge erda-group 1024 Nov 30 a.hex",
    "subject=givenName=Isolde, SN=Kareol, DC=cornwall",
    "SSID: Woglinde-WLAN",
    'psk=Flosshilde9 essid="Wog linde net"',
    "OBK content: 5F1C0AD293B4E877",
    "0x0FFD0100 : 6F1C0AD3 A3B4E878",
    f"provisioning {SCALAR.hex()} then {SCALAR.hex(' ')} then {base64.b64encode(SCALAR).decode()}",
    *(f"> {line}" for line in PEM.splitlines()),
    "then QmVydA9x alone",
    "S1137AF00A0A0D0102030405060708090A0B0C0D61",
)
SECRETS = [
    *("grimgerde", "rossweisse", "swanhilde", "ortrud", "brabant", "fw dir"),
    *("Hunding", ",7;8x", "8a2e", "1a:7d:da", "021a7dda7114", "thursday-lab7", "mimesforge"),
    *("loge ", "erda-group", "Isolde", "Kareol", "cornwall", "Woglinde", "Flosshilde9", "Wog linde"),
    *("5F1C0AD2", "6F1C0AD3", "A3B4E878", "mhccaqee", "aaaabbbb", "QmVydA9x", "7AF00A0A0D", SCALAR[:4].hex()),
    # of names of files and folders, of sidecars and records
    *("walther", "elsa@", "066FFF3833554E3077", "DESKTOP-4F7K2LQ", "eva-pogner", "beckmesser", "2D3433510A336399"),
    *("sachs7", "hanspeter", "magdalene", "david9"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case with a secret in every name and in every text that none of the other tests plants one in."""
    case = tmp_path_factory.mktemp("h5") / "DESKTOP-4F7K2LQ of walther"
    shutil.copytree(data_folder() / "sound", case)
    inner = case / "elsa@graal.example SN 066FFF3833554E3077"
    inner.mkdir()
    (case / "suspect-1.hex").rename(inner / "walther_suspect-1.hex")
    (case / "suspect-log.txt").rename(inner / "DESKTOP-4F7K2LQ_log.txt")
    sidecar = {
        "access": "secure",
        "tool": "/home/eva-pogner/bin/reader",
        "uid": "00112D3433510A33639934AA",
        "remarks": ["read by walther, USER=walther on sachs7.local", r"C:\Users\beckmesser\x.bin"],
    }
    (inner / "walther_suspect-1.hex.map.json").write_text(json.dumps(sidecar))
    (case / "provision.log").write_text("cd /home/hanspeter\n./provision.sh --token tk_david9 -pwd Hunding77\n")
    (case / "boot.txt").write_text("\n".join(LOG) + "\n")
    (case / "da.obk").write_bytes(OBK)
    info = json.loads((case / "info.json").read_text())
    info["remarks"] = ["read at /home/" + "magdalene/probe, USER=walther"]
    (case / "info.json").write_text(json.dumps(info))
    toml = (case / "case.toml").read_text("utf-8")
    name = "elsa@graal.example SN 066FFF3833554E3077"
    toml = toml.replace('"suspect-1.hex"', f'"{name}/walther_suspect-1.hex"')
    toml = toml.replace('"suspect-log.txt"', f'"{name}/DESKTOP-4F7K2LQ_log.txt"\nuart = "boot.txt"')
    toml = re.sub("(?m)^title = .*$", lambda _: "title = '''" + " | ".join(LOG) + "'''", toml)
    toml = toml.replace('name = "custom board 2"', 'name = "board of walther"')
    toml = toml.replace('marking = "STM32H563ZIT6"', 'marking = "STM32H563ZIT6 of walther"')
    toml = toml.replace('tool = "OpenOCD', 'tool = "/home/eva-pogner/OpenOCD')
    toml += 'logs = ["provision.log"]\n[keys]\ndecrypt = ["da.obk"]\n'
    (case / "case.toml").write_text(toml, "utf-8")
    return case


@pytest.fixture(scope="module")
def redactor(folder: Path) -> Redactor:
    return redactor_of(diagnose(load_case(folder)))


def in_pictures(text: str) -> Iterator[str]:
    """What the pictures of a document say, in their bytes and in their metadata."""
    for body in re.findall(r"data:image/[a-z+]+;base64,([A-Za-z0-9+/=]+)", text):
        yield said_by(base64.b64decode(body))


def said_by(data: bytes) -> str:
    """A picture's bytes as text, its compressed text chunks too."""
    out, at = [data.decode("latin-1")], 8
    while data.startswith(b"\x89PNG") and at < len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind in (b"zTXt", b"iTXt"):
            out += [
                zlib.decompress(part).decode("latin-1")
                for part in data[at + 8 : at + 8 + size].split(b"\0")
                if part.startswith(b"x")
            ]
        at += size + 12
    return "\n".join(out)


def leaving(text: str) -> list[str]:
    return [s for s in SECRETS if s.lower() in text.lower()]


def test_nothing_leaves_by_any_way(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, mark, table = tmp_path / "a.html", tmp_path / "b.md", tmp_path / "c.csv"
    for arguments in (
        ["diagnose", str(folder), "--redact", "-v", "--report", str(page), "--csv", str(table)],
        ["diagnose", str(folder), "--redact", "--json", "--report", str(mark)],
        ["reply", str(folder), "--redact"],
    ):
        assert main(arguments) == 0
        said = capsys.readouterr()
        assert leaving(said.out) == [], arguments
        assert leaving(said.err) == [], arguments
    for written in (page, mark, table):
        text = written.read_text("utf-8").replace("\\", "")
        assert leaving(re.sub(r"base64,[^\"]+", "", unescape(text))) == [], written.name
        assert "removed]" in text
    pictures = [*in_pictures(page.read_text("utf-8")), *(said_by(p.read_bytes()) for p in tmp_path.glob("*.png"))]
    assert len(pictures) >= 4
    assert [leaving(p) for p in pictures] == [[] for _ in pictures]


def test_the_search_of_this_test_finds_what_is_there(folder: Path, tmp_path: Path) -> None:
    """The same search on the open write-up."""
    assert main(["diagnose", str(folder), "--report", str(tmp_path / "a.html")]) == 0
    assert {"walther", "Hunding", "elsa@", "DESKTOP-4F7K2LQ"} <= set(
        leaving(unescape((tmp_path / "a.html").read_text()))
    )


@pytest.mark.parametrize("line", [line for line in LOG if "-----" not in line])
def test_no_line_of_the_log_keeps_its_secret(line: str, redactor: Redactor) -> None:
    assert leaving(line)
    cleaned = redactor.plain(line)
    assert leaving(cleaned) == []
    assert "removed]" in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "listed by loge; asked at mimesforge",
        "eva-pogner, walther, hanspeter, beckmesser and magdalene",
        "00112D34 33510A33 639934AA",
    ],
)
def test_what_one_place_tells_is_known_in_all(text: str, redactor: Redactor) -> None:
    """Names out of a list of files, a system's log, a case's keys, a sidecar, a record and a provisioning log."""
    left = redactor.plain(text).lower()
    known = ("loge", "mimesforge", "eva-pogner", "walther", "hanspeter", "beckmesser", "magdalene", "33510a33")
    assert [name for name in known if name in left] == []


@pytest.mark.parametrize(
    "spelling",
    [
        bytes.hex,
        lambda b: b.hex(" ", 4).upper(),
        lambda b: ", ".join(f"0x{x:02X}" for x in b),
        lambda b: base64.b64encode(b).decode(),
        lambda b: repr(b),
        lambda b: "\n".join(f"{i:08x}: {b[i : i + 16].hex(' ', 2)}" for i in range(0, len(b), 16)),
    ],
)
def test_the_content_of_an_obk_is_known_however_it_is_spelled(spelling, redactor: Redactor) -> None:
    cleaned = redactor.plain(f"before {spelling(SCALAR)} after")
    digits = re.sub(r"[^0-9a-f]", "", cleaned.replace("0x", "").lower())
    assert not [i for i in range(28) if SCALAR[i : i + 4].hex() in digits]
    assert not [i for i in range(20) if base64.b64encode(SCALAR[i : i + 12]).decode() in cleaned]
    assert cleaned.startswith("before ")
    assert cleaned.endswith(" after")


@pytest.mark.parametrize(
    "text",
    [
        "the key is not the one that signed; content: 120 KiB, otp: locked",
        "0x0C0BE000: 3 words differ",
        "std::vector::size, see Options.map and app.out.hex at 10:22:33:44",
        "install-pending from 0x08018000 to 0x08019FFF, host link 4 MHz",
        "the password of the chip is not known",
        "erase_s: 0.002, voltage_mv: 3280, swd_hz: 8000000",
        "tested by two paths; read from the board",
    ],
)
def test_what_only_looks_like_a_secret_stays(text: str, redactor: Redactor) -> None:
    assert redactor.plain(text) == text


def test_names_of_an_archive_and_of_what_is_in_it_do_not_leave(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = tmp_path / "SN 066FFF3833554E3077 elsa@graal.example.zip"
    sound, begin = data_folder() / "sound", "home/eva-pogner/elsa@graal.example SN 066FFF3833554E3077 "
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as z:
        for name in ("good.hex", "suspect-1.hex", "suspect-log.txt", "suspect-ob.txt"):
            z.write(sound / name, begin + name)
    out = tmp_path / "case"
    assert main(["case", str(archive), "--out", str(out)]) == 0
    capsys.readouterr()
    for more in (["--report", str(tmp_path / "a.html")], ["--json"]):
        assert main(["diagnose", str(out), "--redact", *more]) == 0
        said = capsys.readouterr()
        assert leaving(said.out + said.err) == []
    assert leaving(re.sub(r"base64,[^\"]+", "", unescape((tmp_path / "a.html").read_text("utf-8")))) == []
