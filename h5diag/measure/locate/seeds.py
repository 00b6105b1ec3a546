"""Seeds: equal 8-byte words at any offset on both sides, found by sampling on the content itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from h5diag.measure.locate.fast import Kernel, kernel, shifted
from h5diag.measure.locate.fill import BLOCK, Flags, Numbers
from h5diag.measure.locate.sides import Watch
from h5diag.memory import Bytes

Words = npt.NDArray[np.uint64]

WORD = 8
CHUNK = 1 << 16
_HASH = np.uint64(0x9E3779B97F4A7C15)
_HASH32 = np.uint32(0x9E3779B1)
_LOW = np.uint64(0x7F7F7F7F7F7F7F7F)
NO_MASK = (1 << 64) - 1

AT_ONCE = 1 << 17
"""Keys worked on between two looks at whether to stop."""

PACKED_FROM = 22
"""Tables of more than two to this power of entries are packed."""


@dataclass(frozen=True, slots=True, eq=False)
class Keys:
    """Sampled words: hashed value ``uint64`` and position ``int64`` of each."""

    hashes: Words
    positions: Numbers

    @property
    def size(self) -> int:
        """Number of keys."""
        return int(self.positions.size)


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Equal words: position in the reference and in the dump, and whether both occur once."""

    reference: Numbers
    dump: Numbers
    unique: Flags


def sample(
    data: Bytes,
    blocks: Flags,
    rate: int,
    watch: Watch,
    *,
    mask: int = NO_MASK,
    known: Table | None = None,
    stride: int = 1,
) -> Keys:
    """Return the words of `data` that the content itself selects, one in ``2**rate``.

    Parameters
    ----------
    data
        Bytes of one side.
    blocks
        Blocks of `BLOCK` bytes in which a word may start.
    rate
        0 takes every word.
    mask
        Bits of each word that count.
    known
        With it, only words that may be in this table (see `table`) are taken.
    stride
        Where every word is taken without a table: only those at a multiple of this, at most `WORD`.
    """
    n = data.size
    pick = kernel()
    if pick is not None:
        return _compiled(pick, data, blocks, rate, watch, mask, known, stride)
    hashes: list[Words] = []
    positions: list[Numbers] = []
    buffer = np.zeros(CHUNK // 8 + 3, np.uint64)
    shifted = np.zeros(CHUNK // 8 + 3, np.uint64)
    for at in range(0, n - WORD + 1, CHUNK):
        part = blocks[at // BLOCK : (at + CHUNK) // BLOCK]
        if not part.any():
            continue
        watch.check(at / n)
        size = min(CHUNK + 16, n - at)
        raw = buffer.view(np.uint8)
        raw[:size] = data[at : at + size]
        raw[size:] = 0
        if mask != NO_MASK:
            buffer &= np.uint64(mask)
        where = _selected(buffer, shifted, min(CHUNK, n - WORD + 1 - at), rate, known, stride)
        where = where[part[where >> 6]]
        value = _gather(buffer, where)
        if known is not None and rate:
            hit = known.hits(value * _HASH)
            where, value = where[hit], value[hit]
        if not where.size:
            continue
        plain = ~_low_complexity(value)
        hashes.append(value[plain] * _HASH)
        positions.append(where[plain] + at)
    if not hashes:
        return Keys(np.empty(0, np.uint64), np.empty(0, np.int64))
    return _whole(hashes, positions, watch)


def _compiled(
    pick: Kernel, data: Bytes, blocks: Flags, rate: int, watch: Watch, mask: int, known: Table | None, stride: int
) -> Keys:
    step = 1 << 20
    hashes, positions = np.empty(step, np.uint64), np.empty(step, np.int64)
    out: list[Keys] = []
    none = np.zeros(1, np.uint8)
    known = known if known is not None else Table(none, none, 0, packed=False)
    limit = np.uint64((1 << 32) - (1 << 32 - rate)) if rate else np.uint64(0)
    last = data.size - WORD + 1
    views = shifted(data)
    for at in range(0, last, step):
        watch.check(at / data.size)
        count = pick(
            *views,
            blocks,
            at,
            min(at + step, last),
            limit,
            stride,
            np.uint64(mask),
            known.first,
            known.second,
            known.bits,
            known.packed,
            hashes,
            positions,
        )
        out.append(Keys(hashes[:count].copy(), positions[:count].copy()))
    out.append(Keys(hashes[:0], positions[:0]))
    return _whole([k.hashes for k in out], [k.positions for k in out], watch)


def _whole(hashes: list[Words], positions: list[Numbers], watch: Watch) -> Keys:
    watch.pause()
    whole = np.concatenate(hashes)
    watch.pause()
    return Keys(whole, np.concatenate(positions))


def _selected(buffer: Words, shifted: Words, count: int, rate: int, known: Table | None, stride: int) -> Numbers:
    if known is None and rate == 0:
        return np.arange(0, count, stride)
    found: list[Numbers] = []
    raw = buffer.view(np.uint8)
    if known is not None and rate == 0:
        for phase in range(WORD):
            if phase:
                shifted[:-1].view(np.uint8)[:] = raw[phase : phase + shifted.nbytes - 8]
            view = buffer if phase == 0 else shifted
            found.append(known.hits(view * _HASH) * WORD + phase)
    else:
        # A quarter of the memory traffic of whole words: four bytes select, eight are the key. 00000000 and FFFFFFFF
        # are never selected, so fill costs nothing here.
        limit = np.uint32((1 << 32) - (1 << 32 - rate))
        for phase in range(4):
            if phase:
                shifted[:-1].view(np.uint8)[:] = raw[phase : phase + shifted.nbytes - 8]
            view = (buffer if phase == 0 else shifted).view(np.uint32)
            found.append(np.flatnonzero(view * _HASH32 >= limit) * 4 + phase)
    where = np.concatenate(found)
    return where[where < count]


def _gather(buffer: Words, where: Numbers) -> Words:
    index, bits = where >> 3, ((where & 7) << 3).astype(np.uint64)
    value: Words = (buffer[index] >> bits) | ((buffer[index + 1] << np.uint64(1)) << (np.uint64(63) - bits))
    return value


def _low_complexity(value: Words) -> Flags:
    """Tell the words of period 1, 2 or 4, and those with at least six bytes 00 or FF."""
    turned = (value << np.uint64(32)) | (value >> np.uint64(32))
    low: Flags = (value == turned) | (_zero_bytes(value) >= 6) | (_zero_bytes(~value) >= 6)
    return low


def _zero_bytes(value: Words) -> npt.NDArray[np.integer]:
    other = ~(((value & _LOW) + _LOW) | value | _LOW)
    return ((other >> np.uint64(7)) * np.uint64(0x0101010101010101) >> np.uint64(56)).astype(np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Which keys there are: two tables by different bits of the hash, each true where a key is.

    A flag is a byte, or a bit where that keeps a large table in the processor's cache (`packed`).
    """

    first: npt.NDArray[np.uint8]
    second: npt.NDArray[np.uint8]
    bits: int
    packed: bool

    def hits(self, hashes: Words) -> Numbers:
        """Return the indices of the hashes that may be there; about one stranger in hundreds passes."""
        hit = self._true(self.first, hashes >> np.uint64(64 - self.bits))
        return hit[self._true(self.second, _middle(hashes[hit], self.bits))]

    def _true(self, flags: npt.NDArray[np.uint8], index: Words) -> Numbers:
        i = index.view(np.int64)
        if not self.packed:
            return np.flatnonzero(flags.take(i))
        return np.flatnonzero((flags.take(i >> 3) >> (i.astype(np.uint8) & np.uint8(7))) & np.uint8(1))


def _middle(hashes: Words, bits: int) -> Words:
    return (hashes >> np.uint64(64 - 2 * bits)) & np.uint64((1 << bits) - 1)


def table(keys: Keys, watch: Watch) -> Table:
    """Return the table of some keys, with at least eight entries for each."""
    bits = min(max(int(keys.size).bit_length() + 4, 14), 25)
    first, second = (_flags(keys, bits, watch, middle=m) for m in (False, True))
    return Table(first, second, bits, bits > PACKED_FROM)


def _flags(keys: Keys, bits: int, watch: Watch, *, middle: bool) -> npt.NDArray[np.uint8]:
    flags = np.zeros(1 << bits, np.uint8)
    for at in range(0, keys.size, AT_ONCE):
        watch.pause()
        part = keys.hashes[at : at + AT_ONCE]
        flags[_middle(part, bits) if middle else part >> np.uint64(64 - bits)] = 1
    return np.packbits(flags, bitorder="little") if bits > PACKED_FROM else flags


def among(keys: Keys, known: Table, watch: Watch) -> Keys:
    """Return the keys that may be in the table `known`."""
    hits = [np.empty(0, np.int64)]
    for at in range(0, keys.size, AT_ONCE):
        watch.pause()
        hits.append(known.hits(keys.hashes[at : at + AT_ONCE]) + at)
    hit = np.concatenate(hits)
    return Keys(keys.hashes[hit], keys.positions[hit])


def join(reference: Keys, dump: Keys, size: int, watch: Watch, *, most: int = 16) -> Pairs:
    """Return the pairs of equal keys, found part by part where there are many.

    Parameters
    ----------
    reference, dump
        Keys of both sides.
    size
        Larger than every position.
    most
        Keys that occur more often in the reference, or make more than 256 pairs, are left out: a table
        that repeats a thousand times says nothing about where it belongs.
    """
    parts = max(reference.size + dump.size - 1, 0) // (4 * AT_ONCE)
    if not parts:
        return _join(reference, dump, size, most)
    bits = np.uint64(64 - parts.bit_length())
    pairs = []
    for number in range(1 << parts.bit_length()):
        r, d = (_part(keys, bits, number, watch) for keys in (reference, dump))
        pairs.append(_join(r, d, size, most))
    return Pairs(*(np.concatenate([getattr(p, name) for p in pairs]) for name in ("reference", "dump", "unique")))


def _part(keys: Keys, bits: np.uint64, number: int, watch: Watch) -> Keys:
    watch.pause()
    chosen = keys.hashes >> bits == number
    return Keys(keys.hashes[chosen], keys.positions[chosen])


def _join(reference: Keys, dump: Keys, size: int, most: int) -> Pairs:
    bits = max(size.bit_length(), 1)
    low = np.uint64((1 << bits + 1) - 1)
    packed = np.concatenate(
        [
            (reference.hashes & ~low) | (reference.positions.astype(np.uint64) << np.uint64(1)),
            (dump.hashes & ~low) | (dump.positions.astype(np.uint64) << np.uint64(1)) | np.uint64(1),
        ]
    )
    packed.sort()
    # Within a hash both sides are mixed by position; what follows needs no order among them.
    group = packed >> np.uint64(bits + 1)
    same = group[1:] == group[:-1]
    shared = np.zeros(packed.size, np.bool_)
    shared[1:] = same
    shared[:-1] |= same
    packed, group = packed[shared], group[shared]
    none = np.empty(0, np.int64)
    if not packed.size:
        return Pairs(none, none, np.empty(0, np.bool_))
    first = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]]))
    side = (packed & np.uint64(1)).astype(np.int64)
    of_dump = np.add.reduceat(side, first)
    of_reference = np.diff(np.append(first, packed.size)) - of_dump
    keep = (of_dump > 0) & (of_reference > 0) & (of_reference <= most) & (of_reference * of_dump <= 256)
    number = np.repeat(np.arange(first.size), of_dump + of_reference)
    chosen = keep[number]
    packed, side, number = packed[chosen], side[chosen], number[chosen]
    position = (packed & low).astype(np.int64) >> 1
    r, d = position[side == 0], position[side == 1]
    nr, nd = of_reference[keep], of_dump[keep]
    # All pairs of a group: each dump position meets the group's reference positions in turn.
    start = np.cumsum(nr) - nr
    times = np.repeat(nr, nd)
    dump_at = np.repeat(d, times)
    within = np.arange(dump_at.size) - np.repeat(np.cumsum(times) - times, times)
    reference_at = r[np.repeat(np.repeat(start, nd), times) + within]
    single = np.repeat(np.repeat(nr * nd == 1, nd), times)
    return Pairs(reference_at, dump_at, single)
