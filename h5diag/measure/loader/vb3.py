"""The grammar of a verbosity-3 log of STM32CubeProgrammer: text in, events out.

Both forms are read: ``-vb 3`` on the command line (no time, or a time and a blank) and the log of the graphical
program (``HH:MM:SS:mmm : ``), in the older and the newer spelling of memory accesses. A line that is not understood
is kept as an `OpaqueLine` and never stops the reader: no description of this log is published.

Source of the grammar: nine logs published in forum threads and issues, versions 2.9 to 2.22.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from h5diag.errors import InputError
from h5diag.evidence.door import Source, read_evidence
from h5diag.evidence.files import decode_text
from h5diag.limits import TEXT

DRY_RUN_MARK = "Dry run on an emulated core"
"""How the log of a dry run begins, so that nobody takes it for that of a chip."""

_LONGEST_LINE = 2000
_CONTROLS = frozenset(map(chr, range(32))) - frozenset("\t\n\r\x0b\x0c\x1b\x08")


class MessageKind(Enum):
    """What a line without register or memory access says."""

    INIT = "init"
    INIT_FAILED = "init-failed"
    TIMEOUT = "timeout"
    ERASE_INTERNAL = "erase-internal"
    ERASE_EXTERNAL = "erase-external"
    ERASE = "erase"
    WRITE = "write"
    READ = "read"
    OPERATION = "operation"
    ADDRESS = "address"
    LOADER = "loader"
    LOADER_REFUSED = "loader-refused"
    INTERNAL_LOADER = "internal-loader"
    VERSION = "version"
    DEVICE_ID = "device-id"
    ERROR = "error"
    SUCCESS = "success"


@dataclass(frozen=True, slots=True)
class RegisterAccess:
    """A core register written or read. `index` is 0-12 R, 13 SP, 14 LR, 15 PC, 16 xPSR, 17 MSP, 18 PSP.

    `prepared` marks a value in parentheses: the programmer's preparation, not a call.
    """

    line: int
    ap: int
    write: bool
    index: int
    value: int
    prepared: bool = False


@dataclass(frozen=True, slots=True)
class MemoryAccess:
    """Memory written or read through the probe; `size` in bytes, `word` the first 32 bits, all that is printed."""

    line: int
    ap: int
    write: bool
    address: int
    size: int
    word: int


@dataclass(frozen=True, slots=True)
class RunControl:
    """``halt`` (`running` False) or ``run`` (True)."""

    line: int
    ap: int
    running: bool


@dataclass(frozen=True, slots=True)
class Message:
    """A line of words. `value` is its number (device ID, address) or -1, `detail` its name (path, version) or empty."""

    line: int
    kind: MessageKind
    text: str
    value: int = -1
    detail: str = ""


@dataclass(frozen=True, slots=True)
class OpaqueLine:
    """A line that the grammar does not know."""

    line: int
    text: str


Event = RegisterAccess | MemoryAccess | RunControl | Message | OpaqueLine


@dataclass(frozen=True, slots=True)
class LoaderLog:
    """The events of a log in order. `source` names it for a person; `line` of an event counts from 1."""

    events: tuple[Event, ...]
    source: str = ""

    @property
    def recognised(self) -> int:
        """Number of events that the grammar knows."""
        return sum(not isinstance(e, OpaqueLine) for e in self.events)

    @property
    def is_verbose(self) -> bool:
        """Tell whether registers or memory accesses are printed, as verbosity 3 does."""
        return any(isinstance(e, RegisterAccess | MemoryAccess | RunControl) for e in self.events)

    def messages(self, *kinds: MessageKind) -> tuple[Message, ...]:
        """Return the messages of these kinds, in order."""
        return tuple(e for e in self.events if isinstance(e, Message) and e.kind in kinds)


_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# A forum paste may have joined the lines; the times tell them apart again.
_TIME = re.compile(r"(?<!\d)\d\d:\d\d:\d\d(?::\d{3})?(?=\s|$)(?:[ \t]*:(?=\s|$))?[ \t]*")
_HEX = r"0[xX]([0-9A-Fa-f]{1,8})"
_REGISTER = re.compile(rf"([wr]) +ap +(\d{{1,3}}) +reg +(\d{{1,2}}) +\w{{1,8}} +(\()?{_HEX}\)?$")
_MEMORY = re.compile(rf"([wr]) +ap +(\d{{1,3}}) +@{_HEX} *:? *{_HEX} +bytes,? *Data +{_HEX}[. ]*$")
_CONTROL = re.compile(r"(halt|run) +ap +(\d{1,3})$")

# A line without any of these words is no known message; it costs one search instead of many.
_WORDS = re.compile(
    "init|time|loader|stm32|device|eras|upload|address|error|success|complete|verified|read|operation|command|memory",
    re.IGNORECASE,
)
_MESSAGES: tuple[tuple[MessageKind, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern, re.IGNORECASE))
    for kind, pattern in (
        (MessageKind.TIMEOUT, r".*\btime(?:d)?[ -]?out\b.*"),
        (MessageKind.INIT_FAILED, r"(?:error: *)?init function fail.*"),
        (MessageKind.INIT, r"init flash ?loader.*"),
        (MessageKind.LOADER_REFUSED, r"error: *flash loader (?P<detail>.+?) cannot be loaded.*"),
        (MessageKind.INTERNAL_LOADER, r"flash loader (?P<detail>.+[/\\]flashloader[/\\].+?) is loaded.*"),
        (MessageKind.LOADER, r"(?:selected loader|external loader(?: file)?) *: *(?P<detail>.+)"),
        (MessageKind.LOADER, r"flash loader (?P<detail>.+?) is loaded.*"),
        (
            MessageKind.LOADER,
            r"(?:operation *\[\d+\] *:|command line *:|.*stm32_programmer_cli).* (?:-el|--extload) +"
            r"\"?(?P<detail>[^\"]+?)\"?(?: +-.*)?",
        ),
        (MessageKind.VERSION, r".*stm32cubeprogrammer (?:api )?v(?P<detail>\d+\.\d+(?:\.\d+)?).*"),
        (MessageKind.DEVICE_ID, rf"device id *: *{_HEX.replace('(', '(?P<value>', 1)}.*"),
        (MessageKind.ERASE_INTERNAL, r".*erasing internal memory sectors.*"),
        (MessageKind.ERASE_EXTERNAL, r".*erasing external memory sectors.*"),
        (MessageKind.SUCCESS, r".*(?:successfully|file download complete|download verified).*"),
        (MessageKind.OPERATION, r"(?:memory programming|mass erase|erase sector|erasing segment|uploading) ?.*"),
        (MessageKind.ADDRESS, rf"address *:+ *{_HEX.replace('(', '(?P<value>', 1)}.*"),
        (MessageKind.ERROR, r"error *:.*"),
        (MessageKind.WRITE, r"(?:flash ?)?loader write.*"),
        (MessageKind.READ, r"(?:flash ?)?loader read.*|read progress.*|reading data.*"),
        (MessageKind.ERASE, r"(?:flash ?)?loader .*erase.*|memory erase.*|flash (?:sector )?erase.*|erasing memory.*"),
    )
)


def parse_log(text: str, source: str = "") -> LoaderLog:
    """Return the events of a log. Any text is accepted; what is not understood is kept as it is."""
    return LoaderLog(tuple(_event(number, line) for number, line in _lines(text)), source)


def read_log(path: Source) -> LoaderLog:
    """Return the events of a log file, UTF-8 or UTF-16 with a byte-order mark.

    Raises
    ------
    InputError
        When the file cannot be read, is empty, is larger than `h5diag.limits.TEXT` or is not text.
    """
    file = read_evidence(path, limit=TEXT)
    return parse_log(decode_log(file.data, str(file.path)), str(file.path))


def decode_log(data: bytes, source: str = "") -> str:
    """Return the text of a log's bytes; InputError when they are empty or no text."""
    if not data.strip():
        raise InputError("is empty", source=source, advice="give the output of STM32_Programmer_CLI -vb 3")
    text = decode_text(data)
    head = text[:65536]
    if sum(head.count(c) for c in _CONTROLS) * 20 > len(head):
        first = next(i for i, c in enumerate(head) if c in _CONTROLS)
        raise InputError(
            "is not a text",
            source=source,
            place=f"character {first}",
            advice="give the output of STM32_Programmer_CLI -vb 3 as text",
        )
    return text


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, raw in enumerate(text.splitlines(), 1):
        line = _ANSI.sub("", raw).replace("\xa0", " ") if "\x1b" in raw or "\xa0" in raw else raw
        for piece in _TIME.split(line):
            if body := piece.strip():
                yield number, body


def _event(number: int, body: str) -> Event:
    if len(body) > _LONGEST_LINE:
        return OpaqueLine(number, body[:_LONGEST_LINE])
    if m := _REGISTER.match(body):
        return RegisterAccess(number, int(m[2]), m[1] == "w", int(m[3]), int(m[5], 16), prepared=m[4] is not None)
    if m := _MEMORY.match(body):
        return MemoryAccess(number, int(m[2]), m[1] == "w", int(m[3], 16), int(m[4], 16), int(m[5], 16))
    if m := _CONTROL.match(body):
        return RunControl(number, int(m[2]), m[1] == "run")
    if not _WORDS.search(body):
        return OpaqueLine(number, body)
    for kind, pattern in _MESSAGES:
        if m := pattern.fullmatch(body):
            groups = m.groupdict()
            value = int(groups["value"], 16) if groups.get("value") else -1
            return Message(number, kind, body, value, (groups.get("detail") or "").strip())
    return OpaqueLine(number, body)
