"""The search from two images to a placement."""

from __future__ import annotations

from math import ceil, log2

from h5diag.chip import Chip, load_chip
from h5diag.layout import Layout
from h5diag.locate.diagonals import together
from h5diag.locate.fill import content_bytes, fill_blocks
from h5diag.locate.free import Free
from h5diag.locate.placement import Placement, Transform
from h5diag.locate.regions import Found, displacements_of, regions_of, unexplained
from h5diag.locate.search import DEEP_PART, DENSE_LIMIT, LONG, POSSIBLE, SURE, Search, Span
from h5diag.locate.sides import Side, Watch, unknown
from h5diag.locate.transforms import transformed
from h5diag.memory import Cancel, MemoryImage, Progress

SAMPLED_FROM = 1 << 16
"""Bytes of the dump to explain from which sampling comes before looking up every word."""

WORTH_A_TRANSFORM = 512
"""Bytes of the dump left unexplained from which broken data lines are tried."""


def locate(reference: MemoryImage, dump: MemoryImage, *, layout: Layout | None = None, chip: Chip | None = None,
           transforms: bool = False, deep: bool = False, progress: Progress | None = None,
           cancel: Cancel | None = None) -> Placement:
    """Find where the pieces of a reference landed in a dump.

    Parameters
    ----------
    reference
        What is known to be good: an image, or the dump of a board that works.
    dump
        Where to look.
    layout
        Names slots; without it no displacement is called ``slot``.
    chip
        Gives aliases, banks and sectors; the layout's own, or the default chip.
    transforms
        Also look for inverted, byte-swapped, halfword-swapped and bit-reversed content.
    deep
        Look up every byte position however large the images are. Without it, above 8 MB of content, words are
        sampled and a piece below about 200 bytes may be missed.
    progress, cancel
        Told the fraction done; asked every few milliseconds whether to stop.

    Returns
    -------
    Placement
        Gaps and unreadable ranges never match and are reported as unknown; fill is never matched.

    Raises
    ------
    Cancelled
        When `cancel` says so.
    """
    chip = layout.chip if layout is not None else chip if chip is not None else load_chip()
    watch = Watch(progress, cancel)
    a, b = Side.of(reference, chip), Side.of(dump, chip)
    watch.stage(0.0, 0.05)
    a_fill = fill_blocks(a.data, watch)
    watch.stage(0.05, 0.1)
    b_fill = fill_blocks(b.data, watch)
    free = Free.of(b, b_fill)
    search = Search(a, b, b.data, a_fill, b_fill, free, watch)
    found, equal, assumptions = _find(search, transforms=transforms, deep=deep)
    watch.stage(0.9, 1.0)
    regions = regions_of(found, search, chip, layout, watch)
    result = Placement(
        regions=regions, displacements=displacements_of(regions),
        **unexplained(a, b, a_fill, b_fill, regions, equal),
        reference_unknown=unknown(reference), dump_unknown=unknown(dump), assumptions=assumptions)
    watch.check(1.0)
    return result


def _find(search: Search, *, transforms: bool, deep: bool) -> tuple[list[Found], tuple[Span, ...], tuple[str, ...]]:
    free, watch = search.free, search.watch
    watch.stage(0.1, 0.2)
    in_place, equal = search.in_place()
    found: list[Found] = []
    assumptions: list[str] = []
    if in_place.size:
        search.take(in_place.where(in_place.coverage >= LONG), SURE)
    if free.worth_searching()[0].size:
        search.take(search.pages(), SURE)
    content = content_bytes(~search.reference_fill) + content_bytes(search.todo())
    rate = max(4, ceil(log2(max(content, 1) / (4 << 20))) + 1)
    if free.worth_searching()[0].size:
        watch.stage(0.2, 0.4)
        short = in_place.where(in_place.coverage < LONG)
        if content_bytes(search.todo()) > SAMPLED_FROM:
            search.take(together([short, search.sampled(rate)]), SURE)
        else:
            search.take(short, SURE)
    watch.stage(0.4, 0.6)
    large = content_bytes(~search.reference_fill) > DENSE_LIMIT or content_bytes(search.todo()) > DENSE_LIMIT
    if free.worth_searching()[0].size and (deep or not large):
        for at in range(0, search.dump.size, DEEP_PART if large else max(search.dump.size, 1)):
            watch.stage(0.4 + 0.2 * at / search.dump.size, 0.4 + 0.2 * min(1, (at + DEEP_PART) / search.dump.size))
            search.take(search.every(at, at + DEEP_PART if large else 1 << 62), POSSIBLE)
    elif free.worth_searching()[0].size:
        assumptions.append(f"above 8 MB of content one word in {1 << rate} was sampled: a piece below about "
                           f"{14 << rate} bytes may be missed (--deep looks at every byte)")
    found.append(Found(Transform.AS_IS, search.dump, tuple(search.spans)))
    others = [t for t in Transform if t is not Transform.AS_IS] if transforms else []
    ways: list[tuple[Transform, int]] = [(t, 0xFF) for t in others]
    ways += [(Transform.AS_IS, 0xFF ^ 1 << line) for line in range(8)]
    for i, (transform, mask) in enumerate(ways):
        if free_bytes(free) < WORTH_A_TRANSFORM:
            break
        watch.stage(0.6 + 0.3 * i / len(ways), 0.6 + 0.3 * (i + 1) / len(ways))
        data = transformed(search.dump_side, transform)
        again = Search(search.reference_side, search.dump_side, data, search.reference_fill, search.dump_fill, free,
                       watch, mask)
        again.take(again.sampled(rate if large else 4), SURE)
        found.append(Found(transform, data, tuple(again.spans)))
    return found, equal, tuple(assumptions)


def free_bytes(free: Free) -> int:
    """Return how many bytes of the dump are still worth searching."""
    start, stop = free.worth_searching()
    return int((stop - start).sum())
