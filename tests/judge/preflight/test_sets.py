"""Provisioning sets of our own: sound ones are GO, each fault is NO-GO by its own check. `make soak` does many more."""

from __future__ import annotations

import ast
import inspect
import random
from pathlib import Path

import provisioning_sets as sets
import pytest

import h5diag.judge.preflight as wing
from h5diag.judge.findings import check_words


def names_and_words() -> tuple[set[str], set[str]]:
    """Return how the code names the preflight's rows, ``*`` where a part is filled in, and its short texts."""
    names, words = set(), set()
    for path in Path(inspect.getfile(wing)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "row":
                parts = getattr(node.args[0], "values", [node.args[0]])
                names.add("".join(p.value if isinstance(p, ast.Constant) else "*" for p in parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.add(node.value)
    return names, words


def test_every_row_of_the_table_is_yielded_and_the_reverse():
    names, words = names_and_words()
    table = {(id, name) for id, check in check_words().items() for name in check["says"]}
    for id, name in table:
        filled = {f"{id}.*", "*.*"} & names and name in words
        assert f"{id}.{name}" in names or f"*.{name}" in names or filled, f"{id}.{name}"
    for id, _, name in (n.partition(".") for n in names):
        assert name, "a row is named by its check and its own word"
        assert any(id in ("*", i) and name in ("*", n) for i, n in table), f"{id}.{name}"


def test_every_row_has_one_state_and_what_is_unknown_says_what_would_tell():
    words = {"pass", "fail", "warn", "unknown"}
    for id, check in check_words().items():
        assert {"looks", "follows", "mend", "says"} == set(check), id
        for name, row in check["says"].items():
            assert len(set(row) & words) == 1, f"{id}.{name}"
            assert set(row) <= words | {"needs"}, f"{id}.{name}"
            assert "unknown" not in row or row["needs"], f"{id}.{name}"


@pytest.mark.parametrize("seed", range(6))
def test_a_complete_sound_set_is_go(seed, tmp_path):
    found = sets.judge(sets.sound_plan(random.Random(900 + seed)), tmp_path)
    assert found.verdict == "go", [r for r in found.rows if r.state in ("fail", "unknown")]


@pytest.mark.parametrize("name", sets.FAULTS)
def test_a_planted_fault_is_found_by_its_check(name, tmp_path):
    found = sets.judge(sets.faulty_plan(random.Random(name), name), tmp_path)
    fails = {r.id for r in found.rows if r.state == "fail"}
    assert found.verdict == "no-go"
    assert fails & sets.FAULTS[name][0], fails


@pytest.mark.parametrize("linked", [True, False])
def test_keys_that_are_exchanged_are_no_images_that_are(linked, tmp_path):
    plan = sets.faulty_plan(random.Random(7), "sides exchanged")
    plan.release, plan.linked = "init", linked
    rows = [r for r in sets.judge(plan, tmp_path).rows if r.id in ("image-signature", "image-slot")]
    assert {r.state for r in rows if r.id == "image-signature"} == {"fail"}
    assert {r.state for r in rows if r.id == "image-slot"} == {"pass" if linked else "fail"}


def test_published_keys_are_never_go_and_say_so(tmp_path):
    plan = sets.sound_plan(random.Random(3))
    plan.password, plan.values, plan.to = True, {**plan.values, "TZEN": "0xC3"}, "CLOSED"
    plan.secret = b"0123456789" + b"012345"
    found = sets.judge(plan, tmp_path)
    assert found.verdict == "unknown", [r for r in found.rows if r.state == "fail"]
    assert [r.id for r in found.rows if r.state == "warn" and r.id == "keys-published"]


def test_a_password_set_with_trustzone_off_has_no_fault_of_its_credentials(tmp_path):
    plan = sets.sound_plan(random.Random(4))
    plan.password, plan.to = True, "CLOSED"
    found = sets.judge(plan, tmp_path)
    states = {r.id: r.state for r in found.rows if r.id.startswith("da-")}
    assert states["da-tzen"] == states["da-password"] == states["da-permission"] == "pass"


def test_without_images_the_rows_on_images_are_unknown(tmp_path):
    plan = sets.sound_plan(random.Random(5))
    plan.drop = [".hex", "OEMiROT_Boot.bin"]
    found = sets.judge(plan, tmp_path)
    assert found.verdict == "unknown"
    assert all(r.state != "fail" for r in found.rows)
    assert any("build the application" in r.needs for r in found.rows)


def test_only_a_device_id_leaves_the_encryption_flag_unknown(tmp_path):
    plan = sets.sound_plan(random.Random(6))
    plan.board = sets.Board("my-board", "h563", 0x484, "STM32H56x/573", False, 0x200000, 0xA0000, 0x7F, 0xFFFFFFF8)
    plan.to = "CLOSED"
    found = sets.judge(plan, tmp_path)
    unknown = [r for r in found.rows if r.state == "unknown"]
    assert {r.id for r in unknown} == {"obk-encryption"}
    assert "marking" in unknown[0].needs


def test_no_secret_is_in_any_document(tmp_path):
    from h5diag.judge.preflight import read_inventory

    plan = sets.sound_plan(random.Random(8))
    top = plan.write(tmp_path)
    texts = str(read_inventory(top).to_dict()) + str(read_inventory(top)) + str(sets.judge(plan, tmp_path).to_dict())
    for key in plan.keys.values():
        secret = key.private_numbers().private_value
        assert f"{secret:x}" not in texts
        assert str(secret) not in texts
    assert plan.secret.decode() not in texts
    assert plan.secret.hex() not in texts


def edited(name: str, old: str, new: str):
    def change(out: dict[str, bytes]) -> None:
        (path,) = [p for p in out if p.endswith(name)]
        assert old.encode() in out[path]
        out[path] = out[path].replace(old.encode(), new.encode())

    return change


GENERATED = {
    "the application's path is never defined": (
        edited("env.sh", "appli_project=Applications", "other_project=Applications"),
        "script-syntax",
        "$appli_project is defined nowhere",
    ),
    "set in front of an assignment": (
        edited("env.sh", "boot_project=App", "set boot_project=App"),
        "script-syntax",
        "defines nothing in bash",
    ),
    "the application's folder one level too shallow": (
        edited("ob_flash_programming.sh", '"../../$appli_project', '"../$appli_project'),
        "files-present",
        "my_s_app",
    ),
    "the package's prefix before a local boot loader": (
        edited("env.sh", "boot_project=Applications/ROT", "boot_project=/srv/work"),
        "files-present",
        "OEMiROT_Boot.bin",
    ),
    "the provisioning folder one level too high": (
        edited("obkey_programming.sh", "-sdp Binary/OEMiRoT_Config", "-sdp $here/../OEMiROT/Binary/OEMiRoT_Config"),
        "files-present",
        "OEMiRoT_Config.obk",
    ),
}
"""What generated projects get wrong. Source: facts on provisioning, section 7.3."""


@pytest.mark.parametrize("name", GENERATED)
def test_the_defects_of_generated_projects_are_never_go(name, tmp_path):
    change, check, said = GENERATED[name]
    plan = sets.sound_plan(random.Random(40))
    plan.batch, plan.to, plan.release = False, "CLOSED", "init"
    plan.post.append(change)
    found = sets.judge(plan, tmp_path)
    assert found.verdict != "go"
    assert any(r.id == check and said in r.text for r in found.rows if r.state in ("fail", "warn")), [
        r for r in found.rows if r.state != "pass"
    ]
