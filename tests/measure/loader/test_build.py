from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

from .conftest import LOADERS

spec = importlib.util.spec_from_file_location("build_loaders", LOADERS / "source" / "build.py")
build_loaders = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build_loaders)


def test_the_script_builds_every_sample():
    assert {p.stem for p in LOADERS.glob("*.stldr")} == set(build_loaders.VARIANTS)


@pytest.mark.arm
@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc")
@pytest.mark.parametrize("name", ["l5-good", "u5-stack", "h5-no-thumb-bit"])
def test_the_samples_are_what_the_source_says(name, tmp_path: Path):
    built = build_loaders.build(name, tmp_path)
    assert built.read_bytes() == (LOADERS / f"{name}.stldr").read_bytes()
