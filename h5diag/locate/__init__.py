"""Find where the pieces of a known image landed in a flash dump."""

from h5diag.locate.engine import locate
from h5diag.locate.placement import Displacement, LineFault, LineState, Placement, Region, Transform

__all__ = ["Displacement", "LineFault", "LineState", "Placement", "Region", "Transform", "locate"]
