"""The table of fault models, `faults.toml`, read strictly."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

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
class Kind:
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

    kinds: tuple[Kind, ...]
    bits: tuple[BitRow, ...]
    flags: tuple[tuple[str, str], ...]
    slow_factor: float
    same_share: float
    most_faults: int

    def kind(self, name: str) -> Kind:
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
    kinds = tuple(Kind(**row) for row in table["kind"])
    bits = tuple(BitRow(**row) for row in table["bit"])
    if tuple(k.name for k in kinds) != KINDS or any(k.verdict not in ("bad", "untested") for k in kinds):
        raise ValueError("faults.toml: the kinds are not those of the contract")
    for row in bits:
        signs = (row.low_erased, row.low_programmed, row.high)
        if row.kind not in KINDS or any(s not in _SHARES for s in signs) or row.before not in ("0", "1", "any"):
            raise ValueError(f"faults.toml: a bit row of {row.kind} is wrong")
    return Models(kinds, bits, tuple(table["flags"].items()), **table["limits"])
