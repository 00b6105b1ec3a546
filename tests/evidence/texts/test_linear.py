"""A text twice as long takes twice the work: steps are counted, since time hangs on the machine."""

from __future__ import annotations

import sys

import pytest
from bench_texts import TEXTS, Bench

from h5diag.case.intake import sort_evidence
from h5diag.errors import InputError
from h5diag.evidence.texts import log as log_module
from h5diag.measure.logs import explain_text
from h5diag.measure.options import side_by_side

SMALL = 6_000
"""Characters of the shortest of three texts, each twice the one before; below it, what is done once counts too much."""
MOST = 2.6
"""Growth of the added work from one doubling to the next: 2 is linear, 4 quadratic."""

ONE_OF_EACH = list({b.kind: b for b in TEXTS}.values())


def steps(work) -> int:
    """Return how many calls, of Python and of C, some work makes."""
    count = 0

    def see(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(see)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def growth(bench: Bench, work) -> float:
    """Return how the work that is added grows when the text is doubled twice."""
    once = bench.text if bench.text.endswith("\n") else bench.text + "\n"
    small = once * max(1, SMALL // len(once))
    texts = [small * n for n in (1, 2, 4)]
    work(texts[0])  # tables and patterns are made once
    a, b, c = (steps(lambda text=text: work(text + "\n")) for text in texts)
    assert a > 100
    # A text of which only so much is kept may need less: then nothing grows.
    return (c - b) / max(b - a, a / 10)


@pytest.mark.parametrize("bench", ONE_OF_EACH, ids=lambda b: b.kind)
def test_a_log_twice_as_long_takes_twice_the_work(bench):
    assert growth(bench, explain_text) < MOST


def test_a_listing_twice_as_long_takes_twice_the_work():
    bench = next(b for b in TEXTS if b.kind == "options" and b.chip)

    def read(text):
        try:
            side_by_side([("board", text)])
        except InputError:
            raise AssertionError("the listing was not read") from None

    assert growth(bench, read) < MOST


@pytest.mark.parametrize("bench", ONE_OF_EACH[::3], ids=lambda b: b.kind)
def test_sorting_a_text_twice_as_long_takes_twice_the_work(bench, tmp_path):
    def sort(text):
        path = tmp_path / "text.txt"
        path.write_text(text)
        sort_evidence([path])

    assert growth(bench, sort) < MOST


def test_work_that_grows_with_the_square_is_seen(monkeypatch):
    real = log_module.parse_faults

    def square(lines):
        for a in lines:
            for b in lines:
                len(a.text) + len(b.text)
        return real(lines)

    monkeypatch.setattr(log_module, "parse_faults", square)
    assert growth(next(b for b in TEXTS if b.kind == "boot-log"), explain_text) > MOST
