"""A diagnosis as the JSON document that other programs read; see the command line's contract for the keys."""

from __future__ import annotations

from typing import Any

from h5diag.case.case import Case
from h5diag.evidence.texts import LogKind, parse_listing, parse_log
from h5diag.evidence.texts.registers import core_registers
from h5diag.judge.boards import BoardDiagnosis, Diagnosis
from h5diag.judge.findings import Finding
from h5diag.judge.next_test import NextTest


def diagnosis_document(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return plain dicts, lists, strings and numbers; addresses are integers."""
    first = diagnosis.first
    return {
        "title": diagnosis.case.title,
        "board": first.name,
        **_board(first),
        "boards": [{"name": b.name, **_board(b)} for b in diagnosis.boards],
        "across": [_finding(f) for f in diagnosis.across],
        **first.measured.choice.to_dict(),
        "chip_assumed": first.measured.chip_assumed,
        "input_remarks": list(input_remarks(diagnosis.case)),
    }


def input_remarks(case: Case) -> tuple[str, ...]:
    """Return a sentence for each listing and log of the case of which nothing is understood."""
    out: list[str] = []
    for board in (case.good, *case.suspects):
        if board.options and not parse_listing(board.options.text):
            out.append(f"{board.options.name} ({board.name}): not one option line is in it, so it tells nothing.")
        text = board.log.text if board.log else ""
        if board.log and parse_log(text).kind is LogKind.UNKNOWN and next(core_registers(text), None) is None:
            out.append(
                f"{board.log.name} ({board.name}): nothing in it is known as text of STM32CubeProgrammer,"
                " so it tells nothing."
            )
    return tuple(out)


def _board(b: BoardDiagnosis) -> dict[str, Any]:
    return {
        "verdict": b.verdict.word.value,
        "summary": b.verdict.summary,
        "scope": b.verdict.scope,
        "open_points": list(b.verdict.open_points),
        "hypotheses": [
            {
                "id": h.id,
                "status": h.status.value,
                "cause": h.cause.text,
                "plain": h.cause.plain,
                "means": h.cause.means,
                "evidence": [m.text for m in h.moves],
                "score_decibans": h.score,
                "prior_decibans": h.cause.prior,
                "moves": [{"finding": m.finding, "decibans": m.decibans, "hint": m.hint} for m in h.moves],
            }
            for h in b.verdict.hypotheses
        ],
        "next_test": _next_test(b.next_test),
        "more_tests": [_next_test(t) for t in b.more_tests],
        "findings": [_finding(f) for f in b.findings],
        "why_not_installed": [
            {"id": x.id, "text": x.text, "found": x.found, "holds": x.holds, "open": x.open, "test": x.test}
            for x in b.branches
        ],
        "not_judged": [[r.start, r.stop] for r in b.measured.suspect.masked],
        "slots": [
            {
                "board": name,
                "slot": str(s.slot),
                "address": s.content.address,
                "state": s.state.value,
                "reason": s.reason,
            }
            for name, own in (("good", b.measured.good), ("suspect", b.measured.suspect))
            for s in own.slots
        ],
    }


def _next_test(t: NextTest) -> dict[str, Any]:
    return {
        "id": t.id,
        "class": t.kind.word,
        "minutes": t.minutes,
        "instruction": t.instruction,
        "tells": t.tells,
        "loses": t.loses,
        "separates": list(t.separates),
    }


def _finding(f: Finding) -> dict[str, Any]:
    return {
        "id": f.id,
        "claim": f.claim,
        "board": f.board,
        "points": f.direction.value,
        "where": [[r.start, r.stop] for r in f.where],
        "numbers": [{"name": n.name, "value": n.value, "unit": n.unit} for n in f.numbers],
        "alternatives": list(f.alternatives),
        "limits": f.limits,
        "open_point": f.open_point,
        "hint": f.hint,
    }
