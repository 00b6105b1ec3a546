"""Counting work where a test would like to measure time: a loaded machine does as many steps as an idle one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


class TooMuchWork(AssertionError):
    """More calls were made than were allowed."""


def calls(action: Callable[[], Any], most: int) -> int:
    """Return how many calls (of Python and of built-in functions) an action makes; fail as soon as they exceed `most`.

    What one built-in does inside (a pattern, an array operation) is one call: for those bound the input or the number
    of rounds instead.
    """
    seen = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal seen
        if event in ("call", "c_call"):
            seen += 1
            if seen > most:
                sys.setprofile(None)
                raise TooMuchWork(f"more than {most} calls")

    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(None)
    return seen
