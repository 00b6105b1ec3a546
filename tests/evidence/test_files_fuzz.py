"""A sample of the fuzzing of memory files and dropped evidence; ``make fuzz`` runs the rest."""

import runpy
from pathlib import Path


def test_no_input_ends_in_a_traceback_or_costs_much():
    fuzz = runpy.run_path(str(Path(__file__).parents[1] / "fuzz" / "fuzz_files.py"))
    fuzz["run"](20261121, 400)
