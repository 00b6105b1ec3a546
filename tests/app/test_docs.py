"""What the documentation says of the front door is so: the names, and the example runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import h5diag as h5

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_page_names_exactly_the_names_of_the_door() -> None:
    rows = re.findall(r"^\| (`[^|]+`) \|", (DOCS / "api.md").read_text("utf-8"), re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(h5.__all__)


def test_the_example_runs_and_is_short(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (DOCS / "api.md").read_text("utf-8"), re.DOTALL)
    assert len([line for line in example.splitlines() if line.strip()]) <= 25
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert "'displacement': 679936" in run.stdout
    assert "sound - Nothing here points" in run.stdout
    assert (tmp_path / "pieces.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "options.svg").read_bytes().startswith(b"<?xml")
    assert "Removed from this copy" in (tmp_path / "report.html").read_text("utf-8")
