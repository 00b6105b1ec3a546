"""The compiled kernel behind the search: ``kernel.c``, built when h5diag is installed, loaded through ctypes.

Where no compiler was found there is no library beside this module; the plain search then serves, more slowly.
"""

from __future__ import annotations

import ctypes
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from h5diag.measure.locate.pieces import BLOCK, NONE, PIECE, Flags, Numbers, Pair, Pieces, Runs, Watch, Words, joined
from h5diag.measure.locate.plain import DIAGONAL_BITS, DROP, Counts, Plain
from h5diag.memory import Bytes

ABI = 5  # changes with the structures below; a library of another one is not used
LIBRARY = Path(__file__).with_name(f"_kernel.{ {'win32': 'dll', 'darwin': 'dylib'}.get(sys.platform, 'so') }")
SLICE = 1 << 20  # bytes worked on between two looks at whether to stop
FOUND_AT_ONCE = 1 << 14
_POINTER, _INT = ctypes.c_void_p, ctypes.c_int64


class _Pair(ctypes.Structure):
    _fields_ = (
        *((name, _POINTER) for name in ("reference", "dump", "segments", "free", "gain")),
        *((name, _INT) for name in ("reference_size", "dump_size", "segment_count", "free_count", "free_room")),
        *((name, _INT) for name in ("mismatch", "drop", "mask")),
    )


class _Words(ctypes.Structure):
    _fields_ = (
        *((name, _POINTER) for name in ("head", "next", "filter")),
        *((name, _INT) for name in ("count", "stride", "bits")),
        ("mask", ctypes.c_uint64),
    )


class _Pieces(ctypes.Structure):
    _fields_ = (("rows", _POINTER), ("count", _INT), ("room", _INT))


def _at(array: npt.NDArray[np.generic]) -> int:
    if not array.flags.c_contiguous:
        raise AssertionError("the kernel takes whole arrays only")
    return array.ctypes.data


def _pair(pair: Pair, unclaimed: Runs, room: int = 0) -> _Pair:
    r, d, segments = pair.reference, pair.dump, pair.segments
    sizes = r.size, d.size, len(segments), len(unclaimed) - room, len(unclaimed)
    pointers = _at(r), _at(d), _at(segments), _at(unclaimed), _at(pair.gain)
    return _Pair(*pointers, *sizes, pair.mismatch, DROP, pair.mask)


def _words(w: Words) -> _Words:
    head, following, present = w.tables
    bits = int(head.size).bit_length() - 1
    return _Words(_at(head), _at(following), _at(present), following.size, w.stride, bits, w.mask)


def _pieces(rows: Pieces, count: int | None = None) -> _Pieces:
    return _Pieces(_at(rows), rows.size if count is None else count, rows.size)


class _Kernel(Plain):
    """The search's engine in C."""

    name = "kernel"

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        for function in ("abi", "fill", "equal", "grow", "index", "scan", "claim", "compare", "runs", "count", "asked"):
            getattr(self._library, f"h5_{function}").restype = _INT
        if self._library.h5_abi() != ABI:
            raise OSError(f"{path.name} is of another version")

    def _call(self, function: str, *arguments: int | npt.NDArray[np.generic] | ctypes.Structure) -> int:
        given = (
            _INT(a) if isinstance(a, int) else _POINTER(_at(a)) if isinstance(a, np.ndarray) else ctypes.byref(a)
            for a in arguments
        )
        done = int(getattr(self._library, f"h5_{function}")(*given))
        if done < 0:
            raise AssertionError(f"the kernel's {function} was given what does not fit together")
        return done

    def _by_block(self, function: str, watch: Watch, count: int, *memories: Bytes) -> Flags:
        out, step = np.zeros(count, np.bool_), 8 * SLICE
        for at in range(0, memories[0].size, step):
            watch.check(at / memories[0].size)
            parts, flags = [x[at : at + step] for x in memories], out[at // BLOCK : (at + step) // BLOCK]
            self._call(function, *parts, parts[0].size, flags, flags.size)
        return out

    def fill(self, data: Bytes, watch: Watch) -> Flags:
        return self._by_block("fill", watch, -(-data.size // BLOCK), data)

    def equal(self, a: Bytes, b: Bytes, watch: Watch) -> Flags:
        return self._by_block("equal", watch, a.size // BLOCK, a, b)

    def words(self, data: Bytes, blocks: Flags, stride: int, mask: int, watch: Watch) -> Words:
        count = -(-data.size // stride)
        chosen = min(int(np.count_nonzero(blocks)) * (BLOCK // min(stride, BLOCK)), count)
        bits = min(max(chosen.bit_length(), 10), 26)
        head = np.full(1 << bits, 0xFFFFFFFF, np.uint32)
        # What is never put into a chain is never read: no need to clear it.
        words = Words(stride, mask, (head, np.empty(count, np.uint32), np.zeros(1 << bits + 1, np.uint8)))
        step = SLICE * max(1, stride // 4)
        for at in reversed(range(0, data.size, step)):
            watch.check(1 - at / data.size)
            self._call("index", data, data.size, blocks, blocks.size, _words(words), at, at + step)
        return words

    def scan(
        self, pair: Pair, unclaimed: Runs, words: Words, blocks: Flags, least: int, span: int, watch: Watch
    ) -> Pieces:
        lately = np.zeros(((1 << DIAGONAL_BITS) + 1, 3), np.int64)
        lately[:, 0] = 1 << 62  # no diagonal
        found, parts = np.empty(FOUND_AT_ONCE, PIECE), [NONE]
        memories, index = _pair(pair, unclaimed), _words(words)
        at, last = 0, pair.dump.size
        while at < last:
            stop = min(at + SLICE, last)
            if not blocks[at // BLOCK : -(-stop // BLOCK)].any():
                at = stop
                continue
            watch.check(at / last)
            out = _pieces(found, 0)
            at = self._call(
                "scan", memories, index, blocks, blocks.size, lately, DIAGONAL_BITS, least, span, at, stop, out
            )
            parts.append(found[: out.count].copy())
        return joined(parts)

    def grow(self, pair: Pair, pieces: Pieces) -> Pieces:
        found = np.empty_like(pieces)
        return found[: self._call("grow", _pair(pair, _NO_RUNS), _pieces(pieces), _pieces(found, 0))]

    def claim(self, pair: Pair, unclaimed: Runs, wanted: Pieces, least: int) -> tuple[Pieces, Runs]:
        at, parts, room = 0, [NONE], wanted.size + 64
        while at < wanted.size:
            unclaimed = np.concatenate([unclaimed, np.empty((room, 2), np.int64)])
            found = np.empty(len(unclaimed), PIECE)
            memories, out = _pair(pair, unclaimed, room), _pieces(found, 0)
            at = self._call("claim", memories, _pieces(wanted), at, least, out)
            parts.append(found[: out.count])
            unclaimed, room = unclaimed[: memories.free_count], room * 2
        return joined(parts), unclaimed

    def compare(self, pair: Pair, pieces: Pieces) -> Numbers:
        out = np.empty((2, pieces.size), np.int64)
        self._call("compare", _pair(pair, _NO_RUNS), _pieces(pieces), out)
        return out

    def runs(self, pair: Pair, pieces: Pieces) -> Numbers:
        out = np.empty(pieces.size, np.int64)
        self._call("runs", _pair(pair, _NO_RUNS), _pieces(pieces), out)
        return out

    def count(self, memories: list[tuple[Bytes, Flags]], width: int) -> Counts:
        total = sum(int(np.count_nonzero(groups)) for _, groups in memories) * width
        bits = max((total + total // 4).bit_length(), 8)
        out = np.zeros(1 << 16, np.int64), np.zeros(1 << 16, np.int64), np.zeros(2 << bits, np.uint32)
        for data, groups in memories:
            self._call("count", data, data.size, groups, groups.size, width, *out, bits)
        return out

    def asked(self, counts: Counts, trigrams: npt.NDArray[np.uint32]) -> Numbers:
        out = np.empty(trigrams.size, np.int64)
        self._call("asked", trigrams, trigrams.size, counts[2], int(counts[2].size).bit_length() - 2, out)
        return out


_NO_RUNS: Runs = np.empty((0, 2), np.int64)


@lru_cache(maxsize=1)
def engine() -> Plain:
    """Return the kernel, or the plain search where it was not built."""
    try:
        return _Kernel(LIBRARY)
    except (OSError, AttributeError):
        return Plain()


def remark() -> str | None:
    """Return one sentence when the plain search serves; None when the kernel is there."""
    if engine().name == "kernel":
        return None
    return "the compiled kernel is not there: the search runs in numpy, with the same results, several times slower"
