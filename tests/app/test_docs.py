"""What the documentation says of the front door is so: the names, and the example runs as it stands."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from rattler_build import RattlerBuildError, Stage0Recipe, VariantConfig

import h5diag as h5
from h5diag.app.cli import build_parser, main
from h5diag.evidence.samples import notebook_folder
from h5diag.show.explain import explain, known_ids

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


def make_site() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_site", DOCS / "make_site.py")
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_made_from_the_code() -> None:
    site = make_site()
    progs = [p.prog for p in site.commands(build_parser())]
    assert {"h5diag locate", "h5diag loader lint"} <= set(progs)
    cli = site.cli_page()
    assert all(f"\n## {prog}\n" in cli for prog in progs)
    case = site.case_page()
    for key in ("title", "dumps", "access", "flashtest", "verify", "package"):
        assert f"| `{key}` |" in case, key
    names = site.names_page()
    assert all(f"\n## {name}\n" in names for name in h5.__all__)
    assert "h5.locate(reference: 'Memory', dump: 'Memory'" in names
    ids = site.ids_page()
    assert all(f"| `{explain(id).id}` |" in ids for id in known_ids())


def test_the_json_of_each_command_is_made_from_documents() -> None:
    page = make_site().json_page()
    sections = dict(re.findall(r"(?ms)^## ([a-z ]+)\n(.*?)(?=^## |\Z)", page))
    for command, keys in {
        "diagnose": ("verdict", "summary", "scope", "open_points", "hypotheses[].status", "next_test.instruction"),
        "locate": ("regions[].displacement", "regions[].explanation.kind", "displacements[].bytes"),
        "compare": ("areas[].state", "bits.risen", "differing_bytes"),
        "image": ("images[].trailer.magic", "next_boot[].action"),
        "options": ("options.*.value", "diff[].comparable", "warnings"),
        "preflight": ("verdict", "checks[].state"),
        "loader explain": ("calls[].function", "conclusion"),
    }.items():
        for key in keys:
            assert f"| `{key}` | " in sections[command], f"{command}: {key}"


def test_every_link_of_the_docs_leads_somewhere() -> None:
    for page in [*DOCS.glob("*.md"), DOCS.parent / "README.md"]:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_test_that_the_docs_name_is_there() -> None:
    tests = DOCS.parent / "tests"
    named = {
        m
        for page in DOCS.glob("*.md")
        for m in re.findall(r"`(?:tests/)?([\w/]+\.py)::(\w+)`", page.read_text("utf-8"))
    }
    assert len(named) > 40
    for file, name in sorted(named):
        assert re.search(rf"(?m)^def {name}\(", (tests / file).read_text("utf-8")), f"{file}::{name}"


def test_the_site_lists_every_page() -> None:
    nav = yaml.safe_load((DOCS.parent / "mkdocs.yml").read_text("utf-8"))["nav"]
    listed = {page for row in nav for page in ([row] if isinstance(row, str) else next(iter(row.values())))}
    pages = {p.name for p in DOCS.glob("*.md")} | {f"tutorials/{p.stem}.md" for p in notebook_folder().glob("*.ipynb")}
    assert pages <= listed


def test_the_man_page_has_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "--man"]) == 0
    page = capsys.readouterr().out
    assert page.startswith(".TH H5DIAG 1")
    for p in make_site().commands(build_parser()):
        assert f"\n{p.prog}\n" in page.replace("\\-", "-"), p.prog
    assert not [line for line in page.splitlines() if line.startswith("'")]


RECIPE = DOCS.parent / "conda" / "recipe.yaml"


def test_the_conda_recipe_names_the_same_dependencies() -> None:
    recipe = yaml.safe_load(RECIPE.read_text("utf-8"))
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text("utf-8"))["project"]
    assert recipe["context"]["version"] == project["version"] == h5.__version__
    assert recipe["about"]["license"] == project["license"]
    wanted = {re.sub(r"^matplotlib\b", "matplotlib-base", d) for d in project["dependencies"]}
    assert {d.replace(" ", "", 1) for d in recipe["requirements"]["run"]} == wanted | {
        f"python{project['requires-python']}"
    }
    entry = recipe["build"]["python"]["entry_points"]
    assert entry == [f"h5diag = {project['scripts']['h5diag']}"]


def test_the_conda_recipe_is_read_and_rendered_by_the_tool_that_builds_it() -> None:
    variant = VariantConfig.from_yaml("c_compiler: [gcc]\nc_stdlib: [sysroot]\npython: ['3.11.*']\n")
    (rendered,) = Stage0Recipe.from_file(RECIPE).render(variant)
    made = json.dumps(rendered.recipe.to_dict())
    assert '"h5diag"' in made
    assert h5.__version__ in made
    assert "matplotlib-base >=3.10" in made


@pytest.mark.parametrize(
    ("right", "wrong"), [("number: 0", "numbr: 0"), ("requirements:", "requirement:"), ("number: 0", "number: x")]
)
def test_a_recipe_with_a_fault_is_refused_by_that_tool(right: str, wrong: str) -> None:
    text = RECIPE.read_text("utf-8")
    assert right in text
    with pytest.raises(RattlerBuildError):
        Stage0Recipe.from_yaml(text.replace(right, wrong))
