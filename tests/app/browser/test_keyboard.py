"""Notebook 01 by keyboard alone: run it, press Run, read the tabs, go through the bytes, and leave a plot again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.app.browser.lines import answered
from tests.app.browser.support import LONG_MS, open_notebook, wait_until_run

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


@pytest.mark.parametrize("bug", [False, True], ids=["as-it-is", "a-plot-that-traps"])
def test_notebook_01_by_keyboard_alone(browser: Any, lab: Any, artefacts: Path, bug: bool) -> None:
    context = browser.new_context(viewport={"width": 1400, "height": 1300})
    page = context.new_page()
    page.set_default_timeout(LONG_MS)
    open_notebook(page, lab, "01_is_this_chip_faulty.ipynb")
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:restart-clear-output')") if bug else None
    # From here on: keys only.
    page.locator(".jp-Cell").first.click()
    page.keyboard.press("Escape")
    for _ in range(page.locator(".jp-Cell").count()):
        page.keyboard.press("Shift+Enter")
    wait_until_run(page)
    page.locator(".h5-verdict .h5-head").first.wait_for(state="visible")
    page.locator(".jp-Cell", has=page.locator(".h5-verdict")).first.evaluate("e => e.scrollIntoView()")
    context.close()
