"""The search from two images to a placement."""

from __future__ import annotations

from math import ceil, log2

from h5diag.chip import Chip, load_chip
from h5diag.layout import Layout
from h5diag.measure.locate.diagonals import together
from h5diag.measure.locate.fill import content_bytes, fill_blocks
from h5diag.measure.locate.free import Free
from h5diag.measure.locate.placement import Placement, Transform
from h5diag.measure.locate.regions import Found, displacements_of, regions_of, unexplained
from h5diag.measure.locate.search import DENSE_LIMIT, LONG, SURE, Search, Span
from h5diag.measure.locate.settle import settle
from h5diag.measure.locate.sides import Side, Watch, unknown
from h5diag.measure.locate.ways import other_ways, stuck_line
from h5diag.memory import Cancel, MemoryImage, Progress

SAMPLED_FROM = 1 << 16
"""Bytes of the dump to explain from which sampling comes before looking up every word."""

SMALL = 1 << 20
"""Bytes of a large dump left unexplained below which the unused reference is sampled more densely for them."""

WORTH_A_WAY, WORTH_A_SHARE = 512, 64
"""Bytes left unexplained, and their least share of the dump's content, from which broken data lines are tried."""


def locate(
    reference: MemoryImage,
    dump: MemoryImage,
    *,
    layout: Layout | None = None,
    chip: Chip | None = None,
    transforms: bool = False,
    deep: bool = False,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Placement:
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
        Look up words throughout however large the images are. Without it, above 8 MB of content, words are
        sampled and a piece below about 900 bytes at 64 MB may be missed.
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
        regions=regions,
        displacements=displacements_of(regions),
        **unexplained(a, b, a_fill, b_fill, regions, equal, watch),
        reference_unknown=unknown(reference),
        dump_unknown=unknown(dump),
        assumptions=assumptions,
        choice=None,
    )
    watch.check(1.0)
    return result


def _find(search: Search, *, transforms: bool, deep: bool) -> tuple[list[Found], tuple[Span, ...], tuple[str, ...]]:
    free, watch = search.free, search.watch
    watch.stage(0.1, 0.2)
    in_place, equal = search.in_place()
    search.take(in_place.where(in_place.coverage >= LONG), SURE)
    if free.content():
        search.take(search.pages(), SURE)
    content = content_bytes(~search.reference_fill) + content_bytes(search.todo())
    rate = max(4, ceil(log2(max(content, 1) / (4 << 20))) + 1)
    if free.content():
        watch.stage(0.2, 0.4)
        short = in_place.where(in_place.coverage < LONG)
        if free.content() > SAMPLED_FROM:
            short = together([short, search.sampled(rate)])
        search.deferring = max(content_bytes(~search.reference_fill), content_bytes(search.todo())) <= DENSE_LIMIT
        search.take(short, SURE)
        search.deferring = False
    searches = [(Transform.AS_IS, search)]
    lines = free.content() >= max(WORTH_A_WAY, content_bytes(~search.dump_fill) // WORTH_A_SHARE)
    large = max(content_bytes(~search.reference_fill), content_bytes(search.todo())) > DENSE_LIMIT
    if free.content() >= WORTH_A_WAY and not large:
        searches += stuck_line(search)
    # On large images eight more passes take seconds; who asks for them gets them.
    lines = lines and (transforms or deep or not large)
    if lines or (transforms and free.content() >= WORTH_A_WAY):
        searches += other_ways(search, rate + 2, transforms=transforms, lines=lines)
    assumptions: tuple[str, ...] = ()
    if free.content() and (deep or not large):
        for i, (_, s) in enumerate(searches):
            low, high = 0.6 + 0.3 * i / len(searches), 0.6 + 0.3 * (i + 1) / len(searches)
            watch.stage(low, high)
            s.take_every()
    elif free.content():
        if free.content() < SMALL:
            search.take(search.sampled(4, unused=True), SURE)
        assumptions = (
            f"above 8 MB of content one word in {1 << rate} was sampled: a piece below about "
            f"{14 << rate} bytes may be missed, and broken data lines were not looked for"
            " (--deep does both)",
        )
    for _, s in searches:
        settle(s)
    found = []
    for transform in {t: None for t, _ in searches}:
        same = [s for t, s in searches if t is transform]
        found.append(Found(transform, same[0].dump, tuple(span for s in same for span in s.spans)))
    return found, equal, assumptions
