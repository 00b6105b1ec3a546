"""What a dropped file is, told by its content; the name only helps where the content cannot tell.

Nothing here interprets what a text says about a board: that is the work of the checks.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from h5diag.case.intake.names import Name
from h5diag.errors import InputError
from h5diag.evidence.files import Kind, decode_text, is_text, parse_memory_text, read_image, sidecar_path, tell_kind
from h5diag.evidence.files.kind import SUFFIXES, read_head
from h5diag.evidence.texts import LogKind, parse_log, parse_registers
from h5diag.measure.firmware.mcuboot import parse_header
from h5diag.measure.loader.elf import read_loader
from h5diag.memory import MemoryImage

MOST_TEXT = 16 << 20
BASE_TOLD = -2


class Role(Enum):
    """What a file is good for; the value is the key of ``case.toml`` that takes it."""

    DUMP = "dumps"
    LATER = "later"
    OPTIONS = "options"
    LOG = "log"
    UART = "uart"
    REGISTERS = "registers"
    INFO = "info"
    SWEEP = "sweep"
    FLASHTEST = "flashtest"
    IMAGE = "images"
    LAYOUT = "layout"
    PROVISIONING = "provisioning"
    LOADER = "loader file"
    LOADER_LOG = "loader log"
    VERIFY_KEY = "verify"
    DECRYPT_KEY = "decrypt"
    NONE = "none"


BOARD_ROLES = frozenset(
    {Role.DUMP, Role.LATER, Role.OPTIONS, Role.LOG, Role.UART, Role.REGISTERS, Role.INFO, Role.SWEEP, Role.FLASHTEST}
)
"""Roles of files that belong to one board."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A dropped file.

    Parameters
    ----------
    path
        Where it is.
    role
        What it is good for.
    what
        What it was recognised as, for a person.
    name
        Its name's parts.
    also_log
        Whether a listing also holds the connection banner, so that it can stand for a missing log.
    assumed_base
        For a binary without sidecar: the base that its name tells, `UNKNOWN_BASE` when it tells none;
        `BASE_TOLD` for every file that needs no assumption.
    chip
        Chip that the sidecar names, or empty.
    mode, access
        Connect mode and access that the sidecar names, or ``unknown``.
    start
        First address of a dump, -1 for anything else.
    """

    path: Path
    role: Role
    what: str
    name: Name
    also_log: bool = False
    assumed_base: int = BASE_TOLD
    chip: str = ""
    mode: str = "unknown"
    access: str = "unknown"
    start: int = -1


_SIGNATURES = (
    (b"PK\x03\x04", "an archive; unpack it first"),
    (b"\x1f\x8b", "an archive; unpack it first"),
    (b"7z\xbc\xaf", "an archive; unpack it first"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"%PDF", "a PDF document"),
    (b"MZ", "a Windows program"),
)
_DUMP_SUFFIXES = {".bin", ".dump", ".dmp", ".img", ".raw", ".rom", ".dat", ""}
_UART = re.compile(
    r"\[(?:INF|WRN|ERR|DBG)\]|swap type|jumping to|starting bootloader|boot source:|bootutil|"
    r"unable to find bootable image|image \d+ (?:upgrade|in the)|hit error",
    re.IGNORECASE,
)
_LAYOUT = re.compile(r"^\s*#\s*define\s+FLASH_AREA_\d+_(?:OFFSET|SIZE)\b", re.MULTILINE)
# What a script or a source file says it will do is not what a board said.
_SOURCE = re.compile(
    r"\A\s*(?:#!|@echo|echo off|<\?xml|<!doctype|<html|:: )|^[ \t]*#[ \t]*(?:include|define|ifndef)\b",
    re.IGNORECASE | re.MULTILINE,
)
_SOURCE_SUFFIXES = {
    ".c",
    ".h",
    ".cpp",
    ".hpp",
    ".s",
    ".ld",
    ".icf",
    ".sct",
    ".py",
    ".sh",
    ".bat",
    ".cmd",
    ".ps1",
    ".xml",
    ".html",
    ".htm",
    ".md",
    ".cmake",
    ".toml",
    ".yml",
    ".yaml",
    ".ioc",
}


def tell(path: Path, name: Name) -> Evidence:
    """Return what the file is.

    Raises
    ------
    InputError
        When it is empty, cannot be read, or is a memory file that is damaged.
    """
    head = read_head(path)
    if path.name.endswith(".map.json"):
        return Evidence(path, Role.NONE, "a sidecar without its dump", name)
    for signature, what in _SIGNATURES:
        if head.startswith(signature):
            return Evidence(path, Role.NONE, what, name)
    records = SUFFIXES.get(path.suffix.lower()) in (Kind.HEX, Kind.SREC) or head.lstrip()[:1] in (b":", b"S")
    kind = tell_kind(path) if records or not is_text(head) else Kind.TEXT
    if kind is Kind.TEXT:
        return _text(path, name)
    if kind is Kind.ELF:
        return _elf(path, name)
    if path.suffix.lower() == ".obk":
        return Evidence(path, Role.NONE, "a key file for provisioning, which no check reads", name)
    if kind is Kind.BIN and path.suffix.lower() not in _DUMP_SUFFIXES:
        return Evidence(path, Role.NONE, f"binary content that a name ending in {path.suffix} does not explain", name)
    return _memory(path, name, kind)


def _text(path: Path, name: Name) -> Evidence:
    if path.stat().st_size > MOST_TEXT:
        raise InputError(f"is a text of more than {MOST_TEXT >> 20} MiB", source=str(path), advice="cut it down")
    text = decode_text(path.read_bytes())
    if "-----BEGIN " in text:
        return _key(path, name, text)
    if text.lstrip()[:1] == "{":
        return _json(path, name, text)
    if len(_LAYOUT.findall(text)) >= 2:
        return Evidence(path, Role.LAYOUT, "a flash_layout.h", name)
    if path.suffix.lower() in _SOURCE_SUFFIXES or _SOURCE.search(text[: 1 << 16]):
        return Evidence(path, Role.NONE, "a source, script or document, not what a board or tool printed", name)
    log = parse_log(text)
    match log.kind:
        case LogKind.OPTIONS:
            return Evidence(path, Role.OPTIONS, "an option listing", name, also_log=bool(log.banner))
        case LogKind.PROVISIONING:
            return Evidence(path, Role.PROVISIONING, "a provisioning log", name)
        case LogKind.PROGRAMMING:
            # A run of the programmer on one named board tells about that board first.
            role = Role.LOG if name.side else Role.PROVISIONING
            return Evidence(path, role, "a programming log", name)
        case LogKind.VERBOSE:
            loader = "loader" in text.lower()
            return Evidence(path, Role.LOADER_LOG if loader else Role.LOG, "a verbose log", name)
    if not log.banners and len(_UART.findall(text)) >= 2:
        return Evidence(path, Role.UART, "a boot loader's messages", name)
    if view := _view(path, name, text):
        return view
    if log.kind is not LogKind.UNKNOWN:
        return Evidence(path, Role.LOG, "a log of the programmer", name)
    if _UART.search(text):
        return Evidence(path, Role.UART, "a boot loader's messages", name)
    return Evidence(path, Role.NONE, "a text that holds nothing known", name)


def _view(path: Path, name: Name, text: str) -> Evidence | None:
    """Memory shown as text is a dump in flash or RAM, and registers anywhere else."""
    words = parse_registers(text)
    named = [w for w in words if w.address < 0 and re.search(r"OPSR|ECC\w*R|OPTSR|NSSR|SECWM|HDP", w.name)]
    elsewhere = [w for w in words if w.address >= 0 and not _holds_content(w.address)]
    if elsewhere or (named and not any(w.address >= 0 for w in words)):
        return Evidence(path, Role.REGISTERS, "register values", name)
    try:
        image = parse_memory_text(text, source=str(path))
    except InputError as error:
        if error.place:
            raise
        return None
    if image.span.start and not _holds_content(image.span.start):
        return Evidence(path, Role.REGISTERS, "register values", name)
    return _dump(path, name, "a memory view")


def _holds_content(address: int) -> bool:
    """User flash, its data area, RAM and external memory; identity words, system flash and registers are not."""
    return (
        0x0800_0000 <= address < 0x08FF_0000
        or 0x0900_0000 <= address < 0x0A00_0000
        or 0x0C00_0000 <= address < 0x0E00_0000
        or 0x2000_0000 <= address < 0x4000_0000
        or 0x6000_0000 <= address < 0xA000_0000
    )


def _key(path: Path, name: Name, text: str) -> Evidence:
    if "PUBLIC KEY-----" in text:
        if name.words & {"enc", "encrypt", "encryption"}:
            return Evidence(path, Role.NONE, "a public encryption key, which neither verifies nor decrypts", name)
        return Evidence(path, Role.VERIFY_KEY, "a public key", name)
    if "PRIVATE KEY-----" in text:
        if name.words & {"sign", "signing", "auth", "authentication", "signature"}:
            return Evidence(path, Role.VERIFY_KEY, "a private signing key", name)
        return Evidence(path, Role.DECRYPT_KEY, "a private key", name)
    return Evidence(path, Role.NONE, "a PEM file without a key", name)


def _json(path: Path, name: Name, text: str) -> Evidence:
    try:
        table: Any = json.loads(text)
    except (ValueError, RecursionError):
        table = {}
    keys = set(table) if isinstance(table, dict) else set()
    if "bitNameToValue" in keys or "bitNameToValue" in text:
        return Evidence(path, Role.OPTIONS, "an option export", name)
    if "sectors" in keys and keys & {"conditions", "faults", "restored"}:
        return Evidence(path, Role.FLASHTEST, "the result of a flash test", name)
    if keys & {"sweep", "speeds"}:
        return Evidence(path, Role.SWEEP, "the result of a speed sweep", name)
    if "dev_id" in keys or {"uid", "registers"} <= keys:
        return Evidence(path, Role.INFO, "the identity of a chip", name)
    return Evidence(path, Role.NONE, "JSON of another kind" if keys else "JSON that cannot be read", name)


def _elf(path: Path, name: Name) -> Evidence:
    try:
        loader = path.suffix.lower() == ".stldr" or read_loader(path).symbol("StorageInfo") is not None
    except InputError:
        loader = False
    if loader:
        return Evidence(path, Role.LOADER, "an external loader", name)
    read_image(path)
    return Evidence(path, Role.IMAGE, "a linked program", name)


def _memory(path: Path, name: Name, kind: Kind) -> Evidence:
    image = read_image(path)
    if not image.segments:
        return Evidence(path, Role.NONE, "a memory file without a byte", name)
    beside = sidecar_path(path).is_file()
    signed = _starts_signed(image)
    read_off = beside or bool(name.side) or name.says_dump or image.span.start >> 24 in (0x0C, 0x0D)
    if signed and not read_off:
        return _with_base(Evidence(path, Role.IMAGE, "a signed image", name), kind, beside)
    if kind is Kind.UF2 or (not read_off and image.size % 256 and len(image.segments) == 1):
        # Somebody who reads a chip reads round sizes; a build ends where its last byte is.
        return _with_base(Evidence(path, Role.IMAGE, "a program file", name), kind, beside)
    found = _dump(path, name, "a dump of a slot" if signed else "a dump", image)
    return _with_base(found, kind, beside)


def _starts_signed(image: MemoryImage) -> bool:
    first = image.segments[0]
    try:
        parse_header(first.data[:32].tobytes())
    except InputError:
        return False
    return True


def _dump(path: Path, name: Name, what: str, image: MemoryImage | None = None) -> Evidence:
    role = Role.LATER if name.later else Role.DUMP
    if image is None:
        return Evidence(path, role, what, name)
    origin = image.origin
    return Evidence(
        path,
        role,
        what,
        name,
        chip="" if origin.chip == "unknown" else origin.chip,
        mode=origin.mode,
        access=origin.access.value,
        start=image.span.start,
    )


def _with_base(found: Evidence, kind: Kind, beside: bool) -> Evidence:
    return replace(found, assumed_base=found.name.address) if kind is Kind.BIN and not beside else found
