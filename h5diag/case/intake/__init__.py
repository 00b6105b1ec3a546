"""Getting evidence in: dropped files are told by content, sorted by board and laid into a case folder."""

from __future__ import annotations

from h5diag.case.intake.boards import Ask, BoardFiles, Boards
from h5diag.case.intake.evidence import Evidence, Role, tell
from h5diag.case.intake.folder import Content, Told, new_folder, write_case
from h5diag.case.intake.missing import Missing
from h5diag.case.intake.names import Name, Side, parse_name
from h5diag.case.intake.sorting import Sorted, sort_evidence

__all__ = [
    "Ask",
    "BoardFiles",
    "Boards",
    "Content",
    "Evidence",
    "Missing",
    "Name",
    "Role",
    "Side",
    "Sorted",
    "Told",
    "new_folder",
    "parse_name",
    "sort_evidence",
    "tell",
    "write_case",
]
