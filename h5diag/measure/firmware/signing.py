"""What a key is needed for: does a signature hold, which key unwraps a body, and its decryption.

Loaded when there is a key: the library behind it takes as long as the rest of the wing.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

from h5diag.evidence.keys import DecryptKey, KeyKind, VerifyKey
from h5diag.measure.firmware.image import HASH_TYPES, Tlv, TlvType
from h5diag.measure.firmware.signed import Check, Recorded, Signed

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


def signed_by(records: Sequence[Tlv], signed: Signed, key: VerifyKey) -> Check:
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


INFO = b"MCUBoot_ECIES_v1"
FITTING = {
    TlvType.ENC_EC256: (KeyKind.ECDSA_P256,),
    TlvType.ENC_X25519: (KeyKind.X25519,),
    TlvType.ENC_X25519_SHA512: (KeyKind.X25519,),
    TlvType.ENC_KW: (KeyKind.AES_KW,),
    TlvType.ENC_RSA2048: (KeyKind.RSA_2048, KeyKind.RSA_3072),
}
"""Which kinds of keys unwrap which record."""


def unwrap_image_key(record: Tlv, key: DecryptKey) -> bytes:
    """Return the AES key wrapped in `record`, 16 or 32 bytes; empty when it was not wrapped for `key`.

    The result is for `decrypt_body` alone: it is never to be kept or shown.
    """
    secret, value = key.key, record.value
    try:
        kind = TlvType(record.type)
        if kind not in FITTING or key.kind not in FITTING[kind]:
            return b""
        if isinstance(secret, rsa.RSAPrivateKey):
            mask = padding.MGF1(hashes.SHA256())
            image_key = secret.decrypt(value, padding.OAEP(mask, hashes.SHA256(), None))
        elif isinstance(secret, bytes):
            image_key = aes_key_unwrap(secret, value)
        else:
            image_key = _ecies(secret, value, hashes.SHA512() if kind is TlvType.ENC_X25519_SHA512 else hashes.SHA256())
    except (ValueError, InvalidUnwrap, InvalidSignature):
        return b""
    return image_key if len(image_key) in (16, 32) else b""


def _ecies(
    secret: ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey, value: bytes, algorithm: hashes.HashAlgorithm
) -> bytes:
    """Return the unwrapped key; ValueError or InvalidSignature when it was wrapped for another one."""
    point = 65 if isinstance(secret, ec.EllipticCurvePrivateKey) else 32
    mac_stop = point + algorithm.digest_size
    ephemeral, mac, wrapped = value[:point], value[point:mac_stop], value[mac_stop:]
    if len(wrapped) not in (16, 32):
        raise ValueError("length")
    if isinstance(secret, ec.EllipticCurvePrivateKey):
        shared = secret.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(secret.curve, ephemeral))
    else:
        shared = secret.exchange(x25519.X25519PublicKey.from_public_bytes(ephemeral))
    # imgtool derives a MAC key as long as the digest; it stands behind the wrapping key.
    derived = HKDF(algorithm, len(wrapped) + algorithm.digest_size, None, INFO).derive(shared)
    check = hmac.HMAC(derived[len(wrapped) :], algorithm)
    check.update(wrapped)
    check.verify(mac)
    return decrypt_body(derived[: len(wrapped)], wrapped)


def decrypt_body(image_key: bytes, body: bytes | memoryview) -> bytes:
    """Return `body` through AES-CTR with a counter that starts at zero; encrypting is the same operation."""
    cipher = Cipher(algorithms.AES(image_key), modes.CTR(bytes(16))).decryptor()
    return cipher.update(body) + cipher.finalize()
