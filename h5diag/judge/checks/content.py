"""Checks of the content in place: what a difference looks like, repeated content, size, changes over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from h5diag.judge.checks.printed import erase_told
from h5diag.judge.checks.reading import check_zeros
from h5diag.judge.checks.start import OLDER_ROM
from h5diag.judge.findings import Finding, found
from h5diag.judge.measured import KnownFact, Measured
from h5diag.measure.compare import bit_positions, compare
from h5diag.measure.copies import LEAST_REPEAT, repeating_line
from h5diag.measure.drift import build_stamps
from h5diag.measure.shapes import Difference, Form, Shape
from h5diag.memory import AddressRange, Bytes, MemoryImage, Segment, merged, subtracted
from h5diag.text import size_text

_FEW_BITS = 16
"""Fewer bits that all fell could be chance: 16 of 16 happens once in 65536 times."""

_RIGHT_BESIDE = 256
"""Content that is right before and behind a place, in its sector, for that sector to have been erased and written."""


def check_shapes(m: Measured) -> tuple[Finding, ...]:
    """What does the difference from a given file, or from the good board, look like?"""
    out: list[Finding] = []
    for name, difference, content, is_file in _references(m):
        for shape in difference.shapes:
            if not is_file and shape.form in _SLOT_STATES and _in_slots(m, shape):
                continue  # what a slot holds is told by its state
            if shape.form in _LEFT_AS_IT_WAS and _protected(m, shape):
                continue  # the check of the write protection tells it with more knowledge
            # What one reference told already, another that shows the same bytes need not tell again.
            told = merged(r for f in out for r in f.explains)
            if subtracted(m.canonical(shape.ranges), told) and (
                f := _shape(m, shape, name, content, difference, is_file)
            ):
                out.append(f)
        if is_file:
            continue
        # The good board has other firmware, and what stands here is a given file, byte for byte.
        for k in m.expected:
            if k.whole and any(r.overlaps(s) for r in k.ranges for x in difference.shapes for s in x.ranges):
                out.append(
                    found(
                        "file-instead-of-good", where=k.ranges, explains=m.canonical(k.ranges), file=k.name, good=name
                    )
                )
    return tuple(out)


_SLOT_STATES = (Form.STOPPED, Form.HOLE, Form.NEVER_WRITTEN, Form.OTHER, Form.BUILD, Form.ZEROS, Form.DATA)

_LEFT_AS_IT_WAS = (Form.OTHER, Form.BUILD, Form.FELL, Form.HOLE, Form.STOPPED, Form.NEVER_WRITTEN, Form.DATA, Form.TEXT)
"""How a place looks that was neither erased nor programmed."""


def _protected(m: Measured, shape: Shape) -> bool:
    """Tell whether the shape lies in write-protected groups, and the protection explains all that differs."""
    if shape.form is Form.BUILD and not _told_to_write(m):
        return False  # a protection that came later says nothing about which build stands there
    protected = m.suspect.options.wrp_ranges if m.suspect.options.settings else ()
    inside = bool(protected) and all(any(p.covers(c) for p in protected) for c in m.canonical(shape.ranges))
    return inside and any(f.id == "write-protection-matches" for f in check_write_protection(m))


def _in_slots(m: Measured, shape: Shape) -> bool:
    slots = [s.range for lay in m.layouts for s in lay.image_slots]
    return all(any(s.overlaps(r) for s in slots) for r in m.canonical(shape.ranges))


def _references(m: Measured) -> Iterator[tuple[str, Difference, MemoryImage, bool]]:
    """Yield what the suspect is held against: files first, since they say what should be there."""
    for k in m.expected:
        if k.seen_bytes and (k.in_place or not (k.program.stands or _replaced(m, k))):
            yield k.name, k.difference, k.content, True
    if m.has_good and not exchanged_regions(m):
        yield m.good.board.name, m.difference, m.good.judged, False


def _replaced(m: Measured, file: KnownFact) -> bool:
    """Tell whether another known file stands whole at the place of this one."""
    return any(o.whole and overlapping(m, o, file) for o in m.known if o is not file)


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
        "reference": reference,
        "again": _program_again(m, reference),
    }
    external = shape.at in EXTERNAL
    match shape.form:
        case Form.ADDRESS_LINE:
            line = shape.step.bit_length() - 1
            id = "repeats-at-address-line" if steady else "repeats-in-one-read"
            if shape.step * 2 >= m.chip.flash.size:
                id = "content-repeats"
            return found(id, line=line, weight=shape.step, **say)
        case Form.BYTE_SHIFT:
            return found("external-shifted" if external else "dump-shifted", count=abs(shape.step), **say)
        case Form.BYTE_ORDER:
            what = "16-bit halves" if shape.value == 2 else "bytes"
            id = "external-byte-order" if external else "dump-byte-order"
            return found(id, what=what, width=8 * shape.step, **say)
        case Form.BYTE_LANE:
            ordinal = {2: "second", 4: "fourth", 8: "eighth"}[shape.step]
            return found("external-lane" if external else "lane-constant", lanes=ordinal, value=shape.value, **say)
        case Form.OTHER:
            return _other(m, shape, difference, say)
        case Form.STOPPED:
            whole = m.chip.canonical(shape.at) % m.chip.flash.sector_size == 0
            if whole and not is_file and worked_on_mirrors(m):
                return None  # an erase that went to the other bank, which a check of its own tells
            return found("erased-from" if whole else "stopped-at", last=shape.at - 1, **say)
        case Form.BLANK | Form.NEVER_WRITTEN:
            return (
                found("piece-not-written", **say)
                if is_file and not _blank(m.suspect.judged, m.chip.flash.erased)
                else None
            )
        case Form.HOLE:
            say["mirror"] = other_addresses(m, cells)
            return found("piece-erased-inside", **say) if is_file or not erased_holes(m) else None
        case Form.ZEROS:
            return _zeros(m, shape, say) if is_file or not m.has_good else None
        case Form.FILL:
            fill = f"0x{shape.value:02X}"
            return found("fill-differs", fill=fill, other="0xFF" if shape.value == 0 else "0x00", **say)
        case Form.BUILD:
            # Its tables of zeros and its fill stand elsewhere too.
            same = [x for s in difference.of(Form.ZEROS, Form.FILL) for x in s.ranges]
            say |= {"explains": merged((*cells, *m.canonical(same)))}
            return found("other-build", step=abs(shape.step), way="higher" if shape.step > 0 else "lower", **say)
        case Form.DATA:
            return found("board-pages", **say)
        case Form.FELL:
            return _fell(m, shape, reference, content, say)
        case Form.COLUMN:
            return _column(m, shape, say, steady=steady)
        case Form.COMB:
            return found("comb-erased" if steady else "comb-erased-once", step=shape.step, **say)
        case Form.AGAIN:
            way = "above" if shape.step > 0 else "below"
            source = AddressRange(shape.at + shape.step, shape.at + shape.step + shape.ranges[0].size)
            return found("stands-again", source=(source,), away=abs(shape.step), way=way, **say)
        case Form.ROSE_ALONE:
            return found("lone-bits-rose" if steady else "lone-bits-rose-once", **say)
        case Form.LONE:
            return _wide_column(_lanes(m, content), say, steady=steady) or found("lone-bits-differ", **say)
        case Form.TEXT:
            if stamps := build_stamps(content, m.suspect.judged, shape.ranges):
                return found("stamps-differ", there=stamps[0], here=stamps[1], **say)
            return found("texts-differ", **say)


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
    if (count := max(r.size for r in stretches)) > _FEW_SECTORS:
        return found("pages-keep-old", count=count, **say)
    if shape.bytes >= 0.9 * difference.differing and difference.differing > difference.content // 2:
        return found("other-file-there", **say)
    return found("sector-keeps-old-after-erase" if _told_to_write(m) else "sector-keeps-old", **say)


_FEW_SECTORS = 4
"""More that follow each other do not fail together for their cells: a tool or a protection left them as they were."""


def _told_to_write(m: Measured) -> bool:
    """Tell whether a log tells of a write to an address."""
    return any(w.address is not None for log in m.logs for w in log.programming.writes)


def _zeros(m: Measured, shape: Shape, say: dict[str, Any]) -> Finding | None:
    """Return the finding for long zeros where a file has content."""
    offset = m.chip.canonical(shape.at) - m.chip.flash.base
    if m.suspect.masked:
        return None
    if offset >= 0x4000 and offset & (offset - 1) == 0:
        return found("zeros-from-power-of-two", last=shape.at - 1, **say)
    return found("zeros-in-program", **say)


def _fell(m: Measured, shape: Shape, reference: str, content: MemoryImage, say: dict[str, Any]) -> Finding | None:
    # A sector that was programmed unerased because the erase hit its mirror is that cause's, not this one's.
    if any(x.covers(r) for x in worked_on_mirrors(m) for r in shape.ranges):
        return None
    repeated = m.suspect.reads.reads > 1
    if repeated and erase_told(m, [m.suspect.log.programming]) and _inside_a_sector(m, content, shape):
        return found("fell-inside-a-sector", **say)
    if old := _old_under_new(m, content, shape, reference):
        return found("old-under-new", **say, other=old)
    lanes = _lanes(m, content)
    if column := _wide_column(lanes, say, steady=repeated):
        return column
    if _one_line(lanes):
        return found("one-line-fell", **(say | {"explains": ()}))
    return found("only-fell", **say)


def _inside_a_sector(m: Measured, reference: MemoryImage, shape: Shape) -> bool:
    """Tell whether all that fell lies within one sector, with content that is right before and behind it there.

    An erase takes a whole sector: what was not erased is mixed up to the sector's edges, as far as there is content.
    """
    size, first, stop = m.chip.flash.sector_size, shape.ranges[0].start, shape.ranges[-1].stop
    sector = first - first % size
    if stop > sector + size:
        return False
    return all(
        np.count_nonzero(known & (data != m.chip.flash.erased)) >= _RIGHT_BESIDE
        for data, known in (reference.read_filled(a, b) for a, b in ((sector, first), (stop, sector + size)))
    )


def _lanes(m: Measured, reference: MemoryImage) -> npt.NDArray[np.int64]:
    """Return how many bits fell and how many rose against a reference, at each bit of the flash word."""
    return bit_positions(reference, m.suspect.judged, compare(reference, m.suspect.judged, m.chip), m.chip)


def _wide_column(lanes: npt.NDArray[np.int64], say: dict[str, Any], *, steady: bool) -> Finding | None:
    """Return the finding for bits that all fell at one and the same bit of the flash word; None for others.

    A debug link hands over 32 bits at a time: what shows at one of the flash word's lanes alone is not its line.
    """
    fallen, risen = lanes
    if fallen.size <= 32 or fallen.sum() < _FEW_BITS or fallen.max() < 0.95 * (fallen.sum() + risen.sum()):
        return None
    lane, unit = int(fallen.argmax()), fallen.size
    id = "one-column-fell" if steady else "one-column-fell-once"
    return found(id, lane=lane, unit=unit, **(say | {"bits": int(fallen.max())}))


def _old_under_new(m: Measured, reference: MemoryImage, shape: Shape, name: str) -> str:
    """Return the name of a known content of which, with the reference, only the common ones are left; empty if none."""
    others = [(k.content, k.name) for k in m.known if k.name != name]
    others += [(m.good.judged, m.good.board.name)] if m.has_good and m.good.board.name != name else []
    for other, other_name in others:
        same = total = 0
        for r in shape.ranges:
            new, old = (image.read_filled(r.start, r.stop) for image in (reference, other))
            here = m.suspect.judged.read_filled(r.start, r.stop)
            known = new[1] & old[1] & here[1]
            same += int(np.count_nonzero((new[0] & old[0] == here[0])[known]))
            total += int(np.count_nonzero(known))
        if total and same == total:
            return other_name
    return ""


def _one_line(lanes: npt.NDArray[np.int64]) -> bool:
    """Tell whether nearly all fallen bits sit on one bit of the byte, or of the 32-bit word."""
    fallen = lanes[0]
    total = int(fallen.sum())
    return total >= _FEW_BITS and any(
        int(np.bincount(np.arange(lanes.shape[1]) % w, weights=fallen).max()) > 0.95 * total for w in (8, 32)
    )


def check_container(m: Measured) -> tuple[Finding, ...]:
    """Does a file stand in the flash with its wrapping, as it lay on the disk?"""
    for view in dict.fromkeys((m.chip.flash.base, m.suspect.dump.span.start if m.suspect.dump.size else 0)):
        if not m.suspect.judged.covers(view, view + 16):
            continue
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
    given = {base_name(k.name).lower() for k in m.known}
    last = {at: w for log in m.logs for w in log.programming.writes if (at := w.address) is not None and w.size}
    for k in (k for k in m.expected if k.seen_bytes and not k.whole):
        for at, w in last.items():
            if base_name(w.file).lower() in given:
                continue
            start = m.chip.canonical(at)
            sector = m.chip.flash.sector_size
            written = AddressRange(start, -(-(start + w.size) // sector) * sector)
            wrong = m.canonical(k.difference.ranges)
            if wrong and all(written.covers(r) for r in wrong) and written.size < k.content.size:
                return (
                    found(
                        "other-file-written",
                        where=wrong,
                        explains=wrong,
                        file=base_name(w.file),
                        at=w.address,
                        size=w.size,
                        reference=k.name,
                    ),
                )
    return ()


def check_nothing_of_it(m: Measured) -> tuple[Finding, ...]:
    """Which shapes of a difference were looked for and are not there?"""
    references = [d for _, d, _, _ in _references(m) if d.seen]
    if not references:
        return ()
    forms = {s.form for d in references for s in d.shapes}
    fell = sum(d.rest_fallen for d in references)
    rose = sum(d.rest_risen for d in references)
    out = []
    absent = any(k.content.size and not k.program.stands and not k.in_place for k in m.known)
    if not any(d.differing for d in references) and not absent:
        out.append(found("nothing-differs"))
    if not forms & {Form.FELL, Form.OTHER, Form.ADDRESS_LINE}:
        if rose >= _FEW_BITS:
            out.append(found("bits-rose", risen=rose, fallen=fell))
        elif not fell + rose:
            out.append(found("nothing-mixed"))
    if Form.FILL not in forms and not any(f.id == "fill-between-pieces" for f in check_zeros(m)):
        out.append(found("no-padding-difference"))
    return tuple(out)


def check_blank(m: Measured) -> tuple[Finding, ...]:
    """Is everything that was read erased, or zero?"""
    dump, flash = m.suspect.dump, m.chip.flash
    if dump.size and dump.span.start in OLDER_ROM:
        differs = m.has_good and bool(m.comparison.differing_bytes)
        return (found("system-memory-differs", where=dump.ranges, good=m.good.board.name),) if differs else ()
    whole: dict[str, Any] = {"where": dump.ranges, "explains": m.canonical(dump.ranges), "size": dump.size}
    if _blank(dump, flash.erased):
        # A part of an unknown size may have no more than was read.
        if dump.size < flash.sector_size or (2 * dump.size < flash.size and not m.chip_assumed):
            rest = "What else there is was" if m.chip_assumed else f"The other {size_text(flash.size - dump.size)} were"
            return (found("erased-as-far-as-read", rest=rest, **whole),)
        failed = next((w for log in m.logs for w in log.programming.writes if w.failed), None)
        id = "all-erased-write-failed" if failed else "all-erased"
        name, value = failed.file if failed else "", f"0x{flash.erased:02X}"
        return (found(id, value=value, file=name, **whole),)
    if dump.size < flash.sector_size or any(s.data.any() for s in dump.segments) or m.suspect.masked:
        return ()
    if dump.span.start in EXTERNAL:
        return (found("external-reads-zero", where=dump.ranges, size=dump.size),)
    options = m.suspect.options
    if m.suspect.log.banner.voltage_mv == 0 or (options.settings and not any(options.settings)):
        return (found("all-zero-no-supply", **whole),)
    secure = options.secure_ranges if options.settings and options.trustzone is True else ()
    if secure and all(any(s.covers(r) for s in secure) for r in m.canonical(dump.ranges)):
        names = ", ".join(a.area.name for a in options.areas if a.area.kind == "secure" and a.ranges)
        return (found("all-zero-and-secure", secure=secure, names=names, **whole),)
    return (found("all-zero", where=dump.ranges, size=dump.size),)


_WORDS = (32, 16, 8)
"""Bytes of a flash word: H7; H5, U5; L4, L5, G4, WB (their reference manuals)."""
_AROUND = 64
"""So many bytes on both sides have to be dense for an erased word to be a hole, and no table's end."""


def check_word_hole(m: Measured) -> tuple[Finding, ...]:
    """Is one flash word erased in the middle of a program that nothing is there to compare with?"""
    if m.has_good or any(k.seen_bytes for k in m.known):
        return ()
    known = () if m.chip_assumed or m.choice.chip is None else (m.chip.flash.program_unit,)
    for unit in known or _WORDS:
        holes = [at for s in m.suspect.judged.segments for at in _holes(s.data, unit, s.start)]
        if len(holes) == 1:
            where = (AddressRange(holes[0], holes[0] + unit),)
            return (found("one-word-erased", where=where, unit=unit, at=holes[0]),)
    return ()


def _holes(data: Bytes, unit: int, start: int) -> Iterator[int]:
    """Yield the addresses of erased words with dense content on both sides."""
    first = -start % unit
    words = data[first : first + (data.size - first) // unit * unit].reshape(-1, unit)
    near = _AROUND // unit
    for i in np.flatnonzero((words == 0xFF).all(axis=1)):
        sides = words[max(0, i - near) : i], words[i + 1 : i + 1 + near]
        around = np.concatenate(sides).reshape(-1, 4)
        dense = not ((around == 0xFF).all(axis=1) | (around == 0).all(axis=1)).any()
        if dense and all(len(x) == near for x in sides):
            yield start + first + int(i) * unit


def _blank(dump: MemoryImage, erased: int) -> bool:
    return bool(dump.segments) and all(bool((s.data == erased).all()) for s in dump.segments)


def check_build(m: Measured) -> tuple[Finding, ...]:
    """Is a given build on the chip whole, and where does it differ?"""
    out = []
    for k in m.known:
        for match in k.matches[:1]:
            if match.whole or match.same_image:
                continue
            out.append(
                found(
                    "build-differs",
                    where=tuple(d.range for d in match.differences[:8]),
                    file=k.name,
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
    told = [(n, k) for n, k in (("the programmer", banner.flash_kib), ("the chip", said)) if k]
    for who, kib in told:
        # A device without a chip file has parts of several sizes: what the chip says of itself is the size.
        if kib != wanted and not m.chip_assumed and m.choice.chip is not None:
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
    weight, repeat = repeating_line(m.suspect.dump)
    if weight and not any(s.form is Form.ADDRESS_LINE for _, d, _, _ in _references(m) for s in d.shapes):
        id = "content-repeats" if weight * 2 >= m.chip.flash.size else "dump-repeats-itself"
        return (found(id, where=(repeat,), line=weight.bit_length() - 1, weight=weight),)
    larger = check_larger_part(m) or any(e.about == "wrong-size-assumption" for e in m.suspect.log.messages)
    if told and m.choice.chip is not None and not larger:
        return (found("size-agrees", kib=told[0][1], who=told[0][0]),)
    return (found("size-unread"),) if banner and banner.flash_size_assumed else ()


THREE_BYTES = 1 << 24
"""A serial memory that is addressed with three bytes shows its first 16 MiB again from here on."""


def check_wrap(m: Measured) -> tuple[Finding, ...]:
    """Does an external memory show the same content again a power of two further on, where no file has it twice?"""
    dump = m.suspect.judged
    for step in (THREE_BYTES, *(1 << line for line in range(19, 28) if line != 24)):
        where, twice = _again(dump, step)
        other = [
            s for k in m.known for r in where for s in k.content.segments_in(r.start, r.stop) if _else_here(s, dump)
        ]
        # Two slots may hold the same image; that a memory wraps is told by a file that wants other content there.
        if where and (other or (step == THREE_BYTES and not any(_again(k.content, step)[1] for k in m.known))):
            why = (
                "three-byte addresses reach no further, so that a memory of more has to be put into four-byte mode"
                if step == THREE_BYTES
                else "as a memory of just that size does, or one of which an address line is not driven"
            )
            do = (
                "Put the memory into four-byte mode (command B7h), or use commands with four address bytes"
                if step == THREE_BYTES
                else "Hold the size that is set up, and the memory's own, against its data sheet"
            )
            lower = where[0].start - step
            say: dict[str, Any] = {"lower": lower, "weight": step, "bytes": twice, "why": why, "do": do}
            return (found("external-wraps", where=where, explains=where, hint=not other, **say),)
    return ()


def _else_here(wanted: Segment, dump: MemoryImage) -> bool:
    """Tell whether most of what is wanted there is not what the dump holds."""
    data, known = dump.read_filled(wanted.start, wanted.stop)
    return bool(np.count_nonzero(known & (data != wanted.data)) > wanted.data.size // 2)


def _again(image: MemoryImage, step: int) -> tuple[tuple[AddressRange, ...], int]:
    """Return the external ranges that hold what stands `step` lower, and how many telling bytes they have."""
    where, count = [], 0
    for s in image.segments:
        for low in image.segments_in(s.start - step, s.stop - step) if s.start - step in EXTERNAL else ():
            here = s.data[low.start + step - s.start :][: low.data.size]
            telling = (here != 0xFF) & (here != 0)
            same = np.count_nonzero(telling & (here == low.data))
            if same >= LEAST_REPEAT and same >= 0.98 * np.count_nonzero(telling):
                where.append(AddressRange(low.start + step, low.start + step + here.size))
                count += int(same)
    return tuple(where), count


def check_later(m: Measured) -> tuple[Finding, ...]:
    """Did the flash change between two moments?"""
    if not m.later.compared_bytes:
        return ()
    changed = [a.range for a in m.later.counted]
    if not changed:
        return (found("unchanged-later", size=m.later.compared_bytes),)
    say: dict[str, Any] = {"where": changed, "bytes": m.later.differing_bytes}
    say["explains"] = merged(m.canonical(_whole_sectors(changed, m)))
    for k in m.expected:
        gone = _gone_since(m, k, changed)
        if 2 * gone > m.later.differing_bytes:
            return (found("changed-in-a-file", file=k.name, gone=gone, **say),)
    return (found("changed-later", **say),)


def _gone_since(m: Measured, file: KnownFact, changed: Sequence[AddressRange]) -> int:
    """Return how many bytes of a file's content read erased in the later read, and were there in the first."""
    gone, erased = 0, m.chip.flash.erased
    later = m.suspect.board.later[0].image
    for r in changed:
        want, known = file.content.read_filled(r.start, r.stop)
        (first, a), (now, b) = (x.read_filled(r.start, r.stop) for x in (m.suspect.judged, later))
        gone += int(np.count_nonzero(known & a & b & (want != erased) & (first == want) & (now == erased)))
    return gone


def _whole_sectors(ranges: Sequence[AddressRange], m: Measured) -> list[AddressRange]:
    size = m.chip.flash.sector_size
    return [AddressRange(r.start - r.start % size, -(-r.stop // size) * size) for r in ranges]


def check_file_left_out(m: Measured) -> tuple[Finding, ...]:
    """Does the log tell of other files, and neither it nor the dump of a given one?"""
    writes = [w for w in m.suspect.log.programming.writes if w.address is not None and w.size]
    if not writes or m.suspect.judged.size == 0:
        return ()
    written = [AddressRange(a, a + w.size) for w in writes for a in (m.chip.canonical(w.address or 0),)]
    for k in m.expected:
        where = m.canonical([k.content.span])
        named = any(base_name(w.file).lower() == base_name(k.name).lower() for w in writes)
        if k.seen_bytes or named or any(r.overlaps(w) for r in where for w in written):
            continue
        return (
            found("file-left-out", where=where, file=k.name, at=k.content.span.start, other=base_name(writes[0].file)),
        )
    return ()
