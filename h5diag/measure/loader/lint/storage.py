"""Checks of ``StorageInfo``: found, alone in its segment, plausible."""

from __future__ import annotations

from collections.abc import Iterator

from h5diag.measure.loader.lint.finding import LintFinding, Severity, Subject, error, note, warning
from h5diag.measure.loader.storage import SIZE, VOLATILE_TYPES, StorageInfo, decode_storage


def check_storage(subject: Subject) -> Iterator[LintFinding]:
    """Yield what is wrong with the description of the memory (L010 to L018)."""
    loader = subject.loader
    symbol = loader.symbol("StorageInfo")
    if symbol is None:
        why = " (the file holds no symbols at all)" if not loader.symbols else ""
        yield error(
            "L010",
            f"There is no symbol StorageInfo{why}.",
            "Do not strip the file, and keep the variable with KEEP() or __attribute__((used)).",
        )
        return
    raw = loader.read(symbol.value, SIZE)
    if len(raw) < SIZE:
        yield error(
            "L011",
            f"StorageInfo at 0x{symbol.value:08X} has {len(raw)} of its {SIZE} bytes "
            f"in the file: {'its segment ends early' if raw else 'it lies in no loadable segment'}.",
            "Place its section in a segment of type PT_LOAD, and not in .bss.",
        )
        return
    segment = loader.info_segment
    if segment is not None and segment.memory_size != SIZE:
        inside = [f.name for f in loader.functions if loader.segment_at(f.value & ~1) is segment]
        if inside or segment.memory_size > 0x400:
            yield error(
                "L012",
                "StorageInfo shares its segment with "
                f"{'the code of ' + ', '.join(inside) if inside else 'other data'}: the programmer then "
                "bypasses the loader without a word and reads the bare bus.",
                "Give StorageInfo a segment of its own (PHDRS in the linker script), at address 0.",
            )
        else:
            yield note(
                "L012",
                f"The segment of StorageInfo has {segment.memory_size} bytes instead of {SIZE}.",
                "Keep it alone in its segment.",
            )
    yield from _content(subject, decode_storage(raw))


def _content(subject: Subject, info: StorageInfo) -> Iterator[LintFinding]:
    if not info.name or "?" in info.name or "�" in info.name:
        yield warning(
            "L013",
            f"DeviceName is {'empty' if not info.name else 'not plain text'}.",
            "Give the name that the programmer shall list.",
        )
    if info.type_name.startswith("unknown"):
        yield error(
            "L014",
            f"DeviceType is {info.type}; 1 to 10 are known.",
            "Use NOR_FLASH (3) for serial NOR memory; check that the structure is not shifted.",
        )
    yield from _window(subject, info)
    yield from _sectors(info)
    if info.erased not in (0xFF, 0x00):
        yield warning(
            "L017",
            f"EraseValue is 0x{info.erased:02X}; flash erases to 0xFF, RAM is 0x00.",
            "Set it to 0xFF for flash.",
        )
    elif info.erased != 0xFF and info.type not in VOLATILE_TYPES and info.type_name[:7] != "unknown":
        yield warning("L017", f"EraseValue is 0x00 for {info.type_name}.", "Flash erases to 0xFF.")
    if not info.page_size or (info.size and info.page_size > info.size):
        yield LintFinding(
            "L018",
            Severity.ERROR if not info.page_size else Severity.WARNING,
            f"PageSize is 0x{info.page_size:X} for a memory of 0x{info.size:X} bytes.",
            "Set it to the program page of the memory, 0x100 for serial NOR.",
        )
    elif info.page_size & info.page_size - 1:
        yield warning(
            "L018", f"PageSize 0x{info.page_size:X} is no power of two.", "Set it to the program page of the memory."
        )


def _window(subject: Subject, info: StorageInfo) -> Iterator[LintFinding]:
    stop = info.start + info.size
    if not info.size or stop > 1 << 32:
        yield error(
            "L015",
            f"DeviceSize is 0x{info.size:X} at 0x{info.start:08X}, which is impossible.",
            "Set the size in bytes, not in bits.",
        )
    elif not info.start:
        yield warning(
            "L015",
            "DeviceStartAddress is 0; such a loader was reported as 'cannot be loaded' with v2.21 (one report).",
            "Use the address where the memory is mapped, 0x90000000.",
        )
    elif not subject.family.in_window(info.start, stop):
        yield warning(
            "L015",
            f"The memory is said to lie at 0x{info.start:08X}, where an "
            f"STM32{subject.family.name.upper()} maps no external memory.",
            "Use the window of the interface: 0x90000000 for OCTOSPI1, 0x70000000 for OCTOSPI2.",
        )


def _sectors(info: StorageInfo) -> Iterator[LintFinding]:
    if not info.groups:
        yield error("L016", "StorageInfo lists no sectors.", "List number and size of the sectors.")
        return
    if info.sectors_size != info.size:
        yield LintFinding(
            "L016",
            Severity.ERROR if info.sectors_size < info.size else Severity.WARNING,
            f"The sectors add up to 0x{info.sectors_size:X} bytes, DeviceSize is 0x{info.size:X}.",
            "Make number times size of the sectors equal to DeviceSize.",
        )
    if odd := next((g for g in info.groups if g.size & g.size - 1), None):
        yield warning(
            "L016",
            f"A sector size of 0x{odd.size:X} is no power of two.",
            "Give the erase unit of the memory in bytes.",
        )
    if not info.terminated:
        yield warning("L016", "The list of sectors does not end with 0, 0.", "End it with 0x00000000, 0x00000000.")
