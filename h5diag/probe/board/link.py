"""Opening a pyOCD session without its traps, and pyOCD's errors turned into ours.

No project files, no prompts, no pack, no reset unless asked. Each cause of an error has its own message with what to
do; nowhere else are pyOCD's exceptions caught.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any

from pyocd.core import exceptions
from pyocd.core.memory_map import MemoryMap, RamRegion, RomRegion
from pyocd.core.session import Session
from pyocd.coresight.coresight_target import CoreSightTarget
from pyocd.probe.debug_probe import DebugProbe
from pyocd.target import TARGET

from h5diag.chip import Chip, load_chip
from h5diag.errors import ProbeError, TargetError

RESUME = "plug it in again; a dump goes on with --resume"


@contextmanager
def translated(address: int = 0, size: int = 0) -> Iterator[None]:
    """Turn what pyOCD and the operating system raise inside into `ProbeError` and `TargetError`.

    Parameters
    ----------
    address, size
        What was being accessed, for errors of the chip.
    """
    try:
        yield
    except exceptions.TransferFaultError as error:
        at = error.fault_address if error.fault_address is not None else address
        raise TargetError("the bus answered with a fault", address=at or address, size=size, cause=str(error)) from None
    except exceptions.FlashFailure as error:
        at = error.address if error.address is not None else address
        raise TargetError("the flash algorithm failed", address=at, size=size, cause=str(error)) from None
    except exceptions.Error as error:
        raise probe_error(error) from None
    except OSError as error:
        raise probe_error(error) from None
    except RecursionError:  # pyOCD answers a WAIT with an abort, whose WAIT it answers with an abort
        raise probe_error(exceptions.TransferTimeoutError("WAIT")) from None
    except RuntimeError as error:  # the CMSIS-DAP layer has a tree of its own
        if type(error).__module__.startswith("pyocd"):
            raise probe_error(error) from None
        raise


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
        return ProbeError(
            "the system does not allow access to the probe",
            cause=text,
            advice="on Linux install the probe's udev rules and plug it in again",
        )
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
            advice="check power, SWDIO, SWCLK and ground; try a lower speed or connecting under reset",
        )
    if isinstance(error, exceptions.TransferTimeoutError):
        return ProbeError("the chip keeps answering WAIT", cause=text, advice="try a lower speed or another cable")
    if "no cores were discovered" in lower:
        return closed_port(text)
    return ProbeError("the link to the chip failed", cause=text, advice="check cable and supply, try a lower speed")


def _chain(error: BaseException) -> list[BaseException]:
    """Return the error and what led to it; pyOCD wraps a lost probe in "target not detected"."""
    out = [error]
    while len(out) < 8:
        below = out[-1].__cause__ or out[-1].__context__
        if below is None or below in out:
            break
        out.append(below)
    return out


def closed_port(cause: str = "") -> ProbeError:
    """Return the error of a chip whose debug port answers while the core's access port does not."""
    return ProbeError(
        "the chip answers, but the access port of its core (AP1) is closed",
        cause=cause,
        advice="this is what a product state past Open does, not a fault: read the state with debug "
        "authentication discovery; only its owner's credentials open the port",
    )


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


class Mode(Enum):
    """How to connect."""

    ATTACH = "attach"
    HALT = "halt"
    UNDER_RESET = "under-reset"


REASONS: tuple[tuple[Mode, str], ...] = (
    (
        Mode.ATTACH,
        "leaves the program running and resets nothing; writes only the core's debug registers "
        "(DHCSR, DEMCR, breakpoints and watchpoints are cleared)",
    ),
    (Mode.HALT, "stops the program while connected, so that nothing changes the flash meanwhile; a watchdog may bite"),
    (
        Mode.UNDER_RESET,
        "resets the chip and stops it at its first instruction: for firmware that closes the port or "
        "crashes; the boot code may act on its slots afterwards, option registers read 0 under reset",
    ),
)
"""What each way of connecting does, for a person."""

DEFAULT_HZ = 4_000_000


def open_session(probe: DebugProbe, mode: Mode, frequency_hz: int) -> Session:
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
    except ProbeError as error:
        closed = "AP1" in error.problem or port_closed(session)
        _give_up(session)
        raise closed_port(error.cause) if closed else error from None
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


def port_closed(session: Session) -> bool:
    """Tell whether the DP answers while the core's port (AP1) has no identification."""
    dp = getattr(session.target, "dp", None)
    try:
        return dp is not None and bool(dp.dpidr.idr) and dp.read_ap(0x000000FC) != 0 and dp.read_ap(0x010000FC) == 0
    except Exception:  # whatever fails here, the first error is the one to tell
        return False


def _give_up(session: Session) -> None:
    probe = session.probe
    for step in (session.close, probe.disconnect, probe.close):
        try:
            if step == session.close or probe.is_open:
                step()
        except Exception:  # closing what never opened must not hide why
            continue


def close_session(session: Session) -> None:
    """Close a session; a link that is gone already is no error."""
    try:
        session.close()
    except Exception as error:
        probe_error(error)
        _give_up(session)
