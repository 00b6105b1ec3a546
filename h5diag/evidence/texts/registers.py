"""Register values in every form that people paste: columns, tables, comma-separated, words of memory, gdb's structures.

Which number of a line is the value and which the address follows from a heading of the table, else from the numbers: an
address lies where registers lie. Both are kept.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from h5diag.evidence.texts.text import lines
from h5diag.text import printed_number

_WORDS = re.compile(
    r"^\s{0,40}[\[*(@]{0,2}(?:0x)?([0-9A-Fa-f]{8})[\])]{0,2}(?:\s{0,4}<[^<>\n]{0,60}>)?\s{0,8}[:|,;=\t ]\s{0,40}"
    r"((?:(?:0x)?[0-9A-Fa-f]{8}(?:[\s,;|]{1,8}|$))+)",
    re.I,
)
_ACCESS = re.compile(
    r"(?:\br ap \d @0x([0-9A-F]{8}) 0x0{0,7}4 bytes Data|[<\[(]0x([0-9A-F]{8})[>\])] ?[:=]) ?0x([0-9A-F]{1,8})\b", re.I
)
_WORD = re.compile(r"(?:0x)?([0-9A-Fa-f]{8})(?![0-9A-Fa-f])", re.I)
_NAME = re.compile(
    r"(?<![\w.])(?:FLASH(?:_N?S)?\s{0,2}(?:->|\.|_)\s{0,2})(SR\d?|CR\d?)(?!\w)|"
    r"(?<![\w.])(?:FLASH(?:_N?S)?\s{0,2}(?:->|\.|_)\s{0,2})?([A-Z][A-Z0-9]{2,12}(?:_[A-Z0-9]{1,8}){0,2})(?![\w.>])"
)
_CAPITALS = re.compile(r"[A-Z][A-Z0-9]")
_HEX = re.compile(r"(?<![\w-])0x([0-9A-Fa-f]{1,8})\b(?!-)|(?<![\w-])([0-9A-Fa-f]{8})(?![\w-])", re.I)
_NUMBER = re.compile(r"0x|[0-9A-Fa-f]{8}")
_BEGINS, _BEFORE = frozenset("0123456789abcdefABCDEF[*(@"), ("@0x", "<0x", "[0x", "(0x")
"""What every line with a register has, but for gdb's, and what two of the patterns begin with: a log of a day has
hundreds of thousands of lines, most of them without."""
_MEMBER = re.compile(r"\b([A-Z][A-Z0-9_]{2,20}) = (0x[0-9a-fA-F]{1,8}|\d{1,10})(?=[,}])")
_PRINT = re.compile(r"\bp(?:rint)?(?:/[xX])? .{0,60}?(?:->|\.)([A-Z][A-Z0-9_]{2,20})\s*$")
_PRINTED = re.compile(r"^\s{0,8}\$\d{1,5} = (0x[0-9a-fA-F]{1,8}|\d{1,10})\b")
_PLACES = ((0x40000000, 0x60000000), (0xE0000000, 0xE0100000), (0x08FFF000, 0x09000000), (0x0BF80000, 0x0C000000))
"""Where registers and words worth reading lie; a status word may look the same, so that only the first one counts."""


class RawRegister(NamedTuple):
    """A word that was read: by `address` (bus address), by the `name` printed beside it, or both.

    A named tuple, since a long text of words makes a million of them.
    """

    value: int
    address: int | None = None
    name: str = ""
    line: int = 0


@lru_cache(maxsize=1)
def parse_registers(text: str) -> tuple[RawRegister, ...]:
    """Return the words of a register dump in the order of the text; empty when there is none.

    A later value of the same address or name does not replace an earlier one; both are kept. Those of the last text are
    kept, since several ask for the same one.
    """
    out: list[RawRegister] = []
    asked, value_first = "", False
    for line in lines(text):
        raw = line.text
        number = _NUMBER.search(line.low) is not None
        if number and raw.lstrip()[:1] in _BEGINS and (m := _WORDS.match(raw)):
            address = int(m[1], 16)
            out += [
                RawRegister(int(w, 16), address + 4 * i, "", line.number) for i, w in enumerate(_WORD.findall(m[2]))
            ]
        elif number and any(b in line.low for b in _BEFORE) and (m := _ACCESS.search(raw)):
            named = _NAME.search(raw[: m.start()])
            out.append(
                RawRegister(int(m[3], 16), int(m[1] or m[2], 16), (named[1] or named[2]) if named else "", line.number)
            )
        elif " = " in raw and (found := _MEMBER.findall(raw)):
            out += (RawRegister(printed_number(value) & 0xFFFFFFFF, None, name, line.number) for name, value in found)
        elif asked and (m := _PRINTED.match(raw)):
            out.append(RawRegister(printed_number(m[1]) & 0xFFFFFFFF, None, asked, line.number))
        elif ("." in raw or ">" in raw) and (m := _PRINT.search(raw)):
            asked = m[1]
            continue
        elif "value" in line.low and "address" in line.low and "0x" not in line.low:
            value_first = line.low.index("value") < line.low.index("address")
        elif number and (register := _named(raw, line.number, value_first)):
            out.append(register)
        asked = ""
    return tuple(out)


def _named(raw: str, number: int, value_first: bool) -> RawRegister | None:
    """Return the register of a line with a name and one number, or a name, an address and a value."""
    if _CAPITALS.search(raw) is None:
        return None
    numbers = [int(a or b, 16) for a, b in _HEX.findall(raw)]
    # Eight letters that could be digits are no number when they are the name.
    if not numbers or ("0x" not in raw.lower() and len(numbers) < 2):
        return None
    names = (m[1] or m[2] for m in _NAME.finditer(raw))
    name = next((n for n in names if len(n) != 8 or not _WORD.fullmatch(n)), "")
    if not name:
        return None
    if len(numbers) == 1:
        return RawRegister(numbers[0], None, name, number)
    if value_first:
        return RawRegister(numbers[0], numbers[1], name, number)
    for i, n in enumerate(numbers[:-1]):
        if any(a <= n < b for a, b in _PLACES):
            return RawRegister(numbers[i + 1], n, name, number)
    # An offset from the base of the block stands before the value.
    return RawRegister(numbers[1] if numbers[0] < 0x1000 else numbers[0], None, name, number)
