"""No benchmark asks for what the product no longer has: they run for minutes, and nobody runs them with each change."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_a_benchmark_calls_what_is_there() -> None:
    files = sorted(str(p) for p in (ROOT / "benchmarks").glob("*.py"))
    command = [sys.executable, "-m", "mypy", "--ignore-missing-imports", *files]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    assert len(files) > 10
    assert "checked" in said or "Success" in said, said
    wrong = re.findall(r".*\[(?:attr-defined|union-attr|call-arg|import-not-found)\]", said)
    assert [w for w in wrong if "does not explicitly export" not in w] == []


def test_what_is_run_by_hand_imports_what_is_there() -> None:
    """Fuzzers, soaks and the makers of data and pictures run for hours or once a year: what they import is looked up."""
    folders = ("benchmarks", "tests/fuzz", "tests", "docs", "data")
    files = [p for folder in folders for p in sorted((ROOT / folder).glob("*.py"))]
    missing, looked_up = [], 0
    for path in files:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "h5diag":
                for name in node.names:
                    looked_up += 1
                    if not _there(node.module or "", name.name):
                        missing.append(f"{path.name}:{node.lineno}: {node.module} has no {name.name}")
    assert looked_up > 200
    assert missing == []
    assert not _there("h5diag.memory", "no_such_name")


def _there(module: str, name: str) -> bool:
    found = import_module(module)
    return hasattr(found, name) or (hasattr(found, "__path__") and find_spec(f"{module}.{name}") is not None)
