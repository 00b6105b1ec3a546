"""The match fraction against displacement over the whole range, from the same seeds as the search.

What is often called the correlation of two memories: for each displacement the share of the dump's content that
agrees with the reference when that is moved by so much.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2

import numpy as np
import numpy.typing as npt

from h5diag.answer import Answer
from h5diag.chip import Chip, ChipChoice, load_chip
from h5diag.layout import Layout
from h5diag.measure.locate.pieces import BLOCK, WORD, Numbers, Watch
from h5diag.measure.locate.placement import Placement
from h5diag.measure.locate.plain import MOST_COPIES, MULTIPLIER, words_in
from h5diag.measure.locate.side import Side
from h5diag.memory import Cancel, MemoryImage, Progress

MOST_KEYS = 1 << 18  # words sampled on either side, at most about so many
AT_ONCE = 1 << 18  # bytes worked on between two looks at whether to stop


@dataclass(frozen=True, slots=True)
class Mark:
    """A displacement that has a meaning before anything is measured."""

    displacement: int
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Correlation(Answer):
    """The match fraction of a dump against displacement.

    Parameters
    ----------
    displacements
        ``int64 (n,)``, ascending, canonical, in bytes: those at which at least one word agrees. At all others the
        fraction is zero.
    fraction
        ``float64 (n,)``: share of the sampled content words of the dump whose word of the reference agrees there.
    span
        Lowest and highest displacement at which the two images overlap at all.
    winner
        The displacement with the most agreeing bytes, 0 when `found` is False.
    winner_text
        What it means.
    found
        Whether any displacement stands out.
    marks
        In place, other bank and slots.
    keys
        How many words of the dump were sampled.
    choice
        The chip and how it is known; None when nobody asked.
    reference, dump
        The two images, so that one can be slid over the other; None when they were not kept.
    """

    displacements: Numbers
    fraction: npt.NDArray[np.float64]
    span: tuple[int, int]
    winner: int
    winner_text: str
    found: bool
    marks: tuple[Mark, ...]
    keys: int
    choice: ChipChoice | None = None
    reference: MemoryImage | None = None
    dump: MemoryImage | None = None


def correlate(
    reference: MemoryImage,
    dump: MemoryImage,
    placement: Placement,
    *,
    layout: Layout | None = None,
    chip: Chip | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Correlation:
    """Return the match fraction against displacement.

    Parameters
    ----------
    reference, dump
        As given to `locate`.
    placement
        What `locate` found; it names the winner.
    layout, chip
        Give the marks.
    progress, cancel
        As for `locate`.
    """
    chip = layout.chip if layout is not None else chip if chip is not None else load_chip()
    watch = Watch(progress, cancel)
    watch.stage(0.0, 0.3)
    a, b = Side.of(reference, chip, watch), Side.of(dump, chip, watch)
    displacements, count, keys = _counted(a, b, watch)
    best = placement.displacements[0] if placement.displacements else None
    text = ""
    if best is not None:
        text = max(
            (r for r in placement.strong if r.displacement == best.displacement), key=lambda r: r.size
        ).explanation.text
    watch.stage(1.0, 1.0)
    return Correlation(
        displacements,
        count / max(keys, 1),
        _span(a, b),
        best.displacement if best else 0,
        text,
        best is not None,
        _marks(layout, chip),
        keys,
    )


def _counted(a: Side, b: Side, watch: Watch) -> tuple[Numbers, npt.NDArray[np.float64], int]:
    rate = max(0, ceil(log2(max(a.content, b.content, 1) / MOST_KEYS)))
    watch.stage(0.3, 0.6)
    value, where = _sampled(a, rate, watch)
    watch.stage(0.6, 0.9)
    asked, at = _sampled(b, rate, watch)
    order = value.argsort()
    low, high = (np.searchsorted(value[order], asked, side) for side in ("left", "right"))
    count = np.where(high - low > MOST_COPIES, 0, high - low)
    # A word that occurs n times in the reference speaks for n displacements: each time in full.
    within = np.arange(int(count.sum())) - np.repeat(count.cumsum() - count, count)
    there = where[order[np.repeat(low, count) + within]]
    moved = b.at(np.repeat(at, count), canonical=True) - a.at(there, canonical=True)
    values, times = np.unique(moved, return_counts=True)
    return values, times.astype(np.float64), int(asked.size)


def _sampled(side: Side, rate: int, watch: Watch) -> tuple[npt.NDArray[np.uint64], Numbers]:
    """Return the words that their own content selects, one in ``2**rate``, and where they stand."""
    values, places = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for at in range(0, side.size - WORD + 1, AT_ONCE):
        watch.check(at / side.size)
        value = words_in(side.data[at : at + AT_ONCE + WORD - 1]) * np.uint64(MULTIPLIER)
        where = at + np.flatnonzero(value >> np.uint64(64 - rate) == 1 if rate else np.ones(value.size, np.bool_))
        where = where[~side.fill[where // BLOCK]]
        values.append(value[where - at])
        places.append(where)
    return np.concatenate(values), np.concatenate(places)


def _span(a: Side, b: Side) -> tuple[int, int]:
    if not a.size or not b.size:
        return 0, 0
    ends = [int((s.canonical + np.diff(s.starts)).max()) for s in (a, b)]
    return int(b.canonical.min()) - ends[0] + 1, ends[1] - int(a.canonical.min()) - 1


def _marks(layout: Layout | None, chip: Chip) -> tuple[Mark, ...]:
    out = {0: "in place", chip.flash.bank_size: "other bank", -chip.flash.bank_size: "other bank"}
    for source in layout.slots if layout is not None else ():
        for target in layout.slots if layout is not None else ():
            if source is not target and source.image is not None and source.image == target.image:
                moved = target.range.start - source.range.start
                name = f"{source.name} to {target.name}"
                # Several images share one displacement; one name is enough.
                out.setdefault(moved, name)
    return tuple(Mark(d, n) for d, n in sorted(out.items()))


QUAD_WORD = 16  # a program unit that is one value throughout is fill and counts on neither side


def agreement_at(reference: MemoryImage, dump: MemoryImage, displacement: int) -> tuple[int, int]:
    """Return how many bytes of a dump's content agree with the reference slid by a displacement, of how many.

    Both images hold the same alias. Content is every 16-byte block that is not one value throughout; a byte over
    which no byte of the reference lies counts as not agreeing.
    """
    equal = content = 0
    slid = reference.shifted(displacement) if reference.size else reference
    for s in dump.segments:
        whole = s.data[: s.data.size // QUAD_WORD * QUAD_WORD].reshape(-1, QUAD_WORD)
        filled = (whole == whole[:, :1]).all(axis=1)
        counts = np.append(np.repeat(~filled, QUAD_WORD), np.ones(s.data.size % QUAD_WORD, np.bool_))
        content += int(np.count_nonzero(counts))
        for r in slid.segments_in(s.start, s.stop):
            at = slice(r.start - s.start, r.stop - s.start)
            equal += int(np.count_nonzero((r.data == s.data[at]) & counts[at]))
    return equal, content
