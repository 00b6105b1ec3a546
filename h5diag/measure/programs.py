"""Where a given program stands in a dump, and where its vector table says that it was linked to stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import numpy.typing as npt

from h5diag.chip import Chip
from h5diag.evidence.files import BOOT_ALIAS
from h5diag.measure.copies import agreeing
from h5diag.measure.firmware.image import HeaderMagic
from h5diag.measure.stretches import content_bytes, occurrences
from h5diag.memory import AddressRange, Bytes, MemoryImage, common

PROBE = 32
"""Bytes that are searched for before a place is looked at in full."""
WHOLE = 0.9
"""A program stands somewhere when so much of its content is there; the rest may be damaged."""
PARTLY = 0.25
"""So much of it has to stand at one of the addresses that its vectors allow, for the rest to be damaged or not written."""
SLOT_STEP = 0x400
"""Slots begin where a page does; the smallest pages have so many bytes."""
LEAST_POINTERS, MARGIN, FITTING = 8, 3, 0.2
"""Pointers that fit the likely link address; how many times those of the next one; share from which all is in order."""
LINK_STEP = 0x100
"""Programs begin at multiples of this: vector tables of more than 32 entries need it."""
HEADERS = (0x20, 0x80, 0x100, 0x200, 0x400, 0x800, 0x1000)
"""Sizes of boot-loader headers; an image that stands so far below its link address lacks one."""
EXTERNAL = 0x6000_0000
"""Where external memories begin to be mapped."""
RAM = (0x20, 0x24, 0x30, 0x34)
"""Leading bytes of the addresses at which programs run from memory that is lost without power."""
MOST_PLACES = 8


@dataclass(frozen=True, slots=True)
class Program:
    """A program against a dump.

    Parameters
    ----------
    image
        At the address at which it is held against the dump.
    stands
        Addresses in the dump's view at which it stands whole or nearly so.
    linked
        The canonical addresses at which its vectors lie inside of it; None without a vector table.
    secure
        Whether its vectors name the secure alias; None without a vector table, or where there is only one alias.
    """

    image: MemoryImage
    stands: tuple[int, ...] = ()
    linked: AddressRange | None = None
    secure: bool | None = None

    @property
    def roundest(self) -> int:
        """The address among those at which it can be linked with the most zeros at its end; 0 without any."""
        if self.linked is None:
            return 0
        steps = (1 << bit for bit in range(self.linked.stop.bit_length(), 7, -1))
        return next((at for s in steps if (at := -(-self.linked.start // s) * s) in self.linked), self.linked.start)

    def header_missing_at(self, place: int) -> int:
        """Return the header's size when it is linked just one header behind `place`; 0 when it is not."""
        if self.linked is None or place in self.linked:
            return 0
        return next((h for h in HEADERS if place + h in self.linked), 0)


def place_program(image: MemoryImage, dump: MemoryImage, chip: Chip) -> Program:
    """Return where a program stands, where it was linked, and at which address to hold it against the dump.

    An address that the file or the case gives is kept. One that nobody gave is taken from the dump, if the program
    stands there, else from its vectors, else it stays the assumption that it was.
    """
    linked, secure = linked_at(image, chip)
    shares = _shares(image, dump)
    # Of a signed image its header stands first, and no vectors tell.
    header = HeaderMagic.MCUBOOT.value.to_bytes(4, "little")
    signed = any(s.data[:4].tobytes() == header for s in image.segments[:1])
    stands = tuple(p for p, share in shares.items() if share >= WHOLE)
    start = image.span.start
    if image.segments and not image.origin.base_assumed and start < BOOT_ALIAS and start + chip.flash.base in stands:
        # The flash is mapped at 0 as well while a chip starts from it, and old projects are linked there.
        return Program(image.shifted(chip.flash.base), stands, linked, secure)
    if not image.origin.base_assumed or not image.segments:
        return Program(image, stands, linked, secure)
    place = start
    if stands:
        place = next((p for p in stands if linked is not None and chip.canonical(p) in linked), stands[0])
    elif partly := [
        p
        for p in shares
        if shares[p] >= PARTLY
        and (p % LINK_STEP == 0 and chip.canonical(p) in linked if linked else signed and p % SLOT_STEP == 0)
    ]:
        place = max(partly, key=shares.__getitem__)
    elif dump.span.start >= EXTERNAL:
        # Read out of a memory of its own: what else would the begin of the file belong to?
        place = dump.span.start
    elif linked is not None and chip.canonical(start) not in linked:
        place = linked.stop - 1
    return Program(image.shifted(place - start), stands, linked, secure)


def beside(programs: Sequence[Program], chip: Chip) -> list[Program]:
    """Put each program whose address nobody gave, and that stands nowhere, where another one of the same link stands.

    They are two versions of one program; the first place that fits is taken.
    """
    places = [p.image.span.start for p in programs if p.linked and p.image.span.start != chip.flash.base]
    out = []
    for p in programs:
        start = p.image.span.start
        free = p.image.origin.base_assumed and p.linked is not None and not p.stands
        fits = [at for at in places if free and p.linked and chip.canonical(at) in p.linked]
        moved = bool(fits) and start not in fits and start == chip.flash.base
        out.append(replace(p, image=p.image.shifted(fits[0] - start)) if moved else p)
    return out


def linked_at(image: MemoryImage, chip: Chip) -> tuple[AddressRange | None, bool | None]:
    """Return the canonical addresses at which all vectors of the image lie in it, and whether they name the secure alias.

    (None, None) without a vector table at its beginning.
    """
    if not image.segments:
        return None, None
    first = image.segments[0].data
    words = np.frombuffer(first[: min(first.size // 4 * 4, 0x400)].tobytes(), "<u4").astype(np.int64)
    if words.size < 16 or words[0] % 8 or words[0] >> 24 not in (0x10, 0x38, *RAM) or not words[1] & 1:
        return None, None
    handlers = []
    # A program that runs from RAM has its handlers there; of one in flash a handler in RAM says nothing.
    memory = RAM if words[1] >> 24 in RAM else (0x08, 0x09, 0x0C, 0x0D, 0x90, 0x70)
    for word in (w for w in words[1:].tolist() if w not in (0, 0xFFFFFFFF)):
        if not word & 1 or word >> 24 not in memory:
            break
        handlers.append(word & ~1)
    if len(handlers) < 3:
        return None, None
    secure = chip.canonical(handlers[0]) != handlers[0] if chip.flash.alias else None
    # Vectors of the core come first and are always the program's own; a few later ones may name other code.
    core = [chip.canonical(h) for h in handlers[:12]]
    lowest = max(0, -(-(max(core) + 1 - image.span.size) // LINK_STEP) * LINK_STEP)
    highest = min(core) // LINK_STEP * LINK_STEP
    return (AddressRange(lowest, highest + 1) if lowest <= highest else None), secure


def blank_header(image: MemoryImage, chip: Chip) -> int:
    """Return the size of the room for a boot loader's header that an image begins with and nothing is in; 0 without it."""
    data, start = next((s.data for s in image.segments), np.zeros(0, np.uint8)), image.span.start
    for size in HEADERS:
        blank = data.size > size and data[0] in (0, 0xFF) and bool((data[:size] == data[0]).all())
        if blank and linked_at(image.crop(start + size, image.span.stop), chip)[0] is not None:
            return size
    return 0


def likely_link(image: MemoryImage, linked: AddressRange, chip: Chip) -> int:
    """Return the one address among `linked` at which most vectors name beginnings of functions; 0 when none stands out.

    Where they are too few, by all words that may point into the code.
    """
    first = max(chip.flash.base, linked.start) if linked.stop > chip.flash.base else linked.start
    places = range(-(-first // LINK_STEP) * LINK_STEP, linked.stop, LINK_STEP)
    fits = {at: entries_fit(image, at, chip) for at in places}
    most, of = max(fits.values(), default=(0, 0))
    best = [at for at, (n, _) in fits.items() if n == most]
    # Of thousands of addresses some fit three handlers by chance, and a tie of many handlers is no chance.
    second = max((n for n, _ in fits.values() if n < most), default=0)
    if most < 3 or 2 * most <= of or most < second + 2 or (len(best) > 1 and most < 6):
        fit, _ = _pointers(image, linked, chip)
        first, second = (*sorted(places, key=fit, reverse=True)[:2], 0, 0)[:2]
        return first if fit(first) >= max(LEAST_POINTERS, MARGIN * fit(second)) else 0
    return max(best, key=lambda at: at & -at)


def other_link(image: MemoryImage, linked: AddressRange, here: int, chip: Chip) -> int:
    """Return where an image is linked that fits to `here` by its size alone; 0 where nothing speaks against `here`."""
    fit, count = _pointers(image, linked, chip)
    vectors, of = entries_fit(image, here, chip)
    if fit(here) > FITTING * count or 2 * vectors > of:
        return 0
    near = likely_link(image, linked, chip)
    return near if abs(near - here) >= LINK_STEP else 0


def _pointers(image: MemoryImage, linked: AddressRange, chip: Chip) -> tuple[Callable[[int], int], int]:
    """Return what tells how many different words of an image name beginnings of its functions if linked for an address.

    And of how many. One halfword in twenty looks like a beginning; at the right address a third to three quarters of
    the words name one.
    """
    data = _first_words(image)
    entries, words = _entries(data), chip.canonicals(np.unique(data.view("<u4")).astype(np.int64))
    words = words[(words & 1 == 1) & (words >= linked.start) & (words < linked.stop + data.size)] - 1

    def fit(at: int) -> int:
        places = words - at
        return int(entries[places[(places >= 0x40) & (places < data.size)] // 2].sum())

    return fit, int(words.size)


def _first_words(image: MemoryImage) -> Bytes:
    """Return the first stretch of an image, as far as it is whole words; empty without any."""
    return next((s.data[: s.data.size // 4 * 4] for s in image.segments), np.zeros(0, np.uint8))


def _entries(data: Bytes) -> npt.NDArray[np.bool_]:
    """Return at which halfwords a function begins: a push of the link register, a branch to itself, what follows an end."""
    halves = data.view("<u2")
    before, two = (np.concatenate([np.zeros(k, "<u2"), halves[: halves.size - k]]) for k in (1, 2))
    starts = (halves & 0xFF00 == 0xB500) | (halves == 0xE92D) | (halves == 0xE7FE)
    ends = (before == 0x4770) | (before == 0xBF00) | (before & 0xFF00 == 0xBD00) | (before & 0xF800 == 0xE000)
    out: npt.NDArray[np.bool_] = starts | ends | (two == 0xE8BD)
    return out


def entries_fit(body: MemoryImage, link: int, chip: Chip) -> tuple[int, int]:
    """Return how many handlers of the vector table at the body's begin are entries of functions, and of how many.

    If it was linked for `link`, each names an address at which a function begins: with a push of the link register, a
    branch to itself, or just behind the end of another one. (0, 0) without handlers that lie in the body.
    """
    data = _first_words(body)
    words, entries = data[:0x40].view("<u4"), _entries(data)
    places = {chip.canonical(int(w) & ~1) - link for w in words[1:] if w & 1}
    inside = [at // 2 for at in places if 0x40 <= at < data.size]
    return int(entries[inside].sum()), len(inside)


def find_whole(image: MemoryImage, dump: MemoryImage, chip: Chip) -> tuple[int, ...]:
    """Return the addresses in the dump's view at which the image stands whole or nearly so, in ascending order."""
    return tuple(p for p, share in _shares(image, dump).items() if share >= WHOLE)


def _shares(image: MemoryImage, dump: MemoryImage) -> dict[int, float]:
    """Return where a few of the image's stretches stand, in ascending order, with how much of all of it stands there."""
    start, places = image.span.start, set[int]()
    held = [(s.start, s.data.tobytes()) for s in dump.segments]
    for address, probe in _probes(image) if image.segments else ():
        for first, data in held:
            places |= {first + at - address + start for at in islice(occurrences(data, probe), MOST_PLACES)}
    # Nothing is programmed at an odd word; what stands there was shifted on the way.
    even, content = [p for p in sorted(places) if p >= dump.span.start and p % 4 == 0], max(1, content_bytes(image))
    return {p: sum(agreeing(a, b)[1] for _, a, b in common(image, dump, p - start)) / content for p in even}


def _probes(image: MemoryImage) -> list[tuple[int, bytes]]:
    """Return a few telling stretches of the image with their addresses."""
    big = max(image.segments, key=lambda s: s.data.size)
    out = []
    for part in (0.02, 0.3, 0.55, 0.9):
        first = int(big.data.size * part)
        for offset in range(first, min(first + 4096, big.data.size - PROBE), 16):
            piece = big.data[offset : offset + PROBE]
            if np.unique(piece).size > 12:
                out.append((big.start + offset, piece.tobytes()))
                break
    if not out and big.data.size >= PROBE and np.unique(big.data).size > 8:
        out.append((big.start, big.data[: min(big.data.size, 4 * PROBE)].tobytes()))
    return out
