"""matplotlib as h5diag uses it: with its own defaults, and a finished figure as bytes.

Imported before anything else of matplotlib is. matplotlib looks for a ``matplotlibrc`` in the folder where the program
was started before anywhere else, and versions before 3.10.9 evaluate a line of it: a case folder that somebody mailed
could run code. So that one file is not seen while matplotlib is imported, and the settings are those beside this module.
"""

from __future__ import annotations

import io
import os
import re
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

SETTINGS = Path(__file__).with_name("matplotlibrc")


def _load() -> None:
    """Import matplotlib with the settings of this package, unless somebody did before."""
    if "matplotlib" in sys.modules:
        return
    exists = os.path.exists

    def elsewhere(path: Any) -> bool:
        return path != "matplotlibrc" and exists(path)

    with patch.object(os.path, "exists", elsewhere), patch.dict(os.environ, {"MATPLOTLIBRC": str(SETTINGS)}):
        import matplotlib  # noqa: F401 - imported for what it reads while it is


_load()

from matplotlib import rc_context  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402
from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

_SAFE: Any = {"text.usetex": False, "svg.fonttype": "path"}
"""Even where a notebook's own matplotlib is used: no external program runs, letters are outlines."""


def png(figure: Figure, dpi: int) -> bytes:
    """Return a figure as a PNG, which holds no text whatever the plot says."""
    out, usual = io.BytesIO(), figure.dpi
    figure.dpi = dpi
    try:
        with rc_context(_SAFE):  # not savefig, which draws everything once more to lay it out
            FigureCanvasAgg(figure).print_png(out, metadata={"Software": None})  # type: ignore[no-untyped-call]
    finally:
        figure.dpi = usual
    return out.getvalue()


def svg(figure: Figure, name: str) -> bytes:
    """Return a figure as an SVG; the same figure and name give the same bytes."""
    out = io.BytesIO()
    with rc_context({**_SAFE, "svg.hashsalt": name}):
        FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    # The backend repeats every text in a comment, which doubles the size.
    return re.sub(rb"\s*<!--.*?-->", b"", out.getvalue(), flags=re.DOTALL)


def figure_of(ax: Axes) -> Figure:
    """Return the figure that holds some axes."""
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("the axes belong to no figure")
    return figure
