"""What other tools than STM32CubeProgrammer printed of the chip: OpenOCD, pyOCD, probe-rs, J-Link and more.

How their texts are known and what they tell stands in ``tools.toml``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import msgspec

from h5diag.evidence.texts.programming import Programming, ReadBack, Write
from h5diag.evidence.texts.text import Line
from h5diag.tables import packaged_as
from h5diag.text import printed_number

_LEAVING = ("get_status", "got nack", "unexpected reply")
"""What a loader complains of when, behind a whole write, the chip starts its firmware instead of answering."""
_FOREIGN = (
    r"nrf5[1-4]\d{0,4}|rp2[03]\d0|gd32\w{2,8}|at32\w{2,8}|ch32\w{2,8}|apm32\w{2,8}|hc32\w{2,8}|lpc\d{2}\w{0,8}|"
    r"sam[del]\d\w{1,8}|efm32\w{1,12}|mimxrt\w{1,12}"
)
"""How parts of other makers are called."""


class FieldRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A field and the pattern whose first group is its value."""

    field: str
    pattern: str


class WriteRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A step of writing and the pattern that tells it; the head of the table says which groups it may have."""

    does: Literal["begin", "place", "complete", "verified", "mismatch", "failed", "reached"]
    pattern: str


class ToolRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of the table; its head says what the fields are for."""

    name: str
    kind: str
    marks: tuple[str, ...]
    ref: str
    words: str = ""
    fields: tuple[FieldRow, ...] = ()
    writes: tuple[WriteRow, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolReport:
    """What a tool told; None where it did not.

    Parameters
    ----------
    tool, kind
        Its name, and the kind of text.
    dev_id, rev_id
        Identity of the chip.
    device_name, target, family
        What the tool calls what it read, and what its user told it the chip is: a part, or a series only (``STM32L4``).
    foreign
        Name of a part of another maker, as the tool read it or was told.
    flash_kib, tzen, state, rdp
        Flash size, TrustZone option, product state and read protection, as numbers.
    voltage_mv
        Supply.
    probe, core
        Version of the probe, and the core that was found.
    option_words
        Option words of the chip as the tool printed them.
    line
        Where the first of it stands.
    """

    tool: str
    kind: str
    dev_id: int | None = None
    rev_id: int | None = None
    device_name: str | None = None
    target: str | None = None
    family: str | None = None
    foreign: str | None = None
    flash_kib: int | None = None
    tzen: int | None = None
    state: int | None = None
    rdp: int | None = None
    voltage_mv: int | None = None
    probe: str | None = None
    core: str | None = None
    option_words: tuple[int, ...] = ()
    line: int = 0


@lru_cache(maxsize=1)
def tool_rows() -> tuple[ToolRow, ...]:
    """Return the table."""
    return packaged_as("evidence/texts/tools.toml", tuple[ToolRow, ...], "tool")


@lru_cache(maxsize=1)
def _any_mark() -> re.Pattern[str]:
    """Return all marks in one, since most texts are of none of these tools."""
    return re.compile("|".join(f"(?:{m})" for row in tool_rows() for m in row.marks))


def parse_tools(lines: Sequence[Line]) -> tuple[ToolReport, ...]:
    """Return what each tool told whose text this is; empty when it is none's."""
    marked = [line for line in lines if _any_mark().search(line.low)]
    out = []
    for row in tool_rows() if marked else ():
        marks = re.compile("|".join(f"(?:{m})" for m in row.marks))
        if (first := next((line.number for line in marked if marks.search(line.low)), None)) is not None:
            out.append(_report(row, lines, first))
    return tuple(out)


def parse_writes(lines: Sequence[Line], tools: Sequence[ToolReport]) -> Programming:
    """Return what these tools say that they wrote, of the first that says anything; false when none does."""
    for row in (r for r in tool_rows() if any(t.tool == r.name for t in tools)):
        steps = [(w.does, re.compile(w.pattern)) for w in row.writes]
        writes: list[Write] = []
        for line in lines:
            for does, pattern in steps:
                if does == "reached":
                    for one in pattern.finditer(line.low):
                        _write_step(writes, does, one, line)
                elif m := pattern.search(line.low):
                    _write_step(writes, does, m, line)
                    break
        if writes:
            return Programming(tuple(writes), tool=row.name)
    return Programming()


def _write_step(writes: list[Write], does: str, m: re.Match[str], line: Line) -> None:
    """Take one step: it begins a write, or belongs to the one that was begun last."""
    group = m.groupdict()
    file = line.text[slice(*m.span("file"))].strip() if group.get("file") else ""
    at = int(group["at"], 16) if group.get("at") else None
    size = int(group["hexsize"], 16) if group.get("hexsize") else int(group.get("size") or 0)
    last = writes[-1] if writes else None
    # A new file, or a place after a write that ended, is another write; a block that is tried again is none.
    ended = last is not None and (last.complete or (last.failed and (last.reached is None or (at or 0) < last.reached)))
    again = does in ("place", "reached") and ended
    if does == "failed" and last is not None and last.complete:
        if any(word in line.low for word in _LEAVING):
            return
        again = True
    if last is None or does == "begin" or again:
        writes.append(Write("", line=line.number))
    w = writes[-1]
    w = replace(w, file=file or w.file, md5=group.get("md5") or w.md5)
    match does:
        case "begin" | "place" if at is not None:
            start = at if w.address is None else min(at, w.address)
            ends = at + size if w.address is None else max(at + size, w.address + w.size)
            w = replace(w, address=start, size=ends - start if size else w.size)
        case "place" if size:
            w = replace(w, size=size)
        case "reached":
            if group.get("block"):
                at = int(group["block"], 16)
                w = replace(w, address=at if w.address is None else w.address)
            w = replace(w, reached=at if at is not None else (w.address or 0) + int(group["bytes"]))
        case "complete":
            w = replace(w, complete=True)
        case "verified":
            verified = w.check if w.check is ReadBack.FAILED else ReadBack.VERIFIED
            w = replace(w, complete=True, check=verified, size=w.size or size)
        case "mismatch":
            first = at if w.mismatch is None else w.mismatch
            w = replace(w, check=ReadBack.FAILED, failed=True, mismatch=first, reached=None)
        case "failed":
            begun = w.reached is not None and (w.address is None or w.reached > w.address)
            w = replace(w, failed=True, reached=w.reached if begun else None)
    writes[-1] = w


def _report(row: ToolRow, lines: Sequence[Line], first: int) -> ToolReport:
    seen: dict[str, str] = {}
    fields = [(f.field, re.compile(f.pattern.replace("{foreign}", _FOREIGN), re.I)) for f in row.fields]
    for line in lines:
        for name, pattern in fields:
            if (name not in seen or name == "lowest") and (m := pattern.search(line.text)):
                seen[name] = min(seen.get(name, m[1]), m[1])
    idcode = _hex(seen.get("idcode"))
    dev_id = idcode & 0xFFF if idcode is not None else _hex(seen.get("dev_id"))
    scan, part = _hex(seen.get("scan_id")), _hex(seen.get("target_part"))
    if dev_id is None and part is not None:
        dev_id = part >> 4 if part > 0xFFF else part
    if dev_id is None and scan is not None:
        # The boundary scan's identity is made of a version, a part number with DEV_ID in it, and ST's number.
        dev_id = scan >> 12 & 0xFFF
    kib, size = seen.get("flash_kib"), seen.get("flash_bytes")
    volts, millivolts = seen.get("voltage") or seen.get("lowest", "").replace(",", "."), seen.get("millivolts")
    series = "STM32" + seen["series"] if "series" in seen else ""
    words = re.compile(row.words, re.I) if row.words else None
    return ToolReport(
        row.name,
        row.kind,
        dev_id,
        (idcode >> 16 or None) if idcode is not None else None,
        (seen.get("device_name") or series).strip() or None,
        seen.get("target"),
        "STM32" + seen["family"].upper().removeprefix("STM32") if "family" in seen else None,
        seen.get("foreign"),
        int(kib) if kib else int(size) // 1024 or None if size else None,
        _number(seen.get("tzen")),
        _number(seen.get("state")),
        _number(seen.get("rdp")),
        round(float(volts) * 1000) if volts else int(millivolts) if millivolts else None,
        seen.get("probe"),
        seen.get("core"),
        tuple(
            printed_number(w)
            for line in lines
            for m in (words.finditer(line.text) if words else ())
            for w in m.groups()
            if w
        ),
        first,
    )


def _hex(text: str | None) -> int | None:
    return int(text, 16) if text else None


def _number(text: str | None) -> int | None:
    return printed_number(text) if text else None
