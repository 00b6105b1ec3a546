"""Whether a program is another build of one: pieces in their order that drift, or the date that a compiler put into it."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from h5diag.memory import AddressRange, Bytes, MemoryImage

Places = npt.NDArray[np.int64]

FARTHEST, LEAST_ALIKE, _MOST_ALIKE = 0x10000, 8, 4
"""Bytes by which a piece of another build has moved at most; windows that must share a displacement; and of how many
bytes at most one may differ for a look at the differing ones alone to be the cheaper one."""

WHOLE = 2 << 20
"""Bytes of which every window is looked at. Of larger content those are whose own value says so, the same ones on both
sides: as many of them as a content of this size has."""

EDGE, LEAST_RIGHT = 64, 0x2000
"""Bytes at a sector's border that two builds may have in common, and that have to be right on its other side."""

_STAMP = re.compile(
    rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d \d{4}(?: \d\d:\d\d:\d\d)?"
    rb"|\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d)?)?|\d\d:\d\d:\d\d"
)
"""What compilers write for ``__DATE__`` and ``__TIME__`` (ISO C 6.10.8), and the form that build scripts prefer."""
_DATE = re.compile(rb"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) ([ \d]\d) (\d{4})\b")
_MONTHS = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_AROUND = 24


def build_stamps(one: MemoryImage, other: MemoryImage, ranges: Iterable[AddressRange]) -> tuple[str, str] | None:
    """Return the first date or time of a build in which the two differ, of each; None unless every range lies in one."""
    pairs = [(_stamp(one, r), _stamp(other, r)) for r in ranges]
    return pairs[0] if pairs and all(map(all, pairs)) else None


def newest_build(contents: Iterable[Bytes]) -> tuple[int, ...]:
    """Return the latest date that a compiler wrote into one of these contents, as year, month and day; empty without."""
    found = [m for data in contents for m in _DATE.finditer(data.tobytes())]
    return max(((int(m[3]), _MONTHS.index(m[1]) + 1, int(m[2])) for m in found), default=())


def _stamp(image: MemoryImage, r: AddressRange) -> str:
    start = r.start - _AROUND
    data = image.read_filled(start, r.stop + _AROUND)[0].tobytes()
    found = [m for m in _STAMP.finditer(data) if m.start() < r.stop - start and m.end() > _AROUND]
    # Date and time stand side by side in two strings, or in one.
    whole = found and found[0].start() <= _AROUND and found[-1].end() >= r.stop - start
    return " ".join(m[0].decode("ascii") for m in found) if whole else ""


def drift(good: Bytes, suspect: Bytes) -> int:
    """Return the displacement that most of the moved pieces share; 0 when this is not another build.

    Needs pieces in place at the start or none at all, a good part found again in order within 64 KiB, and either more
    than one displacement or literals that were adjusted by the displacement: a file moved as a whole has neither.
    """
    # A window that stands once and has moved holds a byte that differs, on both sides: mostly few must be looked at.
    differs = good != suspect
    near = differs.copy()
    for k in range(1, 8):
        near[:-k] |= differs[k:]
    if _MOST_ALIKE * np.count_nonzero(near) < near.size:
        _, _, moved = _moved(_windows(good, near), _windows(suspect, near))
        _, counts = np.unique(moved[(moved != 0) & (np.abs(moved) <= FARTHEST)], return_counts=True)
        if counts.max(initial=0) < LEAST_ALIKE:
            return 0
    mine = _windows(good)
    common, at, moved = _moved(mine, _windows(suspect))
    order = np.argsort(at)
    order = order[np.abs(moved[order]) <= FARTHEST]
    if order.size < max(32, 0.6 * common.size):
        return 0
    at, moved = at[order], moved[order]
    values, counts = np.unique(moved[moved != 0], return_counts=True)
    if not (kept := values[counts >= LEAST_ALIKE]).size:
        return 0
    # In order: what stands later in the one stands later in the other.
    ordered = np.count_nonzero(np.diff(at + moved) > 0) / max(1, at.size - 1)
    share = np.count_nonzero(np.isin(moved, kept) | (moved == 0)) / max(1, mine[0].size)
    step = int(values[counts.argmax()])
    if ordered < 0.95 or share < 0.2:
        return 0
    return step if kept.size > 1 or _adjusted(good, suspect, step) else 0


def border_between(
    differs: npt.NDArray[np.bool_], content: npt.NDArray[np.bool_], start: int, sector: int
) -> int | None:
    """Return the offset of the sector's border on whose one side all that differs lies, up to it; None without one.

    The other side is right. In a build of its own addresses change throughout: this is a part that was left as it was.
    """
    places = np.flatnonzero(differs)
    first, last = int(places[0]), int(places[-1]) + 1
    before, behind = first - (start + first) % sector, last + -(start + last) % sector
    if first - before <= EDGE and before >= LEAST_RIGHT:
        return before
    return behind if behind - last <= EDGE and np.count_nonzero(content[behind:]) >= LEAST_RIGHT else None


_ODD = np.uint64(0x9E3779B97F4A7C15)

Windows = tuple[npt.NDArray[np.uint64], Places]


def _windows(data: Bytes, chosen: npt.NDArray[np.bool_] | None = None) -> Windows:
    """Return the eight-byte windows at even offsets that occur once and are no fill, with their offsets."""
    data = np.ascontiguousarray(data)
    found = [(np.empty(0, np.uint64), np.empty(0, np.int64))]
    bits = max(0, (data.size - 1).bit_length() - WHOLE.bit_length() + 1)
    for k in (0, 2, 4, 6) if data.size >= 8 else ():
        part = data[k : k + (data.size - k) // 8 * 8].view("<u8")
        told = (part != 0) & (part != np.uint64(0xFFFFFFFFFFFFFFFF))
        if bits:
            told &= part * _ODD >> np.uint64(64 - bits) == 0
        if chosen is not None:
            told &= chosen[k::8][: part.size]
        where = np.flatnonzero(told)
        found.append((part[where], where * 8 + k))
    words, offsets = np.concatenate([w for w, _ in found]), np.concatenate([o for _, o in found])
    order = words.argsort()
    words = words[order]
    new = np.ones(words.size + 1, np.bool_)
    new[1:-1] = words[1:] != words[:-1]
    once = new[:-1] & new[1:]
    return words[once], offsets[order[once]]


def _moved(mine: Windows, own: Windows) -> tuple[npt.NDArray[np.uint64], Places, Places]:
    """Return the windows that both sides hold, their offsets in the first, and by how much each has moved."""
    common, i, j = np.intersect1d(mine[0], own[0], assume_unique=True, return_indices=True)
    return common, mine[1][i], own[1][j] - mine[1][i]


def _adjusted(good: Bytes, suspect: Bytes, step: int) -> bool:
    """Tell whether addresses in the code were changed by the very displacement: a linker did that."""
    size, count = min(good.size, suspect.size) // 4 * 4, 0
    for by in (0, step):
        pair = good[max(0, -by) : size], suspect[max(0, by) :]
        words = min(x.size for x in pair) // 4 * 4
        a, b = (np.ascontiguousarray(x[:words]).view("<u4").astype(np.int64) for x in pair)
        address = ((a >> 24) >= 0x08) & ((a >> 24) <= 0x0F)
        count += int(np.count_nonzero(address & (b - a == step))) if words >= 64 else 0
    return count >= 4
