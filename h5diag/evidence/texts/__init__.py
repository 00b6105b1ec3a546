"""What tools and boards print, as raw names and values: STM32CubeProgrammer, other debuggers, boot loaders, faults.

Pure parsers: text in, value out. They accept what people paste (colours, time stamps, lost columns, quote marks, HTML
entities, half a listing), keep what they do not know, interpret nothing and never fail; a text of which nothing is
understood gives an empty value.

The names are looked up when they are used: whoever needs one parser does not wait for the patterns of all.
"""

from typing import TYPE_CHECKING

from h5diag.evidence import by_name

if TYPE_CHECKING:
    from h5diag.evidence.texts.boot import (
        BootEvent as BootEvent,
        BootLog as BootLog,
        event_rows as event_rows,
        parse_boot_log as parse_boot_log,
    )
    from h5diag.evidence.texts.connection import (
        Banner as Banner,
        Discovery as Discovery,
        RomSession as RomSession,
        ToolVersion as ToolVersion,
        parse_banners as parse_banners,
        parse_discovery as parse_discovery,
        parse_rom_sessions as parse_rom_sessions,
        parse_version as parse_version,
    )
    from h5diag.evidence.texts.faults import FaultDump as FaultDump, parse_faults as parse_faults
    from h5diag.evidence.texts.listing import (
        Listing as Listing,
        RawOption as RawOption,
        parse_listing as parse_listing,
        split_diff as split_diff,
    )
    from h5diag.evidence.texts.log import (
        Log as Log,
        LogKind as LogKind,
        chip_of as chip_of,
        identity_words as identity_words,
        parse_log as parse_log,
    )
    from h5diag.evidence.texts.messages import (
        Message as Message,
        meanings as meanings,
        parse_messages as parse_messages,
    )
    from h5diag.evidence.texts.programming import (
        OptionWrite as OptionWrite,
        Programming as Programming,
        ReadBack as ReadBack,
        Write as Write,
        parse_programming as parse_programming,
    )
    from h5diag.evidence.texts.registers import RawRegister as RawRegister, parse_registers as parse_registers
    from h5diag.evidence.texts.text import Line as Line, clean as clean, lines as lines, printable as printable
    from h5diag.evidence.texts.tools import ToolReport as ToolReport, parse_tools as parse_tools, tool_rows as tool_rows

_HOMES = {
    "boot": "BootEvent BootLog event_rows parse_boot_log",
    "connection": "Banner Discovery RomSession ToolVersion parse_banners parse_discovery parse_rom_sessions parse_version",
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
