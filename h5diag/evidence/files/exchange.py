"""To and from `intelhex.IntelHex`, the type by which other programs take and give memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from intelhex import IntelHex

from h5diag.errors import InputError
from h5diag.memory import MemoryImage, Origin, Segment

MOST_BYTES = 64 << 20
"""IntelHex keeps a dictionary entry per byte, about 170 bytes of memory each."""


def to_intelhex(image: MemoryImage) -> Any:
    """Return the known bytes as an `intelhex.IntelHex`; gaps stay gaps.

    Raises
    ------
    InputError
        When there are more bytes than that type can reasonably hold.
    """
    if image.size > MOST_BYTES:
        raise InputError(
            f"{image.size} bytes are too many for an IntelHex object, which keeps an entry per byte",
            source=image.origin.source,
            advice="crop the image first",
        )
    out = IntelHex()
    for s in image.segments:
        out.puts(s.start, s.data.tobytes())
    return out


def from_intelhex(ih: Any, *, source: str = "") -> MemoryImage:
    """Return the bytes of an `intelhex.IntelHex`."""
    segments = tuple(
        Segment(start, np.frombuffer(bytes(ih.tobinarray(start=start, end=stop - 1)), np.uint8))
        for start, stop in ih.segments()
    )
    return MemoryImage(segments, origin=Origin(source, "hex"))
