"""What a case still lacks, what each piece would decide, and how to get it: one table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from h5diag.case.intake.kinds import Evidence, FileRole
from h5diag.case.results import parse_identity
from h5diag.chip import EXTERNAL, ChipChoice
from h5diag.errors import InputError
from h5diag.evidence.door import EvidenceFile
from h5diag.evidence.files import decode_text
from h5diag.evidence.texts import chip_of
from h5diag.layout import chip_and_layout

_CAPTURE = "h5diag capture --print sh (or bat) prints a read-only script that collects it"
_CONNECT = "STM32_Programmer_CLI -c port=SWD mode=HOTPLUG{ap}"


@dataclass(frozen=True, slots=True)
class Missing:
    """A piece of evidence that is not there. `board` is empty when it belongs to no board; `rank` 0 tells the most."""

    what: str
    board: str
    decides: str
    how: str
    rank: int = 9


@dataclass(frozen=True, slots=True)
class Has:
    """What a board has of each kind, as counts."""

    dumps: int = 0
    options: int = 0
    log: int = 0
    registers: int = 0
    uart: int = 0
    read_known: bool = False


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What the files tell of where they are from.

    Parameters
    ----------
    choice
        The chip that they name.
    boot_loader
        Whether anything speaks of a boot loader.
    external
        Whether all that was read is of an external memory.
    """

    choice: ChipChoice
    boot_loader: bool
    external: bool

    @property
    def h5(self) -> bool | None:
        """Whether the chip is an STM32H5; None when nothing names the chip."""
        return None if self.choice.assumed else self.choice.family == "h5"

    @property
    def port(self) -> int:
        """Access port of its core's debugger; 0 when that is the tool's default, or not known."""
        return self.choice.chip.identity.core_ap if self.choice.chip and not self.choice.assumed else 0


NEEDS_GOOD = "a dump of a board that works"

# When it is missing, of a board that is good or not; what; what it decides; how to get it. The most telling first.
_OF_BOARDS: tuple[tuple[Callable[[Has, bool, Whereabouts], bool], str, str, str], ...] = (
    (
        lambda has, good, known: good and not has.dumps,
        NEEDS_GOOD,
        "what differs at all; without it or a known image nothing can be called explained",
        _CAPTURE,
    ),
    (
        lambda has, good, known: not good and not has.dumps,
        "a dump of the suspect board",
        "nearly everything: where the image lies, what is erased, masked or different",
        _CAPTURE,
    ),
    (
        lambda has, good, known: not good and has.dumps == 1,
        "a second read of the suspect board",
        "whether the reading path or worn cells are to blame (dump-corrupted, worn-cells)",
        _CAPTURE,
    ),
    (
        lambda has, good, known: not has.options and not known.external,
        "the option listing of the {side} board",
        "whether zeros are a mask (masked-read), whether the options are as meant (options-not-applied), "
        "write protection and bank swap",
        f"{_CONNECT} -ob displ > {{side}}-ob.txt",
    ),
    (
        lambda has, good, known: not has.log and not known.external,
        "the connection banner of the {side} board",
        "revision, flash size, supply and connect mode (erratum, wrong-size-assumption, board-wiring)",
        f"{_CONNECT} > {{side}}-log.txt",
    ),
    (
        lambda has, good, known: (
            bool(has.dumps) and not has.read_known and known.h5 is not False and not known.external
        ),
        "how the {side} board was read: access and connect mode",
        "whether zeros are a mask, and whether the two dumps may be compared at all",
        "--{side}-access secure or nonsecure, --{side}-mode hotplug, under-reset or normal",
    ),
    (
        lambda has, good, known: not good and not has.registers and known.h5 is not False and not known.external,
        "ECC and operation registers of the suspect board",
        "whether a write was cut short or an ECC error is on record (torn-write)",
        _CAPTURE,
    ),
    (
        lambda has, good, known: (
            not good and not has.uart and (known.h5 is not False or known.boot_loader) and not known.external
        ),
        "what the boot loader printed on its serial port",
        "why an installation did not happen (install-pending)",
        "a terminal at 115200 baud during a reset, saved as suspect-uart.txt; read the flash first, since a "
        "reset may let the boot loader change the slots",
    ),
)
_OF_CASES = {
    "layout": (
        "the flash layout",
        "the names of the slots, and with them what a displacement means",
        "your build's flash_layout.h (Zephyr: build/zephyr/zephyr.dts or pm_static.yml), or --layout with a preset",
    ),
    "images": (
        "the files that were to be flashed",
        "wrong-placement, not-erased and padding; a signed image also stands for a good board",
        "the signed .hex or .bin files of the build",
    ),
    "provisioning": (
        "the provisioning log",
        "which files were written where, and which options were meant",
        "ob_flash_programming.log of the provisioning folder, and --package with its version",
    ),
    "flashtest": (
        "a flash test",
        "a flash defect: nothing else can prove one (flash-defect)",
        "last of all, since it erases: h5diag flashtest --plan says what it costs",
    ),
}


def known_of(
    evidence: Sequence[Evidence], chip: str, marking: str = "", layout: str | Path | EvidenceFile | None = None
) -> Whereabouts:
    """Return what these files tell of chip, boot loader and memory.

    `chip`, `marking` and `layout` are what was said of it, else empty. What is wrong in one of them, or in an identity,
    is told where the case is read.
    """
    roles = (FileRole.LOG, FileRole.OPTIONS, FileRole.PROVISIONING, FileRole.UART, FileRole.REGISTERS)
    logs = [e.log for e in evidence if e.role in roles and e.log is not None]
    known: dict[str, Any] = {"sidecars": [e.chip for e in evidence], "marking": marking}
    for e in evidence:
        if e.role is FileRole.INFO and e.file is not None and "identity" not in known:
            with suppress(InputError):
                known["identity"] = parse_identity(decode_text(e.file.data), e.path.name)
    try:
        choice = chip_of(logs, given=chip, **known)
    except InputError:
        choice = chip_of(logs, **known)
    with suppress(InputError):
        choice = chip_and_layout(choice, layout)[0]
    starts = [e.start for e in evidence if e.role is FileRole.DUMP and e.start is not None]
    return Whereabouts(
        choice,
        any(e.role in (FileRole.UART, FileRole.LAYOUT, FileRole.PROVISIONING) for e in evidence),
        bool(starts) and all(at in EXTERNAL for at in starts),
    )


def missing_of_board(name: str, has: Has, known: Whereabouts, *, good: bool) -> tuple[Missing, ...]:
    """Return what is missing of one board, the most telling first; of a good one that is not there, its dump alone."""
    port = f" ap={known.port}" if known.port else ""
    side = "good" if good else "suspect"
    rows = [row for lacks, *row in _OF_BOARDS if lacks(has, good, known)]
    if good and replace(has, read_known=False) == Has():
        rows = [row for row in rows if row[0] == NEEDS_GOOD]
    return tuple(
        Missing(what.format(side=side), name, decides, how.format(side=side, ap=port), _rank(what, good=good))
        for what, decides, how in rows
    )


_RANKS = ("a dump of the suspect", "the files that were", "the option listing", "a dump of a board", "the flash layout")
"""What decides most, by how it is called; of a good board only its dump is worth asking for first."""


def _rank(what: str, *, good: bool) -> int:
    rank = next((n for n, begin in enumerate(_RANKS) if what.startswith(begin)), 9)
    return 9 if good and not what.startswith("a dump") else rank


def missing_of_case(known: Whereabouts, **there: bool) -> tuple[Missing, ...]:
    """Return what is missing of the case as a whole: ``layout``, ``images``, ``provisioning``, ``flashtest``."""
    booted = (known.h5 is not False or known.boot_loader) and not known.external
    pointless = {"layout": not booted, "provisioning": not booted, "flashtest": known.h5 is False or known.external}
    rows = [row for kind, row in _OF_CASES.items() if not there[kind] and not pointless.get(kind)]
    return tuple(Missing(what, "", decides, how, _rank(what, good=False)) for what, decides, how in rows)
