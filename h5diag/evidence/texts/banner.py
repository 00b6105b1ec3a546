"""The lines that STM32CubeProgrammer prints on connecting."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from h5diag.evidence.texts.text import Line, hex_number
from h5diag.evidence.texts.versions import Version, parse_version

_TITLE = re.compile(r"STM32\s?CubeProgrammer\s{0,40}(?:API\s{0,8})?v(\d{1,3}\.\d{1,3}(?:\.\d{1,3})?)", re.I)
_PAIR = re.compile(r"^\s{0,80}([A-Za-z][A-Za-z0-9 .\-]{0,30}?)\s{0,40}:\s{0,40}(.*)$")
_KEYS = {
    "st-link sn": "probe_serial",
    "st-link fw": "probe_firmware",
    "board": "board",
    "voltage": "voltage",
    "swd freq": "swd_frequency",
    "jtag freq": "swd_frequency",
    "connect mode": "connect_mode",
    "reset mode": "reset_mode",
    "device id": "device_id",
    "chip id": "device_id",
    "revision id": "revision",
    "device name": "device_name",
    "flash size": "flash_size",
    "nvm size": "flash_size",
    "device type": "device_type",
    "device cpu": "device_cpu",
    "bl version": "bl_version",
    "sfsp version": "sfsp_version",
}
_NOT_BANNER = frozenset({"bank", "address", "size", "file", "discovery", "error", "warning", "option bytes bank"})
_SIZE = re.compile(r"(\d{1,9})(?:[.,]\d{1,6})?\s{0,8}([KM])?\s?i?bytes?", re.I)
_NUMBER = re.compile(r"(\d{1,6})(?:[.,](\d{1,3}))?")


@dataclass(frozen=True, slots=True)
class Banner:
    """What the tool said about the probe and the chip. Texts are as printed, empty when the line was not there.

    `tool` is the tool's version (``2.21.0``). `unknown` holds the pairs that this parser has no name for;
    `notes` the free lines; `line` where it begins.
    """

    tool: str = ""
    probe_serial: str = ""
    probe_firmware: str = ""
    board: str = ""
    voltage: str = ""
    swd_frequency: str = ""
    connect_mode: str = ""
    reset_mode: str = ""
    device_id: str = ""
    revision: str = ""
    device_name: str = ""
    flash_size: str = ""
    device_type: str = ""
    device_cpu: str = ""
    bl_version: str = ""
    sfsp_version: str = ""
    unknown: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    line: int = 0

    def __bool__(self) -> bool:
        return bool(self.tool or self.device_id or self.probe_serial or self.device_name or self.voltage)

    @property
    def dev_id(self) -> int:
        """DEV_ID as a number, -1 when it was not printed or is no number."""
        return hex_number(self.device_id)

    @property
    def flash_kib(self) -> int:
        """Size of the flash in KiB; 0 when it was not printed, was not read, or is a default of the tool's."""
        m = _SIZE.search(self.flash_size)
        if not m or self.flash_size_assumed:
            return 0
        return int(m[1]) * (1024 if (m[2] or "").upper() == "M" else 1)

    @property
    def flash_size_assumed(self) -> bool:
        """Tell whether the tool printed its default because it could not read the size."""
        return "default" in self.flash_size.lower()

    @property
    def voltage_mv(self) -> int:
        """Supply in millivolts, decimal point or comma; -1 when it was not printed."""
        m = _NUMBER.search(self.voltage)
        return int(m[1]) * 1000 + int((m[2] or "0").ljust(3, "0")) if m else -1

    @property
    def swd_hz(self) -> int:
        """Link speed in hertz; 0 when it was not printed."""
        m = _NUMBER.search(self.swd_frequency)
        if not m:
            return 0
        return int(m[1]) * (1_000_000 if "mhz" in self.swd_frequency.lower() else 1000)

    @property
    def boot_loader(self) -> Version:
        """Version of the ROM boot loader."""
        return parse_version(self.bl_version)

    @property
    def sfsp(self) -> Version:
        """Version of the secure firmware service (RSS)."""
        return parse_version(self.sfsp_version)


def parse_banners(lines: Sequence[Line]) -> tuple[Banner, ...]:
    """Return the banners in the order of the text, one for each connection; empty when there is none."""
    out: list[Banner] = []
    found: dict[str, str] = {}
    unknown: list[tuple[str, str]] = []
    candidates: list[tuple[str, str]] = []
    notes: list[str] = []
    tool, begin = "", 0

    def close() -> None:
        if found:
            out.append(Banner(tool=tool, unknown=tuple(unknown), notes=tuple(notes), line=begin, **found))
        found.clear()
        unknown.clear()
        candidates.clear()
        notes.clear()

    last = -10
    for n, line in enumerate(lines):
        if "ubeProg" in line.text and (m := _TITLE.search(line.text)):
            close()
            tool, begin, last = m[1], line.number, n
            continue
        if ":" not in line.text:
            if found and _is_note(line.text) and n - last < 5:
                notes.append(line.text.strip())
            continue
        pair = _PAIR.match(line.text)
        key = _KEYS.get(" ".join(pair[1].lower().split())) if pair else None
        if pair and key:
            value = pair[2].strip()
            # A second connection begins where a line comes again; a probe's lines come first of all.
            if key in found and (key == "probe_serial" or n - last > 12):
                close()
            if not found:
                begin = begin if n - last < 8 and begin else line.number
            found.setdefault(key, value)
            unknown += candidates
            candidates.clear()
            last = n
        elif pair and found and n - last < 3 and pair[1].lower() not in _NOT_BANNER:
            # It belongs to the banner only if the banner goes on below it.
            candidates.append((pair[1].strip(), pair[2].strip()))
        elif found and _is_note(line.text) and n - last < 5:
            notes.append(line.text.strip())
    close()
    if not out and tool:
        out.append(Banner(tool=tool, line=begin))
    return tuple(out)


def _is_note(text: str) -> bool:
    low = text.lower()
    return "low power" in low or "connection to ap" in low or "hwrst" in low or "hardware reset" in low
