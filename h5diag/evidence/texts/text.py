"""From whatever was pasted or captured to clean lines.

The text of strangers: nothing in it is interpreted. Everything here is linear in the size of the text, and a line is
cut at `limits.LINE` characters, so that no expression of a later parser ever meets a long one. What a terminal, a
logger or a forum put in front of every line is taken off: dates and times, names and levels of a logger, line numbers,
names of containers, quote marks.
"""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from h5diag.limits import LARGE_TEXT, LINE, TEXT_LINES, shortened

SHORTEST = 4
"""Characters below which a line says nothing; skipping them keeps a megabyte of odd text quick."""


_ANSI = re.compile(r"\x1b(?:\[[0-9;?]{0,32}[ -/]{0,4}[@-~]|[@-Z\\-_])")
_TAG = re.compile(
    r"</?(?:br|p|div|span|pre|code|li|ul|ol|b|i|em|strong|blockquote|font|tr|td|a)\b[^<>\n]{0,200}>", re.I
)
_BREAK = re.compile(r"<(?:br|/p|/div|/li|/tr)\b[^<>\n]{0,200}>", re.I)
_REDRAW = re.compile(r"[\r\x0b\x0c\x85\u2028\u2029]")
_QUOTE = re.compile(r"^(?:\s{0,8}[>|])+ ?")
_CLOCK = r"\d{1,2}:\d\d:\d\d(?:[.,:]\d{1,9}){0,2}"
_STAMP = re.compile(
    r"\s{0,8}(?:[\[(] {0,8})?(?:"
    r"(?:\d{4}[-/.]\d\d?[-/.]\d\d?|\d\d?[-/.]\d\d?[-/.]\d{2,4})[T ,_-]{1,2}"
    + _CLOCK
    + r"(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?|"
    r"(?:[A-Z][a-z]{2} )?[A-Z][a-z]{2} {1,2}\d\d? (?:\d{4} )?" + _CLOCK + r"(?: \d{4})?|"
    r"(?P<time>" + _CLOCK + r")|"
    r"(?P<seconds>\d{1,7}\.\d{3,9}))[\])]?"
)
"""A date with a time, a time alone, or (in brackets only) seconds since a start."""
_AFTER_STAMP = re.compile(
    r"(?:\s{0,4}(?:->|[-|:>])\s{1,4}|\s{1,4})"
    r"(?:[\w.\-]{1,40} {1,4}- {1,4}){0,3}"
    r"(?:[\[(]?(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL)(?:[\])] {0,4}[-:|]? {0,4}| {0,4}[-:|] {0,4}|"
    r" {1,8}(?=[\w.\-]{1,40}: ))(?:[\w.\-]{1,40}: (?!\s{0,4}0x))?)?"
)
_SYSLOG = re.compile(r"(?:[\w.\-]{1,40} {1,2})?[\w./\-]{1,40}(?:\[\d{1,7}\]): ")
_NUMBERED = re.compile(r"^\s{0,8}(\d{1,6})(?:[:|.)]\s?|\t|\s{2})")
_CONTAINER = re.compile(r"^([\w.\-]{1,40}) {0,20}[|>] ?")
_NAMED = re.compile(
    r"(?<![a-z0-9])(?:stm32|(?:nucleo|disco|b)[-_ ]?)((?:wba|wb|wl|[a-z])\d(?:[0-9a-z]\d|\d[0-9a-z])[a-z0-9]{0,6})(?![0-9])"
)
"""A part number, or a board that is called after one: nucleo_h563zi, B-U585I-IOT02A, STM32U5A9J-DK."""
_HEX = re.compile(r"0x([0-9A-Fa-f]{1,8})\b")
_ODD = re.compile(r"[\x01-\x07\x0e-\x1a\x1c-\x1f\x7f-\x84\x86-\x9f\ufffd]")
_GONE = (0x200B, 0x200C, 0x200D, 0xFEFF, 0x00AD)
_SPACES = (0x00A0, 0x202F, 0x2007, *(c for c in range(32) if c not in (9, 10, 11, 12, 13)))
_CHARACTERS: dict[int, str] = (
    dict.fromkeys(_GONE, "") | dict.fromkeys(_SPACES, " ") | dict.fromkeys((0x2010, 0x2011, 0x2212), "-")
)


class Line(NamedTuple):
    """A clean line: `number` counts from 1, `low` is the text in lower case, `time` the tool's time stamp or empty.

    A named tuple, since a large log makes hundreds of thousands of them.
    """

    number: int
    text: str
    low: str
    time: str = ""


def clean(text: str) -> str:
    """Return the text without colours, invisible and control characters, and without the markup of a forum."""
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    if "&" in text or "<" in text:
        text = _TAG.sub("", _BREAK.sub("\n", text))
        text = html.unescape(text)
    # Marks of a forum's own markup around names.
    text = text.replace("**", "").replace("`", "").replace("\\_", "_")
    return text.translate(_CHARACTERS)


@lru_cache(maxsize=1)
def lines(text: str) -> tuple[Line, ...]:
    """Return the lines of `SHORTEST` characters and more, without quote marks of a forum, the time stamp apart.

    A carriage return ends a line too: a progress bar that was redrawn gives one line per redraw. The last text is
    kept, since several parsers ask for the same one. A large text that does not begin like one has none, and of one
    that markup breaks into more than `limits.TEXT_LINES` the others are left out.
    """
    if len(text) > LARGE_TEXT and is_binary(text):
        return ()
    out: list[Line] = []
    wholes = clean(text).split("\n")
    front = _front(wholes)
    for number, whole in enumerate(wholes, 1):
        if len(out) >= TEXT_LINES:
            break
        if len(whole) < SHORTEST:
            continue
        for part in _REDRAW.split(whole) if not (whole.isascii() and whole.isprintable()) else (whole,):
            raw = part[:LINE].rstrip()
            if len(raw) < SHORTEST:
                continue
            if front is not None:
                raw = front.sub("", raw, count=1)
            if raw.lstrip()[:1] in (">", "|"):
                raw = _QUOTE.sub("", raw)
            raw, time = unstamped(raw)
            low = raw.lower()
            out.append(Line(number, raw, raw if low == raw else low, time))
    return tuple(out)


def unstamped(raw: str) -> tuple[str, str]:
    """Return a line without the stamp and the logger's words in front of it, and the time of day of the stamp."""
    m = _STAMP.match(raw) if ":" in raw[:24] or raw.lstrip()[:1] == "[" else None
    if m is None or (m["seconds"] and m[0].strip()[:1] != "["):
        return raw, ""
    rest = raw[m.end() :]
    if m["time"] is None and m["seconds"] is None and (host := _SYSLOG.match(rest.lstrip(" "))):
        return rest.lstrip(" ")[host.end() :], ""
    after = _AFTER_STAMP.match(rest)
    if after is None:
        return (rest, m["time"] or "") if not rest.strip() else (raw, "")
    return rest[after.end() :], m["time"] or ""


def _front(wholes: Sequence[str]) -> re.Pattern[str] | None:
    """Return the pattern of what stands in front of every line: rising numbers, or one and the same name."""
    some = [w for w in wholes[:400] if w.strip()]
    if len(some) < 3:
        return None
    numbers = [int(m[1]) for w in some if (m := _NUMBERED.match(w))]
    if len(numbers) * 10 >= len(some) * 9 and all(a < b < a + 40 for a, b in itertools.pairwise(numbers)):
        return _NUMBERED
    names = [m[1] for w in some if (m := _CONTAINER.match(w))]
    return _CONTAINER if len(names) * 10 >= len(some) * 9 and len(set(names)) == 1 else None


def is_binary(text: str) -> bool:
    """Tell whether the begin of `text` is memory content or noise: a fifth is no text, or most of it is NUL.

    Progress bars arrive mangled, so that single odd characters say nothing.
    """
    head = text[:LARGE_TEXT]
    return len(_ODD.findall(head)) * 5 > len(head) or head.count("\0") * 2 > len(head)


def named_parts(lines: Sequence[Line]) -> tuple[str, ...]:
    """Return the part numbers of which the lines speak, the fullest first; a board of ST's is called after its part."""
    found = {f"STM32{m[1].upper()}" for line in lines for m in _NAMED.finditer(line.low)}
    return tuple(sorted(found, key=lambda name: (-len(name), name)))


def hex_number(text: str) -> int | None:
    """Return the number with which the text begins, up to eight digits behind ``0x``; None when there is none."""
    m = _HEX.match(text)
    return int(m[1], 16) if m else None


def printable(text: str, limit: int = 200) -> str:
    """Return the text on one line without anything that a terminal would act upon, cut at `limit` characters."""
    return "".join(c if c.isprintable() else "?" for c in shortened(text, limit + 3))
