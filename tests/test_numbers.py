"""A number out of a stranger's text is one, or nothing; never an error of Python's own."""

from __future__ import annotations

import pytest

from h5diag.evidence.texts import parse_listing
from h5diag.text import printed_number, whole_number


@pytest.mark.parametrize(("text", "value"), [("7", 7), (" -12 ", -12), ("007", 7), ("9" * 32, int("9" * 32))])
def test_a_decimal_number_is_taken(text: str, value: int) -> None:
    assert whole_number(text) == value


@pytest.mark.parametrize(
    "text", ["", "-", "--1", "+1", "1.5", "0x10", "\u00b2", "\u0663", "1\u00b2", "1 2", "9" * 33, "9" * 5000]
)
def test_what_is_none_is_none(text: str) -> None:
    """Python calls a raised two a digit and cannot convert it, and raises at five thousand digits."""
    assert whole_number(text) is None


@pytest.mark.parametrize(("text", "value"), [("0578", 578), ("0x0484", 0x484), ("0", 0), ("007", 7)])
def test_a_leading_zero_in_a_text_is_no_error(text: str, value: int) -> None:
    assert printed_number(text) == value
    export = f'{{"deviceId": {text}, "bitNameToValue": {{"PRODUCT_STATE": 237, "TZEN": 195}}}}'
    assert parse_listing(export).device_id == value
