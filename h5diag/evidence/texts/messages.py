"""Errors and warnings of the tool, each with what it means and what it is evidence of.

A row of `MEANINGS` is found by words, not by a whole sentence: the sentences change from version to version.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from h5diag.evidence.texts.text import Line, printable

MOST = 500
"""Messages that are kept of one text; whoever needs more reads the text itself."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a message means.

    `words` must all be in the line (lower case). `about` is the id of the cause it speaks of, empty when it says
    nothing about the chip.
    """

    words: tuple[str, ...]
    meaning: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """A line by which the tool complained. `severity` is ``error`` or ``warning``."""

    severity: str
    text: str
    meaning: str = ""
    about: str = ""
    line: int = 0


MEANINGS: tuple[Meaning, ...] = (
    Meaning(
        ("rdp is set to level 1", "under reset"),
        "over the ROM boot loader this only means that it cannot read the option bytes, which is so when "
        "the boot code opened it; it is no proof of a locked chip",
        "debug-locked",
    ),
    Meaning(
        ("rdp", "level 1"),
        "the tool could not read the option bytes; on a chip with product states there is no RDP",
        "debug-locked",
    ),
    Meaning(
        ("read command not acknowledged",),
        "the ROM boot loader refused to read there: protected, or not mapped for it",
        "debug-locked",
    ),
    Meaning(
        ("access port",),
        "the access port of the core does not answer: product state closed, debug authentication needed, or"
        " the core held in reset",
        "debug-locked",
    ),
    Meaning(
        ("connection to ap", "failed"),
        "the tool fell back to another access port: give the port (ap=1) to connect straight away",
    ),
    Meaning(
        ("reconnect", "option bytes"),
        "usual after a change of the product state: the port closed behind it; read the state back by discovery",
    ),
    Meaning(
        ("unable to reconnect",),
        "the chip did not answer again after a reset: usual when the change closed the port or the ROM boot"
        " loader was left",
        "debug-locked",
    ),
    Meaning(
        ("read", "flash size"),
        "the size word could not be read; it happens while OEMiROT runs and then is evidence that the boot code runs",
    ),
    Meaning(
        ("no stm32 target",),
        "nothing answered on the link: supply, cable, reset held, port closed or the wrong connect mode",
        "board-wiring",
    ),
    Meaning(("no debug probe",), "the probe itself was not found: cable, driver, or another program holds it"),
    Meaning(("no st-link",), "the probe itself was not found: cable, driver, or another program holds it"),
    Meaning(("dev_target_reset",), "the reset line did not act: NRST not wired, or held", "board-wiring"),
    Meaning(
        ("dev_connect_err",),
        "the probe reached nothing on the link, or another program holds the probe",
        "board-wiring",
    ),
    Meaning(
        ("st-link error",),
        "the probe reports trouble on the link: cable, supply, reset held, or a port that closed",
        "board-wiring",
    ),
    Meaning(
        ("device id 0x00",),
        "the identity reads as zero: core in reset, port closed, or an interrupted regression",
        "debug-locked",
    ),
    Meaning(
        ("cannot identify the device",),
        "the identity could not be read: port closed, core in reset, or a part the tool does not know",
        "debug-locked",
    ),
    Meaning(
        ("unable to get core id",), "the core did not answer: port closed, no supply, or held in reset", "debug-locked"
    ),
    Meaning(("target is held under reset",), "reset is held low: wiring of NRST, or supply", "board-wiring"),
    Meaning(
        ("boot on rss_da",),
        "the debug-authentication service did not start: NRST not wired is the usual cause, or the chip is Open",
        "board-wiring",
    ),
    Meaning(
        ("rss_da",),
        "the debug-authentication service did not answer: NRST not wired is the usual cause",
        "board-wiring",
    ),
    Meaning(
        ("debug authentication", "fail"),
        "authentication was refused or the service did not start: keys, certificate, or NRST not wired",
        "debug-locked",
    ),
    Meaning(
        ("discovery", "fail"),
        "the debug-authentication service did not answer: NRST not wired is the usual cause",
        "board-wiring",
    ),
    Meaning(
        ("data mismatch",),
        "what was read back differs from the file: protection, secure attribute, content not erased, bank "
        "exchanged, or cells",
    ),
    Meaning(
        ("verification failed",),
        "what was read back differs from the file: protection, secure attribute, content not erased, bank "
        "exchanged, or cells",
    ),
    Meaning(
        ("expected value for option byte",),
        "the option did not take the value: locked, illegal in this state, or read back as zero because it "
        "belongs to the secure side",
        "options-not-applied",
    ),
    Meaning(
        ("option byte", "not modified"),
        "the tool left the option as it was: it has the value already, or the change was refused without a word",
        "options-not-applied",
    ),
    Meaning(("option byte", "failed"), "the option change failed or could not be read back", "options-not-applied"),
    Meaning(
        ("failed to download",), "writing failed: protection, wrong secure attribute, or not erased", "write-protected"
    ),
    Meaning(
        ("failed to erase",),
        "erasing failed: write protection, the wrong secure attribute, or an external loader that did not run",
        "write-protected",
    ),
    Meaning(("failed to read",), "reading failed: protection, a hidden area, an ECC error or the link"),
    Meaning(
        ("data read failed",),
        "reading failed: protection, a hidden area, an ECC error or the link; hot plug left on is a known "
        "cause for external memory",
    ),
    Meaning(
        ("not flash memory",),
        "the ROM boot loader takes this address for no flash: secure addresses cannot be written by it, and"
        " nothing was erased",
    ),
    Meaning(("cannot be loaded",), "the external loader was not loaded", "loader-mislinked"),
    Meaning(("flash loader", "init"), "the external loader's Init did not succeed", "loader-mislinked"),
    Meaning(
        ("init function fail",),
        "the external loader's Init did not succeed or was never downloaded",
        "loader-mislinked",
    ),
    Meaning(
        ("activating device: ko",),
        "no answer from the ROM boot loader on this port: BOOT0, wiring, baud rate or parity",
    ),
    Meaning(
        ("communicate with target",),
        "the debug-authentication service did not answer: NRST not wired is the usual cause",
        "board-wiring",
    ),
    Meaning(
        ("option bytes are unchanged",),
        "every value asked for is in force already, so nothing was written",
        "options-not-applied",
    ),
    Meaning(("board is not correctly", "config"), "a script found a step that failed"),
    Meaning(
        ("core", "locked up"), "the core met a fault inside a fault: an empty or wrong vector table, or a secure fault"
    ),
    Meaning(
        ("device", "is lost"),
        "the link was lost: cable, supply, reset, or firmware that turned the pins off",
        "board-wiring",
    ),
    Meaning(("bad_size",), "the key file has the wrong size for this chip or tool version", "options-not-applied"),
)


def parse_messages(lines: Iterable[Line]) -> tuple[Message, ...]:
    """Return the errors and warnings in these lines, in their order, each with its meaning where one is known."""
    out: list[Message] = []
    for line in lines:
        low = line.low
        severity = _severity(low)
        if severity:
            if len(out) == MOST:
                out.append(Message("warning", "more errors and warnings follow and are not listed", line=line.number))
                break
            meaning = next((m for m in MEANINGS if all(w in low for w in m.words)), Meaning((), ""))
            out.append(Message(severity, printable(line.text.strip()), meaning.meaning, meaning.about, line.number))
    return tuple(out)


def _severity(low: str) -> str:
    if not _COMPLAINT.search(low) or _NO_COMPLAINT.search(low):
        return ""
    if low.lstrip().startswith("error"):
        return "error"
    mild = (
        "warning" in low
        or "was not modified" in low
        or "not flash memory" in low
        or "is set to level 1" in low
        or "connection to ap" in low
    )
    return "warning" if mild else "error"


_COMPLAINT = re.compile(
    r"error|warning|fail|timeout|time out|unable to|aborted|mismatch|cannot connect|"
    r"not acknowledged|activating device: ko|expected value for opt|was not modified|"
    r"not flash memory|is set to level 1|no stm32 target"
)
_NO_COMPLAINT = re.compile(r"error_handler|\b0 error|no error|errors: 0|script_error_file")
