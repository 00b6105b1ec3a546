"""Option-byte keys (.obk): the container that STM32CubeProgrammer stores, and what ST's boot stages keep in it.

Source: facts on provisioning, sections 1, 2, 4 and 5 (measured on the files of five boards).
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import combinations

from cryptography.hazmat.primitives.asymmetric import ec

from h5diag.errors import InputError
from h5diag.evidence.door import Source, read_evidence
from h5diag.evidence.keys.pem import (
    DecryptKey,
    KeyFile,
    KeyKind,
    VerifyKey,
    fingerprints,
    load_decrypt_key,
    load_verify_key,
    parse_key,
    parse_verify_key,
)
from h5diag.limits import KEY
from h5diag.text import count_text

HEADER = 12
_AREA_MARKS = (0x0FFD, 0x0BFD)
SECTOR = 0x2000
_SCALAR = bytes.fromhex("0201010420")
DATA_MAGIC = 0x55F7394E


class ObkContent(Enum):
    """What the bytes inside are, whatever the destination says."""

    DA = "debug authentication"
    OEMIROT_CONFIG = "OEMiROT configuration"
    OEMIROT_DATA = "OEMiROT data"
    STIROT_CONFIG = "STiROT configuration"
    STIROT_DATA = "STiROT data"
    OEMUROT_CONFIG = "OEMuROT configuration"
    OEMUROT_DATA = "OEMuROT data"
    USER_DATA = "STiROT user data"
    SECURE_MANAGER = "Secure Manager settings"
    UNKNOWN = "unknown"


DESTINATIONS = {
    ObkContent.DA: 0x0FFD0100,
    ObkContent.OEMIROT_CONFIG: 0x0FFD0160,
    ObkContent.OEMIROT_DATA: 0x0FFD0280,
    ObkContent.STIROT_CONFIG: 0x0FFD0200,
    ObkContent.STIROT_DATA: 0x0FFD0400,
    ObkContent.OEMUROT_CONFIG: 0x0FFD0900,
    ObkContent.OEMUROT_DATA: 0x0FFD0A50,
    ObkContent.USER_DATA: 0x0FFD0900,
}
_SECURE_MANAGER = {0x0200: 0x100, 0x09D0: 0xB0, 0x0A80: 0x60}
"""Where the Secure Manager's settings go, and their payload. Source: files of package 1.1 in a public project, by one
reader: what is inside is not described anywhere. Other families keep other things at the same places."""

SIZES = {
    ObkContent.DA: 0x60,
    ObkContent.OEMIROT_CONFIG: 0x120,
    ObkContent.OEMIROT_DATA: 0xC0,
    ObkContent.STIROT_CONFIG: 0x100,
    ObkContent.STIROT_DATA: 0x60,
    ObkContent.OEMUROT_CONFIG: 0x150,
    ObkContent.OEMUROT_DATA: 0xC0,
}


@dataclass(frozen=True, slots=True)
class StirotFields:
    """The settings of a STiROT configuration; offsets and sizes in bytes."""

    images: int
    clock: int
    full_secure: int
    jump_to_loader: int
    execution_offset: int
    download_offset: int
    area_size: int
    data_offset: int
    data_size: int
    data_download_offset: int
    data_download_size: int
    secure_size: int
    sram2_erase: int
    sram2_ecc: int
    lowest_state: int
    tamper: int


@dataclass(frozen=True, slots=True)
class Obk:
    """An .obk file.

    Parameters
    ----------
    destination, size, flag
        The three words of the header: where it goes, bytes of payload, whether the chip encrypts it.
    file_size
        Bytes of the file.
    digest, digest_valid
        The recorded SHA-256 (or the data image's own), and whether it holds.
    content
        What the payload is, told by its structure.
    permissions
        Mask of a debug authentication object, else None.
    credential
        The 32 bytes of a debug authentication object that are the hash of a root key or password.
    keys
        ``(role, key)`` of the public keys, a private one with its public half only.
    decrypt
        The private encryption key, for opening images.
    versions
        The eight version words of OEMiROT's data.
    stirot
        The settings of a STiROT configuration.
    problems
        What makes no sense inside, a sentence each with the offset in the file.
    """

    destination: int
    size: int
    flag: int
    file_size: int
    content: ObkContent
    digest: bytes = b""
    digest_valid: bool = False
    permissions: int | None = None
    credential: bytes = b""
    keys: tuple[tuple[str, KeyFile], ...] = ()
    verify: tuple[tuple[str, VerifyKey], ...] = ()
    decrypt: DecryptKey | None = field(default=None, repr=False)
    versions: tuple[int, ...] = ()
    stirot: StirotFields | None = None
    problems: tuple[str, ...] = ()


def looks_like_obk(data: bytes) -> bool:
    """Tell whether a file has the header of an .obk."""
    if len(data) < HEADER + 16:
        return False
    destination, size, flag = struct.unpack_from("<III", data)
    if destination >> 16 in _AREA_MARKS and size <= 0x2000:
        return True
    plausible = size + HEADER == len(data) and flag in (0, 1)
    return plausible and hashlib.sha256(data[HEADER + 32 :]).digest() == data[HEADER : HEADER + 32]


def parse_obk(data: bytes, *, source: str = "obk") -> Obk:
    """Return the object in an .obk file, sound or not.

    Raises
    ------
    InputError
        When it has no header of an .obk.
    """
    if not looks_like_obk(data):
        raise InputError("is no .obk file", source=source, advice="give what STM32TrustedPackageCreator wrote")
    destination, size, flag = struct.unpack_from("<III", data)
    payload = data[HEADER : HEADER + size] if size else data[HEADER:]
    content = _content(destination, payload)
    problems: list[str] = []
    if content in (ObkContent.OEMUROT_CONFIG, ObkContent.USER_DATA):
        digest, valid, body = _data_image(payload, problems)
    else:
        digest = payload[:32]
        valid, body = hashlib.sha256(payload[32:]).digest() == digest, payload[32:]
    found = Obk(destination, size, flag, len(data), content, digest, valid)
    match content:
        case ObkContent.DA:
            return replace(found, permissions=int.from_bytes(body[32:36], "little"), credential=body[:32])
        case ObkContent.OEMIROT_DATA | ObkContent.OEMUROT_DATA if len(body) >= 32:
            return replace(found, versions=struct.unpack_from("<8I", body))
        case ObkContent.OEMIROT_CONFIG:
            return _keyed(
                found, payload, (("authentication secure", 0x20), ("authentication non-secure", 0x7C)), 0xD8, problems
            )
        case ObkContent.STIROT_CONFIG:
            return _keyed(found, payload, (("authentication", 0x98),), 0x50, problems, _stirot(payload, problems))
        case ObkContent.OEMUROT_CONFIG:
            return _keyed(found, body, (("authentication secure", 0), ("authentication non-secure", 91)), 182, problems)
    return replace(found, problems=tuple(problems))


def _content(destination: int, payload: bytes) -> ObkContent:
    """Tell the content by its structure; two kinds that look the same inside are told by the destination."""
    if int.from_bytes(payload[:4], "little") == DATA_MAGIC:
        # OEMuROT's configuration is three keys one after the other, the first of them a SubjectPublicKeyInfo.
        start = int.from_bytes(payload[8:10], "little")
        return ObkContent.OEMUROT_CONFIG if payload[start : start + 2] == b"\x30\x59" else ObkContent.USER_DATA
    at, size, managed = destination & 0xFFFF, len(payload), _SECURE_MANAGER.get(destination & 0xFFFF) == len(payload)
    keys_at = {n: payload[n : n + 2] for n in (0x20, 0x50, 0x98)}
    rows = (
        (managed and not any(keys_at[0x50] + keys_at[0x98]), ObkContent.SECURE_MANAGER),
        (managed and at in (0x09D0, 0x0A80), ObkContent.SECURE_MANAGER),
        (keys_at[0x20] == b"\x30\x59" or (at == 0x0160 and size > 0xE0), ObkContent.OEMIROT_CONFIG),
        (keys_at[0x50] == b"\x30\x81" or keys_at[0x98] == b"\x30\x59", ObkContent.STIROT_CONFIG),
        (at == 0x0200 and size > 0xE0, ObkContent.STIROT_CONFIG),
        (size <= 0x60 and any(payload[32:64]) and not any(payload[68:]), ObkContent.DA),
        (at == 0x0280, ObkContent.OEMIROT_DATA),
        (at == 0x0A50, ObkContent.OEMUROT_DATA),
        (size == 0xC0, ObkContent.OEMUROT_DATA if at >= 0x0900 else ObkContent.OEMIROT_DATA),
        (at == 0x0100, ObkContent.DA),
        (at == 0x0400 or not any(payload[32:]), ObkContent.STIROT_DATA),
    )
    return next((content for holds, content in rows if holds), ObkContent.UNKNOWN)


def _keyed(
    obk: Obk,
    payload: bytes,
    publics: tuple[tuple[str, int], ...],
    private: int,
    problems: list[str],
    stirot: StirotFields | None = None,
) -> Obk:
    keys: list[tuple[str, KeyFile]] = []
    verify: list[tuple[str, VerifyKey]] = []
    for role, at in publics:
        der = payload[at : at + 91]
        try:
            keys.append((role, parse_key(der)))
            verify.append((role, parse_verify_key(der, source=role)))
        except InputError:
            problems.append(f"the {role} key at offset 0x{HEADER + at:X} is no point of P-256")
    secret = payload[private : private + 70]
    where = secret.find(_SCALAR)
    scalar = int.from_bytes(secret[where + 5 : where + 37], "big") if where >= 0 else 0
    decrypt = None
    try:
        key = ec.derive_private_key(scalar, ec.SECP256R1()) if scalar else None
    except ValueError:
        key = None
    if key is None:
        problems.append(f"the encryption key at offset 0x{HEADER + private:X} is no private key of P-256")
    else:
        decrypt = DecryptKey(KeyKind.ECDSA_P256, "encryption key of the OBK", key)
        keys.append(
            ("encryption", KeyFile("ECDSA P-256", True, *fingerprints(key.public_key()), key.public_key(), key))
        )
    return replace(
        obk, keys=tuple(keys), verify=tuple(verify), decrypt=decrypt, stirot=stirot, problems=tuple(problems)
    )


def _stirot(payload: bytes, problems: list[str]) -> StirotFields | None:
    if len(payload) < 0x100:
        problems.append(f"{count_text(len(payload), 'byte')} of payload are too few for a STiROT configuration (256)")
        return None
    f = StirotFields(*(*payload[0x20:0x24], *struct.unpack_from("<11I", payload, 0x24), payload[0xF4]))
    settings = (
        ("number of images", f.images, (1, 2)),
        ("clock", f.clock, (0, 1, 2)),
        ("full secure", f.full_secure, (0, 1)),
    )
    problems += [
        f"{name} is {value}, not one of {', '.join(map(str, legal))}"
        for name, value, legal in settings
        if value not in legal
    ]
    areas = [("execution area", f.execution_offset, f.area_size), ("download area", f.download_offset, f.area_size)]
    if f.images == 2:
        areas.append(("data download area", f.data_download_offset, f.data_download_size))
        if f.data_size > 0x2F0:
            problems.append(f"the data slot in the OBK area has 0x{f.data_size:X} bytes, 0x2F0 at most")
    problems += [
        f"the {name} (0x{start:X}, 0x{size:X} bytes) does not lie on sectors of 8 KiB"
        for name, start, size in areas
        if start % SECTOR or size % SECTOR or not size
    ]
    problems += [
        f"the {name} and the {other} overlap"
        for (name, start, size), (other, begin, length) in combinations(areas, 2)
        if start < begin + length and begin < start + size
    ]
    return f


def _data_image(payload: bytes, problems: list[str]) -> tuple[bytes, bool, bytes]:
    """Return the recorded hash of a data image in an OBK, whether it holds, and its body."""
    if len(payload) < 32:
        return b"", False, b""
    header, protected = struct.unpack_from("<HH", payload, 8)
    (size,) = struct.unpack_from("<I", payload, 12)
    hashed = header + size + protected
    body, at = payload[header : header + size], hashed
    if at + 4 > len(payload) or int.from_bytes(payload[at : at + 2], "little") != 0x6907:
        problems.append(f"no TLV area stands at offset 0x{HEADER + at:X}")
        return b"", False, body
    stop = min(at + int.from_bytes(payload[at + 2 : at + 4], "little"), len(payload))
    at += 4
    while at + 4 <= stop:
        kind, length = struct.unpack_from("<HH", payload, at)
        if kind == 0x10:
            value = payload[at + 4 : at + 4 + length]
            return value, hashlib.sha256(payload[:hashed]).digest() == value, body
        at += 4 + length
    problems.append("the data image has no hash")
    return b"", False, body


def load_verify_keys(path: Source) -> tuple[VerifyKey, ...]:
    """Return the public keys in a key file or in an .obk; errors as `load_verify_key`."""
    file = read_evidence(path, limit=KEY)
    if not looks_like_obk(file.data):
        return (load_verify_key(path),)
    found = parse_obk(file.data, source=str(file.path)).verify
    if not found:
        raise InputError(
            "this .obk holds no authentication key", source=str(file.path), advice="give the configuration's"
        )
    return tuple(replace(key, name=f"{file.name} ({role})") for role, key in found)


def load_decrypt_keys(path: Source) -> tuple[DecryptKey, ...]:
    """Return the private key in a key file or in an .obk; errors as `load_decrypt_key`."""
    file = read_evidence(path, limit=KEY)
    if not looks_like_obk(file.data):
        return (load_decrypt_key(path),)
    found = parse_obk(file.data, source=str(file.path)).decrypt
    if found is None:
        raise InputError("this .obk holds no encryption key", source=str(file.path), advice="give the configuration's")
    return (replace(found, name=file.name),)
