"""Which probes there are, and how one is named: ``auto``, an id, ``remote:...``, ``virtual...``, ``replay:FILE``.

The client of pyOCD's probe server is made safe here: the stock one spins for ever when the server closes, its lock
does not keep threads apart, and its memory interface drops the security attribute of each access; so ours reads and
writes at the level of DP and AP.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from dataclasses import dataclass
from typing import Any

from pyocd.core import exceptions
from pyocd.probe import common
from pyocd.probe.aggregator import PROBE_CLASSES
from pyocd.probe.debug_probe import DebugProbe
from pyocd.probe.tcp_client_probe import TCPClientProbe
from pyocd.utility.sockets import ClientSocket

from h5diag.errors import InputError, ProbeError
from h5diag.probe.board.link import driver_error, firmware
from h5diag.sim.virtual import VirtualChip, VirtualProbe, parse_probe
from h5diag.sim.virtual.record import ReplayProbe

SILENCE_S = 20.0
"""How long a server may take for one answer before it counts as gone."""

LONGEST_ANSWER = 16 << 20
"""Bytes of one answer: a million words as decimal numbers. Our own reads ask for a few thousand at a time."""


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
        """Return a whole line; one that drips, or has no end, is no answer."""
        deadline, searched = time.monotonic() + SILENCE_S, 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > LONGEST_ANSWER:
                raise exceptions.ProbeDisconnected(f"the probe server sent a line of more than {LONGEST_ANSWER} bytes")
            if time.monotonic() > deadline:
                raise exceptions.ProbeDisconnected("the probe server does not answer")
            try:
                data = self._socket.recv(1 << 16)
            except TimeoutError:
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
        self.cut = False

    def _perform_request_without_raise(self, request: str, *args: Any) -> tuple[Any, BaseException | None]:
        if self.cut:  # who tidies up on the way out must not make a lost link of it
            raise KeyboardInterrupt
        try:
            return self._asked(request, args)
        except KeyboardInterrupt:
            # The answer of this request would be taken for that of the next one: the connection is of no use any more.
            self.cut = True
            raise
        except OSError as error:
            if not self._is_open:
                raise
            raise exceptions.ProbeDisconnected(f"the probe server is gone ({error})") from error
        except ValueError as error:
            raise exceptions.ProbeDisconnected(f"the server does not speak pyOCD's protocol ({error})") from error

    def _asked(self, request: str, args: tuple[Any, ...]) -> tuple[Any, BaseException | None]:
        """Ask once. pyOCD's own client believes whatever comes back: another request's answer, too many words."""
        with self._lock:
            number = self.request_id
            question = {"id": number, "request": request, **({"arguments": args} if args else {})}
            self._socket.write(json.dumps(question).encode() + b"\n")
            try:
                answer = json.loads(self._socket.readline().decode("utf-8"))
            except RecursionError:
                raise ValueError("brackets without end") from None
        if not isinstance(answer, dict) or answer.get("id") != number or type(answer.get("status")) is not int:
            raise ValueError("an answer that belongs to no question")
        result = answer.get("result")
        if status := answer["status"]:
            kind = self.STATUS_CODE_CLASS_MAP.get(status, exceptions.ProbeError)
            return None, kind(f"{request}: {str(answer.get('error', 'no reason given'))[:200]} (status {status})")
        if not _fits(request, args, result):
            raise ValueError(f"the answer to {request} is of another type or length")
        return result, None

    def _read_property(self, name: str, default: Any = None) -> Any:
        try:
            return super()._read_property(name, default)
        except (KeyError, TypeError) as error:
            raise exceptions.ProbeDisconnected(f"the server answers {name} with something unknown ({error})") from error

    def close(self) -> None:
        """Close, also when the server went away first or a request was cut: then without a word."""
        try:
            if not self.cut:
                super().close()
                return
        except (exceptions.Error, OSError):
            pass
        self._is_open = self.cut = False
        self._lock_count = 0
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
            if not self.cut:
                super().unlock()
        finally:
            self._exclusive.release()

    def get_memory_interface_for_ap(self, ap_address: Any) -> None:
        """Return none: the wire protocol has no place for the attribute of an access."""

    @property
    def supply_mv(self) -> int | None:
        """Supply of the target in millivolts when the server's probe measures it."""
        return self._property("supply_mv")

    @property
    def swd_hz(self) -> int | None:
        """True speed of the link when the server's probe tells it."""
        return self._property("swd_hz")

    def _property(self, name: str) -> int | None:
        try:
            return int(self._perform_request("readprop", name)) or None
        except (exceptions.Error, TypeError):
            return None

    @property
    def simulated_time_s(self) -> float:
        """Simulated time when a virtual chip is served; AttributeError otherwise."""
        try:
            return float(self._perform_request("readprop", "simulated_time_s"))
        except (exceptions.Error, TypeError):
            raise AttributeError("simulated_time_s") from None


def _fits(request: str, args: tuple[Any, ...], result: Any) -> bool:
    """Tell whether a result has the type and the length that its request asks for."""
    if request in ("read_dp", "read_ap", "read_mem"):
        return _is_word(result)
    if request in ("read_ap_multiple", "read_block32", "read_block8"):
        return isinstance(result, list) and len(result) == args[-1] and all(map(_is_word, result))
    if request == "readprop":
        return isinstance(result, str | int | float | list | None) and len(str(result)) < 10_000
    return True


def _is_word(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 32


# What pyOCD logs is told by our errors; without a handler Python would print it on the terminal.
logging.getLogger("pyocd").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class ProbeEntry:
    """A probe that is plugged in: its id, what it calls itself, and why it cannot be used (empty when it can).

    `firmware` and `supply_mv` are filled only when the probe was opened for it.
    """

    unique_id: str
    description: str
    problem: str = ""
    firmware: str | None = None
    supply_mv: int | None = None


class _Said(logging.Handler):
    """Keeps what pyOCD says while it searches: that a probe may not be opened is a warning there, and no error."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    @property
    def forbidden(self) -> str:
        """The line that tells of a probe without a udev rule."""
        return next((t for t in self.lines if "udev" in t.lower() or "permission" in t.lower()), "")


def list_probes(*, ask: bool = False) -> tuple[ProbeEntry, ...]:
    """Return the probes on this machine, sorted by id; those of servers and virtual ones are not listed.

    A probe whose driver fails is listed with what it said.

    Parameters
    ----------
    ask
        Open each probe and ask for its firmware and the supply of the target; resets and halts nothing.

    Raises
    ------
    ProbeError
        When USB cannot be searched, or the only probe may not be opened.
    """
    probes, told = _searched()
    out = []
    for p in probes:
        name, description, problem = _named(p)
        measured = _asked(p) if ask and not problem else (None, None)
        out.append(ProbeEntry(name, description, problem, *measured))
    if told.forbidden:
        problem = "the system does not allow access: install the probe's udev rules and plug it in again"
        out.append(ProbeEntry("", "a probe that may not be opened", problem))
    return tuple(sorted(out, key=lambda e: e.unique_id))


def _asked(probe: Any) -> tuple[str | None, int | None]:
    """Return firmware and supply of an ST-LINK, which answers both without touching the target."""
    link: Any = getattr(probe, "_link", None)
    if not hasattr(link, "get_target_voltage"):
        return None, None
    try:
        link.open()
        try:
            voltage = link.target_voltage
            return firmware(probe), round(1000 * voltage) if voltage else None
        finally:
            link.close()
    except Exception:  # a probe that is held by another program is still listed
        return None, None


def _named(probe: Any) -> tuple[str, str, str]:
    """Return id, description, and what the driver said when it could tell neither."""
    try:
        return str(probe.unique_id or ""), str(probe.description), ""
    except Exception as error:  # a driver may raise anything over a strange device
        return "", type(probe).__name__, str(driver_error(error))


def _searched() -> tuple[list[Any], _Said]:
    told, logger = _Said(), logging.getLogger("pyocd")
    common.libusb_error_device_set.clear()  # pyOCD warns once for each device, and keeps silent afterwards
    logger.addHandler(told)
    try:
        return _found(), told
    finally:
        logger.removeHandler(told)


def _found() -> list[Any]:
    """Return what every driver finds; one that fails hides none of the others' probes."""
    out: list[Any] = []
    failed: list[ProbeError] = []
    for kind in PROBE_CLASSES.values():
        try:
            out += kind.get_all_connected_probes(None, False)
        except Exception as error:  # whatever a driver raises
            failed.append(driver_error(error))
    if failed and not out:
        raise failed[0]
    return out


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
    probes, told = _searched()
    rows = [(*_named(p), p) for p in probes]
    names = ", ".join(
        sorted(f"{name or 'no serial'} ({text}{': ' + bad if bad else ''})" for name, text, bad, _ in rows)
    )
    if not rows:
        if told.forbidden:
            raise ProbeError(
                "a debug probe is plugged in, but the system does not allow access to it",
                cause=told.forbidden,
                advice="on Linux install the probe's udev rules (pyOCD's folder udev) and plug it in again",
            )
        raise ProbeError(
            "no debug probe is plugged in",
            advice="plug one in (on Linux its udev rules are needed), or name remote:HOST:PORT or virtual",
        )
    fitting = [r for r in rows if r[0].lower().startswith(start.lower())]
    exact = [r for r in fitting if start and r[0].lower() == start.lower()]
    if not fitting:
        raise ProbeError(f"no probe's id begins with {start!r}", advice=f"plugged in: {names}")
    chosen = exact or fitting
    if len(chosen) > 1:
        same = len({r[0] for r in chosen}) == 1
        advice = "they have the same id: unplug all but one" if same else "name one with --probe"
        raise ProbeError("several probes are plugged in", advice=f"{advice}: {names}")
    if chosen[0][2]:
        raise ProbeError("the driver of the probe failed", cause=chosen[0][2], advice="unplug it and plug it in again")
    found: DebugProbe = chosen[0][3]
    return found
