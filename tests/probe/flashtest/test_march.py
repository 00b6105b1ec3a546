"""The march programs its zeros upwards and then downwards: what spoils a cell that was programmed before shows."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from h5diag.memory import AddressRange
from h5diag.probe.flashtest import Way
from h5diag.probe.flashtest.plan import MARCH
from tests.probe.board.support import chip_of, writable

from .support import FIRST, RANGE, STANDARD, make_chip, run

VICTIM = 0x80


@pytest.mark.parametrize("aggressor", [0x70, 0x90, 0x1F70], ids=["one below", "one above", "at the other end"])
def test_programming_that_raises_a_cell_programmed_before_is_found_wherever_it_lies(aggressor, tmp_path, monkeypatch):
    chip = make_chip()
    base, program = FIRST - 0x08000000, chip.flash.cells.program

    def raising(offset, data):
        """Programming a 0 into one cell raises the other, whatever it holds; it may be programmed afterwards."""
        for i in range(0, data.size, 16):
            quad = data[i : i + 16]
            program(offset + i, quad)
            if offset + i == base + aggressor and not quad[3] & 4:
                chip.state.data[base + VICTIM + 3] |= 4

    monkeypatch.setattr(chip.flash.cells, "program", raising)
    result = run(chip, tmp_path / "t", STANDARD)
    assert [s.verdict for s in result.sectors] == ["bad", "good"]
    assert FIRST + VICTIM in {f.address for f in result.faults}


def test_each_round_programs_the_march_upwards_and_downwards(tmp_path):
    chip = make_chip()
    result = run(chip, tmp_path / "t", STANDARD)
    assert not [s for s in result.sectors if s.verdict != "good"]
    writes = [o.address for o in chip.flash.operations if o.kind == "program"]
    down = [(a, b) for a, b in pairwise(writes) if b == a - 16]
    assert len(down) == 2 * 2 * 511, "each sector once in each round"
    assert {s.order for s in STANDARD.steps if s.pattern == MARCH} == {"ascending"}


@pytest.mark.parametrize("way", [Way.REGISTERS, Way.ALGORITHM], ids=lambda w: w.value)
def test_downwards_programs_the_same_bytes_and_leaves_blank_quad_words_alone(way, tmp_path):
    from h5diag.memory import Access
    from h5diag.probe.flashtest import TestPlan
    from h5diag.probe.flashtest.programmer import choose_programmer
    from h5diag.probe.flashtest.survey import sectors_of

    data = np.random.default_rng(3).integers(0, 256, 0x2000, np.uint8)
    data[0x300:0x320] = 0xFF
    data[-16:] = 0xFF
    where = AddressRange(FIRST, FIRST + 0x2000)
    with writable(where) as board:
        programmer, _, _ = choose_programmer(board, TestPlan(RANGE, way=way, burst=256), Access.NONSECURE)
        assert programmer.way is way
        with programmer.erasing():
            programmer.erase(sectors_of(board.chip, where)[0])
        with programmer.programming():
            programmer.program([(FIRST, data)], descending=True)
        assert np.array_equal(board.read(FIRST, FIRST + 0x2000), data)
        writes = [o.address for o in chip_of(board).flash.operations if o.kind == "program"]
    assert writes == sorted(writes, reverse=True)
    assert len(writes) == 512 - 3
