"""The process in which a stranger's loader runs: it gives up files, sockets and children first.

One JSON request on standard input, one JSON answer on standard output, and nothing else. The emulator is licensed under
the GPL (version 2) and is no dependency of this project; a dry run imports it here, in a process of its own.
"""

from __future__ import annotations

import json
import os
import sys

from h5diag.limits import DRY_RUN_BYTES

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


def main() -> None:
    """Answer one request. What goes wrong is an answer too: ``{"error": text}``."""
    out = sys.stdout
    sys.stdout = sys.stderr
    try:
        request = json.loads(sys.stdin.read(DRY_RUN_BYTES))
        answer = _answer(request)
    except Exception as error:  # whatever it is, the parent must get one line and no traceback
        answer = {"error": f"{type(error).__name__}: {error}"}
    out.write(json.dumps(answer))
    out.flush()


def _answer(request: dict[str, object]) -> dict[str, object]:
    try:
        import unicorn  # noqa: F401
    except ImportError:
        return {"missing": "unicorn"}
    from h5diag.sim.dryrun.machine import emulator_is_sound, run_sequence

    if not emulator_is_sound():
        return {"error": "the emulator failed its start-up self-test (conditional stores in IT blocks)"}
    lock_down()
    return run_sequence(request)


if __name__ == "__main__":
    main()
