"""From a score to an expectation: how many hits as good unrelated contents of this size would show.

The fit is nominal: it was made on pairs of unrelated firmware and holds for content like theirs. It is data,
``calibration.toml``, made by ``benchmarks/locate_calibrate.py``.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from math import log2

STRONG = 1e-3
"""A region with a larger expectation than this is weak."""

SHOWN = 10.0
"""A region with a larger expectation than this is not reported at all."""

LEAST = 45.0
"""Nor is one that scores fewer bits than this, wherever it stands."""

CERTAIN = 400.0
"""From this score on a piece may be anything but verbatim: no unrelated pair reached it."""

RICH = 5.0
"""Below `CERTAIN` a piece at a place of no meaning needs so many bits in each byte."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Expectation ``2**(log2_k - slope * score) * cells``, fitted on the pairs of one instruction set."""

    isa: str
    slope: float
    log2_k: float
    pairs: int
    log2_cells: float
    ref: str

    def expectation(self, score: float, cells: float) -> float:
        """Return the nominal number of chance hits of at least `score` bits in `cells` comparisons."""
        return float(2.0 ** min(self.log2_k - self.slope * score + log2(max(cells, 1.0)), 200.0))


@lru_cache(maxsize=1)
def fits() -> tuple[Fit, ...]:
    """Return the fits of all instruction sets."""
    text = resources.files("h5diag.measure.locate").joinpath("calibration.toml").read_text("utf-8")
    return tuple(Fit(**table) for table in tomllib.loads(text)["fit"])


@dataclass(frozen=True, slots=True)
class Ground:
    """What the comparison ran over.

    `reference` and `dump` are bytes of content on either side, `sector` is the erase unit.
    """

    reference: int
    dump: int
    sector: int

    def cells(self, displacement: int, dump_offset: int, known: bool) -> float:
        """Return among how many places a hit like this one is the best.

        A hit where flash content is moved on purpose competes with few places: on a displacement that is
        `known` (in place, a bank, a slot, or one that a long piece proves already), moved by whole sectors, or,
        narrower still, from the start of a sector to the start of a sector.
        """
        everywhere = float(self.reference) * self.dump
        classes = [everywhere]
        if known:
            classes.append(float(min(self.reference, self.dump)))
        if displacement % self.sector == 0:
            classes.append(everywhere / self.sector)
            if dump_offset % self.sector == 0:
                classes.append(max(everywhere / self.sector / self.sector, 1.0))
        return min(classes) * len(classes)


def expectation(score: float, cells: float) -> float:
    """Return the nominal expectation under the most cautious of the fits."""
    return float(2.0 ** min(max(f.log2_k - f.slope * score for f in fits()) + log2(max(cells, 1.0)), 200.0))


def is_weak(score: float, size: int, cells: float, ground: Ground) -> bool:
    """Tell whether a hit could be chance."""
    if expectation(score, cells) > STRONG:
        return True
    structured = cells < float(ground.reference) * ground.dump
    return not structured and score < CERTAIN and score / size < RICH
