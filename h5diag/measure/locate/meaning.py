"""What a region means: a broken data line in it, and a displacement that takes more than two addresses to tell.

What several pieces show together is found in `h5diag.measure.locate.patterns`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from h5diag.chip import Chip
from h5diag.layout import Explanation, ExplanationKind
from h5diag.measure.locate.pieces import Numbers
from h5diag.measure.locate.placement import LineFault, LineState, Pattern, PatternKind, Region, Transform
from h5diag.measure.locate.side import Side
from h5diag.memory import Bytes
from h5diag.text import count_text

WIDTHS = (8, 16, 32)
LEAST_ERRORS = 16
LOOKED_AT, WINDOW = 1 << 14, 256  # of a longer piece an even sample of windows is looked at, about so many bytes in all
SHARE = 0.9  # one line must hold this share of a piece's bit errors to be blamed
NEAR = 64  # a shifted piece begins and ends at most so many bytes from its neighbours
SHIFT = 256  # a shift by more bytes than this is no loss of words in a read window
WHOLE = 0.9  # share of the reference that a piece must hold to be called the image itself


def line_faults(reference: Bytes, dump: Bytes, address: int) -> tuple[LineFault, ...]:
    """Return the data line that explains nearly all bit errors of a piece, if there is one."""
    if reference.size > LOOKED_AT:
        step, rows = reference.size // LOOKED_AT, reference.size // WINDOW
        reference, dump = (v[: rows * WINDOW].reshape(rows, WINDOW)[::step].ravel() for v in (reference, dump))
    fallen, risen = _by_line(reference & ~dump, address), _by_line(~reference & dump, address)
    total = int((fallen + risen).sum())
    for width in WIDTHS if total >= LEAST_ERRORS else ():
        fell, rose = (v.reshape(-1, width).sum(axis=0) for v in (fallen, risen))
        line = int((fell + rose).argmax())
        if (fell + rose)[line] < SHARE * total:
            continue
        ones, zeros = (_by_line(v, address).reshape(-1, width).sum(axis=0)[line] for v in (reference, ~reference))
        low, high = 0 < SHARE * ones <= fell[line], 0 < SHARE * zeros <= rose[line]
        if low and high:
            return (LineFault(line, width, LineState.INVERTED),)
        if low and rose[line] <= (1 - SHARE) * zeros:
            return (LineFault(line, width, LineState.STUCK_AT_0),)
        if high and fell[line] <= (1 - SHARE) * ones:
            return (LineFault(line, width, LineState.STUCK_AT_1),)
    return ()


def _by_line(data: Bytes, address: int) -> Numbers:
    """Return how many bits are set on each of the lines of the widest bus."""
    lanes = WIDTHS[-1] // 8
    counts = [np.bincount(data[(lane - address) % lanes :: lanes], minlength=256) for lane in range(lanes)]
    return (np.array(counts) @ ((np.arange(256)[:, None] >> np.arange(8)) & 1)).ravel()


def named(regions: tuple[Region, ...], reference: Side, dump: Side, patterns: Sequence[Pattern]) -> tuple[Region, ...]:
    """Return the regions with ``image``, ``window-shift`` and banks of a board of another size told apart."""
    out = list(regions)
    home = [i for i, r in enumerate(regions) if r.displacement == 0]
    build = any(p.kind is PatternKind.OTHER_BUILD for p in patterns)
    chip = dump.chip
    banks = _other_banks(reference, dump, chip)
    begun = False  # a run of small shifts that begins right behind a piece in place
    for i, r in enumerate(regions):
        before = regions[i - 1] if i else r
        begun = 0 < abs(r.displacement) <= SHIFT and i > 0 and _touch(before, r) and (begun or before.displacement == 0)
        if r.explanation.kind in (ExplanationKind.SECTOR_MOVE, ExplanationKind.UNEXPLAINED):
            shifted = _window(regions, i, home) if begun and not build and r.transform is Transform.AS_IS else None
            bank = _other_bank(r, banks, chip)
            out[i] = replace(r, explanation=bank or _image(r, reference, dump, chip) or shifted or r.explanation)
    return tuple(out)


def explained(regions: tuple[Region, ...], patterns: Sequence[Pattern]) -> tuple[Region, ...]:
    """Return the regions with patterns, broken lines and transforms in the text."""
    out = []
    for r in regions:
        text, where = r.explanation.text, r.dump_range
        for p in patterns:
            if p.kind is PatternKind.ADDRESS_LINE and r.displacement in p.drift:
                text += f"; {p.text}"
            elif p.kind is PatternKind.OTHER_BUILD and r.displacement and any(x.covers(where) for x in p.ranges):
                text += "; a piece of another build"
        if r.lines:
            text += "; " + ", ".join(str(line) for line in r.lines)
        if r.transform is not Transform.AS_IS:
            text += f"; content is {r.transform.value}"
        out.append(r if text == r.explanation.text else replace(r, explanation=replace(r.explanation, text=text)))
    return tuple(out)


def _other_banks(reference: Side, dump: Side, chip: Chip) -> list[tuple[int, int]]:
    """Return the flash sizes that either side may have been read from, where they are not the same."""
    flash, sizes = chip.flash, []
    for side in (reference, dump):
        ends = (side.canonical + np.diff(side.starts)).tolist()
        extent = max((e - flash.base for e in ends if flash.base < e <= flash.base + flash.size), default=0)
        # A full dump tells its flash's size; an image may be of any board that holds it.
        sizes.append({s for s in (flash.size, flash.size // 2, flash.size // 4) if extent <= s})
    return [(r, d) for r, d in product(*sizes) if r != d]


def _other_bank(r: Region, banks: list[tuple[int, int]], chip: Chip) -> Explanation | None:
    """Return what a piece of the second bank is on a board of another flash size."""
    there = chip.canonical(r.reference_start) - chip.flash.base
    for source, target in banks:
        here = there + r.displacement
        if there >= source // 2 and r.displacement == (target - source) // 2 and here + r.size <= target:
            own, other = (f"0x{chip.flash.base + s // 2:08X}" for s in (source, target))
            return Explanation(
                ExplanationKind.BANK,
                f"the same offset in the second bank, which begins at {other} on a board of {target // 1024} KiB and"
                f" at {own} on one of {source // 1024} KiB",
            )
    return None


def _image(r: Region, reference: Side, dump: Side, chip: Chip) -> Explanation | None:
    if (
        len(reference.addresses) != 1
        or reference.size > min(chip.flash.size, dump.size) // 2
        or r.size < WHOLE * reference.size
    ):
        return None
    start = r.dump_start - (r.reference_start - reference.addresses[0])
    return Explanation(
        ExplanationKind.IMAGE, f"the whole reference stands at 0x{start:08X} instead of 0x{reference.addresses[0]:08X}"
    )


def _window(regions: tuple[Region, ...], i: int, home: list[int]) -> Explanation:
    """Tell how many words were lost or repeated, and where the pieces are back in step."""
    r = regions[i]
    what = "lost" if r.displacement < 0 else "inserted or repeated"
    after = regions[home[k]] if (k := bisect_right(home, i)) < len(home) else None
    back = f", back in step at 0x{after.dump_start:08X}" if after else ""
    return Explanation(
        ExplanationKind.WINDOW_SHIFT,
        f"{count_text(abs(r.displacement), 'byte')} {what} at about 0x{r.dump_start:08X} while reading{back}",
    )


def _touch(before: Region, after: Region) -> bool:
    return after.dump_start - before.dump_range.stop <= NEAR + SHIFT
