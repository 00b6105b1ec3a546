"""Boards for the tests: each is a virtual chip behind the real pyOCD, at DP/AP level and at memory-interface level."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from h5diag.memory import AddressRange
from h5diag.probe.board import Board, Permissions, connect
from h5diag.sim.virtual import VirtualChip

LINKS = ("dap", "memory")
FLASH = AddressRange(0x08000000, 0x08200000)
SMALL = AddressRange(0x08040000, 0x08048000)


def chip_of(board: Board) -> VirtualChip:
    return board._session.probe.chip


def cells(board: Board, where: AddressRange) -> np.ndarray:
    """What the cells really hold, whatever a read brings."""
    chip = chip_of(board).description
    start = chip.canonical(where.start) - chip.flash.base
    return chip_of(board).state.data[start : start + where.size]


def writable(where: AddressRange, items: str = "", **more: bool) -> Board:
    """A connected board on which `where` may be erased."""
    return connect(f"virtual:{items}", permissions=Permissions(erase=(where,), ram=True, halt=True, **more))


@contextmanager
def served(*items: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`h5diag virtual` in another process, and its port."""
    command = [sys.executable, "-m", "h5diag", "virtual", "--port", "0"]
    for item in items:
        command += ["--fault", item]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            yield process, int(line.split("localhost:")[1].split(";")[0])
        finally:
            process.kill()
