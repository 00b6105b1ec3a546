"""What is left of a notebook without a kernel: HTML, Markdown, LaTeX and slides all carry the answer and the pictures."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter, LatexExporter, MarkdownExporter, SlidesExporter
from nbconvert.utils.exceptions import ConversionException
from nbconvert.utils.pandoc import PandocMissing

CELLS = (
    "import h5diag as h5",
    "found = h5.locate('sample:founding/good.hex', 'sample:founding/suspect-1.hex', layout='oemirot-2m-overwrite')\nfound",
    "found.plot()",
    "panel = h5.correlate('sample:founding/good.hex', 'sample:founding/suspect-1.hex').interact()\npanel",
)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> nbformat.NotebookNode:
    folder = tmp_path_factory.mktemp("book")
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    NotebookClient(made, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    return made


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("exporter", [HTMLExporter, MarkdownExporter, SlidesExporter], ids=lambda e: e.__name__)
def test_pages_carry_the_answer_the_picture_and_the_panel(book: nbformat.NotebookNode, exporter: type) -> None:
    text, resources = exporter().from_notebook_node(book)
    assert "displaced by +0xA6000" in text
    pictures = text.count("data:image/svg+xml") + text.count("data:image/png") + len(resources.get("outputs", {}))
    assert pictures >= 2, "the placement's picture and the panel's"


@pytest.mark.filterwarnings("default")
def test_latex_carries_the_answer_and_the_picture(book: nbformat.NotebookNode) -> None:
    try:
        text, resources = LatexExporter().from_notebook_node(book)
    except (PandocMissing, ConversionException) as error:
        pytest.skip(f"LaTeX needs pandoc: {error}")
    assert "0xA6000" in text.replace("\\", "")
    assert any(Path(name).suffix == ".png" for name in resources["outputs"])
