"""Checks of an external loader: was it used, and can it be downloaded at all?"""

from __future__ import annotations

from h5diag.judge.facts import Measured
from h5diag.judge.verdict import Direction, Finding
from h5diag.measure.loader.signs import Answer


def check_loader_used(m: Measured) -> tuple[Finding, ...]:
    """Was the external loader called, or silently passed over?"""
    sign = m.loader.bypassed
    if sign.answer is Answer.YES:
        return (Finding("loader-not-used", sign.text, direction=Direction.AGAINST),)
    if sign.answer is Answer.NO:
        return (Finding("loader-was-used", sign.text),)
    return ()


def check_loader_placement(m: Measured) -> tuple[Finding, ...]:
    """Is the external loader linked and sized so that it can be downloaded?"""
    sign = m.loader.mislinked
    if sign.answer is Answer.YES:
        return (Finding("loader-not-downloaded", sign.text, direction=Direction.AGAINST),)
    if sign.answer is Answer.POSSIBLE:
        return (
            Finding(
                "loader-misplaced",
                sign.text,
                hint=True,
                asks="loader-log",
                open_point="whether the loader is linked where this programmer puts it",
            ),
        )
    if sign.answer is Answer.NO:
        return (Finding("loader-well-placed", sign.text),)
    return ()
