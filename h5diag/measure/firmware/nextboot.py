"""Whose boot loader a board has, what its next boot does, and what of the flash that explains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from h5diag.layout import Layout, Loader, Mode, Role, Slot
from h5diag.measure.firmware.bootloader import Action, BootLoader, NextBoot
from h5diag.measure.firmware.content import ExaminedImage, Fill, SlotContent
from h5diag.measure.firmware.image import HEADER_SIZE, Flag, parse_image
from h5diag.measure.firmware.signed import Check
from h5diag.measure.firmware.swap import Rules, status_rows
from h5diag.measure.firmware.trailer import MAGIC_SIZE, Magic, TrailerFlag, trailer_places
from h5diag.measure.firmware.verify import BodyKind, Verification, verify_image
from h5diag.measure.stretches import occurrences
from h5diag.memory import AddressRange, MemoryImage

if TYPE_CHECKING:
    from h5diag.evidence.keys import VerifyKey
    from h5diag.evidence.texts.boot import BootLog


@dataclass(frozen=True, slots=True)
class BootChoice:
    """Whose rules hold for a board, and how that is known.

    Parameters
    ----------
    rules
        The rules.
    assumed
        Whether the loader or the mode is a mere assumption.
    text
        One sentence.
    """

    rules: Rules
    assumed: bool
    text: str


@dataclass(frozen=True, slots=True)
class Explained:
    """A range whose content the boot loader's work explains, in the dump's view."""

    range: AddressRange
    slot: Slot
    text: str


_UPSTREAM_ONLY = (Mode.SWAP_MOVE, Mode.SWAP_OFFSET, Mode.DIRECT_XIP, Mode.DIRECT_XIP_REVERT)


def choose_boot(
    memory: MemoryImage,
    layout: Layout,
    contents: Mapping[str, SlotContent],
    *,
    loader: Loader | None = None,
    mode: Mode | None = None,
    log: BootLog | None = None,
) -> BootChoice:
    """Return whose boot loader's rules hold: as given, else as log, strings, layout or trailers tell, else assumed.

    Parameters
    ----------
    memory, layout
        The dump and its slots.
    contents
        What stands in the slots and in the scratch area, by the slot's name.
    loader, mode
        Given by a person.
    log
        What this board's boot loader printed.
    """
    chip, name = layout.chip.flash, {Loader.ST: "ST's boot loader", Loader.UPSTREAM: "upstream MCUboot"}
    seen = [("by the boot log", log.whose, log.mode)] if log else []
    seen.append(("by the strings in its boot area", *_strings(memory, layout)))
    assumed, how, against = False, "as given", ""
    if loader is None:
        how, loader = next(((text, Loader(w)) for text, w, _ in seen if w), ("as the layout tells", layout.loader))
        if loader and layout.loader and loader is not layout.loader:
            against = f"; the layout is {name[layout.loader]}'s"
        if loader is None and layout.mode in _UPSTREAM_ONLY:
            loader, how = Loader.UPSTREAM, f"no loader of ST's is built for {layout.mode.value}"
        magics = {c.trailer.magic for c in contents.values() if c.trailer.magic.is_magic}
        if loader is None and chip.program_unit > 8 and len(magics) == 1:
            loader = Loader.ST if Magic.CLASSIC in magics else Loader.UPSTREAM
            how = f"by the {magics.pop().value} trailer magic"
        if loader is None:
            loader, how, assumed = Loader.ST, "assumed; --loader upstream names the other", True
    by, told = next(((f" {text}", Mode(m)) for text, _, m in seen if m), ("", layout.mode))
    if told is Mode.DIRECT_XIP and layout.mode.in_place:
        told = layout.mode  # with or without revert: that prints the same
    by, mode = "" if mode or told is layout.mode else by, mode or told
    text = f"{name[loader]} ({how}{against}), {mode.value}{by}"
    return BootChoice(Rules(loader, mode, chip.program_unit, chip.sector_size), assumed, text)


def _strings(memory: MemoryImage, layout: Layout) -> tuple[str, str]:
    """Return what the strings in the boot loader's own area tell; see `telling_words`."""
    found = [
        part.data.tobytes().decode("latin-1").lower()
        for slot in layout.slots
        if slot.role is Role.BOOT and not slot.device
        for start in sorted({slot.range.start, layout.chip.secure_alias(slot.range.start)})
        for part in memory.segments_in(start, start + slot.range.size)
    ]
    from h5diag.evidence.texts.boot import telling_words

    return telling_words("\n".join(found))


def acceptable(v: Verification, image: ExaminedImage | None, *, encrypted: bool, download: bool) -> Check:
    """Tell whether a boot loader would accept an image, as far as it can be checked here."""
    if image is not None and not image.image.complete:
        return Check.INVALID if image.image.available >= image.image.size else Check.NOT_CHECKED
    # A plain body under the encrypted flag: decrypting spoils it.
    spoilt = download and encrypted and v.hash is Check.VALID and v.decrypted_hash is not Check.VALID
    if spoilt or v.hash is Check.INVALID or (v.signature is Check.INVALID and not v.other_signer):
        return Check.INVALID
    if image is not None and image.image.header.flags & Flag.PRIMARY_ONLY:
        return v.hash  # ST's boot loader of boards without TrustZone decrypts it where it stands
    closed = v.decrypted_hash is Check.VALID or (v.body.kind is BodyKind.ENCRYPTED and v.hash is not Check.VALID)
    return Check.INVALID if closed and not download else v.hash  # encrypted where it would have to run


def next_boots(
    memory: MemoryImage,
    layout: Layout,
    contents: Mapping[str, SlotContent],
    scratch: SlotContent | None,
    rules: Rules,
    verify_keys: Sequence[VerifyKey] = (),
) -> tuple[NextBoot, ...]:
    """Return what the next boot does, image by image, in the order of their numbers.

    Parameters
    ----------
    memory, layout
        The dump and its slots.
    contents, scratch
        What stands in the image slots, by the slot's name, and in the scratch area.
    rules
        Whose boot loader.
    verify_keys
        Keys to check a finished swap's image with.
    """
    unknown, shown = [], {scratch.slot.name: scratch} if scratch else {}
    for primary in (c for c in contents.values() if c.slot.role is Role.PRIMARY):
        other = layout.counterpart(primary.slot)
        pair = [primary, *([contents[other.name]] if other else [])]
        if why := _unseen(pair, rules):
            unknown.append(NextBoot(primary.slot.image or 0, Action.UNKNOWN, None, False, f"not known: {why}"))
        else:
            shown |= {c.slot.name: c for c in pair}

    def validate(slot: Slot, offset: int, data: npt.NDArray[np.uint8], changed: bool) -> Check:
        download = slot.role is Role.SECONDARY and not rules.mode.in_place
        if not changed and slot.name in contents:
            here = contents[slot.name]
            found = (i for i in here.images if i.image.address == here.address + offset)
            checks = (
                acceptable(i.verification, i, encrypted=i.image.header.encrypted, download=download) for i in found
            )
            return next(checks, Check.INVALID)
        view = memoryview(np.ascontiguousarray(data[offset:]))  # type: ignore[arg-type]
        image = parse_image(view, 0)
        if not image.complete:
            return Check.INVALID
        v = verify_image(image, view, verify_keys)
        checked = acceptable(v, None, encrypted=image.header.encrypted, download=download)
        # A body that was decrypted, or not, half-way cannot be judged by its bytes.
        return Check.NOT_CHECKED if image.header.encrypted and v.hash is not Check.VALID else checked

    boots = BootLoader(rules, layout, {n: _bytes(memory, c) for n, c in shown.items()}, validate).boot()
    return tuple(sorted((*unknown, *(_under(b, layout, contents) for b in boots)), key=lambda b: b.image))


def _bytes(memory: MemoryImage, content: SlotContent) -> npt.NDArray[np.uint8]:
    return memory.read_filled(content.address, content.stop)[0]


def _unseen(pair: Sequence[SlotContent], rules: Rules) -> str:
    """Return why the next boot cannot be told from what a dump shows of an image's slots, empty when it can."""
    for content in pair:
        what, device = f"slot '{content.slot}'", content.slot.device
        zero = Fill.ZERO in (content.fill, content.first_sector)
        head = AddressRange(content.address, content.address + HEADER_SIZE)
        trailer = content is not pair[0] or rules.mode.swaps or rules.mode is Mode.DIRECT_XIP_REVERT
        reasons = (
            (device, f"{what} lies in another memory ({device}), which this dump does not show"),
            (content.fill is Fill.UNREAD, f"{what} is not in the dump"),
            (zero, f"{what} reads zero, as a mask shows it: what is there cannot be seen"),
            (any(r.overlaps(head) for r in content.unread), f"the header of {what} is not in the dump"),
            (trailer and content.trailer.magic is Magic.UNREAD, f"the trailer of {what} is not in the dump"),
        )
        if why := next((text for holds, text in reasons if holds), ""):
            return why
    return ""


def _under(boot: NextBoot, layout: Layout, contents: Mapping[str, SlotContent]) -> NextBoot:
    """Add what the answer hangs on: a key or a hash that could not be checked here."""
    takes = boot.takes_download or boot.action is Action.REVERTS
    role = Role.SECONDARY if takes or boot.action is Action.STARTS_SECONDARY else Role.PRIMARY
    here = [c for c in contents.values() if c.slot.image == boot.image and c.slot.role is role]
    image = here[0].at_start[0] if here and here[0].at_start else None
    if image is None or boot.action in (Action.NOTHING, Action.RESUMES, Action.UNKNOWN):
        return boot
    v = image.verification
    unchecked = acceptable(v, image, encrypted=image.image.header.encrypted, download=takes) is Check.NOT_CHECKED
    if v.signature is Check.INVALID and v.other_signer:
        return replace(boot, text=f"{boot.text}, if it trusts the key that signed it (none of those given)")
    if unchecked and takes:
        return replace(boot, text=f"{boot.text}, if key, hash and security counter are right: not checked here")
    if unchecked and boot.action is Action.STARTS_PRIMARY:
        text = "the image in the primary slot could not be checked: it is started if it is valid"
        return replace(boot, action=Action.UNKNOWN, version=None, text=text)
    return boot


def explained_ranges(
    memory: MemoryImage,
    contents: Mapping[str, SlotContent],
    scratch: SlotContent | None,
    rules: Rules,
    following: Sequence[NextBoot],
) -> tuple[Explained, ...]:
    """Return the ranges of slots and scratch area whose content the boot loader's own work explains.

    An interrupted swap explains both slots and the scratch area whole, when it ends in an image that is valid. Else:
    the primary slot where the next boot puts another image, the image in the download slot (waiting, kept, or swapped
    out), what is left of one that the primary slot holds, a trailer of nothing but known fields, and what of a slot's
    content the scratch area still holds.

    The parameters are those of `next_boots`, and what that returned.
    """
    out: list[Explained] = []
    for boot in (b for b in following if b.action is not Action.UNKNOWN):
        pair = [c for c in contents.values() if c.slot.image == boot.image and not c.slot.device]
        cut = boot.interrupted and boot.version is not None
        changes = boot.version and (boot.takes_download or boot.action is Action.REVERTS)
        for content in [*pair, *([scratch] if scratch and cut else [])]:
            if cut or (changes and content.slot.role is Role.PRIMARY):
                out.append(
                    Explained(content.range, content.slot, f"{'an interrupted swap: ' if cut else ''}{boot.text}")
                )
            else:
                out += _explained_in(memory, content, pair, rules)
    if scratch is not None and not any(e.slot == scratch.slot for e in out):
        out += _explained_scratch(memory, scratch, contents, rules)
    return tuple(sorted(out, key=lambda e: e.range))


def _explained_in(
    memory: MemoryImage, content: SlotContent, pair: Sequence[SlotContent], rules: Rules
) -> list[Explained]:
    out, slot = [], content.slot
    other = next((c for c in pair if c is not content), None)
    if slot.role is Role.SECONDARY:
        if content.fill is Fill.ERASED:
            return [Explained(content.range, slot, "erased, as before a download and after an installation")]
        for i in content.at_start:
            if acceptable(i.verification, i, encrypted=i.image.header.encrypted, download=True) is not Check.INVALID:
                text = "an earlier image or a kept download"
                if content.trailer.magic.is_magic:
                    passed = "a download that this boot loader passes over"
                    text = "a download that waits" if rules.accepts(content.trailer) else passed
                out.append(Explained(i.image.range, slot, f"{text}: version {i.image.header.version}"))
    stop = max((i.image.range.stop for i in content.at_start if i.image.complete), default=content.address)
    data = _bytes(memory, content)
    if (start := _trailer_start(data, stop - content.address, rules)) is not None:
        blank = bool((data[start:] == 0xFF).all())
        text = "room for a trailer, erased" if blank else "the boot loader's trailer: magic, flags, swap status"
        out.append(Explained(AddressRange(content.address + start, content.stop), slot, text))
    if other is not None and slot.role is Role.SECONDARY and not content.at_start:
        # Erased in part: the rest stands in the primary slot at the same offset, or was swapped out of it.
        size = min(slot.range.size, other.slot.range.size)
        same = (data[:size] == _bytes(memory, other)[:size]) | (data[:size] == 0xFF)
        written = np.flatnonzero(data[: start if start is not None else size] != 0xFF)
        swapped = rules.accepts(other.trailer) and other.trailer.copy_done is TrailerFlag.SET
        finished = rules.mode.swaps and swapped and content.first_sector is Fill.ERASED
        if written.size and (finished or same[int(written[0]) : int(written[-1]) + 1].all()):
            rest = AddressRange(content.address + int(written[0]), content.address + int(written[-1]) + 1)
            what = "the image that was swapped out" if finished else "the download that the primary slot holds"
            out.append(Explained(rest, slot, f"what is left of {what}"))
    return out


def _trailer_start(data: npt.NDArray[np.uint8], image_stop: int, rules: Rules) -> int | None:
    """Return the offset of the first written byte of a trailer, None where something else stands there too."""
    unit, image_stop = rules.unit, -(-image_stop // rules.unit) * rules.unit
    if image_stop >= data.size or (data.size - image_stop) % unit:
        return None
    entries, strange = status_rows(data[image_stop:].reshape(-1, unit))
    written = np.flatnonzero(entries | strange)
    if not written.size:
        return max(image_stop, int(data.size) - trailer_places(rules.alignment).swap_size)
    # Fields and, before them, up to eight rows of saved image keys are what they are; entries have one form.
    fields = -(-trailer_places(rules.alignment, with_sizes=True).swap_size // unit) + 8
    own = data[-MAGIC_SIZE:].tobytes() in (rules.magic, b"\xff" * MAGIC_SIZE)
    return image_stop + int(written[0]) * unit if own and not strange[: max(0, len(strange) - fields)].any() else None


def _explained_scratch(
    memory: MemoryImage, scratch: SlotContent, contents: Mapping[str, SlotContent], rules: Rules
) -> list[Explained]:
    """Find what of a slot's content the scratch area still holds: it is not erased behind a swap."""
    data = _bytes(memory, scratch)
    if not (written := data != 0xFF).any():
        return []
    first, trailer = int(written.argmax()), int(data.size) - trailer_places(rules.alignment, with_sizes=True).swap_size
    if first >= trailer and _trailer_start(data, 0, rules) is not None:
        begun = AddressRange(scratch.address + trailer, scratch.stop)
        return [Explained(begun, scratch.slot, "the trailer of a swap that was about to begin")]
    for content in contents.values():
        body = _bytes(memory, content)
        for at in occurrences(body.tobytes(), data[first : first + 32].tobytes()):
            start = at - first
            if start >= 0 and start % rules.sector == 0:
                count = min(data.size, body.size - start)
                same = (data[:count] == body[start : start + count]) | ~written[:count]
                stop = count if same.all() else int(np.argmin(same))
                if not written[stop : -trailer_places(rules.alignment).swap_size].any():
                    text = f"a copy of a part of slot '{content.slot}', left there by a swap"
                    return [Explained(scratch.range, scratch.slot, text)]
    return []
