"""Getting evidence in: dropped files are told by content, sorted by board and laid into a case folder."""

from __future__ import annotations

from h5diag.case.intake.kinds import BoardSide, Evidence, FileRole, Name, parse_name, tell
from h5diag.case.intake.missing import Missing
from h5diag.case.intake.sorting import Ask, sort_evidence
from h5diag.case.intake.writing import BoardFiles, Details, Sorted, SortedBoards, new_folder, write_case

__all__ = [
    "Ask",
    "BoardFiles",
    "BoardSide",
    "Details",
    "Evidence",
    "FileRole",
    "Missing",
    "Name",
    "Sorted",
    "SortedBoards",
    "new_folder",
    "parse_name",
    "sort_evidence",
    "tell",
    "write_case",
]
