"""`h5diag lab` and `h5diag app` keep each promise as real processes, and a planted bug that breaks it is noticed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.app.browser.servers import PROMISES, Promise, Try

pytestmark = pytest.mark.browser


def tried(promise: Promise, bug: str, browser: Any, artefacts: Path, top: Path) -> None:
    """Start it as people do, or with a bug; nothing that was started outlives this."""
    top.mkdir()
    start = Try(top, promise.always + bug, [], browser, artefacts)
    try:
        promise.check(start)
    finally:
        for context in list(browser.contexts):
            context.close()
        for started in start.started:
            started.end()


@pytest.mark.parametrize("planted", [False, True], ids=["holds", "bug"])
@pytest.mark.parametrize("number", range(len(PROMISES)), ids=lambda n: f"{n}-{PROMISES[n].name}")
def test_a_server_keeps_its_promise_and_its_bug_is_noticed(
    number: int, planted: bool, browser: Any, artefacts: Path, tmp_path: Path
) -> None:
    promise = PROMISES[number]
    pytest.importorskip("voila")
    if planted:
        with pytest.raises(AssertionError):
            tried(promise, promise.bug, browser, artefacts, tmp_path / "top")
    else:
        tried(promise, "", browser, artefacts, tmp_path / "top")
