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
LARGE = 16 << 20
"""Of a larger content every eighth window is known, an eighth of the memory: 15 of its bytes are found, whatever they
begin with, and no eight stay beside them. No flash of a microcontroller is so large, and no key."""

_HEX_RUN = re.compile(r"[0-9A-Fa-f](?:[\s,:;_\-]{0,3}(?:0[xX])?[0-9A-Fa-f]){15,}")
_BASE64_RUN = re.compile(r"[A-Za-z0-9+/_\-]{11,}")
_SPEECH = re.compile(r'>([^<]*)<|(?:alt|content)="([^"]*)"')
_MARKUP = re.compile(r"<style>.*?</style>", re.DOTALL)
_REFERENCE = re.compile(r"&#?\w{1,8};")
_PIECE = 1 << 18
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio
MOST_SLOTS = 26
"""Bits of the largest table: 64 MiB, a sixteenth of it used by 4 MiB of firmware."""


@dataclass(frozen=True, slots=True)
class Sieve:
    """Knows the firmware.

    Parameters
    ----------
    windows
        Its windows, sorted, ``uint64 (n,)``.
    table
        Which windows it may hold, by their hash, ``bool (2**k,)``: what is no firmware is searched for in vain, and
        one look here costs a twentieth of the search.
    """

    windows: npt.NDArray[np.uint64]
    table: npt.NDArray[np.bool_]

    def hits(self, data: Bytes) -> npt.NDArray[np.int64]:
        """Return at which offsets a window of the firmware stands."""
        found = [np.empty(0, np.int64)]
        for start, seen in _windows(data):
            likely = np.flatnonzero(self.table[_slots(seen, self.table.size)])
            if likely.size:
                place = np.searchsorted(self.windows, seen[likely]).clip(max=self.windows.size - 1)
                found.append(likely[self.windows[place] == seen[likely]] + start)
        return np.concatenate(found)

    def leaks(self, text: str) -> list[tuple[int, int]]:
        """Return where a text spells firmware in hex or base64, as (start, stop) of the runs.

        Each run is read once, however often it stands there, and all of them are looked for together.
        """
        spelled: list[_Spelled] = []
        for pattern, read in ((_HEX_RUN, _as_hex), (_BASE64_RUN, _as_base64)):
            places: dict[str, list[int]] = {}
            for m in pattern.finditer(text):
                if (starts := places.setdefault(m[0], [])) == []:
                    spelled += read(m[0], starts)
                starts.append(m.start())
        stops = np.cumsum([len(s.data) for s in spelled])
        found = []
        for hit in self.hits(np.frombuffer(b"".join(s.data for s in spelled), np.uint8)).tolist():
            k = int(np.searchsorted(stops, hit, "right"))
            s, at = spelled[k], hit - int(stops[k]) + len(spelled[k].data)
            if at + WINDOW <= len(s.data):  # one that runs into what the next run spells stands nowhere
                first, stop = s.span(at)
                found += [(start + first, start + stop) for start in s.starts]
        return _disjoint(found)

    def without_spelled(self, text: str) -> str:
        """Return a text without these runs."""
        parts, done = [], 0
        for a, b in self.leaks(text):
            parts += [text[done:a], "[bytes removed]"]
            done = b
        return "".join([*parts, text[done:]])

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


@dataclass(frozen=True, slots=True)
class _Spelled:
    """What a run of letters spells, and where it stands; `digits` are the places of its hex digits, or its two ends."""

    data: bytes
    starts: list[int]
    digits: list[int]

    def span(self, at: int) -> tuple[int, int]:
        """Return where in the run a window from offset `at` stands: of base64, the whole run counts."""
        if len(self.digits) < 2 * len(self.data):
            return self.digits[0], self.digits[1]
        return self.digits[2 * at], self.digits[2 * (at + WINDOW) - 1] + 1


def _as_hex(run: str, starts: list[int]) -> Iterator[_Spelled]:
    for places in _digit_places(run):
        for phase in (0, 1):
            half = places[phase : len(places) - (len(places) - phase) % 2]
            yield _Spelled(bytes.fromhex("".join(run[p] for p in half)), starts, half)


def _as_base64(run: str, starts: list[int]) -> Iterator[_Spelled]:
    letters = run.replace("-", "+").replace("_", "/")
    for phase in range(4):
        whole = len(letters) - (len(letters) - phase) % 4
        yield _Spelled(base64.b64decode(letters[phase:whole]), starts, [0, len(run)])


def _digit_places(run: str) -> tuple[list[int], ...]:
    """Return where the digits of a run stand, with and without the zero of ``0x``."""
    marks = {m.start() for m in re.finditer(r"0[xX](?=[0-9A-Fa-f])", run)}
    every = [i for i, c in enumerate(run) if c in "0123456789abcdefABCDEF"]
    return (every, [i for i in every if i not in marks]) if marks else (every,)


def make_sieve(blobs: Iterable[Bytes]) -> Sieve:
    """Return the sieve for some contents."""
    steps = [(blob, WINDOW if blob.size > LARGE else 1) for blob in blobs]
    # Filled in place: parts and their sum would be the memory of a large content twice.
    windows, count = np.empty(sum(blob.size // step for blob, step in steps), np.uint64), 0
    for blob, step in steps:
        for start, seen in _windows(blob, step):
            kept = seen[_distinct(blob[start : start + (seen.size - 1) * step + WINDOW])[::step] >= MIN_DISTINCT]
            windows[count : count + kept.size] = kept
            count += kept.size
    windows = windows[:count]
    windows.sort()
    first = np.append(True, windows[1:] != windows[:-1])[:count]
    if not first.all():
        windows = windows[first]
    table = np.zeros(1 << min(max(windows.size * 16, 1).bit_length(), MOST_SLOTS), np.bool_)
    for start in range(0, windows.size, _PIECE):
        table[_slots(windows[start : start + _PIECE], table.size)] = True
    return Sieve(windows, table)


def _distinct(data: Bytes) -> npt.NDArray[np.uint8]:
    """Return how many different values each window holds: those that equal none of the ones before them in it."""
    count = data.size - WINDOW + 1
    out, again = np.full(count, WINDOW, np.uint8), np.zeros(data.size, np.bool_)
    for back in range(1, WINDOW):
        again[back:] |= data[back:] == data[:-back]
        out -= again[back : back + count]
    return out


def _slots(windows: npt.NDArray[np.uint64], size: int) -> npt.NDArray[np.uint64]:
    """Return the place of each window in a table of `size`, a power of two (multiplicative hashing)."""
    return (windows * _FACTOR) >> np.uint64(64 - size.bit_length() + 1)


def _windows(data: Bytes, step: int = 1) -> Iterator[tuple[int, npt.NDArray[np.uint64]]]:
    """Yield (offset of the first, runs of eight bytes as numbers), in pieces: all, or with `step` 8 each behind the last."""
    for start in range(0, data.size - WINDOW + 1, _PIECE):
        piece = data[start : start + _PIECE + (WINDOW - 1 if step == 1 else 0)]
        if step == 1:
            piece = np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(piece, WINDOW))
        else:
            piece = piece[: piece.size // WINDOW * WINDOW]
        yield start, piece.view(np.uint64).ravel()


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
