"""A finished plot: as a picture that a notebook, a write-up or a file takes, or live, to be clicked and zoomed (ipympl)."""

from __future__ import annotations

import base64
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from itertools import count
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from h5diag.errors import InputError
from h5diag.evidence.door import write_whole
from h5diag.show.plots._matplotlib import figure_of, png, svg

DARK = (
    "<style>"
    + "".join(
        f"{dark} .h5-figure{{background:#15181c!important}}{dark} .h5-figure img{{filter:invert(.92) hue-rotate(180deg)}}"
        for dark in ('body[data-jp-theme-light="false"]', "body.vscode-dark")
    )
    + "</style>"
)
"""On a dark page a picture is turned to dark paper; the hues, which mean something, stay."""


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
    figure
        What it was drawn from, for another format; None when it was loaded.
    """

    name: str
    title: str
    alt: str
    data: bytes = field(repr=False)
    kind: str = "svg+xml"
    figure: Any = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.title}: {self.alt}"

    @property
    def png(self) -> bytes:
        """The drawing as a PNG."""
        return self.data if self.kind == "png" or self.figure is None else png(self.figure, 110)

    def save(self, path: str | Path) -> Path:
        """Write it to a ``.svg`` or ``.png`` file; InputError when it is to be neither."""
        path = Path(path)
        if path.suffix.lower() not in (".svg", ".png"):
            raise InputError("a picture is .svg or .png", source=str(path))
        write_whole(path, self.png if path.suffix.lower() == ".png" else self.data)
        return path

    @property
    def data_url(self) -> str:
        """The drawing as a ``data:`` address: no file and no network is needed."""
        return f"data:image/{self.kind};base64,{base64.b64encode(self.data).decode('ascii')}"

    def _repr_html_(self) -> str:
        return (
            f'{DARK}<figure class="h5-figure" style="margin:0;background:#fff;color:#1a1a1a;padding:6px">'
            f'<img alt="{escape(self.alt)}" src="{self.data_url}" style="max-width:100%"></figure>'
        )

    def _repr_png_(self) -> bytes:
        return self.png


def picture(ax: Axes, *, name: str, alt: str, pixels: bool = False) -> Picture:
    """Return the figure of these axes as a picture; the same figure gives the same bytes.

    With `pixels` it is a PNG, which holds no text whatever the plot says.
    """
    figure, title = figure_of(ax), ax.get_title(loc="left")
    if pixels:
        return Picture(name, title, alt, png(figure, 130), "png")
    return Picture(name, title, alt, svg(figure, name), figure=figure)


def save_png(ax: Axes, path: Path, *, dpi: int = 110) -> None:
    """Write the figure of these axes as a PNG."""
    write_whole(path, png(figure_of(ax), dpi))


DPI, WIDEST, TOOLS = 82, 840, 44
"""Pixels an inch and in all, so that a plot fits beside the sidebar of a laptop's notebook; those that its tools lie over."""

_NUMBERS = count(1)


def live(ax: Axes, *, on_click: Callable[[float, float], None] | None = None) -> Any:
    """Return the widget that shows the figure of these axes.

    Parameters
    ----------
    ax
        What a plot function returned; nothing of matplotlib's global state is used.
    on_click
        Called with the data coordinates of a click in these axes, not while zooming or panning.
    """
    from ipympl.backend_nbagg import Canvas, FigureManager

    figure: Any = ax.get_figure(root=True)
    figure.set_dpi(DPI)
    figure.set_figwidth(min(figure.get_figwidth(), WIDEST / DPI))
    left = TOOLS / (DPI * figure.get_figwidth())
    figure.get_layout_engine().set(rect=(left, 0, 1 - left, 1))
    with warnings.catch_warnings():
        # ipympl's toolbar hands its argument on to traitlets, which says so with every plot.
        warnings.simplefilter("ignore", DeprecationWarning)
        canvas = Canvas(figure)
        manager = FigureManager(canvas, next(_NUMBERS))
    canvas.header_visible = False
    canvas.footer_visible = True
    canvas.resizable = False
    canvas.toolbar_position = "left"
    canvas.layout.max_width, canvas.layout.overflow = "100%", "auto"  # a narrow page scrolls, it cuts nothing off
    if on_click is not None:

        def clicked(event: Any) -> None:
            if event.inaxes is ax and not manager.toolbar.mode and event.xdata is not None:
                on_click(float(event.xdata), float(event.ydata))

        canvas.mpl_connect("button_press_event", clicked)
    return canvas


def follow(first: Axes, second: Axes, to_second: Callable[[float], float], to_first: Callable[[float], float]) -> None:
    """Let a zoom of one plot move the other: the functions turn an x of one into an x of the other."""
    busy = False

    def linked(source: Axes, target: Axes, convert: Callable[[float], float]) -> None:
        def moved(_: object) -> None:
            nonlocal busy
            figure = target.get_figure(root=True)
            if not busy and figure is not None:
                busy = True
                target.set_xlim(*(convert(x) for x in source.get_xlim()))
                figure.canvas.draw_idle()
                busy = False

        source.callbacks.connect("xlim_changed", moved)

    linked(first, second, to_second)
    linked(second, first, to_first)
