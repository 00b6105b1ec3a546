"""How a connection presents itself: what STM32CubeProgrammer prints of probe and chip, versions, ROM boot loader.

A tool that reads a version word at the wrong place prints its bytes as numbers all the same: ``v45.48.46`` is the
text ``-0.``. Such a value says something about the reading path and nothing about the version.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from h5diag.evidence.texts.text import Line, hex_number

ABSURD = 40
"""No part of a version of this tool or of ST's ROM code has come near this number."""

_DOTTED_VERSION = re.compile(r"^[vV]?(-?\d{1,10}(?:\.-?\d{1,10}){1,3})$")
_HEX_VERSION = re.compile(r"^0x([0-9A-Fa-f]{1,8})$")
_TITLE = re.compile(r"STM32\s?CubeProgrammer\s{0,40}(?:API\s{0,8})?v(\d{1,3}\.\d{1,3}(?:\.\d{1,3})?)", re.I)
_PAIR = re.compile(r"^\s{0,80}([A-Za-z][A-Za-z0-9 .\-]{0,30}?)\s{0,40}:\s{0,40}(.*)$")
_PANEL = re.compile(r"^\s{0,80}(Device ID|Revision ID|Flash size)\s{2,40}([^\s:].{0,80})$", re.I)
"""The same in the window of the graphical tool, as people retype it or a phone reads it from a photo: without colons."""
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
_USB = re.compile(r"\s{0,80}usb speed\s{0,8}:")
_PORT = re.compile(r"serial\sport\s(\S{1,80})\sis\ssuccessfully\sopened", re.I)
_CHIP = re.compile(r"chip\sid\s{0,8}:\s{0,8}(0x[0-9A-Fa-f]{1,8})", re.I)
_PROTOCOL = re.compile(r"(?:bootloader\sprotocol\sversion|dfu\sprotocol)\s{0,8}:\s{0,8}(\S{1,20})", re.I)


@dataclass(frozen=True, slots=True)
class ToolVersion:
    """A version as printed.

    Parameters
    ----------
    text
        As printed, empty when the tool printed no such line.
    parts
        The numbers, empty when the text is no version.
    readable
        False when what was read cannot be a version.
    remark
        Why it is not readable, with its bytes; empty otherwise.
    """

    text: str = ""
    parts: tuple[int, ...] = ()
    readable: bool = False
    remark: str = ""


def parse_version(text: str) -> ToolVersion:
    """Return what a version field holds; never fails."""
    text = text.strip()
    if m := _HEX_VERSION.match(text):
        value = int(m[1], 16)
        return _judged(text, tuple(value >> s & 0xFF for s in range(8 * ((len(m[1]) - 1) // 2), -1, -8)), dotted=False)
    if m := _DOTTED_VERSION.match(text):
        return _judged(text, tuple(int(p) for p in m[1].split(".")), dotted=True)
    if not text:
        return ToolVersion()
    if text.strip("-. ") == "" or text.lower() in ("(null)", "n/a", "unknown"):
        return ToolVersion(text, remark="the tool could not read it")
    return ToolVersion(text, remark="not a version")


def _judged(text: str, parts: tuple[int, ...], *, dotted: bool) -> ToolVersion:
    shown, printed = f"bytes {_hex(parts)}", dotted and all(0x20 <= p <= 0x7E for p in parts)
    letters = "".join(map(chr, parts)) if printed else ""
    rows = (
        (all(p == 0 for p in parts), f"{shown}: all zero, so not read or masked"),
        (all(p in (0xFF, -1) for p in parts), f"{shown}: all ones, so erased or not read"),
        (
            printed,
            f'{shown} are the text "{letters}", not a version: '
            "the tool read the wrong place or was not allowed to read there",
        ),
        (dotted and any(p > ABSURD or p < 0 for p in parts), f"{shown}: no version is that high"),
    )
    remark = next((why for holds, why in rows if holds), "")
    return ToolVersion(text, parts, readable=not remark, remark=remark)


def _hex(parts: tuple[int, ...]) -> str:
    return " ".join(f"{p & 0xFF:02X}" if p < 256 else f"{p:X}" for p in parts)


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
    def identified(self) -> bool:
        """Tell whether the connection came as far as an identity that can be one."""
        return self.dev_id is not None and self.dev_id & 0xFFF not in (0, 0xFFF)

    @property
    def fullness(self) -> tuple[bool, int]:
        """How much the connection told, to be compared with others."""
        return self.identified, sum(bool(getattr(self, name)) for name in _KEYS.values())

    @property
    def dev_id(self) -> int | None:
        """DEV_ID as a number; None when it was not printed or is no number."""
        return hex_number(self.device_id)

    @property
    def flash_kib(self) -> int | None:
        """Size of the flash in KiB; None when it was not printed, was not read, or is a default of the tool's."""
        m = _SIZE.search(self.flash_size)
        if not m or self.flash_size_assumed:
            return None
        return int(m[1]) * (1024 if (m[2] or "").upper() == "M" else 1)

    @property
    def flash_size_assumed(self) -> bool:
        """Tell whether the tool printed its default because it could not read the size."""
        return "default" in self.flash_size.lower()

    @property
    def voltage_mv(self) -> int | None:
        """Supply in millivolts, decimal point or comma; None when it was not printed."""
        m = _NUMBER.search(self.voltage)
        return int(m[1]) * 1000 + int((m[2] or "0").ljust(3, "0")) if m else None

    @property
    def swd_hz(self) -> int | None:
        """Link speed in hertz; None when it was not printed."""
        m = _NUMBER.search(self.swd_frequency)
        return int(m[1]) * (1_000_000 if "mhz" in self.swd_frequency.lower() else 1000) if m else None

    @property
    def boot_loader(self) -> ToolVersion:
        """Version of the ROM boot loader."""
        return parse_version(self.bl_version)

    @property
    def sfsp(self) -> ToolVersion:
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
        nonlocal begin
        if found:
            out.append(Banner(tool=tool, unknown=tuple(unknown), notes=tuple(notes), line=begin, **found))
        found.clear()
        unknown.clear()
        candidates.clear()
        notes.clear()
        begin = 0

    last = -10
    for n, line in enumerate(lines):
        if "ubeProg" in line.text and (m := _TITLE.search(line.text)):
            close()
            tool, begin, last = m[1], line.number, n
            continue
        panel = _PANEL.match(line.text)
        if ":" not in line.text and panel is None:
            if found and _is_note(line.text) and n - last < 5:
                notes.append(line.text.strip())
            continue
        pair = panel or _PAIR.match(line.text)
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


@dataclass(frozen=True, slots=True)
class RomSession:
    """A session with the ROM boot loader.

    Parameters
    ----------
    interface
        ``uart`` or ``usb``.
    port
        As printed, empty when not.
    answered
        Whether the boot loader answered.
    chip_id, protocol
        As printed, empty when not.
    options_refused
        Whether it could not read the option bytes.
    """

    interface: str
    port: str = ""
    answered: bool = False
    chip_id: str = ""
    protocol: str = ""
    options_refused: bool = False
    line: int = 0


def parse_rom_sessions(lines: Iterable[Line]) -> tuple[RomSession, ...]:
    """Return the boot loader sessions in the order of the text."""
    out: list[RomSession] = []
    for line in lines:
        low = line.low
        if "serial port" in low and (m := _PORT.search(line.text)):
            out.append(RomSession("uart", m[1], line=line.number))
        elif _USB.match(low) or ("product id" in low and "dfu" in low):
            if not out or out[-1].interface != "usb" or out[-1].protocol:
                out.append(RomSession("usb", answered=True, line=line.number))
        elif "activating device" in low:
            if not out:
                out.append(RomSession("uart", line=line.number))
            out[-1] = replace(out[-1], answered="ok" in low.split("activating device", 1)[1])
        elif "protocol" in low and (m := _PROTOCOL.search(line.text)):
            if not out:
                out.append(RomSession("usb" if "dfu" in low else "uart", line=line.number))
            out[-1] = replace(out[-1], protocol=m[1], answered=True)
        elif out and "chip id" in low and (m := _CHIP.search(line.text)):
            out[-1] = replace(out[-1], chip_id=m[1], answered=True)
        elif out and ("is set to level 1" in low or "read command not acknowledged" in low):
            out[-1] = replace(out[-1], options_refused=True)
    return tuple(out)


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
    soc = named.get("soc id", "")
    return Discovery(
        tuple(fields),
        named.get("target id", ""),
        groups[0] if (groups := _GROUPS.match(soc)) else soc,
        named.get("psa lifecycle", ""),
        named.get("vendor id", ""),
        named.get("st provisioning integrity status", ""),
        parse_version(named.get("sda version", "")),
        tuple(value for label, value in fields if label.lower().startswith("permission")),
        opened or bool(fields),
        library,
    )
