"""Sessions recorded at the level of the probe, and replayed: a user's board becomes a test for ever.

The file holds one JSON array per line: ``[call, arguments, result]``, or ``[call, arguments, null, [error, text,
address]]``. Its first line is an object with the kind of file. Runs of words are hexadecimal text, little-endian.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from pyocd.core import exceptions
from pyocd.core.memory_interface import MemoryInterface
from pyocd.probe.debug_probe import DebugProbe

from h5diag.errors import InputError
from h5diag.evidence.door import read_evidence, write_whole
from h5diag.limits import RECORDING

KIND = "h5diag session 1"
_ERRORS: dict[str, type[Exception]] = {
    c.__name__: c
    for c in (
        exceptions.TransferFaultError,
        exceptions.TransferTimeoutError,
        exceptions.TransferError,
        exceptions.ProbeDisconnected,
        exceptions.ProbeError,
        exceptions.Error,
    )
}
_CALLS = (
    "open",
    "close",
    "connect",
    "disconnect",
    "swj_sequence",
    "set_clock",
    "reset",
    "assert_reset",
    "is_reset_asserted",
    "flush",
    "read_dp",
    "write_dp",
    "read_ap",
    "write_ap",
    "read_ap_multiple",
    "write_ap_multiple",
)
_MEMORY_CALLS = (
    "read_memory",
    "write_memory",
    "read_memory_block32",
    "write_memory_block32",
    "read_memory_block8",
    "write_memory_block8",
)


def _pack(value: Any) -> Any:
    if isinstance(value, (list, tuple)) and len(value) > 4 and all(isinstance(v, int) for v in value):
        return {"words": np.array(value, "<u4").tobytes().hex()}
    if isinstance(value, DebugProbe.Protocol):
        return value.name
    return list(value) if isinstance(value, tuple) else value


def _unpack(value: Any) -> Any:
    if isinstance(value, dict):
        return np.frombuffer(bytes.fromhex(value["words"]), "<u4").tolist()
    return value


def deferred(access: Callable[[], Any], now: bool) -> Any:
    """Return what an access brings, or with `now` false a function that brings it: an error comes with it then."""
    try:
        value = access()
    except exceptions.TransferError as error:
        if now:
            raise
        late = error

        def fail() -> None:
            raise late

        return fail
    return value if now else lambda: value


class _Tape(DebugProbe):  # type: ignore[misc]
    """What recorder and replayer share: every call of the probe goes through `_call`."""

    vendor_name = "h5diag"
    supported_wire_protocols = (DebugProbe.Protocol.DEFAULT, DebugProbe.Protocol.SWD)

    def __init__(self) -> None:
        super().__init__()
        self._one = threading.RLock()
        self._connected = self._opened = False

    def _call(self, name: str, *args: Any) -> Any:
        raise NotImplementedError

    @property
    def wire_protocol(self) -> DebugProbe.Protocol | None:
        """SWD once connected."""
        return DebugProbe.Protocol.SWD if self._connected else None

    @property
    def is_open(self) -> bool:
        """Whether `open` was called."""
        return self._opened

    def open(self) -> None:
        """Open the probe."""
        self._call("open")
        self._opened = True

    def close(self) -> None:
        """Close the probe."""
        self._opened = False
        self._call("close")

    def connect(self, protocol: Any = None) -> None:
        """Begin to drive SWD."""
        self._call("connect", protocol)
        self._connected = True

    def disconnect(self) -> None:
        """Stop driving SWD."""
        self._connected = False
        self._call("disconnect")

    def set_speed(self, asked_hz: int) -> Any:
        """Set the link speed and return the true one, as far as the real probe told."""
        return self._call("told", "set_speed", asked_hz)

    @property
    def firmware(self) -> Any:
        """Version of the real probe's firmware."""
        return self._call("told", "firmware", 0)

    @property
    def supply_mv(self) -> Any:
        """Supply of the target as the real probe measured it."""
        return self._call("told", "supply_mv", 0)

    def read_dp(self, addr: int, now: bool = True) -> Any:
        """Read a DP register."""
        return self._read(now, "read_dp", addr)

    def read_ap(self, addr: int, now: bool = True) -> Any:
        """Read an AP register."""
        return self._read(now, "read_ap", addr)

    def read_ap_multiple(self, addr: int, count: int = 1, now: bool = True) -> Any:
        """Read an AP register several times."""
        return self._read(now, "read_ap_multiple", addr, count)

    def _read(self, now: bool, name: str, *args: Any) -> Any:
        return deferred(lambda: self._call(name, *args), now)

    def get_memory_interface_for_ap(self, ap_address: Any) -> MemoryInterface | None:
        """Return an interface on the tape when the probe has or had one."""
        return _TapeMemory(self, ap_address.apsel) if self._call("memory", ap_address.apsel) else None


def _through(name: str) -> Callable[..., Any]:
    def call(self: _Tape, *args: Any) -> Any:
        return self._call(name, *args)

    call.__doc__ = f"Pass `{name}` on."
    return call


for _name in _CALLS:
    if _name not in _Tape.__dict__:
        setattr(_Tape, _name, _through(_name))


class _TapeMemory(MemoryInterface):  # type: ignore[misc]
    """The accelerated interface of one access port, on the tape."""

    def __init__(self, tape: _Tape, port: int) -> None:
        self._tape, self._port = tape, port

    def read_memory(self, addr: int, transfer_size: int = 32, now: bool = True, **attrs: Any) -> Any:
        """Read one value."""
        value = self._tape._call("read_memory", self._port, addr, transfer_size, attrs.get("csw", 0))
        return value if now else lambda: value

    def write_memory(self, addr: int, data: int, transfer_size: int = 32, **attrs: Any) -> None:
        """Write one value."""
        self._tape._call("write_memory", self._port, addr, data, transfer_size, attrs.get("csw", 0))

    def read_memory_block32(self, addr: int, size: int, **attrs: Any) -> Any:
        """Read words."""
        return self._tape._call("read_memory_block32", self._port, addr, size, attrs.get("csw", 0))

    def write_memory_block32(self, addr: int, data: Sequence[int], **attrs: Any) -> None:
        """Write words."""
        self._tape._call("write_memory_block32", self._port, addr, list(data), attrs.get("csw", 0))

    def read_memory_block8(self, addr: int, size: int, **attrs: Any) -> Any:
        """Read bytes."""
        return self._tape._call("read_memory_block8", self._port, addr, size, attrs.get("csw", 0))

    def write_memory_block8(self, addr: int, data: Sequence[int], **attrs: Any) -> None:
        """Write bytes."""
        self._tape._call("write_memory_block8", self._port, addr, list(data), attrs.get("csw", 0))


class RecordingProbe(_Tape):
    """A probe whose every call is written down while it is used.

    Parameters
    ----------
    probe
        The real one.
    path
        File to write; an older one is replaced.
    tell
        Asks the real probe what is no call of pyOCD's: its true speed, firmware and supply.
    """

    product_name = "recording"

    def __init__(self, probe: DebugProbe, path: str, tell: Callable[[Any, str, int], Any]) -> None:
        super().__init__()
        self._probe, self._tell = probe, tell
        self._memories: dict[int, MemoryInterface] = {}
        try:
            self._file: TextIO = Path(path).open("w", encoding="utf-8")  # noqa: SIM115 - lives as long as the probe
        except OSError as error:
            raise InputError(f"cannot be written ({error.strerror})", source=path) from None
        # Capabilities are not known before the probe is open: they are written then.
        self._write({"kind": KIND, "unique_id": probe.unique_id, "description": probe.description})

    def _write(self, line: Any) -> None:
        if not self._file.closed:
            try:
                self._file.write(json.dumps(line, separators=(",", ":")) + "\n")
            except OSError as error:
                raise InputError(f"cannot be written ({error.strerror})", source=self._file.name) from None

    @property
    def unique_id(self) -> str:
        """Id of the real probe."""
        return str(self._probe.unique_id)

    @property
    def session(self) -> Any:
        """Session of both."""
        return self._session

    @session.setter
    def session(self, session: Any) -> None:
        self._session = session
        self._probe.session = session

    @property
    def capabilities(self) -> Any:
        """What the real probe can do, without what is not recorded."""
        return {c for c in self._probe.capabilities if c.name in _KEPT}

    def _call(self, name: str, *args: Any) -> Any:
        with self._one:
            try:
                result = self._pass(name, *args)
            except exceptions.Error as error:
                kind = next((k for k, c in _ERRORS.items() if isinstance(error, c)), "Error")
                self._write(
                    [
                        name,
                        [_pack(a) for a in args],
                        None,
                        [kind, str(error.args[0]) if error.args else "", getattr(error, "fault_address", None)],
                    ]
                )
                raise
            self._write([name, [_pack(a) for a in args], _pack(result)])
            if name == "open":
                self._write(["capabilities", [], sorted(c.name for c in self.capabilities)])
            if name == "close":
                self._file.close()
            return result

    def _pass(self, name: str, *args: Any) -> Any:
        if name == "told":
            return self._tell(self._probe, *args)
        if name == "memory":
            memory = self._probe.get_memory_interface_for_ap(_Port(args[0]))
            if memory is not None:
                self._memories[args[0]] = memory
            return memory is not None
        if name in _MEMORY_CALLS:
            port, *rest, csw = args
            result = getattr(self._memories[port], name)(*rest, csw=csw)
        else:
            result = getattr(self._probe, name)(*args)
        return list(result) if isinstance(result, (list, tuple)) else result


_KEPT = {"SWJ_SEQUENCE", "BANKED_DP_REGISTERS", "MANAGED_AP_SELECTION", "MANAGED_DPBANKSEL", "APv2_ADDRESSES"}


class _Port:
    """What a probe asks of an access port's address (APv1)."""

    def __init__(self, apsel: int) -> None:
        from pyocd.coresight.ap import APVersion

        self.apsel = self.nominal_address = apsel
        self.ap_version = APVersion.APv1


class ReplayProbe(_Tape):
    """A recorded session: answers the same calls in the same order, and refuses others."""

    product_name = "replay"

    def __init__(self, head: dict[str, Any], lines: list[Any], source: str) -> None:
        super().__init__()
        self._head, self._source = head, source
        known: Any = next((line[2] for line in lines if line[0] == "capabilities"), [])
        self._caps = [n for n in known if isinstance(n, str)] if isinstance(known, list) else []
        self._lines = [line for line in lines if line[0] != "capabilities"]
        self._at = 0

    @classmethod
    def load(cls, path: str) -> ReplayProbe:
        """Return the probe recorded in the file at `path`; InputError when it is no such file."""
        lines = _lines(path)
        good = lines and isinstance(lines[0], dict) and lines[0].get("kind") == KIND
        if not good or not all(map(_is_entry, lines[1:])):
            raise InputError("not a recorded session", source=path, advice="record one with --record FILE")
        return cls(lines[0], lines[1:], path)

    @property
    def unique_id(self) -> str:
        """Id of the probe that was recorded."""
        return str(self._head.get("unique_id", "replay"))

    @property
    def capabilities(self) -> Any:
        """What the recorded probe could do."""
        return {DebugProbe.Capability[name] for name in self._caps if name in _KEPT}

    def _call(self, name: str, *args: Any) -> Any:
        with self._one:
            wanted = [_pack(a) for a in args]
            if self._at >= len(self._lines):
                raise exceptions.ProbeError(f"the recorded session ends before {name} {wanted}")
            line = self._lines[self._at]
            if line[0] != name or line[1] != wanted:
                raise exceptions.ProbeError(
                    f"{self._source} line {self._at + 2} recorded {line[0]} {line[1]}, "
                    f"not {name} {wanted}: replay the same command"
                )
            self._at += 1
            if len(line) == 4:
                kind, text, address = line[3]
                error = _ERRORS.get(kind, exceptions.Error)(text)
                if isinstance(error, exceptions.TransferFaultError):
                    error.fault_address = address
                raise error
            with suppress(KeyError, TypeError, ValueError):
                value = _unpack(line[2])
                if _fits(name, args, value):
                    return value
            raise exceptions.ProbeError(f"{self._source} line {self._at + 1} is damaged")


_COUNTED = {"read_ap_multiple": 1, "read_memory_block32": 2, "read_memory_block8": 2}
"""Where among its arguments a read of many words says how many."""


def _fits(name: str, args: tuple[Any, ...], value: Any) -> bool:
    """Tell whether what a recording answers to a read has the type and the length of one."""
    if name in _COUNTED:
        return isinstance(value, list) and len(value) == args[_COUNTED[name]] and all(map(_is_word, value))
    if name in ("read_dp", "read_ap", "read_memory"):
        return _is_word(value)
    return name != "told" or isinstance(value, int | str | None)


def _is_word(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 32


def _is_entry(line: Any) -> bool:
    """Tell whether a line says what was asked with what, what came back, and which error, where one did."""
    if not isinstance(line, list) or len(line) not in (3, 4) or not isinstance(line[0], str):
        return False
    error = line[3] if len(line) == 4 else ["", "", None]
    return (
        isinstance(error, list)
        and len(error) == 3
        and all(isinstance(w, str) for w in error[:2])
        and isinstance(error[2], int | None)
    )


def _lines(path: str) -> list[Any]:
    """Return the values in the lines of a recording; InputError with the line that is none."""
    text = read_evidence(path, limit=RECORDING).data.decode("utf-8", "replace")
    lines = []
    for number, line in enumerate(text.split("\n"), 1):
        try:
            lines += [json.loads(line)] if line.strip() else []
        except (ValueError, RecursionError):  # ValueError: also a number of thousands of digits
            raise InputError("not a line of JSON", source=path, place=f"line {number}") from None
    return lines


_PLAIN = 0x10000
"""Smaller words are counts, offsets and flags: they tell nothing of a firmware."""


def redact_recording(path: str, private: frozenset[int]) -> int:
    """Replace private words in a recording, each by one of its own, so that it replays alike; return how many.

    Contents of the flash and the UID go, and with them the probe's serial number; what two reads have in common, and
    where they differ, stays.
    """
    lines = _lines(path)
    secret = sorted(w for w in private if _PLAIN <= w < 0xFFFFFFFF)
    taken = set(secret)
    free = (n for n in itertools.count(0xC0DE0000) if n not in taken)
    instead = dict(zip(secret, free, strict=False))

    def clean(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, list, dict)):
            return value
        if isinstance(value, int):
            return instead.get(value, value)
        if isinstance(value, dict):
            words = np.frombuffer(bytes.fromhex(value["words"]), "<u4")
            return {"words": np.array([instead.get(int(w), int(w)) for w in words], "<u4").tobytes().hex()}
        return [clean(v) for v in value]

    head = lines[0] | {"unique_id": "redacted", "description": str(lines[0].get("description", "")).split(" [")[0]}
    rows = [line if line[0] == "told" else [*line[:2], *clean(line[2:])] for line in lines[1:]]
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in (head, *rows))
    write_whole(path, text)
    return len(instead)
