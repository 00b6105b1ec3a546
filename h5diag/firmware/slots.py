"""The state of each slot, with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from h5diag.firmware.body import BodyKind
from h5diag.firmware.content import (
    NO_CONTENT,
    ExaminedImage,
    Fill,
    SlotContent,
    examine_images,
    read_slot,
)
from h5diag.firmware.keys import DecryptKey, VerifyKey
from h5diag.firmware.mcuboot import Flag, dependencies
from h5diag.firmware.nextboot import Action, Loader, NextBoot, acceptable, magic_accepted, predict
from h5diag.firmware.trailer import Magic, TrailerFlag
from h5diag.firmware.vectors import vector_table_at
from h5diag.firmware.verify import Check
from h5diag.layout import Layout, Mode, Role, Slot
from h5diag.memory import MemoryImage


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
class _Place:
    """What a slot is judged by: itself, its counterpart, and how the boot loader works."""

    own: SlotContent
    other: SlotContent
    layout: Layout
    loader: Loader
    builds: tuple[ExaminedImage, ...]
    memory: MemoryImage

    @property
    def unit(self) -> int:
        return self.layout.chip.flash.program_unit


Judged = tuple[State, str]


def slot_states(image: MemoryImage, layout: Layout, *, loader: Loader = Loader.ST,
                verify_keys: Sequence[VerifyKey] = (), decrypt_keys: Sequence[DecryptKey] = (),
                builds: Sequence[MemoryImage] = (),
                examined: Sequence[ExaminedImage] | None = None) -> tuple[SlotState, ...]:
    """Return the state of every primary and secondary slot, in address order.

    Parameters
    ----------
    image
        The dump.
    layout
        Where the slots are.
    loader
        Whose boot loader it is; the layouts of this project are ST's.
    verify_keys, decrypt_keys
        Keys to check with.
    builds
        Signed images that were to be flashed, at their own addresses: a slot that holds another one `DIFFERS`.
    examined
        What `examine_images` returned for this dump and layout, so that nothing is hashed twice.
    """
    if examined is None:
        examined = examine_images(image, layout=layout, verify_keys=verify_keys, decrypt_keys=decrypt_keys)
    contents = {s.name: read_slot(image, layout, s, examined) for s in layout.image_slots}
    wanted = tuple(e for b in builds for e in examine_images(b, layout=layout))
    states = []
    for slot in layout.image_slots:
        own, other = contents[slot.name], contents.get(layout.counterpart(slot).name, NO_CONTENT)
        place = _Place(own, other, layout, loader, wanted, image)
        primary, secondary = (own, other) if slot.role is Role.PRIMARY else (other, own)
        following = predict(primary, secondary, layout.mode, loader, place.unit)
        if following.action is Action.INSTALL and (unmet := _unmet(secondary, contents.values(), loader, place.unit)):
            following = NextBoot(Action.STAY, unmet)
        state, reason = _judge(place, following)
        states.append(SlotState(slot, state, reason, own, following, _open_points(own)))
    return tuple(states)


def _unmet(secondary: SlotContent, contents: Iterable[SlotContent], loader: Loader, unit: int) -> str:
    """Return which dependency of a waiting image no other image meets, now or after this boot; empty when none."""
    for wish in dependencies(secondary.at_start[0].image.tlvs):
        here = [c.at_start[0].image.header.version for c in contents if c.slot.image == wish.image and c.at_start
                and (c.slot.role is Role.PRIMARY or magic_accepted(c.trailer, loader, unit))]
        # The boot loader compares versions without the build number.
        wanted = (wish.version.major, wish.version.minor, wish.version.revision)
        if here and all((v.major, v.minor, v.revision) < wanted for v in here):
            return (f"the boot loader does not install it: it needs version {wish.version} of image {wish.image},"
                    f" here is {max(here)}")
    return ""


def image_state(image: ExaminedImage, slots: Sequence[SlotState]) -> Judged:
    """Return the state of one image of a dump and its reason, given the states of the slots (none: no layout)."""
    for s in slots:
        if s.slot is image.slot and image.at_start and image in s.content.images:
            return s.state, s.reason
    if damage := _damage(image):
        return damage
    if slots:
        where = f"inside slot '{image.slot}', not at its start" if image.slot else "in no slot"
        return State.WRONG_SLOT, f"it stands {where}: a boot loader never looks there"
    if image.verification.body.kind is BodyKind.ENCRYPTED and image.image.header.encrypted:
        if image.trailer.magic is Magic.CLASSIC:
            return State.INSTALL_PENDING, "an encrypted download with a good trailer magic"
        if image.trailer.magic is Magic.ALIGNED:
            return State.NEVER_TAKEN, "an encrypted download whose trailer magic ST's boot loader refuses"
    return State.UNKNOWN, "without a layout nothing says which slot this is"


def _judge(place: _Place, following: NextBoot) -> Judged:
    own = place.own
    if own.fill is Fill.UNREAD:
        return State.UNKNOWN, "not in the dump"
    if own.at_start:
        image = own.at_start[0]
        if damage := _damage(image):
            return _with_pending(place, damage)
        if other_build := _other_build(place, image):
            return other_build
        if wrong := _wrong_slot(place, image):
            return wrong
        return _primary(place, image, following) if own.slot.role is Role.PRIMARY else _secondary(place, image)
    if own.fill is Fill.ZERO:
        return State.UNKNOWN, "reads zero throughout: a mask, not an erased slot (that reads 0xFF)"
    if own.fill is Fill.ERASED and own.first_sector is Fill.ERASED:
        seen = f" (as far as the dump goes: 0x{own.unread[0].start:08X})" if own.unread else ""
        return State.EMPTY, _why_empty(place) + seen
    if own.unread:
        return State.UNKNOWN, f"part of it is not in the dump (from 0x{own.unread[0].start:08X} on)"
    return _no_header(place)


def _damage(image: ExaminedImage) -> Judged | None:
    """Return what is wrong with the image's own bytes."""
    found, header, v = image.image, image.image.header, image.verification
    first = image.written.start
    if v.body.kind is BodyKind.ERASED and header.body_size:
        return State.BODY_ERASED, f"a valid header ({header.version}), but the body from 0x{first:08X} on is all 0xFF"
    if image.slot and found.size > image.slot.range.size:
        return State.DIFFERS, f"the header claims {found.size} bytes, the slot has {image.slot.range.size}"
    if found.available < found.size:
        stop = found.address + found.available
        return State.UNKNOWN, f"the image is cut short: the dump has no bytes from 0x{stop:08X} on"
    if image.zero_sectors and (v.hash is not Check.VALID):
        return State.UNKNOWN, (f"whole sectors of it read zero ({image.zero_sectors[0]}), as a mask shows them: read"
                               " again with the right attribute")
    if not found.tlvs.size:
        if image.written.stop < found.body.stop and image.written.size:
            return State.INTERRUPTED, (f"written up to 0x{image.written.stop:08X} of 0x{found.range.stop:08X}, 0xFF"
                                       " after that: copying or programming was cut off")
        return State.DIFFERS, "; ".join(found.problems)
    if v.hash is Check.INVALID:
        return State.DIFFERS, f"{v.hash_reason} (the hash does not fit)"
    return None


def _with_pending(place: _Place, damage: Judged) -> Judged:
    state, reason = damage
    if place.own.slot.role is Role.PRIMARY and place.other.at_start \
            and magic_accepted(place.other.trailer, place.loader, place.unit) and state is not State.UNKNOWN:
        return State.INTERRUPTED, f"{reason}; the secondary slot still holds its image: the next boot starts over"
    return damage


def _other_build(place: _Place, image: ExaminedImage) -> Judged | None:
    chip = place.layout.chip
    for build in place.builds:
        same_slot = chip.canonical(build.image.address) == chip.canonical(image.image.address)
        digest = build.verification.digest
        if digest and same_slot and digest != image.verification.digest:
            here, there = image.image.header.version, build.image.header.version
            what = f"the build is {there}" if here != there else "as the build, with other content"
            return State.DIFFERS, f"another image than the given build: version {here}, {what}"
    return None


def _wrong_slot(place: _Place, image: ExaminedImage) -> Judged | None:
    role, v, header = place.own.slot.role, image.verification, image.image.header
    if header.flags & Flag.PRIMARY_ONLY:
        return None
    if role is Role.PRIMARY and v.body.kind is BodyKind.ENCRYPTED and header.encrypted:
        return State.WRONG_SLOT, ("an encrypted download image in the primary slot: the boot loader decrypts only while"
                                  " copying from the secondary slot")
    plain = v.hash is Check.VALID and v.decrypted_hash is not Check.VALID
    if role is Role.SECONDARY and header.encrypted and plain:
        return State.WRONG_SLOT, ("an image for the primary slot (encrypted flag, plain body) in the download slot: the"
                                  " boot loader would decrypt it into garbage and erase it")
    if not plain:
        return None
    table = vector_table_at(place.memory, image.image.body.start, place.layout.chip)
    linked = place.layout.slot_at(table.reset) if table else place.own.slot
    if linked and linked.role is Role.PRIMARY and linked.image != place.own.slot.image:
        return State.WRONG_SLOT, f"its vector table starts at 0x{table.reset:08X}, in slot '{linked}'"
    return None


def _primary(place: _Place, image: ExaminedImage, following: NextBoot) -> Judged:
    version, own = image.image.header.version, place.own
    if following.action is Action.RESUME:
        return State.INTERRUPTED, "a swap was begun and not finished"
    checked = acceptable(image, download=False)
    if checked is Check.NOT_CHECKED:
        return State.UNKNOWN, f"version {version}: {image.verification.hash_reason}"
    pending = following.action is Action.INSTALL
    if own.trailer.image_ok is TrailerFlag.SET:
        how = "confirmed (image_ok)"
    elif own.trailer.magic in (Magic.CLASSIC, Magic.ALIGNED):
        how = "with trailer magic"
    else:
        how = "no trailer magic, which the primary slot does not need"
    reason = f"version {version}, hash valid, {how}"
    if following.action is Action.REVERT:
        reason += "; it runs for a test and was not confirmed"
    return State.INSTALLED, reason + ("; an update waits in the secondary slot" if pending else "")


def _secondary(place: _Place, image: ExaminedImage) -> Judged:
    version, trailer = image.image.header.version, place.own.trailer
    name = f"version {version}"
    if magic_accepted(trailer, place.loader, place.unit):
        v = image.verification
        checked = "hash valid" if v.hash is Check.VALID else f"hash not checked: {v.hash_reason}"
        same = place.other.at_start and place.other.at_start[0].verification.digest == v.digest
        also = "; the primary slot holds the same image already" if same and v.digest else ""
        return State.INSTALL_PENDING, f"{name}, trailer magic good, {checked}: it waits to be installed{also}"
    if place.layout.mode is Mode.SWAP and place.other.at_start and trailer.magic is Magic.UNSET \
            and place.other.trailer.copy_done is TrailerFlag.SET:
        running = place.other.at_start[0].image.header.version
        if running < version:
            return State.REVERTED, f"{name} was swapped in and back again: {running} runs and is confirmed"
        return State.INSTALLED, f"{name} is the previous image, swapped out when {running} was installed"
    why = {
        Magic.ALIGNED: f"the trailer magic is the newer one (alignment {trailer.alignment}), which "
                       + ("ST's boot loader" if place.loader is Loader.ST else "this boot loader") + " refuses",
        Magic.CLASSIC: "the trailer magic is the classic one, which this boot loader refuses",
        Magic.UNSET: "no trailer magic (0xFF): never marked, a cached download that the boot loader passes over",
        Magic.ZERO: "zeros where the trailer magic belongs: the boot loader passes the image over",
        Magic.OTHER: "other bytes where the trailer magic belongs: the boot loader passes the image over",
    }
    if trailer.magic is Magic.UNREAD:
        return State.UNKNOWN, f"{name}; its trailer is not in the dump"
    return State.NEVER_TAKEN, f"{name}: {why[trailer.magic]}"


def _why_empty(place: _Place) -> str:
    own, other = place.own, place.other
    if own.slot.role is Role.PRIMARY:
        if other.at_start:
            return "erased; the image still stands in the secondary slot"
        return "erased, and no image waits in the secondary slot"
    if place.loader is Loader.ST:
        return ("erased, as before a download, after an install, and after a rejected image: ST's boot loader erases"
                " the whole slot in both cases, so they look the same")
    return "erased: nothing was downloaded (upstream's boot loader leaves the middle of an image behind)"


def _no_header(place: _Place) -> Judged:
    own = place.own
    if own.images:
        at = own.images[0].image.address
        return State.WRONG_SLOT, (f"an image stands at 0x{at:08X}, 0x{at - own.address:X} behind the slot's start:"
                                  " the boot loader looks only at the start")
    if own.slot.role is Role.SECONDARY and own.first_sector is Fill.ERASED:
        return State.EMPTY, "no header; the rest of an old image stands behind it, as upstream's boot loader leaves it"
    if own.slot.role is Role.PRIMARY and place.other.at_start and own.first_sector is Fill.ERASED:
        return State.INTERRUPTED, "the first sector is erased and more content follows: erasing or copying was cut off"
    if vector_table_at(place.memory, own.address, place.layout.chip):
        return State.DIFFERS, "a vector table where the image header belongs: an image that was not signed"
    return State.UNKNOWN, "content without an image header"


def _open_points(content: SlotContent) -> tuple[str, ...]:
    points = [f"zeros from 0x{z.start:08X} to 0x{z.stop:08X} begin or end in the middle of a sector: no mask does"
              " that, and erased flash reads 0xFF" for z in content.zeros]
    return tuple(points)
