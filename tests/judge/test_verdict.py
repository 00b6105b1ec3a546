"""The weighing table and the choice of the next test: pure, and kept honest."""

from __future__ import annotations

import itertools
import re
from types import SimpleNamespace

import pytest

from h5diag.judge import Direction, Finding, Status, TestClass, VerdictWord, causes, choose_next_test, weigh
from h5diag.judge.findings import rows
from h5diag.judge.next_test import NOTHING, known_tests
from h5diag.judge.weighing import load_table

IDS = """install-pending masked-read debug-locked options-not-applied bank-swapped wrong-bank-erase
wrong-size-assumption wrong-placement not-erased padding dump-corrupted loader-bypassed loader-mislinked
application-wrote board-wiring torn-write erratum write-protected worn-cells flash-defect wrong-part
system-flash programming-incomplete options-torn starts-elsewhere linked-elsewhere image-refused
door-shut-by-firmware stale-cache external-read-mode board-data other-build refused-write never-written-ecc
erased-whole""".split()  # noqa: SIM905


def finding(id: str, **more) -> Finding:
    return Finding(id, f"claim of {id}", **more)


def test_the_table_has_exactly_the_contracts_hypotheses():
    assert sorted(c.id for c in causes()) == sorted(IDS)
    assert all(c.plain.endswith(".") for c in causes())


def test_without_evidence_nothing_is_tested_and_nothing_decided():
    verdict = weigh([])
    assert verdict.word is VerdictWord.UNDECIDED
    assert {h.status for h in verdict.hypotheses} == {Status.NOT_TESTED}


def test_every_hypothesis_can_be_supported_and_excluded_or_says_why_not():
    table = load_table()
    for cause in table.causes:
        weights = [row.moves[cause.id] for row in rows().values() if cause.id in row.moves]
        reach = cause.prior + sum(w for w in weights if w > 0)
        assert reach >= table.supported_at, cause.id
        assert any(w < 0 for w in weights), cause.id


def test_a_finding_counts_once_however_often_it_is_made():
    once, twice = weigh([finding("low-voltage")]), weigh([finding("low-voltage")] * 2)
    assert once.hypothesis("board-wiring").score == twice.hypothesis("board-wiring").score


def test_the_order_of_findings_does_not_matter():
    three = [finding("reads-agree", compares=True), finding("download-pending"), finding("low-voltage")]
    words = {tuple((h.id, h.score) for h in weigh(order).hypotheses) for order in itertools.permutations(three)}
    assert len(words) == 1


@pytest.mark.parametrize("id", sorted(rows()))
def test_no_hint_ever_decides(id):
    verdict = weigh([finding(id, hint=True, direction=Direction.NEITHER)])
    assert not verdict.of(Status.SUPPORTED)
    assert not verdict.of(Status.EXCLUDED)


def test_all_hints_together_do_not_decide():
    verdict = weigh([finding(id, hint=True) for id in rows()])
    assert not verdict.of(Status.SUPPORTED)
    assert not verdict.of(Status.EXCLUDED)


def test_only_the_proof_makes_faulty():
    everything_but = [finding(id) for id in rows() if id != "flash-test-proves"]
    assert weigh(everything_but).word is not VerdictWord.FAULTY
    assert weigh([finding("flash-test-proves", direction=Direction.CHIP)]).word is VerdictWord.FAULTY


def test_sound_needs_a_comparison_and_no_open_point():
    assert weigh([finding("reads-agree")]).word is VerdictWord.UNDECIDED
    assert weigh([finding("reads-agree", compares=True)]).word is VerdictWord.SOUND
    assert weigh([finding("reads-agree", compares=True, open_point="zeros")]).word is VerdictWord.UNDECIDED
    suspect = weigh([finding("reads-agree", compares=True, direction=Direction.CHIP)])
    assert suspect.word is VerdictWord.SUSPECT
    assert suspect.summary.startswith("The chip shows signs of trouble of its own, short of proof.")
    pending = weigh([Finding("download-pending", "it waits", direction=Direction.CHIP)])
    assert pending.word is VerdictWord.SUSPECT
    words = "What the evidence supports" if pending.of(Status.SUPPORTED) else "Most likely so far"
    assert f"{words}: {pending.leading[0].cause.text}" in pending.summary
    likely = weigh([finding("reads-agree", compares=True), Finding("download-pending", "it waits", hint=True)])
    assert likely.word is VerdictWord.SOUND
    assert not likely.of(Status.SUPPORTED)
    assert f"What else was seen speaks most for: {likely.leading[0].cause.text}." in likely.summary


def test_the_bare_word_is_never_in_the_summary():
    for findings in (
        [],
        [finding("x", compares=True)],
        [finding("flash-test-proves")],
        [finding("x", direction=Direction.CHIP)],
    ):
        summary = weigh(findings).summary
        assert not re.search(r"\bsound\b|chip is fine|chip is ok", summary, re.IGNORECASE)
    assert "Nothing here points to a faulty chip" in weigh([finding("x", compares=True)]).summary


def test_a_move_says_which_finding_and_how_far():
    h = weigh([finding("download-pending")]).hypothesis("install-pending")
    assert [(m.finding, m.decibans) for m in h.moves] == [("download-pending", 25)]
    assert h.score == h.cause.prior + 25


def test_tests_are_well_formed_and_never_irreversible():
    ids = {c.id for c in causes()}
    forbidden = re.compile(
        r"PRODUCT_STATE\s*=|TZEN\s*=|mass.?erase|-e all|regress|debugauth|-ob [A-Z_]+=|authenticat", re.IGNORECASE
    )
    for test in known_tests():
        assert set(test.separates) <= ids
        assert test.tells
        assert not forbidden.search(test.instruction), test.id
        if test.kind is not TestClass.READ_ONLY:
            assert test.loses, test.id
            assert {"slots", "trailers", "options"} <= set(test.needs), test.id


def test_read_only_comes_first_and_state_changes_wait_for_the_capture():
    verdict = weigh([finding("header-at-download-slot", open_point="x")])
    assert choose_next_test(verdict, done=(), captured=()).kind is TestClass.READ_ONLY
    read_only = [t.id for t in known_tests() if t.kind is TestClass.READ_ONLY]
    assert choose_next_test(verdict, done=read_only, captured=("slots",)) is NOTHING
    later = choose_next_test(verdict, done=read_only, captured=("slots", "trailers", "options"))
    assert later.kind is TestClass.CHANGES_STATE
    assert later.loses


def test_every_hypothesis_is_separated_by_some_test():
    separated = {h for t in known_tests() for h in t.separates}
    assert separated == {c.id for c in causes()}


def test_a_finding_that_moves_no_cause_there_is_refused(monkeypatch):
    wrong = {"made-up": SimpleNamespace(moves={"gremlins": 3})}
    monkeypatch.setattr("h5diag.judge.weighing.rows", lambda: wrong)
    with pytest.raises(ValueError, match="made-up moves gremlins, which is no cause"):
        load_table.__wrapped__()
