"""One sheet for everything that a person reads, and its three writers: terminal, HTML, Markdown.

A sheet is a headline and sections; a section is paragraphs, lists, properties, tables and pictures. Every text in it may be
a stranger's: each writer makes it harmless for its own reader.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from html import escape
from textwrap import dedent, wrap
from typing import Any

from h5diag.show.printing import clean

MOST_HTML = 30_000
"""Bytes of a result's HTML: what a notebook can hold many times over."""
MOST_SHORT = 1_000
_NARROWEST = 16
"""Characters that a column of words needs: below that a row is easier to read as lines."""

_NUMBER = re.compile(r"[+\-]?(0x[0-9A-Fa-f]+|\d[\d,._]*)( ?(%|bytes?|KiB|MiB|min|MHz|ms|s))?( to 0x[0-9A-Fa-f]+)?")
_SPECIAL = re.compile(r"([\\`*_\[\]|~#$^{]|(?<=\\)\(|(?<=-)-)")
"""What begins markup, for pandoc too: there ``$``, ``\\\\(``, ``^`` and ``{`` are maths and attributes, ``--`` a dash."""
_COLOURS = {"calm": "36", "open": "33", "warn": "31", "fault": "1;31"}
MARKS = {"calm": "✓", "open": "?", "warn": "!", "fault": "✗"}
EDGES = {"calm": "#0072B2", "open": "#B07800", "warn": "#D55E00", "fault": "#CC2936"}
"""A sign and a colour for each tone of a sheet: the sign tells them apart without colour."""


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list; `mark` stands before each item on a terminal."""

    items: tuple[str, ...]
    mark: str = "-"


@dataclass(frozen=True, slots=True)
class Properties:
    """Names and values, one line each."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under heads. `marked` are the numbers of rows that stand out; `most` rows are shown, the rest counted.

    `tips` says more of a row by the text of its first cell, where a pointer rests on it.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    marked: frozenset[int] = frozenset()
    most: int = 40
    tips: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that stay as they are."""

    text: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture not yet drawn: its name, what it says in a sentence, and what draws it (axes of matplotlib)."""

    name: str
    alt: str
    draw: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Strip:
    """A small drawing that is an SVG text already, made of numbers only; `alt` says it in words."""

    svg: str
    alt: str


Part = str | Bullets | Properties | Table | Block | Figure | Strip


@dataclass(frozen=True, slots=True)
class Section:
    """A title and what stands under it. A `folded` one is shown when asked for.

    `only` names the writers that show it (``terminal html markdown page``, with blanks between); empty for all.
    """

    title: str
    parts: tuple[Part, ...]
    folded: bool = False
    only: str = ""

    def is_for(self, writer: str) -> bool:
        """Tell whether that writer shows it."""
        return not self.only or writer in self.only.split()


@dataclass(frozen=True, slots=True)
class Sheet:
    """What there is to say: the answer in a sentence, then the rest.

    Parameters
    ----------
    headline
        The answer.
    sections
        In the order of reading.
    tone
        ``calm open warn fault``, or empty.
    badge
        A few words for the tone.
    name
        What it is about.
    """

    headline: str
    sections: tuple[Section, ...] = ()
    tone: str = ""
    badge: str = ""
    name: str = ""


def section(title: str, *parts: Part | None, folded: bool = False, only: str = "") -> Section | None:
    """Return a section of those parts that hold something, None when nothing does."""
    kept = tuple(p for p in parts if p is not None and _holds(p))
    return Section(title, kept, folded, only) if kept else None


def sheet(headline: str, *sections: Section | None, tone: str = "", badge: str = "", name: str = "") -> Sheet:
    """Return a sheet of those sections that are there."""
    return Sheet(headline, tuple(s for s in sections if s is not None), tone, badge, name)


def bullets(items: Iterable[str], mark: str = "-") -> Bullets:
    """Return a list."""
    return Bullets(tuple(items), mark)


def properties(pairs: Iterable[tuple[str, str]]) -> Properties:
    """Return names and values without those that are empty."""
    return Properties(tuple((n, v) for n, v in pairs if v))


def table(heads: str, rows: Iterable[Sequence[str]], **more: Any) -> Table:
    """Return a table; `heads` are separated by bars."""
    return Table(tuple(heads.split("|")), tuple(tuple(r) for r in rows), **more)


def _holds(part: Part) -> bool:
    match part:
        case str(what) | Bullets(items=what) | Properties(pairs=what) | Table(rows=what) | Block(text=what):
            return bool(what)
    return True


# ------------------------------------------------------------------------------------------------ terminal
def terminal(s: Sheet, width: int = 100, *, colour: bool = False, folded: bool = False) -> str:
    """Return the sheet as text of `width` columns; `folded` sections only when asked for."""
    head = _wrapped(f"{s.name}: {s.headline}" if s.name else s.headline, width)
    if colour:
        head = [f"\x1b[{_COLOURS.get(s.tone, '1')}m{line}\x1b[0m" for line in head]
    blocks = ["\n".join(head)]
    for part in s.sections:
        if part.is_for("terminal") and (folded or not part.folded):
            lines = [line for p in part.parts for line in _lines(p, width, "  " if part.title else "")]
            if lines:
                title = _wrapped(f"{part.title}:", width) if part.title else []
                blocks.append("\n".join([*title, *lines]))
    return "\n\n".join(blocks)


def _lines(part: Part, width: int, indent: str) -> list[str]:
    match part:
        case str():
            return _wrapped(part, width, indent)
        case Bullets(items=items, mark=mark):
            return [line for i in items for line in _wrapped(i, width, f"{indent}{mark} ")]
        case Properties(pairs=pairs):
            wide = min(max((len(n) for n, _ in pairs), default=0), 32)
            return [line for n, v in pairs for line in _wrapped(v, width, f"{indent}{n:<{wide}}  ")]
        case Table():
            return [*([f"{indent}{part.caption}"] if part.caption else []), *_table_lines(part, width, indent)]
        case Block(text=text):
            return [indent + line for line in text.splitlines()]
    return []


def _wrapped(text: str, width: int, first: str = "") -> list[str]:
    rest = " " * len(first)
    out: list[str] = []
    for line in text.splitlines() or [""]:
        out += wrap(
            line,
            max(width, len(first) + 20),
            initial_indent=rest if out else first,
            subsequent_indent=rest,
            break_long_words=False,
            break_on_hyphens=False,
        ) or [(rest if out else first).rstrip()]
    return out


def _table_lines(t: Table, width: int, indent: str) -> list[str]:
    rows = t.rows[: t.most]
    columns = list(zip(t.heads, *rows, strict=True))
    widths = [max(len(cell) for cell in column) for column in columns]
    words = [max((len(w) for cell in column for w in cell.split()), default=0) for column in columns]
    spare = width - len(indent) - 2 * (len(widths) - 1) - sum(widths)
    while spare < 0:  # the widest column gives way, down to what its longest word needs
        widest = max(range(len(widths)), key=lambda i: (widths[i] > words[i], widths[i]))
        if widths[widest] <= max(words[widest], _NARROWEST):
            return _as_lines(t, width, indent)
        step = min(-spare, widths[widest] - max(words[widest], _NARROWEST))
        widths[widest] -= step
        spare += step
    right = [_numeric(column[1:]) and not any(c.startswith("0x") for c in column[1:]) for column in columns]
    out = []
    for n, row in enumerate((t.heads, *rows)):
        if n == 0 and not any(t.heads):
            continue
        cells = [
            wrap(c, w, break_long_words=False, break_on_hyphens=False) if len(c) > w else [c]
            for c, w in zip(row, widths, strict=True)
        ]
        for line in range(max(map(len, cells), default=0)):
            parts = [
                f"{c[line] if line < len(c) else '':{'>' if r else '<'}{w}}"
                for c, w, r in zip(cells, widths, right, strict=True)
            ]
            out.append((indent + "  ".join(parts)).rstrip())
    return [*out, *_more(t, indent)]


def _as_lines(t: Table, width: int, indent: str) -> list[str]:
    """Write each row as a paragraph, where a terminal is too narrow for columns."""
    out = []
    for first, *rest in t.rows[: t.most]:
        named = "; ".join(
            f"{head}: {cell}".removeprefix(": ") for head, cell in zip(t.heads[1:], rest, strict=True) if cell
        )
        lines = _wrapped(f"{first}  {named}".strip(), width - 2, indent)
        out += [lines[0], *(f"  {line}" for line in lines[1:])]
    return [*out, *_more(t, indent)]


def _more(t: Table, indent: str) -> list[str]:
    return [f"{indent}... and {len(t.rows) - t.most} more"] if len(t.rows) > t.most else []


def _numeric(cells: Sequence[str]) -> bool:
    return any(cells) and all(_NUMBER.fullmatch(c) for c in cells if c)


# ------------------------------------------------------------------------------------------------ html
_SCOPE = "section.h5-sheet"
STYLE = (
    "<style>"
    + "".join(
        f"{','.join(f'{_SCOPE} {part}'.strip() for part in selector.split(','))}{{{rule}}}"
        for selector, rule in (
            ("", "max-width:72rem;line-height:1.4;font-size:13px;color:inherit"),
            ("p", "margin:2px 0"),
            ("div[role=img]", "margin:8px 0"),
            ("ul", "margin:2px 0 6px;padding-left:1.6em"),
            ("summary", "cursor:pointer"),
            (
                ".h5-head",
                "border:1px solid #808080;border-left-width:8px;padding:6px 12px;background:rgba(128,128,128,.1)",
            ),
            *((f".h5-{tone}", f"border-color:{edge}") for tone, edge in EDGES.items()),
            (".h5-answer", "font-size:1.1em;font-weight:600"),
            (".h5-wide", "overflow-x:auto"),
            ("table", "border-collapse:collapse;margin:2px 0 6px;font-size:1em"),
            (
                "th,td",
                "border:1px solid rgba(128,128,128,.45);padding:2px 8px;text-align:left!important;vertical-align:top",
            ),
            ("thead th,pre", "background:rgba(128,128,128,.1);color:inherit"),
            ("caption", "text-align:left;opacity:.75"),
            ("pre", "white-space:pre-wrap;margin:2px 0"),
            (".num", "font-family:'DejaVu Sans Mono',Menlo,Consolas,monospace;font-size:.92em;white-space:nowrap"),
            (".differs", "background:rgba(230,159,0,.18)"),
        )
    )
    + "</style>"
)
"""The looks of a sheet in a notebook: grey that works on light and on dark paper."""


def html(s: Sheet, *, most: int = MOST_HTML) -> str:
    """Return the sheet as a piece of HTML for a notebook: no script, no request, any theme, `most` bytes at most.

    What does not fit goes in this order: folded sections from the last one on, long tables and texts, the rest.
    """
    kept = [x for x in s.sections if x.is_for("html")]
    for rows, letters in ((40, 4000), (15, 600), (6, 300), (3, 160)):
        while True:
            text = _html(s, kept, rows, letters)
            last = next((i for i in reversed(range(len(kept))) if kept[i].folded), None)
            if len(text.encode("utf-8")) <= most:
                return text
            if last is None:
                break
            del kept[last]
    return _html(replace(s, headline=s.headline[:400], badge=s.badge[:80], name=s.name[:80]), [], 0, 160)


def _html(s: Sheet, sections: Sequence[Section], rows: int, letters: int) -> str:
    body = "".join(_section_html(x, rows, letters) for x in sections)
    return f'<section class="h5-sheet">{STYLE}{headline_html(s)}{body}</section>'


def headline_html(s: Sheet) -> str:
    """Return the answer of a sheet as a box."""
    badge = f"<b>{MARKS.get(s.tone, '')} {escape(s.badge)}</b> " if s.badge else ""
    tone = f" h5-{s.tone}" if s.tone in EDGES else ""
    return (
        f'<div role="status" class="h5-head{tone}">{badge}{escape(s.name)}'
        f'<div class="h5-answer">{escape(s.headline)}</div></div>'
    )


def parts_html(*parts: Part | Section, caption: str = "") -> str:
    """Return parts or sections of a sheet as a piece of HTML of their own."""
    body = "".join(
        _section_html(p, 200, 4000) if isinstance(p, Section) else part_html(p, caption=caption) for p in parts
    )
    return f'<section class="h5-sheet">{STYLE}{body}</section>'


def _section_html(x: Section, rows: int, letters: int) -> str:
    body = "".join(part_html(p, rows=rows, letters=letters) for p in x.parts)
    title = escape(x.title)
    if not body or not title:
        return body
    if x.folded:
        return f"<details><summary><b>{title}</b></summary>{body}</details>"
    return f"<p><b>{title}</b></p>{body}"


def part_html(part: Part, *, rows: int = 200, letters: int = 4000, caption: str = "", labelled: bool = False) -> str:
    """Return a part of a sheet as HTML, every text escaped; its looks are a stylesheet's.

    With `labelled` every cell carries its column's head, for a narrow page that shows a row as lines.
    """
    match part:
        case str():
            return f"<p>{escape(_cut(part, letters))}</p>"
        case Bullets(items=items):
            lines = "".join(f"<li>{escape(_cut(i, letters))}</li>" for i in items[:rows])
            more = f"<li>and {len(items) - rows} more</li>" if len(items) > rows else ""
            return f"<ul>{lines}{more}</ul>"
        case Properties(pairs=pairs):
            return part_html(Table(("", ""), pairs, most=len(pairs)), rows=rows, letters=letters, caption=caption)
        case Table():
            return _table_html(part, min(rows, part.most), letters, caption, labelled=labelled)
        case Block(text=text):
            return f"<pre>{escape(_cut(text, letters))}</pre>"
        case Strip(svg=svg, alt=alt):
            return f'<div role="img" aria-label="{escape(alt)}">{svg}</div>'
    return ""


def _table_html(t: Table, most: int, letters: int, caption: str, *, labelled: bool) -> str:
    numeric = [_numeric([r[i] for r in t.rows]) for i in range(len(t.heads))]
    head = "".join(f'<th scope="col">{escape(h)}</th>' for h in t.heads)
    lines, tips = [], dict(t.tips)
    for n, row in enumerate(t.rows[:most]):
        cells = "".join(
            f"<{name}{' class=' + chr(34) + 'num' + chr(34) if numeric[i] else ''}>{escape(_cut(c, letters))}</{name[:2]}>"
            for i, c in enumerate(row)
            for name in ([f"td{_head(t.heads[i]) if labelled else ''}"] if i else [f'th scope="row"{_tip(tips, c)}'])
        )
        lines.append(f"<tr{' class=' + chr(34) + 'differs' + chr(34) if n in t.marked else ''}>{cells}</tr>")
    if len(t.rows) > most:
        lines.append(f'<tr><td colspan="{len(t.heads)}">and {len(t.rows) - most} more</td></tr>')
    return (
        f'<div class="h5-wide"><table>{_caption(t.caption, caption)}'
        + (f"<thead><tr>{head}</tr></thead>" if any(t.heads) else "")
        + f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _caption(own: str, title: str) -> str:
    """A caption that only says the title again is there for who cannot see the page."""
    text = own or title
    return f"<caption{'' if own else ' class=' + chr(34) + 'again' + chr(34)}>{escape(text)}</caption>" if text else ""


def _head(head: str) -> str:
    return f' data-head="{escape(head)}"' if head else ""


def _tip(tips: dict[str, str], cell: str) -> str:
    return f' title="{escape(tips[cell])}"' if cell in tips else ""


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


# ------------------------------------------------------------------------------------------------ markdown
def markdown(s: Sheet, *, level: int = 2, figure: Callable[[Figure], str] = lambda f: "") -> str:
    """Return the sheet as Markdown in which a stranger's text stays text; `figure` writes a picture and names it."""
    head = f"**{plain_markdown(s.headline)}**"
    if s.name or s.badge:
        head = f"{'#' * level} {plain_markdown(': '.join(t for t in (s.name, s.badge) if t))}\n\n{head}"
    out = [head]
    for x in s.sections:
        if x.is_for("markdown"):
            body = [t for p in x.parts if (t := figure(p) if isinstance(p, Figure) else part_markdown(p))]
            if body:
                out += [*([f"{'#' * (level + 1)} {plain_markdown(x.title)}"] if x.title else []), *body]
    return "\n\n".join(out) + "\n"


def part_markdown(part: Part) -> str:
    """Return a part of a sheet as Markdown."""
    match part:
        case str():
            return plain_markdown(part)
        case Bullets(items=items):
            return "\n".join(f"- {plain_markdown(i)}" for i in items)
        case Properties(pairs=pairs):
            return "\n".join(f"- {plain_markdown(n)}: {plain_markdown(v)}" for n, v in pairs)
        case Table(heads=heads, rows=rows):
            lines = ["| " + " | ".join(plain_markdown(c) for c in row) + " |" for row in (heads, *rows[: part.most])]
            lines.insert(1, "|" + "---|" * len(heads))
            return "\n".join(lines) + (f"\n\nand {len(rows) - part.most} more" if len(rows) > part.most else "")
        case Block(text=text):
            # Fenced, not indented: after a list what is indented belongs to the list, and its markup counts.
            fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
            return "\n".join([fence, *dedent(text).splitlines(), fence])
    return ""


def plain_markdown(text: str) -> str:
    """Return a text that Markdown shows as it is: no markup, no tag, no table cell, no link begins in it."""
    line = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"(?i)\b(https?|ftp|data|javascript):", r"\1&#58;", _SPECIAL.sub(r"\\\1", line))


def short_text(s: Sheet) -> str:
    """Return the answer alone, 1 KiB at most, and which sections there are."""
    head = _cut(f"{s.name}: {s.headline}" if s.name else s.headline, 700)
    titles = _cut(", ".join(x.title for x in s.sections if x.title), 200)
    return (head + (f"\n[{titles}]" if titles else "")).encode("utf-8")[:MOST_SHORT].decode("utf-8", "ignore")


def cleaned(s: Sheet, by: Callable[[str], str] = clean) -> Sheet:
    """Return the same sheet with every text in it passed through a function; by default nothing steers a terminal."""
    changed: Sheet = _mapped(s, by)
    return changed


def _mapped(value: Any, by: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return by(value)
    if isinstance(value, tuple):
        return tuple(_mapped(v, by) for v in value)
    if isinstance(value, Strip):
        return replace(value, alt=by(value.alt))
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _mapped(getattr(value, f.name), by) for f in fields(value)})
    return value


def joined(sheets: Sequence[Sheet], headline: str = "") -> Sheet:
    """Return several sheets as one: the first one's answer, the others as sections under their names."""
    first = sheets[0]
    rest = [
        Section(f"{s.name}: {x.title}" if s.name and x.title else x.title or s.name, x.parts, x.folded, x.only)
        for s in sheets[1:]
        for x in (Section("", (s.headline,)), *s.sections)
    ]
    return replace(first, headline=headline or first.headline, sections=(*first.sections, *rest))
