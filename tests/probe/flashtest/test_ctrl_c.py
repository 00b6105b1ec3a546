"""Ctrl-C over ``remote:``: it cuts a request in the middle, and still the message and the exit status are right."""

import os
import signal
from contextlib import contextmanager

import numpy as np
import pytest

from h5diag.app.cli import main
from h5diag.sim.virtual import VirtualChip, parse_items
from h5diag.sim.virtual.probe import ChipServer

from ..link.fakes import CountingProbe
from .support import FIRST, programmed, untouched

RANGE_TEXT = f"0x{FIRST:08X}:0x{FIRST + 0x4000:08X}"


@contextmanager
def served(strikes, *, cells=()):
    """A chip on a server of this process that sends SIGINT in the middle of a request, each time a strike says so."""
    chip = VirtualChip(parse_items(cells))
    left = list(strikes)

    def before(name, words):
        if left and left[0](chip, name):
            left.pop(0)
            os.kill(os.getpid(), signal.SIGINT)

    with ChipServer(chip, 0, lambda c: CountingProbe(c, before)) as server:
        yield chip, f"remote:localhost:{server.port}", left


def test_it(probe, folder, *more):
    return ["flashtest", "--probe", probe, "--range", RANGE_TEXT, "--allow-erase", "--out", folder, *more]


test_it.__test__ = False
QUICK = ("--level", "quick", "--way", "registers", "--burst", "1024")


def after(quads):
    return lambda chip, name: programmed(chip) >= quads


def operations(kind, count):
    return lambda chip, name: sum(o.kind == kind for o in chip.flash.operations) >= count


@pytest.mark.parametrize(
    "strike",
    [operations("erase", 1), operations("erase", 2), after(3), after(130), after(520), after(1000)],
    ids=["first erase", "second erase", "3", "130", "520", "1000"],
)
def test_the_contents_are_back_and_the_status_is_130(strike, tmp_path, capsys):
    folder = str(tmp_path / "t")
    with served([strike]) as (chip, probe, left):
        before = chip.state.data.copy()
        status = main(test_it(probe, folder, *QUICK))
        err = capsys.readouterr().err
        assert not left, "it was struck"
        assert status == 130, err
        assert "stopped" in err
        assert "the contents are back and verified" in err.strip().splitlines()[-1]
        assert "Traceback" not in err
        assert np.array_equal(chip.state.data, before)
        # The same folder serves the next run: nothing waits in it.
        assert main(test_it(probe, folder, *QUICK)) == 0
        assert np.array_equal(chip.state.data, before)


def test_while_the_backup_is_read_nothing_was_touched(tmp_path, capsys):
    reads = []

    def strike(chip, name):
        reads.append(name)
        return len(reads) > 400

    with served([strike]) as (chip, probe, left):
        before = chip.state.data.copy()
        status = main(test_it(probe, str(tmp_path / "t"), *QUICK))
        err = capsys.readouterr().err
        assert not left
        assert status == 130, err
        assert "Traceback" not in err
        assert untouched(chip)
        assert np.array_equal(chip.state.data, before)


def test_a_second_one_while_the_contents_are_put_back_names_what_waits_and_the_command(tmp_path, capsys):
    folder = str(tmp_path / "t")
    with served([after(520), operations("erase", 3)]) as (chip, probe, left):
        before = chip.state.data.copy()
        status = main(test_it(probe, folder, *QUICK))
        err = capsys.readouterr().err
        last = err.strip().splitlines()[-1]
        assert not left
        assert status == 3, err
        assert "are not back" in last
        assert "0x08040000 to 0x08043FFF" in last, "what waits"
        assert folder in last, "where"
        command = f"h5diag flashtest --probe {probe} --restore {folder}"
        assert command in last
        assert "Traceback" not in err
        assert main(command.split()[1:]) == 0
        assert np.array_equal(chip.state.data, before)


def test_a_restore_that_is_stopped_goes_on_with_the_same_command(tmp_path, capsys):
    folder = str(tmp_path / "t")
    strikes = [after(520), operations("erase", 3), operations("erase", 4)]
    with served(strikes) as (chip, probe, left):
        before = chip.state.data.copy()
        assert main(test_it(probe, folder, *QUICK)) == 3
        command = ["flashtest", "--probe", probe, "--restore", folder]
        status = main(command)
        err = capsys.readouterr().err
        assert not left
        assert status in (3, 130), err
        assert "Traceback" not in err
        assert f"--restore {folder}" in err.strip().splitlines()[-1]
        assert main(command) == 0
        assert np.array_equal(chip.state.data, before)


def test_sectors_that_do_not_take_their_contents_back_are_named(tmp_path, capsys):
    folder = str(tmp_path / "t")

    def strike(chip, name):
        if programmed(chip) < 520:
            return False
        chip.flash.cells.dead[(FIRST - 0x08000000) // 0x2000] = 3
        return True

    with served([strike]) as (_, probe, left):
        status = main(test_it(probe, folder, *QUICK))
        err = capsys.readouterr().err
        assert not left
        assert status == 3, err
        assert f"0x{FIRST:08X}" in err.strip().splitlines()[-1]
        assert f"--restore {folder}" in err


def test_a_dump_says_how_it_goes_on(tmp_path, capsys):
    reads = []

    def strike(chip, name):
        reads.append(name)
        return len(reads) > 600

    path = str(tmp_path / "a.bin")
    command = ["dump", "--range", "0x08000000:0x08080000", "--passes", "2", "--out", path]
    with served([strike]) as (chip, probe, left):
        status = main([*command, "--probe", probe])
        err = capsys.readouterr().err
        assert not left
        assert status == 130, err
        assert "goes on" in err
        assert "Traceback" not in err
        assert main([*command, "--probe", probe]) == 0
        assert (tmp_path / "a.bin").read_bytes() == chip.state.data[:0x80000].tobytes()
