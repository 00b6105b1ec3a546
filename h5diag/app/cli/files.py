"""``h5diag locate``, ``compare``, ``image``, ``options`` and ``log``: what dumps, images, listings and logs say."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

import h5diag as h5
from h5diag.app.cli.command import Argument, Command, Result, argument, number, progress_bar, result_of, say_chip
from h5diag.show.printing import remark

if TYPE_CHECKING:
    from h5diag.memory import MemoryImage

BOOT_MODES = ("overwrite", "swap-scratch", "swap-move", "swap-offset", "direct-xip", "direct-xip-revert", "ram-load")


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
    from h5diag.measure.locate.kernel import remark as kernel_remark

    reference = _memory("locate", options.reference, options.reference_base)
    dump = _memory("locate", options.dump, options.base)
    if slow := kernel_remark():
        remark(f"h5diag locate: {slow}")
    with progress_bar("locate", dump.size) as show:
        show(0.0)
        found = h5.locate(
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
    found = h5.compare(
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
    image = h5.read_memory(path, base=base)
    for text in image.origin.remarks:
        remark(f"h5diag {command}: {text}")
    return image


_IMAGE_ARGUMENTS: tuple[Argument, ...] = (
    argument("file", metavar="FILE", help="a dump or an image: .bin, .hex, .srec, .elf, .uf2"),
    argument("--layout", metavar="L", help="preset name or flash_layout.h: names the slots and their state"),
    argument(
        "--verify-key", metavar="PEM", action="append", default=[], help="public key that may have signed; repeatable"
    ),
    argument(
        "--decrypt-key",
        metavar="PEM",
        action="append",
        default=[],
        help="private key for encrypted bodies, read and never shown; repeatable",
    ),
    argument("--base", metavar="ADDRESS", type=number, help="address of the first byte of a .bin"),
    argument("--chip", metavar="C", default="", help="chip file or family word (default: the layout's)"),
    argument(
        "--loader",
        choices=("st", "upstream"),
        help="whose MCUboot the board runs (default: as layout, strings or trailer magic tell)",
    ),
    argument(
        "--boot-mode",
        metavar="M",
        choices=BOOT_MODES,
        help=f"how it installs: {', '.join(BOOT_MODES)} (default: the layout's)",
    ),
    argument("--boot-log", metavar="FILE", help="what the boot loader printed: may tell whose and how"),
    argument(
        "--build",
        metavar="FILE",
        action="append",
        default=[],
        help="hex, bin or ELF that should be in there: where it is, how it differs; repeatable",
    ),
    argument(
        "--build-base",
        metavar="ADDRESS",
        type=number,
        help="address of the first byte of a .bin given with --build, --flashed or --update",
    ),
    argument(
        "--flashed",
        metavar="FILE",
        action="append",
        default=[],
        help="file that was programmed: says at which stage the board is (needs --layout); repeatable",
    ),
    argument("--boot", metavar="FILE", help="the boot loader's binary, for --flashed"),
    argument(
        "--update",
        metavar="FILE",
        action="append",
        default=[],
        help="download image written later, for --flashed; repeatable",
    ),
    argument("--package", metavar="X.Y.Z", default="", help="version of the firmware package, for --flashed"),
)


def _image(options: Namespace) -> Result:
    return result_of(
        h5.examine(
            options.file,
            layout=options.layout,
            chip=options.chip,
            base=options.base,
            loader=options.loader,
            boot_mode=options.boot_mode,
            boot_log=options.boot_log,
            verify_keys=options.verify_key,
            decrypt_keys=options.decrypt_key,
            builds=options.build,
            build_base=options.build_base,
            flashed=options.flashed,
            boot=options.boot,
            updates=options.update,
            package=options.package,
        )
    )


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


def _options(options: Namespace) -> Result:
    return result_of(h5.read_options(options.listing, options.other, chip=options.chip, layout=options.layout))


def _log(options: Namespace) -> Result:
    return result_of(h5.read_log(options.file, chip=options.chip, layout=options.layout, elves=options.elf))


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
    Command(
        "image",
        "boot-loader images in a file or dump: genuine, and installed?",
        _IMAGE_ARGUMENTS,
        _image,
        examples=("h5diag image dump.hex --layout oemirot-2m-overwrite --verify-key sign-pub.pem",),
    ),
    Command(
        "options",
        "explain option bytes, and what differs from another board",
        _OPTIONS_ARGUMENTS,
        _options,
        examples=("h5diag options suspect-ob.txt good-ob.txt --layout flash_layout.h",),
    ),
    Command(
        "log",
        "explain anything that STM32CubeProgrammer printed",
        _LOG_ARGUMENTS,
        _log,
        examples=("h5diag log programmer-output.txt",),
    ),
)
