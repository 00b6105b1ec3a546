"""The capture scripts: every line is checked against what may be said, then the sh script runs with a stand-in tool."""

import json
import re
import shutil
import subprocess
import tomllib

import pytest

from h5diag.app.cli import main
from h5diag.case import load_case
from h5diag.case.capture import SLOW_KHZ, Interpreter, capture_script, capture_steps
from h5diag.chip import chip_names, load_chip
from h5diag.evidence.files import read_image
from h5diag.layout import load_layout, preset_names

CHIPS = chip_names()
NUMBER = r"(?:0x[0-9A-F]+|\d+)"
# The only arguments of the programmer that a script may hold: connect in hot plug, show options, read.
CONNECT = r"-c port=SWD(?: freq=\d+)? mode=HOTPLUG ap=[01]"
READS = rf"(?: -ob displ| -r32 {NUMBER} {NUMBER}| -r {NUMBER} {NUMBER} \"(?:\$NAME|%NAME%)-[\w.-]+\")?"
SH = [
    r"#!/bin/sh",
    r"#.*",
    r"",
    r'NAME="\$1"',
    r'CLI="\$\{STM32_PROGRAMMER_CLI:-STM32_Programmer_CLI\}"',
    r'case "\$NAME" in ""\|\*\[!A-Za-z0-9_-\]\*\) echo "[^"$`]*" >&2; exit 2;; esac',
    r'command -v "\$CLI" >/dev/null \|\| \{ echo "\$CLI [^"$`]*" >&2; exit 2; \}',
    r'if \[ -e "\$NAME-log.txt" \]; then echo "\$NAME-log.txt [^"$`]*" >&2; exit 2; fi',
    r'echo "[^"$`]*"',
    rf'"\$CLI" {CONNECT}{READS} >> "\$NAME-\w+\.txt" 2>&1 \|\| echo "  not read; \$NAME-\w+\.txt says why"',
    r'if \[ -s "\$NAME-[\w.-]+" \]; then echo \'\{[^\'$`]*\}\' > "\$NAME-[\w.-]+\.map\.json"; fi',
]
BAT = [
    r"@echo off",
    r"rem [^&|<>^]*",
    r"",
    r"setlocal",
    r"endlocal",
    r'set "NAME=%~1"',
    r'set "CLI=STM32_Programmer_CLI.exe"',
    r'if "%NAME%"=="" (?:echo [^&|<>^]*|exit /b 2)',
    r'if exist "%ProgramFiles%[^"]*" set "CLI=%ProgramFiles%[^"&|<>]*"',
    r'if defined STM32_PROGRAMMER_CLI set "CLI=%STM32_PROGRAMMER_CLI%"',
    r'if exist "%NAME%-log.txt" (?:echo [^&|<>^]*|exit /b 2)',
    r"echo [^&|<>^%]*",
    r"if errorlevel 9009 exit /b 2",
    r"if errorlevel (?:1|9009) echo [^&|<>^]*",
    rf'"%CLI%" {CONNECT}{READS} >> "%NAME%-\w+\.txt" 2>&1',
    r'if exist "%NAME%-[\w.-]+" echo \{[^&|<>^%]*\} > "%NAME%-[\w.-]+\.map\.json"',
]
ALLOWED = {Interpreter.SH: SH, Interpreter.BAT: BAT}
FORBIDDEN = re.compile(
    r"(?<!\w)(-rst|-hardRst|-e|-w\d*|-d|--?erase|--?write|--?download|-sdp|-sop|-tzenreg|-rdu|-regr|"
    r"debugauth|mode=UR|mode=NORMAL|-s|-g|--?go|-halt|-run|-el|-fwupgrade|-ob (?!displ))(?!\w)",
    re.IGNORECASE,
)


@pytest.mark.parametrize("shell", ALLOWED)
@pytest.mark.parametrize("name", CHIPS)
def test_every_line_is_one_that_may_be_said(shell, name):
    script = capture_script(shell, load_chip(name))
    end = "\r\n" if shell is Interpreter.BAT else "\n"
    assert script.endswith(end)
    lines = script.removesuffix(end).split(end)
    assert not any("\r" in line or "\n" in line for line in lines)
    for line in lines:
        assert any(re.fullmatch(pattern, line) for pattern in ALLOWED[shell]), line
        if "CLI" in line and "-c port" in line:
            assert not FORBIDDEN.search(line), line
    assert script.isascii()
    assert sum("-c port" in line for line in lines) == len(capture_steps(load_chip(name)))


@pytest.mark.parametrize(
    "line",
    [
        '"$CLI" -c port=SWD mode=UR ap=1 -ob displ >> "$NAME-ob.txt" 2>&1 || echo "  not read; $NAME-ob.txt says why"',
        '"$CLI" -c port=SWD mode=HOTPLUG ap=1 -e all >> "$NAME-ob.txt" 2>&1 || echo "  not read; $NAME-ob.txt says why"',
        '"$CLI" -c port=SWD mode=HOTPLUG ap=1 -ob TZEN=0xC3 >> "$NAME-b.txt" 2>&1 || echo "  not read; $NAME-b.txt says"',
        '"$CLI" -c port=SWD mode=HOTPLUG ap=1 -rst >> "$NAME-ob.txt" 2>&1 || echo "  not read; $NAME-ob.txt says why"',
        '"$CLI" -c port=SWD mode=HOTPLUG ap=1 debugauth=2 >> "$NAME-b.txt" 2>&1 || echo "  not read; $NAME-b.txt says why"',
        '"$CLI" -c port=SWD mode=HOTPLUG ap=1 -w32 0x40022004 0x45670123 >> "$NAME-r.txt" 2>&1',
        "rm -rf .",
    ],
)
def test_the_whitelist_itself_catches_what_it_must(line):
    assert not any(re.fullmatch(pattern, line) for pattern in SH)


@pytest.mark.parametrize("name", CHIPS)
def test_what_is_read(name):
    chip = load_chip(name)
    steps = capture_steps(chip)
    dumps = [s for s in steps if s.dump]
    views = {chip.flash.base, chip.flash.secure_base}
    assert sorted(s.base for s in dumps) == sorted([*views] * 2)
    assert {s.khz for s in dumps} == {0, SLOW_KHZ}
    read = [
        range(int(a, 16), int(a, 16) + int(n))
        for s in steps
        if s.reads.startswith("-r32")
        for a, n in [s.reads.split()[1:]]
    ]
    assert all(len(r) % 4 == 0 and r.start % 4 == 0 for r in read)

    def covered(address):
        return any(address in r for r in read)

    assert covered(chip.identity.idcode[0])
    if chip.identity.uid is not None:
        assert covered(chip.identity.uid)
        assert covered(chip.identity.uid + 11)
    assert covered(chip.identity.flash_size & ~3)
    for register in chip.registers:
        address = chip.flash_registers + register.offset
        if register.name in ("OPSR", "ECCCORR", "ECCDETR", "ECCR", "NSSR", "SECWM1R_CUR"):
            assert covered(address), register.name
        if "KEY" in register.name:
            assert not covered(address), register.name
    # ECC registers come after the flash reads, which may latch an error there.
    last_dump = max(i for i, s in enumerate(steps) if s.dump)
    assert all(i > last_dump for i, s in enumerate(steps) if "ECC" in s.what)
    assert not any(0x4402_4100 <= r.start < 0x4402_4110 for r in read), "the authentication mailbox is left alone"


def test_a_layout_shortens_the_read():
    chip = load_chip()
    layout = load_layout("oemirot-2m-overwrite")
    sizes = {s.reads.split()[2] for s in capture_steps(chip, layout) if s.dump}
    assert sizes == {"0x164000"}
    for name in preset_names():
        own = load_layout(name)
        assert capture_script(Interpreter.BAT, own.chip, own)


def test_a_layout_that_does_not_fit_is_refused(capsys):
    assert main(["capture", "--print", "sh", "--chip", "stm32h503rb", "--layout", "oemirot-2m-overwrite"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "h503" in error


def test_the_command(capsysbinary):
    assert main(["capture", "--print", "sh"]) == 0
    out = capsysbinary.readouterr().out.decode()
    assert out == capture_script(Interpreter.SH, load_chip())
    assert main(["capture", "--print", "bat", "--json", "--chip", "l5"]) == 0
    document = json.loads(capsysbinary.readouterr().out)
    assert document["chip"].startswith("stm32l5")
    assert document["script"].count("\r\n") == document["script"].count("\n")
    assert main(["capture"]) == 2


STAND_IN = """#!/bin/sh
# Stands in for the programmer: prints a banner and does what the arguments say, as far as a test needs it.
printf '      ------\\n   STM32CubeProgrammer v2.21.0\\n      ------\\n\\nST-LINK SN  : 001\\nVoltage     : 3.28V\\n'
printf 'Connect mode: Hot Plug\\nDevice ID   : 0x484\\nRevision ID : Rev X\\n\\n'
while [ $# -gt 0 ]; do
  case "$1" in
    -ob) printf 'OPTION BYTES BANK: 0\\n\\n   Product state:\\n\\n     PRODUCT_STATE: 0xED (Open)\\n'
         printf '     TZEN         : 0xB4 (x)\\n'
         printf '     SWAP_BANK    : 0x0 (x)\\n'; shift;;
    -r32) printf '%s : 00000000\\n' "$2"; shift 2;;
    -r) [ "$2" = 0x0C000000 ] && { echo 'Error: Data read failed'; exit 1; }
        head -c "$(($3))" /dev/zero > "$4"; shift 3;;
  esac
  shift
done
"""


def test_the_sh_script_runs_and_its_files_sort_themselves(tmp_path, capsys):
    folder = tmp_path / "work"
    folder.mkdir()
    tool = tmp_path / "cli"
    tool.write_text(STAND_IN)
    tool.chmod(0o755)
    (folder / "capture.sh").write_text(capture_script(Interpreter.SH, load_chip("stm32h503rb")))
    run = {
        "cwd": folder,
        "capture_output": True,
        "text": True,
        "check": False,
        "env": {"PATH": "/usr/bin:/bin", "STM32_PROGRAMMER_CLI": str(tool)},
    }
    shell = shutil.which("sh")
    for wrong in ([], ["a b"], ["../x"]):
        done = subprocess.run([shell, "capture.sh", *wrong], **run)
        assert done.returncode == 2
        assert "usage" in done.stderr
    for name in ("good", "suspect"):
        done = subprocess.run([shell, "capture.sh", name], **run)
        assert done.returncode == 0, done.stderr
    assert subprocess.run([shell, "capture.sh", "good"], **run).returncode == 2, "older files are never written over"
    image = read_image(folder / "good-dump-08000000-1.bin")
    assert (image.span.start, image.size, image.origin.mode, image.origin.chip) == (
        0x0800_0000,
        128 << 10,
        "hotplug",
        "stm32h503rb",
    )

    out = tmp_path / "case"
    assert main(["case", str(folder), "--out", str(out), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["undecided"] == []
    case = tomllib.loads((out / "case.toml").read_text())
    assert "chip" not in case, "the sidecars name it"
    assert load_case(out).suspects[0].dumps[0].image.origin.chip == "stm32h503rb"
    for name in ("good", "suspect"):
        assert case[name] == {
            "name": name,
            "dumps": [f"{name}-dump-08000000-{i}.bin" for i in (1, 2)],
            "options": f"{name}-ob.txt",
            "log": f"{name}-log.txt",
            "registers": f"{name}-regs.txt",
        }
        assert read_image(out / f"{name}-dump-08000000-2.bin").origin.mode == "hotplug"


def test_what_the_chip_refuses_leaves_no_sidecar(tmp_path):
    tool = tmp_path / "cli"
    tool.write_text(STAND_IN)
    tool.chmod(0o755)
    (tmp_path / "capture.sh").write_text(capture_script(Interpreter.SH, load_chip("stm32h523ce")))
    done = subprocess.run(
        [shutil.which("sh"), "capture.sh", "suspect"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "STM32_PROGRAMMER_CLI": str(tool)},
    )
    assert "not read; suspect-log.txt says why" in done.stdout
    assert (tmp_path / "suspect-dump-08000000-1.bin.map.json").exists()
    assert not list(tmp_path.glob("*0C000000*"))
