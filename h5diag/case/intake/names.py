"""What a file's name says: which side it belongs to, which board, and a few words about its content."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from pathlib import PurePath

UNKNOWN_BASE = -1


class Side(Enum):
    """Which board a name speaks of; false when it does not say."""

    GOOD = "good"
    SUSPECT = "suspect"
    UNTOLD = ""

    def __bool__(self) -> bool:
        return self is not Side.UNTOLD


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


GOOD_WORDS = _words("good ok okay works working reference ref golden healthy fine sound")
SUSPECT_WORDS = _words(
    "suspect suspected bad faulty broken fail fails failing failed defect defective dead dut problem wrong ng nok"
)
LATER_WORDS = _words("later after")
_DUMP_WORDS = _words("dump dumps read reads readout readback flash mem memory upload")
_KIND_WORDS = (
    _DUMP_WORDS
    | LATER_WORDS
    | _words(
        "ob obs option options optionbytes bytes byte displ listing list log logs banner connect connection cli info "
        "identity sweep speed flashtest test uart boot serial console com tty regs reg register registers out output run "
        "view secure nonsecure ns s nsec sec pass first second third before fw hex bin txt json capture stm h"
    )
)
_NUMBERED = _words("board pcb unit sample device proto prototype rev no nr nucleo")
_ADDRESS = re.compile(r"(?:0x|_|-|^)(0[89C][0-9A-Fa-f]{6})(?![0-9A-Fa-f])", re.IGNORECASE)
_PARTS = re.compile(r"[a-z]+|\d+")


@dataclass(frozen=True, slots=True)
class Name:
    """The parts of a name.

    Parameters
    ----------
    side
        What its words say about the board.
    board
        What is left of the name when side, kind and counting words are gone: the board's label, often empty.
    number
        The part of the label that counts boards, such as ``board 2``, often empty.
    words
        All words, in lower case.
    later
        Whether it says that it was read after the others.
    says_dump
        Whether it says that it was read from a chip.
    address
        The flash address that it holds, `UNKNOWN_BASE` when there is none.
    """

    side: Side
    board: str
    number: str
    words: frozenset[str]
    later: bool
    says_dump: bool
    address: int


def parse_name(path: PurePath) -> Name:
    """Return what the parts of `path`, relative to the folder that was dropped, say."""
    words: list[str] = []
    for part in (*path.parts[:-1][:1], path.name.removesuffix(path.suffix)):  # deeper folders name no boards
        text = _ADDRESS.sub(" ", part.replace("non-secure", "nonsecure"))
        words += _PARTS.findall(re.sub(r"([a-z])([A-Z])", r"\1 \2", text).lower())
    known = frozenset(words)
    good, suspect = known & GOOD_WORDS, known & SUSPECT_WORDS
    side = Side.UNTOLD if bool(good) == bool(suspect) else Side.GOOD if good else Side.SUSPECT
    label = [
        w
        for i, w in enumerate(words)
        if w not in _KIND_WORDS | GOOD_WORDS | SUSPECT_WORDS and (not w.isdigit() or (i and words[i - 1] in _NUMBERED))
    ]
    number = [f"{a} {b}" for a, b in pairwise(words) if a in _NUMBERED and b.isdigit()]
    found = _ADDRESS.search(path.name)
    return Name(
        side,
        " ".join(dict.fromkeys(label)),
        " ".join(number),
        known,
        bool(known & LATER_WORDS),
        bool(known & _DUMP_WORDS),
        int(found[1], 16) if found else UNKNOWN_BASE,
    )
