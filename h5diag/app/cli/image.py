"""``h5diag image``: boot-loader images in a file or dump."""

from __future__ import annotations

from argparse import Namespace

from h5diag.app.cli.command import Argument, Command, Result, argument, number, result_of

BOOT_MODES = ("overwrite", "swap-scratch", "swap-move", "swap-offset", "direct-xip", "direct-xip-revert", "ram-load")


_ARGUMENTS: tuple[Argument, ...] = (
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


def _run(options: Namespace) -> Result:
    from h5diag.app.front import examine

    found = examine(
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
    return result_of(found)


COMMANDS = (
    Command(
        "image",
        "boot-loader images in a file or dump: genuine, and installed?",
        _ARGUMENTS,
        _run,
        examples=("h5diag image dump.hex --layout oemirot-2m-overwrite --verify-key sign-pub.pem",),
    ),
)
