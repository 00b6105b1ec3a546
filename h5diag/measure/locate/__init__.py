"""Find where the pieces of a known image landed in a flash dump."""

from h5diag.measure.locate.bits import LineFault, LineState
from h5diag.measure.locate.correlation import Correlation, Mark, agreement_at, correlate
from h5diag.measure.locate.placement import (
    Displacement,
    Pattern,
    PatternKind,
    Placement,
    Region,
    Transform,
)
from h5diag.measure.locate.search import Prepared, locate, prepare

__all__ = [
    "Correlation",
    "Displacement",
    "LineFault",
    "LineState",
    "Mark",
    "Pattern",
    "PatternKind",
    "Placement",
    "Prepared",
    "Region",
    "Transform",
    "agreement_at",
    "correlate",
    "locate",
    "prepare",
]
