"""Score the diagnosis on generated cases: right cause first, right status, right verdict."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from h5diag.case import load_case
from h5diag.judge import Diagnosis, Status, diagnose

from .generate import Truth, make_case


@dataclass(frozen=True, slots=True)
class Score:
    """How the diagnosis of one case stands to its truth.

    `first` is the strongest hypothesis with evidence for it (empty when none is above its prior), `confidence` its
    score in decibans. `right_first` is asked only of cases whose evidence suffices.
    """

    truth: Truth
    verdict: str
    first: str
    confidence: int
    status: dict[str, str]
    right_first: bool
    right_status: bool
    right_verdict: bool

    @property
    def right(self) -> bool:
        """Everything that was asked of this case came out right."""
        return self.right_first and self.right_status and self.right_verdict


def ranked(diagnosis: Diagnosis) -> list[tuple[str, int]]:
    """Return the hypotheses that evidence speaks for, strongest first, with their scores."""
    return [
        (h.id, h.score)
        for h in diagnosis.verdict.hypotheses
        if h.status is Status.SUPPORTED or (h.status is Status.POSSIBLE and h.score > h.cause.prior)
    ]


def score(diagnosis: Diagnosis, truth: Truth) -> Score:
    """Compare a diagnosis with the truth."""
    order = ranked(diagnosis)
    statuses = {h.id: h.status.value for h in diagnosis.verdict.hypotheses}
    leading = [id for id, _ in order[: max(1, len(truth.causes))]]
    wanted = [c for c in truth.causes if truth.status[c] in ("supported", "possible")] if truth.sufficient else []
    right_first = all(c in leading for c in wanted)
    right_status = all(_fits(statuses[c], truth.status[c]) for c in truth.causes)
    word = diagnosis.verdict.word.value
    first, confidence = order[0] if order else ("", 0)
    return Score(truth, word, first, confidence, statuses, right_first, right_status, word in truth.verdicts)


def _fits(found: str, wanted: str) -> bool:
    return wanted == "any" or (found != "excluded" if wanted == "not excluded" else found == wanted)


def scores(seeds: range, *, kind: str = "", cause: str = "") -> Iterator[Score]:
    """Make, diagnose and score one case for each seed."""
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            truth = make_case(Path(folder), seed, kind=kind, cause=cause)
            yield score(diagnose(load_case(folder)), truth)
