"""Option bytes and logs: for a person, as JSON, as pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from h5diag.evidence.texts import Banner, BootLog, Discovery, FaultDump, LogKind, ToolVersion, printable
from h5diag.measure.logs import LogReading
from h5diag.measure.options import (
    Agreement,
    Belief,
    Extent,
    OptionBytes,
    OptionCheck,
    OptionDiff,
    SideBySide,
    Weight,
    summary,
)
from h5diag.show.sheet import Section, Sheet, Table, bullets, properties, section, sheet, table
from h5diag.show.view import View, drawing, picked

AREAS = ("secure", "hidden", "write-protected", "high-cycle")
MOST_MESSAGES = 40
_MARK = {Weight.DECIDES: "!!", Weight.MATTERS: "!", Weight.MINOR: "", Weight.ARTEFACT: "~", Weight.SAME: "="}
_BELIEF = {Belief.READ: "", Belief.MASKED: "~", Belief.IMPOSSIBLE: "?", Belief.UNNAMED: "+"}
_NOTES = {
    Belief.MASKED: "~ reads zero to this reader, not known",
    Belief.IMPOSSIBLE: "? no value it can have",
    Belief.UNNAMED: "+ unknown name, kept as printed",
}
_WEIGHTS = "!! can explain a different flash picture   ! matters   ~ not comparable: nothing follows from it"


# ------------------------------------------------------------------------------------------------ one board
def board_document(o: OptionBytes) -> dict[str, Any]:
    """Return the options of a board in the terms of ``h5diag options --json``, without the chip's keys."""
    return {
        "product_state": o.product_state,
        "tzen": o.trustzone,
        "options": {
            name: {
                "value": s.number,
                "printed": s.value,
                "text": s.text,
                "meaning": s.sentence,
                **picked(s, "known belief line"),
            }
            for s in o.settings
            for name in dict.fromkeys((s.name, s.printed or s.name))
        },
        "ranges": {
            kind.replace("-", "_"): None
            if o.extent(kind) is Extent.UNKNOWN
            else [[r.start, r.stop] for r in o.ranges(kind)]
            for kind in AREAS
        },
        "registers": {r.name: r.value for r in o.registers},
        "warnings": list(o.warnings),
    }


def _state(o: OptionBytes) -> str:
    state = o.product_state
    return state if state.startswith(o.chip.state_option) else f"{o.chip.state_option} {state}"


def _settings(o: OptionBytes) -> Table:
    rows = ((_BELIEF[s.belief], s.name, value_text(s.value), s.meaning) for s in o.settings)
    return table("|option|value|meaning", rows, most=200)


def _board_sections(o: OptionBytes, checks: Sequence[OptionCheck], title: str = "") -> Iterable[Section | None]:
    return (
        section(title or "What it says", bullets(o.warnings, "!"), bullets(summary(o))),
        _checks(checks),
        section("All options", _settings(o), *[n for b, n in _NOTES.items() if any(s.belief is b for s in o.settings)]),
    )


def _checks(checks: Sequence[OptionCheck]) -> Section | None:
    """Return what the boot loader would say: what differs first, what agrees in one line."""
    if not checks:
        return None
    by = {a: [c for c in checks if c.agreement is a] for a in Agreement}
    bad, old, unknown = by[Agreement.DIFFERS], by[Agreement.OLDER_PACKAGE], by[Agreement.NOT_KNOWN]
    good = by[Agreement.AGREES]
    head = (
        f"The boot loader's start-up check would fail: {len(bad)} of {len(checks)} differ."
        if bad
        else "Set as a package of another age would: its own boot code is needed."
        if old
        else f"Nothing differs from what the boot loader expects, {len(unknown)} not known."
        if unknown
        else "Set as the boot loader expects."
    )
    agreed = [f"as expected: {', '.join(c.name for c in good)}"] if good else []
    states = [c.text for c in good if c.name == "PRODUCT_STATE"]
    return section("The boot loader", head, bullets([*(c.text for c in (*bad, *old, *unknown)), *states, *agreed]))


def _board_sheet(o: OptionBytes) -> Sheet:
    return sheet(_state(o) + ".", *_board_sections(o, ()))


# ------------------------------------------------------------------------------------------------ boards side by side
def _document(s: SideBySide) -> dict[str, Any]:
    boards = []
    for i, (name, o, choice) in enumerate(zip(s.sources or s.names, s.boards, s.choices, strict=True)):
        checks = {"checks": [_check(c) for c in s.checks[i]]} if s.checks else {}
        boards.append({**choice.to_dict(), **board_document(o), "file": name, **checks})
    if len(boards) == 1:
        return boards[0]
    return {**boards[0], "diff": _differences(s.diff), "diff_warnings": list(s.diff.warnings), "other": boards[1]}


def _check(check: OptionCheck) -> dict[str, Any]:
    return {
        **picked(check, "name agreement expected"),
        "found": check.found if check.agreement is not Agreement.NOT_KNOWN else None,
        "text": check.text,
    }


def _differences(diff: OptionDiff) -> list[dict[str, Any]]:
    return [picked(d, "name values meaning comparable weight") for d in diff.differences]


def diff_headline(diff: OptionDiff) -> str:
    """Return how much of two boards' options differs and how much of that means something."""
    deciding = [d for d in diff.differences if d.weight is Weight.DECIDES]
    artefacts = [d for d in diff.differences if d.weight is Weight.ARTEFACT]
    if not diff.differences:
        return "No option differs."
    if not diff.comparable:
        return f"Nothing comparable differs; {len(artefacts)} differences are artefacts of how or when they were read."
    count = len(diff.comparable)
    return (
        f"{count} option{'s differ' if count > 1 else ' differs'}, {len(deciding)} can explain a different flash picture"
        + (f"; {len(artefacts)} more differ only as artefacts." if artefacts else ".")
    )


def differences_table(s: SideBySide) -> Table:
    """Return the options that differ, those that decide first."""
    rows = [(_MARK[d.weight], d.name, *map(value_text, d.values), d.meaning) for d in s.diff.differences]
    decides = frozenset(i for i, d in enumerate(s.diff.differences) if d.weight is Weight.DECIDES)
    return Table(("", "option", *s.names, "what it means"), tuple(rows), marked=decides, most=200)


def _sheet(s: SideBySide) -> Sheet:
    names = s.names
    checks = s.checks or ((),) * len(s.boards)
    chips = (f"Read as {choice.text}" for choice in s.choices)
    if len(s.boards) == 1:
        head = f"{names[0]}: {_state(s.boards[0])}" if names[0] else _state(s.boards[0])
        return sheet(head + ".", section("", *chips), *_board_sections(s.boards[0], checks[0]))
    boards = []
    for name, o, c, chip in zip(names, s.boards, checks, chips, strict=True):
        first, boot, everything = _board_sections(o, c, f"{name}: {_state(o)}")
        boards += [section(f"{name}: {_state(o)}", chip, *(first.parts if first else ())), boot]
        boards += [Section(f"All options of {name}", everything.parts, folded=True)] if everything else []
    return sheet(
        diff_headline(s.diff),
        section("", bullets(s.diff.warnings, "!")),
        section("Options that differ", differences_table(s), _WEIGHTS if s.diff.differences else None),
        *boards,
    )


def value_text(value: int | None) -> str:
    """Return the value of an option: hex, or ``not read``."""
    return "not read" if value is None else f"0x{value:X}"


def areas_words(s: SideBySide) -> str:
    """Return which parts of the flash are protected, in a sentence for each board."""
    out = []
    for name, o in zip(s.names, s.boards, strict=True):
        known = [f"{kind} {', '.join(map(str, o.ranges(kind))) or 'nothing'}" for kind in AREAS if _known(o, kind)]
        out.append(f"{name or 'board'}: {'; '.join(known) or 'nothing is known'}")
    return ". ".join(out) + "."


def _known(o: OptionBytes, kind: str) -> bool:
    return o.extent(kind) is not Extent.UNKNOWN


# ------------------------------------------------------------------------------------------------ logs
def _log_document(r: LogReading) -> dict[str, Any]:
    log, options = r.log, r.options
    return {
        "kind": log.kind.value,
        **r.choice.to_dict(needed=False),
        "banner": _banner(log.banner) if log.banner else None,
        "banners": len(log.banners),
        "discovery": _discovery(log.discovery) if log.discovery else None,
        "options": board_document(options)["options"] if options.settings else {},
        "product_state": r.product_state,
        "errors": [asdict(m) for m in log.complaints if m.severity == "error"],
        "warnings": [asdict(m) for m in log.complaints if m.severity != "error"]
        + [{"text": w} for w in (options.warnings if options.settings else ())],
        "writes": [
            {
                **picked(p.write, "file address size"),
                "slot": str(p.slot or "none"),
                "result": p.step.name.lower().replace("_", "-"),
                "line": p.write.line,
            }
            for p in r.provisioning.placed
        ],
        "boot_code": r.provisioning.boot.name.lower().replace("_", "-"),
        "package": r.provisioning.generation.name.lower(),
        "option_changes": [asdict(o) for o in log.programming.options],
        "rom_sessions": [asdict(s) for s in log.rom_sessions],
        "registers": [{"name": name, "value": value} for name, value in r.words],
        "boot": _boot(log.boot) if log.boot else None,
        "fault": _fault(log.fault) if log.fault else None,
        "tools": [asdict(t) for t in log.tools],
        "install": log.installed,
        "root": log.root,
        "loader": _loader(r),
        "remarks": [*(x.text for x in r.remarks), *([r.loader.conclusion] if r.loader else [])],
    }


def _boot(boot: BootLog) -> dict[str, Any]:
    return {
        "loader": boot.loader,
        "version": boot.version or None,
        "ended": boot.ended or None,
        "starts": boot.starts,
        "events": [
            {
                **picked(e, "line level text meaning"),
                "about": e.about or None,
                "options": list(e.options),
                **dict(e.values),
            }
            for e in boot.events
        ],
    }


def _fault(fault: FaultDump) -> dict[str, Any]:
    return {
        "kind": fault.kind or None,
        "registers": dict(fault.registers),
        **picked(fault, "meanings address pc lr"),
    }


def _loader(r: LogReading) -> dict[str, Any] | None:
    return r.loader if r.loader is None else picked(r.loader, "story downloaded conclusion remarks")


def _banner(banner: Banner) -> dict[str, Any]:
    out: dict[str, Any] = {k: v for k, v in asdict(banner).items() if k not in ("unknown", "notes")}
    return out | {
        "unknown": dict(banner.unknown),
        "notes": list(banner.notes),
        "dev_id": None if banner.dev_id is None else banner.dev_id & 0xFFF,
        **picked(banner, "flash_kib voltage_mv swd_hz"),
        "versions": {"bl_version": _version(banner.boot_loader), "sfsp_version": _version(banner.sfsp)},
    }


def _version(version: ToolVersion) -> dict[str, Any]:
    status = "readable" if version.readable else "unreadable" if version.text else "not-printed"
    return {"text": version.text, "status": status, "bytes": list(version.parts), "remark": version.remark}


def _discovery(discovery: Discovery) -> dict[str, Any]:
    return {
        "fields": [list(pair) for pair in discovery.fields],
        **picked(discovery, "target_id uid lifecycle vendor integrity"),
        "integrity_ok": True if discovery.integrity_ok else False if discovery.integrity_bad else None,
        "sda_version": _version(discovery.sda_version),
        **picked(discovery, "permissions failed library"),
    }


def _log_sheet(r: LogReading) -> Sheet:
    log, name = r.log, Path(r.source).name
    # Of another tool its name says more than the word of its kind.
    what = next((t.tool for t in log.tools if t.kind == log.kind.value), log.kind.value)
    head = f"{name}: {what}" if name else what
    if log.kind is LogKind.UNKNOWN and not r.remarks:
        return sheet(f"{head}: nothing in it is known as text of a programmer, a debugger or a boot loader.")
    b = log.banner
    several = f" ({len(log.banners)} in the text, the fullest)" if len(log.banners) > 1 else ""
    pairs = [
        ("tool", b.tool),
        ("probe", f"{b.probe_firmware} {b.probe_serial}".strip()),
        ("board", b.board),
        ("voltage", b.voltage),
        ("speed", b.swd_frequency),
        ("connect mode", b.connect_mode),
        ("reset mode", b.reset_mode),
        ("device id", b.device_id),
        ("revision", b.revision),
        ("device name", b.device_name),
        ("flash size", b.flash_size),
        ("boot loader", b.bl_version),
        ("SFSP", b.sfsp_version),
        *b.unknown,
    ]
    remarks = [x.text + (" [hint]" if x.hint else "") for x in r.remarks] or (
        [] if log.complaints else ["nothing odd in it"]
    )
    messages = ((str(m.line), m.severity, printable(m.text, 120), m.meaning) for m in log.complaints)
    return sheet(
        head + ".",
        section("", f"Chip: {r.choice.text}" if not r.choice.assumed else None, bullets(remarks)),
        section("External loader", r.loader.conclusion, "More: h5diag loader explain") if r.loader else None,
        section("Errors and warnings", table("line|kind|text|meaning", messages, most=MOST_MESSAGES)),
        section(f"Connection{several}", properties((printable(k, 24), printable(v, 80)) for k, v in pairs))
        if b
        else None,
        section("Discovery", properties((printable(k, 36), printable(v, 60)) for k, v in log.discovery.fields)),
        section("Option bytes", f"{len(log.listing.fields)} found, see 'h5diag options'") if log.listing else None,
    )


_AREAS = drawing("slots.plot_areas", "options", areas_words, lambda s: tuple(zip(s.names, s.boards, strict=True)))

VIEWS = {
    OptionBytes: View(_board_sheet, board_document, None, "options"),
    SideBySide: View(_sheet, _document, _AREAS, "options"),
    LogReading: View(_log_sheet, _log_document, None, "errors"),
}
