"""What a result is asked for by a person: its answer, text, HTML, Markdown, document, picture, table and write-up.

`h5diag.answer.Answer` looks this module up by name.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from h5diag.errors import InputError
from h5diag.show import printing, sheet
from h5diag.show.view import view_of


def short(result: object) -> str:
    """Return the answer of a result, 1 KiB at most."""
    return sheet.short_text(view_of(result).sheet(result))


def text(result: object) -> str:
    """Return a result as text for a terminal, nothing in it steers one."""
    return printing.clean(sheet.terminal(view_of(result).sheet(result), printing.width()))


def html(result: object) -> str:
    """Return a result as HTML for a notebook, 30 KiB at most."""
    return sheet.html(view_of(result).sheet(result))


def markdown(result: object) -> str:
    """Return what a notebook shows of a result as Markdown for an export, as long as its HTML at most."""
    whole = sheet.cleaned(view_of(result).sheet(result))
    kept = [replace(x, only="") for x in whole.sections if x.is_for("html")]
    while True:
        text = sheet.markdown(replace(whole, sections=tuple(kept)), level=4)
        if len(text.encode("utf-8")) <= sheet.MOST_HTML:
            return text
        if not kept:
            return sheet.markdown(
                replace(whole, headline=whole.headline[:400], badge="", name="", sections=()), level=4
            )
        del kept[next((i for i in reversed(range(len(kept))) if kept[i].folded), -1)]


def document(result: object) -> dict[str, Any]:
    """Return a result as the command line's JSON document."""
    return view_of(result).document(result)


def plot(result: object, **options: Any) -> Any:
    """Return the picture of a result.

    Raises
    ------
    InputError
        When there is nothing to draw.
    """
    view = view_of(result)
    if view.plot is None:
        raise InputError(f"there is no picture of a {type(result).__name__}", advice="print it, or use .to_dict()")
    return view.plot(result, **options)


def write_up(result: Any, path: str | Path, *, redact: bool = False) -> Path:
    """Write a diagnosis or a lot to one ``.html`` or ``.md`` file; see `h5diag.show.report`."""
    from h5diag.show import report

    written: Path = getattr(report, view_of(result).writer)(result, path, redact=redact)
    return written


def frame(result: object) -> Any:
    """Return the main table of a result as a ``pandas.DataFrame``.

    Raises
    ------
    InputError
        When the result is no table, or pandas is not installed.
    """
    view = view_of(result)
    if not view.rows:
        raise InputError(f"a {type(result).__name__} is no table", advice="use .to_dict()")
    try:
        pandas = import_module("pandas")
    except ImportError:
        raise InputError("a table needs pandas, which is not installed", advice="pip install pandas") from None
    rows = view.document(result)[view.rows]
    if isinstance(rows, dict):
        return pandas.DataFrame.from_dict(rows, orient="index")
    return pandas.json_normalize(list(rows))
