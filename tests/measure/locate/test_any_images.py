"""Whatever two sparse images hold, the placement is true to them. ``soak_locate.py`` runs this for longer."""

import numpy as np
import pytest

from .soak_locate import checked_pair


@pytest.mark.parametrize("seed", range(40))
def test_any_two_images(seed):
    checked_pair(np.random.default_rng(seed))
