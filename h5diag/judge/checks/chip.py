"""Checks of the chip itself: identity, ECC, revision, supply, the vendor's area."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from h5diag.case.case import CaseBoard
from h5diag.case.results import Identity
from h5diag.chip import EccKind, EccLocation, KnownBy, ProductState
from h5diag.evidence.texts import Banner, ReadBack, lines, parse_banners, parse_registers
from h5diag.judge.checks.options import options_torn
from h5diag.judge.checks.printed import spoken
from h5diag.judge.findings import Finding, calibration, found, number
from h5diag.judge.measured import Measured
from h5diag.memory import Access, AddressRange

_NO_STATE = ProductState(-1, "unknown", "unknown", "", "")
_AREAS = {"data": "high-cycle data (EDATA)", "otp": "OTP"}


_PART = re.compile(r"STM32([A-Z]\d[0-9A-Z]{2})([A-Z])([0-9A-Z])", re.IGNORECASE)
_KIB = {"B": 128, "C": 256, "E": 512, "G": 1024, "I": 2048, "J": 4096}
"""Flash size by the letter of the part number, in KB (ST's ordering codes)."""


def check_identity(m: Measured) -> Iterator[Finding]:
    """Does the chip say that it is the part printed on it?"""
    board, identity, chip = m.suspect.board, m.suspect.board.identity or Identity(), m.chip
    marking = (board.marking or "").strip()
    part = _PART.search(re.sub(r"[\s-]", "", marking))
    dev_id = identity.dev_id or m.suspect.log.banner.dev_id
    kib = identity.flash_kib or m.suspect.log.flash_kib
    if dev_id and dev_id & 0xFFF != chip.identity.dev_id and not m.chip_assumed:
        text = f"the chip answers DEV_ID 0x{dev_id:03X}, {chip.title} has 0x{chip.identity.dev_id:03X}"
        yield found("identity-disagrees", text=text)
    elif other := next((e for e in m.suspect.log.messages if e.about == "wrong-part"), None):
        yield found("identity-not-expected", text=other.text, meaning=other.meaning)
    elif part:
        marked, family = _KIB.get(part[3].upper(), 0), f"stm32{part[1].lower()}"
        known = not m.chip_assumed and chip.name.startswith("stm32")
        said = [f"the marking {marking} is no {chip.title}"] if known and not chip.name.startswith(family) else []
        if kib and marked and kib != marked:
            said.append(f"the marking {marking} promises {marked} KiB of flash, the chip says {kib} KiB")
        if said:
            id = "identity-disagrees" if dev_id or kib else "identity-unknown"
            yield found(id, text="; ".join(said))
        elif dev_id or kib:
            yield found("identity-agrees", marking=marking)


def check_families(m: Measured) -> Iterator[Finding]:
    """Are boards of other chip families in the case?"""
    for other, choice in m.others:
        theirs, mine = (f"an {c.read_as.title}" for c in (choice, m.choice))
        yield found(
            "other-family", settled=choice is not m.good_choice, other=other, theirs=theirs, name=m.name, mine=mine
        )


def check_larger_part(m: Measured) -> tuple[Finding, ...]:
    """Does the layout, or a given file, leave the flash that the chip says it has?"""
    flash = m.chip.flash
    if m.chip_assumed or m.choice.known_by is KnownBy.GIVEN or m.choice.chip is None or not m.choice.sized:
        return ()
    end, mapped = flash.base + flash.size, AddressRange(flash.base, flash.base + number("largest-flash"))
    layouts = filter(None, [m.too_large])
    places = [(f"the layout {lay.name}: slot '{s.name}'", s.range) for lay in layouts for s in lay.image_slots]
    places += [(k.name, r) for k in m.known for r in m.canonical(k.ranges) if mapped.covers(r)]
    for what, where in ((what, r) for what, r in places if r.stop > end):
        return (found("larger-part-meant", what=what, where=[where], chip=m.chip.title, size=flash.size, last=end - 1),)
    return ()


def check_ecc(m: Measured) -> tuple[Finding, ...]:
    """Did the chip see ECC errors, or an operation cut by a reset?"""
    # A register of another family in the file says nothing about this chip.
    values, there = registers(m.suspect.board, m), {r.name.lower() for r in m.chip.registers}
    known = [n for n in ("opsr", "ecccorr", "eccdetr", "eccr") if n in values and n in there]
    cuts = [m.chip.interruption(values[n]) for n in known if n == "opsr"]
    torn = next((cut for cut in cuts if cut.code), None)
    places = [(name, m.chip.ecc_location(name.upper(), values[name])) for name in known if name != "opsr"]
    errors = [(name, at) for name, at in places if at.kind is not EccKind.NONE]
    for name, at in ((name, at) for name, at in errors if not at.size):
        return (found("ecc-flag", register=name.upper(), value=values[name], kind=at.kind.value),)
    where = tuple(AddressRange(at.address, at.address + at.size) for _, at in errors)
    double = [at for _, at in errors if at.kind is EccKind.DOUBLE]
    if torn and any(abs(at.address - torn.address) <= m.chip.flash.sector_size for at in double):
        say: dict[str, Any] = {"operation": torn.operation, "cut": torn.address, "at": double[0].address}
        return (found("ecc-torn", where=where, explains=where, **say),)
    if torn:
        return (found("operation-cut", operation=torn.operation, cut=torn.address),)
    if errors:
        return (_ecc_error(m, double[0] if double else errors[0][1], where, values),)
    names = ", ".join(n.upper() for n in known)
    also = " and no cut operation" if "opsr" in known else ""
    return (found("ecc-clean", hint="opsr" not in known, names=names, cut=also),) if known else ()


def _ecc_error(m: Measured, at: EccLocation, where: tuple[AddressRange, ...], values: dict[str, int]) -> Finding:
    double = at.kind is EccKind.DOUBLE
    # Data and OTP words have no erased state with valid check bits; user flash has.
    if double and at.area in _AREAS:
        ones = " (the word reads 0xFFFF)" if values.get("eccdr", 0) & 0xFFFF == 0xFFFF else ""
        return found("ecc-never-written", where=where, area=_AREAS[at.area], at=at.address, ones=ones)
    right = (w for w in m.suspect.log.programming.writes if w.check is ReadBack.VERIFIED and w.address is not None)
    spans = ((m.chip.canonical(w.address or 0), w.size) for w in right)
    again = double and any(start <= at.address < start + size for start, size in spans)
    id = "ecc-error-in-verified-place" if again else "ecc-error"
    return found(id, where=where, kind=at.kind.value, area=at.area, at=at.address)


def registers(board: CaseBoard, m: Measured) -> dict[str, int]:
    """Return the values of registers that a board's evidence holds, by name in lower case."""
    read = board.identity.registers if board.identity is not None else {}
    values = {n: v for n, v in read.items() if v is not None}
    names = {r.offset: r.name.lower() for r in m.chip.registers}
    bases = (m.chip.flash_registers, m.chip.flash_registers_secure)
    placed = {base + offset: name for base in bases for offset, name in names.items()}
    # A console may be sorted among the logs; what a programmer prints of its own accesses is no state of the board.
    console = board.log if board.log and not parse_banners(lines(board.log.text)) else None
    dumped = parse_registers(board.registers.text) if board.registers else ()
    handler = [raw for t in (board.uart, console) if t for raw in parse_registers(t.text)]
    # Where a register lies follows from the chip: of one that is assumed no address names any, but for those that no
    # other family has.
    own = {base + offset for base in bases for offset in names if offset >= number("own-registers")}
    if m.chip_assumed and not any(raw.address in own for raw in (*dumped, *handler)):
        placed = {}
    # Firmware prints such registers too, in its NMI handler, among much else that is none.
    for raw, every in (*((raw, True) for raw in dumped), *((raw, False) for raw in handler)):
        name = placed.get(raw.address or 0, raw.name.lower())
        if name in names.values() or (every and name):
            values.setdefault(name, raw.value)
    if board is m.suspect.board and (printed := error_flags_printed(m)):
        values.setdefault("sr" if "sr" in names.values() else "nssr", printed)
    if board is m.suspect.board and (flags := _own_flags(m)):
        values.setdefault("sr" if "sr" in names.values() else "nssr", flags)
    # All ones is what a reader gets that is not answered: no register of the interface holds that.
    return {n: v for n, v in values.items() if v != 0xFFFFFFFF}


_PRINTED_FLAGS = re.compile(r"flash programming error: 0x([0-9a-f]{1,8})\b", re.IGNORECASE)


_OWN_FLAGS = re.compile(r"\bFLASH(?:_NS)?->(?:NS)?SR {0,4}[=:] {0,4}0x([0-9a-f]{1,8})\b", re.IGNORECASE)


def printed_lines(m: Measured) -> Iterator[str]:
    """Yield what was printed about this board, of each text so many lines as are looked at."""
    for t in m.texts:
        yield from t.text.splitlines()[: number("log-lines")]


def _own_flags(m: Measured) -> int:
    """Return the flags that the firmware itself prints beside an operation that failed; 0 without."""
    told = (_OWN_FLAGS.search(line[: number("line-letters")]) for line in printed_lines(m) if "->" in line)
    return next((flags for x in told if x and (flags := int(x[1], 16))), 0)


def error_flags_printed(m: Measured) -> int:
    """Return the flags of the flash's status register as a tool printed them when an operation failed; 0 without."""
    said = (_PRINTED_FLAGS.search(e.text) for e in m.suspect.log.messages)
    return next((int(flags[1], 16) for flags in said if flags), 0)


def check_revision(m: Measured) -> tuple[Finding, ...]:
    """Is this silicon revision known for something that looks like this?"""
    identity = m.suspect.board.identity
    rev = identity.rev_id if identity is not None else None
    letter = re.search(r"rev(?:ision)?\s*([A-Z])\b", m.suspect.log.banner.revision, re.IGNORECASE)
    if rev is None and letter:
        rev = next((r.id for r in m.chip.revisions if r.letter.upper() == letter[1].upper()), None)
    if rev is None:
        return ()
    named = (f"revision {r.letter} (0x{rev:04X})" for r in m.chip.revisions if r.id == rev)
    name = next(named, f"revision 0x{rev:04X}")
    for e in (e for e in m.chip.errata if e.kind == "silicon" and rev in e.revisions):
        return (found("revision-affected", revision=name, effect=e.effect, ref=e.ref),)
    return (found("revision-free", revision=name),)


def in_supply(millivolts: int) -> bool:
    """Tell whether a voltage is in the supply range of the STM32H5."""
    return number("supply-least-mv") <= millivolts <= number("supply-most-mv")


def _voltages(m: Measured) -> list[int]:
    """Return what the probe measured, in mV. Each connection says what was then: a good one does not undo a bad one."""
    log = m.suspect.log
    told = (log.banner.voltage_mv, *(b.voltage_mv for b in log.banners), *(t.voltage_mv for t in log.tools))
    return [v for v in told if v]


def check_supply(m: Measured) -> Iterator[Finding]:
    """Is the supply in range, and do messages speak of wiring?"""
    mv, told = m.suspect.log.banner.voltage_mv, _voltages(m)
    limits: dict[str, Any] = {"low": number("supply-least-mv") / 1000, "high": number("supply-most-mv") / 1000}
    failed = any(w.failed for w in m.writes) or error_flags_printed(m)
    if bad := [v for v in told if not in_supply(v)]:
        yield found("low-voltage", volts=bad[0] / 1000, **limits)
    elif (
        failed
        and m.chip.family in calibration().lists["word-wide"]
        and (weak := [v for v in told if v < number("word-mv")])
    ):
        yield found("low-for-word-programming", volts=weak[0] / 1000, least=number("word-mv") / 1000)
    wiring = sorted((e for e in m.suspect.log.messages if e.about == "board-wiring"), key=lambda e: e.unsure)
    if unread := _unread(m):
        # It claims to have programmed without knowing the chip.
        wrong = [w.file for w in m.writes[:1] if any(w.failed or w.mismatch is not None for w in m.writes)]
        quick = "".join(f" It went on to write {file}, and what it read back is not the file." for file in wrong)
        yield found("identity-reads-zero", text=unread, quick=quick)
    if silent := _silent(m):
        yield found("no-core-answers", volts=f"{(mv or 0) / 1000:.2f} V", text=silent)
    elif wiring:
        id = "link-silent" if wiring[0].unsure else "wiring-log"
        yield found(id, text=wiring[0].text, meaning=wiring[0].meaning)
    if any(s.answered for log in (m.suspect.log, m.suspect.uart) for s in log.rom_sessions):
        yield found("rom-loader-answers")


_UNREAD = re.compile(
    r"dev(?:ice)?_?\s?id\s?=?:?\s?0x0+\b|unknown or unsupported device|cannot identify the device", re.IGNORECASE
)
"""The tool got no identity that it knows, and went on."""


def _unread(m: Measured) -> str:
    """Return what the tool said when it got an identity of zero, or none that it knows; empty otherwise."""
    log = m.suspect.log
    return next((e.text for e in log.messages if _UNREAD.search(e.text) and not log.dev_ids), "")


def _silent(m: Measured) -> str:
    """Return what the tool said when a supplied board gave no identity at all, and nothing speaks of protection."""
    log = m.suspect.log
    said = [e.text for e in log.messages]
    protected = any(word in text.lower() for text in said for word in calibration().lists["protection"])
    answers = log.dev_ids or m.suspect.dump.size or m.suspect.options.settings
    explained = any(e.about == "board-wiring" and not e.unsure for e in log.messages)
    if not in_supply(log.banner.voltage_mv or 0) or answers or protected or explained:
        return ""
    return next((text for text in said if any(word in text.lower() for word in calibration().lists["silent"])), "")


def check_locked(m: Measured) -> Iterator[Finding]:
    """Is the port closed by the life cycle?"""
    log, state, torn = m.suspect.log, m.suspect.options.state or _NO_STATE, options_torn(m)
    read = m.suspect.options.value(m.chip.state_option) if m.chip.state_option else None
    value = state.value if read is None else read
    said: dict[str, Any] = {"option": m.chip.state_option, "value": value, "state": state.name, "what": state.what}
    closed = state.debug == "none" and not state.hint and not torn  # what torn option bytes say is told with them
    if closed:
        yield found("state-closed", **said)
    elif not torn and (opened := _under_reset(m)):
        yield found("opened-under-reset", text=opened[0], how=opened[1])
    elif not torn and m.suspect.dump.size and state.debug != "none":
        failed = next((e for e in log.messages if e.link and e.severity == "error"), None)
        yield found("read-after-all", text=failed.text) if failed else found("memory-was-read")
    if state.debug == "nonsecure":
        yield found("state-half-open", **said)
        if "does not run" in state.what:
            yield found("state-does-not-boot", state=state.name, value=value)
    lifecycle = log.discovery.lifecycle.upper()
    if any(word in lifecycle for word in ("CLOSED", "LOCKED")) and not closed:
        lost = f" Its integrity word {log.discovery.integrity} says that its keys are not provisioned: it cannot be reopened."
        yield found("lifecycle-closed", lifecycle=lifecycle, keys=lost if log.discovery.integrity_bad else "")
    refused = sorted((e for e in spoken(log.messages) if e.about == "debug-locked"), key=lambda e: e.unsure)
    if refused and not torn and not m.suspect.dump.size and not _silent(m) and not _unread(m):
        id = "core-not-reached" if refused[0].unsure else "port-refused"
        if log.failed_since and refused[0].unsure:
            yield found("shut-since", text=log.failed_since)
        yield found(id, text=refused[0].text, meaning=refused[0].meaning)


def _under_reset(m: Measured) -> tuple[str, str] | None:
    """Return the connection that failed, and how one under reset that came in after it is told; None without.

    With too little supply connections fail however they are made.
    """
    if any(v < number("supply-least-mv") for v in _voltages(m)):
        return None
    failed = (e for e in m.suspect.log.messages if e.link and e.severity == "error")
    if m.suspect.log.under_reset[0]:
        return m.suspect.log.under_reset
    so = m.suspect.board.mode == "under-reset" and m.suspect.dump.size
    return next(((e.text, "the dump was read so") for e in failed if so), None)


def check_system_area(m: Measured) -> tuple[Finding, ...]:
    """Does the vendor's own area answer as on a good board?"""
    bad, good, name = m.suspect.log.banner, Banner() if m.good_choice else m.good.log.banner, m.good.board.name
    nonsecure = m.suspect.access is Access.NONSECURE and m.suspect.board.mode is not None
    # Access, mode and state together say whether the reader is shown ST's secure area.
    out, hidden = [], nonsecure and (m.suspect.options.state or _NO_STATE).masks_secure
    for what, mine, theirs in (("SFSP", bad.sfsp, good.sfsp), ("boot loader", bad.boot_loader, good.boot_loader)):
        if mine.text.strip("-") == "" and not theirs.readable:
            continue  # the tool knows no version of this part at all
        if mine.text and not mine.readable:
            alike = bool(theirs.text) and not theirs.readable
            shown = " A non-secure reader in this product state is not shown ST's secure area, which explains it."
            why = shown if hidden else f" {name} shows no proper version either." if alike else ""
            said: dict[str, Any] = {"what": what, "text": mine.text, "remark": mine.remark, "why": why}
            out.append(found("version-unreadable", settled=alike or hidden, **said))
            if theirs.readable and m.comparable and m.suspect.board.mode == m.good.board.mode is not None:
                out.append(found("system-area-hidden", good=name, what=what, text=theirs.text))
        elif mine.readable and theirs.readable and mine.parts != theirs.parts:
            out.append(found("system-area-differs", what=what, text=mine.text, good=name, other=theirs.text))
        elif mine.readable and theirs.readable:
            out.append(found("system-area-agrees", what=what, text=mine.text))
    odd = any(f.id in ("system-area-differs", "system-area-hidden") for f in out)
    return tuple(f for f in out if not odd or f.id != "system-area-agrees")
