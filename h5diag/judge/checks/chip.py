"""Checks of the chip itself: identity, ECC, revision, supply, the vendor's area."""

from __future__ import annotations

import re
from typing import Any

from h5diag.case.case import CaseBoard
from h5diag.case.records import Identity
from h5diag.chip import EccKind, KnownBy, ProductState
from h5diag.evidence.texts import ReadBack, parse_registers
from h5diag.judge.checks.options import options_torn
from h5diag.judge.checks.printed import spoken
from h5diag.judge.findings import Finding, found
from h5diag.judge.measured import BoardFacts, Measured
from h5diag.memory import Access, AddressRange

_AREAS = {"data": "high-cycle data (EDATA)", "otp": "OTP"}
SUPPLY_MV = (1710, 3600)
"""Supply range of the STM32H5, in millivolts (data sheet DS14258, operating conditions)."""

WORD_MV = 2700
"""Least supply for programming 32 bits at a time in the families without ECC (RM0090, program/erase parallelism)."""
_WORD_WIDE = ("f2", "f4", "f7")

_PART = re.compile(r"STM32([A-Z]\d[0-9A-Z]{2})([A-Z])([0-9A-Z])", re.IGNORECASE)
_KIB = {"B": 128, "C": 256, "E": 512, "G": 1024, "I": 2048, "J": 4096}
"""Flash size by the letter of the part number, in KB (ST's ordering codes)."""


def check_identity(m: Measured) -> tuple[Finding, ...]:
    """Does the chip say that it is the part printed on it?"""
    board, identity = m.suspect.board, m.suspect.board.identity or Identity()
    marking = (board.marking or "").strip()
    part = _PART.search(re.sub(r"[\s-]", "", marking))
    dev_id = identity.dev_id or m.suspect.log.banner.dev_id
    kib = identity.flash_kib or m.suspect.log.flash_kib
    if dev_id and dev_id & 0xFFF != m.chip.identity.dev_id and not m.chip_assumed:
        text = f"the chip answers DEV_ID 0x{dev_id:03X}, {m.chip.title} has 0x{m.chip.identity.dev_id:03X}"
        return (found("identity-disagrees", text=text),)
    if other := next((e for e in m.suspect.log.messages if e.about == "wrong-part"), None):
        return (found("identity-not-expected", text=other.text, meaning=other.meaning),)
    if not part:
        return ()
    marked = _KIB.get(part[3].upper(), 0)
    family = "stm32" + part[1].lower()
    said = []
    if not m.chip_assumed and m.chip.name.startswith("stm32") and not m.chip.name.startswith(family):
        said.append(f"the marking {marking} is no {m.chip.title}")
    if kib and marked and kib != marked:
        said.append(f"the marking {marking} promises {marked} KiB of flash, the chip says {kib} KiB")
    if said:
        unread = not dev_id and not kib
        return (found("identity-unknown" if unread else "identity-disagrees", text="; ".join(said)),)
    return (found("identity-agrees", marking=marking),) if dev_id or kib else ()


def check_larger_part(m: Measured) -> tuple[Finding, ...]:
    """Does the layout, or a given file, leave the flash that the chip says it has?"""
    flash = m.chip.flash
    if m.chip_assumed or m.choice.known_by is KnownBy.GIVEN or m.choice.chip is None or not m.choice.sized:
        return ()
    end = flash.base + flash.size
    beyond = [
        (f"the layout {lay.name}: slot '{s.name}'", s.range)
        for lay in ([m.too_large] if m.too_large else [])
        for s in lay.image_slots
        if s.range.stop > end
    ]
    mapped = AddressRange(flash.base, flash.base + LARGEST_FLASH)
    beyond += [(k.name, r) for k in m.known for r in m.canonical(k.ranges) if mapped.covers(r) and r.stop > end]
    if not beyond:
        return ()
    what, where = beyond[0]
    return (found("larger-part-meant", what=what, where=[where], chip=m.chip.title, size=flash.size, last=end - 1),)


LARGEST_FLASH = 0x400000
"""Bytes of user flash in the largest parts with this memory map (RM0456: 4 MiB)."""


def check_ecc(m: Measured) -> tuple[Finding, ...]:
    """Did the chip see ECC errors, or an operation cut by a reset?"""
    values = registers(m.suspect.board, m)
    # A register of another family in the file says nothing about this chip.
    there = {r.name.lower() for r in m.chip.registers}
    known = [n for n in ("opsr", "ecccorr", "eccdetr", "eccr") if n in values and n in there]
    if not known:
        return ()
    torn: list[tuple[str, int]] = []
    errors: list[tuple[str, int, int, EccKind]] = []
    for name in known:
        if name == "opsr":
            cut = m.chip.interruption(values[name])
            if cut.code:
                torn.append((cut.operation, cut.address))
        else:
            at = m.chip.ecc_location(name.upper(), values[name])
            if at.kind is not EccKind.NONE and not at.size:
                return (found("ecc-flag", register=name.upper(), value=values[name], kind=at.kind.value),)
            if at.kind is not EccKind.NONE:
                errors.append((at.area, at.address, at.size, at.kind))
    where = tuple(AddressRange(a, a + max(1, s)) for _, a, s, _ in errors)
    double = [e for e in errors if e[3] is EccKind.DOUBLE]
    if (
        torn
        and double
        and any(abs(a - address) <= m.chip.flash.sector_size for _, a, _, _ in double for _, address in torn)
    ):
        return (found("ecc-torn", where=where, explains=where, operation=torn[0][0], cut=torn[0][1], at=double[0][1]),)
    if torn:
        return (found("operation-cut", operation=torn[0][0], cut=torn[0][1]),)
    if errors:
        area, address, _, kind = (double or errors)[0]
        # Data and OTP words have no erased state with valid check bits; user flash has.
        if double and area in ("data", "otp"):
            ones = " (the word reads 0xFFFF)" if values.get("eccdr", 0) & 0xFFFF == 0xFFFF else ""
            return (found("ecc-never-written", where=where, area=_AREAS[area], at=address, ones=ones),)
        right = [
            (m.chip.canonical(w.address), w.size)
            for w in m.suspect.log.programming.writes
            if w.check is ReadBack.VERIFIED and w.address is not None
        ]
        again = bool(double) and any(start <= address < start + size for start, size in right)
        id = "ecc-error-in-verified-place" if again else "ecc-error"
        return (found(id, where=where, kind=kind.value, area=area, at=address),)
    return (
        found(
            "ecc-clean",
            hint="opsr" not in known,
            names=", ".join(n.upper() for n in known),
            cut=" and no cut operation" if "opsr" in known else "",
        ),
    )


_OWN_REGISTERS = 0x100
"""From here on lie the H5's ECC registers (RM0481, 7.11); the flash interfaces of L5, U5, G4, L4 and WB end before."""


def registers(board: CaseBoard, m: Measured) -> dict[str, int]:
    """Return the values of registers that a board's evidence holds, by name in lower case."""
    read = board.identity.registers if board.identity is not None else {}
    values = {n: v for n, v in read.items() if v is not None}
    names = {r.offset: r.name.lower() for r in m.chip.registers}
    bases: tuple[int, ...] = (m.chip.flash_registers, m.chip.flash_registers_secure)
    dumped = parse_registers(board.registers.text) if board.registers else ()
    # Where a register lies follows from the chip: of one that is assumed no address names any, but for those that no
    # other family has.
    own = {base + offset for base in bases for offset in names if offset >= _OWN_REGISTERS}
    if m.chip_assumed and not any(raw.address in own for raw in dumped):
        bases = ()
    for raw in dumped:
        name = raw.name.lower()
        for base in bases:
            if raw.address is not None and raw.address - base in names:
                name = names[raw.address - base]
        if name:
            values.setdefault(name, raw.value)
    # Firmware prints such registers too, in its NMI handler.
    for raw in parse_registers(board.uart.text) if board.uart else ():
        if (name := raw.name.lower()) in names.values():
            values.setdefault(name, raw.value)
    if board is m.suspect.board and (printed := error_flags_printed(m)):
        values.setdefault("sr" if "sr" in names.values() else "nssr", printed)
    # All ones is what a reader gets that is not answered: no register of the interface holds that.
    return {n: v for n, v in values.items() if v != 0xFFFFFFFF}


_PRINTED_FLAGS = re.compile(r"flash programming error: 0x([0-9a-f]{1,8})\b", re.IGNORECASE)


def error_flags_printed(m: Measured) -> int:
    """Return the flags of the flash's status register as a tool printed them when an operation failed; 0 without."""
    for e in m.suspect.log.messages:
        if said := _PRINTED_FLAGS.search(e.text):
            return int(said[1], 16)
    return 0


def check_revision(m: Measured) -> tuple[Finding, ...]:
    """Is this silicon revision known for something that looks like this?"""
    identity = m.suspect.board.identity
    rev = identity.rev_id if identity is not None else None
    letter = re.search(r"rev(?:ision)?\s*([A-Z])\b", m.suspect.log.banner.revision, re.IGNORECASE)
    if rev is None and letter:
        rev = next((r.id for r in m.chip.revisions if r.letter.upper() == letter[1].upper()), None)
    if rev is None:
        return ()
    name = next(
        (f"revision {r.letter} (0x{rev:04X})" for r in m.chip.revisions if r.id == rev), f"revision 0x{rev:04X}"
    )
    hits = [e for e in m.chip.errata if e.kind == "silicon" and rev in e.revisions]
    if not hits:
        return (found("revision-free", revision=name),)
    return (found("revision-affected", revision=name, effect=hits[0].effect, ref=hits[0].ref),)


def _voltages(m: Measured) -> list[int]:
    """Return what the probe measured, in mV. Each connection says what was then: a good one does not undo a bad one."""
    log = m.suspect.log
    told = (log.banner.voltage_mv, *(b.voltage_mv for b in log.banners), *(t.voltage_mv for t in log.tools))
    return [v for v in told if v]


def check_supply(m: Measured) -> tuple[Finding, ...]:
    """Is the supply in range, and do messages speak of wiring?"""
    out = []
    mv, told = m.suspect.log.banner.voltage_mv, _voltages(m)
    low, high = SUPPLY_MV
    failed = any(w.failed for log in m.logs for w in log.programming.writes) or error_flags_printed(m)
    if bad := [v for v in told if not low <= v <= high]:
        out.append(found("low-voltage", volts=bad[0] / 1000, low=low / 1000, high=high / 1000))
    elif failed and m.chip.family in _WORD_WIDE and (weak := [v for v in told if v < WORD_MV]):
        out.append(found("low-for-word-programming", volts=weak[0] / 1000, least=WORD_MV / 1000))
    wiring = [e for e in m.suspect.log.messages if e.about == "board-wiring"]
    if unread := _unread(m):
        out.append(found("identity-reads-zero", text=unread, quick=_too_quick(m)))
    if silent := _silent(m):
        out.append(found("no-core-answers", volts=f"{(mv or 0) / 1000:.2f} V", text=silent))
    elif wiring:
        out.append(found("wiring-log", text=wiring[0].text, meaning=wiring[0].meaning))
    rom = [s for log in (m.suspect.log, m.suspect.uart) for s in log.rom_sessions if s.answered]
    if rom:
        out.append(found("rom-loader-answers"))
    return tuple(out)


_UNREAD = re.compile(
    r"dev(?:ice)?_?\s?id\s?=?:?\s?0x0+\b|unknown or unsupported device|cannot identify the device", re.IGNORECASE
)
"""The tool got no identity that it knows, and went on."""


def _unread(m: Measured) -> str:
    """Return what the tool said when it got an identity of zero, or none that it knows; empty otherwise."""
    if m.suspect.log.dev_ids:
        return ""
    return next((e.text for e in m.suspect.log.messages if _UNREAD.search(e.text)), "")


def _too_quick(m: Measured) -> str:
    """Return a sentence when the tool claims to have programmed without knowing the chip; empty otherwise."""
    writes = [w for log in m.logs for w in log.programming.writes]
    failed = [w for w in writes if w.failed or w.mismatch is not None]
    return f" It went on to write {writes[0].file}, and what it read back is not the file." if failed else ""


_SILENT = ("unable to get core id", "no stm32 target", "is lost", "no device found", "target not found")
_PROTECTION = (
    "rdp",
    "protect",
    "product state",
    "product_state",
    "rss_da",
    "held under reset",
    "level 1",
    "authentication failed",
)


def _silent(m: Measured) -> str:
    """Return what the tool said when a supplied board gave no identity at all, and nothing speaks of protection."""
    log = m.suspect.log
    if not SUPPLY_MV[0] <= (log.banner.voltage_mv or 0) <= SUPPLY_MV[1] or log.dev_ids or m.suspect.dump.size:
        return ""
    said = [e.text for e in log.messages]
    if any(word in text.lower() for text in said for word in _PROTECTION) or m.suspect.options.settings:
        return ""
    return next((text for text in said if any(word in text.lower() for word in _SILENT)), "")


def check_locked(m: Measured) -> tuple[Finding, ...]:
    """Is the port closed by the life cycle?"""
    state = _state(m.suspect)
    refused = [e for e in spoken(m.suspect.log.messages) if e.about == "debug-locked"]
    out = []
    read = m.suspect.options.value(m.chip.state_option) if m.chip.state_option else None
    said: dict[str, Any] = {
        "option": m.chip.state_option,
        "value": state.value if read is None else read,
        "state": state.name,
        "what": state.what,
    }
    torn = options_torn(m)
    if torn:
        pass  # what torn option bytes say of the state is told with them
    elif state.debug == "none" and not state.hint:
        out.append(found("state-closed", **said))
    elif opened := _opened(m):
        out.append(found("opened-under-reset", text=opened[0], how=opened[1]))
    elif m.suspect.dump.size and state.debug != "none":
        failed = next((e for e in m.suspect.log.messages if e.link and e.severity == "error"), None)
        out.append(found("read-after-all", text=failed.text) if failed else found("memory-was-read"))
    if state.debug == "nonsecure":
        out.append(found("state-half-open", **said))
        if "does not run" in state.what:
            out.append(found("state-does-not-boot", state=state.name, value=said["value"]))
    lifecycle = m.suspect.log.discovery.lifecycle.upper()
    if any(word in lifecycle for word in ("CLOSED", "LOCKED")) and not out_has(out, "state-closed"):
        integrity = m.suspect.log.discovery.integrity if m.suspect.log.discovery.integrity_bad else ""
        keys = (
            f" Its integrity word {integrity} says that its keys are not provisioned: it cannot be reopened."
            if integrity
            else ""
        )
        out.append(found("lifecycle-closed", lifecycle=lifecycle, keys=keys))
    if refused and not torn and not m.suspect.dump.size and not _silent(m) and not _unread(m):
        out.append(found("port-refused", text=refused[0].text, meaning=refused[0].meaning))
    return tuple(out)


def _opened(m: Measured) -> tuple[str, str] | None:
    """Return the connection that failed, and how one under reset that came in after it is told; None without.

    With too little supply connections fail however they are made.
    """
    log = m.suspect.log
    if any(v < SUPPLY_MV[0] for v in _voltages(m)):
        return None
    if log.opened[0]:
        return log.opened
    failed = next((e for e in log.messages if e.link and e.severity == "error"), None)
    if m.suspect.board.mode == "under-reset" and failed is not None and m.suspect.dump.size:
        return failed.text, "the dump was read so"
    return None


def out_has(findings: list[Finding], id: str) -> bool:
    """Tell whether a finding of that id is there."""
    return any(f.id == id for f in findings)


def check_system_area(m: Measured) -> tuple[Finding, ...]:
    """Does the vendor's own area answer as on a good board?"""
    out: list[Finding] = []
    bad, good = m.suspect.log.banner, m.good.log.banner
    for title, mine, theirs in (("SFSP", bad.sfsp, good.sfsp), ("boot loader", bad.boot_loader, good.boot_loader)):
        if mine.text.strip("-") == "" and not theirs.readable:
            continue  # the tool knows no version of this part at all
        if mine.text and not mine.readable:
            alike = bool(theirs.text) and not theirs.readable
            explained = alike or _system_hidden(m.suspect)
            why = ""
            if _system_hidden(m.suspect):
                why = " A non-secure reader in this product state is not shown ST's secure area, which explains it."
            elif alike:
                why = f" {m.good.board.name} shows no proper version either."
            out.append(
                found("version-unreadable", settled=explained, what=title, text=mine.text, remark=mine.remark, why=why)
            )
            if theirs.readable and m.comparable and m.suspect.board.mode == m.good.board.mode is not None:
                out.append(found("system-area-hidden", good=m.good.board.name, what=title, text=theirs.text))
        elif mine.readable and theirs.readable and mine.parts != theirs.parts:
            out.append(
                found("system-area-differs", what=title, text=mine.text, good=m.good.board.name, other=theirs.text)
            )
        elif mine.readable and theirs.readable:
            out.append(found("system-area-agrees", what=title, text=mine.text))
    if out_has(out, "system-area-differs") or out_has(out, "system-area-hidden"):
        out = [f for f in out if f.id != "system-area-agrees"]
    return tuple(out)


def _system_hidden(facts: BoardFacts) -> bool:
    """Tell whether access, mode and state together say that the reader is not shown ST's secure area."""
    return facts.access is Access.NONSECURE and facts.board.mode is not None and _state(facts).masks_secure


_NO_STATE = ProductState(-1, "unknown", "unknown", "", "")


def _state(facts: BoardFacts) -> ProductState:
    state = facts.options.state
    return state if isinstance(state, ProductState) else _NO_STATE
