"""A dry run told in the programmer's own format, to be laid beside a user's verbosity-3 log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from h5diag.measure.loader.elf import LoaderFile
from h5diag.measure.loader.placement import Family, RamPlan, ram_plan
from h5diag.measure.loader.vb3 import DRY_RUN_MARK
from h5diag.sim.dryrun.request import profile
from h5diag.sim.dryrun.run import DryCall, DryRun, Verdict

_NAMES = (*(f"R{i}" for i in range(13)), "SP", "LR", "PC", "xPSR", "MSP", "PSP")
_BEFORE = {"SectorErase": "Memory erase...", "Write": "Loader write range...", "Read": "Reading data..."}


def trace(run: DryRun, loader: LoaderFile, family: Family) -> str:
    """Return the log that STM32CubeProgrammer would print with ``-vb 3`` for the calls of a dry run."""
    ap = profile(family.name)["ap"]
    plan = ram_plan(run.base, run.image_size)
    return "\n".join((f"{DRY_RUN_MARK}, no chip: {PurePath(loader.source).name}", *_lines(run, ap, plan))) + "\n"


def _lines(run: DryRun, ap: int, plan: RamPlan) -> Iterator[str]:
    downloaded = run.verdict is not Verdict.NOT_DOWNLOADED
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
