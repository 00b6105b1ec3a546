"""Checks of boot-loader slots: was the image installed, and if not, how far did it get?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from h5diag.judge.findings import Finding, found
from h5diag.judge.likely import header_places
from h5diag.judge.measured import BoardFacts, Measured
from h5diag.layout import ExplanationKind, Loader, Role, Slot
from h5diag.measure.firmware import Action, Magic, SlotState, State, vector_table_at
from h5diag.measure.programs import HEADERS, entries_fit
from h5diag.memory import AddressRange, MemoryImage

ON_LAYOUT = frozenset(
    {
        "download-pending",
        "download-never-taken",
        "download-waits-primary-hidden",
        "download-of-the-wrong-kind",
        "download-half-seen",
        "download-empty-installed",
        "download-empty",
        "header-at-download-slot",
        "image-in-no-slot",
        "image-damaged",
        "slot-open-point",
        "options-differ-from-provisioning",
        "options-as-provisioned",
        "at-stage-programmed",
        "at-stage-installed",
        "at-stage-pending",
        "boot-not-written",
    }
)
"""Findings that a layout decides."""
_WAITING = (State.INSTALL_PENDING, State.NEVER_TAKEN)


def check_install(m: Measured) -> tuple[Finding, ...]:
    """Does a download wait in its slot, and does the slot to start from hold it?"""
    if not m.layouts:
        return ()
    by_slot = {s.slot.name: s for s in m.suspect.slots}
    pairs = [
        (s, by_slot.get(str(m.layouts[0].counterpart(s.slot))))
        for s in m.suspect.slots
        if s.slot.role is Role.SECONDARY
    ]
    waiting = [(s, p) for s, p in pairs if s.state in _WAITING and not _installed_already(s, p)]
    if waiting:
        return (_waiting(m, waiting),)
    wrong = [
        (s, p)
        for s, p in pairs
        if s.state is State.WRONG_SLOT and s.content.at_start and p and p.state in (State.EMPTY, State.UNKNOWN)
    ]
    half = [(s, p) for s, p in pairs if _half_seen(m, s) and p and p.state is State.EMPTY]
    if wrong or half:
        s, p = (wrong or half)[0]
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


def check_next_boot(m: Measured) -> tuple[Finding, ...]:
    """What will the next boot do, and what of the slots does the boot loader's own work explain?"""
    out = []
    known = [b for b in m.suspect.boots if b.action is not Action.UNKNOWN]
    if known:
        resumes = [b for b in known if b.action is Action.RESUMES]
        refuses = [b for b in known if b.action in (Action.REFUSES, Action.NOTHING)]
        id = "next-boot-resumes" if resumes else "next-boot-refuses" if refuses else "next-boot"
        out.append(found(id, text="; ".join(f"image {b.image}: {b.text}" for b in resumes or refuses or known)))
    ranges = m.canonical(e.range for e in m.suspect.explained)
    if ranges:
        texts = dict.fromkeys(e.text for e in m.suspect.explained)
        out.append(
            found(
                "boot-loader-left-it",
                where=[e.range for e in m.suspect.explained],
                explains=ranges,
                text="; ".join(list(texts)[:3]),
            )
        )
    return tuple(out)


def check_headers(m: Measured) -> tuple[Finding, ...]:
    """Where do image headers stand, and on which layout, when nobody named one?"""
    if m.layouts and not m.layout_assumed:
        return ()
    if m.layouts:
        slots = [s for s in m.layouts[0].image_slots if s.range.start in header_places(m.suspect.dump, m.chip)]
        return (
            found(
                "layout-assumed",
                layout=m.layouts[0].name,
                slots=" and ".join(f"'{s.name}' at 0x{s.range.start:08X}" for s in slots[:4]),
            ),
        )
    places = sorted(header_places(m.suspect.dump, m.chip))[:2]
    started = _started_slot(m)
    version = {m.chip.canonical(i.image.address): f", version {i.image.header.version}" for i in m.suspect.images}
    return tuple(
        found(
            "header-stands",
            settled=started in places,
            at=at,
            version=version.get(at, ""),
            slot="without the layout nothing says which slot that is"
            if started not in places
            else "by the boot log that is the slot which is started"
            if at == started
            else "by the boot log another slot is started, so this is a download or a spare one",
        )
        for at in places
    )


def _started_slot(m: Measured) -> int | None:
    """Return where the slot begins that the boot loader starts, as Zephyr's says by an offset; None when it does not."""
    logs = [log.boot for log in (m.suspect.uart, m.suspect.log) if log.boot]
    offsets = [e.value("offset") for log in logs for e in log.events if e.value("offset")]
    return m.chip.flash.base + int(offsets[-1], 16) if offsets else None


LEAST_ENTRIES = 3
"""Fewer handlers may begin a function by chance."""


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
        best = [h for h, (n, of) in fits.items() if n >= LEAST_ENTRIES and 4 * n >= 3 * of]
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
    if (
        not primary
        or primary.state is not State.INSTALLED
        or not primary.content.at_start
        or not secondary.content.at_start
    ):
        return False
    digests = [s.content.at_start[0].verification.digest for s in (primary, secondary)]
    return bool(digests[0]) and digests[0] == digests[1]


def _waiting(m: Measured, waiting: list[tuple[SlotState, SlotState | None]]) -> Finding:
    said, explains, hidden = [], [], False
    pending = False
    for s, p in waiting:
        image = s.content.at_start[0].image
        masked = p is not None and any(p.slot.range.overlaps(r) for r in m.suspect.masked)
        hidden |= masked
        pending |= s.state is State.INSTALL_PENDING
        marked = "marked for installation" if s.state is State.INSTALL_PENDING else f"but {_unmarked(m, s)}"
        target = (
            f"its primary slot at 0x{p.slot.range.start:08X} {_primary_text(p, masked)}" if p else "no primary slot"
        )
        said.append(
            f"'{s.slot.name}' at 0x{s.content.address:08X} holds a complete image, version"
            f" {image.header.version}, {marked}; {target}"
        )
        explains += [s.slot.range, *([p.slot.range] if p else [])]
    # A pair whose primary slot can be seen settles it, whatever is hidden in another.
    open_pair = any(
        p and p.state in (State.EMPTY, State.INSTALLED, State.INTERRUPTED, State.BODY_ERASED) for _, p in waiting
    )
    id = (
        "download-never-taken"
        if not pending
        else "download-pending"
        if open_pair or not hidden
        else "download-waits-primary-hidden"
    )
    return found(
        id,
        where=tuple(s.content.at_start[0].image.range for s, _ in waiting),
        explains=explains,
        compares=m.has_good,
        text=". ".join(t[0].upper() + t[1:] for t in said) + ".",
        same=_same_as_good(m, waiting),
        cure=_cure(m, [s for s, _ in waiting]),
    )


def _cure(m: Measured, waiting: Sequence[SlotState]) -> str:
    """Return what makes a boot loader take downloads that it passes over."""
    place = " and ".join(f"0x{s.content.address:08X}" for s in waiting)
    if any(s.content.trailer.magic in (Magic.ALIGNED, Magic.CLASSIC) for s in waiting):
        return (
            "A start does not install it as it is: its trailer is not the one that this boot loader looks for. Sign it again"
            f" with the signing tool of the boot loader's own package, and program it to {place}. What the boot loader"
            " prints on its serial port confirms it."
        )
    return (
        "A start does not install it as it is: nothing marks it for installation. Sign it with padding (imgtool sign"
        f" --pad), or let the application ask for the update, and program it to {place}."
    )


def _unmarked(m: Measured, s: SlotState) -> str:
    magic = s.content.trailer.magic
    if magic in (Magic.ALIGNED, Magic.CLASSIC):
        st = m.suspect.rules is not None and m.suspect.rules.loader is Loader.ST
        kind = "newer" if magic is Magic.ALIGNED else "classic"
        return f"its trailer magic is the {kind} one that {'ST' if st else 'upstream'}'s boot loader refuses"
    if magic is Magic.UNSET:
        return "without the trailer magic (0xFF there), so that the boot loader passes it over"
    return "with other bytes where the trailer magic belongs, so that the boot loader passes it over"


def _primary_text(p: SlotState, masked: bool) -> str:
    if masked:
        return "was not shown to the reader"
    if p.state is State.EMPTY:
        return "is erased"
    if p.state is State.UNKNOWN:
        return f"cannot be judged ({p.reason})"
    return f"is '{p.state.value}' ({p.reason})"


def _same_as_good(m: Measured, waiting: list[tuple[SlotState, SlotState | None]]) -> str:
    """Return a sentence when the good board has installed the very image that waits here."""
    good = {g.slot.name: g for g in m.good.slots}
    for s, p in waiting:
        g = good.get(p.slot.name) if p else None
        if (
            g
            and g.state is State.INSTALLED
            and g.content.at_start
            and g.content.at_start[0].verification.digest == s.content.at_start[0].verification.digest != b""
        ):
            return f" On {m.good.board.name} the same image (same hash) is installed in '{g.slot.name}'."
    return ""


def check_stage(m: Measured) -> tuple[Finding, ...]:
    """By the files that were to be flashed: at which stage of its life is the board?"""
    if not m.stages:
        return ()
    from h5diag.measure.firmware import Stage

    out = []
    for report in m.stages:
        best = report.fits[0]
        agreeing = tuple(f.slot.range for f in best.slots if f.agrees)
        said = report.text[0].upper() + report.text[1:]
        remarks = f" {'. '.join(report.remarks)}." if report.remarks else ""
        if not any(f.compared for f in best.slots):
            continue
        only = best.agrees and not any(f.agrees for f in report.fits[1:])
        id = (
            {
                Stage.PROGRAMMED: "at-stage-programmed",
                Stage.FIRST_BOOT: "at-stage-installed",
                Stage.UPDATE_PENDING: "at-stage-pending",
            }[best.stage]
            if only
            else "at-a-stage"
        )
        if not best.agrees:
            id = "at-no-stage"
        out.append(found(id, explains=agreeing, compares=True, text=f"{said[0].lower()}{said[1:]}.{remarks}"))
    return tuple(out)


def check_header_displaced(m: Measured) -> tuple[Finding, ...]:
    """Does a header of the good board's primary slot stand in the suspect's download slot?"""
    if not m.layouts:
        return ()
    for r in m.placement.regions:
        if r.explanation.kind is not ExplanationKind.SLOT:
            continue
        source, target = m.layouts[0].slot_at(r.reference_start), m.layouts[0].slot_at(r.dump_start)
        if not source or not target or source.image != target.image:
            continue
        if (source.role, target.role) == (Role.PRIMARY, Role.SECONDARY):
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


def check_other_firmware(m: Measured) -> tuple[Finding, ...]:
    """Do slots differ from the good board only because another, intact image is installed?"""
    out = []
    for s in m.suspect.slots:
        g = next((g for g in m.good.slots if g.slot.name == s.slot.name), None)
        if s.state is State.INSTALLED and g and _digest(s) and _digest(s) != _digest(g):
            out.append(found("other-firmware", explains=(s.slot.range,), slot=s.slot.name, reason=s.reason))
        elif s.state is State.INSTALLED and g and g.state is State.INSTALLED:
            out.append(found("same-firmware", slot=s.slot.name, reason=s.reason))
    return tuple(out)


def check_slot_damage(m: Measured) -> tuple[Finding, ...]:
    """Is an image damaged where it stands, or are there bytes that no state of a slot explains?"""
    out = []
    for s in m.suspect.slots:
        if s.state in (State.DIFFERS, State.BODY_ERASED) and not _half_seen(m, s):
            out.append(found("image-damaged", where=(s.slot.range,), slot=s.slot.name, reason=s.reason))
        if not any(s.slot.range.overlaps(r) for r in m.suspect.masked):
            out += [
                found("slot-open-point", where=s.content.zeros, slot=s.slot.name, point=point)
                for point in s.open_points
            ]
    return tuple(out)


def waiting_slots(facts: BoardFacts) -> tuple[Slot, ...]:
    """Return the download slots in which an image waits or was passed over."""
    return tuple(s.slot for s in facts.slots if s.slot.role is Role.SECONDARY and s.state in _WAITING)


def empty_starts(m: Measured) -> tuple[int, ...]:
    """Return where slots begin from which the boot loader starts, when no image begins at any of them, as far as read."""
    starts = [s for s in m.suspect.slots if s.slot.role is Role.PRIMARY]
    seen = [s.slot.range.start for s in starts if _shown(m, s.slot.range.start)]
    return tuple(seen) if not m.layout_assumed and not any(s.content.at_start for s in starts) else ()


def _shown(m: Measured, at: int) -> bool:
    return any(m.suspect.judged.covers(a, a + 32) for a in (at, m.chip.secure_alias(at)))


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
    by_id = {f.id: f for f in findings}
    boot = next((log.boot for log in (m.suspect.uart, m.suspect.log) if log.boot), None)
    way = [
        _state(by_id),
        _boot_code(m, by_id),
        _entered(m, by_id, bool(boot)),
        _options(m, by_id),
        _magic(m),
        _keys(by_id),
        _dependency(m),
        _fails(by_id, boot.ended if boot else ""),
    ]
    stopped = next((i for i, b in enumerate(way) if b.holds), len(way))
    later = [
        b
        if b.holds or not b.open
        else Branch(b.id, b.text, f"not reached: {way[stopped].id} comes before", False, False, "")
        for b in way[stopped + 1 :]
    ]
    return tuple(sorted([*way[: stopped + 1], *later], key=lambda b: (not b.holds, not b.open)))


def _entered(m: Measured, by_id: dict[str, Finding], log: bool) -> Branch:
    """Did the boot loader start at all: reset with BOOT0 low, the boot address, the core elsewhere?"""
    text = "The boot loader was never entered: BOOT0 high, the boot address, or no reset since it was flashed."
    for id in ("core-in-rom", "boot-address-erased", "boot-address-outside", "boot-option-rom"):
        if f := by_id.get(id):
            return _decided("not-entered", text, f, True)
    if log:
        return Branch("not-entered", text, "it printed a log", False, False, "")
    resets = m.suspect.board.resets_since_flash
    said = f"reset {resets} times since it was flashed; where BOOT0 was is not told" if resets else ""
    return Branch("not-entered", text, said, False, True, "meter")


def _keys(by_id: dict[str, Finding]) -> Branch:
    text = "The boot loader rejected the image: keys (OBK) that were never provisioned or are others, version, or signature."
    for id in ("boot-log-refuses-image", "signed-by-another-key"):
        if f := by_id.get(id):
            return _decided("rejected", text, f, True)
    return _undecided("rejected", text, "programming-log")


def _fails(by_id: dict[str, Finding], ended: str) -> Branch:
    text = "The boot loader starts and fails (panic, error loop, reset again and again)."
    if f := by_id.get("core-in-fault"):
        return _decided("boot-fails", text, f, True)
    if ended:
        return Branch(
            "boot-fails", text, f"its log ends in: {ended}", ended not in ("started", "rom-loader"), False, ""
        )
    return _undecided("boot-fails", text, "sample-the-core")


def _undecided(id: str, text: str, test: str) -> Branch:
    return Branch(id, text, "", False, True, test)


def _decided(id: str, text: str, finding: Finding, holds: bool) -> Branch:
    return Branch(id, text, finding.claim, holds, False, "")


def _state(by_id: dict[str, Finding]) -> Branch:
    text = "The product state does not let user firmware, the boot loader included, run."
    if f := by_id.get("state-does-not-boot"):
        return _decided("state", text, f, True)
    known = by_id.get("options-as-provisioned") or by_id.get("options-differ-from-provisioning")
    return _decided("state", text, known, False) if known else _undecided("state", text, "read-options")


def _boot_code(m: Measured, by_id: dict[str, Finding]) -> Branch:
    text = "The boot loader itself is not on the chip."
    if f := by_id.get("boot-not-written"):
        return _decided("boot-absent", text, f, True)
    boot = next((s.range for s in m.layouts[0].slots if s.role is Role.BOOT), None) if m.layouts else None
    if boot is None:
        return _undecided("boot-absent", text, "programming-log")
    alias = m.chip.flash.secure_base - m.chip.flash.base
    for base in (boot.start, boot.start + alias):
        if m.suspect.judged.covers(base, base + 0x400):
            head = m.suspect.judged.read(base, base + 0x400)
            erased = bool((head == m.chip.flash.erased).all())
            said = "is erased" if erased else "holds code"
            return Branch("boot-absent", text, f"0x{base:08X} {said}", erased, False, "")
    return Branch("boot-absent", text, "the reader was not shown the boot area", False, True, "programming-log")


def _options(m: Measured, by_id: dict[str, Finding]) -> Branch:
    text = "The boot loader's start-up check of the option bytes fails."
    for id, holds in (
        ("boot-log-stops-at-options", True),
        ("options-differ-from-provisioning", True),
        ("options-as-provisioned", False),
    ):
        if f := by_id.get(id):
            if not holds and f.limits:
                return Branch("options", text, f"what can be read agrees. {f.limits}", False, True, "sample-the-core")
            return _decided("options", text, f, holds)
    return _undecided("options", text, "read-options")


def _magic(m: Measured) -> Branch:
    text = "The download is not marked for installation (no trailer magic that this boot loader accepts)."
    never = [s for s in m.suspect.slots if s.state is State.NEVER_TAKEN]
    said = never[0].reason if never else "the trailer magic is there"
    return Branch("no-magic", text, said, bool(never), False, "")


def _dependency(m: Measured) -> Branch:
    text = "The image demands a version of the other image that is not there."
    tlvs = [
        t
        for s in m.suspect.slots
        if s.slot in waiting_slots(m.suspect) and s.content.at_start
        for t in s.content.at_start[0].image.tlvs.protected
        if t.type == 0x40
    ]
    if not tlvs:
        return Branch("dependency", text, "the image demands none", False, False, "")
    return _undecided("dependency", text, "file-bases")
