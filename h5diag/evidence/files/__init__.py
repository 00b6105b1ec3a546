"""Memory files to and from `MemoryImage`: binary, Intel HEX, S-record, ELF, UF2, text views, and the sidecar.

The names are looked up when they are used: whoever reads a text needs no reader of memory, and none of numpy.
"""

from typing import TYPE_CHECKING

from h5diag.evidence import by_name

if TYPE_CHECKING:
    from h5diag.evidence.files.kind import Kind as Kind
    from h5diag.evidence.files.kind import decode_text as decode_text
    from h5diag.evidence.files.kind import is_text as is_text
    from h5diag.evidence.files.kind import tell_kind as tell_kind
    from h5diag.evidence.files.reading import BOOT_ALIAS as BOOT_ALIAS
    from h5diag.evidence.files.reading import read_image as read_image
    from h5diag.evidence.files.sidecar import Sidecar as Sidecar
    from h5diag.evidence.files.sidecar import open_sidecar as open_sidecar
    from h5diag.evidence.files.sidecar import parse_sidecar as parse_sidecar
    from h5diag.evidence.files.sidecar import read_sidecar as read_sidecar
    from h5diag.evidence.files.sidecar import sidecar_path as sidecar_path
    from h5diag.evidence.files.sidecar import write_sidecar as write_sidecar
    from h5diag.evidence.files.views import ByteOrder as ByteOrder
    from h5diag.evidence.files.views import parse_memory_text as parse_memory_text
    from h5diag.evidence.files.writing import from_intelhex as from_intelhex
    from h5diag.evidence.files.writing import to_intelhex as to_intelhex
    from h5diag.evidence.files.writing import write_image as write_image

_HOMES = {
    "kind": "Kind decode_text is_text tell_kind",
    "reading": "BOOT_ALIAS read_image",
    "sidecar": "Sidecar open_sidecar parse_sidecar read_sidecar sidecar_path write_sidecar",
    "views": "ByteOrder parse_memory_text",
    "writing": "from_intelhex to_intelhex write_image",
}


__getattr__ = by_name(__name__, _HOMES)
