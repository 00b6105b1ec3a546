"""Checks of the content in place: mixed with old content, padding, repeated, written later."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from h5diag.judge.checks.placement import worked_on_mirrors
from h5diag.judge.findings import Finding, found
from h5diag.judge.measured import Measured
from h5diag.measure.compare import AreaState, Comparison, bit_positions
from h5diag.memory import AddressRange, Bytes, MemoryImage, merged
from h5diag.text import count_text

_FEW_BITS = 16
"""Fewer bits that all fell could be chance: 16 of 16 happens once in 65536 times."""


def check_mixed(m: Measured) -> tuple[Finding, ...]:
    """Did bits only fall, as when new content is programmed over old?"""
    pairs = [(m.good.judged, m.comparison, m.good.board.name)] if m.has_good else []
    pairs += [(k.image.image, k.comparison, k.image.name) for k in m.known]
    fell = rose = 0
    where: list[AddressRange] = []
    source = ""
    lanes: npt.NDArray[np.int64] = np.zeros((2, 128), np.int64)
    for reference, comparison, name in pairs:
        down, up, ranges = _directions(reference, m.suspect.dump, comparison, m)
        if mixed := _old_under_new(m, reference, comparison, name):
            return (mixed,)
        if down + up > fell + rose:
            fell, rose, where, source = down, up, ranges, name
            lanes = bit_positions(reference, m.suspect.dump, comparison, m.chip)
    if not any(c.compared_bytes for _, c, _ in pairs):
        return ()
    if rose == 0 and fell >= _FEW_BITS:
        if _one_line(lanes):
            return (found("one-line-fell", where=where, bits=fell, reference=source),)
        return (found("only-fell", where=where, explains=merged(m.canonical(where)), bits=fell, reference=source),)
    if rose + fell >= _FEW_BITS and rose > 0:
        return (found("bits-rose", reference=source, risen=rose, fallen=fell),)
    return (found("nothing-mixed"),) if fell + rose == 0 else ()


def _directions(
    reference: MemoryImage, suspect: MemoryImage, comparison: Comparison, m: Measured
) -> tuple[int, int, list[AddressRange]]:
    """Count fallen and risen bits where the reference has content and the suspect is neither erased nor zero."""
    fell = rose = 0
    where = []
    # A sector that was programmed unerased because the erase hit its mirror is that cause's, not this one's.
    mirrors = worked_on_mirrors(m)
    for area in comparison.of(AreaState.DIFFERS):
        if any(x.covers(area.range) for x in mirrors):
            continue
        pair = _pair(reference, suspect, area.range, m)
        if pair:
            g, s = pair
            content = g != m.chip.flash.erased
            fell += int(np.bitwise_count(g & ~s & np.where(content, 0xFF, 0).astype(np.uint8)).sum(dtype=np.int64))
            rose += int(np.bitwise_count(s & ~g).sum(dtype=np.int64))
            if (content & (g != s)).any():
                where.append(area.range)
    return fell, rose, list(merged(where))


def _old_under_new(m: Measured, reference: MemoryImage, comparison: Comparison, name: str) -> Finding | None:
    """Tell whether the suspect is `reference` AND another content that is known to have stood there."""
    others = [(k.image.image, k.image.name) for k in m.known] + (
        [(m.good.judged, m.good.board.name)] if m.has_good else []
    )
    for other, other_name in others:
        if other_name == name:
            continue
        same = total = fell = 0
        where = []
        for area in comparison.of(AreaState.DIFFERS):
            pair, old = _pair(reference, m.suspect.dump, area.range, m), _pair(other, m.suspect.dump, area.range, m)
            if pair and old:
                mixed = pair[0] & old[0]
                same += int(np.count_nonzero(mixed == pair[1]))
                fell += int(np.count_nonzero((mixed != pair[0]) & (mixed != old[0])))
                total += mixed.size
                where.append(area.range)
        if total and same == total and fell >= _FEW_BITS:
            return found(
                "old-under-new",
                where=merged(where),
                explains=merged(m.canonical(where)),
                size=total,
                reference=name,
                other=other_name,
            )
    return None


def _one_line(lanes: npt.NDArray[np.int64]) -> bool:
    """Tell whether nearly all fallen bits sit on one bit of the byte, or of the 32-bit word."""
    fallen = lanes[0]
    total = int(fallen.sum())
    return total >= _FEW_BITS and any(
        int(np.bincount(np.arange(128) % w, weights=fallen).max()) > 0.95 * total for w in (8, 32)
    )


def check_padding(m: Measured) -> tuple[Finding, ...]:
    """Do differences sit in the fill of a last quad-word only?"""
    unit = m.chip.flash.program_unit
    pads: list[AddressRange] = []
    others: list[AddressRange] = []
    pairs = [(m.good.judged, m.comparison)] if m.has_good else []
    pairs += [(k.image.image, k.comparison) for k in m.known]
    for reference, comparison in pairs:
        for area in comparison.counted:
            (pads if _is_padding(reference, m, area.range, unit) else others).append(area.range)
    if pads:
        limits = "" if not others else f"{count_text(len(others), 'other area')} differ as well."
        return (found("only-padding", where=pads, explains=merged(m.canonical(pads)), count=len(pads), others=limits),)
    return (found("no-padding-difference"),) if any(c.compared_bytes for _, c in pairs) else ()


def _is_padding(reference: MemoryImage, m: Measured, area: AddressRange, unit: int) -> bool:
    if area.size > unit:
        return False
    pair = _pair(reference, m.suspect.dump, area, m)
    if not pair:
        return False
    at = np.flatnonzero(pair[0] != pair[1])
    tail = slice(int(at[0]), None)
    fill = [set(np.unique(x[tail]).tolist()) for x in pair]
    head = pair[0][: at[0]]
    follows = m.suspect.dump.read_filled(area.stop, area.stop + unit)[0]
    return bool(
        at[0] > 0
        and fill[0] | fill[1] <= {0x00, 0xFF}
        and len(fill[0]) == len(fill[1]) == 1
        and head.any()
        and (follows == m.chip.flash.erased).all()
    )


def check_build(m: Measured) -> tuple[Finding, ...]:
    """Is a given build on the chip whole, and where does it differ?"""
    out = []
    for k in m.known:
        for match in k.matches[:1]:
            if match.whole or match.same_image or k.comparison.differing_bytes == 0:
                continue
            out.append(
                found(
                    "build-differs",
                    where=tuple(d.range for d in match.differences[:8]),
                    file=k.image.name,
                    match=match,
                    places="; ".join(str(d) for d in match.differences[:3]),
                )
            )
    return tuple(out)


def check_size(m: Measured) -> tuple[Finding, ...]:
    """Do tool, layout and chip agree on the size of the flash?"""
    wanted = m.chip.flash.size // 1024
    banner = m.suspect.log.banner
    identity = m.suspect.board.identity
    said = identity.flash_kib if identity is not None else None
    told = [(n, k) for n, k in (("the programmer", banner.flash_kib), ("the chip", said or 0)) if k > 0]
    for who, kib in told:
        if kib != wanted and not m.chip_assumed:
            return (
                found(
                    "size-disagrees",
                    who=who,
                    kib=kib,
                    chip=m.chip.name,
                    wanted=wanted,
                    bank=m.chip.flash.base + kib * 512,
                    assumed=m.chip.flash.base + m.chip.flash.bank_size,
                ),
            )
    repeat = _repeats(m.suspect.dump, m)
    if repeat.size:
        return (found("content-repeats", where=(repeat,)),)
    if told:
        return (found("size-agrees", kib=told[0][1], who=told[0][0]),)
    return (found("size-unread"),) if banner and banner.flash_size_assumed else ()


def _repeats(dump: MemoryImage, m: Measured) -> AddressRange:
    half = m.chip.flash.size // 2
    for s in dump.segments:
        for t in dump.segments_in(s.start + half, s.stop + half):
            low = s.data[t.start - half - s.start : t.stop - half - s.start]
            content = int(np.count_nonzero((low != 0) & (low != 0xFF)))
            if content > 2048 and np.array_equal(low, t.data):
                return t.range
    return AddressRange(0, 0)


def check_later(m: Measured) -> tuple[Finding, ...]:
    """Did the flash change between two moments?"""
    if not m.later.compared_bytes:
        return ()
    changed = [a.range for a in m.later.counted]
    if not changed:
        return (found("unchanged-later", size=m.later.compared_bytes),)
    return (
        found(
            "changed-later",
            where=changed,
            explains=merged(m.canonical(_whole_sectors(changed, m))),
            bytes=m.later.differing_bytes,
        ),
    )


def _whole_sectors(ranges: Sequence[AddressRange], m: Measured) -> list[AddressRange]:
    size = m.chip.flash.sector_size
    return [AddressRange(r.start - r.start % size, -(-r.stop // size) * size) for r in ranges]


def _pair(reference: MemoryImage, suspect: MemoryImage, area: AddressRange, m: Measured) -> tuple[Bytes, Bytes] | None:
    alias = m.chip.flash.secure_base - m.chip.flash.base
    for shift in (0, alias, -alias):
        if area.start >= shift and reference.covers(area.start - shift, area.stop - shift):
            return reference.read(area.start - shift, area.stop - shift), suspect.read(area.start, area.stop)
    return None
