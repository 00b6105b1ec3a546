"""Checks of where content stands: misplaced files, exchanged banks, erased holes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise, product
from typing import Any

import numpy as np

from h5diag.judge.checks.options import options_torn
from h5diag.judge.checks.slots import empty_starts
from h5diag.judge.findings import Finding, found
from h5diag.judge.likely import encrypted_image, places_of
from h5diag.judge.measured import KnownFact, Measured, content_bytes
from h5diag.layout import ExplanationKind, Role
from h5diag.measure.compare import AreaState
from h5diag.measure.firmware import Action, Check
from h5diag.measure.programs import RAM, blank_header, likely_link
from h5diag.measure.shapes import Form
from h5diag.memory import AddressRange, merged, subtracted
from h5diag.text import ranges_text

_LINKED_ELSEWHERE = ("vectors-point-elsewhere", "linked-for-the-other-side")


def check_placement(m: Measured) -> tuple[Finding, ...]:
    """Does a whole file, or a whole boot-loader image, stand where it does not belong?"""
    out = [f for k in m.known for f in _file(m, k)]
    if any(f.id in ("file-misplaced", "file-in-another-slot") for f in out):
        return tuple(out)
    if any(f.id in _LINKED_ELSEWHERE for f in out):
        out = [f for f in out if f.id != "vectors-in-place"]  # that a boot loader is right says nothing of the other
    stray = [
        i
        for i in m.suspect.images
        if m.layouts
        and i.image.complete
        and not (i.at_start and i.slot and i.slot.role in (Role.PRIMARY, Role.SECONDARY))
        and i.verification.hash is Check.VALID
        # A swap under way moves images through places that are no slot's start; its own state tells so.
        and not any(b.action is Action.RESUMES for b in m.suspect.boots)
        and not any(e.range.overlaps(i.image.range) for e in m.suspect.explained)
    ]
    out += [
        found(
            "image-in-no-slot",
            where=(i.image.range,),
            explains=merged(m.canonical([i.image.range])),
            compares=m.has_good,
            version=i.image.header.version,
            at=i.image.address,
            place=f"in slot '{i.slot}'{'' if i.at_start else ', not at its start'}"
            if i.slot
            else "in no slot of the layout",
        )
        for i in stray
    ]
    if stray and (looked := empty_starts(m)):
        out.append(found("slots-without-image", places=" and ".join(f"0x{at:08X}" for at in looked)))
    if stray:
        return tuple(out)
    if moved := _moved_content(m):
        return (*out, moved)
    if m.expected and all(k.whole for k in m.expected):
        names = ", ".join(k.name for k in m.expected)
        return (*out, found("files-in-place", names=names))
    return (
        (*out, found("nothing-misplaced"))
        if m.comparison.compared_bytes and not m.difference.of(Form.BUILD)
        else tuple(out)
    )


def _moved_content(m: Measured) -> Finding | None:
    """Return a finding for content of the good board that stands elsewhere; none where a shape tells it better."""
    if m.difference.of(Form.BUILD, Form.ADDRESS_LINE, Form.BYTE_SHIFT, Form.BYTE_ORDER):
        return None
    kinds = (ExplanationKind.UNEXPLAINED, ExplanationKind.SECTOR_MOVE, ExplanationKind.IMAGE)
    moved = Counter(
        {
            d: sum(r.equal_bytes for r in m.placement.strong if r.displacement == d and r.explanation.kind in kinds)
            for d in {r.displacement for r in m.placement.strong}
        }
    )
    displacement, size = moved.most_common(1)[0] if moved else (0, 0)
    if drifting := _drifting(m, size):
        return drifting
    if size < 1024:
        return None
    pieces = [r for r in m.placement.strong if r.displacement == displacement]
    where = tuple(r.dump_range for r in pieces)
    most = size > content_bytes(m.good.judged) / 2
    return found(
        "content-misplaced" if most else "piece-misplaced",
        where=where,
        explains=merged(m.canonical([*where, *(r.reference_range for r in pieces)])),
        size=size,
        distance=abs(displacement),
        way="above" if displacement > 0 else "below",
    )


MANY_DISTANCES = 8
"""A file that was put elsewhere stands off by one distance, a program that was linked anew by as many as it has parts."""


def _drifting(m: Measured, most: int) -> Finding | None:
    """Return a finding where pieces stand off by many distances, none of which has half of what moved."""
    pieces = [r for r in m.placement.strong if r.displacement]
    distances = {r.displacement for r in pieces}
    size = sum(r.equal_bytes for r in pieces)
    if inserted := _inserted(m, distances, size):
        return inserted
    if len(distances) < MANY_DISTANCES or 2 * most >= size or size < 1024:
        return None
    spans = [
        AddressRange(min(r.start for r in side), max(r.stop for r in side))
        for side in ([r.dump_range for r in pieces], [r.reference_range for r in pieces])
    ]
    return found(
        "pieces-drift",
        where=spans[:1],
        explains=merged(m.canonical(spans)),
        pieces=len(pieces),
        distances=len(distances),
        size=size,
        reference=m.good.board.name,
    )


def _inserted(m: Measured, distances: set[int], size: int) -> Finding | None:
    """Return a finding where a program begins in place and goes on in order, off by several odd distances."""
    pieces = sorted(m.placement.strong, key=lambda r: r.reference_start)
    ordered = all(a.dump_start < b.dump_start for a, b in pairwise(pieces))
    if len(distances) < 2 or not ordered or pieces[0].displacement or any(d % 0x100 == 0 for d in distances):
        return None
    last = next(a for a, b in pairwise(pieces) if b.displacement)
    where = AddressRange(last.dump_range.stop, max(r.dump_range.stop for r in pieces))
    return found(
        "pieces-inserted",
        where=(where,),
        explains=m.canonical([where]),
        last=last.dump_range.stop - 1,
        pieces=sum(1 for r in pieces if r.displacement),
        distances=len(distances),
        size=size,
        reference=m.good.board.name,
    )


def _file(m: Measured, k: KnownFact) -> list[Finding]:
    """Return where a file stands, if that is not where it belongs, and what it was linked for."""
    program, start = k.program, k.content.span.start
    here = m.chip.canonical(start)
    if not program.stands and not k.expected and (digest := encrypted_image(k.image.image)):
        held = places_of(digest, m.suspect.dump, m.chip)
        same = next((i for i in m.suspect.images if any(at in m.canonical([i.image.range])[0] for at in held)), None)
        place = f" The same image, by its hash, stands at 0x{same.image.address:08X}." if same else ""
        return [found("encrypted-file", file=k.name, same=place)]
    at = program.roundest if m.chip.flash.base not in (program.linked or ()) else m.chip.flash.base
    if not program.stands and program.linked and not start and not k.image.image.origin.base_assumed:
        return [found("file-begins-at-zero", file=k.name, at=at)]
    if not program.stands:
        rival = next((o for o in m.known if o is not k and o.whole and overlapping(m, o, k)), None)
        if rival is None:
            return []
        id = "file-not-there-though-written" if k.claimed else "file-not-there"
        cells = m.canonical([*rival.ranges, *k.ranges])
        return [found(id, where=k.ranges, explains=merged(cells), file=k.name, rival=rival.name)]
    if start not in program.stands and here not in map(m.chip.canonical, program.stands):
        return [_elsewhere(m, k, program.stands[0])]
    if blank := blank_header(k.image.image, m.chip):
        fill = int(k.image.image.segments[0].data[0])
        return [found("header-left-blank", where=k.ranges, file=k.name, at=start, header=blank, fill=fill)]
    if program.linked is None:
        return []
    if missing := program.header_missing_at(here):
        return [found("image-without-header", where=k.ranges, file=k.name, at=start, header=missing)]
    bank = m.chip.flash.bank_size
    if here in program.linked:
        if program.secure and m.suspect.options.trustzone is False:
            alias = here - m.chip.flash.base + m.chip.flash.secure_base
            return [found("linked-for-the-other-side", where=k.ranges, file=k.name, at=start, alias=alias)]
        if not program.secure and m.suspect.options.trustzone is True and here in _secure_starts(m):
            return [found("nonsecure-where-secure-starts", file=k.name, at=start)]
        return [found("vectors-in-place", file=k.name, at=start)]
    if here - bank in program.linked or here + bank in program.linked:
        return [found("file-in-other-bank", where=k.ranges, file=k.name, at=start, bank=bank)]
    ram = (program.linked.stop - 1) >> 24 in RAM
    if ram and here != m.chip.flash.base:
        return []  # other code may be meant to copy it
    near = likely_link(k.image.image, program.linked, m.chip)
    low = program.linked.start if ram else max(program.linked.start, m.chip.flash.base)
    say: dict[str, Any] = {"low": low, "high": program.linked.stop - 1}
    why = "where most of them name beginnings of functions" if near else "where a sector begins"
    near = near or (program.roundest if program.roundest % m.chip.flash.sector_size == 0 else 0)
    say["near"] = f" (most likely 0x{near:08X}, {why})" if near else ""
    if _begins_anywhere(m, start):
        return [found("dump-base-unknown", where=k.ranges, file=k.name, at=start, **say)]
    return [found("vectors-point-elsewhere", where=k.ranges, file=k.name, at=start, **say)]


def _begins_anywhere(m: Measured, place: int) -> bool:
    """Tell whether `place` is the begin of a dump whose address is a mere assumption: no size and no log supports it."""
    dump = m.suspect.dump
    if not dump.origin.base_assumed or place != dump.span.start:
        return False
    written = any(
        place == m.chip.canonical(a) for log in m.logs for w in log.programming.writes if (a := w.address) is not None
    )
    return not written and (m.chip_assumed or dump.size < m.chip.flash.size)


def _secure_starts(m: Measured) -> set[int]:
    """Return where the core starts in the secure world by its options, as canonical addresses."""
    return {
        m.chip.canonical(s.value << s.option.address_shift)
        for s in m.suspect.options.settings
        if s.name.upper() in ("SECBOOTADD", "SECBOOTADD0") and s.known and s.option.address_shift
    }


def _elsewhere(m: Measured, k: KnownFact, place: int) -> Finding:
    start = k.content.span.start
    where = tuple(r.shifted(place - start) for r in k.ranges)
    if _begins_anywhere(m, place):
        return found(
            "dump-begins-elsewhere",
            where=where,
            explains=merged(m.canonical(where)),
            file=k.name,
            at=place,
            wanted=start,
        )
    slot = next((s for lay in m.layouts for s in lay.slots if s.range.start == m.chip.canonical(place)), None)
    explains = merged([*m.canonical(where), *m.canonical(k.ranges)])
    if abs(m.chip.canonical(place) - m.chip.canonical(start)) == m.chip.flash.bank_size:
        return found(
            "file-in-other-bank", where=where, explains=explains, file=k.name, at=place, bank=m.chip.flash.bank_size
        )
    return found(
        "file-in-another-slot" if slot else "file-misplaced",
        where=where,
        explains=explains,
        file=k.name,
        at=place,
        wanted=start,
        slot=slot,
        place=": where no slot begins" if m.layouts else "",
    )


def overlapping(m: Measured, one: KnownFact, other: KnownFact) -> bool:
    """Tell whether two files are held against the same cells."""
    return any(a.overlaps(b) for a in m.canonical(one.ranges) for b in m.canonical(other.ranges))


def check_banks(m: Measured) -> tuple[Finding, ...]:
    """Are the two halves of the flash exchanged?"""
    out = []
    swapped = m.suspect.options.value("SWAP_BANK") if m.suspect.options and not options_torn(m) else None
    if swapped in (0, 1):
        out.append(found("swap-bank-set" if swapped else "swap-bank-clear"))
    where = exchanged_regions(m)
    if where:
        out.append(
            found(
                "banks-exchanged",
                where=where,
                explains=() if swapped == 0 else (m.chip.flash_range,),
                settled=swapped == 1,
                size=sum(r.size for r in where),
                bank=m.chip.flash.bank_size,
                unsettled="the banks are exchanged although the option SWAP_BANK is not set"
                if swapped == 0
                else "whether the option SWAP_BANK exchanges the banks",
            )
        )
    elif m.comparison.compared_bytes:
        out.append(found("no-bank-displacement"))
    return tuple(out)


def check_bank_mode(m: Measured) -> tuple[Finding, ...]:
    """Does a file stand with the halves of its rows parted, as where the option for one or two banks was changed since?

    With one bank a row is read from both banks at once, half of it from each (G4 and L4+: 16 bytes, F7: 32 bytes; their
    reference manuals, read width).
    """
    base = m.chip.flash.base
    for k in (k for k in m.known if not k.in_place and not k.program.stands and k.content.span.start == base):
        image = k.content.segments[0].data
        # A read may end where the content does, and the size of a part may not be known.
        for half, row in product(dict.fromkeys((m.chip.flash.size // 2, m.suspect.dump.size // 2)), (16, 32)):
            rows = image.size // row
            parts = image[: rows * row].reshape(rows, 2, row // 2)
            spans = [AddressRange(at, at + rows * row // 2) for at in (base, base + half)]
            joined = AddressRange(base, base + 2 * rows * row)
            read = m.suspect.judged.read
            if all(m.suspect.judged.covers(s.start, s.stop) for s in spans) and all(
                np.array_equal(read(s.start, s.stop), parts[:, i].reshape(-1)) for i, s in enumerate(spans)
            ):
                say: dict[str, Any] = {"was": "one bank", "now": "two", "where": spans, "row": row, "half": row // 2}
                return (
                    found("bank-mode-changed", explains=merged([*m.canonical(k.ranges), *spans]), file=k.name, **say),
                )
            if m.suspect.judged.covers(joined.start, joined.stop) and np.array_equal(
                read(joined.start, joined.stop).reshape(-1, 2, row // 2)[:, 0].reshape(-1), image[: rows * row]
            ):
                say = {"was": "two banks", "now": "one", "where": [joined], "row": row, "half": row // 2}
                return (found("bank-mode-changed", explains=[joined], file=k.name, **say),)
    return ()


def exchanged_regions(m: Measured) -> tuple[AddressRange, ...]:
    """Return the pieces that stand one bank from their place, when they are most of what was found at all."""
    moved = [r for r in m.placement.strong if r.explanation.kind is ExplanationKind.BANK]
    in_place = sum(d.bytes for d in m.placement.displacements if d.displacement == 0)
    size = sum(r.equal_bytes for r in moved)
    return tuple(r.dump_range for r in moved) if size >= 256 and size > in_place else ()


def erased_holes(m: Measured) -> tuple[AddressRange, ...]:
    """Return the whole sectors that are erased where the good board has content and no slot's state explains it."""
    if exchanged_regions(m):
        return ()
    size = m.chip.flash.sector_size
    explained = merged(
        (
            *(s.slot.range for s in m.suspect.slots if s.state.value in ("empty", "interrupted")),
            # What stands elsewhere was moved, not erased.
            *m.canonical(r.reference_range for r in m.placement.strong if r.displacement),
        )
    )
    return tuple(
        a.range
        for a in m.comparison.of(AreaState.ERASED)
        if a.range.start % size == 0
        and a.range.stop % size == 0
        and a.differing_bytes >= 32
        and not _mostly(m.canonical([a.range])[0], explained)
    )


def _mostly(hole: AddressRange, ranges: tuple[AddressRange, ...]) -> bool:
    return 2 * sum(hole.intersection(r).size for r in ranges) >= hole.size


def worked_on_mirrors(m: Measured) -> tuple[AddressRange, ...]:
    """Return the sectors of the same number in the other bank, of those holes where somebody meant to work there."""
    flash = m.chip.flash
    second = flash.base + flash.bank_size
    mirrors = [
        h.shifted(flash.bank_size if m.chip.canonical(h.start) < second else -flash.bank_size) for h in erased_holes(m)
    ]
    return tuple(x for x in mirrors if _touched(m, x))


def check_holes(m: Measured) -> tuple[Finding, ...]:
    """Are there erased sectors where the good board has content, and does the mirror sector show why?"""
    if not m.comparison.compared_bytes:
        return ()
    holes, touched = erased_holes(m), worked_on_mirrors(m)
    if not holes:
        return (found("no-erased-holes"),)
    explains = merged(m.canonical(holes))
    if touched:
        return (
            found(
                "mirror-hole",
                where=holes,
                explains=merged([*explains, *m.canonical(touched)]),
                touched=touched,
            ),
        )
    return (found("erased-holes", where=holes),)


def _touched(m: Measured, mirror: AddressRange) -> bool:
    """Tell whether somebody meant to work on the mirror: its content differs, or a log writes or erases there."""
    moved_here = [r.dump_range for r in m.placement.strong if r.displacement]
    changed = subtracted((a.range for a in m.comparison.of(AreaState.DIFFERS)), moved_here)
    if 4 * sum(c.intersection(mirror).size for c in changed) >= mirror.size:
        return True
    wanted = m.canonical([mirror])[0]
    if any(r.overlaps(wanted) for k in m.known for r in m.canonical(k.ranges)):
        return True
    logs = (*m.provisioning, m.suspect.log)
    return any(
        w.address is not None
        and AddressRange(m.chip.canonical(w.address), m.chip.canonical(w.address) + max(1, w.size)).overlaps(wanted)
        for log in logs
        for w in log.programming.writes
    )


def other_addresses(m: Measured, cells: Sequence[AddressRange]) -> str:
    """Return a sentence that names the other addresses of a hole where the banks are exchanged; empty where not."""
    if m.suspect.options.swapped is not True or options_torn(m):
        return ""
    bank = m.chip.flash.bank_size
    by = bank if cells[0].start < m.chip.flash.base + bank else -bank
    other = ranges_text([c.shifted(by) for c in cells])
    return f" SWAP_BANK is set: an erase that names the banks as they lie takes this for {other}."
