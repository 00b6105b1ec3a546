"""What an id means: a finding, a cause, a test, an option byte, a check. One paragraph, and where it is from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from typing import Any

from h5diag.answer import Answer
from h5diag.chip import chip_names, load_chip
from h5diag.errors import InputError
from h5diag.judge import causes
from h5diag.judge.findings import FindingRow, rows
from h5diag.judge.next_test import NextTest, known_tests
from h5diag.judge.weighing import Cause
from h5diag.show.sheet import Sheet, Table, properties, section, sheet
from h5diag.show.view import View, picked
from h5diag.tables import packaged


@dataclass(frozen=True, slots=True)
class Paragraph(Answer):
    """What an id means.

    Parameters
    ----------
    id
        The id, as documents spell it.
    kind
        ``finding``, ``cause``, ``test``, ``option`` or ``check``.
    text
        The paragraph.
    source
        Where it is from: a file of h5diag, or the document behind a fact.
    more
        Names and values beside it.
    """

    id: str
    kind: str
    text: str
    source: str
    more: tuple[tuple[str, str], ...] = ()


def explain(id: str, *, chip: str = "") -> Paragraph:
    """Return what an id means.

    Parameters
    ----------
    id
        Of a finding, cause, test, option byte or preflight check; capitals do not matter.
    chip
        Whose option bytes are meant; every chip file is searched when left out.

    Raises
    ------
    InputError
        When nothing is called so; it names what is nearest.
    """
    wanted = id.strip().lower()
    for known, tell in KINDS:
        if (row := known().get(wanted)) is not None:
            return tell(wanted, row)
    if found := _option(wanted, chip):
        return found
    ids = known_ids()
    near = get_close_matches(wanted, [k.lower() for k in ids], 4, 0.6)
    named = [k for k in ids if k.lower() in near]
    if not named and len(wanted) > 3:
        # A word of the field stands in what the findings and causes say.
        told = {c.id: f"{c.text} {c.plain} {c.means}" for c in causes()}
        told |= {name: f"{row.words} {row.open} {row.means}" for name, row in rows().items()}
        named = [name for name, text in told.items() if wanted in text.lower()][:4]
        if named:
            raise InputError(f"nothing is called {id!r}", advice=f"it stands in what is said of {', '.join(named)}")
    raise InputError(f"nothing is called {id!r}", advice=f"is it {', '.join(named or ids[:6])}?")


def known_ids() -> list[str]:
    """Return every id that can be explained."""
    options = dict.fromkeys(o.name for name in chip_names() for o in load_chip(name).options)
    return [*(id for known, _ in KINDS for id in known()), *options]


def _cause(id: str, c: Cause) -> Paragraph:
    moved = [(f, row.moves[c.id]) for f, row in rows().items() if row.moves.get(c.id)]
    return Paragraph(
        c.id,
        "cause",
        f"{c.text[:1].upper()}{c.text[1:]}. {c.plain}",
        "judge/causes.toml; weights in judge/findings.toml",
        (
            ("what to do", c.means),
            ("begins at", f"{c.prior:+d} decibans before any evidence"),
            ("for it", _weights(m for m in moved if m[1] > 0)),
            ("against it", _weights(m for m in moved if m[1] < 0)),
            ("needs", ", ".join(c.proof)),
            ("decided by", ", ".join(t.id for t in known_tests() if c.id in t.separates)),
        ),
    )


def _weights(moves: Iterator[tuple[str, int]]) -> str:
    return ", ".join(f"{finding} {value:+d}" for finding, value in sorted(moves, key=lambda m: -abs(m[1])))


def _finding(id: str, row: FindingRow) -> Paragraph:
    return Paragraph(
        id,
        "finding",
        _plain(row.words) + (f" {_plain(row.limits)}" if row.limits else ""),
        "judge/findings.toml",
        (
            ("what to do", _plain(row.means)),
            ("points", row.direction.value + (" (a hint only)" if row.hint else "")),
            ("moves", _weights(iter(row.moves.items())) or "no cause"),
            ("could also be", "; ".join(row.alternatives)),
            ("leaves open", _plain(row.open)),
            ("asks for", row.asks),
        ),
    )


def _plain(template: str) -> str:
    """Return a template with the names of what is filled in."""
    return re.sub(r"\{(\w+)[^}]*\}", r"<\1>", re.sub(r"\{\w+:\?[^|}]*\|([^}]*)\}", r"\1", template))


def _test(id: str, t: NextTest) -> Paragraph:
    return Paragraph(
        t.id,
        "test",
        _plain(t.instruction),
        "judge/next_tests.toml",
        (
            ("class", t.kind.word),
            ("takes", f"about {t.minutes} min"),
            ("tells", t.tells),
            ("may lose", t.loses),
            ("separates", ", ".join(t.separates)),
        ),
    )


def _option(id: str, chip: str) -> Paragraph | None:
    for name in [load_chip(chip).name] if chip else [load_chip().name, *chip_names()]:
        c = load_chip(name)
        o = next((o for o in c.options if id.upper() in (n.upper() for n in (o.name, *o.aliases))), None)
        if o is not None:
            values = ", ".join(f"0x{m.value:X} {m.text}" for m in o.values)
            tags = {s.tag: s.title for s in c.sources}
            documents = [tags[w] for w in re.findall(r"\w+", o.ref) if w in tags]
            return Paragraph(
                o.name,
                "option",
                f"{o.what[:1].upper()}{o.what[1:]}"
                + (f": {values}." if values else ".")
                + (f" {o.follows[:1].upper()}{o.follows[1:]}." if o.follows else ""),
                f"{o.ref}" + (f" ({'; '.join(documents)})" if documents else ""),
                (
                    ("chip", c.title),
                    ("register", f"{o.register}, field {o.field}"),
                    ("factory value", "" if o.factory is None else f"0x{o.factory:X}"),
                    ("seen by", "a secure reader only: zero to others" if o.secure else ""),
                ),
            )
    return None


@cache
def check_words() -> dict[str, dict[str, Any]]:
    """Return what each check of the preflight looks at, what follows when it fails, and what to do (``mend``)."""
    return packaged("judge/preflight/checks.toml")


def _check(id: str, row: dict[str, Any]) -> Paragraph:
    return Paragraph(
        id,
        "check",
        row["looks"],
        "judge/preflight/checks.toml",
        (("if it fails", row["follows"]), ("what to do", row["mend"])),
    )


def _slot_state(id: str, text: str) -> Paragraph:
    return Paragraph(id, "state of a slot", text, "measure/firmware/states.toml")


KINDS: tuple[tuple[Callable[[], Mapping[str, Any]], Callable[[str, Any], Paragraph]], ...] = (
    (lambda: {c.id: c for c in causes()}, _cause),
    (rows, _finding),
    (lambda: {t.id: t for t in known_tests()}, _test),
    (check_words, _check),
    (lambda: packaged("measure/firmware/states.toml"), _slot_state),
)
"""What can be explained besides option bytes: the rows by their ids, and what is told of one."""


def with_tips(t: Table) -> Table:
    """Return a table whose rows say, where a pointer rests on their id, what it means."""
    known = set(known_ids())
    return replace(t, tips=tuple((row[0], explain(row[0]).text) for row in t.rows if row[0] in known))


def _document(p: Paragraph) -> dict[str, Any]:
    return {**picked(p, "id kind text source"), **{n: v for n, v in p.more if v}}


def _sheet(p: Paragraph) -> Sheet:
    return sheet(p.text, section("", properties([*p.more, ("source", p.source)])), name=f"{p.id} ({p.kind})")


VIEWS = {Paragraph: View(_sheet, _document)}
