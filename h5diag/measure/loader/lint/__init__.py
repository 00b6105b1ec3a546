"""Lint of an external loader: what its ELF file alone tells, as findings with code, severity and advice."""

from __future__ import annotations

from h5diag.measure.loader.elf import LoaderFile
from h5diag.measure.loader.explain import log_base, log_version
from h5diag.measure.loader.lint.entries import check_code, check_entries, check_memory
from h5diag.measure.loader.lint.finding import LintFinding, Severity, Subject
from h5diag.measure.loader.lint.placing import check_file, check_placement
from h5diag.measure.loader.lint.storage import check_storage
from h5diag.measure.loader.placement import Family
from h5diag.measure.loader.vb3 import LoaderLog

__all__ = ["CHECKS", "LintFinding", "Severity", "Subject", "lint", "sound"]

CHECKS = (check_file, check_storage, check_entries, check_placement, check_memory, check_code)
"""All checks, in the order of their codes' tens."""


def lint(
    loader: LoaderFile, family: Family, *, trustzone: str = "unknown", version: str = "", log: LoaderLog | None = None
) -> tuple[LintFinding, ...]:
    """Return what is wrong with a loader, errors first.

    Parameters
    ----------
    loader
        As `read_loader` returns it.
    family
        As `h5diag.measure.loader.placement.family` returns it.
    trustzone
        ``on``, ``off`` or ``unknown``.
    version
        Version of STM32CubeProgrammer, such as ``2.17.0``; empty takes it from the log, or leaves it open.
    log
        The user's verbosity-3 log; the base it shows overrides the table.
    """
    subject = (
        Subject(loader, family, trustzone, version)
        if log is None
        else Subject(loader, family, trustzone, version or log_version(log), log_base(log))
    )
    order = list(Severity)
    found = (f for check in CHECKS for f in check(subject))
    return tuple(sorted(found, key=lambda f: (order.index(f.severity), f.code)))


def sound(findings: tuple[LintFinding, ...]) -> bool:
    """Tell whether none of the findings is an error."""
    return not any(f.severity is Severity.ERROR for f in findings)
