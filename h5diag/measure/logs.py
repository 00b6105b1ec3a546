"""A text of the programmer, read as far as anything in it is known: connection, options, errors, writes, loader."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from h5diag.answer import Answer
from h5diag.chip import ChipChoice, KnownBy
from h5diag.evidence.texts import Log, chip_of, parse_log, parse_registers
from h5diag.layout import Layout, load_layout
from h5diag.measure.loader.explain import Explanation, Story, explain
from h5diag.measure.loader.vb3 import parse_log as parse_loader_log
from h5diag.measure.options import (
    OptionBytes,
    Provisioning,
    Remark,
    decode_listing,
    explain_log,
    explain_words,
    known_words,
    read_provisioning,
)


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
    loader: Explanation | None
    source: str = ""

    @property
    def product_state(self) -> str:
        """The state by the listing, else by a discovery; ``unknown`` when neither says it."""
        options, discovery = self.options, self.log.discovery
        if options.product_state == "unknown" and discovery.lifecycle:
            try:
                return options.chip.state_called(discovery.lifecycle).name
            except KeyError:
                return "unknown"
        return options.product_state


def layout_for(name: str | Path | Layout | None, choice: ChipChoice) -> Layout | None:
    """Return the layout of that name, for the chip of a text when the text or a person names it."""
    if name is None or isinstance(name, Layout):
        return name
    return load_layout(name, choice.chip if choice.known_by in (KnownBy.GIVEN, KnownBy.DEV_ID) else None)


def explain_text(
    text: str, *, chip: str = "", layout: str | Path | Layout | None = None, source: str = ""
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
    source
        Its name, for a person.

    Raises
    ------
    InputError
        When `chip` or `layout` name none.
    """
    log = parse_log(text)
    choice = chip_of([log], given=chip)
    known, words = choice.read_as, parse_registers(text)
    slots = layout_for(layout, choice)
    return LogReading(
        log,
        choice,
        decode_listing(log.listing, known),
        read_provisioning(log.programming, known, slots),
        tuple(known_words(words, known)),
        (*explain_log(log, known, slots), *explain_words(words, known)),
        _loader(text) if log.loader_lines or "flash loader" in text.lower() else None,
        source,
    )


def _loader(text: str) -> Explanation | None:
    found = explain(parse_loader_log(text))
    return None if found.story in (Story.NO_LOG, Story.NO_CALL, Story.INTERNAL_ONLY) else found
