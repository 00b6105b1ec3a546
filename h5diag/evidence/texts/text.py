"""From whatever was pasted or captured to clean lines.

The text of strangers: nothing in it is interpreted. Everything here is linear in the size of the text, and a line is
cut at `LINE_LIMIT` characters, so that no expression of a later parser ever meets a long one.
"""

from __future__ import annotations

import html
import re
from functools import lru_cache
from typing import NamedTuple

LINE_LIMIT = 2000
"""Characters of a line that are looked at; nothing that the tool prints is nearly as long."""

SHORTEST = 4
"""Characters below which a line says nothing; skipping them keeps a megabyte of odd text quick."""

LARGE = 256 << 10
"""Characters from which a text is looked at first: reading less is quick whatever it is."""

_ANSI = re.compile(r"\x1b(?:\[[0-9;?]{0,32}[ -/]{0,4}[@-~]|[@-Z\\-_])")
_TAG = re.compile(
    r"</?(?:br|p|div|span|pre|code|li|ul|ol|b|i|em|strong|blockquote|font|tr|td|a)\b[^<>\n]{0,200}>", re.I
)
_BREAK = re.compile(r"<(?:br|/p|/div|/li|/tr)\b[^<>\n]{0,200}>", re.I)
_REDRAW = re.compile(r"[\r\x0b\x0c\x85\u2028\u2029]")
_QUOTE = re.compile(r"^(?:\s{0,8}[>|])+ ?")
_TIME = re.compile(r"^\s{0,8}(\d{1,2}:\d\d:\d\d(?:[:.,]\d{3})?)(?:\s{0,4}:\s|\s{1,4})(.*)$")
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
    kept, since several parsers ask for the same one. A large text that does not begin like one has none.
    """
    if len(text) > LARGE and is_binary(text):
        return ()
    out: list[Line] = []
    for number, whole in enumerate(clean(text).split("\n"), 1):
        if len(whole) < SHORTEST:
            continue
        for part in _REDRAW.split(whole) if not (whole.isascii() and whole.isprintable()) else (whole,):
            raw = part[:LINE_LIMIT].rstrip()
            if len(raw) < SHORTEST:
                continue
            if raw.lstrip()[:1] in (">", "|"):
                raw = _QUOTE.sub("", raw)
            m = _TIME.match(raw) if raw.count(":", 0, 16) > 1 else None
            if m:
                out.append(Line(number, m[2], m[2].lower(), m[1]))
            else:
                low = raw.lower()
                out.append(Line(number, raw, raw if low == raw else low))
    return tuple(out)


def is_binary(text: str) -> bool:
    """Tell whether the begin of `text` is memory content or noise: a fifth is no text, or most of it is NUL.

    Progress bars arrive mangled, so that single odd characters say nothing.
    """
    head = text[:LARGE]
    odd = len(_ODD.findall(head))
    return odd * 5 > len(head) or head.count("\0") * 2 > len(head)


def hex_number(text: str) -> int:
    """Return the number with which the text begins, up to eight digits behind ``0x``; -1 when there is none."""
    m = _HEX.match(text)
    return int(m[1], 16) if m else -1


def printable(text: str, limit: int = 200) -> str:
    """Return the text on one line without anything that a terminal would act upon, cut at `limit` characters."""
    out = "".join(c if c.isprintable() else "?" for c in text[:limit])
    return out + ("..." if len(text) > limit else "")
