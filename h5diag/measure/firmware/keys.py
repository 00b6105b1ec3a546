"""Keys that a person hands in, for verifying and for decrypting.

A key lives in these objects and nowhere else: it is in no result, no text form and no error message.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519

from h5diag.errors import InputError

MOST_BYTES = 1 << 16
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | x25519.X25519PrivateKey | bytes


class KeyKind(Enum):
    """Kinds of keys that MCUboot knows."""

    ECDSA_P256 = "ECDSA P-256"
    ECDSA_P384 = "ECDSA P-384"
    RSA_2048 = "RSA-2048"
    RSA_3072 = "RSA-3072"
    ED25519 = "Ed25519"
    X25519 = "X25519"
    AES_KW = "AES key wrap"


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """A public key. `name` is its file's name; `hashes` are SHA-256, -384 and -512 of it as MCUboot stores it."""

    kind: KeyKind
    name: str
    hashes: tuple[bytes, bytes, bytes]
    key: PublicKey = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class DecryptKey:
    """A private key that unwraps image keys."""

    kind: KeyKind
    name: str
    key: PrivateKey = field(repr=False, compare=False)


def load_verify_key(path: str | Path) -> VerifyKey:
    """Read a public (or private) key file in PEM form; InputError names the file and never shows its content."""
    return parse_verify_key(_read(path), source=str(path))


def load_decrypt_key(path: str | Path) -> DecryptKey:
    """Read a private key file in PEM form, or a base64 or raw AES key-wrap key; errors as `load_verify_key`."""
    return parse_decrypt_key(_read(path), source=str(path))


def parse_verify_key(pem: bytes, *, source: str = "key") -> VerifyKey:
    """Return the public key in `pem`; a private key serves as well.

    Raises
    ------
    InputError
        When it is protected by a password, cannot be read, or is of a kind that does not sign images.
    """
    key = _load_pem(pem, source)
    public = key.public_key() if hasattr(key, "private_bytes") else key  # type: ignore[attr-defined]
    advice = "images are signed with ECDSA P-256 or P-384, RSA-2048 or RSA-3072, or Ed25519"
    kind = _kind(public)
    if isinstance(public, rsa.RSAPublicKey):
        encoded = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    elif isinstance(public, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        encoded = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    else:
        raise InputError("this kind of key does not verify signatures", source=source, advice=advice)
    if kind is None:
        raise InputError("this size or curve of key is not used for images", source=source, advice=advice)
    hashes = (hashlib.sha256(encoded).digest(), hashlib.sha384(encoded).digest(), hashlib.sha512(encoded).digest())
    return VerifyKey(kind, Path(source).name, hashes, public)


def parse_decrypt_key(content: bytes, *, source: str = "key") -> DecryptKey:
    """Return the private key in `content`: PEM, or a key-encryption key of 16 or 32 bytes, raw or in base64.

    Raises
    ------
    InputError
        When it is protected by a password, cannot be read, is public, or is of a kind that does not decrypt.
    """
    if b"-----BEGIN" not in content:
        return DecryptKey(KeyKind.AES_KW, Path(source).name, _wrapping_key(content, source))
    key = _load_pem(content, source)
    advice = "give the private key: ECDSA P-256, X25519 or RSA-2048"
    if not hasattr(key, "private_bytes"):
        raise InputError("this is a public key, it cannot decrypt", source=source, advice=advice)
    if isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | x25519.X25519PrivateKey):
        kind = KeyKind.X25519 if isinstance(key, x25519.X25519PrivateKey) else _kind(key.public_key())
        if kind in (KeyKind.ECDSA_P256, KeyKind.X25519, KeyKind.RSA_2048, KeyKind.RSA_3072):
            return DecryptKey(kind, Path(source).name, key)
    raise InputError("this kind of key does not decrypt images", source=source, advice=advice)


def _kind(key: object) -> KeyKind | None:
    match key:
        case ec.EllipticCurvePublicKey():
            return {"secp256r1": KeyKind.ECDSA_P256, "secp384r1": KeyKind.ECDSA_P384}.get(key.curve.name)
        case rsa.RSAPublicKey():
            return {2048: KeyKind.RSA_2048, 3072: KeyKind.RSA_3072}.get(key.key_size)
        case ed25519.Ed25519PublicKey():
            return KeyKind.ED25519
    return None


def _load_pem(pem: bytes, source: str) -> object:
    if b"-----BEGIN" not in pem:
        raise InputError("no PEM key in it", source=source, advice="give a .pem file (-----BEGIN ...)")
    try:
        if b"PRIVATE KEY" in pem:
            return serialization.load_pem_private_key(pem, None)
        return serialization.load_pem_public_key(pem)
    except TypeError:
        raise InputError(
            "the key is protected by a password", source=source, advice="give an unprotected copy or the public key"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        # The library's own words may quote the key.
        raise InputError("the PEM key cannot be read", source=source, advice="is the file complete?") from None


def _wrapping_key(content: bytes, source: str) -> bytes:
    if len(content) in (16, 32):
        return content
    try:
        key = base64.b64decode(content.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) not in (16, 32):
        raise InputError("neither a PEM key nor an AES key of 16 or 32 bytes (raw or base64)", source=source)
    return key


def _read(path: str | Path) -> bytes:
    try:
        with Path(path).open("rb") as f:
            content = f.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file name"
        raise InputError(f"cannot be read ({reason})", source=str(path)) from None
    if len(content) > MOST_BYTES:
        raise InputError(f"larger than {MOST_BYTES} bytes, so no key", source=str(path))
    return content
