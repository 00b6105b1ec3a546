"""The same memory at several link speeds: a bad cable disagrees the more the faster, a bad cell at every speed."""

from __future__ import annotations

import numpy as np

from h5diag.memory import AddressRange, Cancel, Progress
from h5diag.probe.acquire.reader import Piece, read_pieces
from h5diag.probe.acquire.result import Dump, SpeedPoint
from h5diag.probe.board import Board

SPEEDS_HZ = (500_000, 1_000_000, 4_000_000, 8_000_000, 16_000_000, 24_000_000)
_MOST_BYTES = 0x40000


def sweep(
    board: Board,
    dumped: Dump,
    *,
    speeds_hz: tuple[int, ...] = SPEEDS_HZ,
    progress: Progress = lambda fraction: None,
    cancel: Cancel = lambda: False,
) -> tuple[SpeedPoint, ...]:
    """Read what was dumped once more at each speed and count the bytes that differ from it or fail.

    At most 256 KB are read per speed, spread over the dump. The speed is put back in the end.

    Raises
    ------
    ProbeError
        When the link fails for good.
    """
    areas = _sample(dumped)
    before = board.frequency_hz
    out: list[SpeedPoint] = []
    try:
        for i, speed in enumerate(sorted(speeds_hz)):
            board.set_frequency(speed)
            read, bad = 0, 0
            for area in areas:
                if cancel():
                    return tuple(out)
                read += area.size
                bad += _disagreeing(board, dumped, area)
            out.append(SpeedPoint(speed, read, bad))
            progress((i + 1) / len(speeds_hz))
    finally:
        board.set_frequency(before)
    return tuple(out)


def _disagreeing(board: Board, dumped: Dump, area: AddressRange) -> int:
    bad = 0
    for found in read_pieces(lambda a, b: board.read(a, b, access=dumped.image.access), area):
        if isinstance(found, Piece):
            bad += int(np.count_nonzero(found.data != dumped.image.read(found.start, found.start + found.data.size)))
        else:
            bad += found.range.size
    return bad


def _sample(dumped: Dump) -> list[AddressRange]:
    chunks = [
        AddressRange(a, min(r.stop, a + 0x4000)) for r in dumped.image.ranges for a in range(r.start, r.stop, 0x4000)
    ]
    step = max(1, -(-sum(c.size for c in chunks) // _MOST_BYTES))
    return chunks[::step]
