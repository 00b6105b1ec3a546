"""``h5diag loader``: lint an external loader, explain a verbosity-3 log, run a loader dry, begin one."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

import h5diag as h5
from h5diag.app.cli.command import Argument, Command, Result, argument, result_of, say_chip

if TYPE_CHECKING:
    from h5diag.sim.dryrun.reading import LoaderReading


_CHIP_ARGUMENTS: tuple[Argument, ...] = (
    argument(
        "--chip",
        metavar="NAME",
        default="",
        help="the chip or its family: h563, l5, u5, stm32u575zi; default: taken from the log",
    ),
    argument("--tz", choices=("on", "off"), default="unknown", help="whether TrustZone is on (TZEN)"),
)


_LINT_ARGUMENTS: tuple[Argument, ...] = (
    argument("file", metavar="FILE", help="the loader: .stldr or .elf"),
    *_CHIP_ARGUMENTS,
    argument("--log", metavar="FILE", help="your verbosity-3 log: the base it shows wins over the table"),
    argument("--tool-version", metavar="V", default="", help="STM32CubeProgrammer's version: 2.17.0"),
)


_EXPLAIN_ARGUMENTS: tuple[Argument, ...] = (
    argument("log", metavar="LOG", help="what STM32_Programmer_CLI -vb 3 printed, or the graphical log"),
    argument("--elf", metavar="FILE", help="the loader, to name its functions and check its address"),
    *_CHIP_ARGUMENTS,
)


_RUN_ARGUMENTS: tuple[Argument, ...] = (
    argument("file", metavar="FILE", help="the loader: .stldr or .elf"),
    *_CHIP_ARGUMENTS,
    argument("--log", metavar="FILE", help="your verbosity-3 log: its base is used"),
    argument("--trace", metavar="OUT", help="write the run as a verbosity-3 log, to lay beside yours"),
)


def _read(options: Namespace, version: str = "") -> LoaderReading:
    found = h5.read_loader(options.file, chip=options.chip, trustzone=options.tz, log=options.log, version=version)
    say_chip(found.choice)
    return found


def _lint(options: Namespace) -> Result:
    return result_of(_read(options, options.tool_version))


def _explain(options: Namespace) -> Result:
    return result_of(h5.read_loader_log(options.log, loader=options.elf, chip=options.chip, trustzone=options.tz))


def _run(options: Namespace) -> Result:
    from h5diag.evidence.door import write_whole

    run = _read(options).dry_run()
    if options.trace:
        write_whole(options.trace, run.log.encode("utf-8"))
    return result_of(run)


_NEW_ARGUMENTS: tuple[Argument, ...] = (
    argument("--chip", metavar="NAME", required=True, help="the chip or its family: stm32h563zi, h5, u575"),
    argument("--trustzone", action="store_true", help="for a chip with TrustZone on (TZEN)"),
    argument("--out", metavar="DIR", default="", help="where; default CHIP-loader; nothing is overwritten"),
)


def _new(options: Namespace) -> Result:
    from h5diag.app.loader_project import new_loader

    folder = options.out or f"{options.chip}-loader"
    made = new_loader(options.chip, folder, trustzone=options.trustzone)
    text = f"{folder}: {', '.join(p.name for p in made)}\nnext: make -C {folder} check"
    return Result({"files": [str(p) for p in made]}, text)


COMMANDS = (
    Command(
        "loader",
        "external loaders: lint the file, explain the log, run it dry, begin a new one",
        commands=(
            Command(
                "lint",
                "check an external loader's ELF file",
                _LINT_ARGUMENTS,
                _lint,
                examples=("h5diag loader lint my.stldr --chip h5 --tz on",),
            ),
            Command(
                "explain",
                "say in plain words what a verbosity-3 log shows",
                _EXPLAIN_ARGUMENTS,
                _explain,
                examples=("h5diag loader explain vb3.txt --elf my.stldr",),
            ),
            Command(
                "run",
                "run a loader on an emulated core (needs the extra 'dryrun')",
                _RUN_ARGUMENTS,
                _run,
                examples=("h5diag loader run my.stldr --chip l5 --tz on --trace mine.txt",),
            ),
            Command(
                "new",
                "write a minimal external loader that builds, passes lint and dry run",
                _NEW_ARGUMENTS,
                _new,
                examples=("h5diag loader new --chip h563 --out my-loader", "h5diag loader new --chip l5 --trustzone"),
            ),
        ),
    ),
)
