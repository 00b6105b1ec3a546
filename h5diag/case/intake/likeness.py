"""What memory files say about each other: a program stands whole in a dump, two reads of one board look alike.

Names mislead: a build of just 64 KiB looks like a read, and ``dump_a`` beside ``dump_b`` like two boards. Their bytes
tell, and only where the names do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from h5diag.case.intake.kinds import Evidence, Role
from h5diag.chip import load_chip
from h5diag.errors import InputError
from h5diag.evidence.door import is_evidence, read_evidence
from h5diag.evidence.files import read_image, sidecar_path
from h5diag.limits import MEMORY
from h5diag.measure.programs import find_whole
from h5diag.memory import MemoryImage

PART = 0.6
"""A file that is larger than this part of the other is no program in it, but a read of its own."""
MOST_LONE = 4096
"""Bytes in which two reads of one board may differ, a lone bit each."""


def by_content(files: Sequence[Evidence]) -> list[Evidence]:
    """Return the files with the roles and boards that their bytes tell, where names tell nothing."""
    memory = [e for e in files if e.role in (Role.DUMP, Role.LATER) and e.what != "a memory view"]
    images = {e.path: image for e in memory if (image := _image(e)) is not None} if len(memory) > 1 else {}
    out = [_program(e, images) if e.path in images else e for e in files]
    reads = [e for e in out if e.path in images and e.role is Role.DUMP and not e.name.side and not e.name.number]
    boards = {e.path: e.name.board for e in reads}
    for i, one in enumerate(reads):
        for other in reads[i + 1 :]:
            if boards[other.path] != boards[one.path] and _alike(images[one.path], images[other.path]):
                boards[other.path] = boards[one.path]
    return [replace(e, name=replace(e.name, board=boards[e.path])) if e.path in boards else e for e in out]


def _image(e: Evidence) -> MemoryImage | None:
    try:
        return read_image(read_evidence(e.path, limit=MEMORY, inside=e.inside))
    except InputError:
        return None


def _program(e: Evidence, images: dict[Path, MemoryImage]) -> Evidence:
    """A file that stands whole in a larger dump was made, not read, whatever its length."""
    own = images[e.path]
    if e.name.says_dump or e.name.side or e.name.address is not None or is_evidence(sidecar_path(e.path)):
        return e
    for path, dump in images.items():
        if path != e.path and own.size < PART * dump.size and find_whole(own, dump, load_chip()):
            return replace(e, role=Role.IMAGE, what=f"a program file: it stands whole in {path.name}")
    return e


def _alike(one: MemoryImage, other: MemoryImage) -> bool:
    """Tell whether two dumps of the same range are equal but for lone bits, as two reads of one board are."""
    if one.ranges != other.ranges:
        return False
    differing = 0
    for a, b in zip(one.segments, other.segments, strict=True):
        changed = a.data ^ b.data
        places = np.flatnonzero(changed)
        differing += int(places.size)
        words = np.unique(places // 4).size
        if int(np.bitwise_count(changed[places]).sum(dtype=np.int64)) != words:
            return False
    return differing <= MOST_LONE and any(bool(((s.data != 0xFF) & (s.data != 0)).any()) for s in one.segments)
