"""Memory files to and from `MemoryImage`: binary, Intel HEX, S-record, ELF, UF2, text views, and the sidecar."""

from __future__ import annotations

from h5diag.evidence.files.kind import Kind, decode_text, is_text, tell_kind
from h5diag.evidence.files.reading import read_image, read_text
from h5diag.evidence.files.sidecar import Sidecar, file_sha256, read_sidecar, sidecar_path, write_sidecar
from h5diag.evidence.files.views import ByteOrder, parse_memory_text
from h5diag.evidence.files.writing import from_intelhex, to_intelhex, write_image

__all__ = [
    "ByteOrder",
    "Kind",
    "Sidecar",
    "decode_text",
    "file_sha256",
    "from_intelhex",
    "is_text",
    "parse_memory_text",
    "read_image",
    "read_sidecar",
    "read_text",
    "sidecar_path",
    "tell_kind",
    "to_intelhex",
    "write_image",
    "write_sidecar",
]
