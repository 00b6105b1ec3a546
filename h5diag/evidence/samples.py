"""Where the bundled cases and notebooks lie: in the installed package, or in a checkout beside it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from h5diag.errors import InputError
from h5diag.evidence.door import folder_names, is_evidence, is_there

Named = str | os.PathLike[str]
"""A path; where a text is taken, the text itself will do."""

SAMPLE = "sample:"
"""A path that begins so is one of the bundled samples: ``sample:founding/good.hex``."""

_PACKAGE = Path(__file__).resolve().parents[1]


def data_folder() -> Path:
    """Return the folder of the bundled cases."""
    return _folder("_data", "data")


def notebook_folder() -> Path:
    """Return the folder of the bundled notebooks."""
    return _folder("_notebooks", "notebooks")


def _folder(installed: str, checkout: str) -> Path:
    inside = _PACKAGE / installed
    return inside if inside.is_dir() else _PACKAGE.parent / checkout


def path_of(source: Named) -> str:
    """Return a path as it is; that of a bundled sample where it begins with ``sample:``."""
    path = os.fspath(source)
    if not path.startswith(SAMPLE):
        return path
    found = data_folder() / path.removeprefix(SAMPLE)
    if not is_there(found):
        names = ", ".join(n for n in folder_names(data_folder()) if is_evidence(data_folder() / n / "case.toml"))
        raise InputError("there is no such sample", source=path, advice=f"cases: {names}")
    return str(found)


def paths_of(places: Iterable[Named]) -> list[Path]:
    """Return the paths of files and folders; InputError when there is none."""
    if found := [Path(path_of(p)) for p in places]:
        return found
    raise InputError("no file was named", advice="give files or folders")
