"""What every file of a provisioning set is, and who fits whom; the command ``keys``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

from h5diag.answer import Answer
from h5diag.errors import InputError
from h5diag.evidence.door import EvidenceFile, is_evidence, is_folder, read_evidence, walk_evidence
from h5diag.evidence.files import Kind, decode_text, is_text, read_image, tell_kind
from h5diag.evidence.files.kind import SUFFIXES
from h5diag.evidence.keys import (
    Certificate,
    DecryptKey,
    KeyFile,
    KeyKind,
    Obk,
    ObkContent,
    Password,
    ProvisioningXml,
    VerifyKey,
    chain_bytes,
    looks_like_obk,
    looks_like_xml,
    parse_chain,
    parse_key,
    parse_obk,
    parse_password,
    parse_provisioning_xml,
    parse_verify_key,
    published,
)
from h5diag.evidence.samples import Named, paths_of
from h5diag.limits import KEY, MEMORY, SCRIPT, TEXT
from h5diag.measure.firmware import BootImage, TlvType, find_images
from h5diag.measure.firmware.image import ENCRYPTION_TYPES
from h5diag.measure.firmware.signing import unwrap_image_key
from h5diag.measure.firmware.trailer import MAGIC_SIZE
from h5diag.memory import MemoryImage
from h5diag.sim.rehearse import script_file, script_text

_SUFFIXES = frozenset(
    {".obk", ".b64", ".pem", ".der", ".key", ".pub", ".xml", ".sh", ".bat", ".cmd", ".hex", ".bin", ".srec", ".s19"}
    | {".txt", ".log", ".crt", ".cert", ".elf", ".axf", ".json", ".sfi", ".ssfi", ".smu"}
)
SECURE_MANAGER = {
    ".sfi": "an encrypted package of a secure installation: only the chip's secure service opens it",
    ".ssfi": "the vendor's part of the Secure Manager: only the chip's secure service opens it",
    ".smu": "a module of the Secure Manager, encrypted",
}
_LICENCES = {b"SFIG": "the licence of a secure installation", b"SMUG": "the licence of a module of the Secure Manager"}
"""What of a Secure Manager's set is recognised; nothing of it can be looked into."""


@dataclass(frozen=True, slots=True)
class Item:
    """One file of a set, recognised by its content.

    `kind` is the word of the contract; exactly the fields of that kind are set, and `text` of every text. `raw` is the
    SHA-256 of the whole file, `why` what is wrong with it or why it is unknown; `how_known` says how a credential
    object was told apart.
    """

    path: Path
    name: str
    kind: str
    size: int
    raw: bytes
    why: str = ""
    obk: Obk | None = None
    chain: tuple[Certificate, ...] = ()
    key: KeyFile | None = None
    verify: VerifyKey | None = None
    password: Password | None = None
    xml: ProvisioningXml | None = None
    images: tuple[BootImage, ...] = ()
    memory: MemoryImage | None = field(default=None, repr=False)
    text: str = field(default="", repr=False)
    how_known: str = ""

    @property
    def content(self) -> bytes:
        """The bytes of its memory content, one stretch after the other; empty without any."""
        return b"".join(s.data.tobytes() for s in self.memory.segments) if self.memory is not None else b""

    @property
    def stop(self) -> int:
        """The first address behind its memory content, 0 without any."""
        return max((s.stop for s in self.memory.segments), default=0) if self.memory is not None else 0

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the key's SubjectPublicKeyInfo; for an object of debug authentication, the hash it holds."""
        if self.obk is not None:
            return self.obk.credential.hex() if self.obk.content is ObkContent.DA else ""
        return self.key.spki if self.key is not None else self.chain[-1].spki if self.chain else ""

    @property
    def published(self) -> str:
        """Whose published key or password is in it, empty when none."""
        prints: list[str | bytes] = [self.raw]
        if self.key is not None:
            prints += [self.key.spki, self.key.xy]
        if self.password is not None:
            prints.append(self.password.digest)
        if self.obk is not None:
            prints += [self.obk.credential, *(k.spki for _, k in self.obk.keys)]
        for c in self.chain:
            prints += [c.spki, c.xy]
        prints += [t.value for i in self.images for t in i.tlvs.plain if t.type == TlvType.KEYHASH]
        return str(published(*(p for p in prints if p)) or "")


@dataclass(frozen=True, slots=True)
class Inventory(Answer):
    """Files recognised, and who fits whom."""

    items: tuple[Item, ...]
    fits: tuple[Fit, ...]


@dataclass(frozen=True, slots=True)
class Fit:
    """File `a` belongs to file `b`; `how` is the word of the contract."""

    a: str
    b: str
    how: str


def collect(places: Sequence[Path]) -> tuple[tuple[Path, str], ...]:
    """Return the files of folders and files with their names relative to what was given, sorted.

    Raises
    ------
    InputError
        When something is not there, a folder holds more names than a project has, or nothing is left.
    """
    found: dict[Path, str] = {}
    for place in places:
        if is_folder(place):
            for path in walk_evidence(place):
                if path.suffix.lower() in _SUFFIXES or path.name.lower().endswith("flash_layout.h"):
                    found[path] = path.relative_to(place).as_posix()
        elif is_evidence(place):
            found[place] = str(place)
        else:
            raise InputError("there is no such file or folder", source=str(place))
    return tuple(found.items())


def recognise(path: Path, name: str, *, inside: Path | None = None) -> Item:
    """Return what a file is, told by its content; kind ``unknown`` with the reason when it is nothing of these.

    Raises
    ------
    InputError
        When the file cannot be read.
    """
    file = read_evidence(path, limit=MEMORY, inside=inside)
    item = Item(path, name, "unknown", file.size, bytes.fromhex(file.sha256))
    if is_text(file.data[:4096]) and SUFFIXES.get(path.suffix.lower()) not in (Kind.HEX, Kind.SREC):
        limit = SCRIPT if looks_like_xml(file.data) or script_file(path) else TEXT
        try:
            read_evidence(file, limit=limit)
        except InputError:
            if limit is SCRIPT:
                raise
            from h5diag.case.intake.kinds import parse_name, tell

            return replace(item, why=tell(file, parse_name(PurePath(path.name))).what)  # memory, or refused
        item = replace(item, text=decode_text(file.data))
    try:
        return _recognised(item, file)
    except InputError as error:
        return replace(item, why=error.problem)


def _recognised(item: Item, file: EvidenceFile) -> Item:
    data = file.data
    if closed := SECURE_MANAGER.get(item.path.suffix.lower()) or _LICENCES.get(data[:4], ""):
        return replace(item, why=closed)
    if looks_like_obk(data):
        obk = parse_obk(data, source=item.name)
        settings = "settings of the Secure Manager, by their place; their content is not published"
        why = settings if obk.content is ObkContent.SECURE_MANAGER else "; ".join(obk.problems)
        return replace(item, kind=_OBK_KINDS.get(obk.content, "obk-oemirot"), obk=obk, why=why)
    if looks_like_xml(data):
        return replace(item, kind="config-xml", xml=parse_provisioning_xml(data, source=item.name))
    if chain_bytes(data):
        return replace(item, kind="certificate", chain=parse_chain(data, source=item.name))
    if (password := parse_password(data)) is not None:
        return replace(item, kind="password", password=password)
    if b"-----BEGIN" in data or (len(data) <= KEY.size and data[:1] == b"\x30"):
        key, verify = parse_key(data, source=item.name), None
        with suppress(InputError):
            verify = parse_verify_key(data, source=item.name)
        return replace(item, kind="private-key" if key.private else "public-key", key=key, verify=verify)
    if published(item.raw):
        return replace(item, kind="password", password=Password(len(data), item.raw, False))
    if script_file(item.path):
        return replace(item, kind="script", text=script_text(data, item.name))
    return _image(item, file)


_OBK_KINDS = {
    ObkContent.DA: "obk-da-cert",
    ObkContent.STIROT_CONFIG: "obk-stirot",
    ObkContent.STIROT_DATA: "obk-stirot",
    ObkContent.USER_DATA: "obk-stirot",
    ObkContent.SECURE_MANAGER: "unknown",
    ObkContent.UNKNOWN: "unknown",
}
"""Words of the contract by content; the others are of OEMiROT."""


def _image(item: Item, file: EvidenceFile) -> Item:
    if item.text:
        return replace(item, why="a text that is no key, certificate, script or XML of provisioning")
    memory = read_image(file, base=0 if tell_kind(file) is Kind.BIN else None)
    images, starts = find_images(memory), {s.start for s in memory.segments}
    images = tuple(i for i in images if i.address in starts) or images[:1]
    if not images:
        return replace(item, memory=memory, why="memory content without a boot-loader image")
    return replace(item, kind="image", memory=memory, images=images)


def read_inventory(*places: Named) -> Inventory:
    """Return what each key, certificate, password, .obk and signed image is, and who fits whom; nothing secret shows.

    Parameters
    ----------
    places
        Files and folders.

    Raises
    ------
    InputError
        When something is not there or cannot be read.
    """
    items = distinguish(recognise(path, name) for path, name in collect(paths_of(places)))
    return Inventory(items, fits(items))


def distinguish(items: Iterable[Item], script_words: dict[str, str] | None = None) -> tuple[Item, ...]:
    """Tell password files and credential objects apart by the other files, then by a script, then by their name."""
    found = list(items)
    hashes = {i.path: i.content for i in found if i.kind == "unknown" and i.size == len(i.content) == 32}
    for at, item in enumerate(found):
        if item.kind == "unknown" and item.size <= 64 and item.raw in hashes.values():
            password = Password(item.size, item.raw, False)
            found[at] = replace(item, kind="password", password=password, why="", memory=None)
    passwords = {i.password.digest for i in found if i.password is not None}
    roots = {c.xy for i in found for c in i.chain} | {i.key.xy for i in found if i.key is not None}
    for at, item in enumerate(found):
        if item.kind == "unknown" and hashes.get(item.path) in passwords:
            why = "the SHA-256 of a password of this set, as the chip stores it"
            found[at] = replace(item, kind="password", password=Password(32, item.content, False), why=why)
        elif item.obk is not None and item.obk.content is ObkContent.DA:
            kind, how = _credential(item, item.obk, passwords, roots, script_words or {})
            found[at] = replace(item, kind=kind, how_known=how)
    return tuple(found)


def _credential(
    item: Item, obk: Obk, passwords: set[bytes], roots: set[str], script_words: dict[str, str]
) -> tuple[str, str]:
    """Return the kind of an object of debug authentication, and how it is known."""
    known = published(obk.credential)
    if obk.credential in passwords or (known and "password" in known.name):
        return "obk-da-password", "a published password" if known else "the password is in this set"
    if obk.credential.hex() in roots or known:
        return "obk-da-cert", "a published root key" if known else "the root key is in this set"
    named = script_words.get(item.path.name, "")
    kind = "obk-da-password" if "password" in (named or item.path.name).lower() else "obk-da-cert"
    return kind, "the script that names it" if named else "its name"


def fits(items: Sequence[Item]) -> tuple[Fit, ...]:
    """Return who fits whom, by content alone."""
    return tuple(dict.fromkeys(_fits(items)))


def _fits(items: Sequence[Item]) -> Iterator[Fit]:
    keys = [(i.name, i.key) for i in items if i.key is not None]
    chains = [(i.name, i.chain) for i in items if i.chain]
    for a, key in keys:
        yield from (Fit(a, b, "same-key") for b, other in keys if a < b and key.spki == other.spki)
        for b, chain in chains:
            if key.spki in (chain[-1].spki, chain[0].spki):
                yield Fit(a, b, "key-of-certificate" if chain[-1].spki == key.spki else "root-of-chain")
    for b, (one, *more) in chains:
        for a, chain in chains if not more and one.role != "root" else ():
            if a != b and any(one.signed_by(c) for c in chain if c.role != one.role):
                yield Fit(a, b, "signs-certificate")
    for item in items:
        yield from _obk_fits(item, item.obk, items) if item.obk is not None else ()
    for item in items:
        yield from _image_fits(item, items) if item.images else ()


def _obk_fits(o: Item, obk: Obk, items: Sequence[Item]) -> Iterator[Fit]:
    for i in items:
        if obk.content is ObkContent.DA:
            root = i.chain and i.chain[0].role == "root" and i.chain[0].xy == obk.credential.hex()
            own = i.key is not None and i.key.xy == obk.credential.hex()
            if root or own or (i.password is not None and i.password.digest == obk.credential):
                yield Fit(i.name, o.name, "opens-obk")
        elif i.key is not None and any(k.spki == i.key.spki for _, k in obk.keys):
            yield Fit(i.name, o.name, "same-key")
        if i.xml is not None and i.xml.makes == "obk" and file_of(i.path, i.xml) == os.path.normpath(o.path):
            yield Fit(o.name, i.name, "made-from-xml")


def _image_fits(image: Item, items: Sequence[Item]) -> Iterator[Fit]:
    hashes = {t.value for i in image.images for t in i.tlvs.plain if t.type == TlvType.KEYHASH}
    wrapped = [t for i in image.images for t in i.tlvs.plain if t.type in ENCRYPTION_TYPES]
    for i in items:
        verify = [i.verify] if i.verify else [v for _, v in i.obk.verify] if i.obk else []
        if any(h in v.hashes for v in verify for h in hashes):
            yield Fit(i.name, image.name, "authenticates-image")
        opener = i.obk.decrypt if i.obk is not None else decrypt_key(i.key) if i.key is not None else None
        if opener is not None and any(unwrap_image_key(t, opener) for t in wrapped):
            yield Fit(i.name, image.name, "decrypts-image")
        if i.xml is not None and i.xml.makes == "image" and file_of(i.path, i.xml) == os.path.normpath(image.path):
            yield Fit(image.name, i.name, "made-from-xml")


def decrypt_key(key: KeyFile) -> DecryptKey | None:
    """Return a private key as one that opens images, None when it cannot."""
    kind = next((k for k in KeyKind if k.value == key.algorithm), None)
    return None if kind is None or key.secret is None else DecryptKey(kind, "key", key.secret)


def file_of(path: Path, xml: ProvisioningXml) -> str:
    """Return the file that an XML at `path` makes."""
    return os.path.normpath(path.parent / xml.for_file.replace("\\", "/"))


def image_bytes(item: Item, image: BootImage | None = None) -> bytes:
    """Return the bytes of an image file from an image's header to the end of its run."""
    at = (image or item.images[0]).address
    parts = (s for s in item.memory.segments if at in s.range) if item.memory else ()
    return next((s.data[at - s.start :].tobytes() for s in parts), b"")


def end_of_file(item: Item) -> bytes:
    """Return the last 16 bytes of an image file."""
    assert item.memory is not None
    return item.memory.segments[-1].data[-MAGIC_SIZE:].tobytes()
