"""While the test reads, the board loses its power, sleeps or is exchanged: nobody's flash is lost, and it is told."""

from __future__ import annotations

import numpy as np
import pytest

from h5diag.app.cli import main
from h5diag.errors import ProbeError
from h5diag.probe.board.identity import require_same_uid
from h5diag.probe.flashtest import flash_test
from h5diag.sim.virtual import VirtualChip, VirtualProbe, parse_items
from tests.probe.link.fakes import CountingProbe
from tests.probe.link.test_away import dip, forget_uid, sleep, unplug_board

from .support import QUICK, make_chip, on

COMMAND = "flashtest --probe x --range 0x08040000:0x08044000 --allow-erase --way registers --burst 1024 --level quick"


@pytest.mark.parametrize("moment", [30, 45, 70, 105, 120, 165, 190, 215, 230, 250, 270, 290, 303])
@pytest.mark.parametrize("change", [dip, sleep, unplug_board, forget_uid], ids=lambda c: c.__name__)
def test_whenever_it_is_gone(change, moment, tmp_path, monkeypatch, capsys):
    folder = str(tmp_path / "t")
    seen, first = [0], VirtualChip()
    original = first.state.data.copy()

    def before(name, words):
        seen[0] += name == "read_ap_multiple"
        if name == "read_ap_multiple" and seen[0] == moment:
            change(probe)

    probe = CountingProbe(first, before)
    monkeypatch.setattr("h5diag.probe.board.board.open_probe", lambda name: probe)
    status = main([*COMMAND.split(), "--out", folder])
    err = capsys.readouterr().err
    assert seen[0] >= moment, "it happened"
    assert "Traceback" not in err
    if probe.chip is not first:
        assert np.array_equal(probe.chip.state.data, VirtualChip(parse_items(["seed=77"])).state.data), "not its board"
        assert not probe.chip.flash.operations
    same = np.array_equal(first.state.data, original)
    assert status == 3 or (status == 0 and same and moment == 303), err
    if status == 3 and first.flash.operations:
        assert f"--restore {folder}" in err.strip().splitlines()[-1]
        calm = VirtualProbe(VirtualChip(parse_items(["seed=77"])))
        monkeypatch.setattr("h5diag.probe.board.board.open_probe", lambda name: calm)
        back = ["flashtest", "--probe", "x", "--restore", folder]
        assert main(back) == 2, "not over another board"
        if change in (sleep, forget_uid):
            del first.read  # it is well again
        calm = VirtualProbe(first)
        assert main(back) == 0
        assert np.array_equal(first.state.data, original)
    elif status == 3:
        assert "nothing was erased" in err or moment == 30


def test_what_fails_after_the_contents_are_back_costs_no_result(tmp_path, monkeypatch):
    from h5diag.errors import TargetError
    from h5diag.probe.flashtest.second_path import FlashWatch

    def fails(self):
        raise TargetError("the bus answered with a fault", address=0x08000000, size=4)

    monkeypatch.setattr(FlashWatch, "changed", fails)
    chip = make_chip()
    before = chip.state.data.copy()
    with on(chip) as board:
        result = flash_test(board, QUICK, str(tmp_path / "t"))
    assert result.restored
    assert any("was not compared" in r for r in result.remarks)
    assert (tmp_path / "t" / "result.json").exists()
    assert np.array_equal(chip.state.data, before)


def test_with_an_unknown_uid_nobody_is_asked_to_turn_the_supply_off(tmp_path, monkeypatch):
    """The board that comes back could be another one, and would be erased without a backup."""
    asked = []
    monkeypatch.setattr("h5diag.probe.flashtest.steps.own_power_switch", lambda board: None)
    for item in ("uid-zero", "seed=1"):
        with on(make_chip(item)) as board:
            result = flash_test(board, QUICK, str(tmp_path / item), power=lambda item=item: asked.append(item))
        assert result.restored
    assert asked == ["seed=1"]


def test_a_uid_that_is_not_told_is_no_match():
    with on(make_chip("uid-zero")) as board:
        for uid in (None, "55D3F55E217D82217022F6F5"):
            with pytest.raises(ProbeError, match="not known"):
                require_same_uid(board, uid)
    with on(make_chip()) as board:
        require_same_uid(board, "55D3F55E217D82217022F6F5")
        with pytest.raises(ProbeError, match="another chip"):
            require_same_uid(board, "55D3F55E217D82217022F6F6")


def test_power_lost_while_contents_are_put_back_on_a_full_disk(tmp_path, monkeypatch, capsys):
    from h5diag.errors import InputError
    from h5diag.probe.flashtest import Folder

    folder = str(tmp_path / "t")
    chip = VirtualChip()
    original = chip.state.data.copy()
    now = {"probe": CountingProbe(chip, lambda name, words: None)}
    monkeypatch.setattr("h5diag.probe.board.board.open_probe", lambda name: now["probe"])

    def dips_after(operations):
        begun = len(chip.flash.operations)

        def before(name, words):
            if len(chip.flash.operations) - begun >= operations and not struck:
                struck.append(name)
                chip.power_cycle()

        struck: list[str] = []
        now["probe"] = CountingProbe(chip, before)

    def full(self, event, **more):
        raise InputError("cannot be written (No space left on device)", source=folder)

    dips_after(4)
    assert main([*COMMAND.split(), "--out", folder]) == 3
    monkeypatch.setattr(Folder, "note", full)
    dips_after(3)
    back = ["flashtest", "--probe", "x", "--restore", folder]
    capsys.readouterr()
    assert main(back) == 3
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "lost its power" in last
    assert f"--restore {folder}" in last
    now["probe"] = CountingProbe(chip, lambda name, words: None)
    assert main(back) == 0, "a disk that is still full keeps nothing back"
    assert np.array_equal(chip.state.data, original)
