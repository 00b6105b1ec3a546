"""Firmware of a large external memory: found in a document, at an eighth of the memory that all its windows take."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from h5diag.show.report.sieve import LARGE, make_sieve

CONTENT = np.random.default_rng(8).integers(0, 256, LARGE + 999, np.uint8)


@pytest.fixture(scope="module")
def sieve():
    tracemalloc.start()
    made = make_sieve([CONTENT])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * LARGE  # all its windows alone are as large as that, and are sorted
    return made


@pytest.mark.parametrize("start", range(100_000, 100_008))
@pytest.mark.parametrize("size", [15, 16, 40])
def test_fifteen_bytes_of_it_are_found_wherever_they_begin(sieve, start, size):
    run = CONTENT[start : start + size].tobytes()
    left = sieve.without_spelled(f"before {run.hex(' ')} behind")
    assert "[bytes removed]" in left
    for at in range(size - 7):
        assert run[at : at + 8].hex(" ") not in left
    assert left.startswith("before ")
    assert left.endswith(" behind")


def test_what_is_not_in_it_stays(sieve):
    text = np.random.default_rng(9).integers(0, 256, 64, np.uint8).tobytes().hex(" ")
    assert sieve.without_spelled(text) == text
