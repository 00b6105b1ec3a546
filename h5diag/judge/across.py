"""Several boards: what they share, who is the odd one out, the same fault at the same place or scattered ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from h5diag.judge.boards import BoardDiagnosis
from h5diag.judge.findings import Finding, found, number
from h5diag.judge.measured import Measured, deviations
from h5diag.judge.weighing import Status
from h5diag.measure.compare import read_cells
from h5diag.measure.drift import build_stamps
from h5diag.measure.shapes import Form, difference
from h5diag.memory import AddressRange, merged
from h5diag.ranges import shared
from h5diag.text import count_text


def across_boards(boards: Sequence[BoardDiagnosis]) -> tuple[Finding, ...]:
    """Return findings about two or more suspects held against each other; none for one board."""
    if len(boards) < 2:
        return ()
    if any(b.measured.others for b in boards):
        return tuple(_shared_causes(boards))  # nothing of another family is a measure for a board
    if boards[0].measured.has_good:
        return (*_shared_causes(boards), *_same_place(boards))
    if len(boards) == 2:
        return (*_shared_causes(boards), *_compared_boards(boards[0].measured, boards[1].measured))
    return (*_shared_causes(boards), *_odd_one_out(boards))


def _compared_boards(one: Measured, two: Measured) -> list[Finding]:
    """Hold two boards against each other, neither of which is known to be good."""
    held = [(m, [r for k in m.known if k.in_place for r in k.ranges]) for m in (one, two)]
    programs = merged(r for m, files in held for r in m.canonical([*files, *(i.image.range for i in m.suspect.images)]))
    apart = difference(one.suspect.judged, two.suspect.judged, one.chip, programs=programs)
    if not apart.differing:
        return [found("lot-agrees", all=2, size=apart.seen)] if apart.seen else []

    def only(*forms: Form) -> int:
        return sum(s.bytes for s in apart.of(*forms))

    names = f"{one.name} and {two.name}"
    say: dict[str, Any] = {"names": names, "bytes": apart.differing, "where": apart.ranges[: number("most-places")]}
    # The same program by the files, whole on both; or nothing but pages that no program holds.
    known = all(m.expected and all(k.whole for k in m.expected) for m in (one, two))
    outside = known and not any(r.overlaps(p) for r in one.canonical(apart.ranges) for p in programs)
    texts = [r for s in apart.of(Form.TEXT) for r in s.ranges] if apart.differing == only(Form.TEXT) else []
    if texts and (stamps := build_stamps(one.suspect.judged, two.suspect.judged, texts)):
        return [found("two-stamps", one=one.name, two=two.name, first=stamps[0], second=stamps[1], **say)]
    if outside and all(any(t.covers(r) for t in _tails(one)) for r in one.canonical(apart.ranges)):
        return [found("two-differ-in-fill", unit=one.chip.flash.program_unit, **say)]
    if outside or apart.differing == only(Form.DATA, Form.TEXT):
        return [found("two-differ-in-data", **say)]
    built = apart.of(Form.BUILD)
    if built and only(Form.BUILD, Form.ZEROS, Form.FILL, Form.TEXT) * 100 >= number("build-percent") * apart.differing:
        way = "higher" if built[0].step > 0 else "lower"
        return [found("two-builds", one=one.name, two=two.name, step=abs(built[0].step), way=way, **say)]
    return [found("two-differ", size=apart.seen, **say)]


def _tails(m: Measured) -> list[AddressRange]:
    """Return what is left of the flash word in which a given program ends."""
    unit, ends = m.chip.flash.program_unit, [r.stop for k in m.known if k.in_place for r in m.canonical(k.ranges)]
    return [AddressRange(end, -(-end // unit) * unit) for end in ends if end % unit]


def _shared_causes(boards: Sequence[BoardDiagnosis]) -> Iterator[Finding]:
    supported = [(h, b.name) for b in boards for h in b.verdict.of(Status.SUPPORTED)]
    for id, count in Counter(h.id for h, _ in supported).most_common():
        text, names = next(h.cause.text for h, _ in supported if h.id == id), (n for h, n in supported if h.id == id)
        who = (
            "All boards"
            if count == len(boards)
            else f"{count} of {count_text(len(boards), 'board')} ({', '.join(names)})"
        )
        yield found("shared-cause", who=who, text=text)


def _same_place(boards: Sequence[BoardDiagnosis]) -> list[Finding]:
    """Say whether boards deviate from the good one at the same addresses, with the same bytes."""
    deviating = [(b, r) for b in boards if (r := deviations(b.measured))]
    count, all_boards = len(deviating), len(boards)
    if count < 2:
        return []
    common = shared([ranges for _, ranges in deviating])
    if not common:
        return [found("scattered-faults", count=count, all=all_boards)]
    rows = [[_read(b.measured, r) for r in common] for b, _ in deviating]
    same = all(row == rows[0] for row in rows)
    id = "same-fault-every-board" if same and count == all_boards else "same-places-some-boards"
    what = "with the same bytes" if same else "with different bytes"
    return [found(id, where=common, count=count, all=all_boards, what=what)]


def _read(m: Measured, r: AddressRange) -> bytes:
    cells = read_cells(m.suspect.dump, m.chip, r.start, r.size)
    return cells[1].tobytes() if cells else b""


def _odd_one_out(boards: Sequence[BoardDiagnosis]) -> list[Finding]:
    """Without a reference: hold each board against what most of the others hold."""
    dumps, odd = [b.measured.suspect.judged for b in boards], Counter[str]()
    places: dict[str, list[AddressRange]] = {b.name: [] for b in boards}
    for r in (common := shared([d.ranges for d in dumps])):
        rows = np.stack([d.read(r.start, r.stop) for d in dumps])
        majority = np.sort(rows, axis=0)[len(rows) // 2]
        for b, row in zip(boards, rows, strict=True):
            if (wrong := np.flatnonzero(row != majority)).size:
                odd[b.name] += int(wrong.size)
                places[b.name].append(AddressRange(r.start + int(wrong[0]), r.start + int(wrong[-1]) + 1))
    if not common:
        return []
    differing = [(name, n) for name, n in odd.most_common() if n]
    if not differing:
        return [found("lot-agrees", all=len(boards), size=sum(r.size for r in common))]
    name, n = differing[0]
    if len(differing) == 1 or n > 4 * differing[1][1]:
        return [found("odd-one-out", where=places[name], name=name, bytes=n)]
    return [found("lot-differs", text=", ".join(f"{name} {count_text(n, 'byte')}" for name, n in differing))]
