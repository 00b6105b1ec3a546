"""Checks of the reading path: they come before anything that is said about the chip."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from h5diag.case.records import SpeedPoint
from h5diag.chip import EXTERNAL
from h5diag.judge.findings import Finding, found
from h5diag.judge.measured import BoardFacts, Measured, whole_reads
from h5diag.layout import ExplanationKind
from h5diag.measure.compare import AreaState
from h5diag.measure.repeats import ReadPattern
from h5diag.measure.shapes import Form, difference, runs
from h5diag.memory import Access, AddressRange, MemoryImage, merged, subtracted
from h5diag.text import count_text

_READ_SLOWER = (
    "Do not judge the flash by these reads. Read the board again with a shorter cable at a quarter of the speed, three"
    " times, and judge what all reads agree on."
)
_OF_THE_RIGHT = (
    "The flash is not in question there: one read is right. Set the wrong reads aside, and from now on read as that one"
    " was read (its speed, or a shorter cable), three times: all three should be equal."
)


def check_reads(m: Measured) -> tuple[Finding, ...]:
    """Do repeated reads of the suspect agree?"""
    a = m.suspect.reads
    id = {
        ReadPattern.AGREE: "reads-agree",
        ReadPattern.CHUNKS: "reads-disagree-chunks",
        ReadPattern.SHIFT: "reads-disagree-shift",
        ReadPattern.FIXED_BITS: "reads-disagree-fixed-bits",
        ReadPattern.LONE_BITS: "reads-disagree-single-bits",
        ReadPattern.BITS: "reads-disagree-bits",
        ReadPattern.OTHER: "reads-disagree",
    }.get(a.pattern)
    unlike = (found("reads-unlike", count=m.suspect.unlike),) if m.suspect.unlike else ()
    if id is None:
        return unlike
    if a.pattern is ReadPattern.OTHER and _only_pages(m):
        id = "reads-differ-in-pages"
    right = _right_reads(m, a.ranges)
    return (
        *unlike,
        found(
            id,
            where=a.ranges,
            explains=merged(m.canonical(a.ranges)),
            reads=a.reads,
            size=a.common_bytes,
            bytes=a.disagreeing_bytes,
            bits=a.disagreeing_bits,
            right=right,
            do=_OF_THE_RIGHT if right else _READ_SLOWER,
        ),
    )


def _right_reads(m: Measured, ranges: Sequence[AddressRange]) -> str:
    """Return a sentence that tells which reads hold what a given file or the good board has where reads disagree.

    Empty when that parts them into none and all.
    """
    known = [(k.name, k.content) for k in m.expected if k.in_place]
    known += [(m.good.board.name, m.good.judged)] if m.has_good else []
    for name, content in known:
        wrong = {d.name: _wrong_bytes(content, d.image, ranges) for d in m.suspect.board.dumps}
        right = [n for n, count in wrong.items() if count == 0]
        bad = [f"{n} {count_text(count, 'byte')}" for n, count in wrong.items() if count]
        if right and bad:
            return (
                f" There {' and '.join(right)} {'is' if len(right) == 1 else 'are'} as {name}; wrong: {', '.join(bad)}."
            )
    return ""


def _wrong_bytes(content: MemoryImage, read: MemoryImage, ranges: Sequence[AddressRange]) -> int | None:
    """Return how many bytes of `read` are not the content's there; None when nothing of it can be held against it."""
    wrong = seen = 0
    for r in ranges:
        (want, wanted), (have, held) = content.read_filled(r.start, r.stop), read.read_filled(r.start, r.stop)
        both = wanted & held
        seen += int(np.count_nonzero(both))
        wrong += int(np.count_nonzero(both & (want != have)))
    return wrong if seen else None


def _only_pages(m: Measured) -> bool:
    """Tell whether two reads differ only in pages apart from the program, as two boards or two moments do."""
    reads = whole_reads(m.suspect.board.dumps)
    shapes = difference(reads[0], reads[1], m.chip)
    return bool(shapes.differing) and shapes.differing == sum(s.bytes for s in shapes.of(Form.DATA, Form.TEXT))


def check_circumstances(m: Measured) -> tuple[Finding, ...]:
    """What is told of how the suspect was read and what happened to it before?"""
    b, out = m.suspect.board, []
    if b.after_da is True:
        out.append(found("read-after-authentication"))
    elif b.after_da is False:
        out.append(found("read-without-authentication"))
    if b.resets_since_flash == 0:
        out.append(found("never-reset"))
    elif b.resets_since_flash:
        out.append(found("was-reset", count=b.resets_since_flash))
    if b.tool:
        opens = "openocd" in b.tool.lower()
        out.append(found("tool-opens-sectors" if opens else "read-with-tool", tool=b.tool))
    if b.mode and not m.has_good:
        out.append(found("connect-mode", mode=b.mode))
    return tuple(out)


def check_transport_marks(m: Measured) -> tuple[Finding, ...]:
    """Does the dump itself show marks of a bad transport: shifted windows, zeroed chunks?"""
    # A link loses or repeats whole words; a few bytes that happen to fit elsewhere are none.
    shifts = [
        r
        for r in m.placement.strong
        if r.explanation.kind is ExplanationKind.WINDOW_SHIFT and r.displacement % 4 == 0 and r.size >= 16
    ]
    if shifts:
        where = tuple(r.dump_range for r in shifts)
        return (
            found(
                "window-shift",
                where=where,
                explains=merged(m.canonical(where)),
                text=shifts[0].explanation.text,
                pieces=len(shifts),
            ),
        )
    chunks = [
        a.range
        for a in m.comparison.of(AreaState.ZERO)
        if a.range.size % 64 == 0 and a.range.start % 64 == 0 and a.range.size <= 1024 and not a.mask_like
        if not _covered(m, a.range.start, _fill(m))
    ]
    if m.difference.of(Form.BUILD):
        chunks = []  # tables of zeros that stand at another place in another build
    if chunks:
        return (
            found(
                "zero-chunks",
                where=chunks,
                hint=m.suspect.reads.pattern is not ReadPattern.SINGLE,
                settled=m.suspect.reads.reads > 1,
                chunks=len(chunks),
            ),
        )
    return (found("no-transport-damage"),) if m.comparison.compared_bytes else ()


def check_sweep(m: Measured) -> tuple[Finding, ...]:
    """Do errors depend on the link speed?"""
    points = m.suspect.board.sweep.sweep if m.suspect.board.sweep is not None else ()
    if len(points) < 2:
        return ()
    bad = [p for p in points if p.disagreeing > 0]
    if not bad:
        return (found("speed-independent", slow=_mhz(points[0]), fast=_mhz(points[-1])),)
    if points[0].disagreeing == 0:
        return (
            found(
                "speed-dependent",
                slow=_mhz(points[0]),
                fast=_mhz(bad[0]),
                bytes=bad[-1].disagreeing,
                top=_mhz(bad[-1]),
            ),
        )
    return (found("speed-always-bad", slow=_mhz(points[0])),)


def check_views(m: Measured) -> tuple[Finding, ...]:
    """Were good and suspect read in one and the same known way?"""
    if not m.has_good or not m.suspect.dump.size or (_masks_nothing(m.suspect) and not m.good.options.trustzone):
        return ()
    g, s = m.good.board, m.suspect.board
    for facts in (m.good, m.suspect):
        if facts.access is Access.NONSECURE and facts.hidden and not facts.masked and _shows(facts, m):
            return (found("views-contradicted", name=facts.board.name),)
    if m.comparable:
        return ()
    if Access.UNKNOWN in (g.access, s.access):
        unknown = [b.name for b in (g, s) if b.access is Access.UNKNOWN]
        # The way of reading can only have hidden what reads as zeros; where none are in question, nothing hangs on it.
        fill = sum(s.bytes for s in m.difference.of(Form.FILL))
        zeros = any(a.mask_like for a in m.comparison.of(AreaState.ZERO)) or _blank_sectors(m)
        matters = zeros and m.comparison.differing_bytes > fill
        return (found("views-not-comparable", settled=not matters, names=" and ".join(unknown), count=len(unknown)),)
    if m.suspect.masked or m.good.masked:
        return ()  # each board's own option bytes say what its reader was shown
    return (found("views-differ", good=g.name, name=s.name, good_way=_word(g.access), way=_word(s.access)),)


def check_zeros(m: Measured) -> tuple[Finding, ...]:
    """Are zeros in the suspect's dump a mask, or content?"""
    if not m.suspect.dump.size:
        return ()
    masked, access = m.suspect.masked, m.suspect.access
    out = [found("no-mask-there")] if _masks_nothing(m.suspect) else []
    if masked:
        out.append(
            found(
                "zeros-are-the-mask",
                where=masked,
                explains=masked,
                size=sum(r.size for r in masked),
                kind="secure" if access is Access.NONSECURE else "non-secure",
                way=_word(access),
            )
        )
    if not m.chip.flash.erased or m.suspect.dump.span.start in EXTERNAL:
        return tuple(out)  # what was never written reads zero here, or nothing of it is masked
    zeros = [a for a in m.comparison.of(AreaState.ZERO) if not _covered(m, a.range.start, (*masked, *_fill(m)))]
    edges = [a.range for a in zeros if a.mask_like]
    # In another build what read zero here stands elsewhere; its tables of zeros are no holes.
    built = m.difference.of(Form.BUILD)
    inside = [a.range for a in zeros if not a.mask_like and a.differing_bytes >= 16]
    if edges and _masks_nothing(m.suspect):
        out.append(found("zeros-not-masked", where=edges, compares=True, size=sum(r.size for r in edges)))
    elif edges:
        secure = m.suspect.options.secure_ranges
        fits = bool(secure) and all(_covered(m, r.start, secure) and _covered(m, r.stop - 1, secure) for r in edges)
        # Both aliases of the cells zero in a known mode, and just the watermark: no other reading is left.
        settled = fits and m.suspect.both_aliases and m.suspect.board.mode is not None
        id = (
            "zeros-fit-the-watermarks"
            if settled
            else "zeros-look-like-a-mask"
            if fits or access is not Access.UNKNOWN
            else "zeros-on-sector-edges"
        )
        out.append(
            found(
                id,
                where=edges,
                explains=merged(m.canonical(edges)) if settled else (),
                size=sum(r.size for r in edges),
                reference=m.good.board.name,
                fits="They are the sectors that the option bytes make secure; a non-secure reader gets zeros there. "
                if fits
                else "",
            )
        )
    if not m.has_good and not masked:
        out += _zero_areas(m)
    if inside:
        out.append(found("zeros-inside-a-sector", where=inside, settled=bool(built), runs=len(inside)))
    if not masked and not zeros and m.comparison.compared_bytes:
        out.append(found("no-unexpected-zeros", reference=m.good.board.name))
    return tuple(out)


def _zero_areas(m: Measured) -> list[Finding]:
    """Return findings for long zeros of a board that there is nothing to compare with."""
    sector, out = m.chip.flash.sector_size, []
    everything, gaps = not any(s.data.any() for s in m.suspect.dump.segments), _gaps(m)
    # Zeros that a given file has there too, or that only fill a gap of it, are no riddle.
    files = [k for k in m.expected if k.in_place]
    wrong = [
        r
        for k in files
        for x in (k.difference.rest, *(s.ranges for s in k.difference.shapes if s.form is not Form.FILL))
        for r in x
    ]
    meant = subtracted(m.canonical(r for k in files for r in k.ranges), m.canonical(wrong))
    secure = m.suspect.options.secure_ranges if m.suspect.options.settings else ()
    for s in () if everything else m.suspect.dump.segments:
        for a, b in runs(s.data == 0, 1):
            area = AddressRange(s.start + a, s.start + b)
            if b - a < max(sector, _AREA):
                continue
            start = m.chip.canonical(area.start)
            stop = start + area.size
            if sum(r.size for r in subtracted([AddressRange(start, stop)], meant)) < _AREA:
                continue
            if gap := next(
                (g for g in gaps if g.start <= start + _BLOCK and start <= g.start and g.stop <= stop), None
            ):
                out.append(found("fill-between-pieces", where=(area,), explains=(gap,), size=b - a, at=gap.stop))
                continue
            # Zeros may begin a little before the border: the last bytes of what is shown can be zero too.
            option = next(
                (
                    (f.name, f.value, unit)
                    for f in m.suspect.log.listing.fields
                    if _BORDERS.match(f.name)
                    for unit in (sector, 0x1000, 0x800, 0x2000)
                    if f.value and 0 <= m.chip.flash.base + f.value * unit - start < 64
                ),
                None,
            )
            if option:
                at = m.chip.flash.base + option[1] * option[2]
                out.append(
                    found("zeros-from-option", where=(area,), size=b - a, at=at, option=option[0], value=option[1])
                )
            elif secure and any(r.covers(_trimmed(m, area)) for r in secure):
                out.append(found("zeros-where-secure", where=(area,), size=b - a))
            else:
                id = "zeros-not-masked" if _masks_nothing(m.suspect) else "zeros-without-reason"
                out.append(found(id, where=(area,), size=b - a))
    return out[:3]


_AREA = 0x1000
"""Shorter zeros are tables of a program."""
_BLOCK = 256
"""Tools write blocks of so many bytes (UF2; DfuSe's pages are larger): the last one of a piece is filled up."""


def _gaps(m: Measured) -> tuple[AddressRange, ...]:
    """Return the gaps between the pieces of the given files that are in place, but whole sectors, which a mask hides."""
    pieces = merged(m.canonical(r for k in m.expected if k.in_place for r in k.ranges))
    size = m.chip.flash.sector_size
    gaps = (AddressRange(a.stop, b.start) for a, b in pairwise(pieces))
    return tuple(g for g in gaps if g.start % size or g.stop % size)


def _trimmed(m: Measured, area: AddressRange) -> AddressRange:
    """Return the canonical cells, without a few zeros beyond a sector's border: the next content may begin with some."""
    start, size = m.chip.canonical(area.start), m.chip.flash.sector_size
    stop = start + area.size
    first, last = -(-start // size) * size, stop // size * size
    return AddressRange(first if first - start < 16 else start, last if stop - last < 16 else stop)


_BORDERS = re.compile(r"SFSA|SECWM|HDP|PCROP|SEC_SIZE|SEC_AREA", re.IGNORECASE)
"""Options that set where a reader is shown nothing."""


def _shows(facts: BoardFacts, m: Measured) -> bool:
    """Tell whether a dump holds content in the ranges that its reader should not be shown."""
    shift = m.chip.flash.secure_base - m.chip.flash.base
    return any(
        s.data.any()
        for h in facts.hidden
        for by in (0, shift)
        for s in facts.dump.segments_in(h.start + by, h.stop + by)
    )


def _masks_nothing(facts: BoardFacts) -> bool:
    """Tell whether a board's own option bytes say that TrustZone is off: then every reader is shown the same."""
    return facts.options.chip.trustzone and facts.options.trustzone is False


def _blank_sectors(m: Measured) -> bool:
    """Tell whether the suspect's dump has a whole sector of zeros."""
    size = m.chip.flash.sector_size
    return any(
        not s.data[-s.start % size :][i : i + size].any()
        for s in m.suspect.dump.segments
        for i in range(0, max(0, s.data.size - size + 1), size)
    )


def _fill(m: Measured) -> tuple[AddressRange, ...]:
    return m.canonical(r for s in m.difference.of(Form.FILL) for r in s.ranges)


def _covered(m: Measured, address: int, ranges: Sequence[AddressRange]) -> bool:
    return any(m.chip.canonical(address) in r for r in ranges)


def _word(access: Access) -> str:
    return "non-secure" if access is Access.NONSECURE else access.value


def _mhz(p: SpeedPoint) -> str:
    return f"{p.swd_hz / 1e6:g} MHz"
