"""Checks of what was printed: the boot loader's own log, and the programmer's complaints."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from h5diag.chip import EXTERNAL
from h5diag.errors import InputError
from h5diag.evidence.texts import LogKind, Message, parse_listing
from h5diag.evidence.texts.boot import BootEvent, BootLog
from h5diag.evidence.texts.programming import Programming, base_name
from h5diag.judge.findings import Finding, calibration, found, number
from h5diag.judge.likely import header_places
from h5diag.judge.measured import Measured
from h5diag.layout import Role
from h5diag.measure.compare import aligned
from h5diag.measure.firmware import Check, vector_table_at
from h5diag.measure.firmware.image import parse_header
from h5diag.measure.repeats import ReadPattern
from h5diag.measure.shapes import Form
from h5diag.memory import AddressRange
from h5diag.text import size_text


def boot_log(m: Measured) -> BootLog:
    """Return what the suspect's boot loader printed, wherever it was saved."""
    return next((log.boot for log in (m.suspect.uart, m.suspect.log) if log.boot), BootLog())


def check_boot_log(m: Measured) -> tuple[Finding, ...]:
    """What does the boot loader itself say of options and images, and how did its start end?"""
    boot = boot_log(m)
    first: dict[str, BootEvent] = {}
    for event in boot.events:
        if id := calibration().ids["boot-log"].get(event.about):
            first.setdefault(id, event)
    out = [_event(id, event, boot, _versions(m) if "version" in event.meaning else "") for id, event in first.items()]
    reverts = [e for e in boot.events if e.value("type") == "revert"]
    if reverts:
        out.append(found("boot-log-reverts", loader=boot.loader, text=reverts[-1].text))
    if not out and boot.ended == "started":
        out.append(found("boot-log-starts", loader=boot.loader, text=boot.events[-1].text if boot.events else ""))
    elif not out and boot.ended:
        out.append(found("boot-log-ends", loader=boot.loader, ended=boot.ended))
    return tuple(out)


_LISTED = re.compile(r"slot[=: ]{1,3}(\d)\s{1,40}version: {0,4}([\w.+]{1,40})", re.IGNORECASE)
"""How a device manager lists the images of a device (mcumgr's and smpmgr's lists of images)."""


def _versions(m: Measured) -> str:
    """Return a sentence with the versions that the given files and a list of images tell; empty without any."""
    slots = dict(x for t in m.texts for x in _LISTED.findall(t.text))
    said = [f"slot {number} holds {version}" for number, version in sorted(slots.items())]
    for k in m.case.images:
        with suppress(InputError):
            head = next((s.data[:32].tobytes() for s in k.image.segments), b"")
            said.append(f"{k.name} is {parse_header(head).version}")
    return f" Versions: {'; '.join(said[:6])}." if said else ""


def _event(id: str, event: BootEvent, boot: BootLog, more: str = "") -> Finding:
    # What the boot code wanted and found stands in a line before the one by which it stops.
    before = [e for e in boot.events if 0 < event.line - e.line <= 8 and e.values and e.about != event.about]
    family = {*event.options, *(o.replace("1", "2") for o in event.options)}
    before = [e for e in before if set(e.options) & family] or before
    values = f" {before[-1].text} ({before[-1].meaning})." if before else ""
    # Why it was refused may stand in a line before, in words that are not known.
    why = [c for c in boot.complaints if 0 < event.line - c.line <= 3 and not c.meaning and not c.about]
    values += f" Just before it says: '{why[-1].text}'." if why else ""
    return found(id, loader=boot.loader, text=event.text, meaning=event.meaning, values=values + more, do=event.do)


_BY_WATCHDOG = re.compile(r"(?:reset|rst).{0,40}\b(?:iwdg|wwdg|watchdog)|\b(?:iwdg|wwdg|watchdog).{0,20}reset", re.I)


def check_restarts(m: Measured) -> Iterator[Finding]:
    """Does the firmware print that it starts again and again, and does the watchdog do that?"""
    options, uart = m.suspect.options, m.suspect.board.uart
    read = any(s.value for s in options.settings)  # all zero: unread
    name = next((n for n in ("IWDG_SW", "WDG_SW") if read and options.value(n) == 0), "")
    said = [line.strip() for line in uart.text.splitlines()[: number("log-lines")]] if uart else []
    by_watchdog = [line for line in said if _BY_WATCHDOG.search(line[: number("line-letters")])]
    if by_watchdog and (name or len(by_watchdog) >= number("again")):
        option = f" {name} is 0: the watchdog runs from reset on." if name else ""
        yield found("watchdog-resets", text=by_watchdog[0][:80], count=len(by_watchdog), option=option)
        return
    if name:
        yield found("hardware-watchdog", name=name)
    first, count = _cycle([line for line in said if line])
    if count:
        yield found("prints-again", text=first[:80], count=count)


def _cycle(lines: Sequence[str]) -> tuple[str, int]:
    """Return the first line of what is printed over and over, and how often; no count when nothing is."""
    for size in range(1, min(number("longest-cycle"), len(lines) // number("again")) + 1):
        same = sum(a == b for a, b in zip(lines, lines[size:], strict=False))
        if (
            len(set(lines[:size])) == size
            and 100 * same >= number("cycle-percent") * (len(lines) - size)
            and max(map(len, lines[:size])) > 5
        ):
            return lines[0], len(lines) // size
    return "", 0


def check_secure_install(m: Measured) -> Iterator[Finding]:
    """Did a secure firmware install, or the vendor's own service for it, fail?"""
    log = m.suspect.log
    said = [e for e in log.messages if e.meaning] or log.errors
    if log.kind in (LogKind.SFI, LogKind.RSSE) and log.installed:
        yield found("secure-install-done")
    elif log.kind in (LogKind.SFI, LogKind.RSSE) and said:
        yield found(
            "secure-install-failed", text=said[-1].text, meaning=said[-1].meaning or "the install stopped there"
        )


def check_wireless_service(m: Measured) -> tuple[Finding, ...]:
    """Did a wireless chip's firmware upgrade service fail to report, or report an error?"""
    if any("firmware upgrade success" in t.text.lower() for t in m.texts):
        return ()
    said = [e for log in (*m.provisioning, m.suspect.log) for e in log.messages if "(FUS)" in e.meaning]
    # A version of zeros says more than a state that follows from it.
    said.sort(key=lambda e: "0.0.0.0" not in e.text)
    return (found("wireless-service-silent", text=said[0].text, meaning=said[0].meaning),) if said else ()


def check_signatures(m: Measured) -> tuple[Finding, ...]:
    """Are images whole and signed by a key that is not the given one, or not by any?"""
    for image in m.suspect.images if m.case.verify_keys else ():
        v, at = image.verification, image.image.address
        if v.hash is Check.VALID and (v.signature is Check.INVALID or v.other_signer):
            return (found("signed-by-another-key", where=(image.image.range,), at=at),)
        if v.hash is Check.VALID and v.signature is Check.VALID:
            return (found("signature-valid", at=at),)
    return ()


def check_unsigned(m: Measured) -> tuple[Finding, ...]:
    """Does a plain program stand where the boot loader looks for an image header?"""
    dump = m.suspect.judged
    for slot in (s for lay in m.layouts for s in lay.image_slots if s.role is Role.PRIMARY):
        for start in (slot.range.start, m.chip.secure_alias(slot.range.start)):
            if vector_table_at(dump, start, m.chip):
                return (found("slot-without-header", at=start, slot=slot.name),)
    for k in m.expected if not m.layouts and boot_log(m).about("image-refused") else ():
        start = k.content.span.start
        begins = k.program.stands and m.chip.canonical(start) != m.chip.flash.base
        if begins and vector_table_at(dump, start, m.chip) and not header_places(dump, m.chip):
            return (found("program-without-header", at=start, file=k.name),)
    return ()


def check_refused_reads(m: Measured) -> tuple[Finding, ...]:
    """Did the programmer fail to read or erase, and does it speak of protection?"""
    log, state = m.suspect.log, m.suspect.options.state
    if m.suspect.dump.size or log.discovery.lifecycle:
        return ()
    said = [e.text for e in spoken(log.messages)]
    words = [text for text in said if "protection" in text.lower() and not _ERASING.search(text)]
    failed = [text for text in said if any(w in text.lower() for w in calibration().lists["failed"])]
    told = state is not None and state.debug == "none"  # the option bytes say why
    for text in (words or failed)[:1]:
        more = "".join([f"; also: {other}" for other in failed if other != text][:1])
        return (found("refused-by-protection" if words else "reads-fail", settled=told, text=text, more=more),)
    return ()


_ERASING = re.compile(r"eras|programm|writ", re.IGNORECASE)
"""What fails to be erased or written may be kept by any protection: it says nothing of the port."""


def spoken(messages: Sequence[Message]) -> list[Message]:
    """Return what a tool said, without rows of an option listing: they name a protection and refuse nothing."""
    return [e for e in messages if not _ROW.match(e.text)]


_ROW = re.compile(r"\s*\w{2,20}\s*:\s*0x[0-9A-Fa-f]+\s*\(")


def check_refused_writes(m: Measured) -> Iterator[Finding]:
    """Did the programmer refuse to erase or write, and why?"""
    log = m.suspect.log
    for about, id in calibration().ids["refused"].items() if not log.discovery.lifecycle else ():
        for said in [e for e in spoken(log.messages) if e.about == about][:1]:
            listed = about == "write-protected" and bool(m.suspect.options.settings)
            yield found(id, settled=listed, text=said.text, meaning=said.meaning)
    yield from _refused_where_an_option_points(m)


_REFUSED_AT = re.compile(
    r"(?:eras|program|writ|protect).{0,80}?(?:@|\bat\b)\s?(?:address\s?)?(0x[0-9a-f]{6,8})\b", re.IGNORECASE
)
_POINTS_AT = re.compile(r"0x[0-9a-f]{6,8}\b", re.IGNORECASE)


def _refused_where_an_option_points(m: Measured) -> Iterator[Finding]:
    """Yield the place at which a tool was refused, where an option of the listing has just that address for its value."""
    options = [f for t in (m.suspect.board.options, m.suspect.board.log) if t for f in parse_listing(t.text).fields]
    points = {int(x[0], 16): f for f in options if (x := _POINTS_AT.search(f.text))}
    # SFSA of the STM32WB and WL counts pages (RM0434 and RM0453, FLASH_SFR).
    points |= {m.chip.flash.base + f.value * m.chip.flash.sector_size: f for f in options if f.name.upper() == "SFSA"}
    points.pop(m.chip.flash.base, None)
    said = [(e.text, x[1]) for log in m.logs for e in log.errors if (x := _REFUSED_AT.search(e.text))]
    refused = [(text, AddressRange(int(at, 16), int(at, 16) + 1)) for text, at in said]
    failed = [w for w in m.writes if w.failed and w.address and w.size and w.mismatch is None]
    refused += [
        (f"writing {base_name(w.file)}", AddressRange(w.address or 0, (w.address or 0) + w.size)) for w in failed
    ]
    for text, at in [(text, at) for text, r in refused for at in points if at in r][:1]:
        yield found("refused-at-option", at=at, text=text, name=points[at].name, value=points[at].value)


def check_tool_stopped(m: Measured) -> Iterator[Finding]:
    """Did a tool stop with an error of its own, of which nothing follows about the board, before anything was read?"""
    said = [e for e in m.suspect.log.errors if e.meaning and not e.about and not e.link]
    if said and not m.suspect.dump.size and not m.writes:
        yield found("tool-stopped", text=said[0].text, meaning=said[0].meaning)


_NO_BANK = re.compile(r"no flash bank found for address (?:0x)?([0-9a-f]{1,8})\b", re.IGNORECASE)


def check_left_out(m: Measured) -> tuple[Finding, ...]:
    """Did a tool leave content out because it knows no flash at its address?"""
    said = (_NO_BANK.search(e.text) for log in m.logs for e in log.messages)
    # Content for RAM has no place in a program, and nothing is missing without it.
    at = next((int(x[1], 16) for x in said if x and int(x[1], 16) >> 28 not in (1, 2)), None)
    tool, base = next((t.tool for log in m.logs for t in log.tools), "The tool"), m.chip.flash.base
    if at is None:
        return ()
    if at < base and not any(w.complete and not w.failed for w in m.writes):
        return (found("written-nowhere", tool=tool, at=at, base=base),)
    what = "the file is larger than the flash that the tool found, or meant for another part"
    what = what if at >> 24 == base >> 24 else "the file has content for an address where this chip has no flash"
    return (found("part-left-out", tool=tool, at=at, what=what),)


def check_file_missing(m: Measured) -> tuple[Finding, ...]:
    """Did a tool look for a file that was not there?"""
    said = next((e for log in m.logs for e in log.messages if "does not exist" in e.text and "ile" in e.text), None)
    return (found("file-to-write-missing", text=said.text),) if said else ()


def erase_printed(m: Measured, runs: Sequence[Programming]) -> bool:
    """Tell whether one of these runs erased everything, or any text says that something was erased."""
    return any(p.mass_erase for p in runs) or any("erasing" in t.text.lower() for t in m.texts)


def check_same_place(m: Measured) -> tuple[Finding, ...]:
    """Did verifying fail at one and the same byte after each of several erases?"""
    # The log of the only board in question holds the provisioning's: what is told twice happened once.
    own = len(m.case.suspects) == 1
    logs = [log.programming for log in (m.suspect.log, *(() if own else m.provisioning))]
    failed = [(m.chip.canonical(w.mismatch), w) for p in logs for w in p.writes if w.mismatch is not None]
    at, count = next(iter(Counter(place for place, _ in failed).most_common(1)), (0, 0))
    if count < 2 or at in EXTERNAL or not erase_printed(m, logs):
        return ()
    where, files = (AddressRange(at, at + 1),), sorted({base_name(w.file) for place, w in failed if place == at})
    if len(files) > 1:
        return (found("fails-at-one-place", where=where, at=at, count=count, files=" and ".join(files)),)
    # One file may be wrong itself: then the dump has to be wrong there as well, and nothing may protect the place.
    shapes = (s for k in m.expected for s in k.difference.of(Form.HOLE, Form.COLUMN))
    wrong = any(at in r for s in shapes for r in m.canonical(s.ranges))
    listed = m.suspect.options
    if not wrong or not listed.settings or any(at in r for r in listed.wrp_ranges):
        return ()
    return (found("fails-there-again", where=where, at=at, count=count),)


def check_bit_stays(m: Measured) -> tuple[Finding, ...]:
    """Is a single bit 0 in every read where it should be 1, at the very byte at which verifying failed after an erase?"""
    # The board's own log holds what was printed while it was programmed.
    programming, reads = m.suspect.log.programming, m.suspect.reads
    if reads.pattern is not ReadPattern.AGREE or not erase_printed(m, [programming]):
        return ()
    failed = Counter(m.chip.canonical(w.mismatch) for w in programming.writes if w.mismatch is not None)
    for k in (k for k in m.expected if k.in_place and k.difference.differing == 1):
        at = next(r.start for r in m.canonical(k.difference.ranges))
        for start, g, s in aligned(k.content, m.suspect.judged, m.chip):
            place = at - m.chip.canonical(start)
            good, here = (int(x[place]) for x in (g, s)) if 0 <= place < g.size else (0, 0)
            if failed[at] > 1 and (good & ~here).bit_count() == 1 and not here & ~good:
                where = (AddressRange(at, at + 1),)
                say: dict[str, Any] = {"at": at, "reference": k.name, "reads": reads.reads, "count": failed[at]}
                return (found("bit-stays-programmed", where=where, explains=where, **say),)
    return ()


def check_bits_left(m: Measured) -> tuple[Finding, ...]:
    """Do single bits of an erased flash still read 0 in every read, although a log says that all was erased?"""
    reads, erased = m.suspect.reads, m.chip.flash.erased
    if reads.pattern is not ReadPattern.AGREE or not any(log.programming.mass_erase for log in m.logs):
        return ()
    left: list[int] = []
    for s in m.suspect.dump.segments:
        places = np.flatnonzero(s.data != erased)
        bits = np.bitwise_count(s.data[places] ^ np.uint8(erased))
        if (
            places.size > min(number("most-left"), s.data.size // number("left-in"))
            or (bits > 1).sum() > places.size // 10
        ):
            return ()
        left += (places + s.start).tolist()
    if not left:
        return ()
    where = tuple(AddressRange(at, at + 1) for at in left)
    say: dict[str, Any] = {"count": len(left), "first": left[0], "last": left[-1], "reads": reads.reads}
    return (found("bits-left", where=where[:8], explains=m.canonical(where), **say),)


def check_same_file(m: Measured) -> tuple[Finding, ...]:
    """Does the log tell of a file of that name with another size or checksum than the one given?"""
    for k in (k for k in m.known if k.image.image.origin.kind == "bin" and len(k.image.image.segments) == 1):
        data = k.image.image.segments[0].data
        for w in (w for w in m.writes if base_name(w.file).lower() == base_name(k.name).lower()):
            rounding = number("size-rounding") if w.size < 1 << 20 else w.size // 100
            here = hashlib.md5(data.tobytes(), usedforsecurity=False).hexdigest() if w.md5 else ""
            logged, given = size_text(w.size), size_text(len(data))
            if w.md5 and int(w.md5, 16) != int(here, 16):
                logged, given = f"MD5 {w.md5}", f"MD5 {here}"
            elif not w.size or abs(w.size - len(data)) <= rounding:
                continue
            return (found("other-file-of-that-name", file=k.name, logged=logged, given=given),)
    return ()
