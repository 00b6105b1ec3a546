"""What a run of the tool wrote: files with their places, option bytes, and whether it was read back."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from h5diag.evidence.texts.text import Line
from h5diag.text import printed_number

_OPEN = re.compile(r"(?:parsing|read)\s{0,4}file\s{0,8}:\s{0,8}(.+)$", re.I)
_FILE = re.compile(r"^\s{0,20}file\s{0,20}:\s{0,20}(\S.*)$", re.I)
_SIZE = re.compile(r"^\s{0,20}size\s{0,20}:\s{0,20}(\d{1,9}(?:[.,]\d{1,6})?)\s{0,8}([KM]?)\s?i?b(?:yte)?", re.I)
_ADDRESS = re.compile(r"^\s{0,20}(?:start\s)?address\s{0,20}:\s{0,20}0x([0-9A-Fa-f]{1,8})\b", re.I)
_SEGMENT = re.compile(
    r"(?:segment|sector)\s?\[(\d{1,5})\]\s{0,4}:?\s{0,4}address\s{0,4}[=:]\s{0,4}0x([0-9A-Fa-f]{1,8})"
    r"\s{0,4},?\s{0,4}size\s{0,4}[=:]\s{0,4}0x([0-9A-Fa-f]{1,8})",
    re.I,
)
_MISMATCH = re.compile(r"(?:mismatch|difference)\s(?:found\s)?(?:at\s)?(?:address\s)?0x([0-9A-Fa-f]{1,8})", re.I)
_REFUSED = re.compile(
    r"writ[a-z]{1,4}\b.{0,80}not acknowledged.{0,20}0x([0-9a-f]{1,8})|0x([0-9a-f]{1,8}).{0,20}not acknowledged", re.I
)
_COMMAND = re.compile(r"option\sbytes?\scommand\s{0,4}:?\s{0,8}-ob\s(.+)$", re.I)
_ARGUMENT = re.compile(r"\b([A-Za-z][A-Za-z0-9_]{1,39})=(0x[0-9A-Fa-f]{1,8}|\d{1,10})\b")
_UNMODIFIED = re.compile(
    r"option\sbytes?\s{0,4}:\s{0,4}([A-Za-z][A-Za-z0-9_]{1,39})\s{0,4},\s{0,4}value\s{0,4}:\s{0,4}"
    r"0x([0-9A-Fa-f]{1,8})\s{0,4},?\s{0,4}was\snot\smodified",
    re.I,
)
_EXPECTED = re.compile(
    r"expected\svalue\sfor\soption\sbytes?\s{0,4}\W?([A-Za-z][A-Za-z0-9_]{1,39})\W{1,4}"
    r"0x([0-9A-Fa-f]{1,8})\s{0,4},\s{0,4}found\s{0,4}:\s{0,4}0x([0-9A-Fa-f]{1,8})",
    re.I,
)
_SECTORS = re.compile(r"erasing internal memory sectors? \[?(\d{1,5})(?:[ ,]{1,2}(\d{1,5}))?")
_KEYS = re.compile(r"([^\s\"'=:]{1,200}\.obk)\b", re.I)
_CLI = re.compile(r"(?:^|\s)-ob\s(?!displ)(.{1,1500})$", re.I)


class ReadBack(Enum):
    """Whether the tool read back what it wrote."""

    VERIFIED = "verified"
    FAILED = "failed"
    NOT_CHECKED = "not-checked"


@dataclass(frozen=True, slots=True)
class Write:
    """A file that the tool wrote, or tried to.

    Parameters
    ----------
    file
        Name as printed.
    address
        Bus address of the first segment; None when it was not printed.
    size
        Bytes; 0 when not printed. The tool rounds kilobytes to two decimals.
    complete
        Whether the tool said that the download was complete.
    check
        Whether it read the content back.
    failed
        Whether an error stands between the begin of this write and the next.
    mismatch
        Address of the first difference, None when none was printed.
    reached
        Address up to which a loader said that it wrote before it failed; None where it tells none, or began nothing.
    md5
        Of the file's bytes, where the tool prints it (st-flash); hexadecimal, leading zeros may be missing.
    """

    file: str
    address: int | None = None
    size: int = 0
    complete: bool = False
    check: ReadBack = ReadBack.NOT_CHECKED
    failed: bool = False
    mismatch: int | None = None
    line: int = 0
    md5: str | None = None
    reached: int | None = None


@dataclass(frozen=True, slots=True)
class OptionWrite:
    """An option that a run meant to set. `result` is ``set``, ``not-modified``, ``refused`` or ``unknown``."""

    name: str
    value: int
    result: str = "unknown"
    found: int | None = None
    line: int = 0


@dataclass(frozen=True, slots=True)
class Programming:
    """All writes of a text, in order.

    `mass_erase` tells whether everything was erased, `sectors` are the runs of sectors that were (first, last, in the
    tool's count), `keys` are the key files (``.obk``) that were sent,
    `option_runs_ok` and `option_runs_failed` count what the tool said of option changes. `tool` names another tool than
    STM32CubeProgrammer.
    """

    writes: tuple[Write, ...] = ()
    options: tuple[OptionWrite, ...] = ()
    mass_erase: bool = False
    keys: tuple[str, ...] = ()
    option_runs_ok: int = 0
    option_runs_failed: int = 0
    tool: str = ""
    sectors: tuple[tuple[int, int], ...] = ()

    def __bool__(self) -> bool:
        return self != Programming(tool=self.tool)


def parse_programming(lines: Iterable[Line]) -> Programming:
    """Return what the text says was written; a false value when it says nothing of the kind."""
    state = _State()
    for line in lines:
        state.take(line, line.low)
    return state.done()


class _State:
    """The write and the option command that are under way; filled line by line."""

    def __init__(self) -> None:
        self.writes: list[Write] = []
        self.options: list[OptionWrite] = []
        self.pending: dict[str, list[OptionWrite]] = {}  # by name in capitals
        self.mass_erase = False
        self.sectors: list[tuple[int, int]] = []
        self.keys: dict[str, None] = {}  # in their order
        self.ok = self.failed = 0
        self.open = False
        self.in_options = False

    def take(self, line: Line, low: str) -> None:
        if "option" in low or "-ob" in low:
            self._option_line(line, low)
        if "file" in low and self._file_line(line, low):
            return
        if "mass erase" in low or "-e all" in low:
            self.mass_erase = self.mass_erase or "fail" not in low
        if m := _SECTORS.search(low):
            self.sectors.append((int(m[1]), int(m[2] or m[1])))
        if ".obk" in low:
            if (m := _KEYS.search(line.text)) and m[1] not in self.keys and "generat" not in low:
                self.keys[m[1]] = None
        elif self.open and self.writes:
            self._write_line(line, low)

    def _file_line(self, line: Line, low: str) -> bool:
        m = _OPEN.search(line.text) if "ing file" in low or "read file" in low else None
        m = m or (_FILE.match(line.text) if ":" in low else None)
        if not m or ".obk" in low or "loader" in low:
            return False
        name = m[1].strip()
        last = self.writes[-1] if self.writes else None
        # The name stands twice: where the file is opened and in the table below it.
        if not (last and self.open and not last.complete and last.address is None and _same(last.file, name)):
            self.writes.append(Write(name, line=line.number))
        self.open, self.in_options = True, False
        return True

    def _write_line(self, line: Line, low: str) -> None:
        w = self.writes[-1]
        if not self.in_options and (m := _ADDRESS.match(line.text)) and w.address is None:
            w = replace(w, address=int(m[1], 16))
        elif not self.in_options and not w.size and (m := _SIZE.match(line.text)):
            w = replace(w, size=round(float(m[1].replace(",", ".")) * {"": 1, "K": 1024, "M": 1 << 20}[m[2].upper()]))
        elif "segment[" in low and (m := _SEGMENT.search(line.text)):
            if not w.address and int(m[2], 16):
                w = replace(w, address=int(m[2], 16))
            w = replace(w, size=w.size or int(m[3], 16))
        elif "mismatch" in low or "difference found" in low:
            m = _MISMATCH.search(line.text)
            w = replace(
                w,
                check=ReadBack.FAILED,
                failed=True,
                mismatch=int(m[1], 16) if m and w.mismatch is None else w.mismatch,
            )
        elif "download complete" in low or "downloaded successfully" in low:
            w = replace(w, complete=True)
        elif "verif" in low and "success" in low:
            # A mismatch is not undone by a success line that follows it.
            w = w if w.check is ReadBack.FAILED else replace(w, check=ReadBack.VERIFIED)
        elif "verif" in low and "fail" in low:
            w = replace(w, check=ReadBack.FAILED, failed=True)
        elif "error" in low and not self.in_options:
            m = _REFUSED.search(low) if w.address is not None else None
            at = int(m[1] or m[2], 16) if m else 0
            w = replace(w, failed=True, reached=at if w.address is not None and at > w.address else w.reached)
        self.writes[-1] = w

    def _option_line(self, line: Line, low: str) -> None:
        if "option bytes data" in low or "option bytes area" in low:
            self.in_options = True
        if "not modified" in low and (m := _UNMODIFIED.search(line.text)):
            self._conclude(m[1], int(m[2], 16), "not-modified", None, line.number)
        elif "expected value" in low and (m := _EXPECTED.search(line.text)):
            self._conclude(m[1], int(m[2], 16), "refused", int(m[3], 16), line.number)
        elif m := _COMMAND.search(line.text) or (_CLI.search(line.text) if "-ob " in low else None):
            self._flush("unknown")
            for a in _ARGUMENT.finditer(m[1]):
                self.pending.setdefault(a[1].upper(), []).append(
                    OptionWrite(a[1], printed_number(a[2]), line=line.number)
                )
            self.in_options = True
        elif "option byte" in low and "success" in low:
            self.ok += 1
            self._flush("set")
        elif "option byte" in low and "fail" in low and not any(w in low for w in ("upload", "initializ", "read")):
            self.failed += 1
            self._flush("unknown")

    def _conclude(self, name: str, value: int, result: str, found: int | None, number: int) -> None:
        self.pending.pop(name.upper(), None)
        self.options.append(OptionWrite(name.upper(), value, result, found, number))

    def _flush(self, result: str) -> None:
        self.options += [replace(p, result=result) for writes in self.pending.values() for p in writes]
        self.pending = {}

    def done(self) -> Programming:
        self._flush("unknown")
        # A name alone, without a place or a word on its download, was only opened or mentioned.
        writes = tuple(
            w
            for w in self.writes
            if w.address is not None or w.complete or w.size or w.check is not ReadBack.NOT_CHECKED or w.failed
        )
        counts = self.ok, self.failed, "", tuple(self.sectors)
        return Programming(writes, tuple(self.options), self.mass_erase, tuple(self.keys), *counts)


def _same(a: str, b: str) -> bool:
    return base_name(a) == base_name(b)


def base_name(path: str) -> str:
    """Return the file's name out of a path of any system, as printed with or without quotes."""
    return path.replace("\\", "/").rsplit("/", 1)[-1].strip("\"' ")
