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

DROP = 80 * QUARTER  # an extension ends where its score stays this much below its best: 24 differing bytes in a row
MOST_COPIES = 16  # a word that occurs more often in the reference says nothing about where it belongs
RUN = 128  # bytes that agree from a word on, from which the words within them are not looked up
REPEATS = 16  # of one byte end such a run
GAP = 256  # bytes from word to word on a diagonal
UNWEIGHED = 20  # what a byte of a long core counts
EXPLAINED, ALIKE = (
    1024,
    32,
)  # bytes of a piece from which other places must agree too, if one in so many differs at most
MULTIPLIER, DIAGONAL_BITS = 0x9E3779B97F4A7C15, 15  # diagonals met lately are kept in so many bits of table
CHUNK = 1 << 18
ONES = np.array([i.bit_count() for i in range(256)], np.uint8)

Counts = tuple[Numbers, Numbers, npt.NDArray[np.uint32]]
_Row = tuple[int, int, int, int]


class Plain:
    """Fill scan, index of words, look-up, extension with errors, claims and comparison, without a compiler."""

    name = "numpy"

    def fill(self, data: Bytes, watch: Watch) -> Flags:
        """Return for each block whether it repeats itself with a period of at most 24 bytes."""
        watch.check()
        rows, rest = _blocks(data), data[data.size // BLOCK * BLOCK :]
        periods = [(rows[:, :-lag] == rows[:, lag:]).all(axis=1) for lag in (8, 16, 24)]
        return np.append(np.any(periods, axis=0), [(rest == rest[0]).all()] if rest.size else np.empty(0, np.bool_))

    def equal(self, a: Bytes, b: Bytes, watch: Watch) -> Flags:
        """Return for each whole block of two equally long pieces whether both hold the same."""
        watch.check()
        same: Flags = (_blocks(a) == _blocks(b)).all(axis=1)
        return same

    def words(self, data: Bytes, blocks: Flags, stride: int, mask: int, watch: Watch) -> Words:
        """Return the words that start at a multiple of `stride` and in a block that counts."""
        watch.check()
        where = np.arange(0, data.size - WORD + 1, stride)
        where = where[blocks[where // BLOCK]]
        value = words_in(data, mask)[where]
        keep = ~_says_nothing(value, WORD - 1 if stride < WORD else WORD - 2)
        order = np.argsort(value[keep], kind="stable")
        return Words(stride, mask, (value[keep][order], where[keep][order]))

    def scan(
        self, pair: Pair, unclaimed: Runs, words: Words, blocks: Flags, least: int, span: int, watch: Watch
    ) -> Pieces:
        """Return the extended pieces around each word of the dump's chosen blocks that the reference holds too.

        They lie in the stretches that are `unclaimed` and score `least` quarter bits. Where content agrees the rest of the
        `span` bytes is not looked up.
        """
        value, where = words.tables
        seen: dict[int, list[int]] = {}  # by slot: a diagonal met lately, how far it is extended, and its last word
        out: list[_Row] = []
        at, until, whole, diagonal = 0, -1, 0, 0
        for d, i, j in _met(pair.dump, blocks, value, words.mask, watch):
            if d < at:
                continue
            rest = span - d % span
            most = pair.dump.size if d >= until else max(RUN, rest + WORD)
            places = where[i:j].tolist()
            runs = [_equal_run(pair, unclaimed, r, d, most) for r in places]
            longest = max(runs)
            least_run = longest - BLOCK if longest >= EXPLAINED else RUN
            for r, run in zip(places, runs, strict=True):
                if run < least_run and (longest >= EXPLAINED or (d < until and r - d != diagonal)):
                    continue
                # A table as the kernel has it: a diagonal may drive out another one.
                entry = seen.setdefault((r - d) * MULTIPLIER % (1 << 64) >> (64 - DIAGONAL_BITS), [r - d, -1, -GAP - 1])
                if entry[0] != r - d:
                    entry[:] = r - d, -1, -GAP - 1
                near, entry[2] = d - entry[2] <= GAP, d
                rare = i + 1 == j and (words.stride <= GAP or run >= REPEATS)
                if d < entry[1] or not (rare or near or run >= least_run):
                    continue
                piece = _extended(pair, unclaimed, r, d, max(run, WORD))
                if piece is None:
                    continue
                entry[1] = piece[1] + piece[2]
                out.append(piece)
                same = self.compare(pair, _pieces([piece]))[0, 0] if d >= until and piece[2] >= EXPLAINED else 0
                if same * ALIKE >= piece[2] * (ALIKE - 1):
                    diagonal, until, whole = r - d, entry[1], entry[1] if same == piece[2] else 0
            longest = max(longest, whole - d)
            if longest >= RUN and span - rest >= 2 * words.stride:
                at = min(d + longest - WORD + 1, d + rest)
        return _pieces([piece for piece in out if piece[3] >= least])

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

    def claim(self, pair: Pair, unclaimed: Runs, wanted: Pieces, least: int) -> tuple[Pieces, Runs]:
        """Take pieces in their order out of what is unclaimed; return what was got, and what is unclaimed now."""
        starts, stops = unclaimed.T.tolist()
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

    def count(self, memories: list[tuple[Bytes, Flags]], width: int) -> Counts:
        """Count the chosen groups of `width` bytes.

        Returns how often pairs and contexts of two bytes occur, ``int64 (65536,)``, and trigrams in the engine's own way.
        """
        parts = [np.empty(0, np.uint32)]
        for data, groups in memories:
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


def words_in(data: Bytes, mask: int = (1 << 64) - 1) -> npt.NDArray[np.uint64]:
    """Return the little-endian word at each position, as far as its bits count."""
    out: npt.NDArray[np.uint64] = np.ndarray(max(data.size - WORD + 1, 0), "<u8", data, strides=(1,)) & np.uint64(mask)
    return out


def _met(
    data: Bytes, blocks: Flags, known: npt.NDArray[np.generic], mask: int, watch: Watch
) -> Iterator[tuple[int, int, int]]:
    """Yield where a word of the chosen blocks stands, and from which to before which of the sorted ones is the same."""
    for at in range(0, data.size - WORD + 1, CHUNK):
        watch.check(at / data.size)
        value = words_in(data[at : at + CHUNK + WORD - 1], mask)
        where = np.flatnonzero(blocks[np.arange(at, at + value.size) // BLOCK])
        low, high = (np.searchsorted(known, value[where], side) for side in ("left", "right"))
        met = (low < high) & (high - low <= MOST_COPIES)
        yield from zip((at + where[met]).tolist(), low[met].tolist(), high[met].tolist(), strict=True)


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


def _room(pair: Pair, unclaimed: Runs, r: int, d: int) -> tuple[int, int]:
    """Return how many bytes there are before and behind a position, in its unclaimed stretch and in its segment."""
    f = int(np.searchsorted(unclaimed[:, 0], d, "right")) - 1
    c = int(np.searchsorted(pair.segments[:, 0], r, "right")) - 1
    if f < 0 or c < 0:
        return 0, 0
    (start, stop), (first, last) = unclaimed[f].tolist(), pair.segments[c].tolist()
    return min(d - start, r - first), min(stop - d, last - r)


def _equal_run(pair: Pair, unclaimed: Runs, r: int, d: int, most: int) -> int:
    """Return how many bytes from `r` and `d` on agree, at most `most`, up to a run of one value."""
    run = _agreed(pair, r, d, min(_room(pair, unclaimed, r, d)[1], most), 1)
    x = pair.reference[r : r + run]
    repeats = edges(x[1:] == x[:-1])
    long = repeats[repeats[:, 1] - repeats[:, 0] >= REPEATS, 0]
    return int(long[0]) + REPEATS if long.size else run


def _extended(pair: Pair, unclaimed: Runs, r: int, d: int, core: int) -> _Row | None:
    """Return an extended core, or None when it does not lie in an unclaimed stretch and in a segment."""
    room_before, room_after = _room(pair, unclaimed, r, d)
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
