"""Build the documentation as a site that needs no network: ``python docs/make_site.py [--no-run] [--out site]``.

Tutorials are the notebooks, run; the reference of commands, of ``case.toml`` and of all ids is made from the code. Links
are checked: mkdocs runs strictly.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from h5diag.app.cli import EXITS, build_parser, subparsers
from h5diag.case.folder import CaseTable
from h5diag.case.samples import notebook_folder
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
    for name, page in (("cli", cli_page()), ("case", case_page()), ("ids", ids_page())):
        (STAGE / "reference" / f"{name}.md").write_text(page, "utf-8")
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
