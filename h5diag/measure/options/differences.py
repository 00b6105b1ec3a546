"""Two or more boards side by side: what differs, what of it can be compared, and what it does to the symptoms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from h5diag.answer import Answer
from h5diag.chip import Chip, ChipChoice, ProtectedArea
from h5diag.errors import InputError
from h5diag.evidence.texts import chip_of, parse_listing, parse_log, parse_registers, split_diff
from h5diag.layout import Layout, chip_and_layout
from h5diag.measure.options.decode import decode_listing, decode_registers
from h5diag.measure.options.meaning import numbered, value_meaning
from h5diag.measure.options.rules import OptionCheck, check_options
from h5diag.measure.options.settings import Belief, Extent, OptionBytes, Setting
from h5diag.memory import AddressRange, subtracted


class Weight(Enum):
    """How much a difference matters to somebody who asks why the flash looks different."""

    DECIDES = "decides"
    MATTERS = "matters"
    MINOR = "minor"
    ARTEFACT = "artefact"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class OptionDifference:
    """An option that is not the same on all boards.

    Parameters
    ----------
    name
        As in the chip file.
    values
        As printed, one for each board, `None` where it was not printed.
    meaning
        What the difference is and what it does to the symptoms.
    comparable
        False when a value is an artefact of the board's state, was not printed or is garbage: then nothing follows.
    weight
        How much it matters.
    """

    name: str
    values: tuple[int | None, ...]
    meaning: str
    comparable: bool
    weight: Weight


@dataclass(frozen=True, slots=True)
class OptionDiff:
    """The differences, the weightiest first, and warnings on the comparison as a whole."""

    differences: tuple[OptionDifference, ...]
    warnings: tuple[str, ...] = ()

    @property
    def comparable(self) -> tuple[OptionDifference, ...]:
        """The differences from which something follows."""
        return tuple(d for d in self.differences if d.comparable)


def compare_options(boards: Sequence[OptionBytes], names: Sequence[str] = ()) -> OptionDiff:
    """Compare two or more boards.

    Parameters
    ----------
    boards
        The good one first, if there is one.
    names
        What to call them; ``first``, ``second``, ... by default.

    Raises
    ------
    ValueError
        When there are fewer than two boards.
    """
    if len(boards) < 2:
        raise ValueError("a comparison needs two boards or more")
    called = tuple(names) or tuple(_ORDINALS[i] if i < len(_ORDINALS) else f"board {i + 1}" for i in range(len(boards)))
    table = _table(boards)
    out = [_difference(n, rows, boards, called) for n, rows in table.items() if len({r and r.value for r in rows}) > 1]
    order = tuple(Weight)
    return OptionDiff(tuple(sorted(out, key=lambda d: order.index(d.weight))), _warnings(boards, called, table))


_ORDINALS = ("first", "second", "third", "fourth", "fifth")
_DECIDES = frozenset({"TZEN", "SWAP_BANK", "BOOT_UBE", "SECBOOTADD", "SECBOOTADD0", "DBANK", "DUALBANK"})
_CHECKED = frozenset({"SECBOOT_LOCK", "SRAM2_RST", "SRAM2_ECC", "NSBOOTADD", "NSBOOTADD0"})


def _table(boards: Sequence[OptionBytes]) -> dict[str, tuple[Setting | None, ...]]:
    """Return each option's setting on every board, None where it was not printed; in the order of the boards."""
    own = [{s.name: s for s in reversed(b.settings)} for b in boards]
    return {s.name: tuple(o.get(s.name) for o in own) for b in boards for s in b.settings}


def _difference(
    name: str,
    rows: Sequence[Setting | None],
    boards: Sequence[OptionBytes],
    called: Sequence[str],
) -> OptionDifference:
    values = tuple(None if r is None else r.number for r in rows)
    missing = [called[i] for i, r in enumerate(rows) if r is None]
    masked = [i for i, r in enumerate(rows) if r and r.belief is Belief.MASKED]
    garbage = [called[i] for i, r in enumerate(rows) if r and r.belief is Belief.IMPOSSIBLE]
    why = ""
    if masked:
        where = ", ".join(f"{called[i]} ({boards[i].product_state})" for i in masked)
        why = (
            f"it reads zero on {where} because the reader may not see it in that state; nothing follows from this"
            " difference"
        )
    elif garbage:
        why = f"impossible value on {', '.join(garbage)}, read again"
    elif missing:
        why = f"not in the listing of {', '.join(missing)}"
    if why:
        return OptionDifference(name, values, f"not comparable: {why}", False, Weight.ARTEFACT)
    known = [r for r in rows if r]
    each = "; ".join(f"{called[i]}: {_what(boards[i], r)}" for i, r in enumerate(known))
    meaning = each + _consequence(name, known[0], boards, called)
    return OptionDifference(name, values, meaning, True, _weight(name, boards))


def _what(board: OptionBytes, setting: Setting) -> str:
    if not setting.known:
        return f"0x{setting.value:X}"
    full = value_meaning(board.chip, setting.option, setting.value, setting.belief)
    return full.removeprefix(setting.option.what).lstrip(": ")


def _areas(chip: Chip, name: str) -> list[ProtectedArea]:
    """Return the areas that an option is a part of."""
    return [a for a in chip.areas if name in (a.start, a.end, a.groups, a.enable)]


def _weight(name: str, boards: Sequence[OptionBytes]) -> Weight:
    chip = boards[0].chip
    if name in _DECIDES or name == chip.state_option:
        return Weight.DECIDES
    if areas := _areas(chip, name):
        # A watermark that means the same empty area on all boards decides nothing.
        same = all(len({_extent(b, a.name) for b in boards}) == 1 for a in areas)
        return Weight.MINOR if same else Weight.DECIDES
    if name in _CHECKED or any(o.name == name and o.follows for o in chip.options):
        return Weight.MATTERS
    return Weight.MINOR


def _extent(board: OptionBytes, area: str) -> tuple[Extent, tuple[AddressRange, ...]]:
    return next(((a.extent, a.ranges) for a in board.areas if a.area.name == area), (Extent.UNKNOWN, ()))


def _consequence(name: str, setting: Setting, boards: Sequence[OptionBytes], called: Sequence[str]) -> str:
    chip = boards[0].chip
    if name == chip.state_option:
        return _state_consequence(boards, called)
    for area in _areas(chip, name):
        return _area_consequence(area.name, area.kind, boards, called)
    if name == "TZEN":
        return (
            ". Without TrustZone nothing is secure and both aliases read alike; with it a non-secure read of "
            "secure flash gives zeros: compare dumps only when read in the same way"
        )
    if name == "SWAP_BANK":
        return ". The halves of one dump are exchanged against the other: what lies in the other bank is in its place"
    return f". {setting.option.follows[:1].upper()}{setting.option.follows[1:]}" if setting.option.follows else ""


def _state_consequence(boards: Sequence[OptionBytes], called: Sequence[str]) -> str:
    states = [(who, b.state) for b, who in zip(boards, called, strict=True)]
    limited = [f"{who} ({state.name})" for who, state in states if state is not None and state.debug != "full"]
    return (
        f". On {', '.join(limited)} a debugger does not see the secure side: zeros in its dump and in options "
        "of the secure side are no content"
        if limited
        else ""
    )


_EFFECT = {
    "secure": "is secure only there: a non-secure read gives zeros on that board and data on the other",
    "hidden": "is hidden only there: once the boot code has run it reads as zeros there and as data on the other",
    "write-protected": "is write-protected only there: it keeps its old content on that board whatever a tool says",
    "high-cycle": "has left the code area only there: code at that place is lost or reads differently on that board",
}


def _area_consequence(area: str, kind: str, boards: Sequence[OptionBytes], called: Sequence[str]) -> str:
    extents = [_extent(b, area) for b in boards]
    if any(e is Extent.UNKNOWN for e, _ in extents):
        return f". {area} is not known on every board"
    if len(set(extents)) == 1:
        return f". {area} is the same on all boards all the same: nothing follows"
    out = []
    for i, (_, ranges) in enumerate(extents):
        others = tuple(r for j, (_, rs) in enumerate(extents) if j != i for r in rs)
        for r in subtracted(ranges, others):
            first, last = (boards[i].chip.sector_at(at).index for at in (r.start, r.stop - 1))
            out.append(f"{called[i]}: {numbered(boards[i].chip, first, last)}, {r}, {_EFFECT[kind]}")
    return ". " + "; ".join(out) if out else ""


def _warnings(
    boards: Sequence[OptionBytes], called: Sequence[str], table: Mapping[str, Sequence[Setting | None]]
) -> tuple[str, ...]:
    out = []
    if len({b.product_state for b in boards}) > 1:
        out.append(
            "the boards are in different states ("
            + ", ".join(f"{w}: {b.product_state}" for b, w in zip(boards, called, strict=True))
            + "): options of the secure side and zeros in dumps are not comparable"
        )
    if hidden := [n for n, rows in table.items() if all(r and r.belief is Belief.MASKED for r in rows)]:
        out.append(f"{', '.join(hidden)} read zero on every board because of their state: that is no agreement")
    if len({b.chip.name for b in boards}) > 1:
        out.append("the boards carry different chips: " + ", ".join(b.chip.title for b in boards))
    return tuple(out)


@dataclass(frozen=True, slots=True)
class OptionRow:
    """An option across the boards. `values` as printed, `None` where it was not."""

    name: str
    values: tuple[int | None, ...]
    weight: Weight
    meaning: str


@dataclass(frozen=True, slots=True)
class SideBySide(Answer):
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
    sources
        Files that they were read from.
    """

    names: tuple[str, ...]
    boards: tuple[OptionBytes, ...]
    choices: tuple[ChipChoice, ...]
    checks: tuple[tuple[OptionCheck, ...], ...]
    diff: OptionDiff
    rows: tuple[OptionRow, ...]
    sources: tuple[str, ...] = ()


def read_options(
    text: str, chip: str = "", source: str = "", layout: Layout | str | Path | None = None
) -> tuple[OptionBytes, ChipChoice, Layout | None]:
    """Return the options in a listing, a GUI export or a register dump, the chip they were read as, and the layout.

    Parameters
    ----------
    text
        Anything that was pasted or saved.
    chip
        Chip file or family word; empty takes it from the text.
    source
        Name for error messages.
    layout
        As for `side_by_side`; it names the chip where the text does not.

    Raises
    ------
    InputError
        When there is not one option line in it, or `chip` or `layout` name none.
    """
    listing, log = parse_listing(text), parse_log(text)
    choice, slots = chip_and_layout(chip_of([replace(log, listing=listing)], given=chip), layout)
    options = decode_listing(listing, choice.read_as)
    if options.settings and (any(s.known for s in options.settings) or "OPTION BYTES BANK" in text.upper()):
        return options, choice, slots
    if (options := decode_registers(parse_registers(text), choice.read_as)).registers:
        return options, choice, slots
    if banners := log.banners:
        raise InputError(
            "it ends before the options begin: there is a connection's banner and not one option line",
            source=source,
            place=f"after line {banners[-1].line}" if banners[-1].line else "",
            advice="save the whole output of 'STM32_Programmer_CLI ... -ob displ'",
        )
    raise InputError(
        "not one option line is in it",
        source=source,
        advice="give what 'STM32_Programmer_CLI -ob displ' prints, a GUI export, or address : value lines",
    )


def side_by_side(
    texts: Sequence[tuple[str, str]], *, chip: str = "", layout: Layout | str | Path | None = None
) -> SideBySide:
    """Return the table of one or more boards.

    Parameters
    ----------
    texts
        Name and text of each board, the good one first. One text that is a diff of two listings stands for two boards.
    chip
        Chip file or family word for all of them; empty takes it from each text.
    layout
        What the boot loader expects; without it nothing is checked.

    Raises
    ------
    InputError
        When one of the texts holds no option line; it names the board.
    """
    parts = split_diff(texts[0][1]) if len(texts) == 1 else None
    if parts is not None:
        name = texts[0][0]
        texts = ((f"{name} (-)", parts[0]), (f"{name} (+)", parts[1]))
    names, read, slots = [name for name, _ in texts], [], layout
    for name, text in texts:  # the layout is opened for the first board
        read.append(read_options(text, chip, name, slots))
        slots = read[0][2]
    found = beside(names, [o for o, _, _ in read], [c for _, c, _ in read], read[0][2])
    if parts is None:
        return found
    said = "the text is a diff of two listings: its sides are read as two boards, and what both leave out is not known"
    return replace(found, diff=replace(found.diff, warnings=(said, *found.diff.warnings)))


def beside(
    names: Sequence[str], boards: Sequence[OptionBytes], choices: Sequence[ChipChoice], layout: Layout | None = None
) -> SideBySide:
    """Return the table of boards whose options were read already; parameters as the fields of `SideBySide`."""
    checks = tuple(check_options(b, layout) for b in boards) if layout else ()
    diff = compare_options(boards, names) if len(boards) > 1 else OptionDiff(())
    return SideBySide(tuple(names), tuple(boards), tuple(choices), checks, diff, _rows(boards, diff))


def _rows(boards: Sequence[OptionBytes], diff: OptionDiff) -> tuple[OptionRow, ...]:
    table = _table(boards)
    said = {d.name: (d.weight, d.meaning) for d in diff.differences}
    said |= {n: (Weight.SAME, next(r.sentence for r in rows if r)) for n, rows in table.items() if n not in said}
    return tuple(OptionRow(n, tuple(r.value if r else None for r in table[n]), *words) for n, words in said.items())
