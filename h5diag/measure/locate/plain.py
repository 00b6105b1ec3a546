"""The search's engine in numpy: what ``kernel.c`` does, said shortly. It serves where the kernel was not built."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from h5diag.measure.locate.pieces import (
    BLOCK,
    NONE,
    PIECE,
    QUARTER,
    WORD,
    Flags,
    Numbers,
    Pair,
    Pieces,
    Runs,
    Watch,
    Words,
    edges,
    runs_of,
)
from h5diag.memory import Bytes

DROP = 80 * QUARTER
"""An extension ends where its score stays this much below its best: about 24 differing bytes in a row."""

MOST_COPIES = 16
"""A word that occurs more often in the reference says nothing about where it belongs."""

RUN, REPEATS, GAP, UNWEIGHED, EXPLAINED, ALIKE = 128, 16, 256, 20, 1024, 32
"""Bytes that agree from a word on, from which the words within them are not looked up; repeats of one byte that end such
a run; bytes from word to word on a diagonal; what a byte of a long core counts; bytes of a piece, from which other places
must agree too; and of how many of its bytes one may differ."""

MULTIPLIER, DIAGONAL_BITS = 0x9E3779B97F4A7C15, 15
"""Diagonals met lately are kept in so many bits of table."""

CHUNK = 1 << 18
ONES = np.array([i.bit_count() for i in range(256)], np.uint8)
Counts = tuple[Numbers, Numbers, npt.NDArray[np.uint32]]
_Row = tuple[int, int, int, int]


class Plain:
    """Fill scan, index of words, look-up, extension with errors, claims and comparison, without a compiler."""

    name = "numpy"

    def fill(self, data: Bytes, watch: Watch) -> Flags:
        """Return for each block whether it repeats itself with a period of at most 24 bytes."""
        out = np.zeros(-(-data.size // BLOCK), np.bool_)
        for at in range(0, data.size, CHUNK):
            watch.check(at / data.size)
            rows = _blocks(data[at : at + CHUNK])
            flags = out[at // BLOCK :][: len(rows)]
            for lag in (8, 16, 24):
                flags |= (rows[:, :-lag] == rows[:, lag:]).all(axis=1)
        rest = data[data.size // BLOCK * BLOCK :]
        if rest.size:
            out[-1] = (rest == rest[0]).all()
        return out

    def equal(self, a: Bytes, b: Bytes, watch: Watch) -> Flags:
        """Return for each whole block of two equally long pieces whether both hold the same."""
        out = np.zeros(a.size // BLOCK, np.bool_)
        for at in range(0, a.size, CHUNK):
            watch.check(at / a.size)
            x, y = _blocks(a[at : at + CHUNK]), _blocks(b[at : at + CHUNK])
            out[at // BLOCK :][: len(x)] = (x == y).all(axis=1)
        return out

    def words(self, data: Bytes, blocks: Flags, stride: int, mask: int, watch: Watch) -> Words:
        """Return the words that start at a multiple of `stride` and in a block that counts."""
        parts = [(np.empty(0, np.int64), np.empty(0, np.uint64)), *_words(data, blocks, stride, mask, watch)]
        where, value = (np.concatenate(x) for x in zip(*parts, strict=True))
        keep = ~_says_nothing(value, WORD - 1 if stride < WORD else WORD - 2)
        where, value = where[keep], value[keep]
        order = np.argsort(value, kind="stable")
        return Words(stride, mask, (value[order], where[order]))

    def scan(self, pair: Pair, free: Runs, words: Words, blocks: Flags, least: int, span: int, watch: Watch) -> Pieces:
        """Return the extended pieces around each word of the dump's chosen blocks that the reference holds too.

        They lie in the stretches that are `free` and score `least` quarter bits. Where content agrees the rest of the
        `span` bytes is not looked up.
        """
        value, where = words.tables
        seen: dict[int, tuple[int, int, int]] = {}  # a diagonal met lately, how far it is extended, and its last word
        out: list[_Row] = []
        at, until, whole, diagonal = 0, -1, 0, 0
        for position, word in _words(pair.dump, blocks, 1, words.mask, watch):
            low, high = (np.searchsorted(value, word, side) for side in ("left", "right"))
            met = np.flatnonzero((low < high) & (high - low <= MOST_COPIES))
            for d, i, j in zip(position[met].tolist(), low[met].tolist(), high[met].tolist(), strict=True):
                if d < at:
                    continue
                watch.pause()
                rest = span - d % span
                most = pair.dump.size if d >= until else max(RUN, rest + WORD)
                places = where[i:j].tolist()
                runs = [_equal_run(pair, free, r, d, most) for r in places]
                longest = max(runs)
                least_run = longest - BLOCK if longest >= EXPLAINED else RUN
                for r, run in zip(places, runs, strict=True):
                    if run < least_run and (longest >= EXPLAINED or (d < until and r - d != diagonal)):
                        continue
                    # A table as the kernel has it: a diagonal may drive out another one.
                    slot = (r - d) * MULTIPLIER % (1 << 64) >> (64 - DIAGONAL_BITS)
                    who, reached, last = seen.get(slot, (r - d, -1, -GAP - 1))
                    reached, last = (reached, last) if who == r - d else (-1, -GAP - 1)
                    seen[slot] = (r - d, reached, d)
                    rare = i + 1 == j and (words.stride <= GAP or run >= REPEATS)
                    if d < reached or not (rare or run >= least_run or d - last <= GAP):
                        continue
                    piece = _extended(pair, free, r, d, max(run, WORD))
                    if piece is None:
                        continue
                    reached = piece[1] + piece[2]
                    seen[slot] = (r - d, reached, d)
                    if piece[3] >= least:
                        out.append(piece)
                    if d < until or piece[2] < EXPLAINED:
                        continue
                    same = int(self.compare(pair, _pieces([piece]))[0, 0])
                    if same * ALIKE >= piece[2] * (ALIKE - 1):
                        diagonal, until, whole = r - d, reached, reached if same == piece[2] else 0
                longest = max(longest, whole - d)
                if longest >= RUN and span - rest >= 2 * words.stride:
                    at = min(d + longest - WORD + 1, d + rest)
        return _pieces(out)

    def grow(self, pair: Pair, pieces: Pieces) -> Pieces:
        """Return pieces grown as far as all agrees, fill among it; those that come to touch become one.

        They come by diagonal, then by dump position; the scores of those that become one are added.
        """
        out: list[_Row] = []
        for r, d, size, score in pieces.tolist():
            first, last = pair.segments[np.searchsorted(pair.segments[:, 0], r, "right") - 1].tolist()
            if out and r - d == out[-1][0] - out[-1][1] and d <= out[-1][1] + out[-1][2]:
                first_r, first_d, so_far, worth = out.pop()
                size, score = max(d + size, first_d + so_far) - first_d, score + worth
                r, d = first_r, first_d
            else:
                before = _agreed(pair, r - 1, d - 1, min(d, r - first), -1)
                r, d, size = r - before, d - before, size + before
            size += _agreed(pair, r + size, d + size, min(pair.dump.size - d, last - r) - size, 1)
            out.append((r, d, size, score))
        return _pieces(out)

    def claim(self, pair: Pair, free: Runs, wanted: Pieces, least: int) -> tuple[Pieces, Runs]:
        """Take pieces in their order out of what is free; return what was got, and what is free now."""
        starts, stops = free.T.tolist()
        out: list[_Row] = []
        for r, d, size, score in wanted.tolist():
            for i in reversed(range(max(bisect_right(starts, d) - 1, 0), bisect_left(starts, d + size))):
                a, b = max(d, starts[i]), min(d + size, stops[i])
                if a >= b:
                    continue
                piece = (r + a - d, a, b - a, score)
                if b - a < size:
                    piece = _best_part(pair, r + a - d, a, b - a)
                if piece[2] < WORD or piece[3] < least:
                    continue
                left = [(p, q) for p, q in ((starts[i], piece[1]), (piece[1] + piece[2], stops[i])) if p < q]
                starts[i : i + 1], stops[i : i + 1] = [p for p, _ in left], [q for _, q in left]
                out.append(piece)
        return _pieces(out), np.array([starts, stops], np.int64).T.copy()

    def compare(self, pair: Pair, pieces: Pieces) -> Numbers:
        """Return ``(2, n)``: of each piece the equal bytes and the wrong bits, as far as the mask lets bits count."""
        out = np.zeros((2, pieces.size), np.int64)
        for k, (r, d, size, _) in enumerate(pieces.tolist()):
            changed = (pair.reference[r : r + size] ^ pair.dump[d : d + size]) & np.uint8(pair.mask)
            out[:, k] = size - np.count_nonzero(changed), ONES[changed].sum(dtype=np.int64)
        return out

    def runs(self, pair: Pair, pieces: Pieces) -> Numbers:
        """Return how many bytes in a row repeat the one before them, at most, of the reference's part of each piece."""
        parts = [pair.reference[start:stop] for start, stop in runs_of(pieces, "reference").tolist()]
        return np.array([np.diff(edges(x[1:] == x[:-1])).max(initial=0) for x in parts], np.int64)

    def count(self, sides: list[tuple[Bytes, Flags]], width: int) -> Counts:
        """Count the chosen groups of `width` bytes.

        Returns how often pairs and contexts of two bytes occur, ``int64 (65536,)``, and trigrams in the engine's own way.
        """
        parts = [np.empty(0, np.uint32)]
        for data, groups in sides:
            rows = data[: groups.size * width].reshape(-1, width)[groups].astype(np.uint32)
            parts.append((rows[:, :-2] << 16 | rows[:, 1:-1] << 8 | rows[:, 2:]).astype(np.uint32).ravel())
        trigrams = np.sort(np.concatenate(parts))
        pairs, contexts = (np.bincount(x, minlength=1 << 16) for x in (trigrams & 0xFFFF, trigrams >> 8))
        return pairs, contexts, trigrams

    def asked(self, counts: Counts, trigrams: npt.NDArray[np.uint32]) -> Numbers:
        """Return how often each trigram was counted, the first byte high."""
        low, high = (np.searchsorted(counts[2], trigrams, side) for side in ("left", "right"))
        return high - low


def _pieces(rows: list[_Row]) -> Pieces:
    return np.array(rows, PIECE) if rows else NONE


def _blocks(data: Bytes) -> Bytes:
    return data[: data.size // BLOCK * BLOCK].reshape(-1, BLOCK)


def _words(
    data: Bytes, blocks: Flags, stride: int, mask: int, watch: Watch
) -> Iterator[tuple[Numbers, npt.NDArray[np.uint64]]]:
    """Yield positions and little-endian words, as far as they count, of the chosen blocks."""
    count = data.size - WORD + 1
    for at in range(0, count, CHUNK * stride):
        watch.check(at / count)
        where = np.arange(at, min(at + CHUNK * stride, count), stride)
        where = where[blocks[where // BLOCK]]
        yield where, data[where[:, None] + np.arange(WORD)].view("<u8").ravel() & np.uint64(mask)


def _says_nothing(value: npt.NDArray[np.uint64], plain: int) -> Flags:
    """Tell the words of period 1, 2 or 4, and those of at least `plain` bytes 00 or FF."""
    rows = value.astype("<u8").view(np.uint8).reshape(-1, WORD)
    most = np.maximum((rows == 0).sum(axis=1), (rows == 0xFF).sum(axis=1))
    out: Flags = (rows[:, :4] == rows[:, 4:]).all(axis=1) | (most >= plain)
    return out


def _agreed(pair: Pair, r: int, d: int, limit: int, turn: int) -> int:
    """Return how many bytes from `r` and `d` on, in one direction, agree."""
    at, window = 0, BLOCK
    while at < limit:
        step = turn * np.arange(at, min(at + window, limit))
        differs = ((pair.reference[r + step] ^ pair.dump[d + step]) & pair.mask) != 0
        if differs.any():
            return at + int(differs.argmax())
        at, window = at + step.size, min(window * 4, CHUNK)
    return max(limit, 0)


def _room(pair: Pair, free: Runs, r: int, d: int) -> tuple[int, int]:
    """Return how many bytes there are before and behind a position, in its free stretch and in its segment."""
    f = int(np.searchsorted(free[:, 0], d, "right")) - 1
    c = int(np.searchsorted(pair.segments[:, 0], r, "right")) - 1
    if f < 0 or c < 0:
        return 0, 0
    (start, stop), (first, last) = free[f].tolist(), pair.segments[c].tolist()
    return min(d - start, r - first), min(stop - d, last - r)


def _equal_run(pair: Pair, free: Runs, r: int, d: int, most: int) -> int:
    """Return how many bytes from `r` and `d` on agree, at most `most`, up to a run of one value."""
    run = _agreed(pair, r, d, min(_room(pair, free, r, d)[1], most), 1)
    x = pair.reference[r : r + run]
    repeats = edges(x[1:] == x[:-1])
    long = repeats[repeats[:, 1] - repeats[:, 0] >= REPEATS, 0]
    return int(long[0]) + REPEATS if long.size else run


def _extended(pair: Pair, free: Runs, r: int, d: int, core: int) -> _Row | None:
    """Return an extended core, or None when it does not lie in a free stretch and in a segment."""
    room_before, room_after = _room(pair, free, r, d)
    if core > room_after:
        return None
    weighed = core if core > BLOCK else 0
    before, one = _reach(pair, r - 1, d - 1, room_before, -1)
    after, two = _reach(pair, r + weighed, d + weighed, room_after - weighed, 1)
    size = before + weighed + after
    return (r - before, d - before, size, one + two + weighed * UNWEIGHED) if size else None


def _reach(pair: Pair, r: int, d: int, limit: int, turn: int) -> tuple[int, int]:
    """Return how many bytes from `r` and `d` on, in one direction, belong to the piece, and their worth."""
    length = best = run = at = 0
    window = BLOCK
    while at < limit:
        step = turn * np.arange(at, min(at + window, limit))
        sums = run + _worth(pair, r + step, d + step, turn).cumsum()
        dead = np.maximum(np.maximum.accumulate(sums), best) - sums > DROP
        alive = int(dead.argmax()) if dead.any() else dead.size
        highest = int(sums[:alive].argmax()) if alive else 0
        if alive and sums[highest] > best:
            length, best = at + highest + 1, int(sums[highest])
        if alive < dead.size:
            break
        run, at, window = int(sums[-1]), at + step.size, min(window * 4, CHUNK)
    return length, best


def _worth(pair: Pair, r: Numbers, d: Numbers, turn: int) -> Numbers:
    """Return what the bytes at `r` and `d` are worth."""
    a, before, last = pair.reference[r], r - turn, pair.reference.size - 1
    equal = ((a ^ pair.dump[d]) & pair.mask) == 0
    worth = np.where(equal, pair.gain[a & pair.mask], pair.mismatch).astype(np.int64)
    # Fill can neither score nor bridge: an equal byte that repeats its predecessor costs a quarter bit.
    worth[equal & (before >= 0) & (before <= last) & (pair.reference[np.clip(before, 0, last)] == a)] = -1
    return worth


def _best_part(pair: Pair, r: int, d: int, size: int) -> _Row:
    """Return the part of a piece that is worth most."""
    step = np.arange(size)
    sums = np.append(0, _worth(pair, r + step, d + step, 1).cumsum())
    lowest = np.minimum.accumulate(sums)
    stop = int((sums - lowest).argmax())
    # From the last of the lowest on, as a running sum that starts anew at zero does.
    start = int(np.flatnonzero(sums[: stop + 1] == lowest[stop])[-1])
    return r + start, d + start, stop - start, int(sums[stop] - sums[start])
