"""A finished plot as a picture that a notebook, a write-up or a file takes."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from html import escape
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Picture:
    """A plot as an SVG, with the words for somebody who cannot see it.

    Parameters
    ----------
    name
        Short word, fit for a file name.
    title
        What it shows.
    alt
        What it says, in a sentence.
    svg
        The drawing; letters are outlines, so that it looks the same everywhere.
    """

    name: str
    title: str
    alt: str
    svg: bytes

    @property
    def data_url(self) -> str:
        """The drawing as a ``data:`` address: no file and no network is needed."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg).decode("ascii")

    def _repr_html_(self) -> str:
        return (f'<figure style="margin:0;background:#fff;color:#1a1a1a;padding:6px"><img alt="{escape(self.alt)}" '
                f'src="{self.data_url}" style="max-width:100%"></figure>')


def picture(ax: Axes, *, name: str, alt: str) -> Picture:
    """Return the figure of these axes as a picture; the same figure gives the same bytes."""
    figure = _figure(ax)
    out = io.BytesIO()
    with rc_context({"svg.hashsalt": name, "svg.fonttype": "path"}):
        FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    return Picture(name, ax.get_title(loc="left"), alt, out.getvalue())


def save_png(ax: Axes, path: Path, *, dpi: int = 110) -> None:
    """Write the figure of these axes as a PNG."""
    figure = _figure(ax)
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=dpi, metadata={"Software": None})


def _figure(ax: Axes) -> Figure:
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("the axes belong to no figure")
    return figure
