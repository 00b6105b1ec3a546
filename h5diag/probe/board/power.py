"""Supply and power cycles: what the probe measures, and how a board comes back after its supply was off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from h5diag.probe.board.board import Board
from h5diag.probe.board.link import close_session, open_session
from h5diag.probe.board.translate import translated

NOT_MEASURED = 0
"""The supply voltage when the probe does not measure it."""


def supply_mv(board: Board) -> int:
    """Return the supply of the target in millivolts as the probe measures it, or `NOT_MEASURED`.

    Raises
    ------
    ProbeError
        When the link fails.
    """
    probe: Any = board.target.session.probe
    with board.locked(), translated():
        value = getattr(probe, "supply_mv", NOT_MEASURED)
        link: Any = getattr(probe, "_link", None)
        if not value and hasattr(link, "get_target_voltage"):  # ST-LINK
            link.get_target_voltage()
            value = 1000 * (link.target_voltage or 0)
    return round(value)


def own_power_switch(board: Board) -> Callable[[], None] | None:
    """Return what turns the supply off and on, when this probe can do it by itself (a virtual one); else None."""
    return getattr(board.target.session.probe, "power_cycle", None)


def reconnect(board: Board, between: Callable[[], None]) -> None:
    """Let the probe go, do something (a power cycle), and take the chip up again in the same way.

    Parameters
    ----------
    board
        Connected before and after.
    between
        Called while the probe is free.

    Raises
    ------
    ProbeError
        When the chip does not come back; the board is closed then.
    """
    with board._lock:
        probe = board._session.probe
        close_session(board._session)
        board._closed = True
        between()
        board._session = open_session(probe, board.mode, board.frequency_hz)
        board._closed = False
        board._ap = board._session.target.cores[0].ap
        board._use(board.access)
