"""What leaves the house with ``--redact``: no firmware byte, no serial number, no path, no key.

Two nets. The first, here, replaces what is known to be secret (ids, serial numbers, paths, key files) in every text
that goes in. The second, `h5diag.show.report.sieve`, reads the finished document as somebody else would.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from h5diag.case import Case
from h5diag.evidence.door import EvidenceFile
from h5diag.memory import MemoryImage
from h5diag.show.report.sieve import Sieve, make_sieve

_NAME = r"[^\s\"'<>|:*?;,()\\/]+"
_PATH = re.compile(
    rf"(?<![\w<.&])(?:[A-Za-z]:[\\/]|\\\\|~?/)(?:{_NAME}[\\/])+(?:{_NAME})?"
    rf"|(?<![\w<.&])(?:[A-Za-z]:\\|/(?:home|Users|root|tmp|mnt|media|opt|var)/){_NAME}"
)
_SERIAL = re.compile(
    r"(?i)((?:ST-?LINK\s*SN|serial(?:\s*(?:no|number|nr))?|S/N|\bSN|unique id|\bUID|chip id\s*\(96)\s*[.:=#]*\s*)"
    r"([0-9A-F][0-9A-F xX_:,\-]{6,}[0-9A-F])"
)
_ID_KEYS = ("uid", "unique_id", "serial", "serial_number", "probe", "probe_id", "probe_serial")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Redactor:
    """Takes secrets out of texts.

    Parameters
    ----------
    secrets
        Pairs of a text and what stands in its place, longest first.
    sieve
        Knows the firmware.
    """

    secrets: tuple[tuple[str, str], ...]
    sieve: Sieve

    def text(self, text: str) -> str:
        """Return a text without the known secrets, paths and serial numbers."""
        for secret, word in self.secrets:
            text = re.sub(re.escape(secret), word, text, flags=re.IGNORECASE)
        text = _PATH.sub("[path removed]", text)
        return _SERIAL.sub(lambda m: m[1] + "[id removed]", text)

    def value(self, value: T) -> T:
        """Return the same value with all texts in it cleaned: dataclasses, tuples and strings."""
        return cast(T, _cleaned(value, self))

    def document(self, text: str) -> str:
        """Return a finished document that spells no firmware byte."""
        return self.sieve.document(text)


def make_redactor(case: Case) -> Redactor:
    """Return the redactor of a case: it knows the firmware, the ids and the paths of its evidence."""
    boards = (case.good, *case.suspects)
    images: list[MemoryImage] = [d.image for b in boards for d in (*b.dumps, *b.later)]
    images += [i.image for i in case.images]
    keys = (*case.verify_keys, *case.decrypt_keys)
    blobs = [s.data for image in images for s in image.segments]
    blobs += [np.frombuffer(k, np.uint8) for k in _key_bytes(keys)]
    secrets = {
        str(p): "[path removed]"
        for p in (case.folder, case.folder.resolve(), Path.home(), Path.cwd())
        if len(str(p)) > 3
    }
    secrets |= {key.name: "[key]" for key in keys}
    for board in boards:
        for text in board.texts:
            secrets |= {m[2].strip(): "[id removed]" for m in _SERIAL.finditer(text.text)}
    secrets |= dict.fromkeys(_ids(case.folder), "[id removed]")
    ordered = sorted(((s, w) for s, w in secrets.items() if s), key=lambda pair: -len(pair[0]))
    return Redactor(tuple(ordered), make_sieve(blobs))


def _ids(folder: Path) -> Iterable[str]:
    """Yield every way in which an id of the case's JSON files is likely to be written."""
    for path in sorted(folder.glob("*.json")):
        try:
            document = json.loads(path.read_text("utf-8", "replace"))
        except (OSError, ValueError, RecursionError):
            continue
        for key, value in _pairs(document):
            for word in (value if isinstance(value, list) else [value]) if key.lower() in _ID_KEYS else ():
                digits = f"{word:X}" if isinstance(word, int) else re.sub(r"^0[xX]|[\s_:\-]", "", str(word))
                if len(digits) >= 6:
                    yield from (str(word), digits, " ".join(digits[i : i + 2] for i in range(0, len(digits), 2)))
                    if len(digits) % 8 == 0:
                        yield from (digits[i : i + 8] for i in range(0, len(digits), 8))


def _pairs(value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key), inner
            yield from _pairs(inner)


def _key_bytes(keys: Iterable[EvidenceFile]) -> Iterable[bytes]:
    for key in keys:
        data = key.data
        yield data
        try:
            yield base64.b64decode(re.sub(rb"-----[^-]+-----|\s", b"", data), validate=True)
        except ValueError:
            continue


def _cleaned(value: Any, redactor: Redactor) -> Any:
    if isinstance(value, str):
        return redactor.text(value)
    if isinstance(value, tuple):
        return tuple(_cleaned(v, redactor) for v in value)
    if is_dataclass(value) and not isinstance(value, type):
        changed = {
            f.name: _cleaned(getattr(value, f.name), redactor)
            for f in fields(value)
            if isinstance(getattr(value, f.name), str | tuple) or is_dataclass(getattr(value, f.name))
        }
        return replace(value, **changed) if changed else value
    return value
