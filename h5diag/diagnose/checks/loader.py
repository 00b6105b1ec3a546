"""Checks of an external loader: was it used, and can it be downloaded at all?"""

from __future__ import annotations

from h5diag.diagnose.measure import Measured
from h5diag.verdict import Finding


def check_loader(m: Measured) -> tuple[Finding, ...]:
    """Was the external loader used, and is it linked so that it can be?"""
    return ()
