"""Checks of boot-loader slots: was the image installed, and if not, how far did it get?"""

from __future__ import annotations

from h5diag.judge.facts import BoardFacts, Measured
from h5diag.judge.verdict import Direction, Finding
from h5diag.layout import ExplanationKind, Role, Slot
from h5diag.measure.firmware import Magic, SlotState, Stage, State

_WAITING = (State.INSTALL_PENDING, State.NEVER_TAKEN)


def check_install(m: Measured) -> tuple[Finding, ...]:
    """Does a download wait in its slot, and does the slot to start from hold it?"""
    if not m.layouts:
        return ()
    by_slot = {s.slot.name: s for s in m.suspect.slots}
    pairs = [
        (s, by_slot.get(m.layouts[0].counterpart(s.slot).name))
        for s in m.suspect.slots
        if s.slot.role is Role.SECONDARY
    ]
    waiting = [(s, p) for s, p in pairs if s.state in _WAITING and not _held_already(s, p)]
    if waiting:
        return (_waiting(m, waiting),)
    wrong = [
        (s, p)
        for s, p in pairs
        if s.state is State.WRONG_SLOT and s.content.at_start and p and p.state in (State.EMPTY, State.UNKNOWN)
    ]
    if wrong:
        s, p = wrong[0]
        return (
            Finding(
                "download-of-the-wrong-kind",
                f"'{s.slot.name}' at 0x{s.content.address:08X} holds {s.reason}. Nothing"
                f" is installed in '{p.slot.name if p else 'its primary slot'}'.",
                where=(s.slot.range,),
                explains=tuple(x.slot.range for pair in wrong for x in pair if x),
                direction=Direction.AGAINST,
                compares=m.has_good,
                limits="The file that was flashed is the thing to look at.",
            ),
        )
    half = [(s, p) for s, p in pairs if _half_seen(m, s) and p and p.state is State.EMPTY]
    if half:
        s, p = half[0]
        return (
            Finding(
                "download-half-seen",
                f"'{s.slot.name}' at 0x{s.content.address:08X} begins with an image header and"
                f" ends with the trailer magic; part of the image lies where the reads disagree. '{p.slot.name}' is"
                " erased. The boot loader has not installed it.",
                where=(s.slot.range,),
                explains=tuple(x.slot.range for pair in half for x in pair if x),
                direction=Direction.AGAINST,
                compares=m.has_good,
            ),
        )
    known = [(s, p) for s, p in pairs if s.state is not State.UNKNOWN]
    installed = [p for s, p in known if p and p.state is State.INSTALLED]
    if installed and all(s.state in (State.EMPTY, State.INSTALLED, State.INSTALL_PENDING) for s, p in known):
        names = " and ".join(f"'{p.slot.name}' ({p.reason})" for p in installed)
        return (
            Finding(
                "download-empty-installed",
                f"The boot loader's work is done: {names}; the download slot holds nothing that waits.",
                direction=Direction.AGAINST,
            ),
        )
    if known and all(s.state is State.EMPTY for s, _ in known):
        return (
            Finding(
                "download-empty",
                "The download slot is erased: nothing waits to be installed (an image that ST's"
                " loader rejects is erased too).",
            ),
        )
    return ()


def _half_seen(m: Measured, s: SlotState) -> bool:
    """Tell whether a download can be told from its header and its trailer, its middle being in doubt."""
    return (
        bool(s.content.at_start)
        and s.content.trailer.magic is Magic.CLASSIC
        and any(m.canonical([r])[0].overlaps(s.slot.range) for r in m.suspect.reads.ranges)
    )


def _held_already(secondary: SlotState, primary: SlotState | None) -> bool:
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
        marked = "marked for installation" if s.state is State.INSTALL_PENDING else f"but {_unmarked(s)}"
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
    same = _same_as_good(m, waiting)
    return Finding(
        id,
        ". ".join(t[0].upper() + t[1:] for t in said) + f".{same} The boot loader has not installed it.",
        where=tuple(s.content.at_start[0].image.range for s, _ in waiting),
        direction=Direction.AGAINST,
        explains=tuple(explains),
        compares=m.has_good,
        limits="Why it was not installed is another question: see the next test.",
    )


def _unmarked(s: SlotState) -> str:
    magic = s.content.trailer.magic
    if magic is Magic.ALIGNED:
        return "its trailer magic is the newer one that ST's boot loader refuses"
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
        out.append(
            Finding(
                id,
                f"By the given files, {said[0].lower() + said[1:]}.{remarks}",
                explains=agreeing,
                compares=True,
                direction=Direction.AGAINST if best.agrees else Direction.NEITHER,
            )
        )
    return tuple(out)


def check_header_displaced(m: Measured) -> tuple[Finding, ...]:
    """Does a header of the good board's primary slot stand in the suspect's download slot?"""
    if not m.layouts:
        return ()
    for r in m.placement.regions:
        if r.explanation.kind is not ExplanationKind.SLOT:
            continue
        source, target = m.layouts[0].slot_at(r.reference_start), m.layouts[0].slot_at(r.dump_start)
        if (source.role, target.role) == (Role.PRIMARY, Role.SECONDARY) and source.image == target.image:
            return (
                Finding(
                    "header-at-download-slot",
                    f"{r.size} bytes of the good board's '{source.name}' (0x"
                    f"{r.reference_start:08X}) stand at 0x{r.dump_start:08X}, in '{target.name}':"
                    f" displacement 0x{abs(r.displacement):X}, which is the distance of the two slots."
                    " In an encrypted download only the header reads the same.",
                    where=(r.dump_range,),
                    direction=Direction.AGAINST,
                    compares=True,
                ),
            )
    return ()


def check_other_firmware(m: Measured) -> tuple[Finding, ...]:
    """Do slots differ from the good board only because another, intact image is installed?"""
    out = []
    for s in m.suspect.slots:
        g = next((g for g in m.good.slots if g.slot.name == s.slot.name), None)
        if s.state is State.INSTALLED and g and _digest(s) and _digest(s) != _digest(g):
            out.append(
                Finding(
                    "other-firmware",
                    f"'{s.slot.name}' holds another image than the good board's, and it is whole: {s.reason}.",
                    explains=(s.slot.range,),
                    compares=True,
                )
            )
        elif s.state is State.INSTALLED and g and g.state is State.INSTALLED:
            out.append(
                Finding(
                    "same-firmware",
                    f"'{s.slot.name}' holds the same image as the good board's: {s.reason}.",
                    compares=True,
                    direction=Direction.AGAINST,
                )
            )
    return tuple(out)


def check_slot_damage(m: Measured) -> tuple[Finding, ...]:
    """Is an image damaged where it stands, or are there bytes that no state of a slot explains?"""
    out = []
    for s in m.suspect.slots:
        if s.state in (State.DIFFERS, State.BODY_ERASED) and not _half_seen(m, s):
            out.append(
                Finding(
                    "image-damaged",
                    f"'{s.slot.name}': {s.reason}.",
                    where=(s.slot.range,),
                    open_point=f"the image in '{s.slot.name}' is not as it was signed: {s.reason}",
                )
            )
        for point in s.open_points:
            if not any(s.slot.range.overlaps(r) for r in m.suspect.masked):
                out.append(
                    Finding(
                        "slot-open-point",
                        f"'{s.slot.name}': {point}.",
                        where=s.content.zeros,
                        open_point=f"'{s.slot.name}': {point}",
                    )
                )
    return tuple(out)


def waiting_slots(facts: BoardFacts) -> tuple[Slot, ...]:
    """Return the download slots in which an image waits or was passed over."""
    return tuple(s.slot for s in facts.slots if s.slot.role is Role.SECONDARY and s.state in _WAITING)


def _digest(s: SlotState) -> bytes:
    return s.content.at_start[0].verification.digest if s.content.at_start else b""
