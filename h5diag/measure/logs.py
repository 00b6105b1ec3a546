"""A text of the programmer, read as far as anything in it is known: connection, options, errors, writes, loader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from h5diag.answer import Answer
from h5diag.chip import ChipChoice
from h5diag.evidence.door import Source
from h5diag.evidence.texts import (
    Log,
    LogKind,
    ReadBack,
    chip_of,
    identity_words,
    parse_log,
    parse_registers,
    printable,
)
from h5diag.evidence.texts.registers import firmware_views
from h5diag.layout import Layout, chip_and_layout
from h5diag.measure.options import (
    OptionBytes,
    Provisioning,
    Remark,
    decode_listing,
    decode_registers,
    explain_log,
    explain_words,
    known_words,
    read_provisioning,
)
from h5diag.text import count_text

if TYPE_CHECKING:
    from h5diag.measure.loader.explain import LoaderStory


@dataclass(frozen=True, slots=True)
class LogReading(Answer):
    """What a text says.

    Parameters
    ----------
    log
        What was found in it.
    choice
        The chip that it is of; an assumed one reads nothing.
    options
        Its option bytes; without settings when there are none.
    provisioning
        What was written where, in the terms of the layout.
    words
        Registers and words that it prints, by name.
    remarks
        What is odd in it, and what that means.
    loader
        The story of an external loader, None when there is none in it.
    source
        Its name; empty when it has none.
    """

    log: Log
    choice: ChipChoice
    options: OptionBytes
    provisioning: Provisioning
    words: tuple[tuple[str, int], ...]
    remarks: tuple[Remark, ...]
    loader: LoaderStory | None
    source: str = ""

    @property
    def product_state(self) -> str:
        """The state by the listing, else by a discovery, else by another tool; ``unknown`` when none says it."""
        chip, lifecycle = self.options.chip, self.log.discovery.lifecycle
        told = (t.state if chip.state_option == "PRODUCT_STATE" else t.rdp for t in self.log.tools)
        with suppress(KeyError):
            if self.options.state is None and lifecycle:
                return chip.state_called(lifecycle).name
            if self.options.state is None and (value := next((v for v in told if v is not None), None)) is not None:
                return chip.state(value).name
        return self.options.product_state


def explain_text(
    text: str,
    *,
    chip: str = "",
    layout: str | Path | Layout | None = None,
    elves: Sequence[Source] = (),
    source: str = "",
) -> LogReading:
    """Return what a text says; any text is accepted, and kind UNKNOWN when nothing in it is known.

    Parameters
    ----------
    text
        Anything that STM32CubeProgrammer printed.
    chip
        Chip file or family word; empty takes it from the text.
    layout
        Names the slots that were written.
    elves
        ELF files of the firmware: they name function and line of the places that a fault dump tells.
    source
        Its name, for a person.

    Raises
    ------
    InputError
        When `chip` or `layout` name none.
    """
    log, words = parse_log(text), parse_registers(text)
    choice, slots = chip_and_layout(chip_of([log], given=chip, dev_ids=identity_words(words)), layout)
    known = choice.read_as
    options = decode_listing(log.listing, known)
    if not options.settings and not choice.assumed and any(w.address is not None for w in words):
        bases = [base for base in (known.flash_registers, known.flash_registers_secure) if base]
        of_flash = (w for w in words if any(0 <= (w.address or 0) - base < 0x400 for base in bases))
        options = decode_registers(of_flash, known)
    return LogReading(
        log,
        choice,
        options,
        read_provisioning(log.programming, known, slots),
        tuple(known_words(words, known)),
        (
            *_several(log),
            *explain_log(log, known, slots, assumed=choice.assumed),
            *explain_words(words, known, assumed=choice.assumed),
            *_beyond(log, text, elves),
            *_next(log),
        ),
        loader_story(text, choice) if log.loader_lines or "flash loader" in text.lower() else None,
        source,
    )


def _next(log: Log) -> Iterator[Remark]:
    """Say what to look at next, where a text tells that something was written and not what became of it."""
    p = log.programming
    if log.kind not in (LogKind.PROGRAMMING, LogKind.PROVISIONING, LogKind.OPTION_CHANGE) or not p:
        return
    bad = next((w for w in p.writes if w.failed or w.check is ReadBack.FAILED), None)
    unread = [w for w in p.writes if w.check is ReadBack.NOT_CHECKED and not w.failed]
    if bad is not None:
        where = f" from 0x{bad.address:08X}" if bad.address is not None else ""
        yield Remark(
            f"look next at what stands there: read the flash{where} back, take a listing of the option bytes, "
            "and compare the dump with the file (h5diag compare)"
        )
    elif p.option_runs_failed or any(o.result in ("refused", "unknown") for o in p.options):
        yield Remark("look next at a listing of the option bytes taken after a reset (h5diag options)")
    elif unread:
        yield Remark(
            f"look next at a dump: {count_text(len(unread), 'file')} of this run "
            f"{'was' if len(unread) == 1 else 'were'} not read back (give -v, or compare a dump with the file)"
        )
    elif p.writes:
        yield Remark(
            "everything that was written was read back: where the board still does not start, look at the option bytes, "
            "the boot address, and what the boot loader prints"
        )


def _several(log: Log) -> Iterator[Remark]:
    """Say that a text is of several chips: nothing in it may be laid on one of them unseen."""
    if len(log.identities) > 1:
        each = " and ".join(f"0x{dev_id:03X} (line {line})" for dev_id, line in log.identities)
        yield Remark(
            f"the text is of {len(log.identities)} different chips, {each}: cut it apart and ask for each alone"
        )


def _beyond(log: Log, text: str, elves: Sequence[Source]) -> Iterator[Remark]:
    """Say what option words of all ones, places of a fault and a firmware's own view of the flash come to."""
    words, fault = log.option_words, log.fault
    if words and all(w in (0xFFFF, 0xFFFFFFFF) for w in words):
        yield Remark(
            f"all {count_text(len(words), 'option word')} read all ones: erased option bytes, as after a power loss while they "
            "were written; nobody sets that",
            "options-torn",
        )
    for what, address in (("the core was at", fault.pc), ("it would return to", fault.lr)) if fault else ():
        if address is not None and (name := named_place(elves, address)):
            yield Remark(f"{what} {name}")
    if view := next(firmware_views(text), None):
        yield Remark(
            f"the firmware read back {view.read[:16].hex(' ').upper()} at 0x{view.address:08X} and wanted "
            f"{view.wrote[:16].hex(' ').upper()}: hold it against a dump; where the cells hold what it wanted, its cache "
            "is out of date"
        )


def named_place(elves: Sequence[Source], address: int) -> str:
    """Return function, offset and source line of a code address in the first ELF file that has it; empty when none has.

    Raises
    ------
    InputError
        When a file is no readable ELF file.
    """
    from h5diag.evidence.files.elf import read_elf_map, source_line  # a log alone needs no memory files

    for file in elves:
        name, offset = read_elf_map(file).symbol_at(address & ~1)
        if name:
            line = source_line(file, address)
            return f"{printable(name, 80)}+0x{offset:X}{f' ({printable(line, 120)})' if line else ''}"
    return ""


def loader_story(text: str, choice: ChipChoice) -> LoaderStory | None:
    """Return what became of an external loader in a verbose log; None when none was used, as for internal flash.

    `choice` is the chip that the same text names.
    """
    from h5diag.measure.loader.explain import Story, explain
    from h5diag.measure.loader.vb3 import parse_log as parse_loader_log

    found = explain(parse_loader_log(text), choice=choice)
    return None if found.story in (Story.NO_LOG, Story.NO_CALL, Story.INTERNAL_ONLY) else found
