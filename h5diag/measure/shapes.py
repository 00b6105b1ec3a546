"""What a difference looks like: each differing byte is put down to the most telling shape that it belongs to.

A shape says what was seen (erased from one address on, bits that only rose, the same content again at an address
line), not what caused it. Shapes are tried from the most to the least telling; each takes the differing bytes that it
accounts for, and what none takes is the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from h5diag.chip import Chip
from h5diag.measure.compare import aligned
from h5diag.measure.copies import LEAST_REPEAT, every_second_row, second_copies
from h5diag.measure.drift import border_between, drift
from h5diag.measure.firmware.image import HeaderMagic
from h5diag.measure.firmware.trailer import ALIGNED_MAGIC_TAIL, CLASSIC_MAGIC
from h5diag.memory import AddressRange, Bytes, MemoryImage, merged

Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]

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
    pieces = [_Piece(start, g, s, chip) for start, g, s in aligned(reference, suspect, chip)]
    seen = sum(p.good.size for p in pieces)
    content = sum(int(np.count_nonzero(p.content)) for p in pieces)
    differing = sum(int(np.count_nonzero(p.left)) for p in pieces)
    shapes: list[Shape] = []
    for p in pieces:
        if p.left.any():
            shapes += _shapes(p, others, programs)
    return Difference(seen, content, differing, tuple(_joined(shapes)), *_rest(pieces))


class _Piece:
    """Equally long stretches of both sides; `left` marks the differing bytes that no shape took yet."""

    def __init__(self, start: int, good: Bytes, suspect: Bytes, chip: Chip) -> None:
        self.start, self.good, self.suspect, self.chip = start, good, suspect, chip
        self.erased = chip.flash.erased
        self.sector = chip.flash.sector_size
        self.unit = chip.flash.program_unit
        self.left: Flags = good != suspect
        self.content: Flags = good != self.erased

    def take(self, form: Form, flags: Flags, at: int | None = None, **more: int | str) -> Shape | None:
        """Return the shape of the flagged bytes that are left, and take them; None when there are none."""
        flags = flags & self.left
        places = np.flatnonzero(flags)
        if not places.size:
            return None
        bits = int(np.bitwise_count(self.good[places] ^ self.suspect[places]).sum(dtype=np.int64))
        self.left &= ~flags
        ranges = tuple(AddressRange(self.start + a, self.start + b) for a, b in runs(flags, 64))
        first = self.start + int(places[0])
        return Shape(form, ranges, int(places.size), bits, first if at is None else at, **more)  # type: ignore[arg-type]


def _shapes(p: _Piece, others: Sequence[Known], programs: Sequence[AddressRange]) -> Iterator[Shape]:
    steps: list[Callable[[], Iterable[Shape | None]]] = [
        lambda: _blank(p),
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
        if not p.left.any():
            return
        yield from (s for s in step() if s is not None)


def _blank(p: _Piece) -> Iterable[Shape | None]:
    if p.content.any() and (p.suspect == p.erased).all():
        yield p.take(Form.BLANK, p.left)


def _address_line(p: _Piece) -> Iterable[Shape | None]:
    """All that differs lies where one address bit is the same, and reads what stands at the other value of that bit."""
    places = np.flatnonzero(p.left)
    if places.size < LEAST_REPEAT // 2:
        return
    addresses = places + p.start
    for line in range(6, 24):
        bit = 1 << line
        upper = (addresses & bit) != 0
        share = float(upper.mean())
        if 0.01 < share < 0.99:
            continue
        wanted = upper == (share > 0.5)
        partner = places[wanted] + (-bit if share > 0.5 else bit)
        inside = (partner >= 0) & (partner < p.suspect.size)
        if inside.mean() < 0.9:
            continue
        same = p.suspect[places[wanted][inside]] == p.suspect[partner[inside]]
        moved = p.suspect[partner[inside]]
        if same.mean() < 0.98 or _values(moved) < 16:
            continue
        flags = np.zeros(p.left.size, np.bool_)
        flags[places[wanted][inside][same]] = True
        yield p.take(Form.ADDRESS_LINE, flags, step=bit)
        return


def _lanes(p: _Piece) -> Iterable[Shape | None]:
    """A constant in every second, fourth or eighth byte; one to eight bytes further on; words in another byte order."""
    span = np.flatnonzero(p.content & (p.good != 0))
    if span.size < 256:
        return
    a, b = int(span[0]), int(span[-1]) + 1
    good, suspect = p.good[a:b], p.suspect[a:b]
    if np.count_nonzero(p.left[a:b]) < 0.3 * good.size:
        return
    # Of smooth content, as pictures are, several may nearly fit: the best does.
    best, form, step, kept = ALIKE, Form.BYTE_SHIFT, 0, 0
    for shift in (1, 2, 3, 4, 5, 6, 7, 8, -1, -2, -3, -4, -5, -6, -7, -8):
        one, two = (good[:-shift], suspect[shift:]) if shift > 0 else (good[-shift:], suspect[:shift])
        if (share := (one == two).mean()) > best and _values(one) > 16:
            best, step = float(share), shift
    first = -(p.start + a) % 8
    words = good[first:].size // 8 * 8
    for word, part in ((2, 1), (4, 1), (4, 2), (8, 1)) if words else ():
        one = good[first : first + words].reshape(-1, word // part, part)[:, ::-1].reshape(-1)
        if (share := (one == suspect[first : first + words]).mean()) > best and _values(one) > 16:
            best, form, step, kept = float(share), Form.BYTE_ORDER, word, part
    if step:
        yield p.take(form, p.left, step=step, value=kept)
        return
    for lanes in (2, 4, 8):
        for lane in range(lanes):
            own = suspect[(lane - (p.start + a)) % lanes :: lanes]
            counts = np.bincount(own)
            if counts.max() < 0.98 * own.size:
                continue
            flags = np.zeros(p.left.size, np.bool_)
            flags[a:b][(lane - (p.start + a)) % lanes :: lanes] = True
            if np.count_nonzero(p.left[a:b] & ~flags[a:b]) <= 0.02 * good.size:
                yield p.take(Form.BYTE_LANE, flags, step=lanes, value=int(counts.argmax()))
                return


def _sectors(p: _Piece, flags: Flags) -> Iterator[tuple[int, int]]:
    """Yield the offsets of the sectors in which a byte is flagged."""
    places = (np.flatnonzero(flags) + p.start) // p.sector
    for sector in places[np.diff(places, prepend=-1) != 0].tolist():
        yield max(0, sector * p.sector - p.start), min(p.good.size, (sector + 1) * p.sector - p.start)


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
    flags = np.zeros(p.left.size, np.bool_)
    value = 0
    for zero, other in ((p.suspect, p.good), (p.good, p.suspect)):
        for a, b in runs(p.left & (zero == 0) & (other == p.erased), 1):
            edges = all(p.chip.canonical(p.start + x) % p.sector == 0 for x in (a, b))
            sides = [slice(max(0, a - p.unit), a), slice(b, b + p.unit)]
            right = all((p.good[x] == p.suspect[x]).all() and p.suspect[x].any() for x in sides)
            if b - a >= LEAST_ZEROS and not edges and right:
                flags[a:b] = True
                value = 0 if zero is p.good else p.erased
    yield p.take(Form.FILL, flags, value=value)


def _zeros(p: _Piece) -> Iterable[Shape | None]:
    flags = np.zeros(p.left.size, np.bool_)
    for a, b in runs(p.suspect == 0, 1, LEAST_ZEROS):
        if np.count_nonzero(p.left[a:b]) > (b - a) // 4:
            flags[a:b] = True
    yield p.take(Form.ZEROS, flags)


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
        flags = np.zeros(p.left.size, np.bool_)
        flags[stop:b] = True
        if np.count_nonzero(p.content[stop:b] & (p.good[stop:b] != 0)) >= least:
            yield p.take(Form.STOPPED if written.size else Form.NEVER_WRITTEN, flags, at=p.start + stop)


def _hole(p: _Piece) -> Iterable[Shape | None]:
    """Stretches of content that the suspect reads as erased, while most of the rest of the block is right."""
    for a, b in runs(p.content, BLOCK_GAP):
        flags = np.zeros(p.left.size, np.bool_)
        for c, d in runs(p.left[a:b] & (p.suspect[a:b] == p.erased), 16):
            good, here = p.good[a + c : a + d], p.suspect[a + c : a + d]
            flags[a + c : a + d] = d - c >= LEAST_HOLE and (here == p.erased).all() and (good != good[0]).any()
        other = ~flags[a:b]
        if flags.any() and other.any() and (p.good[a:b] == p.suspect[a:b])[other].mean() >= FOLLOWED:
            yield p.take(Form.HOLE, flags)


def _fill(p: _Piece) -> Iterable[Shape | None]:
    """Gaps that one side fills with 0x00 and the other with 0xFF (or one with another constant), between equal content."""
    flags = np.zeros(p.left.size, np.bool_)
    value = 0
    for a, b in runs(p.left, 1):
        good, suspect = p.good[a:b], p.suspect[a:b]
        constant = bool((good == good[0]).all() and (suspect == suspect[0]).all())
        if constant and 2 <= b - a <= LARGEST_FILL and {int(good[0]), int(suspect[0])} == {0, 0xFF}:
            near = np.concatenate((p.good[max(0, a - p.unit) : a], p.good[b : b + p.unit]))
            if ((near != 0) & (near != 0xFF)).any():
                flags[a:b] = True
                value = int(good[0])
    yield p.take(Form.FILL, flags, value=value)


def _build(p: _Piece) -> Iterable[Shape | None]:
    """The suspect's own program is made of the reference's pieces in their order, displaced by amounts that drift."""
    places = np.flatnonzero(p.left)
    if places.size < 1024:
        return
    blocks = runs(p.content | (p.suspect != p.erased), BLOCK_GAP)
    for a, b in blocks:
        if np.count_nonzero(p.left[a:b]) >= 1024 and (step := drift(p.good[a:b], p.suspect[a:b])):
            flags = np.zeros(p.left.size, np.bool_)
            flags[a:b] = True
            border = border_between(p.left[a:b], p.content[a:b], p.start + a, p.sector)
            # A program of its own may begin there, built anew.
            kept = border is not None and not _starts_program(p, a + border)
            yield p.take(Form.OTHER, flags) if kept else p.take(Form.BUILD, flags, step=step)


def _data(p: _Piece, programs: Sequence[AddressRange]) -> Iterable[Shape | None]:
    """Blocks of their own, small on both sides and outside of every program, that hold pages of data."""
    flags = np.zeros(p.left.size, np.bool_)
    for a, b in runs(p.content | (p.suspect != p.erased), BLOCK_GAP):
        here = AddressRange(p.chip.canonical(p.start + a), p.chip.canonical(p.start + a) + b - a)
        if (
            b - a <= LARGEST_DATA
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
    if p.chip.canonical(p.start + at) == p.chip.flash.base:
        return True
    for data in (p.good, p.suspect):
        if any(mark in data[at : at + 0x80].tobytes() for mark in _TRAILERS):
            return True
        words = np.frombuffer(data[at : at + 8].tobytes().ljust(8, b"\0"), "<u4")
        if words[0] == HeaderMagic.MCUBOOT.value or (
            int(words[0]) >> 24 in (0x20, 0x24, 0x30, 0x10) and int(words[1]) >> 24 in (8, 9, 0xC) and words[1] & 1
        ):
            return True
    return False


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
        mine = p.left[a:b]
        g, s = p.good[a:b][mine], p.suspect[a:b][mine]
        old = g != p.erased
        fallen = int(np.bitwise_count(g[old] & ~s[old]).sum(dtype=np.int64))
        units = np.count_nonzero(_unit_begins(p, np.flatnonzero(mine)[old] + a))
        if fallen >= 16 and not (s & ~g).any() and fallen > DENSE_BITS * units:
            flags[a:b] = mine
    yield p.take(Form.FELL, flags)


def _column(p: _Piece) -> Iterable[Shape | None]:
    """One bit of every flash word is constant in one place, whatever the reference has there, and follows it elsewhere."""
    places = np.flatnonzero(p.left)
    if places.size < LEAST_COLUMN:
        return
    changed = p.good[places] ^ p.suspect[places]
    mask = int(changed[0])
    if mask.bit_count() != 1 or (changed != mask).any():
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
    places = np.flatnonzero(p.left)
    if (p.suspect[places] == p.erased).all() and (step := every_second_row(places + p.start)):
        yield p.take(Form.COMB, p.left, step=step)


def _again(p: _Piece) -> Iterable[Shape | None]:
    """Short stretches of the program that hold what stands, in its right place, somewhere else in it."""
    for a, b, source in second_copies(p.good, p.suspect, [r for r in runs(p.left, 32) if p.content[slice(*r)].any()]):
        flags = np.zeros(p.left.size, np.bool_)
        flags[a:b] = True
        yield p.take(Form.AGAIN, flags, step=source - a)


def _lone(p: _Piece) -> Iterable[Shape | None]:
    """Single bits, one in a quad-word: those that rose, if nothing else is left, and those that do not agree on a way.

    Where all of many rose, two of them may share a quad-word.
    """
    places = np.flatnonzero(p.left)
    if places.size < LEAST_LONE:
        return
    changed = p.good[places] ^ p.suspect[places]
    risen = (p.suspect[places] & ~p.good[places]) == changed
    all_rose = bool(risen.mean() >= 0.98)
    index = np.cumsum(_unit_begins(p, places)) - 1
    most = 2 if all_rose and places.size >= LEAST_PAIRED else 1
    alone = (np.bincount(index)[index] <= most) & (np.bitwise_count(changed) == 1)
    # One word of rest beside hundreds of lone bits does not change what they are.
    if np.count_nonzero(alone) < max(LEAST_LONE, 0.9 * places.size):
        return
    flags = np.zeros(p.left.size, np.bool_)
    # A few quad-words lost more; they are no other shape.
    flags[places[risen if all_rose else alone]] = True
    yield p.take(Form.ROSE_ALONE if all_rose else Form.LONE, flags)


def _text(p: _Piece) -> Iterable[Shape | None]:
    """Short runs of printable characters on both sides: dates, versions, serial numbers."""
    flags = np.zeros(p.left.size, np.bool_)
    for a, b in runs(p.left, 16):
        lead, tail = max(0, a - 4), min(p.left.size, b + 4)
        both = np.stack((p.good[a:b], p.suspect[a:b]))
        near = p.good[lead:tail]
        if (
            b - a <= 64
            and bool(((both >= 0x20) & (both < 0x7F)).all())
            and np.count_nonzero((near >= 0x20) & (near < 0x7F)) >= 4
        ):
            flags[a:b] = True
    yield p.take(Form.TEXT, flags)


def _joined(shapes: Sequence[Shape]) -> Iterator[Shape]:
    """Join shapes of one form, step and name over the pieces."""
    groups: dict[tuple[Form, int, str], list[Shape]] = {}
    for s in shapes:
        groups.setdefault((s.form, s.step if s.form is not Form.BUILD else 0, s.name), []).append(s)
    for group in groups.values():
        first = group[0]
        if len(group) == 1 or first.form in (Form.STOPPED, Form.NEVER_WRITTEN):
            yield from group
            continue
        yield Shape(
            first.form,
            merged(r for s in group for r in s.ranges),
            sum(s.bytes for s in group),
            sum(s.bits for s in group),
            min(s.at for s in group),
            max(group, key=lambda s: s.bytes).step,
            first.value,
            first.name,
        )


def _rest(pieces: Sequence[_Piece]) -> tuple[tuple[AddressRange, ...], int, int]:
    ranges: list[AddressRange] = []
    risen = fallen = 0
    for p in pieces:
        if p.left.any():
            g, s = p.good[p.left], p.suspect[p.left]
            risen += int(np.bitwise_count(s & ~g).sum(dtype=np.int64))
            fallen += int(np.bitwise_count(g & ~s).sum(dtype=np.int64))
            ranges += [AddressRange(p.start + a, p.start + b) for a, b in runs(p.left, 64)]
    return merged(ranges), risen, fallen


# `numpy.unique` would sort, and load the masked arrays for it.
def _values(data: Bytes) -> int:
    """Count the different values of some bytes."""
    return int(np.count_nonzero(np.bincount(data)))


def _unit_begins(p: _Piece, places: Places) -> Flags:
    """Flag the offsets, which rise, that are the first in their program unit."""
    begins: Flags = np.diff((places + p.start) // p.unit, prepend=-1) != 0
    return begins


def runs(flags: Flags, gap: int, least: int = 1) -> list[tuple[int, int]]:
    """Return the flagged stretches of at least so many bytes, joined over gaps of at most `gap` bytes."""
    edges = np.flatnonzero(flags[1:] != flags[:-1]) + 1
    edges = np.concatenate([[0] * int(flags[:1].sum()), edges, [flags.size] * int(flags[-1:].sum())]).astype(np.int64)
    first, last = edges[::2], edges[1::2]
    apart = first[1:] - last[:-1] >= gap
    first, last = first[np.append(True, apart)[: first.size]], last[np.append(apart, True)[: last.size]]
    long = last - first >= least
    return list(zip(first[long].tolist(), last[long].tolist(), strict=True))
