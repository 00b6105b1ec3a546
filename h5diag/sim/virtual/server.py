"""A virtual chip served over TCP to any pyOCD client, with pyOCD's own request handler.

Each client gets a probe of its own on the one chip, so that a client that is killed leaves no lock and no half-open
probe behind. Threads are daemons: the server ends although clients are connected.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from socketserver import ThreadingTCPServer
from typing import Any

from pyocd.core.session import Session
from pyocd.probe.tcp_probe_server import DebugProbeRequestHandler

from h5diag.errors import InputError
from h5diag.sim.virtual.chip import VirtualChip
from h5diag.sim.virtual.probe import VirtualProbe

# The handler logs every fault that it passes on to the client; without a handler Python would print it.
logging.getLogger("pyocd").addHandler(logging.NullHandler())


class _Handler(DebugProbeRequestHandler):  # type: ignore[misc]
    def setup(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().setup()

    def finish(self) -> None:
        """Close this client's probe, whatever it left undone."""
        with suppress(Exception):
            self._probe.close()
        with suppress(OSError):
            super().finish()


class ChipServer(ThreadingTCPServer):
    """Serves one chip on localhost until `close`; usable in a ``with`` statement.

    Parameters
    ----------
    chip
        The chip.
    port
        TCP port; 0 takes a free one.
    make_probe
        Makes the probe of a new client; for tests.

    Raises
    ------
    InputError
        When the port is taken.
    """

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(
        self, chip: VirtualChip, port: int = 0, make_probe: Callable[[VirtualChip], VirtualProbe] = VirtualProbe
    ) -> None:
        self.chip = chip
        self._make = make_probe
        self.session = Session(None, options={"no_config": True, "project_dir": os.getcwd(), "user_script": os.devnull})
        try:
            super().__init__(("localhost", port), _Handler)
        except OSError as error:
            raise InputError(
                f"port {port} cannot be listened on ({error.strerror})",
                advice="choose another with --port, or 0 for any",
            ) from None
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self.server_address[1])

    @property
    def probe(self) -> VirtualProbe:
        """A new probe on the chip; pyOCD's handler asks once for each client."""
        return self._make(self.chip)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that went away is no error of the chip."""

    def close(self) -> None:
        """Stop serving; clients that are connected lose the connection."""
        self.shutdown()
        self.server_close()
        self._thread.join()
        self.chip.keep()

    def __exit__(self, *_: object) -> None:
        self.close()


def serve_until_signal(server: ChipServer, announce: Callable[[], None]) -> str:
    """Call `announce`, wait until SIGINT or SIGTERM comes, close the server and return the signal's name.

    For the main thread; from `announce` on a signal ends the server in order.
    """
    came = threading.Event()
    names: list[str] = []

    def stop(number: int, frame: object) -> None:
        names.append(signal.Signals(number).name)
        came.set()

    wanted = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(s, stop) for s in wanted]
    try:
        announce()
        while not came.wait(0.2):
            pass
    finally:
        for s, handler in zip(wanted, before, strict=True):
            signal.signal(s, handler)
        server.close()
    return names[0]
