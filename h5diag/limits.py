"""How much of a stranger's file is taken: one table, so that two commands never disagree about the same file.

Each limit is many times the largest honest file of its kind, and small enough that the slowest reader of the kind
answers within seconds on a laptop. A file over its limit is refused before it is read.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """The most bytes that a file of one kind may have.

    Parameters
    ----------
    what
        The kind in words, as in "is too large for a text".
    size
        Bytes.
    advice
        What a person does with a larger one.
    lines
        The most lines that it may have; 0 where they are not counted.
    mapped
        Bytes above which it is mapped and not read, 0 where it never is: that a person cuts the file off meanwhile is
        the smaller evil. Whoever reads a kind that may be mapped asks `door.whole` for the bytes, or windows of them.
    """

    what: str
    size: int
    advice: str
    lines: int = 0
    mapped: int = 0


_CUT = "cut out the part that matters"

MEMORY = Limit("memory content of a microcontroller", 192 << 20, "give the part that matters")
"""Dumps and images of any format: the largest external memories are 64 MiB, 180 MiB as Intel HEX."""

ARCHIVE = Limit("an archive", MEMORY.size, "unpack it, and give the files that matter")
"""The files of one archive together: a dozen reads of a microcontroller with their logs."""

DUMP = Limit(MEMORY.what, MEMORY.size, MEMORY.advice, mapped=8 << 20)
"""The same where a binary is looked at in windows; it is mapped until its kind is known."""

FLASH = Limit(MEMORY.what, 2 << 30, MEMORY.advice, mapped=DUMP.mapped)
"""A plain binary, of which nothing is kept that a window does not show: a gigabyte of external flash."""

VIEW = Limit("memory shown as text", 24 << 20, "read it as .bin or .hex, or " + _CUT, 320_000)
"""Lines ``address : words``: a 4 MiB flash takes 13 MiB in words, 21 MiB as of ``hexdump -C``, 262,145 lines."""

TEXT_LINES = 150_000
"""Lines of a text, or of all texts of a board: five in three seconds for a whole day. They cost more than the bytes."""

TEXT = Limit("a text that a tool or a board printed", 6 << 20, _CUT, TEXT_LINES)
"""Logs, listings, boot logs: a verbose log of a whole download has about 1 MiB, a console of a day some."""

RECORD = Limit("a result of h5diag", 16 << 20, "write it again with --json and nothing else in the file")
"""Flash test, sweep, identity, sidecar: a flash test that lists every cell of a bank stays under 4 MiB."""

CASE_TOML = Limit("a case.toml", 256 << 10, "a case.toml names its files, it does not hold them")
LAYOUT = Limit("a flash layout", 1 << 20, "give the flash_layout.h, not the project")
PROGRAM = Limit("a program for a microcontroller", 64 << 20, "strip its debug sections")
"""ELF files with debug information; a loader's is far smaller."""

KEY = Limit("a key or certificate", 1 << 16, "give the PEM, DER or raw key alone")
SCRIPT = Limit("a script", 1 << 20, _CUT)
SIDECAR = Limit("a dump's sidecar", 16 << 20, "delete it if the dump was not written by h5diag")
RECORDING = Limit("a recording of a probe", 64 << 20, "record a shorter session")

FOLDER_FILES = 1000
"""Files that are looked at in one folder; more are no evidence of a case."""

FOLDER_DEPTH = 64
"""Folders in each other that are looked at; a project of the vendor's package has ten."""

FOLDER_BYTES = 2 << 30
"""Bytes of all files of one folder together."""

CASE_NAMES = CASE_BOARDS = FOLDER_FILES
"""Files that one case.toml names, and boards: what `h5diag case` sorts is never too much for `h5diag diagnose`."""

CASE_TEXTS = 8 << 20
"""Bytes of all texts of one case together: one of a whole day, or a thousand of eight kilobytes."""

SORTED_TEXTS = 3 * CASE_TEXTS
"""Bytes of all texts that `h5diag case` looks at: most of what lies in a folder is no evidence."""

CASE_BYTES = 512 << 20
"""Bytes of all other files of one case together: eight reads of 64 MiB."""

CASE_MEMORY = 128 << 20
"""Bytes of memory in one file of a case, twice the largest external memory: judged and redacted in seconds."""

JUDGED_AREAS = 1 << 14
"""Areas of a comparison that a diagnosis looks at one by one. With more, those of a sector are one: what differs in
every tenth quad-word differs everywhere, and no sum changes. 128 MiB have as many sectors of 8 KiB."""

LONGEST_NAME = 200
"""Characters that are kept of a title or a name."""

LINE = 4096
"""Characters of a line that patterns ever see; the rest of a longer one says nothing that a tool prints."""

NUMBER_DIGITS = 32
"""Characters of a number in a file; Python's own conversion takes quadratic time and raises at 4,300."""

SCRIPT_WORDS = 150_000
"""Words and signs of a script: a tree is made of them, many times as large; the longest of the vendor has 5,000."""

JSON_NESTED = 500_000
"""Objects and lists of a JSON file, each ten times as large in memory as written; a flash test has one for each cell."""

SYMBOLS = 1 << 18
"""Symbols of an ELF file that are looked at; the largest firmware has some ten thousand."""

TOML_DOTS = 500
"""Dots in a line of TOML: a key of many parts costs its reader the square of their number."""

SHOWN_OF_A_KEY = 200
"""Characters of a wrong key or value that an error repeats."""

DROPPED_BYTES = 256 << 20
"""What a page may send in all; more belongs into a folder."""

TEST_FOLDER_BYTES = 64 << 20
"""A backup or journal in the folder of a flash test that is opened again."""

DRY_RUN_BYTES = 80 << 20
"""A request to the process in which a loader runs: the loader and what it writes."""

SCRIPT_STEPS = 100_000
"""Steps of one walk through a script."""

SCRIPT_WORK = 500_000
"""Steps of a walk times its calls: it is done once more for each call, with that one failing."""

SCRIPT_TEXT = 4 << 20
"""Characters that a walk makes in all: a script of four lines can double a text until the memory is full."""

PATTERN_TRIES = 1 << 24
"""Places at which a pattern of a script may try: its repeats, each with the length of the text."""

SCRIPT_PROMPTS = 100
"""Questions of a script that a walk answers."""

SCRIPT_DEPTH = 40
"""Calls of functions and scripts in each other."""

DEVICETREE_NODES = 20_000
"""Nodes of a devicetree; Zephyr's largest has some hundred."""

HEADER_CHARACTERS = 128 << 10
"""Characters of a flash_layout.h; ST's stay well below, as its lines with their continuations do below the next."""

HEADER_LINE = 1000
"""Characters of one of its lines."""

HEADER_EXPANDED = 1_000_000
"""Characters that all its macros may expand to; every expansion counts for 50 at least."""

HEADER_TOKENS = 5000
"""Tokens of one of its expressions."""

HEADER_SECONDS = 1.0
"""Processor time, for what the other limits do not see."""

FLEET_BOARDS = 1_000_000
"""Boards of one lot."""

HEAD = 1 << 16
"""First bytes, by which a file's kind is told."""

INTELHEX_BYTES = 64 << 20
"""IntelHex keeps a dictionary entry per byte, about 170 bytes of memory each."""

RECORD_LINE = 1024
"""The longest record of Intel HEX or S-record has 521 characters; anything longer is no record."""

SECTION_NAME = 256
"""Characters of the name of a section."""

IMAGE_BYTES = 512 << 20
"""More bytes than this are in no file of a microcontroller; a larger claim is an error, not an allocation."""

IMAGE_PIECES = 1 << 20
"""More separate pieces than this are no memory content."""

VIEW_CHARACTERS = 32 << 20
"""Characters of memory shown as text, once it is decoded."""

VIEW_REPEATED = 64 << 20
"""Bytes that a line of hexdump's "*" may stand for."""

VIEW_ROW = 4096
"""Characters of one row of memory."""

VIEW_SPLIT = 3 << 20
"""Characters of its lines that may each be written in another way: a tool keeps to one, and a line of another takes
ten times as long."""

VIEW_VOTES = 4096
"""Lines of it whose column of letters is asked how the words stand."""

VIEW_PIECES = 1 << 16
"""Separate pieces of memory in one text."""

BOOT_EVENTS = 500
"""Events that are kept of one text; a board that resets for ever repeats the same few."""

MESSAGES = 500
"""Messages that are kept of one text; whoever needs more reads the text itself."""

LISTED_OPTIONS = 1000
"""Options that are kept of one text; no chip has a tenth of that."""

READBACK_LINES = 20_000
"""Lines of a text that are looked at for a value that was read back."""

SEARCHED_LINES = 20_000
"""Lines that are searched for boot logs, faults and other tools' texts; of a longer text the first and last half."""

LARGE_TEXT = 256 << 10
"""Characters from which a text is looked at first: reading less is quick whatever it is."""

TLV_RECORDS = 512
"""Records of one TLV area that are read; real images have about ten."""

NESTED_IMAGES = 16
"""Images in each other."""

LONE_IMAGES = 64
"""Headers, or areas of TLVs, without the rest of an image."""

SLOT_BYTES = 4 << 20
"""Bytes behind an image in which its trailer is looked for when no layout tells."""

VECTOR_TABLES = 32
"""Vector tables of one dump."""

CODE_BYTES = 1 << 20
"""Code of a loader that is decoded."""

LOADER_LOG_LINE = 2000
"""Characters of a line of a loader's verbose log."""

LOADER_SEGMENTS = 64
"""Segments of an external loader."""

LOADER_SECTIONS = 4096
"""Sections of an external loader."""

LOADER_IMAGE = 4 << 20
"""Bytes of a loader that is run on the emulated core."""

BUILD_DIFFERENCES = 200
"""Deviations from a build that are named one by one."""

_LONG_WORD = 40
"""Characters of a word that is cut rather than left out: a path says what it is by its first half."""


def shortened(text: str, most: int = 200) -> str:
    """Return a text of `most` characters at most, cut between words: half a name is one that no search for it finds."""
    if len(text) <= most:
        return text
    head, _, word = text[: most - 3].rpartition(" ")
    return (head if head and len(word) < _LONG_WORD else text[: most - 3]) + "..."
