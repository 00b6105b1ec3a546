"""Checks of the reading path: they come before anything that is said about the chip."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise

import numpy as np

from h5diag.case.results import SpeedPoint
from h5diag.chip import EXTERNAL
from h5diag.judge.findings import Finding, calibration, found, number
from h5diag.judge.measured import BoardMeasured, Measured, whole_reads
from h5diag.layout import ExplanationKind
from h5diag.measure.compare import AreaState
from h5diag.measure.options.settings import seen_cells
from h5diag.measure.repeats import ReadPattern
from h5diag.measure.shapes import Form, difference
from h5diag.measure.stretches import runs, zero_sectors
from h5diag.memory import Access, AddressRange, MemoryImage, common, merged, subtracted
from h5diag.text import count_text, ranges_text


def check_reads(m: Measured) -> Iterator[Finding]:
    """Do repeated reads of the suspect agree?"""
    a = m.suspect.reads
    if m.suspect.unlike:
        yield found("reads-unlike", count=m.suspect.unlike)
    if id := calibration().ids["reads"].get(a.pattern.name.lower().replace("_", "-")):
        right = _right_reads(m, a.ranges)
        yield found(
            "reads-differ-in-pages" if a.pattern is ReadPattern.OTHER and _only_pages(m) else id,
            where=a.ranges,
            explains=merged(m.canonical(a.ranges)),
            reads=a.reads,
            size=a.common_bytes,
            bytes=a.disagreeing_bytes,
            bits=a.disagreeing_bits,
            right=right,
            do=calibration().advice["of-the-right"] if right else calibration().advice["read-slower"],
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
    there = [(*content.read_filled(r.start, r.stop), *read.read_filled(r.start, r.stop)) for r in ranges]
    seen = any((wanted & held).any() for _, wanted, _, held in there)
    wrong = sum(int(np.count_nonzero(wanted & held & (want != have))) for want, wanted, have, held in there)
    return wrong if seen else None


def _only_pages(m: Measured) -> bool:
    """Tell whether two reads differ only in pages apart from the program, as two boards or two moments do."""
    reads = whole_reads(m.suspect.board.dumps)
    shapes = difference(reads[0], reads[1], m.chip)
    return bool(shapes.differing) and shapes.differing == sum(s.bytes for s in shapes.of(Form.DATA, Form.TEXT))


def check_circumstances(m: Measured) -> Iterator[Finding]:
    """What is told of how the suspect was read and what happened to it before?"""
    b = m.suspect.board
    if b.after_da is not None:
        yield found("read-after-authentication" if b.after_da else "read-without-authentication")
    if b.resets_since_flash is not None:
        yield found("was-reset", count=b.resets_since_flash) if b.resets_since_flash else found("never-reset")
    if b.tool:
        yield found("tool-opens-sectors" if "openocd" in b.tool.lower() else "read-with-tool", tool=b.tool)
    if b.mode and not m.has_good:
        yield found("connect-mode", mode=b.mode)


def check_transport_marks(m: Measured) -> Iterator[Finding]:
    """Does the dump itself show marks of a bad transport: shifted windows, zeroed chunks?"""
    # A link loses or repeats whole words; a few bytes that happen to fit elsewhere are none.
    shifts = [
        r
        for r in m.placement.strong
        if r.explanation.kind is ExplanationKind.WINDOW_SHIFT and r.displacement % 4 == 0 and r.size >= 16
    ]
    # Tables of zeros stand at another place in another build.
    zeros = [] if m.difference.of(Form.BUILD) else [a.range for a in m.comparison.of(AreaState.ZERO) if not a.mask_like]
    aligned = [r for r in zeros if not (r.size | r.start) % number("chunk") and r.size <= number("most-chunks")]
    chunks = [r for r in aligned if not _covered(m, r.start, _fill(m))]
    if shifts:
        where, text = [r.dump_range for r in shifts], shifts[0].explanation.text
        yield found("window-shift", where=where, explains=merged(m.canonical(where)), text=text, pieces=len(shifts))
    elif chunks:
        several = m.suspect.reads.pattern is not ReadPattern.SINGLE
        yield found("zero-chunks", where=chunks, hint=several, settled=m.suspect.reads.reads > 1, chunks=len(chunks))
    elif m.comparison.compared_bytes:
        yield found("no-transport-damage")


def check_sweep(m: Measured) -> tuple[Finding, ...]:
    """Do errors depend on the link speed?"""
    points = m.suspect.board.sweep.sweep if m.suspect.board.sweep is not None else ()
    if len(points) < 2:
        return ()
    bad, slow = [p for p in points if p.disagreeing > 0], _mhz(points[0])
    if not bad:
        return (found("speed-independent", slow=slow, fast=_mhz(points[-1])),)
    if points[0].disagreeing:
        return (found("speed-always-bad", slow=slow),)
    last = bad[-1]
    return (found("speed-dependent", slow=slow, fast=_mhz(bad[0]), bytes=last.disagreeing, top=_mhz(last)),)


def check_views(m: Measured) -> Iterator[Finding]:
    """Were good and suspect read in one and the same known way?"""
    if not m.has_good or not m.suspect.dump.size or (_masks_nothing(m.suspect) and not m.good.options.trustzone):
        return
    g, s, boards = m.good.board, m.suspect.board, (m.good, m.suspect)
    # A dump holds content in the ranges that its reader should not be shown.
    nonsecure = [b for b in boards if b.access is Access.NONSECURE and b.hidden and not b.masked]
    shown = (b for b in nonsecure if any(s.data.any() for h in b.hidden for s in seen_cells(b.dump, m.chip, h)))
    unknown = [b.name for b in (g, s) if b.access is Access.UNKNOWN]
    if against := next(shown, None):
        yield found("views-contradicted", name=against.board.name)
    elif unknown and not m.comparable:
        # The way of reading can only have hidden what reads as zeros; where none are in question, nothing hangs on it.
        fill = sum(s.bytes for s in m.difference.of(Form.FILL))
        zeros = any(a.mask_like for a in m.comparison.of(AreaState.ZERO)) or any(
            zero_sectors(s, m.chip.flash.sector_size) for s in m.suspect.dump.segments
        )
        matters, names = zeros and m.comparison.differing_bytes > fill, " and ".join(unknown)
        yield found("views-not-comparable", settled=not matters, names=names, count=len(unknown))
    elif not m.comparable and not m.suspect.masked and not m.good.masked:
        # Else each board's own option bytes say what its reader was shown.
        yield found("views-differ", good=g.name, name=s.name, good_way=_word(g.access), way=_word(s.access))


def check_zeros(m: Measured) -> Iterator[Finding]:
    """Are zeros in the suspect's dump a mask, or content?"""
    masked, access = m.suspect.masked, m.suspect.access
    if m.suspect.dump.size and _masks_nothing(m.suspect):
        yield found("no-mask-there")
    if masked:
        kind, size = "secure" if access is Access.NONSECURE else "non-secure", sum(r.size for r in masked)
        yield found("zeros-are-the-mask", where=masked, explains=masked, size=size, kind=kind, way=_word(access))
    elif hidden := _hidden_from_one_alias(m):
        areas = [
            f"{a.area.name} {ranges_text(a.ranges)}"
            for a in m.suspect.options.areas
            if a.area.kind == "secure" and a.ranges
        ]
        known, told = (
            bool(m.suspect.options.settings),
            f" Secure by the watermarks: {', '.join(areas)}." if areas else "",
        )
        yield found("one-alias-reads-zero", where=hidden, size=sum(r.size for r in hidden), settled=known, told=told)
    if not m.suspect.dump.size or not m.chip.flash.erased or m.suspect.dump.span.start in EXTERNAL:
        return  # what was never written reads zero here, or nothing of it is masked
    zeros = [a for a in m.comparison.of(AreaState.ZERO) if not _covered(m, a.range.start, (*masked, *_fill(m)))]
    if edges := [a.range for a in zeros if a.mask_like]:
        yield _edges(m, edges)
    if not m.has_good and not masked:
        yield from _zero_areas(m)
    if inside := [a.range for a in zeros if not a.mask_like and a.differing_bytes >= 16]:
        # In another build what read zero here stands elsewhere; its tables of zeros are no holes.
        built = bool(m.difference.of(Form.BUILD))
        yield found("zeros-inside-a-sector", where=inside, settled=built, runs=len(inside))
    if not masked and not zeros and m.comparison.compared_bytes:
        yield found("no-unexpected-zeros", reference=m.good.board.name)


def _hidden_from_one_alias(m: Measured) -> tuple[AddressRange, ...]:
    """Return what reads zero by one alias while the other shows content of the same cells, in rows of 16 bytes."""
    shift, dump, out = m.chip.flash.alias, m.suspect.dump, []
    for at, *both in common(dump, dump, shift) if m.suspect.both_aliases else ():
        rows = (x[: x.size // _ROW * _ROW].reshape(-1, _ROW) for x in both)
        plain, secure = (np.asarray(r.any(axis=1)) for r in rows)
        for start, hidden in ((at - shift, ~plain & secure), (at, plain & ~secure)):
            out += [AddressRange(start + _ROW * a, start + _ROW * b) for a, b in runs(hidden, 1)]
    return merged(out)


_ROW = 16


def _edges(m: Measured, edges: Sequence[AddressRange]) -> Finding:
    """Return the finding for zeros that begin and end on sector edges."""
    size = sum(r.size for r in edges)
    if _masks_nothing(m.suspect):
        return found("zeros-not-masked", where=edges, compares=True, size=size)
    secure = m.suspect.options.secure_ranges
    fits = bool(secure) and all(_covered(m, r.start, secure) and _covered(m, r.stop - 1, secure) for r in edges)
    # Both aliases of the cells zero in a known mode, and just the watermark: no other reading is left.
    settled = fits and m.suspect.both_aliases and m.suspect.board.mode is not None
    like = fits or m.suspect.access is not Access.UNKNOWN
    id = "zeros-fit-the-watermarks" if settled else "zeros-look-like-a-mask" if like else "zeros-on-sector-edges"
    said = (
        "They are the sectors that the option bytes make secure; a non-secure reader gets zeros there. " if fits else ""
    )
    explains = merged(m.canonical(edges)) if settled else ()
    return found(id, where=edges, explains=explains, size=size, reference=m.good.board.name, fits=said)


def _zero_areas(m: Measured) -> list[Finding]:
    """Return findings for long zeros of a board that there is nothing to compare with."""
    # Zeros that a given file has there too, or that only fill a gap of it, are no riddle.
    files = [k for k in m.expected if k.in_place]
    shapes = [s for k in files for s in k.difference.shapes if s.form is not Form.FILL]
    wrong = [*(r for k in files for r in k.difference.rest), *(r for s in shapes for r in s.ranges)]
    meant = subtracted(m.canonical(r for k in files for r in k.ranges), m.canonical(wrong))
    segments, least = m.suspect.dump.segments, max(m.chip.flash.sector_size, number("zero-area"))
    areas = [AddressRange(s.start + a, s.start + b) for s in segments for a, b in runs(s.data == 0, 1, least)]
    areas = areas if any(s.data.any() for s in segments) else []  # of nothing but zeros a check of its own speaks
    riddles = (r for r in areas if sum(x.size for x in subtracted(m.canonical([r]), meant)) >= number("zero-area"))
    return [_zero_area(m, r) for r in islice(riddles, 3)]


def _zero_area(m: Measured, area: AddressRange) -> Finding:
    here, sector, options = m.canonical([area])[0], m.chip.flash.sector_size, m.suspect.options
    for gap in _gaps(m):
        if gap.start <= here.start + number("tool-block") and here.start <= gap.start and gap.stop <= here.stop:
            return found("fill-between-pieces", where=(area,), explains=(gap,), size=area.size, at=gap.stop)
    for f in (f for f in m.suspect.log.listing.fields if f.value and _BORDERS.match(f.name)):
        for at in (m.chip.flash.base + f.value * unit for unit in (sector, 0x1000, 0x800, 0x2000)):
            # Zeros may begin a little before the border: the last bytes of what is shown can be zero too.
            if 0 <= at - here.start < number("just-before"):
                return found("zeros-from-option", where=(area,), size=area.size, at=at, option=f.name, value=f.value)
    secure = options.secure_ranges if options.settings else ()
    if inside := next((r for r in secure if r.covers(_trimmed(m, area))), None):
        # The next sector may begin with a few zeros of its own.
        shown = inside.intersection(here).shifted(area.start - here.start)
        names = ", ".join(a.area.name for a in options.areas if a.area.kind == "secure" and inside in a.ranges)
        return found("zeros-where-secure", where=(shown,), size=shown.size, names=f" ({names})" if names else "")
    id = "zeros-not-masked" if _masks_nothing(m.suspect) else "zeros-without-reason"
    return found(id, where=(area,), size=area.size)


_WORD_WITH_ECC = 8
"""Families with ECC program at least so many bytes at a time (L4 and later; their reference manuals)."""


def check_unreadable_word(m: Measured) -> Iterator[Finding]:
    """Is just one flash word unreadable in the middle of what was read, as a word of two wrong bits is (RM0433, ECC)?"""
    dump, unit = m.suspect.dump, m.chip.flash.program_unit
    if m.chip_assumed or unit < _WORD_WITH_ECC or len(dump.unreadable) != 1:
        return
    hole = dump.unreadable[0]
    beside = dump.covers(hole.start - unit, hole.start) and dump.covers(hole.stop, hole.stop + unit)
    if beside and (hole.size, hole.start % unit) == (unit, 0):
        yield found("one-word-unreadable", where=(hole,), unit=unit, size=dump.size)


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


def _masks_nothing(own: BoardMeasured) -> bool:
    """Tell whether a board's own option bytes say that TrustZone is off: then every reader is shown the same."""
    return own.options.chip.trustzone and own.options.trustzone is False


def _fill(m: Measured) -> tuple[AddressRange, ...]:
    return m.canonical(r for s in m.difference.of(Form.FILL) for r in s.ranges)


def _covered(m: Measured, address: int, ranges: Sequence[AddressRange]) -> bool:
    return any(m.chip.canonical(address) in r for r in ranges)


def _word(access: Access) -> str:
    return "non-secure" if access is Access.NONSECURE else access.value


def _mhz(p: SpeedPoint) -> str:
    return f"{p.swd_hz / 1e6:g} MHz"
