"""The memory and its interface, register by register."""

from __future__ import annotations

import pytest

from h5diag.sim.dryrun import bus as xspi
from h5diag.sim.dryrun.bus import ModelBus, Nor, Octospi

READ_MODE, POLL_MODE, MAPPED_MODE = 1 << 28 | 1, 2 << 28 | 1, 3 << 28 | 1
ADDRESS, DATA = 1 << 8 | 2 << 12, 1 << 24


@pytest.fixture
def nor():
    return Nor(1 << 20, b"\xef\x40\x14")


@pytest.fixture
def octospi(nor):
    return Octospi(nor)


def enabled(nor):
    nor.busy = 0
    nor.write(0x06, 0, b"")
    return nor


def test_programming_clears_bits_and_needs_the_latch_each_time(nor):
    nor.write(0x02, 0x100, b"\x0f")
    assert nor.peek(0x100, 1) == b"\xff"
    assert "latch" in nor.remarks[0]
    enabled(nor).write(0x02, 0x100, b"\x0f")
    enabled(nor).write(0x02, 0x100, b"\xf3")
    assert nor.peek(0x0FF, 3) == b"\xff\x03\xff"
    assert any("without being erased" in r for r in nor.remarks)


def test_a_page_wraps(nor):
    enabled(nor).write(0x02, 0x1FE, b"abcd")
    assert nor.peek(0x1FE, 2) == b"ab"
    assert nor.peek(0x100, 2) == b"cd"
    assert any("wrapped" in r for r in nor.remarks)


def test_a_busy_memory_ignores_commands(nor):
    enabled(nor).write(0x02, 0, b"\0")
    nor.write_enabled = True
    nor.write(0x02, 1, b"\0")
    assert nor.peek(0, 2) == b"\0\xff"
    assert any("busy" in r for r in nor.remarks)
    assert nor.read(0x03, 0, 0, 1) == b"\xff"
    while nor.status() & 1:
        pass
    assert nor.read(0x03, 0, 0, 2) == b"\0\xff"


@pytest.mark.parametrize(("opcode", "size"), [(0x20, 0x1000), (0x52, 0x8000), (0xD8, 0x10000), (0xC7, 1 << 20)])
def test_erase_sizes(nor, opcode, size):
    nor.fill(0, bytes(1 << 20))
    enabled(nor).write(opcode, 0x12345, b"")
    start = 0x12345 // size * size
    assert nor.is_blank(start, start + size)
    assert not nor.is_blank(start - 1, start) or not start
    assert start + size == 1 << 20 or not nor.is_blank(start + size, start + size + 1)


def command(octospi, mode, ccr, opcode, *, address=None, length=None):
    octospi.write(xspi.CR, 4, mode)
    if length:
        octospi.write(xspi.DLR, 4, length - 1)
    octospi.write(xspi.CCR, 4, ccr)
    octospi.write(xspi.IR, 4, opcode)
    if address is not None:
        octospi.write(xspi.AR, 4, address)


def test_indirect_write_and_read(octospi, nor):
    command(octospi, 1, 1, 0x06)
    assert octospi.read(xspi.SR, 4) & 2
    octospi.write(xspi.FCR, 4, 2)
    command(octospi, 1, 1 | ADDRESS | DATA, 0x02, address=0x200, length=4)
    assert octospi.read(xspi.SR, 4) & 4
    octospi.write(xspi.DR, 1, 0x11)
    octospi.write(xspi.DR, 2, 0x3322)
    assert not octospi.read(xspi.SR, 4) & 2
    octospi.write(xspi.DR, 1, 0x44)
    assert octospi.read(xspi.SR, 4) & 2
    nor.busy = 0
    command(octospi, READ_MODE, 1 | ADDRESS | DATA, 0x0B, address=0x1FF, length=6)
    assert (
        octospi.read(xspi.DR, 4).to_bytes(4, "little") + octospi.read(xspi.DR, 2).to_bytes(2, "little")
        == b"\xff\x11\x22\x33\x44\xff"
    )


def test_an_octal_command_is_opcode_and_complement(octospi, nor):
    nor.fill(0, b"\x5a")
    command(octospi, READ_MODE, 1 | ADDRESS | DATA, 0xEC13, address=0, length=1)
    assert octospi.read(xspi.DR, 1) == 0x5A


def test_automatic_polling_matches_or_says_what_it_waits_for(octospi, nor):
    enabled(nor).write(0x20, 0, b"")
    octospi.write(xspi.PSMKR, 4, 1)
    octospi.write(xspi.PSMAR, 4, 0)
    command(octospi, POLL_MODE, 1 | DATA, 0x05, length=1)
    assert octospi.read(xspi.SR, 4) & 8
    octospi.write(xspi.FCR, 4, 0xFF)
    octospi.write(xspi.PSMAR, 4, 1)
    command(octospi, POLL_MODE, 1 | DATA, 0x05, length=1)
    assert not octospi.read(xspi.SR, 4) & 8
    assert "status & 0x1 = 0x1" in octospi.polling_for


def test_memory_mapped_mode_needs_a_read_command(octospi, nor):
    nor.fill(8, b"abcd")
    assert octospi.window(8, 4) == 0
    assert "memory window" in nor.remarks[0]
    command(octospi, MAPPED_MODE, 1 | ADDRESS | DATA, 0x06)
    assert not octospi.is_mapped
    command(octospi, MAPPED_MODE, 1 | ADDRESS | DATA, 0xEB)
    assert octospi.window(8, 4).to_bytes(4, "little") == b"abcd"
    assert octospi.read(xspi.SR, 4) & 32
    octospi.write(xspi.CR, 4, MAPPED_MODE | 2)
    assert not octospi.read(xspi.SR, 4) & 32


def test_nothing_happens_while_it_is_off(octospi, nor):
    command(octospi, 0, 1, 0x06)
    assert not nor.commands
    assert not octospi.read(xspi.SR, 4)


@pytest.fixture
def bus(octospi):
    profile = {
        "reset": [[0x40021000, 0x63]],
        "ready": [[0x40021000, 10, 0x40021000, 8]],
        "follow": [[0x40021008, 2, 2, 0x40021008, 0]],
        "fixed": [[0x40007014, 0x10, 0x400]],
        "modelled": [[0x40021000, 0x400], [0x40007000, 0x400]],
    }
    return ModelBus(profile, {0x44021000: octospi}, lambda: None)


def test_registers_follow_their_rules_in_both_aliases(bus):
    assert bus.read(0x40021000, 4) == 0x63
    bus.write(0x50021001, 1, 0x01)
    assert bus.read(0x40021000, 4) == 0x563
    bus.write(0x40021008, 4, 3)
    assert bus.read(0x50021008, 4) == 0xF
    bus.write(0x40007014, 4, 0x401)
    assert bus.read(0x40007014, 4) == 0x11
    bus.write(0x54021000, 4, 0x121)
    assert bus.read(0x44021000, 2) == 0x121


def test_patience_ends_for_unmodelled_registers_only(bus):
    assert {bus.read(0x40021090, 4) for _ in range(20_000)} == {0}
    assert {bus.read(0x42020010, 4) for _ in range(20_000)} == {0, 0xFFFFFFFF}
    assert bus.assumed == [0x42020010]


def test_timers_run(bus):
    bus.write(0xE000E014, 4, 63999)
    assert bus.read(0xE0001004, 4) < bus.read(0xE0001004, 4)
    assert len({bus.read(0xE000E018, 4) for _ in range(4)}) == 4
    assert bus.read(0xE000E010, 4) & 0x10000
    assert bus.read(0xE000ED00, 4) == 0x410FD214
    assert not bus.fpu_enabled
    bus.write(0xE000ED88, 4, 0xF << 20)
    assert bus.fpu_enabled
