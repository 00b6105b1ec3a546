"""Every notebook runs from top to bottom without a board; notebook 01 is clicked through as a person would."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import h5diag as h5
from h5diag.evidence.samples import data_folder, notebook_folder

BOOKS = sorted(notebook_folder().glob("*.ipynb"))
EXTRAS = ("unicorn", "dask", "distributed", "pyarrow", "pandas", "voila", "mkdocs", "scipy")
"""What `pip install h5diag` does not bring: a newcomer has none of it."""

NEWCOMER = f"""
from importlib.machinery import PathFinder

real = PathFinder.find_spec

def find_spec(name, path=None, target=None):
    return None if name.split(".")[0] in {EXTRAS!r} else real(name, path, target)

PathFinder.find_spec = staticmethod(find_spec)
"""

CLICKS = """
import asyncio
panel.model.evidence.kind = "folder"
panel.model.evidence.folder = "no/such/folder"
panel.bar.run.click()
await panel.model.job.task
assert "role='alert'" in panel.bar.alert.value, panel.bar.alert.value
panel.model.evidence.kind = "bundled"
panel.evidence.bundled.value = dict(panel.evidence.bundled.options)["BUNDLED"]
assert panel.model.result == ()
panel.bar.run.click()
await asyncio.wait([panel.model.job.task])
assert panel.model.job.problem == "", panel.model.job.problem + panel.model.job.detail
print("CLICKED:", panel.model.current.verdict.summary)
panel.jump(0x08026A40)
assert panel.hex.address == 0x08026A40
panel.details.selected_index = 3
panel.locate.children[0].bar.run.click()
await panel.locate.children[0].model.job.task
assert panel.locate.children[0].model.result[0].regions
panel.locate.children[0].clicked(0.0)
for index in range(7):
    panel.details.selected_index = index
assert "PRODUCT_STATE" in panel.options.children[0].value
panel.target.value = "clicked.html"
panel.write_bar.run.click()
await panel.writing.task
assert panel.writing.problem == "", panel.writing.problem
"""


LACKING = f"""
import importlib
lacking = 0
for name in {EXTRAS!r}:
    try:
        importlib.import_module(name)
    except ImportError:
        lacking += 1
print("lacking", lacking)
"""


def executed(book: nbformat.NotebookNode, folder: Path, monkeypatch: pytest.MonkeyPatch) -> nbformat.NotebookNode:
    monkeypatch.setenv("IPYTHONDIR", str(folder / ".ipython"))
    monkeypatch.setenv("MPLBACKEND", os.environ.get("MPLBACKEND", "agg"))
    NotebookClient(book, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return book


def printed(book: nbformat.NotebookNode) -> str:
    """Return what the cells printed and showed as text."""
    outputs = [o for c in book.cells if c.cell_type == "code" for o in c.outputs]
    shown = [o["data"].get("text/plain", "") for o in outputs if "data" in o]
    return "\n".join([*(o.get("text", "") for o in outputs if o.get("name") == "stdout"), *shown])


def as_a_newcomer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every Python that is started from here lack the optional packages."""
    place = folder / ".newcomer"
    place.mkdir()
    (place / "sitecustomize.py").write_text(NEWCOMER, "utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(place), os.environ.get("PYTHONPATH")))))


def test_a_lot_in_the_notebook_of_many_boards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    good = bytes(range(256)) * 128
    (tmp_path / "lot").mkdir()
    for i in range(70):
        path = tmp_path / "lot" / f"{i:02d}.bin"
        path.write_bytes(good[:0x2000] + b"\xff" * 0x2000 + good[0x4000:] if 30 <= i < 40 else good)
        os.utime(path, (1_700_000_000 + i, 1_700_000_000 + i))
    (tmp_path / "golden.bin").write_bytes(good)
    book = nbformat.read(notebook_folder() / "06_compare_many_boards.ipynb", 4)
    book.cells = [c for c in book.cells if c.cell_type == "code"]
    named = next(c for c in book.cells if c.source.startswith("lot = "))
    named.source = 'lot, good = "lot", "golden.bin"'
    book.cells = [nbformat.v4.new_code_cell("import h5diag as h5"), *book.cells[book.cells.index(named) :]]
    executed(book, tmp_path, monkeypatch)
    assert "70 boards: 60 like the reference" in printed(book)
    assert sum("svg" in str(o) for c in book.cells for o in c.get("outputs", ())) >= 2
    assert "10 of 20 from" in (tmp_path / "lot.html").read_text("utf-8")


def test_no_extra_is_a_dependency() -> None:
    project = tomllib.loads((Path(__file__).resolve().parents[3] / "pyproject.toml").read_text("utf-8"))["project"]
    names = {re.split(r"[^\w-]", d)[0] for d in project["dependencies"]}
    optional = {re.split(r"[^\w-]", d)[0] for extra in project["optional-dependencies"].values() for d in extra}
    assert not names & set(EXTRAS)
    assert set(EXTRAS) <= optional


@pytest.mark.parametrize("path", BOOKS, ids=lambda p: p.stem)
def test_a_notebook_runs_as_a_newcomer_gets_it(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_a_newcomer(tmp_path, monkeypatch)
    book = nbformat.read(path, 4)
    book.cells.append(nbformat.v4.new_code_cell(LACKING))
    executed(book, tmp_path, monkeypatch)
    assert f"lacking {len(EXTRAS)}" in printed(book)
    for cell in book.cells:
        for output in cell.get("outputs", ()):
            assert output.output_type != "error", cell.source
            if output.output_type == "stream" and output.name == "stderr":
                assert "Traceback" not in output.text, cell.source
    if path.stem.startswith("01"):
        assert "Nothing here points to a faulty chip" in printed(book)
        assert "install-pending        supported" in printed(book)
        # A sample's write-up among one's own files would be taken for one's own.
        assert not [p.name for p in tmp_path.iterdir() if p.suffix == ".html"]
    if path.stem.startswith("02"):  # what the text says of the sample is what the sample shows
        assert "1 option differs" in printed(book)
        assert "another product state" in book.cells[0].source
    if path.stem.startswith("04"):
        assert "no debug probe is plugged in" in printed(book)
    if path.stem.startswith("07"):
        assert "pip install 'h5diag[dryrun]'" in printed(book)


@pytest.mark.parametrize("path", BOOKS, ids=lambda p: p.stem)
def test_a_notebook_uses_the_front_door_alone(path: Path) -> None:
    source = "\n".join(c.source for c in nbformat.read(path, 4).cells if c.cell_type == "code")
    imported = re.findall(r"^\s*(?:import|from) (.*)$", source, re.MULTILINE)
    assert imported == ["h5diag as h5"]
    assert set(re.findall(r"\bh5\.(\w+)", source)) <= set(h5.__all__)
    assert len(nbformat.read(path, 4).cells) <= 20


@pytest.mark.parametrize("path", BOOKS, ids=lambda p: p.stem)
def test_a_notebook_says_what_it_is_for(path: Path) -> None:
    book = nbformat.read(path, 4)
    nbformat.validate(book)
    first = book.cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")
    everything = "\n".join(c.source for c in book.cells if c.cell_type == "markdown")
    assert re.search(r"you need", everything, re.IGNORECASE)
    assert re.search(r"you will know", everything, re.IGNORECASE)
    assert re.search(r"your own|own (board|hardware)", book.cells[-1].source, re.IGNORECASE), book.cells[-1].source


def test_notebook_01_clicked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    title = tomllib.loads((data_folder() / "defect" / "case.toml").read_text("utf-8"))["title"]
    book = nbformat.read(notebook_folder() / "01_is_this_chip_faulty.ipynb", 4)
    book.cells.append(nbformat.v4.new_code_cell(CLICKS.replace("BUNDLED", title)))
    executed(book, tmp_path, monkeypatch)
    assert "CLICKED: The chip's flash is faulty" in printed(book)
    assert (tmp_path / "clicked.html").stat().st_size > 50_000


def test_notebook_01_takes_a_case_as_parameter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As papermill does it: a cell behind the one that is tagged `parameters`."""
    book = nbformat.read(notebook_folder() / "01_is_this_chip_faulty.ipynb", 4)
    (index,) = [i for i, c in enumerate(book.cells) if "parameters" in c.metadata.get("tags", ())]
    book.cells.insert(index + 1, nbformat.v4.new_code_cell(f"case = {str(data_folder() / 'founding-thread')!r}"))
    executed(book, tmp_path, monkeypatch)
    assert re.search(r"do not replace (it|the chip) yet", printed(book))
