"""Where pieces meet: short gaps closed, noisy ends sharpened, ends rounded out to whole program units."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace

import numpy as np

from h5diag.measure.locate.fill import alike, edges
from h5diag.measure.locate.search import Span
from h5diag.measure.locate.sides import Side, Watch
from h5diag.memory import Bytes

JOINED = 64
"""Pieces on one diagonal with at most so many bytes between them are one region."""

JOINED_ALIKE = 1 << 16
"""So are pieces with at most so many equal bytes of a short period, but not of one value, between them."""

JOINED_SIMILAR, SIMILAR, PLAIN_RUN = 4096, 0.5, 256
"""So are pieces with so many bytes between them of which that share agrees, without a longer run of one value."""

NOISY = 0.03
"""Share of differing bytes from which an end may also move outwards."""

LEAST_RATE = 0.0005
"""Share of wrong bits that is taken at least."""

REACH = 64
"""An end moves by at most so many bytes."""


def joined_spans(spans: tuple[Span, ...], a: Side, b: Side, dump: Bytes, watch: Watch) -> list[Span]:
    """Join neighbours on one diagonal over short gaps and over equal bytes of a short period.

    A vector table is full of the same handler: between two pieces that is content, on its own it is padding.
    """
    out: list[Span] = []
    for s in sorted(spans, key=lambda s: s.dump):
        watch.pause()
        last = out[-1] if out else None
        if (
            last is not None
            and s.reference - s.dump == last.reference - last.dump
            and a.segment(s.reference) == a.segment(last.reference)
            and b.segment(s.dump) == b.segment(last.dump)
        ):
            # A piece that a masked line left whole continues one where the line shows.
            mask = last.mask & s.mask
            x = a.data[last.reference + last.size : s.reference]
            y = dump[last.dump + last.size : s.dump]
            if x.size <= JOINED or _one_piece(x, y, mask):
                out[-1] = replace(last, size=s.dump + s.size - last.dump, mask=mask)
                continue
        out.append(s)
    return out


def _one_piece(x: Bytes, y: Bytes, mask: int) -> bool:
    if x.size > JOINED_ALIKE or (x == x[0]).all():
        return False
    equal = np.count_nonzero(((x ^ y) & mask) == 0)
    if equal == x.size:
        return True
    if x.size > JOINED_SIMILAR or equal < SIMILAR * x.size:
        return False
    first, last = edges(x[1:] == x[:-1])
    return int((last - first).max(initial=0)) < PLAIN_RUN


def sharpened(s: Span, a: Side, b: Side, dump: Bytes, taken: list[tuple[int, int]]) -> Span:
    """Set the ends of a piece with errors where the number of wrong bits turns from few to many.

    Under bit errors a differing byte mostly differs in one bit; unrelated bytes differ in four. How common errors
    are is taken from the whole piece: in an intact piece a few equal bytes behind a wrong one are chance.
    """
    if s.mask != 0xFF or s.size < 32:
        return s
    x, y = a.data[s.reference : s.reference + s.size], dump[s.dump : s.dump + s.size]
    wrong = 1 - alike(x, y) / s.size
    if wrong == 0:
        return s
    rate = min(max(1 - (1 - wrong) ** 0.125, LEAST_RATE), 0.2)
    bits = np.arange(9)
    worth = 8 + bits * np.log2(rate) + (8 - bits) * np.log2(1 - rate)
    worth[0] = 2.0  # equal bytes are common among unrelated code as well
    room_before, room_after = _room(s, a, b, taken)
    inside = min(REACH, s.size // 2)
    before, after = max(0, min(room_before, REACH)), max(0, min(room_after, REACH))
    r, d = s.reference + s.size - inside, s.dump + s.size - inside
    tail = worth[_WRONG[a.data[r : r + inside + after] ^ dump[d : d + inside + after]]].cumsum()
    r, d = s.reference - before, s.dump - before
    head = worth[_WRONG[a.data[r : r + inside + before] ^ dump[d : d + inside + before]]][::-1].cumsum()
    grow_after, grow_before = int(tail.argmax()) + 1 - inside, int(head.argmax()) + 1 - inside
    if wrong < NOISY:
        grow_after, grow_before = min(grow_after, 0), min(grow_before, 0)
    return replace(
        s, reference=s.reference - grow_before, dump=s.dump - grow_before, size=s.size + grow_before + grow_after
    )


_WRONG = np.array([i.bit_count() for i in range(256)], np.intp)


def _room(s: Span, a: Side, b: Side, taken: list[tuple[int, int]]) -> tuple[int, int]:
    """Return how many bytes a piece may grow at its start and at its end."""
    i = bisect_right(taken, (s.dump + s.size // 2, b.size)) - 1
    x, y = b.segment(s.dump), a.segment(s.reference)
    following = taken[i + 1][0] if i + 1 < len(taken) else b.size
    return (
        min(s.dump - max(taken[i - 1][1] if i else 0, b.starts[x]), s.reference - a.starts[y]),
        min(min(following, b.starts[x + 1]) - s.dump - s.size, a.starts[y + 1] - s.reference - s.size),
    )


def rounded(s: Span, a: Side, b: Side, dump: Bytes, taken: list[tuple[int, int]], unit: int) -> Span:
    """Round a piece out to whole program units where the bytes agree: its last zeros belong to it."""
    if (b.canonical_address(s.dump) - a.canonical_address(s.reference)) % unit:
        return s
    room_before, room_after = _room(s, a, b, taken)
    before = b.address(s.dump) % unit
    after = -(b.address(s.dump) + s.size) % unit
    if before > room_before or not np.array_equal(
        a.data[s.reference - before : s.reference], dump[s.dump - before : s.dump]
    ):
        before = 0
    r, d = s.reference + s.size, s.dump + s.size
    if after > room_after or not np.array_equal(a.data[r : r + after], dump[d : d + after]):
        after = 0
    return replace(s, reference=s.reference - before, dump=s.dump - before, size=s.size + before + after)
