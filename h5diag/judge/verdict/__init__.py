"""What the findings come to: hypotheses weighed by one table, a verdict, and the cheapest next test.

This room judges and does not measure: it is pure, and everything it knows stands in ``table.toml``.
"""

from h5diag.judge.verdict.findings import Direction, Finding, Number
from h5diag.judge.verdict.next_test import NextTest, TestClass, choose_next_test, rank_tests
from h5diag.judge.verdict.weighing import Cause, Hypothesis, Move, Status, Verdict, VerdictWord, causes, weigh

__all__ = [
    "Cause",
    "Direction",
    "Finding",
    "Hypothesis",
    "Move",
    "NextTest",
    "Number",
    "Status",
    "TestClass",
    "Verdict",
    "VerdictWord",
    "causes",
    "choose_next_test",
    "rank_tests",
    "weigh",
]
