"""Every id can be explained with its source, and a reply is short, plain and within its promises."""

from __future__ import annotations

import json
import re

import pytest

from h5diag.app.cli import main
from h5diag.app.front import diagnose
from h5diag.errors import InputError
from h5diag.evidence.samples import data_folder
from h5diag.judge import causes
from h5diag.judge.findings import found, rows
from h5diag.measure.firmware import State
from h5diag.show.explain import explain, known_ids, with_tips
from h5diag.show.reply import SIGNS, reply, runnable, text_map
from h5diag.show.sheet import parts_html, table
from h5diag.tables import packaged

CASES = sorted(p.parent.name for p in data_folder().glob("*/case.toml"))


def test_every_id_is_explained_with_a_source() -> None:
    ids = known_ids()
    assert {c.id for c in causes()} <= set(ids)
    assert set(rows()) <= set(ids)
    assert {"TZEN", "SECBOOTADD", "da-chain"} <= set(ids)
    for id in ids:
        found = explain(id)
        assert found.text
        assert found.source
        assert not re.search(r"[{}]", found.text), found.text
        assert len(repr(found).encode()) <= 1024


def test_capitals_do_not_matter_and_a_wrong_id_is_told_what_is_near() -> None:
    assert explain("tzen").id == "TZEN"
    assert explain("Masked-Read").id == "masked-read"
    with pytest.raises(InputError, match="masked-read"):
        explain("maskedread")


def test_a_word_of_the_field_leads_to_what_speaks_of_it() -> None:
    with pytest.raises(InputError, match="boot_write") as told:
        explain("boot_write_img_confirmed")
    assert "boot-log-reverts" in (told.value.advice or "")
    assert dict(explain("boot-log-reverts").more)["what to do"]


def test_an_option_of_another_family(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "DBANK", "--chip", "l552", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "option"
    assert "L552" in document["chip"]
    assert document["source"]
    assert main(["explain", "no-such-thing"]) == 2


def test_the_same_text_is_the_tooltip() -> None:
    html = parts_html(with_tips(table("cause|score", [("masked-read", "+3"), ("stranger", "+1")])))
    assert f'title="{explain("masked-read").text[:40]}' in html
    assert html.count("title=") == 1


def test_a_command_in_a_sentence_is_code_and_not_escaped() -> None:
    said = reply(diagnose("sample:founding-thread"))
    line = next(row for row in said.splitlines() if row.startswith("**Next"))
    assert "`h5diag case CASE_DIR flash_layout.h`, or" in line
    assert "\\-" not in line
    assert "    h5diag case CASE_DIR flash_layout.h" in said


@pytest.mark.parametrize("name", CASES)
def test_a_reply_is_short_and_has_numbers_map_and_command(name: str) -> None:
    diagnosis = diagnose(f"sample:{name}")
    text = reply(diagnosis)
    lines = [line for line in text.splitlines() if line.strip()]
    assert 6 <= len(lines) <= 18
    assert not re.search(r"\bsound\b", text)
    assert "**Next" in text
    command = re.search(r"h5diag [a-z]+", diagnosis.first.next_test.instruction)
    assert command is None or f"    {command[0]}" in text
    if diagnosis.first.measured.suspect.dump.size:
        strip = text_map(diagnosis.first)
        assert all(line in text for line in strip)
        assert len({len(line) for line in strip[1:-1]}) == 1
        assert any(sign in strip[-2] for sign in SIGNS.values())


def test_a_reply_by_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reply", "sample:founding", "--json"]) == 0
    text = json.loads(capsys.readouterr().out)["text"]
    assert "0x0C0BE000" in text
    assert main(["reply", "sample:founding", "--redact"]) == 0
    assert "Next" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("instruction", "command"),
    [
        (
            "Add it: h5diag case CASE_DIR boot_sign.hex (it goes there). More of it helps.",
            "h5diag case CASE_DIR boot_sign.hex",
        ),
        (
            "Read it again: h5diag dump --probe auto --passes 5 --out b-2.hex, then look.",
            "h5diag dump --probe auto --passes 5 --out b-2.hex",
        ),
        (
            "On it: h5diag flashtest --probe auto --range 0x0:0x2000 --plan first, then on.",
            "h5diag flashtest --probe auto --range 0x0:0x2000 --plan",
        ),
        ("Then: h5diag loader explain LOG --elf LOADER.stldr", "h5diag loader explain LOG --elf LOADER.stldr"),
        ("STM32_Programmer_CLI -c port=SWD mode=UR -ob displ.", "STM32_Programmer_CLI -c port=SWD mode=UR -ob displ"),
        ("Read it, then h5diag case on what it wrote. It is missing.", ""),
        ("Measure VDD (3.3 V).", ""),
    ],
)
def test_only_what_can_be_run_is_the_command(instruction: str, command: str) -> None:
    assert runnable(instruction) == command


def test_a_verb_agrees_with_its_count() -> None:
    for count, words in ((1, "1 option differs between"), (2, "2 options differ between")):
        claim = found("options-differ", count=count, text="X", names="X").claim
        assert words in claim
    assert "<count> differ between" in explain("options-differ").text


def test_every_state_of_a_slot_has_its_meaning():
    assert set(packaged("measure/firmware/states.toml")) == {state.value for state in State}
