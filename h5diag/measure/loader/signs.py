"""Two questions a diagnosis asks of an external loader, answered from evidence alone: bypassed? mislinked?"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from h5diag.measure.loader.calls import ABSENT
from h5diag.measure.loader.elf import LoaderFile
from h5diag.measure.loader.explain import Explanation, Story, bypassing, explain, log_base
from h5diag.measure.loader.lint import LintFinding, Severity, lint
from h5diag.measure.loader.placement import families
from h5diag.measure.loader.vb3 import LoaderLog


class Answer(Enum):
    """Yes and no rest on evidence; `POSSIBLE` rests on one report or on a warning; `UNKNOWN` on nothing."""

    YES = "yes"
    POSSIBLE = "possible"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class LoaderSign:
    """An answer in one sentence with what supports it, each piece a sentence of its own."""

    answer: Answer
    text: str
    evidence: tuple[str, ...] = ()


_PLACING = ("L031", "L040", "L041", "L042", "L043")


def loader_bypassed(log: LoaderLog) -> LoaderSign:
    """Tell whether the external loader was silently not used, from a verbosity-3 log."""
    if not log.is_verbose:
        return LoaderSign(Answer.UNKNOWN, "The log is not of verbosity 3: it does not show if the loader was used.")
    told = explain(log)
    if told.story is Story.BYPASSED:
        lines = bypassing(log)
        return LoaderSign(
            Answer.YES,
            told.conclusion,
            (f"external memory accessed directly in line {lines[0]}, no 'Init flashloader...' anywhere",),
        )
    if told.story in (Story.NO_CALL, Story.INTERNAL_ONLY):
        return LoaderSign(Answer.UNKNOWN, told.conclusion)
    return LoaderSign(Answer.NO, "The external loader was called.", (f"{len(told.calls)} calls in the log",))


def loader_mislinked(
    loader: LoaderFile | None, log: LoaderLog | None = None, *, family: str = "", trustzone: str = "unknown"
) -> LoaderSign:
    """Tell whether a loader is linked or sized so that it is never downloaded.

    Parameters
    ----------
    loader
        The loader's file, or None when there is only a log.
    log
        A verbosity-3 log, or None. Only a log makes the answer `YES` or `NO`: the base is the tool's own choice.
    family
        ``h5``, ``l5``, ``u5``; empty takes it from the log.
    trustzone
        ``on``, ``off`` or ``unknown``.
    """
    told = explain(log, loader, family=family, trustzone=trustzone) if log is not None else None
    known = next((f for f in families() if f.name == (family or (told.family if told else ""))), None)
    found: tuple[LintFinding, ...] = ()
    if loader is not None and known is not None:
        found = tuple(
            f
            for f in lint(loader, known, trustzone=trustzone, log=log)
            if f.code in _PLACING and f.severity is not Severity.NOTE
        )
    evidence = tuple(f"{f.code}: {f.text}" for f in found)
    if told is not None and told.story is Story.NOT_DOWNLOADED:
        return LoaderSign(Answer.YES, told.conclusion, (told.conclusion, *evidence))
    if told is not None and told.story in _RAN:
        return LoaderSign(Answer.NO, "The log shows that the image was downloaded.", _ran(told))
    if any(f.severity is Severity.ERROR for f in found):
        return LoaderSign(Answer.YES, found[0].text, evidence)
    if found:
        return LoaderSign(Answer.POSSIBLE, found[0].text, evidence)
    if loader is None or known is None:
        return LoaderSign(Answer.UNKNOWN, "Neither a file for a known chip nor a call in a log is there.")
    if log is not None and log_base(log) != ABSENT:
        return LoaderSign(Answer.NO, "It is linked where the log puts it.", ())
    return LoaderSign(Answer.UNKNOWN, "It is linked where published loaders of this family are; a log is needed.")


_RAN = (Story.WORKED, Story.FAULTED, Story.REFUSED, Story.HUNG, Story.ODD_RESULT)


def _ran(told: Explanation) -> tuple[str, ...]:
    version = f", v{told.version}" if told.version else ""
    return (f"breakpoint and image written before {sum(c.downloaded for c in told.calls)} calls{version}",)
