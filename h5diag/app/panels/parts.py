"""The small pieces that all panels are made of. Every text goes through `escape`; colours follow the theme."""

from __future__ import annotations

from base64 import b64encode
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from h5diag.app.panels.work import Job

if TYPE_CHECKING:
    from h5diag.show.plots import Picture

INK = "var(--jp-content-font-color1, #1a1a1a)"
SOFT = "var(--jp-content-font-color2, #555)"
LINE = "var(--jp-border-color1, #bbb)"
SHADE = "var(--jp-layout-color2, #f2f4f6)"
EDGES = {"calm": "#0072B2", "open": "#E69F00", "warn": "#D55E00", "fault": "#CC2936"}
MARKS = {"calm": "✓", "open": "?", "warn": "!", "fault": "✗"}


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


def table_html(caption: str, heads: list[str], rows: list[list[str]], kind: str = "") -> str:
    """Return a table with a caption; the first cell of a row is its head."""
    cell = f"style='border:1px solid {LINE};padding:3px 8px;text-align:left;vertical-align:top'"
    head = "".join(f"<th scope='col' {cell}>{escape(h)}</th>" for h in heads)
    body = "".join(
        "<tr>"
        + f"<th scope='row' {cell}>{escape(r[0])}</th>"
        + "".join(f"<td {cell}>{escape(c)}</td>" for c in r[1:])
        + "</tr>"
        for r in rows
    )
    return (
        f"<table class='{escape(kind)}' style='border-collapse:collapse;color:{INK};font-size:13px;line-height:1.4'>"
        f"<caption style='text-align:left;color:{SOFT}'>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


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


def with_still(bundle: Any, picture: Picture) -> Any:
    """Add a picture to what a notebook keeps of a panel, for an export that has no kernel: HTML, and PNG for LaTeX."""
    if bundle:
        bundle["text/html"] = picture._repr_html_()
        bundle["image/png"] = b64encode(picture.png).decode("ascii")
    return bundle
