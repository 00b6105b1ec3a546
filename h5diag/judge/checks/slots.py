"""Checks of boot-loader slots: was the image installed, and if not, how far did it get?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from h5diag.errors import InputError
from h5diag.evidence import keys
from h5diag.judge.checks.printed import boot_log
from h5diag.judge.findings import Finding, calibration, found, number
from h5diag.judge.likely import header_places
from h5diag.judge.measured import BoardMeasured, Measured
from h5diag.layout import ExplanationKind, Loader, Role, Slot
from h5diag.measure.compare import read_cells
from h5diag.measure.firmware import Action, Magic, SlotState, State, TlvType, find_images, vector_table_at
from h5diag.measure.firmware.image import HEADER_SIZE
from h5diag.measure.programs import HEADERS, entries_fit
from h5diag.memory import AddressRange, MemoryImage
from h5diag.tables import packaged
from h5diag.text import count_text

_WAITING = (State.INSTALL_PENDING, State.NEVER_TAKEN)


def check_install(m: Measured) -> tuple[Finding, ...]:
    """Does a download wait in its slot, and does the slot to start from hold it?"""
    if not m.layouts:
        return ()
    by_slot, second = (
        {s.slot.name: s for s in m.suspect.slots},
        [s for s in m.suspect.slots if s.slot.role is Role.SECONDARY],
    )
    pairs = [(s, by_slot.get(str(m.layouts[0].counterpart(s.slot)))) for s in second]
    if waiting := [(s, p) for s, p in pairs if s.state in _WAITING and not _installed_already(s, p)]:
        return (_waiting(m, waiting),)
    over = [(s, p) for s, p in pairs if p and p.state in (State.EMPTY, State.UNKNOWN)]
    wrong = [(s, p) for s, p in over if s.state is State.WRONG_SLOT and s.content.at_start]
    half = [(s, p) for s, p in over if p and p.state is State.EMPTY and _half_seen(m, s)]
    for s, p in (wrong or half)[:1]:
        return (
            found(
                "download-of-the-wrong-kind" if wrong else "download-half-seen",
                where=(s.slot.range,),
                explains=tuple(x.slot.range for pair in wrong or half for x in pair if x),
                compares=m.has_good,
                slot=s.slot.name,
                at=s.content.address,
                reason=s.reason,
                primary=p.slot.name if p else "its primary slot",
            ),
        )
    known = [(s, p) for s, p in pairs if s.state is not State.UNKNOWN]
    installed = [p for s, p in known if p and p.state is State.INSTALLED]
    if installed and all(s.state in (State.EMPTY, State.INSTALLED, State.INSTALL_PENDING) for s, p in known):
        names = " and ".join(f"'{p.slot.name}' ({p.reason})" for p in installed)
        return (found("download-empty-installed", text=names),)
    return (found("download-empty"),) if known and all(s.state is State.EMPTY for s, _ in known) else ()


def check_next_boot(m: Measured) -> Iterator[Finding]:
    """What will the next boot do, and what of the slots does the boot loader's own work explain?"""
    known = [b for b in m.suspect.boots if b.action is not Action.UNKNOWN]
    resumes = [b for b in known if b.action is Action.RESUMES]
    refuses = [b for b in known if b.action in (Action.REFUSES, Action.NOTHING)]
    if known:
        id = "next-boot-resumes" if resumes else "next-boot-refuses" if refuses else "next-boot"
        yield found(id, text="; ".join(f"image {b.image}: {b.text}" for b in resumes or refuses or known))
    if where := [e.range for e in m.suspect.explained]:
        text = "; ".join(list(dict.fromkeys(e.text for e in m.suspect.explained))[:3])
        yield found("boot-loader-left-it", where=where, explains=m.canonical(where), text=text)


def check_headers(m: Measured) -> Iterator[Finding]:
    """Where do image headers stand, and on which layout, when nobody named one?"""
    places = sorted(header_places(m.suspect.dump, m.chip)) if m.layout_assumed or not m.layouts else []
    if m.layout_assumed:
        slots = [f"'{s.name}' at 0x{s.range.start:08X}" for s in m.layouts[0].image_slots if s.range.start in places]
        yield found("layout-assumed", layout=m.layouts[0].name, slots=" and ".join(slots[:4]))
        return
    # Where the slot begins that the boot loader starts, as Zephyr's says by an offset.
    events = [e for log in (m.suspect.uart, m.suspect.log) for e in log.boot.events]
    offsets = [m.chip.flash.base + int(e.value("offset"), 16) for e in events if e.value("offset")]
    started, places = offsets[-1] if offsets else None, places[:2]
    version = {m.chip.canonical(i.image.address): f", version {i.image.header.version}" for i in m.suspect.images}
    for at in places:
        slot = (
            "without the layout nothing says which slot that is"
            if started not in places
            else "by the boot log that is the slot which is started"
            if at == started
            else "by the boot log another slot is started, so this is a download or a spare one"
        )
        yield found("header-stands", settled=started in places, at=at, version=version.get(at, ""), slot=slot)


def check_header_size(m: Measured) -> tuple[Finding, ...]:
    """Does an image's header have the size for which its program was linked?"""
    for image in (i.image for i in m.suspect.images):
        size, dump = image.header.header_size, m.suspect.judged
        start = image.address + size
        if not vector_table_at(dump, start, m.chip):
            continue
        body = MemoryImage.from_bytes(dump.read(start, image.range.stop).tobytes(), start)
        at = m.chip.canonical(image.address)
        fits = {h: entries_fit(body, at + h, m.chip) for h in {*HEADERS, size}}
        # A function that begins behind its neighbour's constants is not told, so not all need to be.
        best = [h for h, (n, of) in fits.items() if n >= number("least-entries") and 4 * n >= 3 * of]
        if len(best) == 1 and best[0] != size and all(3 * n <= of for h, (n, of) in fits.items() if h != best[0]):
            where = (AddressRange(start, start + 0x40),)
            say: dict[str, Any] = {
                "at": image.address,
                "size": size,
                "start": start,
                "wanted": best[0],
                "link": at + best[0],
            }
            return (found("header-size-disagrees", where=where, **say),)
    return ()


def _half_seen(m: Measured, s: SlotState) -> bool:
    """Tell whether a download can be told from its header and its trailer, its middle being in doubt."""
    return (
        bool(s.content.at_start)
        and m.suspect.rules is not None
        and m.suspect.rules.accepts(s.content.trailer)
        and any(m.canonical([r])[0].overlaps(s.slot.range) for r in m.suspect.reads.ranges)
    )


def _installed_already(secondary: SlotState, primary: SlotState | None) -> bool:
    """Tell whether the primary slot holds the same image, so that nothing is missing."""
    same = primary is not None and _digest(primary) == _digest(secondary) != b""
    return primary is not None and primary.state is State.INSTALLED and same


def _waiting(m: Measured, waiting: list[tuple[SlotState, SlotState | None]]) -> Finding:
    said, explains, hidden = [], [], False
    for s, p in waiting:
        masked = p is not None and any(p.slot.range.overlaps(r) for r in m.suspect.masked)
        hidden |= masked
        marked = "marked for installation" if s.state is State.INSTALL_PENDING else f"but {_unmarked(m, s)}"
        there = f"is '{p.state.value}' ({p.reason})" if p else ""
        if p and p.state in (State.EMPTY, State.UNKNOWN):
            there = "is erased" if p.state is State.EMPTY else f"cannot be judged ({p.reason})"
        there = "was not shown to the reader" if masked else there
        target = f"its primary slot at 0x{p.slot.range.start:08X} {there}" if p else "no primary slot"
        said.append(
            f"'{s.slot.name}' at 0x{s.content.address:08X} holds a complete image, version"
            f" {s.content.at_start[0].image.header.version}, {marked}; {target}"
        )
        explains += [s.slot.range, *([p.slot.range] if p else [])]
    # A pair whose primary slot can be seen settles it, whatever is hidden in another.
    seen = (State.EMPTY, State.INSTALLED, State.INTERRUPTED, State.BODY_ERASED)
    hidden = hidden and not any(p and p.state in seen for _, p in waiting)
    pending = any(s.state is State.INSTALL_PENDING for s, _ in waiting)
    id = "download-waits-primary-hidden" if hidden else "download-pending"
    return found(
        id if pending else "download-never-taken",
        where=tuple(s.content.at_start[0].image.range for s, _ in waiting),
        explains=explains,
        compares=m.has_good,
        text=". ".join(t[0].upper() + t[1:] for t in said) + ".",
        same=_same_as_good(m, waiting),
        cure=_cure([s for s, _ in waiting]),
    )


def _cure(waiting: Sequence[SlotState]) -> str:
    """Return what makes a boot loader take downloads that it passes over."""
    place = " and ".join(f"0x{s.content.address:08X}" for s in waiting)
    other = any(s.content.trailer.magic.is_magic for s in waiting)
    return calibration().advice["other-trailer" if other else "no-trailer"].format(place=place)


def _unmarked(m: Measured, s: SlotState) -> str:
    magic = s.content.trailer.magic
    if magic.is_magic:
        st = m.suspect.rules is not None and m.suspect.rules.loader is Loader.ST
        kind = "newer" if magic is Magic.ALIGNED else "classic"
        return f"its trailer magic is the {kind} one that {'ST' if st else 'upstream'}'s boot loader refuses"
    if magic is Magic.UNSET:
        return "without the trailer magic (0xFF there), so that the boot loader passes it over"
    return "with other bytes where the trailer magic belongs, so that the boot loader passes it over"


def _same_as_good(m: Measured, waiting: list[tuple[SlotState, SlotState | None]]) -> str:
    """Return a sentence when the good board has installed the very image that waits here."""
    good = {g.slot.name: g for g in m.good.slots}
    for s, p in waiting:
        g = good.get(p.slot.name) if p else None
        if g and _installed_already(s, g):
            return f" On {m.good.board.name} the same image (same hash) is installed in '{g.slot.name}'."
    return ""


def check_stage(m: Measured) -> Iterator[Finding]:
    """By the files that were to be flashed: at which stage of its life is the board?"""
    for report in m.stages:
        best, *others = report.fits
        if any(f.compared for f in best.slots):
            only = not any(f.agrees for f in others)
            id = calibration().ids["stage"][best.stage.name.lower().replace("_", "-")] if only else "at-a-stage"
            remarks = f" {'. '.join(report.remarks)}." if report.remarks else ""
            yield found(
                id if best.agrees else "at-no-stage",
                explains=tuple(f.slot.range for f in best.slots if f.agrees),
                compares=True,
                text=f"{report.text[0].lower()}{report.text[1:]}.{remarks}",
            )


def check_header_displaced(m: Measured) -> tuple[Finding, ...]:
    """Does a header of the good board's primary slot stand in the suspect's download slot?"""
    moved = [r for r in m.placement.regions if r.explanation.kind is ExplanationKind.SLOT] if m.layouts else []
    for r in moved:
        source, target = m.layouts[0].slot_at(r.reference_start), m.layouts[0].slot_at(r.dump_start)
        if (
            source
            and target
            and source.image == target.image
            and (source.role, target.role) == (Role.PRIMARY, Role.SECONDARY)
        ):
            return (
                found(
                    "header-at-download-slot",
                    where=(r.dump_range,),
                    size=r.size,
                    source=source.name,
                    from_=r.reference_start,
                    at=r.dump_start,
                    target=target.name,
                    distance=abs(r.displacement),
                ),
            )
    return ()


def check_other_firmware(m: Measured) -> Iterator[Finding]:
    """Do slots differ from the good board only because another, intact image is installed?"""
    good = {g.slot.name: g for g in m.good.slots}
    for s in (s for s in m.suspect.slots if s.state is State.INSTALLED and s.slot.name in good):
        g = good[s.slot.name]
        if _digest(s) and _digest(s) != _digest(g):
            yield found("other-firmware", explains=(s.slot.range,), slot=s.slot.name, reason=s.reason)
        elif g.state is State.INSTALLED:
            yield found("same-firmware", slot=s.slot.name, reason=s.reason)


def check_slot_damage(m: Measured) -> Iterator[Finding]:
    """Is an image damaged where it stands, or are there bytes that no state of a slot explains?"""
    for s in m.suspect.slots:
        if s.state in (State.DIFFERS, State.BODY_ERASED) and not _half_seen(m, s):
            yield found("image-damaged", where=(s.slot.range,), slot=s.slot.name, reason=s.reason)
        if not any(s.slot.range.overlaps(r) for r in m.suspect.masked):
            for point in s.open_points:
                yield found("slot-open-point", where=s.content.zeros, slot=s.slot.name, point=point)


def waiting_slots(own: BoardMeasured) -> tuple[Slot, ...]:
    """Return the download slots in which an image waits or was passed over."""
    return tuple(s.slot for s in own.slots if s.slot.role is Role.SECONDARY and s.state in _WAITING)


def empty_starts(m: Measured) -> tuple[int, ...]:
    """Return where slots begin from which the boot loader starts, when no image begins at any of them, as far as read."""
    starts = [s for s in m.suspect.slots if s.slot.role is Role.PRIMARY]
    seen = [at for s in starts if read_cells(m.suspect.judged, m.chip, at := s.slot.range.start, HEADER_SIZE)]
    return tuple(seen) if not m.layout_assumed and not any(s.content.at_start for s in starts) else ()


def _digest(s: SlotState) -> bytes:
    return s.content.at_start[0].verification.digest if s.content.at_start else b""


@dataclass(frozen=True, slots=True)
class Branch:
    """A reason why the boot loader did not install.

    Parameters
    ----------
    id
        Stable word.
    text
        The reason in one sentence.
    found
        What the evidence says about it; empty when nothing does.
    holds
        True when the evidence shows that it is so.
    open
        True when the evidence does not decide it.
    test
        Id of the read-only test that would; empty when decided.
    """

    id: str
    text: str
    found: str
    holds: bool
    open: bool
    test: str


def why_not_installed(m: Measured, findings: Sequence[Finding]) -> tuple[Branch, ...]:
    """Return the branches of the tree for a suspect in whose download slot an image waits, those that hold first.

    What stands later on the way is not asked where an earlier branch holds: a state that starts nothing leaves no
    question about keys.
    """
    if not waiting_slots(m.suspect):
        return ()
    waiting = [s for s in m.suspect.slots if s.slot in waiting_slots(m.suspect) and s.content.at_start]
    demands = any(t.type == TlvType.DEPENDENCY for s in waiting for t in s.content.at_start[0].image.tlvs.protected)
    by_id, ended = {f.id: f for f in findings}, boot_log(m).ended
    never = [s.reason for s in m.suspect.slots if s.state is State.NEVER_TAKEN]
    seen: dict[str, tuple[str, bool | None]] = {
        "boot-absent": _boot_code(m),
        "not-entered": _entered(m),
        "no-magic": (never[0] if never else "the trailer magic is there", bool(never)),
        "dependency": ("", None) if demands else ("the image demands none", False),
    }
    if ended:
        seen["boot-fails"] = f"its log ends in: {ended}", ended not in ("started", "rom-loader")
    rows = packaged("judge/branches.toml")
    way = [_branch(id, row, by_id, *seen.get(id, ("", None))) for id, row in rows.items()]
    stopped = next((i for i, b in enumerate(way) if b.holds), len(way))
    later = [
        replace(b, found=f"not reached: {way[stopped].id} comes before", open=False, test="") if b.open else b
        for b in way[stopped + 1 :]
    ]
    return tuple(sorted([*way[: stopped + 1], *later], key=lambda b: (not b.holds, not b.open)))


def _branch(id: str, row: dict[str, Any], by_id: dict[str, Finding], seen: str, holds: bool | None) -> Branch:
    """Return a branch by its row: decided by a finding, else by what was seen of it, else open (`holds` None)."""
    if shown := next((by_id[f] for f in row.get("shown_by", ()) if f in by_id), None):
        return Branch(id, row["text"], shown.claim, True, False, "")
    if cleared := next((by_id[f] for f in row.get("cleared_by", ()) if f in by_id), None):
        if cleared.limits and "partly" in row:
            return Branch(id, row["text"], f"what can be read agrees. {cleared.limits}", False, True, row["partly"])
        return Branch(id, row["text"], cleared.claim, False, False, "")
    return Branch(id, row["text"], seen, bool(holds), holds is None, row["test"] if holds is None else "")


def _boot_code(m: Measured) -> tuple[str, bool | None]:
    """Does the boot loader's own slot hold code?"""
    slot = m.layouts[0].boot if m.layouts else None
    if slot is None:
        return "", None
    at, head = read_cells(m.suspect.judged, m.chip, slot.range.start, number("boot-head")) or (0, None)
    if head is None:
        return "the reader was not shown the boot area", None
    erased = bool((head == m.chip.flash.erased).all())
    return f"0x{at:08X} {'is erased' if erased else 'holds code'}", erased


def _entered(m: Measured) -> tuple[str, bool | None]:
    """Did the boot loader start at all: reset with BOOT0 low, the boot address, the core elsewhere?"""
    if boot_log(m):
        return "it printed a log", False
    resets = m.suspect.board.resets_since_flash
    times = f"reset {count_text(resets or 0, 'time')} since it was flashed; where BOOT0 was is not told"
    return times if resets else "", None


def check_published_keys(m: Measured) -> tuple[Finding, ...]:
    """Is anything signed with a key that a vendor publishes?"""
    images = [(m.suspect.board.name, i.image) for i in m.suspect.images]
    images += [(k.name, i) for k in m.case.images for i in find_images(k.image)]
    prints = [(t.value, name) for name, i in images for t in i.tlvs.plain if t.type == TlvType.KEYHASH]
    names: dict[str, str] = {}
    for value, name in prints:
        if (known := keys.published(value)) is not None:
            names.setdefault(str(known), name)
    for file in m.case.verify_keys:
        with suppress(InputError):
            for key in keys.load_verify_keys(file):
                if (known := keys.published(*(h.hex() for h in key.hashes))) is not None:
                    names.setdefault(str(known), file.name)
    who, name = ", ".join(names), ", ".join(dict.fromkeys(names.values()))
    return (found("published-key", who=who, name=name),) if names else ()
