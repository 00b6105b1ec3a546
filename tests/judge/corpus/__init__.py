"""Generated cases with a known truth, for scoring the diagnosis.

The generator writes files alone. It does not import the library, so a slip there cannot hide in here; least of
all does it know how findings are weighed.
"""

from .edited import make_edited
from .generate import FLASH_TEST_CUTS, MIXTURES, Truth, evidence_table, make_case

__all__ = ["FLASH_TEST_CUTS", "MIXTURES", "Truth", "evidence_table", "make_case", "make_edited"]
