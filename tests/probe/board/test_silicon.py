"""Where the virtual chip used to differ from silicon: debug registers, aliases, and stock pyOCD's own commander."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from h5diag.probe.board import ConnectMode, Permissions, connect
from h5diag.sim.virtual import VirtualChip, parse_items
from h5diag.sim.virtual.core import DEMCR, DHCSR

DAUTHSTATUS, FP_CTRL, CFSR, PCSR = 0xE000EFB8, 0xE0002000, 0xE000ED28, 0xE000101C
HALT = Permissions(halt=True, ram=True)


def test_secure_debug_shows_in_both_registers():
    with connect("virtual") as board:
        assert board.read_word(DHCSR) >> 20 & 1 == 1
        assert board.read_word(DAUTHSTATUS) == 0xFF
    with connect("virtual:board=founding") as board:
        assert board.read_word(DHCSR) >> 20 & 1 == 0
        assert board.read_word(DAUTHSTATUS) == 0xAF


def test_in_provisioning_a_non_secure_debugger_neither_sees_nor_stops_secure_code():
    with connect("virtual:board=founding", mode=ConnectMode.HALT) as board:
        assert board.read_word(PCSR) == 0xFFFFFFFF
        assert not board.halted
    with connect("virtual", mode=ConnectMode.HALT) as board:
        assert board.halted


def test_breakpoint_unit_fault_status_and_samples():
    with connect("virtual", permissions=HALT) as board:
        board.write_word(FP_CTRL, 3)
        assert board.read_word(FP_CTRL) & 1 == 1
        board.write_word(FP_CTRL, 0)
        assert board.read_word(FP_CTRL) & 1 == 1, "without its key bit nothing changes"
        board.write_word(FP_CTRL, 2)
        assert board.read_word(FP_CTRL) & 1 == 0
        board._session.probe.chip.core.memory[CFSR] = 0x00010100
        board.write_word(CFSR, 0x100)
        assert board.read_word(CFSR) == 0x10000, "writing 1 clears, and only that bit"
        assert board.read_word(PCSR) not in (0, 0xFFFFFFFF)
        board.write_word(DEMCR, board.read_word(DEMCR) & ~(1 << 24))
        assert board.read_word(PCSR) == 0, "without TRCENA there are no samples"


def test_the_code_bus_sees_the_srams_too():
    with connect("virtual", permissions=HALT) as board:
        board.write_words(0x20000000, [0x11223344, 0x55667788])
        assert board.read_words(0x0A000000, 2).tolist() == [0x11223344, 0x55667788]
        board.write_word(0x20000004, 7)
        assert board.read_word(0x0A000004) == 7


def test_a_halted_core_has_a_stack_and_somewhere_to_return_to():
    with connect("virtual", mode=ConnectMode.HALT) as board:
        stack = board.read_word(0x08000000)
        assert board.read_core_register("sp") == stack
        assert board.read_core_register("lr") not in (0, 0xFFFFFFFF)


def test_the_new_items_do_what_they_say():
    def chip(item):
        return VirtualChip(parse_items([item]))

    uid = chip("uid-zero").description.identity.uid
    assert not chip("uid-zero").bus.read(uid, 12, False).any()
    assert chip("size-zero").bus.read(0x08FFF80C, 2, False).tolist() == [0, 0]
    assert chip("bank-swap").flash.swapped
    assert not chip("seed=1").flash.swapped
    far = chip("far-erase@0x08000000-0x08002000,distance=9")
    far.state.data[9 * 0x2000] = 5
    far.flash.cells.erase(0)
    assert far.state.data[9 * 0x2000] == 0xFF
    far.state.data[10 * 0x2000] = 5
    far.flash.cells.erase(1)
    assert far.state.data[10 * 0x2000] == 5, "outside of its range it is sound"


@pytest.fixture
def stock(tmp_path):
    """An environment in which pyOCD finds the plugin, as an installed package gives it."""
    info = tmp_path / "h5diag_plugin-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: h5diag-plugin\nVersion: 0\n")
    (info / "entry_points.txt").write_text("[pyocd.probe]\nvirtual = h5diag.sim.pyocd_plugin:plugin\n")
    root = str(Path(__file__).resolve().parents[3])
    path = os.pathsep.join([root, str(tmp_path), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path}


def pyocd(stock, tmp_path, *arguments):
    command = [sys.executable, "-m", "pyocd", *arguments]
    return subprocess.run(command, env=stock, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)


def test_the_package_names_the_plugin():
    import tomllib

    project = tomllib.loads((Path(__file__).resolve().parents[3] / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pyocd.probe"] == {"virtual": "h5diag.sim.pyocd_plugin:plugin"}


def test_stock_pyocd_opens_a_virtual_board_by_name(stock, tmp_path):
    done = pyocd(
        stock, tmp_path, "commander", "-u", "virtual:board=founding", "-t", "cortex_m", "-c", "read32 0x44024000 4"
    )
    assert done.returncode == 0, done.stderr
    assert "10076484" in done.stdout
    wrong = pyocd(stock, tmp_path, "commander", "-u", "virtual:board=none", "-t", "cortex_m", "-c", "status")
    assert wrong.returncode != 0
    assert "no virtual board" in wrong.stdout + wrong.stderr


def test_a_list_of_what_is_plugged_in_does_not_hold_it(stock, tmp_path):
    done = pyocd(stock, tmp_path, "list")
    assert done.returncode == 0, done.stderr
    assert "virtual" not in done.stdout.lower()
