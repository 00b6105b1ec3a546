"""Each promise of the pages holds in a real browser, and a planted bug that breaks it is noticed.

One server, one kernel and one page for all: a scratch notebook whose only cell is given another source each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.browser import lines
from tests.app.browser.support import LONG_MS, open_notebook, set_theme
from tests.app.browser.test_lab import contrast, notebook

pytestmark = pytest.mark.browser

TALLEST = """() => Math.max(...[...document.querySelectorAll('.jp-OutputArea-output :is(li, td, th, p, .h5-status)')]
  .filter(e => e.offsetHeight).map(e => parseFloat(getComputedStyle(e).lineHeight) || 0))"""
"""The greatest line height of what is shown: ipywidgets gives text in widgets that of a button."""

BEFORE = "import pytest, ipywidgets\nipywidgets.Widget.close_all()\npatch = pytest.MonkeyPatch()\n"


class Scratch:
    """A page with a notebook of one cell."""

    def __init__(self, page: Any, folder: Path) -> None:
        self.page, self.folder = page, folder

    def show(self, source: str, *, css: str = "") -> None:
        """Give the cell its source, run it and wait until its output is there."""
        self.page.set_viewport_size({"width": 1400, "height": 1300})
        self.page.evaluate(
            """async ([source, css]) => {
                 document.getElementById('planted')?.remove();
                 if (css) { const s = document.createElement('style'); s.id = 'planted'; s.textContent = css;
                            document.head.append(s); }
                 const book = window.jupyterapp.shell.currentWidget.content;
                 book.activeCellIndex = 0;
                 book.activeCell.model.sharedModel.setSource(source);
                 await window.jupyterapp.commands.execute('notebook:run-cell'); }""",
            [source, css],
        )
        lines.answered(self.page)
        failed = self.page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']")
        assert failed.count() == 0, failed.first.inner_text()[-1500:]

    def undo(self) -> None:
        """Take back what was planted."""
        self.show("patch.undo()")


@pytest.fixture(scope="module")
def scratch(browser: Any, lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scratch]:
    folder = tmp_path_factory.mktemp("dropped")
    lines.material(folder)
    context = browser.new_context(viewport={"width": 1400, "height": 1300})
    page = context.new_page()
    page.set_default_timeout(LONG_MS)
    open_notebook(page, lab, notebook(lab, "scratch.ipynb", "pass"))
    made = Scratch(page, folder)
    made.show(lines.WATCHED.format(folder=folder))
    yield made
    context.close()


def checked(scratch: Scratch, line: lines.Line) -> None:
    (scratch.folder / "written.txt").write_bytes(b"")
    if line.number == 5:
        line.check(scratch.page, scratch.folder)
    else:
        line.check(scratch.page)


@pytest.mark.parametrize("line", lines.LINES, ids=lambda x: f"{x.number}-{x.name}")
def test_a_promise_holds_and_its_bug_is_noticed(scratch: Scratch, line: lines.Line) -> None:
    scratch.show(BEFORE + line.source)
    checked(scratch, line)
    scratch.show(BEFORE + line.bug + "\n" + line.source, css=line.in_page)
    try:
        with pytest.raises(AssertionError):
            checked(scratch, line)
    finally:
        scratch.undo()


def test_every_line_is_there_at_both_widths_and_in_both_themes(scratch: Scratch, artefacts: Path) -> None:
    scratch.show(BEFORE + lines.CASE)
    page = scratch.page
    lines.press(page, "Run the diagnosis")
    page.locator(".h5-verdict .h5-head").first.wait_for(state="visible")
    seen = ("h5-verdict .h5-head", "h5-verdict p", "h5-verdict li", "h5-verdict summary", "h5-status")
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        set_theme(page, theme)
        for width in (1024, 1400):
            page.set_viewport_size({"width": width, "height": 1300})
            for tab in ("Pictures", "Bytes", "Slots", "Displaced", "Options", "Findings", "Weighing"):
                page.get_by_role("tab", name=tab).click()
                lines.answered(page)
                over = page.evaluate(
                    "() => { const o = [...document.querySelectorAll('.jp-OutputArea-output')].pop();"
                    " return o.scrollWidth - o.clientWidth; }"
                )
                assert over <= 1, f"{tab} at {width}: {over} pixels stand out"
            for selector in seen:
                if page.locator(f".{selector}").count():
                    assert contrast(page, f".{selector}") >= 4.5, f"{selector} in {theme}"
            page.screenshot(path=artefacts / f"panel-{width}-{theme.split()[-1].lower()}.png")
    set_theme(page, "JupyterLab Light")
    assert page.evaluate(TALLEST) <= 24, "lines stand close together"
    scratch.show("import h5diag as h5\nh5.read_options('sample:founding/suspect-ob.txt').boards[0]")
    page.locator("section.h5-sheet td").first.wait_for(state="visible")
    assert page.evaluate(TALLEST) <= 24
    cells = "() => [...document.querySelectorAll('section.h5-sheet td, section.h5-sheet th')]"
    assert page.evaluate(cells + ".map(e => getComputedStyle(e).textAlign).filter(a => a !== 'left')") == []
