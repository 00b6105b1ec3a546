"""The lowest versions that pyproject.toml names, in an environment of their own: import, the bundled cases, a sample of tests.

``python tests/floors.py FOLDER`` makes the environment in FOLDER and prints what was installed and what passed. What it
found last stands in docs/robustness.md.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = (
    "tests/test_memory.py",
    "tests/test_house.py",
    "tests/case",
    "tests/evidence/test_door.py",
    "tests/app/test_strange_folder.py",  # its matplotlibrc runs where matplotlib is older than 3.10.9
    "tests/measure/test_compare.py",
    "tests/show/plot",
    "tests/judge/diagnose/test_bundled.py",
    "tests/probe/board/test_connect.py",
)
TOOLS = ("pytest>=8.2", "hypothesis>=6.100", "pyyaml>=6", "pillow>=10", "imgtool==2.5.0")


def lowest(requirements: list[str]) -> list[str]:
    """Return each requirement pinned to its floor."""
    pinned = []
    for r in requirements:
        name, floor = re.match(r"([A-Za-z0-9._-]+)>=([0-9.]+)", r).groups()
        pinned.append(f"{name}=={floor}")
    return pinned


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only-install", action="store_true")
    options = parser.parse_args()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    pins = lowest(project["dependencies"])
    python = options.folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(options.folder)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *pins, *TOOLS], check=True)
    if options.only_install:
        return 0
    environment = {"PYTHONPATH": str(ROOT), "PATH": f"{options.folder / 'bin'}:/usr/bin:/bin"}
    listed = subprocess.run([str(python), "-m", "pip", "list", "--format=json"], capture_output=True, check=True)
    installed = {p["name"].lower(): p["version"] for p in json.loads(listed.stdout)}
    print("installed:", ", ".join(f"{n.split('==')[0]} {installed[n.split('==')[0].lower()]}" for n in pins))
    failed = 0
    for case in sorted((ROOT / "data").glob("*/case.toml")):
        command = [str(python), "-m", "h5diag", "diagnose", str(case.parent), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        wanted = json.loads((case.parent / "expected.json").read_text("utf-8"))["verdict"]
        said = json.loads(done.stdout)["verdict"] if done.returncode == 0 else f"status {done.returncode}"
        print(f"{case.parent.name}: {said}")
        failed += said != wanted
    command = [
        str(python),
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-o",
        "filterwarnings=default",
        "-k",
        "not ruff_and_mypy",
        *SAMPLE,
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    return 1 if failed or done.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
