"""What a firmware prints of its own look at the flash: what it read back at an address, and what should be there.

Everybody words it otherwise (``verify failed at 0x08080000: read 0xFFFFFFFF, expected 0x24050000``, ``readback
0x08080000: FF FF FF FF expected 00 00 05 24``), in one line or in some that follow each other. So a line is taken apart
into words that say whose the next number is, addresses in the flash, and numbers; nothing is concluded from one side.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from h5diag.evidence.texts.text import lines
from h5diag.limits import READBACK_LINES
from h5diag.memory import AddressRange

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
