"""What a virtual chip keeps between runs: cells, the state of each quad-word and the option bytes.

The file is mapped, so that a chip process that is killed leaves what its flash held at that moment.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from h5diag.chip import Chip
from h5diag.errors import InputError
from h5diag.sim.virtual.boards import Board
from h5diag.sim.virtual.cells import VIRGIN, WRITTEN

_HEADER = 8192
_KIND = "h5diag virtual flash 1"


class State:
    """Cells, marks and options of a chip, in memory or in a mapped file.

    Parameters
    ----------
    path
        File, made from the board when absent; empty keeps everything in memory.
    chip, board
        What a new chip is made of.

    Raises
    ------
    InputError
        When the file is of another kind or of another chip.
    """

    def __init__(self, path: str, chip: Chip, board: Board) -> None:
        size, quads = chip.flash.size, chip.flash.size // chip.flash.program_unit
        self.options = dict(board.options)
        self._header: npt.NDArray[np.uint8] | None = None
        self._name = chip.name
        fresh = True
        if path:
            file = Path(path)
            fresh = not file.exists()
            if fresh:
                file.write_bytes(b"\0" * (_HEADER + size + quads))
            elif file.stat().st_size != _HEADER + size + quads:
                raise InputError("not the kept flash of this virtual chip", source=path, advice="name a new file")
            mapped = np.memmap(file, np.uint8, "r+")
            self._header = mapped[:_HEADER]
            self.data, self.marks = mapped[_HEADER : _HEADER + size], mapped[_HEADER + size :]
            if not fresh:
                self.options = self._load(path)
        else:
            self.data, self.marks = np.empty(size, np.uint8), np.empty(quads, np.uint8)
        if fresh:
            self.data[:] = board.flash
            written = (board.flash.reshape(quads, -1) != 0xFF).any(axis=1)
            self.marks[:] = np.where(written, WRITTEN, VIRGIN)
            self.keep(self.options)

    def _load(self, path: str) -> dict[str, int]:
        assert self._header is not None
        try:
            table = json.loads(self._header.tobytes().rstrip(b"\0"))
            if table["kind"] != _KIND or table["chip"] != self._name:
                raise ValueError
            return {str(k): int(v) for k, v in table["options"].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InputError("not the kept flash of this virtual chip", source=path, advice="name a new file") from None

    def keep(self, options: dict[str, int]) -> None:
        """Write the option bytes into the header of the file, if there is one."""
        if self._header is not None:
            text = json.dumps({"kind": _KIND, "chip": self._name, "options": options}).encode()
            self._header[:] = np.frombuffer(text.ljust(_HEADER, b"\0"), np.uint8)
