"""Decrypting image bodies.

An image carries its own AES key, wrapped for the holder of a private key. Sources: MCUboot
``boot/bootutil/src/encrypted.c`` and ``enc_key_public.h``; reproduced with imgtool 2.5.0. ECIES: ephemeral
public key, MAC and wrapped key stand behind each other; HKDF (info ``MCUBoot_ECIES_v1``) over the shared secret
gives the wrapping key and the MAC key. The body is AES-CTR, counter zero at its first byte.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

from h5diag.evidence.keys import DecryptKey, KeyKind
from h5diag.measure.firmware.tlv import Tlv, TlvType

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
