"""A finding: one claim out of one measurement, with its numbers, its place and its limits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from h5diag.memory import AddressRange


class Direction(Enum):
    """Which way a finding points in the question whether the chip is faulty."""

    CHIP = "for a chip fault"
    AGAINST = "against a chip fault"
    NEITHER = "neither for nor against a chip fault"


@dataclass(frozen=True, slots=True)
class Number:
    """A measured number with its name and unit (``bytes``, ``bits``, ``mV``, empty for a count)."""

    name: str
    value: float
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Parameters
    ----------
    id
        Stable word by which the weighing table knows it.
    claim
        One sentence with numbers and addresses.
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
        Canonical ranges whose deviation from the good board this finding accounts for.
    open_point
        What it leaves without explanation; empty when nothing.
    hint
        True when it rests on an unconfirmed fact or on one report: it may make a cause possible, never decide.
    asks
        Id of the test that would settle its open point; empty when none is known.
    compares
        True when it rests on a comparison with a good dump or a known image.
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

    def __post_init__(self) -> None:
        if not self.id or not self.claim:
            raise ValueError("a finding needs an id and a claim")
