"""Texts of one or more boards to one table: every option, what differs first, what it means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from h5diag.errors import InputError
from h5diag.evidence.texts import Banner, lines, parse_banners, parse_listing, parse_registers
from h5diag.layout import Layout
from h5diag.measure.options.decode import decode_listing, decode_registers
from h5diag.measure.options.diff import OptionDiff, Weight, compare_options
from h5diag.measure.options.identify import ChipChoice, choose_chip
from h5diag.measure.options.rules import OptionCheck, check_options
from h5diag.measure.options.settings import UNKNOWN, Belief, OptionBytes, Unknown


@dataclass(frozen=True, slots=True)
class Row:
    """An option across the boards. `values` as printed, `UNKNOWN` where it was not; `beliefs` likewise."""

    name: str
    values: tuple[int | Unknown, ...]
    beliefs: tuple[Belief | Unknown, ...]
    weight: Weight
    meaning: str


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Boards beside each other.

    Parameters
    ----------
    names
        What the boards are called.
    boards, choices
        Their options, and the chip each was read as.
    checks
        For each board what the boot loader would say; empty without a layout.
    diff
        What differs; without differences for a single board.
    rows
        Every option, those that matter most first.
    """

    names: tuple[str, ...]
    boards: tuple[OptionBytes, ...]
    choices: tuple[ChipChoice, ...]
    checks: tuple[tuple[OptionCheck, ...], ...]
    diff: OptionDiff
    rows: tuple[Row, ...]


def read_options(text: str, chip: str = "", source: str = "") -> tuple[OptionBytes, ChipChoice]:
    """Return the options in a listing, a GUI export or a register dump, and the chip they were read as.

    Parameters
    ----------
    text
        Anything that was pasted or saved.
    chip
        Chip file or family word; empty takes it from the text.
    source
        Name for error messages.

    Raises
    ------
    InputError
        When there is not one option line in it, or `chip` names none.
    """
    listing = parse_listing(text)
    banner = next(iter(parse_banners(lines(text))), Banner())
    choice = choose_chip(banner, listing, chip)
    options = decode_listing(listing, choice.chip)
    if options.settings and (any(s.known for s in options.settings) or "OPTION BYTES BANK" in text.upper()):
        return options, choice
    options = decode_registers(parse_registers(text), choice.chip)
    if options.registers:
        return options, choice
    raise InputError(
        "not one option line is in it",
        source=source,
        advice="give what 'STM32_Programmer_CLI -ob displ' prints, a GUI export, or address : value lines",
    )


def side_by_side(texts: Sequence[tuple[str, str]], *, chip: str = "", layout: Layout | None = None) -> SideBySide:
    """Return the table of one or more boards.

    Parameters
    ----------
    texts
        Name and text of each board, the good one first.
    chip
        Chip file or family word for all of them; empty takes it from each text.
    layout
        What the boot loader expects; without it nothing is checked.

    Raises
    ------
    InputError
        When one of the texts holds no option line; it names the board.
    """
    names = tuple(name for name, _ in texts)
    read = tuple(read_options(text, chip, name) for name, text in texts)
    boards, choices = tuple(o for o, _ in read), tuple(c for _, c in read)
    checks = tuple(check_options(b, layout) for b in boards) if layout else ()
    diff = compare_options(boards, names) if len(boards) > 1 else OptionDiff(())
    return SideBySide(names, boards, choices, checks, diff, _rows(boards, diff))


def _rows(boards: Sequence[OptionBytes], diff: OptionDiff) -> tuple[Row, ...]:
    differing = {d.name: d for d in diff.differences}
    out = [_row(d.name, boards, d.weight, d.meaning) for d in diff.differences]
    for name in dict.fromkeys(s.name for b in boards for s in b.settings):
        if name not in differing:
            first = next(s for b in boards for s in b.settings if s.name == name)
            out.append(_row(name, boards, Weight.SAME, first.sentence))
    return tuple(out)


def _row(name: str, boards: Sequence[OptionBytes], weight: Weight, meaning: str) -> Row:
    found = [next((s for s in b.settings if s.name == name), None) for b in boards]
    return Row(
        name,
        tuple(UNKNOWN if s is None else s.value for s in found),
        tuple(UNKNOWN if s is None else s.belief for s in found),
        weight,
        meaning,
    )
