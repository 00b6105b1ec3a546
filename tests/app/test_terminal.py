"""What a person sees on a terminal: nothing wider than it, colour only where it is wanted, help that is near."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from h5diag.app.cli import main
from h5diag.evidence.samples import data_folder
from h5diag.show import sheet

DATA = data_folder()
FOUNDING, SET = DATA / "founding", DATA / "provisioning" / "NUCLEO-H563ZI" / "ROT_Provisioning"
COMMANDS = {
    "diagnose": ["diagnose", FOUNDING],
    "diagnose -v": ["diagnose", FOUNDING, "-v"],
    "log": ["log", FOUNDING / "suspect-log.txt"],
    "options": ["options", FOUNDING / "suspect-ob.txt", FOUNDING / "good-ob.txt"],
    "image": ["image", FOUNDING / "suspect-1.hex", "--layout", "oemirot-2m-overwrite"],
    "locate": ["locate", FOUNDING / "good.hex", FOUNDING / "suspect-1.hex", "--layout", "oemirot-2m-overwrite"],
    "compare": ["compare", FOUNDING / "good.hex", FOUNDING / "suspect-1.hex"],
    "keys": ["keys", SET, DATA / "keys"],
    "preflight": ["preflight", SET],
    "access": ["access", SET / "DA", DATA / "provisioning" / "board.txt"],
    "rehearse": ["rehearse", SET / "OEMiROT" / "provisioning.sh"],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_no_line_is_wider_than_the_terminal(
    command: list[object], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = set()
    for width in (60, 80, 120):
        monkeypatch.setenv("COLUMNS", str(width))
        assert main([str(c) for c in command]) in (0, 1)
        lines = capsys.readouterr().out.splitlines()
        # A word that is too long (a path, a hash) and a command to type are left whole, so that they can be copied.
        too_wide = [x for x in lines if len(x) > width and not x.strip().startswith("h5diag ")]
        assert [x for x in too_wide if max(map(len, x.split())) < width // 2] == []
        seen.add(tuple(lines))
    assert len(seen) > 1 or command[0] == "access", "the width changes nothing"


def test_a_table_that_does_not_fit_becomes_lines_and_says_the_same() -> None:
    heads = ("address", "size", "where", "what it means")
    rows = tuple(
        (f"0x{0x08000000 + n:08X}", f"{n}", "non-secure secondary", "an image that waits " * 3) for n in range(3)
    )
    shown = sheet.Sheet("Answer.", (sheet.Section("Pieces", (sheet.Table(heads, rows, most=2),)),))
    wide, narrow = sheet.terminal(shown, 120), sheet.terminal(shown, 50)
    assert "address     size  where" in wide
    assert "0x08000001  size: 1; where: non-secure secondary;" in " ".join(narrow.split()).replace("01 ", "01  ")
    assert max(map(len, narrow.splitlines())) <= 50
    assert "... and 1 more" in wide
    assert "... and 1 more" in narrow


def on_a_terminal(arguments: list[str], environment: dict[str, str]) -> bytes:
    """Return what a command writes to a terminal."""
    leader, follower = pty.openpty()
    plain = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TERM")}
    process = subprocess.Popen(
        [sys.executable, "-m", "h5diag", *arguments],
        stdout=follower,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        env={**plain, "TERM": "xterm", **environment},
    )
    os.close(follower)
    out = b""
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:  # Linux says so when the other side is closed
            break
        if not piece:
            break
        out += piece
    assert process.wait() == 0
    os.close(leader)
    return out


@pytest.mark.parametrize(
    ("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)], ids=str
)
def test_colour_is_for_terminals_that_want_it(environment: dict[str, str], coloured: bool) -> None:
    out = on_a_terminal(["diagnose", str(FOUNDING)], environment)
    assert b"faulty chip" in out
    assert (b"\x1b[" in out) == coloured


def test_nothing_coloured_goes_into_a_file(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert main(["diagnose", str(FOUNDING)]) == 0
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("command", ["locate", "loader lint", "diagnose", "dump", "preflight"])
def test_an_unknown_option_points_at_the_commands_own_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    needed = {"locate": ["a", "b"], "loader lint": ["a"], "diagnose": ["a"], "dump": ["--out", "x"], "preflight": ["a"]}
    assert main([*command.split(), *needed[command], "--no-such-option"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "--no-such-option" in err
    assert f"see 'h5diag {command} --help'" in err


@pytest.mark.parametrize("command", ["diagnose", "options", "compare", "image"])
def test_quiet_changes_no_result(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(c) for c in COMMANDS[command]]
    assert main(words) == 0
    loud = capsys.readouterr()
    assert main([*words, "--quiet"]) == 0
    quiet = capsys.readouterr()
    assert quiet.out == loud.out
    assert quiet.err == ""


def test_a_case_that_says_false_somewhere_takes_more_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "case"
    shutil.copytree(FOUNDING, folder)
    text = (folder / "case.toml").read_text("utf-8")
    assert "after_da = false" in text
    (tmp_path / "boot.txt").write_text("[INF] Starting bootloader\n[ERR] Image in the secondary slot is not valid!\n")
    assert main(["case", str(folder), str(tmp_path / "boot.txt")]) == 0, capsys.readouterr().err
    assert "after_da = false" in (folder / "case.toml").read_text("utf-8")
