"""Is an image what was signed: its hash, its signature, and both after decryption.

Accepts and refuses plain images exactly as ``imgtool verify`` does, its looseness included: the low byte of a
record's type counts, the key hash is not asked, the first signature that holds is enough. What a boot loader
would mind beyond that is said as a remark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from h5diag.measure.firmware.image import ENCRYPTION_TYPES, HASH_TYPES, SIGNATURE_TYPES, BootImage, Flag, Tlv, TlvType
from h5diag.measure.firmware.signed import Buffer, Check, Recorded, Signed, signed_bytes
from h5diag.memory import Bytes
from h5diag.text import count_text

if TYPE_CHECKING:
    from h5diag.evidence.keys import DecryptKey, VerifyKey

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
    if data[0] == 0xFF and data[-1] == 0xFF and data.min() == 0xFF:
        return BodyLook(BodyKind.ERASED, f"all {count_text(data.size, 'byte')} are 0xFF")
    told = [score(b) for b in blocks if not bool((b == b[0]).all())]
    if not told:
        return BodyLook(BodyKind.PLAIN, "only runs of one value")
    uniform = sum(1 for s in told if abs(s) <= LIMIT)
    sample = f"{uniform} of {count_text(len(told), 'block')} of {count_text(blocks[0].size, 'byte')} have uniform bytes"
    if data.size < 64 and uniform == len(told):
        kind = BodyKind.ENCRYPTED if said_encrypted else BodyKind.PLAIN
        return BodyLook(kind, f"{count_text(data.size, 'byte')} are too few to tell; the header says {kind.value}")
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


def _blocks(data: Bytes) -> list[npt.NDArray[np.uint8]]:
    """Return evenly spread blocks; the whole when it is small."""
    if data.size < 2 * BLOCK:
        return [data]
    starts = np.linspace(0, data.size - BLOCK, min(BLOCKS, data.size // BLOCK)).astype(np.int64)
    return [data[s : s + BLOCK] for s in starts.tolist()]


@dataclass(frozen=True, slots=True)
class Verification:
    """What could be verified of an image, each with its reason in one sentence.

    Parameters
    ----------
    hash
        The image's own hash over header, plain body and protected records. `Check.NOT_CHECKED` for an
        encrypted body without a key that fits.
    signature
        By the given keys. Over an encrypted body it is checked through the hash record, since MCUboot signs the
        hash of the plain image.
    decrypted_hash
        The hash after decryption; `Check.NOT_CHECKED` when nothing was decrypted.
    body
        What the body looks like.
    digest
        The hash record's value; empty without one. Equal digests are equal images, encrypted or not.
    signer
        File name of the key that made the signature; empty when not known.
    other_signer
        Whether the image names a key that was not given, so that an invalid signature says nothing of damage.
    accepted
        Whether ``imgtool verify`` accepts the plain image with one of the given keys (without keys: by its hash).
        It knows the magic of MCUboot only, and no primary-only images of ST.
    """

    hash: Check
    hash_reason: str
    signature: Check
    signature_reason: str
    decrypted_hash: Check
    decrypted_reason: str
    body: BodyLook
    digest: bytes = b""
    signer: str = ""
    other_signer: bool = False
    accepted: bool = False
    remarks: tuple[str, ...] = ()


def verify_image(
    image: BootImage, data: Buffer, verify_keys: Sequence[VerifyKey] = (), decrypt_keys: Sequence[DecryptKey] = ()
) -> Verification:
    """Check the hash and the signature of an image.

    Parameters
    ----------
    image
        The image as it was found.
    data
        Its bytes from the header on, at least `image.size` of them when it is complete.
    verify_keys
        Public keys; any of them may have signed.
    decrypt_keys
        Private keys for encrypted bodies. Nothing of them enters the result.
    """
    view = memoryview(data)
    header, tlvs = image.header, image.tlvs
    records, body = tlvs.plain, view[header.header_size : header.tlv_offset]
    digest = next((r.value for r in records if r.type & 0xFF in HASH_TYPES), b"")
    if not image.verifiable:
        why = image.problems[-1] if image.problems else "the image is cut short"
        return Verification(*((Check.NOT_CHECKED, why) * 3), _look(body, header.encrypted), digest)
    signed, hash_check, cleared = signed_bytes(image, view, (view[header.header_size : tlvs.hashed_size],))
    remarks = ["the hash holds with the encrypted flag cleared, as ST signs primary-only images"] if cleared else []
    # Records that imgtool reads and a boot loader does not.
    remarks += [
        f"the record at offset 0x{r.offset:X} has type 0x{r.type:04X}: imgtool reads 0x{r.type & 0xFF:02X},"
        " a boot loader passes it over"
        for r in records
        if r.type > 0xFF and r.type & 0xFF in (*HASH_TYPES, *SIGNATURE_TYPES)
    ]
    decrypted = Check.NOT_CHECKED
    if hash_check is Check.VALID:
        plain = BodyLook(BodyKind.PLAIN, "the hash holds over the bytes as they stand")
        look = _look(body, True) if header.flags & Flag.ENCRYPTED_AES256 else plain
        reason, decrypted_reason = "computed over header, body and protected records", "the body is plain"
    else:
        look = _look(body, header.encrypted)
        unsigned = hash_check is Check.NOT_CHECKED
        reason = "no hash record" if unsigned else "the bytes are not those that were signed"
        decrypted_reason = f"the body looks {look.kind.value}"
        # Without a hash record the signature alone may show that these very bytes were signed.
        signed_so = bool(verify_keys) and check_signature(records, signed, verify_keys)[0] is Check.VALID
        if not signed_so and (header.encrypted or any(r.type in ENCRYPTION_TYPES for r in records)):
            clear, why = _decrypted(image, view, decrypt_keys)
            if clear and (not unsigned or look.kind is BodyKind.ENCRYPTED):
                opened, after, _ = signed_bytes(image, view, (clear, view[header.tlv_offset : tlvs.hashed_size]))
                if after is not Check.INVALID or look.kind is BodyKind.ENCRYPTED:
                    signed, hash_check, decrypted = opened, after, after
                    reason, decrypted_reason = "computed after decryption", why
            elif look.kind is BodyKind.ENCRYPTED and header.encrypted:
                signed, hash_check = Recorded(records), Check.NOT_CHECKED
                reason, decrypted_reason = f"the body is encrypted ({why})", why
    signature, signature_reason, signer, notes = check_signature(records, signed, verify_keys)
    if (
        signature is Check.INVALID
        and hash_check is Check.INVALID
        and verify_keys
        and check_signature(records, Recorded(records), verify_keys)[0] is Check.VALID
    ):
        signature_reason = "the signature fits the hash record, the body does not: the body was changed after signing"
    proven = signature if verify_keys else hash_check
    named = [r.value for r in records if r.type == TlvType.KEYHASH]
    return Verification(
        hash_check,
        reason,
        signature,
        signature_reason,
        decrypted,
        decrypted_reason,
        look,
        digest,
        signer,
        bool(named) and not any(v in k.hashes for k in verify_keys for v in named),
        proven is Check.VALID and not isinstance(signed, Recorded),
        tuple(remarks + notes),
    )


def open_body(image: BootImage, data: Buffer, decrypt_keys: Sequence[DecryptKey]) -> bytes:
    """Return the decrypted body of an image, empty when none of the keys fits. The result is for comparing."""
    return _decrypted(image, memoryview(data), decrypt_keys)[0]


def _look(body: memoryview, said_encrypted: bool) -> BodyLook:
    return look_at_body(np.frombuffer(body, np.uint8), said_encrypted=said_encrypted)


def _decrypted(image: BootImage, view: memoryview, keys: Sequence[DecryptKey]) -> tuple[bytes, str]:
    wrapped = [r for r in image.tlvs.plain if r.type in ENCRYPTION_TYPES]
    if not wrapped:
        return b"", "the image has no encryption record"
    kinds = ", ".join(r.name for r in wrapped)
    if not keys:
        return b"", f"no key given for {kinds}"
    from h5diag.measure.firmware.signing import decrypt_body, unwrap_image_key

    for r, key in product(wrapped, keys):
        if image_key := unwrap_image_key(r, key):
            body = view[image.header.header_size : image.header.tlv_offset]
            return decrypt_body(image_key, body), f"decrypted with {key.name}"
    return b"", f"none of {count_text(len(keys), 'key')} unwraps {kinds}"


def check_signature(
    records: Sequence[Tlv], signed: Signed, keys: Sequence[VerifyKey]
) -> tuple[Check, str, str, list[str]]:
    """Return the check, its reason, the signer's name and remarks."""
    kinds = [r for r in records if r.type & 0xFF in SIGNATURE_TYPES]
    if not keys:
        return Check.NOT_CHECKED, "no key given" if kinds else "the image is not signed", "", []
    from h5diag.measure.firmware.signing import signed_by

    named = [r.value for r in records if r.type == TlvType.KEYHASH]
    matching = [k for k in keys if any(v in k.hashes for v in named)]
    outcomes: list[Check] = []
    for key in (*matching, *(k for k in keys if k not in matching)):
        outcome = signed_by(records, signed, key)
        outcomes.append(outcome)
        if outcome is Check.VALID:
            notes = (
                ["the key hash in the image is another key's: a boot loader refuses it"]
                if named and key not in matching
                else []
            )
            through = " (through the hash record)" if isinstance(signed, Recorded) else ""
            return outcome, f"made by {key.name}{through}", key.name, notes
    if not kinds:
        return Check.INVALID, "the image is not signed", "", []
    if Check.NOT_CHECKED in outcomes:
        return Check.NOT_CHECKED, "this kind of signature covers the plain body, which is encrypted", "", []
    if named and not matching:
        who = named[0].hex()[:16]
        return Check.INVALID, f"made by none of the given keys: the image names key hash {who}...", "", []
    return Check.INVALID, "the signature does not fit", "", []
