"""A chip that sleeps, loses its power or is exchanged while it is read refuses like one with a hole in its flash."""

from __future__ import annotations

import numpy as np
import pytest
from pyocd.core import exceptions

from h5diag.app.cli import main
from h5diag.errors import ProbeError
from h5diag.memory import AddressRange
from h5diag.probe.acquire import DumpPlan, dump
from h5diag.probe.board import connect
from h5diag.sim.virtual import VirtualChip, parse_items
from h5diag.sim.virtual.bus import BusFault
from h5diag.sim.virtual.dp_ap import Wire

from .fakes import AP_FAULT, CountingProbe, cells, stlink

WHERE = AddressRange(0x08040000, 0x08060000)
PLAN = DumpPlan(WHERE, chunk=0x4000)


def sleep(probe):
    """Its bus answers nothing any more."""

    def read(address, size, secure):
        raise BusFault(address)

    probe.chip.read = read


def dip(probe):
    probe.chip.power_cycle()


def unplug_board(probe):
    """Another board is put in: the probe stays."""
    probe.chip = VirtualChip(parse_items(["seed=77"]))
    probe.wire = Wire(probe.chip)


def forget_uid(probe):
    dip(probe)
    read, uid = probe.chip.read, probe.chip.description.identity.uid

    def without(address, size, secure):
        return read(address, size, secure) * (0 if uid <= address < uid + 12 else 1)

    probe.chip.read = without


def probe_that(change, *items, moments=(60,)):
    """Return a probe under which something happens at some of its block reads."""
    seen = [0]

    def before(name, words):
        if name == "read_ap_multiple":
            seen[0] += 1
            if seen[0] in moments:
                change(probe)

    probe = CountingProbe(VirtualChip(parse_items(items)), before)
    return probe


@pytest.mark.parametrize("moments", [(60,), (41,), (300,), (60, 200, 300)], ids=str)
def test_a_moment_without_power_is_no_hole(moments):
    probe = probe_that(dip, moments=moments)
    with connect("x", probe=probe) as board:
        done = dump(board, PLAN)
    assert done.image.unreadable == ()
    assert np.array_equal(done.image.read(WHERE.start, WHERE.stop), cells(probe, WHERE.start, WHERE.stop))
    assert any("made again" in r for r in done.image.origin.remarks)


def test_a_hole_stays_one_where_the_power_goes_within_it():
    hole = "bus-fault@0x08044000-0x0804C000"
    with connect("x", probe=probe_that(lambda probe: None, hole)) as board:
        sound = dump(board, PLAN)
    with connect("x", probe=probe_that(dip, hole, moments=(70, 90, 110))) as board:
        done = dump(board, PLAN)
    assert done.image.unreadable == sound.image.unreadable == (AddressRange(0x08044000, 0x0804C000),)


@pytest.mark.parametrize("moment", [60, 300])
def test_a_core_that_falls_asleep_is_told_and_the_reads_are_kept(moment, tmp_path):
    probe = probe_that(sleep, moments=(moment,))
    with connect("x", probe=probe) as board, pytest.raises(ProbeError, match="sleeps") as caught:
        dump(board, PLAN, path=str(tmp_path / "a.bin"))
    assert "under reset" in str(caught.value)
    assert "--resume" in str(caught.value)
    assert not (tmp_path / "a.bin").exists()
    with connect("x", probe=CountingProbe(VirtualChip())) as board:
        done = dump(board, PLAN, path=str(tmp_path / "a.bin"))
    assert done.image.unreadable == ()


@pytest.mark.parametrize(("change", "says"), [(unplug_board, "another chip"), (forget_uid, "not known")])
def test_after_a_moment_without_power_it_must_be_the_same_chip(change, says, tmp_path):
    path = tmp_path / "a.bin"
    probe = probe_that(change, moments=(60,))
    truth = cells(CountingProbe(VirtualChip()), WHERE.start, WHERE.stop)
    with connect("x", probe=probe) as board, pytest.raises(ProbeError, match=says) as caught:
        dump(board, PLAN, path=str(path))
    assert "UID" in str(caught.value)
    assert not path.exists()
    with connect("x", probe=CountingProbe(VirtualChip())) as board:
        done = dump(board, PLAN, path=str(path))
    assert done.image.unstable == ()
    assert np.array_equal(done.image.read(WHERE.start, WHERE.stop), truth), "nothing of the other board is in it"


@pytest.mark.parametrize("after", [60, 90, 300])
@pytest.mark.parametrize("command", ["dump --out {}/a.bin --range 0x08000000:0x08020000", "selfcheck"])
def test_below_an_stlink_too(command, after, tmp_path, monkeypatch, capsys):
    """Memory that faults from some moment on, at whatever step: the core is asleep, nothing is unreadable."""
    seen = [0]

    def refuse(what, port, address):
        seen[0] += what == "memory"
        return AP_FAULT if what == "memory" and seen[0] > after else 0

    probe = stlink(refuse=refuse)
    monkeypatch.setattr("h5diag.probe.board.board.open_probe", lambda name: probe)
    status = main([*command.format(tmp_path).split(), "--probe", "x"])
    out, err = capsys.readouterr()
    if seen[0] <= after:
        assert status == 0, "it was done before"
        return
    assert status == 3, out
    assert "under reset" in err
    assert "unreadable" not in out + err


def test_a_link_that_fails_too_while_the_core_is_asked_ends_no_dump():
    """One refusal of the bus, and No ACK to the question that follows it: both pass."""
    left = []

    def before(name, words):
        if left and name in ("read_ap", "write_ap", "read_dp"):
            left.pop()
            raise exceptions.TransferError("No ACK")
        if name == "read_ap_multiple" and probe.calls > 400 and not struck:
            struck.append(name)
            left.extend(range(12))
            raise exceptions.TransferFaultError("bus", fault_address=WHERE.start, length=4)

    struck: list[str] = []
    probe = CountingProbe(VirtualChip(), before)
    with connect("x", probe=probe) as board:
        done = dump(board, PLAN)
    assert struck
    assert done.image.unreadable == ()
    assert np.array_equal(done.image.read(WHERE.start, WHERE.stop), cells(probe, WHERE.start, WHERE.stop))
