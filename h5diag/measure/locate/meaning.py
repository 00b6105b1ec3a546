"""What a region's displacement means, where it takes more than two addresses to tell."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import replace

from h5diag.chip import Chip
from h5diag.layout import Explanation, ExplanationKind
from h5diag.measure.locate.placement import Region, Transform
from h5diag.measure.locate.sides import Side
from h5diag.memory import merged

NEAR = 64
"""A shifted piece begins and ends at most so many bytes from its neighbours."""

SHIFT = 256
"""A shift by more bytes than this is no loss of words in a read window."""

WHOLE = 0.9
"""Share of the reference that a piece must hold to be called the image itself."""


def named(regions: tuple[Region, ...], reference: Side, dump: Side, chip: Chip) -> tuple[Region, ...]:
    """Return the regions with ``image`` and ``window-shift`` told apart."""
    out = list(regions)
    home = [i for i, r in enumerate(regions) if r.displacement == 0]
    begun = False  # a run of small shifts that begins right behind a piece in place
    for i, r in enumerate(regions):
        before = regions[i - 1] if i else r
        begun = 0 < abs(r.displacement) <= SHIFT and i > 0 and _touch(before, r) and (begun or before.displacement == 0)
        if r.explanation.kind in (ExplanationKind.SECTOR_MOVE, ExplanationKind.UNEXPLAINED):
            shifted = _window(regions, i, home) if begun and r.transform is Transform.AS_IS else None
            out[i] = replace(r, explanation=_image(r, reference, dump, chip) or shifted or r.explanation)
    return tuple(out)


def told(regions: tuple[Region, ...], chip: Chip) -> tuple[Region, ...]:
    """Return the regions with broken lines and transforms in the text."""
    aliasing = _aliasing(list(regions), chip)
    return tuple(_told(r, aliasing) for r in regions)


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
        f"{abs(r.displacement)} bytes {what} at about 0x{r.dump_start:08X} while reading{back}",
    )


def _touch(before: Region, after: Region) -> bool:
    return after.dump_start - before.dump_range.stop <= NEAR + SHIFT


def _aliasing(regions: list[Region], chip: Chip) -> dict[int, str]:
    """Tell the address lines that show as a power of two by which content repeats."""
    out: dict[int, str] = {}
    total = sum(r.equal_bytes for r in regions if not r.weak)
    in_place = merged(r.reference_range for r in regions if r.displacement == 0)
    starts = [p.start for p in in_place]
    by: dict[int, list[Region]] = {}
    for r in regions:
        if not r.weak:
            by.setdefault(r.displacement, []).append(r)
    for bit in range(4, 26):
        for sign in (1, -1):
            moved = by.get(sign << bit, [])
            if not moved or sum(r.equal_bytes for r in moved) < total // 8:
                continue
            # Content that is shown twice: also where it belongs.
            twice = 0
            for r in moved:
                k = bisect_left(starts, r.reference_start + r.size) - 1
                twice += r.size if k >= 0 and in_place[k].stop > r.reference_start else 0
            here = 1 if sign > 0 else 0
            on_line = sum(r.size for r in moved if (chip.canonical(r.dump_start) >> bit & 1) == here)
            size = sum(r.size for r in moved)
            if twice > 0.5 * size and on_line > 0.9 * size and len({r.dump_start >> bit for r in moved}) > 1:
                out[sign << bit] = (
                    f"; content repeats every 0x{2 << bit:X} bytes as if address line A{bit} were"
                    f" stuck at {'0' if sign > 0 else '1'}"
                )
    return out


def _told(r: Region, aliasing: dict[int, str]) -> Region:
    text = r.explanation.text + aliasing.get(r.displacement, "")
    if r.lines:
        text += "; " + ", ".join(str(line) for line in r.lines)
    if r.transform is not Transform.AS_IS:
        text += f"; content is {r.transform.value}"
    return r if text == r.explanation.text else replace(r, explanation=replace(r.explanation, text=text))
