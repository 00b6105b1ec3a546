"""The diagnosis of a board, of a case with its boards, and of boards side by side: values, and their table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from h5diag.answer import Answer, views
from h5diag.case.case import Case
from h5diag.judge.checks.slots import Branch
from h5diag.judge.findings import Finding
from h5diag.judge.measured import Measured
from h5diag.judge.next_test import NextTest
from h5diag.judge.weighing import Status, Verdict


@dataclass(frozen=True, slots=True)
class BoardDiagnosis(Answer):
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
class Diagnosis(Answer):
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

    def write_up(self, path: str | Path, *, redact: bool = False) -> Path:
        """Write it to one ``.html`` or ``.md`` file for a colleague; with `redact` no firmware, id, path or key."""
        written: Path = views().write_up(self, path, redact=redact)
        return written


@dataclass(frozen=True, slots=True)
class Boards(Answer):
    """Boards of one case or of many, the one that stands out first."""

    boards: tuple[BoardDiagnosis, ...]

    @property
    def odd(self) -> BoardDiagnosis:
        """The board that stands out: the gravest verdict, then the most that differs from its good dump."""
        return self.boards[0]


def beside(diagnoses: Sequence[Diagnosis]) -> Boards:
    """Return the boards of several cases, the one that stands out first."""

    def rank(b: BoardDiagnosis) -> tuple[int, int]:
        return b.verdict.word.gravity, -b.measured.comparison.differing_bytes

    return Boards(tuple(sorted((b for d in diagnoses for b in d.boards), key=rank)))


def boards_csv(diagnosis: Diagnosis, *, clean: Callable[[str], str] = str) -> str:
    """Return one row a board: verdict, supported causes, deviating bytes, next test; `clean` is applied to its name."""
    import csv
    from io import StringIO

    rows = [
        {
            "board": name if name[:1] not in "=+-@" else "'" + name,  # a sheet must not run a board's name
            "verdict": b.verdict.word.value,
            "supported": " ".join(h.id for h in b.verdict.of(Status.SUPPORTED)),
            "open_points": len(b.verdict.open_points),
            "compared_bytes": c.compared_bytes,
            "differing_bytes": c.differing_bytes,
            "bits_fallen": c.fallen,
            "bits_risen": c.risen,
            "not_judged_bytes": sum(r.size for r in b.measured.suspect.masked),
            "next_test": b.next_test.id,
        }
        for b in diagnosis.boards
        for c, name in ((b.measured.comparison, clean(b.name)),)
    ]
    out = StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
