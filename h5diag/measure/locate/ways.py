"""Other ways to read the dump: with a broken data line masked out, inverted, swapped or bit-reversed."""

from __future__ import annotations

import numpy as np

from h5diag.measure.locate.diagonals import Candidates
from h5diag.measure.locate.fill import alike
from h5diag.measure.locate.free import Free
from h5diag.measure.locate.lines import line_faults
from h5diag.measure.locate.placement import Transform
from h5diag.measure.locate.search import SURE, Search, Span
from h5diag.measure.locate.transforms import transformed

PROOF = 64
"""A candidate speaks for a way of reading only when its seeds vouch for so many bytes."""

ENOUGH = 1024
"""A way of reading is followed when its candidates vouch for so many bytes in all."""

LARGE, ALIKE = 4096, 0.6
"""Pieces of so many bytes, so many of them equal, stand whatever other way of reading explains more."""

LOOKED_AT = 1 << 16
"""Bytes of found pieces among which a stuck line is looked for."""


def other_ways(search: Search, rate: int, *, transforms: bool, lines: bool) -> list[tuple[Transform, Search]]:
    """Find pieces that read as the reference's only after a change, the best change first.

    Parameters
    ----------
    search
        The search of the dump as it stands, with what it found.
    rate
        One word in ``2**rate`` is sampled to rate a way.
    transforms
        Try inverted, swapped and bit-reversed content.
    lines
        Try a broken data line.

    Returns
    -------
    list
        The searches that found something, with their spans.
    """
    out: list[tuple[Transform, Search]] = []
    ways: list[tuple[Transform, int]] = [(t, 0xFF) for t in Transform if transforms and t is not Transform.AS_IS]
    ways += [(Transform.AS_IS, 0xFF ^ 1 << line) for line in range(8) if lines]
    rated: list[tuple[int, int, Search, Candidates]] = []
    for i, (transform, way_mask) in enumerate(ways):
        if search.free.content() < ENOUGH:
            break
        search.watch.stage(0.4 + 0.2 * i / len(ways), 0.4 + 0.2 * (i + 1) / len(ways))
        again = _search(search, transform, way_mask)
        found = again.sampled(rate)
        found = found.where(found.coverage >= PROOF << max(rate - 4, 0))
        if int(found.coverage.sum()) >= ENOUGH:
            rated.append((-int(found.coverage.sum()), i, again, found))
    rated.sort(key=lambda r: r[:2])
    doubtful = [s for s in search.spans if s.size < LARGE or _identity(search, s) < ALIKE] if rated else []
    if doubtful and -rated[0][0] > sum(s.size for s in doubtful if s.size < LARGE):
        # What was found without the change is made of its accidents, or will be found again.
        _give_back(search, doubtful)
    for _, i, again, found in rated:
        again.take(found, SURE)
        if again.spans:
            again.take(again.sampled(4), SURE)
            out.append((ways[i][0], again))
    return out


def stuck_line(search: Search) -> list[tuple[Transform, Search]]:
    """Search again with a data line masked out when it explains the errors of the pieces found so far.

    Those pieces are given back; the result holds one search, or none when no line is to blame.
    """
    mask = _stuck_mask(search)
    if mask == 0xFF:
        return []
    again = _search(search, Transform.AS_IS, mask)
    again.take(again.sampled(4), SURE)
    return [(Transform.AS_IS, again)]


def _search(search: Search, transform: Transform, mask: int) -> Search:
    return Search(
        search.reference_side,
        search.dump_side,
        transformed(search.dump_side, transform, search.watch),
        search.reference_fill,
        search.dump_fill,
        search.free,
        search.watch,
        mask,
    )


def _stuck_mask(search: Search) -> int:
    """Return the mask without the data line that explains the errors of the pieces found, and give those back."""
    xs, ys, total = [], [], 0
    suspects: list[Span] = []
    for s in sorted(search.spans, key=lambda s: -s.size):
        x, y = search.reference[s.reference : s.reference + s.size], search.dump[s.dump : s.dump + s.size]
        if not np.array_equal(x, y):
            suspects.append(s)
            if total < LOOKED_AT:
                # From a multiple of four on, so that the bytes of a bus word stay where they are.
                skip = -search.dump_side.canonical_address(s.dump) % 4
                xs.append(x[skip:][: x[skip:].size & ~3])
                ys.append(y[skip:][: y[skip:].size & ~3])
                total += s.size
    if not xs:
        return 0xFF
    faults = line_faults(np.concatenate(xs), np.concatenate(ys), 0)
    if not faults:
        return 0xFF
    _give_back(search, suspects)
    return 0xFF ^ 1 << faults[0].line % 8


def _identity(search: Search, s: Span) -> float:
    x, y = search.reference[s.reference : s.reference + s.size], search.dump[s.dump : s.dump + s.size]
    return alike(x, y) / s.size


def _give_back(search: Search, spans: list[Span]) -> None:
    gone = set(spans)
    kept = [s for s in search.spans if s not in gone]
    fresh = Free.of(search.dump_side, search.dump_fill)
    for s in kept:
        fresh.take(s.dump, s.dump + s.size)
    search.free.give_back(fresh)
    search.spans[:] = kept
