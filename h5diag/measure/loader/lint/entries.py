"""Checks of the entry points and of what their code contains."""

from __future__ import annotations

from collections.abc import Iterator

from h5diag.measure.loader.lint.finding import LintFinding, Severity, Subject, error, note, warning
from h5diag.measure.loader.placement import STACK_SIZE
from h5diag.measure.loader.storage import SIZE, VOLATILE_TYPES, decode_storage
from h5diag.measure.loader.thumb import Concern, Remarkable, remarkable

_CPACR = 0xE000ED88
"""Coprocessor access control register, Armv8-M Architecture Reference Manual, D1.2.14."""


def check_entries(subject: Subject) -> Iterator[LintFinding]:
    """Yield what is wrong with the entry points (L020 to L023)."""
    loader = subject.loader
    for name in ("Init", "Write"):
        if loader.symbol(name) is None:
            yield error(
                "L020",
                f"There is no function {name}.",
                "Export it with C linkage under exactly this name, and keep it from being discarded.",
            )
    if loader.symbol("SectorErase") is None and not _is_volatile(subject):
        yield error(
            "L020",
            "There is no function SectorErase.",
            "Export int SectorErase(uint32_t start, uint32_t end); the programmer erases before it writes.",
        )
    if loader.symbol("Read") is None:
        yield note(
            "L023",
            "There is no function Read: the programmer reads the memory window itself.",
            "Init and Write must leave the memory-mapped mode on.",
        )
    for f in loader.functions:
        if not f.value & 1:
            yield error(
                "L021",
                f"{f.name} at 0x{f.value:08X} is no Thumb function (bit 0 is clear).",
                "Compile for Cortex-M33 with -mthumb; in assembler mark it with .thumb_func.",
            )
        if len(loader.read(f.value & ~1, 2)) < 2:
            yield error(
                "L022",
                f"{f.name} at 0x{f.value & ~1:08X} has no bytes in the file.",
                "Place its section in a loadable segment.",
            )
        elif loader.segment_at(f.value & ~1) not in loader.image_segments:
            yield error(
                "L022",
                f"{f.name} lies outside the image, at 0x{f.value & ~1:08X}.",
                "Put all code into the one segment behind the breakpoint word.",
            )


def check_code(subject: Subject) -> Iterator[LintFinding]:
    """Yield what the code contains that a loader should not (L052, L060 to L062)."""
    found = remarkable(subject.loader)
    room = _stack_room(subject)
    frames = [r for r in found if r.concern is Concern.FRAME]
    if frames and (largest := max(frames, key=lambda r: r.amount)).amount > room - 64:
        yield LintFinding(
            "L052",
            Severity.ERROR if largest.amount > STACK_SIZE - 4 else Severity.WARNING,
            f"{_place(subject, largest)} takes {largest.amount} bytes of stack; a loader gets "
            f"{STACK_SIZE - 4} bytes in all, whatever _estack says.",
            "Make the buffer static, or work in smaller pieces.",
        )
    if floats := [r for r in found if r.concern is Concern.FLOAT]:
        enabled = _CPACR.to_bytes(4, "little") in subject.loader.image
        level = note if enabled else warning
        yield level(
            "L060",
            f"There are {len(floats)} floating-point instructions, the first in "
            f"{_place(subject, floats[0])}: the FPU is off when a loader is called, and the first one faults"
            f"{' unless the code enables it before, as it seems to do' if enabled else ''}.",
            "Compile with -mfloat-abi=soft, or enable CP10 and CP11 in CPACR in every entry point.",
        )
    if calls := [r for r in found if r.concern is Concern.SUPERVISOR]:
        yield warning(
            "L061",
            f"{_place(subject, calls[0])} holds a supervisor call (SVC): there is no vector table of the loader's own.",
            "Link without an operating system or semihosting.",
        )
    if enables := [r for r in found if r.concern is Concern.INTERRUPTS]:
        yield warning(
            "L062",
            f"{_place(subject, enables[0])} enables interrupts: one taken then runs "
            "whatever vector table the chip has at that moment.",
            "Leave interrupts off, and take delays from a counter.",
        )


def check_memory(subject: Subject) -> Iterator[LintFinding]:
    """Yield what is wrong with data that is not in the file (L050, L051)."""
    loader = subject.loader
    if not loader.image_segments:
        return
    stored_stop = loader.link_address + len(loader.image)
    size = loader.memory_stop - stored_stop
    if size <= 0:
        return
    cleared = loader.memory_stop.to_bytes(4, "little") in loader.image
    if cleared:
        yield note(
            "L050",
            f"There are {size} bytes of .bss behind the image; the code seems to clear them itself.",
            "Nothing to do if it does so in every entry point that relies on it.",
        )
    else:
        yield warning(
            "L050",
            f"There are {size} bytes of .bss behind the image, and no sign that anybody "
            "clears them: the programmer runs no start-up code.",
            "Clear .bss at the start of Init, or initialise these variables.",
        )
    room = STACK_SIZE - 4 - size
    if room < 256:
        yield LintFinding(
            "L051",
            Severity.ERROR if room <= 0 else Severity.WARNING,
            f"{size} bytes of .bss may lie where the programmer puts the stack ({STACK_SIZE - 4} bytes "
            f"behind the file's image): {max(room, 0)} bytes of stack are left.",
            "Store .bss in the image (put it into .data), or make it smaller.",
        )


def _stack_room(subject: Subject) -> int:
    loader = subject.loader
    size = loader.memory_stop - loader.link_address - len(loader.image) if loader.image_segments else 0
    return STACK_SIZE - 4 - max(0, size)


def _is_volatile(subject: Subject) -> bool:
    symbol = subject.loader.symbol("StorageInfo")
    raw = subject.loader.read(symbol.value, SIZE) if symbol else b""
    return len(raw) == SIZE and decode_storage(raw).type in VOLATILE_TYPES


def _place(subject: Subject, r: Remarkable) -> str:
    return subject.loader.place(r.address) or f"the code at 0x{r.address:08X}"
