"""The commands ``options`` and ``log``: what the board says, explained."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from h5diag.app.cli.command import Command, Result, result_of


def _options_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "listing",
        metavar="LISTING",
        help="what '-ob displ' printed, a GUI export, or address : value lines of the registers",
    )
    parser.add_argument(
        "other", metavar="OTHER", nargs="?", default=None, help="the same of another board: adds the diff"
    )
    _common(parser, "what the boot loader expects")


def _log_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="anything that a programmer, debugger or boot loader printed")
    parser.add_argument(
        "--elf", metavar="FILE", action="append", default=[], help="names function and line of a fault; repeatable"
    )
    _common(parser, "names the slots that were written")


def _common(parser: ArgumentParser, what: str) -> None:
    parser.add_argument("--layout", default=None, help=f"preset or flash_layout.h: {what}")
    parser.add_argument("--chip", default="", help="chip file or family word; without it taken from the text")
    parser.add_argument("-v", "--verbose", action="store_true", help="show what is left out")


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
        _options_arguments,
        _run_options,
        examples=("h5diag options suspect-ob.txt good-ob.txt --layout flash_layout.h",),
    ),
    Command(
        "log",
        "explain anything that STM32CubeProgrammer printed",
        _log_arguments,
        _run_log,
        examples=("h5diag log programmer-output.txt",),
    ),
)
