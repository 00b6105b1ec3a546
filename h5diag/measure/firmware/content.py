"""What stands in a slot of a dump: read once, judged elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from h5diag.layout import Layout, Mode, Role, Slot
from h5diag.limits import SLOT_BYTES
from h5diag.measure.firmware.image import SECTOR, BootImage, find_images, find_word
from h5diag.measure.firmware.signed import Check
from h5diag.measure.firmware.trailer import (
    ALIGNED_MAGIC_TAIL,
    CLASSIC_MAGIC,
    MAGIC_SIZE,
    MOST_STATUS,
    READ_SIZE,
    UNREAD_TRAILER,
    Trailer,
    parse_magic,
    parse_trailer,
)
from h5diag.measure.firmware.verify import Verification, open_body, verify_image
from h5diag.measure.stretches import runs, zero_sectors
from h5diag.memory import AddressRange, MemoryImage, Segment, merged, subtracted

if TYPE_CHECKING:
    from h5diag.evidence.keys import DecryptKey, VerifyKey


ODD_ZEROS = 16
"""Runs of zeros that are told of a slot: more say nothing new."""


LEAST_ZEROS = 64
"""Shorter runs are no hole of an image."""


class Fill(Enum):
    """What the known bytes of a slot are, taken together."""

    UNREAD = "unread"
    ERASED = "erased"
    ZERO = "zero"
    CONTENT = "content"


@dataclass(frozen=True, slots=True)
class ExaminedImage:
    """An image of a dump with everything that can be said of it alone.

    Parameters
    ----------
    image
        As found.
    slot
        The slot that its first byte lies in; None without a layout or outside all slots.
    at_start
        Whether it begins where the boot loader looks: at the slot's begin; with swap-offset also at the second sector
        of a download slot.
    verification
        Hash and signature.
    trailer
        The slot's trailer; without a slot, of the next magic behind the image.
    written
        Addresses from the body's first byte to behind the last one that is not 0xFF, within the image.
    zero_sectors
        Whole sectors of zeros that it touches, which a mask makes and an encrypted body never has.
    """

    image: BootImage
    slot: Slot | None
    at_start: bool
    verification: Verification
    trailer: Trailer
    written: AddressRange
    zero_sectors: tuple[AddressRange, ...] = ()


@dataclass(frozen=True, slots=True)
class SlotContent:
    """What stands in a slot.

    Parameters
    ----------
    slot
        The slot.
    address
        Of its first byte in the dump's view.
    fill
        Of all its known bytes.
    unread
        Parts that the dump does not hold.
    images
        Those whose first byte lies in it, in address order.
    trailer
        At its end.
    zeros
        Runs of zeros behind the image that begin or end inside a sector, so that no mask makes them.
    first_sector
        What its first sector holds.
    """

    slot: Slot
    address: int
    fill: Fill
    unread: tuple[AddressRange, ...]
    images: tuple[ExaminedImage, ...]
    trailer: Trailer
    zeros: tuple[AddressRange, ...]
    first_sector: Fill

    @property
    def stop(self) -> int:
        """Address after the slot in the dump's view."""
        return self.address + self.slot.range.size

    @property
    def range(self) -> AddressRange:
        """The slot in the dump's view."""
        return AddressRange(self.address, self.stop)

    @property
    def at_start(self) -> tuple[ExaminedImage, ...]:
        """The images where the boot loader looks for one: a swap-offset download before an old image."""
        return tuple(i for i in reversed(self.images) if i.at_start)


def examine_images(
    memory: MemoryImage,
    *,
    layout: Layout | None = None,
    verify_keys: Sequence[VerifyKey] = (),
    decrypt_keys: Sequence[DecryptKey] = (),
    program_unit: int = 16,
) -> tuple[ExaminedImage, ...]:
    """Find and verify all images of a dump.

    Parameters
    ----------
    memory
        The dump.
    layout
        Names the slots; without it no image has one.
    verify_keys, decrypt_keys
        Keys to check with.
    program_unit
        Of the flash, in bytes; the layout's chip knows better.
    """
    starts = [v for s in layout.image_slots for v in views(layout, s)] if layout else []
    found = find_images(memory, starts=starts)
    return tuple(_examined(memory, i, found, layout, verify_keys, decrypt_keys, program_unit) for i in found)


def views(layout: Layout, slot: Slot) -> tuple[int, ...]:
    """Return the addresses by which a slot may stand in a dump: canonical, and through the secure alias."""
    start = slot.range.start
    return (start,) if slot.device else tuple(dict.fromkeys((start, layout.chip.secure_alias(start))))


def read_slot(memory: MemoryImage, layout: Layout, slot: Slot, images: Sequence[ExaminedImage]) -> SlotContent:
    """Return what stands in `slot`; of two views in one dump the one that holds more than zeros."""
    if slot.device:
        memory = MemoryImage()  # its offsets are those of another memory, which this dump does not show
    order = (Fill.UNREAD, Fill.ZERO, Fill.ERASED, Fill.CONTENT)
    seen = (_content(memory, layout, slot, a, images) for a in views(layout, slot))
    return max(seen, key=lambda c: (order.index(c.fill), -sum(r.size for r in c.unread)))


def _content(
    memory: MemoryImage, layout: Layout, slot: Slot, address: int, images: Sequence[ExaminedImage]
) -> SlotContent:
    stop = address + slot.range.size
    unit, sector = layout.chip.flash.program_unit, layout.chip.flash.sector_size
    inside = tuple(i for i in images if address <= i.image.address < stop)
    end = max((min(i.image.range.stop, stop - MAGIC_SIZE) for i in inside), default=address)
    return SlotContent(
        slot,
        address,
        _fill(memory, address, stop),
        memory.gaps(address, stop),
        inside,
        _trailer(memory, end, stop, unit, layout.mode.swaps),
        tuple(islice(_odd_zeros(memory, end, stop, sector), ODD_ZEROS)),
        _fill(memory, address, min(stop, address + sector)),
    )


def _fill(memory: MemoryImage, start: int, stop: int) -> Fill:
    ends = [(int(s.data.min()), int(s.data.max())) for s in memory.segments_in(start, stop)]
    known = {(0xFF, 0xFF): Fill.ERASED, (0, 0): Fill.ZERO}
    kinds = {known.get(low_high, Fill.CONTENT) for low_high in ends} or {Fill.UNREAD}
    return kinds.pop() if len(kinds) == 1 else Fill.CONTENT


def _trailer(memory: MemoryImage, start: int, stop: int, unit: int, swap: bool) -> Trailer:
    """Return the trailer before `stop`, from the bytes behind `start` that are known without a gap."""
    size = READ_SIZE + (MOST_STATUS * 32 if swap else 0)
    last = next((s for s in memory.segments_in(max(start, stop - size), stop) if s.stop == stop), None)
    return parse_trailer(last.data.tobytes(), program_unit=unit) if last else UNREAD_TRAILER


def _odd_zeros(memory: MemoryImage, start: int, stop: int, sector: int) -> Iterator[AddressRange]:
    """Yield runs of `LEAST_ZEROS` zeros and more that end behind `start` and whose ends are not both a sector's edge."""
    for s in memory.segments_in(start // sector * sector, stop):
        for a, b in runs(s.data == 0, 1, LEAST_ZEROS):
            if s.start + b > start and ((s.start + a) % sector or (s.start + b) % sector):
                yield AddressRange(s.start + a, s.start + b)


def _examined(
    memory: MemoryImage,
    image: BootImage,
    found: Sequence[BootImage],
    layout: Layout | None,
    verify_keys: Sequence[VerifyKey],
    decrypt_keys: Sequence[DecryptKey],
    unit: int,
) -> ExaminedImage:
    slot = layout.slot_at(image.address) if layout else None
    data = memory.read(image.address, image.address + min(image.size, image.available))
    verification = verify_image(image, memoryview(data), verify_keys, decrypt_keys)  # type: ignore[arg-type]
    if layout and slot:
        unit = layout.chip.flash.program_unit
        offset = layout.chip.canonical(image.address) - slot.range.start
        start = image.address - offset
        stop = start + slot.range.size
        trailer = _trailer(memory, min(image.range.stop, stop - MAGIC_SIZE), stop, unit, layout.mode.swaps)
        moved_up = layout.mode is Mode.SWAP_OFFSET and slot.role is Role.SECONDARY
        at_start = offset == 0 or (moved_up and offset == layout.chip.flash.sector_size)
    else:
        following = min((i.address for i in found if i.address >= image.range.stop), default=1 << 64)
        trailer, at_start = _next_trailer(memory, image, following, unit), False
    written, zeros = image.body, tuple[AddressRange, ...]()
    if verification.hash is not Check.VALID:
        backwards = data[image.header.header_size :][::-1] != 0xFF
        last = backwards.size - int(backwards.argmax()) if backwards.any() else 0
        written, sector = (
            AddressRange(written.start, written.start + last),
            layout.chip.flash.sector_size if layout else SECTOR,
        )
        start, stop = image.address // sector * sector, -(-(image.range.stop + 4) // sector) * sector
        known = memory.segments_in(start, min(stop, 1 << 62)) if backwards.size else ()
        zeros = merged(r for s in known for r in zero_sectors(s, sector))
    return ExaminedImage(image, slot, at_start, verification, trailer, written, zeros)


def _next_trailer(memory: MemoryImage, image: BootImage, following: int, unit: int) -> Trailer:
    """Return the trailer that the next magic behind an image ends, up to the next image."""
    # A slot is a multiple of the program unit, so its end lies a multiple of 4 behind the image's start.
    start = image.address + (image.size + 3) // 4 * 4
    # Slots often stand side by side: then the next image tells where this one ends.
    if start + MAGIC_SIZE < following < start + SLOT_BYTES and memory.covers(image.range.stop, following):
        tail = memory.read(max(image.range.stop, following - READ_SIZE), following).tobytes()
        if parse_magic(tail[-MAGIC_SIZE:])[0].is_magic:
            return parse_trailer(tail, program_unit=unit)
    for s in memory.segments_in(start, min(following, start + SLOT_BYTES)):
        classic = find_word(s.data, int.from_bytes(CLASSIC_MAGIC[:4], "little"), step=4) + MAGIC_SIZE
        aligned = find_word(s.data, int.from_bytes(ALIGNED_MAGIC_TAIL[2:6], "little"), step=4) + MAGIC_SIZE - 4
        for end in np.sort(np.concatenate([classic, aligned]))[:16].tolist():
            tail = s.data[max(0, end - READ_SIZE) : end].tobytes()
            if end <= s.data.size and parse_magic(tail[-MAGIC_SIZE:])[0].is_magic:
                return parse_trailer(tail, program_unit=unit)
    return UNREAD_TRAILER


def open_images(
    memory: MemoryImage, images: Sequence[ExaminedImage], decrypt_keys: Sequence[DecryptKey]
) -> MemoryImage:
    """Return the dump with the bodies decrypted of those images whose decrypted hash holds."""
    found = [i.image for i in images if i.verification.decrypted_hash is Check.VALID]
    bodies = [(i.body.start, open_body(i, memory.read(i.address, i.range.stop).tobytes(), decrypt_keys)) for i in found]
    return overlaid(memory, [(start, body) for start, body in bodies if body])


def overlaid(memory: MemoryImage, pieces: Sequence[tuple[int, bytes]]) -> MemoryImage:
    """Return `memory` with other bytes at some addresses; pieces must not overlap each other."""
    if not pieces:
        return memory
    covered = [AddressRange(start, start + len(data)) for start, data in pieces]
    kept = [Segment(r.start, memory.read(r.start, r.stop)) for r in subtracted(memory.ranges, covered)]
    added = [Segment(start, np.frombuffer(data, np.uint8)) for start, data in pieces]
    return replace(memory, segments=(*kept, *added), unreadable=subtracted(memory.unreadable, covered))
