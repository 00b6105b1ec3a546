"""What a probe read, for a person: the identity of a chip and the result of a flash test, the answer first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from h5diag.case.results import FlashTest, Identity, SpeedPoint, Sweep, to_document
from h5diag.chip import Chip, ChipChoice, KnownBy, choose_chip
from h5diag.memory import merged
from h5diag.probe.acquire.plan import Dump
from h5diag.show.sheet import Section, Sheet, Strip, bullets, properties, section, sheet, table
from h5diag.show.spans import spans_of, strip_svg
from h5diag.show.view import View, picked
from h5diag.text import count_text, size_text

if TYPE_CHECKING:
    from h5diag.probe.flashtest import Restored
    from h5diag.probe.selfcheck import SelfCheckRow

_MOST_FAULTS = 20
_MAJORITY = "Where reads disagree the majority stands in the file; try a lower speed, or a sweep."


def _choice(who: Identity) -> ChipChoice:
    """Return the chip that answers: the one given where it is that, else the one of its identity."""
    return choose_chip(given=(who.chip or "") if who.chip_known_by == KnownBy.GIVEN.value else "", identity=who)


def _identity_sheet(who: Identity) -> Sheet:
    """Return who a chip says it is, over which link, and where its core is."""
    choice = _choice(who)
    level, core = who.registers.get("hdpl"), who.core
    supply = f"{who.supply_mv} mV" if who.supply_mv is not None else "not measured"
    rows = [
        *([("chip", choice.text)] if who.chip else []),
        ("UID", who.uid or "not readable"),
        ("product state", f"{who.product_state_text or 'not known'}, TrustZone {who.trustzone or 'not known'}"),
        ("read", f"{who.access}, {who.connect}, {speed_text(who.swd_hz, who.swd_asked_hz)}"),
        ("probe", f"{who.probe}, firmware {who.probe_firmware or 'not known'}, supply of the target {supply}"),
    ]
    if core is not None:
        vtor = "not readable" if core.vtor is None else f"0x{core.vtor:08X}"
        rows += [
            ("core", f"{core.state}, vector table {vtor}, HDP level {'not known' if level is None else level}"),
            ("is at", "; ".join(core.places) or "no samples"),
            ("reset by", ", ".join(core.resets) or "no flag set"),
            ("fault registers", ", ".join(f"{n} 0x{v:08X}" for n, v in core.faults.items())),
        ]
    for name, value in who.registers.items():
        if name in ("ecccorr", "eccdetr", "eccr", "opsr", "sfsp_version"):
            seen = (
                "not readable" if value is None else f"0x{value:08X}{_flash_error(choice.read_as, name.upper(), value)}"
            )
            rows.append((name.upper(), seen))
    options = (
        (name, "not known" if o.value is None else f"0x{o.value:X}", o.meaning) for name, o in who.options.items()
    )
    return sheet(
        _headline(who),
        section("", properties(rows)),
        section("Options", table("option|value|meaning", options, most=200)),
        section("Known limits", bullets(who.errata)),
        section("Remarks", bullets((*who.remarks, *(core.remarks if core is not None else ())))),
    )


def _identity_document(who: Identity) -> dict[str, Any]:
    return to_document(who) | _choice(who).to_dict() | {"chip": who.chip}


def _headline(who: Identity) -> str:
    size = f"{who.flash_kib} KiB flash" if who.flash_kib is not None else "flash size not known"
    dev_id = "not readable" if who.dev_id is None else f"0x{who.dev_id:03X}"
    rev_id = "not readable" if who.rev_id is None else f"0x{who.rev_id:04X}"
    parts = [who.chip or "no chip that was asked for", f"DEV_ID {dev_id}", f"revision {who.revision or '?'} ({rev_id})"]
    return ", ".join([*parts, size, who.package or "package not known"])


def speed_text(true_hz: int | None, asked_hz: int | None) -> str:
    """Return a link speed: the true one, and the one asked for where it is another or the only one known."""
    if true_hz is None:
        return "speed not known" if asked_hz is None else f"{asked_hz / 1e6:g} MHz asked for"
    asked = f" ({asked_hz / 1e6:g} asked for)" if asked_hz not in (None, true_hz) else ""
    return f"{true_hz / 1e6:g} MHz{asked}"


def _flash_error(chip: Chip, name: str, value: int) -> str:
    if all(r.name != name for r in chip.registers):
        return ""
    if name == "OPSR" and value:
        cut = chip.interruption(value)
        return f"  a reset cut a {cut.operation} at 0x{cut.address:08X}"
    if name.startswith("ECC") and chip.ecc_location(name, value).size:
        place = chip.ecc_location(name, value)
        return f"  {place.kind.value} error at 0x{place.address:08X}"
    return ""


def flash_test_sheet(result: FlashTest) -> Sheet:
    """Return the result of a flash test, the answer first."""
    if result.erase_cycles == 0:
        back = "Nothing was erased."
    elif result.outside:
        back = "THE FLASH CHANGED OUTSIDE OF THE TESTED RANGE, see the remark; inside the contents are back."
    elif result.restored:
        back = "The contents are back and verified."
    elif result.restored is None:
        back = "Whether the contents are back is not known."
    else:
        back = (
            f"THE CONTENTS ARE NOT ALL BACK: {result.folder or 'its folder'} keeps them, put them back with --restore."
        )
    sectors = ((f"0x{s.start:08X}", s.verdict, s.reason) for s in result.sectors if s.verdict != "good")
    faults = (
        (f.kind, f"0x{f.address:08X}", "" if f.bit is None else str(f.bit), f.detail, str(f.rounds))
        for f in result.faults
    )
    c, rated = result.conditions, "not known" if result.rated_cycles is None else result.rated_cycles
    speeds = ", ".join(f"{hz / 1e6:g}" for hz in c.swd_hz) or "-"
    path = {
        None: "none",
        "core-checksum": "the core's own checksums",
        "burst": "other bursts",
        "single-word": "words alone",
    }
    return sheet(
        result.headline,
        section("", back),
        section("Sectors that are not good", table("sector|verdict|why", sectors)),
        section("Faults", table("kind|address|bit|what was seen|rounds", faults, most=_MOST_FAULTS)),
        section(
            "Conditions",
            properties(
                (
                    (
                        "level",
                        f"{result.level}, {_counted(c.rounds, 'round')} at {speeds} MHz,"
                        f" {_counted(c.power_cycles, 'power cycle')}",
                    ),
                    ("supply", f"{c.voltage_mv} mV" if c.voltage_mv is not None else "not measured"),
                    ("sectors of", size_text(result.sector_size) if result.sector_size else "not known"),
                    ("second reading", path.get(c.second_path) or str(c.second_path)),
                    (
                        "wear",
                        f"{_counted(result.erase_cycles, 'erase cycle')} of each sector; rated for {rated}",
                    ),
                )
            ),
        ),
        section("Remarks", bullets(result.remarks)),
    )


def plan_sheet(headline: str, pairs: Iterable[tuple[str, str]]) -> Sheet:
    """Return what a dump or a flash test is going to do, cost and lose."""
    return sheet(headline, section("", properties(pairs)))


def restored_sheet(done: Restored, *, begun: bool) -> Sheet:
    """Return what putting the contents back did; `begun` when the folder held any."""
    if not begun:
        return sheet("there is no backup in this folder: nothing was erased, nothing is to be put back")
    head = f"the contents are back: {count_text(done.sectors, 'sector')} compared, {len(done.written)} written again"
    if not done.ok:
        head = f"{count_text(len(done.failed), 'sector')} do not take their contents back; the folder keeps them"
    return sheet(
        head,
        section("Not back", bullets(f"0x{a:08X}" for a in done.failed)),
        section("Remarks", bullets(done.remarks)),
    )


def selfcheck_sheet(rows: tuple[SelfCheckRow, ...], record: str = "") -> Sheet:
    """Return the table of assumptions, those that do not hold first; `record` names the recording that was made."""
    wrong, unknown = sum(r.agrees is False for r in rows), sum(r.agrees is None for r in rows)
    head = f"{len(rows) - wrong - unknown} of {count_text(len(rows), 'assumption')} hold"
    head += f", {wrong} do not" if wrong else ""
    head += f", {unknown} cannot be told here" if unknown else ""
    sign = {True: "holds", False: "NO", None: "?"}
    lines = ((sign[r.agrees], r.id, r.expected, r.seen) for r in sorted(rows, key=lambda r: r.agrees is not False))
    return sheet(
        head,
        section("", table("|line|expected|seen", lines, most=len(rows))),
        section("Recording", f"{record}: redacted, replay it with --probe replay:{record}" if record else ""),
    )


def _plot_flash_test(result: FlashTest, kind: str = "sectors", **options: Any) -> Any:
    from h5diag.show.plots import picture
    from h5diag.show.plots.flashtest import plot_fault_bits, plot_sectors

    draw = plot_fault_bits if kind == "bits" else plot_sectors
    return picture(draw(result, **options), name=f"flash-{kind}", alt=result.headline)


# ------------------------------------------------------------------------------------------------ dumps
def dump_document(done: Dump) -> dict[str, Any]:
    """Return a finished dump in the terms of ``h5diag dump --json``."""
    image, origin = done.image, done.image.origin
    tried = merged((*image.ranges, *image.unreadable))
    return {
        "bytes": image.size,
        "unreadable": [[r.start, r.stop] for r in image.unreadable],
        "unstable": [[r.start, r.stop] for r in image.unstable],
        "passes": done.passes,
        "sha256": done.sha256,
        "range": [tried[0].start, tried[-1].stop] if tried else [0, 0],
        "path": str(done.path) if done.path is not None else None,
        "map": f"{done.path}.map.json" if done.path is not None else None,
        "access": origin.access.value,
        "chip": origin.chip,
        **picked(done, "chip_known_by retried uid"),
        "mode": origin.mode,
        "time": origin.time,
        "swd_hz": done.swd_hz,
        "agrees": done.wording,
        "expected_coincidence": done.coincidence,
        "remarks": list(origin.remarks),
        **(to_document(Sweep(done.sweep)) if done.sweep else {}),
    }


def _dump_sheet(done: Dump) -> Sheet:
    image, origin = done.image, done.image.origin
    chance = f"{done.coincidence:.2g} blocks of 1 KiB may be wrong alike in every pass" if done.coincidence else ""
    return sheet(
        done.wording,
        section("", Strip(strip_svg([spans_of(image)]), done.wording), only="html") if image.size else None,
        section("", f"Read {count_text(done.passes, 'time')}, each time in other bursts."),
        *(
            section(f"{size_text(sum(r.size for r in ranges))} {word}", bullets(map(str, ranges[:20])), more)
            for ranges, word in ((image.unreadable, "unreadable"), (image.unstable, "unstable"))
            for more in [f"and {len(ranges) - 20} more" if len(ranges) > 20 else None]
        ),
        section("", _MAJORITY if image.unstable else None),
        section(
            "How it was read",
            properties(
                (
                    ("file", str(done.path) if done.path is not None else ""),
                    ("read", f"{origin.access.value}, {origin.mode or 'mode not known'}, {done.swd_hz / 1e6:g} MHz"),
                    ("chip", f"{origin.chip or 'not known'} {done.uid or 'no UID'}"),
                    ("chance", chance),
                    ("sha256", done.sha256 or ("" if done.path is None else "none: nothing could be read")),
                )
            ),
        ),
        _by_speed(done.sweep),
        section("Remarks", bullets(r for r in origin.remarks if " = 0x" not in r and r != done.wording)),
    )


def _counted(count: int | None, what: str) -> str:
    return f"{what}s not known" if count is None else count_text(count, what)


def _sweep_sheet(s: Sweep) -> Sheet:
    bad, speeds = sum(bool(p.disagreeing) for p in s.sweep), count_text(len(s.sweep), "speed")
    head = f"Reads disagree at {bad} of {speeds}." if bad else f"Reads agree at every one of {speeds}."
    return sheet(head, _by_speed(s.sweep))


def _by_speed(points: Iterable[SpeedPoint]) -> Section | None:
    rows = ((f"{p.swd_hz / 1e6:g} MHz", str(p.disagreeing), str(p.bytes)) for p in points)
    return section("By link speed", table("speed|bytes that disagree|of", rows))


VIEWS = {
    Identity: View(_identity_sheet, _identity_document, None, "options"),
    FlashTest: View(flash_test_sheet, to_document, _plot_flash_test, "sectors"),
    Dump: View(_dump_sheet, dump_document, lambda done, **options: done.image.plot(**options)),
    Sweep: View(_sweep_sheet, to_document, None, "sweep"),
}
