"""Register values in every form that people paste: columns, tables, comma-separated, words of memory, gdb's structures.

Which number of a line is the value and which the address follows from a heading of the table, else from the numbers: an
address lies where registers lie. Both are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from h5diag.evidence.texts.text import lines
from h5diag.limits import READBACK_LINES
from h5diag.memory import AddressRange
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


FLASH = AddressRange(0x0800_0000, 0x0E00_0000)
"""Where flash and its secure alias lie."""
NEAR = 4
"""Lines after the one that names the address in which the numbers may stand."""

_TOKEN = re.compile(
    r"(?P<read>\bread(?:[ _-]?back)?\b|\brb\b|\b(?:got|actual|act|found|flash|was|is|have)\b)|"
    r"(?P<meant>\b(?:expect(?:ed|s)?|exp|want(?:ed)?|wrote|writ(?:e|ten|ing)|program(?:med|ming)?|should be|instead of|"
    r"ref(?:erence)?)\b)|"
    r"(?P<odd>!=|<>|\bvs\b)|"
    r"0x(?P<number>[0-9a-f]{1,16})\b|"
    r"(?P<bytes>\b[0-9a-f]{2}(?:[ ,][0-9a-f]{2}){1,63}\b)|"
    r"\b(?P<word>[0-9a-f]{8})\b",
    re.IGNORECASE,
)
_PLACE = re.compile(r"(?:\bat|@|\baddr(?:ess)?)\s{0,4}[:=]?\s{0,4}(?:0x)?([0-9a-f]{7,8})\b", re.IGNORECASE)
_WRONG = re.compile(r"verif|mismatch|miscompare|compare|read[ _-]?back|differ|!=|expect", re.IGNORECASE)
_TOOLS = re.compile(
    r"data mismatch found at|error: |^\s{0,8}(?:info|warn)\b\s?:|flash loader|\bchecksum\b", re.IGNORECASE
)
"""How a programming tool tells of its own look, through the debug port: that is no firmware's."""
_CACHE = re.compile(
    r"\b[id]-?cache\w{0,4}\b\s{0,4}(?:[:=]|is|are)?\s{0,4}(?:on|enabled?|1)\b|\benabl\w{1,4} (?:the )?[id]-?cache\b",
    re.IGNORECASE,
)


_CORE = re.compile(
    r"(?<![\w.])(PC|ICACHE_CR|DCACHE_CR)(?: \(/32\))?"
    r"(?:\s{0,8}[:=]\s{0,8}|[ \t]{1,20}(?=0x))(?:0x([0-9a-f]{1,8})|([0-9a-f]{8}))\b"
    r"|^0x([0-9a-f]{8}) in \S{1,80} \(",
    re.IGNORECASE | re.MULTILINE,
)
"""As firmware, OpenOCD, J-Link and pyOCD print a register of the core or a cache, gdb in its table, and where gdb finds it."""


def core_registers(text: str) -> Iterator[tuple[str, int]]:
    """Yield the program counter and the caches' registers wherever a text has them, by name in upper case."""
    for said in _CORE.finditer(text):
        yield (said[1] or "PC").upper(), int(said[2] or said[3] or said[4], 16)


@dataclass(frozen=True, slots=True)
class FirmwareView:
    """What firmware printed as read at a flash address, and what as meant or written there: bytes as they lie."""

    address: int
    read: bytes
    wrote: bytes


def firmware_views(text: str) -> Iterator[FirmwareView]:
    """Yield the places where a firmware's own print says that it read back something else than it should have."""
    written: dict[int, bytes] = {}
    at, age, read, meant = None, 0, b"", b""
    for line in (row.text[:400] for row in lines(text)[:READBACK_LINES]):
        if _TOOLS.search(line):
            continue
        place, numbers = _parts(line)
        age += 1
        if place is not None:
            # A loose number beside an address is what stands there: read in a line of complaint, else written.
            at, age, read, meant = place, 0, b"", written.get(place, b"")
        elif at is None or age > NEAR:
            at = None
            continue
        wrong = bool(_WRONG.search(line))
        for whose, data in numbers:
            if whose == "read" or (not whose and wrong and not read):
                read = data
            elif whose == "meant":
                meant = data
        if not wrong and not read and meant and at is not None:
            written[at] = meant
        if at is not None and read and meant:
            size = min(len(read), len(meant))
            if read[:size] != meant[:size]:
                yield FirmwareView(at, read[:size], meant[:size])
            at = None


def cache_printed(text: str) -> str:
    """Return the words by which a firmware prints that a cache is on; empty without."""
    return next((m[0] for row in lines(text)[:READBACK_LINES] if (m := _CACHE.search(row.text[:400]))), "")


def _parts(line: str) -> tuple[int | None, list[tuple[str, bytes]]]:
    """Return the address in the flash that a line names, and its numbers, each with whose it is; empty where not told."""
    said = _PLACE.search(line)
    place = int(said[1], 16) if said and int(said[1], 16) in FLASH else None
    numbers: list[tuple[str, bytes]] = []
    whose = ""
    for m in _TOKEN.finditer(line):
        kind = m.lastgroup or ""
        if kind in ("read", "meant"):
            whose = kind
        elif kind == "odd":
            # Two numbers that are held against each other: the first is what was found.
            if numbers and not numbers[-1][0]:
                numbers[-1] = ("read", numbers[-1][1])
            whose = "meant"
        elif kind == "bytes":
            numbers.append((whose, bytes.fromhex(m[0].replace(",", " "))))
        else:
            value = int(m["number"] or m["word"], 16)
            if place is None and value in FLASH:
                place = value
            elif place is None or value != place:
                digits = len(m["number"] or m["word"])
                size = 1 if digits <= 2 else 2 if digits <= 4 else 4 if digits <= 8 else 8
                numbers.append((whose, value.to_bytes(size, "little")))
    return place, numbers
