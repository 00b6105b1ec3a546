"""What a difference looks like: each differing byte is put down to the most telling shape that it belongs to.

A shape says what was seen (erased from one address on, bits that only rose, the same content again at an address
line), not what caused it. Shapes are tried from the most to the least telling; each takes the differing bytes that it
accounts for, and what none takes is the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from h5diag.chip import Chip
from h5diag.measure.compare import aligned
from h5diag.measure.copies import at_other_line, every_second_row, second_copies
from h5diag.measure.drift import border_between, drift
from h5diag.measure.firmware.image import HeaderMagic
from h5diag.measure.firmware.trailer import ALIGNED_MAGIC_TAIL, CLASSIC_MAGIC
from h5diag.measure.stretches import (
    Flags,
    Places,
    bits_in,
    commonest,
    constant,
    counts,
    every,
    flagged,
    marked,
    runs,
    sector_begins,
    share_of,
    some,
    stretches,
    tells,
    values,
)
from h5diag.memory import AddressRange, Bytes, MemoryImage, merged

BLOCK_GAP = 0x1000
"""Erased bytes that part one piece of content from the next; linkers leave smaller gaps inside a program."""
LEAST_LONE, LEAST_PAIRED = 3, 12
"""Fewer lone bits are no pattern; so many that all rose are one even where two share a quad-word: 1 in 4096 by chance."""
LEAST_COLUMN = 12
"""So many words have to hold the constant bit against the reference: by chance once in 4096 programs."""
FOLLOWED = 0.9
"""So much of what was written has to be the reference's for the rest to be missing."""
ALIKE = 0.95
"""So much has to be equal for content to stand further on, or in another order."""
LEAST_TAIL = 8
"""Fewer bytes at the end of a file may be its fill."""
LEAST_HOLE = 64
"""Shorter stretches may be gaps that a linker left."""
LEAST_ZEROS = 256
"""Shorter runs of zeros are tables, chunks that a probe lost, or fill."""
DENSE_BITS = 2.5
"""Old content under new drops about a quarter of all bits; a lone cell drops one a quad-word."""
_TRAILERS = (CLASSIC_MAGIC[:8], ALIGNED_MAGIC_TAIL[:8])
"""Magic words at the end of a slot (MCUboot, both alignments): a trailer belongs to a program."""
LARGEST_FILL = 0x1000
DATA_SHARE = 0.03
SMALL_PAGE = 256
LARGEST_DATA = 0x10000
"""Settings and logs are pages, not programs."""
PART = 8 << 20
"""Bytes that are looked at together: twice the largest internal flash. What is larger is looked at part by part."""
LOOKED_AT, EXPLAINED = 16 << 20, 0.9
"""Differing bytes in which shapes are looked for at least; and of a part the share that has to be of a shape of the
whole for the parts behind it to be looked at as well: what that many bytes do not tell, the next ones do not either."""
NEAR, COARSE, COARSEST = 64, 0x400, 0x1000
"""Bytes between two places up to which they are one range: as a rule, in a part of many, and where none was looked for."""


class Form(Enum):
    """What differing bytes look like."""

    BLANK = "everything is erased"
    ADDRESS_LINE = "content repeats at an address line"
    BYTE_SHIFT = "everything stands some bytes further on"
    BYTE_ORDER = "the bytes of every word stand in another order"
    BYTE_LANE = "every so many bytes a constant"
    OTHER = "sectors hold another known content"
    ZEROS = "long stretches read zero"
    STOPPED = "erased from one address to the end"
    NEVER_WRITTEN = "a whole piece is erased"
    HOLE = "erased inside, with the rest right"
    FILL = "a gap is filled with another value"
    BUILD = "the same pieces in the same order, displaced by amounts that drift"
    FELL = "bits only fell, densely"
    COLUMN = "one bit of every flash word in a place is constant"
    COMB = "every other stretch of one size reads erased"
    AGAIN = "what stands in its place elsewhere stands here as well"
    ROSE_ALONE = "lone bits rose"
    LONE = "lone bits differ"
    DATA = "pages outside of the program"
    TEXT = "short texts differ"


_STOPS = (Form.STOPPED, Form.NEVER_WRITTEN)
_WIDE = tuple(Form)[: tuple(Form).index(Form.HOLE)]  # what befalls a memory as a whole stands first


@dataclass(frozen=True, slots=True)
class Shape:
    """Differing bytes of one form.

    Parameters
    ----------
    form
        What they look like.
    ranges
        Where, in the suspect's view, sorted and disjoint.
    bytes, bits
        How many bytes and bits differ there.
    at
        The address that tells: where it stops, begins, or the first of them.
    step
        The displacement, the address line's weight, the shift, the number of lanes, or the bytes of a word.
    value
        The constant that a lane reads, the value of a fill in the reference, the bytes that keep their order, or the
        number of a constant bit in its word.
    name
        Name of the other known content; empty for another build that is not in the case.
    """

    form: Form
    ranges: tuple[AddressRange, ...]
    bytes: int
    bits: int
    at: int
    step: int = 0
    value: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """How a suspect differs from one reference.

    `seen` bytes were compared, `content` of them are content in the reference, `differing` are not equal. `rest` are
    the ranges that no shape takes, with their numbers of differing bytes and of risen and fallen bits.
    """

    seen: int = 0
    content: int = 0
    differing: int = 0
    shapes: tuple[Shape, ...] = ()
    rest: tuple[AddressRange, ...] = ()
    rest_risen: int = 0
    rest_fallen: int = 0

    @property
    def ranges(self) -> tuple[AddressRange, ...]:
        """Everything that differs."""
        return merged((*self.rest, *(r for s in self.shapes for r in s.ranges)))

    def of(self, *forms: Form) -> tuple[Shape, ...]:
        """Return the shapes of these forms."""
        return tuple(s for s in self.shapes if s.form in forms)


@dataclass(frozen=True, slots=True)
class Known:
    """Another content that is known to have stood there, with its name."""

    name: str
    image: MemoryImage


def difference(
    reference: MemoryImage,
    suspect: MemoryImage,
    chip: Chip,
    *,
    others: Sequence[Known] = (),
    programs: Sequence[AddressRange] = (),
) -> Difference:
    """Return how `suspect` differs from `reference`, in shapes.

    Parameters
    ----------
    reference, suspect
        A good board's dump or a known image, and the dump in question.
    chip
        Gives sectors, program unit, aliases and the erased value.
    others
        Other contents that are known, older programs above all.
    programs
        Canonical ranges that are known to hold programs: they are never taken for data of the board.
    """
    seen = content = differing = looked = 0
    shapes: list[Shape] = []
    rest: list[tuple[tuple[AddressRange, ...], int, int]] = []
    for start, g, s in aligned(reference, suspect, chip):
        explained, blank = True, not any((s[k : k + PART] != chip.flash.erased).any() for k in range(0, s.size, PART))
        for at in range(-(start % chip.flash.sector_size) if g.size > PART else 0, g.size, PART):
            here = slice(max(at, 0), at + PART)
            p = _Piece(start + here.start, g[here], s[here], chip, NEAR if g.size <= PART else COARSE)
            count, seen = int(np.count_nonzero(p.left)), seen + p.good.size
            content, differing = content + int(np.count_nonzero(p.content)), differing + count
            if count and (explained or looked < LOOKED_AT):
                whole = (
                    [p.take(Form.BLANK, p.left)] if blank else []
                )  # the suspect is erased, and not only in this part
                found = [x for x in whole or _shapes(p, others, programs) if x]
                shapes = _continued(shapes, found) if here.start else shapes + found
                explained, looked = sum(x.bytes for x in found if x.form in _WIDE) >= EXPLAINED * count, looked + count
            elif count:
                p.gap = COARSEST
            rest.append(_rest(p))
    ranges, risen, fallen = zip(*rest, strict=True) if rest else ((), (), ())
    left = merged(r for part in ranges for r in part)
    return Difference(seen, content, differing, tuple(_joined(shapes)), left, sum(risen), sum(fallen))


def _continued(before: list[Shape], found: list[Shape]) -> list[Shape]:
    """Return the shapes of a part behind those before it; a stop goes on in what was never written right behind it."""
    n = max((n for n, s in enumerate(before) if s.form in _STOPS), default=-1)
    k = next((k for k, s in enumerate(found) if s.form is Form.NEVER_WRITTEN), -1)
    if min(n, k) < 0 or found[k].ranges[0].start - before[n].ranges[-1].stop >= BLOCK_GAP:
        return before + found
    old, new = before[n], found[k]
    one = replace(old, ranges=old.ranges + new.ranges, bytes=old.bytes + new.bytes, bits=old.bits + new.bits)
    return [*before[:n], one, *before[n + 1 :], *found[:k], *found[k + 1 :]]


class _Piece:
    """Equally long stretches of both sides; `left` marks the differing bytes that no shape took yet."""

    def __init__(self, start: int, good: Bytes, suspect: Bytes, chip: Chip, gap: int) -> None:
        self.start, self.good, self.suspect, self.chip, self.gap = start, good, suspect, chip, gap
        self.erased = chip.flash.erased
        self.sector = chip.flash.sector_size
        self.unit = chip.flash.program_unit
        self.left: Flags = good != suspect
        self.content: Flags = good != self.erased

    def take(self, form: Form, flags: Flags, at: int | None = None, begin: int = 0, **more: int | str) -> Shape | None:
        """Return the shape of the flagged bytes that are left, and take them; None when there are none.

        The flags are of the bytes from offset `begin` on.
        """
        here = slice(begin, begin + flags.size)
        flags = flags & self.left[here]
        if not flags.any():
            return None
        count, bits = int(np.count_nonzero(flags)), bits_in((self.good[here] ^ self.suspect[here])[flags])
        self.left[here] &= ~flags
        start = self.start + begin
        ranges = tuple(AddressRange(start + a, start + b) for a, b in runs(flags, self.gap))
        return Shape(form, ranges, count, bits, start + int(flags.argmax()) if at is None else at, **more)  # type: ignore[arg-type]


def _shapes(p: _Piece, others: Sequence[Known], programs: Sequence[AddressRange]) -> Iterator[Shape]:
    steps: list[Callable[[], Iterable[Shape | None]]] = [
        lambda: _address_line(p),
        lambda: _lanes(p),
        lambda: _comb(p),
        lambda: _other(p, others),
        lambda: _gap(p),
        lambda: _zeros(p),
        lambda: _stopped(p),
        lambda: _hole(p),
        lambda: _fill(p),
        lambda: _column(p),
        lambda: _build(p),
        lambda: _fell(p),
        lambda: _data(p, programs),
        lambda: _again(p),
        lambda: _lone(p),
        lambda: _text(p),
    ]
    for step in steps:
        yield from (s for s in (step() if p.left.any() else ()) if s is not None)


def _address_line(p: _Piece) -> Iterable[Shape | None]:
    """All that differs lies where one address bit is the same, and reads what stands at the other value of that bit."""
    bit, places = at_other_line(p.suspect, np.flatnonzero(p.left), p.start)
    if bit:
        yield p.take(Form.ADDRESS_LINE, flagged(places, p.left.size), step=bit)


def _lanes(p: _Piece) -> Iterable[Shape | None]:
    """A constant in every second, fourth or eighth byte; one to eight bytes further on; words in another byte order."""
    telling = p.content & (p.good != 0)
    a, b = int(telling.argmax()), telling.size - int(telling[::-1].argmax())
    good, suspect = p.good[a:b], p.suspect[a:b]
    if np.count_nonzero(telling) < 256 or np.count_nonzero(p.left[a:b]) < 0.3 * good.size:
        return
    # Of smooth content, as pictures are, several may nearly fit: the best does.
    best, form, step, kept = ALIKE, Form.BYTE_SHIFT, 0, 0
    for shift in (1, 2, 3, 4, 5, 6, 7, 8, -1, -2, -3, -4, -5, -6, -7, -8):
        one, two = (good[:-shift], suspect[shift:]) if shift > 0 else (good[-shift:], suspect[:shift])
        if (share := share_of(one, two, ALIKE)) > best and values(one) > 16:
            best, step = share, shift
    first = -(p.start + a) % 8
    words = good[first:].size // 8 * 8
    for word, part in ((2, 1), (4, 1), (4, 2), (8, 1)) if words else ():
        one = good[first : first + words].reshape(-1, word // part, part)[:, ::-1].reshape(-1)
        if (share := share_of(one, suspect[first : first + words], ALIKE)) > best and values(one) > 16:
            best, form, step, kept = share, Form.BYTE_ORDER, word, part
    if step:
        yield p.take(form, p.left, step=step, value=kept)
        return
    for lanes, lane in ((count, lane) for count in (2, 4, 8) for lane in range(count)):
        own = slice((lane - (p.start + a)) % lanes, None, lanes)
        value, share = commonest(suspect[own], 0.98)
        flags = np.zeros(good.size, np.bool_)
        flags[own] = True
        if share >= 0.98 and np.count_nonzero(p.left[a:b] & ~flags) <= 0.02 * good.size:
            yield p.take(Form.BYTE_LANE, flags, begin=a, step=lanes, value=value)
            return


def _sectors(p: _Piece, flags: Flags) -> Iterator[tuple[int, int]]:
    """Yield the offsets of the sectors in which a byte is flagged."""
    first = sector_begins(p.start, flags.size, p.sector)
    found = np.flatnonzero(np.logical_or.reduceat(flags, first))
    yield from zip(first[found].tolist(), np.append(first[1:], flags.size)[found].tolist(), strict=True)


def _other(p: _Piece, others: Sequence[Known]) -> Iterable[Shape | None]:
    """Whole sectors that hold exactly what another known content has there."""
    for other in others:
        flags = np.zeros(p.left.size, np.bool_)
        for a, b in _sectors(p, p.left):
            data, known = other.image.read_filled(p.start + a, p.start + b, p.erased)
            if a and flags[a - 1] and p.start + a >= other.image.span.stop:
                known |= True  # behind the end of what was kept nothing was
            telling = known & (p.good[a:b] != data)
            if (
                np.count_nonzero(telling) >= 32
                and np.count_nonzero(p.suspect[a:b][known] == data[known]) >= 0.995 * np.count_nonzero(known)
                and (p.suspect[a:b][telling] == data[telling]).mean() > 0.99
            ):
                flags[a:b] = True
        yield p.take(Form.OTHER, flags, name=other.name)


def _gap(p: _Piece) -> Iterable[Shape | None]:
    """Whole gaps between two pieces of content, 0x00 on one side and erased on the other, as tools fill them.

    A mask begins and ends where a sector does, so what does is none of these.
    """
    flags, value = np.zeros(p.left.size, np.bool_), 0
    for zero, other in ((p.suspect, p.good), (p.good, p.suspect)):
        for a, b in runs(p.left & (zero == 0) & (other == p.erased), 1, LEAST_ZEROS):
            edges = all(p.chip.canonical(p.start + x) % p.sector == 0 for x in (a, b))
            sides = [slice(max(0, a - p.unit), a), slice(b, b + p.unit)]
            right = all((p.good[x] == p.suspect[x]).all() and p.suspect[x].any() for x in sides)
            if not edges and right:
                flags[a:b] = True
                value = 0 if zero is p.good else p.erased
    yield p.take(Form.FILL, flags, value=value)


def _zeros(p: _Piece) -> Iterable[Shape | None]:
    found = stretches(p.suspect == 0, 1, LEAST_ZEROS)
    a, b = found.T
    yield p.take(Form.ZEROS, marked(found[counts(p.left, a, b) > (b - a) // 4], p.left.size))


def _stopped(p: _Piece) -> Iterable[Shape | None]:
    """In a block of content the suspect is erased from one address to the block's end, or throughout."""
    for a, b in runs(p.content, BLOCK_GAP):
        missing = p.content[a:b] & (p.suspect[a:b] == p.erased)
        # At the very end of a file a few bytes are its last ones; a page of data may have one record less.
        least = LEAST_TAIL if b == p.good.size and b - a > SMALL_PAGE else 2 * p.unit
        if np.count_nonzero(missing) < least:
            continue
        written = np.flatnonzero(p.suspect[a:b] != p.erased)
        stop = a + (int(written[-1]) + 1 if written.size else 0)
        if stop > a and (p.good[a:stop] == p.suspect[a:stop]).mean() < FOLLOWED:
            continue  # what stands there is another content, and its end is no stop
        # Zeros at a file's end may be its fill, and two bytes of content behind them are none.
        if np.count_nonzero(p.content[stop:b] & (p.good[stop:b] != 0)) >= (2 if least == LEAST_TAIL else least):
            form = Form.STOPPED if written.size else Form.NEVER_WRITTEN
            yield p.take(form, p.left[stop:b], at=p.start + stop, begin=stop)


def _hole(p: _Piece) -> Iterable[Shape | None]:
    """Stretches of content that the suspect reads as erased, while most of the rest of the block is right."""
    for a, b in runs(p.content, BLOCK_GAP):
        erased = p.suspect[a:b] == p.erased
        found = stretches(p.left[a:b] & erased, 16, LEAST_HOLE)
        flags = marked(found[every(erased, found) & ~constant(p.good[a:b], found)], b - a)
        if (
            len(found)
            and flags.any()
            and not flags.all()
            and (p.good[a:b] == p.suspect[a:b])[~flags].mean() >= FOLLOWED
        ):
            yield p.take(Form.HOLE, flags, begin=a)


def _fill(p: _Piece) -> Iterable[Shape | None]:
    """Gaps that one side fills with 0x00 and the other with 0xFF (or one with another constant), between equal content."""
    found = stretches(p.left, 1, 2)
    found = found[found[:, 1] - found[:, 0] <= LARGEST_FILL]
    first, other = p.good[found[:, 0]], p.suspect[found[:, 0]]
    found = found[((first == 0) & (other == 0xFF)) | ((first == 0xFF) & (other == 0))]
    found = found[constant(p.good, found) & constant(p.suspect, found)]
    told, (a, b) = tells(p.good), found.T
    found = found[counts(told, a - p.unit, a) + counts(told, b, b + p.unit) > 0]
    yield p.take(Form.FILL, marked(found, p.left.size), value=int(p.good[found[-1, 0]]) if len(found) else 0)


def _build(p: _Piece) -> Iterable[Shape | None]:
    """The suspect's own program is made of the reference's pieces in their order, displaced by amounts that drift."""
    for a, b in runs(p.content | (p.suspect != p.erased), BLOCK_GAP):
        if np.count_nonzero(p.left[a:b]) >= 1024 and (step := drift(p.good[a:b], p.suspect[a:b])):
            border = border_between(p.left[a:b], p.content[a:b], p.start + a, p.sector)
            # A program of its own may begin there, built anew.
            kept = border is not None and not _starts_program(p, a + border)
            flags = p.left[a:b]
            yield p.take(Form.OTHER, flags, begin=a) if kept else p.take(Form.BUILD, flags, begin=a, step=step)


def _data(p: _Piece, programs: Sequence[AddressRange]) -> Iterable[Shape | None]:
    """Blocks of their own, small on both sides and outside of every program, that hold pages of data."""
    flags = np.zeros(p.left.size, np.bool_)
    for a, b in runs(p.content | (p.suspect != p.erased), BLOCK_GAP):
        here = AddressRange(p.chip.canonical(p.start + a), p.chip.canonical(p.start + a) + b - a)
        if (
            b - a <= LARGEST_DATA
            and (p.gap == NEAR or 0 < a < b < p.left.size)  # else it may go on in the next part
            and p.left[a:b].any()
            and not any(here.overlaps(r) for r in programs)
            and not _starts_program(p, a)
            and not _lone_only(p, a, b)
            and _like_data(p, a, b)
        ):
            flags[a:b] = True
    yield p.take(Form.DATA, flags)


def _starts_program(p: _Piece, at: int) -> bool:
    """Tell whether a boot-loader image or a vector table begins there, on either side, or the flash itself does."""
    for head in (data[at : at + 0x80].tobytes() for data in (p.good, p.suspect)):
        stack, reset = (int.from_bytes(head[i : i + 4], "little") for i in (0, 4))
        table = stack >> 24 in (0x20, 0x24, 0x30, 0x10) and reset >> 24 in (8, 9, 0xC) and reset & 1
        if stack == HeaderMagic.MCUBOOT.value or table or any(mark in head for mark in _TRAILERS):
            return True
    return p.chip.canonical(p.start + at) == p.chip.flash.base


def _like_data(p: _Piece, a: int, b: int) -> bool:
    """Tell whether a good part of the block differs: a few wrong bytes in a table are no data of the board."""
    places = np.flatnonzero(p.left[a:b])
    content = np.count_nonzero(p.content[a:b] | (p.suspect[a:b] != p.erased))
    units = np.count_nonzero(_unit_begins(p, places + a))
    return bool(places.size >= DATA_SHARE * content and (units > 1 or content <= SMALL_PAGE))


def _lone_only(p: _Piece, a: int, b: int) -> bool:
    """Tell whether all that differs there are single bits in quad-words of their own."""
    places = np.flatnonzero(p.left[a:b]) + a
    bits = np.bitwise_count(p.good[places] ^ p.suspect[places])
    return bool((bits == 1).all() and _unit_begins(p, places).all())


def _fell(p: _Piece) -> Iterable[Shape | None]:
    """Sectors in which bits only fell, many to a quad-word, where the reference has content."""
    flags = np.zeros(p.left.size, np.bool_)
    for a, b in _sectors(p, p.left):
        places = np.flatnonzero(p.left[a:b]) + a
        g, s = p.good[places], p.suspect[places]
        old = g != p.erased
        fallen, units = bits_in(g[old] & ~s[old]), np.count_nonzero(_unit_begins(p, places[old]))
        if fallen >= 16 and not (s & ~g).any() and fallen > DENSE_BITS * units:
            flags[places] = True
    yield p.take(Form.FELL, flags)


def _column(p: _Piece) -> Iterable[Shape | None]:
    """One bit of every flash word is constant in one place, whatever the reference has there, and follows it elsewhere."""
    places = np.flatnonzero(p.left)
    changed = p.good[places] ^ p.suspect[places]
    mask = int(changed[0])
    if places.size < LEAST_COLUMN or mask.bit_count() != 1 or (changed != mask).any():
        return
    width = next((w for w in (16, 8, 4) if ((places - places[0]) % w == 0).all()), 0)
    value = int(p.suspect[places[0]]) & mask
    if not width or ((p.suspect[places] & mask) != value).any():
        return
    same = slice(int(places[0]) % width, None, width)
    against = np.flatnonzero((p.good[same] & mask) != value)  # words in which the constant bit would be wrong
    inside = (against * width + same.start >= places[0]) & (against * width + same.start <= places[-1])
    if places.size >= 0.95 * np.count_nonzero(inside) and np.count_nonzero(~inside) >= LEAST_COLUMN:
        lane = 8 * ((p.start + int(places[0])) % width) + mask.bit_length() - 1
        yield p.take(Form.COLUMN, p.left, step=width, value=lane)


def _comb(p: _Piece) -> Iterable[Shape | None]:
    """All that differs reads erased, wherever one low address bit has one value; at the other value all is right."""
    erased = not (p.left & (p.suspect != p.erased)).any()
    if erased and (step := every_second_row(np.flatnonzero(p.left) + p.start)):
        yield p.take(Form.COMB, p.left, step=step)


def _again(p: _Piece) -> Iterable[Shape | None]:
    """Short stretches of the program that hold what stands, in its right place, somewhere else in it."""
    found = stretches(p.left, 32)
    for a, b, source in second_copies(p.good, p.suspect, found[some(p.content, found)].tolist()):
        yield p.take(Form.AGAIN, p.left[a:b], begin=a, step=source - a)


def _lone(p: _Piece) -> Iterable[Shape | None]:
    """Single bits, one in a quad-word: those that rose, if nothing else is left, and those that do not agree on a way.

    Where all of many rose, two of them may share a quad-word.
    """
    if not LEAST_LONE <= np.count_nonzero(p.left) <= 3 * p.left.size // p.unit + LEAST_PAIRED:
        return  # two of a unit at most are alone, and have to be most
    places = np.flatnonzero(p.left)
    changed = p.good[places] ^ p.suspect[places]
    risen = (p.suspect[places] & ~p.good[places]) == changed
    all_rose = bool(risen.mean() >= 0.98)
    index = np.cumsum(_unit_begins(p, places)) - 1
    most = 2 if all_rose and places.size >= LEAST_PAIRED else 1
    alone = (np.bincount(index)[index] <= most) & (np.bitwise_count(changed) == 1)
    # One word of rest beside hundreds of lone bits does not change what they are.
    if np.count_nonzero(alone) < max(LEAST_LONE, 0.9 * places.size):
        return
    # A few quad-words lost more; they are no other shape.
    flags = flagged(places[risen if all_rose else alone], p.left.size)
    yield p.take(Form.ROSE_ALONE if all_rose else Form.LONE, flags)


def _text(p: _Piece) -> Iterable[Shape | None]:
    """Short runs of printable characters on both sides: dates, versions, serial numbers."""
    found = stretches(p.left, 16)
    found = found[found[:, 1] - found[:, 0] <= 64]
    good, suspect = ((x >= 0x20) & (x < 0x7F) for x in (p.good, p.suspect))
    found = found[every(good & suspect, found)]
    a, b = found.T
    yield p.take(Form.TEXT, marked(found[counts(good, a - 4, b + 4) >= 4], p.left.size))


def _joined(shapes: Sequence[Shape]) -> Iterator[Shape]:
    """Join shapes of one form, step and name over the pieces."""
    groups: dict[tuple[Form, int, str], list[Shape]] = {}
    for s in shapes:
        groups.setdefault((s.form, s.step if s.form is not Form.BUILD else 0, s.name), []).append(s)
    for group in groups.values():
        if len(group) == 1 or group[0].form in _STOPS:
            yield from group
        else:
            yield replace(
                group[0],
                ranges=merged(r for s in group for r in s.ranges),
                bytes=sum(s.bytes for s in group),
                bits=sum(s.bits for s in group),
                at=min(s.at for s in group),
                step=max(group, key=lambda s: s.bytes).step,
            )


def _rest(p: _Piece) -> tuple[tuple[AddressRange, ...], int, int]:
    """Return what no shape took, with its risen and fallen bits."""
    g, s = p.good[p.left], p.suspect[p.left]
    ranges = tuple(AddressRange(p.start + a, p.start + b) for a, b in runs(p.left, p.gap))
    return ranges, bits_in(s & ~g), bits_in(g & ~s)


def _unit_begins(p: _Piece, places: Places) -> Flags:
    """Flag the offsets, which rise, that are the first in their program unit."""
    begins: Flags = np.diff((places + p.start) // p.unit, prepend=-1) != 0
    return begins
