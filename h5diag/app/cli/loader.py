"""``h5diag loader``: lint an external loader, explain a verbosity-3 log, run a loader dry."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from h5diag.app.cli.command import Command, Result, wrapped
from h5diag.show import printing

if TYPE_CHECKING:
    from h5diag.measure.loader.placement import Family
    from h5diag.measure.loader.vb3 import LoaderCall, LoaderLog
    from h5diag.sim.dryrun.run import DryRun


def _chip_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--chip",
        metavar="NAME",
        default="",
        help="the chip or its family: h563, l5, u5, stm32u575zi; default: taken from the log",
    )
    parser.add_argument("--tz", choices=("on", "off"), default="unknown", help="whether TrustZone is on (TZEN)")


def _lint_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the loader: .stldr or .elf")
    _chip_arguments(parser)
    parser.add_argument("--log", metavar="FILE", help="your verbosity-3 log: the base it shows wins over the table")
    parser.add_argument("--tool-version", metavar="V", default="", help="STM32CubeProgrammer's version: 2.17.0")


def _explain_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("log", metavar="LOG", help="what STM32_Programmer_CLI -vb 3 printed, or the graphical log")
    parser.add_argument("--elf", metavar="FILE", help="the loader, to name its functions and check its address")
    _chip_arguments(parser)


def _run_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the loader: .stldr or .elf")
    _chip_arguments(parser)
    parser.add_argument("--log", metavar="FILE", help="your verbosity-3 log: its base is used")
    parser.add_argument("--trace", metavar="OUT", help="write the run as a verbosity-3 log, to lay beside yours")


def _lint(options: Namespace) -> Result:
    from h5diag.measure.loader.elf import read_loader
    from h5diag.measure.loader.lint import lint, sound
    from h5diag.measure.loader.vb3 import read_log

    loader = read_loader(options.file)
    log = read_log(options.log) if options.log else None
    family = _family(options, log)
    findings = lint(loader, family, trustzone=options.tz, version=options.tool_version, log=log)
    ok = sound(findings)
    document = {
        "findings": [
            {"code": f.code, "severity": f.severity.value, "text": f.text, "advice": f.advice} for f in findings
        ],
        "ok": ok,
        "family": family.name,
        "trustzone": options.tz,
        "link_address": loader.link_address,
        "image_size": len(loader.image),
    }
    counts = {word: sum(f.severity.value == word for f in findings) for word in ("error", "warning", "note")}
    head = (
        "It will not work"
        if counts["error"]
        else "It may not work"
        if counts["warning"]
        else "Nothing found that would break it"
    )
    trustzone = "not told" if options.tz == "unknown" else options.tz
    told = ", ".join(f"{n} {word}{'s' if n != 1 else ''}" for word, n in counts.items() if n)
    lines = [
        f"{head}{': ' + told if told else ''}. Image of 0x{len(loader.image):X} bytes at "
        f"0x{max(loader.link_address, 0):08X}, STM32{family.name.upper()}, TrustZone {trustzone}."
    ]
    for f in findings:
        lines += ["", wrapped(f.text, f"{f.code} {f.severity.value:8} ", " " * 14), wrapped(f.advice, " " * 14)]
    return Result(document, "\n".join(lines))


def _explain(options: Namespace) -> Result:
    from h5diag.measure.loader.elf import read_loader
    from h5diag.measure.loader.explain import Downloaded, explain
    from h5diag.measure.loader.placement import family
    from h5diag.measure.loader.vb3 import read_log

    log = read_log(options.log)
    loader = read_loader(options.elf) if options.elf else None
    told = explain(log, loader, family=family(options.chip).name if options.chip else "", trustzone=options.tz)
    document = {
        "calls": [_call(c) for c in told.calls],
        "downloaded": {Downloaded.YES: True, Downloaded.NO: False, Downloaded.UNKNOWN: None}[told.downloaded],
        "conclusion": told.conclusion,
        "remarks": list(told.remarks),
        "story": told.story.value,
        "base": None if told.base < 0 else told.base,
        "version": told.version or None,
        "family": told.family or None,
        "unknown_lines": len(log.events) - log.recognised,
    }
    lines = [wrapped(told.conclusion), *(wrapped(r, "  - ", " " * 4) for r in told.remarks)]
    if told.calls:
        lines += ["", "line   function     arguments                         MSP         result"]
        lines += [_call_line(c) for c in told.calls[:40]]
        if told.calls[40:]:
            lines.append(f"... and {len(told.calls) - 40} more")
    return Result(document, "\n".join(lines))


def _call(c: LoaderCall) -> dict[str, object]:
    def known(value: int) -> int | None:
        return None if value < 0 else value

    return {
        "line": c.line,
        "function": c.function or None,
        "side": c.side.value,
        "arguments": list(c.arguments),
        "sp": known(c.sp),
        "lr": known(c.lr),
        "pc": c.pc,
        "msp": known(c.msp),
        "result": known(c.result),
        "xpsr": known(c.xpsr),
        "exception": c.exception or None,
        "downloaded": c.downloaded,
        "outcome": c.outcome.value,
        "base": known(c.download.base),
        "image": known(c.download.image),
        "image_size": c.download.image_size,
        "buffer": known(c.download.buffer),
    }


def _call_line(c: LoaderCall) -> str:
    taken = {"Init": 0, "SectorErase": 2, "Write": 3, "Read": 3, "MassErase": 0}.get(c.function, 4)
    arguments = " ".join(f"0x{a:08X}" for a in c.arguments[:taken])
    msp = f"0x{c.msp:08X}" if c.msp >= 0 else "not shown"
    result = c.exception if c.downloaded and c.exception else c.outcome.value
    return f"{c.line:<6} {c.function or f'0x{c.pc:08X}':12} {arguments:33} {msp:11} {result}"


def _run(options: Namespace) -> Result:
    from h5diag.errors import InputError
    from h5diag.measure.loader.elf import read_loader
    from h5diag.measure.loader.vb3 import read_log
    from h5diag.sim.dryrun.run import LIMITS, dry_run, trace

    loader = read_loader(options.file)
    log = read_log(options.log) if options.log else None
    family = _family(options, log)
    run = dry_run(loader, family, trustzone=options.tz, log=log)
    text = trace(run, loader, family)
    if options.trace:
        try:
            Path(options.trace).write_text(text, "utf-8")
        except OSError as error:
            raise InputError(f"cannot be written ({error.strerror or error})", source=options.trace) from None
    document = {
        "verdict": run.verdict.value,
        "problem": run.problem,
        "assumptions": list(run.assumptions),
        "remarks": list(run.remarks),
        "limits": list(LIMITS),
        "base": run.base,
        "base_source": run.base_source,
        "stack_used": run.stack_used,
        "log": text,
        "calls": [
            {
                "function": c.function,
                "address": c.address,
                "arguments": list(c.arguments),
                "ending": c.ending,
                "reason": c.reason,
                "result": c.result,
                "pc": c.pc,
                "place": c.place,
                "instruction": c.instruction,
                "registers": list(c.registers),
            }
            for c in run.calls
        ],
    }
    return Result(document, _run_text(run, LIMITS))


def _run_text(run: DryRun, limits: tuple[str, ...]) -> str:
    meaning = {
        "pass": "pass: it erases, writes and reads correctly on the emulated core",
        "pass-with-assumptions": "pass-with-assumptions: it works on the emulated core, if the following holds",
        "fault": "fault",
        "hang": "hang",
        "not-downloaded": "not-downloaded",
    }[run.verdict.value]
    lines = [wrapped(f"{meaning}{': ' + run.problem if run.problem else ''}")]
    lines += [wrapped(a, "  assumed: ", " " * 4) for a in run.assumptions]
    lines += [wrapped(r, "  ", " " * 4) for r in run.remarks]
    lines += ["", "function     arguments                         ends in   R0          where"]
    for c in run.calls:
        arguments = " ".join(f"0x{a:08X}" for a in c.arguments)
        lines.append(
            f"{c.function:12} {arguments:33} {c.ending:9} 0x{c.result:08X}  "
            f"{'' if c.ending == 'return' else c.place or f'0x{c.pc:08X}'}".rstrip()
        )
    if run.calls and run.calls[-1].ending in ("fault", "hang"):
        lines += ["", *_registers(run.calls[-1].registers)]
    if run.stack_used:
        lines += ["", f"Stack used: about {run.stack_used} of 1020 bytes. Base 0x{run.base:08X}: {run.base_source}."]
    lines += ["", "It does not know:", *(f"  - {text}" for text in limits)]
    return "\n".join(lines)


def _registers(values: tuple[int, ...]) -> list[str]:
    names = (*(f"R{i}" for i in range(13)), "SP", "LR", "PC", "xPSR")
    pairs = [f"{n:4} 0x{v:08X}" for n, v in zip(names, values, strict=False)]
    return ["  " + "   ".join(pairs[i : i + 4]) for i in range(0, len(pairs), 4)]


def _family(options: Namespace, log: LoaderLog | None) -> Family:
    from h5diag.chip import DEFAULT_CHIP
    from h5diag.measure.loader.explain import explain
    from h5diag.measure.loader.placement import family

    if options.chip:
        return family(options.chip)
    told = explain(log).family if log is not None else ""
    if not told:
        printing.remark(f"h5diag loader: no chip was named; {DEFAULT_CHIP} is assumed (say --chip)")
    return family(told or DEFAULT_CHIP)


COMMANDS = (
    Command(
        "loader",
        "external loaders: lint the file, explain the log, run it dry",
        commands=(
            Command(
                "lint",
                "check an external loader's ELF file",
                _lint_arguments,
                _lint,
                examples=("h5diag loader lint my.stldr --chip h5 --tz on",),
            ),
            Command(
                "explain",
                "say in plain words what a verbosity-3 log shows",
                _explain_arguments,
                _explain,
                examples=("h5diag loader explain vb3.txt --elf my.stldr",),
            ),
            Command(
                "run",
                "run a loader on an emulated core (needs the extra 'dryrun')",
                _run_arguments,
                _run,
                examples=("h5diag loader run my.stldr --chip l5 --tz on --trace mine.txt",),
            ),
        ),
    ),
)
