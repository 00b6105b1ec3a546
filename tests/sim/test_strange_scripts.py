"""Scripts of strangers that grow, explode or never end: the walk stops at the line, in bounded work and memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from h5diag.app.cli import main
from h5diag.limits import SCRIPT_WORK
from h5diag.sim.rehearse import PartTraits, WalkInputs, lint, shell, shell_words, unchecked, walk_script

CALL = "STM32_Programmer_CLI -c port=SWD mode=UR -ob TZEN=0xB4"
DOUBLED = "x=a\nfor i in " + " ".join(map(str, range(64))) + "; do "
SHELL = {
    "a text": "x=a\nwhile true; do x=$x$x; done",
    "a quoted text": DOUBLED + 'x="$x$x"; done',
    "an array": 'a=(x)\nwhile true; do a=("${a[@]}" "${a[@]}"); done',
    "arguments": 'f() { f "$@" "$@"; }\nf a b',
    "a replacement": DOUBLED + "x=${x//a/aaaa}; done",
    "what is printed": DOUBLED[:40] + "; do x=$x$x; done\ny=$(while true; do echo $x$x; done)",
    "a cut": DOUBLED[:60] + "; do x=$x$x; done\ny=${x%%*b}",
    "one file many times": "echo aaaaaaaaaaaaaaaaa > f\nx=$(cat " + "f " * 100_000 + ")",
    "an echo of it": "x=" + "a" * 4000 + "\nwhile true; do echo $x$x$x$x; done",
}
BATCH = {
    "a value": "set x=a\n:a\nset x=%x%%x%\ngoto a",
    "a count": "for /L %%i in (1,1,1000000000) do echo %%i\ngoto :nowhere",
    "brackets": "(" * 100_000,
    "a block": "(\n" + "echo x\n" * 30_000 + ")",
    "a line without end": "a^\n" * 30_000,
    "commands": "echo a" + "&" * 200_000,
    "a condition": "if 1==1 " + "a&" * 50_000,
    "labels": ":x\n" * 30_000 + "call :x\ngoto x",
    "a square": "set /a x=9\n:a\nset /a x=%x%*%x%\ngoto a",
}


def walked(folder: Path, name: str, text: str):
    (folder / name).write_text(text + "\n")
    stage = WalkInputs(folder, PartTraits("h563", False, stirot=False))
    return walk_script(folder / name, stage), stage


ENDS = {"one file many times", "a block"}
"""What is long and no more."""


@pytest.mark.parametrize("what", [*SHELL, *BATCH])
def test_a_script_that_grows_is_stopped_before_the_memory_is_full(tmp_path: Path, what: str) -> None:
    found, _ = walked(tmp_path, *(("r.sh", SHELL[what]) if what in SHELL else ("r.bat", BATCH[what])))
    assert (found.stopped is None) is (what in ENDS)


@pytest.mark.parametrize("what", ["a text", "an array", "a cut"])
def test_the_line_is_named(tmp_path: Path, what: str) -> None:
    found, _ = walked(tmp_path, "r.sh", SHELL[what])
    assert found.stopped is not None
    assert "longer and longer texts" in str(found.stopped)
    assert 1 < found.stopped.line < 5


@pytest.mark.parametrize(
    "line",
    [
        'echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa | grep -E "(a+)+b"',
        "[[ aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa =~ (a+)+b ]]",
        "[[ aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa =~ (a|aa)+$ ]]",
        "[[ " + "a" * 3000 + " =~ a*a*a*a*b ]]",
        "[[ a =~ a{99999999999999999999} ]]",
        'echo a | grep "a{1,99999999999999}"',
    ],
)
def test_a_pattern_of_a_stranger_never_explodes(tmp_path: Path, line: str) -> None:
    """Python's own search would take years over the first three; not a step is counted while it does."""
    found, _ = walked(tmp_path, "r.sh", f"if {line}; then exit 3; fi\n{CALL}")
    assert found.stopped is not None
    assert "is not modelled" in str(found.stopped)
    assert found.stopped.line == 1


@pytest.mark.parametrize(
    ("line", "status"),
    [("echo TZEN=0xB4 | grep -q 'TZEN.*B4'", 3), ("[[ ab12 =~ ^[a-z]+[0-9]+$ ]]", 3), ("echo a | grep -q b", 0)],
)
def test_patterns_as_scripts_have_them_are_answered(tmp_path: Path, line: str, status: int) -> None:
    found, _ = walked(tmp_path, "r.sh", f"if {line}; then exit 3; fi")
    assert (found.stopped, found.status) == (None, status)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("r.sh", "exit \u00b2"),
        ("r.sh", "exit " + "9" * 5000),
        ("r.sh", "x=abc\necho ${x:\u00b2:\u0663}"),
        ("r.sh", "x=abc\necho ${x:" + "9" * 5000 + "}"),
        ("r.sh", "a=(b c)\necho ${a[\u00b2]} ${a[" + "9" * 5000 + "]}"),
        ("r.sh", "x=$((0x" + "f" * 9000 + "))"),
        ("r.bat", "exit /b \u00b2"),
        ("r.bat", "exit /b " + "9" * 5000),
        ("r.bat", "set x=abc\necho %x:~\u00b2%"),
        ("r.bat", "set x=abc\necho %x:~" + "9" * 5000 + "%"),
        ("r.bat", "for /L %%i in (1,1," + "9" * 5000 + ") do echo %%i"),
        ("r.bat", "set /a x=" + "9" * 5000 + "*3"),
    ],
)
def test_a_number_that_is_none_ends_no_walk(tmp_path: Path, name: str, text: str, capsys) -> None:
    walked(tmp_path, name, text)
    assert main(["rehearse", str(tmp_path / name), "--chip", "h563"]) in (0, 1)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("r.sh", f"{CALL}\n" * 3000),
        ("r.sh", "for i in " + "a " * 3000 + f"; do {CALL}; done"),
        ("r.bat", f"{CALL}\n" * 3000),
    ],
)
def test_a_script_of_a_thousand_calls_is_not_walked_a_thousand_times(tmp_path: Path, name: str, text: str) -> None:
    found, stage = walked(tmp_path, name, text)
    assert "as if it went round for ever" in str(found.stopped)
    assert len(found.steps) ** 2 * 20 < 2 * SCRIPT_WORK
    assert len(unchecked(found, stage)) <= len(found.steps)
    few, _ = walked(tmp_path, "few.sh", f"{CALL}\n" * 60)
    assert few.stopped is None
    assert len(few.steps) == 60


def test_where_a_files_content_lies_is_read_once_for_all_walks(tmp_path: Path, monkeypatch) -> None:
    from h5diag.sim.rehearse import walk

    (tmp_path / "a.hex").write_text(":020000040800F2\n:0400000001020304F2\n:00000001FF\n")
    opened: list[Path] = []
    monkeypatch.setattr(walk, "_extent", lambda path, address: opened.append(path))
    text = "STM32_Programmer_CLI -c port=SWD -d a.hex -v\n" * 8
    found, stage = walked(tmp_path, "r.sh", text)
    unchecked(found, stage)
    assert len(opened) == 1


BOMBS = {
    "brackets": "x=" + "$(" * 90_000 + ")" * 90_000,
    "braces": CALL + " " + "{a,b}" * 40_000,
    "blocks": CALL + "\n" + "if true; then\n" * 50_000,
    "sums": "echo $((" + "(" * 80_000 + "1" + ")" * 80_000 + "))",
}


@pytest.mark.parametrize("what", BOMBS)
def test_no_tree_is_made_of_a_script_of_brackets(tmp_path: Path, what: str, monkeypatch) -> None:
    sizes: list[int] = []
    real = shell_words.parse_shell
    for module in (shell_words, shell, lint):
        monkeypatch.setattr(module, "parse_shell", lambda text: sizes.append(len(text)) or real(text))
    found, _ = walked(tmp_path, "r.sh", BOMBS[what])
    assert found.stopped is not None
    assert "words and signs" in str(found.stopped)
    (tmp_path / "eval.sh").write_text('x="("\n' + 'x="$x$x"\n' * 18 + 'eval "$x"\n' + CALL + "\n")
    (tmp_path / "r.sh").unlink()
    stage = WalkInputs(tmp_path, PartTraits("h563", False, stirot=False))
    assert "words and signs" in str(walk_script(tmp_path / "eval.sh", stage).stopped)
    assert all(size < 1000 for size in sizes)


def test_a_script_of_brackets_is_told_as_none(tmp_path: Path, capsys) -> None:
    (tmp_path / "provisioning.sh").write_text(BOMBS["braces"])
    assert main(["preflight", str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert main(["keys", str(tmp_path), "--json"]) == 0
    assert "more than 150,000 words and signs" in capsys.readouterr().out


@pytest.mark.parametrize("text", ['x="$-1:-b}"', "x=$-9", 'echo "${-3}"'])
def test_an_argument_of_a_number_below_one_is_none(tmp_path: Path, text: str) -> None:
    steps, _ = walked(tmp_path, "run.sh", text)
    assert steps is not None
