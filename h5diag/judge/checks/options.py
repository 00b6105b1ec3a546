"""Checks of option bytes, write protection and what the provisioning logs say."""

from __future__ import annotations

import re
from collections.abc import Sequence

from h5diag.chip import EXTERNAL
from h5diag.judge.checks.slots import waiting_slots
from h5diag.judge.findings import Finding, found
from h5diag.judge.measured import Measured
from h5diag.measure.options import Agreement, Extent, OptionBytes, OptionCheck, Weight, check_options, compare_options
from h5diag.memory import AddressRange, Segment, merged, subtracted
from h5diag.text import size_text

LEAST_FIELDS = 6
"""Fewer fields than this may all be ones, or zeros, as they should."""


def torn_values(values: Sequence[int]) -> bool:
    """Tell whether option values are all ones, as erased option bytes read."""
    return all(v and v & (v + 1) == 0 for v in values) and any(v >= 0xFF for v in values)


def printed_options(m: Measured) -> tuple[int, ...]:
    """Return the fields of a listing, else the option words that a debugger printed; none when they are too few to tell."""
    fields = tuple(f.value for f in m.suspect.log.listing.fields)
    return fields if len(fields) >= LEAST_FIELDS else m.suspect.log.option_words


def options_torn(m: Measured) -> bool:
    """Tell whether the options hold values that nobody set: they are told as that, and not option by option."""
    values = printed_options(m)
    return bool(values) and (torn_values(values) or not any(values))


def check_provisioned_options(m: Measured) -> tuple[Finding, ...]:
    """Are the option bytes those that the boot loader demands?"""
    if not m.layouts or not m.suspect.options.settings or options_torn(m):
        return ()
    results = [c for c in check_options(m.suspect.options, m.layouts[0]) if c.name != m.chip.state_option]
    wrong = [c for c in results if c.agreement is Agreement.DIFFERS]
    older = [c for c in results if c.agreement is Agreement.OLDER_PACKAGE]
    if older and not _older_package(m, results):
        wrong += older
    unknown = [c.name for c in results if c.agreement is Agreement.NOT_KNOWN]
    limits = f"Not readable in this state: {', '.join(unknown)}." if unknown else ""
    if wrong:
        return (
            found(
                "options-differ-from-provisioning",
                count=len(wrong),
                text="; ".join(c.text for c in wrong[:3]),
                limits=limits,
            ),
        )
    agree = [c for c in results if c.agreement in (Agreement.AGREES, Agreement.OLDER_PACKAGE)]
    if not agree:
        return (found("options-cannot-be-judged", limits=limits),)
    return (found("options-as-provisioned", count=len(agree), limits=limits),)


def _older_package(m: Measured, results: Sequence[OptionCheck]) -> bool:
    """Tell whether values of the vendor's first package are legitimate here: all of them together, or none."""
    version = re.match(r"v?(\d+)\.(\d+)", m.case.package or "")
    if version and (int(version[1]), int(version[2])) > (1, 0):
        return False
    changed = [c for c in results if c.name in ("SECWM1_END", "HDP1_END", "WRPSGn1")]
    return not any(c.agreement is Agreement.AGREES for c in changed)


def check_options_against_good(m: Measured) -> tuple[Finding, ...]:
    """Which option differences between the boards matter?"""
    if not m.good.options.settings or not m.suspect.options.settings:
        return ()
    diff = compare_options([m.good.options, m.suspect.options], [m.good.board.name, m.name])
    telling = [d for d in diff.comparable if d.weight in (Weight.DECIDES, Weight.MATTERS)]
    if not telling:
        return (found("options-equal"),)
    # The life cycle and the swap of the banks have checks of their own.
    decides = [d.name for d in telling if d.name not in (m.chip.state_option, "SWAP_BANK")]
    return (
        found(
            "options-differ",
            settled=not decides or bool(m.layouts),
            count=len(telling),
            text="; ".join(d.meaning for d in telling[:3]),
            names=", ".join(decides),
        ),
    )


def check_write_protection(m: Measured) -> tuple[Finding, ...]:
    """Do differences sit exactly in write-protected groups?"""
    if not m.suspect.options.settings or options_torn(m):
        return ()
    protected = m.suspect.options.wrp_ranges
    compared = bool(m.comparison.compared_bytes or m.known)
    if named := listed_protection(m.suspect.options, described=compared or m.choice.chip is not None):
        return (found("write-protection-listed", names=", ".join(named[:6]), count=len(named)),)
    if protected and all(any(p.covers(r) for p in protected) for r in (m.chip.flash_range,)):
        locked = [s.name for s in m.suspect.options.settings if s.name.upper().startswith("UNLOCK") and s.value == 0]
        lock = f" {' and '.join(locked)} = 0: that cannot be taken back while it stays so." if locked else ""
        names = [s.name for s in m.suspect.options.settings if s.name.upper().startswith("WRP")]
        return (found("write-protection-everywhere", names=", ".join(names[:6]), lock=lock),)
    bits = [s for s in m.suspect.options.settings if _SECTOR_BIT.fullmatch(s.name)]
    if not protected and len(bits) >= _ALL_SECTORS and all(s.value == 1 for s in bits):
        return (found("no-write-protection"),)
    if not protected:
        # A listing that was cut short, or masked, tells nothing of what it does not hold.
        known = m.suspect.options.extent("write-protected") is Extent.EMPTY
        return (found("no-write-protection"),) if known else ()
    if not compared:
        return ()
    different = [a.range for a in m.comparison.counted]
    different += [a.range for k in m.expected for a in k.comparison.counted]
    boot = [s.range for lay in m.layouts for s in lay.slots if s.role.value == "boot"]
    # What is smaller than a quad-word's worth of sectors is fill, and has a check of its own.
    cells = tuple(c for c in subtracted(m.canonical(different), boot) if c.size > m.chip.flash.program_unit)
    if not cells:
        return (found("write-protection-elsewhere", protected=protected, but="where nothing differs"),)
    inside = [c for c in cells if any(p.covers(c) for p in protected)]
    if len(inside) == len(cells) and _fills_groups(m, protected, cells):
        return (
            found(
                "write-protection-matches",
                where=cells,
                explains=merged((*cells, *protected)),
                protected=protected,
                names=_areas_of(m.suspect.options, cells),
            ),
        )
    return (found("write-protection-elsewhere", protected=protected, but="but other places differ as well"),)


_ALL_SECTORS = 8
"""Fewer bits of sectors are a part of a listing."""
_SECTOR_BIT = re.compile(r"nWRP(\d{1,2})", re.IGNORECASE)
_PAGES = re.compile(r"(WRP\w{1,4})_P?STRT", re.IGNORECASE)


def _areas_of(options: OptionBytes, cells: Sequence[AddressRange]) -> str:
    """Return the names of the write-protected areas in which some of the cells lie."""
    areas = [a for a in options.areas if a.area.kind == "write-protected"]
    return ", ".join(a.area.name for a in areas if any(r.overlaps(c) for r in a.ranges for c in cells))


def listed_protection(options: OptionBytes, *, described: bool) -> tuple[str, ...]:
    """Return the names by which a listing write-protects, of areas that are not described, or are held against nothing.

    One bit a sector, zero = protected (and one = protected against reading when SPRMOD is set: RM0090); or a range of
    pages, none when its start is above its end (RM0351).
    """
    areas = [a for a in options.areas if a.area.kind == "write-protected"]
    if areas:
        return () if described else tuple(a.area.name for a in areas if a.extent is Extent.SET)
    values = {s.name.upper(): s.value for s in options.settings}
    bits = [s for s in options.settings if _SECTOR_BIT.fullmatch(s.name) and s.value in (0, 1)]
    out = [s.name for s in bits if s.value == 0] if not values.get("SPRMOD") else []
    for s in options.settings:
        if (pages := _PAGES.fullmatch(s.name)) and s.value:
            end = next((values[n] for n in (f"{pages[1]}_END".upper(), f"{pages[1]}_PEND".upper()) if n in values), -1)
            out += [pages[1]] if s.value <= end else []
    return tuple(out)


def _fills_groups(m: Measured, protected: tuple[AddressRange, ...], cells: tuple[AddressRange, ...]) -> bool:
    """Tell whether what differs is what protection leaves: old content, in most sectors of the groups concerned.

    What is erased did not keep anything, and a group of which most sectors took the new content was not protected.
    """
    flash = m.chip.flash
    differing = {a // flash.sector_size for c in cells for a in range(c.start, c.stop, flash.program_unit)}
    erased = sum(int((s.data == flash.erased).sum()) for c in cells for s in _views(m, c))
    if 2 * erased > sum(c.size for c in cells):
        return False
    group = flash.sector_size * max(1, flash.wrp_group_sectors)
    groups = {a // group for c in cells for a in range(c.start, c.stop, flash.program_unit)}
    areas = [*m.comparison.areas, *(a for k in m.expected for a in k.comparison.areas)]
    seen = {
        at // flash.sector_size
        for r in m.canonical(a.range for a in areas)
        for at in range(r.start - r.start % flash.sector_size, r.stop, flash.sector_size)
        if at // group in groups
        and any(s.data.size and (s.data != flash.erased).any() for s in _views(m, _sector(m, at)))
    }
    return bool(protected) and 2 * len(differing & seen) > len(seen)


def _sector(m: Measured, at: int) -> AddressRange:
    size = m.chip.flash.sector_size
    return AddressRange(at - at % size, at - at % size + size)


def _views(m: Measured, cell: AddressRange) -> list[Segment]:
    """Return what the dump holds of canonical cells, by either alias."""
    shift = m.chip.flash.secure_base - m.chip.flash.base
    return [
        s for by in dict.fromkeys((0, shift)) for s in m.suspect.judged.segments_in(cell.start + by, cell.stop + by)
    ]


def check_provisioning_logs(m: Measured) -> tuple[Finding, ...]:
    """What do the logs of the provisioning say was written, and what was refused?"""
    logs = (*m.provisioning, m.suspect.log)
    out = []
    refused = [o for log in logs for o in log.programming.options if o.result == "refused"]
    if refused:
        out.append(found("options-not-modified", text=", ".join(f"{o.name}=0x{o.value:X}" for o in refused[:4])))
    writes = [w for log in logs for w in log.programming.writes]
    failed = [w for w in writes if w.failed]
    if failed:
        place = f" (first difference at 0x{failed[0].mismatch:08X})" if failed[0].mismatch is not None else ""
        # Where the tool says why it failed, that is the cause, and not what is missing since.
        why = {e.about for log in logs for e in log.messages} & {
            "write-protected",
            "wrong-size-assumption",
            "debug-locked",
        }
        id = "write-failed-in-log" if m.suspect.dump.size or why else "write-failed-nothing-read"
        if (stop := failed[-1].reached) is not None and not writes[-1].complete:
            of = f" of {size_text(failed[-1].size)}" if failed[-1].size else ""
            out.append(found("write-stopped-at", file=failed[-1].file or "a file", of=of, at=stop))
        else:
            out.append(found(id, file=failed[0].file or "a file", place=place))
    if writes and m.layouts:
        boot = [s.range for s in m.layouts[0].slots if s.role.value == "boot"]
        wrote_boot = any(b.start == m.chip.canonical(w.address) for w in writes for b in boot if w.address is not None)
        if not wrote_boot and waiting_slots(m.suspect):
            out.append(found("boot-not-written"))
    return tuple(out)


_USED = {"yes": "loader-not-used", "no": "loader-was-used"}
_PLACED = {"yes": "loader-not-downloaded", "possible": "loader-misplaced", "no": "loader-well-placed"}


def check_loader(m: Measured) -> tuple[Finding, ...]:
    """Was the external loader called or silently passed over, and can it be downloaded at all?"""
    signs = ((m.loader.bypassed, _USED), (m.loader.mislinked, _PLACED)) if m.loader else ()
    out = [found(ids[x.answer.value], text=x.text) for x, ids in signs if x and x.answer.value in ids]
    failed = [w.mismatch for log in m.logs for w in log.programming.writes if w.mismatch in EXTERNAL]
    named = any(
        word in t.text.lower() for t in m.texts for word in (".stldr", "flash loader", "external loader", "-el ")
    )
    if failed and not out and not named:
        out.append(found("external-write-without-loader", at=failed[0]))
    return tuple(out)
