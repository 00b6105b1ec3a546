"""The compiled kernel behind the search: ``kernel.c``, built when h5diag is installed, loaded through ctypes.

Where no compiler was found there is no library beside this module; the plain search then serves, more slowly.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from h5diag.measure.locate.pieces import DROP, Counts, Engine, Pair, Pieces, Words
from h5diag.measure.locate.plain import DIAGONAL_BITS, Plain
from h5diag.measure.locate.sides import BLOCK, Flags, Numbers, Watch
from h5diag.memory import Bytes

ABI = 4
"""Changes with the structures below; a library of another one is not used."""

SUFFIX = {"win32": "dll", "darwin": "dylib"}.get(sys.platform, "so")
LIBRARY = Path(__file__).with_name(f"_kernel.{SUFFIX}")

SLICE = 1 << 20
"""Bytes worked on between two looks at whether to stop."""

_POINTER, _INT = ctypes.c_void_p, ctypes.c_int64


class _Sides(ctypes.Structure):
    _fields_ = (
        ("reference", _POINTER),
        ("reference_size", _INT),
        ("dump", _POINTER),
        ("dump_size", _INT),
        ("cuts", _POINTER),
        ("cut_count", _INT),
        ("free_start", _POINTER),
        ("free_stop", _POINTER),
        ("free_count", _INT),
        ("free_room", _INT),
        ("gain", _POINTER),
        ("mismatch", ctypes.c_int32),
        ("drop", ctypes.c_int32),
        ("mask", ctypes.c_uint32),
        ("reserved", ctypes.c_int32),
    )


class _Words(ctypes.Structure):
    _fields_ = (
        ("head", _POINTER),
        ("next", _POINTER),
        ("filter", _POINTER),
        ("count", _INT),
        ("stride", _INT),
        ("bits", _INT),
        ("mask", ctypes.c_uint64),
    )


class _Pieces(ctypes.Structure):
    _fields_ = (
        ("reference", _POINTER),
        ("dump", _POINTER),
        ("size", _POINTER),
        ("score", _POINTER),
        ("count", _INT),
        ("room", _INT),
    )


def _at(array: npt.NDArray[np.generic]) -> int:
    if not array.flags.c_contiguous:
        raise AssertionError("the kernel takes whole arrays only")
    return array.ctypes.data


def _pieces(p: Pieces, count: int | None = None) -> _Pieces:
    return _Pieces(
        _at(p.reference), _at(p.dump), _at(p.size), _at(p.score), p.count if count is None else count, p.count
    )


class Kernel:
    """The search's engine in C. Same results as `Plain`."""

    name = "kernel"

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        for function in ("abi", "fill", "equal", "grow", "index", "scan", "claim", "tally", "runs", "count", "asked"):
            getattr(self._library, f"h5_{function}").restype = _INT
        if self._library.h5_abi() != ABI:
            raise OSError(f"{path.name} is of another version")

    def _call(self, function: str, *arguments: object) -> int:
        given = (
            _INT(a) if isinstance(a, int) else _POINTER(_at(a)) if isinstance(a, np.ndarray) else a for a in arguments
        )
        done = int(getattr(self._library, f"h5_{function}")(*given))
        if done < 0:
            raise AssertionError(f"the kernel's {function} was given what does not fit together")
        return done

    def fill(self, data: Bytes, watch: Watch) -> Flags:
        """Return for each block whether it repeats itself with a period of at most 24 bytes."""
        out = np.zeros(-(-data.size // BLOCK), np.bool_)
        for at in range(0, data.size, 8 * SLICE):
            watch.check(at / data.size)
            part, flags = data[at : at + 8 * SLICE], out[at // BLOCK : (at + 8 * SLICE) // BLOCK]
            self._call("fill", part, part.size, flags, flags.size)
        return out

    def equal(self, a: Bytes, b: Bytes, watch: Watch) -> Flags:
        """Return for each whole block of two equally long pieces whether both hold the same."""
        out = np.zeros(a.size // BLOCK, np.bool_)
        for at in range(0, a.size, 8 * SLICE):
            watch.check(at / a.size)
            x, y, flags = a[at : at + 8 * SLICE], b[at : at + 8 * SLICE], out[at // BLOCK : (at + 8 * SLICE) // BLOCK]
            self._call("equal", x, y, x.size, flags, flags.size)
        return out

    def words(self, data: Bytes, blocks: Flags, stride: int, mask: int, watch: Watch) -> Words:
        """Return the words that start at a multiple of `stride` and in a block that counts."""
        count = -(-data.size // stride)
        chosen = min(int(np.count_nonzero(blocks)) * (BLOCK // min(stride, BLOCK)), count)
        bits = min(max(int(chosen).bit_length(), 10), 26)
        head = np.full(1 << bits, 0xFFFFFFFF, np.uint32)
        # What is never put into a chain is never read: no need to clear it.
        words = Words(stride, mask, (head, np.empty(count, np.uint32), np.zeros(1 << bits + 1, np.uint8)))
        w, step = _words(words), SLICE * max(1, stride // 4)
        for at in reversed(range(0, data.size, step)):
            watch.check(1 - at / data.size)
            self._call("index", data, data.size, blocks, blocks.size, ctypes.byref(w), at, at + step)
        return words

    def scan(self, pair: Pair, words: Words, blocks: Flags, least: int, span: int, watch: Watch) -> Pieces:
        """Return the extended pieces around each word of the dump's chosen blocks that the reference holds too."""
        lately = np.zeros(((1 << DIAGONAL_BITS) + 1, 3), np.int64)
        lately[:, 0] = 1 << 62  # no diagonal
        found, parts, w = Pieces.empty(1 << 14), [Pieces.empty()], _words(words)
        with _sides(pair) as s:
            at, last = 0, pair.dump.size
            while at < last:
                stop = min(at + SLICE, last)
                if not blocks[at // BLOCK : -(-stop // BLOCK)].any():
                    at = stop
                    continue
                watch.check(at / last)
                out = _pieces(found, 0)
                at = self._call(
                    "scan", ctypes.byref(s), ctypes.byref(w), blocks, blocks.size, lately, DIAGONAL_BITS, least, span,
                    at, stop, ctypes.byref(out),
                )  # fmt: skip
                if out.count:
                    # Copies: the room is used again.
                    parts.append(Pieces.joined([found.where(slice(out.count))]))
        return Pieces.joined(parts)

    def grow(self, pair: Pair, pieces: Pieces) -> Pieces:
        """Return pieces grown as far as all agrees, fill among it; those that come to touch become one."""
        found = Pieces.empty(pieces.count)
        with _sides(pair) as s:
            given, out = _pieces(pieces), _pieces(found, 0)
            self._call("grow", ctypes.byref(s), ctypes.byref(given), ctypes.byref(out))
        return found.where(slice(out.count))

    def claim(self, pair: Pair, wanted: Pieces, least: int) -> Pieces:
        """Take pieces in their order out of what is free, and return what was got."""
        at, parts, room = 0, [Pieces.empty()], wanted.count + 64
        while at < wanted.count:
            with _sides(pair, room) as s:
                found = Pieces.empty(room + pair.free.start.size)
                want, out = _pieces(wanted), _pieces(found, 0)
                at = self._call("claim", ctypes.byref(s), ctypes.byref(want), at, least, ctypes.byref(out))
                parts.append(found.where(slice(out.count)))
            room *= 2
        return Pieces.joined(parts)

    def tally(self, pair: Pair, pieces: Pieces) -> tuple[Numbers, Numbers]:
        """Return the equal bytes and the wrong bits of each piece, as far as the mask lets bits count."""
        equal, wrong = np.zeros(pieces.count, np.int64), np.zeros(pieces.count, np.int64)
        with _sides(pair) as s:
            p = _pieces(pieces)
            self._call("tally", ctypes.byref(s), ctypes.byref(p), equal, wrong, pieces.count)
        return equal, wrong

    def runs(self, pair: Pair, pieces: Pieces) -> Numbers:
        """Return how many bytes in a row repeat the one before them, at most, of the reference's part of each piece."""
        out = np.zeros(pieces.count, np.int64)
        with _sides(pair) as s:
            p = _pieces(pieces)
            self._call("runs", ctypes.byref(s), ctypes.byref(p), out, pieces.count)
        return out

    def count(self, sides: list[tuple[Bytes, Flags]], width: int) -> Counts:
        """Count the bytes of the chosen groups of `width` bytes."""
        total = sum(int(np.count_nonzero(groups)) for _, groups in sides) * width
        # Content repeats itself: mostly the smaller table has room for it, and that stays nearer the processor.
        for bits in (max(total.bit_length(), 8), max(total.bit_length() + 1, 8)):
            out = Counts(np.zeros(1 << 16, np.int64), np.zeros(1 << 16, np.int64), np.zeros(2 << bits, np.uint32))
            used = np.zeros(1, np.int64)
            for data, groups in sides:
                given = (data, data.size, groups, groups.size, width)
                self._call("count", *given, out.pairs, out.contexts, out.trigrams, bits, used)
            if used[0] < 1 << (bits - 1):
                break
        return out

    def asked(self, counts: Counts, trigrams: npt.NDArray[np.uint32]) -> Numbers:
        """Return how often each trigram was counted, the first byte high."""
        out = np.zeros(trigrams.size, np.int64)
        bits = int(counts.trigrams.size).bit_length() - 2
        self._call("asked", trigrams, trigrams.size, counts.trigrams, bits, out)
        return out


def _words(w: Words) -> _Words:
    head, following, present = w.tables
    bits = int(head.size).bit_length() - 1
    return _Words(_at(head), _at(following), _at(present), following.size, w.stride, bits, w.mask)


@contextmanager
def _sides(pair: Pair, more: int = 0) -> Iterator[_Sides]:
    """Give the pair to the kernel, with room for `more` stretches; what it changed is free afterwards."""
    count = pair.free.start.size
    start, stop = np.zeros(count + more, np.int64), np.zeros(count + more, np.int64)
    start[:count], stop[:count] = pair.free.start, pair.free.stop
    cuts = np.array(pair.a.starts, np.int64)
    s = _Sides(
        _at(pair.reference), pair.reference.size, _at(pair.dump), pair.dump.size, _at(cuts), cuts.size,
        _at(start), _at(stop), count, count + more, _at(pair.gain), pair.mismatch, DROP, pair.mask, 0,
    )  # fmt: skip
    yield s
    if more:
        pair.free.start, pair.free.stop = start[: s.free_count], stop[: s.free_count]


@lru_cache(maxsize=1)
def engine() -> Engine:
    """Return the kernel, or the plain search where it was not built."""
    try:
        return Kernel(LIBRARY)
    except (OSError, AttributeError):
        return Plain()


def remark() -> str | None:
    """Return one sentence when the plain search serves; None when the kernel is there."""
    if engine().name == "kernel":
        return None
    return "the compiled kernel is not there: the search runs in numpy, with the same results, several times slower"
