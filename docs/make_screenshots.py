"""Make the pictures of the README from the real thing: the founding case's plots and write-up, and notebook 01.

Run by ``make screenshots``; needs Debian's chromium and the test extras.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from h5diag.case import load_case  # noqa: E402
from h5diag.case.samples import data_folder  # noqa: E402
from h5diag.judge import diagnose  # noqa: E402
from h5diag.show.plots import plot_memory_map, save_png  # noqa: E402
from h5diag.show.report import write_report  # noqa: E402
from tests.app.browser.conftest import CHROMIUM, start_lab  # noqa: E402
from tests.app.browser.support import open_notebook, run_all, wait_until_run  # noqa: E402

IMAGES = ROOT / "docs" / "images"


def write_up(page: Page, folder: Path) -> None:
    """Photograph the top of the founding case's write-up, and its memory map alone."""
    diagnosis = diagnose(load_case(data_folder() / "founding"))
    save_png(plot_memory_map(diagnosis.first), IMAGES / "memory-map.png", dpi=120)
    path = write_report(diagnosis, folder / "founding.html")
    page.set_viewport_size({"width": 1080, "height": 1020})
    page.goto(path.as_uri())
    page.screenshot(path=IMAGES / "write-up.png")


def notebook(page: Page, folder: Path) -> None:
    """Photograph notebook 01 in JupyterLab: the panel with its verdict, then the bytes behind the map."""
    process, lab = start_lab(folder)
    try:
        page.set_viewport_size({"width": 1400, "height": 1250})
        open_notebook(page, lab, "01_is_this_chip_faulty.ipynb")
        page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
        run_all(page)
        wait_until_run(page)
        page.locator(".h5-verdict").wait_for(state="visible")
        page.locator(".jp-OutputArea-output", has=page.locator(".h5-verdict")).evaluate("e => e.scrollIntoView()")
        page.wait_for_timeout(1500)
        page.screenshot(path=IMAGES / "notebook-01.png")
        page.get_by_role("tab", name="Bytes").click()
        field = page.get_by_role("textbox", name="Go to")
        field.fill("0x080BE400")
        field.press("Enter")
        page.locator(".h5hex-here mark").first.wait_for(state="visible")
        page.locator(".h5hex").screenshot(path=IMAGES / "hex-view.png")
    finally:
        process.terminate()
        process.wait(30)


def main() -> None:
    """Write all pictures into docs/images."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM))
        page = browser.new_page()
        write_up(page, Path(folder))
        notebook(page, Path(folder))
        browser.close()


if __name__ == "__main__":
    main()
