"""What a command of the command line is made of, and the few things that all commands share."""

from __future__ import annotations

import re
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from textwrap import fill

from h5diag.memory import Progress

_PARTS = re.compile(r"[ -~]+|\r\n|.", re.S)
_SPACES = "\u00a0\u2007\u2009\u200a\u202f\u3000"


@dataclass(frozen=True, slots=True)
class Result:
    """What a command found: a JSON document for programs and a text for a person.

    Parameters
    ----------
    document
        Plain dicts, lists, strings, numbers, booleans and None; addresses and sizes as integers.
    text
        The same for a person: the answer first, aligned, addresses in hex. No trailing line end. Texts of strangers
        may be in it: what steers a terminal, or the direction of writing, becomes a question mark.
    status
        Exit status; 0 whatever the verdict.
    """

    document: Mapping[str, object]
    text: str
    status: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(
            self,
            "text",
            "".join(
                part if part.isprintable() or part in ("\n", "\r\n", "\t") else " " if part in _SPACES else "?"
                for part in _PARTS.findall(self.text)
            ),
        )


@dataclass(frozen=True, slots=True)
class Command:
    """A command (or, with `commands`, a group of commands).

    Parameters
    ----------
    name
        The word on the command line.
    help
        One line that says what it does.
    arguments
        Adds the command's own arguments to its parser. ``--json`` is there already.
    run
        Does the work. Heavy rooms are imported inside it, so that ``h5diag --help`` stays quick.
    commands
        Sub-commands; then `run` is never called.
    """

    name: str
    help: str
    arguments: Callable[[ArgumentParser], None] = lambda parser: None
    run: Callable[[Namespace], Result] = lambda options: Result({}, "")
    commands: tuple[Command, ...] = ()


def wrapped(text: str, first: str = "", rest: str | None = None) -> str:
    """Return a paragraph in lines of 100 characters; `first` leads the first one, `rest` (or `first`) the others."""
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


@contextmanager
def progress_bar(label: str) -> Iterator[Progress]:
    """Give a `Progress` that draws a bar on standard error after a second, on a terminal only."""
    begun, drawn = time.monotonic(), False

    def show(fraction: float) -> None:
        nonlocal drawn
        if sys.stderr.isatty() and (drawn or time.monotonic() - begun > 1.0):
            drawn = True
            done = round(30 * min(max(fraction, 0.0), 1.0))
            sys.stderr.write(f"\r{label} [{'#' * done}{'.' * (30 - done)}] {fraction:4.0%}")
            sys.stderr.flush()

    try:
        yield show
    finally:
        if drawn:
            sys.stderr.write("\n")
