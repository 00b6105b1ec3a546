"""The command line: a thin layer, one library call per command.

``--json`` prints exactly one document on standard output; remarks go to standard error.
"""

from __future__ import annotations

import sys
from argparse import Action, ArgumentParser, Namespace, RawDescriptionHelpFormatter, _SubParsersAction
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

from h5diag import __version__
from h5diag.app.cli.command import Argument, Command, Result, argument
from h5diag.errors import Cancelled, H5DiagError, InputError, PermissionRefused, ProbeError
from h5diag.show import printing

if TYPE_CHECKING:
    from h5diag.show.sheet import Sheet

GROUPS: tuple[str, ...] = (
    "diagnose",
    "evidence",
    "files",
    "provisioning",
    "loader",
    "board",
    "flashtest",
    "lab",
)
"""Modules of this package that hold a tuple ``COMMANDS``, in the order of the help text."""

EXITS = (
    (0, "it ran, whatever the verdict"),
    (
        1,
        "a fault of h5diag, or the chip answered wrongly; of preflight, access and rehearse: "
        "any answer but go, open or reopenable",
    ),
    (2, "bad usage or unreadable input: one line says which file, where in it, and what to do"),
    (3, "the probe or the link failed"),
    (4, "refused for lack of permission"),
)
"""Exit statuses and their meaning, for every command."""

ERRORS = ((InputError, 2), (ProbeError, 3), (PermissionRefused, 4), (Cancelled, 130))
"""The exit status of each kind of error; 1 of any other."""


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line; argparse alone would print the usage over several."""
        printing.error(f"{self.prog}: {message}; see '{self.prog} --help'")
        raise SystemExit(2)

    def _print_message(self, message: str, file: Any = None) -> None:
        if message:
            printing.write(message)


def commands() -> tuple[Command, ...]:
    """Return all commands."""
    return tuple(c for group in GROUPS for c in import_module(f"h5diag.app.cli.{group}").COMMANDS)


def build_parser(words: Collection[str] | None = None) -> ArgumentParser:
    """Return the parser of the whole command line; of `words`, what was typed, only their arguments are in it."""
    parser = _Parser(
        prog="h5diag",
        description="Is this STM32 faulty? Evidence, weighed.",
        allow_abbrev=False,
        formatter_class=RawDescriptionHelpFormatter,
        epilog=_epilog(
            ("h5diag demo", "h5diag case my-files/", "h5diag diagnose h5diag-case --report write-up.html"),
            "'h5diag help COMMAND' and 'h5diag COMMAND --help' say more of one command.",
        ),
    )
    parser.add_argument("--version", action="version", version=f"h5diag {__version__}")
    parser.add_argument("--print-completion", choices=("bash", "zsh", "tcsh"), help="print a completion script")
    _add(
        parser,
        (
            *commands(),
            Command(
                "help",
                "explain a command",
                _HELP_ARGUMENTS,
                _help,
                examples=("h5diag help loader lint", "h5diag help --man | man -l -"),
            ),
        ),
        words,
    )
    return parser


def _add(parser: ArgumentParser, group: Sequence[Command], words: Collection[str] | None) -> None:
    sub = parser.add_subparsers(metavar="COMMAND", parser_class=_Parser)
    for command in group:
        if words is not None and command.name not in words:
            sub.add_parser(command.name, help=command.help, add_help=False)
            continue
        p = sub.add_parser(
            command.name,
            help=command.help,
            description=command.help,
            allow_abbrev=False,
            formatter_class=RawDescriptionHelpFormatter,
            epilog=_epilog(command.examples, command.exits),
        )
        p.set_defaults(h5diag_parser=p)
        if command.commands:
            _add(p, command.commands, words)
            continue
        for add in command.arguments:
            add(p)
        p.add_argument("--json", action="store_true", help="print one JSON document instead of text")
        p.add_argument("-q", "--quiet", action="store_true", help="no remarks and no progress bar")
        p.set_defaults(h5diag_command=command)


def _epilog(examples: Sequence[str], exits: str) -> str:
    lines = ["examples:", *(f"  {e}" for e in examples), ""] if examples else []
    lines += ["exit status:", *(f"  {code}  {meaning}" for code, meaning in EXITS)]
    return "\n".join([*lines, *(["", exits] if exits else [])])


_HELP_ARGUMENTS: tuple[Argument, ...] = (
    argument("words", nargs="*", metavar="COMMAND", help="a command, as 'locate' or 'loader lint'"),
    argument("--man", action="store_true", help="print the whole as a man page"),
)


def _help(options: Namespace) -> Result:
    parser = build_parser()
    if options.man:
        page = man_page(parser)
        return Result({"man": page}, page)
    for word in options.words:
        below = subparsers(parser)
        if word not in below:
            raise InputError(f"there is no command {word!r}", advice=f"one of {', '.join(below) or 'none'}")
        parser = below[word]
    return Result({"help": parser.format_help()}, parser.format_help().rstrip())


def man_page(parser: ArgumentParser) -> str:
    """Return the manual of the command line in the markup of ``man``, all commands in one page."""

    def plain(text: str) -> str:
        return text.replace("\\", "\\e").replace("-", "\\-").replace("\n.", "\n\\&.").replace("\n'", "\n\\&'")

    lines = [f'.TH H5DIAG 1 "" "h5diag {__version__}" "User Commands"', ".SH NAME"]
    lines += [f"h5diag \\- {plain(parser.description or '')}", ".SH SYNOPSIS", ".B h5diag", "COMMAND [OPTION...]"]
    lines += [".SH COMMANDS"]
    for p in _every(parser):
        lines += [".SS", plain(p.prog), ".nf", plain(p.format_help().rstrip()), ".fi"]
    lines += [".SH EXIT STATUS", *(f".TP\n.B {code}\n{plain(meaning)}" for code, meaning in EXITS)]
    return "\n".join(lines)


def _every(parser: ArgumentParser) -> list[ArgumentParser]:
    """Return the parsers of all commands that do something, in order."""
    return [q for p in subparsers(parser).values() for q in (_every(p) if subparsers(p) else [p])]


def subparsers(parser: ArgumentParser) -> dict[str, ArgumentParser]:
    """Return the commands below a parser by their names."""
    actions: list[Action] = parser._actions
    found = next((a for a in actions if isinstance(a, _SubParsersAction)), None)
    return dict(found.choices) if found else {}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    printing.plain_streams()
    try:
        words = sys.argv[1:] if argv is None else argv
        parser = build_parser(words)
        options, unknown = parser.parse_known_args(words)
        if options.print_completion:
            complete = import_module("shtab").complete
            printing.write(complete(build_parser(), shell=options.print_completion) + "\n")
            return 0
        own = getattr(options, "h5diag_parser", parser)
        if unknown:
            own.error(f"unknown option or argument: {' '.join(unknown)}{_elsewhere(unknown)}")
        if not hasattr(options, "h5diag_command"):
            own.error("which command?")
        return _run(options)
    except SystemExit as stop:
        return int(stop.code or 0)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0


def _elsewhere(unknown: Sequence[str]) -> str:
    """Return which command takes the first unknown option: what belongs to a case is told to `h5diag case`, once."""
    option = next((w.split("=")[0] for w in unknown if w.startswith("--")), "")
    takes = [p.prog for p in _every(build_parser()) if option and option in p._option_string_actions]
    own = "h5diag case"
    return f"; tell it to the case: {own} CASE_DIR {' '.join(unknown)}" if own in takes else ""


def _run(options: Namespace) -> int:
    command: Command = options.h5diag_command
    prog = options.h5diag_parser.prog
    printing.be_quiet(options.quiet)
    try:
        result = command.run(options)
        if options.json:
            printing.write(_json(result.document) + "\n")
        elif text := _text(result.text, verbose=getattr(options, "verbose", False)):
            printing.write(text + "\n")
    except H5DiagError as error:
        printing.error(f"{prog}: {_error_line(error, options)}")
        return next((status for kind, status in ERRORS if isinstance(error, kind)), 1)
    except MemoryError:
        printing.error(f"{prog}: there is not enough memory for this; give a smaller part of it")
        return 2
    except KeyboardInterrupt as stop:
        printing.error(f"{prog}: {stop or 'stopped'}")
        return 130
    return result.status


def _json(document: Mapping[str, object]) -> str:
    import json

    import msgspec

    # With an indent the standard library encodes in Python, twenty times as slowly.
    written = json.dumps(document, allow_nan=False)
    try:
        return str(msgspec.json.format(written, indent=2))
    except msgspec.DecodeError:  # half a character: a byte of a file's name that is no UTF-8
        plain = json.loads(json.dumps(document, ensure_ascii=False).encode("utf-8", "replace"))
        return str(msgspec.json.format(json.dumps(plain), indent=2))


def _error_line(error: H5DiagError, options: Namespace) -> str:
    """Return what is said of an error: its line goes into a forum as everything that is redacted does."""
    if not getattr(options, "redact", False):
        return str(error)
    from pathlib import Path

    from h5diag.show.report.redaction import redacted_error

    return redacted_error(error, Path(options.case))


def _text(text: str | Sheet | Callable[[], Sheet], *, verbose: bool) -> str:
    if isinstance(text, str):
        return printing.clean(text)
    from h5diag.show import sheet

    made = text() if callable(text) else text
    return sheet.terminal(sheet.cleaned(made), printing.width(), colour=printing.coloured(), folded=verbose)
