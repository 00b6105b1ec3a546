"""A whole text of the tool, whatever it holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from h5diag.chip import ChipChoice, choose_chip
from h5diag.chip.choose import Identified, LaidOut
from h5diag.evidence.texts.banner import Banner, parse_banners
from h5diag.evidence.texts.discovery import Discovery, parse_discovery
from h5diag.evidence.texts.listing import Listing, listing_of, parse_listing
from h5diag.evidence.texts.messages import Message, parse_messages
from h5diag.evidence.texts.programming import Programming, parse_programming
from h5diag.evidence.texts.romloader import RomSession, parse_rom_sessions
from h5diag.evidence.texts.text import Line, lines


class LogKind(Enum):
    """What a text is, by the most telling thing that it holds."""

    PROVISIONING = "provisioning"
    PROGRAMMING = "programming"
    DISCOVERY = "discovery"
    VERBOSE = "verbosity-3"
    OPTIONS = "options"
    ROM_LOADER = "rom-loader"
    CONNECTION = "connection"
    UNKNOWN = "unknown"


_PROVISIONING = (
    "board is correctly configured",
    ".obk",
    "_init_sign",
    "_enc_sign",
    "oemirot",
    "rot_provisioning",
    "programming in download slots",
)


@dataclass(frozen=True, slots=True)
class Log:
    """What was found in a text; the parts that were not there are false or empty.

    `claims_success` are the lines by which the tool or a script called the whole run a success; they prove little.
    `options_asked` tells whether the tool began to read the option bytes, `loader_lines` counts the lines that only
    verbosity 3 prints.
    """

    kind: LogKind
    banners: tuple[Banner, ...] = ()
    listing: Listing = field(default_factory=Listing)
    discovery: Discovery = field(default_factory=Discovery)
    programming: Programming = field(default_factory=Programming)
    rom_sessions: tuple[RomSession, ...] = ()
    messages: tuple[Message, ...] = ()
    claims_success: tuple[str, ...] = ()
    loader_lines: int = 0
    options_asked: bool = False

    @property
    def banner(self) -> Banner:
        """The first banner; a false one when there is none."""
        return self.banners[0] if self.banners else Banner()

    @property
    def dev_ids(self) -> tuple[int, ...]:
        """Every DEV_ID that the text names, the fullest connection's first."""
        return tuple(
            i for i in (*(b.dev_id for b in self.banners), self.listing.device_id, self.discovery.dev_id) if i > 0
        )

    @property
    def flash_kib(self) -> int | None:
        """Flash size in KiB as read; None when it was not, or is a tool's default."""
        return next((k for k in (*(b.flash_kib for b in self.banners), self.listing.flash_kib) if k), None)

    @property
    def device_name(self) -> str:
        """What the tool calls the device."""
        return next((b.device_name for b in self.banners if b.device_name), "")

    @property
    def errors(self) -> tuple[Message, ...]:
        """The messages that are errors."""
        return tuple(m for m in self.messages if m.severity == "error")


def parse_log(text: str) -> Log:
    """Return everything that is understood of the text; kind UNKNOWN when nothing is."""
    clean = lines(text)
    telling = tuple(line for line in clean if _telling(line.text))
    verbose = sum(1 for line in clean if _is_verbose(line.text))
    banners = parse_banners(telling)
    listing = (
        listing_of(telling, ends_open=not text.endswith(("\n", "\r")))
        if "bitNameToValue" not in text
        else parse_listing(text)
    )
    # A single number with a name in a page of prose is no listing.
    if len(listing.fields) < 3 and "OPTION BYTES BANK" not in text.upper() and listing.device_id < 0:
        listing = Listing()
    discovery = parse_discovery(telling)
    programming = parse_programming(telling)
    rom = parse_rom_sessions(telling)
    messages = parse_messages(telling)
    claims = tuple(
        line.text.strip()[:200]
        for line in telling
        if "correctly configured" in line.low or "provisioning success" in line.low
    )
    kind = _kind(telling, banners, listing, discovery, programming, rom, messages, verbose)
    asked = any("uploading option bytes" in line.low for line in clean)
    return Log(kind, banners, listing, discovery, programming, rom, messages, claims, verbose, asked)


def chip_of(
    logs: Sequence[Log],
    *,
    given: str = "",
    identity: Identified | None = None,
    sidecars: Iterable[str] = (),
    layout: LaidOut | None = None,
    marking: str = "",
) -> ChipChoice:
    """Return the chip that these texts (the most telling first) and what else there is name; see `choose_chip`."""
    return choose_chip(
        given=given,
        identity=identity,
        dev_ids=[i for log in logs for i in log.dev_ids],
        option_names=next((names for log in logs if (names := [f.name for f in log.listing.fields])), ()),
        sidecars=sidecars,
        layout=layout,
        flash_kib=next((kib for log in logs if (kib := log.flash_kib)), None),
        marking=marking,
        device_name=next((name for log in logs if (name := log.device_name)), ""),
    )


def _telling(text: str) -> bool:
    return (
        ":" in text
        or "rror" in text
        or "uccess" in text
        or "omplete" in text
        or "BANK" in text
        or "arning" in text
        or "ubeProg" in text
        or "ail" in text
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


def _kind(
    clean: Sequence[Line],
    banners: tuple[Banner, ...],
    listing: Listing,
    discovery: Discovery,
    programming: Programming,
    rom: tuple[RomSession, ...],
    messages: tuple[Message, ...],
    verbose: int,
) -> LogKind:
    if verbose >= 3:
        return LogKind.VERBOSE
    if programming:
        marked = any(mark in line.low for line in clean for mark in _PROVISIONING)
        return LogKind.PROVISIONING if marked else LogKind.PROGRAMMING
    if discovery:
        return LogKind.DISCOVERY
    if listing:
        return LogKind.OPTIONS
    if rom:
        return LogKind.ROM_LOADER
    if banners or any(m.meaning for m in messages):
        return LogKind.CONNECTION
    return LogKind.UNKNOWN
