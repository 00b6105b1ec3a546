"""What all panels are made of: long work off the event loop, with progress, cancel and errors that say what to do next.

Every text goes through `escape`; colours follow the theme.
"""

from __future__ import annotations

import asyncio
import threading
import time
import traceback
from base64 import b64encode
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import traitlets

from h5diag.errors import Cancelled, H5DiagError
from h5diag.memory import Cancel, Progress
from h5diag.show.printing import Amount, Pace

if TYPE_CHECKING:
    from h5diag.show.plots import Picture


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


INK = "var(--jp-content-font-color1, #1a1a1a)"
SOFT = "var(--jp-content-font-color2, #555)"
SHADE = "var(--jp-layout-color2, #f2f4f6)"


def status_html(text: str) -> str:
    """Return a remark that a screen reader reads when it changes."""
    return f"<div role='status' class='h5-status' style='color:{SOFT};line-height:1.4'>{escape(text)}</div>"


def stale_html(title: str) -> str:
    """Return a warning that what a notebook shows below is about another case."""
    return _framed(
        f"<b>The cells below are still about another case: {escape(title)}.</b> To have them follow, press Run here, then"
        " click into the next cell and choose Run &gt; Run Selected Cell and All Below.",
        "status",
        "h5-stale",
    )


def alert_html(problem: str, detail: str = "") -> str:
    """Return an error with what to do next; nothing when there is none."""
    if not problem:
        return ""
    more = (
        f"<details><summary>details</summary><pre style='white-space:pre-wrap'>{escape(detail)}</pre></details>"
        if detail
        else ""
    )
    return _framed(f"<b>Could not do that.</b> {escape(problem)}{more}", "alert", "h5-alert")


def _framed(body: str, role: str, kind: str) -> str:
    frame = f"border:2px solid #D55E00;border-left-width:8px;padding:6px 10px;color:{INK};background:{SHADE};line-height:1.4"
    return f"<div role='{role}' class='{kind}' style='{frame}'>{body}</div>"


class JobBar(widgets.VBox):  # type: ignore[misc]
    """Run and Cancel, a progress bar, the status and the errors of a `Job`.

    `run` and `cancel` are the buttons; whoever owns the bar says what `run` does.
    """

    def __init__(self, job: Job, run_label: str = "Run") -> None:
        self.job = job
        self.run = widgets.Button(
            description=run_label,
            button_style="primary",
            tooltip=run_label,
            layout=widgets.Layout(width="auto", min_width="9em"),
        )
        self.cancel = widgets.Button(description="Cancel", disabled=True, tooltip="Stop the work")
        self.bar = widgets.FloatProgress(min=0.0, max=1.0, layout=widgets.Layout(width="16em", display="none"))
        self.status = widgets.HTML(status_html(""))
        self.alert, self.said = widgets.HTML(), widgets.HTML()
        line = widgets.HBox([self.run, self.cancel, self.bar, self.status], layout=widgets.Layout(align_items="center"))
        super().__init__([line, self.said, self.alert])
        self.cancel.on_click(lambda _: job.cancel())
        job.observe(lambda _: self._show(), ["running", "fraction", "status", "problem", "detail", "messages"])
        self._show()

    def _show(self) -> None:
        job = self.job
        self.run.disabled, self.cancel.disabled = job.running, not job.running
        self.bar.layout.display = "" if job.running else "none"
        self.bar.value = job.fraction
        self.status.value = status_html(" · ".join(filter(None, (job.status, job.pace))))
        self.said.value = "".join(status_html(text) for text in job.messages)
        self.alert.value = alert_html(job.problem, job.detail)


def linked(model: traitlets.HasTraits, trait: str, control: Any) -> Any:
    """Return a control that shows a trait of a model and sets it."""
    widgets.link((model, trait), (control, "value"))
    return control


def emptied(box: widgets.Box) -> None:
    """Take everything out of a box and close it."""
    for child in box.children:
        child.close()
    box.children = ()


def with_still(bundle: Any, picture: Picture) -> Any:
    """Add a picture to what a notebook keeps of a panel, for an export that has no kernel: HTML, and PNG for LaTeX."""
    if bundle:
        bundle["text/html"] = picture._repr_html_()
        bundle["image/png"] = b64encode(picture.png).decode("ascii")
    return bundle
