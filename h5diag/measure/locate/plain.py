"""The search's engine in numpy: what ``kernel.c`` does, said shortly. It serves where the kernel was not built."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from h5diag.measure.locate.pieces import DROP, MOST_COPIES, WORD, Counts, Pair, Pieces, Words
from h5diag.measure.locate.sides import BLOCK, Flags, Numbers, Watch
from h5diag.memory import Bytes

CHUNK = 1 << 18
WINDOW, WIDEST = 64, 1 << 16
"""Bytes by which extensions go on in lockstep, at first and at most."""

RUN, REPEATS, GAP, UNWEIGHED, EXPLAINED = 128, 16, 256, 20, 1024
"""Bytes that agree from a word on, from which the words within them are not looked up; repeats of one byte that end such
a run; bytes from word to word on a diagonal; what a byte of a long core
counts; and bytes that agree, from which other places must agree too."""

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
            keep = ~_says_nothing(value)
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
        r, d, core, sure = self._looked_up(pair, words.stride, span, *np.concatenate(parts, axis=1))
        order = np.lexsort((d, r - d))
        r, d, core, sure = r[order], d[order], core[order], sure[order]
        new = np.ones(d.size, np.bool_)
        new[1:] = np.diff(r - d) != 0
        near = np.zeros(d.size, np.bool_)
        near[1:] = ~new[1:] & (np.diff(d) <= GAP)
        good = sure | near
        group = (new.cumsum() - 1)[good]
        r, d, core = r[good], d[good], core[good]
        until, found = np.full(int(new.sum()), -1, np.int64), [Pieces.empty()]
        while d.size:
            watch.pause()
            first = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]]))
            more, inside = self._extended(pair, Pieces.of(r[first], d[first], core[first]))
            until[group[first[inside]]] = more.dump + more.size
            found.append(more.where(more.score >= least))
            left = d >= until[group]
            left[first] = False
            r, d, core, group = r[left], d[left], core[left], group[left]
        out = Pieces.joined(found)
        return out.where(np.lexsort((out.reference, out.dump)))

    def _looked_up(
        self, pair: Pair, stride: int, span: int, r: Numbers, d: Numbers, count: Numbers
    ) -> tuple[Numbers, Numbers, Numbers, Flags]:
        """Leave out the rest of a span that agrees from a word on; the first words of a span stay.

        Within a long run that agrees a word stays at another place only where a run agrees there too. Also tells how
        many bytes agree from each word on, and which words are followed at once.
        """
        run, long_run = self._equal_runs(pair, r, d), np.zeros(d.size, np.bool_)
        core = run.copy()
        keep, at, until, diagonal = np.ones(d.size, np.bool_), 0, 0, 0
        first = np.flatnonzero(np.append(True, np.diff(d) != 0)[: d.size])
        for i, j in pairwise([*first.tolist(), d.size]):
            start = int(d[i])
            if start < at:
                keep[i:j] = False
                continue
            best = i + int(run[i:j].argmax())
            # Within a long run, as the kernel does, a run is followed up to the end of the span only.
            if start < until:
                core[i:j] = np.minimum(run[i:j], max(RUN, (start // span + 1) * span - start + WORD))
            longest = int(core[i:j].max())
            long_run[i:j] = core[i:j] >= (longest if longest >= EXPLAINED else RUN)
            if longest >= EXPLAINED:
                keep[i:j] = long_run[i:j]
            elif start < until:
                keep[i:j] = long_run[i:j] | (r[i:j] - start == diagonal)
            if run[best] < RUN or start % span < 2 * stride:
                continue
            if start >= until and run[best] >= EXPLAINED:
                diagonal, until = int(r[best]) - start, start + int(run[best])
            at = min(start + int(run[best]) - WORD + 1, (start // span + 1) * span)
        return r[keep], d[keep], np.maximum(core, WORD)[keep], ((count == 1) | long_run)[keep]

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

    def _extended(self, pair: Pair, cores: Pieces) -> tuple[Pieces, Flags]:
        """Return the extended cores, and which of the cores lay in a free stretch and in one segment."""
        start, stop = np.append(pair.free.start, 1 << 62), np.append(pair.free.stop, 1 << 62)
        cuts = np.array(pair.a.starts, np.int64)
        f = np.searchsorted(pair.free.start, cores.dump, "right") - 1
        c = np.clip(np.searchsorted(cuts, cores.reference, "right") - 1, 0, max(cuts.size - 2, 0))
        inside = (f >= 0) & (cores.dump + cores.size <= stop[f]) & (cores.reference + cores.size <= cuts[c + 1])
        r, d, size, f, c = (x[inside] for x in (cores.reference, cores.dump, cores.size, f, c))
        core = np.where(size > BLOCK, size, 0)
        before, one = self._reach(pair, r - 1, d - 1, np.minimum(d - start[f], r - cuts[c]), -1)
        after, two = self._reach(pair, r + core, d + core, np.minimum(stop[f] - d, cuts[c + 1] - r) - core, 1)
        whole = before + core + after
        out = Pieces(r - before, d - before, whole, one + two + core * UNWEIGHED)
        inside[np.flatnonzero(inside)[whole == 0]] = False
        return out.where(whole > 0), inside

    def _reach(self, pair: Pair, r: Numbers, d: Numbers, limit: Numbers, turn: int) -> tuple[Numbers, Numbers]:
        """Return how many bytes from each `r` and `d` on, in one direction, belong to the piece, and their worth."""
        length, best, run, at = (np.zeros(d.size, np.int64) for _ in range(4))
        alive, window = np.flatnonzero(limit > 0), WINDOW
        while alive.size:
            still = []
            for part in range(0, alive.size, max(1, CHUNK // window)):
                k = alive[part : part + max(1, CHUNK // window)]
                step = at[k, None] + np.arange(window)
                worth = _worth(pair, r[k, None] + turn * step, d[k, None] + turn * step, turn, step < limit[k, None])
                sums = run[k, None] + worth.cumsum(axis=1)
                top = np.maximum(np.maximum.accumulate(sums, axis=1), best[k, None])
                dead = np.maximum.accumulate(top - sums > DROP, axis=1)
                sums[dead] = -(1 << 40)
                highest = sums.argmax(axis=1)
                value = sums[np.arange(k.size), highest]
                better = value > best[k]
                length[k[better]] = at[k[better]] + highest[better] + 1
                best[k] = np.maximum(best[k], value)
                run[k] = sums[:, -1]
                at[k] += window
                still.append(k[~dead[:, -1] & (at[k] < limit[k])])
            alive, window = np.concatenate(still), min(window * 4, WIDEST)
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


def _says_nothing(value: npt.NDArray[np.uint64]) -> Flags:
    """Tell the words of period 1, 2 or 4, and those with at least six bytes 00 or FF."""
    rows = value.astype("<u8").view(np.uint8).reshape(-1, WORD)
    repeats = (rows[:, :4] == rows[:, 4:]).all(axis=1)
    out: Flags = repeats | ((rows == 0).sum(axis=1) >= 6) | ((rows == 0xFF).sum(axis=1) >= 6)
    return out


def _worth(pair: Pair, r: Numbers, d: Numbers, turn: int, inside: Flags) -> Numbers:
    """Return what the bytes at `r` and `d` are worth; outside, enough to end an extension."""
    last = pair.reference.size - 1
    a, b = pair.reference[np.clip(r, 0, last)], pair.dump[np.clip(d, 0, pair.dump.size - 1)]
    equal = ((a ^ b) & pair.mask) == 0
    worth = np.where(equal, pair.gain[a & pair.mask], pair.mismatch).astype(np.int64)
    # Fill can neither score nor bridge: an equal byte that repeats its predecessor costs a quarter bit.
    before = r - turn
    worth[equal & (before >= 0) & (before <= last) & (pair.reference[np.clip(before, 0, last)] == a)] = -1
    worth[~inside] = -DROP * 4
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
    sums = np.concatenate([[0], _worth(pair, r + step, d + step, 1, step >= 0).cumsum()])
    lowest = np.minimum.accumulate(sums)
    stop = int((sums - lowest).argmax())
    # From the last of the lowest on, as a running sum that starts anew at zero does.
    start = int(np.flatnonzero(sums[: stop + 1] == lowest[stop])[-1])
    return r + start, d + start, stop - start, int(sums[stop] - sums[start])
