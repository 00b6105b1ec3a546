"""What a dropped file is, told by its content, and what its name says about whose it is.

Nothing here interprets what a text says about a board: that is the work of the checks.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any

from h5diag.errors import InputError
from h5diag.evidence.archives import ZIP
from h5diag.evidence.door import EvidenceFile, read_evidence, whole
from h5diag.evidence.files import Kind, decode_text, is_text, parse_memory_text, read_image, tell_kind
from h5diag.evidence.files.kind import ADDRESS_IN_NAME, SUFFIXES, address_in_name
from h5diag.evidence.files.sidecar import open_sidecar
from h5diag.evidence.texts import Log, LogKind, chip_of, parse_log, parse_registers
from h5diag.evidence.texts.programming import base_name
from h5diag.evidence.texts.registers import core_registers, firmware_views
from h5diag.limits import CASE_MEMORY, TEXT, VIEW
from h5diag.measure.firmware.image import parse_header
from h5diag.measure.loader.loaderfile import read_loader
from h5diag.measure.logs import loader_story
from h5diag.memory import Access, MemoryImage

A_VIEW = "a memory view"


class BoardSide(Enum):
    """Which board a name speaks of."""

    GOOD = "good"
    SUSPECT = "suspect"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


GOOD_WORDS = _words(
    "good ok okay works working reference ref golden healthy fine sound gut gute guter heil bonne bueno buena"
)
SUSPECT_WORDS = _words(
    "suspect suspected bad faulty broken fail fails failing failed defect defective dead dut problem wrong ng nok "
    "schlecht defekt kaputt mauvais mauvaise malo mala"
)
LATER_WORDS = _words("later after")
READ_WORDS = _words("dump dumps read reads readout readback upload")
MEMORY_WORDS = _words("flash mem memory")
_DUMP_WORDS = READ_WORDS | MEMORY_WORDS
_KIND_WORDS = (
    _DUMP_WORDS
    | LATER_WORDS
    | _words(
        "ob obs option options optionbytes bytes byte displ listing list log logs banner connect connection cli info "
        "identity sweep speed flashtest test uart boot serial console com tty regs reg register registers out output run "
        "view secure nonsecure ns s nsec sec pass first second third before fw hex bin txt json capture stm h "
        "cubeprog cubeprogrammer programmer stlink openocd pyocd jlink powercycle power cycle cycled "
        "again once more repeat repeated retry try tries attempt copy new last final"
    )
)
_UNITS = _words("k kb kib m mb mib hz khz mhz")
_NUMBERED = _words("board pcb unit sample device proto prototype rev no nr nucleo")
KIT_WORDS = _words(
    "nucleo disco discovery eval evaluation evalboard evaluationboard evb evk devkit devboard dk iot starterkit"
)
"""Names of boards that the vendor sells: beside a board of one's own they are another board."""
# With 0x in front any address counts. Bare, eight digits are as often a date or a serial number: then it is one of
# the internal flash, or it ends on a border of 256 bytes, as no date does.
_PARTS = re.compile(r"[a-z]+|\d+")


@dataclass(frozen=True, slots=True)
class Name:
    """The parts of a name.

    Parameters
    ----------
    side
        What its words say about the board; None when they do not say, or both.
    board
        What is left of the name when side, kind and counting words are gone: the board's label, often empty.
    number
        The part of the label that counts boards, such as ``board 2``, often empty.
    words
        All words, in lower case.
    later
        Whether it says that it was read after the others.
    says_dump
        Whether it says that it was read from a chip.
    counted
        Whether it names a board by a word for one, or by its kind alone.
    address
        The bus address that it holds, of any region.
    """

    side: BoardSide | None
    board: str
    number: str
    words: frozenset[str]
    later: bool
    says_dump: bool
    counted: bool
    address: int | None


def parse_name(path: PurePath) -> Name:
    """Return what the parts of `path`, relative to the folder that was dropped, say."""
    words: list[str] = []
    counted: set[str] = set()
    folder = 0
    for part in (*path.parts[:-1][:1], path.name.removesuffix(path.suffix)):  # deeper folders name no boards
        text = ADDRESS_IN_NAME.sub(" ", part.replace("non-secure", "nonsecure"))
        told = _PARTS.findall(re.sub(r"([a-z])([A-Z])", r"\1 \2", text).lower())
        if not words and part != path.name.removesuffix(path.suffix):
            # Folders that a number tells apart are boards: quad1, quad2. Those of reads are named by what is in them.
            counted = {a for a, b in pairwise(told) if b.isdigit() and len(a) > 1 and a not in _KIND_WORDS | _NUMBERED}
            folder = len(told)
        words += told
    known = frozenset(words)
    good, suspect = known & GOOD_WORDS, known & SUSPECT_WORDS
    # A folder that counts boards names the board; what its files are called tells what they are.
    named = folder if any(a in _NUMBERED | counted and b.isdigit() for a, b in pairwise(words[:folder])) else len(words)
    label = [
        w
        for i, w in enumerate(words[:named])
        if w not in _KIND_WORDS | GOOD_WORDS | SUSPECT_WORDS
        and (not w.isdigit() or (i and words[i - 1] in _NUMBERED | counted))
        and not (w in _UNITS and i and words[i - 1].isdigit())
    ]
    if all(len(w) == 1 for w in label):
        label = []  # dump_a and dump_b count reads, and the k of dump_512k is a unit
    return Name(
        None if bool(good) == bool(suspect) else BoardSide.GOOD if good else BoardSide.SUSPECT,
        " ".join(dict.fromkeys(label)),
        " ".join(f"{a} {b}" for a, b in pairwise(words) if a in _NUMBERED | counted and b.isdigit()),
        known,
        bool(known & LATER_WORDS),
        bool(known & _DUMP_WORDS) or ("before" in known and known <= _KIND_WORDS),
        bool(known & (_NUMBERED | KIT_WORDS)) or label == ["custom"],
        address_in_name(path),
    )


class FileRole(Enum):
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


BOARD_ROLES = (
    FileRole.DUMP,
    FileRole.LATER,
    FileRole.OPTIONS,
    FileRole.LOG,
    FileRole.UART,
    FileRole.REGISTERS,
    FileRole.INFO,
    FileRole.SWEEP,
    FileRole.FLASHTEST,
)
"""Roles of files that belong to one board."""

TEXT_ROLES = (
    *(FileRole.OPTIONS, FileRole.LOG, FileRole.UART, FileRole.REGISTERS),
    *(FileRole.PROVISIONING, FileRole.LOADER_LOG),
)
"""Roles of what a tool or a board printed."""


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
    file, beside
        The file and its sidecar as they were read, once; None where it is no evidence.
    image
        The memory that a dump or an image holds.
    also_log
        Whether a listing also holds the connection banner, or a view of memory or registers stands in a debugger's
        session, so that it can stand for a missing log.
    needs_base
        Whether it has no addresses (a binary, a text of offsets) and no sidecar: its base is what its name says, or
        an assumption.
    chip, mode
        As the sidecar names them.
    access
        As the sidecar names it.
    start
        First address of a dump.
    log
        What a text says; None where it is none.
    """

    path: Path
    role: FileRole
    what: str
    name: Name
    file: EvidenceFile | None = field(default=None, repr=False, compare=False)
    beside: EvidenceFile | None = field(default=None, repr=False, compare=False)
    image: MemoryImage | None = field(default=None, repr=False, compare=False)
    also_log: bool = False
    needs_base: bool = False
    chip: str | None = None
    mode: str | None = None
    access: Access = Access.UNKNOWN
    start: int | None = None
    log: Log | None = field(default=None, repr=False, compare=False)

    @property
    def writes(self) -> frozenset[str]:
        """Names, in lower case, of the files that a text says were written to a chip."""
        return frozenset(base_name(w.file).lower() for w in self.log.programming.writes) if self.log else frozenset()


_SIGNATURES = (
    (ZIP, "an archive in an archive; unpack it first"),
    (b"\x1f\x8b", "an archive; unpack it first"),
    (b"7z\xbc\xaf", "an archive; unpack it first"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"%PDF", "a PDF document"),
    (b"MZ", "a Windows program"),
)
_DUMP_SUFFIXES = _words(".bin .dump .dmp .img .raw .rom .dat")
_UART = re.compile(
    r"\[(?:INF|WRN|ERR|DBG)\]|swap type|jumping to|starting bootloader|boot source:|bootutil|"
    r"unable to find bootable image|image \d+ (?:upgrade|in the)|hit error",
    re.IGNORECASE,
)
_IMAGES = re.compile(r"\bimage[=:] ?\d{1,2} slot[=:] ?\d\s{1,40}version:", re.IGNORECASE)
_CONSOLE = _words("uart serial console putty teraterm minicom picocom com tty terminal rtt swo")
_FIRMWARE = re.compile(r"\breset (?:cause|reason|source)|\b(?:iwdg|wwdg|watchdog|hard ?fault|nmi|ecc)\b", re.IGNORECASE)
"""What a firmware prints of its own start that tells something about the board."""
_LAYOUT = re.compile(r"^[ \t]*#[ \t]*define[ \t]+FLASH_AREA_\d{1,3}_(?:OFFSET|SIZE)\b", re.MULTILINE)
_PARTITIONS = re.compile(r'compatible\s{0,4}=\s{0,4}"fixed-partitions"')
# What a script or a source file says it will do is not what a board said.
_SOURCE = re.compile(
    r"\A\s*(?:#!|@echo|echo off|<\?xml|<!doctype|<html|:: )|^[ \t]*#[ \t]*(?:include|define|ifndef)\b",
    re.IGNORECASE | re.MULTILINE,
)
_SOURCE_SUFFIXES = _words(
    ".c .h .cpp .hpp .s .ld .icf .sct .py .sh .bat .cmd .ps1 .xml .html .htm .md .cmake .toml .yml .yaml .ioc"
)


def tell(file: EvidenceFile, name: Name, beside: EvidenceFile | None = None) -> Evidence:
    """Return what the file is; `beside` is its sidecar where that does not stand beside it on the disk.

    Raises
    ------
    InputError
        When it is a memory file that is damaged, or too large for what it is.
    """
    suffix, head = file.path.suffix.lower(), file.data[: 64 << 10]
    if beside is None and not file.name.endswith(".map.json"):
        beside = open_sidecar(file)
    found = Evidence(file.path, FileRole.NONE, "", name, file, beside)

    def nothing(what: str) -> Evidence:
        return replace(found, what=what, file=None, beside=None)

    if file.name.endswith(".map.json"):
        return nothing("a sidecar without its dump")
    for signature, what in _SIGNATURES:
        if head.startswith(signature):
            return nothing(what)
    records = SUFFIXES.get(suffix) in (Kind.HEX, Kind.SREC) or head.lstrip()[:1] in (b":", b"S")
    kind = tell_kind(file) if records or not is_text(head) else Kind.TEXT
    if kind is Kind.TEXT:
        return _text(whole(file), found)
    if kind is Kind.ELF:
        return _elf(whole(file), found)
    if suffix == ".obk":
        return nothing("a key file for provisioning, which no check reads")
    if kind is Kind.BIN and suffix and suffix not in _DUMP_SUFFIXES:
        return nothing(f"binary content that a name ending in {suffix} does not explain")
    return _memory(file, found, kind)


def _text(file: EvidenceFile, found: Evidence) -> Evidence:
    def role(role: FileRole, what: str, *, also_log: bool = False) -> Evidence:
        return replace(found, role=role, what=what, also_log=also_log, file=file if role is not FileRole.NONE else None)

    text, name, suffix = decode_text(read_evidence(file, limit=VIEW).data), found.name, file.path.suffix.lower()
    try:
        read_evidence(file, limit=TEXT)
    except InputError:  # too large for anything but memory
        if (view := _view(file, found, text)) and view.role in (FileRole.DUMP, FileRole.LATER):
            return view
        raise
    if "-----BEGIN " in text:
        return role(*_key(name, text))
    if text.lstrip()[:1] == "{":
        return role(*_json(text))
    if len(_LAYOUT.findall(text)) >= 2:
        return role(FileRole.LAYOUT, "a flash_layout.h")
    if suffix in (".dts", ".dtsi", ".overlay") and _PARTITIONS.search(text) and "slot0_partition" in text:
        return role(FileRole.LAYOUT, "a devicetree with partitions")
    if suffix in _SOURCE_SUFFIXES or _SOURCE.search(text[: 1 << 16]):
        return role(FileRole.NONE, "a source, script or document, not what a board or tool printed")
    log = parse_log(text)
    found = replace(found, log=log)
    # A verbose run with an external loader is the loader's story, whatever else the text is.
    loads, unused = log.kind is not LogKind.OPTIONS and log.loader_lines, log.kind is LogKind.CONNECTION
    if (loads or (unused and ".stldr" in text.lower())) and loader_story(text, chip_of([log])):
        return role(FileRole.LOADER_LOG, "a verbose log" if loads else "a log of an external loader that was not used")
    if log.kind in _OF_KINDS:
        of, what = _OF_KINDS[log.kind]
        # A run of the programmer on one named board tells about that board first.
        of = FileRole.LOG if log.kind is LogKind.PROGRAMMING and name.side else of
        return role(of, what, also_log=log.kind is LogKind.OPTIONS and bool(log.banner))
    if not log.banners and len(_UART.findall(text)) >= 2:
        return role(FileRole.UART, "a boot loader's messages")
    if view := _view(file, found, text):
        return view
    console = name.words & _CONSOLE or (suffix == ".log" and _FIRMWARE.search(text))
    return role(
        *_first(
            (log.kind is not LogKind.UNKNOWN, FileRole.LOG, "a log of the programmer"),
            (bool(_UART.search(text)), FileRole.UART, "a boot loader's messages"),
            (bool(_IMAGES.search(text)), FileRole.UART, "a list of a device's images"),
            (bool(console) or any(firmware_views(text)), FileRole.UART, "what the firmware printed"),
            (True, FileRole.NONE, "a text that holds nothing known"),
        )
    )


_OF_KINDS = {
    LogKind.OPTIONS: (FileRole.OPTIONS, "an option listing"),
    LogKind.PROVISIONING: (FileRole.PROVISIONING, "a provisioning log"),
    LogKind.PROGRAMMING: (FileRole.PROVISIONING, "a programming log"),
    LogKind.VERBOSE: (FileRole.LOG, "a verbose log"),
    LogKind.DISCOVERY: (FileRole.LOG, "a debug-authentication log"),
    LogKind.BOOT: (FileRole.UART, "a boot loader's messages"),
    LogKind.FAULT: (FileRole.UART, "a fault that the firmware printed"),
}
"""What a text whose kind says it all is good for."""


def _view(file: EvidenceFile, found: Evidence, text: str) -> Evidence | None:
    """Memory shown as text is a dump in flash or RAM, and registers anywhere else."""
    words = parse_registers(text)
    named = [w for w in words if w.address is None and _FLASH_REGISTER.fullmatch(w.name)]
    elsewhere = [w for w in words if w.address is not None and not _holds_content(w.address)]
    # In a debugger's session they stand among what it says of the chip and of its connections.
    found = replace(found, also_log=bool(found.log and found.log.tools))
    registers = replace(found, role=FileRole.REGISTERS, what="register values")
    if elsewhere or (named and not any(w.address is not None for w in words)):
        return registers
    try:
        image = parse_memory_text(text, source=str(file.path))
    except InputError as error:
        if error.place:
            raise
        return None
    if image.span.start and not _holds_content(image.span.start):
        return registers
    told = found.also_log or next(core_registers(text), None) is not None
    return replace(found, role=_dump_role(found.name), what=A_VIEW, start=image.span.start, also_log=told)


_FLASH_REGISTER = re.compile(
    r"\w{0,8}(?:OPSR|ECC\w{0,6}R|OPTSR|NSSR|SECSR|SECWM|HDP)\w{0,12}|(?:FLASH_)?SR\d?", re.IGNORECASE
)
"""Registers of the flash interface that tell something without an address beside them."""


def _holds_content(address: int) -> bool:
    """User flash, its data area, RAM and external memory; identity words, system flash and registers are not."""
    return (
        0x0800_0000 <= address < 0x08FF_0000
        or 0x0900_0000 <= address < 0x0A00_0000
        or 0x0C00_0000 <= address < 0x0E00_0000
        or 0x2000_0000 <= address < 0x4000_0000
        or 0x6000_0000 <= address < 0xA000_0000
    )


def _key(name: Name, text: str) -> tuple[FileRole, str]:
    public, private = "PUBLIC KEY-----" in text, "PRIVATE KEY-----" in text
    encrypts = bool(name.words & {"enc", "encrypt", "encryption"})
    signs = bool(name.words & {"sign", "signing", "auth", "authentication", "signature"})
    return _first(
        (public and encrypts, FileRole.NONE, "a public encryption key, which neither verifies nor decrypts"),
        (public, FileRole.VERIFY_KEY, "a public key"),
        (private and signs, FileRole.VERIFY_KEY, "a private signing key"),
        (private, FileRole.DECRYPT_KEY, "a private key"),
        (True, FileRole.NONE, "a PEM file without a key"),
    )


def _json(text: str) -> tuple[FileRole, str]:
    try:
        table: Any = json.loads(text)
    except (ValueError, RecursionError):
        table = {}
    keys = set(table) if isinstance(table, dict) else set()
    flash_test = "sectors" in keys and bool(keys & {"conditions", "faults", "restored"})
    return _first(
        ("bitNameToValue" in text, FileRole.OPTIONS, "an option export"),
        (flash_test, FileRole.FLASHTEST, "the result of a flash test"),
        (bool(keys & {"sweep", "speeds"}), FileRole.SWEEP, "the result of a speed sweep"),
        ("dev_id" in keys or {"uid", "registers"} <= keys, FileRole.INFO, "the identity of a chip"),
        (bool(keys), FileRole.NONE, "JSON of another kind"),
        (True, FileRole.NONE, "JSON that cannot be read"),
    )


def _first(*rows: tuple[bool, FileRole, str]) -> tuple[FileRole, str]:
    return next((role, what) for holds, role, what in rows if holds)


def _elf(file: EvidenceFile, found: Evidence) -> Evidence:
    try:
        loader = file.path.suffix.lower() == ".stldr" or read_loader(file).symbol("StorageInfo") is not None
    except InputError:
        loader = False
    if loader:
        return replace(found, role=FileRole.LOADER, what="an external loader")
    image = read_image(file, beside=found.beside, most=CASE_MEMORY)
    return replace(found, role=FileRole.IMAGE, what="a linked program", image=image)


def _memory(file: EvidenceFile, found: Evidence, kind: Kind) -> Evidence:
    image = read_image(file, beside=found.beside, most=CASE_MEMORY)
    if not image.segments:
        return replace(found, what="a memory file without a byte", file=None)
    name, beside = found.name, found.beside is not None
    signed = _starts_signed(image)
    read_off = beside or bool(name.side) or name.says_dump or image.span.start >> 24 in (0x0C, 0x0D)
    read_off |= all(bool((s.data == 0xFF).all()) for s in image.segments)  # nobody builds what is erased
    read_off |= signed and kind is Kind.BIN and _whole_flash(image)
    found = replace(found, image=image, needs_base=(kind is Kind.BIN or image.origin.base_assumed) and not beside)
    if signed and not read_off:
        return replace(found, role=FileRole.IMAGE, what="a signed image")
    if kind is Kind.UF2 or (not read_off and image.size % 256 and len(image.segments) == 1):
        # Somebody who reads a chip reads round sizes; a build ends where its last byte is.
        return replace(found, role=FileRole.IMAGE, what="a program file")
    origin = image.origin
    return replace(
        found,
        role=_dump_role(name),
        what="a dump of a slot" if signed else "a dump",
        chip=origin.chip,
        mode=origin.mode,
        access=origin.access,
        start=image.span.start if not found.needs_base or name.address is None else name.address,
    )


_LEAST_FLASH = 0x20000


def _whole_flash(image: MemoryImage) -> bool:
    """Tell whether a file is as long as a flash, and most of it erased to its end, where a padded image has its trailer."""
    data = image.segments[0].data
    size = data.size
    return size >= _LEAST_FLASH and size & (size - 1) == 0 and bool((data[size // 2 :] == 0xFF).all())


def _starts_signed(image: MemoryImage) -> bool:
    try:
        parse_header(image.segments[0].data[:32].tobytes())
    except InputError:
        return False
    return True


def _dump_role(name: Name) -> FileRole:
    return FileRole.LATER if name.later else FileRole.DUMP
