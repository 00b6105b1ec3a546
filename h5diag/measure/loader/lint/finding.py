"""A finding of the linter and the facts that every check may look at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from h5diag.measure.loader.calls import ABSENT
from h5diag.measure.loader.elf import LoaderFile
from h5diag.measure.loader.placement import Family


class Severity(Enum):
    """How sure it is that the loader will not work."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class LintFinding:
    """A claim in one sentence and what to do, under a stable code (``L041``)."""

    code: str
    severity: Severity
    text: str
    advice: str = ""


def error(code: str, text: str, advice: str) -> LintFinding:
    """Return a finding that says: this will not work."""
    return LintFinding(code, Severity.ERROR, text, advice)


def warning(code: str, text: str, advice: str) -> LintFinding:
    """Return a finding that says: this may not work."""
    return LintFinding(code, Severity.WARNING, text, advice)


def note(code: str, text: str, advice: str) -> LintFinding:
    """Return a finding that says: know this."""
    return LintFinding(code, Severity.NOTE, text, advice)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is linted, and for which chip.

    `trustzone` is ``on``, ``off`` or ``unknown``; `version` the tool's version or empty; `log_base` the base that the
    user's own log shows, or `ABSENT`.
    """

    loader: LoaderFile
    family: Family
    trustzone: str = "unknown"
    version: str = ""
    log_base: int = ABSENT
