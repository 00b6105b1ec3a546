from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient

from h5diag.measure.loader.placement import family
from h5diag.show.plots.runs import plot_ram_plan
from h5diag.sim.dryrun.run import dry_run

from .conftest import sample

NOTEBOOK = Path(__file__).parents[3] / "notebooks" / "07_external_loader.ipynb"


def test_the_ram_plan_shows_stack_and_image():
    sound = plot_ram_plan(dry_run(sample("h5-good"), family("h5")))
    deep = plot_ram_plan(dry_run(sample("u5-stack"), family("u5")))
    assert len(sound.patches) == len(deep.patches) == 5
    assert sound.patches[2].get_width() < 100 < 1000 < deep.patches[2].get_width()
    assert sound.get_xticklabels()[0].get_text() == "0x20003000"


def test_an_image_that_was_never_downloaded_is_said_so():
    run = dry_run(sample("l5-good"), family("l5"), trustzone="on")
    assert "never downloaded" in plot_ram_plan(run).get_title(loc="left")


def test_the_notebook_runs_and_tells_the_story(tmp_path):
    book = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(book)
    assert len(book.cells) <= 22
    NotebookClient(book, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = "".join(
        o.get("text", "") + "".join(o.get("data", {}).get(kind, "") for kind in ("text/plain", "text/html"))
        for c in book.cells
        for o in c.get("outputs", ())
    )
    assert "it is linked at 0x20000004, while one report puts the base with TrustZone on at 0x20018004" in shown
    assert "not-downloaded: It is linked at 0x20000004" in shown
    assert "only the place is wrong" in shown
    assert "pass-with-assumptions" in shown
    assert "Init function fail" in shown, "the dry run in the programmer's own format"
