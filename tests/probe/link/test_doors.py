"""A closed door, a sleeping core, lost power and a bad link look alike to pyOCD; here each is told apart."""

from __future__ import annotations

import pytest
from pyocd.core import exceptions

from h5diag.errors import ProbeError
from h5diag.probe.board import ConnectMode, connect, identify
from h5diag.sim.virtual import VirtualChip, VirtualProbe, parse_items

from .fakes import AP_ERROR, AP_FAULT, AP_WAIT, COMMAND_ERROR, DP_WAIT, NO_DEVICE, CountingProbe, stlink

CLOSED = ("closed", "credentials", "product state")


def told(probe) -> str:
    with pytest.raises(ProbeError) as caught:
        connect("x", probe=probe)
    return str(caught.value)


def refusing(status, what="memory", port=1, start=0, stop=1 << 32):
    return lambda kind, ap, address: status if kind == what and ap == port and start <= address < stop else 0


ELEVEN = {
    "AP wait on memory": refusing(AP_WAIT),
    "DP wait on memory": refusing(DP_WAIT),
    "AP fault on memory": refusing(AP_FAULT),
    "AP error on memory": refusing(AP_ERROR),
    "command error on opening the port": refusing(COMMAND_ERROR, "open"),
    "0x1D on opening the port": refusing(0x1D, "open"),
    "no device on port registers": refusing(NO_DEVICE, "register"),
    "DP wait on port registers": refusing(DP_WAIT, "register"),
    "addresses from 0xE0000000 fault": refusing(AP_FAULT, start=0xE0000000),
}


@pytest.mark.parametrize("how", ELEVEN)
def test_none_of_the_connect_failures_is_told_as_a_closed_port(how):
    text = told(stlink(refuse=ELEVEN[how]))
    assert not any(word in text for word in CLOSED), text
    assert "under reset" in text
    assert "lower speed" in text
    assert "\n" not in text


def test_a_root_table_of_zeros_is_a_sleeping_core_not_a_closed_port(monkeypatch):
    chip = VirtualChip()
    read = chip.read
    monkeypatch.setattr(chip, "read", lambda a, n, s: read(a, n, s) * (0 if 0xE00FE000 <= a < 0xE0100000 else 1))
    text = told(VirtualProbe(chip))
    assert "sleeps" in text
    assert not any(word in text for word in CLOSED), text


def test_endless_wait_is_a_link_or_a_sleeping_program(monkeypatch):
    def wait(name, words):
        if name in ("read_ap", "read_ap_multiple", "write_ap"):
            raise exceptions.TransferTimeoutError("WAIT")

    text = told(CountingProbe(VirtualChip(), wait))
    assert "under reset" in text
    assert not any(word in text for word in CLOSED), text


@pytest.mark.parametrize("link", ["dap", "memory"])
def test_a_closed_port_is_still_told(link):
    text = told(VirtualProbe(VirtualChip(parse_items(["locked-port"])), link))
    assert "closed" in text
    assert "credentials" in text
    assert "AP1 IDR 0x00000000" in text


@pytest.mark.parametrize("link", ["dap", "memory"])
def test_a_sleeping_core_is_told_and_cured_by_a_reset(link):
    def probe():
        return VirtualProbe(VirtualChip(parse_items(["core-asleep"])), link)

    text = told(probe())
    assert "sleeps" in text
    assert "0x84770001" in text
    assert not any(word in text for word in CLOSED), text
    with connect("x", probe=probe(), mode=ConnectMode.UNDER_RESET) as board:
        assert board.read_word(0x08000000)
        assert board.remarks == ()


def test_ports_that_read_zero_altogether_are_lost_power(monkeypatch):
    probe = VirtualProbe(VirtualChip())
    monkeypatch.setattr(type(probe.wire), "read_ap", lambda self, address: 0)
    monkeypatch.setattr(type(probe.wire), "read_words", lambda self, address, count: [0] * count)
    text = told(probe)
    assert "power" in text
    assert not any(word in text for word in CLOSED), text


def test_a_sound_stlink_connects_and_tells_speed_supply_and_firmware():
    with connect("x", probe=stlink()) as board:
        who = identify(board)
        assert (who.dev_id, board.swd_hz, board.firmware) == (0x484, 3_300_000, "V3J9M3"), "4 MHz were asked for"
    with connect("x", probe=stlink(version=2)) as board:
        assert (board.swd_hz, board.firmware) == (1_800_000, "V2J37M26")


def test_under_reset_says_when_nothing_was_reset():
    def remarks(*items):
        probe = VirtualProbe(VirtualChip(parse_items(items)))
        with connect("x", probe=probe, mode=ConnectMode.UNDER_RESET) as board:
            return " ".join(board.remarks)

    assert "NRST" in remarks("no-reset-line")
    assert remarks() == ""


def test_a_core_that_does_not_halt_is_said():
    probe = VirtualProbe(VirtualChip(parse_items(["board=founding"])))
    with connect("x", probe=probe, mode=ConnectMode.HALT) as board:
        assert any("did not halt" in r for r in board.remarks)
    with connect("virtual", mode=ConnectMode.HALT) as board:
        assert board.remarks == ()


def test_a_reset_loop_is_noticed():
    from h5diag.probe.board import core_state

    with connect("virtual") as board:
        assert core_state(board).remarks == ()
        core = board._session.probe.chip.core
        board._session.probe.before = None
        original = core.read

        def looping(address):
            core._reset_seen = True
            return original(address)

        core.read = looping
        assert any("again and again" in r for r in core_state(board).remarks)
