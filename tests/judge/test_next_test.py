"""What comes next: the most that is learnt for the time it takes."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from h5diag.judge import next_test as module, weigh
from h5diag.judge.next_test import TestClass, known_tests, rank_tests


@pytest.mark.parametrize(("minutes", "first"), [(60, "short"), (1, "long")])
def test_a_test_that_takes_long_must_tell_more(monkeypatch: pytest.MonkeyPatch, minutes: int, first: str) -> None:
    verdict = weigh([])
    two = sorted(verdict.hypotheses, key=lambda h: -h.cause.prior)[:2]
    base = replace(known_tests()[0], needs=(), buys=False, minutes=1)
    tests = (
        replace(base, id="long", separates=tuple(h.id for h in two), minutes=minutes),
        replace(base, id="short", separates=(two[0].id,)),
    )
    monkeypatch.setattr(module, "known_tests", lambda: tests)
    assert rank_tests(verdict, done=(), captured=())[0].id == first


def test_what_erases_comes_behind_what_only_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = weigh([])
    two = sorted(verdict.hypotheses, key=lambda h: -h.cause.prior)[:2]
    base = replace(known_tests()[0], needs=(), buys=False, minutes=60)
    tests = tuple(
        replace(base, id=kind.word, kind=kind, separates=tuple(h.id for h in two), minutes=minutes)
        for kind, minutes in ((TestClass.DESTRUCTIVE, 1), (TestClass.CHANGES_STATE, 1), (TestClass.READ_ONLY, 60))
    )
    monkeypatch.setattr(module, "known_tests", lambda: tests)
    ranked = [t.id for t in rank_tests(verdict, done=(), captured=())]
    assert ranked == ["read-only", "changes-state", "destructive"]
