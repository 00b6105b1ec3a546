"""Notebook 01 in a real JupyterLab: run, read, click, jump, fail, recover, cancel, drop files, in the dark."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

import h5diag as h5
from h5diag.app.panels.results import SlidePanel
from tests.app.browser.support import LONG_MS, open_notebook, run_all, set_theme, steady_box, wait_until_run

pytestmark = pytest.mark.browser
ROOT = Path(__file__).resolve().parents[3]

SLOW = """
import time
import h5diag.app.panels.investigation as page
from h5diag.errors import Cancelled

real = page.diagnose

def slow(case, *, progress, cancel):
    for step in range(600):
        progress(step / 600)
        if cancel():
            raise Cancelled("stopped")
        time.sleep(0.05)
    return real(case)

page.diagnose = slow
panel = page.Investigation("founding")
panel
"""
LARGE = """
import numpy as np
from h5diag.memory import AddressRange, MemoryImage
from h5diag.app.panels import HexView
from h5diag.show.pages import HexPages

content = np.random.default_rng(1).integers(0, 256, 64 << 20, dtype=np.uint8)
changed = content.copy()
changed[[0x123456, 0x2345678]] ^= 1
changed[0x3000000:0x3000008] = np.frombuffer(b"needle01", np.uint8)
left, right = (MemoryImage.from_bytes(c, 0x08000000) for c in (content, changed))
view = HexView(HexPages(left, right, ("good", "suspect"), ((0x08100000, "bank 2"),)))
view
"""


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1500, "height": 1900})
    opened = context.new_page()
    opened.set_default_timeout(LONG_MS)
    errors: list[str] = []
    opened.on("pageerror", lambda e: errors.append(str(e)))
    yield opened
    context.close()
    assert not errors, errors


def notebook(lab: Any, name: str, source: str) -> str:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    book.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    nbformat.write(book, lab.folder / name)
    return name


def here(page: Any) -> int:
    """Address of the marked row."""
    row = page.locator(".h5hex-here")
    row.wait_for(state="visible")
    return int(row.get_attribute("data-address"))


def test_notebook_01_from_evidence_to_bytes(page: Any, lab: Any, artefacts: Path) -> None:
    open_notebook(page, lab, "01_is_this_chip_faulty.ipynb")
    assert page.locator(".jp-toast, .Toastify__toast").count() == 0, "a pop-up greets the user"
    run_all(page)
    wait_until_run(page)
    verdict = page.locator(".h5-verdict .h5-head")
    verdict.wait_for(state="visible")
    assert "Nothing here points to a faulty chip" in verdict.inner_text()
    assert not re.search(r"\bsound\b", verdict.inner_text())
    page.screenshot(path=artefacts / "lab-01.png")

    # A click on the memory map jumps to the bytes there: the left end of the plot is the first address.
    canvas = page.locator(".jupyter-matplotlib-canvas-div").first
    page.wait_for_function("() => document.querySelector('.jupyter-matplotlib-canvas-div canvas').width > 100")
    box = steady_box(page, canvas)
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 0.42 * box["height"])
    page.locator(".h5hex-here").wait_for(state="visible")
    place = here(page)
    assert place not in (-1, 0x08000000)
    rows = page.locator(".h5hex-row")
    assert 0 < rows.count() < 100
    page.locator(".h5hex-box").focus()
    page.keyboard.press("n")
    page.wait_for_function(f"() => Number(document.querySelector('.h5hex-here').dataset.address) !== {place}")
    page.locator(".h5hex-here mark").first.wait_for(state="visible")
    page.screenshot(path=artefacts / "lab-01-bytes.png")

    page.get_by_role("tab", name="Slots").click()
    row = page.locator(".h5-slots tr", has_text="0x080BE000 to")
    row.wait_for(state="visible")
    assert "secure secondary" in row.inner_text()
    assert "install-pending" in row.inner_text()

    # An error says what to do, where it can be seen; the old answer is gone; the next run clears it.
    page.get_by_role("button", name="A case folder").click()
    page.locator(".h5-verdict .h5-head").wait_for(state="detached")
    page.get_by_role("button", name="Run the diagnosis").click()
    alert = page.locator(".h5-alert")
    alert.wait_for(state="visible")
    assert "case.toml" in alert.inner_text() or "folder" in alert.inner_text()
    page.screenshot(path=artefacts / "lab-01-error.png")
    page.get_by_role("button", name="A bundled case").click()
    page.get_by_role("button", name="Run the diagnosis").click()
    page.locator(".h5-verdict .h5-head").wait_for(state="visible")
    page.locator(".h5-alert").wait_for(state="detached")

    # Dark theme: the letters of the verdict stand out from what is behind them.
    set_theme(page, "JupyterLab Dark")
    assert contrast(page, ".h5-verdict .h5-head") >= 4.5
    page.get_by_role("tab", name="Bytes").click()
    assert contrast(page, ".h5hex-row .h5hex-r") >= 4.5
    page.screenshot(path=artefacts / "lab-01-dark.png")


CONTRAST = """selector => {
  const rgb = t => (t.match(/[\\d.]+/g) || []).map(Number);
  const linear = v => v / 255 <= .03928 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4;
  const lum = ([r, g, b]) => [r, g, b].map(linear).reduce((s, v, i) => s + v * [.2126, .7152, .0722][i], 0);
  let e = document.querySelector(selector);
  const ink = lum(rgb(getComputedStyle(e).color));
  let back = [255, 255, 255];
  for (; e; e = e.parentElement) {
    const c = rgb(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] > 0.9) { back = c; break; }
  }
  const paper = lum(back);
  return (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05);
}"""


def contrast(page: Any, selector: str) -> float:
    page.locator(selector).first.wait_for(state="visible")
    return float(page.evaluate(CONTRAST, selector))


def test_a_long_run_is_cancelled_and_own_files_are_dropped(page: Any, lab: Any, artefacts: Path) -> None:
    open_notebook(page, lab, notebook(lab, "slow.ipynb", SLOW))
    run_all(page)
    page.get_by_role("button", name="Run the diagnosis").click()
    cancel = page.get_by_role("button", name="Cancel").first
    page.wait_for_function(
        "() => [...document.querySelectorAll('.jupyter-button')].some(b => b.innerText === 'Cancel' && !b.disabled)"
    )
    cancel.click()
    page.locator(".h5-status", has_text="stopped by you").wait_for(state="visible")
    assert page.locator(".h5-verdict .h5-head").count() == 0

    page.get_by_role("button", name="My own files").click()
    zones = page.locator(".h5drop-input")
    zones.first.wait_for(state="attached")
    case = ROOT / "data" / "defect"
    zones.nth(0).set_input_files([case / "good.hex", case / "good-ob.txt"])
    zones.nth(1).set_input_files([case / "suspect-1.hex", case / "suspect-ob.txt", case / "flashtest.json"])
    page.locator(".h5drop-list li", has_text="flashtest.json").wait_for(state="visible")
    page.locator(".h5drop-list li", has_text="good-ob.txt").wait_for(state="visible")
    page.screenshot(path=artefacts / "lab-own-files.png")


def test_the_hex_view_takes_64_mb(page: Any, lab: Any, artefacts: Path) -> None:
    open_notebook(page, lab, notebook(lab, "large.ipynb", LARGE))
    run_all(page)
    page.locator(".h5hex-row").first.wait_for(state="visible")
    page.wait_for_function("() => document.querySelector('.h5hex')?.dataset.paintMs")
    paint_ms = float(page.locator(".h5hex").get_attribute("data-paint-ms"))
    (artefacts / "hexview.json").write_text(json.dumps({"first_paint_ms": paint_ms}), encoding="utf-8")
    here = "Number(document.querySelector('.h5hex-here')?.dataset.address)"
    page.wait_for_function(f"() => {here} === {0x08123450}")  # it begins at the first difference
    most = 0
    box = page.locator(".h5hex-box")
    box.hover()
    for _ in range(12):
        page.mouse.wheel(0, 4000)
        most = max(most, page.locator(".h5hex-row").count())
    box.focus()
    page.keyboard.press("End")
    page.locator('.h5hex-row[data-address="201326576"]').wait_for(state="visible")
    page.keyboard.press("Home")
    for address in (0x0A345670, 0x0B000000):
        page.keyboard.press("n")
        page.wait_for_function(f"() => {here} === {address}")
        page.locator(".h5hex-here mark").first.wait_for(state="visible")
    page.screenshot(path=artefacts / "hexview.png")
    box.focus()
    page.keyboard.press("p")
    page.wait_for_function("() => Number(document.querySelector('.h5hex-here')?.dataset.address) === 0x0A345670")
    page.keyboard.press("/")
    page.keyboard.type("needle01")
    page.keyboard.press("Enter")
    page.wait_for_function("() => Number(document.querySelector('.h5hex-here')?.dataset.address) === 0x0B000000")
    assert most < 100  # rows that are drawn, of four million: a page is quick by that, and no clock is asked


SLIDE = """
import h5diag as h5

panel = h5.correlate("sample:founding/good.hex", "sample:founding/suspect-1.hex", layout="oemirot-2m-overwrite").interact()
panel
"""


def test_one_board_slides_over_the_other_on_a_laptop_screen(page: Any, lab: Any, artefacts: Path) -> None:
    page.set_viewport_size({"width": 1024, "height": 1200})
    open_notebook(page, lab, notebook(lab, "slide.ipynb", SLIDE))
    run_all(page)
    page.get_by_role("button", name="Best peak").click()
    page.locator(".h5-status", has_text="At displacement +0xA6000 (secure primary to secure secondary)").wait_for()
    marked = page.locator(f".h5hex-here[data-address='{0x080BE000}']")  # the page shows the words before the bytes
    marked.wait_for(state="visible")
    head = page.locator(".h5hex-head")
    assert "reference, slid by +0xA6000" in head.inner_text()
    box = page.locator(".h5hex-box")
    box.focus()
    page.keyboard.press("PageDown")
    assert abs(head.bounding_box()["y"] - box.bounding_box()["y"]) < 3, "the columns keep their heads"
    page.screenshot(path=artefacts / "lab-slide.png")

    # Away from the peak, then a click beside it in the plot: the bytes jump there.
    exact = page.get_by_label("exactly")
    exact.fill("0x0")
    exact.press("Enter")
    page.locator(".h5-status", has_text="At displacement 0 (in place)").wait_for()
    found = h5.correlate("sample:founding/good.hex", "sample:founding/suspect-1.hex", layout="oemirot-2m-overwrite")
    drawn = SlidePanel(found).plot.figure.axes[0]
    drawn.figure.draw_without_rendering()
    x, y = drawn.transData.transform((found.winner, 0.001))
    canvas = page.locator(".jupyter-matplotlib-canvas-div").first
    box = steady_box(page, canvas)
    page.mouse.click(box["x"] + x + 2, box["y"] + drawn.figure.bbox.height - y)
    page.locator(".h5-status", has_text="At displacement +0xA6000").wait_for()
    assert here(page) == 0x080BE000
