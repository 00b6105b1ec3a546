"""Which probe is meant, and what drivers do that they should not: one line each, never a traceback."""

from __future__ import annotations

import logging
import struct
import threading

import numpy as np
import pytest
import usb.core
from pyocd.core import exceptions

from h5diag.app.cli import main
from h5diag.errors import PermissionRefused, ProbeError
from h5diag.probe.board import Permissions, connect, list_probes, open_probe
from h5diag.sim.virtual import VirtualChip, VirtualProbe

from .fakes import CountingProbe

ERRORS = [
    KeyError("x"),
    IndexError("list index out of range"),
    TypeError("NoneType"),
    ValueError("The device has no langid (permission issue, no string descriptors supported or device error)"),
    AttributeError("x"),
    AssertionError(),
    struct.error("unpack requires 8 bytes"),
]


def plugged(monkeypatch, *probes, fails=None):
    class Kind:
        @staticmethod
        def get_all_connected_probes(unique_id, is_explicit):
            return list(probes)

    class Broken:
        @staticmethod
        def get_all_connected_probes(unique_id, is_explicit):
            raise fails

    kinds = {"some": Kind} | ({"broken": Broken} if fails is not None else {})
    monkeypatch.setattr("h5diag.probe.board.probes.PROBE_CLASSES", kinds)


def probe(name):
    return VirtualProbe(VirtualChip(), unique_id=name)


def test_auto_takes_the_only_one_and_refuses_two(monkeypatch):
    plugged(monkeypatch, probe("AA11"))
    assert open_probe("auto").unique_id == "AA11"
    plugged(monkeypatch, probe("AA11"), probe(""))
    with pytest.raises(ProbeError, match=r"several.*AA11") as caught:
        open_probe("auto")
    assert "no serial" in str(caught.value)
    assert open_probe("aa").unique_id == "AA11"


def test_two_probes_of_one_serial_are_refused_even_by_name(monkeypatch):
    plugged(monkeypatch, probe("AA11"), probe("AA11"))
    for name in ("auto", "AA11"):
        with pytest.raises(ProbeError, match="same id"):
            open_probe(name)


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
def test_a_driver_that_raises_while_listing_hides_no_other_probe(error, monkeypatch, capsys):
    plugged(monkeypatch, probe("AA11"), fails=error)
    assert [p.unique_id for p in list_probes()] == ["AA11"]
    plugged(monkeypatch, fails=error)
    assert main(["probes"]) == 3
    assert "Traceback" not in capsys.readouterr().err


COMMANDS = {
    "info": [],
    "dump": ["--out", "d.bin", "--range", "0x08000000:0x08010000"],
    "flashtest": ["--range", "0x08040000:0x08042000", "--allow-erase", "--out", "t", "--level", "quick"],
    "selfcheck": [],
}
"""Every command that connects."""


@pytest.mark.parametrize("error", [*ERRORS, usb.core.USBError("Pipe error", None, 32)], ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("at", ["open", "first", "later"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_driver_that_raises_is_one_line_and_exit_3(error, at, command, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    chip, reads = VirtualChip(), []
    before_it = chip.state.data.copy()

    def before(name, words):
        if name.startswith("read_ap"):
            reads.append(name)
            if at == "first" or len(reads) > 150:
                raise error

    failing = CountingProbe(chip, before)
    if at == "open":
        monkeypatch.setattr(failing, "open", lambda: _raise(error))
    plugged(monkeypatch, failing)
    status = main([command, "--probe", "auto", *COMMANDS[command]])
    err = capsys.readouterr().err
    assert "Traceback" not in err
    if command == "info" and at == "later" and status == 0:
        return  # it had asked all that it asks
    assert status == 3, err
    last = err.strip().splitlines()[-1]
    assert last.startswith(f"h5diag {command}: "), err
    if not np.array_equal(chip.state.data, before_it):
        assert "--restore t" in last, last


def test_a_driver_that_raises_while_contents_are_put_back_is_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    chip, failing = VirtualChip(), []

    def before(name, words):
        if failing and name.startswith("read_ap"):
            raise KeyError("x")

    def erasing(sector, erase=chip.flash.cells.erase):
        erase(sector)
        failing.append(True)

    monkeypatch.setattr(chip.flash.cells, "erase", erasing)
    plugged(monkeypatch, CountingProbe(chip, before))
    command = ["flashtest", "--probe", "auto"]
    assert main([*command, *COMMANDS["flashtest"]]) == 3
    assert "--restore t" in capsys.readouterr().err
    assert main([*command, "--restore", "t"]) == 3
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1


def _raise(error):
    raise error


def test_an_access_that_fails_leaves_the_probe_to_other_threads():
    """pyOCD forgets that it had locked the probe when the write to SELECT fails."""
    failing = []

    def before(name, words):
        if failing and name == "write_dp":
            raise exceptions.ProbeError("gone")

    chip = VirtualChip()
    with connect("x", probe=CountingProbe(chip, before)) as board:
        failing.append(True)
        board.target.dp._invalidate_cache()
        with pytest.raises(ProbeError):
            board.read_word(0x08000000)
        got, lock = [], board._session.probe._lock

        def take():
            got.append(lock.acquire(timeout=5))
            lock.release()

        other = threading.Thread(target=take)
        other.start()
        other.join()
        failing.clear()
        assert got == [True]


def test_our_own_mistakes_are_not_blamed_on_a_driver():
    with connect("virtual") as board, pytest.raises(KeyError), board.locked():
        raise KeyError("ours")


def test_a_missing_udev_rule_is_named(monkeypatch, capsys):
    class Kind:
        @staticmethod
        def get_all_connected_probes(unique_id, is_explicit):
            logging.getLogger("pyocd.probe.stlink.usb").warning(
                "[Errno 13] Access denied while trying to get the STLink USB device configuration (VID=0483 PID=374e). "
                "This can probably be remedied with a udev rule."
            )
            return []

    monkeypatch.setattr("h5diag.probe.board.probes.PROBE_CLASSES", {"some": Kind})
    for command in (["info"], ["dump", "--out", "x.bin"]):
        assert main(command) == 3
        assert "udev" in capsys.readouterr().err
    assert "udev" in list_probes()[0].problem
    plugged(monkeypatch)
    assert main(["info"]) == 3
    assert "no debug probe" in capsys.readouterr().err


def test_resetting_through_aircr_needs_its_own_permission():
    request = 0x05FA0004
    with connect("virtual", permissions=Permissions(halt=True)) as board:
        for address in (0xE000ED0C, 0xE002ED0C):
            with pytest.raises(PermissionRefused, match="reset"):
                board.write_word(address, request)
        with pytest.raises(PermissionRefused, match="reset"):
            board.write_words(0xE000ED08, [0, request])
        board.write_word(0xE000ED0C, 0x05FA0000)
    with connect("virtual", permissions=Permissions(halt=True, reset=True)) as board:
        board.write_word(0xE000ED0C, request)
