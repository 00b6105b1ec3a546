"""The door to real hardware: every assumption holds on the virtual chip, and each planted deviation shows in its line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from h5diag.app.cli import main
from h5diag.probe.board import connect
from h5diag.probe.selfcheck import selfcheck
from h5diag.sim.virtual import VirtualChip, VirtualProbe

from .support import chip_of


def lines(board):
    return {r.id: r for r in selfcheck(board)[0]}


def test_every_line_holds_on_the_virtual_chip(link):
    with connect(f"virtual:link={link}") as board:
        rows = lines(board)
    assert len(rows) >= 30
    assert [r for r in rows.values() if r.agrees is not True] == []
    assert all(r.source for r in rows.values())


def test_no_line_fails_on_a_board_in_provisioning():
    with connect("virtual:board=founding") as board:
        assert [r for r in lines(board).values() if r.agrees is False] == []


def plant_idr(board):
    board._session.probe.wire.read_ap = lambda address, ask=board._session.probe.wire.read_ap: (
        v ^ 0x10 if (v := ask(address)) == 0x84770001 else v
    )


def plant_alias(board):
    chip = chip_of(board)
    read = chip.read
    chip.read = lambda a, n, s: read(a, n, s) ^ (1 if 0x0C000000 <= a < 0x0C200000 else 0)


def plant_bursts(board):
    chip = chip_of(board)
    read = chip.read

    def odd(address, size, secure):
        data = read(address, size, secure).copy()
        if address >= 0x08100000 and size == 1024:
            data[-4:] = 0
        return data

    chip.read = odd


def plant_word(address, change):
    def plant(board):
        chip_of(board).bus.words[address] = change(chip_of(board).bus.words.get(address, 0))

    return plant


def plant_option(board):
    chip_of(board).flash._prg["NSBOOTR_PRG"] ^= 0x100


def plant_supply(board):
    type(board._session.probe).supply_mv = property(lambda self: 1200)


def plant_fault(board):
    chip = chip_of(board)
    read = chip.bus.read
    chip.bus.read = lambda a, n, s: np.zeros(n, np.uint8) if a == 0x08200000 else read(a, n, s)


PLANTED = {
    "ports-3": plant_idr,
    "ports-4": plant_word(0x440240FC, lambda v: v & ~(1 << 17)),
    "identity-1": plant_word(0x44024000, lambda v: v ^ 1),
    "identity-3": plant_word(0x44024000, lambda v: v & 0xFFFF | 0x99990000),
    "options-2": plant_option,
    "views-1": plant_alias,
    "faults-1": plant_fault,
    "reading-paths-2": plant_bursts,
    "supply-1": plant_supply,
}


@pytest.mark.parametrize("line", PLANTED)
def test_a_planted_deviation_shows_in_its_line(line, monkeypatch):
    class Own(VirtualProbe):
        """A probe of its own, so that nothing planted stays."""

    with connect("x", probe=Own(VirtualChip())) as board:
        PLANTED[line](board)
        rows = lines(board)
    assert rows[line].agrees is False, rows[line]


def test_a_recording_is_redacted_and_replays(tmp_path, capsys):
    path = tmp_path / "s.rec"
    assert main(["selfcheck", "--probe", "virtual", "--record", str(path), "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert main(["selfcheck", "--probe", f"replay:{path}", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert [(r["id"], r["agrees"]) for r in first["rows"]] == [(r["id"], r["agrees"]) for r in again["rows"]]
    text = path.read_text()
    with connect("virtual") as board:
        chip = chip_of(board)
        words = {int(w) for w in chip.state.data[0x100000:0x104000].view("<u4")} | {
            int(w) for w in np.frombuffer(chip.board.uid, "<u4")
        }
    private = [w for w in words if 0x10000 <= w < 0xFFFFFFFF]
    assert len(private) > 100
    for word in private:
        assert str(word) not in text.replace("[", ",").replace("]", ",").split(",")
    packed = [bytes.fromhex(part.split('"')[0]) for part in text.split('"words":"')[1:]]
    recorded = {int(w) for p in packed for w in np.frombuffer(p, "<u4")}
    assert len(set(private) & recorded) <= 4, "only what is a register's value too"
