"""A forum-ready answer: what it is, the evidence in numbers, the map as text, and what to do next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from textwrap import shorten

from h5diag.judge import BoardDiagnosis, Diagnosis
from h5diag.show.diagnosis import commands, folder_named, runnable
from h5diag.show.sheet import plain_markdown
from h5diag.show.spans import Look, MapSpan, condensed_axis, lanes

MOST_EVIDENCE = 4
MOST_OPEN = 2
MOST_TEXT = 360
WIDTH = 56
SIGNS = {
    Look.CONTENT: "█",
    Look.DIFFERS: "▓",
    Look.ERASED: "·",
    Look.ZERO: "0",
    Look.MASKED: "?",
    Look.UNREADABLE: "!",
}
_WORDS = {
    Look.CONTENT: "content",
    Look.DIFFERS: "differs",
    Look.ERASED: "erased",
    Look.ZERO: "zero",
    Look.MASKED: "not shown",
    Look.UNREADABLE: "unreadable",
}


def reply(d: Diagnosis, folder: str = "", *, clean: Callable[[str], str] = str) -> str:
    """Return an answer of about fifteen lines of Markdown, for the first board of a case.

    `folder` is where the case lies, for the command to run; empty where it lies in no folder. `clean` takes secrets out
    of each text, before anything in it is escaped.
    """
    b = d.first

    def said(text: str) -> str:
        """Escape a text; a command in it is code, where no sign of it has to be escaped."""
        text, out, at = clean(text), "", 0
        for start, stop in commands(text):
            if "`" not in text[start:stop]:
                out += f"{_prose(text[at:start])}`{text[start:stop]}`"
                at = stop
        return out + _prose(text[at:])

    lines = [f"**{said(b.verdict.summary)}**", ""]
    lines += [f"- {said(text)}" for text in _evidence(b, clean)] or [
        "- nothing in the evidence speaks for a cause so far"
    ]
    lines += [f"- **Still open:** {said(_short(clean(text)))}" for text in b.verdict.open_points[:MOST_OPEN]]
    means = [h.means for h in b.verdict.leading] + [f.means for f in b.verdict.events if f.means]
    lines += [f"- **What it means:** {said(text)}" for text in means[:1] if text not in b.next_test.instruction]
    strip = text_map(b, clean)
    if strip:
        lines += ["", "```text", *(row.replace("`", "'") for row in strip), "```"]  # a name ends no block
    t = b.next_test
    kind = f" ({t.kind.word})" if t.id != "none" else ""
    instruction, command = (folder_named(x, typed=folder) for x in (t.instruction, runnable(t.instruction)))
    # A command that ends the sentence stands below it alone.
    before, _, after = instruction.partition(command) if command else (instruction, "", "rest")
    lines += ["", f"**Next{kind}:** {said(instruction if after.strip(' .') else before.rstrip())}"]
    if command:
        lines += ["", f"    {clean(command)}"]
    if t.loses:
        lines.append(f"It may lose: {said(t.loses)}")
    lines += ["", f"Judged: {said(shorten(clean(b.verdict.scope), 300, placeholder=' …'))}"]
    return "\n".join(lines) + "\n"


def _prose(text: str) -> str:
    """Escape a part of a sentence; the blanks that part it from a command stay."""
    events = plain_markdown(text).strip()
    return f"{' ' * (text[:1] == ' ')}{events}{' ' * (text[-1:] == ' ')}" if events else text


def _evidence(b: BoardDiagnosis, clean: Callable[[str], str]) -> list[str]:
    """Return the strongest observations behind the supported causes, each once; those with numbers first."""
    moves = [(m.decibans, m.text) for h in b.verdict.leading for m in h.moves if m.decibans > 0]
    if not moves:
        moves = [(1, f.claim) for f in b.verdict.events]
        moves += [(0, f.claim) for f in b.findings if f.open_point] + [(0, f.claim) for f in b.findings if f.numbers]
    texts = dict.fromkeys(text for _, text in sorted(moves, key=lambda m: -m[0]))
    return [_short(clean(t)) for t in list(texts)[:MOST_EVIDENCE]]


def _short(text: str) -> str:
    """Return the first sentences of a text, as many as fit; a sentence is never cut in its middle where one fits."""
    if len(text) <= MOST_TEXT:
        return text
    end = max(text.rfind(mark, 0, MOST_TEXT) + 1 for mark in (". ", "; ", ": "))
    return text[:end].rstrip(" ;:") if end > MOST_TEXT // 3 else shorten(text, MOST_TEXT, placeholder=" …")


def text_map(b: BoardDiagnosis, clean: Callable[[str], str] = str) -> list[str]:
    """Return both dumps as lines of signs over the same addresses, with a legend; empty without a dump.

    Names are cleaned before they are cut: half an id is none that a search finds.
    """
    rows = [replace(lane, name=clean(lane.name)) for lane in lanes(b.measured)[:4]]
    if not rows:
        return []
    axis = condensed_axis(s.range for lane in rows for s in lane.spans)
    places = [int(x) for x in axis.address([(i + 0.5) / WIDTH * axis.places[-1] for i in range(WIDTH)])]
    name = min(max(len(lane.name) for lane in rows), 20)
    out = [f"{lane.name[:name]:<{name}} {''.join(_sign(lane.spans, at) for at in places)}" for lane in rows]
    first, last = axis.breaks[0], axis.breaks[-1] - 1
    used = [k for k in SIGNS if any(s.look is k for lane in rows for s in lane.spans)]
    legend = "  ".join(f"{SIGNS[k]} {_WORDS[k]}" for k in used)
    head = f"{'':<{name}} 0x{first:08X}{f'0x{last:08X}':>{WIDTH - 10}}"
    return [head, *out, f"{'':<{name}} {legend}  (not to scale)"]


def _sign(spans: tuple[MapSpan, ...], address: int) -> str:
    return next((SIGNS[s.look] for s in spans if address in s.range), " ")
