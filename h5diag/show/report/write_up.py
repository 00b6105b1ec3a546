"""What a write-up says, as values: gathered here once, laid out by the templates."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from h5diag import __version__
from h5diag.case import Board, Case
from h5diag.judge import BoardDiagnosis, BoardFacts, Diagnosis, Finding, Measured, VerdictWord
from h5diag.measure.locate import Placement, Region
from h5diag.measure.options import Setting, Weight, compare_options
from h5diag.memory import Access
from h5diag.text import range_text, size_text

NOT_STATED = "not stated"
BADGES = {
    VerdictWord.SOUND: ("calm", "no sign of a chip fault"),
    VerdictWord.UNDECIDED: ("open", "not decided"),
    VerdictWord.SUSPECT: ("warn", "signs of a chip fault, no proof"),
    VerdictWord.FAULTY: ("fault", "chip fault proved"),
}
"""How a verdict is marked: a style and a few words. The bare word of the verdict is never shown."""

MOST_REGIONS = 30


@dataclass(frozen=True, slots=True)
class EvidenceFile:
    """A file of the case. `how` says how it was read or what it is; size is -1 when the file is gone."""

    board: str
    kind: str
    name: str
    size: int
    sha256: str
    how: str


@dataclass(frozen=True, slots=True)
class SlotRow:
    """A slot on both boards."""

    slot: str
    where: str
    good: str
    suspect: str
    reason: str


@dataclass(frozen=True, slots=True)
class OptionRow:
    """An option on both boards; `note` says what a difference means, `mark` how much it matters."""

    name: str
    good: str
    suspect: str
    meaning: str
    note: str
    mark: str


@dataclass(frozen=True, slots=True)
class RegionRow:
    """A displaced piece."""

    reference: str
    dump: str
    size: int
    displacement: str
    equal: str
    score: str
    meaning: str


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding with its numbers."""

    id: str
    claim: str
    points: str
    where: str
    numbers: str
    alternatives: str
    limits: str


@dataclass(frozen=True, slots=True)
class BoardPart:
    """Everything that a write-up says about one suspect."""

    diagnosis: BoardDiagnosis
    style: str
    badge: str
    slots: tuple[SlotRow, ...]
    options: tuple[OptionRow, ...]
    regions: tuple[RegionRow, ...]
    more_regions: int
    findings: tuple[FindingRow, ...]


@dataclass(frozen=True, slots=True)
class WriteUp:
    """A write-up before it is laid out."""

    diagnosis: Diagnosis
    evidence: tuple[EvidenceFile, ...]
    boards: tuple[BoardPart, ...]
    versions: tuple[tuple[str, str], ...]
    made: str


def gather(diagnosis: Diagnosis) -> WriteUp:
    """Return what a write-up of this diagnosis says."""
    case, first = diagnosis.case, diagnosis.first.measured
    versions = (
        ("h5diag", __version__),
        ("Python", platform.python_version()),
        ("numpy", np.__version__),
        ("chip file", first.chip.name + (" (assumed)" if first.chip_assumed else "")),
        ("layout", first.layouts[0].name if first.layouts else "none given"),
        ("vendor's firmware package", case.package or "not known"),
    )
    return WriteUp(
        diagnosis,
        _evidence(case),
        tuple(_part(b) for b in diagnosis.boards),
        versions,
        datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _evidence(case: Case) -> tuple[EvidenceFile, ...]:
    how = {b.name: _how(b) for b in (case.good, *case.suspects)}
    sizes = {(b.name, d.name): d.image.size for b in (case.good, *case.suspects) for d in (*b.dumps, *b.later)}
    sizes |= {("", i.name): i.image.size for i in case.images}
    rows = []
    for f in case.files:
        board, size = f.board or "", sizes.get((f.board or "", f.name))
        memory = f"{size_text(size)} of memory" if size is not None else ""
        note = ", ".join(t for t in (memory, how.get(board, "") if memory else "") if t)
        rows.append(EvidenceFile(board, f.kind, f.name, f.size, f.sha256, note))
    return tuple(rows)


def _how(board: Board) -> str:
    access = "access unknown" if board.access is Access.UNKNOWN else f"{board.access.value} accesses"
    mode = f"connect mode {board.mode or 'unknown'}"
    return f"{access}, {mode}" + (f", {board.tool}" if board.tool else "")


def _part(b: BoardDiagnosis) -> BoardPart:
    m = b.measured
    style, badge = BADGES[b.verdict.word]
    displaced = sum(1 for r in m.placement.regions if r.displacement)
    return BoardPart(
        b,
        style,
        badge,
        slot_rows(m),
        _options(m),
        region_rows(m.placement, displaced_only=True),
        max(0, displaced - MOST_REGIONS),
        tuple(_finding(f) for f in b.findings),
    )


def slot_rows(m: Measured) -> tuple[SlotRow, ...]:
    """Return the slots of both boards; none without a layout."""

    def state(facts: BoardFacts, name: str) -> str:
        return next((s.state.value for s in facts.slots if s.slot.name == name), NOT_STATED)

    def reason(name: str) -> str:
        return next((s.reason for s in m.suspect.slots if s.slot.name == name), "")

    slots = m.layouts[0].slots if m.layouts else ()
    return tuple(
        SlotRow(s.name, range_text(s.range), state(m.good, s.name), state(m.suspect, s.name), reason(s.name))
        for s in slots
    )


_MARKS = {
    Weight.DECIDES: "matters a lot",
    Weight.MATTERS: "matters",
    Weight.MINOR: "minor",
    Weight.ARTEFACT: "not comparable",
}


def _options(m: Measured) -> tuple[OptionRow, ...]:
    good, suspect = m.good.options, m.suspect.options
    notes = {}
    if good.settings and suspect.settings:
        diff = compare_options([good, suspect], [m.good.board.name, m.name])
        notes = {d.name: (d.meaning, _MARKS[d.weight]) for d in diff.differences}
    by_board = [{s.name: s for s in o.settings} for o in (good, suspect)]
    rows = []
    for name in dict.fromkeys((*by_board[0], *by_board[1])):
        g, s = (side.get(name) for side in by_board)
        note, mark = notes.get(name, ("", ""))
        told = s or g
        rows.append(OptionRow(name, _value(g), _value(s), told.meaning if told else "", note, mark))
    return tuple(sorted(rows, key=lambda r: not r.mark))


def _value(setting: Setting | None) -> str:
    return NOT_STATED if setting is None else f"0x{setting.value:X}"


def region_rows(placement: Placement, *, displaced_only: bool = False) -> tuple[RegionRow, ...]:
    """Return the clearest of the pieces that were found."""
    shown = [r for r in placement.regions if r.displacement or not displaced_only]
    return tuple(_region(r) for r in sorted(shown, key=lambda r: -r.score_bits)[:MOST_REGIONS])


def _region(r: Region) -> RegionRow:
    sign = "-" if r.displacement < 0 else "+"
    kind = r.explanation.text + (" (weak: could be chance)" if r.weak else "")
    return RegionRow(
        f"0x{r.reference_start:08X}",
        f"0x{r.dump_start:08X}",
        r.size,
        f"{sign}0x{abs(r.displacement):X}",
        f"{r.equal_bytes} of {r.size}",
        f"{r.score_bits:.0f}",
        kind,
    )


def _finding(f: Finding) -> FindingRow:
    numbers = _listed(f"{n.name}: {n.value:g}{' ' + n.unit if n.unit else ''}" for n in f.numbers)
    return FindingRow(
        f.id,
        f.claim,
        f.direction.value + (" (hint)" if f.hint else ""),
        _listed(range_text(r) for r in f.where[:4]),
        numbers,
        _listed(f.alternatives),
        f.limits,
    )


def _listed(texts: Iterable[str]) -> str:
    return "; ".join(texts)
