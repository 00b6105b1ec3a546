"""A finding: one claim out of one measurement, with its numbers, its place and its limits.

A check yields an id, numbers and places; the words, the direction and the weights of that id stand in
``findings.toml``, where somebody with experience from the field can correct them.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, Literal

import msgspec

from h5diag.memory import AddressRange
from h5diag.tables import packaged, packaged_as
from h5diag.text import count_text, ranges_text, size_text


class Direction(Enum):
    """Which way a finding points in the question whether the chip is faulty."""

    CHIP = "for a chip fault"
    AGAINST = "against a chip fault"
    NEITHER = "neither for nor against a chip fault"


@dataclass(frozen=True, slots=True)
class Number:
    """A measured number with its name and unit.

    The unit is ``bytes``, ``bits``, ``mV``, ``hex`` for what a register or an option holds, empty for a count.
    """

    name: str
    value: float
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Parameters
    ----------
    id
        Stable word: the row of ``findings.toml``.
    claim
        One or two sentences with numbers and addresses.
    board
        Name of the board it is about; empty when it is about the case as a whole.
    numbers
        The measured numbers behind the claim.
    where
        Addresses concerned, as the dump names them.
    direction
        For a chip fault, against it, or neither.
    alternatives
        What else could explain it, one phrase each.
    limits
        What it cannot say.
    explains
        Canonical ranges whose deviation from the reference this finding accounts for.
    open_point
        What it leaves without explanation; empty when nothing.
    hint
        True when it rests on an unconfirmed fact or on one report: it may make a cause possible, never decide.
    asks
        Id of the test that would settle its open point; empty when none is known.
    compares
        True when it rests on a comparison with a good dump or a known image.
    title
        What happened, for the headline of an answer in which no cause leads; empty when the finding tells no whole story.
    means
        What to do about it, more to the point than what its cause says; empty when nothing more is known.
    """

    id: str
    claim: str
    board: str = ""
    numbers: tuple[Number, ...] = ()
    where: tuple[AddressRange, ...] = ()
    direction: Direction = Direction.NEITHER
    alternatives: tuple[str, ...] = ()
    limits: str = ""
    explains: tuple[AddressRange, ...] = ()
    open_point: str = ""
    asks: str = ""
    hint: bool = False
    compares: bool = False
    title: str = ""
    means: str = ""

    @property
    def remark(self) -> bool:
        """Tell whether it moves no cause and is worth saying all the same: it speaks for the chip."""
        return self.direction is Direction.AGAINST and self.id in rows() and not rows()[self.id].moves

    def __post_init__(self) -> None:
        if not self.id or not self.claim:
            raise ValueError("a finding needs an id and a claim")


class FindingRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``findings.toml`` says of an id, where its keys are explained; `words`, `limits`, `open`, ... are templates."""

    words: str
    moves: dict[str, int]
    points: Literal["chip", "against", "neither"] = "neither"
    alternatives: tuple[str, ...] = ()
    limits: str = ""
    open: str = ""
    asks: str = ""
    hint: bool = False
    compares: bool = False
    title: str = ""
    means: str = ""
    on_layout: bool = False
    of_each: bool = False
    silent: bool = False
    unless: str = ""

    @property
    def direction(self) -> Direction:
        """Which way it points."""
        return Direction[self.points.upper()]


@lru_cache(maxsize=1)
def rows() -> dict[str, FindingRow]:
    """Return all rows of ``findings.toml`` by id; InputError for a key that is none."""
    return packaged_as("judge/findings.toml", dict[str, FindingRow])


class Threshold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A number by which checks go, why it is what it is, and its source where it is a fact."""

    value: int
    why: str
    ref: str = ""


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``calibration.toml`` holds, where its tables are explained."""

    numbers: dict[str, Threshold]
    lists: dict[str, tuple[str, ...]]
    ids: dict[str, dict[str, str]]
    advice: dict[str, str]


@lru_cache(maxsize=1)
def calibration() -> Calibration:
    """Return what the checks go by; InputError for a key that is none."""
    return packaged_as("judge/calibration.toml", Calibration)


def number(name: str) -> int:
    """Return a number of the calibration; KeyError when it has none of that name."""
    return calibration().numbers[name].value


@lru_cache(maxsize=1)
def check_words() -> dict[str, dict[str, Any]]:
    """Return the preflight's ``checks.toml``: of each check what it looks at, what follows, what to do, its rows' words."""
    return packaged("judge/preflight/checks.toml")


_FORMS: dict[str, Callable[[Any], str]] = {
    "size": size_text,
    "hex": "0x{:08X}".format,
    "x": "0x{:X}".format,
    "ranges": ranges_text,
    "First": lambda text: text[:1].upper() + text[1:],
}


class _Words(string.Formatter):
    """Fills templates.

    ``{n:#byte}`` counts, ``{n:?is|are}`` agrees with a count, ``{n:size}``, ``{at:hex}``, ``{d:x}``,
    ``{where:ranges}``, ``{t:First}``.
    """

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec.startswith("#"):
            return count_text(value, *format_spec[1:].split("|"))
        if format_spec.startswith("?"):
            one, many = format_spec[1:].split("|")
            return one if value == 1 else many
        if form := _FORMS.get(format_spec):
            return form(value)
        return str(super().format_field(value, format_spec))


_WORDS = _Words()


def filled(template: str, values: Mapping[str, Any]) -> str:
    """Return a template of a table with its words filled in, in the formats that `_Words` knows."""
    return _WORDS.vformat(template, (), values)


def found(
    id: str,
    *,
    where: Iterable[AddressRange] = (),
    explains: Iterable[AddressRange] = (),
    settled: bool = False,
    compares: bool | None = None,
    hint: bool | None = None,
    **values: Any,
) -> Finding:
    """Return the finding of that row with its words filled in.

    Parameters
    ----------
    where, explains
        As in `Finding`; `where` may stand in the words.
    settled
        True when its open point is answered by other evidence.
    compares, hint
        Where the evidence at hand decides it, not the row.
    values
        What the words name. Whole numbers that are counted or sized there are kept as numbers.

    Raises
    ------
    KeyError
        When there is no such row, or its words name something that was not given.
    """
    row, where = rows()[id], tuple(where)
    values["where"] = where
    return Finding(
        id,
        filled(row.words, values).strip(),
        numbers=tuple(Number(n, values[n], unit) for n, unit in _units(id) if isinstance(values[n], int | float)),
        where=where,
        direction=row.direction,
        alternatives=row.alternatives,
        limits=filled(row.limits, values),
        explains=tuple(explains),
        open_point="" if settled else filled(row.open, values),
        asks=row.asks,
        hint=row.hint if hint is None else hint,
        compares=row.compares if compares is None else compares,
        title=filled(row.title, values),
        means=filled(row.means, values),
    )


@lru_cache(maxsize=512)
def _units(id: str) -> tuple[tuple[str, str], ...]:
    """Return the names in a row's words that stand for numbers, with their units."""
    out = {}
    for _, name, spec, _ in _WORDS.parse(rows()[id].words):
        if name and name != "where" and spec not in ("hex", "x", "First") and not (spec or "").startswith("?"):
            if (spec or "").startswith("#"):
                out[name] = {"byte": "bytes", "bit": "bits"}.get((spec or "")[1:].split("|")[0], "")
            else:
                out[name] = "bytes" if spec == "size" else "hex" if (spec or "").endswith("X") else ""
    return tuple(out.items())
