"""The virtual chip for stock pyOCD: ``pyocd commander -u virtual:board=founding -t cortex_m``.

pyOCD loads every plugin while it is still loading itself, and does not survive an error in one. So neither pyOCD nor
the virtual chip is imported by this module: the plugin's base class comes when pyOCD asks for the plugin, and the chip
when somebody names it with ``virtual:``. A list of what is plugged in never holds it.
"""

from __future__ import annotations

from typing import Any


def plugin() -> Any:
    """Return the plugin; the entry point of the group ``pyocd.probe`` calls it while pyOCD loads."""
    from pyocd.core.plugin import Plugin

    class VirtualChipPlugin(Plugin):  # type: ignore[misc]
        """The plugin as pyOCD wants it."""

        @property
        def name(self) -> str:
            """The word before the colon of ``-u virtual:ITEM+ITEM``."""
            return "virtual"

        @property
        def description(self) -> str:
            """One line for a list of plugins."""
            return "a whole STM32H563 that is not there, with faults on request (h5diag)"

        def load(self) -> type[Any]:
            """Return the class that pyOCD asks for probes."""
            return _probe_class()

    return VirtualChipPlugin()


def _probe_class() -> type[Any]:
    from pyocd.probe.debug_probe import DebugProbe

    class VirtualProbes(DebugProbe):  # type: ignore[misc]
        """Makes virtual probes by name; pyOCD wants it to be a probe itself."""

        @classmethod
        def get_all_connected_probes(cls, unique_id: str | None = None, is_explicit: bool = False) -> list[Any]:
            """Return the probe that was named; none for a list of what is plugged in."""
            return [_probe_of(unique_id or "")] if is_explicit else []

        @classmethod
        def get_probe_with_id(cls, unique_id: str, is_explicit: bool = False) -> Any:
            """Return a probe on a new chip as the items say; None unless ``virtual:`` was written."""
            return _probe_of(unique_id) if is_explicit else None

    return VirtualProbes


def _probe_of(items: str) -> Any:
    from h5diag.errors import H5DiagError
    from h5diag.sim.virtual import VirtualChip, VirtualProbe, parse_items

    try:
        setup = parse_items(items.split("+") if items else ())
        return VirtualProbe(VirtualChip(setup), setup.link, items or "virtual")
    except H5DiagError as error:
        from pyocd.core.exceptions import Error

        raise Error(str(error)) from None
