"""A finished plot as a picture that a notebook, a write-up or a file takes."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Picture:
    """A plot as an SVG or PNG, with the words for somebody who cannot see it.

    Parameters
    ----------
    name
        Short word, fit for a file name.
    title
        What it shows.
    alt
        What it says, in a sentence.
    data
        The drawing; in an SVG letters are outlines, so that it looks the same everywhere.
    kind
        ``svg+xml`` or ``png``.
    """

    name: str
    title: str
    alt: str
    data: bytes = field(repr=False)
    kind: str = "svg+xml"

    @property
    def data_url(self) -> str:
        """The drawing as a ``data:`` address: no file and no network is needed."""
        return f"data:image/{self.kind};base64,{base64.b64encode(self.data).decode('ascii')}"

    def _repr_html_(self) -> str:
        return (
            f'<figure style="margin:0;background:#fff;color:#1a1a1a;padding:6px"><img alt="{escape(self.alt)}" '
            f'src="{self.data_url}" style="max-width:100%"></figure>'
        )


def picture(ax: Axes, *, name: str, alt: str, pixels: bool = False) -> Picture:
    """Return the figure of these axes as a picture; the same figure gives the same bytes.

    With `pixels` it is a PNG, which holds no text whatever the plot says.
    """
    figure, title, out = _figure(ax), ax.get_title(loc="left"), io.BytesIO()
    if pixels:
        _write_png(figure, out, 130)
        return Picture(name, title, alt, out.getvalue(), "png")
    with rc_context({"svg.hashsalt": name, "svg.fonttype": "path"}):
        FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    # The backend repeats every text in a comment, which doubles the size.
    return Picture(name, title, alt, re.sub(rb"\s*<!--.*?-->", b"", out.getvalue(), flags=re.DOTALL))


def save_png(ax: Axes, path: Path, *, dpi: int = 110) -> None:
    """Write the figure of these axes as a PNG."""
    _write_png(_figure(ax), path, dpi)


def _write_png(figure: Figure, out: Path | io.BytesIO, dpi: int) -> None:
    FigureCanvasAgg(figure)
    figure.savefig(out, format="png", dpi=dpi, metadata={"Software": None})


def _figure(ax: Axes) -> Figure:
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("the axes belong to no figure")
    return figure
