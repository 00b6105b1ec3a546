"""The command line's rules: one JSON document, exit statuses, one clear line for every bad input."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from h5diag.app.cli import build_parser, commands, main
from h5diag.case import load_case
from h5diag.evidence.samples import data_folder
from h5diag.judge import causes
from h5diag.show import printing, sheet

FOUNDING = data_folder() / "founding"
CONTRACT = {
    "demo",
    "capture",
    "case",
    "lab",
    "locate",
    "compare",
    "image",
    "options",
    "log",
    "info",
    "dump",
    "flashtest",
    "diagnose",
    "loader",
    "virtual",
    "app",
}


def test_every_command_of_the_contract_is_there():
    assert {c.name for c in commands()} >= CONTRACT
    assert {c.name for g in commands() for c in g.commands} >= {"lint", "explain", "run"}


def test_help_of_every_command_is_quick_and_plain(capsys):
    for command in commands():
        assert main([command.name, "--help"]) == 0
    assert "usage" in capsys.readouterr().out


def test_no_command_and_wrong_options_are_one_line_and_status_2(capsys):
    for argv in (
        [],
        ["nonsense"],
        ["compare", "one-file"],
        ["locate", "a", "b", "--bogus"],
        ["compare", "a", "b", "--base", "x"],
        ["info", "--probe", "virtual", "--speed", "inf"],
    ):
        assert main(argv) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        assert "--help" in err


def test_diagnose_prints_exactly_one_document(capsys):
    assert main(["diagnose", str(FOUNDING), "--json"]) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert err == ""
    assert document["verdict"] == "sound"
    for key in ("summary", "scope", "open_points", "hypotheses", "next_test", "findings"):
        assert key in document, key
    assert len(document["hypotheses"]) == len(causes())
    first = document["hypotheses"][0]
    assert (first["id"], first["status"]) == ("install-pending", "supported")
    assert all(isinstance(e, str) for e in first["evidence"])
    assert {h["status"] for h in document["hypotheses"]} <= {"supported", "possible", "excluded", "not-tested"}


def test_diagnose_for_a_person_gives_the_answer_first(capsys):
    assert main(["diagnose", str(FOUNDING)]) == 0
    out = capsys.readouterr().out
    assert out.index("Nothing here points to a faulty chip") < 200
    assert "\nNext" in out
    assert "\bsound\b" not in out


def test_verbose_shows_how_it_was_weighed(capsys):
    assert main(["diagnose", str(FOUNDING), "--verbose"]) == 0
    assert "decibans" in capsys.readouterr().out


BAD_CASES = {
    "no toml at all": (None, "no case.toml"),
    "not toml": ("title = ", "TOML"),
    "unknown key": ('colour = "red"', "colour"),
    "unknown board key": ('[suspect]\ndump = "a.hex"', "dump"),
    "wrong type": ("title = 5", "title"),
    "file absent": ('[suspect]\ndumps = ["gone.hex"]', "gone.hex"),
    "file outside": ('[suspect]\ndumps = ["../elsewhere.hex"]', "outside"),
    "absolute path outside": ('[suspect]\noptions = "/etc/hostname"', "outside"),
    "not a list": ('[suspect]\ndumps = "good.hex"', "list"),
    "bad access": ('[suspect]\naccess = "open"', "secure, nonsecure or unknown"),
    "bad base": ('[suspect]\nbase = "here"', "line 2: suspect.base is not an address"),
    "unknown chip": ('chip = "stm32f407"\n', "stm32f407"),
    "unknown layout": ('layout = "mine"\n', "mine"),
    "both forms": ("[suspect]\n[[suspects]]", "suspects"),
    "same names": ('[[suspects]]\nname = "a"\n[[suspects]]\nname = "a"', "same name"),
    "empty dump": ('[suspect]\ndumps = ["empty.hex"]', "empty"),
    "flash test is no JSON": ('[suspect]\nflashtest = "notes.txt"', "JSON"),
    "info is no object": ('[suspect]\ninfo = "list.json"', "object"),
    "odd flash test": ('[suspect]\nflashtest = "odd.json"', "verdict"),
    "no key": ('[keys]\nverify = ["notes.txt"]\n[suspect]\ndumps = ["good.hex"]', "notes.txt"),
    "nested too deeply": ("a = " + "[" * 100_000, "nested too deeply"),
    "nested and closed": ("a = " + "[" * 100_000 + "]" * 100_000, "nested too deeply"),
    "key of many parts": (".".join(["a"] * 100_000) + " = 1", "line 1: more than 500 dots"),
    "number of many digits": ("a = " + "9" * 5000, "TOML"),
    "far too long": ("#" + "x" * (2 << 20), "too large"),
    "name too long": ('[suspect]\ndumps = ["' + "a" * 5000 + '"]', "aaa..."),
    "a folder for a file": ('[suspect]\ndumps = ["sub"]', "is a folder"),
    "link in a circle": ('[suspect]\ndumps = ["circle.hex"]', "circle"),
    "control characters in a name": ('[suspect]\ndumps = ["a\\nb\\u001b[31m"]', "a?b?[31m"),
    "odd mode": ('[suspect]\nmode = "foo"', "hotplug, under-reset, normal or unknown"),
    "resets below zero": ("[suspect]\nresets_since_flash = -4", "number of resets"),
    "resets in words": ('[suspect]\nresets_since_flash = "many"', "is 'many'; it is a whole number or unknown"),
    "resets as truth": ("[suspect]\nresets_since_flash = true", "is true or false, not a whole number"),
    "after_da in words": ('[suspect]\nafter_da = "no"', "is 'no'; it is true, false or unknown"),
    "tool is a number": ("[suspect]\ntool = 5", "not a text"),
    "layout of another chip": ('chip = "stm32h503rb"\nlayout = "oemirot-2m-overwrite"', "case.toml"),
    "layout of no name": ('layout = "mine"', "case.toml"),
    "NUL in a name": ('[suspect]\ndumps = ["a\\u0000b"]', "file name"),
}


@pytest.mark.parametrize("name", BAD_CASES)
def test_a_bad_case_is_one_line_and_status_2(name, tmp_path, capsys):
    toml, said = BAD_CASES[name]
    if toml is not None:
        (tmp_path / "case.toml").write_text(toml, "utf-8")
    shutil.copy(FOUNDING / "good.hex", tmp_path)
    (tmp_path / "empty.hex").touch()
    (tmp_path / "notes.txt").write_text("hello\n")
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "odd.json").write_text('{"sectors": [{"start": 0, "verdict": "fine"}]}')
    (tmp_path / "sub").mkdir()
    os.symlink("circle.hex", tmp_path / "circle.hex")
    assert main(["diagnose", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert len(err) < 900
    assert said in err


def test_a_link_that_leaves_the_folder_is_refused(tmp_path, capsys):
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "case.toml").write_text('[suspect]\ndumps = ["link.hex"]')
    os.symlink(FOUNDING / "good.hex", tmp_path / "case" / "link.hex")
    assert main(["diagnose", str(tmp_path / "case")]) == 2
    assert "leaves the case folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["case.toml", "good.hex.map.json"])
def test_the_case_file_and_the_sidecars_stay_in_the_folder_too(name, tmp_path, capsys):
    case = tmp_path / "case"
    case.mkdir()
    shutil.copy(FOUNDING / "good.hex", case)
    (tmp_path / "case.toml").write_text("")
    (tmp_path / "good.hex.map.json").write_text('{"access": "secure"}')
    if name != "case.toml":
        (case / "case.toml").write_text('[suspect]\ndumps = ["good.hex"]')
    os.symlink(tmp_path / name, case / name)
    assert main(["diagnose", str(case)]) == 2
    err = capsys.readouterr().err
    assert "leaves the case folder" in err
    assert name in err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes in folders")
def test_a_pipe_is_called_a_pipe_and_never_waited_for(tmp_path, capsys):
    (tmp_path / "case.toml").write_text('[suspect]\ndumps = ["good.hex"]')
    os.mkfifo(tmp_path / "good.hex")
    assert main(["diagnose", str(tmp_path)]) == 2
    assert "is a pipe" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("written", "mode"),
    [
        ("hot plug", "hotplug"),
        ("HOT-PLUG", "hotplug"),
        ("attach", "hotplug"),
        ("halt", "normal"),
        ("Normal", "normal"),
        ("under reset", "under-reset"),
        ("UR", "under-reset"),
        ("unknown", None),
    ],
)
def test_ways_of_connecting_have_one_name_each(written, mode, tmp_path):
    (tmp_path / "case.toml").write_text(f'[suspect]\nmode = "{written}"\nresets_since_flash = "unknown"')
    assert load_case(tmp_path).suspects[0].mode == mode


def test_titles_and_names_come_out_plain_and_short(tmp_path, capsys):
    (tmp_path / "case.toml").write_text(
        'title = "\\u202eevil\\u2028x\\u0085y\\u001b[31m\\u0000' + "A" * 1000 + '"\n'
        '[[suspects]]\nname = "a\\u001b[2J\\r\\n=1"\n[[suspects]]\nname = "b\\u202ec"',
        "utf-8",
    )
    case = load_case(tmp_path)
    assert case.title.startswith("?evil?x?y?[31m?AAA")
    assert len(case.title) == 200
    assert [b.name for b in case.suspects] == ["a?[2J??=1", "b?c"]
    assert main(["diagnose", str(tmp_path), "--csv", str(tmp_path / "out.csv")]) == 0
    assert all(c.isprintable() or c == "\n" for c in capsys.readouterr().out)
    rows = (tmp_path / "out.csv").read_bytes().decode("utf-8")
    assert all(c.isprintable() or c == "\n" for c in rows)
    assert rows.count("\n") == 3


def test_a_text_of_which_nothing_is_understood_is_told(tmp_path, capsys):
    (tmp_path / "case.toml").write_text('[good]\noptions = "ob.txt"\n[suspect]\noptions = "noise.txt"\nlog = "x.txt"')
    shutil.copy(FOUNDING / "good-ob.txt", tmp_path / "ob.txt")
    (tmp_path / "noise.txt").write_bytes(bytes(i * i * 7 >> 3 & 0xFF for i in range(5000)))
    (tmp_path / "x.txt").write_text("hello\n")
    assert main(["diagnose", str(tmp_path), "--json"]) == 0
    remarks = json.loads(capsys.readouterr().out)["input_remarks"]
    assert [r.split(":")[0] for r in remarks] == ["noise.txt (suspect)", "x.txt (suspect)"]
    assert main(["diagnose", str(tmp_path)]) == 0
    assert "Not understood" in capsys.readouterr().out
    assert main(["diagnose", str(FOUNDING), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["input_remarks"] == []


def test_what_steers_a_terminal_is_never_printed():
    text = "a\x1b[31m\0\u202eb\u2028\u0085\rc\u00a0d\r\ne\n\tf \u00fc \u2588"
    clean = "a?[31m??b???c d\r\ne\n\tf \u00fc \u2588"
    assert printing.clean(text) == clean
    whole = sheet.sheet(text, sheet.section(text, text, sheet.bullets([text]), sheet.table(text, [[text]])))
    assert text not in repr(sheet.cleaned(whole))
    assert repr(sheet.cleaned(whole)).count(repr(clean)) == 6


def test_an_unknown_option_points_at_the_help_of_its_own_command(capsys):
    for argv, prog in (
        (["locate", "a", "b", "--bogus"], "h5diag locate"),
        (["loader", "lint", "x", "--bogus"], "h5diag loader lint"),
        (["loader"], "h5diag loader"),
    ):
        assert main(argv) == 2
        assert f"see '{prog} --help'" in capsys.readouterr().err


def test_help_has_examples_that_can_be_parsed_and_exit_statuses(capsys):
    assert main(["help"]) == 0
    out = capsys.readouterr().out
    assert "exit status" in out
    assert "preflight, access and rehearse" in out
    assert main(["help", "loader", "lint"]) == 0
    assert "usage: h5diag loader lint" in capsys.readouterr().out
    assert main(["help", "nonsense"]) == 2
    for line in [e for c in (*commands(), *(g for c in commands() for g in c.commands)) for e in c.examples]:
        words = line.split(" #")[0].split(" > ")[0].split()
        assert words[0] == "h5diag"
        build_parser().parse_args(words[1:])


def test_every_command_has_an_example():
    for command in commands():
        for c in command.commands or (command,):
            assert c.examples, c.name


def test_quiet_leaves_out_remarks_and_keeps_errors(capsys, tmp_path):
    (tmp_path / "a.bin").write_bytes(bytes(range(256)) * 16)
    path = str(tmp_path / "a.bin")
    assert main(["compare", path, path]) == 0
    assert "assumed" in capsys.readouterr().err
    assert main(["compare", path, path, "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["compare", path, "no-such-file", "-q"]) == 2
    assert "no-such-file" in capsys.readouterr().err


def test_completion_is_printed_for_a_shell(capsys):
    assert main(["--print-completion", "bash"]) == 0
    assert "complete" in capsys.readouterr().out


def test_a_report_that_cannot_be_written_is_refused_before_the_work(tmp_path, capsys):
    assert main(["diagnose", str(FOUNDING), "--report", str(tmp_path / "x.pdf")]) == 2
    assert main(["diagnose", str(FOUNDING), "--report", str(tmp_path / "no" / "x.html")]) == 2
    assert capsys.readouterr().out == ""


def test_an_empty_case_is_a_result(tmp_path, capsys):
    (tmp_path / "case.toml").write_text("")
    assert main(["diagnose", str(tmp_path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"] == "undecided"
    assert {h["status"] for h in document["hypotheses"]} == {"not-tested"}
    assert document["chip_assumed"]


def test_compare_json_and_text(capsys):
    argv = [
        "compare",
        str(FOUNDING / "good.hex"),
        str(FOUNDING / "suspect-1.hex"),
        "--layout",
        "oemirot-2m-overwrite",
        "--options-suspect",
        str(FOUNDING / "suspect-ob.txt"),
        "--access",
        "nonsecure",
    ]
    assert main([*argv, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    evidence = "option bytes; read nonsecure"
    due = {"start": 0x0C018000, "size": 0x6000, "state": "masked", "slot": "", "evidence": evidence}
    assert document["areas"][0] | {"slot": ""} == due
    assert document["bits"].keys() == {"risen", "fallen"}
    assert document["differing_bytes"] == sum(a.get("differing_bytes", 0) for a in document["areas"])
    assert main(argv) == 0
    assert any("masked" in line and evidence in line for line in capsys.readouterr().out.splitlines())
    # The listing alone tells the mask: zeros throughout exactly what one kind of reader is not shown.
    assert main([*argv[:7], "--json"]) == 0
    alone = json.loads(capsys.readouterr().out)["areas"][0]
    assert (alone["state"], alone["evidence"]) == (
        "masked",
        "option bytes: just what a nonsecure reader is not shown",
    )
    assert main([*argv[:3], "--json"]) == 0
    zero = [a for a in json.loads(capsys.readouterr().out)["areas"] if a["state"] == "zero"]
    assert all(a["mask_like"] for a in zero)
    assert zero


def test_an_area_in_no_slot_is_said_to_be_in_none(tmp_path, capsys):
    for name, data in (("a.bin", b"\x11" * 4096), ("b.bin", b"\x22" * 4096)):
        (tmp_path / name).write_bytes(data)
    argv = ["compare", str(tmp_path / "a.bin"), str(tmp_path / "b.bin"), "--layout", "oemirot-2m-overwrite"]
    argv += ["--base", "0x081F0000", "--reference-base", "0x081F0000"]
    assert main([*argv, "--json"]) == 0
    assert [a["slot"] for a in json.loads(capsys.readouterr().out)["areas"]] == ["none"]
    assert main(argv) == 0
    assert "None" not in capsys.readouterr().out


def test_a_listing_without_an_option_is_refused_by_compare(tmp_path, capsys):
    dump, listing = tmp_path / "a.bin", tmp_path / "ob.txt"
    dump.write_bytes(bytes(4096))
    listing.write_text("no options here\n")
    assert main(["compare", str(dump), str(dump), "--options-suspect", str(listing)]) == 2
    assert f"{listing}: not one option line" in capsys.readouterr().err


def test_an_error_begins_with_the_whole_command(capsys):
    assert main(["loader", "lint", "no-such-file"]) == 2
    assert capsys.readouterr().err.startswith("h5diag loader lint: no-such-file: ")


def test_several_boards_make_a_table(tmp_path, capsys):
    for name in ("good.hex", "suspect-1.hex", "suspect-2.hex"):
        shutil.copy(FOUNDING / name, tmp_path)
    (tmp_path / "case.toml").write_text(
        'chip = "stm32h563zi"\nlayout = "oemirot-2m-overwrite"\n[good]\ndumps = ["good.hex"]\naccess = "secure"\n'
        '[[suspects]]\nname = "=1+1"\ndumps = ["suspect-1.hex"]\naccess = "nonsecure"\n'
        '[[suspects]]\nname = "b"\ndumps = ["suspect-2.hex"]\naccess = "nonsecure"\n'
    )
    table = tmp_path / "boards.csv"
    assert main(["diagnose", str(tmp_path), "--csv", str(table), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {b["name"] for b in document["boards"]} == {"=1+1", "b"}
    assert any(f["id"] == "same-fault-every-board" for f in document["across"])
    rows = table.read_text().splitlines()
    assert len(rows) == 3
    assert any(r.startswith("'=1+1,") for r in rows)


def test_output_survives_a_terminal_without_unicode(tmp_path):
    env = dict(os.environ, PYTHONIOENCODING="ascii", LC_ALL="C", PYTHONUTF8="0")
    done = subprocess.run(
        [sys.executable, "-m", "h5diag", "diagnose", str(FOUNDING)],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


def test_a_closed_pipe_is_no_traceback():
    command = f"{sys.executable} -m h5diag diagnose {FOUNDING} --json | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


def test_the_parser_knows_no_abbreviations():
    with pytest.raises(SystemExit):
        build_parser().parse_args(["diagnose", "x", "--js"])


def test_an_assumed_chip_supports_no_alias(tmp_path, capsys):
    content = bytes((i * i * 31 + 7 * i) >> 3 & 0xFF for i in range(4096))
    (tmp_path / "a.bin").write_bytes(content)
    argv = [
        "locate",
        str(tmp_path / "a.bin"),
        str(tmp_path / "a.bin"),
        "--reference-base",
        "0x08018000",
        "--base",
        "0x0C018000",
        "--json",
    ]
    for extra, kind, assumed in (
        ([], "in-place", True),
        (["--chip", "h563"], "alias", False),
        (["--layout", "oemirot-2m-overwrite"], "alias", False),
    ):
        assert main(argv + extra) == 0
        out, err = capsys.readouterr()
        document = json.loads(out)
        assert [r["explanation"]["kind"] for r in document["regions"]] == [kind]
        assert document["regions"][0]["displacement"] == 0
        assert document["chip_assumed"] is assumed
        assert ("assumed" in err) is assumed


def test_what_the_good_boards_reader_was_not_shown_is_not_compared(capsys):
    argv = ["compare", str(FOUNDING / "suspect-1.hex"), str(FOUNDING / "good.hex"), "--chip", "h563", "--json"]
    assert main(argv) == 0
    plain = json.loads(capsys.readouterr().out)
    assert main([*argv, "--access-good", "nonsecure", "--options-good", str(FOUNDING / "suspect-ob.txt")]) == 0
    known = json.loads(capsys.readouterr().out)
    assert known["differing_bytes"] < plain["differing_bytes"]
    assert [0x0C018000, 0x0C01E000] in known["not_compared"] or not known["not_compared"]
    assert all(a["start"] >= 0x0C01E000 for a in known["areas"])


def test_an_option_of_the_case_names_the_command_that_takes_it(capsys):
    assert main(["diagnose", "anything", "--chip", "stm32u575zi"]) == 2
    assert "h5diag case CASE_DIR --chip stm32u575zi" in capsys.readouterr().err
    assert main(["diagnose", "anything", "--no-such-thing"]) == 2
    assert "CASE_DIR" not in capsys.readouterr().err
