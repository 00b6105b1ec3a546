"""What tools and boards print, as raw names and values: STM32CubeProgrammer, other debuggers, boot loaders, faults.

Pure parsers: text in, value out. They accept what people paste (colours, time stamps, lost columns, quote marks, HTML
entities, half a listing), keep what they do not know, interpret nothing and never fail; a text of which nothing is
understood gives an empty value.

The names are looked up when they are used: whoever needs one parser does not wait for the patterns of all.
"""

from typing import TYPE_CHECKING

from h5diag.evidence import by_name

if TYPE_CHECKING:
    from h5diag.evidence.texts.boot import BootEvent as BootEvent
    from h5diag.evidence.texts.boot import BootLog as BootLog
    from h5diag.evidence.texts.boot import event_rows as event_rows
    from h5diag.evidence.texts.boot import parse_boot_log as parse_boot_log
    from h5diag.evidence.texts.connection import Banner as Banner
    from h5diag.evidence.texts.connection import RomSession as RomSession
    from h5diag.evidence.texts.connection import Version as Version
    from h5diag.evidence.texts.connection import parse_banners as parse_banners
    from h5diag.evidence.texts.connection import parse_rom_sessions as parse_rom_sessions
    from h5diag.evidence.texts.connection import parse_version as parse_version
    from h5diag.evidence.texts.discovery import Discovery as Discovery
    from h5diag.evidence.texts.discovery import parse_discovery as parse_discovery
    from h5diag.evidence.texts.faults import FaultDump as FaultDump
    from h5diag.evidence.texts.faults import parse_faults as parse_faults
    from h5diag.evidence.texts.listing import Listing as Listing
    from h5diag.evidence.texts.listing import RawOption as RawOption
    from h5diag.evidence.texts.listing import parse_listing as parse_listing
    from h5diag.evidence.texts.listing import split_diff as split_diff
    from h5diag.evidence.texts.log import Log as Log
    from h5diag.evidence.texts.log import LogKind as LogKind
    from h5diag.evidence.texts.log import chip_of as chip_of
    from h5diag.evidence.texts.log import identity_words as identity_words
    from h5diag.evidence.texts.log import parse_log as parse_log
    from h5diag.evidence.texts.messages import Message as Message
    from h5diag.evidence.texts.messages import meanings as meanings
    from h5diag.evidence.texts.messages import parse_messages as parse_messages
    from h5diag.evidence.texts.programming import OptionWrite as OptionWrite
    from h5diag.evidence.texts.programming import Programming as Programming
    from h5diag.evidence.texts.programming import ReadBack as ReadBack
    from h5diag.evidence.texts.programming import Write as Write
    from h5diag.evidence.texts.programming import parse_programming as parse_programming
    from h5diag.evidence.texts.registers import RawRegister as RawRegister
    from h5diag.evidence.texts.registers import parse_registers as parse_registers
    from h5diag.evidence.texts.text import Line as Line
    from h5diag.evidence.texts.text import clean as clean
    from h5diag.evidence.texts.text import lines as lines
    from h5diag.evidence.texts.text import printable as printable
    from h5diag.evidence.texts.tools import ToolReport as ToolReport
    from h5diag.evidence.texts.tools import parse_tools as parse_tools
    from h5diag.evidence.texts.tools import tool_rows as tool_rows

_HOMES = {
    "boot": "BootEvent BootLog event_rows parse_boot_log",
    "connection": "Banner RomSession Version parse_banners parse_rom_sessions parse_version",
    "discovery": "Discovery parse_discovery",
    "faults": "FaultDump parse_faults",
    "listing": "Listing RawOption parse_listing split_diff",
    "log": "Log LogKind chip_of identity_words parse_log",
    "messages": "Message meanings parse_messages",
    "programming": "ReadBack OptionWrite Programming Write parse_programming",
    "registers": "RawRegister parse_registers",
    "text": "Line clean lines printable",
    "tools": "ToolReport parse_tools tool_rows",
}


__getattr__ = by_name(__name__, _HOMES)
