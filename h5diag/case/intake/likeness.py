"""What memory files say about each other: a program stands whole in a dump, two reads of one board look alike.

Names mislead: a build of just 64 KiB looks like a read, and ``dump_a`` beside ``dump_b`` like two boards. Their bytes
tell, and only where the names do not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from h5diag.case.intake.kinds import A_VIEW, KIT_WORDS, MEMORY_WORDS, READ_WORDS, BoardSide, Evidence, FileRole, Name
from h5diag.chip import load_chip
from h5diag.measure.programs import find_whole
from h5diag.measure.repeats import ReadPattern, alike, compare_reads
from h5diag.memory import Bytes, MemoryImage

PART = 0.6
"""A file that is larger than this part of the other is no program in it, but a read of its own."""
CHUNK = 32
"""Bytes: the smallest chunk of zeros that is taken for one which the reading path lost."""
MOST_LONE = 4096
"""Bytes in which two reads of one board may differ, a lone bit each."""

ROUND = 256
"""Somebody who reads a chip reads so many bytes or a multiple; a build ends where its last byte is."""


def by_content(files: Sequence[Evidence]) -> list[Evidence]:
    """Return the files with the roles and boards that their bytes tell, where names tell nothing."""
    files = [_written(e, files) for e in files]
    memory = [e for e in files if e.role in (FileRole.DUMP, FileRole.LATER) and e.what != A_VIEW]
    images = {e.path: e.image for e in memory if e.image is not None}
    labels = {e.path: e.name for e in memory}
    out = [_program(e, images, labels) if e.path in images else e for e in files]
    reads = [e for e in out if e.path in images and e.role is FileRole.DUMP]
    names = {e.path: e.name for e in reads}
    for i, one in enumerate(reads):
        for other in reads[i + 1 :]:
            if _may_be_one(one, other) and _alike(images[one.path], images[other.path]):
                first = names[one.path]
                names[other.path] = replace(names[other.path], board=first.board, number=first.number)
    names |= _apart(reads, names, images)
    return [replace(e, name=names[e.path]) if e.path in names else e for e in out]


def is_build(e: Evidence, dumps: Sequence[Evidence]) -> bool:
    """Tell whether a file called after the flash or the memory alone is what was to be flashed, beside a read of it."""
    if e.role is not FileRole.DUMP or e.image is None or e.beside or e.name.side or e.name.later:
        return False
    if not e.name.words & MEMORY_WORDS or e.name.words & READ_WORDS or e.name.address is not None:
        return False
    others = [o.image for o in dumps if o is not e and o.image is not None]
    odd = len(e.image.segments) == 1 and bool(e.image.size % ROUND)
    return odd and any(o.size > e.image.size and o.size % ROUND == 0 for o in others)


def _apart(reads: Sequence[Evidence], names: dict[Path, Name], images: dict[Path, MemoryImage]) -> dict[Path, Name]:
    """Give a dump whose name tells no board one of its own, beside a named board whose dumps hold other content.

    ``unit7.bin`` and ``readout.bin`` may be two reads of one board: their bytes tell. A development board beside
    another name is another board whatever they hold.
    """
    if len({n.board for n in names.values() if n.board}) != 1 or any(n.side for n in names.values()):
        return {}
    named = [e for e in reads if names[e.path].board]
    kit = any(e.name.words & KIT_WORDS for e in named)
    return {
        e.path: replace(names[e.path], board=" ".join(re.findall(r"[a-z]+|\d+", e.path.stem.lower())))
        for e in reads
        if not names[e.path].board and (kit or not any(alike(images[n.path], images[e.path]) for n in named))
    }


def _written(e: Evidence, files: Sequence[Evidence]) -> Evidence:
    """A file that a log says was written to a chip was made, not read, whatever its name says."""
    teller = next((o for o in files if e.path.name.lower() in o.writes), None)
    if teller is None or e.role not in (FileRole.DUMP, FileRole.LATER) or e.name.side:
        return e
    return replace(e, role=FileRole.IMAGE, what=f"a program file: {teller.path.name} says that it was written")


def with_own_texts(
    groups: dict[str, tuple[BoardSide | None, list[Evidence]]],
) -> dict[str, tuple[BoardSide | None, list[Evidence]]]:
    """Return groups of files by board, where a bad_unit_log is of the board whose reads are bad_unit_1 and bad_unit_2."""
    for side in BoardSide:
        read = [
            k for k, (s, f) in groups.items() if s is side and any(e.role in (FileRole.DUMP, FileRole.LATER) for e in f)
        ]
        if len(read) == 1 and read[0] != side.value and side.value in groups:
            groups[read[0]][1].extend(groups.pop(side.value)[1])
    return groups


def _may_be_one(one: Evidence, other: Evidence) -> bool:
    """Tell whether the names of two dumps leave it open that they are reads of one board.

    ``bad_board-1`` and ``bad_board-2`` count reads or boards: the bytes tell. A development board beside another
    name is a board of its own.
    """
    if (one.name.board, one.name.number) == (other.name.board, other.name.number):
        return False
    if bool(one.name.words & KIT_WORDS) != bool(other.name.words & KIT_WORDS):
        return False
    if one.path.name == other.path.name and one.name.number and other.name.number:
        return False  # quad1/flash.bin, quad2/flash.bin: their folders count, and those are boards
    told = any(e.name.side or e.name.number for e in (one, other))
    return not told or (one.name.side is other.name.side and _series(one.path) == _series(other.path))


def _series(path: Path) -> str:
    return re.sub(r"[\d_\- ]+", "", path.stem.lower())


def _program(e: Evidence, images: dict[Path, MemoryImage], labels: dict[Path, Name]) -> Evidence:
    """A file that stands whole in a larger dump was made, not read, whatever its length."""
    own = images[e.path]
    # A good_fw.bin that ends in the middle of a page is a build, not a read of the good board.
    sided = e.name.side and own.size % 256 == 0
    if e.name.says_dump or sided or e.name.address is not None or e.beside:
        return e
    # my_board-2.hex beside my_board-1.bin is the next read, saved in another form; customer_unit.hex beside
    # ref_board.bin is another board's.
    if e.name.counted and any(p != e.path and (n.counted or _series(p) == _series(e.path)) for p, n in labels.items()):
        return e
    for path, dump in images.items():
        if path != e.path and own.size < PART * dump.size and find_whole(own, dump, load_chip()):
            return replace(e, role=FileRole.IMAGE, what=f"a program file: it stands whole in {path.name}")
    return e


def _in_zeros(data: Bytes, places: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Tell of each place whether it lies in a chunk of `CHUNK` zeros, as a probe hands over that lost one."""
    zero = np.concatenate(([0], np.cumsum(data == 0, dtype=np.int64)))
    start = places // CHUNK * CHUNK
    return np.asarray(zero[np.minimum(start + CHUNK, data.size)] - zero[start] == CHUNK)


def _alike(one: MemoryImage, other: MemoryImage) -> bool:
    """Tell whether two dumps are equal but for what reading adds, as two reads of one board are.

    That is lone bits, chunks that came as zeros, and words that were lost in a window. A read that was saved without
    its erased end is compared as far as it goes.
    """
    if one.span.start != other.span.start or len(one.segments) != 1 or len(other.segments) != 1:
        return one.ranges == other.ranges and all(
            bool(np.array_equal(a.data, b.data)) for a, b in zip(one.segments, other.segments, strict=True)
        )
    size = min(one.size, other.size)
    if not bool((max(one, other, key=lambda i: i.size).segments[0].data[size:] == 0xFF).all()):
        return False
    a, b = one.segments[0].data[:size], other.segments[0].data[:size]
    changed = a ^ b
    places = np.flatnonzero(changed)
    places = places[~(_in_zeros(a, places) | _in_zeros(b, places))]
    lone = int(np.bitwise_count(changed[places]).sum(dtype=np.int64)) == np.unique(places // 4).size
    if lone and places.size <= MOST_LONE:
        return bool(((a != 0xFF) & (a != 0)).any())
    return places.size <= MOST_LONE and compare_reads((one, other)).pattern is ReadPattern.SHIFT
