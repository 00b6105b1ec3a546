"""The compiled pass finds what numpy finds."""

import sys

import numpy as np
import pytest

from h5diag.measure.locate import fast, locate, seeds
from h5diag.measure.locate.sides import Watch

from .conftest import code, image_of

pytest.importorskip("numba")


@pytest.fixture
def compiled():
    """Let `compiled()` switch the compiled pass on; off again afterwards."""
    yield fast.warm_up
    fast._warm.clear()


@pytest.mark.parametrize("rate", [0, 4])
@pytest.mark.parametrize("mask", [seeds.NO_MASK, int.from_bytes(b"\xfe" * 8, "little")])
@pytest.mark.parametrize("looked_up", [False, True])
def test_same_keys(rate, mask, looked_up, compiled):
    data = code(200_003, 40)
    data[5000:9000] = 0
    blocks = np.random.default_rng(1).random(-(-data.size // 64)) < 0.8
    known = seeds.table(seeds.sample(code(50_000, 40), np.ones(782, np.bool_), 0, Watch(None, None)), Watch(None, None))
    known = known if looked_up else None
    slow = seeds.sample(data, blocks, rate, Watch(None, None), mask=mask, known=known)
    assert compiled()
    quick = seeds.sample(data, blocks, rate, Watch(None, None), mask=mask, known=known)
    order = np.argsort(slow.positions)
    assert slow.size > 0
    other = np.argsort(quick.positions)
    assert np.array_equal(slow.positions[order], quick.positions[other])
    assert np.array_equal(slow.hashes[order], quick.hashes[other])


def test_same_placement(compiled):
    reference, dump = code(1 << 18, 41), code(1 << 18, 42)
    dump[70_001:90_000] = reference[1000:20_999]
    dump[150_000:150_200] = reference[200_000:200_200]
    slow = locate(image_of(reference), image_of(dump))
    assert compiled()
    assert locate(image_of(reference), image_of(dump)) == slow


def test_without_numba_nothing_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    assert not fast.warm_up()
    assert fast.kernel() is None


def test_only_words_at_a_multiple():
    data, blocks, watch = code(30_000, 43), np.ones(469, np.bool_), Watch(None, None)
    every = seeds.sample(data, blocks, 0, watch).positions
    assert np.array_equal(seeds.sample(data, blocks, 0, watch, stride=4).positions, every[every % 4 == 0])


def test_packed_table_knows_the_same(compiled, monkeypatch):
    data, blocks, watch = code(300_000, 44), np.ones(4688, np.bool_), Watch(None, None)
    some = seeds.sample(code(100_000, 44), np.ones(1563, np.bool_), 0, watch)
    plain = seeds.table(some, watch)
    monkeypatch.setattr(seeds, "PACKED_FROM", 14)
    packed = seeds.table(some, watch)
    assert packed.packed
    assert packed.first.size * 8 == plain.first.size
    want = np.sort(seeds.sample(data, blocks, 0, watch, known=plain).positions)
    assert np.array_equal(np.sort(seeds.sample(data, blocks, 0, watch, known=packed).positions), want)
    assert compiled()
    assert np.array_equal(np.sort(seeds.sample(data, blocks, 0, watch, known=packed).positions), want)
    stride = seeds.sample(data, blocks, 0, watch, stride=4).positions
    assert stride.size > 0
    assert not (stride % 4).any()
