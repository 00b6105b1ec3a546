"""Checks of where content stands: misplaced files, exchanged banks, erased holes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from typing import Any

import numpy as np

from h5diag.evidence.texts.programming import base_name
from h5diag.judge.checks.options import options_torn
from h5diag.judge.checks.slots import empty_starts
from h5diag.judge.findings import Finding, found, number
from h5diag.judge.likely import encrypted_image, places_of
from h5diag.judge.measured import KnownFact, Measured
from h5diag.layout import ExplanationKind, Role
from h5diag.measure.compare import AreaState
from h5diag.measure.drift import newest_build
from h5diag.measure.firmware import Action, Check, State
from h5diag.measure.programs import RAM, blank_header, likely_link, other_link
from h5diag.measure.shapes import Form
from h5diag.measure.stretches import content_bytes
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
        for i in (m.suspect.images if m.layouts else ())
        if i.image.complete
        and not (i.at_start and i.slot and i.slot.role in (Role.PRIMARY, Role.SECONDARY))
        and i.verification.hash is Check.VALID
        # A swap under way moves images through places that are no slot's start; its own state tells so.
        and not any(b.action is Action.RESUMES for b in m.suspect.boots)
        and not any(e.range.overlaps(i.image.range) for e in m.suspect.explained)
    ]
    images = [i.image for i in m.suspect.images if m.chip.canonical(i.image.address) == m.chip.flash.base]
    for over in images[:1] if not m.layouts else ():
        say: dict[str, Any] = {"at": over.address, "version": over.header.version}
        out.append(found("image-where-the-chip-starts", where=(over.range,), **say))
    if stray:
        looked = " and ".join(f"0x{at:08X}" for at in empty_starts(m))
        return (*out, *stray, *([found("slots-without-image", places=looked)] if looked else []))
    if moved := _moved_content(m):
        return (*out, moved)
    if m.expected and all(k.whole for k in m.expected):
        return (*out, found("files-in-place", names=", ".join(k.name for k in m.expected)))
    if m.comparison.compared_bytes and not m.difference.of(Form.BUILD):
        out.append(found("nothing-misplaced"))
    return tuple(out)


def _moved_content(m: Measured) -> Finding | None:
    """Return a finding for content of the good board that stands elsewhere; none where a shape tells it better."""
    if m.difference.of(Form.BUILD, Form.ADDRESS_LINE, Form.BYTE_SHIFT, Form.BYTE_ORDER):
        return None
    kinds = (ExplanationKind.UNEXPLAINED, ExplanationKind.SECTOR_MOVE, ExplanationKind.IMAGE)
    moved = Counter(dict.fromkeys((r.displacement for r in m.placement.strong), 0))
    for r in m.placement.strong:
        moved[r.displacement] += r.equal_bytes if r.explanation.kind in kinds else 0
    displacement, size = next(iter(moved.most_common(1)), (0, 0))
    if drifting := _drifting(m, size):
        return drifting
    if size < number("least-moved"):
        return None
    pieces = [r for r in m.placement.strong if r.displacement == displacement]
    where = [r.dump_range for r in pieces]
    return found(
        "content-misplaced" if size > content_bytes(m.good.judged) / 2 else "piece-misplaced",
        where=where,
        explains=merged(m.canonical([*where, *(r.reference_range for r in pieces)])),
        size=size,
        distance=abs(displacement),
        way="above" if displacement > 0 else "below",
    )


def _drifting(m: Measured, most: int) -> Finding | None:
    """Return a finding where pieces stand off by many distances, none of which has half of what moved."""
    pieces = [r for r in m.placement.strong if r.displacement]
    distances, size = {r.displacement for r in pieces}, sum(r.equal_bytes for r in pieces)
    if inserted := _inserted(m, distances, size):
        return inserted
    if len(distances) < number("many-distances") or 2 * most >= size or size < number("least-moved"):
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
    if (
        len(distances) < 2
        or not ordered
        or pieces[0].displacement
        or any(d % number("tool-block") == 0 for d in distances)
    ):
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


def _file(m: Measured, k: KnownFact) -> Iterator[Finding]:
    """Yield where a file stands, if that is not where it belongs, and what it was linked for."""
    program, start, base = k.program, k.content.span.start, m.chip.flash.base
    here, at = m.chip.canonical(start), base if base in (program.linked or ()) else program.roundest
    say: dict[str, Any] = {"where": k.ranges, "file": k.name, "at": start}
    digest = encrypted_image(k.image.image)
    if not program.stands and not k.expected and digest:
        held = places_of(digest, m.suspect.dump, m.chip)
        same = [i.image for i in m.suspect.images if any(x in m.canonical([i.image.range])[0] for x in held)]
        place = f" The same image, by its hash, stands at 0x{same[0].address:08X}." if same else ""
        yield found("encrypted-file", file=k.name, same=place)
    elif not program.stands and program.linked and not start and not k.image.image.origin.base_assumed:
        yield found("file-begins-at-zero", file=k.name, at=at)
    elif not program.stands:
        for rival in [o for o in m.known if o is not k and o.whole and overlapping(m, o, k)][:1]:
            order = {base_name(w.file).lower(): i for i, w in enumerate(m.writes)}
            last = [order.get(base_name(x.name).lower(), -1) for x in (k, rival)]
            id = "file-not-there-though-written" if k.claimed else "file-not-there"
            id = "file-overwritten" if 0 <= last[0] < last[1] else id
            id = "older-file-not-there" if id == "file-not-there" and _is_older(k, rival) else id
            yield found(id, explains=merged(m.canonical([*rival.ranges, *k.ranges])), rival=rival.name, **say)
    elif start not in program.stands and here not in map(m.chip.canonical, program.stands):
        yield _elsewhere(m, k, program.stands[0])
    elif blank := blank_header(k.image.image, m.chip):
        yield found("header-left-blank", header=blank, fill=int(k.image.image.segments[0].data[0]), **say)
    elif program.linked and (missing := program.header_missing_at(here)):
        yield found("image-without-header", header=missing, **say)
    elif program.linked:
        inside = here in program.linked
        near = other_link(k.image.image, program.linked, here, m.chip) if inside else 0
        if inside and not near:
            yield _linked_here(m, k, say)
        else:
            yield from _linked_elsewhere(m, k, program.linked, near, say)


_VERSION = re.compile(r"\d{1,4}(?:[._]\d{1,4}){1,3}")


def _is_older(k: KnownFact, rival: KnownFact) -> bool:
    """Tell whether a file is an earlier release than another: by the versions in their names, else their build dates."""
    for release in (_version, _built):
        mine, theirs = release(k), release(rival)
        if mine and theirs and mine != theirs:
            return mine < theirs
    return False


def _version(k: KnownFact) -> tuple[int, ...]:
    numbers = _VERSION.findall(base_name(k.name))
    return tuple(map(int, re.split("[._]", numbers[-1]))) if numbers else ()


def _built(k: KnownFact) -> tuple[int, ...]:
    return newest_build(s.data for s in k.image.image.segments)


def _linked_here(m: Measured, k: KnownFact, say: dict[str, Any]) -> Finding:
    """Return the finding for a file that stands where it was linked for: on the right side of TrustZone, or not."""
    here, trustzone = m.chip.canonical(k.content.span.start), m.suspect.options.trustzone
    if k.program.secure and trustzone is False:
        return found("linked-for-the-other-side", alias=here + m.chip.flash.alias, **say)
    secure_starts = {
        m.chip.canonical(s.value << s.option.address_shift)
        for s in m.suspect.options.settings
        if s.name.upper() in ("SECBOOTADD", "SECBOOTADD0") and s.known and s.option.address_shift
    }
    wrong = not k.program.secure and trustzone is True and here in secure_starts
    return found("nonsecure-where-secure-starts" if wrong else "vectors-in-place", file=k.name, at=say["at"])


def _linked_elsewhere(
    m: Measured, k: KnownFact, linked: AddressRange, near: int, say: dict[str, Any]
) -> Iterator[Finding]:
    """Yield the finding for a file whose vectors point away from where it stands, towards `near` where that is known."""
    flash, here, start = m.chip.flash, m.chip.canonical(k.content.span.start), k.content.span.start
    if here - flash.bank_size in linked or here + flash.bank_size in linked:
        yield found("file-in-other-bank", bank=flash.bank_size, **say)
        return
    ram = (linked.stop - 1) >> 24 in RAM
    if ram and here != flash.base:
        return  # other code may be meant to copy it
    near, why = near or likely_link(k.image.image, linked, m.chip), "where most of them name beginnings of functions"
    if not near and k.program.roundest % flash.sector_size == 0:
        near, why = k.program.roundest, "where a sector begins"
    say |= {"low": linked.start if ram else max(linked.start, flash.base), "high": linked.stop - 1}
    say["near"] = f" (most likely 0x{near:08X}, {why})" if near else ""
    yield found("dump-base-unknown" if _begins_anywhere(m, start) else "vectors-point-elsewhere", **say)


def _begins_anywhere(m: Measured, place: int) -> bool:
    """Tell whether `place` is the begin of a dump whose address is a mere assumption: no size and no log supports it."""
    dump = m.suspect.dump
    written = any(w.address is not None and place == m.chip.canonical(w.address) for w in m.writes)
    begins = dump.origin.base_assumed and place == dump.span.start
    return begins and not written and (m.chip_assumed or dump.size < m.chip.flash.size)


def _elsewhere(m: Measured, k: KnownFact, place: int) -> Finding:
    start, bank = k.content.span.start, m.chip.flash.bank_size
    where = tuple(r.shifted(place - start) for r in k.ranges)
    say: dict[str, Any] = {"where": where, "file": k.name, "at": place}
    if _begins_anywhere(m, place):
        return found("dump-begins-elsewhere", explains=merged(m.canonical(where)), wanted=start, **say)
    slot = next((s for lay in m.layouts for s in lay.slots if s.range.start == m.chip.canonical(place)), None)
    say["explains"] = merged([*m.canonical(where), *m.canonical(k.ranges)])
    if abs(m.chip.canonical(place) - m.chip.canonical(start)) == bank:
        return found("file-in-other-bank", bank=bank, **say)
    between = ": where no slot begins" if m.layouts else ""
    return found("file-in-another-slot" if slot else "file-misplaced", wanted=start, slot=slot, place=between, **say)


def overlapping(m: Measured, one: KnownFact, other: KnownFact) -> bool:
    """Tell whether two files are held against the same cells."""
    return any(a.overlaps(b) for a in m.canonical(one.ranges) for b in m.canonical(other.ranges))


def check_banks(m: Measured) -> Iterator[Finding]:
    """Are the two halves of the flash exchanged?"""
    swapped = m.suspect.options.value("SWAP_BANK") if m.suspect.options and not options_torn(m) else None
    if swapped in (0, 1):
        yield found("swap-bank-set" if swapped else "swap-bank-clear")
    unset, where = swapped == 0, exchanged_regions(m)
    if where:
        yield found(
            "banks-exchanged",
            where=where,
            explains=() if unset else (m.chip.flash_range,),
            settled=swapped == 1,
            size=sum(r.size for r in where),
            bank=m.chip.flash.bank_size,
            unsettled="the banks are exchanged although the option SWAP_BANK is not set"
            if unset
            else "whether the option SWAP_BANK exchanges the banks",
        )
    elif m.comparison.compared_bytes:
        yield found("no-bank-displacement")


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
            whole = AddressRange(base, base + 2 * rows * row)
            apart = [m.suspect.judged.read_filled(s.start, s.stop) for s in spans]
            (one, there), say = m.suspect.judged.read_filled(whole.start, whole.stop), dict[str, Any]()
            if all(known.all() and np.array_equal(d, parts[:, i].reshape(-1)) for i, (d, known) in enumerate(apart)):
                say = {
                    "was": "one bank",
                    "now": "two",
                    "where": spans,
                    "explains": merged([*m.canonical(k.ranges), *spans]),
                }
            elif there.all() and np.array_equal(one.reshape(-1, 2, row // 2)[:, 0].reshape(-1), image[: rows * row]):
                say = {"was": "two banks", "now": "one", "where": [whole], "explains": [whole]}
            if say:
                return (found("bank-mode-changed", file=k.name, row=row, half=row // 2, **say),)
    return ()


def exchanged_regions(m: Measured) -> tuple[AddressRange, ...]:
    """Return the pieces that stand one bank from their place, when they are most of what was found at all."""
    moved = [r for r in m.placement.strong if r.explanation.kind is ExplanationKind.BANK]
    in_place = sum(d.bytes for d in m.placement.displacements if d.displacement == 0)
    size = sum(r.equal_bytes for r in moved)
    return tuple(r.dump_range for r in moved) if size >= number("least-exchanged") and size > in_place else ()


def erased_holes(m: Measured) -> tuple[AddressRange, ...]:
    """Return the whole sectors that are erased where the reference has content and no slot's state explains it."""
    if exchanged_regions(m):
        return ()
    size = m.chip.flash.sector_size
    slots = [s.slot.range for s in m.suspect.slots if s.state in (State.EMPTY, State.INTERRUPTED)]
    # What stands elsewhere was moved, not erased.
    explained = merged((*slots, *m.canonical(r.reference_range for r in m.placement.strong if r.displacement)))
    whole = [a for a in m.reference.comparison.of(AreaState.ERASED) if a.range.start % size == a.range.stop % size == 0]
    return tuple(
        a.range
        for a in whole
        if a.differing_bytes >= 32
        and 2 * sum(m.canonical([a.range])[0].intersection(r).size for r in explained) < a.range.size
    )


def worked_on_mirrors(m: Measured) -> tuple[AddressRange, ...]:
    """Return the sectors of the same number in the other bank, of those holes where somebody meant to work there."""
    bank, second = m.chip.flash.bank_size, m.chip.flash.base + m.chip.flash.bank_size
    mirrors = [h.shifted(bank if m.chip.canonical(h.start) < second else -bank) for h in erased_holes(m)]
    if not mirrors:
        return ()
    runs = [log.programming for log in (*m.provisioning, m.suspect.log)]
    # STM32CubeProgrammer counts sectors over both banks.
    worked = [s.range for run in runs for a, b in run.sectors for s in m.chip.sectors[a : b + 1]]
    changed: tuple[AddressRange, ...] = ()
    if m.has_good:  # what a file covers was all written, and no sector of it more than another
        moved_here = [r.dump_range for r in m.placement.strong if r.displacement]
        changed = subtracted((a.range for a in m.comparison.of(AreaState.DIFFERS)), moved_here)
        writes = [(w.address, w.size) for run in runs for w in run.writes if w.address is not None]
        written = [AddressRange(at, at + max(1, size)) for at, size in writes]
        worked += m.canonical([*(r for k in m.known for r in k.ranges), *written])
    return tuple(
        x
        for x in mirrors
        if any(r.overlaps(cells) for r in worked for cells in m.canonical([x]))
        or 4 * sum(c.intersection(x).size for c in changed) >= x.size
    )


def check_holes(m: Measured) -> Iterator[Finding]:
    """Are there erased sectors where the good board has content, and does the mirror sector show why?"""
    holes, touched = erased_holes(m), worked_on_mirrors(m)
    if holes and touched:
        explains = merged([*m.canonical(holes), *m.canonical(touched)])
        yield found("mirror-hole", where=holes, explains=explains, touched=touched, reference=m.reference.name)
    elif m.comparison.compared_bytes:
        yield found("erased-holes", where=holes) if holes else found("no-erased-holes")


def other_addresses(m: Measured, cells: Sequence[AddressRange]) -> str:
    """Return a sentence that names the other addresses of a hole where the banks are exchanged; empty where not."""
    if m.suspect.options.swapped is not True or options_torn(m):
        return ""
    bank = m.chip.flash.bank_size
    by = bank if cells[0].start < m.chip.flash.base + bank else -bank
    other = ranges_text([c.shifted(by) for c in cells])
    return f" SWAP_BANK is set: an erase that names the banks as they lie takes this for {other}."
