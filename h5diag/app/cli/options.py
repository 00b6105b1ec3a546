"""The commands ``options`` and ``log``: what the board says, explained."""

from __future__ import annotations

from argparse import Namespace

from h5diag.app.cli.command import Argument, Command, Result, argument, result_of


def _common(what: str) -> tuple[Argument, ...]:
    return (
        argument("--layout", default=None, help=f"preset or flash_layout.h: {what}"),
        argument("--chip", default="", help="chip file or family word; without it taken from the text"),
        argument("-v", "--verbose", action="store_true", help="show what is left out"),
    )


_OPTIONS_ARGUMENTS: tuple[Argument, ...] = (
    argument(
        "listing",
        metavar="LISTING",
        help="what '-ob displ' printed, a GUI export, or address : value lines of the registers",
    ),
    argument("other", metavar="OTHER", nargs="?", default=None, help="the same of another board: adds the diff"),
    *_common("what the boot loader expects"),
)


_LOG_ARGUMENTS: tuple[Argument, ...] = (
    argument("file", metavar="FILE", help="anything that a programmer, debugger or boot loader printed"),
    argument(
        "--elf", metavar="FILE", action="append", default=[], help="names function and line of a fault; repeatable"
    ),
    *_common("names the slots that were written"),
)


def _run_options(arguments: Namespace) -> Result:
    from h5diag.app.front import read_options

    return result_of(read_options(arguments.listing, arguments.other, chip=arguments.chip, layout=arguments.layout))


def _run_log(arguments: Namespace) -> Result:
    from h5diag.app.front import read_log

    return result_of(read_log(arguments.file, chip=arguments.chip, layout=arguments.layout, elves=arguments.elf))


COMMANDS = (
    Command(
        "options",
        "explain option bytes, and what differs from another board",
        _OPTIONS_ARGUMENTS,
        _run_options,
        examples=("h5diag options suspect-ob.txt good-ob.txt --layout flash_layout.h",),
    ),
    Command(
        "log",
        "explain anything that STM32CubeProgrammer printed",
        _LOG_ARGUMENTS,
        _run_log,
        examples=("h5diag log programmer-output.txt",),
    ),
)
