"""Find where the pieces of a known image landed in a flash dump.

The names are looked up when they are used.
"""

from typing import TYPE_CHECKING

from h5diag.evidence import by_name

if TYPE_CHECKING:
    from h5diag.measure.locate.correlation import (
        Correlation as Correlation,
        Mark as Mark,
        agreement_at as agreement_at,
        correlate as correlate,
    )
    from h5diag.measure.locate.placement import (
        Displacement as Displacement,
        LineFault as LineFault,
        LineState as LineState,
        Pattern as Pattern,
        PatternKind as PatternKind,
        Placement as Placement,
        Region as Region,
        Transform as Transform,
    )
    from h5diag.measure.locate.search import Prepared as Prepared, locate as locate, prepare as prepare

_HOMES = {
    "correlation": "Correlation Mark agreement_at correlate",
    "placement": "Displacement LineFault LineState Pattern PatternKind Placement Region Transform",
    "search": "Prepared locate prepare",
}


__getattr__ = by_name(__name__, _HOMES)
