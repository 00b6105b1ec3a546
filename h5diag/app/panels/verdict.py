"""The verdict of one board as text: the answer, why, what was not judged, what to do next."""

from __future__ import annotations

from html import escape

from h5diag.app.panels.parts import EDGES, INK, LINE, MARKS, SHADE, SOFT, table_html
from h5diag.judge import BoardDiagnosis
from h5diag.judge.verdict import Hypothesis, Status
from h5diag.show.report.write_up import BADGES, slot_rows


def verdict_html(board: BoardDiagnosis) -> str:
    """Return the verdict as HTML that stands on its own; every text is escaped."""
    v, (style, badge) = board.verdict, BADGES[board.verdict.word]
    edge = EDGES[style]
    out = [
        f"<section aria-label='verdict' class='h5-verdict' style='color:{INK};max-width:62rem;line-height:1.45'>"
        f"<div role='status' style='border:2px solid {edge};border-left-width:10px;padding:8px 14px;"
        f"background:{SHADE}'><b>{MARKS[style]} {escape(badge)}</b>: {escape(board.name)}"
        f"<div style='font-size:1.15em;font-weight:600'>{escape(v.summary)}</div>"
        f"<div style='color:{SOFT}'>Judged: {escape(v.scope)}</div></div>"
    ]
    test = board.next_test
    out.append(
        f"<div style='border:1px solid {LINE};padding:4px 14px;margin:8px 0'><b>Next"
        f" ({escape(test.kind.word)}{f', about {test.minutes} min' if test.minutes else ''}):</b>"
        f" {escape(test.instruction)}<div style='color:{SOFT}'>It tells: {escape(test.tells)}</div>"
        + (f"<div><b>It may lose:</b> {escape(test.loses)}</div>" if test.loses else "")
        + "</div>"
    )
    for h in v.of(Status.SUPPORTED):
        out.append(_supported(h))
    if v.open_points:
        out.append("<b>Still open</b><ul>" + "".join(f"<li>{escape(p)}</li>" for p in v.open_points) + "</ul>")
    return "".join(out) + "</section>"


def _supported(h: Hypothesis) -> str:
    moves = "".join(
        f"<li>{escape(m.text)} <span style='color:{SOFT}'>({m.decibans:+d})</span></li>"
        for m in h.moves
        if m.decibans > 0
    )
    return (
        f"<details open><summary><b>{escape(h.cause.text)}</b> <code>{escape(h.id)}</code>"
        f" <span style='color:{SOFT}'>{h.score:+d} decibans</span></summary><p>{escape(h.cause.plain)}</p>"
        f"<ul>{moves}</ul></details>"
    )


def weighing_html(board: BoardDiagnosis) -> str:
    """Return all causes with where they stand and their score."""
    rows = [
        [h.id, h.status.value, f"{h.score:+d}", h.cause.text, "; ".join(m.text for m in h.moves) or "no evidence"]
        for h in board.verdict.hypotheses
    ]
    return table_html(
        "All causes, in decibans: +10 makes a cause ten times more likely",
        ["cause", "stands", "score", "what it is", "evidence"],
        rows,
        "h5-weighing",
    )


def slots_html(board: BoardDiagnosis) -> str:
    """Return the slots of both boards and what became of them; empty without a layout."""
    rows = [[s.slot, s.where, s.good, s.suspect, s.reason] for s in slot_rows(board.measured)]
    if not rows:
        return ""
    return table_html(
        "Slots of the boot loader",
        ["slot", "addresses", board.measured.good.board.name, board.name, "why"],
        rows,
        "h5-slots",
    )


def findings_html(board: BoardDiagnosis) -> str:
    """Return all findings."""
    rows = [[f.id, f.claim, f.direction.value, f.limits] for f in board.findings]
    return table_html("Every finding", ["finding", "claim", "points", "limits"], rows, "h5-findings")
