"""A sample of what ``make fuzz`` runs for long."""

import runpy
from pathlib import Path

import pytest

FUZZ = runpy.run_path(str(Path(__file__).parents[2] / "fuzz" / "fuzz_texts.py"))


@pytest.mark.parametrize("seed", range(4))
def test_a_sample_of_broken_texts(seed):
    for data in FUZZ["mutated"](seed, 30):
        FUZZ["one"](data)


def test_the_mutations_are_reproducible():
    assert list(FUZZ["mutated"](7, 5)) == list(FUZZ["mutated"](7, 5))
