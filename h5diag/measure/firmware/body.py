"""What the body of an image looks like: plain, encrypted or erased, told from its bytes alone.

An encrypted body is uniform: every byte value equally often. Code, text and tables are not. The measure is the
number of equal pairs of bytes in a block, which for uniform bytes is n(n-1)/512 with a known scatter and which
works for blocks of a few bytes as well as for large ones; many blocks vote. Well compressed content is nearly
as uniform as encrypted content, so it is always named as the alternative.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from h5diag.memory import Bytes

BLOCK = 512
BLOCKS = 64
LIMIT = 6.0
"""Scatter units from uniform beyond which a block is called structured."""


class BodyKind(Enum):
    """What a body looks like."""

    PLAIN = "plain"
    ENCRYPTED = "encrypted"
    ERASED = "erased"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class BodyLook:
    """The kind of a body, why, and what else it could be (empty when nothing)."""

    kind: BodyKind
    why: str
    alternative: str = ""


def look_at_body(data: Bytes, *, said_encrypted: bool = False) -> BodyLook:
    """Tell what a body looks like.

    Parameters
    ----------
    data
        The body's known bytes, ``uint8 (n,)``; at most ``BLOCK * BLOCKS`` of them, evenly spread, are counted.
    said_encrypted
        What the header says. It decides only where the bytes are too few to tell.

    Returns
    -------
    BodyLook
        `BodyKind.UNKNOWN` when there is no byte.
    """
    if not data.size:
        return BodyLook(BodyKind.UNKNOWN, "no byte of the body is known")
    blocks = _blocks(data)
    if _all_erased(data):
        return BodyLook(BodyKind.ERASED, f"all {data.size} bytes are 0xFF")
    told = [score(b) for b in blocks if not bool((b == b[0]).all())]
    if not told:
        return BodyLook(BodyKind.PLAIN, "only runs of one value")
    uniform = sum(1 for s in told if abs(s) <= LIMIT)
    sample = f"{uniform} of {len(told)} blocks of {blocks[0].size} bytes have uniform bytes"
    if data.size < 64 and uniform == len(told):
        if said_encrypted:
            return BodyLook(BodyKind.ENCRYPTED, f"{data.size} bytes are too few to tell; the header says encrypted")
        return BodyLook(BodyKind.PLAIN, f"{data.size} bytes are too few to tell; the header says plain")
    if uniform * 2 > len(told):
        return BodyLook(BodyKind.ENCRYPTED, sample, "" if said_encrypted else "well compressed or random content")
    return BodyLook(BodyKind.PLAIN, sample)


def score(block: Bytes) -> float:
    """Return how far a block is from uniform bytes, in units of the scatter (0 = uniform, +-6 = surely not).

    Takes the larger deviation of two counts: equal pairs of bytes, and ones per bit position.
    """
    n = int(block.size)
    if n < 2:
        return 0.0
    counts = np.bincount(block, minlength=256).astype(np.float64)
    expected = n * (n - 1) / 512
    pairs = (float((counts * (counts - 1)).sum()) / 2 - expected) / (expected * 255 / 256) ** 0.5
    ones = np.unpackbits(block.reshape(n, 1), axis=1).sum(axis=0, dtype=np.int64)
    bits = float(np.abs(ones - n / 2).max() / (n / 4) ** 0.5)
    return pairs if abs(pairs) >= bits else float(bits)


def _all_erased(data: Bytes) -> bool:
    return bool(data[0] == 0xFF and data[-1] == 0xFF and data.min() == 0xFF)


def _blocks(data: Bytes) -> list[npt.NDArray[np.uint8]]:
    """Return evenly spread blocks; the whole when it is small."""
    if data.size < 2 * BLOCK:
        return [data]
    count = min(BLOCKS, data.size // BLOCK)
    starts = np.linspace(0, data.size - BLOCK, count).astype(np.int64)
    return [data[s : s + BLOCK] for s in starts.tolist()]
