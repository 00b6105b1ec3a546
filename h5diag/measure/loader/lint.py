"""What is wrong with an external loader before it ever runs, and whether it was bypassed or is mislinked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from h5diag.measure.loader.explain import Story, bypassing, explain, log_base, log_version
from h5diag.measure.loader.loaderfile import SIZE, VOLATILE_TYPES, LoaderFile, StorageInfo, decode_storage
from h5diag.measure.loader.placement import STACK_SIZE, Base, Family, bases, beyond_window, families
from h5diag.measure.loader.thumb import Concern, Remarkable, remarkable
from h5diag.measure.loader.vb3 import LoaderLog
from h5diag.memory import AddressRange
from h5diag.text import count_text


class Severity(Enum):
    """How sure it is that the loader will not work."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class LintFinding:
    """A claim in one sentence and what to do, under a stable code (``L041``)."""

    code: str
    severity: Severity
    text: str
    advice: str = ""


def _of(severity: Severity) -> Callable[[str, str, str], LintFinding]:
    return lambda code, text, advice: LintFinding(code, severity, text, advice)


error, warning, note = map(_of, Severity)
"""Make a finding that says: this will not work, may not work; know this."""


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is linted, and for which chip.

    `trustzone` is ``on``, ``off`` or ``unknown``; `version` the tool's version or empty; `log_base` the base that the
    user's own log shows, or None.
    """

    loader: LoaderFile
    family: Family
    trustzone: str
    version: str
    log_base: int | None


_CPACR = 0xE000ED88
"""Coprocessor access control register, Armv8-M Architecture Reference Manual, D1.2.14."""


def check_entries(subject: _Subject) -> Iterator[LintFinding]:
    """Yield what is wrong with the entry points (L020 to L023)."""
    loader, raw = subject.loader, subject.loader.storage
    volatile = len(raw) == SIZE and decode_storage(raw).type in VOLATILE_TYPES
    functions = [(f.name, f.value, len(loader.read(f.value & ~1, 2)) == 2) for f in loader.functions]
    rows = (
        *(
            (
                loader.symbol(name) is None,
                error(
                    "L020",
                    f"There is no function {name}.",
                    "Export it with C linkage under exactly this name, and keep it from being discarded.",
                ),
            )
            for name in ("Init", "Write")
        ),
        (
            loader.symbol("SectorErase") is None and not volatile,
            error(
                "L020",
                "There is no function SectorErase.",
                "Export int SectorErase(uint32_t start, uint32_t end); the programmer erases before it writes.",
            ),
        ),
        (
            loader.symbol("Read") is None,
            note(
                "L023",
                "There is no function Read: the programmer reads the memory window itself.",
                "Init and Write must leave the memory-mapped mode on.",
            ),
        ),
        *(
            (
                not at & 1,
                error(
                    "L021",
                    f"{name} at 0x{at:08X} is no Thumb function (bit 0 is clear).",
                    "Compile for Cortex-M33 with -mthumb; in assembler mark it with .thumb_func.",
                ),
            )
            for name, at, _ in functions
        ),
        *(
            (
                not stored or loader.segment_at(at & ~1) not in loader.image_segments,
                error(
                    "L022",
                    f"{name} lies outside the image, at 0x{at & ~1:08X}."
                    if stored
                    else f"{name} at 0x{at & ~1:08X} has no bytes in the file.",
                    "Put all code into the one segment behind the breakpoint word."
                    if stored
                    else "Place its section in a loadable segment.",
                ),
            )
            for name, at, stored in functions
        ),
    )
    return (finding for holds, finding in rows if holds)


def check_code(subject: _Subject) -> Iterator[LintFinding]:
    """Yield what the code contains that a loader should not (L052, L060 to L062)."""
    by = {c: [r for r in remarkable(subject.loader) if r.concern is c] for c in Concern}
    room = STACK_SIZE - 4 - subject.loader.bss_size
    for largest in [r for r in sorted(by[Concern.FRAME], key=lambda r: -r.amount) if r.amount > room - 64][:1]:
        yield LintFinding(
            "L052",
            Severity.ERROR if largest.amount > STACK_SIZE - 4 else Severity.WARNING,
            f"{_place(subject, largest)} takes {count_text(largest.amount, 'byte')} of stack; a loader gets "
            f"{STACK_SIZE - 4} bytes in all, whatever _estack says.",
            "Make the buffer static, or work in smaller pieces.",
        )
    if floats := by[Concern.FLOAT]:
        enabled = _CPACR.to_bytes(4, "little") in subject.loader.image
        yield (note if enabled else warning)(
            "L060",
            f"There are {len(floats)} floating-point instructions, the first in "
            f"{_place(subject, floats[0])}: the FPU is off when a loader is called, and the first one faults"
            f"{' unless the code enables it before, as it seems to do' if enabled else ''}.",
            "Compile with -mfloat-abi=soft, or enable CP10 and CP11 in CPACR in every entry point.",
        )
    if calls := by[Concern.SUPERVISOR]:
        yield warning(
            "L061",
            f"{_place(subject, calls[0])} holds a supervisor call (SVC): there is no vector table of the loader's own.",
            "Link without an operating system or semihosting.",
        )
    if enables := by[Concern.INTERRUPTS]:
        yield warning(
            "L062",
            f"{_place(subject, enables[0])} enables interrupts: one taken then runs "
            "whatever vector table the chip has at that moment.",
            "Leave interrupts off, and take delays from a counter.",
        )


def check_memory(subject: _Subject) -> Iterator[LintFinding]:
    """Yield what is wrong with data that is not in the file (L050, L051)."""
    loader, size = subject.loader, subject.loader.bss_size
    if not size:
        return
    if loader.memory_stop.to_bytes(4, "little") in loader.image:
        yield note(
            "L050",
            f"There are {count_text(size, 'byte')} of .bss behind the image; the code seems to clear them itself.",
            "Nothing to do if it does so in every entry point that relies on it.",
        )
    else:
        yield warning(
            "L050",
            f"There are {count_text(size, 'byte')} of .bss behind the image, and no sign that anybody "
            "clears them: the programmer runs no start-up code.",
            "Clear .bss at the start of Init, or initialise these variables.",
        )
    room = STACK_SIZE - 4 - size
    if room < 256:
        yield LintFinding(
            "L051",
            Severity.ERROR if room <= 0 else Severity.WARNING,
            f"{count_text(size, 'byte')} of .bss may lie where the programmer puts the stack ({STACK_SIZE - 4} bytes "
            f"behind the file's image): {count_text(max(room, 0), 'byte')} of stack are left.",
            "Store .bss in the image (put it into .data), or make it smaller.",
        )


def _place(subject: _Subject, r: Remarkable) -> str:
    return subject.loader.place(r.address) or f"the code at 0x{r.address:08X}"


def check_file(subject: _Subject) -> Iterator[LintFinding]:
    """Yield what of the file could not be read or does not fit together (L030 to L034)."""
    loader, parts = subject.loader, subject.loader.image_segments
    rows = (
        *(
            (damage, error("L030", f"The file is damaged: {damage}.", "Copy or link it again."))
            for damage in loader.warnings
        ),
        (
            not parts,
            error(
                "L031",
                "There is no loadable code: nothing can be downloaded.",
                "Check the linker script's segments (PT_LOAD).",
            ),
        ),
        *(
            (
                b.address < a.address + a.file_size,
                error(
                    "L032",
                    f"The segments at 0x{a.address:08X} and 0x{b.address:08X} overlap.",
                    "Give every section its own addresses.",
                ),
            )
            for a, b in pairwise(parts)
        ),
        (
            len(parts) > 1,
            warning(
                "L033",
                f"The image has {count_text(len(parts), 'segment')}; published loaders have one.",
                "Put code and data into one segment.",
            ),
        ),
        *(
            (
                moved,
                warning(
                    "L034",
                    f"The segment that runs at 0x{moved.address:08X} (VMA) is stored for "
                    f"0x{moved.load_address:08X} (LMA): nobody copies it there.",
                    "Remove AT> from the linker script.",
                ),
            )
            for moved in [s for s in parts if s.address != s.load_address][:1]
        ),
    )
    return (finding for holds, finding in rows if holds)


def check_placement(subject: _Subject) -> Iterator[LintFinding]:
    """Yield what is wrong with address and size of the image (L040 to L043)."""
    loader, family, linked = subject.loader, subject.family, subject.loader.link_address
    if not loader.image_segments:
        return
    if not family.in_ram(linked, max(loader.memory_stop, linked + 1)):
        yield error(
            "L043",
            f"The image lies at {AddressRange(linked, max(loader.memory_stop, linked))}, which is "
            f"not all RAM of an STM32{family.name.upper()}.",
            "Link it into the first SRAM.",
        )
    else:
        yield from _base(subject, linked)
    size = len(loader.image)
    if claim := beyond_window(family, subject.trustzone, size):
        yield warning(
            "L042",
            f"The image has 0x{size:X} bytes; {claim}.",
            "Compile with -Os, and let the linker discard unused sections but KEEP the entry points.",
        )


def _base(subject: _Subject, linked: int) -> Iterator[LintFinding]:
    if subject.log_base is not None:
        wanted = subject.log_base + 4
        if linked == subject.log_base:
            yield error("L040", _overlap(linked) + " (the log shows this base).", f"Link it at 0x{wanted:08X}.")
        elif linked != wanted:
            yield error(
                "L041",
                f"It is linked at 0x{linked:08X}; this programmer's log shows the base "
                f"0x{subject.log_base:08X}, so it is never downloaded.",
                f"Link it at 0x{wanted:08X}.",
            )
        return
    known = bases(subject.family.name, subject.trustzone, subject.version)
    clash = next((b for b in known if linked == b.address), None)
    likeliest = known[0] if known else None
    if clash:
        yield error(
            "L040", _overlap(linked) + f", according to {clash.sources[0]}.", f"Link it at 0x{clash.link_address:08X}."
        )
    elif linked & ~0x10000000 == subject.family.ram[0]:
        wanted = likeliest.link_address if likeliest else linked + 4
        yield error("L040", _overlap(linked) + ": no RAM lies before it.", f"Link it at 0x{wanted:08X}.")
    elif likeliest is None:
        return
    elif linked == likeliest.link_address:
        # TrustZone not told: say where the address would be wrong.
        other = next((b for b in known if b.link_address != linked and b.trustzone == "on"), None)
        if other is not None and subject.trustzone == "unknown":
            text = f"With TrustZone on, {_source(other)} puts it at 0x{other.link_address:08X}."
            yield note("L041", text, "Say --tz on or --tz off.")
    elif match := next((b for b in known if linked == b.link_address), None):
        yield warning(
            "L041",
            f"It is linked at 0x{linked:08X}, which fits {_source(match)}, but not "
            f"0x{likeliest.link_address:08X} of {_source(likeliest)}.",
            "Lint again with --log: a verbosity-3 log shows the base of your programmer.",
        )
    else:
        strength = "one report puts it" if likeliest.hint else "published logs and loaders put it"
        only = "" if likeliest.trustzone == "any" else f" with TrustZone {likeliest.trustzone}"
        yield warning(
            "L041",
            f"It is linked at 0x{linked:08X}; {strength} at 0x{likeliest.link_address:08X} on an "
            f"STM32{subject.family.name.upper()}{only}. Linked elsewhere it is never downloaded ({likeliest.sources[0]}).",
            f"Link it at 0x{likeliest.link_address:08X} and try that first; a verbosity-3 log given with "
            "--log decides.",
        )


def _overlap(linked: int) -> str:
    return f"The image begins at 0x{linked:08X}, on the word that the programmer needs for its breakpoint 0xBE00"


def _source(base: Base) -> str:
    return f"{'one report' if base.hint else 'several sources'} ({base.sources[0]})"


def check_storage(subject: _Subject) -> Iterator[LintFinding]:
    """Yield what is wrong with the description of the memory (L010 to L018)."""
    loader, raw = subject.loader, subject.loader.storage
    if (symbol := loader.symbol("StorageInfo")) is None:
        why = " (the file holds no symbols at all)" if not loader.symbols else ""
        yield error(
            "L010",
            f"There is no symbol StorageInfo{why}.",
            "Do not strip the file, and keep the variable with KEEP() or __attribute__((used)).",
        )
        return
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
                f"The segment of StorageInfo has {count_text(segment.memory_size, 'byte')} instead of {SIZE}.",
                "Keep it alone in its segment.",
            )
    yield from _content(subject, decode_storage(raw))


def _content(subject: _Subject, info: StorageInfo) -> Iterator[LintFinding]:
    stop, named = info.start + info.size, not info.type_name.startswith("unknown")
    possible = bool(info.size) and stop <= 1 << 32
    odd = next((g.size for g in info.groups if g.size & g.size - 1), 0)
    large = not info.page_size or 0 < info.size < info.page_size
    rows = (
        (
            not info.name or "?" in info.name or "\ufffd" in info.name,
            warning(
                "L013",
                f"DeviceName is {'empty' if not info.name else 'not plain text'}.",
                "Give the name that the programmer shall list.",
            ),
        ),
        (
            not named,
            error(
                "L014",
                f"DeviceType is {info.type}; 1 to 10 are known.",
                "Use NOR_FLASH (3) for serial NOR memory; check that the structure is not shifted.",
            ),
        ),
        (
            not possible,
            error(
                "L015",
                f"DeviceSize is 0x{info.size:X} at 0x{info.start:08X}, which is impossible.",
                "Set the size in bytes, not in bits.",
            ),
        ),
        (
            possible and not info.start,
            warning(
                "L015",
                "DeviceStartAddress is 0; such a loader was reported as 'cannot be loaded' with v2.21 (one report).",
                "Use the address where the memory is mapped, 0x90000000.",
            ),
        ),
        (
            possible and info.start and not subject.family.in_window(info.start, stop),
            warning(
                "L015",
                f"The memory is said to lie at 0x{info.start:08X}, where an "
                f"STM32{subject.family.name.upper()} maps no external memory.",
                "Use the window of the interface: 0x90000000 for OCTOSPI1, 0x70000000 for OCTOSPI2.",
            ),
        ),
        (not info.groups, error("L016", "StorageInfo lists no sectors.", "List number and size of the sectors.")),
        (
            info.groups and info.sectors_size != info.size,
            LintFinding(
                "L016",
                Severity.ERROR if info.sectors_size < info.size else Severity.WARNING,
                f"The sectors add up to 0x{info.sectors_size:X} bytes, DeviceSize is 0x{info.size:X}.",
                "Make number times size of the sectors equal to DeviceSize.",
            ),
        ),
        (
            odd,
            warning(
                "L016",
                f"A sector size of 0x{odd:X} is no power of two.",
                "Give the erase unit of the memory in bytes.",
            ),
        ),
        (
            info.groups and not info.terminated,
            warning("L016", "The list of sectors does not end with 0, 0.", "End it with 0x00000000, 0x00000000."),
        ),
        (
            info.erased not in (0xFF, 0x00),
            warning(
                "L017",
                f"EraseValue is 0x{info.erased:02X}; flash erases to 0xFF, RAM is 0x00.",
                "Set it to 0xFF for flash.",
            ),
        ),
        (
            info.erased == 0x00 and info.type not in VOLATILE_TYPES and named,
            warning("L017", f"EraseValue is 0x00 for {info.type_name}.", "Flash erases to 0xFF."),
        ),
        (
            large,
            LintFinding(
                "L018",
                Severity.ERROR if not info.page_size else Severity.WARNING,
                f"PageSize is 0x{info.page_size:X} for a memory of 0x{info.size:X} bytes.",
                "Set it to the program page of the memory, 0x100 for serial NOR.",
            ),
        ),
        (
            not large and info.page_size & info.page_size - 1,
            warning(
                "L018",
                f"PageSize 0x{info.page_size:X} is no power of two.",
                "Set it to the program page of the memory.",
            ),
        ),
    )
    return (finding for holds, finding in rows if holds)


CHECKS = (check_file, check_storage, check_entries, check_placement, check_memory, check_code)
"""All checks, in the order of their codes' tens."""


def lint(
    loader: LoaderFile, family: Family, *, trustzone: str = "unknown", version: str = "", log: LoaderLog | None = None
) -> tuple[LintFinding, ...]:
    """Return what is wrong with a loader, errors first.

    Parameters
    ----------
    loader
        As `read_loader` returns it.
    family
        As `h5diag.measure.loader.placement.family` returns it.
    trustzone
        ``on``, ``off`` or ``unknown``.
    version
        Version of STM32CubeProgrammer, such as ``2.17.0``; empty takes it from the log, or leaves it open.
    log
        The user's verbosity-3 log; the base it shows overrides the table.
    """
    base, version = (log_base(log), version or log_version(log)) if log is not None else (None, version)
    found = (f for check in CHECKS for f in check(_Subject(loader, family, trustzone, version, base)))
    order = list(Severity)
    return tuple(sorted(found, key=lambda f: (order.index(f.severity), f.code)))


def sound(findings: tuple[LintFinding, ...]) -> bool:
    """Tell whether none of the findings is an error."""
    return not any(f.severity is Severity.ERROR for f in findings)


class Certainty(Enum):
    """Yes and no rest on evidence; `POSSIBLE` rests on one report or on a warning; `UNKNOWN` on nothing."""

    YES = "yes"
    POSSIBLE = "possible"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class LoaderSign:
    """An answer in one sentence with what supports it, each piece a sentence of its own."""

    answer: Certainty
    text: str
    evidence: tuple[str, ...] = ()


_RAN = (Story.WORKED, Story.FAULTED, Story.REFUSED, Story.HUNG, Story.ODD_RESULT)
_PLACING = ("L031", "L040", "L041", "L042", "L043")


def loader_bypassed(log: LoaderLog) -> LoaderSign:
    """Tell whether the external loader was silently not used, from a verbosity-3 log."""
    if not log.is_verbose:
        return LoaderSign(Certainty.UNKNOWN, "The log is not of verbosity 3: it does not show if the loader was used.")
    story = explain(log)
    if story.story is Story.BYPASSED:
        line = bypassing(log)[0]
        proof = f"external memory accessed directly in line {line}, no 'Init flashloader...' anywhere"
        return LoaderSign(Certainty.YES, story.conclusion, (proof,))
    if story.story in (Story.NO_CALL, Story.INTERNAL_ONLY):
        return LoaderSign(Certainty.UNKNOWN, story.conclusion)
    return LoaderSign(
        Certainty.NO, "The external loader was called.", (f"{count_text(len(story.calls), 'call')} in the log",)
    )


def loader_mislinked(
    loader: LoaderFile | None, log: LoaderLog | None = None, *, family: str = "", trustzone: str = "unknown"
) -> LoaderSign:
    """Tell whether a loader is linked or sized so that it is never downloaded.

    Parameters
    ----------
    loader
        The loader's file, or None when there is only a log.
    log
        A verbosity-3 log, or None. Only a log makes the answer `YES` or `NO`: the base is the tool's own choice.
    family
        ``h5``, ``l5``, ``u5``; empty takes it from the log.
    trustzone
        ``on``, ``off`` or ``unknown``.
    """
    story = explain(log, loader, chip=family, trustzone=trustzone) if log is not None else None
    known = next((f for f in families() if f.name == (family or (story.family if story else ""))), None)
    linted = lint(loader, known, trustzone=trustzone, log=log) if loader is not None and known is not None else ()
    found = [f for f in linted if f.code in _PLACING and f.severity is not Severity.NOTE]
    evidence = tuple(f"{f.code}: {f.text}" for f in found)
    if story is not None and story.story is Story.NOT_DOWNLOADED:
        return LoaderSign(Certainty.YES, story.conclusion, (story.conclusion, *evidence))
    if story is not None and story.story in _RAN:
        version = f", v{story.version}" if story.version else ""
        calls = count_text(sum(c.downloaded for c in story.calls), "call")
        ran = f"breakpoint and image written before {calls}{version}"
        return LoaderSign(Certainty.NO, "The log shows that the image was downloaded.", (ran,))
    if found:
        sure = any(f.severity is Severity.ERROR for f in found)
        return LoaderSign(Certainty.YES if sure else Certainty.POSSIBLE, found[0].text, evidence)
    if loader is None or known is None:
        return LoaderSign(Certainty.UNKNOWN, "Neither a file for a known chip nor a call in a log is there.")
    if log is not None and log_base(log) is not None:
        return LoaderSign(Certainty.NO, "It is linked where the log puts it.", ())
    return LoaderSign(Certainty.UNKNOWN, "It is linked where published loaders of this family are; a log is needed.")
