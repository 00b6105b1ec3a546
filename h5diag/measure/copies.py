"""What address lines do to content: it stands a second time, or every second row is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from h5diag.measure.stretches import tells, thinned, values
from h5diag.memory import AddressRange, Bytes, MemoryImage

LEAST_REPEAT = 512
"""Content that repeats for less than this could be a table."""
LEAST_ROW, LARGEST_ROWS = 128, 0x1000
"""A row of the array is 256 to 1024 bytes, a packet of a loader 128 to 2048; what is longer is a sector or a slot."""
LEAST_COMB, LEAST_ROWS = 256, 16
"""Fewer missing bytes, or rows of them, are holes and no comb."""
WINDOW = 1 << 18
"""Bytes that are looked at together: a gigabyte of external memory must not be held several times."""
MOST_COPIES, LEAST_VALUES = 16, 16
"""More stretches are another content; fewer different bytes are a table, which stands in many places."""


def repeating_line(dump: MemoryImage) -> tuple[int, AddressRange]:
    """Return the weight of an address line at which a dump repeats its own content, and the first such block.

    Everything between the first and the last content must repeat; (0, empty) when nothing does.
    """
    for s in dump.segments:
        if (count := agreeing(s.data, s.data)[0]) < 4 * LEAST_REPEAT:
            continue
        stride = count // 2048 | 1  # odd, so that every address line is high in half of the sample
        sample = np.concatenate([_telling(s.data, k, stride) for k in range(0, s.data.size, WINDOW)])
        for bit in (1 << line for line in range(8, 24) if 2 << line <= s.data.size and not s.start % (2 << line)):
            upper = sample[(sample & bit) != 0]
            if upper.size < 16 or (s.data[upper] != s.data[upper - bit]).mean() > 0.02:
                continue
            telling = same = 0
            for start in range(0, s.data.size, WINDOW):
                at = np.arange(start, min(start + WINDOW, s.data.size))
                at = at[(at & bit) != 0]
                more, equal = agreeing(s.data[at - bit], s.data[at])
                telling, same = telling + more, same + equal
            if telling >= 4 * LEAST_REPEAT and same > 0.98 * telling:
                low = int(next(at[0] for k in range(0, s.data.size, WINDOW) if (at := _telling(s.data, k)).size))
                first = low if low & bit else (low // bit + 1) * bit
                return bit, AddressRange(s.start + first, s.start + min(first + bit, int(s.data.size)))
    return 0, AddressRange(0, 0)


def agreeing(one: Bytes, other: Bytes) -> tuple[int, int]:
    """Return how many bytes of `one` are no fill, and how many of those `other` has too; window by window."""
    telling = same = 0
    for at in range(0, one.size, WINDOW):
        here = one[at : at + WINDOW]
        content = tells(here)
        telling += int(np.count_nonzero(content))
        same += int(np.count_nonzero(content & (here == other[at : at + WINDOW])))
    return telling, same


def _telling(data: Bytes, start: int, stride: int = 1) -> npt.NDArray[np.intp]:
    """Return where in the window from `start` on bytes are no fill, of those at multiples of `stride`."""
    first = start + -start % stride
    return np.flatnonzero(tells(data[first : start + WINDOW : stride])) * stride + first


def second_copies(good: Bytes, suspect: Bytes, stretches: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """Yield the stretches of `suspect` that hold what stands elsewhere in it as well, where `good` has it too.

    Parameters
    ----------
    good, suspect
        What should be there and what is, of one length.
    stretches
        Offsets (start, stop) at which the two differ.

    Yields
    ------
    tuple of int
        Start, stop, and the offset of the first place where the same bytes stand rightly.
    """
    program = good.tobytes() if 1 <= len(stretches) <= MOST_COPIES else b""
    for a, b in (s for s in stretches if program and LEAST_ROW <= s[1] - s[0] <= LARGEST_ROWS):
        here = suspect[a:b]
        source = program.find(here.tobytes()) if values(here) >= LEAST_VALUES else -1
        if source >= 0 and (suspect[source : source + b - a] == here).all():
            yield a, b, source


def at_other_line(suspect: Bytes, places: npt.NDArray[np.int64], start: int) -> tuple[int, npt.NDArray[np.int64]]:
    """Return the weight of the address bit that is the same at all places that differ, and which read what its other value has.

    Parameters
    ----------
    suspect, start
        What is there, and the address of its first byte.
    places
        Offsets of the bytes that differ from what should be there; (0, none) when no bit tells them.
    """
    step = thinned(places.size)
    for bit in (1 << line for line in range(6, 24) if places.size >= LEAST_REPEAT // 2):
        # A sample tells most lines that it is none of them.
        for some, doubt in ((places[::step], 0.05), (places, 0.0)):
            upper = ((some + start) & bit) != 0
            share = float(upper.mean())
            if 0.01 + doubt < share < 0.99 - doubt:
                break
            wanted = some[upper == (share > 0.5)]
            partner = wanted + (-bit if share > 0.5 else bit)
            inside = (partner >= 0) & (partner < suspect.size)
            if inside.mean() < 0.9 - doubt:
                break
            moved = suspect[partner[inside]]
            same = suspect[wanted[inside]] == moved
            if same.mean() < 0.98 - doubt or (values(moved) < 16 and not doubt):
                break
        else:
            return bit, wanted[inside][same]
    return 0, places[:0]


def every_second_row(addresses: npt.NDArray[np.int64]) -> int:
    """Return the size of rows of which every second one holds all these addresses; 0 when they lie otherwise."""
    for bit in (1 << line for line in range(3, 9) if addresses.size >= LEAST_COMB):
        rows, one_way = np.unique(addresses // bit), np.count_nonzero(addresses & bit) in (0, addresses.size)
        if one_way and rows.size >= LEAST_ROWS and (np.diff(rows) == 2).mean() > 0.8:
            return bit
    return 0
