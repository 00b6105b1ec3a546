"""What a command loads before it answers: counted, since the time that it takes hangs on the machine."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from h5diag.evidence.samples import data_folder

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
        (["log", str(FOUNDING / "suspect-log.txt")], 150),
        (["options", str(FOUNDING / "suspect-ob.txt")], 150),
        (["options", str(FOUNDING / "suspect-ob.txt"), str(FOUNDING / "good-ob.txt"), "--json"], 150),
    ],
)
def test_a_text_is_explained_without_the_libraries_for_memory(argv, most):
    modules = loaded(argv)
    assert not roots(modules) & HEAVY
    assert len(modules) < most


NOT_FOR_A_PLAIN_CASE = {
    *("cryptography", "xml", "tomlkit", "csv", "numpy.ma", "h5diag.measure.loader", "h5diag.case.intake"),
    *("h5diag.show.report", "h5diag.show.plots", "h5diag.measure.firmware.signing", "h5diag.evidence.keys.pem"),
    *("h5diag.measure.logs", "h5diag.sim", "h5diag.probe", "h5diag.evidence.files.writing", "importlib.resources"),
    *("h5diag.measure.firmware.stages", "h5diag.measure.firmware.builds", "h5diag.evidence.files.elf"),
    *("h5diag.show.sheet", "tempfile"),
}
"""What a case needs that has a key, a certificate, a loader, a build, or that is to be shown or written."""


def test_a_case_is_judged_with_what_its_evidence_needs():
    modules = loaded(["diagnose", str(FOUNDING), "--json"])
    assert not roots(modules) & (NOT_FOR_A_PLAIN_CASE | HEAVY - {"numpy"})
    assert len([m for m in modules if m.startswith("h5diag.")]) <= 120


def test_a_key_a_loader_and_a_report_are_loaded_for_when_they_are_there(tmp_path):
    case = tmp_path / "case"
    shutil.copytree(FOUNDING, case)
    shutil.copyfile(data_folder() / "keys" / "sign-p256-pub.pem", case / "key.pem")
    shutil.copyfile(data_folder() / "loaders" / "h5-good.stldr", case / "h5.stldr")
    toml = (case / "case.toml").read_text("utf-8")
    (case / "case.toml").write_text(toml + '\n[keys]\nverify = ["key.pem"]\n\n[loader]\nfile = "h5.stldr"\n', "utf-8")
    modules = loaded(["diagnose", str(case), "--json", "--report", str(tmp_path / "out.md"), "--redact"])
    assert roots(modules) >= {
        "cryptography",
        "h5diag.measure.loader.lint",
        "h5diag.show.report",
        "h5diag.evidence.keys.pem",
    }


def test_a_command_seldom_looks_for_garbage_while_it_loads():
    code = (
        "import gc, sys; from h5diag.__main__ import main; main(); "
        "print(sum(s['collections'] for s in gc.get_stats()), file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, "diagnose", str(FOUNDING), "--json"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert int(told.splitlines()[-1]) < 20


@pytest.mark.parametrize(
    ("command", "files", "most"),
    [
        ("image", ["suspect-1.hex"], 65),
        ("locate", ["good.hex", "suspect-1.hex"], 67),
        ("compare", ["good.hex", "suspect-1.hex"], 55),
    ],
)
def test_memory_is_examined_without_what_only_keys_or_cases_need(command, files, most):
    modules = loaded([command, *(str(FOUNDING / f) for f in files), "--json"])
    assert not roots(modules) & (NOT_FOR_A_PLAIN_CASE - {"h5diag.show.sheet"} | HEAVY - {"numpy"} | {"tomllib"})
    assert len([m for m in modules if m.startswith("h5diag.")]) < most


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
