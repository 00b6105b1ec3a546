"""Opening a pyOCD session without its traps, and pyOCD's errors turned into ours.

No project files, no prompts, no pack, no reset unless asked. Each cause of an error has its own message with what to
do; nowhere else are pyOCD's exceptions caught. A port that is closed, a core that sleeps and a bad link look alike to
pyOCD ("No cores were discovered"); here they are told apart before anything is said about the chip.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pyocd.core import exceptions
from pyocd.core.memory_map import MemoryMap, RamRegion, RomRegion
from pyocd.core.session import Session
from pyocd.coresight.coresight_target import CoreSightTarget
from pyocd.probe.debug_probe import DebugProbe
from pyocd.probe.stlink.constants import SWD_FREQ_MAP
from pyocd.target import TARGET

from h5diag.chip import Chip, load_chip
from h5diag.errors import H5DiagError, ProbeError, TargetError

RESUME = "plug it in again; a dump goes on by itself when the same command is given again"
_DRIVERS = frozenset({"pyocd", "usb", "hid", "pylink", "libusb_package"})
UNDER_RESET = "connect under reset (--connect under-reset)"
SLOWER = "a lower speed (--speed 500k)"


@contextmanager
def translated(address: int = 0, size: int = 0) -> Iterator[None]:
    """Turn what pyOCD, its drivers and the operating system raise inside into `ProbeError` and `TargetError`.

    Parameters
    ----------
    address, size
        What was being accessed, for errors of the chip.
    """
    try:
        yield
    except H5DiagError:
        raise
    except exceptions.TransferFaultError as error:
        at = error.fault_address if error.fault_address is not None else address
        raise TargetError("the bus answered with a fault", address=at or address, size=size, cause=str(error)) from None
    except exceptions.FlashFailure as error:
        at = error.address if error.address is not None else address
        raise TargetError("the flash algorithm failed", address=at, size=size, cause=str(error)) from None
    except (exceptions.Error, OSError) as error:
        raise probe_error(error) from None
    except RecursionError:  # pyOCD answers a WAIT with an abort, whose WAIT it answers with an abort
        raise probe_error(exceptions.TransferTimeoutError("WAIT")) from None
    except Exception as error:
        if isinstance(error, MemoryError) or not _of_a_driver(error):
            raise
        raise driver_error(error) from None


def _of_a_driver(error: BaseException) -> bool:
    """Tell whether an exception came through pyOCD, a USB library or a probe, and not out of our own code."""
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] in _DRIVERS:
            return True
        if isinstance(frame.f_locals.get("self"), DebugProbe):
            return True
        trace = trace.tb_next
    return False


def driver_error(error: BaseException) -> ProbeError:
    """Return the error of a driver that stumbled over its own probe (KeyError, IndexError, "no langid" and so on)."""
    if isinstance(error, (exceptions.Error, OSError)):
        return probe_error(error)
    text = " ".join(str(error).split())
    lower = text.lower()
    if "langid" in lower:  # libusb says so where it may not read the descriptor
        return _not_allowed(text)
    return ProbeError(
        "the driver of the probe failed",
        cause=f"{type(error).__name__}: {text}" if text else type(error).__name__,
        advice="unplug the probe and plug it in again; if it stays so, update its firmware",
    )


def probe_error(error: BaseException) -> ProbeError:
    """Return the `ProbeError` that says what `error` means and what to do."""
    text = " ".join(str(error).split())
    causes = _chain(error)
    numbers = {getattr(e, "errno", None) for e in causes}
    lower = " ".join(str(e).lower() for e in causes)
    lost = any(isinstance(e, exceptions.ProbeDisconnected) for e in causes) or errno.ENODEV in numbers
    if lost or any(w in lower for w in ("no such device", "disconnected", "thread exited unexpectedly")):
        return ProbeError("the probe is gone: unplugged, or its server closed", advice=RESUME, cause=text)
    if errno.ECONNREFUSED in numbers:
        return ProbeError(
            "nothing listens at that address",
            cause=text,
            advice="start the probe server (h5diag virtual, pyocd server) or correct HOST:PORT",
        )
    if numbers & {errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED}:
        return ProbeError("the probe is gone: unplugged, or its server closed", advice=RESUME, cause=text)
    if "getaddrinfo" in lower or "name or service not known" in lower:
        return ProbeError("that host is not known", advice="correct HOST in remote:HOST:PORT", cause=text)
    if (
        errno.EBUSY in numbers
        or "unable to claim interface" in lower
        or "resource busy" in lower
        or "already in use" in lower
        or "already open" in lower
    ):
        return ProbeError(
            "the probe is held by another program",
            cause=text,
            advice="close STM32CubeProgrammer, the IDE's debug session, openocd or another notebook",
        )
    if errno.EACCES in numbers or "access denied" in lower or "permission" in lower:
        return _not_allowed(text)
    if "firmware" in lower and ("older" in lower or "update" in lower or "upgrade" in lower):
        return ProbeError(
            "the probe's firmware is too old",
            cause=text,
            advice="update it with STM32CubeProgrammer or ST-LINK Upgrade, then connect again",
        )
    if "target not detected" in lower or "no ack" in lower:
        return ProbeError(
            "no chip answers on SWD",
            cause=text,
            advice=f"check power, SWDIO, SWCLK and ground; {UNDER_RESET}, or try {SLOWER}",
            passing=True,
        )
    if isinstance(error, exceptions.TransferTimeoutError):
        return ProbeError(
            "the chip keeps answering WAIT",
            cause=text,
            advice=f"its program may sleep or run without a clock: {UNDER_RESET}; or try {SLOWER} or another cable",
            passing=True,
        )
    return ProbeError(
        "the link to the chip failed",
        cause=text,
        advice=f"check cable and supply; try {SLOWER}",
        passing=isinstance(error, exceptions.TransferError),
    )


def _not_allowed(cause: str) -> ProbeError:
    return ProbeError(
        "the system does not allow access to the probe",
        cause=cause,
        advice="on Linux install the probe's udev rules (pyOCD's folder udev) and plug it in again",
    )


def _chain(error: BaseException) -> list[BaseException]:
    """Return the error and what led to it; pyOCD wraps a lost probe in "target not detected"."""
    out = [error]
    while len(out) < 8:
        below = out[-1].__cause__ or out[-1].__context__
        if below is None or below in out:
            break
        out.append(below)
    return out


TARGET_NAME = "stm32h563xi"


def memory_map(chip: Chip) -> MemoryMap:
    """Return pyOCD's memory map of a chip: flash as ROM, so that nothing is programmed by accident."""
    regions = [
        RomRegion(name="flash", start=chip.flash.base, length=chip.flash.size, is_boot_memory=True),
        RomRegion(name="flash secure", start=chip.flash.secure_base, length=chip.flash.size),
    ]
    for r in chip.regions:
        if r.kind == "ram":
            regions.append(RamRegion(name=r.name, start=r.base, length=r.size))
            if r.secure_base:
                regions.append(RamRegion(name=f"{r.name} secure", start=r.secure_base, length=r.size))
    return MemoryMap(*regions)


class H5Target(CoreSightTarget):  # type: ignore[misc]
    """An STM32H5 with two access ports; discovery finds the core on the second by itself."""

    VENDOR = "STMicroelectronics"

    def __init__(self, session: Any) -> None:
        super().__init__(session, memory_map(load_chip()))


TARGET[TARGET_NAME] = H5Target


class ConnectMode(Enum):
    """How to connect."""

    ATTACH = "attach"
    HALT = "halt"
    UNDER_RESET = "under-reset"


REASONS: tuple[tuple[ConnectMode, str], ...] = (
    (
        ConnectMode.ATTACH,
        "leaves the program running and resets nothing; writes only the core's debug registers "
        "(DHCSR, DEMCR, breakpoints and watchpoints are cleared)",
    ),
    (
        ConnectMode.HALT,
        "stops the program while connected, so that nothing changes the flash meanwhile; a watchdog may bite",
    ),
    (
        ConnectMode.UNDER_RESET,
        "resets the chip and stops it at its first instruction: for firmware that closes the port or "
        "crashes; the boot code may act on its slots afterwards, option registers read 0 under reset",
    ),
)
"""What each way of connecting does, for a person."""

DEFAULT_HZ = 4_000_000


def open_session(probe: DebugProbe, mode: ConnectMode, frequency_hz: int, chip: Chip) -> Session:
    """Return an open session on `probe`.

    Raises
    ------
    ProbeError
        When the probe or the chip cannot be reached; each cause has its own message.
    """
    options: dict[str, Any] = {
        # A board id (0878) would select a target that needs a pack, so the target is always named.
        "target_override": TARGET_NAME,
        "connect_mode": mode.value,
        "frequency": frequency_hz,
        # Session changes into project_dir and runs pyocd_user.py and pyocd.yaml found there.
        "project_dir": os.getcwd(),
        "no_config": True,
        "user_script": os.devnull,
        "resume_on_disconnect": True,
        "hide_programming_progress": True,
    }
    with translated():
        session = Session(probe, auto_open=False, options=options)
    try:
        with translated():
            session.open(init_board=False)
            _check_firmware(probe)
            session.board.init()
            session._inited = True
    except (ProbeError, TargetError) as error:
        told = _explained(error, session, chip)
        _give_up(session)
        raise told from None
    except BaseException:
        _give_up(session)
        raise
    return session


def _check_firmware(probe: Any) -> None:
    """Refuse an ST-LINK whose firmware cannot choose the security attribute (before V2J32, V3J2)."""
    link = getattr(probe, "_link", None)
    needed = getattr(link, "MIN_JTAG_VERSION_MEM_CSW", None)
    if link is None or needed is None:
        return
    if not link._check_version(needed[link._hw_version]):
        raise ProbeError(
            "the probe's firmware is too old",
            cause=str(getattr(link, "version_str", "")),
            advice="secure and non-secure reads need V2J32 or V3J2 and up: update it with "
            "STM32CubeProgrammer, then connect again",
        )


# ---------------------------------------------------------------------------------------------------- what failed
@dataclass(frozen=True, slots=True)
class Ports:
    """What debug port and access ports say of themselves; None where they could not be asked.

    Parameters
    ----------
    dpidr
        Identification of the debug port.
    system, core
        Identification registers (IDR) of AP0 and AP1: 0 is closed or absent.
    status
        DBGMCU_SR, read through AP0: ports present in bits 15:0, enabled in bits 31:16.
    """

    dpidr: int | None = None
    system: int | None = None
    core: int | None = None
    status: int | None = None

    def __str__(self) -> str:
        """Return the words as a person compares them with the manual."""
        words = (("AP0 IDR", self.system), ("AP1 IDR", self.core), ("DBGMCU_SR", self.status))
        return ", ".join(f"{name} {'not readable' if v is None else f'0x{v:08X}'}" for name, v in words)


_ABORT, _CTRL, _SELECT, _IDR = 0x00, 0x04, 0x08, 0xFC
_POWER_UP, _POWERED = 0x50000000, 0xA0000000
_EVERYTHING = 0x1F
"""ABORT: end the transfer that hangs, clear every sticky flag."""


def look_at_ports(probe: DebugProbe, chip: Chip) -> Ports:
    """Ask the ports who they are, by port registers alone: it works while the core sleeps and memory does not answer."""

    def tried(ask: Callable[[], int]) -> int | None:
        try:
            return ask()
        except Exception:  # whatever fails here: the register could not be read
            with suppress(Exception):
                probe.write_dp(_ABORT, _EVERYTHING)
            return None

    def register(port: int, offset: int) -> int:
        probe.write_dp(_SELECT, port << 24 | offset & 0xF0)
        return int(probe.read_ap(port << 24 | offset))

    def status() -> int:
        offset = next(a.address for a in chip.addresses if a.name == "DBGMCU_SR") - chip.identity.idcode[0]
        port = chip.identity.system_ap
        probe.write_dp(_SELECT, port << 24)
        for base in chip.identity.idcode:  # this port sees DBGMCU at one of the two places where the core sees it
            probe.write_ap(port << 24 | 0x04, base + offset)
            value = tried(lambda: int(probe.read_ap(port << 24 | 0x0C)))
            if value:
                return value
        return 0

    core = chip.identity.core_ap
    tried(lambda: probe.write_dp(_ABORT, _EVERYTHING) or 0)
    dpidr = tried(lambda: int(probe.read_dp(0)))
    tried(lambda: probe.write_dp(_SELECT, 0) or 0)
    tried(lambda: probe.write_dp(_CTRL, _POWER_UP) or 0)
    return Ports(
        dpidr,
        tried(lambda: register(chip.identity.system_ap, _IDR)),
        tried(lambda: register(core, _IDR)),
        tried(status),
    )


def _explained(error: ProbeError | TargetError, session: Session, chip: Chip) -> ProbeError:
    """Return what kept the core from being reached: a closed port, a core asleep, lost power, or the link."""
    cause = error.cause or error.problem
    told = (
        error if isinstance(error, ProbeError) else ProbeError("the chip's debug port answers strangely", cause=cause)
    )
    if not session.probe.is_open or (isinstance(error, ProbeError) and not error.passing and not _undiscovered(cause)):
        return told
    ports = look_at_ports(session.probe, chip)
    if ports.dpidr is None:
        return told
    words = f"{cause}; {ports}"
    present, enabled = (ports.status or 0) >> 1 & 1, (ports.status or 0) >> 17 & 1
    if ports.core is None and isinstance(error, ProbeError) and error.passing:
        return ProbeError(error.problem, cause=words, advice=error.advice)
    if ports.core is None:
        return ProbeError(
            "the link to the chip is bad, or its core holds the port up: the core's port (AP1) cannot be asked who it is",
            cause=words,
            advice=f"try {SLOWER} and a shorter cable; {UNDER_RESET}; check the supply",
        )
    if ports.core:
        return ProbeError(
            "the core's port (AP1) is open, but what lies behind it does not answer: the core sleeps, has no clock, or "
            "the link is bad",
            cause=words,
            advice=f"{UNDER_RESET}; try {SLOWER}; check the supply",
        )
    if not ports.system and not (present and not enabled):
        return ProbeError(
            "every port of the chip reads zero: it lost its power, or is held in reset",
            cause=words,
            advice=f"check the supply and the reset line, then {UNDER_RESET}",
        )
    if enabled:
        return ProbeError(
            "the core's port (AP1) is enabled, but reads zero: the core sleeps, has no clock, or the link is bad",
            cause=words,
            advice=f"{UNDER_RESET}; try {SLOWER}; check the supply",
        )
    return ProbeError(
        "the chip answers, but the access port of its core (AP1) is closed",
        cause=words,
        advice="this is what a product state past Open does, not a fault: read the state with debug "
        "authentication discovery; only its owner's credentials open the port",
    )


def _undiscovered(cause: str) -> bool:
    return "no cores were discovered" in cause.lower()


# ---------------------------------------------------------------------------------------------------- speed, power
def set_speed(probe: Any, asked_hz: int) -> int | None:
    """Set the link speed and return the true one; None where the probe does not tell.

    An ST-LINK takes the next speed below that it knows: V2 has a fixed list, V3 answers the setting with what it took
    (and pyOCD drops the answer).
    """
    own = getattr(probe, "set_speed", None)
    if own is not None:  # a recording
        true: int | None = own(asked_hz)
        return true
    link: Any = getattr(probe, "_link", None)
    if getattr(link, "_hw_version", 0) >= 3 and hasattr(link, "set_com_frequency"):
        true_khz = link.set_com_frequency(link.Protocol.SWD, asked_hz)
        return 1000 * int(true_khz) if true_khz else None
    probe.set_clock(asked_hz)
    if getattr(link, "_hw_version", 0) == 2:
        return next((int(f) for f in SWD_FREQ_MAP if asked_hz >= f), None)
    told = getattr(probe, "swd_hz", None)
    return int(told) if told else None


def firmware(probe: Any) -> str | None:
    """Return the version of the probe's firmware; None where it does not tell."""
    link: Any = getattr(probe, "_link", None)
    for owner, name in ((link, "version_str"), (link, "product_fw_version"), (probe, "firmware")):
        value = getattr(owner, name, None)
        if isinstance(value, str) and value:
            return value
    return None


def tell(probe: Any, name: str, value: int = 0) -> int | str | None:
    """Answer what a recording asks of its real probe: ``set_speed``, ``firmware`` or ``supply_mv``."""
    if name == "set_speed":
        return set_speed(probe, value)
    return firmware(probe) if name == "firmware" else measured_mv(probe)


def measured_mv(probe: Any) -> int | None:
    """Return the supply of the target in millivolts as the probe measures it; None when it does not."""
    value = getattr(probe, "supply_mv", None)
    link: Any = getattr(probe, "_link", None)
    if not value and hasattr(link, "get_target_voltage"):  # ST-LINK
        link.get_target_voltage()
        value = 1000 * (link.target_voltage or 0)
    return round(value) if value else None


def powered(session: Any) -> bool:
    """Tell whether the debug port still has the power that it was given: a chip that lost its supply has not."""
    try:
        return int(session.probe.read_dp(_CTRL)) & _POWERED == _POWERED
    except Exception:  # a port that cannot be asked is told by the access that failed
        return True


def power_up(session: Any) -> None:
    """Clear what sticks, and power the debug port up again."""
    dp = session.target.dp
    with suppress(exceptions.Error):
        session.probe.write_dp(_ABORT, _EVERYTHING)
    for cached in (dp, *dp.aps.values()):
        cached._invalidate_cache()
    dp.power_up_debug()


def let_go(probe: Any) -> None:
    """Release what pyOCD left locked: where choosing a port or bank fails it forgets that it had locked the probe.

    Any other thread would wait for ever then, the one that closes the board among them.
    """
    for _ in range(getattr(probe, "_lock_count", 0)):  # a server holds it for its other clients too
        with suppress(Exception):
            probe.unlock()
    for name in ("_lock", "_exclusive"):
        lock: Any = getattr(probe, name, None)
        while hasattr(lock, "_is_owned") and lock._is_owned():
            lock.release()


def _give_up(session: Session) -> None:
    probe = session.probe
    for step in (session.close, probe.disconnect, probe.close):
        try:
            if step == session.close or probe.is_open:
                step()
        except Exception:  # closing what never opened must not hide why
            continue


def was_cut(probe: Any) -> bool:
    """Tell whether Ctrl-C came in the middle of a request: nothing more can be asked over this connection."""
    return bool(getattr(probe, "cut", False))


def close_session(session: Session) -> None:
    """Close a session; a link that is gone already, or was cut by Ctrl-C, is no error."""
    try:
        if not was_cut(session.probe):
            session.close()
            return
        session.probe.close()
    except Exception:  # whatever it says, nothing follows from it
        _give_up(session)
