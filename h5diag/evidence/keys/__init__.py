"""Keys, credentials and what provisioning stores: read into values, never shown.

The one reader of keys of the house; a private key or password lives in these objects and nowhere else.

The names are looked up when they are used: a case without a key does not wait for the library behind them.
"""

from typing import TYPE_CHECKING

from h5diag.evidence import by_name

if TYPE_CHECKING:
    from h5diag.evidence.keys.credentials import (
        FULL_REGRESSION as FULL_REGRESSION,
        Certificate as Certificate,
        Password as Password,
        Published as Published,
        chain_breaks as chain_breaks,
        chain_bytes as chain_bytes,
        parse_chain as parse_chain,
        parse_password as parse_password,
        published as published,
    )
    from h5diag.evidence.keys.obk import (
        DESTINATIONS as DESTINATIONS,
        SIZES as SIZES,
        Obk as Obk,
        ObkContent as ObkContent,
        StirotFields as StirotFields,
        load_decrypt_keys as load_decrypt_keys,
        load_verify_keys as load_verify_keys,
        looks_like_obk as looks_like_obk,
        parse_obk as parse_obk,
    )
    from h5diag.evidence.keys.pem import (
        DecryptKey as DecryptKey,
        KeyFile as KeyFile,
        KeyKind as KeyKind,
        PrivateKey as PrivateKey,
        PublicKey as PublicKey,
        VerifyKey as VerifyKey,
        fingerprints as fingerprints,
        load_decrypt_key as load_decrypt_key,
        load_verify_key as load_verify_key,
        parse_decrypt_key as parse_decrypt_key,
        parse_key as parse_key,
        parse_verify_key as parse_verify_key,
    )
    from h5diag.evidence.keys.xml import (
        ProvisioningXml as ProvisioningXml,
        looks_like_xml as looks_like_xml,
        parse_provisioning_xml as parse_provisioning_xml,
    )

_HOMES = {
    "credentials": "FULL_REGRESSION Certificate Password Published chain_breaks chain_bytes parse_chain parse_password published",
    "obk": "DESTINATIONS SIZES Obk ObkContent StirotFields load_decrypt_keys load_verify_keys looks_like_obk parse_obk",
    "pem": "DecryptKey KeyFile KeyKind PrivateKey PublicKey VerifyKey fingerprints load_decrypt_key load_verify_key"
    " parse_decrypt_key parse_key parse_verify_key",
    "xml": "ProvisioningXml looks_like_xml parse_provisioning_xml",
}


__getattr__ = by_name(__name__, _HOMES)
