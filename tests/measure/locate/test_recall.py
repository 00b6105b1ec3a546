"""What was once missed or flagged weak although it stands there to the byte."""

import numpy as np
import pytest

from h5diag.measure.locate import locate

from .conftest import BASE, board, code, image_of

HANDLER = np.frombuffer((0x080158AE).to_bytes(4, "little"), np.uint8)


def strong_at(p, displacement):
    return sorted((r.dump_start - BASE, r.size) for r in p.strong if r.displacement == displacement)


def test_a_piece_that_begins_with_a_table_is_scored_on_all_of_it():
    """Among many pieces each is scored on 256 bytes; where these are one handler's table that says nothing."""
    reference, dump = code(1 << 20, 100), np.full(1 << 20, 0xFF, np.uint8)
    reference[500_001 : 500_001 + 300] = np.resize(HANDLER, 300)
    for k in range(120):
        dump[k * 8192 + 3 : k * 8192 + 703] = reference[k * 3000 : k * 3000 + 700]
    dump[1_000_003 : 1_000_003 + 600] = reference[500_001 : 500_001 + 600]
    p = locate(image_of(reference), image_of(dump))
    assert strong_at(p, 500_002) == [(1_000_003, 600)]


@pytest.mark.parametrize("size", [336, 1000])
def test_a_table_of_small_numbers_is_found(size):
    """Of its words of eight bytes each has six zeros."""
    reference, dump = code(1 << 18, 101), np.full(1 << 18, 0xFF, np.uint8)
    table = np.random.default_rng(101).integers(1, 256, size // 4).astype("<u4").view(np.uint8)
    reference[70_001 : 70_001 + size] = dump[200_002 : 200_002 + size] = table
    (found,) = strong_at(locate(image_of(reference), image_of(dump)), 130_001)
    assert found[1] >= size - 8


def test_records_do_not_fall_in_step_with_the_sampled_words():
    """Records of 32 bytes at a multiple of 64: every 64th word is the same field."""
    reference, dump = code(9 << 20, 102), code(9 << 20, 103)
    rng = np.random.default_rng(102)
    records = np.zeros((300, 4), "<u8")
    records[:, 0], records[:, 1], records[:, 2] = (
        0x01D2B7A0,
        rng.integers(1 << 20, 1 << 25, 300),
        rng.integers(1 << 40, size=300),
    )
    table = records.view(np.uint8).ravel()
    reference[1 << 20 : (1 << 20) + table.size] = table
    at = (5 << 20) + 77
    dump[at : at + table.size] = table
    (found,) = strong_at(locate(image_of(reference), image_of(dump)), (4 << 20) + 77)
    assert found[0] == at
    assert found[1] >= table.size - 16


@pytest.mark.parametrize("end", ["start", "stop"])
def test_the_table_at_an_end_of_a_piece_belongs_to_it(end):
    """It is fill, of a period of eight bytes; what stands beside the piece is something else."""
    reference, dump = code(1 << 18, 104), code(1 << 18, 105)
    reference[:0x10000] = dump[:0x10000]
    reference[0x14000:0x18000] = dump[0x14000:0x18000]
    piece = code(0x4000, 106)
    table = slice(0, 6000) if end == "start" else slice(0x4000 - 6000, 0x4000)
    piece[table] = np.resize(np.frombuffer((0x0801_58AE).to_bytes(8, "little"), np.uint8), 6000)
    reference[0x30001:0x34001] = dump[0x10000:0x14000] = piece
    p = locate(image_of(reference), image_of(dump))
    assert strong_at(p, 0x10000 - 0x30001) == [(0x10000, 0x4000)]


def test_of_two_copies_the_one_that_agrees_before_is_followed_too():
    """The other one agrees a byte further, by chance."""
    reference, dump = code(1 << 18, 107), np.full(1 << 18, 0xFF, np.uint8)
    island = np.zeros(700, np.uint8)
    island[[3, 50, 130, 190]] = 7, 9, 11, 13
    piece = np.concatenate([island, code(1500, 108)])
    reference[50_001 : 50_001 + piece.size] = piece
    reference[150_002 : 150_002 + 1500] = piece[700:]
    reference[50_001 + piece.size], reference[150_002 + 1500] = 0x55, 0xFF
    dump[99_999 : 99_999 + piece.size] = piece
    found = strong_at(locate(image_of(reference), image_of(dump)), 99_999 - 50_001)
    assert (99_999 + 700, 1500) in [(s + n - 1500, 1500) for s, n in found]


def test_what_explains_a_whole_island_is_compared_with_islands():
    """Forty bytes alone between erased flash are certain; the same amid other code could be chance."""
    reference, amid = board(110, 1 << 21), board(111, 1 << 21)
    alone = amid.copy()
    alone[1 << 20 :] = 0xFF
    for k in range(5):
        at, piece = (1 << 20) + 150_001 * (k + 1), reference[100_000 * (k + 1) :][:40]
        amid[at : at + 40] = alone[at : at + 40] = piece
    p = locate(image_of(reference), image_of(alone))
    assert [r.size for r in p.strong] == [40] * 5
    p = locate(image_of(reference), image_of(amid))
    assert p.strong == ()
    assert len(p.weak) >= 3


def test_of_two_copies_the_one_with_more_around_it_is_taken_under_noise():
    """Every extension ends in the zeros; behind them the other copy has one byte less wrong."""
    reference, dump = code(1 << 18, 112), np.full(1 << 18, 0xFF, np.uint8)
    reference[0x28000:0x28800] = reference[0x2C800:0x2D000] = 0
    reference[0x3FFF:0x8FFF] = reference[0x28000:0x2D000]
    wrong = np.packbits(np.random.default_rng(112).random((0xD000, 8)) < 0.02, axis=1).ravel()
    dump[0x10002:0x1D002] = reference[0x20000:0x2D000] ^ wrong
    at = 0xA000 + int(np.flatnonzero(wrong[0xA000:])[0])
    reference[0x3FFF + at - 0x8000] = dump[0x10002 + at]
    p = locate(image_of(reference), image_of(dump))
    assert {r.displacement for r in p.strong} == {0x10002 - 0x20000}
    assert sum(r.size for r in p.strong) >= 0xD000 - 2 * 0x800 - 64


def test_a_table_that_is_there_is_not_taken_for_one_that_resembles_it():
    """Five tables of one program share two thirds of each row; their bytes are rare elsewhere and weigh much."""
    reference, dump = code(1 << 20, 108), np.full(1 << 20, 0xFF, np.uint8)
    rng = np.random.default_rng(108)
    rare = np.argsort(np.bincount(reference, minlength=256))[:64].astype(np.uint8)
    rows = rng.choice(rare, (20, 12))
    for k in range(5):
        rows[:, 9:] = rng.choice(rare, (20, 3))
        reference[300_001 + 2050 * k :][:240] = rows.ravel()
    dump[700_003:][:240] = reference[300_001 + 2050 * 3 :][:240]
    (found,) = locate(image_of(reference), image_of(dump)).strong
    assert (found.reference_start - BASE, found.equal_bytes, found.size) == (300_001 + 2050 * 3, 240, 240)
