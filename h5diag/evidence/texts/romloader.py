"""Sessions with the ROM boot loader over UART, USB or another port."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from h5diag.evidence.texts.text import Line

_PORT = re.compile(r"serial\sport\s(\S{1,80})\sis\ssuccessfully\sopened", re.I)
_CHIP = re.compile(r"chip\sid\s{0,8}:\s{0,8}(0x[0-9A-Fa-f]{1,8})", re.I)
_PROTOCOL = re.compile(r"(?:bootloader\sprotocol\sversion|dfu\sprotocol)\s{0,8}:\s{0,8}(\S{1,20})", re.I)


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
        elif low.lstrip().startswith("usb speed") or ("product id" in low and "dfu" in low):
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
