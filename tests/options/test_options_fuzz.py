"""A sample of the fuzzing of texts; ``make fuzz`` runs it for longer."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "fuzz"))
import fuzz_texts  # noqa: E402


@pytest.mark.parametrize("seed", range(4))
def test_a_sample_of_broken_texts(seed):
    for data in fuzz_texts.mutated(seed, 60):
        fuzz_texts.one(data)


def test_the_mutations_are_reproducible():
    assert list(fuzz_texts.mutated(7, 5)) == list(fuzz_texts.mutated(7, 5))
