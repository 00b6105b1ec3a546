"""What no answer may be, as far as a machine can see it: contradictory, without a number, asking what it was just told."""

from __future__ import annotations

import re

from h5diag.judge import BoardDiagnosis, Diagnosis, VerdictWord
from h5diag.judge.diagnosis import settled_tests
from h5diag.judge.weighing import Status
from h5diag.show import answers

CONTRADICTIONS = (
    ("nothing-misplaced", "content-misplaced"),
    ("nothing-misplaced", "piece-misplaced"),
    ("files-in-place", "file-misplaced"),
    ("nothing-mixed", "only-fell"),
    ("nothing-mixed", "bits-rose"),
    ("nothing-differs", "stopped-at"),
    ("nothing-differs", "other-build"),
    ("nothing-differs", "unexplained-difference"),
    ("nothing-differs", "file-not-there"),
    ("no-unexpected-zeros", "zeros-on-sector-edges"),
    ("no-padding-difference", "fill-differs"),
    ("reads-agree", "reads-disagree"),
    ("state-closed", "memory-was-read"),
    ("all-erased", "all-zero"),
    ("other-build", "content-misplaced"),
    ("repeats-at-address-line", "file-misplaced"),
    ("boot-log-starts", "boot-log-refuses-image"),
    ("core-runs", "core-in-rom"),
    ("no-write-protection", "write-protection-matches"),
    ("options-legal", "options-all-ones"),
    ("was-reset", "never-reset"),
    ("size-agrees", "larger-part-meant"),
    ("all-erased", "erased-as-far-as-read"),
    ("no-padding-difference", "fill-between-pieces"),
)
"""Findings of which one denies what the other says."""

_SAID = re.compile(r"\d|'[^']{3,}'|[A-Z]{4,}|\.(?:bin|hex|elf|log|txt)\b")
"""A number, a quoted line, a register or option, a file."""
_OPENINGS = (
    "Not shown faulty: do not replace the chip yet.",
    "Nothing here points to a faulty chip.",
    "The chip shows signs of trouble of its own, short of proof.",
    "The chip's flash is faulty:",
)


def flaws(diagnosis: Diagnosis) -> list[str]:
    """Return what is wrong with an answer, one phrase each; empty when nothing is."""
    out = [f"{b.name}: {flaw}" for b in diagnosis.boards for flaw in _of_board(b)]
    flat = " ".join(answers.text(diagnosis).split())
    if not any(o in flat[:200] for o in _OPENINGS):
        out.append("the answer does not come first")
    first = diagnosis.first.verdict
    out += [f"possible {h.id} is not shown" for h in _pointed_at(first.of(Status.POSSIBLE)) if h.cause.text not in flat]
    return out


def _pointed_at(hypotheses):  # type: ignore[no-untyped-def]
    return [h for h in hypotheses if h.score > h.cause.prior]


def _of_board(b: BoardDiagnosis) -> list[str]:
    out, made = [], {f.id for f in b.findings}
    out += [f"{one} beside {other}" for one, other in CONTRADICTIONS if {one, other} <= made]
    for h in b.verdict.leading:
        reasons = [m.text for m in h.moves if m.decibans > 0]
        if not any(_SAID.search(r) for r in reasons):
            out.append(f"{h.id} leads without a number or a place")
    tests = [b.next_test.id, *(t.id for t in b.more_tests)]
    out += [f"{t} is asked twice" for t in set(tests) if tests.count(t) > 1]
    out += [f"{t} is asked and was answered" for t in tests if t in settled_tests(b.measured, b.findings)]
    nothing_left = b.verdict.word in (VerdictWord.SOUND, VerdictWord.FAULTY) or b.verdict.of(Status.SUPPORTED)
    if b.next_test.id == "none" and not nothing_left:
        out.append("no next test, and nothing is supported")
    if not b.next_test.instruction.strip():
        out.append("the next step says nothing")
    kinds = [t.kind for t in (b.next_test, *b.more_tests) if t.id not in ("none", "restore")]
    if kinds != sorted(kinds):
        out.append("a harmful test stands before a harmless one")
    out += [f"said twice: {p}" for p in set(b.verdict.open_points) if b.verdict.open_points.count(p) > 1]
    return out
