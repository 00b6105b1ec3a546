"""The board: the one room that knows pyOCD. List probes, connect, identify, read, and write what was permitted."""

from __future__ import annotations

from h5diag.probe.board.board import Board, connect, own_power_switch, reconnect, supply_mv
from h5diag.probe.board.core_state import CoreState, Sample, Symbol, core_state, hdp_level, read_symbols
from h5diag.probe.board.identify import Identification, OptionValue, identify
from h5diag.probe.board.link import DEFAULT_HZ, REASONS, Mode
from h5diag.probe.board.permissions import NOTHING, Permissions
from h5diag.probe.board.probes import ProbeEntry, list_probes, open_probe

__all__ = [
    "DEFAULT_HZ",
    "NOTHING",
    "REASONS",
    "Board",
    "CoreState",
    "Identification",
    "Mode",
    "OptionValue",
    "Permissions",
    "ProbeEntry",
    "Sample",
    "Symbol",
    "connect",
    "core_state",
    "hdp_level",
    "identify",
    "list_probes",
    "open_probe",
    "own_power_switch",
    "read_symbols",
    "reconnect",
    "supply_mv",
]
