"""Memory files to and from `MemoryImage`: binary, Intel HEX, S-record, ELF, UF2, text views, and the sidecar.

The names are looked up when they are used: whoever reads a text needs no reader of memory, and none of numpy.
"""

from typing import TYPE_CHECKING

from h5diag.evidence import by_name

if TYPE_CHECKING:
    from h5diag.evidence.files.containers import read_dfu as read_dfu, read_uf2 as read_uf2, uf2_family as uf2_family
    from h5diag.evidence.files.elf import ElfMap as ElfMap, read_elf as read_elf, read_elf_map as read_elf_map
    from h5diag.evidence.files.kind import (
        Kind as Kind,
        decode_text as decode_text,
        is_text as is_text,
        tell_kind as tell_kind,
    )
    from h5diag.evidence.files.reading import BOOT_ALIAS as BOOT_ALIAS, read_image as read_image
    from h5diag.evidence.files.records import read_intel_hex as read_intel_hex, read_s_record as read_s_record
    from h5diag.evidence.files.sidecar import (
        Sidecar as Sidecar,
        open_sidecar as open_sidecar,
        parse_sidecar as parse_sidecar,
        read_sidecar as read_sidecar,
        sidecar_path as sidecar_path,
        write_sidecar as write_sidecar,
    )
    from h5diag.evidence.files.views import ByteOrder as ByteOrder, parse_memory_text as parse_memory_text
    from h5diag.evidence.files.writing import (
        from_intelhex as from_intelhex,
        to_intelhex as to_intelhex,
        write_image as write_image,
    )

_HOMES = {
    "containers": "read_dfu read_uf2 uf2_family",
    "elf": "ElfMap read_elf read_elf_map",
    "kind": "Kind decode_text is_text tell_kind",
    "reading": "BOOT_ALIAS read_image",
    "records": "read_intel_hex read_s_record",
    "sidecar": "Sidecar open_sidecar parse_sidecar read_sidecar sidecar_path write_sidecar",
    "views": "ByteOrder parse_memory_text",
    "writing": "from_intelhex to_intelhex write_image",
}


__getattr__ = by_name(__name__, _HOMES)
