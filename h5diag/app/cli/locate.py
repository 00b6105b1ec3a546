"""``h5diag locate``: where pieces of a known image landed in a dump."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from h5diag.app.cli.command import Command, Result, number, progress_bar, result_of, say_chip
from h5diag.show.printing import remark


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("reference", metavar="REFERENCE", help="what is known to be good: an image or a dump")
    parser.add_argument("dump", metavar="DUMP", help="where to look")
    parser.add_argument("--layout", metavar="L", help="a preset's name or a flash_layout.h, to name slots")
    parser.add_argument("--chip", metavar="C", help="chip file or family word (default stm32h563zi)")
    parser.add_argument("--base", type=number, metavar="ADDRESS", help="address of a .bin DUMP's first byte")
    parser.add_argument(
        "--reference-base", type=number, metavar="ADDRESS", help="address of a .bin REFERENCE's first byte"
    )
    parser.add_argument(
        "--transforms",
        action="store_true",
        help="also look for inverted, byte-swapped, halfword-swapped and bit-reversed content",
    )
    parser.add_argument("--deep", action="store_true", help="look at every byte of images above 8 MiB (takes seconds)")


def _run(options: Namespace) -> Result:
    from h5diag.app.front import locate
    from h5diag.app.sources import read_memory
    from h5diag.measure.locate.kernel import remark as kernel_remark

    reference = read_memory(options.reference, base=options.reference_base)
    dump = read_memory(options.dump, base=options.base)
    for text in filter(None, (*reference.origin.remarks, *dump.origin.remarks, kernel_remark())):
        remark(f"h5diag locate: {text}")
    with progress_bar("locate", dump.size) as show:
        show(0.0)
        found = locate(
            reference,
            dump,
            layout=options.layout,
            chip=options.chip,
            transforms=options.transforms,
            deep=options.deep,
            progress=show,
        )
    say_chip(found.choice)
    return result_of(found)


COMMANDS = (
    Command(
        "locate",
        "find where pieces of a known image landed in a dump",
        _arguments,
        _run,
        examples=(
            "h5diag locate good.hex suspect.hex --layout flash_layout.h",
            "h5diag locate app.bin dump.bin --base 0x08000000 --reference-base 0x0C018000",
        ),
    ),
)
