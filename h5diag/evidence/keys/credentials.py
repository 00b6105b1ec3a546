"""Debug-authentication credentials: certificate chains, passwords, and the keys and passwords that vendors publish.

Source: facts on provisioning, sections 3 and 6.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from h5diag.errors import InputError
from h5diag.tables import packaged
from h5diag.text import count_text

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

RECORD = 220
FULL_REGRESSION = 14
"""Bit of the permission mask that lets the owner bring the chip back to Open."""

_BEGIN = struct.pack("<HH", 0, 0x0201)
_PASSWORD = 0x80000000
ROLES = {1: "root", 2: "intermediate", 3: "leaf"}


@dataclass(frozen=True, slots=True)
class Certificate:
    """One record of a chain.

    `permissions` is the mask as a number, `soc_class` and `soc_id` bind it to a class or to one chip when they are
    not zero; `spki` and `xy` are the fingerprints of its key; `point` tells whether that key is on the curve.
    """

    role: str
    soc_class: int
    soc_id: bytes
    permissions: int
    spki: str
    xy: str
    problems: tuple[str, ...]
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    key: ec.EllipticCurvePublicKey | None = field(repr=False, compare=False)

    def bound_to(self, uid: tuple[int, ...]) -> bool:
        """Tell whether the chip's unique id stands in it, its words in either order of bytes."""
        words = b"".join(w.to_bytes(4, "little") for w in uid)
        return words in self.soc_id or words[::-1] in self.soc_id

    def signed_by(self, issuer: Certificate) -> bool:
        """Tell whether the key of `issuer` made the signature."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

        if issuer.key is None:
            return False
        r, s = int.from_bytes(self.signature[:32], "big"), int.from_bytes(self.signature[32:], "big")
        try:
            issuer.key.verify(encode_dss_signature(r, s), self.signed, ec.ECDSA(hashes.SHA256()))
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class Password:
    """A password file; `digest` is the SHA-256 of its bytes, which is what the chip stores."""

    length: int
    digest: bytes
    container: bool


def chain_bytes(data: bytes) -> bytes:
    """Return the records of a certificate file (base64 with or without line breaks, or raw), empty when it is none."""
    if data[:4] != _BEGIN:
        try:
            data = base64.b64decode(b"".join(data.split()), validate=True)
        except (binascii.Error, ValueError):
            return b""
    return data if data[:4] == _BEGIN else b""


def parse_chain(data: bytes, *, source: str = "certificate") -> tuple[Certificate, ...]:
    """Return the certificates of a file, in its order.

    Raises
    ------
    InputError
        When it holds none, or is cut short.
    """
    raw = chain_bytes(data)
    if not raw:
        raise InputError("is no debug-authentication certificate", source=source)
    if len(raw) % RECORD:
        raise InputError(
            f"is cut short: {count_text(len(raw), 'byte')} are no whole number of certificates of {RECORD}",
            source=source,
            place=f"certificate {len(raw) // RECORD + 1}",
        )
    return tuple(_certificate(raw[at : at + RECORD]) for at in range(0, len(raw), RECORD))


def _certificate(record: bytes) -> Certificate:
    from cryptography.hazmat.primitives.asymmetric import ec

    from h5diag.evidence.keys.pem import fingerprints

    problems = []
    if record[:8] != _BEGIN + struct.pack("<I", RECORD - 8) or record[8:12] != bytes((1, 0, 1, 1)):
        problems.append("format, version or algorithm is not the one of ECDSA P-256 certificates")
    point = record[60:124]
    key: ec.EllipticCurvePublicKey | None
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + point)
        spki, xy = fingerprints(key)
    except ValueError:
        key, spki, xy = None, "", hashlib.sha256(point).hexdigest()
        problems.append("its public key is no point of P-256")
    return Certificate(
        ROLES.get(record[12], f"role {record[12]}"),
        int.from_bytes(record[24:28], "little"),
        record[28:44],
        int.from_bytes(record[44:60], "little"),
        spki,
        xy,
        tuple(problems),
        record[8:156],
        record[156:220],
        key,
    )


def chain_breaks(chain: tuple[Certificate, ...]) -> tuple[tuple[int, str], ...]:
    """Return what does not hold in a chain: the certificate's number from 1, and what is wrong with it."""
    found = [(i, p) for i, c in enumerate(chain, 1) for p in c.problems]
    expected = {1: ("root",), 2: ("root", "intermediate"), 3: ("root", "intermediate", "leaf")}
    roles = tuple(c.role for c in chain)
    if roles not in expected.values() and roles != ("root", "leaf"):
        found.append((1, f"the order of the chain is {', '.join(roles)}; root, intermediate, leaf is due"))
    unsigned = (
        (i, f"the signature of the {c.role} was not made by the {issuer.role}'s key")
        for i, (c, issuer) in enumerate(zip(chain, (*chain[:1], *chain), strict=False), 1)
        if not c.signed_by(issuer)
    )
    return (*found, *unsigned)


def parse_password(data: bytes) -> Password | None:
    """Return a password in ST's container, None when it is none."""
    if len(data) < 12 or struct.unpack_from("<I", data)[0] != _PASSWORD:
        return None
    (length,) = struct.unpack_from("<I", data, 4)
    if not 0 < length <= len(data) - 8 or len(data) - 8 - length >= 16:
        return None
    return Password(length, hashlib.sha256(data[8 : 8 + length]).digest(), True)


@dataclass(frozen=True, slots=True)
class Published:
    """A key or password that everybody has; `name` and `owner` say whose."""

    name: str
    owner: str
    ref: str

    def __str__(self) -> str:
        return f"{self.name} of {self.owner}"


@lru_cache(maxsize=1)
def _published() -> dict[str, Published]:
    table = packaged("evidence/keys/published.toml")
    return {
        row[of]: Published(row["name"], row["owner"], row["ref"])
        for row in (*table["keys"], *table["passwords"])
        for of in ("spki", "xy", "sha256")
        if of in row
    }


def published(*fingerprint: str | bytes) -> Published | None:
    """Return the published key or password that one of these SHA-256 values (hex or bytes) belongs to."""
    known = (_published().get(v.hex() if isinstance(v, bytes) else v) for v in fingerprint)
    return next(filter(None, known), None)
