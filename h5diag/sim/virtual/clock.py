"""The time of a virtual chip: it passes by what travels over the link, so that every run is the same."""

from __future__ import annotations

WORD_CLOCKS = 46
"""SWD clocks of one 32-bit transfer: request, acknowledge, data, parity and turnarounds."""

COMMAND_S = 100e-6
"""Time that a command to the probe takes over USB before anything happens on the wire."""


class Clock:
    """Simulated seconds since power-up."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.frequency_hz = 1_000_000.0

    def pass_command(self, words: int) -> None:
        """Let one probe command of `words` transfers pass."""
        self.now_s += COMMAND_S + words * WORD_CLOCKS / self.frequency_hz

    def wait_until(self, moment_s: float) -> None:
        """Stand still until `moment_s`."""
        self.now_s = max(self.now_s, moment_s)
