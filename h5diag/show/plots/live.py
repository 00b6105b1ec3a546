"""A plot that can be clicked and zoomed in a notebook (ipympl); the same axes as in print."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import count
from typing import Any

from matplotlib.axes import Axes

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
