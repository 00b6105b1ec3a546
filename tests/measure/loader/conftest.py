from __future__ import annotations

from pathlib import Path

import pytest

from h5diag.measure.loader.loaderfile import LoaderFile, read_loader

LOADERS = Path(__file__).resolve().parents[3] / "data" / "loaders"


@pytest.fixture
def folder() -> Path:
    return LOADERS


def sample(name: str) -> LoaderFile:
    return read_loader(LOADERS / f"{name}.stldr")
