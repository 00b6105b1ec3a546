"""A bench for cases as people bring them: a program that never existed, and what happened to it.

The programs are random words with a vector table and literals that point into them; nothing here knows how a check
looks for anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from h5diag.case import load_case
from h5diag.evidence.files import write_image
from h5diag.evidence.samples import data_folder
from h5diag.judge import BoardDiagnosis, diagnose
from h5diag.memory import MemoryImage, Segment

BASE = 0x08000000
SIZE = 0x200000
Bytes = np.ndarray


def program(seed: int, size: int = 0x9000, base: int = BASE) -> Bytes:
    """Return a program linked at `base`: vectors, dense words, and every 64 bytes an address of its own."""
    rng = np.random.default_rng(seed)
    words = rng.integers(0x01010101, 0xF7F7F7F7, size // 4, dtype=np.uint32)
    words[16::16] = base + (rng.integers(0x200, size, words[16::16].size) & ~np.int64(1)).astype(np.uint32)
    words[0] = 0x20040000
    words[1:16] = base + 0x201 + 4 * np.arange(15, dtype=np.uint32)
    return words.view(np.uint8).copy()


def flash(*parts: tuple[int, Bytes], size: int = SIZE, fill: int = 0xFF) -> Bytes:
    """Return a whole flash with `parts` at their offsets."""
    out = np.full(size, fill, np.uint8)
    for at, data in parts:
        out[at : at + data.size] = data
    return out


def listing(**values: str) -> str:
    """Return an option listing of a plain board (TrustZone off, open) with single values replaced."""
    text = (data_folder() / "sound" / "good-ob.txt").read_text("utf-8")
    text = text.replace(": 0xB4 (Trust", ": 0xC3 (Trust")
    lines = []
    for line in text.split("\n"):
        name = line.split(":")[0].strip()
        lines.append(f"{line.split(':')[0]}: {values[name]}" if name in values and ":" in line else line)
    return "\n".join(lines)


class Bench:
    """A case folder in the making."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.toml: list[str] = []
        self.suspect: list[str] = ['name = "unit 7"']
        self.good: list[str] = []
        self.rest: list[str] = []

    def dump(self, *reads: Bytes, good: bool = False, base: int = BASE) -> Bench:
        """Add a board's reads."""
        names = []
        for i, data in enumerate(reads):
            name = f"{'good' if good else 'unit'}-{i}.hex"
            write_image(MemoryImage((Segment(base, data),)), self.folder / name)
            names.append(name)
        (self.good if good else self.suspect).append(f"dumps = {names}".replace("'", '"'))
        return self

    def image(self, name: str, data: Bytes, base: int | None = BASE) -> Bench:
        """Add a file that was to be flashed; without `base` a binary whose address nobody gave."""
        if base is None:
            (self.folder / name).write_bytes(data.tobytes())
        else:
            write_image(MemoryImage((Segment(base, data),)), self.folder / name)
        self.rest.append(f'[[images]]\nfile = "{name}"')
        return self

    def text(self, key: str, text: str, *, good: bool = False) -> Bench:
        """Add a text of a board."""
        name = f"{'good' if good else 'unit'}-{key}.txt"
        (self.folder / name).write_text(text, "utf-8")
        (self.good if good else self.suspect).append(f'{key} = "{name}"')
        return self

    def say(self, line: str) -> Bench:
        """Add a line about the suspect."""
        self.suspect.append(line)
        return self

    def head(self, line: str) -> Bench:
        """Add a line about the case."""
        self.toml.append(line)
        return self

    def log(self, text: str) -> Bench:
        """Add a log of the programming."""
        (self.folder / "program.log").write_text(text, "utf-8")
        self.rest.append('[provisioning]\nlogs = ["program.log"]')
        return self

    def first(self) -> BoardDiagnosis:
        """Write the case and return what is said of the suspect."""
        parts = [*self.toml]
        if self.good:
            parts += ["[good]", *self.good]
        parts += ["[suspect]", *self.suspect, *self.rest]
        (self.folder / "case.toml").write_text("\n".join(parts) + "\n", "utf-8")
        return diagnose(load_case(self.folder)).first


def leading(board: BoardDiagnosis) -> str:
    """Return the cause that the answer puts forward, empty when none."""
    for h in board.verdict.hypotheses:
        if h.status.value == "supported":
            return h.id
    for h in board.verdict.hypotheses:
        if h.status.value == "possible" and h.moves and h.score > h.cause.prior:
            return h.id if board.verdict.word.value != "sound" else ""
    return ""


def statuses(board: BoardDiagnosis) -> Mapping[str, str]:
    """Return the status of every cause."""
    return {h.id: h.status.value for h in board.verdict.hypotheses}


def cells_led(board: BoardDiagnosis) -> bool:
    """Tell whether a cause of the cells is put forward."""
    return leading(board) in ("worn-cells", "flash-defect")


def programmed(file: str, address: int, size_kib: float, *, ok: bool = True) -> str:
    """Return what a programmer prints of a run."""
    bad = "Error: Data mismatch found at address 0x08000400\nError: Download verification failed"
    end = "Download verified successfully" if ok else bad
    return (
        "STM32CubeProgrammer v2.20.0\n\nMemory Programming ...\n"
        f"Opening and parsing file: {file}\n  File          : {file}\n  Size          : {size_kib:.2f} KB\n"
        f"  Address       : 0x{address:08X}\n\nErasing memory corresponding to segment 0:\n"
        f"Download in Progress:\n\nFile download complete\nVerifying ...\n\n{end}\n"
    )
