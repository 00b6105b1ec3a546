"""What a large external memory costs: a few times its bytes, however it is drawn and whatever is looked for in it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import h5diag as h5
from h5diag.case import Case, CaseBoard, DumpFile
from h5diag.measure.copies import agreeing, repeating_line
from h5diag.memory import AddressRange, MemoryImage, Segment
from h5diag.show.plots import plot_bits
from h5diag.show.report.sieve import make_sieve
from h5diag.show.spans import Look, bits_by_sector, lanes, spans_of

SIZE, BASE = 16 << 20, 0x90000000
CONTENT = np.random.default_rng(5).integers(0, 256, SIZE, np.uint8)


def peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def judged(image: MemoryImage) -> object:
    dump = DumpFile("dump.bin", image)
    return lanes(h5.diagnose(Case("t", Path(), suspects=(CaseBoard("suspect", dumps=(dump,)),))).first.measured)


@pytest.mark.parametrize("fill", [None, 0xFF, 0x00])
@pytest.mark.parametrize("work", [spans_of, repeating_line, judged])
def test_a_large_dump_is_looked_at_window_by_window(work: Callable[[MemoryImage], object], fill: int | None) -> None:
    content = CONTENT.copy()
    if fill is not None:
        content[0x1000:] = fill
    work(MemoryImage((Segment(BASE, content[:0x10000]),)))  # what is loaded once
    assert peak(lambda: work(MemoryImage((Segment(BASE, content),)))) < SIZE


def pair(good: np.ndarray, suspect: np.ndarray, start: int = BASE) -> Case:
    boards = [
        CaseBoard(name, dumps=(DumpFile(f"{name}.bin", MemoryImage((Segment(start, data),))),))
        for name, data in (("good", good), ("suspect", suspect))
    ]
    return Case("t", Path(), good=boards[0], suspects=(boards[1],))


@pytest.mark.parametrize("start", [0x0C000000, 0x90000000])
def test_bits_by_sector_are_the_same_however_many_areas_are_joined(start: int, monkeypatch: pytest.MonkeyPatch) -> None:
    good = CONTENT[: 1 << 17]
    bad = good.copy()
    bad[::48] ^= 0x11
    bad[0x4100:0x9000] = 0xFF
    bad[0xE000:0x10000] = good[0xE000:0x10000]
    each = h5.diagnose(pair(good, bad, start)).first.measured
    monkeypatch.setattr("h5diag.judge.measured.JUDGED_AREAS", 64)
    few = h5.diagnose(pair(good, bad, start)).first.measured
    assert len(few.comparison.areas) < 64 < 1000 < len(each.comparison.areas)
    assert bits_by_sector(few) == bits_by_sector(each)
    assert sum(up + down for _, up, down in bits_by_sector(few)) == each.comparison.risen + each.comparison.fallen


def test_a_picture_of_a_large_memory_has_as_many_columns_as_one_of_a_flash(monkeypatch: pytest.MonkeyPatch) -> None:
    good = CONTENT[: 1 << 18]
    bad = good.copy()
    bad[::64] ^= 1
    m = h5.diagnose(pair(good, bad)).first.measured
    monkeypatch.setattr("h5diag.show.plots.boards.MOST_COLUMNS", 5)
    ax = plot_bits(m)
    assert len(ax.containers[0]) == 4
    assert "64 KiB each" in ax.get_xlabel()
    heights = [sum(abs(bar.get_height()) for bar in bars) for bars in ax.containers]
    assert heights == [m.comparison.risen, m.comparison.fallen]


def test_a_redaction_knows_a_large_content_in_its_own_size() -> None:
    make_sieve([CONTENT[:0x10000]])
    content = np.resize(CONTENT, 2 * SIZE)
    assert peak(lambda: make_sieve([content])) < 3 * content.size
    assert make_sieve([content]).hits(content[0x123456:][:15]).size


@pytest.mark.parametrize("line", [8, 12, 20, 23])
def test_a_repeated_line_is_found_wherever_content_begins(line: int) -> None:
    bit = 1 << line
    data = CONTENT[: max(4 * bit, 0x20000)].copy() if 4 * bit <= SIZE else CONTENT.copy()
    at = np.arange(data.size)
    data[(at & bit) != 0] = data[at[(at & bit) != 0] - bit]
    data[: bit // 2] = data[bit : bit + bit // 2] = 0xFF
    weight, first = repeating_line(MemoryImage((Segment(BASE, data),)))
    assert weight == bit
    assert first == AddressRange(BASE + bit, BASE + 2 * bit)
    assert repeating_line(MemoryImage((Segment(BASE, CONTENT[: data.size]),)))[0] == 0


def test_what_agrees_is_counted_over_all_windows() -> None:
    one, other = CONTENT[: 3 << 20], CONTENT[: 3 << 20].copy()
    other[5::1000] ^= 1
    tells = (one != 0xFF) & (one != 0)
    assert agreeing(one, other) == (int(tells.sum()), int((tells & (one == other)).sum()))


def test_looks_are_the_same_over_the_edges_of_windows() -> None:
    data = CONTENT[: 5 << 20].copy()
    data[(1 << 20) - 700 : (1 << 20) + 9000] = 0xFF
    data[3 << 20 : (3 << 20) + 4096] = 0
    image = MemoryImage((Segment(BASE + 100, data),))
    spans = spans_of(image, differing=[AddressRange(BASE + 100 + (2 << 20), BASE + 100 + (2 << 20) + 8192)])
    assert [s.look for s in spans] == [
        *(Look.CONTENT, Look.ERASED, Look.CONTENT, Look.DIFFERS),
        *(Look.CONTENT, Look.ZERO, Look.CONTENT),
    ]
    assert spans[1].range == AddressRange(BASE + 100 + (1 << 20) - 700, BASE + 100 + (1 << 20) + 9000)


@pytest.mark.parametrize("shape", ["random", "erased in turn", "zero in turn", "lone bits", "moved"])
def test_a_pair_that_differs_everywhere_is_judged_in_a_few_times_its_bytes(shape: str) -> None:
    bad = CONTENT.copy()
    if shape == "random":
        bad = np.random.default_rng(6).integers(0, 256, SIZE, np.uint8)
    elif shape == "lone bits":
        bad[::64] ^= 1
    elif shape == "moved":
        bad = np.roll(bad, 8192)
    else:
        bad.reshape(-1, 2, 16)[:, 1] = 0xFF if shape == "erased in turn" else 0
    judged(MemoryImage((Segment(BASE, CONTENT[:0x10000]),)))  # what is loaded once
    diagnoses = []
    assert peak(lambda: diagnoses.append(h5.diagnose(pair(CONTENT, bad)))) < 16 * SIZE
    m = diagnoses[0].first.measured
    assert len(m.comparison.areas) <= 3 * SIZE // 8192
    assert m.comparison.differing_bytes == m.difference.differing == int(np.count_nonzero(bad != CONTENT))
