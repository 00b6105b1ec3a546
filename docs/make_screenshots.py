"""Make the pictures of the docs from the real thing: every notebook, the write-up on a page, on a phone and in print.

Run by ``make screenshots``; needs Debian's chromium and the test extras, and ``pdftoppm`` for the printed page. Every
picture has a palette and stays below 150 kB. Look at each before it is committed.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import h5diag as h5  # noqa: E402
from tests.app.browser.conftest import CHROMIUM, start_lab  # noqa: E402
from tests.app.browser.support import open_notebook, run_all, set_theme, wait_until_run  # noqa: E402

IMAGES = ROOT / "docs" / "images"
MOST_BYTES, WIDEST = 150_000, 1100


def keep(name: str, png: bytes, *, colours: int = 128) -> None:
    """Write a picture with a palette, with fewer colours and then fewer pixels until it is small enough."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    if picture.width > WIDEST:
        picture = picture.resize((WIDEST, round(picture.height * WIDEST / picture.width)), Image.Resampling.LANCZOS)
    for number in (colours, 64, 32, 16):
        out = io.BytesIO()
        small = picture.quantize(number, method=Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
        small.save(out, "PNG", optimize=True)
        if out.tell() <= MOST_BYTES:
            break
    if out.tell() > MOST_BYTES:
        raise SystemExit(f"{name}: {out.tell()} bytes")
    (IMAGES / f"{name}.png").write_bytes(out.getvalue())
    print(f"{name}: {picture.size}, {out.tell() // 1000} kB")


def write_up(page: Page, folder: Path) -> None:
    """Photograph the founding case's write-up on a page, on a phone, in the dark and in print, and its map alone."""
    diagnosis = h5.diagnose("sample:founding")
    keep("memory-map", diagnosis.plot().png)
    path = diagnosis.write_up(folder / "founding.html")
    page.set_viewport_size({"width": 1080, "height": 1160})
    page.goto(path.as_uri())
    keep("write-up", page.screenshot())
    page.emulate_media(color_scheme="dark")
    keep("write-up-dark", page.screenshot())
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 390, "height": 844})
    keep("write-up-phone", page.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": 390, "height": 2000}))
    (folder / "founding.pdf").write_bytes(page.pdf(format="A4", prefer_css_page_size=True))
    if shutil.which("pdftoppm"):
        subprocess.run(["pdftoppm", "-r", "60", "-png", str(folder / "founding.pdf"), str(folder / "page")], check=True)
        sheets = [Image.open(p) for p in sorted(folder.glob("page-*.png"))[:4]]
        whole = Image.new("RGB", (sum(s.width for s in sheets) + 12 * 3, sheets[0].height), "#808080")
        for n, s in enumerate(sheets):
            whole.paste(s, (n * (s.width + 12), 0))
        out = io.BytesIO()
        whole.save(out, "PNG")
        keep("write-up-print", out.getvalue())


def in_sight(page: Page, words: str) -> None:
    """Scroll the notebook until a heading stands at its top."""
    page.locator(".jp-Cell h1, .jp-Cell h2", has_text=words).first.evaluate("e => e.scrollIntoView()")
    page.mouse.move(5, 5)  # a plot under the pointer shows its tools
    page.wait_for_timeout(1200)


def first(page: Page) -> None:
    """Notebook 01: the panel with its verdict in the light and in the dark, and the bytes behind the map."""
    output = page.locator(".jp-OutputArea-output", has=page.locator(".h5-verdict"))
    output.evaluate("e => e.scrollIntoView()")
    page.wait_for_timeout(1500)
    keep("notebook-01", page.screenshot())
    set_theme(page, "JupyterLab Dark")
    output.evaluate("e => e.scrollIntoView()")
    page.wait_for_timeout(800)
    keep("notebook-01-dark", page.screenshot())
    set_theme(page, "JupyterLab Light")
    page.get_by_role("tab", name="Bytes").click()
    field = page.get_by_role("textbox", name="Go to")
    field.fill("0x080BE400")
    field.press("Enter")
    page.locator(f".h5hex-here[data-address='{0x080BE400}'] mark").first.wait_for(state="visible")
    keep("hex-view", page.locator(".h5hex").first.screenshot())


def third(page: Page) -> None:
    """Notebook 03: the pieces, and one board slid over the other to its best peak."""
    in_sight(page, "Where did my image land")
    page.locator("img[alt*='264 bytes']").first.scroll_into_view_if_needed()
    page.get_by_role("button", name="Best peak").click()
    page.locator(".h5-status", has_text="At displacement +0xA6000").wait_for()
    in_sight(page, "Slide one board over the other")
    keep("notebook-03", page.screenshot())


SHOTS: dict[str, Callable[[Page], None] | str] = {
    "01_is_this_chip_faulty": first,
    "02_option_bytes": "Which part of the flash is protected",
    "03_where_did_my_image_land": third,
    "04_connect_and_dump": "",
    "05_flash_test": "",
    "06_compare_many_boards": "All of them on one scale",
    "07_external_loader": "What the file says",
    "08_before_you_close_the_chip": "",
}
"""What is photographed of each notebook: a heading, or a function that does it; empty for its second heading."""


def notebooks(page: Page, folder: Path, only: str) -> None:
    """Photograph every notebook in JupyterLab, run."""
    process, lab = start_lab(folder)
    try:
        page.set_viewport_size({"width": 1400, "height": 1250})
        for name, shot in SHOTS.items():
            if only and name[:2] not in only.split(","):
                continue
            open_notebook(page, lab, f"{name}.ipynb")
            page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
            run_all(page)
            wait_until_run(page)
            if callable(shot):
                shot(page)
                continue
            heads: Any = page.locator(".jp-Cell h2")
            in_sight(page, shot or heads.nth(1).inner_text().rstrip("¶"))
            keep(f"notebook-{name[:2]}", page.screenshot())
    finally:
        process.terminate()
        process.wait(30)


def main() -> None:
    """Write all pictures into docs/images, or those of one notebook: ``make_screenshots.py 03,04``."""
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM))
        page = browser.new_page()
        if not only or only == "write-up":
            write_up(page, Path(folder))
        if only != "write-up":
            notebooks(page, Path(folder), only)
        browser.close()


if __name__ == "__main__":
    main()
