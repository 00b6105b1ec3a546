"""Before the point of no return: what a provisioning set is, whether it may be run, and whether a board reopens."""

from __future__ import annotations

from h5diag.judge.preflight.inventory import Fit, Item, fits, item_document, recognise, recognise_all
from h5diag.judge.preflight.project import Board, Project, open_project, read_board
from h5diag.judge.preflight.rows import Row
from h5diag.judge.preflight.verdict import ASKS, CHECKS, Preflight, preflight

__all__ = [
    "ASKS",
    "CHECKS",
    "Board",
    "Fit",
    "Item",
    "Preflight",
    "Project",
    "Row",
    "fits",
    "item_document",
    "open_project",
    "preflight",
    "read_board",
    "recognise",
    "recognise_all",
]
