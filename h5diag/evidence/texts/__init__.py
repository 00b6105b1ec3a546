"""What tools and boards print, as raw names and values: STM32CubeProgrammer, other debuggers, boot loaders, faults.

Pure parsers: text in, value out. They accept what people paste (colours, time stamps, lost columns, quote marks, HTML
entities, half a listing), keep what they do not know, interpret nothing and never fail; a text of which nothing is
understood gives an empty value.
"""

from __future__ import annotations

from h5diag.evidence.texts.boot import BootEvent, BootLog, event_rows, parse_boot_log
from h5diag.evidence.texts.connection import (
    Banner,
    RomSession,
    Version,
    parse_banners,
    parse_rom_sessions,
    parse_version,
)
from h5diag.evidence.texts.discovery import Discovery, parse_discovery
from h5diag.evidence.texts.faults import FaultDump, parse_faults
from h5diag.evidence.texts.listing import Listing, RawOption, parse_listing, split_diff
from h5diag.evidence.texts.log import Log, LogKind, chip_of, parse_log
from h5diag.evidence.texts.messages import Message, meanings, parse_messages
from h5diag.evidence.texts.programming import Check, OptionWrite, Programming, Write, parse_programming
from h5diag.evidence.texts.registers import RawRegister, parse_registers
from h5diag.evidence.texts.text import Line, clean, lines, printable
from h5diag.evidence.texts.tools import ToolReport, parse_tools, tool_rows

__all__ = [
    "Banner",
    "BootEvent",
    "BootLog",
    "Check",
    "Discovery",
    "FaultDump",
    "Line",
    "Listing",
    "Log",
    "LogKind",
    "Message",
    "OptionWrite",
    "Programming",
    "RawOption",
    "RawRegister",
    "RomSession",
    "ToolReport",
    "Version",
    "Write",
    "chip_of",
    "clean",
    "event_rows",
    "lines",
    "meanings",
    "parse_banners",
    "parse_boot_log",
    "parse_discovery",
    "parse_faults",
    "parse_listing",
    "parse_log",
    "parse_messages",
    "parse_programming",
    "parse_registers",
    "parse_rom_sessions",
    "parse_tools",
    "parse_version",
    "printable",
    "split_diff",
    "tool_rows",
]
