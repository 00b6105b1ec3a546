"""Many boards in one table: the answer for each, what stands out, what to do next."""

from __future__ import annotations

from collections.abc import Sequence

from h5diag.app.panels.parts import table_html
from h5diag.judge import BoardDiagnosis
from h5diag.judge.verdict import Status
from h5diag.show.report.write_up import BADGES
from h5diag.text import size_text


def boards_html(boards: Sequence[BoardDiagnosis]) -> str:
    """Return one row a board, every text escaped."""
    rows = []
    for b in boards:
        c = b.measured.comparison
        rows.append(
            [
                b.name,
                b.measured.case.title,
                BADGES[b.verdict.word][1],
                ", ".join(h.id for h in b.verdict.of(Status.SUPPORTED)) or "nothing",
                f"{size_text(c.differing_bytes)} of {size_text(c.compared_bytes)}",
                f"{c.risen:,} / {c.fallen:,}",
                b.next_test.instruction,
            ]
        )
    return table_html(
        "Boards", ["board", "case", "answer", "supported", "differs", "bits rose / fell", "next"], rows, "h5-boards"
    )
