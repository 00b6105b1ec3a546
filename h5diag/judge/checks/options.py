"""Checks of option bytes, write protection and what the provisioning logs say."""

from __future__ import annotations

import re
from collections.abc import Sequence

from h5diag.judge.checks.slots import waiting_slots
from h5diag.judge.facts import Measured
from h5diag.judge.verdict import Direction, Finding
from h5diag.measure.options import Agreement, OptionCheck, Weight, check_options, compare_options
from h5diag.memory import AddressRange, subtracted
from h5diag.text import count_text, ranges_text


def check_provisioned_options(m: Measured) -> tuple[Finding, ...]:
    """Are the option bytes those that the boot loader demands?"""
    if not m.layouts or not m.suspect.options.settings:
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
            Finding(
                "options-differ-from-provisioning",
                f"{count_text(len(wrong), 'option')} differ from what the boot"
                f" loader's start-up check demands: {'; '.join(c.text for c in wrong[:3])}.",
                limits=limits,
                direction=Direction.AGAINST,
            ),
        )
    agree = [c for c in results if c.agreement in (Agreement.AGREES, Agreement.OLDER_PACKAGE)]
    if not agree:
        return (
            Finding(
                "options-cannot-be-judged",
                "None of the options that the boot loader demands could be read.",
                hint=True,
                limits=limits,
            ),
        )
    return (
        Finding(
            "options-as-provisioned",
            f"All {len(agree)} options that could be read are what the boot loader's start-up check demands.",
            limits=limits,
        ),
    )


def _older_package(m: Measured, results: Sequence[OptionCheck]) -> bool:
    """Tell whether values of the vendor's first package are legitimate here: all of them together, or none."""
    version = re.match(r"v?(\d+)\.(\d+)", m.case.package)
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
        return (
            Finding(
                "options-equal", "The option bytes of both boards agree in everything that matters and can be compared."
            ),
        )
    # The life cycle and the swap of the banks have checks of their own.
    decides = [d.name for d in telling if d.name not in (m.chip.state_option, "SWAP_BANK")]
    unknown = bool(decides) and not m.layouts
    return (
        Finding(
            "options-differ",
            f"{count_text(len(telling), 'option')} differ between the boards:"
            f" {'; '.join(d.meaning for d in telling[:3])}.",
            hint=True,
            asks="give-layout",
            open_point=f"{', '.join(decides)} differ, and without the boot loader's layout nothing says which"
            " board is right"
            if unknown
            else "",
        ),
    )


def check_write_protection(m: Measured) -> tuple[Finding, ...]:
    """Do differences sit exactly in write-protected groups?"""
    if not m.suspect.options.settings:
        return ()
    protected = m.suspect.options.wrp_ranges
    if not protected:
        return (Finding("no-write-protection", "No sector is write-protected."),)
    if not m.comparison.compared_bytes and not m.known:
        return ()
    different = [a.range for a in m.comparison.counted]
    different += [a.range for k in m.known for a in k.comparison.counted]
    boot = [s.range for lay in m.layouts for s in lay.slots if s.role.value == "boot"]
    # What is smaller than a quad-word's worth of sectors is fill, and has a check of its own.
    cells = tuple(c for c in subtracted(m.canonical(different), boot) if c.size > m.chip.flash.program_unit)
    if not cells:
        return (
            Finding(
                "write-protection-elsewhere",
                f"Write protection covers {ranges_text(protected)}, where nothing differs.",
            ),
        )
    inside = [c for c in cells if any(p.covers(c) for p in protected)]
    held = m.suspect.options.value("PRODUCT_STATE")
    if len(inside) == len(cells) and _fills_groups(m, protected, cells):
        return (
            Finding(
                "write-protection-matches",
                f"Everything that differs lies in write-protected groups of sectors"
                f" ({ranges_text(protected)}): they kept their old content because erase and program are refused"
                " there.",
                where=tuple(cells),
                direction=Direction.AGAINST,
                explains=tuple(cells),
                limits="" if held else "The state at the time of programming is not known.",
            ),
        )
    return (
        Finding(
            "write-protection-elsewhere",
            f"Write protection covers {ranges_text(protected)}, but other places differ as well.",
        ),
    )


def _fills_groups(m: Measured, protected: tuple[AddressRange, ...], cells: tuple[AddressRange, ...]) -> bool:
    """Tell whether nothing of what was compared differs outside, and the protected part differs for a good part."""
    differing = sum(c.size for c in cells)
    seen = [a.range for a in m.comparison.areas] or [a.range for k in m.known for a in k.comparison.areas]
    covered = sum(c.intersection(p).size for c in m.canonical(seen) for p in protected)
    return covered > 0 and differing >= covered // 8


def check_provisioning_logs(m: Measured) -> tuple[Finding, ...]:
    """What do the logs of the provisioning say was written, and what was refused?"""
    logs = (*m.provisioning, m.suspect.log)
    out = []
    refused = [o for log in logs for o in log.programming.options if o.result == "refused"]
    if refused:
        names = ", ".join(f"{o.name}=0x{o.value:X}" for o in refused[:4])
        out.append(
            Finding(
                "options-not-modified",
                f"The log says that options did not take their value: {names}.",
                direction=Direction.AGAINST,
            )
        )
    writes = [w for log in m.provisioning for w in log.programming.writes]
    failed = [w for w in writes if w.failed]
    if failed:
        out.append(
            Finding(
                "write-failed-in-log",
                f"The log says that writing {failed[0].file} failed"
                + (f" (first difference at 0x{failed[0].mismatch:08X})." if failed[0].mismatch >= 0 else "."),
                open_point=f"writing {failed[0].file} failed in the log",
            )
        )
    if writes and m.layouts:
        boot = [s.range for s in m.layouts[0].slots if s.role.value == "boot"]
        wrote_boot = any(b.start == m.chip.canonical(w.address) for w in writes for b in boot if w.address >= 0)
        if not wrote_boot and waiting_slots(m.suspect):
            out.append(
                Finding(
                    "boot-not-written",
                    "The provisioning log shows no write of the boot loader: without it nothing can be installed.",
                    direction=Direction.AGAINST,
                )
            )
    return tuple(out)
