"""``h5diag locate`` and ``compare``: where pieces of a known image landed in a dump, and what differs in place."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from h5diag.app.cli.command import Argument, Command, Result, argument, number, progress_bar, result_of, say_chip
from h5diag.show.printing import remark

if TYPE_CHECKING:
    from h5diag.memory import MemoryImage


_LOCATE_ARGUMENTS: tuple[Argument, ...] = (
    argument("reference", metavar="REFERENCE", help="what is known to be good: an image or a dump"),
    argument("dump", metavar="DUMP", help="where to look"),
    argument("--layout", metavar="L", help="a preset's name or a flash_layout.h, to name slots"),
    argument("--chip", metavar="C", help="chip file or family word (default stm32h563zi)"),
    argument("--base", type=number, metavar="ADDRESS", help="address of a .bin DUMP's first byte"),
    argument("--reference-base", type=number, metavar="ADDRESS", help="address of a .bin REFERENCE's first byte"),
    argument(
        "--transforms",
        action="store_true",
        help="also look for inverted, byte-swapped, halfword-swapped and bit-reversed content",
    ),
    argument("--deep", action="store_true", help="look at every byte of images above 8 MiB (takes seconds)"),
)


def _locate(options: Namespace) -> Result:
    from h5diag.app.front import locate
    from h5diag.measure.locate.kernel import remark as kernel_remark

    reference = _memory("locate", options.reference, options.reference_base)
    dump = _memory("locate", options.dump, options.base)
    if slow := kernel_remark():
        remark(f"h5diag locate: {slow}")
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


_COMPARE_ARGUMENTS: tuple[Argument, ...] = (
    argument("good", metavar="GOOD", help="dump of a board that works, or the image that should be there"),
    argument("suspect", metavar="SUSPECT", help="dump of the board in question"),
    argument("--base", type=number, metavar="ADDRESS", help="where a SUSPECT.bin begins"),
    argument("--reference-base", type=number, metavar="ADDRESS", help="where a GOOD.bin begins"),
    argument("--chip", metavar="NAME", help="chip file or family word"),
    argument("--layout", metavar="L", help="preset or flash_layout.h: names the slots"),
    argument("--options-good", metavar="F", help="option listing of the good board"),
    argument("--options-suspect", metavar="F", help="option listing of the suspect: shows what is masked"),
    argument("--access-good", choices=("secure", "nonsecure"), help="how GOOD was read, likewise"),
    argument(
        "--access",
        "--access-suspect",
        choices=("secure", "nonsecure"),
        help="how SUSPECT was read, where no sidecar says",
    ),
)


def _compare(options: Namespace) -> Result:
    from h5diag.app.front import compare

    found = compare(
        _memory("compare", options.good, options.reference_base),
        _memory("compare", options.suspect, options.base),
        layout=options.layout,
        chip=options.chip,
        options_good=options.options_good,
        options_suspect=options.options_suspect,
        access_good=options.access_good,
        access=options.access,
    )
    say_chip(found.choice)
    return result_of(found)


def _memory(command: str, path: str, base: int | None) -> MemoryImage:
    """Return the memory of a file; what was assumed of it is said."""
    from h5diag.app.sources import read_memory

    image = read_memory(path, base=base)
    for text in image.origin.remarks:
        remark(f"h5diag {command}: {text}")
    return image


COMMANDS = (
    Command(
        "locate",
        "find where pieces of a known image landed in a dump",
        _LOCATE_ARGUMENTS,
        _locate,
        examples=(
            "h5diag locate good.hex suspect.hex --layout flash_layout.h",
            "h5diag locate app.bin dump.bin --base 0x08000000 --reference-base 0x0C018000",
        ),
    ),
    Command(
        "compare",
        "what differs in place between a good and a suspect dump",
        _COMPARE_ARGUMENTS,
        _compare,
        examples=("h5diag compare good.hex suspect.hex --options-suspect suspect-ob.txt",),
    ),
)
