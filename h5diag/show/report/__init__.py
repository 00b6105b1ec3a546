"""The write-up of a case: one HTML file or one Markdown text, offline, without firmware on request."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from h5diag.errors import InputError
from h5diag.judge import BoardDiagnosis, BoardFacts, Diagnosis
from h5diag.show.report.layouts import fragment, html, markdown
from h5diag.show.report.pictures import Drawing, drawings
from h5diag.show.report.redaction import Redactor, make_redactor
from h5diag.show.report.write_up import gather

REMOVED = ("raw firmware bytes", "unique ids and serial numbers", "paths", "names and contents of key files")

__all__ = ["REMOVED", "fragment_html", "render_html", "render_markdown", "write_report"]


def write_report(diagnosis: Diagnosis, path: str | Path, *, redact: bool = False, plots: Path | None = None) -> Path:
    """Write the write-up of a diagnosis.

    Parameters
    ----------
    diagnosis
        What `h5diag.judge.diagnose` returned.
    path
        ``.html`` or ``.md``; the folder must exist. Beside a ``.md`` its plots are written as PNG files.
    redact
        Take out firmware bytes, ids, serial numbers, paths and keys. Addresses, sizes, hashes of files and
        statistics stay.
    plots
        Folder into which the plots are written as PNG files too.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InputError
        When the ending is neither, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm", ".md"):
        raise InputError("a write-up is .html or .md", source=str(path))
    try:
        if path.suffix.lower() == ".md":
            path.write_text(
                render_markdown(diagnosis, folder=path.parent, prefix=path.stem + "-", redact=redact),
                encoding="utf-8",
                newline="\n",
            )
        else:
            path.write_text(render_html(diagnosis, redact=redact), encoding="utf-8", newline="\n")
        if plots is not None:
            for sheet in _sheets(diagnosis, make_redactor(diagnosis.case) if redact else None):
                for d in sheet:
                    d.save(plots)
    except OSError as error:
        raise InputError(f"cannot be written ({error.strerror})", source=str(path)) from None
    return path


def render_html(diagnosis: Diagnosis, *, redact: bool = False) -> str:
    """Return the write-up as one HTML document that needs nothing else."""
    redactor = make_redactor(diagnosis.case) if redact else None
    write_up = gather(diagnosis)
    pictures = [[d.picture(pixels=redact) for d in sheet] for sheet in _sheets(diagnosis, redactor)]
    if redactor is None:
        return html(write_up, pictures, ())
    return redactor.document(html(redactor.value(write_up), pictures, REMOVED))


def fragment_html(diagnosis: Diagnosis) -> str:
    """Return the answer and the pictures as a piece of HTML for a notebook's output: no script, no request."""
    return fragment(gather(diagnosis), [[d.picture() for d in sheet] for sheet in _sheets(diagnosis, None)])


def render_markdown(diagnosis: Diagnosis, *, folder: Path, prefix: str = "", redact: bool = False) -> str:
    """Return the write-up as Markdown; its plots are written into `folder` as PNG files."""
    redactor = make_redactor(diagnosis.case) if redact else None
    write_up = gather(diagnosis)
    pictures = [[(d.save(folder, prefix), d.alt) for d in sheet] for sheet in _sheets(diagnosis, redactor)]
    if redactor is None:
        return markdown(write_up, pictures, ())
    return redactor.document(markdown(redactor.value(write_up), pictures, REMOVED))


def _sheets(diagnosis: Diagnosis, redactor: Redactor | None) -> list[tuple[Drawing, ...]]:
    boards = diagnosis.boards if redactor is None else [_renamed(b, redactor) for b in diagnosis.boards]
    return [drawings(b, number=n) for n, b in enumerate(boards)]


def _renamed(board: BoardDiagnosis, redactor: Redactor) -> BoardDiagnosis:
    """Return the same diagnosis with names that may stand in a picture."""

    def cleaned(facts: BoardFacts) -> BoardFacts:
        return replace(facts, board=replace(facts.board, name=redactor.text(facts.board.name)))

    m = board.measured
    return replace(board, measured=replace(m, good=cleaned(m.good), suspect=cleaned(m.suspect)))
