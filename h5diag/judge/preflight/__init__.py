"""Before the point of no return: what a provisioning set is, whether it may be run, and whether a board reopens."""

from __future__ import annotations

from h5diag.judge.preflight.inventory import Fit, Inventory, Item, fits, read_inventory, recognise
from h5diag.judge.preflight.project import Project, StateBefore, open_project, read_board
from h5diag.judge.preflight.reopening import AccessFit, Reopening, access
from h5diag.judge.preflight.rows import Row
from h5diag.judge.preflight.verdict import ASKS, CHECKS, Preflight, preflight, rehearsal

__all__ = [
    "ASKS",
    "CHECKS",
    "AccessFit",
    "Fit",
    "Inventory",
    "Item",
    "Preflight",
    "Project",
    "Reopening",
    "Row",
    "StateBefore",
    "access",
    "fits",
    "open_project",
    "preflight",
    "read_board",
    "read_inventory",
    "recognise",
    "rehearsal",
]
