"""Fill: runs of a constant byte or of a short period, which say nothing about where content belongs."""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt

from h5diag.measure.locate.sides import Side, Watch
from h5diag.memory import Bytes

Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]

BLOCK = 64
"""Fill is told block by block, in bytes."""

BARRIER = 4
"""So many blocks of fill in a row end a piece; shorter runs may lie inside one."""

CHUNK = 1 << 18
PERIOD = 48
"""Common multiple of the word periods 1, 2 and 3 that make a block fill, in bytes."""

_ONES = np.array([i.bit_count() for i in range(256)], np.uint8)
_INSIDE = tuple((lag, int.from_bytes(bytes([1] * (8 - lag) + [0] * lag), sys.byteorder)) for lag in (1, 2, 3))


def words(data: Bytes) -> npt.NDArray[np.uint64]:
    """Return the whole 8-byte words of `data`, aligned; a view where its memory allows."""
    whole = data[: data.size & ~7]
    if whole.ctypes.data & 7:
        whole = whole.copy()
    return whole.view(np.uint64)


def fill_blocks(data: Bytes, watch: Watch) -> Flags:
    """Return for each block of `BLOCK` bytes whether it repeats itself with a period of at most 24 bytes."""
    count = -(-data.size // BLOCK)
    fill = np.zeros(count, np.bool_)
    whole = data.size // BLOCK
    same = np.zeros(CHUNK // 8, np.bool_)
    for at in range(0, whole * BLOCK, CHUNK):
        watch.check(at / data.size)
        w = words(data[at : min(at + CHUNK, whole * BLOCK)])
        blocks = w.size // 8
        part = fill[at // BLOCK : at // BLOCK + blocks]
        rows = w.reshape(-1, 8)
        for lag, inside in _INSIDE:
            # Few blocks of content begin with a word that comes again: those are looked at one by one.
            begin = np.flatnonzero(rows[:, 0] == rows[:, lag])
            if begin.size < blocks // 8:
                if begin.size:
                    chosen = rows[begin]
                    part[begin] |= (chosen[:, :-lag] == chosen[:, lag:]).all(axis=1)
                continue
            np.equal(w[:-lag], w[lag:], out=same[: w.size - lag])
            same[w.size - lag : w.size] = False
            packed = same[: w.size].view(np.uint64) & np.uint64(inside)
            part |= packed == np.uint64(inside)
            if part.all():
                break
    if count > whole:
        tail = data[whole * BLOCK :]
        fill[whole] = bool((tail == tail[0]).all())
    return fill


def alike(x: Bytes, y: Bytes) -> int:
    """Return how many bytes of two equally long pieces agree, without an array of their size."""
    return sum(int(np.count_nonzero(x[at : at + CHUNK] == y[at : at + CHUNK])) for at in range(0, x.size, CHUNK))


def wrong_bits(x: Bytes, y: Bytes) -> int:
    """Return in how many bits two equally long pieces disagree."""
    return sum(
        int(_ONES[x[at : at + CHUNK] ^ y[at : at + CHUNK]].sum(dtype=np.int64)) for at in range(0, x.size, CHUNK)
    )


def content_bytes(blocks: Flags) -> int:
    """Return the bytes of the blocks that are true."""
    return int(np.count_nonzero(blocks)) * BLOCK


def edges(flags: Flags) -> tuple[Numbers, Numbers]:
    """Return first and after-last index of each run of true flags."""
    padded = np.zeros(flags.size + 2, np.int8)
    padded[1:-1] = flags
    change = np.flatnonzero(padded[1:] != padded[:-1])
    return change[::2], change[1::2]


def barriers(side: Side, fill: Flags) -> tuple[Numbers, Numbers]:
    """Return start and stop position of each fill run of at least `BARRIER` blocks, to the byte."""
    first, last = edges(fill)
    long = last - first >= BARRIER
    # Touching the end of the data counts as well: there is nothing behind it to bridge to.
    first, last = first[long], last[long]
    start, stop = first * BLOCK, np.minimum(last * BLOCK, side.size)
    if not start.size:
        return start, stop
    data, n = side.data, side.size
    step = np.arange(1, BLOCK + 1)
    before = start[:, None] - step
    same = (before >= 0) & (data[np.maximum(before, 0)] == data[np.maximum(before, 0) + PERIOD])
    start = start - np.cumprod(same, axis=1).sum(axis=1)
    after = stop[:, None] + step - 1
    same = (after < n) & (data[np.minimum(after, n - 1)] == data[np.minimum(after, n - 1) - PERIOD])
    stop = stop + np.cumprod(same, axis=1).sum(axis=1)
    return start, stop


def repeats(data: Bytes) -> Flags:
    """Return for each byte whether the ones before it foretell it with a period of at most 8 bytes.

    The first bytes of a run do not count as repeats, the later ones do.
    """
    out = np.zeros(data.size, np.bool_)
    out[1:] = data[1:] == data[:-1]
    for period in (2, 3, 4, 5, 6, 7, 8):
        if data.size <= 2 * period:
            break
        same = data[period:] == data[:-period]
        run = same[period - 1 :].copy()
        for k in range(1, period):
            run &= same[period - 1 - k : same.size - k]
        out[2 * period - 1 :] |= run
    return out
