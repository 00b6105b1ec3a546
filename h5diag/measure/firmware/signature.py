"""Signatures over an image, checked as imgtool checks them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import Enum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from h5diag.evidence.keys import KeyKind, VerifyKey
from h5diag.measure.firmware.tlv import HASH_TYPES, SIGNATURE_TYPES, Tlv, TlvType

Buffer = bytes | memoryview


class Check(Enum):
    """Result of a check."""

    VALID = "valid"
    INVALID = "invalid"
    NOT_CHECKED = "not-checked"


_SHA = {TlvType.SHA256: hashlib.sha256, TlvType.SHA384: hashlib.sha384, TlvType.SHA512: hashlib.sha512}
_SIGNS_OVER = {
    KeyKind.ECDSA_P256: TlvType.SHA256,
    KeyKind.ECDSA_P384: TlvType.SHA384,
    KeyKind.RSA_2048: TlvType.SHA256,
    KeyKind.RSA_3072: TlvType.SHA256,
}
_SIGNATURE = {
    KeyKind.ECDSA_P256: TlvType.ECDSA,
    KeyKind.ECDSA_P384: TlvType.ECDSA,
    KeyKind.RSA_2048: TlvType.RSA2048,
    KeyKind.RSA_3072: TlvType.RSA3072,
    KeyKind.ED25519: TlvType.ED25519,
}
_HASHES = {
    KeyKind.ECDSA_P256: (TlvType.SHA256, TlvType.SHA512),
    KeyKind.ECDSA_P384: (TlvType.SHA384,),
    KeyKind.RSA_2048: (TlvType.SHA256,),
    KeyKind.RSA_3072: (TlvType.SHA256,),
    KeyKind.ED25519: (TlvType.SHA256, TlvType.SHA512),
}


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


def names_other_key(records: Sequence[Tlv], keys: Sequence[VerifyKey]) -> bool:
    """Tell whether the image names its signer by a key hash and none of `keys` has it."""
    named = [r.value for r in records if r.type == TlvType.KEYHASH]
    return bool(named) and not any(v in k.hashes for k in keys for v in named)


def check_signature(
    records: Sequence[Tlv], signed: Signed, keys: Sequence[VerifyKey]
) -> tuple[Check, str, str, list[str]]:
    """Return the check, its reason, the signer's name and remarks."""
    kinds = [r for r in records if r.type & 0xFF in SIGNATURE_TYPES]
    if not keys:
        return Check.NOT_CHECKED, "no key given" if kinds else "the image is not signed", "", []
    named = [r.value for r in records if r.type == TlvType.KEYHASH]
    matching = [k for k in keys if any(v in k.hashes for v in named)]
    outcomes: list[Check] = []
    for key in (*matching, *(k for k in keys if k not in matching)):
        outcome = _signed_by(records, signed, key)
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


def _signed_by(records: Sequence[Tlv], signed: Signed, key: VerifyKey) -> Check:
    """Walk the records as imgtool does; the order of the steps decides what it accepts."""
    recorded = isinstance(signed, Recorded)
    pure = any(r.type & 0xFF == TlvType.SIG_PURE for r in records)
    last = b""
    for r in records:
        kind = r.type & 0xFF
        if kind in HASH_TYPES:
            if kind not in _HASHES[key.kind] or signed.digest(kind) != r.value:
                return Check.INVALID
            last = r.value
        elif kind == (TlvType.ED25519 if pure else _SIGNATURE[key.kind]):
            if key.kind is KeyKind.ED25519:
                if recorded and pure:
                    return Check.NOT_CHECKED
                if not pure and not last:
                    return Check.INVALID
            elif pure:
                return Check.INVALID
            elif recorded and not signed.digest(_SIGNS_OVER[key.kind]):
                return Check.NOT_CHECKED
            if _holds(key, r.value, signed, signed.whole() if pure else last):
                return Check.VALID
    return Check.INVALID


def _holds(key: VerifyKey, signature: bytes, signed: Signed, message: bytes) -> bool:
    public = key.key
    try:
        if isinstance(public, ed25519.Ed25519PublicKey):
            public.verify(signature, message)
        elif isinstance(public, rsa.RSAPublicKey):
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
            public.verify(signature, signed.digest(TlvType.SHA256), pss, Prehashed(hashes.SHA256()))
        elif len(signature) < 2:
            return False
        else:
            algorithm = hashes.SHA384() if key.kind is KeyKind.ECDSA_P384 else hashes.SHA256()
            # Old boot loaders wanted a fixed length: zeros behind the DER sequence are not part of it.
            signature = signature[: signature[1] + 2]
            public.verify(signature, signed.digest(_SIGNS_OVER[key.kind]), ec.ECDSA(Prehashed(algorithm)))
    except (InvalidSignature, ValueError):
        return False
    return True
