"""Memory views as text: ``address : words``, as debuggers and programmers print them.

Understood are STM32CubeProgrammer ``-r8/-r16/-r32``, OpenOCD ``mdb/mdh/mdw``, GDB ``x/..x``, pyOCD and J-Link
listings, ``hexdump -C`` and ``xxd``, quoted or not. Everything else in the text (banners, prompts, messages) is passed
over.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

import numpy as np

from h5diag.errors import InputError
from h5diag.evidence.files.pieces import Stretch, memory_of
from h5diag.limits import LINE, VIEW_CHARACTERS, VIEW_PIECES, VIEW_REPEATED, VIEW_ROW, VIEW_SPLIT, VIEW_VOTES
from h5diag.memory import ADDRESS_LIMIT, MemoryImage, Origin

_FORMS = 4
"""Ways in which lines are written that are tried before a line is split word by word."""


class ByteOrder(Enum):
    """How the digits of a word stand to its bytes in memory."""

    LITTLE = "little"
    BIG = "big"
    STATED = "stated"
    """As the text says; little-endian, the order of every STM32, where it says nothing."""


_ROW = re.compile(
    r"^[\s>|]*+(?:\d\d:\d\d:\d\d(?:[:.]\d+)?\s*:\s*)?"  # the programmer's window puts the time in front
    r"(?:=>\s*)?(?P<address>0x[0-9A-Fa-f]{1,16}|(?=[A-Fa-f]*\d|[A-Fa-f]{8}\b)[0-9A-Fa-f]{6,16})"
    r"(?:(?:\s*<[^>]*>)?\s*[:=]\s*|\t\s*|\s{2,})(?=\S)"
)
_END = re.compile(r"^[\s>|]*+(?P<address>(?:0x)?[0-9A-Fa-f]{6,16})\s*$")
_WORD = re.compile(r"(?:0x(?P<prefixed>[0-9A-Fa-f]{1,16})|(?P<plain>(?:[0-9A-Fa-f]{2}|\?\?){1,8}|\?))[,;]?$")
_TOKEN = re.compile(r"\S+")
_SHAPE = str.maketrans("123456789abcdefABCDEF", "0" * 21)
_PRINTED = bytes(c if 32 <= c < 127 else ord(".") for c in range(256))
_KNOWN = bytes(c != ord("?") for c in range(256))
_WIDTH = re.compile(r"\b(8|16|32|64)[- ]?bits?\b", re.IGNORECASE)
_BIG = re.compile(
    r"(?i:\bbig[- ]?endian|\border\s{0,8}[:=]?\s{0,8}big\b|\bmemory order\b|\bmsb first\b)|\bBE(?:8|16|32|64)?\b"
)
_LITTLE = re.compile(r"(?i:\blittle[- ]?endian|\border\s{0,8}[:=]?\s{0,8}little\b|\blsb first\b)|\bLE(?:16|32|64)?\b")
_MISREAD_ADVICE = "state the width in the text, for instance '32-bit words'"


@dataclass(slots=True)
class _Row:
    """Lines of a view that continue each other: their bytes; or the digits of one line's words, a star, an address."""

    line: int
    address: int
    words: str = ""
    repeats: bool = False
    data: bytes | bytearray = b""
    """Of lines whose words are equally wide, as their digits stand."""
    known: bytes | bytearray = b""
    """1 for each byte of `data` that was read, 0 for ``??``; empty where all were."""
    width: int = 0
    each: int = 0
    """Bytes of a word and of a line in `data`."""


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
    if len(text) > VIEW_CHARACTERS:
        raise InputError(f"is longer than {VIEW_CHARACTERS >> 20} million characters", source=source)
    view = _View(source)
    for number, line in enumerate(text.splitlines(), 1):
        view.take(number, line)
    rows, widths = view.rows, Counter[int]()
    for row in rows:
        if row.width:
            widths[row.width] += (sum(row.known) or len(row.data)) // row.width
        widths.update(len(w) // 2 for w in row.words.split() if "?" not in w and len(w) % 2 == 0)
    if not any(row.words or row.width for row in rows):
        raise InputError("holds no line 'address : words'", source=source)
    said = "\n".join(view.said)
    stated = {int(w[1]) // 8 for w in _WIDTH.finditer(said)}
    usual = word_bytes or (stated.pop() if len(stated) == 1 else 0)
    common = usual or (widths.most_common(1)[0][0] if widths else 1)
    chosen, remarks = _order(said, view, order)
    segments, unreadable = memory_of(tuple(_stretches(rows, usual, common, chosen is ByteOrder.LITTLE, source)), source)
    return MemoryImage(segments, unreadable, origin=Origin(source, "text", remarks=remarks))


@dataclass(frozen=True, slots=True)
class _Form:
    """Where the words stand behind the address, taken from a line that was split and tried on the next ones.

    Parameters
    ----------
    shape
        The text up to the column, or all of it, with 0 for any digit.
    words, column
        Where the words end, and where the ASCII column begins; no column where `column` is 0.
    bar
        Whether a bar stands before the column.
    prefixed
        Words with ``0x`` before them.
    width, size
        Bytes of a word and of all.
    """

    shape: str
    words: int
    column: int
    bar: bool
    prefixed: int
    width: int
    size: int

    def read(self, text: str) -> tuple[bytes, bytes, str] | None:
        """Return the words as of `_Row` and the column; None where the line has another form."""
        end, known = self.column or len(self.shape), b""
        head = text[:end]
        if "?" in head[: self.words]:
            marks = "".join(head[: self.words].split()).encode().translate(_KNOWN)
            known = marks[::2]
            if self.prefixed or (self.column and not self.bar) or known != marks[1::2]:
                return None
            head = head.replace("?", "0")
        if head.translate(_SHAPE) != self.shape:
            return None
        digits, column = head[: self.words], text[end:].rstrip()
        if self.prefixed:
            if digits.count("0x") != self.prefixed:
                return None
            digits = digits.replace("0x", "").replace(",", "").replace(";", "")
        try:
            data = bytes.fromhex(digits)
        except ValueError:  # spaces that only a console knows
            return None
        if self.bar:
            return data, known, column.removesuffix("|")
        if not self.column:
            return None if column else (data, known, "")
        if column[:1].isspace() or not (_fits(column, data) or _fits(column, _turned(data, self.width))):
            return None
        return data, known, column


class _View:
    """The rows of a text, and what else it says."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.rows: list[_Row] = []
        self.said: list[str] = []
        self.wide = False
        self.votes = {ByteOrder.BIG: 0, ByteOrder.LITTLE: 0}
        """Lines whose ASCII column shows the words in one order, and in the other."""
        self._forms: list[_Form] = []
        self._split = self._places = self._stop = 0
        self._last: tuple[str, tuple[str, _Form | None]] = ("", ("", None))

    def take(self, number: int, line: str) -> None:
        """Take the next line."""
        head = line[:LINE]
        if match := _ROW.match(head):
            text, address = line[match.end() :], int(match["address"], 16)
            if len(text) > VIEW_ROW:
                self._add(number, address, *_long(text, number, self.source))
                return
            for form in self._forms if text != self._last[0] else ():
                if read := form.read(text):
                    if form is not self._forms[0]:
                        self._forms.remove(form)
                        self._forms.insert(0, form)
                    self._add(number, address, *read, form.width)
                    return
            words, new = self._words(text, number)
            if not words:
                self.said.append(line)
            elif new and (read := new.read(text)):
                self._forms = [new, *self._forms[: _FORMS - 1]]
                self._add(number, address, *read, new.width)
            else:
                follows = address == self._stop or "?" in words
                (self.rows.append if follows else self._row)(_Row(number, address, words))
                self._stop = address + len(words.replace(" ", "")) // 2
        elif not line or line.isspace():
            pass
        elif line.strip(" \t>|") == "*":  # behind the marks of a quotation
            self.rows.append(_Row(number, 0, repeats=True))
        elif match := _END.match(head) if len(head) == len(line) else None:
            self.rows.append(_Row(number, int(match["address"], 16)))
        else:
            self.said.append(line)

    def _words(self, text: str, number: int) -> tuple[str, _Form | None]:
        """Split a line; one that says what the last one said, as where nothing could be read, is not split again."""
        if text != self._last[0]:
            words, column, ends = _split(text, number, self.source)
            form = _form(text, words, column, ends) if words else None
            if form is None and any(len(w) > 2 and "?" not in w for w in words):
                self._vote(column, _both_orders(words))
            self._last = text, (" ".join(words), form)
            self._split += len(text) if words else 0
            if self._split > VIEW_SPLIT:
                raise InputError(
                    f"more than {VIEW_SPLIT >> 20} MiB of lines of memory are each written in another way",
                    source=self.source,
                    place=f"line {number}",
                    advice="print them all in one form",
                )
        return self._last[1]

    def _row(self, row: _Row) -> None:
        """Add a row that does not go on where the last one ended."""
        self.rows.append(row)
        self._places += 1
        if self._places > VIEW_PIECES:
            raise InputError(
                f"more than {VIEW_PIECES:,} lines of memory do not go on where the one before ends",
                source=self.source,
                place=f"line {row.line}",
                advice="that is no memory content",
            )

    def _add(self, number: int, address: int, data: bytes, known: bytes, column: str, width: int) -> None:
        if width > 1:
            few = column and not known and sum(self.votes.values()) < VIEW_VOTES
            self._vote(column, (data, _turned(data, width)) if few else ())
        last = self.rows[-1] if self.rows else None
        if (
            last
            and last.width == width
            and last.each == len(data)
            and last.address + len(last.data) == address
            and last.line + len(last.data) // last.each == number
        ):
            if isinstance(last.data, bytes):
                last.data = bytearray(last.data)
            if known or last.known:
                if isinstance(last.known, bytes):
                    last.known = bytearray(last.known or b"\1" * len(last.data))
                last.known += known or b"\1" * len(data)
            last.data += data
        else:
            self._row(_Row(number, address, data=data, known=known, width=width, each=len(data)))

    def _vote(self, column: str, orders: tuple[bytes, ...]) -> None:
        self.wide = True
        if column:
            for data, one in zip(orders, self.votes, strict=False):
                self.votes[one] += _fits(column, data)


def _form(text: str, words: tuple[str, ...], column: str, ends: list[int]) -> _Form | None:
    """Return the form of a line; None where its words differ in width or it could be read in two ways."""
    joined = "".join(words)
    digits, size = len(words[0]), len(joined) // 2
    if not joined.strip("?") or digits % 2 or any(len(w) != digits for w in words):
        return None  # a lone ?? may stand for a word of any width
    prefixed, end, bar = text[: ends[-1]].count("0x"), ends[-1], text.find("|", ends[-1])
    behind = text[end:].lstrip()
    if not behind:
        shape, at, bar = text[:end], 0, -1
    elif behind[0] == "|":
        shape, at = text[: bar + 1], bar + 1
    elif len(column) == size and text.rstrip().endswith(column):
        at, bar = len(text.rstrip()) - size, -1
        shape = text[:at]
    else:
        return None
    if bar < 0:
        # Behind a wide gap as many characters as there were bytes may be the column: that line is split each time.
        whole = len(text.rstrip())
        for i, e in enumerate(ends[:-1], 1):
            start = e if (word := _TOKEN.search(text, e)) is None else word.start()
            if whole - start == i * digits // 2 and (start - e >= 2 or "\t" in text[e:start]):
                return None
    if prefixed not in (0, len(words)) or (not prefixed and any(c in text[:end] for c in ",;")):
        return None
    return _Form(shape.replace("?", "0").translate(_SHAPE), end, at, bar >= 0, prefixed, digits // 2, size)


def _long(text: str, line: int, source: str) -> tuple[bytes, bytes, str, int]:
    """Return `_Form.read` and a word's bytes for a line without end: known words and one space between them."""
    left, _, column = text.partition("|")
    left = left.rstrip()
    size = left.find(" ") if " " in left else len(left)
    if size in range(2, 17, 2) and left[size :: size + 1].count(" ") == left.count(" ") and left.isascii():
        with suppress(ValueError):
            data = bytes.fromhex(left)
            if 2 * len(data) + left.count(" ") == len(left) and len(left) % (size + 1) == size:
                return data, b"", column.rstrip().removesuffix("|"), size // 2
    raise InputError(
        f"a line of memory of more than {VIEW_ROW} characters",
        source=source,
        place=f"line {line}",
        advice="print it in shorter lines",
    )


def _split(text: str, line: int, source: str) -> tuple[tuple[str, ...], str, list[int]]:
    """Return the digits of the words at the beginning of `text`, the ASCII column behind them, and where each ends."""
    left, _, column = text.partition("|")
    plain = left.rstrip().split(" ")
    if "x" not in left and all(map(_WORD.match, plain)) and "," not in left and ";" not in left:
        return tuple(plain), column.rstrip().removesuffix("|"), [len(left.rstrip())]
    words: list[str] = []
    ends: list[int] = []
    at, size, whole = 0, 0, len(text.rstrip())
    for token in _TOKEN.finditer(left):
        wide_gap = token.start() - at >= 2 or "\t" in left[at : token.start()]
        rest = text[token.start() : whole] if wide_gap and words and whole - token.start() == size else ""
        if rest and any(_fits(rest, d) for d in _both_orders(words)):
            return tuple(words), rest, ends
        match = _WORD.match(token[0])
        if not match:
            if not words or wide_gap:
                return tuple(words), text[token.start() : whole] if words else "", ends
            raise InputError(
                f"{token[0][:24]!r} is no word of memory",
                source=source,
                place=f"line {line}",
                advice="write ?? for what could not be read",
            )
        words.append(match["prefixed"] or match["plain"])
        size += len(words[-1]) // 2
        at = token.end()
        ends.append(at)
    return tuple(words), column.rstrip().removesuffix("|"), ends


def _both_orders(words: Sequence[str]) -> tuple[bytes, ...]:
    """Return the bytes of the words big-endian and little-endian; nothing where they are not whole and known."""
    if not words or any("?" in w or len(w) % 2 for w in words):
        return ()
    data = [bytes.fromhex(w) for w in words]
    return b"".join(data), b"".join(w[::-1] for w in data)


def _turned(data: bytes, width: int) -> bytes:
    """Return the bytes of words of one width in the other order."""
    if width == 1:
        return data
    other = bytearray(len(data))
    for k in range(width):
        other[k::width] = data[width - 1 - k :: width]
    return bytes(other)


def _fits(column: str, data: bytes) -> bool:
    """Tell whether an ASCII column shows `data`; a dot may stand for anything."""
    if len(column) != len(data):
        return False
    return column == data.translate(_PRINTED).decode() or all(
        c == "." or ord(c) == b for c, b in zip(column, data, strict=True)
    )


def _order(said: str, view: _View, order: ByteOrder) -> tuple[ByteOrder, tuple[str, ...]]:
    if order is not ByteOrder.STATED:
        return order, ()
    if not view.wide:
        return ByteOrder.LITTLE, ()
    votes = view.votes
    if votes[ByteOrder.BIG] != votes[ByteOrder.LITTLE]:
        return max(votes, key=lambda o: votes[o]), ()
    big = bool(_BIG.search(said))
    if big != bool(_LITTLE.search(said)):
        return (ByteOrder.BIG if big else ByteOrder.LITTLE), ()
    return ByteOrder.LITTLE, ("the text does not state its byte order: words were taken as little-endian numbers",)


def _stretches(rows: Sequence[_Row], usual: int, common: int, little: bool, source: str) -> Iterator[Stretch]:
    previous, words = Stretch(0, 0, b"", b""), ""
    star = repeated = 0
    for row in rows:
        if row.repeats:
            star = row.line
            continue
        if star and previous.data and row.address > previous.stop:
            missing = row.address - previous.stop
            repeated += missing
            if repeated > VIEW_REPEATED:
                raise InputError(
                    f"the repeated lines stand for more than {VIEW_REPEATED >> 20} MiB",
                    source=source,
                    place=f"line {star}",
                )
            n = -(-missing // len(previous.data))
            yield Stretch(star, previous.stop, (previous.data * n)[:missing], (previous.known * n)[:missing])
        star = 0
        if row.width:
            for shown in _run(row, usual, little, source):
                yield shown
                previous = shown
            previous = previous.last()
            words = ""
        elif row.words:
            if row.words == words:  # as where nothing could be read
                previous = _placed(row.line, row.address, previous.data, previous.known, source)
            else:
                previous, words = _decoded(row, usual, common, little, source), row.words
            yield previous


def _width(line: int, digits: int, usual: int, source: str) -> int:
    width = max(usual, (digits + 1) // 2)
    if width not in (1, 2, 4, 8) or (digits % 2 and not usual):
        raise InputError(
            f"cannot tell how wide words of {digits} digits are",
            source=source,
            place=f"line {line}",
            advice=_MISREAD_ADVICE,
        )
    return width


def _run(row: _Row, usual: int, little: bool, source: str) -> Iterator[Stretch]:
    """Yield what lines of known words show: all at once, or line by line where words are shorter than stated."""
    width = _width(row.line, 2 * row.width, usual, source)
    data, known = bytes(row.data), bytes(row.known) or b"\1" * len(row.data)
    if width > row.width:
        words, seen = (np.frombuffer(d, np.uint8).reshape(-1, row.width) for d in (data, known))
        wider, there = np.zeros((len(words), width), np.uint8), np.ones((len(words), width), np.uint8)
        wider[:, width - row.width :], there[:, width - row.width :] = words, seen
        there[~seen.any(axis=1)] = 0  # what could not be read is a whole word
        data, known = wider.tobytes(), there.tobytes()
    if little:
        data, known = _turned(data, width), _turned(known, width)
    size = row.each // row.width * width
    if width == row.width:
        yield _placed(row.line, row.address, data, known, source, row.each)
        return
    for i in range(len(data) // size):
        here = slice(i * size, (i + 1) * size)
        yield _placed(row.line + i, row.address + i * row.each, data[here], known[here], source)


def _decoded(row: _Row, usual: int, common: int, little: bool, source: str) -> Stretch:
    words = row.words.split(" ")
    width = _width(row.line, max([len(w) for w in words if w.strip("?")], default=2 * common), usual, source)
    cells: list[str] = []
    for i, word in enumerate(words):
        if len(word) == 2 == 2 * width:
            cells.append(word)
            continue
        digits = word
        if not word.strip("?"):
            digits = "?" * 2 * width
        elif len(word) < 2 * width and not usual and i + 1 == len(words) and len(word) % 2 == 0:
            pass  # the last group of a hex dump may be short
        elif len(word) < 2 * width and not usual:
            raise InputError(
                f"words of different widths ({word} beside words of {2 * width} digits)",
                source=source,
                place=f"line {row.line}",
                advice=_MISREAD_ADVICE,
            )
        elif len(word) < 2 * width:
            digits = word.rjust(2 * width, "0")
        if little and len(digits) > 2:
            digits = "".join([digits[k : k + 2] for k in range(len(digits) - 2, -1, -2)])
        cells.append(digits)
    shown = "".join(cells)
    known = shown[::2].encode().translate(_KNOWN)
    return _placed(row.line, row.address, bytes.fromhex(shown.replace("?", "0")), known, source)


def _placed(line: int, address: int, data: bytes, known: bytes, source: str, each: int = 0) -> Stretch:
    if address + len(data) > ADDRESS_LIMIT:
        line += max(0, ADDRESS_LIMIT - address) // each if each else 0
        raise InputError("the line runs past the end of the address space", source=source, place=f"line {line}")
    return Stretch(line, address, data, known, each)
