"""What a memory file is, told by its content; the name only decides where the content cannot."""

from __future__ import annotations

import re
import stat
from enum import Enum
from pathlib import Path

from h5diag.errors import InputError
from h5diag.evidence.files.text import is_text

_HEAD = 64 << 10


class Kind(Enum):
    """The kinds of memory files."""

    BIN = "bin"
    HEX = "hex"
    SREC = "srec"
    ELF = "elf"
    UF2 = "uf2"
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
    ".txt": Kind.TEXT,
    ".log": Kind.TEXT,
}
"""The kind that a name promises."""

_HEX_RECORD = re.compile(rb"\s*:[0-9A-Fa-f]{10}")
_S_RECORD = re.compile(rb"\s*S[0-9][0-9A-Fa-f]{6}")
_NAMED = {Kind.HEX: "Intel HEX", Kind.SREC: "S-record", Kind.ELF: "ELF", Kind.UF2: "UF2"}


def tell_kind(path: Path) -> Kind:
    """Return what kind of memory file `path` is.

    Raises
    ------
    InputError
        When it is missing, a directory, empty or not readable, or when it is named as one of the formats and
        does not begin like it.
    """
    head = read_head(path)
    named = SUFFIXES.get(path.suffix.lower(), Kind.BIN)
    if head.startswith(b"\x7fELF"):
        return Kind.ELF
    if head.startswith(b"UF2\n\x57\x51\x5d\x9e"):
        return Kind.UF2
    if _HEX_RECORD.match(head):
        return Kind.HEX
    if _S_RECORD.match(head):
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
    if path.suffix.lower() != ".bin" and is_text(head):
        return Kind.TEXT
    return Kind.BIN


def read_head(path: Path, size: int = _HEAD) -> bytes:
    """Return the first `size` bytes of a file that must be regular, readable and not empty.

    Raises
    ------
    InputError
        When it is not.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InputError("is a directory", source=str(path), advice="name a file in it")
        if not stat.S_ISREG(mode):
            raise InputError("is no regular file", source=str(path), advice="copy it into a file first")
        with path.open("rb") as stream:
            head = stream.read(size)
    except FileNotFoundError:
        raise InputError("there is no such file", source=str(path)) from None
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})", source=str(path)) from None
    except ValueError:
        raise InputError("is no file name", source=str(path)) from None
    if not head:
        raise InputError("is empty", source=str(path), advice="read or copy it again")
    return head
