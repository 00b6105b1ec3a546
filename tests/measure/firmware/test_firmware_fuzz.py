"""Samples of what ``make fuzz`` and ``make soak`` run for long."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
from imgtool_images import Workshop


def test_a_sample_of_the_fuzzer() -> None:
    fuzz = runpy.run_path(str(Path(__file__).parents[2] / "fuzz" / "fuzz_images.py"))
    for data in fuzz["mutated"](20, 800):
        fuzz["one"](data)


def test_a_sample_of_the_soak_against_imgtool(workshop: Workshop) -> None:
    soak = runpy.run_path(str(Path(__file__).parents[2] / "soak_images.py"))
    rng = np.random.default_rng(3)
    for _ in range(12):
        image, key = soak["make"](workshop, rng)
        for _ in range(20):
            damaged = soak["damage"](image, rng)
            assert not soak["disagreement"](workshop, damaged, key)
