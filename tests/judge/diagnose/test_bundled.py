"""The bundled cases come out right, and each piece of evidence moves exactly the findings that rest on it."""

from __future__ import annotations

import json
import re

import pytest

from h5diag.case import load_case
from h5diag.evidence.samples import data_folder
from h5diag.judge import VerdictWord, diagnose
from h5diag.judge.next_test import known_tests

CASES = sorted(p.parent.name for p in data_folder().glob("*/expected.json"))


@pytest.mark.parametrize("name", CASES)
def test_a_bundled_case_comes_out_as_expected(name):
    expected = json.loads((data_folder() / name / "expected.json").read_text())
    board = diagnose(load_case(data_folder() / name)).first
    verdict = board.verdict
    assert verdict.word.value == expected["verdict"]
    if expected.get("first"):
        assert verdict.hypotheses[0].id == expected["first"]
    for id, status in expected["hypotheses"].items():
        assert verdict.hypothesis(id).status.value == status, id
    for phrase in expected.get("says", ()):
        assert phrase.lower() in verdict.summary.lower()
    if expected["verdict"] != "undecided":
        assert sorted(h.id for h in verdict.hypotheses if h.status.value == "supported") == sorted(
            expected["supported"]
        )
    for who, facts in (("good", board.measured.good), ("suspect", board.measured.suspect)):
        states = {s.slot.name: s.state.value for s in facts.slots}
        for slot, state in expected.get(who, {}).items():
            assert states[slot] == state, (who, slot)
    if "not_judged" in expected:
        assert [[r.start, r.stop] for r in board.measured.suspect.masked] == expected["not_judged"]


def test_the_founding_case_carries_the_threads_numbers():
    board = diagnose(load_case(data_folder() / "founding")).first
    text = " ".join(f.claim for f in board.findings)
    for number in ("0x0C018000", "0x0C0BE000", "0xA6000", "0x08000000 to 0x0801DFFF", "v45.48.46"):
        assert number in text, number
    assert board.branches[0].holds
    assert board.branches[0].id == "state"


def test_the_thread_itself_stays_open_on_the_side_of_the_boot():
    board = diagnose(load_case(data_folder() / "founding-thread")).first
    assert board.verdict.word is VerdictWord.UNDECIDED
    assert "do not replace" in board.verdict.summary
    assert board.next_test.kind.word == "read-only"
    assert board.verdict.hypotheses[0].id == "install-pending"
    assert {"not-entered", "options", "rejected", "boot-fails"} <= {b.id for b in board.branches if b.open and b.test}
    read_only = {t.id for t in known_tests() if t.kind.word == "read-only"}
    assert {b.test for b in board.branches if b.open} <= read_only
    text = " ".join([board.verdict.summary, *(f.claim for f in board.findings), *(b.found for b in board.branches)])
    assert "does not run" not in text
    cells = [h for h in board.verdict.hypotheses if h.cause.sign_of_chip]
    assert not [h for h in cells if h.score > h.cause.prior or h.status.value == "supported"]


ACCESS = ('access = "nonsecure"\n', "")

# What is changed, and the findings that may come or go with it.
SWAPS = {
    "access of the suspect forgotten": (
        [ACCESS],
        {
            "views-not-comparable",
            "views-differ",
            "zeros-are-the-mask",
            "zeros-look-like-a-mask",
            "download-pending",
            "download-waits-primary-hidden",
            "version-unreadable",
            "no-unexpected-zeros",
        },
    ),
    "no option listing of the suspect": (
        [('options = "suspect-ob.txt"\n', "")],
        {
            "views-not-comparable",
            "views-differ",
            "zeros-are-the-mask",
            "zeros-look-like-a-mask",
            "zeros-on-sector-edges",
            "options-as-provisioned",
            "options-differ",
            "write-protection-elsewhere",
            "swap-bank-clear",
            "options-legal",
            "boot-address-good",
            "state-half-open",
            "state-does-not-boot",
            "download-pending",
            "download-waits-primary-hidden",
        },
    ),
    "one read only": ([('dumps = ["suspect-1.hex", "suspect-2.hex"]', 'dumps = ["suspect-1.hex"]')], {"reads-agree"}),
    "no layout": (
        [('layout = "oemirot-2m-overwrite"\n', "")],
        {
            "layout-assumed",
            "header-stands",
            "download-pending",
            "header-at-download-slot",
            "options-as-provisioned",
            "options-differ",
            "unexplained-difference",
            "nothing-misplaced",
            "piece-misplaced",
            "mostly-uncompared",
            "erased-holes",
            "no-erased-holes",
        },
    ),
    "no marking": ([('marking = "STM32H563ZIT6"\n', "")], {"identity-agrees"}),
    "another marking": (
        [('marking = "STM32H563ZIT6"', 'marking = "STM32H563ZGT6"')],
        {"identity-agrees", "identity-disagrees"},
    ),
}


@pytest.mark.parametrize("change", SWAPS)
def test_a_piece_of_evidence_moves_only_what_rests_on_it(edited, change):
    edits, may_change = SWAPS[change]
    before = {f.id for f in edited("founding").findings}
    after = {f.id for f in edited("founding", *edits).findings}
    assert before != after
    assert before ^ after <= may_change


def test_without_the_access_no_cause_rests_on_zeros(edited):
    board = edited("founding", ACCESS)
    assert board.verdict.word is VerdictWord.UNDECIDED
    assert board.verdict.hypothesis("masked-read").status.value == "possible"
    assert any("how the dumps were read" in p for p in board.verdict.open_points)


CONDITIONS = {
    "one round": lambda c: c.update(rounds=1),
    "one speed": lambda c: c.update(swd_hz=[4_000_000]),
    "no second reading path": lambda c: c.update(second_path=None),
    "second reading path not recorded": lambda c: c.pop("second_path"),
    "no power cycle": lambda c: c.update(power_cycles=0),
    "supply out of range": lambda c: c.update(voltage_mv=1600),
    "supply not measured": lambda c: c.pop("voltage_mv"),
    "protection not recorded": lambda c: c.pop("wrp"),
    "state not recorded": lambda c: c.pop("product_state"),
    "TrustZone not recorded": lambda c: c.pop("tzen"),
    "protected there": lambda c: c.update(wrp=[0, 0xFFFFFFFF]),
    "protected by ranges": lambda c: c.update(wrp=[[0x08020000, 0x08028000]]),
    "protected by flag": lambda c: c.update(wrp=True),
    "another state": lambda c: c.update(product_state=0x17),
    "revision not recorded": lambda c: c.pop("rev_id"),
    "a revision with an erratum": lambda c: c.update(rev_id=0x1001),
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_faulty_falls_to_suspect_when_one_condition_is_missing(edited, condition):
    def change(data: bytes) -> bytes:
        test = json.loads(data)
        CONDITIONS[condition](test["conditions"])
        return json.dumps(test).encode()

    assert edited("defect").verdict.word is VerdictWord.FAULTY
    board = edited("defect", flashtest=change)
    assert board.verdict.word is VerdictWord.SUSPECT
    assert board.verdict.hypothesis("flash-defect").status.value == "possible"


@pytest.mark.parametrize("wrp", [[0xFFFFFFFE, 0xFFFFFFFF], [[0x08000000, 0x08008000]], [], False, "none"])
def test_protection_elsewhere_does_not_matter(edited, wrp):
    def change(data: bytes) -> bytes:
        test = json.loads(data)
        test["conditions"]["wrp"] = wrp
        return json.dumps(test).encode()

    assert edited("defect", flashtest=change).verdict.word is VerdictWord.FAULTY


def test_faults_at_wandering_places_prove_nothing(edited):
    def wander(data: bytes) -> bytes:
        test = json.loads(data)
        for sector in test["sectors"]:
            for i, fault in enumerate(sector["faults"]):
                fault.update(address=sector["start"] + 0x100 * i, rounds=1)
        return json.dumps(test).encode()

    assert edited("defect", flashtest=wander).verdict.word is VerdictWord.SUSPECT


def test_dumps_alone_never_make_faulty(edited):
    board = edited("defect", ('flashtest = "flashtest.json"\n', ""))
    assert board.verdict.word is VerdictWord.UNDECIDED
    assert board.verdict.open_points


def test_protected_sectors_are_no_defect(edited):
    def protect(data: bytes) -> bytes:
        test = json.loads(data)
        for sector in test["sectors"]:
            for fault in sector["faults"]:
                fault["kind"] = "protected"
        return json.dumps(test).encode()

    board = edited("defect", flashtest=protect)
    assert board.verdict.word not in (VerdictWord.FAULTY, VerdictWord.SUSPECT)


def test_no_text_of_any_bundled_case_tells_to_do_something_irreversible():
    for name in CASES:
        board = diagnose(load_case(data_folder() / name)).first
        text = " ".join(
            [board.next_test.instruction, *(t.instruction for t in board.more_tests), board.verdict.summary]
        )
        assert not re.search(r"PRODUCT_STATE *=|TZEN *=|mass.erase|regression", text, re.IGNORECASE)
        assert "chip is fine" not in text


def test_registers_of_the_probe_stand_in_for_a_listing(edited):
    registers = {
        "optsr_cur": 0x2D3017D8,
        "optsr2_cur": 0xB4000034,
        "secwm1r_cur": 0x000E0000,
        "secwm2r_cur": 0x7F,
        "wrp1r_cur": 0xFFFFFFF8,
        "wrp2r_cur": 0xFFFFFFFF,
        "hdp1r_cur": 0x000B0000,
        "hdp2r_cur": 1,
    }
    board = edited(
        "founding",
        ('options = "suspect-ob.txt"\n', 'info = "suspect-ob.txt"\n'),
        suspect_ob=lambda _: json.dumps({"registers": registers}).encode(),
    )
    assert board.verdict.hypothesis("masked-read").status.value == "supported"
    assert board.measured.suspect.options.product_state == "Provisioning"
