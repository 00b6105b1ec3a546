"""Little evidence: what was read is told as far as it goes, and the next test closes what is open."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from .bench import BASE, Bench, flash, leading, program

PROGRAM = program(1)
CHIP = 'chip = "stm32h563zi"'


@pytest.mark.parametrize("size", [16, 0x2000])
@pytest.mark.parametrize("file", [False, True])
def test_an_erased_board_of_which_little_was_read_is_erased_as_far_as_read(
    tmp_path: Path, size: int, file: bool
) -> None:
    b = Bench(tmp_path).head(CHIP).dump(np.full(size, 0xFF, np.uint8))
    board = (b.image("app.hex", PROGRAM) if file else b).first()
    assert leading(board) == "erased-whole"
    assert board.verdict.hypothesis("erased-whole").status.value == "possible"
    ids = {f.id for f in board.findings}
    assert "erased-as-far-as-read" in ids
    assert "unexplained-difference" not in ids
    assert board.next_test.id == "read-whole"


def test_the_whole_read_takes_the_place_of_a_look_at_the_first_bytes(tmp_path: Path) -> None:
    b = Bench(tmp_path).head(CHIP).image("app.hex", PROGRAM)
    board = b.dump(np.full(16, 0xFF, np.uint8), flash()).first()
    assert board.verdict.hypothesis("erased-whole").status.value == "supported"
    assert board.next_test.id != "read-whole"
    assert board.measured.suspect.dump.span.size == flash().size
    assert board.measured.suspect.dump.span.start == BASE
