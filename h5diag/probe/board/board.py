"""A connected chip: reads with a chosen security attribute, one thread at a time, and writes what was permitted."""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, Self

import numpy as np
import numpy.typing as npt
from pyocd.core import exceptions
from pyocd.coresight.cortex_m import CortexM
from pyocd.probe.debug_probe import DebugProbe

from h5diag.chip import Chip, load_chip
from h5diag.errors import PermissionRefused, PowerLost, ProbeError, TargetError
from h5diag.memory import Access, AddressRange, Bytes
from h5diag.probe.board.link import (
    DEFAULT_HZ,
    SLOWER,
    UNDER_RESET,
    ConnectMode,
    close_session,
    firmware,
    let_go,
    measured_mv,
    open_session,
    power_up,
    powered,
    set_speed,
    tell,
    translated,
    was_cut,
)
from h5diag.probe.board.permissions import NOTHING, Permissions, permit_write
from h5diag.probe.board.probes import open_probe
from h5diag.sim.virtual.record import RecordingProbe

_CPUID = 0xE000ED00
_LOOKS = 3
"""A single word may fail by chance, which says nothing of the core."""
_AWAY, _SUPPLY = "the chip lost its power or was disconnected for a moment", "check supply and connector"


class Board:
    """A chip on a probe. Use it in a ``with`` statement, or call `close`.

    Every public call holds one lock, so that threads may share a board; `locked` holds it over several calls.

    Parameters
    ----------
    session
        An open pyOCD session.
    name
        What the user called the probe.
    mode, frequency_hz, access, permissions, chip
        As given to `connect`.
    """

    def __init__(
        self,
        session: Any,
        name: str,
        mode: ConnectMode,
        frequency_hz: int,
        access: Access,
        permissions: Permissions,
        chip: Chip | None,
    ) -> None:
        self._session = session
        self._lock = threading.RLock()
        self._closed = False
        self._depth = 0
        self.name, self.mode, self.permissions = name, mode, permissions
        self.given, self.chip = chip is not None, chip or load_chip()
        self.frequency_hz = frequency_hz
        self.moved = 0
        """Bytes of memory that passed the link so far, in either direction."""
        self.swd_hz: int | None = None
        self.remarks: tuple[str, ...] = ()
        self._ap = session.target.cores[0].ap
        self.access = Access.NONSECURE
        with translated():
            self.swd_hz = set_speed(session.probe, frequency_hz)
        self._use(access)
        self._cpuid = self._word(_CPUID)
        if self._cpuid is None:
            with self.locked():
                power_up(session)
                self._cpuid = self._word(_CPUID)
        if self._cpuid is None:
            raise _silent_core()
        self._look_how()

    # ------------------------------------------------------------------------------------------------ connection
    @classmethod
    def connect(
        cls,
        name: str = "auto",
        *,
        mode: ConnectMode = ConnectMode.ATTACH,
        frequency_hz: int = DEFAULT_HZ,
        access: Access = Access.UNKNOWN,
        permissions: Permissions = NOTHING,
        chip: Chip | None = None,
        record: str = "",
        probe: DebugProbe | None = None,
    ) -> Self:
        """Connect to a chip. The default attaches: no reset, no halt, nothing allowed but reading.

        Parameters
        ----------
        name
            ``auto``, the begin of a probe's id, ``remote:HOST:PORT``, ``virtual[:ITEM+ITEM]`` or ``replay:FILE``.
        mode
            How to connect; see `REASONS`.
        frequency_hz
            Speed of SWD.
        access
            Security attribute of reads; `Access.UNKNOWN` reads non-secure.
        permissions
            What may be changed.
        chip
            Description of the chip; STM32H563ZI by default.
        record
            File to record the session into; empty for none.
        probe
            A pyOCD probe to use instead of the one called `name`.

        Raises
        ------
        InputError
            When `name` is of no known form.
        ProbeError
            When probe or chip cannot be reached.
        PermissionRefused
            When secure access is asked for and the chip does not allow it.
        """
        used = probe if probe is not None else open_probe(name)
        if record:
            used = RecordingProbe(used, record, tell)
        session = open_session(used, mode, frequency_hz, chip or load_chip())
        try:
            return cls(session, name, mode, frequency_hz, access, permissions, chip)
        except BaseException:
            close_session(session)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the chip run on and the probe go; may be called twice, and after the probe was lost."""
        with self._lock:
            if not self._closed:
                self._closed = True
                close_session(self._session)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def cut(self) -> bool:
        """Whether Ctrl-C cut the connection in the middle of a request; `reconnect` makes a new one."""
        return was_cut(self._session.probe)

    @property
    def probe_id(self) -> str:
        """Unique id of the probe."""
        return str(self._session.probe.unique_id)

    @property
    def target(self) -> Any:
        """Target of pyOCD, for flash algorithms; hold `locked` while using it."""
        return self._session.target

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other thread and client out while a sequence of accesses runs; translates pyOCD's errors.

        Raises
        ------
        ProbeError
            When the board was closed, or the link fails.
        """
        with self._lock:
            if self._closed:
                raise ProbeError("the board is not connected any more", advice="connect again")
            with translated():
                self._session.probe.lock()
                self._depth += 1
                try:
                    yield
                finally:
                    self._depth -= 1
                    # A probe that was pulled out cannot be unlocked; the first error is the one to tell.
                    with _quiet():
                        self._session.probe.unlock()
                    if not self._depth:
                        let_go(self._session.probe)

    def clock_s(self) -> float:
        """Return a clock in seconds: the chip's simulated time when it is virtual, else the monotonic clock."""
        with self._lock, translated():
            try:
                return float(self._session.probe.simulated_time_s)
            except AttributeError:
                return time.monotonic()

    def set_frequency(self, frequency_hz: int) -> int:
        """Change the speed of the link and return the true one, or the one asked for where the probe does not tell."""
        with self.locked():
            self.swd_hz = set_speed(self._session.probe, frequency_hz)
            self.frequency_hz = frequency_hz
            return self.true_hz

    @property
    def true_hz(self) -> int:
        """Speed of the link: the true one, or the one asked for where `swd_hz` is None."""
        return self.swd_hz or self.frequency_hz

    @property
    def firmware(self) -> str | None:
        """Version of the probe's firmware; None where it does not tell."""
        return firmware(self._session.probe)

    # ------------------------------------------------------------------------------------------------ still there?
    def _word(self, address: int) -> int | None:
        try:
            return int(self._ap.read_memory(address, 32))
        except exceptions.Error:
            return None

    def _look_how(self) -> None:
        """Note what the way of connecting did, for a reset line that is not wired does nothing."""
        if self.mode is ConnectMode.ATTACH:
            return
        status, why = self._word(CortexM.DHCSR), self._word(CortexM.DFSR)
        if status is not None and not status & CortexM.S_HALT:
            self.remarks += (f"connected {self.mode.value}, but the core did not halt: it runs on",)
        if self.mode is ConnectMode.UNDER_RESET and why is not None and not why & CortexM.DFSR_VCATCH:
            self.remarks += (
                "connected under reset, but the core was not caught at its reset vector: the probe's reset line seems not "
                "to reach the chip (NRST not wired?)",
            )

    def recover(self) -> bool:
        """Clear errors, power the debug port up again, and tell whether the core says again who it is.

        Tells a link that fails from a chip that does not answer: the debug port and CPUID need no memory.

        Raises
        ------
        ProbeError
            When the link stays dead.
        """
        with self.locked():
            power_up(self._session)
            return self._word(_CPUID) == self._cpuid

    def still_there(self) -> bool:
        """Tell whether the chip kept its power and its core says who it is; False when it is back after a moment without.

        What a chip refuses while it is asleep or without power looks like a fault of its bus.

        Raises
        ------
        PowerLost
            When the chip lost its power or was disconnected, and does not answer any more.
        ProbeError
            When its core does not answer any more, or the link stays dead.
        """
        with self.locked():
            kept = powered(self._session)
            if kept and any(self._word(_CPUID) == self._cpuid for _ in range(_LOOKS)):
                return True
            try:
                back = self.recover()
            except ProbeError:
                if kept:
                    raise
                back = False
        if not back:
            raise PowerLost(f"{_AWAY} and does not answer any more", advice=_SUPPLY) if not kept else _silent_core()
        return False

    @property
    def has_power(self) -> bool:
        """Whether the debug port still has the power that it was given."""
        with self.locked():
            return powered(self._session)

    def require_alive(self) -> None:
        """Raise when an access failed because the chip was not there, also when it is back; else it was its answer.

        Raises
        ------
        PowerLost
            When it lost its power, was disconnected or did not answer for a moment.
        ProbeError
            As `still_there`.
        """
        if not self.still_there():
            power_lost()

    # ------------------------------------------------------------------------------------------------ security
    @property
    def secure_allowed(self) -> bool:
        """Whether the chip lets a debugger make secure accesses now (CSW.SPIDEN)."""
        with self.locked():
            return bool(self._ap.dp.read_ap(self._ap.address.address) >> 23 & 1)

    def _use(self, access: Access) -> None:
        if access is Access.SECURE:
            self._require_secure()
        self.access = Access.NONSECURE if access is Access.UNKNOWN else access

    def _require_secure(self) -> None:
        """Refuse rather than call something secure that the port would carry out non-secure."""
        if not self.secure_allowed:
            raise PermissionRefused(
                "the chip does not allow secure accesses in its product state",
                advice="read non-secure; the secure side reads as zeros then",
            )

    @contextmanager
    def _attribute(self, access: Access | None) -> Iterator[None]:
        """Make the accesses inside secure or non-secure, explicitly (HNONSEC)."""
        wanted = access or self.access
        if wanted is Access.SECURE and self.access is not Access.SECURE:
            self._require_secure()
        with self.locked(), self._ap.hnonsec_lock(0 if wanted is Access.SECURE else 1):
            yield

    # ------------------------------------------------------------------------------------------------ reading
    def read_words(self, address: int, count: int, *, access: Access | None = None) -> npt.NDArray[np.uint32]:
        """Return `count` words from the word-aligned `address` on, in one burst.

        Raises
        ------
        TargetError
            When the chip's bus refuses one of them; which one is not known.
        ProbeError
            When the link fails.
        """
        with self._attribute(access), translated(address, 4 * count):
            words = np.frombuffer(array("I", self._ap.read_memory_block32(address, count)), "<u4")
        self.moved += 4 * count
        return words

    def read_word(self, address: int, *, access: Access | None = None) -> int:
        """Return one word; raises as `read_words`."""
        with self._attribute(access), translated(address, 4):
            value = int(self._ap.read_memory(address, 32))
        self.moved += 4
        return value

    def read(self, start: int, stop: int, *, access: Access | None = None) -> Bytes:
        """Return the bytes ``[start, stop)``, any alignment; raises as `read_words`."""
        first = start & ~3
        words = self.read_words(first, (stop - first + 3) // 4, access=access)
        return words.view(np.uint8)[start - first : stop - first]

    def register(self, name: str, *, access: Access | None = None) -> int:
        """Return a register of the FLASH interface by its name in the manual."""
        return self.read_word(self.register_address(name), access=access)

    def register_address(self, name: str) -> int:
        """Return the bus address of a FLASH register, at the alias that its side uses."""
        secure = name.startswith("SEC") and name not in ("SECWM1R_CUR", "SECWM2R_CUR") and self.access is Access.SECURE
        base = self.chip.flash_registers_secure if secure else self.chip.flash_registers
        return base + self.chip.register(name).offset

    # ------------------------------------------------------------------------------------------------ writing
    def write_words(
        self, address: int, words: Sequence[int] | npt.NDArray[np.uint32], *, access: Access | None = None
    ) -> None:
        """Write words, when the permissions cover every one of them.

        Raises
        ------
        PermissionRefused
            When they do not; option bytes, OTP, keys and everything unknown are always refused.
        TargetError, ProbeError
            As in `read_words`.
        """
        values = [int(w) for w in words]
        self._permit(AddressRange(address, address + 4 * len(values)), values)
        with self._attribute(access), translated(address, 4 * len(values)):
            self._ap.write_memory_block32(address, values)
        self.moved += 4 * len(values)

    def write_word(self, address: int, value: int, *, access: Access | None = None) -> None:
        """Write one word; raises as `write_words`."""
        self._permit(AddressRange(address, address + 4), [value])
        with self._attribute(access), translated(address, 4):
            self._ap.write_memory(address, value, 32)

    def _permit(self, wanted: AddressRange, values: Sequence[int]) -> None:
        permit_write(self.chip, self.permissions, wanted, values, self._swapped)

    def _swapped(self) -> bool:
        optcr = self.chip.register("OPTCR")
        return bool(optcr.get("SWAP_BANK", self.read_word(self.chip.flash_registers + optcr.offset)))

    # ------------------------------------------------------------------------------------------------ core
    @property
    def halted(self) -> bool:
        """Whether the core is stopped."""
        with self.locked():
            return bool(self._ap.read_memory(CortexM.DHCSR, 32) & CortexM.S_HALT)

    def halt(self) -> None:
        """Stop the core; needs the permission `halt` unless the board was connected so."""
        if self.mode is ConnectMode.ATTACH:
            self.permissions.require("halt")
        with self.locked():
            self._session.target.halt()

    def resume(self) -> None:
        """Let the core run on."""
        with self.locked():
            self._session.target.resume()

    def reset(self, *, halt: bool = False) -> None:
        """Reset the chip; needs the permission `reset`."""
        self.permissions.require("reset")
        with self.locked():
            if halt:
                self._session.target.reset_and_halt()
            else:
                self._session.target.reset()

    def read_core_register(self, name: str) -> int:
        """Return a core register (``pc``, ``sp``, ``r0``...) of the halted core.

        Raises
        ------
        TargetError
            When the core runs.
        """
        with self.locked():
            if not self.halted:
                raise TargetError("core registers need a halted core", address=0)
            return int(self._session.target.read_core_register(name))


def power_lost() -> NoReturn:
    """Raise that the chip was away and is back: nothing is written by itself before a person looked at the supply."""
    raise PowerLost(f"{_AWAY} and is back", advice=_SUPPLY)


def _silent_core() -> ProbeError:
    return ProbeError(
        "the core does not answer any more: it sleeps, has no clock, or the link is bad",
        advice=f"{UNDER_RESET}; try {SLOWER}; check the supply",
    )


@contextmanager
def _quiet() -> Iterator[None]:
    try:
        yield
    except Exception:
        return


connect = Board.connect


def supply_mv(board: Board) -> int | None:
    """Return the supply of the target in millivolts as the probe measures it; None when it does not.

    Raises
    ------
    ProbeError
        When the link fails.
    """
    with board.locked(), translated():
        return measured_mv(board.target.session.probe)


def own_power_switch(board: Board) -> Callable[[], None] | None:
    """Return what turns the supply off and on, when this probe can do it by itself (a virtual one); else None."""
    return getattr(board.target.session.probe, "power_cycle", None)


def reconnect(board: Board, between: Callable[[], None]) -> None:
    """Let the probe go, do something (a power cycle), and take the chip up again in the same way.

    Parameters
    ----------
    board
        Connected before and after.
    between
        Called while the probe is free.

    Raises
    ------
    ProbeError
        When the chip does not come back; the board is closed then.
    """
    with board._lock:
        probe = board._session.probe
        close_session(board._session)
        board._closed = True
        between()
        board._session = open_session(probe, board.mode, board.frequency_hz, board.chip)
        board._closed = False
        board._ap = board._session.target.cores[0].ap
        board.set_frequency(board.frequency_hz)
        board._use(board.access)
