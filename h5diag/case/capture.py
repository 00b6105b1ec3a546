"""A read-only STM32CubeProgrammer script for a board that only that program can open.

Every call connects in hot plug, so the chip is not reset, and reads. Nothing in a script resets, erases, writes, sets
an option or authenticates. Source for the options ``-c``, ``-ob displ``, ``-r`` and ``-r32``: ST UM2237.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from h5diag.chip import Chip
from h5diag.errors import InputError
from h5diag.layout import Layout
from h5diag.memory import AddressRange, merged


class Shell(Enum):
    """For which command interpreter a script is written."""

    SH = "sh"
    BAT = "bat"


SLOW_KHZ = 1000
"""Link speed of the second read of everything: what only a faster link gets wrong differs between the two."""

_REGISTERS = ("OPSR", "NSSR", "HDPEXTR", "ECCCORR", "ECCDETR", "ECCDR", "ECCR", "SR", "OPTR")
_WORDS = ("SFSP_VERSION", "RSS_DESCRIPTOR", "DBGMCU_SR", "SBS_HDPLSR", "BL_VERSION")
_WINDOWS_PATH = r"%ProgramFiles%\STMicroelectronics\STM32Cube\STM32CubeProgrammer\bin\STM32_Programmer_CLI.exe"


@dataclass(frozen=True, slots=True)
class Step:
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


def capture_steps(chip: Chip, layout: Layout | None = None) -> tuple[Step, ...]:
    """Return the calls that collect what a diagnosis wants of one board.

    Without a layout the whole flash is read, with one only up to the end of its last slot.
    """
    flash = chip.flash
    size = flash.size
    if layout is not None and layout.slots:
        stop = max(s.range.stop for s in layout.slots)
        size = min(flash.size, -(-(stop - flash.base) // flash.sector_size) * flash.sector_size)
    steps = [Step("connection banner", "", "log.txt"), Step("option bytes", "-ob displ", "ob.txt")]
    steps += [Step(f"{what}, {r}", f"-r32 0x{r.start:08X} {r.size}", "regs.txt") for what, r in _words(chip)]
    views = [("non-secure view", flash.base)]
    if flash.secure_base != flash.base:
        views.append(("secure view", flash.secure_base))
    for number, khz in ((1, 0), (2, SLOW_KHZ)):
        for what, base in views:
            name = f"dump-{base:08X}-{number}.bin"
            steps.append(
                Step(f"flash, {what}, read {number} of 2", f"-r 0x{base:08X} 0x{size:X}", "log.txt", name, base, khz)
            )
    # Read last: an ECC error that the reads above met is latched in these registers.
    steps += [Step(f"{what}, {r}", f"-r32 0x{r.start:08X} {r.size}", "regs.txt") for what, r in _registers(chip)]
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


def capture_script(shell: Shell, chip: Chip, layout: Layout | None = None) -> str:
    """Return the script, with the line ends that its interpreter needs (CR LF for ``bat``).

    It takes one argument, the board's name (``good`` or ``suspect``), which begins the name of every file that it
    writes into the current folder; it refuses to write over older ones.

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
    lines = _sh(chip, steps) if shell is Shell.SH else _bat(chip, steps)
    return "".join(line + ("\n" if shell is Shell.SH else "\r\n") for line in lines)


def _about(chip: Chip, steps: tuple[Step, ...]) -> tuple[str, ...]:
    size = sum(int(s.reads.split()[2], 16) for s in steps if s.dump)
    return (
        f"Collects what h5diag wants to know of one board with an {chip.title}.",
        "Read only: hot plug, no reset, no erase, no write, no option is set, no authentication.",
        f"It reads {size // 1024} KiB and takes some minutes. Do not reset or unplug the board before it ends.",
        "Run it once with the name good for a board that works and once with the name suspect.",
        "Each step stands alone: where the chip refuses one, the others still tell something.",
    )


def _connect(chip: Chip, step: Step) -> str:
    speed = f" freq={step.khz}" if step.khz else ""
    return f"-c port=SWD{speed} mode=HOTPLUG ap={chip.identity.core_ap}"


def _sidecar(chip: Chip, step: Step) -> str:
    return json.dumps(
        {"base": step.base, "access": "unknown", "mode": "hotplug", "chip": chip.name, "tool": "STM32CubeProgrammer"}
    )


def _sh(chip: Chip, steps: tuple[Step, ...]) -> Iterable[str]:
    yield "#!/bin/sh"
    yield from (f"# {line}" for line in _about(chip, steps))
    yield "# usage: sh capture.sh good        (or suspect)"
    yield 'NAME="$1"'
    yield 'CLI="${STM32_PROGRAMMER_CLI:-STM32_Programmer_CLI}"'
    yield (
        'case "$NAME" in ""|*[!A-Za-z0-9_-]*) echo "usage: sh capture.sh good   (or suspect; letters, digits, '
        '- and _ only)" >&2; exit 2;; esac'
    )
    yield (
        'command -v "$CLI" >/dev/null || { echo "$CLI is not on the PATH; set STM32_PROGRAMMER_CLI to it" >&2; '
        "exit 2; }"
    )
    yield 'if [ -e "$NAME-log.txt" ]; then echo "$NAME-log.txt is there already; use an empty folder" >&2; exit 2; fi'
    for i, step in enumerate(steps, 1):
        yield ""
        yield f'echo "{i} of {len(steps)}: {step.what}"'
        reads = f" {step.reads}" if step.reads else ""
        dump = f' "$NAME-{step.dump}"' if step.dump else ""
        yield (
            f'"$CLI" {_connect(chip, step)}{reads}{dump} >> "$NAME-{step.to}" 2>&1 '
            f'|| echo "  not read; $NAME-{step.to} says why"'
        )
        if step.dump:
            yield (
                f"if [ -s \"$NAME-{step.dump}\" ]; then echo '{_sidecar(chip, step)}' "
                f'> "$NAME-{step.dump}.map.json"; fi'
            )
    yield ""
    yield 'echo "Done. When both boards are read: h5diag case ."'


def _bat(chip: Chip, steps: tuple[Step, ...]) -> Iterable[str]:
    yield "@echo off"
    yield from (f"rem {line}" for line in _about(chip, steps))
    yield "rem usage: capture.bat good        (or suspect)"
    yield "setlocal"
    yield 'set "NAME=%~1"'
    yield 'if "%NAME%"=="" echo usage: capture.bat good   (or suspect)'
    yield 'if "%NAME%"=="" exit /b 2'
    yield 'set "CLI=STM32_Programmer_CLI.exe"'
    yield f'if exist "{_WINDOWS_PATH}" set "CLI={_WINDOWS_PATH}"'
    yield 'if defined STM32_PROGRAMMER_CLI set "CLI=%STM32_PROGRAMMER_CLI%"'
    yield 'if exist "%NAME%-log.txt" echo %NAME%-log.txt is there already; use an empty folder'
    yield 'if exist "%NAME%-log.txt" exit /b 2'
    for i, step in enumerate(steps, 1):
        yield ""
        yield f"echo {i} of {len(steps)}: {step.what}"
        reads = f" {step.reads}" if step.reads else ""
        dump = f' "%NAME%-{step.dump}"' if step.dump else ""
        yield f'"%CLI%" {_connect(chip, step)}{reads}{dump} >> "%NAME%-{step.to}" 2>&1'
        if i == 1:
            yield "if errorlevel 9009 echo %CLI% was not found; set STM32_PROGRAMMER_CLI to where it is"
            yield "if errorlevel 9009 exit /b 2"
        yield f"if errorlevel 1 echo   not read; %NAME%-{step.to} says why"
        if step.dump:
            yield (f'if exist "%NAME%-{step.dump}" echo {_sidecar(chip, step)} > "%NAME%-{step.dump}.map.json"')
    yield ""
    yield "echo Done. When both boards are read: h5diag case ."
    yield "endlocal"
