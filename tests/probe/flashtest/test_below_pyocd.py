"""The flash test through pyOCD's own ST-LINK driver, over a fake one that fails at a chosen moment."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

from h5diag.app.cli import main
from tests.probe.link.fakes import AP_ERROR, AP_FAULT, AP_WAIT, DP_WAIT, NO_DEVICE, stlink

RANGE_TEXT = "0x08040000:0x08044000"


def command(folder, *more):
    return [
        "flashtest",
        "--probe",
        "x",
        "--range",
        RANGE_TEXT,
        "--allow-erase",
        "--level",
        "quick",
        "--out",
        folder,
        *more,
    ]


@pytest.fixture
def plugged(monkeypatch):
    """Plug a probe in under every name."""

    def plug(**made):
        probe = stlink(**made)
        monkeypatch.setattr("h5diag.probe.board.board.open_probe", lambda name: probe)
        return probe._link._device

    return plug


@pytest.mark.parametrize(("version", "true"), [(2, "1.8, 0.95 MHz"), (3, "3.3, 1 MHz")])
def test_it_runs_over_an_stlink_and_tells_the_true_speeds(version, true, plugged, tmp_path, capsys):
    device = plugged(version=version)
    before = device.chip.state.data.copy()
    assert main(command(str(tmp_path / "t"))) == 0
    out = capsys.readouterr().out
    assert f"2 rounds at {true}" in out
    assert "no fault in 2 of 2 sectors" in out
    assert np.array_equal(device.chip.state.data, before)


@pytest.mark.parametrize("status", [AP_WAIT, AP_FAULT, AP_ERROR, DP_WAIT, NO_DEVICE], ids=hex)
@pytest.mark.parametrize("operations", [1, 3, 600])
def test_memory_that_fails_for_good_once_something_is_erased_names_what_waits(
    status, operations, plugged, tmp_path, capsys
):
    folder = str(tmp_path / "t")
    device = plugged()
    before = device.chip.state.data.copy()
    device.refuse = lambda what, port, at: (
        status if what == "memory" and len(device.chip.flash.operations) >= operations else 0
    )
    assert main(command(folder)) == 3
    err = capsys.readouterr().err
    last = err.strip().splitlines()[-1]
    assert "are not back" in last
    assert f"h5diag flashtest --probe x --restore {folder}" in last
    assert "Traceback" not in err
    back = ["flashtest", "--probe", "x", "--restore", folder]
    # While it fails the same is said again, with the same command; then it puts the contents back.
    assert main(back) == 3
    assert "Traceback" not in capsys.readouterr().err
    device.refuse = lambda what, port, at: 0
    assert main(back) == 0
    assert np.array_equal(device.chip.state.data, before)


def test_a_restore_that_the_link_ends_says_how_it_goes_on(plugged, tmp_path, capsys):
    folder = str(tmp_path / "t")
    device = plugged()
    before = device.chip.state.data.copy()

    def fails_from(count):
        return lambda what, port, at: AP_FAULT if what == "memory" and len(device.chip.flash.operations) >= count else 0

    device.refuse = fails_from(600)
    assert main(command(folder)) == 3
    done = len(device.chip.flash.operations)
    device.refuse = fails_from(done + 1)  # again, in the middle of putting back
    capsys.readouterr()
    assert main(["flashtest", "--probe", "x", "--restore", folder]) == 3
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "are not back" in last
    assert f"--restore {folder}" in last
    device.refuse = lambda what, port, at: 0
    assert main(["flashtest", "--probe", "x", "--restore", folder]) == 0
    assert np.array_equal(device.chip.state.data, before)


@pytest.mark.parametrize("strike", ["ctrl-c", "fault"])
def test_putting_back_at_the_next_start_may_be_stopped_too(strike, plugged, tmp_path, capsys):
    """The same command after an interrupted run puts its contents back first: stopped there, they still wait."""
    folder = str(tmp_path / "t")
    device = plugged()
    before = device.chip.state.data.copy()
    device.refuse = lambda what, port, at: (
        AP_FAULT if what == "memory" and len(device.chip.flash.operations) >= 600 else 0
    )
    assert main(command(folder)) == 3
    done, struck = len(device.chip.flash.operations), []

    def again(what, port, at):
        if what != "memory" or len(device.chip.flash.operations) <= done:
            return 0
        if strike == "fault":
            return AP_FAULT
        if not struck:
            struck.append(at)
            os.kill(os.getpid(), signal.SIGINT)
        return 0

    device.refuse = again
    capsys.readouterr()
    assert main(command(folder)) == 3, "not 130, which says that the contents are back"
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "are not back" in last
    assert f"--restore {folder}" in last
    device.refuse = lambda what, port, at: 0
    assert main(command(folder)) == 0
    assert np.array_equal(device.chip.state.data, before)


@pytest.mark.parametrize("status", [AP_WAIT, DP_WAIT, AP_ERROR], ids=hex)
def test_a_link_that_fails_while_the_core_is_tried_is_told_as_itself(status, plugged, tmp_path, capsys):
    device = plugged()
    chip, was_halted, struck = device.chip, [], []

    def once(what, port, at):
        if chip.core.halted:
            was_halted.append(at)
        elif what == "memory" and was_halted and not struck:  # it runs the two instructions
            struck.append(at)
            return status
        return 0

    device.refuse = once
    assert main(command(str(tmp_path / "t"))) == 3
    err = capsys.readouterr().err
    assert struck
    assert "not halted" not in err
    assert "WAIT" in err or "link" in err
    assert not chip.flash.operations
