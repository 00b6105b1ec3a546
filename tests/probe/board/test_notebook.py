"""Notebook 04 runs from top to bottom and shows what it promises."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[3] / "notebooks" / "04_connect_and_dump.ipynb"


@pytest.mark.filterwarnings("default")
def test_the_notebook_runs(tmp_path):
    book = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(book, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = "\n".join(str(o) for c in book.cells if c.cell_type == "code" for o in c.outputs)
    assert "stm32h563zi, DEV_ID 0x484" in shown
    assert "0x08044000 to 0x08044007" in shown
    assert "bytes agree" in shown
    assert "24 MHz" in shown
    assert "BoardPanel" in shown
