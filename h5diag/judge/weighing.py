"""Weighing: findings move hypotheses by decibans, as ``findings.toml`` and ``causes.toml`` say.

Each hypothesis is judged on its own, since two causes may both be true. It begins at a prior and every finding
adds its weight of evidence, ten times the decimal logarithm of the likelihood ratio: +10 makes a cause ten times
more likely, -10 ten times less. A finding that rests on an unconfirmed fact (`hint`) never decides: what hints
add is cut so that they cannot lift a cause over the line, nor push it below the other one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

import msgspec

from h5diag.judge.findings import Direction, Finding, rows
from h5diag.tables import packaged, packaged_as
from h5diag.text import count_text


class Status(Enum):
    """How a hypothesis stands."""

    SUPPORTED = "supported"
    POSSIBLE = "possible"
    EXCLUDED = "excluded"
    NOT_TESTED = "not-tested"


class VerdictWord(Enum):
    """The four verdicts; their words for a person are in `Verdict.summary`."""

    SOUND = "sound"
    UNDECIDED = "undecided"
    SUSPECT = "suspect"
    FAULTY = "faulty"

    @property
    def gravity(self) -> int:
        """By which boards are ordered: the gravest has the lowest number."""
        return -tuple(VerdictWord).index(self)


class Cause(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of the table: a hypothesis before any evidence.

    `prior` is in decibans. `name` is a few words for lists, `text` a clause. `plain` explains the cause to somebody who
    does not know boot loaders; `means` says what to do about it.
    `sign_of_chip` marks causes that lie in the chip's own cells. `proof` are the findings without which it is never
    `supported`, whatever else adds up. A `harmless` one is named after all others: no board stays dark for it. One that
    `follows` from causes that are supported too is named after these.
    """

    id: str
    name: str
    text: str
    prior: int
    plain: str
    means: str
    sign_of_chip: bool = False
    proof: tuple[str, ...] = ()
    harmless: bool = False
    follows: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Move:
    """A finding that moved a hypothesis: by how much, in which words, within which limits, and what to do about it."""

    finding: str
    text: str
    decibans: int
    hint: bool
    limits: str = ""
    means: str = ""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A cause after the weighing. `score` is in decibans, cut where hints must not decide; `moves` are strongest first."""

    cause: Cause
    status: Status
    score: int
    moves: tuple[Move, ...]

    @property
    def weight(self) -> int:
        """What everything adds up to, hints included, by which causes of one status are ordered."""
        return self.cause.prior + sum(m.decibans for m in self.moves)

    @property
    def id(self) -> str:
        """The stable id."""
        return self.cause.id

    @property
    def means(self) -> str:
        """What to do: by the strongest finding that speaks for it and says so, else by the cause."""
        return next((m.means for m in self.moves if m.decibans > 0 and m.means), self.cause.means)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What it all comes to.

    Parameters
    ----------
    word
        One of the four; never shown to a person bare.
    summary
        The answer in words for a person.
    scope
        What was judged and what was not.
    open_points
        What nothing explains so far.
    hypotheses
        All of them, strongest first.
    events
        Where no cause leads: the findings that tell the whole story by themselves.
    """

    word: VerdictWord
    summary: str
    scope: str
    open_points: tuple[str, ...]
    hypotheses: tuple[Hypothesis, ...]
    events: tuple[Finding, ...] = ()

    def hypothesis(self, id: str) -> Hypothesis:
        """Return the hypothesis of that id; KeyError when there is none."""
        return {h.id: h for h in self.hypotheses}[id]

    @property
    def leading(self) -> tuple[Hypothesis, ...]:
        """The causes that the answer puts forward: the supported ones, else the likeliest that evidence speaks for."""
        return _leading(self.hypotheses)

    def of(self, status: Status) -> tuple[Hypothesis, ...]:
        """Return the hypotheses of one status, strongest first."""
        return tuple(h for h in self.hypotheses if h.status is status)


@dataclass(frozen=True, slots=True)
class CauseTable:
    """The causes and the lines between the statuses, in decibans, as loaded."""

    supported_at: int
    excluded_at: int
    evidence_at: int
    causes: tuple[Cause, ...]


@lru_cache(maxsize=1)
def load_table() -> CauseTable:
    """Return ``causes.toml``; ValueError when a finding moves a cause that is not there."""
    raw = packaged("judge/causes.toml")
    lines = raw.pop("lines")
    causes = tuple(packaged_as("judge/causes.toml", Cause, id, {"id": id, **row}) for id, row in raw.items())
    known = {c.id for c in causes}
    if strange := {f for c in causes for f in c.follows} - known:
        raise ValueError(f"causes.toml: {min(strange)} is no cause")
    for id, row in rows().items():
        if unknown := sorted(set(row.moves) - known):
            raise ValueError(f"findings.toml: {id} moves {unknown[0]}, which is no cause")
    return CauseTable(int(lines["supported"]), int(lines["excluded"]), int(lines["against"]), causes)


def causes() -> tuple[Cause, ...]:
    """Return all causes in the order of the table."""
    return load_table().causes


def weigh(findings: Sequence[Finding], *, scope: str = "", compared: str = "") -> Verdict:
    """Weigh the findings about one board.

    Parameters
    ----------
    findings
        In any order. Two findings of one id move a hypothesis once, by the stronger.
    scope
        What was and was not judged, for a person.
    compared
        How much was compared, where that is not everything.

    Returns
    -------
    Verdict
        Pure: the same findings give the same verdict.
    """
    table = load_table()
    judged = [_hypothesis(cause, findings, table) for cause in table.causes]
    supported = {h.id for h in judged if h.status is Status.SUPPORTED}
    hypotheses = sorted(
        judged,
        key=lambda h: (_RANK[h.status], h.cause.harmless, not supported.isdisjoint(h.cause.follows), -h.weight),
    )
    open_points = tuple(dict.fromkeys(f.open_point for f in findings if f.open_point))
    word = _word(findings, hypotheses, open_points)
    events = () if _leading(hypotheses) else tuple(f for f in findings if f.title)
    summary = _summary(word, hypotheses, open_points, compared, events)
    return Verdict(word, summary, scope, open_points, tuple(hypotheses), events)


_RANK = {Status.SUPPORTED: 0, Status.POSSIBLE: 1, Status.NOT_TESTED: 2, Status.EXCLUDED: 3}


def _hypothesis(cause: Cause, findings: Sequence[Finding], table: CauseTable) -> Hypothesis:
    moves: dict[str, Move] = {}
    for f in findings:
        weight = rows()[f.id].moves.get(cause.id, 0) if f.id in rows() else 0
        if weight and (f.id not in moves or (moves[f.id].hint and not f.hint)):
            moves[f.id] = Move(f.id, f.claim, weight, f.hint, f.limits, f.means)
    solid = cause.prior + sum(m.decibans for m in moves.values() if not m.hint)
    hints = sum(m.decibans for m in moves.values() if m.hint)
    score = solid + hints
    if hints < 0 and solid > table.excluded_at:
        score = max(score, table.excluded_at + 1)
    unproved = bool(cause.proof) and not any(id in moves for id in cause.proof)
    if unproved or (hints > 0 and solid < table.supported_at):
        score = min(score, table.supported_at - 1)
    status = Status.POSSIBLE if moves else Status.NOT_TESTED
    if moves and score >= table.supported_at:
        status = Status.SUPPORTED
    elif moves and score <= table.excluded_at and score - cause.prior <= table.evidence_at:
        status = Status.EXCLUDED
    return Hypothesis(cause, status, score, tuple(sorted(moves.values(), key=lambda m: -abs(m.decibans))))


def _word(findings: Sequence[Finding], hypotheses: Sequence[Hypothesis], open_points: Sequence[str]) -> VerdictWord:
    supported = [h for h in hypotheses if h.status is Status.SUPPORTED]
    if any(h.id == "flash-defect" for h in supported):
        return VerdictWord.FAULTY
    if any(h.cause.sign_of_chip for h in supported) or any(f.direction is Direction.CHIP for f in findings):
        return VerdictWord.SUSPECT
    if not open_points and any(f.compares for f in findings):
        return VerdictWord.SOUND
    return VerdictWord.UNDECIDED


def _leading(hypotheses: Sequence[Hypothesis]) -> tuple[Hypothesis, ...]:
    supported = tuple(h for h in hypotheses if h.status is Status.SUPPORTED)
    return supported or tuple(h for h in hypotheses if h.status is Status.POSSIBLE and h.score > h.cause.prior)[:1]


def _summary(
    word: VerdictWord,
    hypotheses: Sequence[Hypothesis],
    open_points: Sequence[str],
    compared: str,
    events: Sequence[Finding],
) -> str:
    leading = _leading(hypotheses)
    named = "; ".join(h.cause.text for h in leading[:3])
    proved = bool(leading) and leading[0].status is Status.SUPPORTED
    if word is VerdictWord.FAULTY:
        return "The chip's flash is faulty: the same cells failed every time, and everything else was excluded."
    lead = f" {'What the evidence supports' if proved else 'Most likely so far'}: {named}." if named else ""
    if word is VerdictWord.SUSPECT:
        return f"The chip shows signs of trouble of its own, short of proof.{lead}"
    if word is VerdictWord.SOUND:
        what = "What was compared" if compared else "Everything compared"
        instead = f"{what} is as it should be{f': {compared}' if compared else ''}."
        if proved:
            instead = f"What the evidence shows instead: {named}." + (f" Compared were {compared}." if compared else "")
        elif named:
            instead += f" What else was seen speaks most for: {named}."
        elif events:
            instead += f" What happened: {events[0].title}."
        return f"Nothing here points to a faulty chip. {instead}"
    lead = f" What happened: {'; '.join(f.title for f in events[:2])}." if events else lead
    rest = f"{count_text(len(open_points), 'point')} still open."
    nothing = "Nothing was compared with a good dump or a known image yet."
    return f"Not shown faulty: do not replace the chip yet.{lead} {rest if open_points else nothing}"
