"""Memory views as text: ``address : words``, as debuggers and programmers print them.

Understood are STM32CubeProgrammer ``-r8/-r16/-r32``, OpenOCD ``mdb/mdh/mdw``, GDB ``x/..x``, pyOCD and J-Link
listings, ``hexdump -C`` and ``xxd``, quoted or not. Everything else in the text (banners, prompts, messages) is passed
over.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

import numpy as np

from h5diag.errors import InputError
from h5diag.memory import ADDRESS_LIMIT, AddressRange, MemoryImage, Origin, Segment

MOST_CHARACTERS = 32 << 20
_MOST_REPEATED = 64 << 20
_LONGEST_ROW = 4096


class ByteOrder(Enum):
    """How the digits of a word stand to its bytes in memory."""

    LITTLE = "little"
    BIG = "big"
    STATED = "stated"
    """As the text says; little-endian, the order of every STM32, where it says nothing."""


_ROW = re.compile(
    r"^[\s>|]*(?:\d\d:\d\d:\d\d(?:[:.]\d+)?\s*:\s*)?"  # the programmer's window puts the time in front
    r"(?:=>\s*)?(?P<address>0x[0-9A-Fa-f]{1,16}|(?=[A-Fa-f]*\d|[A-Fa-f]{8}\b)[0-9A-Fa-f]{6,16})"
    r"(?:(?:\s*<[^>]*>)?\s*[:=]\s*|\t\s*|\s{2,})(?P<words>\S.*)$"
)
_END = re.compile(r"^[\s>|]*(?P<address>(?:0x)?[0-9A-Fa-f]{6,16})\s*$")
_WORD = re.compile(r"(?:0x(?P<prefixed>[0-9A-Fa-f]{1,16})|(?P<plain>(?:[0-9A-Fa-f]{2}|\?\?){1,8}|\?))[,;]?$")
_PLAIN = re.compile(r"(?:[0-9A-Fa-f]{2}){1,8}$")
_WIDTH = re.compile(r"\b(8|16|32|64)[- ]?bits?\b", re.IGNORECASE)
_BIG = re.compile(
    r"(?i:\bbig[- ]?endian|\border\s{0,8}[:=]?\s{0,8}big\b|\bmemory order\b|\bmsb first\b)|\bBE(?:8|16|32|64)?\b"
)
_LITTLE = re.compile(r"(?i:\blittle[- ]?endian|\border\s{0,8}[:=]?\s{0,8}little\b|\blsb first\b)|\bLE(?:16|32|64)?\b")
_MISREAD_ADVICE = "state the width in the text, for instance '32-bit words'"


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of a view: the digits of its words, or a star (`repeats`), or only an address (no words)."""

    line: int
    address: int
    words: tuple[str, ...] = ()
    column: str = ""
    repeats: bool = False


def parse_memory_text(
    text: str, *, source: str = "", word_bytes: int = 0, order: ByteOrder = ByteOrder.STATED
) -> MemoryImage:
    """Return the memory that a text shows.

    Parameters
    ----------
    text
        Any text with lines ``address : words``. ``??`` stands for a byte (or, alone, for a word) that could not
        be read and becomes unreadable, never zero. A line ``*`` repeats the line above up to the next address.
    source
        Where it came from, for errors and the origin.
    word_bytes
        Bytes in a word; 0 takes what the text states ("32-bit") or the digits show.
    order
        Byte order of words of more than one byte. `ByteOrder.STATED` follows an ASCII column that fits only
        one order, then what the text states ("little-endian", "byte order: big", "memory order"), and is
        otherwise little-endian, which the origin remarks.

    Raises
    ------
    InputError
        With the line, when words do not fit, when a byte is given twice with different values, or when the text
        holds no view at all.
    """
    if len(text) > MOST_CHARACTERS:
        raise InputError(f"is longer than {MOST_CHARACTERS >> 20} million characters", source=source)
    rows = tuple(_rows(text, source))
    widths = Counter(len(w) // 2 for row in rows for w in row.words if "?" not in w and len(w) % 2 == 0)
    if not any(row.words for row in rows):
        raise InputError("holds no line 'address : words'", source=source)
    stated = {int(w) // 8 for w in _WIDTH.findall(text)}
    usual = word_bytes or (stated.pop() if len(stated) == 1 else 0)
    common = usual or (widths.most_common(1)[0][0] if widths else 1)
    chosen, remarks = _order(text, rows, order)
    shown = tuple(_shown(rows, usual, common, chosen is ByteOrder.LITTLE, source))
    segments, unreadable = shown_memory(shown, source)
    return MemoryImage(segments, unreadable, origin=Origin(source, "text", remarks=remarks))


def _rows(text: str, source: str) -> Iterator[_Row]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip(" \t>|") == "*":  # behind the marks of a quotation
            yield _Row(number, 0, repeats=True)
        elif match := _ROW.match(line):
            words, column = _split(match["words"], number, source)
            if words:
                yield _Row(number, int(match["address"], 16), words, column)
        elif match := _END.match(line):
            yield _Row(number, int(match["address"], 16))


def _split(text: str, line: int, source: str) -> tuple[tuple[str, ...], str]:
    """Return the digits of the words at the beginning of `text`, and the ASCII column behind them."""
    left, bar, column = text.partition("|")
    plain = left.rstrip().split(" ")
    if len(plain[0]) > 1 and all(len(w) == len(plain[0]) and _PLAIN.match(w) for w in plain):
        return tuple(plain), column.rstrip().removesuffix("|")  # nearly every line, without the work below
    if len(text) > _LONGEST_ROW:
        raise InputError(
            f"a line of memory of more than {_LONGEST_ROW} characters",
            source=source,
            place=f"line {line}",
            advice="print it in shorter lines",
        )
    words: list[str] = []
    at = 0
    for token in re.finditer(r"\S+", left):
        wide_gap = token.start() - at >= 2 or "\t" in left[at : token.start()]
        rest = left[token.start() :].rstrip() if wide_gap or not words else ""
        if wide_gap and not bar and any(_fits(rest, data) for data in _both_orders(words)):
            return tuple(words), rest
        match = _WORD.match(token[0])
        if not match:
            if not words or wide_gap:
                return tuple(words), rest
            raise InputError(
                f"{token[0][:24]!r} is no word of memory",
                source=source,
                place=f"line {line}",
                advice="write ?? for what could not be read",
            )
        words.append(match["prefixed"] or match["plain"])
        at = token.end()
    return tuple(words), column.rstrip().removesuffix("|")


def _both_orders(words: Sequence[str]) -> tuple[bytes, ...]:
    """Return the bytes of the words big-endian and little-endian; nothing where they are not whole and known."""
    if not words or any("?" in w or len(w) % 2 for w in words):
        return ()
    data = [bytes.fromhex(w) for w in words]
    return b"".join(data), b"".join(w[::-1] for w in data)


def _fits(column: str, data: bytes) -> bool:
    """Tell whether an ASCII column shows `data`; a dot may stand for anything."""
    return len(column) == len(data) and all(c == "." or ord(c) == b for c, b in zip(column, data, strict=True))


def _order(text: str, rows: tuple[_Row, ...], order: ByteOrder) -> tuple[ByteOrder, tuple[str, ...]]:
    if order is not ByteOrder.STATED:
        return order, ()
    wide = [r for r in rows if any(len(w) > 2 and "?" not in w for w in r.words)]
    if not wide:
        return ByteOrder.LITTLE, ()
    votes = {ByteOrder.BIG: 0, ByteOrder.LITTLE: 0}
    for row in wide:
        if row.column:
            for data, one in zip(_both_orders(row.words), votes, strict=False):
                votes[one] += _fits(row.column, data)
    if votes[ByteOrder.BIG] != votes[ByteOrder.LITTLE]:
        return max(votes, key=lambda o: votes[o]), ()
    if bool(_BIG.search(text)) != bool(_LITTLE.search(text)):
        return (ByteOrder.BIG if _BIG.search(text) else ByteOrder.LITTLE), ()
    return ByteOrder.LITTLE, ("the text does not state its byte order: words were taken as little-endian numbers",)


def _shown(rows: tuple[_Row, ...], usual: int, common: int, little: bool, source: str) -> Iterator[Shown]:
    previous = Shown(0, 0, b"", b"")
    star = repeated = 0
    for row in rows:
        if row.repeats:
            star = row.line
            continue
        if star and previous.data and row.address > previous.stop:
            missing = row.address - previous.stop
            repeated += missing
            if repeated > _MOST_REPEATED:
                raise InputError(
                    f"the repeated lines stand for more than {_MOST_REPEATED >> 20} MiB",
                    source=source,
                    place=f"line {star}",
                )
            n = -(-missing // len(previous.data))
            yield Shown(star, previous.stop, (previous.data * n)[:missing], (previous.known * n)[:missing])
        star = 0
        if row.words:
            previous = _decoded(row, usual, common, little, source)
            yield previous


def _decoded(row: _Row, usual: int, common: int, little: bool, source: str) -> Shown:
    own = max((len(w) for w in row.words if w.strip("?")), default=2 * common)
    width = max(usual, (own + 1) // 2)
    if width not in (1, 2, 4, 8) or (own % 2 and not usual):
        raise InputError(
            f"cannot tell how wide words of {own} digits are",
            source=source,
            place=f"line {row.line}",
            advice=_MISREAD_ADVICE,
        )
    if all(len(w) == 2 * width and "?" not in w for w in row.words):
        cells = [bytes.fromhex(w)[::-1] if little else bytes.fromhex(w) for w in row.words]
        return _placed(row, b"".join(cells), bytes([1]) * (width * len(cells)), source)
    data, known = bytearray(), bytearray()
    for i, word in enumerate(row.words):
        size = width
        if not word.strip("?"):
            digits = "?" * 2 * width
        elif len(word) < 2 * width and not usual and i + 1 == len(row.words) and len(word) % 2 == 0:
            digits, size = word, len(word) // 2  # the last group of a hex dump may be short
        elif len(word) < 2 * width and not usual:
            raise InputError(
                f"words of different widths ({word} beside words of {2 * width} digits)",
                source=source,
                place=f"line {row.line}",
                advice=_MISREAD_ADVICE,
            )
        else:
            digits = word.rjust(2 * width, "0")
        pairs = [digits[k : k + 2] for k in range(0, 2 * size, 2)]
        pairs = pairs[::-1] if little else pairs
        data += bytes(0 if "?" in p else int(p, 16) for p in pairs)
        known += bytes("?" not in p for p in pairs)
    return _placed(row, bytes(data), bytes(known), source)


def _placed(row: _Row, data: bytes, known: bytes, source: str) -> Shown:
    if row.address + len(data) > ADDRESS_LIMIT:
        raise InputError("the line runs past the end of the address space", source=source, place=f"line {row.line}")
    return Shown(row.line, row.address, data, known)


MOST_PIECES = 1 << 17


@dataclass(frozen=True, slots=True)
class Shown:
    """The bytes that one line shows; `known` holds 1 where a byte was readable and 0 where it was not."""

    line: int
    address: int
    data: bytes
    known: bytes

    @property
    def stop(self) -> int:
        """Address after the last byte."""
        return self.address + len(self.data)


def shown_memory(rows: Iterable[Shown], source: str) -> tuple[tuple[Segment, ...], tuple[AddressRange, ...]]:
    """Return the known bytes of all lines and the ranges that could not be read.

    A byte that one line shows and another marks as unreadable counts as read.

    Raises
    ------
    InputError
        With the line, when two lines show different values for one byte or the pieces are too many.
    """
    segments: list[Segment] = []
    unreadable: list[AddressRange] = []
    group: list[Shown] = []
    stop = 0
    for row in sorted(rows, key=lambda r: (r.address, r.line)):
        if group and row.address > stop:
            _close(group, stop, source, segments, unreadable)
            group = []
        stop = max(stop, row.stop) if group else row.stop
        group.append(row)
    if group:
        _close(group, stop, source, segments, unreadable)
    return tuple(segments), tuple(unreadable)


def _close(group: list[Shown], stop: int, source: str, segments: list[Segment], unreadable: list[AddressRange]) -> None:
    start = group[0].address
    data, known = np.zeros(stop - start, np.uint8), np.zeros(stop - start, np.bool_)
    for row in group:
        at = slice(row.address - start, row.stop - start)
        new, readable = np.frombuffer(row.data, np.uint8), np.frombuffer(row.known, np.bool_)
        clash = known[at] & readable & (data[at] != new)
        if clash.any():
            address = row.address + int(np.argmax(clash))
            other = next(r for r in group if r.address <= address < r.stop and r.known[address - r.address])
            first, second = sorted((row.line, other.line))
            raise InputError(
                f"the byte at 0x{address:08X} is given twice with different values (also in line {first})",
                source=source,
                place=f"line {second}",
                advice="repeated reads belong into files of their own",
            )
        data[at] = np.where(readable, new, data[at])
        known[at] |= readable
    borders = np.flatnonzero(np.diff(known)) + 1
    if borders.size + len(segments) + len(unreadable) > MOST_PIECES:
        raise InputError(
            f"known and unreadable bytes alternate more than {MOST_PIECES} times",
            source=source,
            place=f"line {group[0].line}",
            advice="that is no memory content",
        )
    edges = [0, *borders.tolist(), stop - start]
    for a, b in pairwise(edges):
        if known[a]:
            segments.append(Segment(start + a, data[a:b]))
        else:
            unreadable.append(AddressRange(start + a, start + b))
