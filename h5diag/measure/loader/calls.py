"""From the events of a log to the calls the programmer made into a loader, each with the state it was made in."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from h5diag.measure.loader.elf import LoaderFile
from h5diag.measure.loader.placement import BREAKPOINT
from h5diag.measure.loader.vb3 import LoaderLog, MemoryAccess, Message, MessageKind, RegisterAccess, RunControl

_SP, _LR, _PC, _XPSR, _MSP = 13, 14, 15, 16, 17
_EXCEPTIONS = {2: "NMI", 3: "HardFault", 4: "MemManage fault", 5: "BusFault", 6: "UsageFault", 7: "SecureFault"}

ABSENT = -1
"""A register or address that the log does not show."""


class Side(Enum):
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
class Download:
    """What the programmer wrote to RAM before a call. Addresses are `ABSENT` when the log does not show the write.

    `base` comes from the preparation (PC in parentheses), `breakpoint` from the write of 0xBE00, `image` and
    `image_size` (bytes) from the write behind it, `buffer` from the 0x200 zero bytes.
    """

    line: int = 0
    base: int = ABSENT
    breakpoint: int = ABSENT
    image: int = ABSENT
    image_size: int = 0
    buffer: int = ABSENT

    @property
    def done(self) -> bool:
        """Tell whether breakpoint or image was written."""
        return self.breakpoint != ABSENT or self.image != ABSENT


@dataclass(frozen=True, slots=True)
class LoaderCall:
    """One call of an entry point. Registers are as written before ``run``, `ABSENT` when the log does not show them.

    `function` is its name, or empty when neither the log's words nor an ELF tell; `arguments` are R0 to R3;
    `result` is R0 after the halt.
    """

    line: int
    function: str
    side: Side
    arguments: tuple[int, ...]
    sp: int
    lr: int
    pc: int
    msp: int
    result: int
    xpsr: int
    download: Download
    outcome: Outcome

    @property
    def downloaded(self) -> bool:
        """Tell whether the image was in RAM when the call was made."""
        return self.outcome is not Outcome.NOT_DOWNLOADED

    @property
    def exception(self) -> str:
        """Name of the exception the core stood in after the call, or empty."""
        if self.xpsr == ABSENT or not (number := self.xpsr & 0x1FF):
            return ""
        return _EXCEPTIONS.get(number, f"exception {number}")


@dataclass(slots=True)
class _State:
    """What has been seen since the last call."""

    registers: dict[int, int] = field(default_factory=dict)
    download: Download = field(default_factory=Download)
    seen_preparation: bool = False
    side: Side = Side.UNKNOWN
    words: str = ""
    init_next: bool = False


def find_calls(log: LoaderLog, loader: LoaderFile | None = None) -> tuple[LoaderCall, ...]:
    """Return the calls in a log, in order; with `loader` the functions are named by their addresses."""
    state = _State()
    calls: list[LoaderCall] = []
    events = log.events
    for i, event in enumerate(events):
        match event:
            case Message():
                _hear(state, event)
            case RegisterAccess(write=True, prepared=True):
                if event.index == _PC:
                    _end_unfinished(state, calls, event.line, log, i, loader)
                    state.download = Download(event.line, event.value)
                    state.seen_preparation = True
            case RegisterAccess(write=True):
                state.registers[event.index] = event.value
            case MemoryAccess(write=True):
                state.download = _written(state.download, event)
            case RunControl(running=True) if _PC in state.registers:
                calls.append(_call(state, event.line, log, i, loader))
                state.registers = {}
                state.init_next = False
    _end_unfinished(state, calls, events[-1].line if events else 0, log, len(events), loader)
    return tuple(calls)


def _end_unfinished(
    state: _State, calls: list[LoaderCall], line: int, log: LoaderLog, at: int, loader: LoaderFile | None
) -> None:
    """A call whose ``run`` the log does not show is a call all the same: its registers tell what was prepared."""
    if _PC in state.registers:
        calls.append(_call(state, line, log, at, loader))
        state.registers = {}
        state.init_next = False


def _hear(state: _State, message: Message) -> None:
    match message.kind:
        case MessageKind.INIT:
            state.init_next = True
        case MessageKind.ERASE_INTERNAL:
            state.side = Side.INTERNAL
        case MessageKind.ERASE_EXTERNAL:
            state.side, state.words = Side.EXTERNAL, "SectorErase"
        case MessageKind.ERASE:
            state.words = "MassErase" if "mass" in message.text.lower() else "SectorErase"
        case MessageKind.WRITE:
            state.words = "Write"
        case MessageKind.READ:
            state.words = "Read"
        case MessageKind.OPERATION:
            state.side = Side.UNKNOWN
            state.words = "MassErase" if "mass" in message.text.lower() else ""
        case MessageKind.ADDRESS if message.value >= 0:
            state.side = Side.EXTERNAL if is_external(message.value) else Side.INTERNAL


def is_external(address: int) -> bool:
    """Tell whether an address lies where external memory is mapped (0x6000_0000 to 0xDFFF_FFFF, Armv8-M map)."""
    return 0x60000000 <= address < 0xE0000000


def _written(download: Download, event: MemoryAccess) -> Download:
    line, base = download.line or event.line, download.base
    d = download
    if event.size == 4 and event.word == BREAKPOINT:
        return Download(line, base, event.address, d.image, d.image_size, d.buffer)
    if event.address == (d.breakpoint if d.breakpoint != ABSENT else base) + 4 and event.size > 4:
        return Download(line, base, d.breakpoint, event.address, event.size, d.buffer)
    if event.size == 0x200 and not event.word and d.buffer == ABSENT:
        return Download(line, base, d.breakpoint, d.image, d.image_size, event.address)
    return d


def _call(state: _State, line: int, log: LoaderLog, at: int, loader: LoaderFile | None) -> LoaderCall:
    r = state.registers
    result, xpsr, timed_out = ABSENT, ABSENT, False
    for event in log.events[at + 1 : at + 40]:
        match event:
            case RegisterAccess(write=False, index=0) if result == ABSENT:
                result = event.value
            case RegisterAccess(write=False, index=16):
                xpsr = event.value
            case Message(kind=MessageKind.TIMEOUT):
                timed_out = True
            case RegisterAccess(write=True) | RunControl(running=True):
                break
    pc = r[_PC]
    function = "Init" if state.init_next else state.words
    if loader is not None:
        function = next((s.name for s in loader.functions if s.value & ~1 == pc & ~1), function)
    call = LoaderCall(
        line,
        function,
        state.side,
        tuple(r.get(n, 0) for n in range(4)),
        r.get(_SP, ABSENT),
        r.get(_LR, ABSENT),
        pc,
        r.get(_MSP, ABSENT),
        result,
        xpsr,
        state.download,
        Outcome.NO_RESULT,
    )
    if not _was_downloaded(call, state.seen_preparation):
        outcome = Outcome.NOT_DOWNLOADED
    elif call.exception:
        outcome = Outcome.FAULT
    elif result == ABSENT or timed_out:
        outcome = Outcome.NO_RESULT
    else:
        outcome = {0: Outcome.ZERO, 1: Outcome.OK}.get(result, Outcome.ODD)
    if function == "Verify" and outcome in (Outcome.ZERO, Outcome.ODD):
        outcome = Outcome.OK if outcome is Outcome.ZERO else Outcome.ZERO
    return LoaderCall(
        line,
        function,
        state.side,
        call.arguments,
        call.sp,
        call.lr,
        pc,
        call.msp,
        result,
        xpsr,
        state.download,
        outcome,
    )


def _was_downloaded(call: LoaderCall, seen_preparation: bool) -> bool:
    """Breakpoint and image decide; in a log that begins later, LR and MSP do."""
    if call.download.done:
        return True
    if (call.lr == 0 and call.msp in (0, ABSENT)) or call.msp == 0:
        return False
    # A preparation without a write, yet a live stack: the writes were cut out of the log.
    return call.msp > 0 or call.lr > 0 or not seen_preparation
