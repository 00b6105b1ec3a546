"""What must not be said: faulty without proof, "nothing points to a fault" when nothing was seen, a cause too many."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from h5diag.case import load_case
from h5diag.evidence.files import write_image
from h5diag.evidence.samples import data_folder
from h5diag.judge import VerdictWord, diagnose
from h5diag.memory import MemoryImage, Segment

BASE = 0x08000000
CODE = np.random.default_rng(11).integers(1, 255, 0x10000, dtype=np.uint8)


def board(folder: Path, good: dict[int, np.ndarray], suspect: dict[int, np.ndarray], *, swap: int = 0, extra: str = ""):
    for name, parts in (("good.hex", good), ("suspect.hex", suspect)):
        write_image(MemoryImage(tuple(Segment(a, d.copy()) for a, d in parts.items())), folder / name)
    listing = (data_folder() / "sound" / "good-ob.txt").read_text()
    for who, value in (("good", 0), ("suspect", swap)):
        text = listing.replace("SWAP_BANK    : 0x0", f"SWAP_BANK    : 0x{value}").replace(
            ": 0xB4 (Trust", ": 0xC3 (Trust"
        )
        (folder / f"{who}-ob.txt").write_text(text)
    (folder / "case.toml").write_text(
        'chip = "stm32h563zi"\n[good]\ndumps = ["good.hex"]\naccess = "nonsecure"\nmode = "hotplug"\n'
        'options = "good-ob.txt"\n[suspect]\ndumps = ["suspect.hex"]\naccess = "nonsecure"\nmode = "hotplug"\n'
        'options = "suspect-ob.txt"\n' + extra
    )
    return diagnose(load_case(folder)).first


def test_equal_content_is_enough(tmp_path):
    assert board(tmp_path, {BASE: CODE}, {BASE: CODE}).verdict.word is VerdictWord.SOUND


@pytest.mark.parametrize("fill", [0x00, 0xFF])
def test_two_blank_dumps_say_nothing(tmp_path, fill):
    blank = np.full(0x4000, fill, np.uint8)
    b = board(tmp_path, {BASE: blank}, {BASE: blank})
    assert b.verdict.word is VerdictWord.UNDECIDED
    assert b.verdict.open_points


def test_one_byte_says_nothing(tmp_path):
    assert board(tmp_path, {BASE: CODE}, {BASE: CODE[:1]}).verdict.word is VerdictWord.UNDECIDED


def test_content_that_was_not_read_is_named(tmp_path):
    b = board(tmp_path, {BASE: CODE, BASE + 0x120000: CODE[:0x4000]}, {BASE: CODE})
    assert "not read on suspect: 0x08120000" in b.verdict.scope


@pytest.mark.parametrize(("swap", "word"), [(1, VerdictWord.SOUND), (0, VerdictWord.UNDECIDED)])
def test_exchanged_banks_need_the_option_that_exchanges_them(tmp_path, swap, word):
    low, high = CODE[:0x8000], CODE[0x8000:]
    b = board(tmp_path, {BASE: low, BASE + 0x100000: high}, {BASE: high, BASE + 0x100000: low}, swap=swap)
    assert b.verdict.word is word
    assert b.verdict.hypothesis("bank-swapped").status.value == ("supported" if swap else "possible")


def test_a_forgotten_erase_and_a_failing_one_look_alike(tmp_path):
    mixed = CODE.copy()
    mixed[0x4000:0x6000] &= CODE[0x8000:0xA000]
    b = board(tmp_path, {BASE: CODE}, {BASE: mixed})
    assert b.verdict.hypothesis("not-erased").status.value == "supported"
    assert b.verdict.hypothesis("flash-defect").status.value != "excluded"
    assert b.verdict.word is VerdictWord.UNDECIDED
    assert "program-again" in {b.next_test.id, *(t.id for t in b.more_tests)}


def test_a_moved_file_was_not_erased_by_anybody(tmp_path):
    moved = np.full(CODE.size + 0x2000, 0xFF, np.uint8)
    moved[0x1234 : 0x1234 + CODE.size] = CODE
    b = board(tmp_path, {BASE: CODE}, {BASE: moved})
    assert b.verdict.hypotheses[0].id == "wrong-placement"
    assert b.verdict.hypothesis("wrong-bank-erase").status.value != "supported"


def test_an_access_that_the_dump_contradicts_is_not_believed(edited):
    b = edited("founding", ('access = "secure"', 'access = "nonsecure"'))
    assert any("was not read the way it is said to be" in p for p in b.verdict.open_points)


Edit = Callable[[dict[str, Any]], Any]
NO_PROOF: dict[str, Edit] = {
    "speeds that are one": lambda t: t["conditions"].update(swd_hz=[8_000_000, 8_000_001]),
    "a speed of zero": lambda t: t["conditions"].update(swd_hz=[0, 8_000_000]),
    "rounds never made": lambda t: [f.update(rounds=[9, 10]) for s in t["sectors"] for f in s["faults"]],
    "negative rounds": lambda t: [f.update(rounds=-2) for s in t["sectors"] for f in s["faults"]],
    "faults outside the flash": lambda t: [f.update(address=16) for s in t["sectors"] for f in s["faults"]],
    "faults in another sector": lambda t: [
        f.update(address=s["start"] + 0x4000) for s in t["sectors"] for f in s["faults"]
    ],
    "another range": lambda t: t.update(range=[0x08100000, 0x08102000]),
    "another board's TrustZone": lambda t: t["conditions"].update(tzen=0xB4),
    "an unknown revision": lambda t: t["conditions"].update(rev_id=0),
    "only slow": lambda t: [f.update(kind="slow-erase") for s in t["sectors"] for f in s["faults"]],
    "a count that does not fit": lambda t: t.update(faults=0),
    "faults in good sectors": lambda t: [s.update(verdict="good") for s in t["sectors"]],
    "one bank's protection": lambda t: t["conditions"].update(wrp=[0]),
}


@pytest.mark.parametrize("how", NO_PROOF)
def test_a_result_that_does_not_fit_is_no_proof(edited, how):
    def change(data: bytes) -> bytes:
        test = json.loads(data)
        NO_PROOF[how](test)
        return json.dumps(test).encode()

    b = edited("defect", flashtest=change)
    assert b.verdict.word is VerdictWord.SUSPECT
    assert b.next_test.id == "repeat-flash-test"


def test_contents_that_were_not_put_back_come_first(edited):
    b = edited("defect", flashtest=lambda d: json.dumps(json.loads(d) | {"restored": False}).encode())
    assert b.next_test.id == "restore"
    assert "--restore" in b.next_test.instruction


def test_a_quick_clean_test_elsewhere_clears_nothing(edited):
    def change(data: bytes) -> bytes:
        test = json.loads(data)
        test["conditions"].update(rounds=1)
        for sector in test["sectors"]:
            sector.update(verdict="good", faults=[])
        return json.dumps(test | {"faults": 0}).encode()

    assert edited("defect", flashtest=change).verdict.hypothesis("flash-defect").status.value == "possible"


CLEAN = {
    "quick over all": ("quick", 0x08000000, 0x08200000, "possible"),
    "level not told": (None, 0x08000000, 0x08200000, "possible"),
    "standard, 16 KiB elsewhere": ("standard", 0x08100000, 0x08104000, "possible"),
    "standard over all": ("standard", 0x08000000, 0x08200000, "excluded"),
}


@pytest.mark.parametrize("how", CLEAN)
def test_a_clean_test_excludes_only_what_it_tested_at_a_level_that_can(tmp_path, how):
    level, start, stop, status = CLEAN[how]
    sectors = [{"start": a, "verdict": "good", "faults": []} for a in range(start, stop, 0x2000)]
    conditions = {"rounds": 2, "swd_hz": [1_000_000, 4_000_000], "power_cycles": 1, "second_path": "burst"}
    record = {"level": level, "range": [start, stop], "restored": True, "conditions": conditions, "sectors": sectors}
    (tmp_path / "flashtest.json").write_text(json.dumps(record | {"faults": 0}))
    (tmp_path / "case.toml").write_text('chip = "stm32h563zi"\n[suspect]\nflashtest = "flashtest.json"\n')
    (board,) = diagnose(load_case(tmp_path)).boards
    for cause in ("flash-defect", "worn-cells"):
        assert board.verdict.hypothesis(cause).status.value == status, how
