"""Is an image what was signed: its hash, its signature, and both after decryption.

Accepts and refuses plain images exactly as ``imgtool verify`` does, its looseness included: the low byte of a
record's type counts, the key hash is not asked, the first signature that holds is enough. What a boot loader
would mind beyond that is said as a remark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from h5diag.evidence.keys import DecryptKey, VerifyKey
from h5diag.measure.firmware.body import BodyKind, BodyLook, look_at_body
from h5diag.measure.firmware.decrypt import decrypt_body, unwrap_image_key
from h5diag.measure.firmware.mcuboot import Flag
from h5diag.measure.firmware.search import BootImage
from h5diag.measure.firmware.signature import Buffer, Check, Recorded, Signed, check_signature, names_other_key
from h5diag.measure.firmware.tlv import ENCRYPTION_TYPES, HASH_TYPES, SIGNATURE_TYPES, Tlv


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
    body = view[header.header_size : header.tlv_offset]
    if not image.verifiable:
        why = image.problems[-1] if image.problems else "the image is cut short"
        return Verification(
            Check.NOT_CHECKED,
            why,
            Check.NOT_CHECKED,
            why,
            Check.NOT_CHECKED,
            why,
            _look(body, header.encrypted),
            _digest(tlvs.plain),
        )
    records = tlvs.plain
    signed = Signed((view[: tlvs.hashed_size],))
    held = _hash_holds(records, signed)
    remarks = list[str]()
    if held is Check.INVALID and header.flags & Flag.PRIMARY_ONLY and header.encrypted:
        # ST signs a primary-only image before it sets the encrypted flag.
        cleared = (header.flags & ~int(Flag.ENCRYPTED_AES128)).to_bytes(4, "little")
        other = Signed((bytes(view[:16]) + cleared, view[20 : tlvs.hashed_size]))
        if _hash_holds(records, other) is Check.VALID:
            signed, held = other, Check.VALID
            remarks.append("the hash holds with the encrypted flag cleared, as ST signs primary-only images")
    digest = _digest(records)
    remarks += _loose(records)
    if held is Check.VALID:
        look = (
            _look(body, True)
            if header.flags & Flag.ENCRYPTED_AES256
            else BodyLook(BodyKind.PLAIN, "the hash holds over the bytes as they stand")
        )
        return _result(
            records,
            signed,
            verify_keys,
            digest,
            remarks,
            look,
            Check.VALID,
            "computed over header, body and protected records",
            Check.NOT_CHECKED,
            "the body is plain",
        )
    look = _look(body, header.encrypted)
    # Without a hash record the signature alone may show that these very bytes were signed.
    signed_so = bool(verify_keys) and check_signature(records, signed, verify_keys)[0] is Check.VALID
    if not signed_so and (header.encrypted or any(r.type in ENCRYPTION_TYPES for r in records)):
        clear, why = _decrypted(image, view, decrypt_keys)
        if clear and (held is Check.INVALID or look.kind is BodyKind.ENCRYPTED):
            opened = Signed((view[: header.header_size], clear, view[header.tlv_offset : tlvs.hashed_size]))
            after = _hash_holds(records, opened)
            if after is not Check.INVALID or look.kind is BodyKind.ENCRYPTED:
                text = "computed after decryption"
                return _result(records, opened, verify_keys, digest, remarks, look, after, text, after, why)
        elif look.kind is BodyKind.ENCRYPTED and header.encrypted:
            return _result(
                records,
                Recorded(records),
                verify_keys,
                digest,
                remarks,
                look,
                Check.NOT_CHECKED,
                f"the body is encrypted ({why})",
                Check.NOT_CHECKED,
                why,
            )
    reason = {Check.INVALID: "the bytes are not those that were signed", Check.NOT_CHECKED: "no hash record"}[held]
    return _result(
        records,
        signed,
        verify_keys,
        digest,
        remarks,
        look,
        held,
        reason,
        Check.NOT_CHECKED,
        f"the body looks {look.kind.value}",
    )


def open_body(image: BootImage, data: Buffer, decrypt_keys: Sequence[DecryptKey]) -> bytes:
    """Return the decrypted body of an image, empty when none of the keys fits. The result is for comparing."""
    return _decrypted(image, memoryview(data), decrypt_keys)[0]


def _result(
    records: tuple[Tlv, ...],
    signed: Signed,
    keys: Sequence[VerifyKey],
    digest: bytes,
    remarks: list[str],
    look: BodyLook,
    held: Check,
    reason: str,
    decrypted: Check,
    decrypted_reason: str,
) -> Verification:
    signature, why, signer, notes = check_signature(records, signed, keys)
    recorded = isinstance(signed, Recorded)
    if (
        signature is Check.INVALID
        and held is Check.INVALID
        and keys
        and check_signature(records, Recorded(records), keys)[0] is Check.VALID
    ):
        why = "the signature fits the hash record, the body does not: the body was changed after signing"
    accepted = not recorded and (signature is Check.VALID if keys else held is Check.VALID)
    return Verification(
        held,
        reason,
        signature,
        why,
        decrypted,
        decrypted_reason,
        look,
        digest,
        signer,
        names_other_key(records, keys),
        accepted,
        tuple(remarks + notes),
    )


def _hash_holds(records: Sequence[Tlv], signed: Signed) -> Check:
    for r in records:
        if (kind := r.type & 0xFF) in HASH_TYPES:
            return Check.VALID if signed.digest(kind) == r.value else Check.INVALID
    return Check.NOT_CHECKED


def _digest(records: Sequence[Tlv]) -> bytes:
    return next((r.value for r in records if r.type & 0xFF in HASH_TYPES), b"")


def _loose(records: Sequence[Tlv]) -> list[str]:
    """Name records that imgtool reads and a boot loader does not."""
    return [
        f"the record at offset 0x{r.offset:X} has type 0x{r.type:04X}: imgtool reads 0x{r.type & 0xFF:02X},"
        " a boot loader passes it over"
        for r in records
        if r.type > 0xFF and r.type & 0xFF in (*HASH_TYPES, *SIGNATURE_TYPES)
    ]


def _look(body: memoryview, said_encrypted: bool) -> BodyLook:
    return look_at_body(np.frombuffer(body, np.uint8), said_encrypted=said_encrypted)


def _decrypted(image: BootImage, view: memoryview, keys: Sequence[DecryptKey]) -> tuple[bytes, str]:
    wrapped = [r for r in image.tlvs.plain if r.type in ENCRYPTION_TYPES]
    if not wrapped:
        return b"", "the image has no encryption record"
    for r in wrapped:
        for key in keys:
            if image_key := unwrap_image_key(r, key):
                body = view[image.header.header_size : image.header.tlv_offset]
                return decrypt_body(image_key, body), f"decrypted with {key.name}"
    kinds = ", ".join(r.name for r in wrapped)
    return b"", f"none of {len(keys)} keys unwraps {kinds}" if keys else f"no key given for {kinds}"
