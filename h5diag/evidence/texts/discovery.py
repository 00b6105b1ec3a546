"""Debug-authentication discovery (``debugauth=2``): what the chip says of itself when its debug port is closed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from h5diag.evidence.texts.connection import ToolVersion, parse_version
from h5diag.evidence.texts.text import Line, hex_number

_MARK = "discovery:"
_GROUPS = re.compile(r"0x([0-9A-Fa-f_]{8,80})")
_SDM = re.compile(
    r"SDM\S{0,40}\s{0,4}(?:library\s{0,4})?version\s{0,8}:?\s{0,8}v?(\d{1,3}\.\d{1,3}(?:\.\d{1,3})?)", re.I
)
VALID, NOT_VALID = 0xEAEAEAEA, 0xF5F5F5F5


@dataclass(frozen=True, slots=True)
class Discovery:
    """What a discovery printed.

    Parameters
    ----------
    fields
        Label and value as printed, in order; a label may repeat.
    target_id, soc_id, lifecycle, vendor, integrity
        The values of these labels, as printed; empty when the line was not there.
    sda_version
        Version of the debug-authentication firmware.
    permissions
        What an authorised user may open.
    opened
        Whether the link to the debug-authentication service came up as far as the text tells.
    library
        Version of the tool's own library, empty when not printed.
    """

    fields: tuple[tuple[str, str], ...] = ()
    target_id: str = ""
    soc_id: str = ""
    lifecycle: str = ""
    vendor: str = ""
    integrity: str = ""
    sda_version: ToolVersion = field(default_factory=ToolVersion)
    permissions: tuple[str, ...] = ()
    opened: bool = False
    library: str = ""

    def __bool__(self) -> bool:
        return bool(self.fields or self.library)

    @property
    def uid(self) -> tuple[int, ...]:
        """The three words of the unique id, word 0 first; empty when the SoC id does not hold them."""
        words = [w for w in self.soc_id.removeprefix("0x").split("_") if w]
        if len(words) != 4 or not all(re.fullmatch(r"[0-9A-Fa-f]{8}", w) for w in words):
            return ()
        return tuple(int(w, 16) for w in reversed(words[1:]))

    @property
    def dev_id(self) -> int | None:
        """DEV_ID of the target, None when none was printed."""
        return hex_number(self.target_id)

    @property
    def failed(self) -> bool:
        """Tell whether the answers cannot be a chip's: no target id, or no vendor."""
        if hex_number(self.target_id) in (0, 1) or "null" in self.vendor.lower():
            return True
        # People blank the SoC id before they paste: zeros there say nothing beside a target id and a life cycle.
        told = hex_number(self.target_id) is not None or bool(self.lifecycle)
        return not told and bool(self.uid) and set(self.uid) <= {0, 1}

    @property
    def integrity_ok(self) -> bool:
        """Tell whether the provisioned data are reported as valid."""
        return hex_number(self.integrity) == VALID

    @property
    def integrity_bad(self) -> bool:
        """Tell whether the provisioned data are reported as not valid: no regression is possible then."""
        return hex_number(self.integrity) == NOT_VALID


def parse_discovery(lines: Iterable[Line]) -> Discovery:
    """Return the discovery of these lines; a false one when there is none."""
    fields: list[tuple[str, str]] = []
    opened, library = False, ""
    for line in lines:
        low = line.low
        at = low.find(_MARK)
        if at < 0:
            if "sdm" in low:
                if m := _SDM.search(line.text):
                    library = m[1]
                opened = opened or ("open" in low and "success" in low)
            elif "open_comms" in low:
                opened = opened or "success" in low or "ok" in low
            continue
        label, colon, value = line.text[at + len(_MARK) :].partition(":")
        label = label.strip(" .\t")
        if label and colon:
            fields.append((label, value.strip()))
    named = {label.lower(): value for label, value in reversed(fields)}
    return Discovery(
        tuple(fields),
        named.get("target id", ""),
        _soc(named.get("soc id", "")),
        named.get("psa lifecycle", ""),
        named.get("vendor id", ""),
        named.get("st provisioning integrity status", ""),
        parse_version(named.get("sda version", "")),
        tuple(value for label, value in fields if label.lower().startswith("permission")),
        opened or bool(fields),
        library,
    )


def _soc(text: str) -> str:
    m = _GROUPS.match(text)
    return m[0] if m else text
