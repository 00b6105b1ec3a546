"""A read-only script for a board that only another program can open: STM32CubeProgrammer, OpenOCD, J-Link Commander.

Every call connects in hot plug, so the chip is not reset, and reads. Nothing in a script resets, halts, erases, writes,
sets an option or authenticates. Sources: ST UM2237 for ``-c``, ``-ob displ``, ``-r`` and ``-r32``; the OpenOCD user's
guide for ``mem_ap`` targets, ``read_memory`` and ``dump_image``, which need no core; SEGGER UM08001 for ``mem32``,
``savebin`` and ``log``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from string import Template

from h5diag.chip import Chip
from h5diag.errors import InputError
from h5diag.layout import Layout
from h5diag.memory import AddressRange, merged
from h5diag.tables import packaged


class Interpreter(Enum):
    """For which interpreter a script is written; the first two call STM32CubeProgrammer."""

    SH = "sh"
    BAT = "bat"
    OPENOCD = "openocd"
    JLINK = "jlink"


FAST_KHZ = 4000
SLOW_KHZ = 1000
"""Link speed of the second read of everything: what only a faster link gets wrong differs between the two."""

_REGISTERS = ("OPSR", "NSSR", "HDPEXTR", "ECCCORR", "ECCDETR", "ECCDR", "ECCR", "SR", "OPTR")
_WORDS = ("SFSP_VERSION", "RSS_DESCRIPTOR", "DBGMCU_SR", "SBS_HDPLSR", "BL_VERSION")


class _Text(Template):
    """A text of ``capture.toml``; its mark is one that no shell gives a meaning to."""

    delimiter = "@@"


@dataclass(frozen=True, slots=True)
class CaptureStep:
    """One call of the programmer.

    Parameters
    ----------
    what
        What it is for, for a person.
    reads
        The arguments after the connection, empty for the banner alone.
    to
        Ending of the file, after the board's name, that takes what is printed.
    dump, base
        Ending of the binary that the call writes and the bus address of its first byte; empty and 0 for none.
    khz
        Link speed; 0 leaves the programmer's default.
    """

    what: str
    reads: str
    to: str
    dump: str = ""
    base: int = 0
    khz: int = 0

    @property
    def size(self) -> int:
        """Bytes that the call reads; 0 for the banner and the options."""
        return int(self.reads.split()[-1], 0) if self.reads.startswith("-r") else 0

    @property
    def address(self) -> int:
        """First address that the call reads; 0 for the banner and the options."""
        return int(self.reads.split()[1], 0) if self.size else 0


def capture_steps(chip: Chip, layout: Layout | None = None) -> tuple[CaptureStep, ...]:
    """Return the calls that collect what a diagnosis wants of one board.

    Without a layout the whole flash is read, with one only up to the end of its last slot.
    """
    flash = chip.flash
    size = flash.size
    if layout is not None and layout.slots:
        stop = max(s.range.stop for s in layout.slots)
        size = min(flash.size, -(-(stop - flash.base) // flash.sector_size) * flash.sector_size)
    steps = [CaptureStep("connection banner", "", "log.txt"), CaptureStep("option bytes", "-ob displ", "ob.txt")]
    steps += [CaptureStep(f"{what}, {r}", f"-r32 0x{r.start:08X} {r.size}", "regs.txt") for what, r in _words(chip)]
    views = [("non-secure view", flash.base)]
    if flash.secure_base != flash.base:
        views.append(("secure view", flash.secure_base))
    for number, khz in ((1, 0), (2, SLOW_KHZ)):
        for what, base in views:
            name = f"dump-{base:08X}-{number}.bin"
            steps.append(
                CaptureStep(
                    f"flash, {what}, read {number} of 2", f"-r 0x{base:08X} 0x{size:X}", "log.txt", name, base, khz
                )
            )
    # Read last: an ECC error that the reads above met is latched in these registers.
    steps += [CaptureStep(f"{what}, {r}", f"-r32 0x{r.start:08X} {r.size}", "regs.txt") for what, r in _registers(chip)]
    return tuple(steps)


def _words(chip: Chip) -> list[tuple[str, AddressRange]]:
    """Identity and version words outside of the FLASH registers."""
    identity = chip.identity
    out = [("device and revision", AddressRange(identity.idcode[0], identity.idcode[0] + 4))]
    near = merged(
        AddressRange(a & ~3, (a & ~3) + n)
        for a, n in ((identity.uid, 12), (identity.flash_size, 4), (identity.package, 4))
        if a is not None
    )
    out += [("unique id, flash size and package", r) for r in near]
    known = {a.name: a.address for a in chip.addresses}
    out += [
        (name, AddressRange(known[name] & ~3, (known[name] & ~3) + (8 if "DESCRIPTOR" in name else 4)))
        for name in _WORDS
        if name in known
    ]
    return out


def _registers(chip: Chip) -> list[tuple[str, AddressRange]]:
    """FLASH registers that say something about the past: errors, interrupted operations, options in force.

    Neighbours are read in one call. The key registers lie far enough away to be left out: they are write-only.
    """
    wanted = [r for r in chip.registers if r.name in _REGISTERS or r.name.endswith("_CUR")]
    out: list[tuple[str, AddressRange]] = []
    for r in sorted(wanted, key=lambda r: r.offset):
        here = AddressRange(chip.flash_registers + r.offset, chip.flash_registers + r.offset + 4)
        if out and here.start - out[-1][1].stop <= 16:
            first = out[-1][0].split(" to ")[0]
            out[-1] = (f"{first} to {r.name}", AddressRange(out[-1][1].start, here.stop))
        else:
            out.append((r.name, here))
    return out


def require_board_name(name: str) -> None:
    """Raise `InputError` unless a name can begin file names in every shell, and stays in its folder."""
    if not name or name[0] == "-" or not all((c.isalnum() and c.isascii()) or c in "-_" for c in name):
        raise InputError(f"{name!r} is no name for a board", advice="use letters, digits, - and _")


def capture_script(shell: Interpreter, chip: Chip, layout: Layout | None = None, name: str = "suspect") -> str:
    """Return the script, with the line ends that its interpreter needs (CR LF for ``bat``).

    The board's name (``good`` or ``suspect``) begins the name of every file that it writes into the current folder.
    Those of a command line and of OpenOCD take it as an argument and refuse to write over older files; one for J-Link
    Commander, which knows no arguments, holds `name`.

    Raises
    ------
    InputError
        When the layout is for a larger flash than the chip has.
    """
    if layout is not None and any(not chip.flash_range.covers(s.range) for s in layout.slots):
        raise InputError(
            f"the layout {layout.name} does not fit into the flash of {chip.name}", advice="give the chip with --chip"
        )
    steps = capture_steps(chip, layout)
    require_board_name(name)
    texts = packaged("case/capture.toml")[shell.value]
    about = f"\n{texts['comment']}".join(_about(chip, steps))
    board = {"about": about, "count": len(steps), "name": name, "part": chip.name.upper(), "ap": chip.identity.core_ap}
    out, khz = [_Text(texts["begin"]).substitute(board)], 0
    for i, step in enumerate(steps, 1):
        kind = "dump" if step.dump else "words" if step.size else "print" if step.reads else "banner"
        call = {
            "i": i,
            "what": step.what,
            "connect": " ".join(connect_arguments(chip, step)),
            "reads": step.reads,
            "to": step.to,
            "dump": step.dump,
            "address": f"0x{step.address:08X}",
            "size": f"0x{step.size:X}",
            "words": step.size // 4,
            "hex_words": f"0x{step.size // 4:X}",
            "khz": step.khz or FAST_KHZ,
            "speed": f"speed {step.khz}\n" if step.dump and step.khz != khz else "",
            "sidecar": capture_sidecar(chip, step, texts["tool"]),
        }
        out.append(_Text(texts.get(kind, texts.get("print", ""))).substitute(board, **call))
        khz = step.khz if step.dump else khz
    script = "".join((*out, texts["end"]))
    return script.replace("\n", "\r\n") if shell is Interpreter.BAT else script


def _about(chip: Chip, steps: tuple[CaptureStep, ...]) -> tuple[str, ...]:
    size = sum(s.size for s in steps if s.dump)
    return (
        f"Collects what h5diag wants to know of one board with an {chip.title}.",
        "Read only: hot plug, no reset, no erase, no write, no option is set, no authentication.",
        f"It reads {size // 1024} KiB and takes some minutes. Do not reset or unplug the board before it ends.",
        "Run it once with the name good for a board that works and once with the name suspect.",
        "Each step stands alone: where the chip refuses one, the others still tell something.",
    )


def connect_arguments(chip: Chip, step: CaptureStep) -> tuple[str, ...]:
    """Return how STM32CubeProgrammer connects for a step: hot plug, which resets and halts nothing."""
    speed = (f"freq={step.khz}",) if step.khz else ()
    return ("-c", "port=SWD", *speed, "mode=HOTPLUG", f"ap={chip.identity.core_ap}")


def capture_sidecar(chip: Chip, step: CaptureStep, tool: str = "STM32CubeProgrammer") -> str:
    """Return the sidecar of a dump that a step wrote."""
    return json.dumps({"base": step.base, "access": "unknown", "mode": "hotplug", "chip": chip.name, "tool": tool})
