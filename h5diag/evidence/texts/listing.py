"""Option bytes as STM32CubeProgrammer prints or exports them: raw names and values, in the order of the text."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from h5diag.chip.files import index
from h5diag.evidence.texts.text import Line, clean, lines
from h5diag.limits import LISTED_OPTIONS
from h5diag.text import count_text, printed_number

_BANK = re.compile(r"OPTION\s{1,8}BYTES?\s{1,8}BANK\s{0,8}:\s{0,8}(\d{1,3})", re.I)
_FIELD = re.compile(r"(?<![\w.])([A-Za-z][A-Za-z0-9_]{1,39})\s{0,40}:\s{0,40}0x([0-9A-Fa-f]{1,16})(?![0-9A-Za-z_])")
_ROW = re.compile(
    r"^[ \t|*-]{0,20}([A-Z][A-Z0-9_]{1,39})(?:[ \t]{0,20}[=|\t][ \t]{0,20}|[ \t]{2,40})"
    r"0x([0-9A-Fa-f]{1,16})(?![0-9A-Za-z_])(.{0,200})$"
)
"""A name and a number as people note them: with tabs, an equals sign, or in a table's columns; the line holds no more."""
_TAB = re.compile(
    r"^[ \t|>*-]{0,20}([A-Za-z][A-Za-z0-9_]{1,39})[ \t:|]{1,40}(?:Value[ \t:]{0,8}(?:0x)?([0-9A-Fa-f]{1,16})|"
    r"(?:\[.?\][ \t]{0,4}|[^\w\s][ \t]{1,4})?((?:Un)?checked)|(AA|BB|CC|DC|55))(?![0-9A-Za-z_])(.{0,200})$",
    re.I,
)
"""A row of the graphical tool's tab of options: a value with its address, a tick, or the byte of a protection level."""
_NOTED = re.compile(
    r"(?<![\w.])([A-Za-z][A-Za-z0-9_]{1,39})(?:[ \t]{0,20}=[ \t]{0,20}|[ \t]{1,20})(?:0x)?([0-9A-Fa-f]{1,8})(?![\w.])"
)
"""A name and a bare number as people type them off a screen, several to a line; the tools show these in hexadecimal."""
_ADDRESS = re.compile(r"0x[0-9A-Fa-f]{1,8}")
_STUB = re.compile(r"^\s{0,40}([A-Za-z][A-Za-z0-9_]{1,39})\s{0,40}(?::\s{0,40}(?:0x?[0-9A-Fa-f]{0,16})?)?\s*$")
_FLASH = re.compile(r'"flash_kib"\s{0,20}:\s{0,20}(\d{1,6})')
_EXPORT = re.compile(r'"([A-Za-z][A-Za-z0-9_]{1,39})"\s{0,20}:\s{0,20}(-?\d{1,20})(?=\s{0,20}[,}\]\n\r])')
_OWN = re.compile(
    r'"([A-Za-z][A-Za-z0-9_]{1,39})"\s{0,20}:\s{0,20}\{\s{0,20}"value"\s{0,20}:\s{0,20}(-?\d{1,20})'
    r"(?=\s{0,20}[,}\]\n\r])"
)
_OLD = re.compile(r"^[-!]\s{0,40}[A-Za-z][A-Za-z0-9_]{1,39}\s{0,40}:\s{0,40}0x[0-9A-Fa-f]")
_NEW = re.compile(r"^[+!]\s{0,40}[A-Za-z][A-Za-z0-9_]{1,39}\s{0,40}:\s{0,40}0x[0-9A-Fa-f]")
_PLAIN = re.compile(r"^\d{1,6}(?:,\d{1,6})?[acd]\d{1,6}(?:,\d{1,6})?\s{0,4}$")
_NOT_OPTIONS = frozenset({"bank", "address", "size", "file", "value", "data", "sn", "id", "error", "found"})
_DEVICE = re.compile(r'"(?:deviceId|dev_id)"\s{0,20}:\s{0,20}"?(0x[0-9A-Fa-f]{1,8}|\d{1,10})')


class RawOption(NamedTuple):
    """An option as printed: `text` is what stood in parentheses, `bank` the tool's own bank number, None if none.

    A named tuple, as `Line` is.
    """

    name: str
    value: int
    text: str = ""
    bank: int | None = None
    line: int = 0


@dataclass(frozen=True, slots=True)
class Listing:
    """The options of one board.

    Parameters
    ----------
    fields
        In the order of the text; a name stands once, with its last value.
    cut
        What is left of a line that the text breaks off in; empty when it ends at a line's end.
    last_line
        Number of the last line that was understood.
    device_id, flash_kib
        From an export or document, else None.
    warnings
        What was odd, a sentence each.
    """

    fields: tuple[RawOption, ...] = ()
    cut: str = ""
    last_line: int = 0
    device_id: int | None = None
    flash_kib: int | None = None
    warnings: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.fields)

    def get(self, name: str) -> RawOption:
        """Return the option printed under `name`, in any case; KeyError when there is none."""
        return {f.name.upper(): f for f in reversed(self.fields)}[name.upper()]


@lru_cache(maxsize=8)
def parse_listing(text: str) -> Listing:
    """Return the options in a listing, a GUI export or an ``info`` document; empty when there is not one option line.

    When the text holds several listings, as a log does that reads before and after a change, the last one counts. A
    diff of two listings is no listing: see `split_diff`.
    """
    if split_diff(text) is not None:
        return Listing(warnings=("the text is a diff of two listings, so of two boards or moments, and not of one",))
    if '"' in text and (export := _parse_export(text)):
        return export
    return listing_of(lines(text), ends_open=not text.endswith(("\n", "\r")))


def listing_of(clean: Iterable[Line], *, ends_open: bool = False) -> Listing:
    """Return the options in these lines; `ends_open` says that the text does not end with a line end."""
    runs: list[list[RawOption]] = [[]]
    bank: int | None = None
    stub = ""
    last = 0
    headed = False
    for line in clean:
        stub = ""
        if noted := _noted(line):
            runs[-1] += noted
            last = line.number
            continue
        if "0x" in line.text and (m := _ROW.match(line.text)) and m[1] in _known_names():
            runs[-1].append(RawOption(m[1], int(m[2], 16), m[3].strip(" \t|").strip("()"), bank, line.number))
            last = line.number
            continue
        if (m := _TAB.match(line.text)) and m[1].upper() in _known_names():
            value = int(m[2] or m[4] or "0", 16) if not m[3] else int(m[3].lower() == "checked")
            at = _ADDRESS.search(m[5])
            runs[-1].append(RawOption(m[1], value, at[0] if at else m[5].strip(" \t:|"), bank, line.number))
            last = line.number
            continue
        if ":" not in line.text:
            stub = line.text.strip() if headed else ""
            continue
        if "bank" in line.low and (m := _BANK.search(line.text)):
            number = int(m[1])
            if runs[-1] and (bank is None or number <= bank):
                runs.append([])
            bank, last, headed = number, line.number, True
            rest = line.text[m.end() :]
        else:
            rest = line.text
        found = _fields(rest, bank, line.number, headed)
        if found:
            runs[-1] += found
            last = line.number
        elif headed and _STUB.match(rest):
            stub = rest.strip()
    return _listing_of([r for r in runs if r], stub if ends_open else "", last, ends_open, headed)


def _noted(line: Line) -> list[RawOption]:
    """Return the options of a line that holds nothing else: ``nBOOT0 = 1   RDP = FF``."""
    found = list(_NOTED.finditer(line.text))
    if (
        not found
        or _NOTED.sub("", line.text).strip(" \t,;|*-")
        or any(m[1].upper() not in _known_names() for m in found)
    ):
        return []
    # One digit is a level and not the byte that stands for it; a single bit is no value of the byte that TZEN has on H5.
    return [RawOption(m[1], int(m[2], 16), line=line.number) for m in found if m[1].upper() != "RDP" or len(m[2]) == 2]


@lru_cache(maxsize=1)
def _known_names() -> frozenset[str]:
    """Return every name that an option byte of any STM32 has."""
    return frozenset(name.upper() for device in index().devices for name in device.options)


@lru_cache(maxsize=1)
def split_diff(text: str) -> tuple[str, str] | None:
    """Return the two listings of which the text is a diff (unified, context or plain); None when it is none."""
    if ":" not in text or "0x" not in text:
        return None
    raw = clean(text).split("\n")
    old = [line for line in raw if line[:1] in ("-", "!") and _OLD.match(line)]
    new = [line for line in raw if line[:1] in ("+", "!") and _NEW.match(line)]
    if any(line[:1].isdigit() and _PLAIN.match(line) for line in raw):
        older, newer = [x[2:] for x in raw if x.startswith("< ")], [x[2:] for x in raw if x.startswith("> ")]
        return ("\n".join(older) + "\n", "\n".join(newer) + "\n") if older or newer else None
    headed = any(line.startswith("@@ ") for line in raw) or any(
        (a.startswith("--- ") and b.startswith("+++ ")) or (a.startswith("*** ") and b.startswith("--- "))
        for a, b in itertools.pairwise(raw)
    )
    # Without a heading a dash may be a bullet: then both signs must stand before options.
    if not (old or new) or not (headed or (old and new)):
        return None
    if not headed and any(line[:1] not in "+- @\r" for line in raw if line.strip()):
        return None
    body = [line for line in raw if not line.startswith(("@@", "--- ", "+++ ", "*** ", "diff ", "index "))]
    older = [line[1:] for line in body if not line.startswith("+")]
    newer = [line[1:] for line in body if not line.startswith("-")]
    return "\n".join(older) + "\n", "\n".join(newer) + "\n"


def _fields(text: str, bank: int | None, number: int, headed: bool) -> list[RawOption]:
    if "0x" not in text:
        return []
    out: list[RawOption] = []
    matches = [m for m in _FIELD.finditer(text) if m[1].lower() not in _NOT_OPTIONS]
    for i, m in enumerate(matches):
        if not headed and not ("_" in m[1] or sum(c.isupper() for c in m[1]) >= 3):
            continue
        if len(matches) == 1 and text[: m.start()].strip(" \t-*#"):
            # Words before the name: a sentence or a banner's line, not a field of a listing.
            continue
        tail = text[m.end() : matches[i + 1].start() if i + 1 < len(matches) else len(text)]
        left, right = tail.find("("), tail.rfind(")")
        words = tail[left + 1 : right if right > left else None].strip() if left >= 0 else ""
        out.append(RawOption(m[1], int(m[2], 16), words, bank, number))
    return out


def _listing_of(runs: list[list[RawOption]], stub: str, last: int, ends_open: bool, headed: bool) -> Listing:
    # Without the tool's heading any table of names and numbers looks like a listing; most names must be options then.
    if runs and not headed and sum(f.name.upper() in _known_names() for f in runs[-1]) * 2 <= len(runs[-1]):
        return Listing()
    if not runs:
        return Listing()
    warnings: list[str] = []
    fields = runs[-1]
    if len(runs) > 1:
        warnings.append(f"the text holds {len(runs)} listings: the last one, from line {fields[0].line}, is used")
    if ends_open and not stub and not fields[-1].text and (fields[-1].bank is not None or any(f.text for f in fields)):
        # The break may lie between two digits: half a number is worse than none.
        stub, fields = f"{fields[-1].name}: 0x{fields[-1].value:X}", fields[:-1]
    seen: dict[str, RawOption] = {}
    for f in fields:
        old = seen.pop(f.name.upper(), None)
        if old is not None and old.value != f.value:
            warnings.append(
                f"{f.name} is printed twice: 0x{old.value:X} (line {old.line}) and 0x{f.value:X} "
                f"(line {f.line}); the later one is used"
            )
        seen[f.name.upper()] = f
    if len(warnings) > LISTED_OPTIONS:
        warnings[LISTED_OPTIONS:] = ["more options are printed twice and are not listed"]
    return Listing(_most(seen, warnings), stub, last, warnings=tuple(warnings))


def _most(fields: dict[str, RawOption], warnings: list[str]) -> tuple[RawOption, ...]:
    if len(fields) > LISTED_OPTIONS:
        warnings.append(
            f"the text holds {count_text(len(fields), 'different option')}, more than any chip has: "
            f"the first {LISTED_OPTIONS} are used"
        )
    return tuple(fields.values())[:LISTED_OPTIONS]


def _parse_export(text: str) -> Listing:
    """Return the options of a GUI export, whose numbers are signed and decimal, or of this project's own JSON."""
    start, pattern = text.find("bitNameToValue"), _EXPORT
    if start < 0:
        start, pattern = text.find('"options"'), _OWN
    if start < 0:
        return Listing()
    device, size = _DEVICE.search(text), _FLASH.search(text)
    fields: dict[str, RawOption] = {}
    end = start
    number = 1 + text.count("\n", 0, start)
    for m in pattern.finditer(text, start):
        number += text.count("\n", end, m.start())
        fields[m[1].upper()] = RawOption(m[1], int(m[2]) & 0xFFFFFFFF, "", None, number)
        end = m.end()
    cut = "" if "}" in text[end:] else " ".join(text[end : end + 60].split()).strip(", ")
    if not fields:
        return Listing()
    warnings: list[str] = []
    return Listing(
        _most(fields, warnings),
        cut or ("" if "}" in text[end:] else "end of the text"),
        number,
        printed_number(device[1]) if device else None,
        int(size[1]) if size else None,
        tuple(warnings),
    )
