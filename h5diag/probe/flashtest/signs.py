"""The signs by which faults are told apart: of a whole sector, of address lines, of quad-words, of single bits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from h5diag.memory import AddressRange, Bytes
from h5diag.probe.flashtest.evidence import Checked, SectorEvidence
from h5diag.probe.flashtest.models import fault_models
from h5diag.probe.flashtest.patterns import UNIT, pattern
from h5diag.probe.flashtest.result import NO_BIT, FoundFault

Quads = set[int]
"""Numbers of quad-words within a sector."""


def _rows(data: Bytes) -> Bytes:
    return data.reshape(-1, UNIT)


def _blank(data: Bytes) -> npt.NDArray[np.bool_]:
    return np.asarray((_rows(data) == 0xFF).all(axis=1))


def _unchanged(a: Bytes, b: Bytes, which: npt.NDArray[np.bool_]) -> bool:
    """Tell whether (nearly) all of some quad-words are the same in two readings."""
    if not which.any():
        return False
    same = (_rows(a) == _rows(b)).all(axis=1)[which]
    return bool(same.mean() >= fault_models().same_share)


def whole_sector(e: SectorEvidence) -> FoundFault | None:
    """Return a fault of the whole sector: erase or programming never does anything."""
    held, erases, programs, steps = e.before, list[bool](), list[bool](), list[Checked]()
    previous: Checked | None = None
    for r in e.readings:
        if r.after_erase:
            if not _blank(held).all():
                erases.append(_unchanged(held, r.got, ~_blank(held)))
        elif previous is not None and previous.after_erase:
            programs.append(_unchanged(previous.got, r.got, ~_blank(r.meant)))
            steps.append(r)
        held, previous = r.got, r
    times = e.repetition(steps)
    if erases and all(erases):
        more = " and programming changes nothing" if all(programs) else ""
        return FoundFault("dead-sector", e.range.start, NO_BIT, f"an erase leaves the sector as it was{more}", *times)
    if programs and all(programs):
        if not erases:
            return FoundFault(
                "dead-sector",
                e.range.start,
                NO_BIT,
                "nothing can be programmed; whether it erases cannot be told, as it was blank",
                *times,
            )
        return FoundFault(
            "ignored-program", e.range.start, NO_BIT, "it erases, but no quad-word takes what is programmed", *times
        )
    return None


def find_aliases(e: SectorEvidence) -> tuple[list[FoundFault], Quads]:
    """Return address lines that do not work, told from the pattern of addresses, and the quad-words they spoil."""
    lines: dict[int, list[tuple[int, Checked]]] = {}
    for r in e.readings:
        if r.step.pattern == "address" and not r.after_erase and r.got is not r.meant:
            for quad in np.flatnonzero((_rows(r.got) != _rows(r.meant)).any(axis=1) & e.trusted(r)):
                other = _partner(_rows(r.got)[quad], e.range.start + UNIT * int(quad))
                if other:
                    lines.setdefault(other, []).append((int(quad), r))
    out, spoilt = [], set[int]()
    for x, hits in sorted(lines.items()):
        quads = {q for q, _ in hits}
        spoilt |= quads
        first = e.range.start + UNIT * min(quads)
        out.append(
            FoundFault(
                "alias",
                first,
                NO_BIT,
                f"{len(quads)} quad-words share their cells with those at 0x{first ^ x:08X}.. ({_line_text(x)})",
                *e.repetition([r for _, r in hits]),
            )
        )
    for other in sorted({a for _, a in e.outside}):
        steps = [s for s, a in e.outside if a == other]
        out.append(
            FoundFault(
                "alias",
                e.range.start,
                NO_BIT,
                "what is written here shows outside of the range at "
                f"0x{other:08X} ({_line_text(e.range.start ^ other)})",
                len({s.round for s in steps}),
                tuple(sorted({s.speed_hz for s in steps})),
                len(steps),
                len(steps),
            )
        )
    return out, spoilt


def _line_text(x: int) -> str:
    return f"address line {x.bit_length() - 1}" if x & x - 1 == 0 else f"address lines of 0x{x:X}"


def _partner(quad: Bytes, own: int) -> int:
    """Return exclusive or of this address and the one whose data shows here too; 0 when there is none.

    Of data ``A, ~A`` laid over ``B, ~B`` the cells keep the ands, and ``~(w0 | w1)`` is what A and B differ in.
    """
    w0, w1, w2, w3 = (int(w) for w in np.ascontiguousarray(quad).view("<u4"))
    if (w0, w1) != (w2, w3):
        return 0
    if w0 == ~w1 & 0xFFFFFFFF:  # overwritten
        x = w0 ^ own
    else:  # overlaid
        x = ~(w0 | w1) & 0xFFFFFFFF
        if w0 & w1 or own & ~x != w0:
            return 0
    return x if not x & UNIT - 1 and x < 1 << 24 else 0


def find_ignored(e: SectorEvidence, spoilt: Quads) -> tuple[list[FoundFault], Quads]:
    """Return quad-words that stay erased whenever they are programmed."""
    count = e.range.size // UNIT
    silent, tried = np.ones(count, np.bool_), np.zeros(count, np.int64)
    for r in e.readings:
        if not r.after_erase:
            counts = e.trusted(r) & ~_blank(r.meant)
            silent &= ~counts | _blank(r.got)
            tried += counts
    silent &= tried > 0
    quads = {int(q) for q in np.flatnonzero(silent)} - spoilt
    programs = [r for r in e.readings if not r.after_erase]
    return [
        FoundFault(
            "ignored-program", e.range.start + UNIT * q, NO_BIT, "the quad-word stays erased", *e.repetition(programs)
        )
        for q in sorted(quads)
    ], quads


def find_bits(e: SectorEvidence, spoilt: Quads) -> list[FoundFault]:
    """Return the bits that read wrong and are not explained by more, each named by the table."""
    wrong = np.zeros(e.range.size, np.uint8)
    for r in e.readings:
        if r.got is not r.meant:
            wrong |= np.where(np.repeat(e.trusted(r), UNIT), r.got ^ r.meant, 0).astype(np.uint8)
    for q in spoilt:
        wrong[q * UNIT : (q + 1) * UNIT] = 0
    places = [(int(i), b) for i in np.flatnonzero(wrong) for b in range(8) if wrong[i] >> b & 1]
    most = fault_models().most_faults
    return [_one_bit(e, at, bit) for at, bit in places[: most + 1]]


def _one_bit(e: SectorEvidence, at: int, bit: int) -> FoundFault:
    erased, ones, zeros = list[bool](), list[bool](), list[bool]()
    showing: list[Checked] = []
    for r in e.readings:
        if not e.trusted(r)[at // UNIT]:
            continue
        meant, got = int(r.meant[at]) >> bit & 1, int(r.got[at]) >> bit & 1
        (erased if r.after_erase else ones if meant else zeros).append(meant != got)
        if meant != got:
            showing.append(r)
    before = str(int(e.before[at]) >> bit & 1)
    row = next(r for r in fault_models().bits if r.fits(_share(erased), _share(ones), _share(zeros), before))
    detail = row.detail or fault_models().kind(row.kind).means
    if row.kind == "coupling":
        detail += _aggressor(e, at, bit)
    detail += f"; wrong in {len(showing)} of {len(e.readings)} readings"
    return FoundFault(row.kind, e.range.start + (at & ~3), 8 * (at & 3) + bit, detail, *e.repetition(showing))


def _share(wrong: list[bool]) -> str:
    if not wrong:
        return "none"
    return "always" if all(wrong) else "some" if any(wrong) else "never"


def _aggressor(e: SectorEvidence, at: int, bit: int) -> str:
    """Return which quad-word disturbs a bit: the nearest whose same bit was 0 whenever this one fell, else 1."""
    around = AddressRange(max(0, e.range.start - e.range.size), e.range.stop + e.range.size)
    possible = np.ones(around.size // UNIT, np.bool_)
    for r in e.readings:
        if not r.after_erase and e.trusted(r)[at // UNIT] and int(r.meant[at]) >> bit & 1:
            cells = _rows(pattern(r.step.pattern, around.start, around.size, r.step.round - 1))[:, at % UNIT]
            fell = r.got[at] != r.meant[at] and not int(r.got[at]) >> bit & 1
            possible &= (cells >> bit & 1) == (0 if fell else 1)
    own = (e.range.start - around.start + at) // UNIT
    quads = [int(q) for q in np.flatnonzero(possible) if int(q) != own]
    if not quads:
        return ""
    nearest = min(quads, key=lambda q: abs(q - own))
    return f" (fits 0x{around.start + UNIT * nearest:08X})"
