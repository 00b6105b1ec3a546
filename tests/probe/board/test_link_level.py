"""DP and AP are strict: what a real port refuses, this one refuses."""

import pytest

from h5diag.sim.virtual import VirtualChip
from h5diag.sim.virtual.bus import BusFault
from h5diag.sim.virtual.dp_ap import Wire

CORE = 1 << 24


@pytest.fixture
def wire():
    w = Wire(VirtualChip())
    w.write_dp(4, 0x50000000)
    w.write_dp(8, CORE)
    w.write_ap(0, 0x43000012)
    return w


def test_identity(wire):
    assert wire.read_dp(0) == 0x6BA02477
    for port, idr, base in ((0, 0x54770002, 0xE00E0003), (1, 0x84770001, 0xE00FE003), (2, 0, 0)):
        wire.write_dp(8, port << 24 | 0xF0)
        assert (wire.read_ap(0xC), wire.read_ap(0x8)) == (idr, base)


def test_power_up_is_needed_and_acknowledged(wire):
    fresh = Wire(VirtualChip())
    with pytest.raises(BusFault):
        fresh.read_ap(0)
    assert not fresh.read_dp(4) & 0xA0000000
    assert wire.read_dp(4) & 0xA0000000 == 0xA0000000


def test_the_register_comes_from_select_not_from_the_address(wire):
    wire.write_dp(8, CORE | 0xF0)
    assert wire.read_ap(0x0C) == 0x84770001
    assert wire.read_ap(CORE | 0x0C) == 0x84770001


def test_tar_increments_within_1_kb(wire):
    wire.write_ap(4, 0x080003FC)
    a, b = wire.read_words(0xC, 2)
    wire.write_ap(4, 0x08000000)
    assert b == wire.read_ap(0xC)
    wire.write_ap(4, 0x080003FC)
    assert a == wire.read_ap(0xC)


def test_byte_lanes(wire):
    wire.write_ap(0, 0x43000010)
    wire.write_ap(4, 0x20000000)
    wire.write_words(0xC, [0x11, 0x2200, 0x330000, 0x44000000])
    wire.write_ap(0, 0x43000012)
    wire.write_ap(4, 0x20000000)
    assert wire.read_ap(0xC) == 0x44332211
    wire.write_ap(0, 0x43000011)
    wire.write_ap(4, 0x20000002)
    assert wire.read_ap(0xC) == 0x44330000


def test_an_error_sticks_until_it_is_cleared(wire):
    wire.write_ap(4, 0x08200000)
    with pytest.raises(BusFault):
        wire.read_ap(0xC)
    with pytest.raises(BusFault):
        wire.read_ap(0)
    assert wire.read_dp(4) & 0x20
    wire.write_dp(0, 0x1E)
    assert not wire.read_dp(4) & 0x20
    wire.write_ap(4, 0x08000000)
    wire.read_ap(0xC)


def test_banked_data_registers(wire):
    wire.write_ap(4, 0x08000000)
    wire.write_dp(8, CORE | 0x10)
    banked = [wire.read_ap(4 * i) for i in range(4)]
    wire.write_dp(8, CORE)
    wire.write_ap(4, 0x08000000)
    assert banked == wire.read_words(0xC, 4)


def test_a_locked_port_answers_nothing():
    from h5diag.sim.virtual import parse_items

    w = Wire(VirtualChip(parse_items(["locked-port"])))
    w.write_dp(4, 0x50000000)
    w.write_dp(8, CORE | 0xF0)
    assert w.read_ap(0xC) == 0
    w.write_dp(8, 0xF0)
    assert w.read_ap(0xC) == 0x54770002
