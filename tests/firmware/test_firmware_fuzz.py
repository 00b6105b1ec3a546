"""A sample of what ``make fuzz`` runs for long."""

from __future__ import annotations

import runpy
from pathlib import Path


def test_a_sample_of_the_fuzzer() -> None:
    fuzz = runpy.run_path(str(Path(__file__).parents[1] / "fuzz" / "fuzz_images.py"))
    for data in fuzz["mutated"](20, 1500):
        fuzz["one"](data)
