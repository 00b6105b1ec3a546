"""Ctrl-C reaches the tests also where they run in the background, whose shell starts them deaf to it."""

import signal

import pytest


@pytest.fixture(autouse=True)
def _ears():
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
