"""Run all checks on a case, weigh what they find, choose the next test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from h5diag.case.case import Case
from h5diag.judge.across import across_boards
from h5diag.judge.checks import CHECKS
from h5diag.judge.coverage import coverage, scope_of
from h5diag.judge.diagnosis import BoardDiagnosis, Diagnosis, deviations
from h5diag.judge.facts import Measured
from h5diag.judge.install_tree import why_not_installed
from h5diag.judge.measure import measure
from h5diag.judge.verdict import Direction, Finding, NextTest, VerdictWord, choose_next_test, rank_tests, weigh
from h5diag.judge.verdict.next_test import known_tests
from h5diag.memory import Cancel, Progress, merged, subtracted
from h5diag.text import ranges_text, size_text

_WORST = (VerdictWord.FAULTY, VerdictWord.SUSPECT, VerdictWord.UNDECIDED, VerdictWord.SOUND)


def diagnose(case: Case, *, progress: Progress | None = None, cancel: Cancel | None = None) -> Diagnosis:
    """Run all checks that the evidence allows and weigh what they find.

    Parameters
    ----------
    case
        The evidence.
    progress, cancel
        For work that takes more than a moment.

    Returns
    -------
    Diagnosis
        One entry a suspect; the gravest verdict first, else in the order of the case.

    Raises
    ------
    InputError
        When the case names a chip, a layout or a key that cannot be used.
    Cancelled
        When `cancel` said so.
    """
    measured = measure(case, progress=progress, cancel=cancel)
    boards = [_judge(m, ()) for m in measured]
    across = across_boards(boards)
    if shared := tuple(f for f in across if f.id == "same-fault-every-board" and f.direction is Direction.AGAINST):
        boards = [_judge(m, shared) for m in measured]
    return Diagnosis(case, tuple(sorted(boards, key=lambda b: _WORST.index(b.verdict.word))), across)


def _judge(m: Measured, shared: tuple[Finding, ...]) -> BoardDiagnosis:
    findings = list(shared)
    findings += [replace(f, board=m.name) for check in CHECKS for f in check(m)]
    findings += _unexplained(m, findings) + coverage(m)
    verdict = weigh(findings, scope=scope_of(m))
    branches = why_not_installed(m, findings)
    known: dict[str, Any] = {
        "done": _done(m, findings),
        "captured": _captured(m),
        "asked": [b.test for b in branches if b.test and b.open],
        "settles": {f.asks for f in findings if f.open_point and f.asks},
    }
    next_test = choose_next_test(verdict, **known)
    if m.suspect.board.flashtest.given and not m.suspect.board.flashtest.restored:
        next_test = next(t for t in known_tests() if t.id == "restore")  # nothing comes before the user's own flash
    more = tuple(_filled(t, m) for t in rank_tests(verdict, **known)[1:4])
    return BoardDiagnosis(m, tuple(findings), verdict, _filled(next_test, m), more, branches)


def _unexplained(m: Measured, findings: list[Finding]) -> list[Finding]:
    """Return a finding for what deviates and no other finding accounts for."""
    rest = subtracted(deviations(m), merged(r for f in findings for r in f.explains))
    if not rest or any(
        f.open_point
        and any(w.overlaps(r) for w in m.canonical(f.where) for r in rest)
        and subtracted(rest, m.canonical(f.where)) == ()
        for f in findings
    ):
        return []
    size = sum(r.size for r in rest)
    return [
        Finding(
            "unexplained-difference",
            f"{size_text(size)} differ from what should be there and nothing explains it ({ranges_text(rest)}).",
            where=rest,
            compares=True,
            open_point=f"{size_text(size)} differ at {ranges_text(rest)} without an explanation",
            alternatives=("other firmware or settings on this board", "old content", "cells"),
        )
    ]


def _done(m: Measured, findings: list[Finding]) -> tuple[str, ...]:
    """Return the ids of tests whose outcome the evidence holds, or that have no place in this case."""
    b, made = m.suspect.board, {f.id for f in findings}
    done = {
        "programming-log": bool(m.provisioning) or not m.layouts,
        "file-bases": bool(m.known),
        "give-layout": bool(m.layouts) or "options-differ" not in made,
        "read-options": bool(m.suspect.options.settings),
        "read-registers": b.identity.given or bool(b.registers),
        "read-the-same-way": m.comparable or bool(m.suspect.masked) or not m.has_good,
        "read-again": m.suspect.reads.reads > 1,
        "speed-sweep": bool(b.sweep.points),
        "read-marking": bool(b.marking),
        "read-later": bool(b.later),
        "system-words": bool(m.good.log.banner and m.suspect.log.banner) or not m.has_good,
        "sample-the-core": b.identity.given,
        "loader-log": bool(m.case.loader_log) or not m.case.has_loader,
        "known-good": m.has_good or bool(m.known),
        "reset-and-watch": bool(b.uart),
        "flash-test": b.flashtest.given,
        "repeat-flash-test": "flash-test-fails-short-of-proof" not in made,
        "program-again": not made & {"only-fell", "ecc-error"},
        "restore": True,
        "check-the-part": "identity-disagrees" not in made,
    }
    if (m.case.has_loader or m.case.loader_log) and not m.suspect.board.known:
        # A case about an external loader alone: tests of the chip's own flash would answer nothing that was asked.
        done |= {t.id: t.id != "loader-log" or bool(m.case.loader_log) for t in known_tests()}
    return tuple(k for k, v in done.items() if v)


def _captured(m: Measured) -> tuple[str, ...]:
    """Return which evidence is safe in files, so that a test may change the board's state."""
    words = ["options"] if m.suspect.options.settings else []
    dump, slots = m.suspect.dump, [s.range for lay in m.layouts for s in lay.image_slots]
    alias = m.chip.flash.secure_base - m.chip.flash.base

    def held(start: int, stop: int) -> bool:
        return any(dump.covers(start + a, stop + a) for a in (0, alias))

    unit = m.chip.flash.program_unit
    if slots and all(held(s.start, s.start + 0x20) for s in slots):
        words.append("slots")
    if slots and all(held(s.stop - unit, s.stop) for s in slots):
        words.append("trailers")
    if not slots and dump.size:
        words += ["slots", "trailers"]
    return tuple(words)


def _filled(test: NextTest, m: Measured) -> NextTest:
    """Fill the case's addresses into the instruction."""
    chip_fault = next(iter(deviations(m)), m.chip.flash_range)
    size = m.chip.flash.sector_size
    start, stop = chip_fault.start - chip_fault.start % size, -(-chip_fault.stop // size) * size
    text = test.instruction.replace("{start}", f"0x{start:08X}").replace("{stop}", f"0x{stop:08X}")
    return replace(test, instruction=text)
