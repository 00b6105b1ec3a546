"""The one way out to a terminal: nothing printed steers it, whatever a stranger's file holds."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING

from h5diag.errors import InputError

if TYPE_CHECKING:
    from h5diag.memory import Progress

_PARTS = re.compile(r"[ -~]+|\r\n|.", re.S)
_SPACES = "\u00a0\u2007\u2009\u200a\u202f\u3000"
_BAR_AFTER_S = 1.0
"""Work that is done sooner shows no bar."""

_quiet = False
_bar_open = False
"""Whether the cursor stands behind a bar: what is said next begins a line of its own."""


def be_quiet(quiet: bool) -> None:
    """Say whether remarks and bars are left out; errors and results are not."""
    global _quiet
    _quiet = quiet


def clean(text: str) -> str:
    """Return a text in which nothing steers a terminal or turns the direction of writing: it becomes ``?``."""
    return "".join(
        part if part.isprintable() or part in ("\n", "\r\n", "\t") else " " if part in _SPACES else "?"
        for part in _PARTS.findall(text)
    )


def write(text: str) -> None:
    """Write a result to standard output, as it is: `clean` it first unless it is a program's own format."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read it has seen enough
        raise
    except OSError as error:
        sys.stdout = StringIO()  # what is left of it would fail again when the program ends
        raise InputError(
            f"cannot be written to ({error.strerror})",
            source="standard output",
            advice="nothing was lost: run it again",
        ) from None


def remark(text: str) -> None:
    """Write a line that is no result to standard error, unless it shall be quiet."""
    if not _quiet:
        error(text)


def error(text: str) -> None:
    """Write a line to standard error, below a bar that is being drawn; where that is full, nobody is told."""
    try:
        _leave_bar()
        sys.stderr.write(clean(text) + "\n")
        sys.stderr.flush()
    except OSError:
        sys.stderr = StringIO()


def _leave_bar() -> None:
    global _bar_open
    if _bar_open:
        _bar_open = False
        sys.stderr.write("\n")


def ask(question: str) -> str:
    """Return the line that a person types after a question on standard error; empty at the end of the input."""
    _leave_bar()
    sys.stderr.write(clean(question))
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def somebody_there() -> bool:
    """Tell whether a person sits at this terminal."""
    return bool(sys.stdin and sys.stdin.isatty() and sys.stderr.isatty())


def width() -> int:
    """Return how many columns a text may take: the terminal's, or 100 where there is none."""
    import shutil

    return max(40, min(shutil.get_terminal_size((100, 24)).columns, 160))


def coloured() -> bool:
    """Tell whether colours may be written (see no-color.org)."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and sys.stdout.isatty()


def plain_streams() -> None:
    """Let a terminal without UTF-8 get question marks, not a traceback, and a closed stream nothing."""
    sys.stdout = sys.stdout or StringIO()
    sys.stderr = sys.stderr or StringIO()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def keep_line_ends() -> None:
    """Let what is written keep its own line ends: a script for another system is printed as it is."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(newline="")


@contextmanager
def progress_bar(label: str, amount: Amount = 0) -> Iterator[Progress]:
    """Give a `Progress` that draws a bar on standard error after a second, on a terminal only.

    The bar tells how long it still takes, and, where an amount of bytes is named, how many a second.
    """
    begun, drawn, pace = time.monotonic(), False, Pace(amount)

    def show(fraction: float) -> None:
        global _bar_open
        nonlocal drawn
        pace.begin(fraction)
        if not _quiet and sys.stderr.isatty() and (drawn or time.monotonic() - begun > _BAR_AFTER_S):
            drawn = _bar_open = True
            done = round(30 * min(max(fraction, 0.0), 1.0))
            sys.stderr.write(f"\r{label} [{'#' * done}{'.' * (30 - done)}] {fraction:4.0%}  {pace.text(fraction):24}")
            sys.stderr.flush()

    try:
        yield show
    finally:
        _leave_bar()


Amount = int | Callable[[], int]
"""Bytes of the whole work, or what counts the bytes done so far."""


class Pace:
    """How long the rest of a piece of work takes, and how fast it goes.

    Both are measured from the first fraction told on: what an earlier run left done was not done now.

    Parameters
    ----------
    amount
        Bytes; 0 tells no speed.
    clock
        Seconds.
    """

    def __init__(self, amount: Amount = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._amount, self._clock = amount, clock
        self._begun: tuple[float, float, float] | None = None

    def _bytes(self, fraction: float) -> float:
        return self._amount() if callable(self._amount) else fraction * self._amount

    def begin(self, fraction: float) -> None:
        """Note where the work begins; only the first call counts."""
        if self._begun is None:
            self._begun = (self._clock(), fraction, self._bytes(fraction))

    def text(self, fraction: float) -> str:
        """Return it in words; empty before anything is done."""
        if self._begun is None or fraction <= self._begun[1] or self._clock() <= self._begun[0]:
            return ""
        spent, done = self._clock() - self._begun[0], fraction - self._begun[1]
        left = round(spent * (1 - min(fraction, 1.0)) / done)
        speed = (self._bytes(fraction) - self._begun[2]) / spent / 1024
        told = f"{speed:.0f}" if speed >= 10 else f"{speed:.1f}"
        return f"{left // 60}:{left % 60:02} left" + (f", {told} KiB/s" if speed else "")
