"""Notebook 01 by keyboard alone: run it, press Run, read the tabs, go through the bytes, and leave a plot again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.app.browser.lines import answered
from tests.app.browser.support import open_notebook, wait_until_run

pytestmark = pytest.mark.browser

FOCUS = """() => { const e = document.activeElement;
  return [e.tagName, e.className.toString(), e.getAttribute('role') || '', (e.innerText || '').trim().slice(0, 60)]; }"""


def focused(page: Any) -> tuple[str, str, str, str]:
    tag, kind, role, words = page.evaluate(FOCUS)
    return tag, kind, role, words


def tab_to(page: Any, wanted: Any, *, most: int = 60) -> list[tuple[str, str, str, str]]:
    """Press Tab until the focus is where it is wanted; return what was passed."""
    passed = []
    for _ in range(most):
        page.keyboard.press("Tab")
        passed.append(focused(page))
        if wanted(passed[-1]):
            return passed
    raise AssertionError(f"not reached with {most} tabs: {passed[-8:]}")


def past_the_plots(page: Any) -> None:
    """From the tab of the pictures to the name of the write-up's file, which is behind all plots."""
    page.get_by_role("tab", name="Pictures").focus()
    passed = tab_to(page, lambda f: f[0] == "INPUT", most=12)
    assert any("matplotlib" in f[1] for f in passed), "a plot can be reached"


def test_notebook_01_by_keyboard_alone(browser: Any, lab: Any, artefacts: Path) -> None:
    context = browser.new_context(viewport={"width": 1400, "height": 1300})
    page = context.new_page()
    open_notebook(page, lab, "01_is_this_chip_faulty.ipynb")
    cells = page.locator(".jp-Notebook .jp-Cell").count()
    # From here on: keys only. The page begins in the first cell; the last one is text.
    for _ in range(cells - 1):
        page.keyboard.press("Shift+Enter")
    wait_until_run(page)
    page.locator(".h5-verdict .h5-head").first.wait_for(state="visible")
    page.keyboard.press("Escape")
    for _ in range(cells):
        page.keyboard.press("ArrowUp")
    for _ in range(4):  # the cell of the panel
        page.keyboard.press("ArrowDown")

    tab_to(page, lambda f: f[3] == "A case folder")
    page.keyboard.press("Enter")
    page.locator(".h5-verdict .h5-head").first.wait_for(state="detached")
    tab_to(page, lambda f: f[0] == "INPUT")
    page.keyboard.type("data/defect")
    page.keyboard.press("Enter")
    tab_to(page, lambda f: f[3] == "Run the diagnosis", most=4)
    page.keyboard.press("Enter")
    verdict = page.locator(".h5-verdict .h5-head").first
    verdict.wait_for(state="visible")
    assert "The chip's flash is faulty" in verdict.inner_text()

    tab_to(page, lambda f: f[2] == "tab" and f[3] == "Pictures")
    past_the_plots(page)
    page.evaluate("() => window.removeEventListener('keydown', window.h5untrap, true)")
    with pytest.raises(AssertionError, match="not reached"):
        past_the_plots(page)
    page.evaluate("() => window.addEventListener('keydown', window.h5untrap, true)")

    past_the_plots(page)
    while focused(page)[3] != "Pictures":
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    tab_to(page, lambda f: "h5hex-box" in f[1], most=8)
    page.keyboard.press("/")
    assert focused(page)[0] == "INPUT"
    page.keyboard.type("no such text")
    page.keyboard.press("Enter")
    page.locator(".h5hex-say", has_text="not found: no such text").wait_for(state="visible")
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    answered(page)
    page.locator(".h5hex-here mark").first.wait_for(state="visible")
    page.screenshot(path=artefacts / "lab-keyboard.png")
    tab_to(page, lambda f: f[3] == "Save the write-up", most=8)
    context.close()
