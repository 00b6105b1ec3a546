"""Laying a write-up out as HTML or Markdown. Every text of a stranger is escaped by the template engine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from h5diag.judge.verdict import Status
from h5diag.show.plots import Picture
from h5diag.show.report.write_up import NOT_STATED, WriteUp

Removed = Sequence[str]
"""What was taken out, one phrase each; empty when nothing was."""

_SPECIAL = re.compile(r"([\\`*_\[\]|~#])")


def html(write_up: WriteUp, pictures: Sequence[Sequence[Picture]], removed: Removed) -> str:
    """Return one file that opens anywhere, makes no request and prints well."""
    return _render("write_up.html.j2", write_up, pictures=pictures, removed=removed, autoescape=True)


def fragment(write_up: WriteUp, pictures: Sequence[Sequence[Picture]]) -> str:
    """Return the answer and the pictures alone, to stand inside a notebook."""
    return _render("fragment.html.j2", write_up, pictures=pictures, removed=(), autoescape=True)


def markdown(write_up: WriteUp, pictures: Sequence[Sequence[tuple[Path, str]]], removed: Removed) -> str:
    """Return text for a forum post; `pictures` are paths of PNG files and their words."""
    text = _render("write_up.md.j2", write_up, pictures=pictures, removed=removed, autoescape=False)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _render(template: str, write_up: WriteUp, *, autoescape: bool, **more: object) -> str:
    environment = Environment(
        loader=PackageLoader("h5diag.show.report", "templates"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["md"] = _plain_markdown
    return environment.get_template(template).render(w=write_up, Status=Status, not_stated=NOT_STATED, **more)


def _plain_markdown(text: object) -> str:
    """Return a text that Markdown shows as it is: no markup, no tag, no table cell begins in it."""
    line = " ".join(str(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = _SPECIAL.sub(r"\\\1", line)
    return re.sub(r"(?i)\b(https?|ftp|data|javascript):", r"\1&#58;", line)
