"""Opening a pyOCD session without its traps: no project files, no prompts, no pack, no reset unless asked."""

from __future__ import annotations

import os
from enum import Enum
from typing import Any

from pyocd.core.session import Session
from pyocd.probe.debug_probe import DebugProbe

from h5diag.errors import ProbeError
from h5diag.probe.board.target import TARGET_NAME
from h5diag.probe.board.translate import closed_port, probe_error, translated


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
