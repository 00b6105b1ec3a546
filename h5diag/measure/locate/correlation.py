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
from h5diag.measure.locate.fill import Flags, Numbers, content_bytes, fill_blocks
from h5diag.measure.locate.placement import Placement
from h5diag.measure.locate.seeds import join, sample
from h5diag.measure.locate.sides import Side, Watch
from h5diag.memory import Cancel, MemoryImage, Progress

MOST_KEYS = 1 << 18
"""Words sampled on either side, at most about so many."""


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
    a, b = Side.of(reference, chip), Side.of(dump, chip)
    watch.stage(0.0, 0.3)
    a_blocks, b_blocks = ~fill_blocks(a.data, watch), ~fill_blocks(b.data, watch)
    rate = max(0, ceil(log2(max(content_bytes(a_blocks), content_bytes(b_blocks), 1) / MOST_KEYS)))
    displacements, count, keys = _counted(a, b, a_blocks, b_blocks, rate, watch)
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


def _counted(
    a: Side, b: Side, a_blocks: Flags, b_blocks: Flags, rate: int, watch: Watch
) -> tuple[Numbers, npt.NDArray[np.float64], int]:
    watch.stage(0.3, 0.6)
    reference = sample(a.data, a_blocks, rate, watch)
    watch.stage(0.6, 0.9)
    dump = sample(b.data, b_blocks, rate, watch)
    if not reference.size or not dump.size:
        return np.empty(0, np.int64), np.empty(0), int(dump.size)
    pairs = join(reference, dump, max(a.size, b.size), watch)
    moved = _canonical(b, pairs.dump) - _canonical(a, pairs.reference)
    # A word that occurs n times in the reference speaks for n displacements: each time in full.
    values, count = np.unique(moved, return_counts=True)
    return values, count.astype(np.float64), int(dump.size)


def _canonical(side: Side, positions: Numbers) -> Numbers:
    i = np.searchsorted(np.array(side.starts), positions, "right") - 1
    return positions - np.array(side.starts, np.int64)[i] + np.array(side.canonical, np.int64)[i]


def _span(a: Side, b: Side) -> tuple[int, int]:
    if not a.size or not b.size:
        return 0, 0
    ends = [
        max(c + stop - start for c, start, stop in zip(s.canonical, s.starts, s.starts[1:], strict=False))
        for s in (a, b)
    ]
    return min(b.canonical) - ends[0] + 1, ends[1] - min(a.canonical) - 1


def _marks(layout: Layout | None, chip: Chip) -> tuple[Mark, ...]:
    out = {0: "in place", chip.flash.bank_size: "other bank", -chip.flash.bank_size: "other bank"}
    for source in layout.slots if layout is not None else ():
        for target in layout.slots if layout is not None else ():
            if source is not target and source.image == target.image >= 0:
                moved = target.range.start - source.range.start
                name = f"{source.name} to {target.name}"
                # Several images share one displacement; one name is enough.
                out.setdefault(moved, name)
    return tuple(Mark(d, n) for d, n in sorted(out.items()))
