"""The cheapest test that separates what is still possible: read-only before state-changing before destructive."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import IntEnum
from functools import lru_cache

import msgspec
from msgspec.structs import replace

from h5diag.judge.findings import number
from h5diag.judge.weighing import Status, Verdict, VerdictWord
from h5diag.tables import packaged, packaged_as


class TestClass(IntEnum):
    """What a test does to the board, mildest first. An irreversible test is never proposed."""

    __test__ = False  # the name is the field's own; it is no test case

    READ_ONLY = 0
    CHANGES_STATE = 1
    DESTRUCTIVE = 2

    @property
    def word(self) -> str:
        """The class as it is written."""
        return ("read-only", "changes-state", "destructive")[self]


class NextTest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A test as a person would do it.

    Parameters
    ----------
    id
        Stable word.
    kind
        What it does to the board.
    minutes
        Rough time with everything at hand.
    buys
        True when it needs something that is usually not on the bench.
    needs
        Evidence that must be captured before (words of `Evidence`), for tests that change the board's state.
    separates
        Hypotheses that its outcome moves.
    tells
        What either outcome would mean.
    instruction
        What to do, with the exact command or menu entry.
    loses
        What it may destroy; empty for a read-only test.
    answers
        True when the board has to answer a probe for it.
    name
        How a sentence names it.
    after
        What to do with its outcome where that is no file to add to the case.
    """

    id: str
    kind: TestClass
    minutes: int
    separates: tuple[str, ...]
    tells: str
    instruction: str
    buys: bool = False
    needs: tuple[str, ...] = ()
    loses: str = ""
    answers: bool = False
    name: str = ""
    after: str = ""


NOTHING = NextTest(
    "none", TestClass.READ_ONLY, 0, (), tells="everything asked is answered", instruction="No further test is needed."
)
"""Stands where nothing is left to separate."""

PROVED = replace(
    NOTHING,
    tells="the flash test is proof",
    instruction="No further test is needed: keep the flash test's result with the part for the claim, and replace the chip.",
)
"""Stands where the chip is proved to be faulty."""

SOUND = replace(
    NOTHING,
    instruction="Nothing of the flash is left to test. Does the board not do what it should all the same? Then look where"
    " its core is, without a reset: h5diag info --probe auto --json > info.json, and add it: h5diag case CASE_DIR info.json",
)
"""Stands where all that was compared is as it should be and no evidence speaks for anything else."""


@lru_cache(maxsize=1)
def known_tests() -> tuple[NextTest, ...]:
    """Return all tests of ``next_tests.toml``, mildest and cheapest first."""
    raw = packaged("judge/next_tests.toml")
    words = {k.word: k for k in TestClass}
    tests = [
        packaged_as(
            "judge/next_tests.toml", NextTest, f"tests.{id}", {"id": id, "kind": words[row.pop("class")], **row}
        )
        for id, row in raw["tests"].items()
    ]
    return tuple(sorted(tests, key=lambda t: (t.kind, t.buys, t.minutes, t.id)))


def choose_next_test(
    verdict: Verdict,
    *,
    done: Collection[str],
    captured: Collection[str],
    deciding: Collection[str] = (),
    asked: Sequence[str] = (),
    silent: bool = False,
) -> NextTest:
    """Return the first of `rank_tests`; where there is none, what is left to do.

    That is `PROVED` when the chip is proved faulty, what a supported cause means for the person at the bench, `SOUND`
    when all is as it should be, else `NOTHING`. What a supported cause means stands before a destructive test, too, unless
    something speaks for the cells.
    """
    if verdict.word is VerdictWord.FAULTY:
        return PROVED
    ranked = rank_tests(verdict, done=done, captured=captured, deciding=deciding, asked=asked, silent=silent)
    supported = verdict.of(Status.SUPPORTED)
    undecided = _open(verdict)
    doubted = any(h.cause.sign_of_chip and h.id in undecided for h in verdict.hypotheses)
    # An explanation that stands is not put at risk to ask about something else.
    if ranked and not (supported and ranked[0].kind is TestClass.DESTRUCTIVE and not doubted):
        return ranked[0]
    if supported:
        harmless = supported[0].cause.harmless and not verdict.open_points
        nothing = "Nothing is left to find out from here. " if harmless else ""
        return replace(NOTHING, instruction=f"{nothing}{supported[0].means}")
    return SOUND if verdict.word is VerdictWord.SOUND else NOTHING


def rank_tests(
    verdict: Verdict,
    *,
    done: Collection[str],
    captured: Collection[str],
    deciding: Collection[str] = (),
    asked: Sequence[str] = (),
    silent: bool = False,
) -> tuple[NextTest, ...]:
    """Return the tests that are worth doing, best first.

    Parameters
    ----------
    verdict
        What is known so far.
    done
        Ids of tests whose outcome the evidence holds already.
    captured
        Words of the evidence at hand (``slots``, ``trailers``, ``options``, ...); a test that changes the state of
        the board is proposed only when all that it `needs` is captured.
    deciding
        Ids of the tests that settle an open point; they come first within their class.
    asked
        Ids of tests that other findings ask for, most wanted first.
    silent
        True when the board answers no probe: what needs an answer is not proposed.
    """
    if verdict.word is VerdictWord.FAULTY:
        return ()
    wanted, undecided = _worth(verdict), _open(verdict)
    leading = {h.id for h in verdict.leading}
    tiers: dict[bool, list[tuple[tuple[int, bool, bool, bool, float], NextTest]]] = {True: [], False: []}
    for test in known_tests():
        if test.id in done or not set(test.needs) <= set(captured) or (silent and test.answers):
            continue
        gain = sum(wanted.get(h, 0.0) for h in test.separates)
        wished = test.id in asked or test.id in deciding or any(h in undecided for h in test.separates)
        if test.id in asked:
            gain += number("asked-gain") / (1 + asked.index(test.id))
        if test.id in deciding:
            gain += number("asked-gain")
        if gain > 0:
            open_point, ours = test.id in deciding, bool(leading & set(test.separates))
            rank = (int(test.kind), test.buys, not open_point, not (open_point and ours), -gain / (test.minutes + 2))
            tiers[wished].append((rank, test))
    # What nobody tested is worth a look only where nothing that is open can be settled, and nothing is found yet.
    found = verdict.word is VerdictWord.SOUND or bool(verdict.of(Status.SUPPORTED))
    return tuple(test for _, test in sorted(tiers[True] or ([] if found else tiers[False]), key=lambda row: row[0]))


def _open(verdict: Verdict) -> set[str]:
    """Return the hypotheses that evidence speaks for without deciding."""
    return {h.id for h in verdict.hypotheses if h.status is Status.POSSIBLE and h.score > h.cause.prior}


def _worth(verdict: Verdict) -> dict[str, float]:
    """How much it is worth to move each hypothesis: most where it is undecided and likely."""
    worth = {}
    for h in verdict.hypotheses:
        if h.status is Status.POSSIBLE:
            worth[h.id] = 4.0 + max(0.0, h.score + number("least-prior")) / 4
        elif h.status is Status.NOT_TESTED and verdict.word is not VerdictWord.SOUND:
            worth[h.id] = 1.0 + max(0.0, h.cause.prior + number("least-prior")) / number("least-prior")
    return worth
