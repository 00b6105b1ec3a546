"""The worker process seen from outside: started, asked once, ended in time."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from h5diag.errors import InputError

_BOOT = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from h5diag.sim.dryrun.worker import main; main()"
_NOTHING: dict[str, Any] = {"calls": [], "nor": [], "commands": 0, "assumed": [], "stack_used": 0}


def require_emulator() -> None:
    """Raise InputError when the emulator is not installed."""
    if find_spec("unicorn") is None:
        raise _missing()


def _missing() -> InputError:
    return InputError(
        "the dry run needs the emulator, which is not installed",
        advice="pip install 'h5diag[dryrun]'; lint and explain work without it",
    )


def ask(request: dict[str, Any], time_limit: float) -> dict[str, Any]:
    """Return the worker's answer to a request, at the latest after `time_limit` seconds.

    Raises
    ------
    InputError
        When the worker cannot be started, the emulator is missing or does not compute right.
    """
    root = str(Path(__file__).resolve().parents[3])
    path = json.dumps([root, *(p for p in sys.path if p)])
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _BOOT, path],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=time_limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {**_NOTHING, "kind": "hang", "problem": f"the emulator was ended after {time_limit:g} s"}
    except OSError as error:
        raise InputError(f"the worker process cannot be started ({error.strerror or error})") from None
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        tail = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        return {**_NOTHING, "kind": "fault", "problem": f"the loader brought the emulator down ({tail[0][:120]})"}
    if "missing" in answer and answer["missing"] == "unicorn":
        raise _missing()
    if "error" in answer:
        raise InputError(
            f"the dry run cannot be done: {answer['error']}",
            advice="reinstall the emulator: pip install --force-reinstall 'unicorn>=2.1'",
        )
    return answer
