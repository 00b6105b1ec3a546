"""Keys, credentials and what provisioning stores: read into values, never shown.

The one reader of keys of the house; a private key or password lives in these objects and nowhere else.
"""

from __future__ import annotations

from h5diag.evidence.keys.pem import (
    DecryptKey,
    KeyKind,
    PrivateKey,
    PublicKey,
    VerifyKey,
    load_decrypt_key,
    load_verify_key,
    parse_decrypt_key,
    parse_verify_key,
)

__all__ = [
    "DecryptKey",
    "KeyKind",
    "PrivateKey",
    "PublicKey",
    "VerifyKey",
    "load_decrypt_key",
    "load_verify_key",
    "parse_decrypt_key",
    "parse_verify_key",
]
