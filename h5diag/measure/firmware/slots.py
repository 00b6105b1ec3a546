"""The state of each slot with its reason, told from what stands in it, in its counterpart, and from the next boot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from h5diag.layout import Layout, Loader, Mode, Role, Slot
from h5diag.measure.firmware.bootloader import Action, NextBoot
from h5diag.measure.firmware.content import ExaminedImage, Fill, SlotContent, examine_images, open_images, read_slot
from h5diag.measure.firmware.image import BIG_ENDIAN_MAGIC, Flag, find_images
from h5diag.measure.firmware.nextboot import (
    BootChoice,
    Explained,
    acceptable,
    choose_boot,
    explained_ranges,
    next_boots,
)
from h5diag.measure.firmware.signed import Check
from h5diag.measure.firmware.swap import Rules
from h5diag.measure.firmware.trailer import Magic, TrailerFlag
from h5diag.measure.firmware.vectors import vector_table_at
from h5diag.measure.firmware.verify import BodyKind
from h5diag.memory import MemoryImage, common, subtracted
from h5diag.text import count_text

if TYPE_CHECKING:
    from h5diag.evidence.keys import DecryptKey, VerifyKey
    from h5diag.evidence.texts.boot import BootLog


class State(Enum):
    """What became of a slot or of an image."""

    EMPTY = "empty"
    INSTALLED = "installed"
    INSTALL_PENDING = "install-pending"
    NEVER_TAKEN = "never-taken"
    REVERTED = "reverted"
    INTERRUPTED = "interrupted"
    BODY_ERASED = "body-erased"
    DIFFERS = "differs"
    WRONG_SLOT = "wrong-slot"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class SlotState:
    """A slot's state.

    Parameters
    ----------
    slot
        The slot.
    state
        Its state.
    reason
        Why, in one or two sentences.
    content
        What it was judged by.
    next_boot
        What the next boot will do with this image's two slots.
    open_points
        What nothing explains, one sentence each.
    """

    slot: Slot
    state: State
    reason: str
    content: SlotContent
    next_boot: NextBoot
    open_points: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BootStates:
    """Everything about a board's slots.

    Parameters
    ----------
    slots
        The state of every primary and secondary slot, in address order.
    next_boot
        What the next boot does, image by image.
    choice
        Whose boot loader's rules were taken, and how that is known.
    explained
        Ranges of the slots and of the scratch area whose content the boot loader's work explains.
    """

    slots: tuple[SlotState, ...]
    next_boot: tuple[NextBoot, ...]
    choice: BootChoice
    explained: tuple[Explained, ...]


_ODD_ZEROS = "begin or end in the middle of a sector: no mask does that, and erased flash reads 0xFF"


def boot_states(
    image: MemoryImage,
    layout: Layout,
    *,
    loader: Loader | None = None,
    mode: Mode | None = None,
    log: BootLog | None = None,
    verify_keys: Sequence[VerifyKey] = (),
    decrypt_keys: Sequence[DecryptKey] = (),
    builds: Sequence[MemoryImage] = (),
    examined: Sequence[ExaminedImage] | None = None,
) -> BootStates:
    """Return the state of the slots and what the next boot does.

    Parameters
    ----------
    image
        The dump.
    layout
        Where the slots are.
    loader, mode
        Whose boot loader it is and how it installs, where a person says so; else log, layout and dump tell.
    log
        What this board's boot loader printed.
    verify_keys, decrypt_keys
        Keys to check with.
    builds
        What was to be flashed: signed images at their slots' addresses, or unsigned ones at their link addresses. A
        slot that holds another one `DIFFERS`.
    examined
        What `examine_images` returned for this dump and layout, so that nothing is hashed twice.
    """
    if examined is None:
        examined = examine_images(image, layout=layout, verify_keys=verify_keys, decrypt_keys=decrypt_keys)
    contents = {s.name: read_slot(image, layout, s, examined) for s in layout.image_slots}
    scratch = next((read_slot(image, layout, s, ()) for s in layout.slots if s.role is Role.SCRATCH), None)
    seen = contents | ({scratch.slot.name: scratch} if scratch else {})
    choice = choose_boot(image, layout, seen, loader=loader, mode=mode, log=log)
    following = next_boots(image, layout, contents, scratch, choice.rules, verify_keys)
    by_image = {n.image: n for n in following}
    explained = explained_ranges(image, contents, scratch, choice.rules, following)
    wanted = tuple(e for b in builds for e in examine_images(b, layout=layout))
    bodies = tuple(b for b in builds if b.size and not any(i.complete for i in find_images(b)))
    opened = open_images(image, examined, decrypt_keys)
    states = []
    for slot in layout.image_slots:
        other, own, boot = layout.counterpart(slot), contents[slot.name], by_image[slot.image or 0]
        place = Place(own, contents[other.name] if other else None, layout, choice.rules, wanted, bodies, opened)
        odd = (z for z in own.zeros if subtracted((z,), [e.range for e in explained]))
        points = tuple(f"zeros at {z} {_ODD_ZEROS}" for z in odd)
        states.append(SlotState(slot, *state_of(place, boot), own, boot, points))
    return BootStates(tuple(states), following, choice, explained)


def image_state(image: ExaminedImage, slots: Sequence[SlotState]) -> Judged:
    """Return the state of one image of a dump and its reason, given the states of the slots (none: no layout)."""
    own = next((s for s in slots if s.slot == image.slot and image.at_start), None)
    if own and image in own.content.images:
        return own.state, own.reason
    if damage := damage_of(image):
        return damage
    if own:
        return own.state, f"{own.reason}; seen through the flash's other alias"
    if slots and image.at_start:
        return State.UNKNOWN, f"it begins slot '{image.slot}', which an earlier boot stage starts: not judged here"
    if slots:
        where = f"inside slot '{image.slot}', not at its start" if image.slot else "in no slot"
        return State.WRONG_SLOT, f"it stands {where}: a boot loader never looks there"
    if image.verification.body.kind is BodyKind.ENCRYPTED and image.image.header.encrypted:
        if image.trailer.magic is Magic.CLASSIC:
            return State.INSTALL_PENDING, "an encrypted download with a good trailer magic"
        if image.trailer.magic is Magic.ALIGNED:
            return State.UNKNOWN, (
                f"an encrypted download with the newer trailer magic (alignment {image.trailer.alignment}): upstream's"
                " MCUboot takes it, ST's boot loader passes it over"
            )
    return State.UNKNOWN, "without a layout nothing says which slot this is"


@dataclass(frozen=True, slots=True)
class Place:
    """What a slot is judged by: itself, its counterpart, the boot loader's rules, and what was built.

    `builds` are signed images, `bodies` unsigned ones at their link addresses; `memory` is the dump with its
    encrypted bodies opened as far as keys were given.
    """

    own: SlotContent
    other: SlotContent | None
    layout: Layout
    rules: Rules
    builds: tuple[ExaminedImage, ...]
    bodies: tuple[MemoryImage, ...]
    memory: MemoryImage

    @property
    def others(self) -> tuple[ExaminedImage, ...]:
        """The images where the boot loader looks for one in the other slot."""
        return self.other.at_start if self.other else ()


Judged = tuple[State, str]


def state_of(place: Place, following: NextBoot) -> Judged:
    """Return the state of a slot and its reason; `following` is what the next boot does with its image."""
    own = place.own
    if own.slot.device:
        return State.UNKNOWN, f"it lies in another memory ({own.slot.device}), not in this dump"
    if own.fill is Fill.UNREAD:
        return State.UNKNOWN, "not in the dump"
    if following.interrupted:
        return State.INTERRUPTED, f"a swap was begun and not finished; at the next boot {following.text}"
    if own.at_start:
        image = own.at_start[0]
        if damage := damage_of(image):
            return _with_pending(place, damage)
        if other := _other_build(place, image) or _other_body(place, image) or _wrong_slot(place, image):
            return other
        return _primary(place, image, following) if own.slot.role is Role.PRIMARY else _secondary(place, image)
    if own.fill is Fill.ZERO:
        return State.UNKNOWN, "reads zero throughout: a mask, not an erased slot (that reads 0xFF)"
    if own.fill is Fill.ERASED and own.first_sector is Fill.ERASED:
        seen = f" (as far as the dump goes: 0x{own.unread[0].start:08X})" if own.unread else ""
        return State.EMPTY, _why_empty(place) + seen
    if own.unread:
        return State.UNKNOWN, f"part of it is not in the dump (from 0x{own.unread[0].start:08X} on)"
    return _no_header(place)


def damage_of(image: ExaminedImage) -> Judged | None:
    """Return the state that the image's own bytes give it and why; None when nothing is wrong with them."""
    found, header, v = image.image, image.image.header, image.verification
    first = image.written.start
    if v.body.kind is BodyKind.ERASED and header.body_size:
        return State.BODY_ERASED, f"a valid header ({header.version}), but the body from 0x{first:08X} on is all 0xFF"
    if image.slot and found.size > image.slot.range.size:
        return (
            State.DIFFERS,
            f"the header claims {count_text(found.size, 'byte')}, the slot has {image.slot.range.size}",
        )
    if found.available < found.size:
        stop = found.address + found.available
        return State.UNKNOWN, f"the image is cut short: the dump has no bytes from 0x{stop:08X} on"
    if image.zero_sectors and (v.hash is not Check.VALID):
        return State.UNKNOWN, (
            f"whole sectors of it read zero ({image.zero_sectors[0]}), as a mask shows them: read"
            " again with the right attribute"
        )
    if not found.tlvs.size:
        if image.written.stop < found.body.stop and image.written.size:
            return State.INTERRUPTED, (
                f"written up to 0x{image.written.stop:08X} of 0x{found.range.stop:08X}, 0xFF"
                " after that: copying or programming was cut off"
            )
        return State.DIFFERS, "; ".join(found.problems)
    if v.hash is Check.INVALID:
        return State.DIFFERS, f"{v.hash_reason} (the hash does not fit)"
    if v.signature is Check.INVALID and not v.other_signer:
        return State.DIFFERS, f"the boot loader would refuse its signature: {v.signature_reason}"
    return None


def _with_pending(place: Place, damage: Judged) -> Judged:
    """Call half an image an interrupted copy when the secondary slot still holds the image with that header."""
    half = place.own.slot.role is Role.PRIMARY and damage[0] in (State.INTERRUPTED, State.BODY_ERASED)
    marked = [i for i in place.others[:1] if place.other and place.rules.accepts(place.other.trailer)]
    if half and any(i.image.header == place.own.at_start[0].image.header for i in marked):
        text = "the secondary slot still holds its image: the next boot starts over"
        return State.INTERRUPTED, f"{damage[1]}; {text}"
    return damage


def _other_build(place: Place, image: ExaminedImage) -> Judged | None:
    chip = place.layout.chip
    at = chip.canonical(image.image.address)
    for build in (b for b in place.builds if chip.canonical(b.image.address) == at):
        if build.verification.digest not in (b"", image.verification.digest):
            here, there = image.image.header.version, build.image.header.version
            what = f"the build is {there}" if here != there else "as the build, with other content"
            return State.DIFFERS, f"another image than the given build: version {here}, {what}"
    return None


def _other_body(place: Place, image: ExaminedImage) -> Judged | None:
    """Compare a plain or opened body with an unsigned build that is linked for this image's primary slot."""
    own, body = place.own.slot, image.image.body
    primary = own if own.role is Role.PRIMARY else place.layout.counterpart(own)
    if image.verification.hash is not Check.VALID or primary is None:
        return None
    linked = primary.range.start + image.image.header.header_size
    for build in (b for b in place.bodies if place.layout.chip.canonical(b.span.start) == linked):
        if build.span.size > body.size:
            return State.DIFFERS, f"the given build has {count_text(build.span.size, 'byte')}, the body {body.size}"
        pairs = [(at, a != b) for at, a, b in common(build, place.memory, body.start - build.span.start)]
        if unequal := sum(int(other.sum()) for _, other in pairs):
            first = next(at + int(other.argmax()) for at, other in pairs if other.any())
            count = count_text(unequal, "byte")
            return State.DIFFERS, f"a genuine image, but not the given build: {count} differ, from 0x{first:08X} on"
    return None


def _wrong_slot(place: Place, image: ExaminedImage) -> Judged | None:
    role, v, header = place.own.slot.role, image.verification, image.image.header
    if header.flags & Flag.PRIMARY_ONLY:
        return None
    if role is Role.PRIMARY and v.body.kind is BodyKind.ENCRYPTED and header.encrypted:
        return State.WRONG_SLOT, (
            "an encrypted download image in the primary slot: the boot loader decrypts only while"
            " copying from the secondary slot"
        )
    plain = v.hash is Check.VALID and v.decrypted_hash is not Check.VALID
    if role is Role.SECONDARY and header.encrypted and plain:
        return State.WRONG_SLOT, (
            "an image for the primary slot (encrypted flag, plain body) in the download slot: the"
            " boot loader would decrypt it into garbage and erase it"
        )
    if v.hash is not Check.VALID:
        return None
    table = vector_table_at(place.memory, image.image.body.start, place.layout.chip)
    linked = place.layout.slot_at(table.reset) if table else None
    if table and linked and linked.role is Role.PRIMARY and linked.image != place.own.slot.image:
        return State.WRONG_SLOT, f"its vector table starts at 0x{table.reset:08X}, in slot '{linked}'"
    return None


def _primary(place: Place, image: ExaminedImage, following: NextBoot) -> Judged:
    version, own = image.image.header.version, place.own
    checked = acceptable(image.verification, image, encrypted=image.image.header.encrypted, download=False)
    if checked is Check.NOT_CHECKED:
        return State.UNKNOWN, f"version {version}: {image.verification.hash_reason}"
    if own.trailer.image_ok is TrailerFlag.SET:
        how = "confirmed (image_ok)"
    elif own.trailer.magic.is_magic:
        how = "with trailer magic"
    else:
        how = "no trailer magic, which the primary slot does not need"
    reason = f"version {version}, hash valid, {how}"
    if image.verification.other_signer and image.verification.signature is Check.INVALID:
        reason += "; signed with another key than those given"
    if following.action is Action.REVERTS:
        reason += "; it runs for a test and was not confirmed"
    return State.INSTALLED, reason + ("; an update waits in the secondary slot" if following.takes_download else "")


def _secondary(place: Place, image: ExaminedImage) -> Judged:
    version, trailer, name = image.image.header.version, place.own.trailer, f"version {image.image.header.version}"
    if place.rules.mode.in_place:
        return State.INSTALLED, f"{name} stands in the second slot, from which this boot loader starts images in place"
    if place.rules.accepts(trailer):
        v = image.verification
        checked = "hash valid" if v.hash is Check.VALID else f"hash not checked: {v.hash_reason}"
        same = place.others and place.others[0].verification.digest == v.digest
        also = "; the primary slot holds the same image already" if same and v.digest else ""
        if v.other_signer and v.signature is Check.INVALID:
            also += "; signed with another key than those given"
        return State.INSTALL_PENDING, f"{name}, trailer magic good, {checked}: it waits to be installed{also}"
    swapped = place.rules.mode.swaps and place.other and place.other.trailer.copy_done is TrailerFlag.SET
    if swapped and place.others and trailer.magic is Magic.UNSET:
        running = place.others[0].image.header.version
        if running < version:
            return State.REVERTED, f"{name} was swapped in and back again: {running} runs and is confirmed"
        return State.INSTALLED, f"{name} is the previous image, swapped out when {running} was installed"
    why = {
        Magic.ALIGNED: f"the trailer magic is the newer one (alignment {trailer.alignment}), which "
        + ("ST's boot loader" if place.rules.loader is Loader.ST else "this boot loader")
        + " refuses",
        Magic.CLASSIC: "the trailer magic is the classic one, which this boot loader refuses",
        Magic.UNSET: "no trailer magic (0xFF): never marked, a cached download that the boot loader passes over",
        Magic.ZERO: "zeros where the trailer magic belongs: the boot loader passes the image over",
        Magic.OTHER: "other bytes where the trailer magic belongs"
        + (f" ({count_text(trailer.wrong_bits, 'bit')} off the good magic: damaged)" if trailer.wrong_bits else "")
        + ": the boot loader passes the image over",
    }
    if trailer.magic is Magic.UNREAD:
        return State.UNKNOWN, f"{name}; its trailer is not in the dump"
    return State.NEVER_TAKEN, f"{name}: {why[trailer.magic]}"


def _why_empty(place: Place) -> str:
    if place.own.slot.role is Role.PRIMARY:
        kept, none = (
            "erased; the image still stands in the secondary slot",
            "erased, and no image waits in the secondary slot",
        )
        return kept if place.others else none
    if place.rules.loader is Loader.ST:
        return (
            "erased, as before a download, after an install, and after a rejected image: ST's boot loader erases"
            " the whole slot in both cases, so they look the same"
        )
    return "erased: nothing was downloaded (upstream's boot loader leaves the middle of an image behind)"


def _no_header(place: Place) -> Judged:
    own = place.own
    if own.images:
        at = own.images[0].image.address
        offset = own.slot.role is Role.SECONDARY and at - own.address == place.rules.sector
        hint = "; swap-offset wants a download there (--boot-mode swap-offset, if it installs so)" if offset else ""
        return State.WRONG_SLOT, (
            f"an image stands at 0x{at:08X}, 0x{at - own.address:X} behind the slot's start:"
            f" the boot loader looks only at the start{hint}"
        )
    if own.slot.role is Role.SECONDARY and own.first_sector is Fill.ERASED:
        return State.EMPTY, "no header; the rest of an old image stands behind it, as upstream's boot loader leaves it"
    if own.slot.role is Role.PRIMARY and place.others and own.first_sector is Fill.ERASED:
        return State.INTERRUPTED, "the first sector is erased and more content follows: erasing or copying was cut off"
    first = place.memory.read_filled(own.address, own.address + 4)[0].tobytes()
    if int.from_bytes(first, "little") == BIG_ENDIAN_MAGIC:
        return State.DIFFERS, "an image header in big-endian order: it was signed for another kind of chip"
    if vector_table_at(place.memory, own.address, place.layout.chip):
        return State.DIFFERS, "a vector table where the image header belongs: an image that was not signed"
    return State.UNKNOWN, "content without an image header"
