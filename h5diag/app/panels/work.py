"""Long work off the event loop: one job at a time, with progress, cancel, and errors that say what to do next."""

from __future__ import annotations

import asyncio
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import traitlets

from h5diag.errors import Cancelled, H5DiagError
from h5diag.memory import Cancel, Progress
from h5diag.show.printing import Amount, Pace

Work = Callable[[Progress, Cancel], Any]
"""Runs in a thread; it touches no widget and no trait."""

_EVERY_S = 0.05
MOST_MESSAGES = 12


class Job(traitlets.HasTraits):  # type: ignore[misc]
    """The state of a piece of work.

    `problem` is one line that says what went wrong and what to do; `detail` is a traceback, only for what nobody
    expected. `status` says in words how it stands; after a stop it is what the library says was done and kept.
    `error` is the error that ended the last piece of work.
    """

    running = traitlets.Bool(False)
    fraction = traitlets.Float(0.0)
    status = traitlets.Unicode("")
    problem = traitlets.Unicode("")
    detail = traitlets.Unicode("")
    messages = traitlets.Tuple(help="what the library said meanwhile, the newest last")

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._stop = threading.Event()
        self._turn = 0
        self._pace = Pace()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.error: BaseException | None = None
        self.task: asyncio.Task[None] | None = None

    @property
    def pace(self) -> str:
        """How long the rest takes, and how fast it goes; empty when nothing runs."""
        return self._pace.text(self.fraction) if self.running else ""

    def start(self, work: Work, then: Callable[[Any], None], *, doing: str = "working", amount: Amount = 0) -> None:
        """Run `work`, of an amount of bytes where it is known, in a thread; give its result to `then` on the event loop.

        Nothing happens while a job runs. Without an event loop (a plain script) the work is done at once.
        """
        if self.running:
            return
        self._stop = threading.Event()
        self._turn += 1
        self._pace = Pace(amount)
        self.problem = self.detail = ""
        self.messages, self.error, self._loop = (), None, None
        self.fraction, self.status, self.running = 0.0, f"{doing} …", True
        try:
            loop = self._loop = asyncio.get_running_loop()
        except RuntimeError:
            self._finish(*_tried(work, self._show, self._stop.is_set), then, self._turn)
            return
        self.task = loop.create_task(self._run(work, then, self._turn, self._stop))

    def cancel(self) -> None:
        """Ask the work to stop; it ends at the next place where it looks."""
        if self.running:
            self._stop.set()
            self.status = "stopping …"

    def say(self, text: str) -> None:
        """Show what the library says while it works; may be called from its thread."""
        if self._loop is None:
            self._said(text)
        else:
            self._loop.call_soon_threadsafe(self._said, text)

    def _said(self, text: str) -> None:
        self.messages = (*self.messages, text)[-MOST_MESSAGES:]

    def forget(self) -> None:
        """Stop the work, if any, and drop its result whenever it comes; clear what was said."""
        self._stop.set()
        self._turn += 1
        self.running, self.fraction = False, 0.0
        self.status = self.problem = self.detail = ""
        self.messages = ()

    async def _run(self, work: Work, then: Callable[[Any], None], turn: int, stop: threading.Event) -> None:
        loop, shown = asyncio.get_running_loop(), 0.0

        def progress(fraction: float) -> None:
            nonlocal shown
            if time.monotonic() - shown >= _EVERY_S:
                shown = time.monotonic()
                loop.call_soon_threadsafe(self._show, fraction, turn)

        outcome = await asyncio.to_thread(_tried, work, progress, stop.is_set)
        self._finish(*outcome, then, turn)

    def _show(self, fraction: float, turn: int = -1) -> None:
        if turn in (-1, self._turn):
            self._pace.begin(fraction)
            self.fraction = min(max(float(fraction), 0.0), 1.0)

    def _finish(self, result: Any, error: BaseException | None, then: Callable[[Any], None], turn: int) -> None:
        if turn != self._turn:
            return  # the evidence has changed meanwhile: this result is about something else
        if error is None:
            try:
                then(result)
            except Exception as failed:
                error = failed
        self.error, self.running = error, False
        if error is None:
            self.fraction, self.status = 1.0, "done"
        elif isinstance(error, Cancelled):
            self.status = f"stopped by you: {error}" if str(error) else "stopped by you"
        else:
            self.status = ""
            self.problem, self.detail = problem_of(error)


def problem_of(error: BaseException) -> tuple[str, str]:
    """Return what to tell about an error: a line, and a traceback when nobody expected it."""
    if isinstance(error, H5DiagError):
        return str(error), ""
    text = (
        f"{type(error).__name__}: {error}. This is a fault of h5diag, not of the board: please report it with"
        " the text under 'details'."
    )
    return text, "".join(traceback.format_exception(error))


def _tried(work: Work, progress: Progress, cancel: Cancel) -> tuple[Any, BaseException | None]:
    try:
        return work(progress, cancel), None
    except Exception as error:
        return None, error
