"""What the tools print, for boards that never existed; the option listing and the banner are those of ``data/``."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np

Rng = np.random.Generator


def _printed() -> ModuleType:
    path = Path(__file__).resolve().parents[3] / "data" / "cubeprog_text.py"
    spec = importlib.util.spec_from_file_location("corpus_cubeprog_text", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_data = _printed()
OEMIROT: Mapping[str, int] = _data.OEMIROT
PLAIN: Mapping[str, int] = _data.PLAIN


def banner(values: Mapping[str, str]) -> str:
    """Return a connection banner; `values` replaces or removes (empty) what the usual one says."""
    text = _data.banner("0030003A3033511937363734", "3.28V")
    out = []
    for line in text.split("\n"):
        key = line.split(":")[0].strip()
        if key in values and ":" in line:
            if values[key]:
                out.append(f"{values.get('key ' + key, key):<12}: {values[key]}")
        else:
            out.append(line)
    return "\n".join(out)


def listing(options: Mapping[str, int], connection: str, *, upload: bool = True) -> str:
    """Return an ``-ob displ`` listing; without `upload` the progress part is left out, as older versions do."""
    text: str = _data.listing(options, connection)
    if upload:
        return text
    return (connection.rstrip("\n") + "\n\n" + text[text.index("OPTION BYTES BANK: 0") :]).lstrip("\n")


def styled(text: str, rng: Rng) -> str:
    """Return the text as one of the ways in which it reaches a support desk: plain, CR LF, GUI time stamps."""
    style = rng.choice(["plain", "plain", "crlf", "gui"])
    if style == "crlf":
        return text.replace("\n", "\r\n")
    if style == "gui":
        h, m = int(rng.integers(8, 18)), int(rng.integers(60))
        lines = text.rstrip("\n").split("\n")
        return "".join(f"{h:02d}:{m:02d}:{i % 60:02d} : {line}\n" for i, line in enumerate(lines))
    return text


def refused_connection(kind: str) -> str:
    """Return the log of a connection that was refused, by the way it ended."""
    head = banner(
        dict.fromkeys(
            (
                "Device ID",
                "Revision ID",
                "Device name",
                "Flash size",
                "Device type",
                "Device CPU",
                "BL Version",
                "SFSP Version",
            ),
            "",
        )
    )
    ends = {
        "port": "Error: Cannot connect to access port 1!\n",
        "rdp": "Error: RDP is set to level 1 or target is held under reset\nError: failed to read option bytes\n",
    }
    return head.rstrip("\n") + "\n" + ends[kind]


def discovery(state: str) -> str:
    """Return a debug-authentication discovery that worked and names the life cycle."""
    rows = (
        ("target ID", "0x484"),
        ("SoC ID", "0x00000000_35343236_30335105_003A0041"),
        ("SDA version", "2.4.0"),
        ("Vendor ID", "STMicroelectronics"),
        ("PSA lifecycle", state),
        ("PSA auth version", "1.0"),
        ("ST HDPL1 status", "0x1"),
        ("ST HDPL2 status", "0xffffffff"),
        ("ST HDPL3 status", "0xffffffff"),
        ("Token Formats", "0x200"),
        ("Certificate Formats", "0x201"),
        ("cryptosystems", "Ecdsa-P256 SHA256"),
        ("ST provisioning integrity status", "0xeaeaeaea"),
        ("permission if authorized", "Full Regression"),
    )
    lines = [
        "Start Debug Authentication Discovery",
        "SDMOpen : 529 : open : SDM API v1.0",
        "SDMOpen : 530 : open : SDM Library version v1.3.0",
        "open_comms : 336 : open : Asserting target reset",
        "open_comms : 340 : open : Communication with the target established successfully",
    ]
    return "\n".join(lines + [f"discovery: {label:.<32}:{value}" for label, value in rows]) + "\n"


def loader_log(kind: str, base: int, init: int) -> str:
    """Return a verbosity-3 log of an external loader: ``bypassed`` or ``mislinked``."""
    head = banner({}) + "flash loader /opt/loaders/sample_nor.stldr is loaded\n"
    if kind == "bypassed":
        reads = "".join(
            f" r ap 1 @0x{0x90000000 + i * 0x400:08X} : 0x00000400 bytes, Data 0x00000000\n" for i in range(4)
        )
        return head + "\nReading data...\n" + reads + "Data read successfully\n"
    calls = [f" w ap 1 reg {i} R{i} 0x{1 if i == 0 else 0:08X}" for i in range(13)]
    calls += [
        " w ap 1 reg 13 SP 0x00000000",
        " w ap 1 reg 14 LR 0x00000000",
        f" w ap 1 reg 15 PC 0x{init:08X}",
        " w ap 1 reg 16 xPSR 0x01000000",
        " w ap 1 reg 17 MSP 0x00000000",
        " w ap 1 reg 18 PSP 0x00000000",
        " run ap 1",
        " halt ap 1",
        " r ap 1 reg 0 R0 0x00000000",
        " r ap 1 reg 16 xPSR 0x01000003",
    ]
    start = [
        " halt ap 1",
        f" w ap 1 reg 15 PC (0x{base:08X})",
        f" w ap 1 reg 17 MSP (0x{base + 0x500:08X})",
        " w ap 1 reg 16 xPSR (0x01000000)",
    ]
    return (
        head
        + "\nMemory Erase via FlashLoader!\nInit flashloader...\n"
        + "\n".join(start + calls)
        + "\nInit function fail\nError: failed to erase memory\n"
    )
