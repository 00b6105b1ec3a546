"""The 204 harmless pairs of ``tests/judge/field`` in full: no cause of the cells leads, and every verdict has a reason."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent / "judge" / "field" / "test_evidence.py"


def main() -> int:
    """Run the controls with their full number and return pytest's status."""
    command = [sys.executable, "-m", "pytest", "-q", str(TESTS), "-k", "harmless_pair"]
    return subprocess.run(command, env={**os.environ, "H5DIAG_SOAK": "1"}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
