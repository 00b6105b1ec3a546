"""The write-up in a browser without a network: nothing is asked for, nothing fails, everything is there to see."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from h5diag.case import load_case
from h5diag.evidence.samples import data_folder
from h5diag.judge import diagnose
from h5diag.show.report import write_report

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("scheme", "redact"), [("light", False), ("dark", True)])
def test_a_write_up_opens_offline(browser: Any, tmp_path: Path, artefacts: Path, scheme: str, redact: bool) -> None:
    path = write_report(diagnose(load_case(data_folder() / "founding")), tmp_path / "case.html", redact=redact)
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1200, "height": 1400})
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.route(
        "**/*",
        lambda route: (
            (asked.append(route.request.url), route.abort())
            if not route.request.url.startswith("file:")
            else route.continue_()
        ),
    )
    page.on("console", lambda m: said.append(m.text))
    page.on("pageerror", lambda e: said.append(str(e)))
    page.goto(path.as_uri())
    page.screenshot(path=artefacts / f"write-up-{scheme}.png")
    assert asked == []
    assert said == []
    assert page.locator("img").count() >= 3
    assert page.evaluate("() => [...document.images].every(i => i.naturalWidth > 300 && i.alt.length > 20)")
    assert page.evaluate("() => document.documentElement.scrollWidth <= document.documentElement.clientWidth + 1")
    assert page.evaluate("() => [...document.querySelectorAll('table')].every(t => t.caption && t.querySelector('th'))")
    assert "Nothing here points to a faulty chip" in page.locator(".verdict").inner_text()
    assert page.evaluate("() => [...document.querySelectorAll('h2,h3,table,figure')].every(e => e.offsetHeight > 0)")
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    assert 1 < len(re.findall(rb"/Type\s*/Page[^s]", pdf)) <= 8
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("() => document.documentElement.scrollWidth <= document.documentElement.clientWidth + 1")
    cut = "() => [...document.querySelectorAll('td, th, p, li')].filter(e => e.getBoundingClientRect().right > 390).length"
    assert page.evaluate(cut) == 0, "a phone shows every cell without sliding"
    assert page.evaluate(
        "() => [...document.querySelectorAll('td, th, p, li')].every(e => e.innerText.trim() === ''"
        " || parseFloat(getComputedStyle(e).fontSize) >= 12)"
    )
    row = page.locator("tr", has_text="PRODUCT_STATE").locator("td[data-head=meaning]").first
    assert page.evaluate("e => getComputedStyle(e, '::before').content", row.element_handle()).startswith('"meaning')
    context.close()
