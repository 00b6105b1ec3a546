"""The second net of a redaction: reads a finished document in hex, base64 and plain, and finds firmware in it.

What counts is any eight bytes of a dump, of a known image or of a key with at least four different values.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from h5diag.memory import Bytes

WINDOW = 8
MIN_DISTINCT = 4

_HEX_RUN = re.compile(r"[0-9A-Fa-f](?:[\s,:;_\-]{0,3}(?:0[xX])?[0-9A-Fa-f]){15,}")
_BASE64_RUN = re.compile(r"[A-Za-z0-9+/_\-]{11,}")
_SPEECH = re.compile(r'>([^<]*)<|(?:alt|content)="([^"]*)"')
_MARKUP = re.compile(r"<style>.*?</style>", re.DOTALL)
_REFERENCE = re.compile(r"&#?\w{1,8};")
_PIECE = 1 << 18


@dataclass(frozen=True, slots=True)
class Sieve:
    """Knows the firmware as a sorted array of its windows, ``uint64 (n,)``."""

    windows: npt.NDArray[np.uint64]

    def holds(self, data: bytes) -> bool:
        """Tell whether some bytes hold a window of the firmware."""
        return bool(self.hits(np.frombuffer(data, np.uint8)).size)

    def hits(self, data: Bytes) -> npt.NDArray[np.int64]:
        """Return at which offsets a window of the firmware stands."""
        found = [np.empty(0, np.int64)]
        for start, seen in _windows(data):
            if self.windows.size:
                place = np.searchsorted(self.windows, seen).clip(max=self.windows.size - 1)
                found.append(np.flatnonzero(self.windows[place] == seen) + start)
        return np.concatenate(found)

    def leaks(self, text: str) -> list[tuple[int, int]]:
        """Return where a text spells firmware in hex or base64, as (start, stop) of the runs."""
        found = []
        for m in _HEX_RUN.finditer(text):
            for places in _digit_places(m[0]):
                digits = "".join(m[0][p] for p in places)
                for phase in (0, 1):
                    spelled = bytes.fromhex(digits[phase : phase + (len(digits) - phase) // 2 * 2])
                    found += [
                        (m.start() + places[phase + 2 * h], m.start() + places[phase + 2 * (h + WINDOW) - 1] + 1)
                        for h in self.hits(np.frombuffer(spelled, np.uint8)).tolist()
                    ]
        for m in _BASE64_RUN.finditer(text):
            letters = m[0].replace("-", "+").replace("_", "/")
            if any(self.holds(base64.b64decode(letters[a : a + (len(letters) - a) // 4 * 4])) for a in range(4)):
                found.append(m.span())
        return _disjoint(found)

    def without_spelled(self, text: str) -> str:
        """Return a text without these runs."""
        for a, b in reversed(self.leaks(text)):
            text = text[:a] + "[bytes removed]" + text[b:]
        return text

    def document(self, text: str) -> str:
        """Return a document without these runs.

        A word of the write-up that the firmware happens to spell too ("non-secure") stays, with one letter written
        as a character reference: it looks the same, and a search for firmware bytes finds nothing.
        """
        text = self.without_spelled(text)
        for _ in range(4):
            raw = text.encode("utf-8")
            hits = self.hits(np.frombuffer(raw, np.uint8))
            if not hits.size:
                break
            text = _with_references(text, _letters(text, raw, hits))
        return text


def _digit_places(run: str) -> tuple[list[int], ...]:
    """Return where the digits of a run stand, with and without the zero of ``0x``."""
    marks = {m.start() for m in re.finditer(r"0[xX](?=[0-9A-Fa-f])", run)}
    every = [i for i, c in enumerate(run) if c in "0123456789abcdefABCDEF"]
    return (every, [i for i in every if i not in marks]) if marks else (every,)


def make_sieve(blobs: Iterable[Bytes]) -> Sieve:
    """Return the sieve for some contents."""
    found = [np.empty(0, np.uint64)]
    for blob in blobs:
        for _, seen in _windows(blob):
            ordered = np.sort(seen.view(np.uint8).reshape(-1, WINDOW), axis=1)
            found.append(np.unique(seen[1 + np.count_nonzero(np.diff(ordered, axis=1), axis=1) >= MIN_DISTINCT]))
    return Sieve(np.unique(np.concatenate(found)))


def _windows(data: Bytes) -> Iterator[tuple[int, npt.NDArray[np.uint64]]]:
    """Yield (offset of the first, all runs of eight bytes as numbers), in pieces: a run is eight times its byte."""
    for start in range(0, data.size - WINDOW + 1, _PIECE):
        piece = np.lib.stride_tricks.sliding_window_view(data[start : start + _PIECE + WINDOW - 1], WINDOW)
        yield start, np.ascontiguousarray(piece).view(np.uint64).ravel()


def _letters(text: str, raw: bytes, hits: npt.NDArray[np.int64]) -> set[int]:
    """Return which letters of a text to write otherwise: one in each window, none in markup or in a reference."""
    allowed = np.zeros(len(text) + 1, np.bool_)
    if "<html" in text:
        for m in _SPEECH.finditer(text):
            group = 1 if m[1] is not None else 2
            allowed[m.start(group) : m.end(group)] = True
        for m in _MARKUP.finditer(text):
            allowed[m.start() : m.end()] = False
    else:
        allowed[:] = True
    for m in _REFERENCE.finditer(text):
        allowed[m.start() : m.end()] = False
    # Byte offsets are character offsets minus continuation bytes.
    heads = np.cumsum((np.frombuffer(raw, np.uint8) & 0xC0) != 0x80) - 1
    chosen: set[int] = set()
    for hit in hits.tolist():
        places = range(int(heads[hit]), int(heads[hit + WINDOW - 1]) + 1)
        if not chosen.intersection(places):
            chosen.update([p for p in places if allowed[p] and text[p].isascii() and text[p].isalpha()][-1:])
    return chosen


def _with_references(text: str, letters: set[int]) -> str:
    return "".join(f"&#{ord(c)};" if i in letters else c for i, c in enumerate(text)) if letters else text


def _disjoint(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    out: list[tuple[int, int]] = []
    for a, b in sorted(spans):
        if out and a < out[-1][1]:
            out[-1] = (out[-1][0], max(b, out[-1][1]))
        else:
            out.append((a, b))
    return out
