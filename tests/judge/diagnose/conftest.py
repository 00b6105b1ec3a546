"""Editing the bundled cases: one piece of evidence at a time."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from h5diag.case import load_case
from h5diag.evidence.samples import data_folder
from h5diag.judge import BoardDiagnosis, diagnose


@pytest.fixture
def edited(tmp_path: Path) -> Callable[..., BoardDiagnosis]:
    """Diagnose a bundled case after editing its case.toml (text replacements) and its files (callables)."""

    def run(name: str, *edits: tuple[str, str], **files: Callable[[bytes], bytes]) -> BoardDiagnosis:
        folder = tmp_path / name
        if folder.exists():
            shutil.rmtree(folder)
        shutil.copytree(data_folder() / name, folder)
        toml = (folder / "case.toml").read_text("utf-8")
        for old, new in edits:
            assert old in toml, old
            toml = toml.replace(old, new)
        (folder / "case.toml").write_text(toml, "utf-8")
        for file, change in files.items():
            path = next(p for p in folder.iterdir() if p.stem.replace("-", "_") == file)
            path.write_bytes(change(path.read_bytes()))
        return diagnose(load_case(folder)).first

    return run
