"""Which probe is meant, and what drivers do that they should not: one line each, never a traceback."""

from __future__ import annotations

import logging
import struct

import pytest

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


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("at", ["open", "read"])
def test_a_driver_that_raises_is_one_line_and_exit_3(error, at, monkeypatch, capsys):
    def before(name, words):
        if at == "read" and name.startswith("read_ap"):
            raise error

    failing = CountingProbe(VirtualChip(), before)
    if at == "open":
        monkeypatch.setattr(failing, "open", lambda: before("read_ap", 1) if at == "read" else _raise(error))
    plugged(monkeypatch, failing)
    assert main(["info", "--probe", "auto"]) == 3
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1


def _raise(error):
    raise error


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
