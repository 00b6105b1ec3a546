"""How addresses, sizes and ranges are written in sentences: one way, everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from h5diag.ranges import AddressRange


def size_text(count: int) -> str:
    """Return a number of bytes as a person reads it: ``32 bytes``, ``24 KiB``, ``1.5 MiB``."""
    if count < 1024:
        return f"{count} byte{'s' if count != 1 else ''}"
    if count < 1 << 20:
        return f"{count / 1024:.4g} KiB"
    return f"{count / (1 << 20):.4g} MiB"


def ranges_text(ranges: Sequence[AddressRange], most: int = 3) -> str:
    """Return up to `most` ranges as text and how many more there are."""
    text = ", ".join(map(str, ranges[:most]))
    return text + (f" and {len(ranges) - most} more" if len(ranges) > most else "")


def whole_number(text: str) -> int | None:
    """Return the decimal number that a text is; None for anything else, other scripts' digits and endless ones too."""
    from h5diag.limits import NUMBER_DIGITS  # not above: a help text counts too, and loads no tables

    bare = text.strip()
    digits = bare.removeprefix("-")
    return int(bare) if digits.isascii() and digits.isdecimal() and len(digits) <= NUMBER_DIGITS else None


def printed_number(text: str) -> int:
    """Return a number as a pattern found it: hexadecimal behind 0x, else decimal; a leading zero means nothing."""
    return int(text, 16 if text[:2].lower() == "0x" else 10)


def count_text(count: int, one: str, many: str = "") -> str:
    """Return ``1 byte`` or ``5 bytes``."""
    return f"{count} {one if count == 1 else many or one + 's'}"
