"""Where the bundled cases and notebooks lie: in the installed package, or in a checkout beside it."""

from __future__ import annotations

from pathlib import Path

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
