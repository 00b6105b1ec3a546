"""A dump with its encrypted bodies decrypted, for comparing with a build. It is never written anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from h5diag.evidence.keys import DecryptKey
from h5diag.measure.firmware.content import ExaminedImage
from h5diag.measure.firmware.signature import Check
from h5diag.measure.firmware.verify import open_body
from h5diag.memory import AddressRange, MemoryImage, Segment, subtracted


def open_images(
    memory: MemoryImage, images: Sequence[ExaminedImage], decrypt_keys: Sequence[DecryptKey]
) -> MemoryImage:
    """Return the dump with the bodies decrypted of those images whose decrypted hash holds."""
    bodies = [
        (i.image.body.start, _body(memory, i, decrypt_keys))
        for i in images
        if i.verification.decrypted_hash is Check.VALID
    ]
    return overlaid(memory, [(start, body) for start, body in bodies if body])


def overlaid(memory: MemoryImage, pieces: Sequence[tuple[int, bytes]]) -> MemoryImage:
    """Return `memory` with other bytes at some addresses; pieces must not overlap each other."""
    if not pieces:
        return memory
    covered = [AddressRange(start, start + len(data)) for start, data in pieces]
    kept = [Segment(r.start, memory.read(r.start, r.stop)) for r in subtracted(memory.ranges, covered)]
    added = [Segment(start, np.frombuffer(data, np.uint8)) for start, data in pieces]
    return replace(memory, segments=(*kept, *added), unreadable=subtracted(memory.unreadable, covered))


def _body(memory: MemoryImage, image: ExaminedImage, keys: Sequence[DecryptKey]) -> bytes:
    found = image.image
    return open_body(found, memoryview(memory.read(found.address, found.range.stop).tobytes()), keys)
