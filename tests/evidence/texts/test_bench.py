"""Every text of the bench is understood as the table says, through the command line's document."""

import base64
import importlib.util
import json
import zlib
from pathlib import Path

import pytest
from bench_texts import TEXTS, Bench

from h5diag.app.cli import main
from h5diag.chip import load_chip
from h5diag.evidence.texts import BootLog, meanings, parse_boot_log, parse_log, parse_tools, tool_rows
from h5diag.evidence.texts.boot import event_rows
from h5diag.evidence.texts.messages import parse_messages
from h5diag.evidence.texts.text import lines


def document(capsys, tmp_path, text, command="log"):
    path = tmp_path / "text.txt"
    path.write_text(text)
    assert main([command, str(path), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def at(value, path):
    for key in path.split("."):
        if isinstance(value, list) and key.isdecimal():
            value = value[int(key)] if int(key) < len(value) else None
        elif isinstance(value, list):
            value = next((v["value"] for v in value if v.get("name") == key), None)
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value


def words(value):
    """Everything that the document says of itself, not what it repeats."""
    if isinstance(value, dict):
        return " ".join(words(v) for k, v in value.items() if k not in ("text", "file", "line"))
    if isinstance(value, list):
        return " ".join(map(words, value))
    return value if isinstance(value, str) else ""


@pytest.mark.parametrize("bench", TEXTS, ids=[f"{b.kind}-{b.what}" for b in TEXTS])
def test_the_text_is_understood(bench: Bench, capsys, tmp_path):
    found = document(capsys, tmp_path, bench.text)
    assert found["kind"] == bench.kind
    assert found["chip"] == bench.chip
    if bench.dev_id is not None:
        assert found["device"]["dev_id"] == bench.dev_id
    said = words(found)
    for text in bench.says:
        assert text in said, said
    for text in bench.silent:
        assert text not in said, said
    for path, value in bench.values.items():
        assert at(found, path) == value, path


@pytest.mark.parametrize("bench", TEXTS, ids=[f"{b.kind}-{b.what}" for b in TEXTS])
def test_cut_anywhere_it_is_survived(bench: Bench):
    for end in range(0, len(bench.text), max(1, len(bench.text) // 40)):
        parse_log(bench.text[:end])


@pytest.mark.parametrize("row", meanings(), ids=lambda row: row.line)
def test_every_message_means_its_own(row):
    (message,) = parse_messages(lines(row.line + "\n"))
    assert (message.meaning, message.about, message.link) == (row.means, row.about, row.link)
    assert row.ref


def test_no_line_of_the_message_table_is_needed_twice():
    assert len({row.words + row.without for row in meanings()}) == len(meanings())


@pytest.mark.parametrize("row", event_rows(), ids=lambda row: row.line)
def test_every_event_of_a_boot_log_means_its_own(row):
    log = parse_boot_log(lines(f"Starting bootloader\n{row.line}\n"))
    assert log.events[-1].meaning.startswith(row.means.partition("{")[0])
    assert log.events[-1].about == row.about
    assert log.ended == row.ends
    assert row.ref


def test_a_text_without_a_boot_loaders_words_is_no_boot_log():
    assert parse_boot_log(lines("an image was refused by the customer\nno signature, no panic!\n")) == BootLog()


def test_a_tool_is_known_by_its_marks_alone():
    assert parse_tools(lines("Device ID   : 0x484\nVoltage     : 3.3V\n")) == ()
    assert len({row.kind for row in tool_rows()}) == len(tool_rows())


def listing(device, chip):
    """A listing of a device in the tool's grammar: every option that it has, with a value that fits."""
    out = [f"Device ID   : 0x{device.dev_id:03X}", "Flash size  : -- (default)", "OPTION BYTES BANK: 0"]
    for option in chip.options:
        value = option.values[0].value if option.values else 0
        out.append(f"     {option.name:<13}: 0x{value:X} (0x{value:X})")
    return "\n".join(out) + "\n"


def devices():
    from h5diag.chip import describe
    from h5diag.chip.files import index

    by_id = {p.dev_id: p.name for p in reversed(index().parts)}
    for device in index().devices:
        chip = load_chip(by_id[device.dev_id]) if device.dev_id in by_id else describe(device)
        yield pytest.param(device, chip, id=f"{device.dev_id:03x}-{len(device.options)}")


@pytest.mark.parametrize(("device", "chip"), list(devices()))
def test_a_listing_of_every_device_is_named_right(device, chip, capsys, tmp_path):
    text = listing(device, chip)
    found = document(capsys, tmp_path, text)
    has_file = chip.name.startswith("stm32")
    assert found["chip_known_by"] == "dev-id"
    assert (found["chip"] is not None) is has_file
    if has_file:
        assert load_chip(found["chip"]).identity.dev_id == device.dev_id
    else:
        assert found["device"] == {"dev_id": device.dev_id, "name": device.name}
    if chip.options:
        options = document(capsys, tmp_path, text, "options")
        assert options["chip"] == found["chip"]
        assert all(options["options"][o.name]["known"] for o in chip.options)
        assert not any("another family" in w or "no state" in w for w in options["warnings"])


def test_the_page_is_what_the_tables_make():
    root = Path(__file__).resolve().parents[3]
    spec = importlib.util.spec_from_file_location("make_texts", root / "docs" / "make_texts.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (root / "docs" / "texts.md").read_text("utf-8") == module.page(), "run `python docs/make_texts.py`"


PUMP = (
    b"c-rk)&2Jk;6o0cHj#E2}KT_3k1KOa1Qo*ib#}&aSYSO4gRhzVGRe^+r*|pd43h&z5T}K5~;((Aip&mGL;Gf{YiGPI~XCx#JJ%l$i"
    b"JI-d<11C=VlSebZ_kQ#7W}j{C`{w?mj|m|lpujdzRzHAp5BuJAX4HFNGG7heV166`poX?h9MYzzc9QbVC+NdQ%^J3nm{*`cfdT~z"
    b"6ev)jK!E}U3KaNXp*(C)8twKMt;zhDzN?piQO%3L|GIen2mE$?bksMuJ9qk>uHCgGZ`!dsw@pSmW_PFC?R0nUus3}L#5+E(3bZpj"
    b"JY$ss!kmOU-lQY@icVRfPGaaPJ%hSNS*cV*#WgzoNn59#qSHAwW&u(s?-<RBYTPW>NuyM|fvfaDHTsp0Dj!zvZYV7P)rPwp!bDXE"
    b"t(O~k&VQS~Ml;;Urn2KH<h8Me2V#X0LO=6GFt>;7uzC}8g`T9TSDJeDp-#5+=Du!#qLD2{12(CO?E*nSd1+MF7#FugBUn$Vi1E-U"
    b"f2;hk+-K^Yds7(1i4!F-iX1<L<J0HnQRf5s{!J?w&KLW`S(JD$tYCK+4asB?xY&=UGbgbe*WZt4;{**(G@R@^QE<Lz1$Ka|zBh{J"
    b"rghdat;exxjl-Gchf_cF;BXfY<#;$3$ZZ<*o^@iM96mUOQhnuQRc&bN<T|;bw#Wu)lee_DiA{17?10yQR9-a#Q4dnnoVnyG<K~iU"
    b"SC&zEbt%J35?_&cS>me_zb5gD#H)}ENP|Bw%9(g*PS6?E3@@k8GwT=eiOdr5)sPz*KjoW}|1;oqIC|0suD6})>CM#9Z%gz0()@c@"
    b"`~)6I{!?}?e!Ln+_*~MvG>SA|>HZ=)ZzXVR1cQMa$2>y^gOqvU2*+viUixv&Jp*s#Bo0u<l6&|ix~S<&rh^@S6(o*}eG>70B1V|x"
    b"3D|Qliv2k8LLB2RV23k5^pOl_LBOmd&t04ioX82!yjV~_9M6_6*Nwb$!C20x<8kB!OM?4?efadmc9JCW-9>_{{a4)NKOQ_&X<pQL"
    b"UGy@iIJQ!qn%@7WR3jC6Xr)gptJ8AU>t=N36X}bPS+AdtcT!H*dsouYc9fYzaSwH7&U#NJor}6pa&(_dx?gMjUqaSRC0(@+EQe*?"
    b"3rY7W>h^N(<vS_fSE&0wC*D{5?&iYYY5??d_9e@IK8{DI`yGu2`@Zmf>7!gtpM}8t_~SpxS+6eXenj2RIl6xUjQ85D"
)
"""A program of two functions at 0x08004000 with line information, built by us from nine lines of C."""


def test_a_fault_is_placed_in_the_programs_source(capsys, tmp_path):
    """drain() begins at 0x08004000; its second line is where the level is read."""
    (tmp_path / "pump.elf").write_bytes(zlib.decompress(base64.b85decode(PUMP)))
    (tmp_path / "fault.txt").write_text(
        "HardFault!\nCFSR = 0x00008200\nstacked pc = 0x08004004\nstacked lr = 0x0800FFFF\n"
    )
    assert main(["log", str(tmp_path / "fault.txt"), "--elf", str(tmp_path / "pump.elf"), "--json"]) == 0
    remarks = json.loads(capsys.readouterr().out)["remarks"]
    assert any("the core was at drain+0x" in r and "pump.c:" in r for r in remarks), remarks
    assert not any("it would return to " in r and "+0x" in r for r in remarks)
    # In a case's folder its own ELF files are taken, and no other's.
    assert main(["log", str(tmp_path / "fault.txt")]) == 0
    assert "drain" not in capsys.readouterr().out
    (tmp_path / "case.toml").write_text('[suspect]\nuart = "fault.txt"\n[[images]]\nfile = "pump.elf"\n')
    assert main(["log", str(tmp_path / "fault.txt")]) == 0
    assert "the core was at drain+0x" in capsys.readouterr().out
    assert main(["diagnose", str(tmp_path)]) == 0
    assert "at 0x08004004 in drain+0x" in " ".join(capsys.readouterr().out.split())
    (tmp_path / "pump.elf").write_bytes(b"not one")
    assert main(["log", str(tmp_path / "fault.txt"), "--elf", str(tmp_path / "pump.elf")]) == 2


def test_every_line_that_a_boot_loader_marks_is_an_error_or_a_warning(capsys, tmp_path):
    text = (
        "[INF] Starting bootloader\n[WRN] Something that no table knows\n"
        "[ERR] Image in the primary slot is not valid!\n[ERR] Unable to find bootable image\n"
    )
    found = document(capsys, tmp_path, text)
    assert [m["line"] for m in found["errors"]] == [3, 4]
    assert [m["line"] for m in found["warnings"]] == [2]


@pytest.mark.parametrize(("more", "odd"), [("", False), ("Error: Unable to get core ID\n", True)])
def test_nothing_odd_is_said_only_where_nothing_is(capsys, tmp_path, more, odd):
    (tmp_path / "a.txt").write_text("STM32CubeProgrammer v2.18.0\nST-LINK SN  : 0042\nVoltage     : 3.28V\n" + more)
    assert main(["log", str(tmp_path / "a.txt")]) == 0
    out = capsys.readouterr().out
    assert ("nothing odd" in out) is not odd
    assert ("Errors and warnings" in out) is odd


def test_a_fault_dump_without_0x_is_read_below_the_words_of_a_fault() -> None:
    dump = "!!! HARD FAULT !!!\nR12 = A5A5A5A5   LR  = 08006D77\nPC  = 20002A40   PSR = 60000000\n"
    dump += "CFSR= 00020000   HFSR= 40000000\n"
    fault = parse_log(dump).fault
    assert (fault.pc, fault.lr) == (0x20002A40, 0x08006D77)
    assert dict(fault.registers)["CFSR"] == 0x00020000
    assert not parse_log(dump.split("\n", 1)[1]).fault
