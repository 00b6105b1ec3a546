"""The virtual chip behind pyOCD's `DebugProbe`, at DP/AP level or with an accelerated memory interface; and served.

Over TCP any pyOCD client reaches it through pyOCD's own request handler. Each client gets a probe of its own on the
one chip, so that a client that is killed leaves no lock and no half-open probe behind.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from socketserver import ThreadingTCPServer
from typing import Any

import numpy as np
from pyocd.core import exceptions
from pyocd.core.memory_interface import MemoryInterface
from pyocd.core.session import Session
from pyocd.probe.debug_probe import DebugProbe
from pyocd.probe.tcp_probe_server import DebugProbeRequestHandler

from h5diag.errors import InputError
from h5diag.sim.virtual.bus import BusFault
from h5diag.sim.virtual.chip import Unplugged, VirtualChip
from h5diag.sim.virtual.dp_ap import Wire
from h5diag.sim.virtual.record import deferred


class VirtualProbe(DebugProbe):  # type: ignore[misc]
    """A probe at the other end of which a `VirtualChip` sits.

    Parameters
    ----------
    chip
        The chip; several probes may share one.
    link
        ``dap`` or ``memory``, as `Setup.link`.
    unique_id
        What the probe calls itself.
    """

    def __init__(self, chip: VirtualChip, link: str = "dap", unique_id: str = "virtual") -> None:
        super().__init__()
        self.chip = chip
        self.wire = Wire(chip)
        self._accelerated = link == "memory"
        self._id = unique_id
        self._open = self._connected = False

    vendor_name = "h5diag"
    product_name = "virtual STM32H563"
    firmware = "virtual"
    supported_wire_protocols = (DebugProbe.Protocol.DEFAULT, DebugProbe.Protocol.SWD)

    @property
    def unique_id(self) -> str:
        """Name of this probe."""
        return self._id

    @property
    def wire_protocol(self) -> DebugProbe.Protocol | None:
        """SWD once connected."""
        return DebugProbe.Protocol.SWD if self._connected else None

    @property
    def is_open(self) -> bool:
        """Whether `open` was called."""
        return self._open

    @property
    def capabilities(self) -> set[DebugProbe.Capability]:
        """SWJ sequences and banked DP registers, as a CMSIS-DAP probe has them."""
        return {DebugProbe.Capability.SWJ_SEQUENCE, DebugProbe.Capability.BANKED_DP_REGISTERS}

    @property
    def simulated_time_s(self) -> float:
        """Simulated seconds since the chip was powered."""
        return self.chip.clock.now_s

    @property
    def supply_mv(self) -> int:
        """Supply of the chip in millivolts, as an ST-LINK measures it."""
        return 3300

    @property
    def swd_hz(self) -> int:
        """True speed of the link."""
        return int(self.chip.clock.frequency_hz)

    def power_cycle(self) -> None:
        """Turn the supply of the chip off and on."""
        with self.chip.lock:
            self.chip.power_cycle()

    @contextmanager
    def _link(self, words: int) -> Iterator[None]:
        """Let time pass, one access at a time, and turn what goes wrong into pyOCD's errors."""
        if not self._open:
            raise exceptions.ProbeError("the virtual probe is not open")
        with self.chip.lock:
            self.chip.clock.pass_command(words)
            try:
                if not self.chip.path.plugged:
                    raise Unplugged
                yield
            except Unplugged:
                raise exceptions.ProbeDisconnected("the virtual probe was unplugged") from None
            except BusFault as fault:
                raise exceptions.TransferFaultError("virtual bus", fault_address=fault.address, length=4) from None

    # ------------------------------------------------------------------------------------------------ connection
    def open(self) -> None:
        """Take the probe; a cable that was pulled is back."""
        self.chip.path.replug()
        self._open = True

    def close(self) -> None:
        """Let the probe go."""
        self._open = self._connected = False
        self.chip.keep()

    def connect(self, protocol: DebugProbe.Protocol | None = None) -> None:
        """Begin to drive SWD."""
        self._connected = True

    def disconnect(self) -> None:
        """Stop driving SWD."""
        self._connected = False

    def swj_sequence(self, length: int, bits: int) -> None:
        """Take a line sequence; the virtual DP speaks SWD already."""

    def set_clock(self, frequency: float) -> None:
        """Set the SWD clock in Hz; time passes by it."""
        self.chip.clock.frequency_hz = float(frequency)

    def reset(self) -> None:
        """Pulse NRST."""
        with self._link(0):
            self.chip.hold_reset(True)
            self.chip.hold_reset(False)

    def assert_reset(self, asserted: bool) -> None:
        """Drive NRST low or let it go."""
        with self._link(0):
            self.chip.hold_reset(asserted)

    def is_reset_asserted(self) -> bool:
        """Tell whether NRST is low."""
        return self.chip.bus.in_reset

    def flush(self) -> None:
        """Nothing waits."""

    # ------------------------------------------------------------------------------------------------ DP and AP
    def read_dp(self, addr: int, now: bool = True) -> Any:
        """Read a DP register."""
        with self._link(1):
            value = self.wire.read_dp(addr)
        return value if now else lambda: value

    def write_dp(self, addr: int, data: int) -> None:
        """Write a DP register."""
        with self._link(1):
            self.wire.write_dp(addr, data)

    def read_ap(self, addr: int, now: bool = True) -> Any:
        """Read an AP register."""
        return deferred(lambda: self._linked(1, self.wire.read_ap, addr), now)

    def write_ap(self, addr: int, data: int) -> None:
        """Write an AP register."""
        with self._link(1):
            self.wire.write_ap(addr, data)

    def read_ap_multiple(self, addr: int, count: int = 1, now: bool = True) -> Any:
        """Read an AP register `count` times."""
        return deferred(lambda: self._linked(count, self.wire.read_words, addr, count), now)

    def write_ap_multiple(self, addr: int, values: Sequence[int]) -> None:
        """Write an AP register with each value."""
        with self._link(len(values)):
            self.wire.write_words(addr, list(values))

    def _linked(self, words: int, access: Callable[..., Any], *args: int) -> Any:
        with self._link(words):
            return access(*args)

    def get_memory_interface_for_ap(self, ap_address: Any) -> MemoryInterface | None:
        """Return the accelerated interface of the core's port, when this probe has one."""
        return _Memory(self) if self._accelerated and ap_address.apsel == 1 else None


class _Memory(MemoryInterface):  # type: ignore[misc]
    """Whole reads and writes, as ST-LINK has them; the attribute comes with the CSW of each call."""

    def __init__(self, probe: VirtualProbe) -> None:
        self._probe = probe

    def _secure(self, attrs: dict[str, Any]) -> bool:
        chip = self._probe.chip
        if not chip.core_port_open or not self._probe.wire.powered:
            raise BusFault(0)
        return chip.secure_debug and not attrs.get("csw", 0) >> 30 & 1

    def _read(self, addr: int, size: int, attrs: dict[str, Any]) -> np.ndarray[Any, Any]:
        with self._probe._link(-(-size // 4)):
            return self._probe.chip.read(addr & 0xFFFFFFFF, size, self._secure(attrs))

    def _write(self, addr: int, data: bytes, attrs: dict[str, Any]) -> None:
        with self._probe._link(-(-len(data) // 4)):
            self._probe.chip.write(addr & 0xFFFFFFFF, data, self._secure(attrs))

    def write_memory(self, addr: int, data: int, transfer_size: int = 32, **attrs: Any) -> None:
        """Write one value of 8, 16 or 32 bits."""
        self._write(addr, data.to_bytes(transfer_size // 8, "little"), attrs)

    def read_memory(self, addr: int, transfer_size: int = 32, now: bool = True, **attrs: Any) -> Any:
        """Read one value of 8, 16 or 32 bits."""
        value = int.from_bytes(self._read(addr, transfer_size // 8, attrs).tobytes(), "little")
        return value if now else lambda: value

    def write_memory_block32(self, addr: int, data: Sequence[int], **attrs: Any) -> None:
        """Write words."""
        words = np.array(data, "<u4")
        for i in range(0, words.size, 256):
            self._write(addr + 4 * i, words[i : i + 256].tobytes(), attrs)

    def read_memory_block32(self, addr: int, size: int, **attrs: Any) -> list[int]:
        """Read words."""
        return self._read(addr, size * 4, attrs).view("<u4").tolist()  # type: ignore[no-any-return]

    def write_memory_block8(self, addr: int, data: Sequence[int], **attrs: Any) -> None:
        """Write bytes."""
        raw, at = bytes(data), 0
        while at < len(raw):
            size = 4 if not (addr + at) % 4 and len(raw) - at >= 4 else 1
            self._write(addr + at, raw[at : at + size], attrs)
            at += size

    def read_memory_block8(self, addr: int, size: int, **attrs: Any) -> list[int]:
        """Read bytes."""
        first = addr & ~3
        data = self._read(first, (addr + size + 3 & ~3) - first, attrs)
        return data[addr - first :][:size].tolist()  # type: ignore[no-any-return]


# The handler logs every fault that it passes on to the client; without a handler Python would print it.
logging.getLogger("pyocd").addHandler(logging.NullHandler())


LONGEST_QUESTION = 4 << 20
"""Bytes of one line of a client: a write of a hundred thousand words. A longer one is no question, and is not kept."""


class _Lines:
    """The questions of a client, each within bounds."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readline(self) -> bytes:
        line: bytes = self._stream.readline(LONGEST_QUESTION + 1)
        if len(line) > LONGEST_QUESTION:
            raise ValueError("a line without end")
        return line

    def close(self) -> None:
        self._stream.close()


class _Handler(DebugProbeRequestHandler):  # type: ignore[misc]
    def setup(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().setup()
        self.rfile: Any = _Lines(self.rfile)

    def handle(self) -> None:
        """Serve a client until it goes, or until what it sends is no question."""
        with suppress(Exception):  # whatever a stranger's question raises, it ends this client's session alone
            super().handle()

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
