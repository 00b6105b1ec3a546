"""What differs in place between a good and a suspect dump: erased, zero, masked, and which bits rose or fell.

Two dumps are compared cell by cell. Where both were read through the same alias, that view is compared; a view
that only one of them has is held against the other alias of the same cells, and the areas say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import numpy.typing as npt

from h5diag.answer import Answer
from h5diag.chip import Chip, ChipChoice
from h5diag.layout import Layout
from h5diag.memory import AddressRange, Bytes, MemoryImage, merged, subtracted


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


@dataclass(frozen=True, slots=True)
class Comparison(Answer):
    """The areas of a comparison, in address order, and the sums over those that really differ.

    Parameters
    ----------
    areas
        Disjoint, in address order of the suspect's views.
    not_compared
        Ranges of the good dump that the suspect's dump does not hold (not read, not unreadable).
    same_view
        False where one alias of the good dump had to be held against the other alias of the suspect's.
    choice
        The chip and how it is known; None when nobody asked.
    layout
        Names the slots of the areas; None when there is none.
    """

    areas: tuple[Area, ...]
    not_compared: tuple[AddressRange, ...]
    same_view: bool
    choice: ChipChoice | None = field(default=None, compare=False)
    layout: Layout | None = field(default=None, compare=False)

    @property
    def counted(self) -> tuple[Area, ...]:
        """The areas that count as different: `differs`, `erased` and `zero`."""
        return tuple(a for a in self.areas if a.state in (AreaState.DIFFERS, AreaState.ERASED, AreaState.ZERO))

    @property
    def differing_bytes(self) -> int:
        """Bytes that differ, masked and unreadable ones left out."""
        return sum(a.differing_bytes for a in self.counted)

    @property
    def risen(self) -> int:
        """Bits that are 0 in good and 1 in suspect, over the counted areas."""
        return sum(a.risen for a in self.counted)

    @property
    def fallen(self) -> int:
        """Bits that are 1 in good and 0 in suspect, over the counted areas."""
        return sum(a.fallen for a in self.counted)

    @property
    def compared_bytes(self) -> int:
        """Bytes that were compared: all areas but the masked and the unreadable."""
        return sum(a.range.size for a in self.areas if a.state not in (AreaState.MASKED, AreaState.UNREADABLE))

    def of(self, state: AreaState) -> tuple[Area, ...]:
        """Return the areas of one state."""
        return tuple(a for a in self.areas if a.state is state)


def compare(good: MemoryImage, suspect: MemoryImage, chip: Chip, *, masks: Iterable[AddressRange] = ()) -> Comparison:
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

    Returns
    -------
    Comparison
        Areas are made of whole sectors where a whole sector is erased or zero, of quad-words elsewhere.
    """
    masks = merged(masks)
    areas: list[Area] = []
    missing: list[AddressRange] = []
    same_view = True
    for shift, start, stop in _views(good, suspect, chip):
        same_view = same_view and shift == 0
        for s in suspect.segments_in(start, stop):
            for g in good.segments_in(s.start - shift, s.stop - shift):
                part = s.data[g.start + shift - s.start : g.stop + shift - s.start]
                areas += _areas(g.data, part, g.start + shift, chip, masks)
        for hole in suspect.unreadable:
            shared = hole.intersection(AddressRange(start, stop))
            areas += [
                Area(g.range.shifted(shift), AreaState.UNREADABLE)
                for g in good.segments_in(shared.start - shift, max(shared.start, shared.stop) - shift)
            ]
        covered = merged((*suspect.ranges, *suspect.unreadable))
        for g in good.segments_in(start - shift, stop - shift):
            missing += subtracted((g.range.shifted(shift),), covered)
    return Comparison(tuple(sorted(areas, key=lambda a: a.range)), merged(missing), same_view)


def aligned(good: MemoryImage, suspect: MemoryImage, chip: Chip) -> Iterator[tuple[int, Bytes, Bytes]]:
    """Yield the stretches that both hold, as the suspect's address, the good and the suspect's bytes."""
    for shift, start, stop in _views(good, suspect, chip):
        for s in suspect.segments_in(start, stop):
            for g in good.segments_in(s.start - shift, s.stop - shift):
                yield g.start + shift, g.data, s.data[g.start + shift - s.start : g.stop + shift - s.start]


def bit_positions(good: MemoryImage, suspect: MemoryImage, comparison: Comparison, chip: Chip) -> npt.NDArray[np.int64]:
    """Return how often each bit of a quad-word fell and rose, ``int64 (2, 8 * program_unit)``.

    Row 0 counts fallen bits, row 1 risen ones; column ``8 * byte + bit`` with bit 0 the least significant.
    """
    unit = chip.flash.program_unit
    out = np.zeros((2, unit, 8), np.int64)
    for area in comparison.counted:
        for shift in (0, *_shifts(chip)):
            if good.covers(area.range.start - shift, area.range.stop - shift):
                g = good.read(area.range.start - shift, area.range.stop - shift)
                s = suspect.read(area.range.start, area.range.stop)
                lanes = (area.range.start + np.arange(g.size)) % unit
                for row, changed in enumerate((g & ~s, s & ~g)):
                    for bit in range(8):
                        set_here = lanes[(changed >> bit & 1).astype(bool)]
                        out[row, :, bit] += np.bincount(set_here, minlength=unit)
                break
    return out.reshape(2, unit * 8)


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
    edges = [0, *(e for a in sorted(aliases) for e in (a.start, a.stop)), 1 << 64]
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        if start < stop:
            yield 0, start, stop


def _shifts(chip: Chip) -> tuple[int, int]:
    alias = chip.flash.secure_base - chip.flash.base
    return alias, -alias


def _areas(good: Bytes, suspect: Bytes, start: int, chip: Chip, masks: Sequence[AddressRange]) -> list[Area]:
    """Classify equally long stretches that begin at `start` of the suspect's view."""
    size, unit = suspect.size, chip.flash.program_unit
    in_flash = chip.canonical(start) in chip.flash_range
    sector = chip.flash.sector_size if in_flash else size or 1
    differs = good != suspect
    state = np.zeros(size, np.uint8)  # per byte: 0 equal, 1 differs, 2 erased, 3 zero, 4 masked
    state[_by_unit(differs, start, unit)] = 1
    for code, value in ((2, chip.flash.erased), (3, 0)):
        uniform = suspect == value
        # A quad-word of nothing but the value, that differs, is erased (or zero) as a whole.
        whole_units = ~_by_unit(~uniform, start, unit)
        state[(state == 1) & whole_units] = code
        if in_flash:
            # A whole such sector counts as one area even where the good board happens to hold the same value.
            whole = ~_by_unit(~uniform, start, sector)
            state[whole & _by_unit(differs, start, sector)] = code
    if masks and in_flash:
        canonical = chip.canonical(start)
        for mask in masks:
            part = mask.intersection(AddressRange(canonical, canonical + size))
            if part.size:
                here = slice(part.start - canonical, part.stop - canonical)
                hidden = ~_by_unit(suspect[here] != 0, part.start, sector)
                state[here][hidden] = 4
    edges = np.flatnonzero(np.diff(state)) + 1
    out = []
    for a, b in zip([0, *edges.tolist()], [*edges.tolist(), size], strict=True):
        if a == b:
            continue
        code, area = int(state[a]), AddressRange(start + a, start + b)
        g, s = good[a:b], suspect[a:b]
        if code in (0, 4):
            out.append(Area(area, AreaState.EQUAL if code == 0 else AreaState.MASKED))
            continue
        fallen, risen = (int(np.bitwise_count(x).sum(dtype=np.int64)) for x in (g & ~s, s & ~g))
        kind = (AreaState.DIFFERS, AreaState.ERASED, AreaState.ZERO)[code - 1]
        mask_like = code == 3 and in_flash and area.start % sector == 0 and area.stop % sector == 0
        out.append(Area(area, kind, int(np.count_nonzero(differs[a:b])), risen, fallen, mask_like))
    return out


def _by_unit(flags: npt.NDArray[np.bool_], start: int, unit: int) -> npt.NDArray[np.bool_]:
    """Return, per byte, whether any byte of its `unit`-aligned unit is flagged."""
    lead = start % unit
    padded = np.zeros(-(-(lead + flags.size) // unit) * unit, np.bool_)
    padded[lead : lead + flags.size] = flags
    return np.repeat(padded.reshape(-1, unit).any(axis=1), unit)[lead : lead + flags.size]
