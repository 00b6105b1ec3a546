"""Versions that the tool printed, and whether they can be versions at all.

A tool that reads a version word at the wrong place prints its bytes as numbers all the same: ``v45.48.46`` is the
text ``-0.``. Such a value says something about the reading path and nothing about the version.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

ABSURD = 40
"""No part of a version of this tool or of ST's ROM code has come near this number."""

_DOTTED = re.compile(r"^[vV]?(-?\d{1,10}(?:\.-?\d{1,10}){1,3})$")
_HEX = re.compile(r"^0x([0-9A-Fa-f]{1,8})$")


@dataclass(frozen=True, slots=True)
class Version:
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


def parse_version(text: str) -> Version:
    """Return what a version field holds; never fails."""
    text = text.strip()
    if m := _HEX.match(text):
        value = int(m[1], 16)
        parts = tuple(value >> s & 0xFF for s in range(8 * ((len(m[1]) - 1) // 2), -1, -8))
        return _judged(text, parts, dotted=False)
    if m := _DOTTED.match(text):
        return _judged(text, tuple(int(p) for p in m[1].split(".")), dotted=True)
    if not text:
        return Version()
    if text.strip("-. ") == "" or text.lower() in ("(null)", "n/a", "unknown"):
        return Version(text, remark="the tool could not read it")
    return Version(text, remark="not a version")


def _judged(text: str, parts: tuple[int, ...], *, dotted: bool) -> Version:
    if all(p == 0 for p in parts):
        return Version(text, parts, remark=f"bytes {_hex(parts)}: all zero, so not read or masked")
    if all(p in (0xFF, -1) for p in parts):
        return Version(text, parts, remark=f"bytes {_hex(parts)}: all ones, so erased or not read")
    if dotted and all(0x20 <= p <= 0x7E for p in parts):
        letters = "".join(chr(p) for p in parts)
        return Version(
            text,
            parts,
            remark=f'bytes {_hex(parts)} are the text "{letters}", not a version: '
            "the tool read the wrong place or was not allowed to read there",
        )
    if dotted and any(p > ABSURD or p < 0 for p in parts):
        return Version(text, parts, remark=f"bytes {_hex(parts)}: no version is that high")
    return Version(text, parts, readable=True)


def _hex(parts: tuple[int, ...]) -> str:
    return " ".join(f"{p & 0xFF:02X}" if p < 256 else f"{p:X}" for p in parts)
