"""A diagnosis as a value: of each board its findings, its verdict and the tests to do next."""

from __future__ import annotations

from dataclasses import dataclass

from h5diag.case.case import Case
from h5diag.judge.facts import Measured
from h5diag.judge.install_tree import Branch
from h5diag.judge.verdict import Finding, NextTest, Verdict
from h5diag.memory import AddressRange, merged


@dataclass(frozen=True, slots=True)
class BoardDiagnosis:
    """What was found about one suspect.

    Parameters
    ----------
    measured
        The measurements.
    findings
        What the checks found, in their order.
    verdict
        What it comes to.
    next_test
        The cheapest test that separates what is left.
    more_tests
        What to do after it, best first.
    branches
        Why an image that waits may not have been installed; empty when none waits.
    """

    measured: Measured
    findings: tuple[Finding, ...]
    verdict: Verdict
    next_test: NextTest
    more_tests: tuple[NextTest, ...]
    branches: tuple[Branch, ...]

    @property
    def name(self) -> str:
        """Name of the board."""
        return self.measured.name


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The diagnosis of a case: that of each board, the gravest one first."""

    case: Case
    boards: tuple[BoardDiagnosis, ...]
    across: tuple[Finding, ...] = ()

    @property
    def first(self) -> BoardDiagnosis:
        """The board that the case's verdict speaks of."""
        return self.boards[0]

    @property
    def verdict(self) -> Verdict:
        """The case's verdict: that of the gravest board."""
        return self.first.verdict


def deviations(m: Measured) -> tuple[AddressRange, ...]:
    """Return the canonical ranges in which the suspect deviates from the good dump or from a known image.

    Masked ranges are left out. A known image of which little stands in place, and that is not whole elsewhere,
    deviates as a whole.
    """
    ranges = [a.range for a in m.comparison.counted]
    for k in m.known:
        if k.in_place:
            ranges += [a.range for a in k.comparison.counted]
        elif k.seen_bytes:
            ranges += k.image.image.ranges
    return merged(m.canonical(ranges))
