"""Keys that a person hands in, for verifying and for decrypting: PEM or DER, PKCS#8, SEC1 or SubjectPublicKeyInfo.

A key lives in these objects and nowhere else: it is in no result, no text form and no error message.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519

from h5diag.errors import InputError
from h5diag.evidence.door import Source, read_evidence
from h5diag.limits import KEY

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


@dataclass(frozen=True, slots=True)
class KeyFile:
    """Any key file, as far as it may be shown.

    Parameters
    ----------
    algorithm
        ``ECDSA P-256`` or what else it is.
    private
        Whether it holds a private key.
    spki, xy
        SHA-256 of the SubjectPublicKeyInfo in DER, and of the raw X and Y of a P-256 key (else empty), in hex.
    public, secret
        The key itself.
    """

    algorithm: str
    private: bool
    spki: str
    xy: str
    public: PublicKey | None = field(repr=False, compare=False)
    secret: PrivateKey | None = field(default=None, repr=False, compare=False)


def parse_key(content: bytes, *, source: str = "key") -> KeyFile:
    """Return the key in a PEM or DER file.

    Raises
    ------
    InputError
        When there is none, or it is protected by a password; never with its content.
    """
    key = _load_key(content, source)
    private = hasattr(key, "private_bytes")
    public = key.public_key() if hasattr(key, "public_key") else key
    spki, xy = fingerprints(public)
    kind = _kind(public)
    name = kind.value if kind else type(public).__name__.strip("_").removesuffix("PublicKey")
    return KeyFile(name, private, spki, xy, public, key if private else None)  # type: ignore[arg-type]


def fingerprints(public: object) -> tuple[str, str]:
    """Return the SHA-256 of a public key's SubjectPublicKeyInfo, and of the raw X and Y of an elliptic one."""
    encoded = public.public_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    xy = b""
    if isinstance(public, ec.EllipticCurvePublicKey):
        xy = public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)[1:]
    return hashlib.sha256(encoded).hexdigest(), hashlib.sha256(xy).hexdigest() if xy else ""


def load_verify_key(path: Source) -> VerifyKey:
    """Read a public (or private) key file in PEM or DER form; InputError names the file and never shows its content."""
    file = read_evidence(path, limit=KEY)
    return parse_verify_key(file.data, source=str(file.path))


def load_decrypt_key(path: Source) -> DecryptKey:
    """Read a private key file in PEM form, or a base64 or raw AES key-wrap key; errors as `load_verify_key`."""
    file = read_evidence(path, limit=KEY)
    return parse_decrypt_key(file.data, source=str(file.path))


def parse_verify_key(pem: bytes, *, source: str = "key") -> VerifyKey:
    """Return the public key in `pem`; a private key serves as well.

    Raises
    ------
    InputError
        When it is protected by a password, cannot be read, or is of a kind that does not sign images.
    """
    key = _load_key(pem, source)
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
    if b"-----BEGIN" not in content and not _is_der(content):
        return DecryptKey(KeyKind.AES_KW, Path(source).name, _wrapping_key(content, source))
    key = _load_key(content, source)
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


def _is_der(content: bytes) -> bool:
    """A DER sequence that is as long as the file; raw AES keys of 16 or 32 bytes are never one by chance of length."""
    return len(content) > 40 and content[:1] == b"\x30" and content[1] in (len(content) - 2, 0x81, 0x82)


def _load_key(content: bytes, source: str) -> object:
    advice = "give a .pem file (-----BEGIN ...) or the key in DER"
    if b"-----BEGIN" in content:
        # openssl writes the curve's parameters in front of a SEC1 key; the key's own block is enough.
        block = re.search(rb"-----BEGIN ([A-Z0-9 ]*(?:PRIVATE|PUBLIC) KEY)-----.*?-----END \1-----", content, re.S)
        loaders = (
            ((lambda d: serialization.load_pem_private_key(d, None)) if b"PRIVATE KEY" in content else None),
            serialization.load_pem_public_key if b"PRIVATE KEY" not in content else None,
        )
        content = block[0] + b"\n" if block else content
    elif _is_der(content):
        loaders = (lambda d: serialization.load_der_private_key(d, None), serialization.load_der_public_key)
    else:
        raise InputError("no PEM key in it", source=source, advice=advice)
    for load in (each for each in loaders if each):
        try:
            return load(content)
        except TypeError:
            raise InputError(
                "the key is protected by a password", source=source, advice="give an unprotected copy or the public key"
            ) from None
        except (ValueError, UnsupportedAlgorithm):
            continue  # the library's own words may quote the key
    raise InputError("the key cannot be read", source=source, advice="is the file complete?") from None


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
