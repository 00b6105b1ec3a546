"""Sets as strangers make them: other folders, other scripts, other mistakes."""

from __future__ import annotations

import random

import provisioning_sets as sets
import pytest
import strange_sets as strange

from h5diag.judge.preflight import preflight


def states(found) -> dict[str, set[str]]:
    return {s: {r.id for r in found.rows if r.state == s} for s in ("fail", "unknown")}


@pytest.mark.parametrize("name", strange.SETS)
def test_a_set_of_a_stranger(name, tmp_path):
    line, verdict, check = strange.SETS[name]
    files, listing = line.files()
    sets.write(files, tmp_path / "set")
    (tmp_path / "board.txt").write_text(listing, "utf-8")
    options = {"to": "CLOSED", "chip": "h563"} | line.options
    found = preflight([tmp_path / "set" / strange.FOLDER], options=tmp_path / "board.txt", **options)
    assert found.verdict == verdict, [r for r in found.rows if r.state in ("fail", "unknown")]
    assert not check or check in states(found)["fail"], states(found)


@pytest.mark.parametrize("name", strange.READOUT)
def test_a_script_of_a_stranger_for_a_part_with_readout_protection(name, tmp_path):
    files, chip, verdict, check = strange.READOUT[name]
    found = preflight([sets.write(files, tmp_path)], chip=chip)
    assert found.verdict == verdict, [r for r in found.rows if r.state in ("fail", "unknown")]
    assert not check or check in states(found)["fail"], states(found)


@pytest.mark.parametrize(("how", "check"), [("", ""), ("late", "da-present"), ("reversed", "da-password")])
def test_an_h503_of_a_stranger(how, check, tmp_path):
    found = preflight([sets.write(strange.h503(random.Random(5), **{how: True} if how else {}), tmp_path)], chip="h503")
    assert found.verdict == ("no-go" if check else "go"), [r for r in found.rows if r.state in ("fail", "unknown")]
    assert not check or check in states(found)["fail"], states(found)
