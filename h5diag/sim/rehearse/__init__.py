"""The rehearsal: a person's own provisioning script against a chip that is not there. Nothing is executed."""

from __future__ import annotations

from h5diag.sim.rehearse.calls import Call, parse_call
from h5diag.sim.rehearse.chip_state import (
    CLOSED,
    FINAL,
    LOCKED,
    OFF,
    ON,
    OPEN,
    OTP,
    PROVISIONED,
    PROVISIONING,
    SECTOR,
    STATES,
    TZ_CLOSED,
    ChipState,
    PartTraits,
)
from h5diag.sim.rehearse.lint import Lint, lint_shell, undefined_names
from h5diag.sim.rehearse.shell_words import parse_shell, syntax_errors
from h5diag.sim.rehearse.walk import (
    TARGETS,
    Rehearsal,
    Step,
    Unchecked,
    Walk,
    WalkInputs,
    rehearse,
    unchecked,
    walk_script,
)
from h5diag.sim.rehearse.world import PROGRAMMER, Stop, Word, normal, read_script, script_file, script_text

__all__ = [
    "CLOSED",
    "FINAL",
    "LOCKED",
    "OFF",
    "ON",
    "OPEN",
    "OTP",
    "PROGRAMMER",
    "PROVISIONED",
    "PROVISIONING",
    "SECTOR",
    "STATES",
    "TARGETS",
    "TZ_CLOSED",
    "Call",
    "ChipState",
    "Lint",
    "PartTraits",
    "Rehearsal",
    "Step",
    "Stop",
    "Unchecked",
    "Walk",
    "WalkInputs",
    "Word",
    "lint_shell",
    "normal",
    "parse_call",
    "parse_shell",
    "read_script",
    "rehearse",
    "script_file",
    "script_text",
    "syntax_errors",
    "unchecked",
    "undefined_names",
    "walk_script",
]
