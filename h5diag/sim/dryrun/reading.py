"""An external loader as it was read: its file, the part it is for, what is wrong with it, and its dry run."""

from __future__ import annotations

from dataclasses import dataclass, replace

from h5diag.answer import Answer
from h5diag.chip import ChipChoice, choose_chip
from h5diag.errors import InputError
from h5diag.evidence.door import Source
from h5diag.measure.loader.lint import LintFinding, lint, sound
from h5diag.measure.loader.loaderfile import LoaderFile, read_loader
from h5diag.measure.loader.placement import Family, families, family
from h5diag.measure.loader.vb3 import LoaderLog, parse_log, read_log
from h5diag.sim.dryrun.run import DryRun, dry_run, trace


@dataclass(frozen=True, slots=True)
class LoaderReading(Answer):
    """A loader's file and what the checks of it find.

    Parameters
    ----------
    file
        As it was parsed.
    family
        The family that it is held against.
    choice
        The chip that this rests on, and how it is known.
    trustzone
        ``on``, ``off`` or ``unknown``.
    findings
        What is wrong with it, errors first.
    log
        The user's log of verbosity 3, whose base wins over the table; None when there is none.
    """

    file: LoaderFile
    family: Family
    choice: ChipChoice
    trustzone: str
    findings: tuple[LintFinding, ...]
    log: LoaderLog | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing was found that would keep it from working."""
        return sound(self.findings)

    def dry_run(self) -> DryRun:
        """Run it on an emulated core as the programmer would; InputError where the emulator is not installed."""
        done = dry_run(self.file, self.family, trustzone=self.trustzone, log=self.log)
        return replace(done, log=trace(done, self.file, self.family), choice=self.choice)


def examine_loader(
    path: Source, *, chip: str = "", trustzone: str = "unknown", log: Source | None = None, version: str = ""
) -> LoaderReading:
    """Return a loader with what is wrong with it.

    Parameters
    ----------
    path
        The ``.stldr`` or ``.elf`` file.
    chip
        The part or its family; taken from the log, or assumed, when left out.
    trustzone
        ``on``, ``off`` or ``unknown``.
    log
        The user's log of verbosity 3.
    version
        STM32CubeProgrammer's version.

    Raises
    ------
    InputError
        When a file cannot be read, `chip` names none, or nothing is known of loaders for the chip.
    """
    file = read_loader(path)
    seen = log_of(log) if log is not None else None
    choice = seen.chip(chip) if seen is not None else choose_chip(given=chip)
    part = family(chip) if chip else _family(choice)
    findings = lint(file, part, trustzone=trustzone, version=version, log=seen)
    return LoaderReading(file, part, choice, trustzone, tuple(findings), seen)


def _family(choice: ChipChoice) -> Family:
    """Return the family of a chip that a log names, or that is assumed; none is assumed where another is named."""
    word = choice.read_as.family
    found = next((f for f in families() if f.name == word), None)
    if found is None:
        raise InputError(
            f"the log is of {choice.read_as.title}, and nothing is known here of external loaders for it",
            advice="known families: " + ", ".join(f.name for f in families()),
        )
    return found


def log_of(source: Source) -> LoaderLog:
    """Return a log of verbosity 3: of a path, or of the text itself when it has several lines."""
    return parse_log(source) if isinstance(source, str) and "\n" in source else read_log(source)
