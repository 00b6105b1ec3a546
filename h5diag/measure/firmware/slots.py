"""The state of each slot, with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from h5diag.evidence.keys import DecryptKey, VerifyKey
from h5diag.layout import Layout, Role, Slot
from h5diag.measure.firmware.body import BodyKind
from h5diag.measure.firmware.content import NO_CONTENT, ExaminedImage, SlotContent, examine_images, read_slot
from h5diag.measure.firmware.judge import Judged, Place, State, damage_of, judge_slot
from h5diag.measure.firmware.nextboot import Action, Loader, NextBoot, magic_accepted, predict
from h5diag.measure.firmware.opened import open_images
from h5diag.measure.firmware.search import find_images
from h5diag.measure.firmware.tlv import dependencies
from h5diag.measure.firmware.trailer import Magic
from h5diag.memory import MemoryImage


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


def slot_states(
    image: MemoryImage,
    layout: Layout,
    *,
    loader: Loader = Loader.ST,
    verify_keys: Sequence[VerifyKey] = (),
    decrypt_keys: Sequence[DecryptKey] = (),
    builds: Sequence[MemoryImage] = (),
    examined: Sequence[ExaminedImage] | None = None,
) -> tuple[SlotState, ...]:
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
        What was to be flashed: signed images at their slots' addresses, or unsigned ones at their link addresses. A
        slot that holds another one `DIFFERS`.
    examined
        What `examine_images` returned for this dump and layout, so that nothing is hashed twice.
    """
    if examined is None:
        examined = examine_images(image, layout=layout, verify_keys=verify_keys, decrypt_keys=decrypt_keys)
    contents = {s.name: read_slot(image, layout, s, examined) for s in layout.image_slots}
    scratch = next((read_slot(image, layout, s, ()) for s in layout.slots if s.role is Role.SCRATCH), NO_CONTENT)
    wanted = tuple(e for b in builds for e in examine_images(b, layout=layout))
    bodies = tuple(b for b in builds if b.size and not any(i.complete for i in find_images(b)))
    opened = open_images(image, examined, decrypt_keys)
    states = []
    for slot in layout.image_slots:
        own, other = contents[slot.name], contents.get(layout.counterpart(slot).name, NO_CONTENT)
        place = Place(own, other, layout, loader, wanted, bodies, opened)
        primary, secondary = (own, other) if slot.role is Role.PRIMARY else (other, own)
        following = predict(primary, secondary, layout.mode, loader, place.unit)
        if magic_accepted(scratch.trailer, loader, place.unit) and scratch.trailer.swap_info >> 4 == slot.image:
            following = NextBoot(Action.RESUME, "the boot loader finishes the swap whose status the scratch area holds")
        if following.action is Action.INSTALL and (unmet := _unmet(secondary, contents.values(), loader, place.unit)):
            following = NextBoot(Action.STAY, unmet)
        state, reason = judge_slot(place, following)
        states.append(SlotState(slot, state, reason, own, following, _open_points(own)))
    return tuple(states)


def _unmet(secondary: SlotContent, contents: Iterable[SlotContent], loader: Loader, unit: int) -> str:
    """Return which dependency of a waiting image no other image meets, now or after this boot; empty when none."""
    for wish in dependencies(secondary.at_start[0].image.tlvs):
        here = [
            c.at_start[0].image.header.version
            for c in contents
            if c.slot.image == wish.image
            and c.at_start
            and (c.slot.role is Role.PRIMARY or magic_accepted(c.trailer, loader, unit))
        ]
        # The boot loader compares versions without the build number.
        wanted = (wish.version.major, wish.version.minor, wish.version.revision)
        if here and all((v.major, v.minor, v.revision) < wanted for v in here):
            return (
                f"the boot loader does not install it: it needs version {wish.version} of image {wish.image},"
                f" here is {max(here)}"
            )
    return ""


def image_state(image: ExaminedImage, slots: Sequence[SlotState]) -> Judged:
    """Return the state of one image of a dump and its reason, given the states of the slots (none: no layout)."""
    own = [s for s in slots if s.slot == image.slot and image.at_start]
    if own and image in own[0].content.images:
        return own[0].state, own[0].reason
    if damage := damage_of(image):
        return damage
    if own:
        return own[0].state, f"{own[0].reason}; seen through the flash's other alias"
    if slots and image.at_start:
        return State.UNKNOWN, f"it begins slot '{image.slot}', which an earlier boot stage starts: not judged here"
    if slots:
        where = f"inside slot '{image.slot}', not at its start" if image.slot else "in no slot"
        return State.WRONG_SLOT, f"it stands {where}: a boot loader never looks there"
    if image.verification.body.kind is BodyKind.ENCRYPTED and image.image.header.encrypted:
        if image.trailer.magic is Magic.CLASSIC:
            return State.INSTALL_PENDING, "an encrypted download with a good trailer magic"
        if image.trailer.magic is Magic.ALIGNED:
            return State.NEVER_TAKEN, "an encrypted download whose trailer magic ST's boot loader refuses"
    return State.UNKNOWN, "without a layout nothing says which slot this is"


def _open_points(content: SlotContent) -> tuple[str, ...]:
    points = [
        f"zeros from 0x{z.start:08X} to 0x{z.stop:08X} begin or end in the middle of a sector: no mask does"
        " that, and erased flash reads 0xFF"
        for z in content.zeros
    ]
    return tuple(points)
