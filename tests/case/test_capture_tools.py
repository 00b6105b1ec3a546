"""Scripts for OpenOCD and J-Link Commander say nothing but reads; and the programmer run by h5diag itself, with a stand-in."""

from __future__ import annotations

import json
import re
import stat

import pytest

from h5diag.app.cli import main
from h5diag.case.capture import Interpreter, capture_script, capture_steps
from h5diag.chip import chip_names, load_chip
from h5diag.errors import InputError, ProbeError
from h5diag.evidence.files import read_image
from h5diag.evidence.texts import parse_registers
from h5diag.probe.capture_run import find_programmer, run_capture

HEX = "0x[0-9A-F]+"
OPENOCD = [
    r"#.*",
    r"",
    r'if \{!\[info exists NAME\]\} \{ error "[^"\[\]]*" \}',
    r'if \{\[file exists \$NAME-regs\.txt\]\} \{ error "[^"\[\]]*" \}',
    r"if \{\[using_jtag\]\} \{ transport select swd \}",
    r"reset_config none",
    r"adapter speed \d+",
    r"swd newdap h5diag cpu",
    r"dap create h5diag\.dap -chain-position h5diag\.cpu",
    r"target create h5diag\.ap mem_ap -dap h5diag\.dap -ap-num [01]",
    r"init",
    r"shutdown",
    r'echo "[^"\[\]$]*"',
    rf"catch \{{ set out \[open \$NAME-regs\.txt a\]; set at {HEX}; foreach word \[read_memory {HEX} 32 \d+\] "
    r'\{ puts \$out \[format "0x%08X : %08X" \$at \$word\]; incr at 4 \}; close \$out \}',
    rf"catch \{{ dump_image \$NAME-[\w.-]+ {HEX} {HEX} \}}",
    r"catch \{ set out \[open \$NAME-[\w.-]+\.map\.json w\]; puts \$out \{\{[^{}\[\]$]*\}\}; close \$out \}",
]
JLINK = [
    r"//.*",
    r"log [\w-]+\.txt",
    r"connect",
    r"exit",
    r"speed \d+",
    rf"mem32 {HEX}, {HEX}",
    rf"savebin [\w.-]+, {HEX}, {HEX}",
]
ALLOWED = {Interpreter.OPENOCD: OPENOCD, Interpreter.JLINK: JLINK}


@pytest.mark.parametrize("tool", ALLOWED)
@pytest.mark.parametrize("name", chip_names())
def test_every_line_is_one_that_may_be_said(tool, name):
    script = capture_script(tool, load_chip(name))
    for line in script.removesuffix("\n").split("\n"):
        assert any(re.fullmatch(pattern, line) for pattern in ALLOWED[tool]), line
    assert script.isascii()
    reads = [s for s in capture_steps(load_chip(name)) if s.dump or s.reads.startswith("-r32")]
    said = re.findall(r"read_memory|dump_image|mem32|savebin", script.partition("\n\n")[2] or script)
    assert len(said) == len(reads)


@pytest.mark.parametrize(
    ("tool", "line"),
    [
        (Interpreter.OPENOCD, "reset halt"),
        (Interpreter.OPENOCD, "halt"),
        (Interpreter.OPENOCD, "catch { flash erase_sector 0 0 last }"),
        (Interpreter.OPENOCD, "mww 0x40022004 0x45670123"),
        (Interpreter.OPENOCD, "catch { write_memory 0x40022004 32 {0x45670123} }"),
        (Interpreter.OPENOCD, 'echo "[reset]"'),
        (Interpreter.OPENOCD, "stm32l4x mass_erase 0"),
        (Interpreter.JLINK, "r"),
        (Interpreter.JLINK, "h"),
        (Interpreter.JLINK, "erase"),
        (Interpreter.JLINK, "loadfile a.hex"),
        (Interpreter.JLINK, "w4 0x40022004, 0x45670123"),
        (Interpreter.JLINK, "unlock kinetis"),
    ],
)
def test_the_whitelists_catch_what_they_must(tool, line):
    assert not any(re.fullmatch(pattern, line) for pattern in ALLOWED[tool])


def test_names_cannot_carry_commands(capsys):
    for name in ("a;reset", "a b", "", "../x", "a\nerase"):
        with pytest.raises(InputError):
            capture_script(Interpreter.JLINK, load_chip(), name=name)
    assert main(["capture", "--print", "jlink", "--name", "good"]) == 0
    assert "savebin good-dump-08000000-1.bin, 0x08000000, 0x200000" in capsys.readouterr().out


def test_the_words_that_the_scripts_print_are_read_back():
    assert [(r.address, r.value) for r in parse_registers("0x44024000 : 10016484\n")] == [(0x44024000, 0x10016484)]


# ---------------------------------------------------------------------------------------------------- --run
def stand_in(tmp_path, *, connects=True, dev_id="0x484"):
    """A program that answers as STM32CubeProgrammer does, and writes down how it was called."""
    path = tmp_path / "STM32_Programmer_CLI"
    path.write_text(
        "#!/usr/bin/env python3\n"
        "import json, sys\n"
        "a = sys.argv[1:]\n"
        f"open({str(tmp_path / 'calls.jsonl')!r}, 'a').write(json.dumps(a) + '\\n')\n"
        f"if not {connects}: print('Error: No STM32 target found!'); sys.exit(1)\n"
        "print('      -------------------------------------------------------------------\\n"
        "                       STM32CubeProgrammer v2.18.0\\n')\n"
        f"print('ST-LINK SN  : 0042\\nDevice ID   : {dev_id}\\nRevision ID : Rev X\\nDevice name : STM32H56x/573\\n')\n"
        "if '-r' in a: open(a[-1], 'wb').write(bytes(range(256)) * (int(a[-2], 16) // 256))\n"
        "if '-r32' in a: print('0x%08X : %08X' % (int(a[a.index('-r32') + 1], 16), 0x10076484))\n"
        "if '0x50022000' in a: sys.exit(1)\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_the_programmer_is_run_and_its_files_become_a_case(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STM32_PROGRAMMER_CLI", str(stand_in(tmp_path)))
    out = tmp_path / "board"
    assert main(["capture", "--run", "--name", "suspect", "--out", str(out), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["chip"] == "stm32h563zi"
    image = read_image(out / "suspect-dump-08000000-1.bin")
    assert (image.span.start, image.size) == (0x08000000, 0x200000)
    assert (out / "case" / "case.toml").exists()
    calls = [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
    assert len(calls) == len(capture_steps(load_chip()))
    for call in calls:
        assert call[:2] == ["-c", "port=SWD"]
        assert "mode=HOTPLUG" in call
        assert not {"-rst", "-e", "-w32", "-d", "-halt", "-hardRst"} & set(call)
    assert main(["capture", "--run", "--name", "suspect", "--out", str(out)]) == 2
    assert "already" in capsys.readouterr().err


def test_no_programmer_and_no_connection_are_one_line_each(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STM32_PROGRAMMER_CLI", str(tmp_path / "none"))
    assert main(["capture", "--run", "--out", str(tmp_path / "a")]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    monkeypatch.delenv("STM32_PROGRAMMER_CLI")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(InputError, match="not installed"):
        find_programmer()
    program = str(stand_in(tmp_path, connects=False))
    monkeypatch.undo()
    with pytest.raises(ProbeError, match="No STM32 target found"):
        run_capture(load_chip(), tmp_path / "b", "good", programmer=program)


def test_the_programmer_is_asked_for_the_chip(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STM32_PROGRAMMER_CLI", str(stand_in(tmp_path, dev_id="0x482")))
    assert main(["capture", "--run", "--name", "good", "--out", str(tmp_path / "u5"), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["chip"] == "stm32u575zi"
    assert "STM32U575ZI" in err
    assert "--chip" in err
    calls = [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
    assert len(calls) == len(capture_steps(load_chip("stm32u575zi")))
    assert read_image(tmp_path / "u5" / "good-dump-08000000-1.bin").origin.chip == "stm32u575zi"


def test_another_chip_than_the_one_named_is_not_read_at_its_addresses(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STM32_PROGRAMMER_CLI", str(stand_in(tmp_path, dev_id="0x482")))
    assert main(["capture", "--run", "--chip", "h563", "--name", "good", "--out", str(tmp_path / "b")]) == 2
    assert "--chip stm32u575zi" in capsys.readouterr().err
    assert len((tmp_path / "calls.jsonl").read_text().splitlines()) == 1


def test_a_chip_without_a_chip_file_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STM32_PROGRAMMER_CLI", str(stand_in(tmp_path, dev_id="0x450")))
    assert main(["capture", "--run", "--name", "good", "--out", str(tmp_path / "b")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("tool", ["sh", "bat", "openocd", "jlink"])
def test_a_chip_that_is_only_assumed_is_said(tool, capsys):
    assert main(["capture", "--print", tool]) == 0
    out, err = capsys.readouterr()
    assert "assumed" in err
    assert "--chip" in err
    assert "assumed" not in out
    for given in (["--chip", "u5"], ["--layout", "oemirot-2m-overwrite"]):
        assert main(["capture", "--print", tool, *given]) == 0
        assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["../x", "a b", "-e", "a;b", "", "/tmp/x", "a\nb"])
def test_a_name_leads_out_of_no_folder(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STM32_PROGRAMMER_CLI", str(stand_in(tmp_path)))
    assert main(["capture", "--run", f"--name={name}", "--out", str(tmp_path / "a" / "b")]) == 2
    assert "no name for a board" in capsys.readouterr().err
    assert not (tmp_path / "calls.jsonl").exists()
    assert not (tmp_path / "a").exists()
