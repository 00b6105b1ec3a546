"""Marks of boot-loader images in memory: what headers claim, and which plain image an encrypted download stands for."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

from h5diag.case import Case, CaseBoard, DumpFile
from h5diag.chip import load_chip
from h5diag.evidence.texts import parse_log
from h5diag.judge.likely import encrypted_image, header_places, image_sizes, likely_layout
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


def _likely(at: int, *written: int) -> str | None:
    board = CaseBoard("suspect", (DumpFile("d.bin", MemoryImage.from_bytes(_image(0)[0], at)),))
    log = parse_log("".join(f"File : a.bin\n  Size : 1 KB\n  Address : 0x{w:08X}\n" for w in written))
    assert {w.address for w in log.programming.writes} == set(written)
    found = likely_layout(Case("t", Path(), suspects=(board,)), CHIP, (log,))
    return found.name if found else None


def test_a_layout_is_likely_only_where_a_header_stands_at_one_of_its_slots() -> None:
    assert str(_likely(0x08018000)).startswith("oemirot-2m-")
    assert _likely(0x08018100) is None
    assert _likely(0x08018100, 0x08018000, 0x080BE000) is None
