"""What a case still lacks, what each piece would decide, and how to get it: one table."""

from __future__ import annotations

from dataclasses import dataclass

_CAPTURE = "h5diag capture --print sh (or bat) prints a read-only script that collects it"


@dataclass(frozen=True, slots=True)
class Missing:
    """A piece of evidence that is not there. `board` is empty when it belongs to no board."""

    what: str
    board: str
    decides: str
    how: str


@dataclass(frozen=True, slots=True)
class Has:
    """What a board (or the case) has of each kind, as counts."""

    dumps: int = 0
    options: int = 0
    log: int = 0
    registers: int = 0
    uart: int = 0
    read_known: bool = False


def missing_of_board(name: str, has: Has, *, good: bool) -> tuple[Missing, ...]:
    """Return what is missing of one board, the most telling first."""
    out: list[Missing] = []

    def add(what: str, decides: str, how: str) -> None:
        out.append(Missing(what, name, decides, how))

    if good and not has.dumps:
        add(
            "a dump of a board that works",
            "what differs at all; without it or a known image nothing can be called explained",
            _CAPTURE,
        )
    elif not good and not has.dumps:
        add(
            "a dump of the suspect board",
            "nearly everything: where the image lies, what is erased, masked or different",
            _CAPTURE,
        )
    elif not good and has.dumps == 1:
        add(
            "a second read of the suspect board",
            "whether the reading path or worn cells are to blame (dump-corrupted, worn-cells)",
            _CAPTURE,
        )
    if not has.options:
        add(
            f"the option listing of the {'good' if good else 'suspect'} board",
            "whether zeros are a mask (masked-read), whether the options are as meant (options-not-applied), "
            "write protection and bank swap",
            f"STM32_Programmer_CLI -c port=SWD mode=HOTPLUG ap=1 -ob displ > {'good' if good else 'suspect'}-ob.txt",
        )
    if not has.log:
        add(
            f"the connection banner of the {'good' if good else 'suspect'} board",
            "revision, flash size, supply and connect mode (erratum, wrong-size-assumption, board-wiring)",
            f"STM32_Programmer_CLI -c port=SWD mode=HOTPLUG ap=1 > {'good' if good else 'suspect'}-log.txt",
        )
    if has.dumps and not has.read_known:
        add(
            f"how the {'good' if good else 'suspect'} board was read: access and connect mode",
            "whether zeros are a mask, and whether the two dumps may be compared at all",
            f"--{'good' if good else 'suspect'}-access secure or nonsecure, "
            f"--{'good' if good else 'suspect'}-mode hotplug, under-reset or normal",
        )
    if not good and not has.registers:
        add(
            "ECC and operation registers of the suspect board",
            "whether a write was cut short or an ECC error is on record (torn-write)",
            _CAPTURE,
        )
    if not good and not has.uart:
        add(
            "what the boot loader printed on its serial port",
            "why an installation did not happen (install-pending)",
            "a terminal at 115200 baud during a reset, saved as suspect-uart.txt; read the flash first, since a "
            "reset may let the boot loader change the slots",
        )
    return tuple(out)


def missing_of_case(*, layout: bool, images: bool, provisioning: bool, flashtest: bool) -> tuple[Missing, ...]:
    """Return what is missing of the case as a whole."""
    out: list[Missing] = []
    if not layout:
        out.append(
            Missing(
                "the flash layout",
                "",
                "the names of the slots, and with them what a displacement means",
                "your build's flash_layout.h, or --layout with a preset such as oemirot-2m-overwrite",
            )
        )
    if not images:
        out.append(
            Missing(
                "the files that were to be flashed",
                "",
                "wrong-placement, not-erased and padding; a signed image also stands for a good board",
                "the signed .hex or .bin files of the build",
            )
        )
    if not provisioning:
        out.append(
            Missing(
                "the provisioning log",
                "",
                "which files were written where, and which options were meant",
                "ob_flash_programming.log of the provisioning folder, and --package with its version",
            )
        )
    if not flashtest:
        out.append(
            Missing(
                "a flash test",
                "",
                "a flash defect: nothing else can prove one (flash-defect)",
                "last of all, since it erases: h5diag flashtest --plan says what it costs",
            )
        )
    return tuple(out)
