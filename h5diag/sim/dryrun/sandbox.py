"""What the worker gives up before it runs a stranger's code: files, sockets, children, memory without end."""

from __future__ import annotations

import os
import sys

_REFUSED = (
    "open",
    "os.",
    "socket.",
    "subprocess.",
    "shutil.",
    "ctypes.dlopen",
    "import",
    "exec",
    "compile",
    "mmap.",
    "tempfile.",
    "urllib.",
    "http.",
)
_CPU_SECONDS, _MEMORY = 60, 2 << 30


def lock_down() -> None:
    """Refuse from now on every file, socket and process; limit processor time and memory where the system can.

    A refused act raises PermissionError where it is tried.
    """
    try:
        import resource
    except ImportError:  # not on Windows; the audit hook below holds there too
        pass
    else:
        for kind, most in (
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_CPU, _CPU_SECONDS),
            (resource.RLIMIT_NOFILE, 3),
            (resource.RLIMIT_NPROC, 0),
            (resource.RLIMIT_AS, _MEMORY),
        ):
            _, hard = resource.getrlimit(kind)
            wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
            try:
                resource.setrlimit(kind, (wanted, wanted))
            except (ValueError, OSError):  # a system that does not know the limit; the audit hook still holds
                continue
    os.environ.clear()
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if event.startswith(_REFUSED):
        raise PermissionError(f"the dry run may not: {event}")
