"""Marks of boot-loader images in memory: what headers claim, and which plain image an encrypted download stands for."""

from __future__ import annotations

import hashlib
import struct

from h5diag.chip import load_chip
from h5diag.judge.likely import encrypted_image, header_places, image_sizes
from h5diag.memory import MemoryImage

CHIP = load_chip("stm32h563zi")
BODY = bytes(range(256)) * 8


def _image(flags: int) -> tuple[bytes, bytes]:
    head = struct.pack("<IIHHIIBBHII", 0x96F3B83D, 0, 0x400, 0, len(BODY), flags, 1, 2, 3, 0, 0).ljust(0x400, b"\0")
    digest = hashlib.sha256(head + BODY).digest()
    tlv = struct.pack("<HH", 0x10, 32) + digest
    return head + BODY + struct.pack("<HH", 0x6907, 4 + len(tlv)) + tlv, digest


def test_an_encrypted_download_names_its_plain_image_by_the_hash() -> None:
    for flags in (0x4, 0x8):
        data, digest = _image(flags)
        assert encrypted_image(MemoryImage.from_bytes(data, 0x08000000)) == digest


def test_a_plain_image_and_a_short_file_are_no_encrypted_downloads() -> None:
    assert encrypted_image(MemoryImage.from_bytes(_image(0)[0], 0x08000000)) == b""
    assert encrypted_image(MemoryImage.from_bytes(_image(4)[0][:0x30], 0x08000000)) == b""
    assert encrypted_image(MemoryImage()) == b""


def test_what_a_header_claims_is_told_by_its_canonical_address() -> None:
    data, _ = _image(0)
    for base in (0x08020000, 0x0C020000):
        dump = MemoryImage.from_bytes(b"\xff" * 0x100 + data, base)
        assert header_places(dump, CHIP) == {0x08020100}
        assert image_sizes(dump, CHIP) == {0x08020100: 0x400 + len(BODY)}
