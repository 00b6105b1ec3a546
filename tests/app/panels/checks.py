"""What a working page does, as functions: the tests run them on the page as it is and on pages with a planted bug."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

from h5diag.app.panels import Investigation
from h5diag.app.panels.parts import Job
from h5diag.case import load_case
from h5diag.errors import Cancelled
from h5diag.evidence.samples import data_folder
from h5diag.judge import Status, diagnose
from h5diag.memory import Cancel, Progress

PATIENCE_S = 60.0


async def pressed(panel: Investigation) -> None:
    """Press Run as a person does and wait until the page is at rest."""
    panel.bar.run.click()
    if panel.model.job.task is not None:
        await asyncio.wait([panel.model.job.task], timeout=PATIENCE_S)


def text_of(html: str) -> str:
    return re.sub(r"<[^>]*>", " ", html)


def visible(widget: object) -> bool:
    return widget.layout.display != "none" and widget.layout.visibility != "hidden"  # type: ignore[attr-defined]


async def check_answer(folder: Path) -> None:
    """Run shows the verdict, not as a bare word, and the rest of the page."""
    panel = Investigation("founding")
    await pressed(panel)
    assert panel.verdict in panel.below.children
    assert "Nothing here points to a faulty chip" in text_of(panel.verdict.value)
    assert not re.search(r"\bsound\b", text_of(panel.verdict.value))
    assert panel.details in panel.below.children
    assert panel.map.children
    assert panel.bits.children
    assert panel.bar.alert.value == ""
    assert panel.bar.run.disabled is False


async def check_scores(folder: Path) -> None:
    """Each cause stands in the table with its own score."""
    panel = Investigation("founding")
    await pressed(panel)
    wanted = diagnose(load_case(data_folder() / "founding")).verdict.hypotheses
    for h in (h for h in wanted if h.status is not Status.NOT_TESTED):
        row = re.search(rf"<tr><th[^>]*>{h.id}</th>(.*?)</tr>", panel.weighing.value)
        assert row, h.id
        cells = re.findall(r"<td[^>]*>(.*?)</td>", row[1])
        assert cells[:2] == [h.status.value.replace("-", " "), f"{h.score:+d}"], h.id


async def check_slots(folder: Path) -> None:
    """Each slot stands in the table with its own name, place and state."""
    panel = Investigation("founding")
    await pressed(panel)
    rows = {}
    for row in re.findall(r"<tr><th scope=\"row\"[^>]*>(.*?)</tr>", panel.slots.value):
        cells = re.split(r"</t[hd]><td[^>]*>", row)
        rows[cells[0]] = cells[1:]
    assert rows["secure primary"][0] == "0x08018000 to 0x0801DFFF"
    assert rows["secure secondary"][0] == "0x080BE000 to 0x080C3FFF"
    assert rows["secure primary"][1] == "installed"
    assert rows["secure secondary"][2] == "install-pending"
    assert (0x080BE000, "secure secondary") in [tuple(m) for m in panel.hex.marks]


async def check_errors(folder: Path) -> None:
    """An error is in sight, says what to do, and goes away."""
    panel = Investigation(str(folder / "nowhere"))
    await pressed(panel)
    box = panel.bar.alert
    assert "role='alert'" in box.value
    assert "nowhere" in box.value
    assert visible(box)
    assert visible(panel.bar)
    assert box in panel.bar.children
    assert panel.bar.run.disabled is False
    panel.model.evidence.kind = "bundled"
    assert box.value == ""


async def check_loop_is_free(folder: Path) -> None:
    """The page stays alive while a job runs: the work is in another thread, and so is nothing of the page."""
    job, beats, where = Job(), 0, []

    def work(progress: Progress, cancel: Cancel) -> int:
        where.append(threading.current_thread())
        for step in range(20):
            progress(step / 20)
            time.sleep(0.02)
        return 7

    async def heart() -> None:
        nonlocal beats
        while job.running:
            beats += 1
            await asyncio.sleep(0.01)

    came: list[int] = []
    threads: list[threading.Thread] = []
    job.observe(lambda _: threads.append(threading.current_thread()), ["fraction", "running", "status"])
    job.start(work, came.append)
    await asyncio.wait_for(heart(), PATIENCE_S)
    assert came == [7]
    assert beats >= 5
    assert where[0] is not threading.main_thread()
    assert set(threads) == {threading.main_thread()}


async def check_cancel(folder: Path) -> None:
    """Cancel stops the work soon, says so, and leaves no result."""
    panel = Investigation("founding")
    job, steps = panel.model.job, 0

    def work(progress: Progress, cancel: Cancel) -> None:
        nonlocal steps
        for steps in range(400):
            if cancel():
                raise Cancelled("stopped")
            progress(steps / 400)
            time.sleep(0.005)

    job.start(work, lambda result: panel.model.set_trait("result", ()))
    await asyncio.sleep(0.1)
    assert panel.bar.cancel.disabled is False
    assert visible(panel.bar.bar)
    panel.bar.cancel.click()
    assert job.task is not None
    await asyncio.wait_for(asyncio.shield(job.task), PATIENCE_S)
    assert steps < 399, "it ran to its end"
    assert "stopped by you" in panel.bar.status.value
    assert panel.bar.cancel.disabled
    assert panel.model.result == ()


async def check_nothing_stale(folder: Path) -> None:
    """Other evidence: the old answer is gone at once, and a late result of it never appears."""
    panel = Investigation("founding")
    await pressed(panel)
    other = str(data_folder() / "defect")
    panel.model.evidence.bundled = other
    assert "faulty chip" not in text_of(panel.verdict.value)
    assert panel.details not in panel.below.children
    panel.bar.run.click()
    late = panel.model.job.task
    panel.model.evidence.bundled = str(data_folder() / "founding")
    assert late is not None
    await asyncio.wait([late], timeout=PATIENCE_S)
    assert panel.model.result == ()
    assert panel.details not in panel.below.children
    await pressed(panel)
    assert "Nothing here points to a faulty chip" in text_of(panel.verdict.value)


HOSTILE = "<img src=x onerror=alert(1)>&<script>alert(2)</script>"


def hostile_case(folder: Path) -> Path:
    """Return a case in which every text that a stranger may write holds markup."""
    case = folder / "hostile"
    case.mkdir(exist_ok=True)
    for name in ("good.hex", "good-ob.txt", "good-log.txt", "suspect-1.hex", "suspect-ob.txt", "suspect-log.txt"):
        (case / name).write_bytes((data_folder() / "founding" / name).read_bytes())
    log = case / "suspect-log.txt"
    log.write_text(
        log.read_text("utf-8").replace("v45.48.46", f"v45.48.46 {HOSTILE}") + f"\nError: {HOSTILE}\n", encoding="utf-8"
    )
    (case / "case.toml").write_text(
        f"title = '{HOSTILE}'\nchip = 'stm32h563zi'\nlayout = 'oemirot-2m-overwrite'\n"
        f"[good]\nname = 'good {HOSTILE}'\ndumps = ['good.hex']\naccess = 'secure'\noptions = 'good-ob.txt'\n"
        f"log = 'good-log.txt'\ntool = '{HOSTILE}'\n"
        f"[suspect]\nname = 'bad {HOSTILE}'\ndumps = ['suspect-1.hex']\naccess = 'nonsecure'\nmode = 'hotplug'\n"
        f"options = 'suspect-ob.txt'\nlog = 'suspect-log.txt'\nmarking = '{HOSTILE}'\n"
        f"[provisioning]\npackage = '{HOSTILE}'\n",
        encoding="utf-8",
    )
    return case


async def check_escaped(folder: Path) -> None:
    """Text of a stranger stays text."""
    panel = Investigation(str(hostile_case(folder)))
    await pressed(panel)
    assert panel.model.result, panel.model.job.problem
    everything = "".join(
        w.value
        for w in (
            panel.verdict,
            panel.slots,
            panel.findings,
            panel.weighing,
            panel.remarks,
            panel.bar.alert,
            panel.bar.status,
        )
    )
    assert "&lt;img" in everything
    assert "<img" not in everything
    assert "<script" not in everything


async def check_jump(folder: Path) -> None:
    """A click on the map, a region or a difference leads to that very address."""
    panel = Investigation("founding")
    await pressed(panel)
    panel.jump(0x0C0BE000)
    assert panel.hex.address == 0x080BE000
    assert panel.details.selected_index == 1
    panel.hex.next_difference()
    place = panel.hex.address
    assert place == 0x080BE400
    left, right, flags = panel.hex.pages.page(place, 1)
    assert left != right
    assert flags[0] & 4
    panel.hex.jump(0x08100000)
    assert "none of the dumps" in panel.hex.message
    assert panel.hex.address == place


CHECKS: tuple[Callable[[Path], object], ...] = (
    check_answer,
    check_scores,
    check_slots,
    check_errors,
    check_loop_is_free,
    check_cancel,
    check_nothing_stale,
    check_escaped,
    check_jump,
)
