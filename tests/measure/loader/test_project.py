"""`h5diag loader new`: what it writes builds, passes lint and dry run, and says what nobody has confirmed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from h5diag.app.cli import main
from h5diag.app.loader_project import UNCONFIRMED, new_loader, project, resolved
from h5diag.chip import chip_names, load_chip
from h5diag.errors import InputError
from h5diag.measure.loader.lint import lint
from h5diag.measure.loader.loaderfile import read_loader
from h5diag.measure.loader.placement import families, family, ram_plan, windows
from h5diag.sim.dryrun.run import dry_run

FILES = {"loader.c", "loader.ld", "Makefile", "README.md"}
DEVICES = {i for f in families() for i in f.octospi}
CHIPS = [n for n in chip_names() if load_chip(n).identity.dev_id in DEVICES]


@pytest.mark.arm
@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc")
@pytest.mark.parametrize("trustzone", [False, True])
@pytest.mark.parametrize("chip", ["h563", "stm32h523cc", "l5", "stm32l562qe", "u575", "stm32u545re", "stm32u5g9nj"])
def test_it_builds_and_passes_lint_and_dry_run(chip: str, trustzone: bool, tmp_path: Path) -> None:
    new_loader(chip, tmp_path / "made", trustzone=trustzone)
    subprocess.run(["make", "-C", str(tmp_path / "made")], check=True, capture_output=True)
    (built,) = (tmp_path / "made").glob("*.stldr")
    loader, of, tz = read_loader(built), family(chip), "on" if trustzone else "off"
    assert lint(loader, of, trustzone=tz) == ()
    run = dry_run(loader, of, trustzone=tz)
    rests_on_one_report = trustzone and of.name == "l5"
    assert run.verdict.value == ("pass-with-assumptions" if rests_on_one_report else "pass"), run.problem
    assert {"Init", "SectorErase", "Write", "Read"} <= {c.function for c in run.calls}
    assert {f.name for f in loader.functions} >= {"Init", "Read", "Write", "SectorErase", "MassErase"}


@pytest.mark.parametrize("chip", CHIPS)
def test_the_linker_script_keeps_to_base_and_size(chip: str) -> None:
    for trustzone in (False, True):
        texts = project(chip, trustzone=trustzone)
        assert set(texts) == FILES
        start, size = (
            int(n, 16) for n in re.search(r"ORIGIN = (0x\w+), LENGTH = (0x\w+)", texts["loader.ld"]).groups()
        )
        expected = {"h5": 0x20003004, "u5": 0x20000004, "l5": 0x20018004 if trustzone else 0x20000004}
        of = family(chip)
        assert start == expected[of.name]
        assert size <= min(w.size for w in windows(of, "on" if trustzone else "off"))
        assert of.in_ram(start, ram_plan(start - 4, size).buffer + 0x200)
        assert "#if" not in texts["loader.c"]
        assert ("0x10000000u" in texts["loader.c"]) == trustzone
        assert UNCONFIRMED in texts["README.md"]
        assert (UNCONFIRMED in texts["loader.ld"]) == (trustzone and of.name == "l5")


@pytest.mark.parametrize("chip", [n for n in chip_names() if n not in CHIPS])
def test_other_chips_are_refused_in_one_line_and_nothing_is_written(
    chip: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["loader", "new", "--chip", chip, "--out", str(tmp_path / "made")]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert not (tmp_path / "made").exists()


def test_nothing_of_the_user_is_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mine"
    assert main(["loader", "new", "--chip", "h563", "--out", str(out), "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert {Path(f).name for f in files} == FILES
    for name in FILES - {"loader.c"}:
        (out / name).unlink()
    (out / "loader.c").write_text("mine")
    with pytest.raises(InputError, match=r"loader\.c is there already"):
        new_loader("h563", out)
    assert [(p.name, p.read_text()) for p in out.iterdir()] == [("loader.c", "mine")]
    (tmp_path / "a-file").write_text("x")
    with pytest.raises(InputError, match="a-file"):
        new_loader("h563", tmp_path / "a-file")


def test_switches_are_resolved() -> None:
    source = "a\n#if defined(X)\nb\n#if !defined(Y)\nc\n#endif\n#elif defined(Y)\nd\n#else\ne\n#endif\nf\n"
    assert resolved(source, {"X"}).split() == list("abcf")
    assert resolved(source, {"X", "Y"}).split() == list("abf")
    assert resolved(source, {"Y"}).split() == list("adf")
    assert resolved(source, ()).split() == list("aef")
