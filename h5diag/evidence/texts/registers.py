"""Raw register dumps: address and value in columns, or a line of words as ``mdw`` and ``-r32`` print them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from h5diag.evidence.texts.text import lines

_WORDS = re.compile(
    r"^\s{0,40}(?:0x)?([0-9A-Fa-f]{8})\s{0,8}[:|,;=\t ]\s{0,40}"
    r"((?:(?:0x)?[0-9A-Fa-f]{8}(?:[\s,;|]{1,8}|$))+)",
    re.I,
)
_NAMED = re.compile(
    r"^\s{0,40}(?:FLASH(?:_(?:S|NS))?\s{0,2}(?:->|\.|_)\s{0,2})?([A-Z][A-Z0-9_]{2,20})\s{0,40}"
    r"(?:\(?(?:@\s{0,2})?0x[0-9A-Fa-f]{8}\)?\s{0,20})?[:=,;|\t ]\s{0,40}0x([0-9A-Fa-f]{1,8})\b"
)
_WORD = re.compile(r"(?:0x)?([0-9A-Fa-f]{8})(?![0-9A-Fa-f])", re.I)


@dataclass(frozen=True, slots=True)
class RawRegister:
    """A word that was read: by `address` (bus address) or, with `address` -1, by the `name` printed beside it."""

    value: int
    address: int = -1
    name: str = ""
    line: int = 0


def parse_registers(text: str) -> tuple[RawRegister, ...]:
    """Return the words of a register dump in the order of the text; empty when there is none.

    A later value of the same address or name does not replace an earlier one; both are kept.
    """
    out: list[RawRegister] = []
    for line in lines(text):
        if m := _WORDS.match(line.text):
            address = int(m[1], 16)
            out += (
                RawRegister(int(w[1], 16), address + 4 * i, "", line.number) for i, w in enumerate(_WORD.finditer(m[2]))
            )
        elif "0x" in line.text and (m := _NAMED.match(line.text)):
            out.append(RawRegister(int(m[2], 16), -1, m[1], line.number))
    return tuple(out)
