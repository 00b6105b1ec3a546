"""Opening and running a notebook in a page, without the races that the page itself has."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from playwright.sync_api import Error, Locator, Page

LONG_MS = 120_000


def open_notebook(page: Page, lab: Any, name: str, *, theme: str = "") -> None:
    """Open a notebook and wait until its kernel is connected."""
    page.set_default_timeout(LONG_MS)
    page.goto(f"{lab.url}/lab/tree/{name}?reset")
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
    lab.wait_for_kernel()
    if theme:
        set_theme(page, theme)


def set_theme(page: Page, name: str) -> None:
    """Choose a theme by the command behind the menu."""
    page.evaluate("name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})", name)
    page.wait_for_selector(f'body[data-jp-theme-name="{name}"]', state="attached")


def run_all(page: Page) -> None:
    """Run all cells, again if the page dropped the command."""
    for _ in range(5):
        page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
        with suppress(Error):
            page.wait_for_function(
                "() => [...document.querySelectorAll('.jp-InputPrompt')]"
                ".some(e => /\\[(\\*|\\d+)\\]/.test(e.innerText))",
                timeout=15_000,
            )
            return
    raise TimeoutError("the notebook does not run")


def wait_until_run(page: Page) -> None:
    """Wait until no cell waits, then see that none failed."""
    page.wait_for_function(
        """() => { const p = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(e => e.innerText);
                   return p.length > 0 && p.every(t => /\\[\\d+\\]/.test(t)); }"""
    )
    failed = page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']")
    assert failed.count() == 0, failed.first.inner_text()[-1500:]


def steady_box(page: Page, what: Locator) -> dict[str, float]:
    """Return where something stands once the page around it has stopped moving: a click elsewhere hits nothing."""
    what.scroll_into_view_if_needed()
    before = what.bounding_box()
    for _ in range(100):
        page.wait_for_timeout(200)
        box = what.bounding_box()
        if box is not None and box == before:
            return dict(box)
        before = box
    raise TimeoutError("the page does not come to rest")
