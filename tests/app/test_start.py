"""What a command loads before it answers: counted, since the time that it takes hangs on the machine."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from h5diag.case.samples import data_folder

FOUNDING = data_folder() / "founding"

PROBE = """
import json, sys
before = set(sys.modules)
from h5diag.app.cli import main
status = main(json.loads(sys.argv[1]))
loaded = sorted(set(sys.modules) - before)
print(json.dumps({"status": status, "loaded": loaded}), file=sys.stderr)
"""

HEAVY = {"numpy", "pyocd", "matplotlib", "cryptography", "jinja2", "intelhex", "elftools", "dask"}
HELP_LOADS = {"dataclasses", "msgspec", "tomllib", "html", "json", "pathlib", "hashlib", "tempfile", "h5diag.memory"}


def loaded(argv: list[str]) -> list[str]:
    """Return the modules that a command loads in a fresh interpreter."""
    out = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(argv)], capture_output=True, text=True, check=True
    ).stderr
    answer = json.loads(out.splitlines()[-1])
    assert answer["status"] == 0, out
    return answer["loaded"]


def roots(modules: list[str]) -> set[str]:
    return {m.split(".")[0] for m in modules} | set(modules)


def test_help_loads_argparse_and_little_else():
    modules = loaded(["--help"])
    assert not roots(modules) & (HEAVY | HELP_LOADS)
    assert len(modules) < 60


@pytest.mark.parametrize(
    ("argv", "most"),
    [
        (["log", str(FOUNDING / "suspect-log.txt")], 190),
        (["options", str(FOUNDING / "suspect-ob.txt")], 190),
        (["options", str(FOUNDING / "suspect-ob.txt"), str(FOUNDING / "good-ob.txt"), "--json"], 190),
    ],
)
def test_a_text_is_explained_without_the_libraries_for_memory(argv, most):
    modules = loaded(argv)
    assert not roots(modules) & HEAVY
    assert len(modules) < most


def test_the_measure_sees_what_is_loaded():
    modules = loaded(["image", str(FOUNDING / "suspect-1.hex")])
    assert "numpy" in roots(modules)


def test_only_the_command_that_was_typed_gets_its_arguments():
    from h5diag.app.cli import build_parser, subparsers

    whole, some = build_parser(), build_parser(["options", "x.txt"])
    assert subparsers(whole).keys() == subparsers(some).keys()
    assert subparsers(some)["options"].format_help() == subparsers(whole)["options"].format_help()
    built = [name for name, parser in subparsers(some).items() if len(parser._actions) > 1]
    assert built == ["options"]
    assert whole.format_help() == some.format_help()
