"""A whole text of the bench, whatever it holds: what kind it is, and everything that is understood of it."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import lru_cache

from h5diag.chip import IDCODE_AT, ChipChoice, choose_chip, find_device
from h5diag.chip.choose import Identified, LaidOut
from h5diag.evidence.texts.boot import BootLog, parse_boot_log
from h5diag.evidence.texts.connection import (
    Banner,
    Discovery,
    RomSession,
    parse_banners,
    parse_discovery,
    parse_rom_sessions,
)
from h5diag.evidence.texts.faults import FaultDump, parse_faults
from h5diag.evidence.texts.listing import Listing, parse_listing, split_diff
from h5diag.evidence.texts.messages import Message, parse_messages
from h5diag.evidence.texts.programming import Programming, parse_programming
from h5diag.evidence.texts.registers import RawRegister, parse_registers
from h5diag.evidence.texts.text import Line, hex_number, lines, named_parts
from h5diag.evidence.texts.tools import ToolReport, parse_tools, parse_writes
from h5diag.limits import SEARCHED_LINES


class LogKind(Enum):
    """What a text is, by the most telling thing that it holds."""

    PROVISIONING = "provisioning"
    SFI = "sfi"
    RSSE = "rsse"
    PROGRAMMING = "programming"
    DISCOVERY = "discovery"
    VERBOSE = "verbosity-3"
    OPTIONS = "options"
    OPTION_CHANGE = "option-change"
    DIFF = "listing-diff"
    ROM_LOADER = "rom-loader"
    CONNECTION = "connection"
    BOOT = "boot-log"
    FAULT = "fault-dump"
    OPENOCD = "openocd"
    PYOCD = "pyocd"
    PROBE_RS = "probe-rs"
    J_LINK = "j-link"
    GDB_SERVER = "gdb-server"
    ST_INFO = "st-info"
    BLACK_MAGIC = "black-magic"
    DFU = "dfu"
    MEASUREMENT = "measurement"
    REGISTERS = "registers"
    UNKNOWN = "unknown"


_PROVISIONING = (
    "board is correctly configured",
    ".obk",
    "_init_sign",
    "_enc_sign",
    "oemirot",
    "oemurot",
    "stirot",
    "secure manager",
    "smak_",
    "rot_provisioning",
    "programming in download slots",
    "in the download slots",
)
_ROOTS = (
    ("STiROT", ("stirot", "boot_ube=0xc3")),
    ("Secure Manager", ("secure manager", "securemanager", "smak_", "sm_provisioning")),
    ("OEMiROT", ("oemirot", "oemurot")),
)
"""Which root of trust a run sets up; the first two bring boot code of the vendor's own, in the system flash."""
_INSTALL = ("sfi parsing", "sfi protocol", "sfi total", "firmware install", ".sfi", "sfi process", "sfi area", "ssfi")
_INSTALLED = ("sfi process finished success", "firmware install operation success", "install operation achieved")


@dataclass(frozen=True, slots=True)
class Log:
    """What was found in a text; the parts that were not there are false or empty.

    Parameters
    ----------
    kind
        By the most telling thing that it holds.
    banners, listing, discovery, programming, rom_sessions
        What STM32CubeProgrammer printed.
    messages
        Errors and warnings of every tool.
    boot, fault, tools
        A boot loader's log, a fault dump, and what other tools told.
    claims_success
        The lines by which a tool or script called the whole run a success; they prove little.
    loader_lines
        Lines that only verbosity 3 prints.
    options_asked
        Whether the tool began to read the option bytes and the text breaks off there or says that it failed.
    root
        Root of trust that a provisioning run sets up: ``STiROT``, ``Secure Manager``, ``OEMiROT``; None when not told.
    installed
        Whether a secure firmware install ended well; None when there was none, or its end is not in the text.
    under_reset
        A failed connection, and the words by which a tool came in under reset after it; empty when none did.
    failed_since
        The first failed connection after one that worked; empty when none followed.
    names
        Part numbers, those of boards included, that stand anywhere in it: ``STM32U585``.
    """

    kind: LogKind
    banners: tuple[Banner, ...] = ()
    listing: Listing = field(default_factory=Listing)
    discovery: Discovery = field(default_factory=Discovery)
    programming: Programming = field(default_factory=Programming)
    rom_sessions: tuple[RomSession, ...] = ()
    messages: tuple[Message, ...] = ()
    boot: BootLog = field(default_factory=BootLog)
    fault: FaultDump = field(default_factory=FaultDump)
    tools: tuple[ToolReport, ...] = ()
    claims_success: tuple[str, ...] = ()
    loader_lines: int = 0
    options_asked: bool = False
    root: str | None = None
    installed: bool | None = None
    under_reset: tuple[str, str] = ("", "")
    failed_since: str = ""
    names: tuple[str, ...] = ()

    @property
    def banner(self) -> Banner:
        """The connection that told most, the later one of equals; a false one when there is none."""
        return max(reversed(self.banners), key=lambda b: b.fullness, default=Banner())

    @property
    def dev_ids(self) -> tuple[int, ...]:
        """Every DEV_ID that the text names, the fullest connection's first."""
        return tuple(
            i
            for i in (
                self.banner.dev_id,
                *(b.dev_id for b in self.banners),
                self.listing.device_id,
                self.discovery.dev_id,
                *(hex_number(s.chip_id) for s in self.rom_sessions),
                *(t.dev_id for t in self.tools),
            )
            if i is not None and i > 0
        )

    @property
    def identities(self) -> tuple[tuple[int, int], ...]:
        """DEV_ID and line of each connection that came as far as one, each DEV_ID once: more than one are several boards."""
        known = ((b.dev_id & 0xFFF, b.line) for b in reversed(self.banners) if b.identified and b.dev_id is not None)
        return tuple(sorted(dict(known).items(), key=lambda pair: pair[1]))

    @property
    def flash_kib(self) -> int | None:
        """Flash size in KiB as read; None when it was not, or is a tool's default."""
        sizes = (
            self.banner.flash_kib,
            *(b.flash_kib for b in self.banners),
            self.listing.flash_kib,
            *(t.flash_kib for t in self.tools),
        )
        return next((k for k in sizes if k), None)

    @property
    def device_name(self) -> str:
        """What the tool calls the device that it read."""
        names = (self.banner.device_name, *(b.device_name for b in self.banners), *(t.device_name for t in self.tools))
        return next((n for n in names if n), "")

    @property
    def targets(self) -> tuple[str, ...]:
        """What users of other tools told these that the chip is."""
        return tuple(t.target for t in self.tools if t.target)

    @property
    def option_words(self) -> tuple[int, ...]:
        """Option words of the chip that a debugger printed, in the order of the text; none where they are too few to tell.

        One word of all ones may be no answer; with a read protection of 0xFF beside it, it is one.
        """
        words = tuple(w for t in self.tools for w in t.option_words)
        return words if len(words) > 1 or self.rdp == 0xFF else ()

    @property
    def rdp(self) -> int | None:
        """The byte of the read protection that a debugger printed."""
        return next((t.rdp for t in self.tools if t.rdp is not None), None)

    @property
    def errors(self) -> tuple[Message, ...]:
        """The messages that are errors."""
        return tuple(m for m in self.messages if m.severity == "error")

    @property
    def complaints(self) -> tuple[Message, ...]:
        """All errors and warnings in the order of the text: those of the tools, and what a boot loader marked as one."""
        told = {m.line for m in self.messages}
        boot = (
            Message(e.level, e.text, e.meaning, e.about, e.line) for e in self.boot.complaints if e.line not in told
        )
        return tuple(sorted((*self.messages, *boot), key=lambda m: m.line))


@lru_cache(maxsize=8)
def parse_log(text: str) -> Log:
    """Return everything that is understood of the text; kind UNKNOWN when nothing is.

    The last few are kept: several judges ask for the same ones.
    """
    if split_diff(text) is not None:
        return Log(LogKind.DIFF, listing=parse_listing(text))
    clean = lines(text)
    some = clean if len(clean) <= SEARCHED_LINES else clean[: SEARCHED_LINES // 2] + clean[-SEARCHED_LINES // 2 :]
    telling = tuple(line for line in clean if _telling(line.text))
    verbose = sum(_is_verbose(line.text) for line in clean)
    banners = parse_banners(telling)
    listing = parse_listing(text)
    # A single number with a name in a page of prose is no listing.
    if len(listing.fields) < 3 and "OPTION BYTES BANK" not in text.upper() and listing.device_id is None:
        listing = Listing()
    rom = parse_rom_sessions(telling)
    fault = parse_faults(some)
    tools = parse_tools(some)
    programming = parse_programming(telling) or parse_writes(some, tools)
    messages = parse_messages(clean)
    reached = _last_reached(messages, banners, clean)
    log = Log(
        LogKind.UNKNOWN,
        banners,
        listing,
        parse_discovery(telling),
        programming,
        rom,
        _after_writes(_after_all(messages, reached), programming),
        parse_boot_log(some),
        fault,
        tools,
        tuple(
            line.text.strip()[:200]
            for line in telling
            if "correctly configured" in line.low or "provisioning success" in line.low
        ),
        verbose,
        _options_unread(clean, telling),
        next((name for name, words in _ROOTS if any(w in line.low for line in some for w in words)), None),
        under_reset=_reached_under_reset(messages, clean),
        failed_since=_failed_since(messages, reached, clean),
        names=named_parts(some),
    )
    # What a boot loader's or a fault handler's line means is known by its own table.
    said = {e.line: (e.meaning, e.about) for e in log.boot.events}
    said |= {number: (meaning, "") for number, meaning in fault.phrases}
    told = tuple(
        replace(m, meaning=said[m.line][0], about=said[m.line][1]) if not m.meaning and m.line in said else m
        for m in log.messages
    )
    log = replace(log, messages=told)
    install = [line.low for line in some if any(w in line.low for w in _INSTALL)]
    if install:
        well = any(w in low for low in install for w in _INSTALLED)
        log = replace(log, installed=True if well else False if log.errors else None)
    return replace(log, kind=_kind(log, some, bool(install), text))


def chip_of(
    logs: Sequence[Log],
    *,
    given: str = "",
    identity: Identified | None = None,
    dev_ids: Iterable[int] = (),
    sidecars: Iterable[str | None] = (),
    layout: LaidOut | None = None,
    marking: str = "",
) -> ChipChoice:
    """Return the chip that these texts (the most telling first) and what else there is name; see `choose_chip`."""
    return choose_chip(
        given=given,
        identity=identity,
        dev_ids=[*(i for log in logs for i in log.dev_ids), *dev_ids],
        option_names=next((names for log in logs if (names := [f.name for f in log.listing.fields])), ()),
        sidecars=sidecars,
        targets=[t for log in logs for t in log.targets],
        families=[t.family for log in logs for t in log.tools if t.family],
        names=[n for log in logs for n in log.names],
        foreign=next((t.foreign for log in logs for t in log.tools if t.foreign), ""),
        layout=layout,
        flash_kib=next((kib for log in logs if (kib := log.flash_kib)), None),
        marking=marking,
        device_name=next((name for log in logs if (name := log.device_name)), ""),
    )


def identity_words(words: Iterable[RawRegister]) -> tuple[int, ...]:
    """Return the DEV_IDs among words that were read: what stands where DBGMCU_IDCODE lies and names a device."""
    return tuple(w.value & 0xFFF for w in words if w.address in IDCODE_AT and find_device(w.value).name)


def _telling(text: str) -> bool:
    return (
        ":" in text
        or "rror" in text
        or "uccess" in text
        or "omplete" in text
        or "BANK" in text
        or "arning" in text
        or "ubeProg" in text
        or " ID " in text
        or "lash size" in text
        or "ail" in text
        or "rasing" in text
        or "not " in text
        or "OEMiR" in text
        or "-ob " in text
        or "correctly" in text
        or "mode" in text
        or "slots" in text
        or ".obk" in text
    )


def _is_verbose(text: str) -> bool:
    return " ap " in text and ("reg " in text or "@0x" in text or text.lstrip().startswith(("halt ap", "run ap")))


_REACHED = re.compile(
    r"processor detected|target has \d{1,2} breakpoints|halted due to|^\W{0,4}(?:info : )?device id = 0x|"
    r"(?:saved|dumped) \d{1,9} bytes|programmed \d{1,9} bytes|cpu core #\d|\bfound cortex-m|\bkib sram, |\bread from address|"
    r"data read successfully|^\s{0,8}finished in \d|^\s{0,8}(?:0x)?[0-9a-f]{8}\s?:\s{1,4}[0-9a-f]{8}\b"
)
"""What the tools print once they have reached a core or its flash interface."""
_UNDER_RESET = re.compile(
    r"(?:-m|--connect|connect_mode)[ =:]{1,3}under[-_]reset|\bmode=ur\b|connect mode\s{0,8}: under reset|"
    r"connect_assert_srst|--connect-under-reset|^\W{0,8}connecting under reset|executing connect under reset|"
    r"connect_s?rst (?:enable|on)"
)
"""How the tools are told, or say, that they hold the reset while they connect; advice to do so is in other words."""


def _reached_under_reset(messages: Sequence[Message], clean: Sequence[Line]) -> tuple[str, str]:
    """Return the failed connection and the words by which, after it, a tool came in under reset; empty when none did."""
    own = ("nothing follows about the board", "the probe itself")
    failed = [m for m in messages if m.link and m.severity == "error" and not any(w in m.meaning for w in own)]
    lines = [m.line for m in failed]
    reached = (
        [line.number for line in clean if _REACHED.search(line.low) or _IDENTIFIED.search(line.low)] if failed else []
    )
    for line in reversed(clean) if reached else ():
        if (told := _UNDER_RESET.search(line.low)) is None:
            continue
        before, came = bisect_right(lines, line.number), bisect_left(reached, line.number)
        again = lines[before] if before < len(lines) else clean[-1].number + 1
        between = bool(before) and came > bisect_right(reached, lines[before - 1])
        if before and came < len(reached) and reached[came] < again and not between:
            return failed[before - 1].text, line.text[told.start() : told.end()].strip()
    return "", ""


_IDENTIFIED = re.compile(r"^\s{0,8}device id\s{0,8}: 0x(?!0{3,8}\b)[0-9a-f]{3,8}\b")


def _last_reached(messages: Sequence[Message], banners: Sequence[Banner], clean: Sequence[Line]) -> int:
    """Return the last line by which a connection came as far as an identity; 0 when none did."""
    good = max((b.line for b in banners if b.identified), default=0)
    if any(m.link for m in messages):
        good = max(good, next((line.number for line in reversed(clean) if _REACHED.search(line.low)), 0))
    return good


def _failed_since(messages: Sequence[Message], good: int, clean: Sequence[Line]) -> str:
    """Return the first connection that failed after the last one that worked; empty when none did, or options changed."""
    failed = [m.text for m in messages if m.link and m.severity == "error" and m.about and m.line > good > 0]
    changed = any("option" in line.low and "program" in line.low for line in clean)
    return failed[0] if failed and not changed else ""


def _after_all(messages: tuple[Message, ...], good: int) -> tuple[Message, ...]:
    """Return the messages, where a failed connection counts for nothing once a later one came as far as an identity."""
    return tuple(
        replace(m, about="", meaning=f"{m.meaning}; a later connection worked, so nothing follows")
        if m.link and m.line < good
        else m
        for m in messages
    )


def _after_writes(messages: tuple[Message, ...], programming: Programming) -> tuple[Message, ...]:
    """Return the messages, where a loader that had written before speaks of no protection: that would stop the first block."""
    out = []
    for m in messages:
        w, low = next((w for w in reversed(programming.writes) if w.line <= m.line), None), m.text.lower()
        named = m.link or "rdp" in low or "protect" in low
        if m.about not in ("debug-locked", "write-protected") or w is None or named:
            out.append(m)
        elif w.complete and not w.failed and "nack" in low:
            out.append(replace(m, about="", meaning=f"{m.meaning}; the whole file was written before, so none follows"))
        elif w.reached is not None:
            why = f"the loader wrote up to 0x{w.reached:08X} and was refused there: the transfer lost its step, or what lies"
            why += " behind is no flash of this part or protected; a read protection would have stopped the first block"
            out.append(replace(m, about="programming-incomplete", meaning=why))
        else:
            out.append(m)
    return tuple(out)


def _options_unread(clean: Sequence[Line], telling: Sequence[Line]) -> bool:
    """Tell whether a read of the option bytes began and did not end: nothing comes after it, or a word that it failed.

    The graphical tool never prints what it read, and a change of options reads them without printing them.
    """
    began = next((line for line in reversed(clean) if "uploading option bytes" in line.low), None)
    if began is None:
        return False
    after = [line.low for line in clean if line.number > began.number]
    if any("fail" in low and ("option" in low or "read" in low) for low in after):
        return True
    silent = began.time or any("programming" in low or low.startswith("option bytes bank") for low in after)
    return not silent and all(low.lstrip().startswith(("bank ", "address ", "size ", "[")) for low in after)


def _kind(log: Log, clean: Sequence[Line], install: bool, text: str) -> LogKind:
    """Return the first kind that holds: what tells most stands first."""
    lows = [line.low for line in clean]
    own = bool(log.programming) and not log.programming.tool
    rows = (
        (log.loader_lines >= 3, LogKind.VERBOSE),
        (install, LogKind.SFI),
        (own and any(mark in low for low in lows for mark in _PROVISIONING), LogKind.PROVISIONING),
        (any("rsse" in low or "rss cmd" in low for low in lows), LogKind.RSSE),
        (own and (log.programming.writes or log.programming.mass_erase), LogKind.PROGRAMMING),
        (own, LogKind.OPTION_CHANGE),
        (log.discovery, LogKind.DISCOVERY),
        (log.listing, LogKind.OPTIONS),
        (log.boot, LogKind.BOOT),
        (log.fault, LogKind.FAULT),
        (
            any(b.identified or b.tool for b in log.banners) and any("programming option bytes" in low for low in lows),
            LogKind.OPTION_CHANGE,
        ),
        *((not any(b.probe_serial or b.tool for b in log.banners), LogKind(t.kind)) for t in log.tools[:1]),
        (log.rom_sessions, LogKind.ROM_LOADER),
        (log.banners or any(m.meaning for m in log.messages), LogKind.CONNECTION),
    )
    if found := next((kind for holds, kind in rows if holds), None):
        return found
    return LogKind.REGISTERS if len(parse_registers(text)) > 1 else LogKind.UNKNOWN
