"""The search's engine in numpy: what ``kernel.c`` does, said shortly. It serves where the kernel was not built."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from h5diag.measure.locate.pieces import DROP, MOST_COPIES, WORD, Counts, Pair, Pieces, Words
from h5diag.measure.locate.sides import BLOCK, Flags, Numbers, Watch, edges
from h5diag.memory import Bytes

CHUNK = 1 << 18
WINDOW, WIDEST = 64, 1 << 16
"""Bytes by which extensions go on in lockstep, at first and at most."""

RUN, REPEATS, GAP, UNWEIGHED, EXPLAINED, ALIKE = 128, 16, 256, 20, 1024, 32
"""Bytes that agree from a word on, from which the words within them are not looked up; repeats of one byte that end such
a run; bytes from word to word on a diagonal; what a byte of a long core counts; bytes of a piece, from which other places
must agree too; and of how many of its bytes one may differ."""

MULTIPLIER, DIAGONAL_BITS = 0x9E3779B97F4A7C15, 15
"""Diagonals met lately are kept in so many bits of table."""

_ONES = np.array([i.bit_count() for i in range(256)], np.uint8)


class Plain:
    """Fill scan, index of words, look-up, extension with errors, claims and tallies, without a compiler."""

    name = "numpy"

    def fill(self, data: Bytes, watch: Watch) -> Flags:
        """Return for each block whether it repeats itself with a period of at most 24 bytes."""
        out = np.zeros(-(-data.size // BLOCK), np.bool_)
        whole = data.size // BLOCK
        for at in range(0, whole * BLOCK, CHUNK):
            watch.check(at / data.size)
            rows = data[at : min(at + CHUNK, whole * BLOCK)].reshape(-1, BLOCK)
            flags = out[at // BLOCK : at // BLOCK + len(rows)]
            for lag in (8, 16, 24):
                # Few blocks of content begin with bytes that come again: those are looked at one by one.
                begin = np.flatnonzero(rows[:, 0] == rows[:, lag])
                chosen = rows[begin]
                flags[begin] |= (chosen[:, :-lag] == chosen[:, lag:]).all(axis=1)
        if data.size % BLOCK:
            out[whole] = bool((data[whole * BLOCK :] == data[whole * BLOCK]).all())
        return out

    def equal(self, a: Bytes, b: Bytes, watch: Watch) -> Flags:
        """Return for each whole block of two equally long pieces whether both hold the same."""
        out = np.zeros(a.size // BLOCK, np.bool_)
        for at in range(0, out.size * BLOCK, CHUNK):
            watch.check(at / a.size)
            stop = min(at + CHUNK, out.size * BLOCK)
            out[at // BLOCK : stop // BLOCK] = (a[at:stop] == b[at:stop]).reshape(-1, BLOCK).all(axis=1)
        return out

    def words(self, data: Bytes, blocks: Flags, stride: int, mask: int, watch: Watch) -> Words:
        """Return the words that start at a multiple of `stride` and in a block that counts."""
        values, positions = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
        for at in range(0, data.size - WORD + 1, CHUNK):
            watch.check(at / data.size)
            where = np.arange(at + -at % stride, min(at + CHUNK, data.size - WORD + 1), stride)
            where = where[blocks[where // BLOCK]]
            value = _values(data, where, mask)
            keep = ~_says_nothing(value, WORD - 1 if stride < WORD else WORD - 2)
            values.append(value[keep])
            positions.append(where[keep])
        value, where = np.concatenate(values), np.concatenate(positions)
        order = np.argsort(value, kind="stable")
        return Words(stride, mask, (value[order], where[order]))

    def scan(self, pair: Pair, words: Words, blocks: Flags, least: int, span: int, watch: Watch) -> Pieces:
        """Return the extended pieces around each word of the dump's chosen blocks that the reference holds too."""
        value, where = words.tables
        parts = [np.empty((3, 0), np.int64)]
        for at in range(0, pair.dump.size - WORD + 1, CHUNK):
            watch.check(at / pair.dump.size)
            d = np.arange(at, min(at + CHUNK, pair.dump.size - WORD + 1))
            d = d[blocks[d // BLOCK]]
            v = _values(pair.dump, d, words.mask)
            low = np.searchsorted(value, v, "left")
            if value.size:
                there = value[np.minimum(low, value.size - 1)] == v
                low, d, v = low[there], d[there], v[there]
            else:
                low, d, v = low[:0], d[:0], v[:0]
            count = np.searchsorted(value, v, "right") - low
            low, d, count = (x[count <= MOST_COPIES] for x in (low, d, count))
            # All pairs of a word: each place in the dump meets all places in the reference.
            within = np.arange(int(count.sum())) - np.repeat(count.cumsum() - count, count)
            r = where[np.repeat(low, count) + within].astype(np.int64)
            parts.append(np.stack([r, np.repeat(d, count), np.repeat(count, count)]))
        r, d, count = np.concatenate(parts, axis=1)
        order = np.lexsort((r, d))
        r, d, count = r[order], d[order], count[order]
        run, out = self._equal_runs(pair, r, d), []
        seen: dict[int, tuple[int, int, int]] = {}  # a diagonal met lately, how far it is extended, and its last word
        at, until, whole, diagonal = 0, -1, 0, 0
        for i, j in pairwise([*np.flatnonzero(np.append(True, np.diff(d) != 0)[: d.size]).tolist(), d.size]):
            start = int(d[i])
            if start < at:
                continue
            watch.pause()
            rest = span - start % span
            core = np.minimum(run[i:j], pair.dump.size if start >= until else max(RUN, rest + WORD))
            longest = int(core.max())
            least_run = longest - BLOCK if longest >= EXPLAINED else RUN
            for there, size in zip(r[i:j].tolist(), core.tolist(), strict=True):
                if size < least_run and (longest >= EXPLAINED or (start < until and there - start != diagonal)):
                    continue
                # A table as the kernel has it: a diagonal may drive out another one.
                slot = (there - start) * MULTIPLIER % (1 << 64) >> (64 - DIAGONAL_BITS)
                who, reached, last = seen.get(slot, (there - start, -1, -GAP - 1))
                reached, last = (reached, last) if who == there - start else (-1, -GAP - 1)
                seen[slot] = (there - start, reached, start)
                rare = count[i] == 1 and (words.stride <= GAP or size >= REPEATS)
                if start < reached or not (rare or size >= least_run or start - last <= GAP):
                    continue
                piece = self._extended(pair, there, start, max(size, WORD))
                if piece is None:
                    continue
                reached = int(piece.dump[0] + piece.size[0])
                seen[slot] = (there - start, reached, start)
                out.append(piece.where(piece.score >= least))
                if start < until or piece.size[0] < EXPLAINED:
                    continue
                same = int(self.tally(pair, piece)[0][0])
                if same * ALIKE >= piece.size[0] * (ALIKE - 1):
                    diagonal, until, whole = there - start, reached, reached if same == piece.size[0] else 0
            longest = max(longest, whole - start)
            if longest >= RUN and start % span >= 2 * words.stride:
                at = min(start + longest - WORD + 1, start + rest)
        return Pieces.joined(out)

    def _equal_runs(self, pair: Pair, r: Numbers, d: Numbers) -> Numbers:
        """Return how many bytes from each `r` and `d` on agree, in stretch and segment, up to a run of one value."""
        same_before = np.zeros(pair.reference.size + 1, np.int64)
        same_before[2:] = (pair.reference[1:] == pair.reference[:-1]).cumsum()
        cuts = np.array(pair.a.starts, np.int64)
        f = np.searchsorted(pair.free.start, d, "right") - 1
        stop, cut = np.append(pair.free.stop, 0)[f], cuts[np.searchsorted(cuts, r, "right")] if r.size else r
        limit, run = np.where(f >= 0, np.minimum(stop - d, cut - r), 0), np.zeros(d.size, np.int64)
        alive, window = np.flatnonzero(limit > 0), WINDOW
        while alive.size:
            still = []
            for part in range(0, alive.size, max(1, CHUNK // window)):
                k = alive[part : part + max(1, CHUNK // window)]
                step = run[k, None] + np.arange(window)
                x, y = (
                    np.minimum(v[k, None] + step, n - 1) for v, n in ((r, pair.reference.size), (d, pair.dump.size))
                )
                same = (((pair.reference[x] ^ pair.dump[y]) & pair.mask) == 0) & (step < limit[k, None])
                plain = same_before[x + 1] - same_before[np.maximum(x + 1 - REPEATS, 0)] == REPEATS
                same &= ~((step >= REPEATS) & plain)
                whole = same.all(axis=1)
                run[k] += np.where(whole, window, same.argmin(axis=1))
                still.append(k[whole])
            alive, window = np.concatenate(still), min(window * 4, WIDEST)
        return run

    def _extended(self, pair: Pair, r: int, d: int, core: int) -> Pieces | None:
        """Return an extended core, or None when it does not lie in a free stretch and in a segment."""
        f, c = int(np.searchsorted(pair.free.start, d, "right")) - 1, pair.a.segment(r)
        if f < 0 or d + core > pair.free.stop[f] or r + core > pair.a.starts[c + 1]:
            return None
        weighed = core if core > BLOCK else 0
        room = min(d - int(pair.free.start[f]), r - pair.a.starts[c])
        before, one = self._reach(pair, r - 1, d - 1, room, -1)
        room = min(int(pair.free.stop[f]) - d, pair.a.starts[c + 1] - r) - weighed
        after, two = self._reach(pair, r + weighed, d + weighed, room, 1)
        size, score = before + weighed + after, one + two + weighed * UNWEIGHED
        return Pieces(*np.array([[r - before], [d - before], [size], [score]])) if size else None

    def _reach(self, pair: Pair, r: int, d: int, limit: int, turn: int) -> tuple[int, int]:
        """Return how many bytes from `r` and `d` on, in one direction, belong to the piece, and their worth."""
        length = best = run = at = 0
        window = WINDOW
        while at < limit:
            step = np.arange(at, min(at + window, limit))
            sums = run + _worth(pair, r + turn * step, d + turn * step, turn).cumsum()
            dead = np.maximum(np.maximum.accumulate(sums), best) - sums > DROP
            alive = int(dead.argmax()) if dead.any() else dead.size
            highest = int(sums[:alive].argmax()) if alive else 0
            if alive and sums[highest] > best:
                length, best = at + highest + 1, int(sums[highest])
            if alive < dead.size:
                break
            run, at, window = int(sums[-1]), at + step.size, min(window * 4, WIDEST)
        return length, best

    def grow(self, pair: Pair, pieces: Pieces) -> Pieces:
        """Return pieces grown as far as all agrees, fill among it; those that come to touch become one."""
        out: list[list[int]] = []
        cuts = pair.a.starts
        columns = (pieces.reference.tolist(), pieces.dump.tolist(), pieces.size.tolist(), pieces.score.tolist())
        for r, d, size, score in zip(*columns, strict=True):
            c = min(bisect_right(cuts, r), len(cuts) - 1)
            last = out[-1] if out else [0, 1 << 62, 0, 0]
            if r - d == last[0] - last[1] and d <= last[1] + last[2]:
                last[2] = max(d + size, last[1] + last[2]) - last[1]
                last[3] += score
            else:
                before = _agreed(pair, r - 1, d - 1, min(d, r - cuts[c - 1]), -1)
                last = [r - before, d - before, before + size, score]
                out.append(last)
            there, here = last[0] + last[2], last[1] + last[2]
            last[2] += _agreed(pair, there, here, min(pair.dump.size - here, cuts[c] - there), 1)
        return Pieces(*np.array(out, np.int64).reshape(-1, 4).T.copy())

    def claim(self, pair: Pair, wanted: Pieces, least: int) -> Pieces:
        """Take pieces in their order out of what is free, and return what was got."""
        starts, stops = pair.free.start.tolist(), pair.free.stop.tolist()
        out: list[tuple[int, int, int, int]] = []
        columns = (wanted.reference.tolist(), wanted.dump.tolist(), wanted.size.tolist(), wanted.score.tolist())
        for r, d, size, score in zip(*columns, strict=True):
            first = max(bisect_right(starts, d) - 1, 0)
            for i in reversed(range(first, bisect_left(starts, d + size))):
                a, b = max(d, starts[i]), min(d + size, stops[i])
                if a >= b:
                    continue
                piece = (r + a - d, a, b - a, score)
                if b - a < size:
                    piece = _best_part(pair, r + a - d, a, b - a)
                if piece[2] < WORD or piece[3] < least:
                    continue
                parts = [(p, q) for p, q in ((starts[i], piece[1]), (piece[1] + piece[2], stops[i])) if p < q]
                starts[i : i + 1], stops[i : i + 1] = [p for p, _ in parts], [q for _, q in parts]
                out.append(piece)
        pair.free.start, pair.free.stop = np.array(starts, np.int64), np.array(stops, np.int64)
        return Pieces(*np.array(out, np.int64).reshape(-1, 4).T.copy())

    def tally(self, pair: Pair, pieces: Pieces) -> tuple[Numbers, Numbers]:
        """Return the equal bytes and the wrong bits of each piece, as far as the mask lets bits count."""
        equal, wrong = np.zeros(pieces.count, np.int64), np.zeros(pieces.count, np.int64)
        for k in range(pieces.count):
            r, d, size = int(pieces.reference[k]), int(pieces.dump[k]), int(pieces.size[k])
            for at in range(0, size, CHUNK):
                stop = min(at + CHUNK, size)
                changed = (pair.reference[r + at : r + stop] ^ pair.dump[d + at : d + stop]) & np.uint8(pair.mask)
                equal[k] += stop - at - np.count_nonzero(changed)
                wrong[k] += int(_ONES[changed].sum(dtype=np.int64))
        return equal, wrong

    def runs(self, pair: Pair, pieces: Pieces) -> Numbers:
        """Return how many bytes in a row repeat the one before them, at most, of the reference's part of each piece."""
        out = np.zeros(pieces.count, np.int64)
        for k, (r, size) in enumerate(zip(pieces.reference.tolist(), pieces.size.tolist(), strict=True)):
            x = pair.reference[r : r + size]
            first, last = edges(x[1:] == x[:-1])
            out[k] = (last - first).max(initial=0)
        return out

    def count(self, sides: list[tuple[Bytes, Flags]], width: int) -> Counts:
        """Count the bytes of the chosen groups of `width` bytes."""
        parts: list[npt.NDArray[np.uint32]] = [np.empty(0, np.uint32)]
        for data, groups in sides:
            rows = data[: groups.size * width].reshape(-1, width)[groups].astype(np.uint32)
            parts.append((rows[:, :-2] << 16 | rows[:, 1:-1] << 8 | rows[:, 2:]).astype(np.uint32).ravel())
        trigrams = np.sort(np.concatenate(parts))
        pairs, contexts = (np.bincount(x, minlength=1 << 16) for x in (trigrams & 0xFFFF, trigrams >> 8))
        return Counts(pairs, contexts, trigrams)

    def asked(self, counts: Counts, trigrams: npt.NDArray[np.uint32]) -> Numbers:
        """Return how often each trigram was counted, the first byte high."""
        order = trigrams.argsort()
        low, high = (np.searchsorted(counts.trigrams, trigrams[order], side) for side in ("left", "right"))
        out = np.zeros(trigrams.size, np.int64)
        out[order] = high - low
        return out


def _values(data: Bytes, where: Numbers, mask: int) -> npt.NDArray[np.uint64]:
    """Return the little-endian words at positions, as far as they count."""
    rows = data[where[:, None] + np.arange(WORD)] if where.size else np.empty((0, WORD), np.uint8)
    out: npt.NDArray[np.uint64] = np.ascontiguousarray(rows).view("<u8").ravel() & np.uint64(mask)
    return out


def _says_nothing(value: npt.NDArray[np.uint64], plain: int) -> Flags:
    """Tell the words of period 1, 2 or 4, and those of at least `plain` bytes 00 or FF."""
    rows = value.astype("<u8").view(np.uint8).reshape(-1, WORD)
    repeats = (rows[:, :4] == rows[:, 4:]).all(axis=1)
    out: Flags = repeats | ((rows == 0).sum(axis=1) >= plain) | ((rows == 0xFF).sum(axis=1) >= plain)
    return out


def _worth(pair: Pair, r: Numbers, d: Numbers, turn: int) -> Numbers:
    """Return what the bytes at `r` and `d` are worth."""
    a, before, last = pair.reference[r], r - turn, pair.reference.size - 1
    equal = ((a ^ pair.dump[d]) & pair.mask) == 0
    worth = np.where(equal, pair.gain[a & pair.mask], pair.mismatch).astype(np.int64)
    # Fill can neither score nor bridge: an equal byte that repeats its predecessor costs a quarter bit.
    worth[equal & (before >= 0) & (before <= last) & (pair.reference[np.clip(before, 0, last)] == a)] = -1
    return worth


def _agreed(pair: Pair, r: int, d: int, limit: int, turn: int) -> int:
    """Return how many bytes from `r` and `d` on, in one direction, agree."""
    for at in range(0, limit, CHUNK):
        step = turn * np.arange(at, min(at + CHUNK, limit))
        differs = ((pair.reference[r + step] ^ pair.dump[d + step]) & pair.mask) != 0
        if differs.any():
            return at + int(differs.argmax())
    return max(limit, 0)


def _best_part(pair: Pair, r: int, d: int, size: int) -> tuple[int, int, int, int]:
    """Return the part of a piece that is worth most."""
    step = np.arange(size)
    sums = np.concatenate([[0], _worth(pair, r + step, d + step, 1).cumsum()])
    lowest = np.minimum.accumulate(sums)
    stop = int((sums - lowest).argmax())
    # From the last of the lowest on, as a running sum that starts anew at zero does.
    start = int(np.flatnonzero(sums[: stop + 1] == lowest[stop])[-1])
    return r + start, d + start, stop - start, int(sums[stop] - sums[start])
