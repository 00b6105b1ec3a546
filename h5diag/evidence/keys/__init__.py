"""Keys, credentials and what provisioning stores: read into values, never shown.

The one reader of keys of the house; a private key or password lives in these objects and nowhere else.
"""

from __future__ import annotations

from h5diag.evidence.keys.credentials import (
    FULL_REGRESSION,
    Certificate,
    Password,
    Published,
    chain_breaks,
    chain_bytes,
    parse_chain,
    parse_password,
    published,
)
from h5diag.evidence.keys.obk import (
    DESTINATIONS,
    SIZES,
    Obk,
    ObkContent,
    StirotFields,
    load_decrypt_keys,
    load_verify_keys,
    looks_like_obk,
    parse_obk,
)
from h5diag.evidence.keys.pem import (
    DecryptKey,
    KeyFile,
    KeyKind,
    PrivateKey,
    PublicKey,
    VerifyKey,
    fingerprints,
    load_decrypt_key,
    load_verify_key,
    parse_decrypt_key,
    parse_key,
    parse_verify_key,
)
from h5diag.evidence.keys.xml import ProvisioningXml, looks_like_xml, parse_provisioning_xml

__all__ = [
    "DESTINATIONS",
    "FULL_REGRESSION",
    "SIZES",
    "Certificate",
    "DecryptKey",
    "KeyFile",
    "KeyKind",
    "Obk",
    "ObkContent",
    "Password",
    "PrivateKey",
    "ProvisioningXml",
    "PublicKey",
    "Published",
    "StirotFields",
    "VerifyKey",
    "chain_breaks",
    "chain_bytes",
    "fingerprints",
    "load_decrypt_key",
    "load_decrypt_keys",
    "load_verify_key",
    "load_verify_keys",
    "looks_like_obk",
    "looks_like_xml",
    "parse_chain",
    "parse_decrypt_key",
    "parse_key",
    "parse_obk",
    "parse_password",
    "parse_provisioning_xml",
    "parse_verify_key",
    "published",
]
