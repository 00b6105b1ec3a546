"""A dump finishes on a link that fails now and then, a hole costs little, and nothing of the user is lost."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest
from pyocd.core import exceptions

from h5diag.app.cli import main
from h5diag.errors import InputError, ProbeError
from h5diag.evidence.files import read_image, read_sidecar
from h5diag.memory import AddressRange
from h5diag.probe.acquire import DumpPlan, dump
from h5diag.probe.board import connect
from h5diag.sim.virtual import VirtualChip, parse_items

from .fakes import CountingProbe, LastWordProbe, cells

WHERE = AddressRange(0x08040000, 0x08048000)
R = "0x08040000:0x08048000"


def chip(*items):
    return VirtualChip(parse_items(items))


@pytest.mark.parametrize("rate", [1e-5, 1e-4, 1e-3])
@pytest.mark.parametrize(
    "error", [exceptions.TransferError("No ACK"), exceptions.TransferTimeoutError("WAIT")], ids=str
)
def test_passing_failures_of_the_link_end_no_dump(rate, error):
    rng = random.Random(7)

    def before(name, words):
        if name == "read_ap_multiple" and rng.random() < 1 - (1 - rate) ** words:
            raise error

    probe = CountingProbe(chip(), before)
    with connect("x", probe=probe) as board:
        done = dump(board, DumpPlan(WHERE))
    assert np.array_equal(done.image.read(WHERE.start, WHERE.stop), cells(probe, WHERE.start, WHERE.stop))
    assert done.image.unreadable == ()
    if rate >= 1e-3:
        assert done.retried > 0
        assert any("made again" in r for r in done.image.origin.remarks)


def test_a_link_that_stays_dead_is_the_links_and_keeps_the_reads(tmp_path):
    dead = []

    def before(name, words):
        if dead:
            raise exceptions.TransferError("No ACK")
        if name == "read_ap_multiple" and words > 100 and probe.calls > 400:
            dead.append(1)

    probe = CountingProbe(chip(), before)
    with connect("x", probe=probe) as board, pytest.raises(ProbeError, match="--resume"):
        dump(board, DumpPlan(WHERE, chunk=0x4000), path=str(tmp_path / "a.bin"))
    assert (tmp_path / "a.bin.reads").stat().st_size > 0x2000
    assert not (tmp_path / "a.bin").exists()


def test_ecc_registers_that_do_not_read_lose_nothing():
    c = chip()
    with connect("x", probe=CountingProbe(c)) as board:
        register = board.register_address("ECCCORR")
        read = c.bus._word

        def word(address, secure):
            if address == register:
                from h5diag.sim.virtual.bus import BusFault

                raise BusFault(address)
            return read(address, secure)

        c.bus._word = word
        done = dump(board, DumpPlan(WHERE))
    assert done.image.size == WHERE.size
    assert any("ECCCORR could not be read" in r for r in done.image.origin.remarks)


def test_a_probe_that_errs_at_the_end_of_full_bursts_is_noticed():
    probe = LastWordProbe(chip())
    with connect("x", probe=probe) as board:
        done = dump(board, DumpPlan(WHERE, passes=3))
    wrong = np.flatnonzero(done.image.read(WHERE.start, WHERE.stop) != cells(probe, WHERE.start, WHERE.stop))
    unstable = [WHERE.start + int(i) for i in wrong]
    assert all(any(a in r for r in done.image.unstable) for a in unstable), "nothing wrong may agree"
    assert done.image.unstable
    with connect("x", probe=CountingProbe(chip())) as board:
        assert dump(board, DumpPlan(WHERE, passes=3)).image.unstable == ()


@pytest.mark.parametrize(("start", "size"), [(0x08042000, 0x4000), (0x08041234, 0x1000), (0x08040000, 0x2000)])
def test_a_hole_costs_at_most_a_hundred_calls_a_kibibyte_and_its_edges_are_found(start, size):
    probe = CountingProbe(chip(f"bus-fault@0x{start:X}-0x{start + size:X}"))
    with connect("x", probe=probe) as board:
        before = probe.calls
        done = dump(board, DumpPlan(WHERE))
        spent = probe.calls - before
    control = CountingProbe(chip())
    with connect("x", probe=control) as board:
        before = control.calls
        dump(board, DumpPlan(WHERE))
    assert done.image.unreadable == (AddressRange(start, start + size),)
    assert (spent - (control.calls - before)) / (size / 1024) <= 100


def test_a_single_word_that_fails_costs_its_neighbours_nothing():
    with connect("x", probe=CountingProbe(chip("bus-fault@0x08041000-0x08041004+".rstrip("+")))) as board:
        done = dump(board, DumpPlan(WHERE))
    assert done.image.unreadable == (AddressRange(0x08041000, 0x08041004),)
    assert done.wording == "32764 of 32768 bytes agree, 0 unstable, 4 unreadable"


def test_byte_0_of_a_binary_is_the_start_of_the_range(tmp_path):
    path = tmp_path / "a.bin"
    items = "virtual:bus-fault@0x08040000-0x08040100"
    assert main(["dump", "--probe", items, "--range", R, "--out", str(path)]) == 0
    data = np.fromfile(path, np.uint8)
    assert data.size == WHERE.size
    image = read_image(path)
    assert image.unreadable == (AddressRange(0x08040000, 0x08040100),)
    probe = CountingProbe(chip())
    assert np.array_equal(data[0x100:], cells(probe, 0x08040100, WHERE.stop))
    assert read_sidecar(path).base == WHERE.start


def test_an_existing_dump_is_replaced_only_when_asked_and_another_boards_never(tmp_path, capsys):
    path = tmp_path / "a.bin"
    command = ["dump", "--range", R, "--out", str(path)]
    assert main([*command, "--probe", "virtual"]) == 0
    first = path.read_bytes()
    assert main([*command, "--probe", "virtual"]) == 2
    assert "--force" in capsys.readouterr().err
    for force in ([], ["--force"]):
        for other in ("virtual:seed=5", "virtual:uid-zero"):
            assert main([*command, "--probe", other, *force]) == 2
            assert path.read_bytes() == first
            assert read_sidecar(path).uid
    assert main([*command, "--probe", "virtual", "--force"]) == 0
    assert path.read_bytes() == first


def test_a_resume_on_another_board_or_an_unknown_one_is_refused_and_on_its_own_goes_on_by_itself(tmp_path):
    path, plan = str(tmp_path / "a.bin"), DumpPlan(WHERE, chunk=0x4000)
    with connect("virtual:unplug,after=0x7000") as board, pytest.raises(ProbeError):
        dump(board, plan, path=path)
    kept = (tmp_path / "a.bin.reads").stat().st_size
    for other in ("virtual:seed=3", "virtual:uid-zero"):
        with connect(other) as board, pytest.raises(InputError, match="UID"):
            dump(board, plan, path=path)
        with connect(other) as board, pytest.raises(InputError, match="UID"):
            dump(board, plan, path=path, force=True)
    assert (tmp_path / "a.bin.reads").stat().st_size == kept
    seen = []
    with connect("virtual") as board:
        read = board.read
        board.read = lambda a, b, **more: seen.append((a, b)) or read(a, b, **more)
        dump(board, plan, path=path)
    assert seen.count((0x08040000, 0x08044000)) == 0, "what was read is not read again"


def begun(tmp_path, *items):
    """A dump that a pulled cable ended, and its path."""
    path = str(tmp_path / "a.bin")
    with connect("x", probe=CountingProbe(chip("unplug,after=0x18000", *items))) as board, pytest.raises(ProbeError):
        dump(board, DumpPlan(AddressRange(0x08040000, 0x08060000), chunk=0x4000), path=path)
    return path, DumpPlan(AddressRange(0x08040000, 0x08060000), chunk=0x4000)


def test_a_resume_over_another_firmware_or_other_option_bytes_is_refused(tmp_path):
    """Half of one firmware and half of another would look like unstable cells."""
    path, plan = begun(tmp_path)
    other = chip()
    other.state.data[0x40000:0x70000] = np.random.default_rng(5).integers(0, 256, 0x30000, np.uint8)
    with connect("x", probe=CountingProbe(other)) as board, pytest.raises(InputError, match="programmed meanwhile"):
        dump(board, plan, path=path)
    swapped = chip("bank-swap")
    with connect("x", probe=CountingProbe(swapped)) as board, pytest.raises(InputError, match="option bytes changed"):
        dump(board, plan, path=path)
    with connect("x", probe=CountingProbe(chip())) as board:
        done = dump(board, plan, path=path)
    assert done.image.unstable == ()


@pytest.mark.parametrize("fault", ["zero-chunk,rate=0.05", "drop-word,rate=0.001", "unstable,count=16,rate=0.5"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_resume_over_a_bad_link_or_weak_cells_goes_on(fault, seed, tmp_path):
    path, plan = begun(tmp_path, fault, f"seed={seed}")
    with connect("x", probe=CountingProbe(chip(fault, f"seed={seed}"))) as board:
        assert dump(board, plan, path=path).path is not None


def test_a_resume_over_blank_flash_and_over_a_hole_goes_on(tmp_path):
    hole = "bus-fault@0x08040000-0x08044000"
    path, plan = begun(tmp_path, hole)
    one = chip(hole)
    with connect("x", probe=CountingProbe(one)) as board:
        assert dump(board, plan, path=path).image.unreadable == (AddressRange(0x08040000, 0x08044000),)


@pytest.mark.skipif(os.name != "posix", reason="limits of the system")
@pytest.mark.parametrize("limit", [1000, 20_000, 40_000, 60_000])
def test_a_full_disk_leaves_a_file_that_goes_on(tmp_path, limit):
    path = tmp_path / "a.bin"
    command = [sys.executable, "-m", "h5diag", "dump", "--probe", "virtual", "--range", R, "--out", str(path)]
    limits = (limit, resource.RLIM_INFINITY)
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits),
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert np.array_equal(np.fromfile(path, np.uint8), cells(CountingProbe(chip()), WHERE.start, WHERE.stop))


def test_ctrl_c_names_the_way_to_go_on(tmp_path):
    def before(name, words):
        if probe.calls > 300 and name == "read_ap_multiple":
            probe.before = lambda *a: None
            os.kill(os.getpid(), signal.SIGINT)

    probe = CountingProbe(chip(), before)
    with connect("x", probe=probe) as board, pytest.raises(KeyboardInterrupt, match="--resume"):
        dump(board, DumpPlan(WHERE), path=str(tmp_path / "a.bin"))
    assert (tmp_path / "a.bin.reads").exists()


def test_speeds_that_the_probe_makes_the_same_are_one_row():
    from h5diag.probe.acquire import sweep

    from .fakes import stlink

    with connect("x", probe=stlink(version=2)) as board:
        done = dump(board, DumpPlan(AddressRange(0x08040000, 0x08044000)))
        rows = sweep(board, done)
    assert [p.swd_hz for p in rows] == [480_000, 950_000, 1_800_000, 4_600_000]
