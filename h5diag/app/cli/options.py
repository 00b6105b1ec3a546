"""The commands ``options`` and ``log``: what the board says, explained."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from h5diag.app.cli.command import Command, Result


def _run_options(arguments: Namespace) -> Result:
    from h5diag.app.cli.options_report import run_options

    return run_options(arguments)


def _run_log(arguments: Namespace) -> Result:
    from h5diag.app.cli.options_report import run_log

    return run_log(arguments)


def _options_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "listing",
        metavar="LISTING",
        help="what '-ob displ' printed, a GUI export, or address : value lines of the registers",
    )
    parser.add_argument(
        "other", metavar="OTHER", nargs="?", default="", help="the same of another board: adds the diff"
    )
    parser.add_argument("--layout", default="", help="preset or flash_layout.h: what the boot loader expects")
    parser.add_argument("--chip", default="", help="chip file or family word; without it taken from the text")


def _log_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="anything that STM32CubeProgrammer printed")
    parser.add_argument("--layout", default="", help="preset or flash_layout.h: names the slots that were written")
    parser.add_argument("--chip", default="", help="chip file or family word; without it taken from the text")


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
