"""Every way out is redacted alike, by what the case knows; nothing but the case's own files is ever opened for it."""

from __future__ import annotations

import json
import os
import re
import shutil
from html import unescape
from pathlib import Path

import pytest

from h5diag.app.cli import main
from h5diag.case import Case, load_case
from h5diag.evidence.samples import data_folder
from h5diag.judge import diagnose
from h5diag.show.report import redactor_of
from h5diag.show.report.redaction import Redactor, make_redactor
from tests.work import calls

UID = "0049002F3532470D30333635"
PLANTED = {
    "a home": ("opened /home/" + "brunhilde/rockets/app.hex", "brunhilde", "rockets"),
    "a bare name": ("log of Brunhilde, second try", "brunhilde"),
    "a Windows path": (r"File: C:\Users\sigurd.w\fw\app.hex", "sigurd.w"),
    "a share": (r"\\fileserver7\releases\app.hex", "fileserver7", "releases"),
    "a mail address": ("sent to walter.n@example.com today", "walter.n", "example.com"),
    "a prompt": ("kriemhild@lab-pc-12:~$ h5diag", "kriemhild", "lab-pc-12"),
    "an address": ("flashed over 192.168.17.203 port 4", "192.168.17.203"),
    "a long address": ("flashed over fe80::1ff:fe23:4567:890a", "1ff:fe23"),
    "a MAC address": ("eth0 02:1A:7D:DA:71:13 up", "02:1A:7D"),
    "a certificate": ("subject: C = DE, O = Nibelung GmbH, CN = Dietrich Bern", "Nibelung", "Dietrich"),
    "a common name": ("leaf CN=Gunther-Root-CA, valid", "Gunther"),
    "a password": ("auth password: Rheingold1848 accepted", "Rheingold1848"),
    "a password on a line of commands": ("STM32_Programmer_CLI -pwd Walhalla77 debugauth=1", "Walhalla77"),
    "the content of a key file": ("OBK: 5F1C0AD2 93B4E877 16A0CC3D F2987E41 0D", "5F1C0AD2", "93B4E877"),
    "a serial number": ("ST-LINK SN : 066FFF3833554E3043", "066FFF3833554E3043"),
    "a short serial number": ("S/N: 482113", "482113"),
    "a serial number with letters": ("Serial Number: HLA-77-QRX9", "QRX9"),
    "an environment": ("USER=waltraute LOGNAME=gerhilde COMPUTERNAME=ORTLINDE-PC", "waltraute", "gerhilde", "ortlinde"),
    "who the environment named": ("asked Waltraute, who sat at ortlinde-pc", "waltraute", "ortlinde"),
    "a folder with a blank": (r"File: C:\Users\Grim Gerde\fw\app.hex", "gerde", "grim"),
    "a home by its tilde": ("~fasolt/fw/a.hex", "fasolt"),
    "a public key of a person": ("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC7 x", "AAAAB3NzaC1yc2E"),
    "a key in base64": ("MHcCAQEEIGl3aXNoaWhhZGFrZXlvZm15b3du", "MHcCAQEEIGl3aXNo"),
    "a bearer's token": ("Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJicnVuIn0.abc", "eyJzdWIiOiJicnVuIn0"),
    "a secret of the environment": (
        "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI GITHUB_TOKEN=ghp_16C7",
        "wJalrXUtn",
        "ghp_16C7",
    ),
    "an alternative name": ("X509v3 Subject Alternative Name: DNS:erda.fw.example", "erda.fw"),
    "an alternative name alone": ("    DNS:freia.fw.example, URI:x", "freia.fw"),
    "a MAC address with dots": ("mac 021a.7dda.7113", "7dda.7113"),
    "a unique id in dashes": ("board 00360041-33325103-00343330", "33325103"),
    "a telephone": ("call +49 228 1234567", "1234567"),
    "a password that is told": ("the password is Ring1848x", "Ring1848x"),
    "a pin": ("pin=93817", "93817"),
    "a debugger by its number": ("JLinkExe -SelectEmuBySN 69655018 -if SWD", "69655018"),
    "a debugger by its port": ("JLink -usb 683912777 -device STM32H563ZI", "683912777"),
    "words of a unique id": ("UID[0]: 0x4D5A9011 UID[1]: 0x5E6FA022", "4D5A9011", "5E6FA022"),
    "words of a unique id, numbered": ("uid0=0x41529013, uid1=0x5163A024", "41529013", "5163A024"),
    "a MAC address without separators": ("MAC address: 0080E15D6E7F", "0080E15D6E7F"),
    "who signed": ("Signed-off-by: Alberich Zwerg <x@y.example>", "Alberich", "Zwerg"),
    "an organisation alone": ("issued by O=Belrapeire KG", "Belrapeire"),
    "a token as an option": ("tool --token tk_L0hengr1n now", "L0hengr1n"),
    "a user as an option": ("curl -u telramund:Fr1edr1ch https://x.example/a", "telramund", "Fr1edr1ch"),
    "a token of three parts": (
        "jwt eyJhbGciOiJub25lIn0.eyJuIjoibG9oZW5ncmluIn0.QsRt7uVw",
        "eyJuIjoibG9oZW5n",
        "QsRt7u",
    ),
    "a key of a cloud": ("AKIAIOSFODNN7GRALXYZ", "AKIAIOSF"),
    "a key in C": (
        "k[8] = {0x29, 0x72, 0xbb, 0x04,\\n 0x4d, 0x96, 0xdf, 0x28}".replace("\\n", " "),
        "0x29, 0x72",
        "0xdf, 0x28",
    ),
    "a key in escapes": (r"\x29\x72\xbb\x04\x4d\x96\xdf\x28", r"\x29\x72", r"\xdf\x28"),
    "a key in decimals": ("41, 114, 187, 4, 77, 150, 223, 40, 113, 186, 3, 76, 149, 222, 39, 112", "187, 4, 77"),
    "a key in words": ("key = {0x8F3A91C4, 0x1B7E60D2, 0xD94C5A17, 0x6E02B8F3};", "8F3A91C4", "6E02B8F3"),
    "a key in words of C": ("{0x8F3A91C5UL, 0x1B7E60D3UL, 0xD94C5A18UL}", "8F3A91C5", "1B7E60D3", "D94C5A18"),
    "a key in columns": ("0x8F3A91C6   0x1B7E60D4\t0xD94C5A19", "8F3A91C6", "1B7E60D4", "D94C5A19"),
    "a key of 128 bits in base64": ("AES gFpW8h3kQ1zR7vXy0LmNaw== sent", "gFpW8h3k", "LmNaw"),
    "a password in quotes": ('export DA_PASSWORD="Held des Nordens42"', "des Nordens42", "Nordens42"),
    "a serial number on the next line": ("Serial Number:\n   5a:77:c1:3d:90:ee:12", "5a:77:c1", "ee:12"),
    "a password with a blank": ("set DA_PASSWORD=Ring des Hagen77", "Ring des", "Hagen77"),
    "who a system says one is": ("$ whoami\nortlieb7\n$ hostname\nmarkgraf9", "ortlieb7", "markgraf9"),
    "who Windows says one is": ("C:\\> whoami\r\nlab-siegm\\ortwin.k\r\n", "lab-siegm", "ortwin.k"),
    "who one is by numbers": ("uid=1000(hagenv) gid=1000(tronje) groups=1000(tronje),27(sudo)", "hagenv", "tronje"),
    "a system by its name": ("Linux alzey-4 6.1.0-18-amd64 #1 SMP x86_64", "alzey-4"),
    "who is there": ("volker7  pts/0  2026-11-30 04:10", "volker7"),
    "who must type a password": ("[sudo] password for gernot_b:", "gernot_b"),
    "where one came from": ("Last login: Mon Nov 30 04:10:11 2026 from worms-pc7", "worms-pc7"),
    "a variable that was asked for": ("PS C:\\> $env:USERNAME\ngiselher3", "giselher3"),
    "a system in a table": (
        "Host Name:                 XANTEN-04\nRegistered Owner:   utefrau",
        "xanten-04",
        "utefrau",
    ),
    "who commits": ("user.name=Wolfhart Hildebrand", "Wolfhart", "Hildebrand"),
    "a user of a domain": (r"user: NIFL\alberich.z", "NIFL", "alberich.z"),
    "a place of code": ("https://mime:Tarnhelm9@git.siegfr.example/x.git", "Tarnhelm9", "siegfr"),
}


def words(name: str) -> tuple[str, ...]:
    return PLANTED[name][1:]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case whose title, names and texts hold secrets, with its records in a subfolder and traps beside them."""
    case = tmp_path_factory.mktemp("h5") / "case"
    shutil.copytree(data_folder() / "sound", case)
    (case / "records").mkdir()
    info = json.loads((case / "info.json").read_text())
    (case / "info.json").unlink()
    info |= {"uid": UID, "probe": "066BFF30535257"}
    (case / "records" / "info.json").write_text(json.dumps(info))
    uid_words = [int(UID[i : i + 8], 16) for i in (16, 8, 0)]
    (case / "regs.txt").write_text("0x08FFF800 : " + " ".join(f"{w:08X}" for w in uid_words) + "\n")
    (case / "notes.txt").write_text("".join(p[0] + "\n" for p in PLANTED.values()))
    toml = (case / "case.toml").read_text("utf-8")
    toml = toml.replace('info = "info.json"', 'info = "records/info.json"\nregisters = "regs.txt"\nuart = "notes.txt"')
    toml = re.sub(
        r"(?m)^title = .*$", lambda m: "title = '''" + " | ".join(p[0] for p in PLANTED.values()) + "'''", toml
    )
    toml = re.sub(r"(?m)^marking = .*$", f'marking = "{UID} {uid_words[0]:08X} {UID[:8].lower()}"', toml)
    toml = toml.replace('name = "custom board 2"', 'name = "walter.n@example.com SN 066FFF3833554E3043"')
    assert "walter.n@example.com SN" in toml
    (case / "case.toml").write_text(toml, "utf-8")
    # What nobody named is nobody's business: a pipe here would hang whoever opens it.
    os.mkfifo(case / "waiting.json")
    (case / "endless.json").symlink_to("/dev/zero")
    return case


SECRETS = sorted({w for name in PLANTED for w in words(name)} | {UID, UID[:8], UID[8:16], UID[16:], "066BFF30535257"})


@pytest.fixture(scope="module")
def redactor(folder: Path) -> Redactor:
    return redactor_of(diagnose(load_case(folder)))


def outputs(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    found = {}
    for kind, more in {
        "terminal": ["-v"],
        "json": ["--json"],
        "html": ["--report", str(tmp_path / "a.html")],
        "md": ["--report", str(tmp_path / "a.md")],
        "csv": ["--csv", str(tmp_path / "a.csv")],
    }.items():
        assert main(["diagnose", str(folder), "--redact", *more]) == 0
        found[kind] = capsys.readouterr().out
        if more[0].startswith("--") and len(more) > 1:
            found[kind] += unescape(Path(more[1]).read_text("utf-8"))
    assert main(["reply", str(folder), "--redact"]) == 0
    found["reply"] = capsys.readouterr().out
    return found


def test_nothing_planted_leaves_by_any_way(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind, text in outputs(folder, tmp_path, capsys).items():
        text = re.sub(r"data:image/[^\"]+", "", text).lower()
        for secret in (*SECRETS, str(folder), folder.parent.name):
            assert secret.lower() not in text, (kind, secret)


def test_what_is_no_secret_stays(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = outputs(folder, tmp_path, capsys)
    document = json.loads(found["json"][: found["json"].rindex("}") + 1])
    assert document["chip"] == "stm32h563zi"
    assert document["verdict"] == "sound"
    assert {h["id"] for h in document["hypotheses"]} >= {"flash-defect", "masked-read"}
    assert "nothing here points to a faulty chip" in " ".join(found["terminal"].split()).lower()
    assert "info.json" in found["html"]


@pytest.mark.parametrize("name", PLANTED)
def test_each_kind_of_secret(name: str, redactor: Redactor) -> None:
    text = redactor.plain(PLANTED[name][0])
    for secret in words(name):
        assert secret.lower() not in text.lower()
    assert "removed]" in text


@pytest.mark.parametrize(
    "text",
    [
        "0x08018000, 0x08019FFF, 0x0801C000, 0x0801E000 and 3 more",
        "registers 0x40022050 0x50022054 0xE000ED28, memory 0x20000000 0x90000000 0x0BF90000",
        "the adapter of brunhildegard, version 2.21.0",
        "STM32CubeProgrammer v2.21.0 at 10:22:33:444",
        "revision X (0x1007), DEV_ID 0x484",
        "at 50 %: 1,048,576 of 2,097,152 bytes",
        "std::vector at 12:30:01",
        "FLASH_AREA_0_OFFSET and HAL_FLASHEx_OBProgram_Launch2 differ",
        "Last login: Mon Nov 30 04:10:11 2026",
        "Linux version 6.1 and Linux Mint 21.3, Erasing memory...",
        "the token bucket is full; the user name is not asked for",
        "2026-01-02 10:22:33, 10:22:33:444 and 10:22:34:001",
        "STM32CubeProgrammer_NUCLEO_H563ZI_Rev2_Board",
    ],
)
def test_what_only_looks_like_a_secret_stays(text: str, redactor: Redactor) -> None:
    assert redactor.plain(text) == text


@pytest.mark.parametrize(("digits", "goes"), [("48211", False), ("482113", True), ("482113004417562", True)])
def test_ids_of_six_digits_and_more_are_taken_out(tmp_path: Path, digits: str, goes: bool) -> None:
    (tmp_path / "info.json").write_text(json.dumps({"dev_id": 0x484, "probe": digits}))
    (tmp_path / "case.toml").write_text('[suspect]\ninfo = "info.json"\n')
    text = redactor_of(diagnose(load_case(tmp_path))).plain(f"read by probe {digits} twice")
    assert (digits not in text) is goes


def test_a_thousand_ids_cost_no_more_than_a_thousand_searches(tmp_path: Path) -> None:
    ids = [f"{i * 7919:024X}" for i in range(1, 1001)]
    redactor = make_redactor(Case("", tmp_path, ids=tuple(ids)))
    text = "a line that holds nothing of the kind\n" * 100 + ids[500]
    assert calls(lambda: redactor.text(text), 200_000)
    assert ids[500] not in redactor.text(text)


def test_json_names_the_report_without_its_folder(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diagnose", str(folder), "--redact", "--json", "--report", str(tmp_path / "a.html")]) == 0
    assert json.loads(capsys.readouterr().out)["report"] == "a.html"
    assert main(["diagnose", str(folder), "--json", "--report", str(tmp_path / "a.html")]) == 0
    assert json.loads(capsys.readouterr().out)["report"] == str(tmp_path / "a.html")


@pytest.mark.parametrize("before", range(4, 20))
def test_a_name_is_cleaned_before_it_is_cut(tmp_path: Path, before: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The map of an answer has room for twenty letters of a name: half a serial number is still one."""
    shutil.copytree(data_folder() / "founding", tmp_path / "case")
    toml = (tmp_path / "case" / "case.toml").read_text("utf-8")
    name = f"{'b' * before} SN 8F3A91C51B7E60D3"
    (tmp_path / "case" / "case.toml").write_text(toml.replace('name = "custom board 1"', f'name = "{name}"'), "utf-8")
    assert name in (tmp_path / "case" / "case.toml").read_text("utf-8")
    assert main(["reply", str(tmp_path / "case"), "--redact"]) == 0
    assert not re.search(r"SN 8F?3?A?", capsys.readouterr().out)


NAMELESS = f"access of kriemhild7.local, SN 8F3A91C51B7E60D3, USER=brunhilde {'x' * 50}"
FAULTS = {
    "a value": ("[suspect]\naccess = {told}\n", {}),
    "a key": ("[suspect]\n{told} = 1\n", {}),
    "a name of a file": ("[suspect]\nlog = {told}\n", {}),
    "a chip": ("chip = {told}\n", {}),
    "a layout": ("layout = {told}\n", {}),
    "a record": ('[suspect]\nflashtest = "r.json"\n', {"r.json": '{{"level": {told}}}'}),
    "a register of a record": ('[suspect]\ninfo = "r.json"\n', {"r.json": '{{"registers": {{{told}: 4294967296}}}}'}),
    "what is no TOML": ("{told}", {}),
}


@pytest.mark.parametrize("before", [0, 120, 150, 160])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("command", ["diagnose", "reply"])
def test_a_line_of_an_error_tells_no_more_than_a_write_up(
    command: str, fault: str, before: int, tmp_path, capsys
) -> None:
    """Also where the text is cut in the middle of a name: the half of it is left out."""
    case = tmp_path / "home of gutrune7"
    case.mkdir()
    toml, files = FAULTS[fault]
    told = json.dumps("y" * before + " " + NAMELESS)
    (case / "case.toml").write_text(toml.format(told=told))
    for name, content in files.items():
        (case / name).write_text(content.format(told=told))
    assert main([command, str(case), "--redact"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "case.toml" in error or "r.json" in error
    assert not re.search(r"(?i)kriemh|8F3A9|brunh|gutrune", error), error


@pytest.mark.parametrize("option", ["--report", "--csv"])
def test_a_place_that_cannot_be_written_is_not_named(option: str, tmp_path, capsys) -> None:
    shutil.copytree(data_folder() / "founding", tmp_path / "case")
    words = ["diagnose", str(tmp_path / "case"), "--redact", option, str(tmp_path / "of gutrune7" / "r.html")]
    assert main(words) == 2
    assert "gutrune7" not in capsys.readouterr().err


def test_a_title_is_cut_between_words(tmp_path, capsys) -> None:
    for before in range(150, 200, 3):
        (tmp_path / "case.toml").write_text(f'title = "{"y" * before} kriemhild7@worms.example is who sent it"\n')
        assert main(["diagnose", str(tmp_path), "--redact", "--json"]) == 0
        assert "kriem" not in capsys.readouterr().out
