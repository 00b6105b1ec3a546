"""``h5diag loader new``: a project of a minimal external loader, at the address that the programmer uses for a chip.

The source is that of the bundled sample loaders with its switches resolved, so what is written here is what the dry
run is tested with. What no tool of ST has confirmed is marked in the files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from h5diag.chip import load_chip
from h5diag.errors import InputError
from h5diag.evidence.door import make_folder, write_whole
from h5diag.evidence.samples import data_folder
from h5diag.measure.loader.placement import (
    BUFFER_SIZE,
    STACK_SIZE,
    Base,
    Family,
    Window,
    bases,
    family,
    windows,
)

UNCONFIRMED = "NOT CONFIRMED BY ANY ST TOOL OR DOCUMENT"
"""The mark of what rests on one report or on reasoning alone; search the project for it."""

_DIRECTIVE = re.compile(r"#\s*(if|elif|else|endif)\b\s*(!?)\s*(?:defined\((\w+)\))?")


def new_loader(chip: str, folder: str | Path, *, trustzone: bool = False) -> tuple[Path, ...]:
    """Write the project into a folder and return its files; nothing that is there already is replaced.

    Parameters
    ----------
    chip
        The part's or family's name: ``stm32h563zi``, ``h5``.
    folder
        Where; it is made when it is missing.
    trustzone
        Whether TrustZone is on (TZEN): another base where one is known, and the peripherals at secure addresses.

    Raises
    ------
    InputError
        When no facts allow one for this chip, or a file of the project is there already.
    """
    texts = project(chip, trustzone=trustzone)
    if there := [name for name in texts if Path(folder, name).exists()]:
        raise InputError(f"{there[0]} is there already", source=str(folder), advice="name another folder with --out")
    made = make_folder(folder)
    return tuple(write_whole(made / name, text, new=True) for name, text in texts.items())


def project(chip: str, *, trustzone: bool = False) -> dict[str, str]:
    """Return the project's files by their names, as `new_loader` writes them."""
    part_family = _allowed(chip, trustzone)
    tz = "on" if trustzone else "off"
    base, *others = bases(part_family.name, tz)
    if trustzone and base.trustzone == "off":
        raise InputError(f"no base is known for {chip} with TrustZone on", advice="leave out --trustzone")
    limits = windows(part_family, tz)
    name = f"{part_family.name}-loader" if not trustzone else f"{part_family.name}-tz-loader"
    defined = {"PROJECT", f"CHIP_{part_family.name.upper()}", *(("SECURE",) if trustzone else ())}
    return {
        "loader.c": resolved((data_folder() / "loaders" / "source" / "loader.c").read_text("utf-8"), defined),
        "loader.ld": _linker_script(chip, part_family, base, others, limits),
        "Makefile": _makefile(chip, name, tz),
        "README.md": _readme(chip, name, trustzone, base, limits),
    }


def _allowed(chip: str, trustzone: bool) -> Family:
    part_family = family(chip)
    part = load_chip(chip)
    if part.identity.dev_id not in part_family.octospi:
        raise InputError(
            f"of {part.title} no OCTOSPI is known here, and that is what the project drives",
            advice="known: STM32H523 to H573, L552, L562, U535 to U5G9",
        )
    if trustzone and not part.trustzone:
        raise InputError(f"{part.title} has no TrustZone", advice="leave out --trustzone")
    return part_family


def resolved(source: str, defined: Iterable[str]) -> str:
    """Return a C source without its ``#if defined(X)`` blocks: those that hold for `defined` stay, the others go."""
    names = frozenset(defined)
    lines: list[str] = []
    open_blocks: list[tuple[bool, bool]] = []  # whether a branch was taken, whether this one is
    for line in source.splitlines():
        if (m := _DIRECTIVE.match(line)) is None:
            if all(here for _, here in open_blocks):
                lines.append(line)
            continue
        holds = m[3] is None or (m[3] in names) != bool(m[2])
        if m[1] == "if":
            open_blocks.append((holds, holds))
        elif m[1] == "endif":
            open_blocks.pop()
        else:
            taken, _ = open_blocks.pop()
            open_blocks.append((taken or holds, holds and not taken))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines).strip() + "\n")


def _linker_script(chip: str, part_family: Family, base: Base, others: list[Base], limits: tuple[Window, ...]) -> str:
    room = part_family.ram[0] + part_family.ram[1] - base.link_address - STACK_SIZE - 0x40 - BUFFER_SIZE
    length = min(limits[0].size, room)
    seen = [f" *   0x{b.link_address:08X} {_whence(b)}" for b in others]
    return "\n".join(
        (
            f"/* External loader for {chip}. The programmer writes a breakpoint at 0x{base.address:08X} and the image",
            f" * behind it, so the first byte of the image is at 0x{base.link_address:08X}.",
            f" * Source: {'; '.join(base.sources)}.",
            *((f" * {UNCONFIRMED}: it rests on one report.",) if base.hint else ()),
            *((" * Also seen, for other versions of the programmer:", *seen) if seen else ()),
            " * The base that a log of your own shows (-vb 3) is stronger than any of this: put it + 4 below.",
            " *",
            f" * Size: {_size(limits[0])}",
            " * Stack: 1020 bytes behind the image, whatever is said here; nobody clears .bss, so none is allowed. */",
            "ENTRY(Init)",
            f"MEMORY {{ image (rwx) : ORIGIN = 0x{base.link_address:08X}, LENGTH = 0x{length:X} }}",
            "PHDRS { info PT_LOAD; image PT_LOAD; }",
            "SECTIONS",
            "{",
            "    .info 0 : { KEEP(*(.info)) } :info          /* StorageInfo alone in a segment, found by its symbol */",
            "    .text : { KEEP(*(.text .text.*)) *(.rodata .rodata.*) . = ALIGN(4); } > image :image",
            "    .data : { *(.data .data.*) . = ALIGN(4); } > image :image",
            "    .bss (NOLOAD) : { *(.bss .bss.* COMMON) } > image :image",
            '    ASSERT(SIZEOF(.bss) == 0, "nobody clears .bss for a loader: give the variable a value in .data")',
            "    /DISCARD/ : { *(.comment) *(.ARM.attributes) *(.ARM.exidx*) }",
            "}",
            "",
        )
    )


def _whence(base: Base) -> str:
    return f"({'; '.join(base.sources)}{'; one report' if base.hint else ''})"


def _size(window: Window) -> str:
    words = f"0x{window.size:X} bytes; a larger image is silently left out ({'; '.join(window.sources)})."
    return f"{words}\n * {UNCONFIRMED}: the limit rests on one report." if window.hint else words


def _makefile(chip: str, name: str, tz: str) -> str:
    return f"""# make: the loader.   make check: h5diag's lint and dry run of it (which wants 'h5diag[dryrun]').
CC     := arm-none-eabi-gcc
CFLAGS := -mcpu=cortex-m33 -mthumb -mfloat-abi=soft -Os -std=c11 -Wall -Wextra -Werror -ffreestanding -fno-common
LDFLAGS := -nostdlib -Wl,-T,loader.ld,-z,max-page-size=4,--no-warn-rwx-segments,--strip-debug,--build-id=none

{name}.stldr: loader.c loader.ld Makefile
\t$(CC) $(CFLAGS) $(LDFLAGS) -o $@ loader.c

.PHONY: check clean
check: {name}.stldr
\th5diag loader lint $< --chip {chip} --tz {tz}
\th5diag loader run $< --chip {chip} --tz {tz}

clean:
\trm -f {name}.stldr
"""


def _readme(chip: str, name: str, trustzone: bool, base: Base, limits: tuple[Window, ...]) -> str:
    unconfirmed = [
        "the whole contract (breakpoint at the base, image behind it, 1020 bytes of stack, the address of the buffer): "
        "it is what published logs show, no document of ST describes it",
        *((f"the base 0x{base.address:08X}: one report",) if base.hint else ()),
        *(f"the limit of 0x{w.size:X} bytes: one report" for w in limits if w.hint),
        *(("the secure addresses of the peripherals",) if trustzone else ()),
        "that an image linked here is downloaded by your version of the programmer: only its log (-vb 3) shows it",
    ]
    return f"""# A minimal external loader for {chip}{", TrustZone on" if trustzone else ""}

1. `loader.c`: fill in YOUR MEMORY and YOUR BOARD (the pins). Sample values: a W25Q128 on one data line of OCTOSPI1.
2. `make` (needs gcc-arm-none-eabi; tried with 12.2), then `make check`.
3. Copy `{name}.stldr` to the `ExternalLoader` folder of STM32CubeProgrammer, try it with `-vb 3`, and keep the log:
   `h5diag loader explain LOG --elf {name}.stldr --chip {chip}`.

What each function returns: 1 success, 0 failure. The programmer calls `Init` before every operation. `SectorErase` gets
the first address and one within the last sector. A pass of the dry run means "consistent with the model": it knows
nothing of pins, clocks, timing, or secure and non-secure access.

{UNCONFIRMED}:

{chr(10).join(f"* {line}" for line in unconfirmed)}
"""
