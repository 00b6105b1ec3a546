"""Checks of the start: from where the core starts, where it is, which faults and refusals the chip remembers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from h5diag.case.results import CoreState
from h5diag.chip.devices import load_series
from h5diag.errors import InputError
from h5diag.evidence.texts.faults import CFSR
from h5diag.evidence.texts.registers import cache_printed, core_registers, firmware_views
from h5diag.judge.checks.chip import error_flags_printed, printed_lines, registers
from h5diag.judge.checks.options import options_torn, printed_options, torn_values
from h5diag.judge.checks.placement import exchanged_regions
from h5diag.judge.findings import Finding, calibration, found, number
from h5diag.judge.measured import Measured
from h5diag.measure.compare import read_cells
from h5diag.measure.firmware import vector_table_at
from h5diag.measure.shapes import Form
from h5diag.memory import AddressRange
from h5diag.text import count_text

OLDER_ROM = AddressRange(0x1FF0_0000, 0x2000_0000)
"""System memory of the families without TrustZone (AN2606)."""


ITCM_FLASH = AddressRange(0x0020_0000, 0x0040_0000)
"""Where the STM32F7 maps its flash for the tightly coupled bus."""


def core_of(m: Measured) -> tuple[list[int], dict[str, int]]:
    """Return where the core was seen, and its fault registers that are not zero by name in upper case.

    By an identity file, and by registers printed in any text.
    """
    identity, logs = m.suspect.board.identity, (m.suspect.uart, m.suspect.log)
    core = identity.core if identity is not None and isinstance(identity.core, CoreState) else CoreState()
    counters = [s.pc for s in core.samples] + [log.fault.pc for log in logs if log.fault.pc is not None]
    # Registers of the core that a tool printed without a fault, and of the cache beside one.
    printed = [named for text in m.texts for named in core_registers(text.text)]
    counters = counters or [value for name, value in printed if name == "PC"][:1]
    told = [*core.faults.items(), *(named for log in logs for named in log.fault.registers), *printed]
    faults: dict[str, int] = {}
    for name, value in told:
        faults.setdefault(name.upper(), value)
    return counters, {k: v for k, v in faults.items() if v and k in calibration().lists["fault-registers"]}


def check_boot_address(m: Measured) -> Iterator[Finding]:
    """Does the boot address, or the boot option, point at the firmware?"""
    options = m.suspect.options
    if m.chip_assumed or not options.settings or options_torn(m):
        return
    said = {s.name.upper(): s.value for s in options.settings if s.known}
    # Of these options each says that nBOOT0 stands for the pin: nSWBOOT0 0 (L4, G4, WB, U5), nBOOT_SEL 1 (G0, C0, U0).
    instead = next((f"{n} {v}" for n, v in (("nSWBOOT0", 0), ("nBOOT_SEL", 1)) if said.get(n.upper()) == v), "")
    if instead and said.get("NBOOT0") == 0:
        what = "starts-sram" if said.get("NBOOT1") == 0 else "starts-rom"
        yield found("boot-option-rom", instead=instead, what=calibration().advice[what])
    elif instead and m.expected and all(k.whole for k in m.expected):
        yield found("boot-pin-unused", instead=instead)
    if said.get("BCM7") == 0:
        yield found("core-kept-from-starting", other=", only the Cortex-M4 (BCM4 1)" if said.get("BCM4") else "")
    if options.value("BFB2") == 1:
        yield found("boots-from-second-bank", filled=_second_bank_starts(m))
    if options.value("BOOT_UBE") == 0xC3 and options.trustzone is True:
        yield found("boot-entry-vendor", text="BOOT_UBE is 0xC3")
        return  # the vendor's boot code does not go by the boot address
    secure = ("SECBOOTADD", "SECBOOTADD0") if options.trustzone is True else ("NSBOOTADD", "NSBOOTADD0")
    for s in options.settings:
        if s.name.upper() in (*secure, "BOOT_ADD0", "BOOT_CM7_ADD0") and s.known and s.option.address_shift:
            target = s.value << s.option.address_shift
            target += m.chip.flash.base - ITCM_FLASH.start if target in ITCM_FLASH else 0
            if m.chip.canonical(target) in m.chip.flash_range:
                yield from _target(m, s.name, target)
            elif target:
                yield found("boot-address-outside", option=s.name, at=target)


def check_start_erased(m: Measured) -> Iterator[Finding]:
    """Is the flash erased where the chip starts as delivered, while a program or a signed image stands further on?"""
    base, dump = m.chip.flash.base, m.suspect.judged
    if m.chip_assumed or m.suspect.options.settings or exchanged_regions(m):
        return
    places = [(i.image.address, "a signed image") for i in m.suspect.images]
    places += [(k.content.span.start, k.name) for k in m.known if k.in_place and k.whole]
    first, what = min(((m.chip.canonical(at), what) for at, what in places), default=(base, ""))
    views = (v for v in (base, m.chip.secure_alias(base)) if first > base and dump.covers(v, v + first - base))
    if any((dump.read(v, v + first - base) == m.chip.flash.erased).all() for v in views):
        id = "start-erased-by-tool" if any(log.programming.mass_erase for log in m.logs) else "start-erased"
        yield found(id, where=(AddressRange(base, first),), at=base, image=first, what=what)


def _second_bank_starts(m: Measured) -> str:
    """Say whether a program begins in the second bank, as far as the dump shows it."""
    at = m.chip.flash.base + m.chip.flash.bank_size
    if vector_table_at(m.suspect.judged, at, m.chip):
        return f" A program begins there, at 0x{at:08X}: it is the one that runs."
    seen = m.suspect.judged.covers(at, at + number("vectors"))
    return f" None begins there, at 0x{at:08X}, so the first bank's does." if seen else ""


def _target(m: Measured, option: str, target: int) -> Iterator[Finding]:
    view, head = read_cells(m.suspect.judged, m.chip, target, number("vectors")) or (0, None)
    base, blank = m.chip.flash.base, all((s.data == 0xFF).all() for s in m.suspect.dump.segments)
    id = ""
    if head is None:
        # Nothing was read there. A program at the flash's first address is meant to be started from there.
        other = m.chip.canonical(target) != base and not exchanged_regions(m)
        id = "boot-address-elsewhere" if other and vector_table_at(m.suspect.judged, base, m.chip) else ""
    elif (head == m.chip.flash.erased).all():
        id = "boot-address-erased" if not blank and not exchanged_regions(m) else ""
    elif vector_table_at(m.suspect.judged, view, m.chip):
        id = "boot-address-good"
    elif head.any():
        id = "boot-address-no-vectors"
    if id:
        yield found(id, option=option, at=target, base=base)


def check_core(m: Measured) -> Iterator[Finding]:
    """Where is the core, and did it meet a fault?"""
    counters, faults = core_of(m)
    printed = next((log.fault for log in (m.suspect.uart, m.suspect.log) if log.fault), None)
    if "HFSR" in faults or "CFSR" in faults:
        yield _fault(m, counters, faults)
    elif printed:
        # A handler that prints a fault of another kind (secure, usage), or names it in words only.
        place = f" at 0x{printed.pc:08X}{_in(m, printed.pc)}" if printed.pc is not None else ""
        access = [f"its access went to 0x{printed.address:08X}"] if printed.address is not None else []
        names = "; ".join([*printed.meanings, *access]) or "no cause named"
        said = ", ".join(f"{k} 0x{v:08X}" for k, v in printed.registers if v)
        yield found("core-in-fault", kind=printed.kind or "a fault", place=place, names=names, said=said)
    fault = "HFSR" in faults or "CFSR" in faults or printed
    views = (0, m.chip.flash.alias)
    system = [
        AddressRange(r.base + by, r.base + by + r.size) for r in m.chip.regions if r.kind == "system" for by in views
    ]
    in_rom, places = [pc for pc in counters if any(pc in r for r in (OLDER_ROM, *system))], len(set(counters))
    if counters and len(in_rom) == len(counters):
        yield found("core-in-rom", count=count_text(len(in_rom), "sample"), at=in_rom[0], pin=_boot_pin(m))
    elif places > 2 and not fault and not in_rom:
        yield found("core-runs", count=len(counters), at=counters[0])
    elif places == 1 and len(counters) > 2 and not fault:
        yield found("core-stands", count=len(counters), at=counters[0], place=_in(m, counters[0]))


def _boot_pin(m: Measured) -> str:
    """Return a sentence where the option bytes let the pin BOOT0 decide from where the core starts; empty otherwise."""
    said = {s.name.upper(): s.value for s in m.suspect.options.settings if s.known}
    option = next((f"{n} {v}" for n, v in (("nBOOT_SEL", 0), ("nSWBOOT0", 1)) if said.get(n.upper()) == v), "")
    pin = load_series(f"STM32{m.chip.family.upper()}").boot_pin if option and m.choice.chip is None else ""
    shared = f", which is {pin} here: what is connected there pulls it, too" if pin else ""
    return f" {option} lets the pin BOOT0 decide{shared}." if option else ""


def _fault(m: Measured, counters: list[int], faults: dict[str, int]) -> Finding:
    cfsr, bfar = faults.get("CFSR", 0), faults.get("BFAR", 0)
    names = "; ".join(text for bit, text in CFSR if cfsr >> bit & 1) or "no cause named"
    said = ", ".join(f"{k} 0x{v:08X}" for k, v in faults.items())
    place = f" at 0x{counters[0]:08X}{_in(m, counters[0])}" if counters else ""
    lr = next((log.fault.lr for log in (m.suspect.uart, m.suspect.log) if log.fault.lr is not None), None)
    if lr is not None and (caller := _named(m, lr)):
        place += f", called from {caller}"
    uncached = [r for r in m.chip.regions if r.kind in calibration().lists["uncached"]]
    region = next((r for r in uncached if bfar and 0 <= bfar - r.base < r.size), None)
    if (region is not None and not m.chip_assumed) or bfar in AddressRange(0x08FF_F000, 0x0900_0000):
        data = region is not None and region.kind == "data"
        off = [s for s in m.suspect.options.settings if s.option.name in ("EDATA1_EN", "EDATA2_EN") and s.value == 0]
        if data and len(off) == 2:
            return found(
                "fault-in-area-that-is-off", bfar=bfar, names=" and ".join(s.option.name for s in off), said=said
            )
        area = "high-cycle data area" if data else "OTP, unique id and read-only area"
        cache = "; the instruction cache is on (ICACHE_CR)" if faults.get("ICACHE_CR", 0) & 1 else ""
        return found("fault-in-uncached-area", bfar=bfar, area=area, cache=cache, said=said)
    kind = "a hard fault" if "HFSR" in faults else "a fault"
    return found("core-in-fault", kind=kind, place=place, names=names, said=said)


def _in(m: Measured, address: int) -> str:
    return f" in {name}" if (name := _named(m, address)) else ""


def _named(m: Measured, address: int) -> str:
    """Return function and line of a code address by the case's ELF files; empty when they do not tell."""
    from h5diag.measure.logs import named_place

    try:
        return named_place([k.file for k in m.case.images if k.image.origin.kind == "elf"], address)
    except InputError:  # its segments were read, its tables of names are damaged
        return ""


def check_stale_view(m: Measured) -> tuple[Finding, ...]:
    """Does the firmware read something else than the cells hold?"""
    for view in (v for t in m.texts for v in firmware_views(t.text)):
        _, here = read_cells(m.suspect.judged, m.chip, view.address, len(view.read)) or (0, None)
        if here is not None and here.tobytes() == view.wrote:
            said = found("firmware-sees-other", at=view.address, read=_bytes(view.read), here=_bytes(view.wrote))
            words = next((w for t in m.texts if (w := cache_printed(t.text))), "")
            return (said, found("cache-told-on", text=words)) if words else (said,)
    return ()


_ERASED = re.compile(r"eras\w{0,6}", re.IGNORECASE)
_PLACES = re.compile(r"\b0x(0[89c][0-9a-f]{6})\b", re.IGNORECASE)


def check_own_erase(m: Measured) -> tuple[Finding, ...]:
    """Does the firmware's own print tell of an erase just where a file's content is missing, or one bank from there?"""
    gone = (Form.HOLE, Form.NEVER_WRITTEN)
    holes = [r for k in m.expected for s in k.difference.of(*gone) for r in m.canonical(s.ranges)]
    printed = next((log.fault.pc for log in (m.suspect.uart, m.suspect.log) if log.fault and log.fault.pc), 0)
    if any(m.chip.canonical(printed) in r for r in holes):
        return (found("ran-into-a-hole", at=printed),)
    said = [t for t in (m.suspect.board.uart, m.suspect.board.registers) if t and holes]
    lines = [line for t in said for line in t.text.splitlines() if _ERASED.search(line)]
    bank = m.chip.flash.bank_size
    places = [(line, int(x[1], 16), 0) for line in lines for x in _PLACES.finditer(line)]
    places += [row for line in lines if (row := _printed_sectors(line, m))]
    for id, by in (("firmware-erased-there", 0), ("firmware-erased-mirror", bank), ("firmware-erased-mirror", -bank)):
        for text, at, size in places:
            here = m.chip.canonical(at) + by
            for r in holes:
                if r.start <= here < r.stop or 0 <= r.start - here < m.chip.flash.program_unit:
                    where = (AddressRange(here, here + size) if size else r,)
                    return (found(id, at=at, here=here, where=where, text=text.strip()[:120]),)
    return ()


_BANK = re.compile(r"bank\w{0,12}\s?[=:]?\s?(?:FLASH_BANK_)?([12])\b", re.IGNORECASE)
_FIRST = re.compile(r"\b(?:first_?|start_?)?(?:page|sector)\s?[=:]?\s?(\d{1,4})\b", re.IGNORECASE)
_COUNT = re.compile(r"\bn(?:b|um|umber)?_?(?:pages|sectors|of\w{0,8})?\s?[=:]\s?(\d{1,4})\b", re.IGNORECASE)


def _printed_sectors(line: str, m: Measured) -> tuple[str, int, int] | None:
    """Return the line, address and size of an erase that it tells by bank and sector; None when it tells none."""
    bank, first, count = (pattern.search(line) for pattern in (_BANK, _FIRST, _COUNT))
    if bank is None or first is None:
        return None
    flash = m.chip.flash
    at = flash.base + (int(bank[1]) - 1) * flash.bank_size + int(first[1]) * flash.sector_size
    return line, at, (int(count[1]) if count else 1) * flash.sector_size


def _bytes(data: bytes) -> str:
    """Return bytes as they lie, and the word that they make."""
    word = f" (0x{int.from_bytes(data, 'little'):08X})" if len(data) == 4 else ""
    return data[:16].hex(" ").upper() + word


_FAILED = re.compile(r"(?:prog|writ|eras).{0,80}(?:error|fail|refus)", re.IGNORECASE)


def _failed_writes(m: Measured) -> Iterator[str]:
    """Yield the lines by which a firmware tells which of its own operations failed, with an address in the flash."""
    for line in printed_lines(m):
        if _FAILED.search(line[: number("line-letters")]) and _PLACES.search(line):
            yield line


def check_refusals(m: Measured) -> tuple[Finding, ...]:
    """Did the flash interface refuse an operation of the firmware itself, or of the tool that programmed?"""
    values = registers(m.suspect.board, m)
    read = [name for name in ("nssr", "secsr", "sr") if name in values]
    fields = {r.name.lower(): r.fields for r in m.chip.registers}
    causes = {f.name: f" ({f.cause})" for f in m.chip.flags}
    for name in read:
        flags = [f.name for f in fields.get(name, ()) if f.name.endswith("ERR") and f.get(values[name])]
        if flags:
            why = causes.get(flags[0].removeprefix("NS").removeprefix("SEC"), "")
            id = "tool-write-refused" if values[name] == error_flags_printed(m) else "write-refused"
            id = "write-refused-wrp" if any("WRPERR" in f for f in flags) else id
            told = next((f" Printed with it: '{line.strip()[:120]}'." for line in _failed_writes(m)), "")
            return (found(id, register=name.upper(), value=values[name], flags=", ".join(flags), why=why, told=told),)
    return (found("nothing-refused", registers=", ".join(read).upper()),) if read else ()


def check_torn_options(m: Measured) -> tuple[Finding, ...]:
    """Are the option bytes at values that nobody sets?"""
    values, log = printed_options(m), m.suspect.log
    if not values:
        return ()
    what = "option words" if values == log.option_words else "option fields"
    if torn_values(values):
        rdp = [f"RDP 0x{log.rdp:X}"] if log.rdp is not None else []
        listed = [f"{f.name} 0x{f.value:X}" for f in log.listing.fields if f.name.upper() in ("RDP", "PRODUCT_STATE")]
        level = "".join(f" {said} counts as protected (RDP level 1)." for said in (*listed, *rdp)[:1])
        return (found("options-all-ones", count=len(values), what=what, level=level),)
    return (found("options-legal" if any(values) else "options-all-zero", count=len(values), what=what),)
