"""Zip archives, as people attach them: each file in one is evidence like a loose one.

Nothing is unpacked to the disk. What an archive says of its own sizes is not believed: reading stops at the limit.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib

from h5diag.errors import InputError
from h5diag.evidence.door import EvidenceFile
from h5diag.limits import ARCHIVE, FOLDER_FILES

ZIP = b"PK\x03\x04"
"""How a zip archive with at least one file begins (APPNOTE 4.3.7)."""
_ENCRYPTED = 1
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, RuntimeError, ValueError)


def is_archive(file: EvidenceFile) -> bool:
    """Tell whether a file is a zip archive with something in it."""
    return file.data.startswith(ZIP)


def archived_files(archive: EvidenceFile) -> list[EvidenceFile]:
    """Return the files of a zip archive, by name; folders and empty files are none.

    Parameters
    ----------
    archive
        The archive as it was read. Its files' paths go on from its own: ``reads.zip/monday/dump.bin``.

    Raises
    ------
    InputError
        When it is damaged or encrypted, or holds more than `FOLDER_FILES` files or `ARCHIVE` bytes.
    """
    source, out, left = str(archive.path), [], ARCHIVE.size
    try:
        with zipfile.ZipFile(io.BytesIO(archive.data)) as zipped:
            entries = [i for i in zipped.infolist() if not i.filename.endswith("/")]
            if len(entries) > FOLDER_FILES:
                raise InputError(f"holds more than {FOLDER_FILES} files", source=source, advice=ARCHIVE.advice)
            for entry in sorted(entries, key=lambda i: i.filename):
                if entry.flag_bits & _ENCRYPTED:
                    raise InputError("is encrypted", source=source, place=entry.filename, advice="unpack it first")
                with zipped.open(entry) as stream:
                    data = stream.read(left + 1)
                left -= len(data)
                if left < 0:
                    raise InputError("holds too much", source=source, place=entry.filename, advice=ARCHIVE.advice)
                # A name may climb out of its folder; it is never one on the disk, and its parts only tell.
                parts = [p for p in entry.filename.replace("\\", "/").split("/") if p not in ("", ".", "..")]
                if data and parts:
                    path = archive.path.joinpath(*parts)
                    digest = hashlib.sha256(data).hexdigest()
                    out.append(EvidenceFile(path.name, path, len(data), digest, data, archive.inside))
    except _DAMAGED as error:
        raise InputError(f"is a damaged archive ({error})", source=source, advice="pack or send it again") from None
    return out
