"""Random pairs of sparse images for as long as wanted: ``python -m soak_locate --runs 5000 --seed 1``."""

from __future__ import annotations

import argparse

import numpy as np

from h5diag.layout import load_layout
from h5diag.measure.locate import Transform, correlate, locate
from h5diag.memory import MemoryImage, Segment

from .conftest import code

LAYOUT = load_layout("oemirot-2m-overwrite")
POOL = code(20_000, 5)


def any_image(rng: np.random.Generator) -> MemoryImage:
    """Return up to four segments of fill, noise, tables or pieces of one pool, with and without gaps between."""
    segments = []
    at = int(rng.choice([0x08000000, 0x0C000000, 0x0BFFF000, 0, 0x080FF000])) + int(rng.integers(0, 50))
    for _ in range(rng.integers(0, 5)):
        n = int(rng.integers(1, 4000))
        s = int(rng.integers(0, POOL.size - n))
        match rng.integers(0, 6):
            case 0:
                data = np.full(n, rng.integers(0, 256), np.uint8)
            case 1:
                data = rng.integers(0, 256, n, dtype=np.uint8)
            case 2:
                data = np.resize(rng.integers(0, 256, rng.integers(1, 70), dtype=np.uint8), n)
            case 3:
                data = POOL[s : s + n] ^ np.uint8(rng.choice([0, 255, 8]))
            case _:
                data = POOL[s : s + n].copy()
                data[rng.integers(0, n, rng.integers(0, 30))] ^= 4
        segments.append(Segment(at, data))
        at += n + int(rng.choice([0, 1, 7, 100, 4096]))
    return MemoryImage(tuple(segments))


def checked_pair(rng: np.random.Generator) -> None:
    """Search a random pair and hold every region against the bytes of both images."""
    a, b = any_image(rng), any_image(rng)
    p = locate(
        a, b, transforms=bool(rng.integers(2)), deep=bool(rng.integers(2)), layout=LAYOUT if rng.integers(2) else None
    )
    assert str(p)
    assert len(p.to_dict()["regions"]) == len(p.regions)
    end = -1
    for r in p.regions:
        assert r.dump_start >= end
        end = r.dump_range.stop
        x, y = a.read(r.reference_start, r.reference_range.stop), b.read(r.dump_start, r.dump_range.stop)
        if r.transform is Transform.AS_IS:
            assert r.equal_bytes == int((x == y).sum())
            assert r.bit_errors == int(np.unpackbits(x ^ y).sum())
    correlate(a, b, p, layout=LAYOUT)


def main() -> None:
    """Run as many pairs as asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    for _ in range(options.runs):
        checked_pair(rng)


if __name__ == "__main__":
    main()
