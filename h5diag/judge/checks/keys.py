"""Keys and the way back: what ``h5diag keys`` and ``h5diag access`` know, as findings of a case."""

from __future__ import annotations

import re
from contextlib import suppress

from h5diag.errors import InputError
from h5diag.evidence import keys
from h5diag.judge.findings import Finding, calibration, found
from h5diag.judge.measured import Measured
from h5diag.measure.firmware import TlvType, find_images

_CLOSED = re.compile(
    r"LIFECYCLE_\w{0,20}(?:CLOSED|LOCKED)|PRODUCT_STATE\s{0,20}[:=]\s{0,4}0x(?:72|C6|5C)\b|\bRDP\s{0,20}[:=]\s{0,4}0xCC\b",
    re.I,
)
"""How a text says that the board is closed: only then is provisioning's own wing, which is slow to load, asked."""


def check_published_keys(m: Measured) -> tuple[Finding, ...]:
    """Is anything signed with a key that a vendor publishes?"""
    images = [(m.suspect.board.name, i.image) for i in m.suspect.images]
    images += [(k.name, i) for k in m.case.images for i in find_images(k.image)]
    prints = [(t.value, name) for name, i in images for t in i.tlvs.plain if t.type == TlvType.KEYHASH]
    names: dict[str, str] = {}
    for value, name in prints:
        if (known := keys.published(value)) is not None:
            names.setdefault(str(known), name)
    for file in m.case.verify_keys:
        with suppress(InputError):
            for key in keys.load_verify_keys(file):
                if (known := keys.published(*(h.hex() for h in key.hashes))) is not None:
                    names.setdefault(str(known), file.name)
    who, name = ", ".join(names), ", ".join(dict.fromkeys(names.values()))
    return (found("published-key", who=who, name=name),) if names else ()


def check_way_back(m: Measured) -> tuple[Finding, ...]:
    """Can the closed board be opened again, as far as its own texts tell?"""
    texts = [t.text for t in m.suspect.board.texts]
    if not any(map(_CLOSED.search, texts)):
        return ()
    from h5diag.judge.preflight.reopening import LOST, read_access

    answer = read_access(texts)
    if answer is None or answer.state not in ("TZ-CLOSED", "CLOSED", "LOCKED", "RDP 2"):
        return ()
    words = calibration().advice[f"way-{answer.answer}"]
    takes = f" It takes a {answer.takes}." if answer.takes not in ("", "none") else ""
    erases = f" A way back erases {', '.join(answer.erases)}." if answer.erases and answer.answer != LOST else ""
    return (found("way-back", state=answer.state, words=words, takes=takes, erases=erases, why=answer.why[0]),)
