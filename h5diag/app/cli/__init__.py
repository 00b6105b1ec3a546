"""The command line: a thin layer, one library call per command.

``--json`` prints exactly one document on standard output; remarks go to standard error. Exit status: 0 it ran,
2 bad usage or unreadable input, 3 the probe or link failed, 4 refused for lack of permission.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from h5diag import __version__
from h5diag.app.cli.command import Command
from h5diag.errors import Cancelled, H5DiagError, InputError, PermissionRefused, ProbeError

GROUPS: tuple[str, ...] = (
    "diagnose",
    "evidence",
    "locate",
    "image",
    "options",
    "compare",
    "loader",
    "board",
    "flashtest",
    "lab",
)
"""Modules of this package that hold a tuple ``COMMANDS``, in the order of the help text."""


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line; argparse alone would print the usage over several."""
        sys.stderr.write(f"{self.prog}: {message}; see '{self.prog} --help'\n")
        raise SystemExit(2)


def commands() -> tuple[Command, ...]:
    """Return all commands."""
    return tuple(c for group in GROUPS for c in import_module(f"h5diag.app.cli.{group}").COMMANDS)


def build_parser() -> ArgumentParser:
    """Return the parser of the whole command line."""
    parser = _Parser(prog="h5diag", description="Is this STM32 faulty? Evidence, weighed.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"h5diag {__version__}")
    _add(parser, commands())
    return parser


def _add(parser: ArgumentParser, group: Sequence[Command]) -> None:
    sub = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    for command in group:
        p = sub.add_parser(command.name, help=command.help, description=command.help, allow_abbrev=False)
        if command.commands:
            _add(p, command.commands)
            continue
        command.arguments(p)
        p.add_argument("--json", action="store_true", help="print one JSON document instead of text")
        p.set_defaults(h5diag_command=command, h5diag_prog=p.prog)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 must not end in a traceback
    try:
        options = build_parser().parse_args(argv)
        return _run(options)
    except SystemExit as stop:
        return int(stop.code or 0)
    except BrokenPipeError:
        sys.stderr.close()
        return 0


def _run(options: Namespace) -> int:
    command: Command = options.h5diag_command
    try:
        result = command.run(options)
    except H5DiagError as error:
        sys.stderr.write(f"{options.h5diag_prog}: {error}\n")
        return _status(error)
    except KeyboardInterrupt:
        sys.stderr.write(f"{options.h5diag_prog}: stopped\n")
        return 130
    if options.json:
        sys.stdout.write(json.dumps(result.document, indent=2, allow_nan=False) + "\n")
    elif result.text:
        sys.stdout.write(result.text + "\n")
    sys.stdout.flush()
    return result.status


def _status(error: H5DiagError) -> int:
    match error:
        case InputError():
            return 2
        case ProbeError():
            return 3
        case PermissionRefused():
            return 4
        case Cancelled():
            return 130
    return 1
