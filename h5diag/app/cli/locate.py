"""``h5diag locate``: where pieces of a known image landed in a dump."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from h5diag.app.cli.chosen import chosen_chip
from h5diag.app.cli.command import Command, Result, number, progress_bar


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
    parser.add_argument("--deep", action="store_true", help="look at every byte of images above 8 MB (takes seconds)")


def _run(options: Namespace) -> Result:
    from h5diag.evidence.files import read_image
    from h5diag.measure.locate import locate
    from h5diag.measure.locate.kernel import remark as kernel_remark
    from h5diag.measure.locate.report import document, on_assumption, text

    reference = read_image(options.reference, base=options.reference_base)
    dump = read_image(options.dump, base=options.base)
    for remark in filter(None, (*reference.origin.remarks, *dump.origin.remarks, kernel_remark())):
        sys.stderr.write(f"h5diag locate: {remark}\n")
    chosen = chosen_chip(options.chip, options.layout, (dump, reference))
    with progress_bar("locate") as show:
        placement = locate(
            reference,
            dump,
            layout=chosen.layouts[0] if chosen.layouts else None,
            chip=chosen.chip,
            transforms=options.transforms,
            deep=options.deep,
            progress=show,
        )
    if chosen.assumed:
        placement = on_assumption(placement, chosen.chip)
    return Result(document(placement) | {"chip": chosen.chip.name, "chip_assumed": chosen.assumed}, text(placement))


COMMANDS = (Command("locate", "find where pieces of a known image landed in a dump", _arguments, _run),)
