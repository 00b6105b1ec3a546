"""pyOCD's errors turned into ours: each cause its own message with what to do. Nowhere else are they caught."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from pyocd.core import exceptions

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
