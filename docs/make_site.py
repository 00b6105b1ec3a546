"""Build the documentation as a site that needs no network: ``python docs/make_site.py [--no-run] [--out site]``.

Tutorials are the notebooks, run; the reference of commands, of ``case.toml`` and of all ids is made from the code. Links
are checked: mkdocs runs strictly.
"""

from __future__ import annotations

import argparse
import inspect
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

import h5diag as h5
from h5diag.app.cli import EXITS, build_parser, subparsers
from h5diag.case.folder import CaseTable
from h5diag.evidence.samples import notebook_folder
from h5diag.show.explain import explain, known_ids
from h5diag.show.sheet import plain_markdown

ROOT = Path(__file__).resolve().parents[1]
STAGE = ROOT / ".site"


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield the parsers of all commands that do something."""
    for p in subparsers(parser).values():
        yield from commands(p) if subparsers(p) else [p]


def cli_page() -> str:
    """Return the reference of the command line, out of its own help."""
    lines = ["# The command line", "", "| exit status | means |", "|---|---|"]
    lines += [f"| {code} | {meaning} |" for code, meaning in EXITS]
    for p in commands(build_parser()):
        lines += ["", f"## {p.prog}", "", "```text", p.format_help().rstrip(), "```"]
    return "\n".join(lines) + "\n"


def case_page() -> str:
    """Return the keys of ``case.toml``, out of the class that reads it."""
    lines = [
        "# The keys of case.toml",
        "",
        "Every key is optional; nobody has to write it by hand: `h5diag case` does.",
    ]
    todo: list[tuple[str, type]] = [("", CaseTable)]
    while todo:
        head, table = todo.pop(0)
        lines += ["", f"## {head or 'At the top'}", "", "| key | type |", "|---|---|"]
        for field in msgspec.structs.fields(table):
            inner = [t for t in _classes(field.type) if issubclass(t, msgspec.Struct)]
            text = re.sub(r"\w+\.(?=\w)", "", str(getattr(field.type, "__name__", field.type)))
            lines.append(f"| `{field.encode_name}` | {plain_markdown(text.replace('NoneType', 'absent'))} |")
            names = {h for h, _ in todo}
            todo += [(f"[{field.encode_name}]", t) for t in inner if f"[{field.encode_name}]" not in names]
    return "\n".join(lines) + "\n"


def _classes(kind: object) -> Iterator[type]:
    if isinstance(kind, type) and not getattr(kind, "__args__", ()):
        yield kind
    for inner in getattr(kind, "__args__", ()):
        yield from _classes(inner)


def names_page() -> str:
    """Return the names of the front door with their signatures, out of their docstrings."""
    lines = ["# Every name in full", "", "The table of what they are for is on [the page of names](../api.md)."]
    for name in sorted(h5.__all__):
        thing = getattr(h5, name)
        signature = f"h5.{name}{inspect.signature(thing)}" if callable(thing) and not isinstance(thing, type) else name
        text = re.sub(r"(?m)^```", "", inspect.getdoc(thing) or "")
        lines += ["", f"## {name}", "", "```text", signature, "", text, "```"]
    return "\n".join(lines) + "\n"


def json_page() -> str:
    """Return the keys of each result's JSON with their types, out of documents of the bundled cases."""
    good, suspect = "sample:founding/good.hex", "sample:founding/suspect-1.hex"
    layout, provisioning = "oemirot-2m-overwrite", "sample:provisioning/NUCLEO-H563ZI/ROT_Provisioning"
    samples: tuple[tuple[str, Any], ...] = (
        ("diagnose", h5.diagnose("sample:defect")),
        ("locate", h5.locate(good, suspect, layout=layout)),
        ("compare", h5.compare(good, suspect, layout=layout)),
        ("image", h5.examine(suspect, layout=layout)),
        ("options", h5.read_options("sample:founding/suspect-ob.txt", "sample:founding/good-ob.txt")),
        ("log", h5.read_log("sample:founding/suspect-log.txt")),
        ("case", h5.sort_evidence("sample:founding")),
        ("keys", h5.keys(provisioning)),
        ("preflight", h5.preflight(provisioning)),
        ("access", h5.access(provisioning, "sample:provisioning/board.txt")),
        ("rehearse", h5.rehearse(f"{provisioning}/OEMiROT/provisioning.sh")),
        ("loader lint", h5.read_loader("sample:loaders/h5-good.stldr", chip="h5")),
        ("loader explain", h5.read_loader_log("sample:loaders/logs/l5-tz-good.txt")),
    )
    lines = [
        "# The JSON of each command",
        "",
        "`h5diag COMMAND --json` prints it, `.to_dict()` of the library's result is the same. Addresses and sizes are whole",
        "numbers, ranges half-open, `null` is 'not measured'. Made from the bundled cases: `[]` is a list, `*` any name.",
    ]
    for name, result in samples:
        lines += ["", f"## {name}", "", "| key | type |", "|---|---|"]
        lines += [f"| `{key}` | {' or '.join(sorted(kinds))} |" for key, kinds in keys_of(result.to_dict()).items()]
    return "\n".join(lines) + "\n"


def keys_of(value: object, at: str = "") -> dict[str, set[str]]:
    """Return the keys of a document, those of inner ones dotted, each with the types seen; names of options are `*`."""
    found: dict[str, set[str]] = {}
    if isinstance(value, dict):
        names = len(value) > 1 and all(re.fullmatch(r"[A-Z][A-Z0-9_a-z]*", k) and k.upper()[:2] == k[:2] for k in value)
        inner = [(f"{at}.{'*' if names else k}".lstrip("."), v) for k, v in value.items()]
    elif isinstance(value, list | tuple):
        inner = [(f"{at}[]", v) for v in value]
    else:
        return {}
    for key, v in inner:
        found.setdefault(key, set()).add(_kind_of(v))
        for below, kinds in keys_of(v, key).items():
            found.setdefault(below, set()).update(kinds)
    return {k: v for k, v in found.items() if not (k.endswith("[]") and v <= {"object"})}


def _kind_of(value: object) -> str:
    kinds = {dict: "object", list: "list", tuple: "list", str: "text", bool: "true or false", int: "whole number"}
    return "null" if value is None else kinds.get(type(value), "number")


def ids_page() -> str:
    """Return what every id means, out of the tables that decide."""
    kinds: dict[str, list[str]] = {}
    for found in map(explain, known_ids()):
        more = "; ".join(f"{name}: {value}" for name, value in found.more if value)
        row = [f"`{found.id}`", plain_markdown(found.text), plain_markdown(f"{more}. Source: {found.source}")]
        kinds.setdefault(found.kind, []).append("| " + " | ".join(row) + " |")
    lines = ["# Every id", "", "`h5diag explain ID` prints the same."]
    for kind, rows in kinds.items():
        lines += ["", f"## {kind.capitalize()}s", "", "| id | means | more |", "|---|---|---|", *rows]
    return "\n".join(lines) + "\n"


PAGES = {"names": names_page, "cli": cli_page, "json": json_page, "case": case_page, "ids": ids_page}
"""The pages of the reference, and what makes them."""


def tutorials(target: Path, *, run: bool) -> None:
    """Write the notebooks as pages, with what they show when they are run."""
    target.mkdir(parents=True)
    for path in sorted(notebook_folder().glob("*.ipynb")):
        command = [sys.executable, "-m", "nbconvert", "--to", "markdown", "--output-dir", str(target), str(path)]
        subprocess.run([*command, *(["--execute"] if run else [])], check=True, cwd=target)
        page = target / f"{path.stem}.md"
        page.write_text(page.read_text("utf-8").replace(".ipynb)", ".md)"), "utf-8")


def stage(*, run: bool) -> None:
    """Lay out the sources of the site."""
    shutil.rmtree(STAGE, ignore_errors=True)
    shutil.copytree(ROOT / "docs", STAGE, ignore=shutil.ignore_patterns("*.py", "*.json", "__pycache__"))
    readme = (ROOT / "README.md").read_text("utf-8").replace("](docs/", "](")
    readme = re.sub(
        r"\[([^\]]+)\]\((?:CHANGELOG\.md|LICENSE|CONTRIBUTING\.md|data[^)]*|notebooks[^)]*)\)", r"\1", readme
    )
    (STAGE / "index.md").write_text(readme, "utf-8")
    (STAGE / "reference").mkdir()
    for name, page in PAGES.items():
        (STAGE / "reference" / f"{name}.md").write_text(page(), "utf-8")
    tutorials(STAGE / "tutorials", run=run)


def main() -> int:
    """Build the site and return mkdocs' exit status."""
    parser = argparse.ArgumentParser(description="build the documentation")
    parser.add_argument("--no-run", action="store_true", help="do not run the notebooks")
    parser.add_argument("--out", default=str(ROOT / "site"))
    options = parser.parse_args()
    stage(run=not options.no_run)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-f", str(ROOT / "mkdocs.yml")]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run([*command, "--site-dir", options.out], check=False, env=quiet).returncode


if __name__ == "__main__":
    raise SystemExit(main())
