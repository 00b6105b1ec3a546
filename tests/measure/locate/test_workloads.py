"""The benchmark's own truth: what it plants can be told, and what it adds is not of the reference."""

import sys
from pathlib import Path

import numpy as np
import pytest

from .conftest import code

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"


@pytest.fixture
def bench(monkeypatch):
    """Return the benchmark with firmware of our own: each library has its own bytes."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import locate_bench

    pools = {"libc": (code(1 << 20, 1) & 0x7F,), "libstdc++": (code(1 << 20, 2) | 0x80,)}
    pools["thumb"] = pools["libc"] + pools["libstdc++"]
    monkeypatch.setattr(locate_bench, "stock", lambda: (pools, "made"))
    yield locate_bench
    for name in ("locate_bench", "locate_workloads"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("seed", range(8))
def test_what_comes_new_in_another_build_is_of_another_library(bench, seed):
    w = bench.drifting(np.random.default_rng(seed))
    planted = np.zeros(w.dump.size, np.bool_)
    for p in w.pieces:
        planted[p.dump : p.dump + p.size] = True
        changed = w.dump[p.dump : p.dump + p.size] != w.reference[p.reference : p.reference + p.size]
        assert np.count_nonzero(changed) <= p.size / 200
    end = max(p.dump + p.size for p in w.pieces)
    new = w.dump[:end][~planted[:end]]
    assert new.size
    assert not set((w.reference >> 7).tolist()) & set((new >> 7).tolist())


def test_no_piece_is_fill_from_end_to_end(bench):
    reference = np.resize(np.array([1, 0], np.uint8), 200_000)
    reference[-20_000:] = code(20_000, 3)
    w = bench.planted(np.random.default_rng(4), "", reference, np.full(1 << 20, 0xFF, np.uint8), 40, 256, 4096)
    assert len(w.pieces) == 40
    assert all(p.reference + p.size > 180_000 for p in w.pieces)
