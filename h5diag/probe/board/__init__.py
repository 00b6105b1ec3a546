"""The board: the one room that knows pyOCD. List probes, connect, identify, read, and write what was permitted.

The names are looked up when they are asked for: what only needs a type of this wing does not load pyOCD.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from h5diag.case.results import CoreState, Identity
    from h5diag.probe.board.board import Board, connect, own_power_switch, reconnect, supply_mv
    from h5diag.probe.board.core import core_state, read_symbols
    from h5diag.probe.board.identity import identify
    from h5diag.probe.board.link import DEFAULT_HZ, REASONS, ConnectMode
    from h5diag.probe.board.permissions import NOTHING, Permissions
    from h5diag.probe.board.probes import ProbeEntry, list_probes, open_probe

_WHERE = {
    "board": ("Board", "connect", "own_power_switch", "reconnect", "supply_mv"),
    "core": ("CoreState", "core_state", "read_symbols"),
    "identity": ("Identity", "identify"),
    "link": ("DEFAULT_HZ", "REASONS", "ConnectMode"),
    "permissions": ("NOTHING", "Permissions"),
    "probes": ("ProbeEntry", "list_probes", "open_probe"),
}

__all__ = [
    "DEFAULT_HZ",
    "NOTHING",
    "REASONS",
    "Board",
    "ConnectMode",
    "CoreState",
    "Identity",
    "Permissions",
    "ProbeEntry",
    "connect",
    "core_state",
    "identify",
    "list_probes",
    "open_probe",
    "own_power_switch",
    "read_symbols",
    "reconnect",
    "supply_mv",
]


def __getattr__(name: str) -> Any:
    for module, names in _WHERE.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(name)
