"""What a boot loader printed on the serial port: OEMiROT and MCUboot of ST, MCUboot of Zephyr and TF-M, SBSFU.

What the lines mean stands in ``boot.toml``. A boot log is the best witness of why an image was not installed: it tells
which option the boot code wants otherwise, which slot it refused, and how the start ended.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from h5diag.evidence.texts.text import Line, printable
from h5diag.limits import BOOT_EVENTS
from h5diag.tables import packaged_as

_LEVEL = re.compile(
    r"^[\s*=]{0,8}(?:\[(inf|info|wrn|warn|err|error|dbg|debug)\] ?|([iwed]): |<(inf|wrn|err|dbg)> ?(?:[\w.]{1,30}: ?)?|"
    r"(?:mcuboot|bl2|tfm)[:>] ?)",
    re.I,
)
_LEVELS = {"i": "info", "w": "warning", "e": "error", "d": "info"}
_MARKS = re.compile(
    r"starting bootloader|booting mcuboot|mcuboot:|\[sboot\]|\[fwimg\]|image index: |swap type: |boot source: |"
    r"bootable image|slot is not valid|unexpected value for |wrong obk|secure image init|booting tf-m|oemirot.{0,20}boot|"
    r"magic=\w{3,5}, ?swap_type|jumping to (?:the first image|bootloader)|double ecc error detected|starting bl2|"
    r"tamper event active|image magic 0x|no valid fw found|secure boot and secure firmware update|"
    r"ram loading to 0x|image \d{1,2} loaded from the "
)
"""Words that only a boot loader prints; a text with none of them is no boot log."""

_NAMES = (
    ("SBSFU", ("[sboot]", "[fwimg]", "secure firmware update")),
    ("OEMiROT", ("oemirot", "wrong obk", "unexpected value for")),
    ("TF-M", ("tf-m", "secure image init", "bl2")),
    (
        "MCUboot",
        ("mcuboot", "swap type", "image index", "boot source", "magic=", "slot is not valid", "bootable image"),
    ),
)
_TELLING = tuple(
    (re.compile(pattern), whose, mode)
    for pattern, whose, mode in (
        # BOOT_LOG_* of boot/bootutil/src in ST's fork and upstream, "%" as it stands in their binaries.
        (r"starting validation of primary slot", "st", ""),
        (r"wrong obk hdpl1", "st", ""),
        (r"\[sboot\] ", "st", ""),
        (r"image index: (?:%|\d)", "upstream", ""),
        (r"booting mcuboot", "upstream", ""),
        (r"starting swap using scratch", "upstream", "swap-scratch"),
        (r"starting swap using move", "upstream", "swap-move"),
        (r"starting swap using offset", "upstream", "swap-offset"),
        (r"image (?:%d|\d+) ram loading to 0x", "upstream", "ram-load"),
        (r"image (?:%d|\d+) loaded from the ", "upstream", "direct-xip"),
    )
)
"""What only ST's or only upstream's MCUboot prints, and what only one way of installing prints; the first that holds."""


def telling_words(text: str) -> tuple[str, str]:
    """Return whose MCUboot prints this and how it installs, in the words of case.toml; empty where nothing tells.

    `text` is what it printed or the strings of its binary, in lower case.
    """
    found = [(whose, mode) for pattern, whose, mode in _TELLING if pattern.search(text)]
    return next((w for w, _ in found), ""), next((m for _, m in found if m), "")


_VERSION = re.compile(r"booting (?:mcuboot|tf-m) v?([\w.+\-]{1,40})")


class EventRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of the table; its head says what the fields are for."""

    pattern: str
    means: str
    line: str
    ref: str
    about: str = ""
    level: str = "info"
    option: tuple[str, ...] = ()
    ends: str = ""
    do: str = ""


@dataclass(frozen=True, slots=True)
class BootEvent:
    """A line of a boot log that is understood.

    Parameters
    ----------
    level
        ``error``, ``warning`` or ``info``.
    text, line
        The line, fit for a terminal, and its number.
    meaning, about
        What it means, and the id of the cause that it speaks of, empty when of none.
    options
        Names of the option bytes that it speaks of.
    values
        What the line names, as (name, text): slot, image, version, type, register, value, and for an area ``a`` to
        ``b`` as wanted and ``c`` to ``d`` as found.
    do
        What to do about it, more to the point than what its cause says; empty when nothing more is known.
    """

    level: str
    text: str
    meaning: str
    about: str = ""
    line: int = 0
    options: tuple[str, ...] = ()
    values: tuple[tuple[str, str], ...] = ()
    do: str = ""

    def value(self, name: str) -> str:
        """Return what the line names so, empty when it does not."""
        return dict(self.values).get(name, "")


@dataclass(frozen=True, slots=True)
class BootLog:
    """What a boot loader printed; false when nothing did.

    Parameters
    ----------
    loader
        ``OEMiROT``, ``MCUboot``, ``TF-M`` or ``SBSFU``; empty when there is no boot log.
    version
        As it printed, empty when it did not.
    events
        In the order of the text.
    ended
        How the last start ended: ``started``, ``stopped``, ``rom-loader``, ``waits``; empty when the log does not say.
    starts
        How often it started.
    complaints
        Every line that is an error or a warning, by its own mark or by what it means, understood or not.
    whose, mode
        Whose MCUboot it is and how it installs, in the words of case.toml; empty when no line tells.
    """

    loader: str = ""
    version: str = ""
    events: tuple[BootEvent, ...] = ()
    ended: str = ""
    starts: int = 0
    complaints: tuple[BootEvent, ...] = ()
    whose: str = ""
    mode: str = ""

    def __bool__(self) -> bool:
        return bool(self.loader)

    @property
    def errors(self) -> tuple[BootEvent, ...]:
        """The events that are errors."""
        return tuple(e for e in self.events if e.level == "error")

    def about(self, cause: str) -> tuple[BootEvent, ...]:
        """Return the events that speak of a cause."""
        return tuple(e for e in self.events if e.about == cause)


@lru_cache(maxsize=1)
def event_rows() -> tuple[EventRow, ...]:
    """Return the table, the narrower rows before the wider ones."""
    return packaged_as("evidence/texts/boot.toml", tuple[EventRow, ...], "event")


@lru_cache(maxsize=1)
def _compiled() -> tuple[tuple[re.Pattern[str], EventRow], ...]:
    return tuple((re.compile(row.pattern), row) for row in event_rows())


def parse_boot_log(lines: Iterable[Line]) -> BootLog:
    """Return what a boot loader printed in these lines; a false value when none did."""
    taken = [line for line in lines if len(line.low) < 400]
    if not any(_MARKS.search(line.low) for line in taken):
        return BootLog()
    events: list[BootEvent] = []
    complaints: list[BootEvent] = []
    ended, starts, version = "", 0, ""
    for line in taken:
        if len(events) >= BOOT_EVENTS:
            break
        level = _LEVEL.match(line.low)
        text = line.low[level.end() :] if level else line.low
        found = next(((m, row) for pattern, row in _compiled() if (m := pattern.search(text))), None)
        word = next((g for g in level.groups() if g), "") if level else ""
        if found is None:
            if word and _LEVELS[word[0]] != "info" and len(complaints) < BOOT_EVENTS:
                complaints.append(BootEvent(_LEVELS[word[0]], printable(line.text.strip()), "", line=line.number))
            continue
        m, row = found
        named = {k: v for k, v in m.groupdict().items() if v is not None}
        words = defaultdict(lambda: "not told", named)  # of a group that did not take part in the match
        events.append(
            BootEvent(
                _LEVELS[word[0]] if word else row.level,
                printable(line.text.strip()),
                row.means.format_map(words),
                row.about,
                line.number,
                tuple(o.format_map(words) for o in row.option),
                tuple(named.items()),
                row.do,
            )
        )
        if events[-1].level != "info" and len(complaints) < BOOT_EVENTS:
            complaints.append(events[-1])
        if text.startswith(("starting boot", "starting bl2", "starting tf-m", "= [sboot] system security check")):
            starts, ended = starts + 1, ""
        ended = row.ends or ended
        version = v[1] if (v := _VERSION.search(text)) else version
    low = " ".join(e.text.lower() for e in events) + " ".join(line.low for line in taken[:200])
    loader = next((name for name, words in _NAMES if any(w in low for w in words)), "boot loader")
    told = telling_words("\n".join(line.low for line in taken[:5000]))
    return BootLog(loader, version, tuple(events), ended, starts, tuple(complaints), *told)
