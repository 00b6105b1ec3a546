"""A whole STM32H563 behind pyOCD's `DebugProbe`, with faults on request; sessions recorded and replayed."""

from __future__ import annotations

from h5diag.sim.virtual.chip import VirtualChip
from h5diag.sim.virtual.faults import ANYWHERE, FaultKind, Injected, Setup, parse_items, parse_probe
from h5diag.sim.virtual.probe import VirtualProbe

__all__ = ["ANYWHERE", "FaultKind", "Injected", "Setup", "VirtualChip", "VirtualProbe", "parse_items", "parse_probe"]
