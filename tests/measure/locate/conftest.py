"""Seeded content that has what firmware has: skewed opcodes, literal pools, strings, tables, fill."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from h5diag.memory import MemoryImage

Bytes = npt.NDArray[np.uint8]
BASE = 0x08000000


def code(size: int, seed: int) -> Bytes:
    """Return `size` bytes of code-like content."""
    rng = np.random.default_rng(seed)
    opcodes = rng.integers(0, 1 << 16, 600).astype("<u2")
    share = 1 / np.arange(2, 602)
    text = rng.choice(opcodes, size // 2 + 1, p=share / share.sum()).astype("<u2").view(np.uint8).copy()
    # Registers and immediates differ where opcodes do not.
    low = np.flatnonzero(rng.random(text.size) < 0.25)
    text[low] = rng.integers(0, 256, low.size)
    for at in range(0, text.size - 256, 1024):
        pool = rng.integers(0x08000000, 0x08200000, 8).astype("<u4").view(np.uint8)
        text[at : at + 32] = pool
        word = rng.choice(np.frombuffer(b"abcdefghijklmnopqrstuvwxyz _%0123456789", np.uint8), 24)
        text[at + 32 : at + 56] = word
    return text[:size].copy()


def board(seed: int = 0, size: int = 1 << 18) -> Bytes:
    """Return a flash of `size` bytes: code, a hole of FF in each half, a vector table, a table of zeros."""
    out = code(size, seed)
    half = size // 2
    for start in (half - size // 16, size - size // 16):
        out[start : start + size // 16] = 0xFF
    out[64:512] = np.resize(np.frombuffer((0x08000431).to_bytes(4, "little"), np.uint8), 448)
    out[half : half + 1024] = 0
    return out


def image_of(data: Bytes, start: int = BASE) -> MemoryImage:
    """Return an image of `data` at `start`."""
    return MemoryImage.from_bytes(data, start)


@pytest.fixture(scope="session")
def make_board() -> Callable[..., Bytes]:
    return board


@pytest.fixture(scope="session")
def make_code() -> Callable[[int, int], Bytes]:
    return code


@pytest.fixture(scope="session")
def make_image() -> Callable[..., MemoryImage]:
    return image_of
