"""Errors and warnings of the tools, each with what it means and what follows from it.

What they mean stands in ``messages.toml``: rows are found by words, not by whole sentences, since the sentences change
from version to version.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from h5diag.evidence.texts.text import Line, printable
from h5diag.limits import MESSAGES
from h5diag.tables import packaged_as


class _Meaning(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of the table; its head says what the fields are for."""

    words: tuple[str, ...]
    line: str
    means: str
    ref: str
    without: tuple[str, ...] = ()
    about: str = ""
    link: bool = False
    mild: bool = False
    alone: bool = False
    unsure: bool = False

    def fits(self, low: str) -> bool:
        """Tell whether the row speaks of a line in lower case."""
        return all(w in low for w in self.words) and not any(w in low for w in self.without)


@dataclass(frozen=True, slots=True)
class Message:
    """A line by which a tool complained.

    Parameters
    ----------
    severity
        ``error`` or ``warning``.
    text
        The line, fit for a terminal.
    meaning
        What it means, empty when it is not known.
    about
        The id of the cause that follows from it, empty when nothing follows about the board.
    line
        Its number.
    link
        Whether it says that a connection failed; a later one that works takes its weight away.
    unsure
        Whether other causes would print the same line, so that `about` only may be.
    """

    severity: str
    text: str
    meaning: str = ""
    about: str = ""
    line: int = 0
    link: bool = False
    unsure: bool = False


@lru_cache(maxsize=1)
def meanings() -> tuple[_Meaning, ...]:
    """Return the table, the narrower rows before the wider ones."""
    return packaged_as("evidence/texts/messages.toml", tuple[_Meaning, ...], "message")


@lru_cache(maxsize=1)
def _plain_rows() -> tuple[re.Pattern[str], dict[str, list[_Meaning]]]:
    """Return the longest word of each row that is told although nothing in the line complains, and the rows of each."""
    rows: dict[str, list[_Meaning]] = {}
    for m in meanings():
        if m.alone:
            rows.setdefault(max(m.words, key=len), []).append(m)
    return re.compile("|".join(map(re.escape, sorted(rows, key=len, reverse=True)))), rows


def parse_messages(lines: Iterable[Line]) -> tuple[Message, ...]:
    """Return the errors and warnings in these lines, in their order, each with its meaning where one is known."""
    out: list[Message] = []
    words, alone = _plain_rows()
    for line in lines:
        low = line.low
        complains = bool(_COMPLAINT.search(low)) and not _NO_COMPLAINT.search(low)
        if not complains and not any(m.fits(low) for word in words.findall(low) for m in alone[word]):
            continue
        row = next((m for m in meanings() if m.fits(low)), None)
        if not complains and (row is None or not row.alone):
            continue
        if len(out) == MESSAGES:
            out.append(Message("warning", "more errors and warnings follow and are not listed", line=line.number))
            break
        text = printable(line.text.strip())
        if row is None:
            out.append(Message(_severity(low), text, line=line.number))
        else:
            severity = "warning" if row.mild else _severity(low)
            out.append(Message(severity, text, row.means, row.about, line.number, row.link, row.unsure))
    return tuple(out)


def _severity(low: str) -> str:
    start = low.lstrip(" *[<(")
    return "warning" if start.startswith("warn") or ("warning" in low and not start.startswith("error")) else "error"


_COMPLAINT = re.compile(
    r"error|warning|\bwarn\b|fail|timeout|time out|timed out|unable to|aborted|mismatch|cannot|can not|could not|"
    r"couldn't|not acknowledged|expected value for opt|was not modified|not supported|no device|not recognized"
)
_NO_COMPLAINT = re.compile(r"error_handler|\b0 error|no error|errors: 0|script_error_file")
