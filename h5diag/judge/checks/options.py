"""Checks of option bytes, write protection and what the provisioning logs say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from h5diag.chip import EXTERNAL
from h5diag.judge.checks.slots import waiting_slots
from h5diag.judge.findings import Finding, calibration, found, number
from h5diag.judge.measured import Measured
from h5diag.measure.options import Agreement, Extent, OptionBytes, OptionCheck, Weight, check_options, compare_options
from h5diag.measure.options.settings import seen_cells
from h5diag.measure.shapes import Form
from h5diag.memory import AddressRange, merged, subtracted
from h5diag.text import size_text


def torn_values(values: Sequence[int]) -> bool:
    """Tell whether option values are all ones, as erased option bytes read."""
    return all(v and v & (v + 1) == 0 for v in values) and any(v >= 0xFF for v in values)


def printed_options(m: Measured) -> tuple[int, ...]:
    """Return the fields of a listing, else the option words that a debugger printed; none when they are too few to tell."""
    fields = tuple(f.value for f in m.suspect.log.listing.fields)
    return fields if len(fields) >= number("least-fields") else m.suspect.log.option_words


def options_torn(m: Measured) -> bool:
    """Tell whether the options hold values that nobody set: they are told as that, and not option by option."""
    values = printed_options(m)
    return bool(values) and (torn_values(values) or not any(values))


def check_provisioned_options(m: Measured) -> Iterator[Finding]:
    """Are the option bytes those that the boot loader demands?"""
    if not m.layouts or not m.suspect.options.settings or options_torn(m):
        return
    results = [c for c in check_options(m.suspect.options, m.layouts[0]) if c.name != m.chip.state_option]
    by = {a: [c for c in results if c.agreement is a] for a in Agreement}
    older, wrong = by[Agreement.OLDER_PACKAGE], by[Agreement.DIFFERS]
    wrong += older if not _older_package(m, results) else []
    agree, unknown = len(by[Agreement.AGREES]) + len(older), ", ".join(c.name for c in by[Agreement.NOT_KNOWN])
    limits = f"Not readable in this state: {unknown}." if unknown else ""
    if wrong:
        text = "; ".join(c.text for c in wrong[:3])
        yield found("options-differ-from-provisioning", count=len(wrong), text=text, limits=limits)
    elif agree:
        yield found("options-as-provisioned", count=agree, limits=limits)
    else:
        yield found("options-cannot-be-judged", limits=limits)


def _older_package(m: Measured, results: Sequence[OptionCheck]) -> bool:
    """Tell whether values of the vendor's first package are legitimate here: all of them together, or none."""
    version = re.match(r"v?(\d+)\.(\d+)", m.case.package or "")
    if version and (int(version[1]), int(version[2])) > (1, 0):
        return False
    changed = [c for c in results if c.name in ("SECWM1_END", "HDP1_END", "WRPSGn1")]
    return not any(c.agreement is Agreement.AGREES for c in changed)


def check_options_of_good(m: Measured) -> tuple[Finding, ...]:
    """Which option differences between the boards matter?"""
    if m.good_choice or not (m.good.options.settings and m.suspect.options.settings):
        return ()
    diff = compare_options([m.good.options, m.suspect.options], [m.good.board.name, m.name])
    telling = [d for d in diff.comparable if d.weight in (Weight.DECIDES, Weight.MATTERS)]
    if not telling:
        return (found("options-equal"),)
    # The life cycle and the swap of the banks have checks of their own.
    decides = [d.name for d in telling if d.name not in (m.chip.state_option, "SWAP_BANK")]
    settled, text = not decides or bool(m.layouts), "; ".join(d.meaning for d in telling[:3])
    return (found("options-differ", settled=settled, count=len(telling), text=text, names=", ".join(decides)),)


def check_write_protection(m: Measured) -> tuple[Finding, ...]:
    """Do differences sit exactly in write-protected groups?"""
    options = m.suspect.options
    if not options.settings or options_torn(m):
        return ()
    protected, compared = options.wrp_ranges, bool(m.comparison.compared_bytes or m.known)
    if listed := listed_protection(options, described=compared or m.choice.chip is not None):
        return (found("write-protection-listed", names=", ".join(listed[:6]), count=len(listed)),)
    if any(p.covers(m.chip.flash_range) for p in protected):
        locked = [s.name for s in options.settings if s.name.upper().startswith("UNLOCK") and s.value == 0]
        lock = f" {' and '.join(locked)} = 0: that cannot be taken back while it stays so." if locked else ""
        names = [s.name for s in options.settings if s.name.upper().startswith("WRP")]
        return (found("write-protection-everywhere", names=", ".join(names[:6]), lock=lock),)
    if not protected:
        bits = [s.value for s in options.settings if _SECTOR_BIT.fullmatch(s.name)]
        # A listing that was cut short, or masked, tells nothing of what it does not hold.
        all_clear = len(bits) >= number("all-sectors") and set(bits) == {1}
        return (found("no-write-protection"),) if all_clear or options.extent("write-protected") is Extent.EMPTY else ()
    if not compared:
        return ()
    different = [r for c in (m.comparison, *(k.comparison for k in m.expected)) for r in c.counted.ranges]
    boot = [lay.boot.range for lay in m.layouts if lay.boot is not None]
    # What is smaller than a quad-word's worth of sectors is fill, and has a check of its own.
    cells = tuple(c for c in subtracted(m.canonical(different), boot) if c.size > m.chip.flash.program_unit)
    if not cells:
        return (found("write-protection-elsewhere", protected=protected, but="where nothing differs"),)
    if all(any(p.covers(c) for p in protected) for c in cells) and _fills_groups(m, protected, cells):
        areas = [a for a in options.areas if a.area.kind == "write-protected"]
        inside = ", ".join(a.area.name for a in areas if any(r.overlaps(c) for r in a.ranges for c in cells))
        say: dict[str, Any] = {"explains": merged((*cells, *protected)), "protected": protected, "names": inside}
        return (found("write-protection-matches", where=cells, **say),)
    return (found("write-protection-elsewhere", protected=protected, but="but other places differ as well"),)


_SECTOR_BIT = re.compile(r"nWRP(\d{1,2})", re.IGNORECASE)
_PAGES = re.compile(r"(WRP\w{1,4})_P?STRT", re.IGNORECASE)


def listed_protection(options: OptionBytes, *, described: bool) -> tuple[str, ...]:
    """Return the names by which a listing write-protects, of areas that are not described, or are held against nothing.

    One bit a sector, zero = protected (and one = protected against reading when SPRMOD is set: RM0090); or a range of
    pages, none when its start is above its end (RM0351).
    """
    areas = [a for a in options.areas if a.area.kind == "write-protected"]
    if areas:
        return () if described else tuple(a.area.name for a in areas if a.extent is Extent.SET)
    values = {s.name.upper(): s.value for s in options.settings}
    bits = [s.name for s in options.settings if _SECTOR_BIT.fullmatch(s.name) and s.value == 0]
    out = bits if not values.get("SPRMOD") else []
    for s in options.settings:
        if (pages := _PAGES.fullmatch(s.name)) and s.value:
            ends = (f"{pages[1]}_{end}".upper() for end in ("END", "PEND"))
            out += [pages[1]] if s.value <= next((values[n] for n in ends if n in values), -1) else []
    return tuple(out)


def _fills_groups(m: Measured, protected: tuple[AddressRange, ...], cells: tuple[AddressRange, ...]) -> bool:
    """Tell whether what differs is what protection leaves: old content, in most sectors of the groups concerned.

    What is erased did not keep anything, and a group of which most sectors took the new content was not protected.
    """
    flash, size, in_group = m.chip.flash, m.chip.flash.sector_size, max(1, m.chip.flash.wrp_group_sectors)
    erased = sum(int((s.data == flash.erased).sum()) for c in cells for s in seen_cells(m.suspect.judged, m.chip, c))
    if 2 * erased > sum(c.size for c in cells):
        return False
    differing = {a // size for c in cells for a in range(c.start, c.stop, flash.program_unit)}
    groups = {sector // in_group for sector in differing}
    held = m.canonical(r for c in (m.comparison, *(k.comparison for k in m.expected)) for r in c.covered)
    compared = {at // size for r in held for at in range(r.start - r.start % size, r.stop, size)}
    seen = {
        n
        for n in compared
        if n // in_group in groups
        and any(
            (s.data != flash.erased).any()
            for s in seen_cells(m.suspect.judged, m.chip, AddressRange(n * size, (n + 1) * size))
        )
    }
    return bool(protected) and 2 * len(differing & seen) > len(seen)


def check_provisioning_logs(m: Measured) -> Iterator[Finding]:
    """What do the logs of the provisioning say was written, and what was refused?"""
    logs = (*m.provisioning, m.suspect.log)
    refused = [o for log in logs for o in log.programming.options if o.result == "refused"]
    of_state = [o for o in refused if o.name.upper() in (m.chip.state_option, "RDP", "PRODUCT_STATE")]
    for id, some in (
        ("state-not-changed", of_state),
        ("options-not-modified", [o for o in refused if o not in of_state]),
    ):
        if some:
            yield found(id, text=", ".join(f"{o.name}=0x{o.value:X}" for o in some[:4]))
    writes = [w for log in logs for w in log.programming.writes]
    failed = [w for w in writes if w.failed]
    if failed and (stop := failed[-1].reached) is not None and not writes[-1].complete:
        of = f" of {size_text(failed[-1].size)}" if failed[-1].size else ""
        yield found("write-stopped-at", file=failed[-1].file or "a file", of=of, at=stop)
    elif failed:
        place = f" (first difference at 0x{failed[0].mismatch:08X})" if failed[0].mismatch is not None else ""
        # Where the tool says why it failed, that is the cause, and not what is missing since.
        why = any(e.about in calibration().lists["says-why"] for log in logs for e in log.messages)
        id = "write-failed-in-log" if m.suspect.dump.size or why else "write-failed-nothing-read"
        yield found(id, file=failed[0].file or "a file", place=place)
    boot = m.layouts[0].boot if m.layouts else None
    wrote_boot = any(boot and w.address is not None and boot.range.start == m.chip.canonical(w.address) for w in writes)
    if writes and m.layouts and not wrote_boot and waiting_slots(m.suspect):
        yield found("boot-not-written")


def check_loader(m: Measured) -> Iterator[Finding]:
    """Was the external loader called or silently passed over, and can it be downloaded at all?"""
    signs = [(calibration().ids[name].get(sign.answer.value, ""), sign.text) for name, sign in m.loader]
    told = [found(id, text=text) for id, text in signs if id]
    yield from told
    failed = [w.mismatch for w in m.writes if w.mismatch in EXTERNAL]
    named = any(word in t.text.lower() for t in m.texts for word in calibration().lists["loader"])
    read = (Form.BYTE_ORDER, Form.BYTE_SHIFT, Form.BYTE_LANE)
    there = any(k.in_place or k.difference.of(*read) for k in m.known if k.content.span.start in EXTERNAL)
    if failed and not told and not named and not there:
        yield found("external-write-without-loader", at=failed[0])


_NOT_MAPPED = re.compile(r"map(?:ped)?[ _-]?(?:memory|mode)\W{0,4}[ _-]?fail", re.IGNORECASE)


def check_external_pads(m: Measured) -> Iterator[Finding]:
    """Does the firmware fail to map an external memory whose pads the options leave slow?"""
    names = [s.name for s in m.suspect.options.settings if _PADS.fullmatch(s.name) and s.value == 0]
    said = [
        line.strip()
        for t in m.texts
        for line in t.text.splitlines()
        if _NOT_MAPPED.search(line[: number("line-letters")])
    ]
    if names and said and not options_torn(m):
        yield found("external-memory-not-mapped", text=said[0][:80], names=" and ".join(names))


_PADS = re.compile(r"(?:IO_VDD)?XSPI\d_HSLV", re.IGNORECASE)
"""Options for fast pads of a port of external memory (RM0477: XSPI1_HSLV, XSPI2_HSLV)."""


_CLOSED = re.compile(
    r"LIFECYCLE_\w{0,20}(?:CLOSED|LOCKED)|PRODUCT_STATE\s{0,20}[:=]\s{0,4}0x(?:72|C6|5C)\b|\bRDP\s{0,20}[:=]\s{0,4}0xCC\b",
    re.I,
)
"""How a text says that the board is closed: only then is provisioning's own wing, which is slow to load, asked."""


def check_way_back(m: Measured) -> tuple[Finding, ...]:
    """Can the closed board be opened again, as far as its own texts tell?"""
    texts = [t.text for t in m.suspect.board.texts]
    if not any(map(_CLOSED.search, texts)):
        return ()
    from h5diag.judge.preflight.reopening import LOST, read_access

    answer = read_access(texts)
    if answer is None or answer.state not in ("TZ-CLOSED", "CLOSED", "LOCKED", "RDP 2"):
        return ()
    words = calibration().advice[f"way-{answer.answer}"]
    takes = f" It takes a {answer.takes}." if answer.takes not in ("", "none") else ""
    erases = f" A way back erases {', '.join(answer.erases)}." if answer.erases and answer.answer != LOST else ""
    return (found("way-back", state=answer.state, words=words, takes=takes, erases=erases, why=answer.why[0]),)
