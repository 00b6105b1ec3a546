"""The house keeps its own rules: floors, seams, packaging, quick import, no words that do not belong here."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "h5diag"

# A wing imports only from lower floors (and from itself). docs/architecture.md draws the same picture.
FLOORS = {
    "answer": 0,
    "errors": 0,
    "ranges": 0,
    "limits": 0,
    "text": 1,
    "memory": 1,
    "tables": 1,
    "chip": 2,
    "evidence": 3,
    "layout": 4,
    "measure": 5,
    "case": 6,
    "sim": 7,
    "probe": 8,
    "judge": 9,
    "show": 10,
    "app": 11,
}
ONLY_IN = {
    "pyocd": {"probe", "sim"},
    "matplotlib": {"show"},
    "ipywidgets": {"app"},
    "anywidget": {"app"},
    "unicorn": {"sim"},
    "tree_sitter": {"sim"},
}
FREE = {"__init__", "__main__"}


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if not {"_notebooks", "_data"} & set(p.parts))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> list[tuple[str, int]]:
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [(a.name, node.lineno) for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.append((node.module or "", node.lineno))
            if node.module == "h5diag":
                found += [(f"h5diag.{a.name}", node.lineno) for a in node.names]
    return found


def test_every_room_has_a_floor():
    assert {room_of(p) for p in modules()} - FREE <= set(FLOORS)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_room_imports_only_from_lower_floors(path):
    room = room_of(path)
    if room in FREE:
        return
    for name, line in imports(path):
        parts = name.split(".")
        if parts[0] == "h5diag" and len(parts) > 1 and parts[1] in FLOORS and parts[1] != room:
            assert FLOORS[parts[1]] < FLOORS[room], f"{path.name}:{line}: {room} imports {parts[1]}"
        if parts[0] in ONLY_IN:
            assert room in ONLY_IN[parts[0]], f"{path.name}:{line}: {parts[0]} belongs to {sorted(ONLY_IN[parts[0]])}"


def test_the_picture_in_the_docs_names_every_room():
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    for room in {room_of(p) for p in modules()} - FREE:
        assert f"`{room}" in text, room


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_module_outgrows_a_room(path):
    assert len(path.read_text("utf-8").splitlines()) <= 600


def test_import_is_quick_and_pulls_in_nothing_heavy():
    code = "import sys, h5diag, h5diag.app.cli; h5diag.app.cli.build_parser(); print(sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = {name.split(".")[0] for name in ast.literal_eval(out)}
    assert not loaded & {"pyocd", "matplotlib", "ipywidgets", "anywidget", "unicorn", "nbconvert", "pcpp"}


def test_environment_yml_names_the_same_dependencies():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    environment = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    conda = [d for d in environment["dependencies"] if isinstance(d, str)]
    assert "python=3.11" in conda
    assert environment["dependencies"][-1] == {"pip": ["-e ."]}
    names = {"matplotlib-base": "matplotlib"}
    by_pip = {"tree-sitter", "tree-sitter-bash"}

    def split(requirement: str) -> tuple[str, str]:
        name, spec = re.fullmatch(r"([A-Za-z0-9._-]+)(.*)", requirement).groups()
        return names.get(name, name), spec

    assert sorted(split(d) for d in conda if d.split("=")[0] not in ("python", "pip")) == sorted(
        split(d) for d in project["dependencies"] if split(d)[0] not in by_pip
    )


def test_notebooks_are_stored_bare():
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        book = json.loads(path.read_text("utf-8"))
        assert "widgets" not in book["metadata"], path.name
        assert len(book["cells"]) <= 22, path.name
        for cell in book["cells"]:
            if cell["cell_type"] == "code":
                assert cell["outputs"] == [], path.name
                assert cell["execution_count"] is None, path.name
                source = "".join(cell["source"])
                assert not re.search(r"^\s*(def|class) ", source, re.MULTILINE), f"{path.name}: {source[:60]}"


def test_the_project_speaks_of_itself_only():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    files = [name for name in listed.split("\0") if name]
    pattern = re.compile(
        r"(?<![\w.])/(?:work|root|home/(?!ada/)\w+|tmp/\w+)/"
        r"|py"
        r"pi\.org|regis"
        r"try\.npmjs|conda\.anaconda"
    )
    for name in files:
        path = ROOT / name
        if (
            path.suffix in {".py", ".md", ".toml", ".yml", ".ipynb", ".js", ".css", ".html", ".c", ".h", ".ld", ""}
            and path.is_file()
        ):
            found = pattern.search(path.read_text("utf-8", "replace"))
            assert not found, f"{name}: {found and found[0]}"


def test_ruff_and_mypy_are_clean():
    trees = ["h5diag", "tests", "benchmarks", "data", "docs"]
    for command in (["ruff", "check", *trees], ["ruff", "format", "--check", *trees], ["mypy"]):
        done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
