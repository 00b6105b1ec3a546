"""What is signed of an image: its bytes, hashed once, and whether the hash that it records holds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import Enum

from h5diag.measure.firmware.image import HASH_TYPES, BootImage, Flag, Tlv, TlvType

Buffer = bytes | memoryview


class Check(Enum):
    """Result of a check."""

    VALID = "valid"
    INVALID = "invalid"
    NOT_CHECKED = "not-checked"


_SHA = {TlvType.SHA256: hashlib.sha256, TlvType.SHA384: hashlib.sha384, TlvType.SHA512: hashlib.sha512}


class Signed:
    """The bytes that are signed, hashed once per algorithm and only when asked."""

    def __init__(self, parts: tuple[Buffer, ...]) -> None:
        self.parts = parts
        self._digests: dict[int, bytes] = {}

    def digest(self, kind: int) -> bytes:
        """Return the digest that a hash record of type `kind` should hold."""
        if kind not in self._digests:
            h = _SHA[TlvType(kind)]()
            for part in self.parts:
                h.update(part)
            self._digests[kind] = h.digest()
        return self._digests[kind]

    def whole(self) -> bytes:
        """Return all signed bytes in one piece, for signatures over the image itself."""
        return b"".join(self.parts)


class Recorded(Signed):
    """Stands for an encrypted body: its digests are those that the image records."""

    def __init__(self, records: Sequence[Tlv]) -> None:
        super().__init__(())
        for r in records:
            if r.type & 0xFF in HASH_TYPES:
                self._digests.setdefault(r.type & 0xFF, r.value)

    def digest(self, kind: int) -> bytes:
        """Return the recorded digest of type `kind`, empty when there is none."""
        return self._digests.get(kind, b"")


def signed_bytes(image: BootImage, view: memoryview, rest: tuple[Buffer, ...]) -> tuple[Signed, Check, bool]:
    """Return what was signed, a header and the `rest`, whether its hash holds, and whether only without a flag.

    ST signs a primary-only image before it sets the encrypted flag, and its boot loader clears the flag where it
    decrypts in place.
    """
    records, header = image.tlvs.plain, image.header
    signed = Signed((view[: header.header_size], *rest))
    found = hash_holds(records, signed)
    if found is Check.INVALID and header.flags & Flag.PRIMARY_ONLY:
        cleared = (header.flags & ~int(Flag.ENCRYPTED_AES128)).to_bytes(4, "little")
        other = Signed((bytes(view[:16]) + cleared, view[20 : header.header_size], *rest))
        if hash_holds(records, other) is Check.VALID:
            return other, Check.VALID, True
    return signed, found, False


def hash_holds(records: Sequence[Tlv], signed: Signed) -> Check:
    """Return whether the first hash record is the hash of what was signed; not checked where there is none."""
    for r in records:
        if (kind := r.type & 0xFF) in HASH_TYPES:
            return Check.VALID if signed.digest(kind) == r.value else Check.INVALID
    return Check.NOT_CHECKED
