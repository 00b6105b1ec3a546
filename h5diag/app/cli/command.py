"""What a command of the command line is made of, and the few things that all commands share."""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace, _ActionsContainer
from collections.abc import Callable, Mapping
from operator import methodcaller
from typing import TYPE_CHECKING, Any, NamedTuple

from h5diag.show.printing import progress_bar, remark

if TYPE_CHECKING:
    from pathlib import Path

    from h5diag.answer import Answer
    from h5diag.chip import ChipChoice
    from h5diag.show.sheet import Sheet

__all__ = [
    "Argument",
    "Command",
    "Result",
    "address_range",
    "argument",
    "number",
    "one_of",
    "progress_bar",
    "report_path",
    "result_of",
    "say_chip",
    "with_report",
    "wrapped",
]


class Result(NamedTuple):
    """What a command found: a JSON document for programs and a text for a person.

    Parameters
    ----------
    document
        Plain dicts, lists, strings, numbers, booleans and None; addresses and sizes as integers.
    text
        The same for a person: a sheet, what makes one where nobody may look, or a text without trailing line end.
        Texts of strangers may be in it: the frame prints nothing of them that steers a terminal.
    status
        Exit status; 0 whatever the verdict.
    """

    document: Mapping[str, object]
    text: str | Sheet | Callable[[], Sheet]
    status: int = 0


def result_of(answer: Answer, *, status: int = 0, report: str = "", **more: Any) -> Result:
    """Return what a command prints of a result of the library; `more`, and a `report`, go into the document too."""
    from h5diag.show.view import view_of

    view = view_of(answer)
    document = view.document(answer) | more | ({"report": report} if report else {})
    return Result(document, lambda: with_report(view.sheet(answer), report), status)


def with_report(sheet: Sheet, report: str) -> Sheet:
    """Return a sheet that says last where the write-up is; as it was without one."""
    from dataclasses import replace

    from h5diag.show.sheet import section

    more = section("", f"Write-up: {report}" if report else None)
    return replace(sheet, sections=(*sheet.sections, more)) if more else sheet


def report_path(text: str | None) -> Path | None:
    """Return where a write-up goes, looked at before the work begins; InputError when it cannot be written there."""
    from pathlib import Path

    if not text:
        return None
    from h5diag.errors import InputError
    from h5diag.evidence.door import is_folder
    from h5diag.show.report import is_markdown

    report = Path(text)
    is_markdown(report)
    if not is_folder(report.parent):
        raise InputError("there is no such folder", source=str(report.parent))
    return report


def say_chip(choice: ChipChoice | None) -> None:
    """Say on standard error that a chip is only assumed."""
    if choice is not None and choice.assumed:
        remark(f"h5diag: {choice.text}")


Argument = Callable[[_ActionsContainer], object]
"""Adds an argument, or several that belong together, to a parser."""


def argument(*names: str, **how: Any) -> Argument:
    """Return an argument as `ArgumentParser.add_argument` is told it."""
    return methodcaller("add_argument", *names, **how)


def one_of(*arguments: Argument) -> Argument:
    """Return arguments of which exactly one must be given."""

    def add(parser: _ActionsContainer) -> None:
        group = parser.add_mutually_exclusive_group(required=True)
        for one in arguments:
            one(group)

    return add


class Command(NamedTuple):
    """A command (or, with `commands`, a group of commands).

    Parameters
    ----------
    name
        The word on the command line.
    help
        One line that says what it does.
    arguments
        The command's own. ``--json`` and ``--quiet`` are there already.
    run
        Does the work. Heavy rooms are imported inside it, so that ``h5diag --help`` stays quick.
    commands
        Sub-commands; then `run` is never called.
    examples
        Lines that can be typed as they are, shown by ``--help``.
    exits
        What an exit status means for this command beyond the usual.
    """

    name: str
    help: str
    arguments: tuple[Argument, ...] = ()
    run: Callable[[Namespace], Result] = lambda options: Result({}, "")
    commands: tuple[Command, ...] = ()
    examples: tuple[str, ...] = ()
    exits: str = ""


def wrapped(text: str, first: str = "", rest: str | None = None) -> str:
    """Return a paragraph in lines of 100 characters; `first` leads the first one, `rest` (or `first`) the others."""
    from textwrap import fill

    return fill(
        text,
        100,
        initial_indent=first,
        subsequent_indent=first if rest is None else rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def number(text: str) -> int:
    """Return the number written as ``0x..``, ``0b..`` or decimal, with ``_`` allowed, for argparse."""
    try:
        return int(text.strip(), 0)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a number; write 0x08000000 or 134217728") from None


def address_range(text: str) -> tuple[int, int]:
    """Return ``(start, stop)`` out of ``START:STOP`` (half-open), for argparse."""
    start, colon, stop = text.partition(":")
    if not colon:
        raise ArgumentTypeError(f"{text!r} is not a range; write START:STOP, STOP not included")
    a, b = number(start), number(stop)
    if a >= b or a < 0:
        raise ArgumentTypeError(f"{text!r} is an empty range; STOP must be above START")
    return a, b
