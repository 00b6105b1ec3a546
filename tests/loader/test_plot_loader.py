from __future__ import annotations

from h5diag.loader.dryrun.run import dry_run
from h5diag.loader.placement import family
from h5diag.plot.loader import plot_ram_plan

from .conftest import sample


def test_the_ram_plan_shows_stack_and_image():
    sound = plot_ram_plan(dry_run(sample("h5-good"), family("h5")))
    deep = plot_ram_plan(dry_run(sample("u5-stack"), family("u5")))
    assert len(sound.patches) == len(deep.patches) == 5
    assert sound.patches[2].get_width() < 100 < 1000 < deep.patches[2].get_width()
    assert sound.get_xticklabels()[0].get_text() == "0x20003000"


def test_an_image_that_was_never_downloaded_is_said_so():
    run = dry_run(sample("l5-good"), family("l5"), trustzone="on")
    assert "never downloaded" in plot_ram_plan(run).get_title(loc="left")
