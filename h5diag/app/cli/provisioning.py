"""``h5diag keys``, ``access``, ``preflight``, ``rehearse``: before the point of no return. None of them writes to a board."""

from __future__ import annotations

from argparse import Namespace

import h5diag as h5
from h5diag.app.cli.command import Argument, Command, Result, argument, result_of


def _places(what: str) -> tuple[Argument, ...]:
    return (argument("places", metavar="FILE", nargs="+", help=what),)


_BOARD: tuple[Argument, ...] = (
    argument("--chip", metavar="C", default="", help="the part, as h563 or STM32H573 (the marking tells)"),
    argument("--options", metavar="F", help="the board's option bytes before the step (-ob displ)"),
    argument("--to", metavar="STATE", default="", help="OPEN PROVISIONED TZ-CLOSED CLOSED LOCKED, or 0x72"),
)


def _keys(options: Namespace) -> Result:
    return result_of(h5.keys(*options.places))


def _access(options: Namespace) -> Result:
    found = h5.access(*options.places)
    return result_of(found, status=0 if found.answer in ("open", "reopenable") else 1)


_PREFLIGHT_ARGUMENTS: tuple[Argument, ...] = (
    *_places("a project's folder, its ROT_Provisioning, or any folder or files"),
    *_BOARD,
    argument("--log", metavar="F", help="a banner or discovery of the board"),
    argument("--path", metavar="NAME", default="", help="oemirot stirot stirot-oemurot da script"),
)


def _preflight(options: Namespace) -> Result:
    found = h5.preflight(
        *options.places,
        chip=options.chip,
        options=options.options,
        log=options.log,
        to=options.to,
        path=options.path,
    )
    return result_of(found, status=0 if found.verdict == "go" else 1)


_REHEARSE_ARGUMENTS: tuple[Argument, ...] = (
    argument("script", metavar="SCRIPT", help="your provisioning script, .sh or .bat"),
    argument("arguments", metavar="ARGUMENT", nargs="*", help="the script's own arguments"),
    *_BOARD,
)


def _rehearse(options: Namespace) -> Result:
    found = h5.rehearse(
        options.script,
        chip=options.chip,
        options=options.options,
        to=options.to,
        arguments=options.arguments,
    )
    return result_of(found, status=0 if found.verdict == "go" else 1)


COMMANDS = (
    Command(
        "keys",
        "what each key, certificate, password, .obk or signed image is, and who fits whom",
        _places("files or folders"),
        _keys,
        examples=("h5diag keys ROT_Provisioning/DA",),
    ),
    Command(
        "access",
        "can this locked board be opened again, and with which of these credentials",
        _places("a case folder, or texts of the board and its credentials"),
        _access,
        examples=("h5diag access discovery.txt ROT_Provisioning/DA",),
    ),
    Command(
        "preflight",
        "is this provisioning set sound, before an irreversible step",
        _PREFLIGHT_ARGUMENTS,
        _preflight,
        examples=("h5diag preflight NUCLEO-H563ZI --options board.txt --to CLOSED",),
    ),
    Command(
        "rehearse",
        "walk a provisioning script against a chip that is not there; nothing is executed",
        _REHEARSE_ARGUMENTS,
        _rehearse,
        examples=("h5diag rehearse ROT_Provisioning/OEMiROT/provisioning.sh --to CLOSED",),
    ),
)
