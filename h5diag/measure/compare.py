"""What differs in place between a good and a suspect dump: erased, zero, masked, and which bits rose or fell.

Two dumps are compared cell by cell. Where both were read through the same alias, that view is compared; a view
that only one of them has is held against the other alias of the same cells, and the areas say so. The work is done
window by window and the areas are kept as columns, so that a gigabyte of external flash takes little memory beside
the dumps, which may be memory maps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, overload

import numpy as np
import numpy.typing as npt

from h5diag.answer import Answer
from h5diag.chip import Chip, ChipChoice
from h5diag.layout import Layout
from h5diag.memory import (
    ADDRESS_LIMIT,
    Access,
    AddressRange,
    Bytes,
    MemoryImage,
    common,
    merged,
    release,
    subtracted,
)
from h5diag.text import count_text

if TYPE_CHECKING:
    from h5diag.measure.options.settings import OptionBytes

Numbers = npt.NDArray[np.int64]

WINDOW = 1 << 17
"""Bytes held against each other at once, about; whole sectors."""

HELD = 1 << 21
"""Bytes of a mapped file after which what was looked at is given back."""

_ONES = np.array([i.bit_count() for i in range(256)], np.uint8)


class AreaState(Enum):
    """What an area of the suspect looks like, seen from the good dump."""

    EQUAL = "equal"
    DIFFERS = "differs"
    ERASED = "erased"
    ZERO = "zero"
    MASKED = "masked"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Area:
    """Consecutive bytes of one state.

    Parameters
    ----------
    range
        Addresses as the suspect's dump names them.
    state
        What the suspect holds there.
    differing_bytes
        Bytes that are not equal to the good dump's.
    risen, fallen
        Bits that are 0 in good and 1 in suspect, and the reverse.
    mask_like
        A zero area whose both ends lie on sector edges, as an attribute mask would have.
    """

    range: AddressRange
    state: AreaState
    differing_bytes: int = 0
    risen: int = 0
    fallen: int = 0
    mask_like: bool = False


_STATES = tuple(AreaState)
_COUNTED = (AreaState.DIFFERS, AreaState.ERASED, AreaState.ZERO)
_COMPARED = (AreaState.EQUAL, *_COUNTED)
_COLUMNS = 7


class Areas(Sequence[Area]):
    """Areas as columns: start, stop, number of the state, differing bytes, risen, fallen, mask-like; ``int64``."""

    __slots__ = ("columns",)

    def __init__(self, columns: Numbers) -> None:
        self.columns = columns

    @classmethod
    def of(cls, areas: Iterable[Area]) -> Areas:
        """Return the columns of areas."""
        if isinstance(areas, Areas):
            return areas
        rows = [
            (a.range.start, a.range.stop, _STATES.index(a.state), a.differing_bytes, a.risen, a.fallen, a.mask_like)
            for a in areas
        ]
        return cls(np.array(rows, np.int64).reshape(-1, _COLUMNS).T.copy())

    def __len__(self) -> int:
        return int(self.columns.shape[1])

    @overload
    def __getitem__(self, index: int) -> Area: ...
    @overload
    def __getitem__(self, index: slice) -> Areas: ...
    def __getitem__(self, index: int | slice) -> Area | Areas:
        if isinstance(index, slice):
            return Areas(self.columns[:, index])
        start, stop, state, differing, risen, fallen, mask_like = self.columns[:, index].tolist()
        return Area(AddressRange(start, stop), _STATES[state], differing, risen, fallen, bool(mask_like))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return bool(np.array_equal(self.columns, Areas.of(other).columns))

    def __hash__(self) -> int:
        return hash(self.columns.tobytes())

    def __repr__(self) -> str:
        return f"Areas of {count_text(len(self), 'row')}"

    @property
    def ranges(self) -> tuple[AddressRange, ...]:
        """What they cover; areas that touch are one range."""
        start, stop = self.columns[:2]
        whole = _joined_rows(self.columns, start[1:] != stop[:-1])
        return tuple(AddressRange(a, b) for a, b in whole[:2].T.tolist())

    def of_states(self, states: Iterable[AreaState]) -> Areas:
        """Return the areas of some states."""
        return Areas(self.columns[:, np.isin(self.columns[2], [_STATES.index(s) for s in states])])


@dataclass(frozen=True, slots=True)
class Comparison(Answer):
    """The areas of a comparison, in address order, and the sums over those that really differ.

    Parameters
    ----------
    areas
        Disjoint, in address order of the suspect's views. Kept as columns; each `Area` is made when it is asked for.
    not_compared
        Ranges of the good dump that the suspect's dump does not hold (not read, not unreadable).
    same_view
        False where one alias of the good dump had to be held against the other alias of the suspect's.
    choice
        The chip and how it is known; None when nobody asked.
    layout
        Names the slots of the areas; None when there is none.
    mask_evidence
        What shows that masked areas are masked; empty when nobody asked.
    """

    areas: Sequence[Area]
    not_compared: tuple[AddressRange, ...]
    same_view: bool
    choice: ChipChoice | None = field(default=None, compare=False)
    layout: Layout | None = field(default=None, compare=False)
    mask_evidence: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "areas", Areas.of(self.areas))

    @property
    def counted(self) -> Areas:
        """The areas that count as different: `differs`, `erased` and `zero`."""
        return Areas.of(self.areas).of_states(_COUNTED)

    @property
    def covered(self) -> tuple[AddressRange, ...]:
        """All that both dumps hold, in the suspect's views."""
        return Areas.of(self.areas).ranges

    @property
    def differing_bytes(self) -> int:
        """Bytes that differ, masked and unreadable ones left out."""
        return int(self.counted.columns[3].sum())

    @property
    def risen(self) -> int:
        """Bits that are 0 in good and 1 in suspect, over the counted areas."""
        return int(self.counted.columns[4].sum())

    @property
    def fallen(self) -> int:
        """Bits that are 1 in good and 0 in suspect, over the counted areas."""
        return int(self.counted.columns[5].sum())

    @property
    def compared(self) -> Areas:
        """The areas that were compared: all but the masked and the unreadable."""
        return Areas.of(self.areas).of_states(_COMPARED)

    @property
    def compared_bytes(self) -> int:
        """Bytes that were compared."""
        start, stop = self.compared.columns[:2]
        return int((stop - start).sum())

    def of(self, state: AreaState) -> Areas:
        """Return the areas of one state."""
        return Areas.of(self.areas).of_states((state,))


def compare(
    good: MemoryImage,
    suspect: MemoryImage,
    chip: Chip,
    *,
    masks: Iterable[AddressRange] = (),
    most: int = ADDRESS_LIMIT,
) -> Comparison:
    """Compare two dumps in place.

    Parameters
    ----------
    good, suspect
        The dumps.
    chip
        Gives aliases, sector size and the value of an erased byte.
    masks
        Canonical ranges for which option bytes and the access prove that the suspect's reader got zeros instead
        of content. Zero runs in them are ``masked``, not different.
    most
        With more areas than this those of a sector are one: zero where most of what differs there is, else different.
        The sums stay what they are.

    Returns
    -------
    Comparison
        Areas are made of whole sectors where a whole sector is erased or zero, of quad-words elsewhere.
    """
    masks, same_view = merged(masks), True
    parts = [_areas(g, s, start, chip, masks, most) for start, g, s in aligned(good, suspect, chip)]
    known: list[AddressRange] = []
    for shift, start, stop in _views(good, suspect, chip):
        same_view = same_view and shift == 0
        there = [g.range.shifted(shift) for g in good.segments_in(start - shift, stop - shift)]
        unread = (r.intersection(hole) for hole in suspect.unreadable for r in there if r.overlaps(hole))
        parts.append(Areas.of(Area(r, AreaState.UNREADABLE) for r in unread))
        known += there
    areas = _in_order(parts)
    if len(areas) > most:
        areas = Areas(np.maximum(_by_sector(areas.columns, chip.flash.sector_size), 0))
    return Comparison(areas, subtracted(known, (*suspect.ranges, *suspect.unreadable)), same_view)


def joined(comparisons: Sequence[Comparison]) -> Comparison:
    """Return the comparisons of one dump with several images, none over another, as one."""
    return Comparison(
        _in_order([Areas.of(c.areas) for c in comparisons]),
        merged(r for c in comparisons for r in c.not_compared),
        all(c.same_view for c in comparisons),
    )


def _in_order(parts: Sequence[Areas]) -> Areas:
    columns = np.concatenate([np.empty((_COLUMNS, 0), np.int64), *(p.columns for p in parts)], axis=1)
    return Areas(columns[:, np.lexsort((columns[1], columns[0]))])


_READERS = (Access.NONSECURE, Access.SECURE)


def compare_as_read(
    good: MemoryImage,
    suspect: MemoryImage,
    chip: Chip,
    options_good: OptionBytes | None = None,
    options_suspect: OptionBytes | None = None,
) -> Comparison:
    """Compare two dumps, less what their readers were not shown, by the options of the boards and the dumps' access.

    Parameters
    ----------
    good, suspect, chip
        As for `compare`; the origins of the dumps say how they were read.
    options_good, options_suspect
        The option bytes of each board, None where there is no listing.
    """
    masks, why = _hidden(suspect, options_suspect, chip)
    if hidden := _hidden(good, options_good, chip)[0]:
        # What the good board's reader was not shown can be compared with nothing.
        from h5diag.measure.options.settings import masked_ranges

        good = good.without(r for b in masked_ranges(good, hidden, chip) for r in (b, b.shifted(chip.flash.alias)))
    return replace(compare(good, suspect, chip, masks=masks), mask_evidence=why)


def _hidden(image: MemoryImage, options: OptionBytes | None, chip: Chip) -> tuple[tuple[AddressRange, ...], str]:
    """Return the canonical ranges that a dump's reader was not shown, and what tells it."""
    how = image.origin.access
    if options is not None:
        from h5diag.measure.options.settings import hidden_ranges, masked_ranges

        if how is not Access.UNKNOWN:
            return hidden_ranges(options, how, chip), f"option bytes; read {how.value}"
        # How it was read is not known, but zeros throughout just what one of the readers is not shown tell it.
        for reader in _READERS:
            if blind := masked_ranges(image, hidden_ranges(options, reader, chip), chip):
                return blind, f"option bytes: just what a {reader.value} reader is not shown"
    elif how is Access.NONSECURE:  # the sidecar's access alone is evidence too: it gets whole sectors of zeros
        return (chip.flash_range,), "whole sectors, read nonsecure"
    return (), ""


def aligned(good: MemoryImage, suspect: MemoryImage, chip: Chip) -> Iterator[tuple[int, Bytes, Bytes]]:
    """Yield the stretches that both hold, as the suspect's address, the good and the suspect's bytes."""
    for shift, start, stop in _views(good, suspect, chip):
        yield from common(good.crop(start - shift, stop - shift), suspect, shift)


def read_cells(dump: MemoryImage, chip: Chip, address: int, size: int) -> tuple[int, Bytes] | None:
    """Return where a dump shows the cells from `address` on, by that alias or the other one, and what; None where nowhere."""
    canonical = chip.canonical(address)
    for view in dict.fromkeys((address, canonical, chip.secure_alias(canonical))):
        if dump.covers(view, view + size):
            return view, dump.read(view, view + size)
    return None


def bit_positions(good: MemoryImage, suspect: MemoryImage, chip: Chip) -> npt.NDArray[np.int64]:
    """Return how often each bit of a quad-word fell and rose, ``int64 (2, 8 * program_unit)``.

    Row 0 counts fallen bits, row 1 risen ones; column ``8 * byte + bit`` with bit 0 the least significant.
    """
    unit = chip.flash.program_unit
    out = np.zeros((2, unit * 8), np.int64)
    for start, g, s in aligned(good, suspect, chip):
        for at in range(-(start % unit), s.size, WINDOW):
            here = slice(max(at, 0), at + WINDOW)
            if not np.array_equal(g[here], s[here]):
                for row, changed in enumerate((g[here] & ~s[here], s[here] & ~g[here])):
                    whole = np.pad(changed, (here.start - at, -(here.start - at + changed.size) % unit))
                    bits = np.unpackbits(whole.reshape(-1, unit), axis=1, bitorder="little")
                    out[row] += bits.sum(axis=0, dtype=np.int64)
    return out


def _views(good: MemoryImage, suspect: MemoryImage, chip: Chip) -> Iterator[tuple[int, int, int]]:
    """Yield (suspect address minus good address, start, stop) of each pair of views to hold against each other."""
    flash = chip.flash
    aliases = [AddressRange(b, b + flash.size) for b in dict.fromkeys((flash.base, flash.secure_base))]
    held = [
        [any(r.overlaps(a) for r in (*image.ranges, *image.unreadable)) for a in aliases] for image in (good, suspect)
    ]
    for i, alias in enumerate(aliases):
        if held[1][i]:
            if held[0][i]:
                yield 0, alias.start, alias.stop
            elif len(aliases) == 2 and held[0][1 - i]:
                yield alias.start - aliases[1 - i].start, alias.start, alias.stop
    for r in subtracted([AddressRange(0, ADDRESS_LIMIT)], aliases):
        yield 0, r.start, r.stop


def _areas(good: Bytes, suspect: Bytes, start: int, chip: Chip, masks: Sequence[AddressRange], most: int) -> Areas:
    """Classify equally long stretches that begin at `start` of the suspect's view."""
    size, in_flash = int(suspect.size), chip.canonical(start) in chip.flash_range
    sector = chip.flash.sector_size if in_flash else 0
    step = WINDOW // (sector or WINDOW) * (sector or WINDOW) or sector
    parts, rows, kept, at = [np.empty((_COLUMNS, 0), np.int64)], 0, 0, 0
    while at < size:
        # Windows end on whole sectors and quad-words, so that none is cut in two.
        stop = min(at + step - (start + at) % (sector or chip.flash.program_unit), size)
        parts.append(_window(good[at:stop], suspect[at:stop], start + at, chip, masks, sector))
        rows += parts[-1].shape[1]
        if rows > most:
            # Those before are joined with the first that are too many, the others as they come.
            parts[kept:] = [_by_sector(np.concatenate(parts[kept:], axis=1), chip.flash.sector_size)]
            kept = len(parts)
        if stop // HELD != at // HELD or stop == size:
            release(good)
            release(suspect)
        at = stop
    columns = np.concatenate(parts, axis=1)
    # What one window or sector ends with and the next begins with is one area, but for what was joined.
    out = _joined_rows(columns, (columns[2, 1:] != columns[2, :-1]) | (columns[6, 1:] | columns[6, :-1] != 0))
    if in_flash:
        zero = _STATES.index(AreaState.ZERO)
        out[6] = (out[6] == 0) & (out[2] == zero) & (out[0] % sector == 0) & (out[1] % sector == 0)
    out[6] = out[6] == 1
    return Areas(out)


def _joined_rows(columns: Numbers, new: npt.NDArray[np.bool_]) -> Numbers:
    """Return areas as one each up to the next at which `new` is flagged, which is of all but the first."""
    first = np.flatnonzero(np.append(True, new)[: columns.shape[1]])
    out = columns[:, first]
    if first.size:
        out[1] = columns[1, np.append(first[1:], columns.shape[1]) - 1]
        out[3:6] = np.add.reduceat(columns[3:6], first, axis=1)
    return out


def _by_sector(columns: Numbers, sector: int) -> Numbers:
    """Return the areas of each sector as one, but those that were not compared and those that go beyond a sector.

    What is made of areas of several states has -1 in the last column.
    """
    start, stop, state, differing = columns[:4]
    inside = (start // sector == (stop - 1) // sector) & np.isin(state, [_STATES.index(s) for s in _COMPARED])
    new = (start[1:] // sector != start[:-1] // sector) | (start[1:] != stop[:-1]) | ~(inside[1:] & inside[:-1])
    out, first = _joined_rows(columns, new), np.flatnonzero(np.append(True, new))
    zero, differs = (_STATES.index(s) for s in (AreaState.ZERO, AreaState.DIFFERS))
    mixed = np.minimum.reduceat(state, first) != np.maximum.reduceat(state, first)
    zeros = np.add.reduceat(np.where(state == zero, differing, 0), first)
    out[2, mixed] = np.where(2 * zeros > out[3], zero, differs)[mixed]
    out[6, mixed] = -1
    return out


def _window(good: Bytes, suspect: Bytes, start: int, chip: Chip, masks: Sequence[AddressRange], sector: int) -> Numbers:
    """Return the areas of one window as columns; `sector` is 0 outside flash."""
    size, unit, canonical = int(suspect.size), chip.flash.program_unit, chip.canonical(start)
    here = AddressRange(canonical, canonical + size)
    hidden = [m.intersection(here) for m in masks if m.overlaps(here)] if sector else []
    if not hidden and np.array_equal(good, suspect):
        return np.array([[start], [start + size], [_STATES.index(AreaState.EQUAL)], *[[0]] * 4], np.int64)
    changed, lead = good ^ suspect, start % (sector or unit)
    differing = _per_unit(changed != 0, start, unit)
    state = np.where(differing > 0, _STATES.index(AreaState.DIFFERS), _STATES.index(AreaState.EQUAL))
    for kind, value in ((AreaState.ERASED, chip.flash.erased), (AreaState.ZERO, 0)):
        other = _per_unit(suspect != value, start, unit)
        # A quad-word of nothing but the value, that differs, is erased (or zero) as a whole.
        state[(state == _STATES.index(AreaState.DIFFERS)) & (other == 0)] = _STATES.index(kind)
        if sector:
            # A whole such sector counts as one area even where the good board happens to hold the same value.
            rows = (np.arange(state.size) + lead // unit) // (sector // unit)
            whole = (np.bincount(rows, other) == 0) & (np.bincount(rows, differing) > 0)
            state[whole[rows]] = _STATES.index(kind)
    for part in hidden:
        held = _per_unit(suspect[part.start - canonical : part.stop - canonical] != 0, part.start, sector)
        units = np.arange(-(-(part.start % unit + part.size) // unit))
        zeros = np.flatnonzero(held[(units + part.start % sector // unit) // (sector // unit)] == 0)
        state[zeros + (start % unit + part.start - canonical) // unit] = _STATES.index(AreaState.MASKED)
    risen, fallen = (_per_unit(_ONES[x], start, unit) for x in (changed & suspect, changed & good))
    counted = np.isin(state, [_STATES.index(s) for s in _COUNTED])
    begin = np.arange(state.size) * unit + start - start % unit
    first = np.flatnonzero((np.diff(state, prepend=-1) != 0) | (begin % chip.flash.sector_size == 0))
    begin = begin[first]
    out = np.zeros((_COLUMNS, first.size), np.int64)
    out[0], out[1] = np.maximum(begin, start), np.append(begin[1:], start + size)
    out[2] = state[first]
    for row, counts in ((3, differing), (4, risen), (5, fallen)):
        out[row] = np.add.reduceat(np.where(counted, counts, 0), first)
    return out


def _per_unit(flags: npt.NDArray[np.generic], start: int, unit: int) -> Numbers:
    """Return the sum of `flags`, which begin at address `start`, in each aligned unit."""
    lead, padded = start % unit, flags.view(np.uint8)
    if lead or flags.size % unit:
        padded = np.pad(padded, (lead, -(lead + flags.size) % unit))
    out: Numbers = padded.reshape(-1, unit).sum(axis=1, dtype=np.int64)
    return out
