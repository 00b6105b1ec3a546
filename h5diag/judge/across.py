"""Several boards: what they share, who is the odd one out, the same fault at the same place or scattered ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from h5diag.answer import Answer
from h5diag.judge.diagnosis import BoardDiagnosis, Diagnosis
from h5diag.judge.findings import Finding, found
from h5diag.judge.measured import Measured, deviations
from h5diag.judge.weighing import Status, VerdictWord
from h5diag.measure.drift import build_stamps
from h5diag.measure.shapes import Form, difference
from h5diag.memory import AddressRange, MemoryImage, merged
from h5diag.text import count_text

MOST_PLACES = 8
"""So many ranges are named; the rest is told by the number of bytes."""
BUILD_SHARE = 0.9
"""So much of what differs has to belong to a program that is another build, for two boards to hold two builds."""


def across_boards(boards: Sequence[BoardDiagnosis]) -> tuple[Finding, ...]:
    """Return findings about two or more suspects held against each other; none for one board."""
    if len(boards) < 2:
        return ()
    out = list(_shared_causes(boards))
    if boards[0].measured.has_good:
        out += _same_place(boards)
    elif len(boards) == 2:
        out += _one_against_the_other(boards[0].measured, boards[1].measured)
    else:
        out += _odd_one_out(boards)
    return tuple(out)


def _one_against_the_other(one: Measured, two: Measured) -> list[Finding]:
    """Hold two boards against each other, neither of which is known to be good."""
    programs = merged(
        r
        for m in (one, two)
        for r in m.canonical(
            [*(r for k in m.known if k.in_place for r in k.ranges), *(i.image.range for i in m.suspect.images)]
        )
    )
    apart = difference(one.suspect.judged, two.suspect.judged, one.chip, programs=programs)
    if not apart.differing:
        return [found("lot-agrees", all=2, size=apart.seen)] if apart.seen else []
    say: dict[str, Any] = {
        "names": f"{one.name} and {two.name}",
        "bytes": apart.differing,
        "where": apart.ranges[:MOST_PLACES],
    }
    # The same program by the files, whole on both; or nothing but pages that no program holds.
    known = all(m.expected and all(k.whole for k in m.expected) for m in (one, two))
    outside = known and not any(r.overlaps(p) for r in one.canonical(apart.ranges) for p in programs)
    texts = apart.of(Form.TEXT)
    if texts and apart.differing == sum(s.bytes for s in texts):
        stamps = build_stamps(one.suspect.judged, two.suspect.judged, [r for s in texts for r in s.ranges])
        if stamps:
            return [found("two-stamps", one=one.name, two=two.name, first=stamps[0], second=stamps[1], **say)]
    if outside and all(any(t.covers(r) for t in _tails(one)) for r in one.canonical(apart.ranges)):
        return [found("two-differ-in-fill", unit=one.chip.flash.program_unit, **say)]
    if outside or apart.differing == sum(s.bytes for s in apart.of(Form.DATA, Form.TEXT)):
        return [found("two-differ-in-data", **say)]
    built = apart.of(Form.BUILD)
    if (
        built
        and sum(s.bytes for s in apart.of(Form.BUILD, Form.ZEROS, Form.FILL, Form.TEXT))
        >= BUILD_SHARE * apart.differing
    ):
        way = "higher" if built[0].step > 0 else "lower"
        return [found("two-builds", one=one.name, two=two.name, step=abs(built[0].step), way=way, **say)]
    return [found("two-differ", size=apart.seen, **say)]


def _tails(m: Measured) -> list[AddressRange]:
    """Return what is left of the flash word in which a given program ends."""
    unit, ends = m.chip.flash.program_unit, [r.stop for k in m.known if k.in_place for r in m.canonical(k.ranges)]
    return [AddressRange(end, -(-end // unit) * unit) for end in ends if end % unit]


def _shared_causes(boards: Sequence[BoardDiagnosis]) -> list[Finding]:
    counts = Counter(h.id for b in boards for h in b.verdict.of(Status.SUPPORTED))
    texts = {h.id: h.cause.text for b in boards for h in b.verdict.hypotheses}
    out = []
    for id, count in counts.most_common():
        names = ", ".join(b.name for b in boards if b.verdict.hypothesis(id).status is Status.SUPPORTED)
        who = "All boards" if count == len(boards) else f"{count} of {len(boards)} boards ({names})"
        out.append(found("shared-cause", who=who, text=texts[id]))
    return out


def _same_place(boards: Sequence[BoardDiagnosis]) -> list[Finding]:
    """Say whether boards deviate from the good one at the same addresses, with the same bytes."""
    by_board = {b.name: deviations(b.measured) for b in boards}
    deviating = {name: r for name, r in by_board.items() if r}
    if len(deviating) < 2:
        return []
    common: tuple[AddressRange, ...] = next(iter(deviating.values()))
    for ranges in list(deviating.values())[1:]:
        common = merged(x for a in common for b in ranges if (x := a.intersection(b)).size)
    everywhere = len(deviating) == len(boards)
    if common:
        same = _same_bytes([b for b in boards if b.name in deviating], common)
        return [
            found(
                "same-fault-every-board" if same and everywhere else "same-places-some-boards",
                where=common,
                count=len(deviating),
                all=len(boards),
                what="with the same bytes" if same else "with different bytes",
            )
        ]
    return [found("scattered-faults", count=len(deviating), all=len(boards))]


def _same_bytes(boards: Sequence[BoardDiagnosis], places: Sequence[AddressRange]) -> bool:
    rows = [[_read(b.measured.suspect.dump, r, b) for r in places] for b in boards]
    return all(row == rows[0] for row in rows[1:])


def _read(dump: MemoryImage, r: AddressRange, board: BoardDiagnosis) -> bytes:
    flash = board.measured.chip.flash
    for shift in (0, flash.secure_base - flash.base):
        if dump.covers(r.start + shift, r.stop + shift):
            return dump.read(r.start + shift, r.stop + shift).tobytes()
    return b""


def _odd_one_out(boards: Sequence[BoardDiagnosis]) -> list[Finding]:
    """Without a reference: hold each board against what most of the others hold."""
    dumps = [b.measured.suspect.judged for b in boards]
    common = list(dumps[0].ranges)
    for d in dumps[1:]:
        common = [x for a in common for b in d.ranges if (x := a.intersection(b)).size]
    if not common:
        return []
    odd: Counter[str] = Counter()
    places: dict[str, list[AddressRange]] = {b.name: [] for b in boards}
    total = 0
    for r in common:
        rows = np.stack([d.read(r.start, r.stop) for d in dumps])
        total += r.size
        majority = np.sort(rows, axis=0)[len(rows) // 2]
        for b, row in zip(boards, rows, strict=True):
            wrong = np.flatnonzero(row != majority)
            odd[b.name] += int(wrong.size)
            if wrong.size:
                places[b.name].append(AddressRange(r.start + int(wrong[0]), r.start + int(wrong[-1]) + 1))
    differing = [(name, n) for name, n in odd.most_common() if n]
    if not differing:
        return [found("lot-agrees", all=len(boards), size=total)]
    name, n = differing[0]
    if len(differing) == 1 or n > 4 * differing[1][1]:
        return [found("odd-one-out", where=places[name], name=name, bytes=n)]
    return [found("lot-differs", text=", ".join(f"{name} {count_text(n, 'byte')}" for name, n in differing))]


def boards_csv(diagnosis: Diagnosis) -> str:
    """Return one row a board: verdict, supported causes, deviating bytes, next test."""
    import csv
    from io import StringIO

    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        [
            "board",
            "verdict",
            "supported",
            "open_points",
            "compared_bytes",
            "differing_bytes",
            "bits_fallen",
            "bits_risen",
            "not_judged_bytes",
            "next_test",
        ]
    )
    for b in diagnosis.boards:
        c = b.measured.comparison
        name = b.name if b.name[:1] not in "=+-@" else "'" + b.name  # a sheet must not run a board's name
        writer.writerow(
            [
                name,
                b.verdict.word.value,
                " ".join(h.id for h in b.verdict.of(Status.SUPPORTED)),
                len(b.verdict.open_points),
                c.compared_bytes,
                c.differing_bytes,
                c.fallen,
                c.risen,
                sum(r.size for r in b.measured.suspect.masked),
                b.next_test.id,
            ]
        )
    return out.getvalue()


_GRAVITY = (VerdictWord.FAULTY, VerdictWord.SUSPECT, VerdictWord.UNDECIDED, VerdictWord.SOUND)


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
        return _GRAVITY.index(b.verdict.word), -b.measured.comparison.differing_bytes

    return Boards(tuple(sorted((b for d in diagnoses for b in d.boards), key=rank)))
