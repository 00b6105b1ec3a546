"""The signs by which faults are told apart: of a whole sector, of address lines, of quad-words, of single bits."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources

import numpy as np
import numpy.typing as npt

from h5diag.case.results import Fault
from h5diag.memory import AddressRange, Bytes
from h5diag.probe.flashtest.patterns import UNIT, pattern
from h5diag.probe.flashtest.plan import MARCH, PatternStep, TestPlan
from h5diag.probe.flashtest.reading import Reading, Visit
from h5diag.text import count_text

KINDS = (
    "stuck-at-0",
    "stuck-at-1",
    "transition",
    "alias",
    "coupling",
    "dead-sector",
    "ignored-program",
    "slow-erase",
    "unstable",
    "ecc-corrected",
    "ecc-uncorrected",
    "protected",
    "controller-error",
)
"""The kinds by name, as other programs know them."""

_SHARES = ("never", "some", "always", "any")


@dataclass(frozen=True, slots=True)
class _FaultKind:
    """A kind of fault: name, where it sits, what it makes of its sector (``bad`` or ``untested``), and a sentence."""

    name: str
    level: str
    verdict: str
    means: str


@dataclass(frozen=True, slots=True)
class BitRow:
    """Signs of one bit, each ``never``, ``some``, ``always`` or ``any``; `before` is ``0``, ``1`` or ``any``."""

    kind: str
    low_erased: str
    low_programmed: str
    high: str
    before: str
    detail: str = ""

    def fits(self, low_erased: str, low_programmed: str, high: str, before: str) -> bool:
        """Tell whether a bit with these signs is of this row; a sign of ``none`` (no chance to show) fits any."""
        pairs = (
            (self.low_erased, low_erased),
            (self.low_programmed, low_programmed),
            (self.high, high),
            (self.before, before),
        )
        return all(mine in ("any", seen) or seen == "none" for mine, seen in pairs)


@dataclass(frozen=True, slots=True)
class Models:
    """The whole table."""

    kinds: tuple[_FaultKind, ...]
    bits: tuple[BitRow, ...]
    flags: tuple[tuple[str, str], ...]
    slow_factor: float
    same_share: float
    most_faults: int

    def kind(self, name: str) -> _FaultKind:
        """Return a kind by name; KeyError when there is none."""
        for k in self.kinds:
            if k.name == name:
                return k
        raise KeyError(name)

    def flag(self, name: str) -> str:
        """Return what an error flag says."""
        return dict(self.flags).get(name, "not explained")


@lru_cache(maxsize=1)
def fault_models() -> Models:
    """Return the table.

    Raises
    ------
    ValueError
        When the file has an unknown kind, key or sign.
    """
    table = tomllib.loads(resources.files(__package__).joinpath("faults.toml").read_text("utf-8"))
    if set(table) != {"kind", "bit", "flags", "limits"}:
        raise ValueError(f"faults.toml: sections {sorted(table)}")
    kinds = tuple(_FaultKind(**row) for row in table["kind"])
    bits = tuple(BitRow(**row) for row in table["bit"])
    if tuple(k.name for k in kinds) != KINDS or any(k.verdict not in ("bad", "untested") for k in kinds):
        raise ValueError("faults.toml: the kinds are not those of the contract")
    for row in bits:
        signs = (row.low_erased, row.low_programmed, row.high)
        if row.kind not in KINDS or any(s not in _SHARES for s in signs) or row.before not in ("0", "1", "any"):
            raise ValueError(f"faults.toml: a bit row of {row.kind} is wrong")
    return Models(kinds, bits, tuple(table["flags"].items()), **table["limits"])


@dataclass(frozen=True, slots=True, eq=False)
class Checked:
    """One reading with its step.

    Parameters
    ----------
    step
        Which.
    after_erase
        Whether the sector should be blank.
    meant, got
        ``uint8`` over the sector.
    corrected, uncorrected, flicker
        As in `Reading`.
    """

    step: PatternStep
    after_erase: bool
    meant: Bytes
    got: Bytes
    corrected: tuple[int, ...]
    uncorrected: tuple[int, ...]
    flicker: tuple[int, ...]
    held: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class SectorEvidence:
    """All readings of a sector in the order they were made.

    Parameters
    ----------
    range
        The sector, canonical.
    before
        What it held before the test.
    readings
        In order; two or three for each step.
    noticed
        What the reads of the backup showed.
    outside
        Steps and addresses outside of the range that held this sector's pattern.
    """

    range: AddressRange
    before: Bytes
    readings: tuple[Checked, ...]
    noticed: Reading = field(default_factory=Reading)
    outside: tuple[tuple[PatternStep, int], ...] = ()

    @property
    def anything(self) -> bool:
        """Whether anything was noticed at all."""
        return bool(self.outside or self.noticed) or any(
            r.corrected or r.uncorrected or r.flicker or r.got is not r.meant for r in self.readings
        )

    @property
    def flickered_once(self) -> bool:
        """Whether a read disagreed somewhere."""
        return any(r.flicker for r in self.readings)

    def repetition(self, showing: Iterable[Checked]) -> tuple[int, tuple[int, ...], int, int]:
        """Return rounds, speeds, readings that show something, and readings there are."""
        steps = [r.step for r in showing]
        return len({s.round for s in steps}), tuple(sorted({s.speed_hz for s in steps})), len(steps), len(self.readings)

    def trusted(self, reading: Checked) -> npt.NDArray[np.bool_]:
        """Return which quad-words of a reading count: not those that the ECC gave up."""
        out = np.ones(self.range.size // UNIT, np.bool_)
        for a in reading.uncorrected:
            out[(a - self.range.start) // UNIT] = False
        for a in reading.flicker:
            out[(a - self.range.start) // UNIT] = False
        return out


def gather(
    plan: TestPlan, sector: AddressRange, visits: Iterable[Visit], before: Bytes, noticed: Reading | None
) -> SectorEvidence:
    """Return the readings of the visits of one sector, in order."""
    steps = {s.number: s for s in plan.steps}
    blank = np.full(sector.size, 0xFF, np.uint8)
    readings, outside = list[Checked](), list[tuple[PatternStep, int]]()
    for v in visits:
        step = steps[v.step]
        programmed = pattern(step.pattern, sector.start, sector.size, step.round - 1)
        wanted = [(v.erased, blank, True, False), (v.programmed, programmed, False, False)]
        if step.pattern == MARCH:
            wanted.append((v.held, programmed, False, True))
        if v.again or (step.last_of_round and step.round < plan.rounds and plan.power_cycles):
            wanted.append((v.again, programmed, False, False))
        for reading, meant, erased, held in wanted:
            got = meant ^ reading.wrong if reading.wrong.size else meant
            readings.append(
                Checked(step, erased, meant, got, reading.corrected, reading.uncorrected, reading.flicker, held)
            )
        outside += [(step, a) for a in v.outside]
    return SectorEvidence(sector, before, tuple(readings), noticed or Reading(), tuple(outside))


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


def whole_sector(e: SectorEvidence) -> Fault | None:
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
        return Fault("dead-sector", e.range.start, None, f"an erase leaves the sector as it was{more}", *times)
    if programs and all(programs):
        if not erases:
            return Fault(
                "dead-sector",
                e.range.start,
                None,
                "nothing can be programmed; whether it erases cannot be told, as it was blank",
                *times,
            )
        return Fault(
            "ignored-program", e.range.start, None, "it erases, but no quad-word takes what is programmed", *times
        )
    return None


def find_aliases(e: SectorEvidence) -> tuple[list[Fault], Quads]:
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
            Fault(
                "alias",
                first,
                None,
                f"{count_text(len(quads), 'quad-word')} share their cells with those at 0x{first ^ x:08X}.. ({_line_text(x)})",
                *e.repetition([r for _, r in hits]),
            )
        )
    for other in sorted({a for _, a in e.outside}):
        steps = [s for s, a in e.outside if a == other]
        out.append(
            Fault(
                "alias",
                e.range.start,
                None,
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


def find_disturbed(e: SectorEvidence) -> tuple[list[Fault], Quads]:
    """Return what was lost while the sector only held its data: neighbours were erased, or it was read many times."""
    bits: dict[tuple[int, int], list[Checked]] = {}
    whole: list[Checked] = []
    for before, r in zip(e.readings, e.readings[1:], strict=False):
        if not r.held or r.got is r.meant:
            continue
        if _blank(r.got).mean() >= fault_models().same_share and not _blank(before.got).any():
            whole.append(r)
            continue
        lost = np.where(np.repeat(e.trusted(r), UNIT), (r.got ^ r.meant) & ~(before.got ^ before.meant), 0)
        for i in np.flatnonzero(lost)[: fault_models().most_faults]:
            for bit in range(8):
                if int(lost[i]) >> bit & 1:
                    bits.setdefault((int(i), bit), []).append(r)
    if whole:
        detail = "an erase of another sector of the range erases this one too"
        return [Fault("alias", e.range.start, None, detail, *e.repetition(whole))], set(range(e.range.size // UNIT))
    detail = "changes while it only holds its data: neighbouring sectors were erased, or it was read a hundred times"
    return [
        Fault("coupling", e.range.start + (i & ~3), 8 * (i & 3) + bit, detail, *e.repetition(showing))
        for (i, bit), showing in bits.items()
    ], {i // UNIT for i, _ in bits}


def find_ignored(e: SectorEvidence, spoilt: Quads) -> tuple[list[Fault], Quads]:
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
        Fault("ignored-program", e.range.start + UNIT * q, None, "the quad-word stays erased", *e.repetition(programs))
        for q in sorted(quads)
    ], quads


def find_bits(e: SectorEvidence, spoilt: Quads) -> list[Fault]:
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


def _one_bit(e: SectorEvidence, at: int, bit: int) -> Fault:
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
    return Fault(row.kind, e.range.start + (at & ~3), 8 * (at & 3) + bit, detail, *e.repetition(showing))


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
