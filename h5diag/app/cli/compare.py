"""``h5diag compare``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from h5diag.app.cli.command import Command, Result, number, result_of, say_chip


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("good", metavar="GOOD", help="dump of a board that works, or the image that should be there")
    parser.add_argument("suspect", metavar="SUSPECT", help="dump of the board in question")
    parser.add_argument("--base", type=number, metavar="ADDRESS", help="where a SUSPECT.bin begins")
    parser.add_argument("--reference-base", type=number, metavar="ADDRESS", help="where a GOOD.bin begins")
    parser.add_argument("--chip", metavar="NAME", help="chip file or family word")
    parser.add_argument("--layout", metavar="L", help="preset or flash_layout.h: names the slots")
    parser.add_argument("--options-good", metavar="F", help="option listing of the good board")
    parser.add_argument("--options-suspect", metavar="F", help="option listing of the suspect: shows what is masked")
    parser.add_argument("--access-good", choices=("secure", "nonsecure"), help="how GOOD was read, likewise")
    parser.add_argument(
        "--access",
        "--access-suspect",
        choices=("secure", "nonsecure"),
        help="how SUSPECT was read, where no sidecar says",
    )


def _run(options: Namespace) -> Result:
    from h5diag.app.front import compare

    found = compare(
        options.good,
        options.suspect,
        layout=options.layout,
        chip=options.chip,
        base=options.base,
        reference_base=options.reference_base,
        options_good=options.options_good,
        options_suspect=options.options_suspect,
        access_good=options.access_good,
        access=options.access,
    )
    say_chip(found.choice)
    return result_of(found)


COMMANDS = (
    Command(
        "compare",
        "what differs in place between a good and a suspect dump",
        _arguments,
        _run,
        examples=("h5diag compare good.hex suspect.hex --options-suspect suspect-ob.txt",),
    ),
)
