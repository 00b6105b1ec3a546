"""A verbosity-3 log of STM32CubeProgrammer about an external loader: its lines, and the calls that they make up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import lru_cache

from h5diag.chip import ChipChoice
from h5diag.errors import InputError
from h5diag.evidence.door import Source, read_evidence
from h5diag.evidence.files import decode_text
from h5diag.limits import LOADER_LOG_LINE, TEXT
from h5diag.measure.loader.loaderfile import LoaderFile
from h5diag.measure.loader.placement import BREAKPOINT, BUFFER_SIZE

DRY_RUN_MARK = "Dry run on an emulated core"
"""How the log of a dry run begins, so that nobody takes it for that of a chip."""

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
    write: bool
    index: int
    value: int
    prepared: bool = False


@dataclass(frozen=True, slots=True)
class MemoryAccess:
    """Memory written or read through the probe; `size` in bytes, `word` the first 32 bits, all that is printed."""

    line: int
    write: bool
    address: int
    size: int
    word: int


@dataclass(frozen=True, slots=True)
class RunControl:
    """``halt`` (`running` False) or ``run`` (True)."""

    line: int
    running: bool


@dataclass(frozen=True, slots=True)
class LogMessage:
    """A line of words. `value` is its number (device ID, address) or None, `detail` its name (path, version) or empty."""

    line: int
    kind: MessageKind
    text: str
    value: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class OpaqueLine:
    """A line that the grammar does not know."""

    line: int
    text: str


Event = RegisterAccess | MemoryAccess | RunControl | LogMessage | OpaqueLine


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

    def messages(self, *kinds: MessageKind) -> tuple[LogMessage, ...]:
        """Return the messages of these kinds, in order."""
        return tuple(e for e in self.events if isinstance(e, LogMessage) and e.kind in kinds)

    def chip(self, given: str = "") -> ChipChoice:
        """Return the chip that its words name, as every other reader of the same text takes it; `given` first."""
        from h5diag.evidence.texts import chip_of, parse_log as parse_text

        words = "\n".join(e.text for e in self.events if isinstance(e, LogMessage | OpaqueLine))
        return chip_of([parse_text(words)], given=given)


_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# A forum paste may have joined the lines; the times tell them apart again.
_TIME = re.compile(r"(?<!\d)\d\d:\d\d:\d\d(?::\d{3})?(?=\s|$)(?:[ \t]*:(?=\s|$))?[ \t]*")
_HEX = r"0[xX]([0-9A-Fa-f]{1,8})"
_REGISTER = re.compile(rf"([wr]) +ap +\d{{1,3}} +reg +(\d{{1,2}}) +\w{{1,8}} +(\()?{_HEX}\)?$")
_MEMORY = re.compile(rf"([wr]) +ap +\d{{1,3}} +@{_HEX} {{0,8}}:? {{0,8}}{_HEX} +bytes,? *Data +{_HEX}[. ]*$")
_CONTROL = re.compile(r"(halt|run) +ap +\d{1,3}$")

# A line without any of these words is no known message; it costs one search instead of many.
_WORDS = re.compile(
    "init|time|loader|stm32|device|eras|upload|address|error|success|complete|verified|read|operation|command|memory",
    re.IGNORECASE,
)
_MESSAGES: tuple[tuple[MessageKind, str], ...] = (
    (MessageKind.TIMEOUT, r".*\btime(?:d)?[ -]?out\b.*"),
    (MessageKind.INIT_FAILED, r"(?:error: *)?init function fail.*"),
    (MessageKind.INIT, r"init flash ?loader.*"),
    (MessageKind.LOADER_REFUSED, r"error: *flash loader (?P<detail>.+?) cannot be loaded.*"),
    (MessageKind.INTERNAL_LOADER, r"flash loader (?P<detail>.+[/\\]flashloader[/\\].+?) is loaded.*"),
    (MessageKind.LOADER, r"(?:selected loader|external loader(?: file)?) {0,8}: {0,8}(?P<detail>.+)"),
    (MessageKind.LOADER, r"flash loader (?P<detail>.+?) is loaded.*"),
    (
        MessageKind.LOADER,
        r"(?:operation *\[\d+\] *:|command line *:|.{0,400}?stm32_programmer_cli).{0,400}? (?:-el|--extload) {1,8}"
        r"\"?(?P<detail>[^\" ](?:[^\"]{0,250}[^\" ])??)\"?(?: {1,8}-.*)?",
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


@lru_cache(maxsize=1)
def _messages() -> tuple[tuple[MessageKind, re.Pattern[str]], ...]:
    return tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _MESSAGES)


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
        for piece in _TIME.split(line) if ":" in line else (line,):
            if body := piece.strip():
                yield number, body


def _event(number: int, body: str) -> Event:
    if len(body) > LOADER_LOG_LINE:
        return OpaqueLine(number, body[:LOADER_LOG_LINE])
    access = " ap " in body
    if access and (m := _REGISTER.match(body)):
        return RegisterAccess(number, m[1] == "w", int(m[2]), int(m[4], 16), prepared=m[3] is not None)
    if access and (m := _MEMORY.match(body)):
        return MemoryAccess(number, m[1] == "w", int(m[2], 16), int(m[3], 16), int(m[4], 16))
    if access and (m := _CONTROL.match(body)):
        return RunControl(number, m[1] == "run")
    if not _WORDS.search(body):
        return OpaqueLine(number, body)
    for kind, pattern in _messages():
        if m := pattern.fullmatch(body):
            groups = m.groupdict()
            value = int(groups["value"], 16) if groups.get("value") else None
            return LogMessage(number, kind, body, value, (groups.get("detail") or "").strip())
    return OpaqueLine(number, body)


_SP, _LR, _PC, _XPSR, _MSP = 13, 14, 15, 16, 17
_EXCEPTIONS = {2: "NMI", 3: "HardFault", 4: "MemManage fault", 5: "BusFault", 6: "UsageFault", 7: "SecureFault"}


class LoaderSide(Enum):
    """Which loader a call goes to: the tool's own for internal flash, or the user's for external memory."""

    INTERNAL = "internal"
    EXTERNAL = "external"
    UNKNOWN = "unknown"


class Outcome(Enum):
    """How a call ended."""

    OK = "returned 1"
    ZERO = "returned 0"
    ODD = "returned another value"
    FAULT = "fault"
    NOT_DOWNLOADED = "not downloaded"
    NO_RESULT = "no result in the log"


@dataclass(frozen=True, slots=True)
class _Download:
    """What the programmer wrote to RAM before a call. Addresses are None when the log does not show the write.

    `base` comes from the preparation (PC in parentheses), `breakpoint` from the write of 0xBE00, `image` and
    `image_size` (bytes) from the write behind it, `buffer` from the 0x200 zero bytes.
    """

    line: int = 0
    base: int | None = None
    breakpoint: int | None = None
    image: int | None = None
    image_size: int = 0
    buffer: int | None = None

    @property
    def start(self) -> int | None:
        """Where the breakpoint stands, or by the preparation will."""
        return self.breakpoint if self.breakpoint is not None else self.base

    @property
    def done(self) -> bool:
        """Tell whether breakpoint or image was written."""
        return self.breakpoint is not None or self.image is not None


@dataclass(frozen=True, slots=True)
class LoaderCall:
    """One call of an entry point. Registers are as written before ``run``, None when the log does not show them.

    `function` is its name, or empty when neither the log's words nor an ELF tell; `arguments` are R0 to R3;
    `result` is R0 after the halt.
    """

    line: int
    function: str
    side: LoaderSide
    arguments: tuple[int, ...]
    sp: int | None
    lr: int | None
    pc: int
    msp: int | None
    result: int | None
    xpsr: int | None
    download: _Download
    outcome: Outcome

    @property
    def downloaded(self) -> bool:
        """Tell whether the image was in RAM when the call was made."""
        return self.outcome is not Outcome.NOT_DOWNLOADED

    @property
    def exception(self) -> str:
        """Name of the exception the core stood in after the call, or empty."""
        if self.xpsr is None or not (number := self.xpsr & 0x1FF):
            return ""
        return _EXCEPTIONS.get(number, f"exception {number}")


@dataclass(slots=True)
class _State:
    """What has been seen since the last call."""

    registers: dict[int, int] = field(default_factory=dict)
    download: _Download = field(default_factory=_Download)
    seen_preparation: bool = False
    side: LoaderSide = LoaderSide.UNKNOWN
    words: str = ""
    init_next: bool = False


def find_calls(log: LoaderLog, loader: LoaderFile | None = None) -> tuple[LoaderCall, ...]:
    """Return the calls in a log, in order; with `loader` the functions are named by their addresses."""
    state = _State()
    calls: list[LoaderCall] = []

    def end(line: int, at: int) -> None:
        # A call whose ``run`` the log does not show is a call all the same: its registers tell what was prepared.
        if _PC in state.registers:
            calls.append(_call(state, line, log, at, loader))
            state.registers, state.init_next = {}, False

    for i, event in enumerate(log.events):
        match event:
            case LogMessage():
                _hear(state, event)
            case RegisterAccess(write=True, prepared=True, index=15):
                end(event.line, i)
                state.download, state.seen_preparation = _Download(event.line, event.value), True
            case RegisterAccess(write=True, prepared=False):
                state.registers[event.index] = event.value
            case MemoryAccess(write=True):
                state.download = _written(state.download, event)
            case RunControl(running=True):
                end(event.line, i)
    end(log.events[-1].line if log.events else 0, len(log.events))
    return tuple(calls)


_HEARD: dict[MessageKind, dict[str, object]] = {
    MessageKind.INIT: {"init_next": True},
    MessageKind.ERASE_INTERNAL: {"side": LoaderSide.INTERNAL},
    MessageKind.ERASE_EXTERNAL: {"side": LoaderSide.EXTERNAL, "words": "SectorErase"},
    MessageKind.ERASE: {"words": "SectorErase"},
    MessageKind.WRITE: {"words": "Write"},
    MessageKind.READ: {"words": "Read"},
    MessageKind.OPERATION: {"side": LoaderSide.UNKNOWN, "words": ""},
}
"""What a message tells of the call that follows it."""


def _hear(state: _State, message: LogMessage) -> None:
    for name, value in _HEARD.get(message.kind, {}).items():
        setattr(state, name, value)
    if message.kind in (MessageKind.ERASE, MessageKind.OPERATION) and "mass" in message.text.lower():
        state.words = "MassErase"
    if message.kind is MessageKind.ADDRESS and message.value is not None:
        state.side = LoaderSide.EXTERNAL if is_external(message.value) else LoaderSide.INTERNAL


def is_external(address: int) -> bool:
    """Tell whether an address lies where external memory is mapped (0x6000_0000 to 0xDFFF_FFFF, Armv8-M map)."""
    return 0x60000000 <= address < 0xE0000000


def _written(download: _Download, event: MemoryAccess) -> _Download:
    d = replace(download, line=download.line or event.line)
    if event.size == 4 and event.word == BREAKPOINT:
        return replace(d, breakpoint=event.address)
    if (start := d.start) is not None and event.address == start + 4 and event.size > 4:
        return replace(d, image=event.address, image_size=event.size)
    if event.size == BUFFER_SIZE and not event.word and d.buffer is None:
        return replace(d, buffer=event.address)
    return download


def _call(state: _State, line: int, log: LoaderLog, at: int, loader: LoaderFile | None) -> LoaderCall:
    r, pc, function = state.registers, state.registers[_PC], "Init" if state.init_next else state.words
    result, xpsr, timed_out = None, None, False
    for event in log.events[at + 1 : at + 40]:
        match event:
            case RegisterAccess(write=False, index=0) if result is None:
                result = event.value
            case RegisterAccess(write=False, index=16):
                xpsr = event.value
            case LogMessage(kind=MessageKind.TIMEOUT):
                timed_out = True
            case RegisterAccess(write=True) | RunControl(running=True):
                break
    if loader is not None:
        function = next((s.name for s in loader.functions if s.value & ~1 == pc & ~1), function)
    given, sp, lr, msp = tuple(r.get(n, 0) for n in range(4)), r.get(_SP), r.get(_LR), r.get(_MSP)
    call = LoaderCall(
        line, function, state.side, given, sp, lr, pc, msp, result, xpsr, state.download, Outcome.NO_RESULT
    )
    if not _was_downloaded(call, state.seen_preparation):
        outcome = Outcome.NOT_DOWNLOADED
    elif call.exception:
        outcome = Outcome.FAULT
    elif result is None or timed_out:
        outcome = Outcome.NO_RESULT
    else:
        outcome = {0: Outcome.ZERO, 1: Outcome.OK}.get(result, Outcome.ODD)
    if function == "Verify" and outcome in (Outcome.ZERO, Outcome.ODD):
        outcome = Outcome.OK if outcome is Outcome.ZERO else Outcome.ZERO
    return replace(call, outcome=outcome)


def _was_downloaded(call: LoaderCall, seen_preparation: bool) -> bool:
    """Breakpoint and image decide; in a log that begins later, LR and MSP do."""
    dead = (call.lr == 0 and not call.msp) or call.msp == 0
    # A preparation without a write, yet a live stack: the writes were cut out of the log.
    alive = bool(call.msp or call.lr) or not seen_preparation
    return call.download.done or (alive and not dead)
