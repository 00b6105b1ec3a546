"""Is this STM32 faulty? Evidence from dumps, option bytes, images and logs, weighed into a verdict.

>>> import h5diag as h5
>>> h5.locate("good.hex", "suspect.hex").plot()                   # doctest: +SKIP
>>> h5.diagnose("h5diag-case").write_up("report.html")            # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from h5diag import errors as errors
    from h5diag.app.front import (
        capture_script as capture_script,
        compare as compare,
        connect as connect,
        correlate as correlate,
        diagnose as diagnose,
        examine as examine,
        load_case as load_case,
        locate as locate,
        read_loader as read_loader,
        read_loader_log as read_loader_log,
        read_log as read_log,
        read_options as read_options,
        sort_evidence as sort_evidence,
    )
    from h5diag.app.sources import read_memory as read_memory, write_memory as write_memory
    from h5diag.chip import load_chip as load_chip
    from h5diag.judge.fleet import run_fleet as fleet
    from h5diag.judge.preflight import (
        access as access,
        preflight as preflight,
        read_inventory as keys,
        rehearsal as rehearse,
    )
    from h5diag.layout import load_layout as load_layout
    from h5diag.memory import AddressRange as AddressRange, MemoryImage as MemoryImage
    from h5diag.probe.board import list_probes as probes

__version__ = "0.2.0"

_HOMES = {
    "app.sources": "read_memory write_memory",
    "app.front": "read_options read_log locate correlate compare examine sort_evidence "
    "diagnose connect capture_script load_case read_loader read_loader_log",
    "judge.preflight": "read_inventory access preflight rehearsal",
    "layout": "load_layout",
    "chip": "load_chip",
    "probe.board": "list_probes",
    "judge.fleet": "run_fleet",
    "memory": "MemoryImage AddressRange",
}
_CALLED = {"probes": "list_probes", "fleet": "run_fleet", "keys": "read_inventory", "rehearse": "rehearsal"}
"""Names of the front door, and what they are called at home, where the short one would say too little."""

_PLACES = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [
    *(name for name in _PLACES if name not in _CALLED.values()),
    "probes",
    "fleet",
    "keys",
    "rehearse",
    "errors",
]


def __getattr__(name: str) -> Any:
    if name == "errors":
        return import_module("h5diag.errors")
    own = _CALLED.get(name, name)
    if name in _CALLED.values() or own not in _PLACES:
        raise AttributeError(f"module 'h5diag' has no attribute {name!r}")
    found = getattr(import_module(f"h5diag.{_PLACES[own]}"), own)
    return found if isinstance(found, type) else import_module("h5diag.app.sources").checked(found, name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
