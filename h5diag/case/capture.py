"""A read-only script for a board that only another program can open: STM32CubeProgrammer, OpenOCD, J-Link Commander.

Every call connects in hot plug, so the chip is not reset, and reads. Nothing in a script resets, halts, erases, writes,
sets an option or authenticates. Sources: ST UM2237 for ``-c``, ``-ob displ``, ``-r`` and ``-r32``; the OpenOCD user's
guide for ``mem_ap`` targets, ``read_memory`` and ``dump_image``, which need no core; SEGGER UM08001 for ``mem32``,
``savebin`` and ``log``.
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


class Interpreter(Enum):
    """For which interpreter a script is written; the first two call STM32CubeProgrammer."""

    SH = "sh"
    BAT = "bat"
    OPENOCD = "openocd"
    JLINK = "jlink"


SLOW_KHZ = 1000
"""Link speed of the second read of everything: what only a faster link gets wrong differs between the two."""

_REGISTERS = ("OPSR", "NSSR", "HDPEXTR", "ECCCORR", "ECCDETR", "ECCDR", "ECCR", "SR", "OPTR")
_WORDS = ("SFSP_VERSION", "RSS_DESCRIPTOR", "DBGMCU_SR", "SBS_HDPLSR", "BL_VERSION")
_WINDOWS_PATH = r"%ProgramFiles%\STMicroelectronics\STM32Cube\STM32CubeProgrammer\bin\STM32_Programmer_CLI.exe"


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
    writers = {Interpreter.SH: _sh, Interpreter.BAT: _bat, Interpreter.OPENOCD: _openocd}
    lines = _jlink(chip, steps, name) if shell is Interpreter.JLINK else writers[shell](chip, steps)
    return "".join(line + ("\r\n" if shell is Interpreter.BAT else "\n") for line in lines)


def _about(chip: Chip, steps: tuple[CaptureStep, ...]) -> tuple[str, ...]:
    size = sum(int(s.reads.split()[2], 16) for s in steps if s.dump)
    return (
        f"Collects what h5diag wants to know of one board with an {chip.title}.",
        "Read only: hot plug, no reset, no erase, no write, no option is set, no authentication.",
        f"It reads {size // 1024} KiB and takes some minutes. Do not reset or unplug the board before it ends.",
        "Run it once with the name good for a board that works and once with the name suspect.",
        "Each step stands alone: where the chip refuses one, the others still tell something.",
    )


def _connect(chip: Chip, step: CaptureStep) -> str:
    return " ".join(connect_arguments(chip, step))


def connect_arguments(chip: Chip, step: CaptureStep) -> tuple[str, ...]:
    """Return how STM32CubeProgrammer connects for a step: hot plug, which resets and halts nothing."""
    speed = (f"freq={step.khz}",) if step.khz else ()
    return ("-c", "port=SWD", *speed, "mode=HOTPLUG", f"ap={chip.identity.core_ap}")


def capture_sidecar(chip: Chip, step: CaptureStep, tool: str = "STM32CubeProgrammer") -> str:
    """Return the sidecar of a dump that a step wrote."""
    return json.dumps({"base": step.base, "access": "unknown", "mode": "hotplug", "chip": chip.name, "tool": tool})


def _sh(chip: Chip, steps: tuple[CaptureStep, ...]) -> Iterable[str]:
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
                f"if [ -s \"$NAME-{step.dump}\" ]; then echo '{capture_sidecar(chip, step)}' "
                f'> "$NAME-{step.dump}.map.json"; fi'
            )
    yield ""
    yield 'echo "Done. When both boards are read: h5diag case ."'


def _bat(chip: Chip, steps: tuple[CaptureStep, ...]) -> Iterable[str]:
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
            yield (f'if exist "%NAME%-{step.dump}" echo {capture_sidecar(chip, step)} > "%NAME%-{step.dump}.map.json"')
    yield ""
    yield "echo Done. When both boards are read: h5diag case ."
    yield "endlocal"


def _words_of(step: CaptureStep) -> tuple[int, int] | None:
    """Return address and number of words of a step that reads words."""
    parts = step.reads.split()
    return (int(parts[1], 16), int(parts[2]) // 4) if parts[:1] == ["-r32"] else None


def _openocd(chip: Chip, steps: tuple[CaptureStep, ...]) -> Iterable[str]:
    """OpenOCD 0.12: a target of the access port alone, so that no core is examined, halted or reset."""
    yield from (f"# {line}" for line in _about(chip, steps))
    yield '# usage: openocd -f interface/stlink-dap.cfg -c "set NAME good" -f capture.cfg        (or suspect)'
    yield 'if {![info exists NAME]} { error "say -c {set NAME good} (or suspect) before -f capture.cfg" }'
    yield 'if {[file exists $NAME-regs.txt]} { error "$NAME-regs.txt is there already; use an empty folder" }'
    yield "if {[using_jtag]} { transport select swd }"
    yield "reset_config none"
    yield "adapter speed 4000"
    yield "swd newdap h5diag cpu"
    yield "dap create h5diag.dap -chain-position h5diag.cpu"
    yield f"target create h5diag.ap mem_ap -dap h5diag.dap -ap-num {chip.identity.core_ap}"
    yield "init"
    for i, step in enumerate(steps, 1):
        words = _words_of(step)
        if words is None and not step.dump:
            continue  # what only STM32CubeProgrammer prints: the same options are in the registers
        yield ""
        yield f'echo "{i} of {len(steps)}: {step.what}"'
        if words is not None:
            address, count = words
            yield (
                f"catch {{ set out [open $NAME-regs.txt a]; set at 0x{address:08X}; "
                f"foreach word [read_memory 0x{address:08X} 32 {count}] "
                '{ puts $out [format "0x%08X : %08X" $at $word]; incr at 4 }; close $out }'
            )
            continue
        size = int(step.reads.split()[2], 16)
        yield f"adapter speed {step.khz or 4000}"
        yield f"catch {{ dump_image $NAME-{step.dump} 0x{step.base:08X} 0x{size:X} }}"
        yield (
            f"catch {{ set out [open $NAME-{step.dump}.map.json w]; "
            f"puts $out {{{capture_sidecar(chip, step, 'OpenOCD')}}}; close $out }}"
        )
    yield ""
    yield 'echo "Done. When both boards are read: h5diag case ."'
    yield "shutdown"


def _jlink(chip: Chip, steps: tuple[CaptureStep, ...], name: str) -> Iterable[str]:
    """J-Link Commander: connecting by itself neither resets nor halts; ``log`` keeps what is printed."""
    device = chip.name.upper()
    yield from (f"// {line}" for line in _about(chip, steps))
    yield f"// usage, in an empty folder: JLinkExe -device {device} -if SWD -speed 4000 -autoconnect 1 -CommandFile FILE"
    yield "// The name of the board is in the file names here: print one script for each (--name good, --name suspect)."
    yield f"log {name}-log.txt"
    yield "connect"
    speed = 0
    for step in steps:
        words = _words_of(step)
        if words is not None:
            yield f"// {step.what}"
            yield f"mem32 0x{words[0]:08X}, 0x{words[1]:X}"
        elif step.dump:
            yield f"// {step.what}"
            if step.khz != speed:
                speed = step.khz
                yield f"speed {speed}"
            size = int(step.reads.split()[2], 16)
            yield f"savebin {name}-{step.dump}, 0x{step.base:08X}, 0x{size:X}"
    yield "exit"
