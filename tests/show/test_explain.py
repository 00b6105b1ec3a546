"""Every id can be explained with its source, and a reply is short, plain and within its promises."""

from __future__ import annotations

import json
import re

import pytest

from h5diag.app.cli import main
from h5diag.app.front import diagnose
from h5diag.case.samples import data_folder
from h5diag.errors import InputError
from h5diag.judge import causes
from h5diag.judge.findings import rows
from h5diag.show.explain import explain, known_ids, with_tips
from h5diag.show.reply import SIGNS, reply, text_map
from h5diag.show.sheet import parts_html, table

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
