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
    found = preflight(tmp_path / "set" / strange.FOLDER, options=tmp_path / "board.txt", **options)
    assert found.verdict == verdict, [r for r in found.rows if r.state in ("fail", "unknown")]
    assert not check or check in states(found)["fail"], states(found)


@pytest.mark.parametrize("name", strange.READOUT)
def test_a_script_of_a_stranger_for_a_part_with_readout_protection(name, tmp_path):
    files, chip, verdict, check = strange.READOUT[name]
    found = preflight(sets.write(files, tmp_path), chip=chip)
    assert found.verdict == verdict, [r for r in found.rows if r.state in ("fail", "unknown")]
    assert not check or check in states(found)["fail"], states(found)


@pytest.mark.parametrize(("how", "check"), [("", ""), ("late", "da-present"), ("reversed", "da-password")])
def test_an_h503_of_a_stranger(how, check, tmp_path):
    found = preflight(sets.write(strange.h503(random.Random(5), **{how: True} if how else {}), tmp_path), chip="h503")
    assert found.verdict == ("no-go" if check else "go"), [r for r in found.rows if r.state in ("fail", "unknown")]
    assert not check or check in states(found)["fail"], states(found)


STEPS = {
    "1 options.sh": "options\n",
    "2 images.sh": "images\nprotect\n",
    "3 objects.sh": 'run "p" "${LINK[@]}" -ob PRODUCT_STATE=0x17\nstore da.obk config.obk data.obk\n',
    "10 close.sh": 'run "c" "${LINK[@]}" -ob PRODUCT_STATE=0x72\n',
}


@pytest.mark.parametrize(
    ("without", "verdict", "check"),
    [
        ("", "go", ""),
        ("3 objects.sh", "no-go", "state-chain"),
        ("1 options.sh", "no-go", "da-tzen"),
    ],
)
@pytest.mark.parametrize("named", [False, True])
def test_numbered_scripts_are_run_one_after_the_other(without, verdict, check, named, tmp_path):
    files, listing = strange.Line(seed=7).files()
    (whole,) = [n for n in files if n.endswith("schließen.sh")]
    head = files.pop(whole).decode().partition("target=")[0]
    scripts = [n for n in STEPS if n != without]
    files |= {f"{strange.FOLDER}/{n}": (head + STEPS[n]).encode() for n in scripts}
    folder = sets.write(files, tmp_path / "set") / strange.FOLDER
    (tmp_path / "board.txt").write_text(listing, "utf-8")
    places = [folder / n for n in scripts] if named else [folder]
    found = preflight(*places, options=tmp_path / "board.txt", chip="h563", to="CLOSED")
    assert (found.verdict == "no-go") == (verdict == "no-go"), [r for r in found.rows if r.state in ("fail", "unknown")]
    assert named or found.verdict == verdict
    assert not check or check in states(found)["fail"], states(found)


def test_what_follows_where_the_walk_ends_is_not_known(tmp_path):
    (tmp_path / "close.sh").write_text(
        "STM32_Programmer_CLI -c port=SWD -ob TZEN=0xB4\nfrobnicate $RANDOM || exit 1\n", "utf-8"
    )
    found = preflight(tmp_path, chip="h563", to="CLOSED")
    assert found.verdict == "unknown"
    row = next(r for r in found.rows if r.id == "da-present")
    assert (row.state, "line 2" in row.needs) == ("unknown", True)


@pytest.mark.parametrize("name", strange.CHAINS)
def test_each_stage_of_a_chain_is_judged_by_its_own_keys_and_areas(name, tmp_path):
    how, verdict, check = strange.CHAINS[name]
    found = preflight(sets.write(strange.chain(random.Random(3), **how), tmp_path))
    assert found.path == "stirot-oemurot"
    assert found.verdict == verdict, [r for r in found.rows if r.state in ("fail", "unknown")]
    assert not check or check in states(found)["fail"], states(found)
