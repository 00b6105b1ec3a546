"""Every class of fault is found in its sector and named, each beside a sound sector that stays good."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from h5diag.case.results import to_document
from h5diag.memory import AddressRange
from h5diag.probe.flashtest import KINDS, Level, TestPlan, Way, fault_models, flash_test
from h5diag.probe.flashtest.signs import BitRow
from h5diag.sim.virtual import VirtualProbe
from h5diag.sim.virtual.engine import available

from .support import FIRST, QUICK, RANGE, SECOND, STANDARD, inside, kinds, make_chip, on, run, sector_bytes

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks"))
import soak_flashtest as soak

sys.path.pop(0)


@pytest.mark.parametrize("i", range(len(soak.CLASSES) + 1), ids=[*soak.CLASSES, "pair of faults"])
def test_a_sample_of_the_soak(i):
    """One run of each class; the whole soak is benchmarks/soak_flashtest.py."""
    row = soak.run_one(20, i, 0)
    assert row["found"]
    assert row["named"]
    assert not row["false_alarms"]
    assert not row["outside_writes"]
    assert not row["option_writes"]
    assert row["outside_same"]


@pytest.mark.parametrize("i", [-1, -2, -5, -10])
def test_sound_chips_give_no_finding(i):
    row = soak.run_one(20, i, 500)
    assert not row["bad"]
    # On a link that loses chunks, and with no core to ask, nobody can know that the contents are back, if any went.
    erased = row["items"] == "zero-chunk" and not all("no backup" in reason for _, _, reason in row["reports"])
    assert row["restored"] is not erased
    assert row["same"]
    assert erased is (i == -5)


def only(result, start=FIRST):
    (bad,) = [s for s in result.sectors if s.verdict == "bad"]
    assert bad.start == start
    return bad


@pytest.mark.parametrize(("value", "kind"), [(0, "stuck-at-0"), (1, "stuck-at-1")])
def test_a_stuck_bit_has_its_place_rounds_and_speeds(tmp_path, value, kind):
    chip = make_chip(f"stuck-bit@{FIRST + 0x124}-{FIRST + 0x128},bit=21,value={value}")
    (fault,) = only(run(chip, tmp_path / "t", STANDARD)).faults
    assert (fault.kind, fault.address, fault.bit) == (kind, FIRST + 0x124, 21)
    assert fault.rounds == 2
    assert fault.swd_hz == (1_000_000, 4_000_000)
    assert 0 < fault.seen <= fault.chances


def test_a_cell_below_the_ecc_has_no_bit(tmp_path):
    chip = make_chip(f"cell-stuck@{FIRST + 0x120}-{FIRST + 0x130},bit=21,value=1")
    (fault,) = only(run(chip, tmp_path / "t", STANDARD)).faults
    assert (fault.kind, fault.address) == ("ecc-corrected", FIRST + 0x120)
    document = to_document(run(chip, tmp_path / "u", STANDARD))
    assert document["sectors"][0]["faults"][0]["bit"] is None


def test_an_address_line_is_named(tmp_path):
    chip = make_chip(f"address-alias@{FIRST}-{SECOND},bit=7")
    (fault,) = only(run(chip, tmp_path / "t", STANDARD)).faults
    assert fault.kind == "alias"
    assert "address line 7" in fault.detail


def test_an_alias_to_outside_of_the_range(tmp_path):
    """The cells of a sector out of the range are hit, whatever the controller was told; its contents come back."""
    chip = make_chip(f"address-alias@0x{FIRST:X}-0x{FIRST + 0x8000:X},bit=14")
    sector_bytes(chip, FIRST)[:] = 0x5A
    where = AddressRange(FIRST + 0x4000, FIRST + 0x6000)
    result = run(chip, tmp_path / "t", TestPlan(where, Level.STANDARD, way=Way.REGISTERS, burst=0x2000))
    assert kinds(result) == {"alias"}
    assert (sector_bytes(chip, FIRST) == 0x5A).all()


def test_coupling_names_the_other_quad_word(tmp_path):
    chip = make_chip(f"coupling@{FIRST + 0x200}-{FIRST + 0x240},distance=3", "seed=8")
    (fault,) = only(run(chip, tmp_path / "t", STANDARD)).faults
    assert fault.kind == "coupling"
    assert fault.address & ~15 == FIRST + 0x230
    assert f"0x{FIRST + 0x200:08X}" in fault.detail


def test_coupling_across_sectors(tmp_path):
    chip = make_chip(f"coupling@{SECOND - 16}-{SECOND + 16},distance=1")
    assert only(run(chip, tmp_path / "t", STANDARD), SECOND).faults[0].kind == "coupling"


def test_slow_erase_is_compared_with_the_others(tmp_path):
    chip = make_chip(f"slow-sector@{FIRST}-{SECOND}")
    (fault,) = only(run(chip, tmp_path / "t")).faults
    assert fault.kind == "slow-erase"
    assert fault.rounds == 2


def test_controller_errors_are_decoded_and_never_bad(tmp_path, monkeypatch):
    chip = make_chip()
    start = chip.flash._start

    def failing(*arguments):
        if arguments[5] == 32:
            chip.flash._fail(arguments[6], "PGSERR")
        else:
            start(*arguments)

    monkeypatch.setattr(chip.flash, "_start", failing)
    result = run(chip, tmp_path / "t")
    assert [s.verdict for s in result.sectors] == ["untested", "good"]
    (fault,) = result.faults
    assert fault.kind == "controller-error"
    assert "PGSERR: programming sequence" in fault.detail


def test_quick_is_one_pattern(tmp_path):
    chip = make_chip(f"dead-sector@{FIRST}-{SECOND}")
    result = run(chip, tmp_path / "t")
    assert only(result).faults[0].kind == "dead-sector"
    assert result.erase_cycles == 3
    assert inside(chip, RANGE)


def test_full_is_every_pattern_in_three_rounds(tmp_path):
    plan = TestPlan(AddressRange(FIRST, SECOND), Level.FULL, rounds=3, way=Way.REGISTERS, burst=0x2000)
    result = run(make_chip(), tmp_path / "t", plan)
    assert result.conditions.power_cycles == 2
    assert {s.order for s in plan.steps if s.pattern == "solid"} == {"ascending", "descending", "shuffled"}
    assert [s.verdict for s in result.sectors] == ["good"]


def test_no_power_switch(tmp_path):
    assert run(make_chip(), tmp_path / "t", replace(QUICK, power_cycles=False)).conditions.power_cycles == 0


def test_weakness_that_shows_after_the_power_cycle_only(tmp_path, monkeypatch):
    chip = make_chip()
    cycle = chip.power_cycle

    def forgetting():
        sector_bytes(chip, FIRST)[0x40] = 0xFF
        cycle()

    monkeypatch.setattr(chip, "power_cycle", forgetting)
    assert only(run(chip, tmp_path / "t", STANDARD))


@pytest.mark.skipif(not available(), reason="no emulator")
@pytest.mark.parametrize(
    "item", ["", f"stuck-bit@{FIRST}-{SECOND}", f"cell-stuck@{FIRST}-{SECOND}", f"dead-sector@{FIRST}-{SECOND},fails=2"]
)
def test_the_algorithm_in_sram_finds_the_same(tmp_path, item):
    plan = replace(QUICK, way=Way.AUTO)
    results = [run(make_chip(*([item] if item else [])), tmp_path / p.way.value, p) for p in (plan, QUICK)]
    assert [r.way for r in results] == [Way.ALGORITHM.value, Way.REGISTERS.value]
    first, second = ([(f.kind, f.address, f.bit) for f in r.faults] for r in results)
    assert first == second


@pytest.mark.skipif(not available(), reason="no emulator")
def test_the_algorithm_leaves_sram_and_core_as_they_were(tmp_path):
    chip = make_chip()
    ram = chip.bus.ram("SRAM1")
    ram[:] = np.arange(ram.size) % 251
    chip.power_cycle = lambda: None
    before = ram.copy()
    with on(chip, ram=True) as board:
        core = [board.read_core_register(n) for n in ("r0", "r5", "sp", "lr")]
        flash_test(board, replace(QUICK, way=Way.AUTO), str(tmp_path / "t"))
        assert [board.read_core_register(n) for n in ("r0", "r5", "sp", "lr")] == core
    assert np.array_equal(ram, before)


def test_without_the_emulator_registers_are_used_and_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("h5diag.probe.flashtest.programmer.available", lambda: False)
    result = run(make_chip(), tmp_path / "t", replace(QUICK, way=Way.AUTO))
    assert result.way == Way.REGISTERS.value
    assert any("emulator" in r for r in result.remarks)


def test_a_core_that_runs_nothing(tmp_path, monkeypatch):
    class Dead:
        def run(self, core):
            return False

    chip = make_chip()
    chip.core.engine = Dead()
    result = run(chip, tmp_path / "t", replace(QUICK, way=Way.AUTO))
    assert result.way == Way.REGISTERS.value
    assert any("does not run code" in r for r in result.remarks)


@pytest.mark.skipif(not available(), reason="no emulator")
def test_a_core_that_dies_in_the_middle(tmp_path):
    chip = make_chip()
    before = chip.state.data.copy()
    with on(chip, ram=True) as board:
        plan = replace(QUICK, way=Way.AUTO)

        def stop(text):
            if "backup of" in text:
                chip.core.engine.run = lambda core: (core.regs.__setitem__(0, 0x77), True)[1]

        result = flash_test(board, plan, str(tmp_path / "t"), tell=stop)
    assert result.way == Way.REGISTERS.value
    assert not result.counted("bad")
    assert np.array_equal(chip.state.data, before)


def test_at_the_level_of_dp_and_ap(tmp_path):
    chip = make_chip("link=dap", f"stuck-bit@{FIRST}-{SECOND}")
    with on(chip) as board:
        assert isinstance(board.target.session.probe, VirtualProbe)
        assert only(flash_test(board, replace(QUICK, burst=512), str(tmp_path / "t")))


def test_the_table_of_models():
    models = fault_models()
    assert tuple(k.name for k in models.kinds) == KINDS
    assert {k.name for k in models.kinds if k.verdict == "untested"} == {"protected", "controller-error"}
    assert {r.kind for r in models.bits} <= set(KINDS)
    signs = ("never", "some", "always")
    for a in signs:
        for b in signs:
            for c in signs:
                for before in "01":
                    assert any(r.fits(a, b, c, before) for r in models.bits), "every bit has a name"


def test_a_row_fits_what_had_no_chance_to_show():
    row = BitRow("stuck-at-0", "always", "always", "never", "0")
    assert row.fits("always", "none", "none", "0")
    assert not row.fits("never", "none", "none", "0")
