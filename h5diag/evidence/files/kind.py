"""What a memory file is, told by its content; the name only decides where the content cannot."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import PurePath

from h5diag.errors import InputError
from h5diag.evidence.door import Source, read_evidence
from h5diag.limits import FLASH, HEAD


class Kind(Enum):
    """The kinds of memory files."""

    BIN = "bin"
    HEX = "hex"
    SREC = "srec"
    ELF = "elf"
    UF2 = "uf2"
    DFU = "dfu"
    TEXT = "text"


SUFFIXES = {
    ".bin": Kind.BIN,
    ".hex": Kind.HEX,
    ".ihex": Kind.HEX,
    ".ihx": Kind.HEX,
    ".srec": Kind.SREC,
    ".s19": Kind.SREC,
    ".s28": Kind.SREC,
    ".s37": Kind.SREC,
    ".mot": Kind.SREC,
    ".elf": Kind.ELF,
    ".axf": Kind.ELF,
    ".out": Kind.ELF,
    ".stldr": Kind.ELF,
    ".uf2": Kind.UF2,
    ".dfu": Kind.DFU,
    ".txt": Kind.TEXT,
    ".log": Kind.TEXT,
}
"""The kind that a name promises."""

_HEX_RECORD = re.compile(rb"\s*:[0-9A-Fa-f]{10}")
_S_RECORD = re.compile(rb"\s*S[0-9][0-9A-Fa-f]{6}")
_NAMED = {Kind.HEX: "Intel HEX", Kind.SREC: "S-record", Kind.ELF: "ELF", Kind.UF2: "UF2"}


_CONTAINERS = (
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"\x1f\x8b\x08", "a gzip file"),
    (0, b"BZh", "a bzip2 file"),
    (0, b"\xfd7zXZ\x00", "an xz file"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!\x1a\x07", "a rar archive"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd file"),
    (257, b"ustar", "a tar archive"),
)
"""What holds memory files and is none; told by content also where it is named .bin."""

_OTHER_RECORDS = (
    (re.compile(rb"@[0-9A-Fa-f]{4,8}[ \t]*\r?\n(?:[0-9A-Fa-f]{2}[ \t\r\n]+){1,16}"), "a TI-TXT file", "-ti-txt"),
    (re.compile(rb"%[0-9A-Fa-f]{2}[368][0-9A-Fa-f]{4,}"), "a Tektronix file", "-tektronix-extended"),
)
"""Record formats that no tool for STM32 writes by itself; told so that nobody takes them for text."""

_ENCRYPTED = (".sfi", ".sfix", ".smi", ".smu", ".ssfi")
"""Names of ST's encrypted installation packages, from which no memory can be read."""


def tell_kind(source: Source, *, raw: bool = False) -> Kind:
    """Return what kind of memory file it is; with `raw` a .bin is memory whatever its first bytes are.

    Raises
    ------
    InputError
        As of `read_evidence`, or when it is named as one of the formats and does not begin like it.
    """
    file = read_evidence(source, limit=FLASH)
    head, last, path = file.data[:HEAD], (file.mapped or file.data)[-1:], file.path
    named = SUFFIXES.get(path.suffix.lower(), Kind.BIN)
    if raw and path.suffix.lower() == ".bin":
        return Kind.BIN
    if path.suffix.lower() in _ENCRYPTED:
        raise InputError(
            "is an encrypted installation package, whose content nobody but the chip can read",
            source=str(path),
            advice="give the hex or ELF that it was made from",
        )
    for at, magic, what in _CONTAINERS:
        # A program may hold that word anywhere.
        if head.startswith(magic, at) and not head.startswith(b"\x7fELF"):
            advice = "unpack it and give what is in it" + (
                "; if it is memory, give --base" if named is Kind.BIN else ""
            )
            raise InputError(f"is {what}", source=str(path), place="offset 0x0", advice=advice)
    for pattern, what, option in _OTHER_RECORDS:
        if pattern.match(head):
            raise InputError(
                f"is {what}, which is not read",
                source=str(path),
                place="line 1",
                advice=f"convert it: srec_cat {path.name} {option} -o out.hex -intel",
            )
    if head.startswith(b"DfuSe") or named is Kind.DFU:
        return Kind.DFU
    if head.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")) or head[:64].count(0) * 3 > len(head[:64]):
        decoded = decode_text(head[: len(head) // 2 * 2]).encode("utf-8", "replace")
        head = decoded if _HEX_RECORD.match(decoded) or _S_RECORD.match(decoded) else head
    # A read of a chip has a round size, and a linked program has not: a file was written to it as it lay on the disk.
    read_off = path.suffix.lower() == ".bin" and not file.size % 0x1000
    if head.startswith(b"\x7fELF"):
        return Kind.BIN if read_off else Kind.ELF
    if head.startswith(b"UF2\n\x57\x51\x5d\x9e"):
        return Kind.UF2
    if _HEX_RECORD.match(head) and not (read_off and last == b"\xff"):
        return Kind.HEX
    if _S_RECORD.match(head) and not (read_off and last == b"\xff"):
        return Kind.SREC
    if named in (Kind.HEX, Kind.SREC) and is_text(head):
        return named  # its reader names the line that is wrong
    if named in _NAMED:
        raise InputError(
            f"does not begin like {_NAMED[named]}",
            source=str(path),
            place="offset 0x0",
            advice="rename it to .bin if it is plain memory content",
        )
    return Kind.TEXT if path.suffix.lower() != ".bin" and is_text(head) else Kind.BIN


_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


def decode_text(data: bytes) -> str:
    """Return `data` as text: UTF-8, or UTF-16 as PowerShell's ``>`` writes it, with or without its byte order mark.

    What is not valid becomes U+FFFD; nothing is ever refused.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    return data.decode(_unmarked(data[:4096]), "replace")


def _unmarked(head: bytes) -> str:
    """Without a mark, text in UTF-16 shows by zeros in nearly every other place and nearly nowhere else."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    if len(head) < 8 or not min(even, odd) * 20 < len(head) < max(even, odd) * 2.5:
        return "utf-8"
    return "utf-16-le" if odd > even else "utf-16-be"


def is_text(data: bytes) -> bool:
    """Tell whether `data`, the beginning of a file, looks like text.

    Text holds no control characters but tab, line ends, form feed, backspace and escape (progress bars and
    colours), and not much that is no UTF-8: progress bars arrive mangled.
    """
    if not data:
        return False
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = decode_text(data[: len(data) // 2 * 2])
        return "\x00" not in text and text.count("\ufffd") * 50 <= len(text)
    if sum(data.count(bytes((c,))) for c in range(32) if c not in (8, 9, 10, 12, 13, 27)) + data.count(b"\x7f"):
        return False
    text = data.decode("utf-8", "replace")
    return text.count("\ufffd") * 10 <= len(text)


ADDRESS_IN_NAME = re.compile(
    r"0x([0-9A-F]{5,8})(?![0-9A-F])|(?:_|-|\.|^)(0[89C][0-9A-F]{6}|[0-9A-F]{6}00)(?![0-9A-F])",
    re.IGNORECASE,
)
"""A bus address in the name of a file, after ``0x``, or as eight digits of their own."""


def address_in_name(path: PurePath) -> int | None:
    """Return the bus address that a file's name holds, None when it holds none.

    A checksum looks the same; no memory is read from within a word, or from where the core's own registers are.
    """
    found = (int(m[1] or m[2], 16) for m in ADDRESS_IN_NAME.finditer(path.name))
    return next((a for a in found if a % 4 == 0 and a < 0xE000_0000), None)
