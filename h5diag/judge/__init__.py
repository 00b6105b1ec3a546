"""From a case to a verdict: measurements become findings, findings are weighed."""

from h5diag.judge.boards import BoardDiagnosis, Diagnosis
from h5diag.judge.diagnosis import diagnose
from h5diag.judge.findings import Direction, Finding, Number
from h5diag.judge.measured import BoardMeasured, Measured, measure
from h5diag.judge.next_test import NextTest, TestClass, choose_next_test, rank_tests
from h5diag.judge.weighing import Cause, Hypothesis, Move, Status, Verdict, VerdictWord, causes, weigh

__all__ = [
    "BoardDiagnosis",
    "BoardMeasured",
    "Cause",
    "Diagnosis",
    "Direction",
    "Finding",
    "Hypothesis",
    "Measured",
    "Move",
    "NextTest",
    "Number",
    "Status",
    "TestClass",
    "Verdict",
    "VerdictWord",
    "causes",
    "choose_next_test",
    "diagnose",
    "measure",
    "rank_tests",
    "weigh",
]
