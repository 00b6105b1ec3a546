"""Provisioning sets of our own: sound ones are GO, each fault is NO-GO by its own check. `make soak` does many more."""

from __future__ import annotations

import random

import provisioning_sets as sets
import pytest


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
    texts = (
        str(read_inventory([top]).to_dict()) + str(read_inventory([top])) + str(sets.judge(plan, tmp_path).to_dict())
    )
    for key in plan.keys.values():
        secret = key.private_numbers().private_value
        assert f"{secret:x}" not in texts
        assert str(secret) not in texts
    assert plan.secret.decode() not in texts
    assert plan.secret.hex() not in texts
