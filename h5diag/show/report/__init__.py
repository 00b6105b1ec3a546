"""The write-up of a case: one HTML file or one Markdown text, offline, without firmware on request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from html import escape
from importlib import resources
from pathlib import Path
from urllib.parse import quote

from h5diag.case.case import UNNAMED
from h5diag.errors import InputError
from h5diag.evidence.door import write_whole
from h5diag.judge import BoardDiagnosis, BoardMeasured, Diagnosis, Measured
from h5diag.judge.fleet import Fleet
from h5diag.show.diagnosis import board_sheet, evidence_section, figures, folder_named, versions_section
from h5diag.show.fleet import figures as figures_of_lot
from h5diag.show.report.redaction import Redactor, make_redactor
from h5diag.show.sheet import Figure, Section, Sheet, cleaned, html, markdown, part_html, plain_markdown
from h5diag.show.view import view_of
from h5diag.text import count_text

REMOVED = (
    "raw firmware bytes",
    "unique ids and serial numbers",
    "paths, names of people and machines, network addresses",
    "passwords, names and contents of key files",
)
UNCHANGED = "Addresses, sizes, hashes of files and statistics are unchanged."
PICTURED = 20
"""Boards of a write-up that are drawn, a tenth of a second each; a case may have a thousand."""

__all__ = ["REMOVED", "fragment_html", "redactor_of", "render_html", "render_markdown", "write_lot", "write_report"]


def write_report(
    diagnosis: Diagnosis,
    path: str | Path,
    *,
    redact: bool | Redactor = False,
    plots: Path | None = None,
    typed: str = "",
) -> Path:
    """Write the write-up of a diagnosis.

    Parameters
    ----------
    diagnosis
        What `h5diag.judge.diagnose` returned.
    path
        ``.html`` or ``.md``; the folder must exist. Beside a ``.md`` its plots are written as PNG files.
    redact
        Take out firmware bytes, ids, serial numbers, paths and keys. Addresses, sizes, hashes of files and
        statistics stay. What `redactor_of` returned, where it was made already: it knows the whole firmware.
    plots
        Folder into which the plots are written as PNG files too.
    typed
        The case's folder as the person wrote it, for what can be typed next; a redacted copy does not name it.

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
    redactor = _redactor(diagnosis, redact)
    if is_markdown(path):
        text = render_markdown(
            diagnosis, folder=path.parent, prefix=path.stem + "-", redact=redactor or False, typed=typed
        )
    else:
        text = render_html(diagnosis, redact=redactor or False, typed=typed)
    if plots is not None:
        for n, board in enumerate(_boards(diagnosis, redactor)):
            for f in figures(board, number=n):
                _save(f, plots)
    return write_whole(path, text)


def write_lot(fleet: Fleet, path: str | Path, *, redact: bool = False) -> Path:
    """Write the write-up of a lot of boards; path and errors as for `write_report`.

    With `redact` no board and no file is named: addresses, counts, causes and times stay.
    """
    path, fleet = Path(path), fleet.redacted() if redact else fleet
    question = "Which boards of this lot are not like the others, where, and since when?"
    title = f"A lot of {count_text(fleet.boards, 'board')}"
    removed = ("names of boards and files",) if redact else ()
    whole = cleaned(view_of(fleet).sheet(fleet))
    drawn = tuple(Section(_PICTURES[f.name], (f,)) for f in figures_of_lot(fleet))
    whole = replace(whole, sections=(*drawn, *whole.sections))
    if is_markdown(path):
        text = markdown(
            whole,
            figure=lambda f: f"![{plain_markdown(f.alt)}]({quote(_save(f, path.parent, f'{path.stem}-').name)})",
        )
        gone = f"*Removed from this copy: {'; '.join(removed)}.*\n\n" if removed else ""
        return write_whole(path, f"# {title}\n\n{question}\n\n{gone}{text}\n\n{_now()}\n")
    body = f'<div class="verdict"><p class="summary">{escape(whole.headline)}</p></div>' + "".join(
        _section(x, 2, pixels=False) for x in whole.sections
    )
    return write_whole(path, _frame(title, f"{title}: which are not like the others?", question, body, removed=removed))


_PICTURES = {"sectors": "Where boards deviate", "time": "When boards deviate"}


def is_markdown(path: Path) -> bool:
    """Return whether a write-up is Markdown, and not HTML; InputError when it is neither."""
    if path.suffix.lower() not in (".html", ".htm", ".md"):
        raise InputError("a write-up is .html or .md", source=str(path))
    return path.suffix.lower() == ".md"


def render_html(diagnosis: Diagnosis, *, redact: bool | Redactor = False, typed: str = "") -> str:
    """Return the write-up as one HTML document that needs nothing else."""
    redactor = _redactor(diagnosis, redact)
    by: Callable[[str], str] = redactor.text if redactor else str
    title = by(diagnosis.case.title)
    across = "".join(f'<p class="across">{escape(by(claim))}</p>' for claim in _across(diagnosis))
    boards = "".join(
        f'<section aria-labelledby="board{n}"><h2 id="board{n}">{escape(s.name or "The answer")}</h2>'
        f'<div class="verdict {s.tone}"><p class="badge">{escape(s.badge)}</p>'
        f'<p class="summary">{escape(s.headline)}</p></div>'
        f"{''.join(_section(x, 3, pixels=redactor is not None) for x in s.sections)}</section>"
        for n, s in enumerate(_sheets(diagnosis, redactor, typed), 1)
    )
    rest = cleaned(Sheet("", (evidence_section(diagnosis), versions_section(diagnosis))), by)
    body = f"{across}{boards}{''.join(_section(x, 2, pixels=False) for x in rest.sections)}"
    page = _frame(
        title, f"{title}: is the chip faulty?", by(_question(diagnosis)), body, removed=REMOVED if redactor else ()
    )
    return redactor.document(page) if redactor else page


def render_markdown(
    diagnosis: Diagnosis, *, folder: Path, prefix: str = "", redact: bool | Redactor = False, typed: str = ""
) -> str:
    """Return the write-up as Markdown; its plots are written into `folder` as PNG files."""
    redactor = _redactor(diagnosis, redact)
    by = redactor.text if redactor else str

    def figure(f: Figure) -> str:
        return f"![{plain_markdown(f.alt)}]({quote(_save(f, folder, prefix).name)})"

    removed = f"*Removed from this copy: {'; '.join(REMOVED)}. {UNCHANGED}*" if redact else ""
    parts = [f"# {plain_markdown(by(diagnosis.case.title))}", plain_markdown(by(_question(diagnosis))), removed]
    parts += [plain_markdown(by(claim)) for claim in _across(diagnosis)]
    parts += [markdown(s, figure=figure) for s in _sheets(diagnosis, redactor, typed)]
    rest = Sheet("", (evidence_section(diagnosis), versions_section(diagnosis)))
    parts.append(markdown(cleaned(rest, by), level=1).removeprefix("****").strip())
    text = "\n\n".join(p.strip() for p in [*parts, f"{_now()}"] if p) + "\n"
    return redactor.document(text) if redactor else text


def _redactor(diagnosis: Diagnosis, redact: bool | Redactor) -> Redactor | None:
    """Return what was asked for: the redactor that was made already, a new one, or none."""
    return redactor_of(diagnosis) if redact is True else redact or None


def redactor_of(diagnosis: Diagnosis) -> Redactor:
    """Return what takes every secret of a case out of a text: the same for page, Markdown, JSON and terminal."""
    return make_redactor(diagnosis.case, uid_at=diagnosis.first.measured.chip.identity.uid)


def fragment_html(diagnosis: Diagnosis) -> str:
    """Return the answer and the pictures as a piece of HTML for a saved notebook: no script, no request."""
    return "".join(
        html(board_sheet(b)) + "".join(_picture_html(f, pixels=False) for f in figures(b, number=n))
        for n, b in enumerate(diagnosis.boards)
    )


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _question(diagnosis: Diagnosis) -> str:
    names = ", ".join(b.name for b in diagnosis.boards if b.name not in UNNAMED)
    return f"Is the chip of {names or 'this board'} faulty, and if not, what else explains what was seen?"


def _boards(diagnosis: Diagnosis, redactor: Redactor | None) -> Sequence[BoardDiagnosis]:
    """Return the boards, with names that may stand in a picture."""
    if redactor is None:
        return diagnosis.boards
    by = redactor.text

    def renamed(board: BoardMeasured) -> BoardMeasured:
        return replace(board, board=replace(board.board, name=by(board.board.name)))

    def cleaned_names(m: Measured) -> Measured:
        known = tuple(replace(k, image=replace(k.image, name=by(k.name))) for k in m.known)
        return replace(m, good=renamed(m.good), suspect=renamed(m.suspect), known=known)

    return [replace(b, measured=cleaned_names(b.measured)) for b in diagnosis.boards]


def _sheets(diagnosis: Diagnosis, redactor: Redactor | None, typed: str) -> list[Sheet]:
    by: Callable[[str], str] = redactor.text if redactor else partial(folder_named, typed=typed)
    sheets = [board_sheet(b, number=n) for n, b in enumerate(_boards(diagnosis, redactor))]
    return [cleaned(s if n < PICTURED else _without_pictures(s), by) for n, s in enumerate(sheets)]


def _without_pictures(s: Sheet) -> Sheet:
    kept = (replace(x, parts=tuple(p for p in x.parts if not isinstance(p, Figure))) for x in s.sections)
    return replace(s, sections=tuple(x for x in kept if x.parts))


def _across(diagnosis: Diagnosis) -> list[str]:
    """What is said once for all boards."""
    more = f"Only the first {PICTURED} of {count_text(len(diagnosis.boards), 'board')} have their pictures here."
    return [*(f.claim for f in diagnosis.across), *([more] if len(diagnosis.boards) > PICTURED else [])]


def _frame(heading: str, title: str, question: str, body: str, *, removed: tuple[str, ...] = ()) -> str:
    """Return one HTML document that needs nothing else; `body` is HTML, the rest is text."""
    css = (resources.files("h5diag") / "show" / "report" / "write_up.css").read_text("utf-8")
    unchanged = f" {UNCHANGED}" if removed == REMOVED else ""
    gone = (
        f'<p class="removed"><strong>Removed from this copy:</strong> {"; ".join(removed)}.{unchanged}</p>'
        if removed
        else ""
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        'img-src data:">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>\n{css}</style>\n</head>\n<body>\n<main>\n<header>\n"
        f'<p class="kind">h5diag write-up{", redacted" if removed else ""} <span class="made">{_now()}</span></p>\n'
        f'<h1>{escape(heading)}</h1>\n<p class="question">{escape(question)}</p>\n{gone}</header>\n'
        f"{body}\n</main>\n</body>\n</html>\n"
    )


def _section(x: Section, level: int, *, pixels: bool) -> str:
    if not x.is_for("page"):
        return ""
    body = "".join(
        _picture_html(p, pixels=pixels)
        if isinstance(p, Figure)
        else part_html(p, rows=500, letters=20_000, caption=x.title, labelled=True)
        for p in x.parts
    )
    kind = ' class="next"' if x.title.startswith("Next") else ""
    return f"<div{kind}><h{level}>{escape(x.title)}</h{level}>{body}</div>\n" if x.title else body


def _picture_html(f: Figure, *, pixels: bool) -> str:
    from h5diag.show.plots import picture

    alt = escape(f.alt)
    url = picture(f.draw(), name=f.name, alt=f.alt, pixels=pixels).data_url
    return f'<figure><img src="{url}" alt="{alt}"><figcaption>{alt}</figcaption></figure>'


def _save(f: Figure, folder: Path, prefix: str = "") -> Path:
    from h5diag.show.plots import save_png

    path = folder / f"{prefix}{f.name}.png"
    save_png(f.draw(), path)
    return path
