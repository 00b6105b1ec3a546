"""Which probes there are, and how one is named: ``auto``, an id, ``remote:...``, ``virtual...``, ``replay:FILE``."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from pyocd.probe.aggregator import DebugProbeAggregator
from pyocd.probe.debug_probe import DebugProbe

from h5diag.errors import InputError, ProbeError
from h5diag.probe.board.remote import RemoteProbe
from h5diag.probe.board.translate import translated
from h5diag.sim.virtual import VirtualChip, VirtualProbe, parse_probe
from h5diag.sim.virtual.record import ReplayProbe

# What pyOCD logs is told by our errors; without a handler Python would print it on the terminal.
logging.getLogger("pyocd").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class ProbeEntry:
    """A probe that is plugged in: its id and what it calls itself."""

    unique_id: str
    description: str


def list_probes() -> tuple[ProbeEntry, ...]:
    """Return the probes on this machine, sorted by id; those of servers and virtual ones are not listed.

    Raises
    ------
    ProbeError
        When USB cannot be searched.
    """
    return tuple(sorted((ProbeEntry(p.unique_id or "", p.description) for p in _found()), key=lambda p: p.unique_id))


def _found() -> list[Any]:
    with translated():
        return list(DebugProbeAggregator.get_all_connected_probes())


def open_probe(name: str) -> DebugProbe:
    """Return the probe called `name`, not opened yet.

    Raises
    ------
    InputError
        When the name is of no known form.
    ProbeError
        When there is no such probe, or several.
    """
    if name.partition(":")[0] == "virtual":
        setup = parse_probe(name)
        return VirtualProbe(VirtualChip(setup), setup.link, name)
    if name.startswith("remote:"):
        place = name.removeprefix("remote:")
        host, _, port = place.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise InputError(f"not a probe server: {name!r}", advice="write remote:HOST:PORT")
        return RemoteProbe(place)
    if name.startswith("replay:"):
        return ReplayProbe.load(name.removeprefix("replay:"))
    return _local("" if name == "auto" else name)


def _local(start: str) -> DebugProbe:
    probes = _found()
    if not probes:
        raise ProbeError(
            "no debug probe is plugged in",
            advice="plug one in (on Linux its udev rules are needed), or name remote:HOST:PORT or virtual",
        )
    fitting = [p for p in probes if str(p.unique_id).lower().startswith(start.lower())]
    exact = [p for p in fitting if str(p.unique_id).lower() == start.lower()]
    names = ", ".join(sorted(f"{p.unique_id} ({p.description})" for p in probes))
    if not fitting:
        raise ProbeError(f"no probe's id begins with {start!r}", advice=f"plugged in: {names}")
    if len(fitting) > 1 and not exact:
        raise ProbeError("several probes are plugged in", advice=f"name one with --probe: {names}")
    return (exact or fitting)[0]
