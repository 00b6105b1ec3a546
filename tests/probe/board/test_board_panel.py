"""The connect and dump panel without a kernel, and with an event loop."""

import asyncio
import time

import pytest

from h5diag.app.panels import board as board_panel
from h5diag.app.panels.board import LOOKS, BoardModel, BoardPanel
from h5diag.errors import ProbeError
from h5diag.memory import AddressRange
from h5diag.probe.acquire import DumpPlan

SMALL = AddressRange(0x08040000, 0x08050000)
PLAN = DumpPlan(SMALL, chunk=0x4000)


@pytest.fixture(autouse=True)
def no_usb(monkeypatch):
    monkeypatch.setattr("h5diag.probe.board.probes._found", list)


@pytest.fixture
def panel():
    p = BoardPanel("virtual", plan=PLAN)
    yield p
    p.model.close()


def test_connect_shows_the_chip_and_is_idempotent(panel):
    assert "not connected" in panel.board.value
    panel.connect_bar.run.click()
    assert "stm32h563zi" in panel.board.value
    assert "this notebook" in panel.board.value
    first = panel.model.board[0]
    panel.connect_bar.run.click()
    assert panel.model.board[0] is first, "the same probe stays connected"
    panel.release.click()
    assert first.closed
    assert "not connected" in panel.board.value
    panel.connect_bar.run.click()
    assert panel.model.connected


def test_a_cell_that_runs_again_takes_the_probe_over(panel):
    panel.connect_bar.run.click()
    old = panel.model.board[0]
    again = BoardModel(probe="virtual")
    again.connect()
    assert old.closed
    assert again.connected
    again.close()


def test_errors_show_in_the_panel_with_what_to_do(panel):
    for name, says in (("virtual:locked-port", "AP1"), ("virtual:<b>", "no fault is called"), ("auto", "plug one in")):
        panel.probe.value = name
        panel.connect_bar.run.click()
        assert says in panel.connect_bar.alert.value
        assert "role='alert'" in panel.connect_bar.alert.value
        assert "<b>'" not in panel.connect_bar.alert.value
    panel.dump_bar.run.click()
    assert "press Connect" in panel.dump_bar.alert.value
    with pytest.raises(ProbeError):
        panel.model.dump(PLAN)


def test_a_dump_fills_the_map(panel):
    panel.probe.value = "virtual:unstable@0x08040000-0x08040040+bus-fault@0x08048000-0x08048004"
    panel.connect_bar.run.click()
    panel.dump_bar.run.click()
    states = [s for _, _, s in panel.model.areas]
    assert states == ["disputed", "read", "unreadable", "read"]
    for state in set(states):
        assert LOOKS[state][0] in panel.map.value
    assert "bytes agree" in panel.result.value
    assert "0x08048000 to 0x08048003" in panel.result.value


def test_on_an_event_loop_progress_comes_and_cancel_works(panel, tmp_path):
    async def session():
        panel.connect_bar.run.click()
        while panel.model.connecting.running:
            await asyncio.sleep(0.01)
        panel.model.dump(
            DumpPlan(AddressRange(0x08000000, 0x08200000), chunk=0x4000, passes=20), str(tmp_path / "a.bin")
        )
        seen, ticks = set(), 0
        begun = time.monotonic()
        while panel.model.dumping.running and time.monotonic() - begun < 20:
            await asyncio.sleep(0.01)
            ticks += 1
            seen.add(sum(s == "read" for _, _, s in panel.model.areas))
            if len(seen) > 1:  # a loaded machine may show no more than two fillings of the map
                panel.dump_bar.cancel.click()
        return seen, ticks

    seen, ticks = asyncio.run(session())
    assert len(seen) > 1, "the map fills while it reads"
    assert ticks > 3, "the event loop is free"
    assert panel.model.result == ()
    assert "stopped" in panel.dump_bar.status.value
    assert (tmp_path / "a.bin.reads").exists(), "what was read is kept"


def test_an_idle_panel_notices_that_its_board_was_pulled(panel, monkeypatch):
    monkeypatch.setattr(board_panel, "LOOK_EVERY_S", 0.02)

    async def session(pulled):
        panel.connect_bar.run.click()
        await panel.model.connecting.task
        assert "Connected" in panel.board.value
        await asyncio.sleep(0.1)
        assert panel.model.connected, "a board that is there stays connected"
        if pulled:
            panel.model.board[0]._session.probe.chip.path.plugged = False
        else:
            panel.model.board[0]._cpuid = 1  # the chip says something else now
        for _ in range(500):
            if not panel.model.connected:
                break
            await asyncio.sleep(0.01)

    for pulled in (True, False):
        asyncio.run(session(pulled))
        assert "not connected" in panel.board.value
        assert "does not answer any more" in panel.connect_bar.alert.value


def test_work_shows_what_is_left_and_how_fast_it_goes(panel):
    async def session():
        panel.connect_bar.run.click()
        await panel.model.connecting.task
        panel.model.dump(DumpPlan(AddressRange(0x08000000, 0x08200000), chunk=0x4000, passes=20))
        seen = set()
        while panel.model.dumping.running and len(seen) < 2:
            await asyncio.sleep(0.01)
            seen |= {w for w in ("left", "KiB/s") if w in panel.dump_bar.status.value}
        panel.model.dumping.cancel()
        await panel.model.dumping.task
        return seen

    assert asyncio.run(session()) == {"left", "KiB/s"}
    assert "left" not in panel.dump_bar.status.value
