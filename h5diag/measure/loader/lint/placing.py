"""Checks of where the image lies: its address, the free first word, its size, VMA and LMA."""

from __future__ import annotations

from collections.abc import Iterator

from h5diag.measure.loader.calls import ABSENT
from h5diag.measure.loader.lint.finding import LintFinding, Subject, error, note, warning
from h5diag.measure.loader.placement import Base, bases, windows


def check_file(subject: Subject) -> Iterator[LintFinding]:
    """Yield what of the file could not be read or does not fit together (L030 to L034)."""
    loader = subject.loader
    for damage in loader.warnings:
        yield error("L030", f"The file is damaged: {damage}.", "Copy or link it again.")
    if not loader.image_segments:
        yield error(
            "L031",
            "There is no loadable code: nothing can be downloaded.",
            "Check the linker script's segments (PT_LOAD).",
        )
        return
    for a, b in zip(loader.image_segments, loader.image_segments[1:], strict=False):
        if b.address < a.address + a.file_size:
            yield error(
                "L032",
                f"The segments at 0x{a.address:08X} and 0x{b.address:08X} overlap.",
                "Give every section its own addresses.",
            )
    if len(loader.image_segments) > 1:
        yield warning(
            "L033",
            f"The image has {len(loader.image_segments)} segments; published loaders have one.",
            "Put code and data into one segment.",
        )
    if moved := next((s for s in loader.image_segments if s.address != s.load_address), None):
        yield warning(
            "L034",
            f"The segment that runs at 0x{moved.address:08X} (VMA) is stored for "
            f"0x{moved.load_address:08X} (LMA): nobody copies it there.",
            "Remove AT> from the linker script.",
        )


def check_placement(subject: Subject) -> Iterator[LintFinding]:
    """Yield what is wrong with address and size of the image (L040 to L043)."""
    loader, family = subject.loader, subject.family
    if not loader.image_segments:
        return
    linked = loader.link_address
    if not family.in_ram(linked, max(loader.memory_stop, linked + 1)):
        yield error(
            "L043",
            f"The image lies at 0x{linked:08X}..0x{loader.memory_stop:08X}, which is "
            f"not all RAM of an STM32{family.name.upper()}.",
            "Link it into the first SRAM.",
        )
    else:
        yield from _base(subject, linked)
    size = len(loader.image)
    for window in windows(family, subject.trustzone):
        if size > window.size:
            claim = "one report says that more than 0x{:X} are not" if window.hint else "more than 0x{:X} may not be"
            yield warning(
                "L042",
                f"The image has 0x{size:X} bytes; {claim.format(window.size)} downloaded ({window.sources[0]}).",
                "Compile with -Os, and let the linker discard unused sections but KEEP the entry points.",
            )
            break


def _base(subject: Subject, linked: int) -> Iterator[LintFinding]:
    if subject.log_base != ABSENT:
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
    if clash := next((b for b in known if linked == b.address), None):
        yield error(
            "L040", _overlap(linked) + f", according to {clash.sources[0]}.", f"Link it at 0x{clash.link_address:08X}."
        )
        return
    if linked & ~0x10000000 == subject.family.ram[0]:
        yield error(
            "L040",
            _overlap(linked) + ": no RAM lies before it.",
            f"Link it at 0x{known[0].link_address if known else linked + 4:08X}.",
        )
        return
    if not known:
        return
    likeliest = known[0]
    if linked == likeliest.link_address:
        yield from _doubt(subject, linked, known)
    elif match := next((b for b in known if linked == b.link_address), None):
        yield warning(
            "L041",
            f"It is linked at 0x{linked:08X}, which fits {_source(match)}, but not "
            f"0x{likeliest.link_address:08X} of {_source(likeliest)}.",
            "Lint again with --log: a verbosity-3 log shows the base of your programmer.",
        )
    else:
        strength = "one report puts it" if likeliest.hint else "published logs and loaders put it"
        yield warning(
            "L041",
            f"It is linked at 0x{linked:08X}; {strength} at "
            f"0x{likeliest.link_address:08X}{_condition(subject, likeliest)}. Linked elsewhere it is never "
            f"downloaded ({likeliest.sources[0]}).",
            f"Link it at 0x{likeliest.link_address:08X} and try that first; a verbosity-3 log given with "
            "--log decides.",
        )


def _doubt(subject: Subject, linked: int, known: tuple[Base, ...]) -> Iterator[LintFinding]:
    """TrustZone not told: say where the address would be wrong."""
    other = next((b for b in known if b.link_address != linked and b.trustzone == "on"), None)
    if other is not None and subject.trustzone == "unknown":
        yield note(
            "L041",
            f"With TrustZone on, {_source(other)} puts it at 0x{other.link_address:08X}.",
            "Say --tz on or --tz off.",
        )


def _overlap(linked: int) -> str:
    return f"The image begins at 0x{linked:08X}, on the word that the programmer needs for its breakpoint 0xBE00"


def _condition(subject: Subject, base: Base) -> str:
    if base.trustzone == "any":
        return f" on an STM32{subject.family.name.upper()}"
    return f" on an STM32{subject.family.name.upper()} with TrustZone {base.trustzone}"


def _source(base: Base) -> str:
    return f"{'one report' if base.hint else 'several sources'} ({base.sources[0]})"
