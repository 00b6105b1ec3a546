"""Bytes of a text file to text, as consoles and their redirections write it."""

from __future__ import annotations

_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


def decode_text(data: bytes) -> str:
    """Return `data` as text: UTF-8, or UTF-16 as PowerShell's ``>`` writes it, with or without its byte order mark.

    What is not valid becomes U+FFFD; nothing is ever refused.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    return data.decode(_unmarked(data[:4096]), "replace")


def _unmarked(head: bytes) -> str:
    """Without a mark, text in UTF-16 shows by zeros in nearly every other place and nearly nowhere else."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    if len(head) < 8 or not min(even, odd) * 20 < len(head) < max(even, odd) * 2.5:
        return "utf-8"
    return "utf-16-le" if odd > even else "utf-16-be"


def is_text(data: bytes) -> bool:
    """Tell whether `data`, the beginning of a file, looks like text.

    Text holds no control characters but tab, line ends, form feed, backspace and escape (progress bars and
    colours), and not much that is no UTF-8: progress bars arrive mangled.
    """
    if not data:
        return False
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = decode_text(data[: len(data) // 2 * 2])
        return "\x00" not in text and text.count("\ufffd") * 50 <= len(text)
    controls = sum(data.count(bytes((c,))) for c in range(32) if c not in (8, 9, 10, 12, 13, 27)) + data.count(b"\x7f")
    if controls:
        return False
    text = data.decode("utf-8", "replace")
    return text.count("\ufffd") * 10 <= len(text)
