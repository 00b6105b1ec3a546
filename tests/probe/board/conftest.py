"""Fixtures of the board tests."""

import pytest

from .support import LINKS


@pytest.fixture(params=LINKS)
def link(request):
    """Every such test runs at DP/AP level and at memory-interface level."""
    return str(request.param)
