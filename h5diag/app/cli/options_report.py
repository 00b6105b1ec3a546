"""What ``options`` and ``log`` do: files to JSON documents and text. Imported only when one of them runs."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from h5diag.app.cli.command import Result
from h5diag.chip import ChipChoice, KnownBy
from h5diag.errors import InputError
from h5diag.evidence.files import read_text
from h5diag.evidence.texts import Banner, Discovery, Version, chip_of, parse_log, parse_registers
from h5diag.layout import Layout, load_layout
from h5diag.measure.options import (
    Extent,
    OptionBytes,
    OptionCheck,
    OptionDiff,
    check_options,
    compare_options,
    decode_listing,
    explain_log,
    explain_words,
    known_words,
    read_options,
    read_provisioning,
)
from h5diag.measure.options.show import diff_text, log_text, options_text

MOST_BYTES = 8 << 20
"""No text that the tool prints is longer; this much is read in a few seconds."""


def read_tool_text(path: str) -> str:
    """Return the text of a listing or log; InputError when it is no file of text, empty, or too large for one."""
    try:
        size = Path(path).stat().st_size
    except (OSError, ValueError):
        size = 0  # reading it says what is wrong
    if size > MOST_BYTES:
        raise InputError(
            f"is too large for a text of the tool ({size} bytes, {MOST_BYTES >> 20} MiB at most)",
            source=path,
            advice="cut out the part that matters",
        )
    return read_text(path)


def read_board(path: str, chip: str) -> tuple[OptionBytes, ChipChoice]:
    """Return the options in a file, and the chip they were read as; InputError when there are none."""
    text = read_tool_text(path)
    try:
        return read_options(text, chip, path)
    except InputError as error:
        if not error.source or not (banners := parse_log(text).banners):
            raise
        raise InputError(
            "it ends before the options begin: there is a connection's banner and not one option line",
            source=path,
            place=f"after line {banners[-1].line}" if banners[-1].line else "",
            advice="save the whole output of 'STM32_Programmer_CLI ... -ob displ'",
        ) from None


def run_options(arguments: Namespace) -> Result:
    """Explain the option bytes of one board, or of two side by side."""
    paths = [arguments.listing, *([arguments.other] if arguments.other else [])]
    boards = [read_board(path, arguments.chip) for path in paths]
    first, choice = boards[0]
    layout = _layout(arguments.layout, choice)
    checks = check_options(first, layout) if layout else ()
    names = _names(paths)
    document: dict[str, object] = {**_options_document(first, choice), "file": paths[0]}
    if layout:
        document["checks"] = [_check_document(c) for c in checks]
    text = options_text(first, chip=choice.text, checks=checks, source=names[0])
    if len(boards) > 1:
        other, other_choice = boards[1]
        diff = compare_options([first, other], names)
        document["diff"] = _diff_document(diff)
        document["diff_warnings"] = list(diff.warnings)
        second = {**_options_document(other, other_choice), "file": paths[1]}
        checks = check_options(other, layout) if layout else ()
        if layout:
            second["checks"] = [_check_document(c) for c in checks]
        document["other"] = second
        rest = options_text(other, chip=other_choice.text, checks=checks, source=names[1])
        text = f"{diff_text(diff, names)}\n\n{text}\n\n{rest}"
    return Result(document, text)


def _names(paths: list[str]) -> list[str]:
    """Return short names of the files: their own, or their whole path where that is not enough."""
    short = [Path(p).name for p in paths]
    return short if len(set(short)) == len(short) else paths


def _layout(name: str, choice: ChipChoice) -> Layout | None:
    if not name:
        return None
    return load_layout(name, choice.chip if choice.known_by in (KnownBy.GIVEN, KnownBy.DEV_ID) else None)


def _options_document(options: OptionBytes, choice: ChipChoice) -> dict[str, object]:
    return {
        **choice.to_dict(),
        "product_state": options.product_state,
        "tzen": options.trustzone,
        "options": {
            s.name: {
                "value": s.value,
                "text": s.text,
                "meaning": s.sentence,
                "known": s.known,
                "belief": s.belief.value,
                "line": s.line,
            }
            for s in options.settings
        },
        "ranges": {
            kind.replace("-", "_"): None
            if options.extent(kind) is Extent.UNKNOWN
            else [[r.start, r.stop] for r in options.ranges(kind)]
            for kind in ("secure", "hidden", "write-protected", "high-cycle")
        },
        "registers": {r.name: r.value for r in options.registers},
        "warnings": list(options.warnings),
    }


def _check_document(check: OptionCheck) -> dict[str, object]:
    known = check.agreement.value != "not-known"
    return {
        "name": check.name,
        "agreement": check.agreement.value,
        "expected": check.expected,
        "found": check.found if known else None,
        "text": check.text,
    }


def _diff_document(diff: OptionDiff) -> list[dict[str, object]]:
    return [
        {
            "name": d.name,
            "values": list(d.values),
            "meaning": d.meaning,
            "comparable": d.comparable,
            "weight": d.weight.value,
        }
        for d in diff.differences
    ]


def run_log(arguments: Namespace) -> Result:
    """Explain a text of the tool."""
    text = read_tool_text(arguments.file)
    log = parse_log(text)
    loader = _loader_document(text) if log.loader_lines or "flash loader" in text.lower() else None
    choice = chip_of([log], given=arguments.chip)
    chip = choice.read_as
    layout = _layout(arguments.layout, choice)
    words = parse_registers(text)
    remarks = explain_log(log, chip, layout) + explain_words(words, chip)
    options = decode_listing(log.listing, chip)
    provisioning = read_provisioning(log.programming, chip, layout)
    document: dict[str, object] = {
        "kind": log.kind.value,
        **choice.to_dict(),
        "banner": _banner_document(log.banner) if log.banner else None,
        "banners": len(log.banners),
        "discovery": _discovery_document(log.discovery) if log.discovery else None,
        "options": _options_document(options, choice)["options"] if options.settings else {},
        "product_state": _state(options, log.discovery),
        "errors": [asdict(m) for m in log.errors],
        "warnings": [asdict(m) for m in log.messages if m.severity != "error"]
        + [{"text": w} for w in (options.warnings if options.settings else ())],
        "writes": [
            {
                "file": p.write.file,
                "address": p.write.address if p.write.address >= 0 else None,
                "size": p.write.size,
                "slot": str(p.slot or "none"),
                "result": p.step.name.lower().replace("_", "-"),
                "line": p.write.line,
            }
            for p in provisioning.placed
        ],
        "boot_code": provisioning.boot.name.lower().replace("_", "-"),
        "package": provisioning.generation.name.lower(),
        "option_changes": [asdict(o) for o in log.programming.options],
        "rom_sessions": [asdict(s) for s in log.rom_sessions],
        "registers": [{"name": name, "value": value} for name, value in known_words(words, chip)],
        "loader": loader,
        "remarks": [*(r.text for r in remarks), *([str(loader["conclusion"])] if loader else [])],
    }
    if choice.assumed:
        document["chip"] = None  # nothing in a text is read as an assumed chip's
    shown = log_text(log, remarks, chip=choice.text, source=Path(arguments.file).name)
    if loader:
        shown += f"\n\nexternal loader: {loader['conclusion']} (more: h5diag loader explain)"
    return Result(document, shown)


def _loader_document(text: str) -> dict[str, object] | None:
    from h5diag.measure.loader.explain import Story, explain
    from h5diag.measure.loader.vb3 import parse_log as parse_loader_log

    told = explain(parse_loader_log(text))
    if told.story in (Story.NO_LOG, Story.NO_CALL, Story.INTERNAL_ONLY):
        return None
    return {
        "story": told.story.value,
        "downloaded": told.downloaded.value,
        "conclusion": told.conclusion,
        "remarks": list(told.remarks),
    }


def _state(options: OptionBytes, discovery: Discovery) -> str:
    if options.product_state == "unknown" and discovery.lifecycle:
        try:
            return options.chip.state_called(discovery.lifecycle).name
        except KeyError:
            return "unknown"
    return options.product_state


def _banner_document(banner: Banner) -> dict[str, object]:
    out: dict[str, object] = {k: v for k, v in asdict(banner).items() if k not in ("unknown", "notes")}
    return out | {
        "unknown": dict(banner.unknown),
        "notes": list(banner.notes),
        "dev_id": banner.dev_id & 0xFFF if banner.dev_id >= 0 else None,
        "flash_kib": banner.flash_kib or None,
        "voltage_mv": banner.voltage_mv if banner.voltage_mv >= 0 else None,
        "swd_hz": banner.swd_hz or None,
        "versions": {"bl_version": _version(banner.boot_loader), "sfsp_version": _version(banner.sfsp)},
    }


def _version(version: Version) -> dict[str, object]:
    status = "readable" if version.readable else "unreadable" if version.text else "not-printed"
    return {"text": version.text, "status": status, "bytes": list(version.parts), "remark": version.remark}


def _discovery_document(discovery: Discovery) -> dict[str, object]:
    return {
        "fields": [list(pair) for pair in discovery.fields],
        "target_id": discovery.target_id,
        "uid": list(discovery.uid),
        "lifecycle": discovery.lifecycle,
        "vendor": discovery.vendor,
        "integrity": discovery.integrity,
        "integrity_ok": True if discovery.integrity_ok else False if discovery.integrity_bad else None,
        "sda_version": _version(discovery.sda_version),
        "permissions": list(discovery.permissions),
        "failed": discovery.failed,
        "library": discovery.library,
    }
