"""External loaders: what is wrong with a file, what a log proves, what a dry run did."""

from __future__ import annotations

from typing import Any

from h5diag.measure.loader.explain import Downloaded, LoaderStory
from h5diag.measure.loader.vb3 import LoaderCall
from h5diag.show.sheet import Block, Sheet, bullets, section, sheet, table
from h5diag.show.view import View, drawing, picked
from h5diag.sim.dryrun.reading import LoaderReading
from h5diag.sim.dryrun.run import LIMITS, DryRun
from h5diag.text import count_text

MOST_CALLS = 40
_ARGUMENTS = {"Init": 0, "SectorErase": 2, "Write": 3, "Read": 3, "MassErase": 0}
_MEANING = {
    "pass": "pass: it erases, writes and reads correctly on the emulated core",
    "pass-with-assumptions": "pass-with-assumptions: it works on the emulated core, if the following holds",
}


# ------------------------------------------------------------------------------------------------ the file
def _lint_document(r: LoaderReading) -> dict[str, Any]:
    return {
        "findings": [picked(f, "code severity text advice") for f in r.findings],
        "ok": r.ok,
        "family": r.family.name,
        "family_assumed": r.choice.assumed,
        **r.choice.to_dict(),
        "trustzone": r.trustzone,
        "link_address": r.file.link_address,
        "image_size": len(r.file.image),
    }


def _lint_sheet(r: LoaderReading) -> Sheet:
    counts = {word: sum(f.severity.value == word for f in r.findings) for word in ("error", "warning", "note")}
    head = (
        "It will not work"
        if counts["error"]
        else "It may not work"
        if counts["warning"]
        else "Nothing found that would break it"
    )
    found = ", ".join(count_text(n, word) for word, n in counts.items() if n)
    trustzone = "not known" if r.trustzone == "unknown" else r.trustzone
    return sheet(
        f"{head}{': ' + found if found else ''}. Image of 0x{len(r.file.image):X} bytes at "
        f"0x{max(r.file.link_address, 0):08X}, STM32{r.family.name.upper()}{' (assumed)' if r.choice.assumed else ''}, "
        f"TrustZone {trustzone}.",
        *(section(f"{f.code} {f.severity.value}", f.text, f.advice or None) for f in r.findings),
    )


# ------------------------------------------------------------------------------------------------ the log
def _call(c: LoaderCall) -> dict[str, Any]:
    return {
        "line": c.line,
        "function": c.function or None,
        **picked(c, "side arguments sp lr pc msp result xpsr"),
        "exception": c.exception or None,
        "downloaded": c.downloaded,
        "outcome": c.outcome.value,
        **picked(c.download, "base image image_size buffer"),
    }


def _story_document(e: LoaderStory) -> dict[str, Any]:
    return {
        "calls": [_call(c) for c in e.calls],
        "downloaded": {Downloaded.YES: True, Downloaded.NO: False, Downloaded.UNKNOWN: None}[e.downloaded],
        **picked(e, "conclusion remarks story base"),
        "version": e.version or None,
        "family": e.family or None,
        **e.choice.to_dict(needed=False),
        "unknown_lines": e.unknown_lines,
    }


def _call_row(c: LoaderCall) -> tuple[str, ...]:
    arguments = " ".join(f"0x{a:08X}" for a in c.arguments[: _ARGUMENTS.get(c.function, 4)])
    result = c.exception if c.downloaded and c.exception else c.outcome.value
    msp = f"0x{c.msp:08X}" if c.msp is not None else "not shown"
    return str(c.line), c.function or f"0x{c.pc:08X}", arguments, msp, result


def _story_sheet(e: LoaderStory) -> Sheet:
    return sheet(
        e.conclusion,
        section("", bullets(e.remarks)),
        section("Calls", table("line|function|arguments|MSP|result", map(_call_row, e.calls), most=MOST_CALLS)),
    )


# ------------------------------------------------------------------------------------------------ the dry run
def _run_document(run: DryRun) -> dict[str, Any]:
    return {
        **picked(run, "verdict problem assumptions remarks"),
        "limits": list(LIMITS),
        **picked(run, "base base_source stack_used log"),
        **(run.choice.to_dict() if run.choice else {}),
        "calls": [
            picked(c, "function address arguments ending reason result pc place instruction registers")
            for c in run.calls
        ],
    }


def _run_sheet(run: DryRun) -> Sheet:
    rows = (
        (
            c.function,
            " ".join(f"0x{a:08X}" for a in c.arguments),
            c.ending,
            f"0x{c.result:08X}",
            "" if c.ending == "return" else c.place or f"0x{c.pc:08X}",
        )
        for c in run.calls
    )
    last = run.calls[-1] if run.calls and run.calls[-1].ending in ("fault", "hang") else None
    stack = f"Stack used: about {run.stack_used} of 1020 bytes. Base 0x{run.base:08X}: {run.base_source}."
    return sheet(
        f"{_MEANING.get(run.verdict.value, run.verdict.value)}{': ' + run.problem if run.problem else ''}",
        section("Assumed", bullets(run.assumptions)),
        section("Remarks", bullets(run.remarks)),
        section("Calls", table("function|arguments|ends in|R0|where", rows)),
        section("Registers", Block(_registers(last.registers))) if last else None,
        section("", stack if run.stack_used else None),
        section("It does not know", bullets(LIMITS)),
    )


def _registers(values: tuple[int, ...]) -> str:
    names = (*(f"R{i}" for i in range(13)), "SP", "LR", "PC", "xPSR")
    pairs = [f"{n:4} 0x{v:08X}" for n, v in zip(names, values, strict=False)]
    return "\n".join("   ".join(pairs[i : i + 4]) for i in range(0, len(pairs), 4))


_PLAN = drawing("runs.plot_ram_plan", "ram-plan", lambda run: "breakpoint, image, stack and buffer in RAM")

VIEWS = {
    LoaderReading: View(_lint_sheet, _lint_document, None, "findings"),
    LoaderStory: View(_story_sheet, _story_document, None, "calls"),
    DryRun: View(_run_sheet, _run_document, _PLAN, "calls"),
}
