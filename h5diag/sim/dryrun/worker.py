"""The worker process: one JSON request on standard input, one JSON answer on standard output, and nothing else.

The emulator is licensed under the GPL (version 2) and is no dependency of this project; a dry run imports it here, in
a process of its own.
"""

from __future__ import annotations

import json
import sys

LARGEST_REQUEST = 80 << 20


def main() -> None:
    """Answer one request. What goes wrong is an answer too: ``{"error": text}``."""
    out = sys.stdout
    sys.stdout = sys.stderr
    try:
        request = json.loads(sys.stdin.read(LARGEST_REQUEST))
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
    from h5diag.sim.dryrun.sandbox import lock_down
    from h5diag.sim.dryrun.selftest import emulator_is_sound
    from h5diag.sim.dryrun.sequence import run_sequence

    if not emulator_is_sound():
        return {"error": "the emulator failed its start-up self-test (conditional stores in IT blocks)"}
    lock_down()
    return run_sequence(request)


if __name__ == "__main__":
    main()
