"""Which probes there are, and how one is named: ``auto``, an id, ``remote:...``, ``virtual...``, ``replay:FILE``.

The client of pyOCD's probe server is made safe here: the stock one spins for ever when the server closes, its lock
does not keep threads apart, and its memory interface drops the security attribute of each access; so ours reads and
writes at the level of DP and AP.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import Any

from pyocd.core import exceptions
from pyocd.probe.aggregator import DebugProbeAggregator
from pyocd.probe.debug_probe import DebugProbe
from pyocd.probe.tcp_client_probe import TCPClientProbe
from pyocd.utility.sockets import ClientSocket

from h5diag.errors import InputError, ProbeError
from h5diag.probe.board.link import translated
from h5diag.sim.virtual import VirtualChip, VirtualProbe, parse_probe
from h5diag.sim.virtual.record import ReplayProbe

SILENCE_S = 20.0
"""How long a server may say nothing before it counts as gone."""


class _Socket(ClientSocket):  # type: ignore[misc]
    """A line reader that notices the end of the connection and a silent server."""

    def connect(self) -> None:
        self._buffer.clear()
        try:
            super().connect()
        except OSError as error:
            host, port = self._address
            # The number stays: it tells the causes apart.
            raise type(error)(error.errno, f"{host}:{port}: {error.strerror or error}") from None

    def readline(self) -> bytearray:
        deadline = time.monotonic() + SILENCE_S
        while (end := self._buffer.find(b"\n")) < 0:
            try:
                data = self._socket.recv(1 << 16)
            except TimeoutError:
                if time.monotonic() > deadline:
                    raise exceptions.ProbeDisconnected("the probe server does not answer") from None
                continue
            if not data:
                raise exceptions.ProbeDisconnected("the probe server closed the connection")
            self._buffer += data
        line = bytearray(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        return line


class RemoteProbe(TCPClientProbe):  # type: ignore[misc]
    """A probe at ``HOST:PORT``."""

    def __init__(self, place: str) -> None:
        super().__init__(place)
        host, port = self._extract_address(place)
        self._socket = _Socket(host, port)
        self._exclusive = threading.RLock()

    def _perform_request_without_raise(self, request: str, *args: Any) -> tuple[Any, BaseException | None]:
        try:
            return super()._perform_request_without_raise(request, *args)  # type: ignore[no-any-return]
        except OSError as error:
            if not self._is_open:
                raise
            raise exceptions.ProbeDisconnected(f"the probe server is gone ({error})") from error
        except ValueError as error:
            raise exceptions.ProbeDisconnected(f"the server does not speak pyOCD's protocol ({error})") from error

    def close(self) -> None:
        """Close, also when the server went away first."""
        try:
            super().close()
        except (exceptions.Error, OSError):
            self._is_open = False
            if self._socket._socket is not None:
                self._socket._socket.close()
                self._socket._socket = None

    def lock(self) -> None:
        """Keep other threads out, and other clients of the server."""
        self._exclusive.acquire()
        try:
            super().lock()
        except BaseException:
            self._exclusive.release()
            raise

    def unlock(self) -> None:
        """Let others in."""
        try:
            super().unlock()
        finally:
            self._exclusive.release()

    def get_memory_interface_for_ap(self, ap_address: Any) -> None:
        """Return none: the wire protocol has no place for the attribute of an access."""

    @property
    def supply_mv(self) -> int:
        """Supply of the target in millivolts when the server's probe measures it; 0 otherwise."""
        try:
            return int(self._perform_request("readprop", "supply_mv"))
        except (exceptions.Error, TypeError):
            return 0

    @property
    def simulated_time_s(self) -> float:
        """Simulated time when a virtual chip is served; AttributeError otherwise."""
        try:
            return float(self._perform_request("readprop", "simulated_time_s"))
        except (exceptions.Error, TypeError):
            raise AttributeError("simulated_time_s") from None


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
