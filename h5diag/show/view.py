"""Which module shows a result: the one table from the classes of results to how each is shown.

Each module named here holds ``VIEWS``: class to `View`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from typing import TYPE_CHECKING, Any

from h5diag.show.sheet import Sheet

if TYPE_CHECKING:
    from h5diag.chip import ChipChoice
    from h5diag.memory import AddressRange

TOPICS = {
    "Chip": "evidence",
    "Layout": "evidence",
    "MemoryImage": "evidence",
    "Placement": "locate",
    "Correlation": "locate",
    "Comparison": "comparison",
    "Overview": "firmware",
    "Identity": "board",
    "Dump": "board",
    "Sweep": "board",
    "FlashTest": "board",
    "LoaderReading": "loader",
    "LoaderStory": "loader",
    "DryRun": "loader",
    "OptionBytes": "options",
    "SideBySide": "options",
    "LogReading": "options",
    "Paragraph": "explain",
    "Case": "evidence",
    "Sorted": "case",
    "Diagnosis": "diagnosis",
    "BoardDiagnosis": "diagnosis",
    "Boards": "diagnosis",
    "Inventory": "preflight",
    "Preflight": "preflight",
    "Reopening": "preflight",
    "Rehearsal": "preflight",
    "Fleet": "fleet",
}
"""Name of a result's class, and the module of this wing that shows it."""


@dataclass(frozen=True, slots=True)
class View:
    """How results of one class are shown.

    Parameters
    ----------
    sheet
        Result to sheet, for a person.
    document
        Result to plain values: the JSON of the command line.
    plot
        Result to `Picture`; None where there is nothing to draw.
    rows
        Key of the document whose list is the result's table; empty where it is no table.
    writer
        Name of the function of `h5diag.show.report` that writes it up, for what has a write-up.
    """

    sheet: Callable[[Any], Sheet]
    document: Callable[[Any], dict[str, Any]]
    plot: Callable[..., Any] | None = None
    rows: str = ""
    writer: str = "write_report"


def drawing(
    plot: str, name: str, words: Callable[[Any], str], of: Callable[[Any], Any] = lambda result: result
) -> Callable[..., Any]:
    """Return what draws a result with a plot of `h5diag.show.plots` (``slots.plot_slots``), loaded when it is drawn.

    `words` say what the picture does; `of` gives what the plot takes of the result.
    """
    module, _, function = plot.partition(".")

    def draw(result: Any, **options: Any) -> Any:
        from h5diag.show.plots.picture import picture

        draw_axes = getattr(import_module(f"h5diag.show.plots.{module}"), function)
        return picture(draw_axes(of(result), **options), name=name, alt=words(result))

    return draw


def chosen(choice: ChipChoice | None) -> dict[str, Any]:
    """Return the keys of a document that name the chip and how it is known; none when nobody asked."""
    return {} if choice is None else {**choice.to_dict(), "chip_assumed": choice.assumed}


def picked(found: object, names: str) -> dict[str, Any]:
    """Return attributes as the documents have them: enumerations by their values, tuples as lists."""
    values = ((n, getattr(found, n)) for n in names.split())
    return {n: v.value if isinstance(v, Enum) else list(v) if isinstance(v, tuple) else v for n, v in values}


def pairs(ranges: Iterable[AddressRange]) -> list[list[int]]:
    """Return ranges as the documents have them."""
    return [[r.start, r.stop] for r in ranges]


def view_of(result: object) -> View:
    """Return how a result is shown."""
    for cls in type(result).__mro__:
        if topic := TOPICS.get(cls.__name__):
            views: dict[type, View] = import_module(f"h5diag.show.{topic}").VIEWS
            if cls in views:
                return views[cls]
    raise TypeError(f"{type(result).__name__} has no view")
