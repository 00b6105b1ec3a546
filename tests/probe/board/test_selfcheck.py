"""The door to real hardware: every assumption holds on the virtual chip, and each planted deviation shows in its line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from h5diag.app.cli import main
from h5diag.chip import chip_names, load_chip
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


def plant_reads(start, stop, change, *, sizes=range(1, 1 << 30), secure=(False, True)):
    """Let reads of these addresses bring something else: words are changed one by one."""

    def plant(board):
        chip = chip_of(board)
        read = chip.read

        def odd(address, size, as_secure):
            data = read(address, size, as_secure).copy()
            words = data[: size // 4 * 4].view("<u4")
            for i in range(words.size) if size in sizes and as_secure in secure else ():
                if start <= address + 4 * i < stop:
                    words[i] = change(int(words[i]))
            return data

        chip.read = odd

    return plant


def plant_word_at(address, change):
    return plant_reads(address, address + 4, change)


def plant_ap0(board):
    ask = board._session.probe.wire.read_ap
    board._session.probe.wire.read_ap = lambda address: v ^ 0x10 if (v := ask(address)) == 0x54770002 else v


def plant_dpidr(board):
    probe = board._session.probe
    ask = probe.read_dp
    probe.read_dp = lambda address, now=True: 0x0BC11477 if address == 0 else ask(address, now)


def plant_setting(register, field, value):
    def plant(board):
        chip = chip_of(board)
        f = chip.description.register(register).field(field)
        chip.flash.options[register] = f.put(chip.flash.options[register], value)
        chip.flash.generation += 1

    return plant


def plant_speed(hz):
    def plant(board):
        type(board._session.probe).swd_hz = property(lambda self: hz)

    return plant


def plant_noise(board):
    """Each read of a large piece brings another first word."""
    seen = [0]

    def change(word):
        seen[0] += 1
        return word ^ seen[0]

    plant_reads(0x08100000, 0x08100004, change, sizes=range(1024, 1 << 20))(board)


PLANTED = {
    "ports-1": plant_dpidr,
    "ports-2": plant_ap0,
    "ports-3": plant_idr,
    "ports-4": plant_word(0x440240FC, lambda v: v & ~(1 << 17)),
    "core-1": plant_word_at(0xE000ED00, lambda v: 0x410FD100),
    "identity-1": plant_word(0x44024000, lambda v: v ^ 1),
    "identity-2": plant_word_at(0xE0044000, lambda v: v ^ 0x10000),
    "identity-3": plant_word(0x44024000, lambda v: v & 0xFFFF | 0x99990000),
    "identity-4": plant_word_at(0x08FFF80C, lambda v: v & 0xFFFF0000 | 1024),
    "identity-5": plant_word_at(0x08FFF804, lambda v: 0xFFFFFFFF),
    "options-1": plant_word_at(0x40022050, lambda v: v & ~0xFF00 | 0x3300),
    "options-2": plant_option,
    "options-3": plant_setting("OPTSR2_CUR", "TZEN", 0x11),
    "security-2": plant_word_at(0xE000EDF0, lambda v: v ^ 1 << 20),
    "security-3": plant_word_at(0xE000EFB8, lambda v: v ^ 0x30),
    "views-1": plant_alias,
    "views-2": plant_reads(0x08000000, 0x08000400, lambda v: v ^ 1, secure=(True,)),
    "views-3": plant_reads(0x0A000000, 0x0A000040, lambda v: v ^ 1),
    "faults-1": plant_fault,
    "speed-1": plant_speed(24_000_000),
    "speed-2": plant_speed(24_000_000),
    "speed-3": plant_speed(1_000_000),
    "reading-paths-1": plant_noise,
    "reading-paths-2": plant_bursts,
    "reading-paths-3": plant_reads(0x08100000, 0x08104000, lambda v: v ^ 1, sizes=(4,)),
    "supply-1": plant_supply,
    "samples-1": plant_word_at(0xE000101C, lambda v: 0x12345678),
}


def test_what_no_plant_is_for_cannot_deviate():
    """The rest says that something could be read, or what cannot be told in every state."""
    with connect("virtual") as board:
        rest = set(lines(board)) - set(PLANTED)
    assert rest == {"security-1", "faults-2", "registers-1", "registers-2", "registers-3", "supply-2"}


@pytest.mark.parametrize("name", [n for n in chip_names() if n.startswith("stm32h5")])
def test_every_line_holds_on_a_virtual_chip_of_each_h5(name):
    chip = load_chip(name)
    if name in ("stm32h503rb", "stm32h5e5zj", "stm32h5f5lj"):  # the virtual controller is that of the two-bank H5
        with pytest.raises(KeyError):
            VirtualChip(chip=chip)
        return
    with connect("x", probe=VirtualProbe(VirtualChip(chip=chip)), chip=chip) as board:
        rows = lines(board)
    assert len(rows) >= 30
    assert [r for r in rows.values() if r.agrees is False] == []
    untold = {r.id for r in rows.values() if r.agrees is None}
    assert untold == (set() if chip.revisions else {"identity-3"})


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
