"""A diagnosis as a sheet: the answer, the next step, the pictures, why, and what else was considered.

The terminal, a notebook and the write-up show the same sheet, each as much of it as fits.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from h5diag import __version__
from h5diag.case.case import UNNAMED
from h5diag.judge import (
    BoardDiagnosis,
    BoardMeasured,
    Diagnosis,
    Direction,
    Finding,
    Hypothesis,
    Measured,
    Status,
    Verdict,
    VerdictWord,
)
from h5diag.judge.boards import Boards
from h5diag.judge.checks.slots import Branch
from h5diag.judge.document import diagnosis_document, input_remarks
from h5diag.judge.next_test import known_tests
from h5diag.measure.options import Setting, Weight, compare_options
from h5diag.memory import AddressRange
from h5diag.show.comparison import comparison_headline
from h5diag.show.evidence import files_table
from h5diag.show.locate import MANY_PIECES, headline, pieces
from h5diag.show.sheet import Block, Figure, Section, Sheet, Strip, Table, bullets, joined, section, sheet, table
from h5diag.show.spans import lanes, strip_legend, strip_svg, words_of
from h5diag.show.view import View, drawing
from h5diag.text import count_text, size_text

NOT_STATED = "not stated"
BADGES = {
    VerdictWord.SOUND: ("calm", "no sign of a chip fault"),
    VerdictWord.UNDECIDED: ("open", "not decided"),
    VerdictWord.SUSPECT: ("warn", "signs of a chip fault, no proof"),
    VerdictWord.FAULTY: ("fault", "chip fault proved"),
}
"""How a verdict is marked: a tone and a few words. The bare word of the verdict is never shown."""


def badge_of(v: Verdict) -> tuple[str, str]:
    """Return the tone and the words of a verdict; what is open about the chip may still have a cause to name."""
    tone, words = BADGES[v.word]
    if v.word is VerdictWord.UNDECIDED and v.leading:
        words = "no chip fault shown; likely cause below"
    return tone, words


MARKS = {
    Weight.DECIDES: "matters a lot",
    Weight.MATTERS: "matters",
    Weight.MINOR: "minor",
    Weight.ARTEFACT: "not comparable",
}


_OPEN = (Status.POSSIBLE, Status.EXCLUDED)
_PAGES = "html markdown page"
"""Writers whose reader begins at the top; a terminal shows the end."""

_WORD = r"(?=[^\s,;()\[\]]{0,200}[^\sa-z,;()\[\]][\w*\"'])[^\s,;()\[\]]{0,200}[\w*\"']|[A-Z0-9](?![\w'])"
_COMMAND = re.compile(
    rf"\b(?:h5diag (?:loader )?[a-z]{{1,20}}|STM32_Programmer_CLI)"
    rf"(?: (?:--(?:plan|json|allow-erase)\b|--?[a-z][\w-]{{0,40}}(?: [a-z]{{1,40}}\b(?![\w=/:-]|\.\w))?|>|{_WORD})){{1,40}}"
)
"""A program with what can be typed after it: options and their values, and words that no prose has (names of files,
numbers, placeholders in capitals). The sentence goes on where a plain word or a bracket stands."""


def diagnosis_sheet(d: Diagnosis) -> Sheet:
    """Return what is said of a case: its first board in full, the others below."""
    whole = joined([board_sheet(b, named=len(d.boards) > 1, number=n) for n, b in enumerate(d.boards)])
    return sheet(
        whole.headline,
        Section("", (f"Case: {d.case.title}",), only="html"),  # a cell's answer outlives what the page shows
        section("Across the boards", bullets(f.claim for f in d.across)),
        *whole.sections,
        section("Not understood", bullets(input_remarks(d.case))),
        evidence_section(d),
        versions_section(d),
        _later(d.first, "terminal"),
        _next(d.first, "terminal"),
        tone=whole.tone,
        badge=whole.badge,
        name=whole.name,
    )


def board_sheet(b: BoardDiagnosis, *, named: bool = True, number: int = 0) -> Sheet:
    """Return what is said of one board; `number` tells the pictures of several boards apart."""
    v, m = b.verdict, b.measured
    tone, badge = badge_of(v)
    return sheet(
        v.summary,
        _strip(m),
        section("What it means for you", bullets(_means(b))),
        section("Judged", v.scope),
        _next(b, _PAGES if number == 0 else ""),
        _later(b, _PAGES if number == 0 else ""),
        section("Pictures", *figures(b, number=number)),
        *(_put_forward(h) for h in v.leading),
        section("What happened", bullets(f.claim for f in v.events)),
        None
        if v.leading or v.events
        else section("What the evidence supports", "Nothing in it speaks for a cause so far."),
        section("Still open", bullets(v.open_points)),
        section("Why it was not installed", bullets(_why(b.branches)), only="terminal"),
        section(
            "Why was the image not installed?",
            table("reason|stands|what was found", (_branch(x) for x in b.branches)),
            folded=True,
        ),
        section("Also possible", bullets(_possible(v)), only="terminal"),
        section("Seen besides", bullets(_besides(b)), only="terminal"),
        section("Excluded", _excluded(v, cells=True), only="terminal"),
        section("Excluded besides", _excluded(v, cells=False), only="terminal", folded=True),
        section("No evidence was given on", _untested(v), only="terminal", folded=True),
        section(
            "What else was considered",
            table("stands|cause|id|the strongest reason", (_considered(h) for h in v.hypotheses if h.status in _OPEN)),
            f"No evidence was given on: {_untested(v)}" if v.of(Status.NOT_TESTED) else None,
            folded=True,
        ),
        section("Slots", slots_table(m), folded=True),
        section("Displaced pieces", pieces(m.placement, displaced_only=True, most=30), folded=True),
        section("Option bytes", options_table(m, " ".join(_telling(b))), folded=True),
        section(
            "Findings",
            table("finding|claim|points|numbers and places", (_finding(f) for f in b.findings), most=200),
            folded=True,
        ),
        section(
            "Weighing, in decibans: +10 makes a cause ten times more likely",
            weighing_table(b),
            folded=True,
        ),
        tone=tone,
        badge=badge,
        name=b.name if named and b.name not in UNNAMED else "",
    )


def _next(b: BoardDiagnosis, only: str) -> Section:
    """Return what to do next: the cheapest test, what to type, and what comes after it."""
    t = b.next_test
    real = t.id != "none"
    kind = f" ({t.kind.word}{f', about {t.minutes} min' if t.minutes else ''})" if real else ""
    command = runnable(t.instruction)
    # A command that ends the sentence stands below it, and not twice.
    instruction = t.instruction.removesuffix(command) if command else t.instruction
    parts = (
        instruction.rstrip(),
        "Type:" if command and instruction == t.instruction else None,
        Block(f"    {command}") if command else None,
        f"It tells: {t.tells}" if t.tells and real else None,
        f"It may lose: {t.loses}" if t.loses else None,
        _again(command, t.after) if real else None,
    )
    return Section(f"Next{kind}", tuple(p for p in parts if p), only=only)


def _again(command: str, after: str) -> str:
    """Return how what a test gave comes into the answer."""
    add = "" if command.startswith("h5diag case") else after or "add what it gave (h5diag case CASE_DIR FILE) and "
    return f"Then {add}ask again (h5diag diagnose CASE_DIR)."


def folder_named(text: str, *, typed: str) -> str:
    """Return a text with the case's folder in what can be typed, where it is known how the person wrote it."""
    return text.replace("CASE_DIR", shlex.quote(typed)) if typed else text


def _later(b: BoardDiagnosis, only: str) -> Section | None:
    """Return what would come after the next test; nothing where no test is left."""
    after = b.more_tests[:2] if b.next_test.id != "none" else ()
    return section(
        "After that", bullets(f"({x.kind.word}) {x.instruction}" for x in after), only=only, folded=only == "terminal"
    )


def commands(text: str) -> list[tuple[int, int]]:
    """Return where the commands of a text begin and end, with nothing of the sentence around them."""
    return [m.span() for m in _COMMAND.finditer(text)]


def runnable(instruction: str) -> str:
    """Return the first command of an instruction; empty where it holds none."""
    return next((instruction[a:b] for a, b in commands(instruction)), "")


def _means(b: BoardDiagnosis) -> Iterable[str]:
    """Yield what the causes that are put forward mean for the person at the bench, less what stands under Next."""
    said = b.next_test.instruction
    causes = (h for h in b.verdict.leading[:3] if h.means not in said)
    yield from (f"{h.cause.name[:1].upper()}{h.cause.name[1:]}: {h.means}" for h in causes)
    yield from (f.means for f in b.verdict.events if f.means and f.means not in said)


def _put_forward(h: Hypothesis) -> Section | None:
    moves = (f"{m.text}{' (a hint only)' if m.hint else ''}" for m in h.moves if m.decibans > 0)
    title = "Supported" if h.status is Status.SUPPORTED else "Most likely so far, not proved"
    return section(f"{title}: {h.cause.text} ({h.id})", bullets(moves), h.cause.plain)


def _possible(v: Verdict) -> Iterable[str]:
    """Yield each possible cause that something speaks for, with what was seen; a claim is told once."""
    told = {m.text for h in v.leading for m in h.moves if m.decibans > 0}
    for h in v.of(Status.POSSIBLE):
        seen = [m.text for m in h.moves if m.decibans > 0]
        if h.score > h.cause.prior and seen and h not in v.leading:
            new = [text for text in seen if text not in told][:1]
            told.update(new)
            yield f"{h.cause.text} ({h.id})" + (f". Seen: {new[0]}" if new else "")


def _excluded(v: Verdict, *, cells: bool) -> str:
    """Return what is excluded in words: causes of the cells, each with where, or the others."""

    def limits(h: Hypothesis) -> str:
        against = next((m.limits for m in h.moves if m.decibans < 0 and m.limits), "")
        return f" ({against[:1].lower()}{against[1:].rstrip('.')})" if h.cause.sign_of_chip and against else ""

    return "; ".join(f"{h.cause.name}{limits(h)}" for h in v.of(Status.EXCLUDED) if h.cause.sign_of_chip is cells)


def _untested(v: Verdict) -> str:
    """Return on what there is no evidence, the commonest first, in words."""
    return _listed(h.cause.name for h in v.of(Status.NOT_TESTED))


def _besides(b: BoardDiagnosis) -> Iterable[str]:
    """Yield what was seen, leaves something open or points somewhere, and stands under no cause above."""
    told = {m.text for h in _standing(b.verdict) for m in h.moves if m.decibans > 0} | {
        f.claim for f in b.verdict.events
    }
    return (f.claim for f in b.findings if (f.open_point or f.remark) and f.claim not in told)


def _why(branches: Iterable[Branch]) -> Iterable[str]:
    """Yield the reasons that hold, then those that are open with the test that would close them."""
    ordered = list(branches)
    yield from (x.found or x.text for x in ordered if x.holds)
    yield from (f"open: {x.text} Settled by {_asked_by(x)}." for x in ordered if x.open and not x.holds)


def _asked_by(x: Branch) -> str:
    return next((t.name for t in known_tests() if t.id == x.test), x.test)


def _branch(x: Any) -> tuple[str, ...]:
    stands = "yes" if x.holds else "open" if x.open else "not asked" if x.found.startswith("not reached") else "no"
    return x.text, stands, x.found or f"ask by {_asked_by(x)}"


def _considered(h: Hypothesis) -> tuple[str, ...]:
    """Return a row of what was considered: the strongest reason that points where the cause stands."""
    stands_for = h.status is Status.POSSIBLE and h.score > h.cause.prior
    best = max(h.moves, key=lambda m: m.decibans if stands_for else -m.decibans, default=None)
    word = "for it" if best and best.decibans > 0 else "against it"
    return h.status.value, h.cause.text, h.id, f"{word}: {best.text}" if best else "no evidence"


def _finding(f: Finding) -> tuple[str, ...]:
    claim = f.claim + (f" Could also be: {_listed(f.alternatives)}." if f.alternatives else "")
    numbers = [
        f"{n.name}: 0x{int(n.value):X}"
        if n.unit == "hex"
        else f"{n.name}: {n.value:{',' if isinstance(n.value, int) else 'g'}} {n.unit}".rstrip()
        for n in f.numbers
    ]
    return (
        f.id,
        claim + (f" Limits: {f.limits}" if f.limits else ""),
        ("" if f.direction is Direction.NEITHER else f.direction.value) + (" (hint)" if f.hint else ""),
        _listed([*numbers, *map(str, f.where[:4])]),
    )


def _listed(texts: Iterable[str]) -> str:
    return "; ".join(texts)


def weighing_table(b: BoardDiagnosis) -> Table:
    """Return every cause that evidence moved, with its sum and what moved it."""
    return table(
        "cause|stands|now|before the evidence|moved by",
        (
            (
                h.id,
                h.status.value.replace("-", " "),
                f"{h.score:+d}",
                f"{h.cause.prior:+d}",
                _listed(f"{m.decibans:+d} {m.finding}{' (hint)' if m.hint else ''}" for m in h.moves),
            )
            for h in b.verdict.hypotheses
            if h.status is not Status.NOT_TESTED
        ),
    )


def slots_table(m: Measured) -> Table:
    """Return the slots of both boards and what became of them; no row without a layout."""

    def state(board: BoardMeasured, name: str) -> str:
        return next((s.state.value for s in board.slots if s.slot.name == name), NOT_STATED)

    def reason(name: str) -> str:
        return next((s.reason for s in m.suspect.slots if s.slot.name == name), "")

    return Table(
        ("slot", "addresses", m.good.board.name, m.name, f"why ({m.name})"),
        tuple(
            (s.name, str(s.range), state(m.good, s.name), state(m.suspect, s.name), reason(s.name))
            for s in (m.layouts[0].slots if m.layouts else ())
        ),
    )


def _standing(v: Verdict) -> list[Hypothesis]:
    """Return the causes that are not excluded, those that are supported first."""
    return [*v.of(Status.SUPPORTED), *v.of(Status.POSSIBLE)]


def _telling(b: BoardDiagnosis) -> Iterable[str]:
    """Yield what moved the causes that stand, and what is open: an option that it names is one to look at."""
    return (
        *(m.text for h in _standing(b.verdict) for m in h.moves if m.decibans > 0),
        *(f.claim for f in b.findings if f.open_point),
    )


def options_table(m: Measured, telling: str = "") -> Table:
    """Return the option bytes of both boards; those that differ, or that `telling` names, come first and are marked."""
    good, suspect = m.good.options, m.suspect.options
    notes = {}
    if not m.good_choice and good.settings and suspect.settings:
        notes = {
            d.name: f"{MARKS[d.weight]}: {d.meaning.removeprefix(MARKS[d.weight] + ': ')}"
            for d in compare_options([good, suspect], [m.good.board.name, m.name]).differences
        }
    by_board = [{s.name: s for s in o.settings} for o in (good, suspect)]
    names = list(dict.fromkeys((*by_board[0], *by_board[1])))
    named = set(re.findall(r"[A-Za-z]\w{3,40}", telling))
    marked = [*(n for n in names if n in notes), *(n for n in names if n in named and n not in notes)]
    names = [*marked, *(n for n in names if n not in marked)]
    rows = []
    for name in names:
        g, s = (side.get(name) for side in by_board)
        known = s or g
        rows.append((name, _value(g), _value(s), notes.get(name) or (known.meaning if known else "")))
    heads = ("option", m.good.board.name, m.name, "meaning")
    # A column for a board of which nothing was listed would say "not stated" all the way down.
    kept = [i for i in range(4) if not (i in (1, 2) and not by_board[i - 1] and by_board[2 - i])]
    return Table(
        tuple(heads[i] for i in kept),
        tuple(tuple(row[i] for i in kept) for row in rows),
        marked=frozenset(range(len(marked))),
        most=200,
    )


def _value(setting: Setting | None) -> str:
    return NOT_STATED if setting is None else f"0x{setting.value:X}"


def evidence_section(d: Diagnosis) -> Section:
    """Return the files that a diagnosis rests on, as they were when they were read."""
    return Section("Evidence", (files_table(d.case),), folded=True)


def versions_section(d: Diagnosis) -> Section:
    """Return as which chip everything was read and how that is known, and what the diagnosis was made with."""
    m = d.first.measured
    versions = (
        ("h5diag", __version__),
        ("Python", ".".join(map(str, sys.version_info[:3]))),
        ("numpy", np.__version__),
        ("chip file", m.choice.chip.name if m.choice.chip else "none"),
        ("layout", m.layouts[0].name if m.layouts else "none given"),
        ("vendor's firmware package", d.case.package or "not known"),
    )
    chip = f"Chip: {m.choice.text}."
    return Section("Made with", (chip, "; ".join(f"{n} {v}" for n, v in versions) + "."), folded=True)


# ------------------------------------------------------------------------------------------------ pictures
def figures(b: BoardDiagnosis, *, number: int = 0) -> tuple[Figure, ...]:
    """Return the plots that say something about this board; `number` tells several boards apart."""
    m, c, tail = b.measured, b.measured.reference.comparison, f"-{number + 1}" if number else ""
    # Bars that all point down say nothing that the list of what is excluded does not.
    raised = [h for h in _standing(b.verdict) if h.score > h.cause.prior]
    moved = "; ".join(f"{h.cause.name} {h.score:+d} ({h.status.value})" for h in raised)
    found = f"{count_text(len(m.placement.strong), 'piece')} of the good board's dump found in the dump of {b.name}"
    rows: tuple[tuple[Any, str, str, Callable[[], Any]], ...] = (
        (lanes(m), "memory-map", map_words(b), lambda: _plots().plot_memory_map(b)),
        (
            m.placement.regions,
            "offsets",
            headline(m.placement),
            lambda: _plots("locate").plot_correlation(correlation_of(m)),
        ),
        (
            len(m.placement.regions) >= MANY_PIECES,
            "dots",
            f"{found}, address against address.",
            lambda: _plots("locate").plot_dots(m.placement),
        ),
        (
            raised,
            "weighing",
            f"How far the evidence moves each cause, in decibans (+10 is ten times more likely): {moved}.",
            lambda: _plots("boards").plot_weighing(b),
        ),
        (
            c.risen or c.fallen,
            "bits",
            f"{count_text(c.differing_bytes, 'byte')} differ from {m.reference.name} where it was"
            f" compared: {count_text(c.risen, 'bit')} rose and {count_text(c.fallen, 'bit')} fell.",
            lambda: _plots().plot_bits(b),
        ),
    )
    return tuple(Figure(f"{name}{tail}", words, draw) for holds, name, words, draw in rows if holds)


def _plots(module: str = "") -> Any:
    """Return a module of plots, loaded when one is drawn: most readers of an answer look at no picture."""
    return import_module(f"h5diag.show.plots.{module}" if module else "h5diag.show.plots")


def correlation_of(m: Measured) -> Any:
    """Return the offset plot's numbers of what was measured."""
    from h5diag.measure.locate import correlate

    layout = m.layouts[0] if m.layouts else None
    return correlate(m.good.judged, m.suspect.judged, m.placement, layout=layout, chip=m.chip)


def map_words(b: BoardDiagnosis) -> str:
    """Return what the memory map shows, in a sentence."""
    said = [
        f"{lane.name}, {'what should be there' if lane.is_file else f'read at 0x{lane.view:08X}'}: {words_of(lane.spans)}"
        for lane in lanes(b.measured)
    ]
    states = [f"{s.slot.name} {s.state.value}" for s in b.measured.suspect.slots]
    return ". ".join(said) + (f". Slots of {b.name}: {', '.join(states)}." if states else ".")


def _strip(m: Measured) -> Section | None:
    """Return the dumps as a strip, and how to read it: what stands where, from which address to which, its colours."""
    rows = lanes(m)
    spans = [s for lane in rows for s in lane.spans]
    if not spans:
        return None
    ends = AddressRange(min(s.range.start for s in spans), max(s.range.stop for s in spans))
    order = f"{' above '.join(lane.name for lane in rows)}, " if len(rows) > 1 else ""
    drawn = Strip(strip_svg([lane.spans for lane in rows]), comparison_headline(m.reference.comparison))
    return section("", drawn, f"{order}{ends}, not to scale: {'; '.join(strip_legend(spans))}.", only="html")


def board_document(b: BoardDiagnosis) -> dict[str, Any]:
    """Return the document of one board alone."""
    return diagnosis_document(Diagnosis(b.measured.case, (b,)))


def boards_table(boards: Sequence[BoardDiagnosis]) -> Table:
    """Return many boards, one row each: the answer, what stands out, what to do next."""
    return table(
        "board|case|answer|supported|differs|bits rose / fell|next",
        (
            (
                b.name,
                b.measured.case.title,
                badge_of(b.verdict)[1],
                ", ".join(h.cause.name for h in b.verdict.of(Status.SUPPORTED)) or "nothing",
                f"{size_text((c := b.measured.comparison).differing_bytes)} of {size_text(c.compared_bytes)}",
                f"{c.risen:,} / {c.fallen:,}",
                b.next_test.instruction,
            )
            for b in boards
        ),
        most=500,
    )


def boards_headline(x: Boards) -> str:
    """Return which of many boards stands out, and what for."""
    odd, c = x.odd, x.odd.measured.comparison
    others = len(x.boards) - 1
    why = ", ".join(h.cause.text for h in odd.verdict.of(Status.SUPPORTED)) or "no cause is supported"
    return (
        f"{odd.name} ({odd.measured.case.title}) stands out of {count_text(len(x.boards), 'board')}:"
        f" {badge_of(odd.verdict)[1]}; {why}; {size_text(c.differing_bytes)} of {size_text(c.compared_bytes)} differ"
        f" from its good board."
        + (f" {count_text(others, 'other stands', 'others stand')} below it." if others else "")
    )


def _boards_sheet(x: Boards) -> Sheet:
    tone, badge = badge_of(x.odd.verdict)
    return sheet(boards_headline(x), section("Boards", boards_table(x.boards)), tone=tone, badge=badge)


def _boards_document(x: Boards) -> dict[str, Any]:
    return {"odd": x.odd.name, "boards": [{"case": b.measured.case.title, **board_document(b)} for b in x.boards]}


def _plot_boards(x: Boards, kind: str = "sectors", **options: Any) -> Any:
    from h5diag.show.plots import picture, plot_causes
    from h5diag.show.plots.boards import plot_boards

    draw = plot_causes if kind == "causes" else plot_boards
    return picture(draw(x.boards, **options), name=kind, alt=boards_headline(x))


_MAP = drawing("memory_map.plot_memory_map", "memory-map", map_words)

VIEWS = {
    Diagnosis: View(diagnosis_sheet, diagnosis_document, lambda d, **options: _MAP(d.first, **options), "hypotheses"),
    BoardDiagnosis: View(board_sheet, board_document, _MAP, "hypotheses"),
    Boards: View(_boards_sheet, _boards_document, _plot_boards, "boards"),
}
