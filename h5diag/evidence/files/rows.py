"""Bytes cut into rows and rows encoded as record text, for the two writers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from h5diag.memory import Bytes, Segment

WIDTH = 16
"""Data bytes of a record."""

_PAGE = 0x10000
_DIGITS = np.frombuffer("".join(f"{i:02X}" for i in range(256)).encode(), np.uint8).reshape(256, 2)


def page_rows(segment: Segment) -> Iterator[tuple[int, Bytes]]:
    """Yield ``(start, rows)`` with rows ``uint8 (n, width)``: no row crosses a 16-byte or 64 KiB border."""
    at = segment.start
    while at < segment.stop:
        stop = min(segment.stop, (at // _PAGE + 1) * _PAGE)
        middle = min(stop, -(-at // WIDTH) * WIDTH)
        last = max(middle, stop // WIDTH * WIDTH)
        for a, b in ((at, middle), (middle, last), (last, stop)):
            if a < b:
                part = segment.data[a - segment.start : b - segment.start]
                yield a, part.reshape(-1, WIDTH if (a, b) == (middle, last) else b - a)
        at = stop


def encode(prefix: bytes, head: Bytes, data: Bytes, *, negate: bool) -> bytes:
    """Return one line per row: `prefix`, then `head`, `data` and the checksum in hexadecimal.

    The checksum is the two's complement of the sum of the bytes when `negate`, otherwise the one's complement.
    """
    body = np.concatenate((head, data), axis=1)
    sums = body.sum(axis=1, dtype=np.int64)
    check = (-sums if negate else ~sums) & 0xFF
    body = np.concatenate((body, check.astype(np.uint8)[:, None]), axis=1)
    text = _DIGITS[body].reshape(body.shape[0], -1)
    lead = np.broadcast_to(np.frombuffer(prefix, np.uint8), (body.shape[0], len(prefix)))
    end = np.full((body.shape[0], 1), 0x0A, np.uint8)
    return np.concatenate((lead, text, end), axis=1).tobytes()
