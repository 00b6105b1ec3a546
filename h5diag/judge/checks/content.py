"""Checks of the content in place: what a difference looks like, repeated content, size, changes over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from h5diag.chip import EXTERNAL
from h5diag.evidence.texts.programming import base_name
from h5diag.judge.checks.chip import check_larger_part
from h5diag.judge.checks.options import check_write_protection
from h5diag.judge.checks.placement import (
    erased_holes,
    exchanged_regions,
    other_addresses,
    overlapping,
    worked_on_mirrors,
)
from h5diag.judge.checks.printed import erase_printed
from h5diag.judge.checks.start import OLDER_ROM
from h5diag.judge.findings import Finding, calibration, found, number
from h5diag.judge.measured import KnownFact, Measured
from h5diag.measure.compare import bit_positions
from h5diag.measure.copies import LEAST_REPEAT, WINDOW, agreeing, repeating_line
from h5diag.measure.drift import build_stamps
from h5diag.measure.shapes import Difference, Form, Shape
from h5diag.measure.stretches import runs
from h5diag.memory import AddressRange, Bytes, MemoryImage, common, merged, subtracted
from h5diag.text import size_text


def check_shapes(m: Measured) -> tuple[Finding, ...]:
    """What does the difference from a given file, or from the good board, look like?"""
    out: list[Finding] = []
    slots = [s.range for lay in m.layouts for s in lay.image_slots]
    for name, difference, content, is_file in _references(m):
        for shape in difference.shapes:
            in_slots = all(any(s.overlaps(r) for s in slots) for r in m.canonical(shape.ranges))
            if not is_file and shape.form in _SLOT_STATES and in_slots:
                continue  # what a slot holds is told by its state
            if shape.form in _LEFT_AS_IT_WAS and _protected(m, shape):
                continue  # the check of the write protection tells it with more knowledge
            # What one reference told already, another that shows the same bytes need not tell again.
            if subtracted(m.canonical(shape.ranges), merged(r for f in out for r in f.explains)) and (
                f := _shape(m, shape, name, content, difference, is_file)
            ):
                out.append(f)
        # The good board has other firmware, and what stands here is a given file, byte for byte.
        for k in (k for k in m.expected if k.whole and not is_file):
            if any(r.overlaps(s) for r in k.ranges for x in difference.shapes for s in x.ranges):
                say: dict[str, Any] = {"explains": m.canonical(k.ranges), "file": k.name, "good": name}
                out.append(found("file-instead-of-good", where=k.ranges, **say))
    return tuple(out)


_SLOT_STATES = (Form.STOPPED, Form.HOLE, Form.NEVER_WRITTEN, Form.OTHER, Form.BUILD, Form.ZEROS, Form.DATA)

_LEFT_AS_IT_WAS = (Form.OTHER, Form.BUILD, Form.FELL, Form.HOLE, Form.STOPPED, Form.NEVER_WRITTEN, Form.DATA, Form.TEXT)
"""How a place looks that was neither erased nor programmed."""


def _protected(m: Measured, shape: Shape) -> bool:
    """Tell whether the shape lies in write-protected groups, and the protection explains all that differs."""
    if shape.form is Form.BUILD and not any(w.address is not None for w in m.writes):
        return False  # a protection that came later says nothing about which build stands there
    protected = m.suspect.options.wrp_ranges if m.suspect.options.settings else ()
    inside = bool(protected) and all(any(p.covers(c) for p in protected) for c in m.canonical(shape.ranges))
    return inside and any(f.id == "write-protection-matches" for f in check_write_protection(m))


def _references(m: Measured) -> Iterator[tuple[str, Difference, MemoryImage, bool]]:
    """Yield what the suspect is held against: files first, since they say what should be there."""
    for k in m.expected:
        # Of a file that stands nowhere nothing is told where another one stands whole at its place.
        replaced = any(o.whole and overlapping(m, o, k) for o in m.known if o is not k)
        if k.seen_bytes and (k.in_place or not (k.program.stands or replaced)):
            yield k.name, k.difference, k.content, True
    if m.has_good and not exchanged_regions(m):
        yield m.good.board.name, m.difference, m.good.judged, False


def _shape(
    m: Measured, shape: Shape, reference: str, content: MemoryImage, difference: Difference, is_file: bool
) -> Finding | None:
    """Return the finding for a shape; None where another check tells it with more knowledge."""
    cells = merged(m.canonical(shape.ranges))
    again = m.suspect.reads.reads > 1 or (m.later.compared_bytes > 0 and not m.later.differing_bytes)
    steady = again and not m.suspect.reads.disagreeing_bytes
    say: dict[str, Any] = {
        "where": shape.ranges,
        "explains": cells,
        "bytes": shape.bytes,
        "bits": shape.bits,
        "at": shape.at,
        "last": shape.at - 1,
        "step": abs(shape.step),
        "way": "above" if shape.step > 0 else "below",
        "reference": reference,
        "again": _program_again(m, reference),
    }
    match shape.form:
        case Form.ADDRESS_LINE:
            id = "repeats-at-address-line" if steady else "repeats-in-one-read"
            id = "content-repeats" if shape.step * 2 >= m.chip.flash.size else id
            return found(id, line=shape.step.bit_length() - 1, weight=shape.step, **say)
        case Form.BYTE_SHIFT | Form.BYTE_ORDER | Form.BYTE_LANE:
            what = "16-bit halves" if shape.value == 2 else "bytes"
            say |= {"lanes": _ORDINALS.get(shape.step), "value": shape.value, "what": what}
            say |= {"width": 8 * shape.step, "count": abs(shape.step)}
            return found(_MOVED[shape.form][shape.at in EXTERNAL], **say)
        case Form.COMB | Form.ROSE_ALONE:
            return found(_STEADY[shape.form][not steady], **say)
        case Form.OTHER:
            return _other(m, shape, difference, say)
        case Form.STOPPED:
            whole = m.chip.canonical(shape.at) % m.chip.flash.sector_size == 0
            if whole and not is_file and worked_on_mirrors(m):
                return None  # an erase that went to the other bank, which a check of its own tells
            return found("erased-from" if whole else "stopped-at", **say)
        case Form.BLANK | Form.NEVER_WRITTEN:
            written = is_file and not _blank(m.suspect.judged, m.chip.flash.erased)
            return found("piece-not-written", **say) if written else None
        case Form.HOLE:
            say["mirror"] = other_addresses(m, cells)
            told = worked_on_mirrors(m) if is_file else erased_holes(m)
            return None if told else found("piece-erased-inside", **say)
        case Form.ZEROS:
            # Long zeros where a file has content.
            offset = m.chip.canonical(shape.at) - m.chip.flash.base
            of_two = offset >= number("telling-offset") and offset.bit_count() == 1
            masked = m.suspect.masked or (m.has_good and not is_file)
            return None if masked else found("zeros-from-power-of-two" if of_two else "zeros-in-program", **say)
        case Form.FILL:
            other = "0xFF" if shape.value == 0 else "0x00"
            return found("fill-differs", fill=f"0x{shape.value:02X}", other=other, **say)
        case Form.BUILD:
            # Its tables of zeros and its fill stand elsewhere too.
            same = [x for s in difference.of(Form.ZEROS, Form.FILL) for x in s.ranges]
            say |= {"explains": merged((*cells, *m.canonical(same))), "way": "higher" if shape.step > 0 else "lower"}
            return found("other-build", **say)
        case Form.DATA:
            return found("board-pages", **say)
        case Form.FELL:
            return _fell(m, shape, reference, content, say)
        case Form.COLUMN:
            return _column(m, shape, say, steady=steady)
        case Form.AGAIN:
            source = AddressRange(shape.at + shape.step, shape.at + shape.step + shape.ranges[0].size)
            return found("stands-again", source=(source,), away=abs(shape.step), **say)
        case Form.LONE:
            lanes = bit_positions(content, m.suspect.judged, m.chip)
            return _wide_column(lanes, say, steady=steady) or found("lone-bits-differ", **say)
        case Form.TEXT:
            stamps = build_stamps(content, m.suspect.judged, shape.ranges)
            there, here = stamps or ("", "")
            return found("stamps-differ" if stamps else "texts-differ", there=there, here=here, **say)


_MOVED = {
    Form.BYTE_SHIFT: ("dump-shifted", "external-shifted"),
    Form.BYTE_ORDER: ("dump-byte-order", "external-byte-order"),
    Form.BYTE_LANE: ("lane-constant", "external-lane"),
}
"""Findings of bytes that stand elsewhere in their words, in the chip's own flash and in an external memory."""
_STEADY = {Form.COMB: ("comb-erased", "comb-erased-once"), Form.ROSE_ALONE: ("lone-bits-rose", "lone-bits-rose-once")}
"""Findings of what every read shows, and of what one read alone shows."""
_ORDINALS = {2: "second", 4: "fourth", 8: "eighth"}


def _program_again(m: Measured, reference: str) -> str:
    """Return the programmer's command that writes a given file once more; it erases the sectors that it writes to."""
    file = next((k for k in m.expected if k.name == reference), None)
    if file is None:
        return "the file that belongs there, with verification"
    place = f" 0x{file.content.span.start:08X}" if file.image.image.origin.kind == "bin" else ""
    name = f'"{file.name}"' if " " in file.name else file.name
    return f"STM32_Programmer_CLI -c port=SWD mode=UR -w {name}{place} -v"


def _column(m: Measured, shape: Shape, say: dict[str, Any], *, steady: bool) -> Finding:
    """Return the finding for a bit that is constant in every word of a place."""
    wrong = [w.mismatch for w in m.suspect.log.programming.writes if w.mismatch is not None]
    seen = any(m.chip.canonical(at) in r for at in wrong for r in merged(say["explains"]))
    say |= {
        "last": shape.ranges[-1].stop - 1,
        "bit": shape.value,
        "word": shape.step,
        "value": int(m.suspect.judged.read(shape.at, shape.at + 1)[0]) >> shape.value % 8 & 1,
        "log": " The programmer failed to verify there, too." if seen else "",
    }
    return found("column-constant" if steady or seen else "column-constant-once", **say)


def _other(m: Measured, shape: Shape, difference: Difference, say: dict[str, Any]) -> Finding | None:
    """Return the finding for sectors that hold what another known file has there."""
    say |= {"other": shape.name or "another build of the same firmware"}
    size = m.chip.flash.sector_size
    # Over what both contents have in common.
    stretches = merged(AddressRange(r.start // size, -(-r.stop // size)) for r in shape.ranges)
    if (count := max(r.size for r in stretches)) > number("few-sectors"):
        return found("pages-keep-old", count=count, **say)
    if (
        100 * shape.bytes >= number("nearly-all-percent") * difference.differing
        and difference.differing > difference.content // 2
    ):
        return found("other-file-there", **say)
    written = any(w.address is not None for w in m.writes)
    return found("sector-keeps-old-after-erase" if written else "sector-keeps-old", **say)


def _fell(m: Measured, shape: Shape, reference: str, content: MemoryImage, say: dict[str, Any]) -> Finding | None:
    # A sector that was programmed unerased because the erase hit its mirror is that cause's, not this one's.
    if any(x.covers(r) for x in worked_on_mirrors(m) for r in shape.ranges):
        return None
    repeated, lanes = m.suspect.reads.reads > 1, bit_positions(content, m.suspect.judged, m.chip)
    if repeated and erase_printed(m, [m.suspect.log.programming]) and _inside_a_sector(m, content, shape):
        return found("fell-inside-a-sector", **say)
    if old := _old_under_new(m, content, shape, reference):
        return found("old-under-new", **say, other=old)
    one_line = found("one-line-fell", **(say | {"explains": ()})) if _one_line(lanes) else found("only-fell", **say)
    return _wide_column(lanes, say, steady=repeated) or one_line


def _inside_a_sector(m: Measured, reference: MemoryImage, shape: Shape) -> bool:
    """Tell whether all that fell lies within one sector, with content that is right before and behind it there.

    An erase takes a whole sector: what was not erased is mixed up to the sector's edges, as far as there is content.
    """
    size, first, stop = m.chip.flash.sector_size, shape.ranges[0].start, shape.ranges[-1].stop
    sector = first - first % size
    return stop <= sector + size and all(
        np.count_nonzero(known & (data != m.chip.flash.erased)) >= number("right-beside")
        for data, known in (reference.read_filled(a, b) for a, b in ((sector, first), (stop, sector + size)))
    )


def _wide_column(lanes: npt.NDArray[np.int64], say: dict[str, Any], *, steady: bool) -> Finding | None:
    """Return the finding for bits that all fell at one and the same bit of the flash word; None for others.

    A debug link hands over 32 bits at a time: what shows at one of the flash word's lanes alone is not its line.
    """
    fallen, unit, most = lanes[0], lanes.shape[1], int(lanes[0].max())
    if unit <= 32 or fallen.sum() < number("few-bits") or 100 * most < number("one-line-percent") * lanes.sum():
        return None
    id = "one-column-fell" if steady else "one-column-fell-once"
    return found(id, lane=int(fallen.argmax()), unit=unit, **(say | {"bits": most}))


def _old_under_new(m: Measured, reference: MemoryImage, shape: Shape, name: str) -> str:
    """Return the name of a known content of which, with the reference, only the common ones are left; empty if none."""
    others = [(k.content, k.name) for k in m.known] + ([(m.good.judged, m.good.board.name)] if m.has_good else [])
    for other, other_name in others:
        images = (reference, other, m.suspect.judged)
        read = [[image.read_filled(r.start, r.stop) for image in images] for r in shape.ranges]
        parts = [(new & old == here, a & b & c) for (new, a), (old, b), (here, c) in read]
        if other_name != name and any(known.any() for _, known in parts) and all(s[known].all() for s, known in parts):
            return other_name
    return ""


def _one_line(lanes: npt.NDArray[np.int64]) -> bool:
    """Tell whether nearly all fallen bits sit on one bit of the byte, or of the 32-bit word."""
    fallen, at = lanes[0], np.arange(lanes.shape[1])
    most = max(int(np.bincount(at % width, weights=fallen).max()) for width in (8, 32))
    return bool(fallen.sum() >= number("few-bits") and 100 * most > number("one-line-percent") * fallen.sum())


def check_container(m: Measured) -> tuple[Finding, ...]:
    """Does a file stand in the flash with its wrapping, as it lay on the disk?"""
    views = dict.fromkeys((m.chip.flash.base, m.suspect.dump.span.start))
    for view in (v for v in views if m.suspect.judged.covers(v, v + 16)):
        head = m.suspect.judged.read(view, view + 16).tobytes()
        if kind := next((what for mark, what in _WRAPPED if head.startswith(mark)), ""):
            where = tuple(r for r in m.suspect.judged.ranges if r.start <= view < r.stop)
            return (found("file-with-its-wrapping", where=where, explains=m.canonical(where), kind=kind, at=view),)
    return ()


_WRAPPED = (
    (b"\x7fELF", "an ELF file"),
    (b":02000004", "an Intel HEX file"),
    (b":1000", "an Intel HEX file"),
    (b"S0", "an S-record file"),
    (b"DfuSe", "a DfuSe file"),
    (b"UF2\n", "a UF2 file"),
)
"""How files begin that hold more than the bytes for the flash."""


def check_overwritten(m: Measured) -> tuple[Finding, ...]:
    """Does a log tell of another file, not in the case, that was written where a given one is not right?"""
    given, sector = {base_name(k.name).lower() for k in m.known}, m.chip.flash.sector_size
    last = {at: w for w in m.writes if (at := w.address) is not None and w.size}
    others = [(at, w) for at, w in last.items() if base_name(w.file).lower() not in given]
    for k in (k for k in m.expected if k.seen_bytes and not k.whole):
        wrong = m.canonical(k.difference.ranges)
        for at, w in others if wrong else ():
            start = m.chip.canonical(at)
            written = AddressRange(start, -(-(start + w.size) // sector) * sector)
            if all(written.covers(r) for r in wrong) and written.size < k.content.size:
                say: dict[str, Any] = {"file": base_name(w.file), "at": at, "size": w.size, "reference": k.name}
                return (found("other-file-written", where=wrong, explains=wrong, **say),)
    return ()


def check_nothing_of_it(m: Measured) -> Iterator[Finding]:
    """Which shapes of a difference were looked for and are not there?"""
    references = [d for _, d, _, _ in _references(m) if d.seen]
    if not references:
        return
    forms = {s.form for d in references for s in d.shapes}
    fell, rose = sum(d.rest_fallen for d in references), sum(d.rest_risen for d in references)
    absent = any(k.content.size and not k.program.stands and not k.in_place for k in m.known)
    mixed = bool(forms & {Form.FELL, Form.OTHER, Form.ADDRESS_LINE})
    if not any(d.differing for d in references) and not absent:
        yield found("nothing-differs")
    if not mixed and rose >= number("few-bits"):
        yield found("bits-rose", risen=rose, fallen=fell)
    elif not mixed and not fell + rose:
        yield found("nothing-mixed")
    if Form.FILL not in forms:
        yield found("no-padding-difference")


def check_blank(m: Measured) -> tuple[Finding, ...]:
    """Is everything that was read erased, or zero?"""
    dump, flash, options = m.suspect.dump, m.chip.flash, m.suspect.options
    if dump.size and dump.span.start in OLDER_ROM:
        differs = m.has_good and bool(m.comparison.differing_bytes)
        return (found("system-memory-differs", where=dump.ranges, good=m.good.board.name),) if differs else ()
    whole: dict[str, Any] = {"where": dump.ranges, "explains": m.canonical(dump.ranges), "size": dump.size}
    if _blank(dump, flash.erased):
        # A part of an unknown size may have no more than was read.
        begins = min(r.start for r in m.canonical(dump.ranges)) == flash.base
        part = dump.size < flash.sector_size or (2 * dump.size < flash.size and not m.chip_assumed)
        if part or (not begins and dump.size < flash.size and dump.span.start not in EXTERNAL):
            known = not m.chip_assumed
            rest = f"The other {size_text(flash.size - dump.size)} were" if known else "What else there is was"
            places = [r for k in m.known for r in m.canonical(k.content.ranges)]
            if places and not any(r.overlaps(p) for r in m.canonical(dump.ranges) for p in places):
                return (found("erased-where-nothing-belongs", file=m.known[0].name, places=merged(places), **whole),)
            return (found("erased-as-far-as-read", rest=rest, **whole),)
        failed = [w.file for w in m.writes if w.failed]
        id, name = ("all-erased-write-failed", failed[0]) if failed else ("all-erased", "")
        return (found(id, value=f"0x{flash.erased:02X}", file=name, **whole),)
    if dump.size < flash.sector_size or any(s.data.any() for s in dump.segments) or m.suspect.masked:
        return ()
    if dump.span.start in EXTERNAL:
        return (found("external-reads-zero", where=dump.ranges, size=dump.size),)
    if m.suspect.log.banner.voltage_mv == 0 or (options.settings and not any(options.settings)):
        return (found("all-zero-no-supply", **whole),)
    secure = options.secure_ranges if options.settings and options.trustzone is True else ()
    if secure and all(any(s.covers(r) for s in secure) for r in m.canonical(dump.ranges)):
        names = ", ".join(a.area.name for a in options.areas if a.area.kind == "secure" and a.ranges)
        return (found("all-zero-and-secure", secure=secure, names=names, **whole),)
    return (found("all-zero", where=dump.ranges, size=dump.size),)


_WORDS = (32, 16, 8)
"""Bytes of a flash word: H7; H5, U5; L4, L5, G4, WB (their reference manuals)."""


def check_word_hole(m: Measured) -> tuple[Finding, ...]:
    """Is one flash word erased in the middle of a program that nothing is there to compare with?"""
    known = () if m.chip_assumed or m.choice.chip is None else (m.chip.flash.program_unit,)
    for unit in () if m.has_good or any(k.seen_bytes for k in m.known) else known or _WORDS:
        holes = [at for s in m.suspect.judged.segments for at in _holes(s.data, unit, s.start)]
        if len(holes) == 1:
            where = (AddressRange(holes[0], holes[0] + unit),)
            return (found("one-word-erased", where=where, unit=unit, at=holes[0]),)
    return ()


def check_sector_hole(m: Measured) -> tuple[Finding, ...]:
    """Are whole sectors erased in the middle of a program that nothing is there to compare with?"""
    if m.has_good or any(k.seen_bytes for k in m.known) or m.suspect.dump.span.start in EXTERNAL:
        return ()
    sector, edge = m.chip.flash.sector_size, 32
    for s in m.suspect.judged.segments:
        erased = s.data == m.chip.flash.erased
        for a, b in runs(erased, 1, sector):
            whole = (s.start + a) % sector == (s.start + b) % sector == 0
            # A program fills its pages: content that ends at a sector's edge by chance is rare on both sides of a hole.
            around = [erased[max(0, a - n) : a] for n in (edge, sector)] + [erased[b : b + n] for n in (edge, sector)]
            full = all(x.size and 100 * x.mean() < number("most-erased-percent") for x in around)
            if whole and full and b - a <= number("sectors-of-a-hole") * sector:
                where = (AddressRange(s.start + a, s.start + b),)
                return (found("sectors-erased-inside", where=where, sectors=(b - a) // sector),)
    return ()


def _holes(data: Bytes, unit: int, start: int) -> Iterator[int]:
    """Yield the addresses of erased words with dense content on both sides."""
    first, near = -start % unit, number("around") // unit
    words = data[first : first + (data.size - first) // unit * unit].reshape(-1, unit)
    erased = np.zeros(len(words) + 2, np.bool_)
    for k in range(0, len(words), WINDOW):
        erased[k + 1 : -1][:WINDOW] = (words[k : k + WINDOW] == 0xFF).all(axis=1)
    for i in np.flatnonzero(erased[1:-1] & ~erased[:-2] & ~erased[2:]).tolist():
        sides = words[max(0, i - near) : i], words[i + 1 : i + 1 + near]
        around = np.concatenate(sides).reshape(-1, 4)
        dense = not ((around == 0xFF).all(axis=1) | (around == 0).all(axis=1)).any()
        if dense and all(len(x) == near for x in sides):
            yield start + first + i * unit


def _blank(dump: MemoryImage, erased: int) -> bool:
    parts = (s.data[k : k + WINDOW] for s in dump.segments for k in range(0, s.data.size, WINDOW))
    return bool(dump.segments) and all(bool((part == erased).all()) for part in parts)


def check_build(m: Measured) -> Iterator[Finding]:
    """Is a given build on the chip whole, and where does it differ?"""
    for k, match in ((known, first) for known in m.known for first in known.matches[:1]):
        if not match.whole and not match.same_image:
            where, places = [d.range for d in match.differences[:8]], "; ".join(map(str, match.differences[:3]))
            yield found("build-differs", where=where, file=k.name, match=match, places=places)


def check_size(m: Measured) -> tuple[Finding, ...]:
    """Do tool, layout and chip agree on the size of the flash?"""
    flash, banner, identity = m.chip.flash, m.suspect.log.banner, m.suspect.board.identity
    wanted, said = flash.size // 1024, identity.flash_kib if identity is not None else None
    told = [(n, k) for n, k in (("the programmer", banner.flash_kib), ("the chip", said)) if k]
    for who, kib in told:
        # A device without a chip file has parts of several sizes: what the chip says of itself is the size.
        if kib != wanted and not m.chip_assumed and m.choice.chip is not None:
            halves: dict[str, Any] = {"bank": flash.base + kib * 512, "assumed": flash.base + flash.bank_size}
            return (found("size-disagrees", who=who, kib=kib, chip=m.chip.name, wanted=wanted, **halves),)
    weight, repeat = repeating_line(m.suspect.dump)
    if weight and not any(s.form is Form.ADDRESS_LINE for _, d, _, _ in _references(m) for s in d.shapes):
        id = "content-repeats" if weight * 2 >= flash.size else "dump-repeats-itself"
        return (found(id, where=(repeat,), line=weight.bit_length() - 1, weight=weight),)
    larger = check_larger_part(m) or any(e.about == "wrong-size-assumption" for e in m.suspect.log.messages)
    if told and m.choice.chip is not None and not larger:
        return (found("size-agrees", kib=told[0][1], who=told[0][0]),)
    return (found("size-unread"),) if banner and banner.flash_size_assumed else ()


def check_wrap(m: Measured) -> tuple[Finding, ...]:
    """Does an external memory show the same content again a power of two further on, where no file has it twice?"""
    dump, three = m.suspect.judged, number("three-bytes")
    for step in (three, *(1 << line for line in range(19, 28) if line != 24)):
        where, twice = _again(dump, step)
        wanted = (s for k in m.known for r in where for s in k.content.segments_in(r.start, r.stop))
        # Most of what is wanted there is not what the dump holds.
        pairs = ((s, *dump.read_filled(s.start, s.stop)) for s in wanted)
        other = any(2 * np.count_nonzero(known & (data != s.data)) > s.data.size for s, data, known in pairs)
        # Two slots may hold the same image; that a memory wraps is told by a file that wants other content there.
        if where and (other or (step == three and not any(_again(k.content, step)[1] for k in m.known))):
            end = ("three-bytes-end", "use-four-bytes") if step == three else ("memory-ends", "look-at-its-size")
            why, do = (calibration().advice[name] for name in end)
            say: dict[str, Any] = {"lower": where[0].start - step, "weight": step, "bytes": twice, "why": why, "do": do}
            return (found("external-wraps", where=where, explains=where, hint=not other, **say),)
    return ()


def _again(image: MemoryImage, step: int) -> tuple[tuple[AddressRange, ...], int]:
    """Return the external ranges that hold what stands `step` lower, and how many telling bytes they have."""
    where, count = [], 0
    external = replace(image, segments=tuple(s for s in image.segments if s.start - step in EXTERNAL))
    for at, here, low in common(external, image, -step):
        telling, same = agreeing(here, low)
        if same >= LEAST_REPEAT and 100 * same >= number("repeat-percent") * telling:
            where.append(AddressRange(at + step, at + step + here.size))
            count += same
    return tuple(where), count


def check_later(m: Measured) -> tuple[Finding, ...]:
    """Did the flash change between two moments?"""
    if not m.later.compared_bytes:
        return ()
    changed, size = [a.range for a in m.later.counted], m.chip.flash.sector_size
    if not changed:
        return (found("unchanged-later", size=m.later.compared_bytes),)
    sectors = (AddressRange(r.start - r.start % size, -(-r.stop // size) * size) for r in changed)
    say: dict[str, Any] = {"where": changed, "bytes": m.later.differing_bytes, "explains": merged(m.canonical(sectors))}
    for k in m.expected:
        gone = _gone_since(m, k, changed)
        if 2 * gone > m.later.differing_bytes:
            return (found("changed-in-a-file", file=k.name, gone=gone, **say),)
    return (found("changed-later", **say),)


def _gone_since(m: Measured, file: KnownFact, changed: Sequence[AddressRange]) -> int:
    """Return how many bytes of a file's content read erased in the later read, and were there in the first."""
    gone, erased = 0, m.chip.flash.erased
    images = (file.content, m.suspect.judged, m.suspect.board.later[0].image)
    for r in changed:
        (want, known), (first, a), (now, b) = (x.read_filled(r.start, r.stop) for x in images)
        gone += int(np.count_nonzero(known & a & b & (want != erased) & (first == want) & (now == erased)))
    return gone


def check_file_left_out(m: Measured) -> tuple[Finding, ...]:
    """Does the log tell of other files, and neither it nor the dump of a given one?"""
    writes = [w for w in m.suspect.log.programming.writes if w.address is not None and w.size]
    written = m.canonical(AddressRange(w.address or 0, (w.address or 0) + w.size) for w in writes)
    names = {base_name(w.file).lower() for w in writes}
    for k in m.expected if writes and m.suspect.judged.size else ():
        where = m.canonical([k.content.span])
        overwritten = any(r.overlaps(w) for r in where for w in written)
        if not k.seen_bytes and base_name(k.name).lower() not in names and not overwritten:
            other = base_name(writes[0].file)
            return (found("file-left-out", where=where, file=k.name, at=k.content.span.start, other=other),)
    return ()
