"""A dry run of an external loader: its verdict and calls, and the same told in the programmer's own format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import PurePath
from typing import Any

from h5diag.answer import Answer
from h5diag.chip import ChipChoice
from h5diag.measure.loader.explain import log_base, log_version
from h5diag.measure.loader.lint import LintFinding, Severity, lint
from h5diag.measure.loader.loaderfile import LoaderFile
from h5diag.measure.loader.placement import BUFFER_SIZE, Base, Family, RamPlan, bases, ram_plan, windows
from h5diag.measure.loader.thumb import instruction_at
from h5diag.measure.loader.vb3 import DRY_RUN_MARK, LoaderLog
from h5diag.sim.dryrun.process import ask, profile, request_for, require_emulator

LIMITS = (
    "whether an access would be refused for its secure or non-secure attribute (TrustZone, GTZC, SAU)",
    "whether the pins, the clocks and the supply of your board are right",
    "timing, dummy cycles, lanes and double data rate of the memory",
    "unaligned accesses that a real Cortex-M33 would refuse",
)
"""What a dry run cannot know, each completing the sentence 'It does not know ...'."""


class RunVerdict(Enum):
    """The outcome of a dry run."""

    PASS = "pass"
    PASS_WITH_ASSUMPTIONS = "pass-with-assumptions"
    FAULT = "fault"
    HANG = "hang"
    NOT_DOWNLOADED = "not-downloaded"


@dataclass(frozen=True, slots=True)
class DryCall:
    """One call on the emulated core.

    `ending` is ``return``, ``fault``, ``hang`` or ``not-run``; `result` is R0; `registers` are R0 to R12, SP, LR, PC
    and xPSR at the end; `place` is the function that holds the PC at the end, as ``Name+0x12``, and `instruction` what
    stands there, in assembler.
    """

    function: str
    address: int
    arguments: tuple[int, ...]
    ending: str
    reason: str
    result: int
    pc: int
    registers: tuple[int, ...]
    place: str = ""
    instruction: str = ""


@dataclass(frozen=True, slots=True)
class DryRun(Answer):
    """What a dry run showed. `problem` is empty for a pass; `assumptions` say what a pass rests on.

    `base` is the base it was run at, `base_source` where that comes from, `stack_used` the deepest stack in bytes,
    `log` the run in the programmer's own words, `choice` the chip that it was run for.
    """

    verdict: RunVerdict
    problem: str
    calls: tuple[DryCall, ...]
    assumptions: tuple[str, ...]
    remarks: tuple[str, ...]
    base: int
    base_source: str
    image_size: int
    stack_used: int
    first_word: int = 0
    log: str = ""
    choice: ChipChoice | None = None


def dry_run(
    loader: LoaderFile,
    family: Family,
    *,
    trustzone: str = "unknown",
    log: LoaderLog | None = None,
    base: int | None = None,
    time_limit: float = 30.0,
) -> DryRun:
    """Run a loader on an emulated core as the programmer would.

    Parameters
    ----------
    loader
        As `read_loader` returns it.
    family
        As `h5diag.measure.loader.placement.family` returns it.
    trustzone
        ``on``, ``off`` or ``unknown``; it decides the base and nothing else.
    log
        The user's verbosity-3 log: its base is used.
    base
        A base to use whatever log and table say; None takes theirs.
    time_limit
        Seconds after which the worker is ended.

    Raises
    ------
    InputError
        When the emulator is not installed or does not compute right.
    """
    address, source = _base(loader, family, trustzone, log, base)
    words = int.from_bytes(loader.image[:4].ljust(4, b"\0"), "little")
    blank = DryRun(RunVerdict.NOT_DOWNLOADED, "", (), (), (), address, source, len(loader.image), 0, words)
    require_emulator()
    refusal = _refusal(loader, family, trustzone, log, address, source)
    if refusal.text:
        remarks = _run_where_linked(loader, family, time_limit) if refusal.worth_running else ()
        return replace(blank, problem=refusal.text, remarks=remarks, calls=(_not_run(loader),))
    answer = ask(request_for(loader, family, address), time_limit)
    return _judged(loader, family, trustzone, answer, blank)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why the programmer would not download a loader; empty when it would."""

    text: str = ""
    worth_running: bool = False


def _base(
    loader: LoaderFile, family: Family, trustzone: str, log: LoaderLog | None, base: int | None
) -> tuple[int, str]:
    if base is not None:
        return base, "given"
    if log is not None and (shown := log_base(log)) is not None:
        return shown, "your log"
    known = bases(family.name, trustzone, log_version(log) if log else "")
    # Where several bases may apply, one that fits is no reason for a refusal.
    fitting = next((b for b in known if b.link_address == loader.link_address), known[0])
    return fitting.address, _named(fitting)


def _named(base: Base) -> str:
    return f"one report ({base.sources[0]})" if base.hint else base.sources[0]


def _refusal(
    loader: LoaderFile, family: Family, trustzone: str, log: LoaderLog | None, base: int, source: str
) -> _Refusal:
    fatal = {f.code: f for f in lint(loader, family, trustzone=trustzone, log=log) if f.severity is Severity.ERROR}
    for code in ("L031", "L010", "L011", "L012", "L040"):
        if code in fatal:
            return _Refusal(_claim(fatal[code]))
    if loader.link_address != base + 4:
        return _Refusal(
            f"It is linked at 0x{loader.link_address:08X}; the programmer's base is 0x{base:08X} according "
            f"to {source}, so it must be linked at 0x{base + 4:08X}.",
            "L043" not in fatal,
        )
    plan = ram_plan(base, len(loader.image))
    if not family.in_ram(base, plan.buffer + BUFFER_SIZE):
        return _Refusal(f"Image, stack and buffer would end at 0x{plan.buffer + BUFFER_SIZE:08X}, where no RAM is.")
    for window in windows(family, trustzone):
        if len(loader.image) > window.size and not window.hint:
            return _Refusal(f"Its image has 0x{len(loader.image):X} bytes, the first SRAM only 0x{window.size:X}.")
    return _Refusal()


def _claim(finding: LintFinding) -> str:
    return f"{finding.text} {finding.advice}"


def _run_where_linked(loader: LoaderFile, family: Family, time_limit: float) -> tuple[str, ...]:
    base = loader.link_address - 4
    if base % 4 or not family.in_ram(base, ram_plan(base, len(loader.image)).buffer + BUFFER_SIZE):
        return ()
    answer = ask(request_for(loader, family, base), time_limit)
    if answer["kind"] == "pass":
        return ("Run at the address it is linked at, it erases, writes and reads correctly: only the place is wrong.",)
    return (f"Run at the address it is linked at, it fails too: {_sentence(answer['problem'])}",)


def _judged(loader: LoaderFile, family: Family, trustzone: str, answer: dict[str, Any], blank: DryRun) -> DryRun:
    calls = tuple(
        DryCall(
            c["function"],
            c["address"],
            tuple(c["arguments"]),
            c["kind"],
            c["reason"],
            c["result"],
            c["pc"],
            tuple(c["registers"]),
            loader.place(c["pc"]),
            "" if c["kind"] == "return" else instruction_at(loader, c["pc"]),
        )
        for c in answer["calls"]
    )
    assumptions = [
        f"register 0x{a:08X} was waited for; it has no model, so its bits were turned over" for a in answer["assumed"]
    ]
    assumptions += _hints(loader, family, trustzone, blank)
    if answer["kind"] == "pass" and not answer["commands"]:
        assumptions.append(
            "no command reached the memory over OCTOSPI: what it erases, writes and reads was not checked"
        )
    problem = _sentence(answer["problem"])
    if answer["problem"] and calls and calls[-1].ending in ("fault", "hang"):
        problem += _where(loader, calls[-1])
    verdict = {
        "pass": RunVerdict.PASS_WITH_ASSUMPTIONS if assumptions else RunVerdict.PASS,
        "fault": RunVerdict.FAULT,
        "hang": RunVerdict.HANG,
    }[answer["kind"]]
    remarks = tuple(f"The memory says: {text}." for text in answer["nor"])
    untested = [n for n in ("MassErase", "Verify", "CheckSum") if loader.symbol(n)]
    if untested:
        remarks += (f"Not run: {', '.join(untested)}.",)
    return replace(
        blank,
        verdict=verdict,
        problem=problem,
        calls=calls,
        assumptions=tuple(assumptions),
        remarks=remarks,
        stack_used=answer["stack_used"],
    )


def _where(loader: LoaderFile, call: DryCall) -> str:
    if call.place:
        return f" PC 0x{call.pc:08X} in {call.place}" + (f": {call.instruction}." if call.instruction else ".")
    caller = loader.place(call.registers[14] - 4)
    return f" PC 0x{call.pc:08X}" + (f", called from {caller}." if caller else ".")


def _hints(loader: LoaderFile, family: Family, trustzone: str, blank: DryRun) -> list[str]:
    out = []
    if blank.base_source.startswith("one report"):
        out.append(f"the base 0x{blank.base:08X} is known from {blank.base_source}")
    out += [
        f"the image has 0x{len(loader.image):X} bytes; one report says that more than 0x{w.size:X} are left out"
        for w in windows(family, trustzone)
        if w.hint and len(loader.image) > w.size
    ]
    return out


def _not_run(loader: LoaderFile) -> DryCall:
    symbol = loader.symbol("Init")
    address = symbol.value if symbol else 0
    return DryCall("Init", address, (), "not-run", "the image is not in RAM", 0, address, ())


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "." if text and not text.endswith(".") else text[:1].upper() + text[1:]


_NAMES = (*(f"R{i}" for i in range(13)), "SP", "LR", "PC", "xPSR", "MSP", "PSP")
_BEFORE = {"SectorErase": "Memory erase...", "Write": "Loader write range...", "Read": "Reading data..."}


def trace(run: DryRun, loader: LoaderFile, family: Family) -> str:
    """Return the log that STM32CubeProgrammer would print with ``-vb 3`` for the calls of a dry run."""
    ap = profile(family.name)["ap"]
    plan = ram_plan(run.base, run.image_size)
    return "\n".join((f"{DRY_RUN_MARK}, no chip: {PurePath(loader.source).name}", *_lines(run, ap, plan))) + "\n"


def _lines(run: DryRun, ap: int, plan: RamPlan) -> Iterator[str]:
    downloaded = run.verdict is not RunVerdict.NOT_DOWNLOADED
    for call in run.calls:
        if call.function == "Init":
            yield from _preparation(run, ap, plan, downloaded)
            yield "Init flashloader..."
        else:
            yield _BEFORE[call.function]
        yield from _call(call, ap, plan, downloaded)


def _preparation(run: DryRun, ap: int, plan: RamPlan, downloaded: bool) -> Iterator[str]:
    yield f"halt ap {ap}"
    yield f"w ap {ap} reg 15 PC   (0x{run.base:08X})"
    yield f"w ap {ap} reg 17 MSP  (0x{run.base + 0x500:08X})"
    yield f"w ap {ap} reg 16 xPSR (0x01000000)"
    if downloaded:
        yield f"w ap {ap} @0x{plan.buffer:08X} : 0x00000200 bytes, Data 0x00000000..."
        yield f"w ap {ap} @0x{plan.base:08X} : 0x00000004 bytes, Data 0x0000BE00..."
        yield f"w ap {ap} @0x{plan.image:08X} : 0x{run.image_size:08X} bytes, Data 0x{run.first_word:08X}..."


def _call(call: DryCall, ap: int, plan: RamPlan, downloaded: bool) -> Iterator[str]:
    values = [
        *call.arguments,
        *[0] * (13 - len(call.arguments)),
        0,
        plan.base | 1,
        call.address,
        0x01000000,
        plan.stack_pointer,
        0,
    ]
    if not downloaded:
        values[14] = values[17] = 0
    elif call.function == "Init":
        values[0] = 1
    yield f"halt ap {ap}"
    for index, (name, value) in enumerate(zip(_NAMES, values, strict=True)):
        yield f"w ap {ap} reg {index} {name:4} 0x{value:08X}"
    yield f"run ap {ap}"
    yield f"halt ap {ap}"
    if call.ending == "hang":
        return
    yield f"r ap {ap} reg 0 R0   0x{call.result:08X}"
    if call.ending != "return":
        if call.function == "Init":
            yield "Init function fail"
        yield f"r ap {ap} reg 16 xPSR 0x01000003"
    elif call.result != 1 and call.function == "Init":
        yield "Init function fail"
