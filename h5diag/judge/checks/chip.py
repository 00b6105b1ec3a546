"""Checks of the chip itself: identity, ECC, revision, supply, the vendor's area."""

from __future__ import annotations

import re

from h5diag.case.case import Board
from h5diag.case.records import NOT_TOLD
from h5diag.chip import EccKind, ProductState
from h5diag.evidence.texts import parse_registers
from h5diag.judge.facts import BoardFacts, Measured
from h5diag.judge.verdict import Direction, Finding, Number
from h5diag.memory import Access, AddressRange

SUPPLY_MV = (1710, 3600)
"""Supply range of the STM32H5, in millivolts (data sheet DS14258, operating conditions)."""

_PART = re.compile(r"STM32([A-Z]\d[0-9A-Z]{2})([A-Z])([0-9A-Z])", re.IGNORECASE)
_KIB = {"B": 128, "C": 256, "E": 512, "G": 1024, "I": 2048, "J": 4096}
"""Flash size by the letter of the part number, in KB (ST's ordering codes)."""


def check_identity(m: Measured) -> tuple[Finding, ...]:
    """Does the chip say that it is the part printed on it?"""
    board, identity = m.suspect.board, m.suspect.board.identity
    part = _PART.search(re.sub(r"[\s-]", "", board.marking))
    dev_id = identity.dev_id if identity.dev_id != NOT_TOLD else m.suspect.log.banner.dev_id
    kib = identity.flash_kib if identity.flash_kib > 0 else m.suspect.log.banner.flash_kib
    if dev_id > 0 and dev_id != m.chip.identity.dev_id and not m.chip_assumed:
        return (
            Finding(
                "identity-disagrees",
                f"The chip answers DEV_ID 0x{dev_id:03X}; {m.chip.title} has 0x{m.chip.identity.dev_id:03X}.",
                direction=Direction.NEITHER,
                asks="check-the-part",
                open_point="whether the right part is fitted",
                alternatives=("another part is fitted", "the case names the wrong chip"),
            ),
        )
    if not part:
        return ()
    marked = _KIB.get(part[3].upper(), 0)
    family = "stm32" + part[1].lower()
    said = []
    if not m.chip_assumed and not m.chip.name.startswith(family):
        said.append(f"the marking {board.marking.strip()} is no {m.chip.title}")
    if kib > 0 and marked and kib != marked:
        said.append(f"the marking promises {marked} KB of flash, the chip says {kib} KB")
    if said and dev_id <= 0 and kib <= 0:
        return (
            Finding(
                "identity-unknown",
                f"{'; '.join(said)[0].upper()}{'; '.join(said)[1:]}, and the chip's own identity was not read.",
                hint=True,
                asks="sample-the-core",
                open_point="marking and named chip disagree",
            ),
        )
    if said:
        return (
            Finding(
                "identity-disagrees",
                f"{'; '.join(said)[0].upper()}{'; '.join(said)[1:]}.",
                asks="check-the-part",
                open_point="whether the right part is fitted",
                alternatives=("another part is fitted", "the marking was read wrongly"),
            ),
        )
    if dev_id > 0 or kib > 0:
        return (Finding("identity-agrees", f"What the chip says of itself fits its marking {board.marking.strip()}."),)
    return ()


def check_ecc(m: Measured) -> tuple[Finding, ...]:
    """Did the chip see ECC errors, or an operation cut by a reset?"""
    values = registers(m.suspect.board, m)
    known = [n for n in ("opsr", "ecccorr", "eccdetr", "eccr") if n in values]
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
            if at.kind is not EccKind.NONE:
                errors.append((at.area, at.address, at.size, at.kind))
    where = tuple(AddressRange(a, a + max(1, s)) for _, a, s, _ in errors)
    double = [e for e in errors if e[3] is EccKind.DOUBLE]
    if (
        torn
        and double
        and any(abs(a - address) <= m.chip.flash.sector_size for _, a, _, _ in double for _, address in torn)
    ):
        return (
            Finding(
                "ecc-torn",
                f"The chip remembers a {torn[0][0]} that a reset cut short at 0x{torn[0][1]:08X}, and"
                f" an uncorrectable ECC error at 0x{double[0][1]:08X}: a torn write. Erasing that sector cures it.",
                where=where,
                direction=Direction.AGAINST,
                explains=where,
            ),
        )
    if torn:
        return (
            Finding(
                "operation-cut",
                f"The chip remembers a {torn[0][0]} that a reset cut short (OPSR), at 0x{torn[0][1]:08X}.",
                direction=Direction.AGAINST,
            ),
            Finding(
                "ecc-error",
                "An operation was cut by a reset, so a quad-word there may be half written.",
                alternatives=("it was repeated since",),
            ),
        )
    if errors:
        kinds = "uncorrectable" if double else "corrected"
        area, address, size, _ = (double or errors)[0]
        return (
            Finding(
                "ecc-error",
                f"The chip saw a {kinds} ECC error in the {area} area at 0x{address:08X} (the first one only is kept).",
                where=where,
                numbers=(Number("size", size, "bytes"),),
                alternatives=("a write cut by a reset", "programmed twice without an erase", "a weak cell"),
                asks="power-cycle-and-read",
                open_point=f"an ECC error at 0x{address:08X}: torn write, double programming or a weak cell",
            ),
        )
    return (
        Finding(
            "ecc-clean",
            f"{', '.join(n.upper() for n in known)} report no ECC error and no cut operation."
            if "opsr" in known
            else f"{', '.join(n.upper() for n in known)} report no ECC error.",
            hint="opsr" not in known,
            direction=Direction.AGAINST,
        ),
    )


def registers(board: Board, m: Measured) -> dict[str, int]:
    """Return the values of registers that a board's evidence holds, by name in lower case."""
    values = {n: v for n, v in board.identity.registers if v != NOT_TOLD}
    names = {r.offset: r.name.lower() for r in m.chip.registers}
    for raw in parse_registers(board.registers.text):
        name = raw.name.lower()
        for base in (m.chip.flash_registers, m.chip.flash_registers_secure):
            if raw.address >= 0 and raw.address - base in names:
                name = names[raw.address - base]
        if name:
            values.setdefault(name, raw.value)
    return values


def check_revision(m: Measured) -> tuple[Finding, ...]:
    """Is this silicon revision known for something that looks like this?"""
    rev = m.suspect.board.identity.rev_id
    letter = re.search(r"rev(?:ision)?\s*([A-Z])\b", m.suspect.log.banner.revision, re.IGNORECASE)
    if rev == NOT_TOLD and letter:
        rev = next((r.id for r in m.chip.revisions if r.letter.upper() == letter[1].upper()), NOT_TOLD)
    if rev == NOT_TOLD:
        return ()
    name = next(
        (f"revision {r.letter} (0x{rev:04X})" for r in m.chip.revisions if r.id == rev), f"revision 0x{rev:04X}"
    )
    hits = [e for e in m.chip.errata if e.kind == "silicon" and rev in e.revisions]
    if not hits:
        return (
            Finding(
                "revision-free",
                f"The chip is {name}; no known limit of that revision alters what a debugger reads from its flash.",
                limits="The errata sheet itself was not available.",
            ),
        )
    return (Finding("revision-affected", f"The chip is {name}: {hits[0].effect} ({hits[0].ref}).", hint=True),)


def check_supply(m: Measured) -> tuple[Finding, ...]:
    """Is the supply in range, and do messages speak of wiring?"""
    out = []
    mv = m.suspect.log.banner.voltage_mv
    if mv > 0 and not SUPPLY_MV[0] <= mv <= SUPPLY_MV[1]:
        out.append(
            Finding(
                "low-voltage",
                f"The probe measured {mv / 1000:.2f} V at the target, outside"
                f" {SUPPLY_MV[0] / 1000:.2f} to {SUPPLY_MV[1] / 1000:.2f} V.",
                direction=Direction.AGAINST,
                numbers=(Number("supply", mv, "mV"),),
            )
        )
    wiring = [e for e in m.suspect.log.messages if e.about == "board-wiring"]
    if wiring:
        out.append(
            Finding(
                "wiring-log",
                f"The programmer complained: {wiring[0].text} ({wiring[0].meaning}).",
                direction=Direction.AGAINST,
            )
        )
    rom = [s for log in (m.suspect.log, m.suspect.uart) for s in log.rom_sessions if s.answered]
    if rom:
        out.append(
            Finding(
                "rom-loader-answers",
                "The ROM boot loader answered: with BOOT0 low that means that the boot code"
                " ran and found nothing to start; with BOOT0 high it means nothing.",
            )
        )
    return tuple(out)


def check_locked(m: Measured) -> tuple[Finding, ...]:
    """Is the port closed by the life cycle?"""
    state = _state(m.suspect)
    refused = [e for e in m.suspect.log.messages if e.about == "debug-locked"]
    out = []
    if state.debug == "none" and not state.hint:
        out.append(
            Finding("state-closed", f"The product state is {state.name}: {state.what}.", direction=Direction.AGAINST)
        )
    elif m.suspect.dump.size or m.suspect.options.settings:
        out.append(
            Finding("memory-was-read", "Memory or option bytes could be read, so the port is open at least in part.")
        )
    if state.debug == "nonsecure":
        out.append(
            Finding("state-half-open", f"The product state is {state.name}: {state.what}.", direction=Direction.AGAINST)
        )
        if "does not run" in state.what:
            out.append(
                Finding(
                    "state-does-not-boot",
                    f"In product state {state.name} the user's firmware, boot loader"
                    " included, does not run: nothing can be installed yet. The provisioning was broken off on the"
                    " way: its log says where.",
                    direction=Direction.AGAINST,
                )
            )
    lifecycle = m.suspect.log.discovery.lifecycle.upper()
    if any(word in lifecycle for word in ("CLOSED", "LOCKED")) and not out_has(out, "state-closed"):
        out.append(
            Finding(
                "lifecycle-closed",
                f"Debug authentication reports the life cycle {lifecycle}: without"
                " authentication at least the secure side is closed. That is protection, not a fault.",
                direction=Direction.AGAINST,
            )
        )
    if refused and not m.suspect.dump.size:
        out.append(
            Finding(
                "port-refused",
                f"The programmer was refused: {refused[0].text} ({refused[0].meaning}).",
                direction=Direction.AGAINST,
            )
        )
    return tuple(out)


def out_has(findings: list[Finding], id: str) -> bool:
    """Tell whether a finding of that id is there."""
    return any(f.id == id for f in findings)


def check_system_area(m: Measured) -> tuple[Finding, ...]:
    """Does the vendor's own area answer as on a good board?"""
    out: list[Finding] = []
    bad, good = m.suspect.log.banner, m.good.log.banner
    for title, mine, theirs in (("SFSP", bad.sfsp, good.sfsp), ("boot loader", bad.boot_loader, good.boot_loader)):
        if mine.text and not mine.readable:
            alike = bool(theirs.text) and not theirs.readable
            explained = alike or _system_hidden(m.suspect)
            why = ""
            if _system_hidden(m.suspect):
                why = " A non-secure reader in this product state is not shown ST's secure area, which explains it."
            elif alike:
                why = f" {m.good.board.name} shows no proper version either."
            out.append(
                Finding(
                    "version-unreadable",
                    f"The {title} version reads {mine.text}: {mine.remark}.{why}",
                    hint=True,
                    asks="system-words",
                    open_point="" if explained else f"the {title} version reads {mine.text}, which is no version",
                    alternatives=("read in a state or mode that hides ST's area", "an older tool"),
                )
            )
            if theirs.readable and m.comparable and m.suspect.board.mode == m.good.board.mode != "unknown":
                out.append(
                    Finding(
                        "system-area-differs",
                        f"{m.good.board.name}, read in the same way, shows a proper {title} version ({theirs.text}).",
                        hint=True,
                    )
                )
        elif mine.readable and theirs.readable and mine.parts != theirs.parts:
            out.append(
                Finding(
                    "system-area-differs",
                    f"The {title} version is {mine.text}, on {m.good.board.name}"
                    f" {theirs.text}: another generation of ST's own code.",
                    hint=True,
                )
            )
        elif mine.readable and theirs.readable:
            out.append(
                Finding("system-area-agrees", f"The {title} version is the good board's ({mine.text}).", hint=True)
            )
    if out_has(out, "system-area-differs"):
        out = [f for f in out if f.id != "system-area-agrees"]
    return tuple(out)


def _system_hidden(facts: BoardFacts) -> bool:
    """Tell whether access, mode and state together say that the reader is not shown ST's secure area."""
    return facts.access is Access.NONSECURE and facts.board.mode != "unknown" and _state(facts).masks_secure


_NO_STATE = ProductState(-1, "unknown", "unknown", "", "")


def _state(facts: BoardFacts) -> ProductState:
    state = facts.options.state
    return state if isinstance(state, ProductState) else _NO_STATE
