"""Run all checks on a case, weigh what they find, choose the next test: a diagnosis as a value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from msgspec import structs

from h5diag.case.case import Case
from h5diag.chip import EXTERNAL
from h5diag.judge.across import across_boards
from h5diag.judge.boards import BoardDiagnosis, Diagnosis
from h5diag.judge.checks import CHECKS
from h5diag.judge.checks.slots import why_not_installed
from h5diag.judge.findings import Finding, found, number, rows
from h5diag.judge.measured import Measured, deviations, measure
from h5diag.judge.next_test import NextTest, choose_next_test, known_tests, rank_tests
from h5diag.judge.weighing import Status, Verdict, weigh
from h5diag.measure.compare import WINDOW, aligned, read_cells
from h5diag.measure.firmware import Check
from h5diag.measure.firmware.image import HEADER_SIZE
from h5diag.measure.programs import linked_at
from h5diag.measure.shapes import BLOCK_GAP
from h5diag.measure.stretches import bits_in, runs
from h5diag.memory import AddressRange, Cancel, MemoryImage, Progress, merged, subtracted
from h5diag.text import ranges_text, size_text


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
        One entry a suspect; the gravest verdict first, then what a cause is supported of, else in the order of the case.

    Raises
    ------
    InputError
        When the case names a chip, a layout or a key that cannot be used.
    Cancelled
        When `cancel` said so.
    """
    measured = measure(case, progress=progress, cancel=cancel)
    boards = [_board_diagnosis(m, ()) for m in measured]
    across = across_boards(boards)
    if shared := tuple(f for f in across if rows()[f.id].of_each):
        boards = [_board_diagnosis(m, shared) for m in measured]
    return Diagnosis(
        case, tuple(sorted(boards, key=lambda b: (b.verdict.word.gravity, not b.verdict.of(Status.SUPPORTED)))), across
    )


def _board_diagnosis(m: Measured, shared: tuple[Finding, ...]) -> BoardDiagnosis:
    findings = list(shared)
    findings += [replace(f, board=m.name) for check in CHECKS for f in check(m)]
    told = {f.id for f in findings}
    findings = [f for f in findings if rows()[f.id].unless not in told]
    if m.layout_assumed:
        # What rests on a layout that nobody named may point somewhere and decides nothing.
        findings = [replace(f, hint=True) if rows()[f.id].on_layout else f for f in findings]
    findings += _unexplained(m, findings) + coverage(m)
    verdict, branches = weigh(findings, scope=scope_of(m), compared=compared_text(m)), why_not_installed(m, findings)
    done, captured, quiet = settled_tests(m, findings), _captured(m), silent(m, findings)
    able = {
        t.id for t in known_tests() if t.id not in done and not (quiet and t.answers) and set(t.needs) <= {*captured}
    }
    # A finding that asks for several tests means the first that is still to be made, and can be.
    asks = [(f, t) for f in findings if (t := next((t for t in f.asks.split() if t in able), ""))]
    known: dict[str, Any] = {
        "done": done,
        "captured": captured,
        # What a finding left open and other evidence settled asks for nothing any more.
        "asked": [b.test for b in branches if b.test and b.open]
        + sorted({t for f, t in asks if not f.open_point and not rows()[f.id].open}),
        "deciding": {t for f, t in asks if f.open_point},
        "silent": quiet,
    }
    next_test, tested = choose_next_test(verdict, **known), m.suspect.board.flashtest
    if tested is not None and tested.restored is False:
        next_test = next(t for t in known_tests() if t.id == "restore")  # nothing comes before the user's own flash
    place = _place(m, verdict, findings)
    more = tuple(_filled(t, m, place) for t in rank_tests(verdict, **known)[1:4])
    return BoardDiagnosis(m, tuple(findings), verdict, _filled(next_test, m, place), more, branches)


def silent(m: Measured, findings: Sequence[Finding]) -> bool:
    """Tell whether the board answers no probe, so that nothing can be read from it now."""
    made = {f.id for f in findings}
    # A chip that told its identity answers; one without supply, or of which the tool complained, does not.
    unheard = set() if m.suspect.log.dev_ids else {"low-voltage", "wiring-log", "identity-reads-zero"}
    return "all-zero-no-supply" in made or (
        not m.suspect.dump.size and any(rows()[id].silent or id in unheard for id in made)
    )


def _unexplained(m: Measured, findings: list[Finding]) -> list[Finding]:
    """Return a finding for what deviates and no other finding accounts for, or leaves open by itself."""
    told = [r for f in findings for r in (*f.explains, *(m.canonical(f.where) if f.open_point else ()))]
    rest = subtracted(deviations(m), told)
    for reference in (m.good.judged, *(k.content for k in m.expected)) if rest else ():
        pieces = [
            (r, g[here.start - place : here.stop - place], s[here.start - place : here.stop - place])
            for start, g, s in aligned(reference, m.suspect.judged, m.chip)
            for place in (m.chip.canonical(start),)
            for r in rest
            if (here := r.intersection(AddressRange(place, place + g.size))).size
        ]
        # Ranges are joined over short gaps; what is left of them may be equal.
        if differing := {r for r, one, two in pieces if (one != two).any()}:
            where, sector = [r for r in rest if r in differing], m.chip.flash.sector_size
            said: dict[str, Any] = {
                "bytes": sum(int(np.count_nonzero(one != two)) for _, one, two in pieces),
                "risen": sum(bits_in(two & ~one) for _, one, two in pieces),
                "fallen": sum(bits_in(one & ~two) for _, one, two in pieces),
                "sectors": len({a // sector for r in where for a in range(r.start, r.stop, 64)}),
            }
            return [found("unexplained-difference", where=where, **said)]
    return []


def settled_tests(m: Measured, findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return the ids of tests whose outcome the evidence holds, or that have no place in this case."""
    b, made = m.suspect.board, {f.id for f in findings}
    asked = {t for f in findings for t in f.asks.split()}
    done = {
        "programming-log": bool(m.provisioning or m.suspect.log.programming.writes)
        or not (m.layouts or any("programming-log" in f.asks.split() for f in findings)),
        "file-bases": bool(m.case.images),
        "give-layout": (bool(m.layouts) and not m.layout_assumed) or not made & {"options-differ", "layout-assumed"},
        "read-options": bool(m.suspect.options.settings),
        "read-registers": b.identity is not None or bool(b.registers),
        "read-the-same-way": m.comparable or bool(m.suspect.masked) or not m.has_good,
        "read-whole": "read-whole" not in asked,
        "read-again": m.suspect.reads.reads > 1,
        "speed-sweep": b.sweep is not None and bool(b.sweep.sweep),
        "read-marking": bool(b.marking),
        "read-later": bool(b.later),
        "system-words": bool(m.good.log.banner and m.suspect.log.banner) or not m.has_good,
        "sample-the-core": b.identity is not None,
        "loader-log": m.case.loader_log is not None or not (m.case.loader or asked & {"loader-log"}),
        "known-good": m.has_good or bool(m.case.images),
        "reset-and-watch": bool(b.uart),
        "flash-test": b.flashtest is not None,
        "repeat-flash-test": not made & {"flash-test-fails-short-of-proof", "flash-test-odd"},
        "program-again": not (m.known or made & {"only-fell", "ecc-error", "ecc-at-backup"}),
        "restore": True,
        "way-back": "way-back" in made or not made & {"state-closed", "lifecycle-closed", "options-all-ones"},
        "trial-log": "boot-log-reverts" not in made,
        "check-the-part": not made
        & {"identity-disagrees", "identity-not-expected", "file-beyond-the-flash", "larger-part-meant"},
    }
    if m.choice.chip is None:
        # Of a family without a chip file no register of the flash is understood, and it may have no second alias.
        done |= {t: True for t in ("read-registers", "read-the-same-way") if t not in asked}
    if (m.case.loader or m.case.loader_log) and not m.suspect.board.known:
        # A case about an external loader alone: tests of the chip's own flash would answer nothing that was asked.
        done |= {t.id: t.id != "loader-log" or m.case.loader_log is not None for t in known_tests()}
    if m.suspect.dump.size and m.suspect.dump.span.start in EXTERNAL:
        # These read, or write, the chip's own flash.
        done |= dict.fromkeys(("read-again", "speed-sweep", "read-whole", "power-cycle-and-read", "flash-test"), True)
    return tuple(k for k, v in done.items() if v)


def _captured(m: Measured) -> tuple[str, ...]:
    """Return which evidence is safe in files, so that a test may change the board's state."""
    words = ["options"] if m.suspect.options.settings else []
    dump, slots = m.suspect.dump, [s.range for lay in m.layouts for s in lay.image_slots]
    unit = m.chip.flash.program_unit
    places = {"slots": [(s.start, HEADER_SIZE) for s in slots], "trailers": [(s.stop - unit, unit) for s in slots]}
    read = {word: all(read_cells(dump, m.chip, *place) for place in ends) for word, ends in places.items()}
    return (*words, *(word for word, whole in read.items() if whole and (slots or dump.size)))


def _place(m: Measured, verdict: Verdict, findings: Sequence[Finding]) -> AddressRange:
    """Return whole sectors at the place in question: of the leading cause's findings, else of the first deviation."""
    size, told = m.chip.flash.sector_size, {f.id: f.where for f in findings}
    places = [r for h in verdict.leading for x in h.moves if x.decibans > 0 for r in told.get(x.finding, ())]
    first = m.canonical(places[:1] or deviations(m)[:1] or [m.chip.flash_range])[0]
    start = first.start - first.start % size
    return AddressRange(start, min(-(-first.stop // size) * size, start + number("most-sectors") * size))


def _filled(test: NextTest, m: Measured, place: AddressRange) -> NextTest:
    """Fill the case's addresses into the instruction."""
    # Where nothing names the chip, the tool finds the port of the core by itself.
    chip = m.choice.chip if not m.choice.assumed else None
    values = {
        "start": f"0x{place.start:08X}",
        "stop": f"0x{place.stop:08X}",
        "ap": f" ap={chip.identity.core_ap}" if chip and chip.identity.core_ap else "",
        "chip": f" --chip {chip.name}" if chip else "",
        "layout": m.layouts[0].name if m.layout_assumed else "oemirot-2m-overwrite",
    }
    text = test.instruction
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return structs.replace(test, instruction=text)


def coverage(m: Measured) -> list[Finding]:
    """Return findings about content that was held against nothing."""
    if not m.compared:
        return []
    images = (m.suspect.judged, m.good.judged, *(k.content for k in m.known))
    compared = max(_content(i, m, within=_seen(m)) for i in images)
    out = [found("too-little-compared", size=compared)] if compared < number("least-content") else []
    shown = merged((*m.canonical(m.suspect.dump.ranges), *m.suspect.masked))
    unread = _content(m.good.judged, m, without=shown), _content(m.good.judged, m)
    for id, (rest, total) in (("mostly-uncompared", uncompared(m)), ("mostly-unread", unread)):
        if rest > total / 2:
            out.append(found(id, rest=rest, size=total, name=m.name))
    return out


def _seen(m: Measured) -> tuple[AddressRange, ...]:
    """Return the canonical ranges that were held against a good dump or a known image."""
    return merged(m.canonical(r for c in (m.comparison, *(k.comparison for k in m.known)) for r in c.covered))


def uncompared(m: Measured) -> tuple[int, int]:
    """Return how many bytes of the dump's content were held against nothing, not even their own hash, and of how many."""
    proven = [i.image.range for i in m.suspect.images if i.verification.hash is Check.VALID]
    waiting = [s.slot.range for s in m.suspect.slots if s.content.at_start]
    stands = [r.shifted(at - k.content.span.start) for k in m.known for at in k.program.stands[:4] for r in k.ranges]
    covered = merged((*_seen(m), *m.canonical([*proven, *waiting, *stands]), *m.suspect.masked))
    return _content(m.suspect.judged, m, without=covered), _content(m.suspect.judged, m)


def compared_text(m: Measured) -> str:
    """Return how much of the dump's content was compared, where that is not all of it; empty where it is."""
    rest, total = uncompared(m) if m.compared else (0, 0)
    if rest < number("least-content"):
        return ""
    part = f"{size_text(total - rest)} of {size_text(total)} of the dump's content"
    return f"{part}; nothing known to be right was there for the rest"


def _content(
    image: MemoryImage, m: Measured, *, within: Sequence[AddressRange] = (), without: Iterable[AddressRange] = ()
) -> int:
    """Count cells of an image that hold neither 0x00 nor the erased value; each cell once, whatever its alias."""
    count, done = 0, merged(without)
    for s in image.segments:
        start = m.chip.canonical(s.start)
        whole = AddressRange(start, start + s.data.size)
        here = [x for w in within if (x := whole.intersection(w)).size] if within else [whole]
        for r in subtracted(here, done):
            for at in range(r.start - start, r.stop - start, WINDOW):
                part = s.data[at : min(at + WINDOW, r.stop - start)]
                count += int(np.count_nonzero((part != m.chip.flash.erased) & (part != 0)))
        done = merged((*done, *here))
    return count


def scope_of(m: Measured) -> str:
    """Return what was judged and what was not, in words."""
    judged = m.comparison.compared.ranges
    compared = [f"{size_text(k.seen_bytes)} were compared with {k.name}" for k in m.expected if k.seen_bytes]
    if judged:
        cells = size_text(sum(r.size for r in merged(m.canonical(judged))))
        of = f"({m.chip.title} has {size_text(m.chip.flash.size)} of flash)"
        compared.insert(0, f"{cells} of {m.name} were compared with {m.good.board.name} {of}")
    hidden, unread = merged((*m.suspect.masked, *m.good.masked)), m.comparison.not_compared
    missing = bool(unread) and _content(m.good.judged, m, within=m.canonical(unread)) > 0
    unreadable, tested = m.suspect.dump.unreadable, m.suspect.board.flashtest is not None
    said = [
        *(compared or ["nothing could be compared with a good dump or a known image"]),
        f"not judged, because the reader was not shown it: {ranges_text(hidden)}" if hidden else "",
        f"not read on {m.name}: {ranges_text(unread)}" if missing else "",
        f"not readable: {ranges_text(unreadable)}" if unreadable else "",
        "cells were tested by a flash test" if tested else "contents only: no cell was erased or programmed to test it",
        _base_text(m),
    ]
    if m.chip_assumed:
        said.append(f"the chip is an assumption ({m.chip.name}), which supports and excludes nothing")
    elif m.choice.chip is None:
        said.append(f"compared as bytes; nothing of the H5 is assumed ({m.choice.text})")
    return "; ".join(filter(None, said)) + "."


def _base_text(m: Measured) -> str:
    """Return what the dump's first address rests on, where nobody gave it; empty where its size leaves no other."""
    dump = m.suspect.dump
    if not dump.size or not dump.origin.base_assumed or (dump.size >= m.chip.flash.size and not m.chip_assumed):
        return ""
    first, data = dump.span.start, dump.segments[0].data
    told = f"the dump's first address (0x{first:08X}) was given by nobody"
    for _, stop in runs(data != m.chip.flash.erased, BLOCK_GAP)[:1]:
        own, _ = linked_at(MemoryImage.from_bytes(data[:stop].tobytes(), first), m.chip)
        if own and first in own:
            return f"{told}; the vector table there fits it"
    for k in m.known:
        places = {m.chip.canonical(at) for at in k.program.stands}
        if k.program.linked and any(at in k.program.linked for at in places):
            return f"{told}; the vector table of {k.name} fits it"
        if not k.image.image.origin.base_assumed and m.chip.canonical(k.content.span.start) in places:
            return f"{told}; {k.name} stands where it belongs by it"
    return f"{told}: it is an assumption, which supports nothing"
