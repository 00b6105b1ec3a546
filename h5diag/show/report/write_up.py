"""What a write-up says, as values: gathered here once, laid out by the templates."""

from __future__ import annotations

import hashlib
import platform
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from h5diag import __version__
from h5diag.case import Board, Case
from h5diag.judge import BoardDiagnosis, BoardFacts, Diagnosis, Measured
from h5diag.judge.verdict import Finding, VerdictWord
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
        ("vendor's firmware package", case.package),
    )
    return WriteUp(
        diagnosis,
        _evidence(case),
        tuple(_part(b) for b in diagnosis.boards),
        versions,
        datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _evidence(case: Case) -> tuple[EvidenceFile, ...]:
    rows: list[EvidenceFile] = []

    def add(board: str, kind: str, name: str, how: str) -> None:
        if name:
            rows.append(_file(case.folder, board, kind, name, how))

    for board in (case.good, *case.suspects):
        how = _how(board)
        for d in board.dumps:
            add(board.name, "dump", d.name, f"{size_text(d.image.size)} of memory, {how}")
        for d in board.later:
            add(board.name, "later dump", d.name, f"{size_text(d.image.size)} of memory, {how}")
        for kind, text in (
            ("option bytes", board.options),
            ("programmer's text", board.log),
            ("boot loader's text", board.uart),
            ("registers", board.registers),
        ):
            add(board.name, kind, text.name, "as printed")
        for kind, name in _records(case, board):
            add(board.name, kind, name, "as another command wrote it")
    for i in case.images:
        add("", "image that was to be flashed", i.name, size_text(i.image.size))
    for t in case.provisioning:
        add("", "provisioning log", t.name, "as printed")
    if case.has_loader:
        add("", "external loader", case.loader.name, "")
    add("", "external loader's log", case.loader_log.name, "as printed")
    return tuple(rows)


def _records(case: Case, board: Board) -> tuple[tuple[str, str], ...]:
    """Return kind and name of the files that a board's value no longer names, out of ``case.toml``."""
    try:
        table = tomllib.loads((case.folder / "case.toml").read_text("utf-8"))
    except (OSError, ValueError):
        return ()
    rows = [table.get("good", {})] if board is case.good else table.get("suspects", [table.get("suspect", {})])
    place = 0 if board is case.good else case.suspects.index(board)
    row = rows[place] if place < len(rows) else {}
    kinds = (("info", "identity"), ("sweep", "agreement by link speed"), ("flashtest", "flash test"))
    return tuple((kind, str(row[key])) for key, kind in kinds if row.get(key))


def _how(board: Board) -> str:
    access = "access unknown" if board.access is Access.UNKNOWN else f"{board.access.value} accesses"
    mode = "connect mode unknown" if board.mode == "unknown" else f"connect mode {board.mode}"
    tool = "" if board.tool == "unknown" else f", {board.tool}"
    return f"{access}, {mode}{tool}"


def _file(folder: Path, board: str, kind: str, name: str, how: str) -> EvidenceFile:
    try:
        data = (folder / name).read_bytes()
    except OSError:
        return EvidenceFile(board, kind, name, -1, "", how)
    return EvidenceFile(board, kind, name, len(data), hashlib.sha256(data).hexdigest(), how)


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
