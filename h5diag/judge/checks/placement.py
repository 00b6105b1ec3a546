"""Checks of where content stands: misplaced files, exchanged banks, erased holes."""

from __future__ import annotations

from collections import Counter

from h5diag.judge.facts import KnownFact, Measured
from h5diag.judge.measure import content_bytes
from h5diag.judge.verdict import Direction, Finding
from h5diag.layout import ExplanationKind
from h5diag.measure.compare import AreaState
from h5diag.measure.firmware import Check
from h5diag.memory import AddressRange, merged, subtracted
from h5diag.text import ranges_text, size_text


def check_placement(m: Measured) -> tuple[Finding, ...]:
    """Does a whole file, or a whole boot-loader image, stand where no slot is?"""
    out = []
    whole = [f for f in (_misplaced(m, k) for k in m.known) if f]
    if whole:
        return tuple(whole)
    stray = [
        i
        for i in m.suspect.images
        if m.layouts and i.image.complete and not i.at_start and i.verification.hash is Check.VALID
    ]
    for i in stray:
        place = f"in slot '{i.slot}', not at its start" if i.slot else "in no slot of the layout"
        out.append(
            Finding(
                "file-misplaced",
                f"A complete, valid image (version {i.image.header.version}) stands at"
                f" 0x{i.image.address:08X}, {place}: the boot loader never looks there.",
                where=(i.image.range,),
                explains=merged(m.canonical([i.image.range])),
                direction=Direction.AGAINST,
                compares=m.has_good,
            )
        )
    if out:
        return tuple(out)
    kinds = (ExplanationKind.UNEXPLAINED, ExplanationKind.SECTOR_MOVE, ExplanationKind.IMAGE)
    moved = Counter(
        {
            d: sum(r.equal_bytes for r in m.placement.strong if r.displacement == d and r.explanation.kind in kinds)
            for d in {r.displacement for r in m.placement.strong}
        }
    )
    displacement, size = moved.most_common(1)[0] if moved else (0, 0)
    if size >= 1024:
        pieces = [r for r in m.placement.strong if r.displacement == displacement]
        where = tuple(r.dump_range for r in pieces)
        most = size > content_bytes(m.good.judged) / 2
        return (
            Finding(
                "content-misplaced" if most else "piece-misplaced",
                f"{size_text(size)} of the good board's content stand 0x{abs(displacement):X}"
                f" {'above' if displacement > 0 else 'below'} their place ({ranges_text(where)}).",
                where=where,
                explains=merged(m.canonical([*where, *(r.reference_range for r in pieces)])),
                compares=True,
                direction=Direction.AGAINST,
            ),
        )
    if m.known and all(k.equal_bytes == k.seen_bytes > 0 for k in m.known):
        names = ", ".join(k.image.name for k in m.known)
        return (
            Finding(
                "files-in-place",
                f"Every given file stands where it belongs, byte for byte ({names}).",
                compares=True,
                direction=Direction.AGAINST,
            ),
        )
    if m.comparison.compared_bytes:
        return (
            Finding(
                "nothing-misplaced", "No larger piece of the good board's content stands elsewhere.", compares=True
            ),
        )
    return ()


def _misplaced(m: Measured, k: KnownFact) -> Finding | None:
    found = Counter({d.displacement: d.bytes for d in k.elsewhere.displacements if d.displacement})
    if not found:
        return None
    displacement, size = found.most_common(1)[0]
    informative = max(1, content_bytes(k.image.image))
    if size < 0.9 * informative:
        return None
    regions = [r for r in k.elsewhere.strong if r.displacement == displacement]
    start = k.image.image.span.start + displacement
    slot = next((s for lay in m.layouts for s in lay.slots if s.range.start == m.chip.canonical(start)), None)
    where = tuple(r.dump_range for r in regions)
    target = f"at the start of slot '{slot}', which is not its own" if slot else "where no slot begins"
    return Finding(
        "file-in-another-slot" if slot else "file-misplaced",
        f"{k.image.name} is on the chip whole, but at 0x{start:08X} instead of"
        f" 0x{k.image.image.span.start:08X}: {target}.",
        where=where,
        explains=merged([*m.canonical(where), *m.canonical(k.image.image.ranges)]),
        direction=Direction.AGAINST,
        compares=True,
    )


def check_banks(m: Measured) -> tuple[Finding, ...]:
    """Are the two halves of the flash exchanged?"""
    out = []
    if m.suspect.options:
        swapped = m.suspect.options.value("SWAP_BANK")
        if swapped == 1:
            out.append(
                Finding(
                    "swap-bank-set",
                    "The option SWAP_BANK is set: what is bank 2 stands at the addresses of bank 1 and the reverse.",
                    direction=Direction.AGAINST,
                )
            )
        elif swapped == 0:
            out.append(Finding("swap-bank-clear", "The option SWAP_BANK is not set."))
    where = exchanged_regions(m)
    size = sum(r.size for r in where)
    if where:
        out.append(
            Finding(
                "banks-exchanged",
                f"{size_text(size)} of the good board's content stand exactly one bank (0x"
                f"{m.chip.flash.bank_size:X}) from their place ({ranges_text(where)}).",
                where=where,
                explains=() if m.suspect.options.value("SWAP_BANK") == 0 else (m.chip.flash_range,),
                asks="read-options",
                open_point=_unsettled_swap(m),
                direction=Direction.AGAINST,
                compares=True,
            )
        )
    elif m.comparison.compared_bytes:
        out.append(
            Finding(
                "no-bank-displacement", "No content of the good board stands one bank from its place.", compares=True
            )
        )
    return tuple(out)


def _unsettled_swap(m: Measured) -> str:
    swapped = m.suspect.options.value("SWAP_BANK")
    if swapped == 1:
        return ""
    return (
        "the banks are exchanged although the option SWAP_BANK is not set"
        if swapped == 0
        else "whether the option SWAP_BANK exchanges the banks"
    )


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
        return (Finding("no-erased-holes", "No sector is erased where the good board has content.", compares=True),)
    explains = merged(m.canonical(holes))
    if touched:
        return (
            Finding(
                "mirror-hole",
                f"{ranges_text(holes)} is erased where the good board has content, and the sector of the"
                f" same number in the other bank ({ranges_text(touched)}) is the one that was worked on.",
                where=tuple(holes),
                explains=merged([*explains, *m.canonical(touched)]),
                direction=Direction.AGAINST,
                compares=True,
            ),
        )
    return (
        Finding(
            "erased-holes",
            f"{ranges_text(holes)} is erased where the good board has content.",
            where=tuple(holes),
            compares=True,
            alternatives=("never programmed on this board", "erased by a tool or the firmware"),
            open_point=f"{ranges_text(holes)} erased, and nothing says by what",
        ),
    )


def _touched(m: Measured, mirror: AddressRange) -> bool:
    """Tell whether somebody meant to work on the mirror: its content differs, or a log writes or erases there."""
    moved_here = [r.dump_range for r in m.placement.strong if r.displacement]
    changed = subtracted((a.range for a in m.comparison.of(AreaState.DIFFERS)), moved_here)
    if 4 * sum(c.intersection(mirror).size for c in changed) >= mirror.size:
        return True
    wanted = m.canonical([mirror])[0]
    if any(r.overlaps(wanted) for k in m.known for r in m.canonical(k.image.image.ranges)):
        return True
    logs = (*m.provisioning, m.suspect.log)
    return any(
        w.address >= 0
        and AddressRange(m.chip.canonical(w.address), m.chip.canonical(w.address) + max(1, w.size)).overlaps(wanted)
        for log in logs
        for w in log.programming.writes
    )
