"""The test refuses what it must refuse, touches nothing outside of its range, and brings the contents back."""

import json
import os
import stat

import numpy as np
import pytest

from h5diag.errors import Cancelled, InputError, PermissionRefused, ProbeError
from h5diag.memory import Access, AddressRange
from h5diag.probe.board import ConnectMode, Permissions, connect
from h5diag.probe.flashtest import DUMP_FIRST, Level, TestPlan, Way, flash_test, restore
from h5diag.probe.flashtest.folder import Folder
from h5diag.probe.flashtest.patterns import pattern
from h5diag.sim.virtual import VirtualProbe

from .support import (
    FIRST,
    QUICK,
    RANGE,
    SECOND,
    STANDARD,
    inside,
    kinds,
    make_chip,
    on,
    run,
    sector_bytes,
    untouched,
    with_option,
)


@pytest.mark.parametrize(
    "erase",
    [
        (),
        (AddressRange(FIRST, SECOND),),
        (AddressRange(FIRST, SECOND + 0x4000),),
        (AddressRange(0x08000000, 0x08200000),),
    ],
)
def test_permission_for_exactly_the_range(tmp_path, erase):
    chip = make_chip()
    with (
        connect(
            "virtual", probe=VirtualProbe(chip), mode=ConnectMode.HALT, permissions=Permissions(erase=erase, halt=True)
        ) as board,
        pytest.raises(PermissionRefused, match="exactly"),
    ):
        flash_test(board, QUICK, str(tmp_path / "t"))
    assert untouched(chip)
    assert not (tmp_path / "t").exists()


def test_halting_must_be_allowed(tmp_path):
    chip = make_chip()
    with (
        connect("virtual", probe=VirtualProbe(chip), permissions=Permissions(erase=(RANGE,))) as board,
        pytest.raises(PermissionRefused, match="halt"),
    ):
        flash_test(board, QUICK, str(tmp_path / "t"))
    assert untouched(chip)


@pytest.mark.parametrize("state", [0x17, 0x2E, 0xC6])
def test_other_states_are_refused(tmp_path, state):
    chip = with_option(make_chip(), "OPTSR_CUR", "PRODUCT_STATE", state)
    with on(chip) as board, pytest.raises(PermissionRefused) as refused:
        flash_test(board, QUICK, str(tmp_path / "t"))
    assert refused.value.advice.startswith(DUMP_FIRST)
    assert untouched(chip)


@pytest.mark.parametrize(
    "where",
    [
        AddressRange(FIRST + 16, SECOND),
        AddressRange(0x08FFF000, 0x08FFF800),
        AddressRange(0x09000000, 0x09002000),
        AddressRange(0x0BFD0000, 0x0BFD2000),
        AddressRange(0x081FE000, 0x08202000),
    ],
)
def test_only_whole_sectors_of_user_flash(tmp_path, where):
    chip = make_chip()
    with on(chip, where) as board, pytest.raises(InputError):
        flash_test(board, TestPlan(where), str(tmp_path / "t"))
    assert untouched(chip)


def test_a_sound_chip(tmp_path):
    chip = make_chip()
    data, marks, options = chip.state.data.copy(), chip.state.marks.copy(), dict(chip.flash.options)
    result = run(chip, tmp_path / "t", STANDARD)
    assert [s.verdict for s in result.sectors] == ["good", "good"]
    assert not result.faults
    assert result.restored
    assert np.array_equal(chip.state.data, data)
    assert np.array_equal(chip.state.marks, marks), "erased quad-words stay unprogrammed"
    assert inside(chip, RANGE)
    assert chip.flash.options == options
    erases = [o.address for o in chip.flash.operations if o.kind == "erase"]
    assert erases.count(FIRST) == erases.count(SECOND) == result.erase_cycles == STANDARD.erase_cycles
    assert chip.flash.read(0x28, False) & 1, "the registers are locked again"


def test_the_folder_is_private(tmp_path):
    run(make_chip(), tmp_path / "t")
    assert stat.S_IMODE(os.stat(tmp_path / "t").st_mode) == 0o700
    assert "decrypted" in (tmp_path / "t" / "README.txt").read_text()


def test_the_backup_is_on_disk_before_the_first_erase(tmp_path, monkeypatch):
    chip = make_chip()
    held = sector_bytes(chip, FIRST).copy()
    seen = []
    erase = chip.flash.cells.erase

    def watched(sector):
        folder = Folder(tmp_path / "t")
        seen.append(np.array_equal(folder.backup(folder.manifest())[:0x2000], held) and folder.unfinished)
        erase(sector)

    monkeypatch.setattr(chip.flash.cells, "erase", watched)
    run(chip, tmp_path / "t")
    assert seen
    assert all(seen)


def test_a_disk_that_lies_is_noticed(tmp_path, monkeypatch):
    chip = make_chip()
    monkeypatch.setattr(Folder, "backup", lambda self, manifest: np.zeros(RANGE.size, np.uint8))
    with on(chip) as board, pytest.raises(InputError, match="not what was read"):
        flash_test(board, QUICK, str(tmp_path / "t"))
    assert untouched(chip)


def refused_sector(chip, tmp_path, plan=QUICK):
    result = run(chip, tmp_path / "t", plan)
    first, second = result.sectors
    assert first.verdict == "untested"
    assert second.verdict == "good"
    assert all(o.address >= SECOND for o in chip.flash.operations), "not touched"
    return first


def test_all_zero_sectors_have_no_backup(tmp_path):
    chip = make_chip()
    sector_bytes(chip, FIRST)[:] = 0
    assert "zeros" in refused_sector(chip, tmp_path).reason


def test_unreadable_words(tmp_path):
    assert "cannot be read" in refused_sector(make_chip(f"bus-fault@{FIRST + 64}-{FIRST + 68}"), tmp_path).reason


def test_unstable_words(tmp_path):
    first = refused_sector(make_chip(f"unstable@{FIRST}-{SECOND},count=40"), tmp_path)
    assert "disagree" in first.reason
    assert {f.kind for f in first.faults} == {"unstable"}


def test_ecc_failures(tmp_path):
    chip = make_chip(*(f"cell-stuck@{FIRST}-{FIRST + 16},bit={b},value=0" for b in (3, 77)))
    sector_bytes(chip, FIRST)[:16] = 0xFF
    first = refused_sector(chip, tmp_path)
    assert {f.kind for f in first.faults} == {"ecc-uncorrected"}


def test_write_protection_is_no_fault(tmp_path):
    chip = make_chip()
    with_option(chip, "WRP1R_CUR", "WRPSG", 0xFFFFFFFF & ~(1 << 8))  # sectors 32 to 35
    result = run(chip, tmp_path / "t")
    assert [s.verdict for s in result.sectors] == ["untested", "untested"]
    assert kinds(result) == {"protected"}
    assert result.conditions.wrp == ((RANGE.start, RANGE.stop),)
    assert untouched(chip)
    assert "Nothing was erased" in str(result)


def test_protection_that_the_registers_did_not_tell(tmp_path, monkeypatch):
    chip = make_chip()
    monkeypatch.setattr(chip.flash, "write_protected", lambda sector: sector == 32)
    result = run(chip, tmp_path / "t")
    assert [s.verdict for s in result.sectors] == ["untested", "good"]
    assert kinds(result) == {"protected"}


@pytest.mark.parametrize("lock", [0xB4, 0xC3])
def test_boot_area_under_a_lock(tmp_path, lock):
    chip = make_chip()
    with_option(chip, "NSBOOTR_CUR", "BOOTADD", FIRST >> 8)
    with_option(chip, "NSBOOTR_CUR", "BOOT_LOCK", lock)
    if lock == 0xB4:
        assert "boot area" in refused_sector(chip, tmp_path).reason
    else:
        assert any("boot" in r for r in run(chip, tmp_path / "t").remarks)


def test_high_cycle_and_hidden_sectors(tmp_path):
    chip = make_chip()
    with_option(chip, "EDATA1R_CUR", "EN", 1)
    where = AddressRange(0x080FC000, 0x08100000)
    plan = TestPlan(where, Level.QUICK, way=Way.REGISTERS, burst=0x2000)
    assert [s.verdict for s in run(chip, tmp_path / "a", plan).sectors] == ["good", "untested"]
    chip = make_chip()
    with_option(with_option(chip, "HDP1R_CUR", "STRT", 32), "HDP1R_CUR", "END", 32)
    with_option(chip, "SECBOOTR_CUR", "BOOT_LOCK", 0xB4)
    assert "HDP" in run(chip, tmp_path / "b").sectors[0].reason


def secure_chip():
    chip = make_chip()
    with_option(chip, "OPTSR2_CUR", "TZEN", 0xB4)
    with_option(with_option(chip, "SECWM1R_CUR", "STRT", 0), "SECWM1R_CUR", "END", 32)
    return chip


def test_trustzone_goes_through_the_secure_side(tmp_path):
    chip = secure_chip()
    before = chip.state.data.copy()
    result = run(chip, tmp_path / "t")
    assert result.access == "secure"
    assert [s.verdict for s in result.sectors] == ["good", "untested"]
    assert "non-secure" in result.sectors[1].reason
    assert result.conditions.tzen == 0xB4
    assert np.array_equal(chip.state.data, before)
    other = run(chip, tmp_path / "u", access=Access.NONSECURE)
    assert [s.verdict for s in other.sectors] == ["untested", "good"]


def test_swapped_banks(tmp_path):
    chip = make_chip()
    with_option(chip, "OPTSR_CUR", "SWAP_BANK", 1)
    with_option(chip, "WRP2R_CUR", "WRPSG", 0xFFFFFFFF & ~(1 << 8))
    chip.flash.power_up()
    assert kinds(run(chip, tmp_path / "t")) == {"protected"}, "physical bank 2 is at the low addresses"
    where = RANGE.shifted(0x100000)
    chip.state.data[0x40000:0x44000] = 7
    before = chip.state.data.copy()
    result = run(chip, tmp_path / "u", TestPlan(where, Level.QUICK, way=Way.REGISTERS))
    assert [s.verdict for s in result.sectors] == ["good", "good"]
    assert np.array_equal(chip.state.data, before)
    assert {o.address for o in chip.flash.operations if o.kind == "erase"} == {FIRST, SECOND}, "physical places"


def test_watchdogs_are_frozen_or_the_test_is_refused(tmp_path, monkeypatch):
    chip = make_chip()
    freezer = chip.description.identity.idcode[0] + 8
    values = []
    erase = chip.flash.cells.erase
    monkeypatch.setattr(chip.flash.cells, "erase", lambda s: (values.append(chip.bus.words[freezer]), erase(s)))
    run(chip, tmp_path / "t")
    assert values
    assert all(v & 0x1800 == 0x1800 for v in values)
    assert chip.bus.words[freezer] == 0, "given back"
    store = chip.bus._store
    monkeypatch.setattr(chip.bus, "_store", lambda a, v, s: None if a == freezer else store(a, v, s))
    with on(chip) as board, pytest.raises(PermissionRefused, match="watchdog"):
        flash_test(board, QUICK, str(tmp_path / "u"))


def test_a_reset_inside_a_sector_makes_it_untested(tmp_path, monkeypatch):
    chip = make_chip()
    before = chip.state.data.copy()
    erase, times = chip.flash.cells.erase, [0]

    def resetting(sector):
        erase(sector)
        if sector == 33:
            times[0] += 1
            if times[0] == 2:
                chip.clock.now_s += 1e-4
                chip.reset()

    monkeypatch.setattr(chip.flash.cells, "erase", resetting)
    result = run(chip, tmp_path / "t", STANDARD)
    assert [s.verdict for s in result.sectors] == ["good", "untested"]
    assert "reset" in result.sectors[1].reason
    assert not result.faults
    assert result.restored
    assert np.array_equal(chip.state.data, before)


@pytest.mark.parametrize(
    "item",
    [
        "bus-fault-sporadic",
        "zero-chunk",
        "drop-word",
        "zero-chunk,above=2000000",
        "drop-word,above=2000000,repeat=1,rate=0.01",
    ],
)
def test_a_bad_link_is_never_a_bad_chip(tmp_path, item):
    chip = make_chip(item, "seed=4")
    before = chip.state.data.copy()
    result = run(chip, tmp_path / "t", STANDARD)
    assert not result.counted("bad")
    assert np.array_equal(chip.state.data, before)


def test_the_backup_of_an_interrupted_test_is_not_replaced_by_its_pattern(tmp_path):
    chip = make_chip()
    sector_bytes(chip, SECOND)[:] = 0xFF
    sector_bytes(chip, SECOND)[:0x1000] = pattern("pairs-3", SECOND, 0x2000)[:0x1000]
    with on(chip) as board, pytest.raises(PermissionRefused, match="interrupted") as refused:
        flash_test(board, QUICK, str(tmp_path / "t"))
    assert "--restore" in refused.value.advice
    assert untouched(chip)


# ------------------------------------------------------------------------------------------------ interruptions
class Stop(BaseException):
    """Stands for anything that may happen."""


def interrupt(chip, monkeypatch, error, after=700):
    program, count = chip.flash.cells.program, [0]

    def interrupted(offset, data):
        left, quads = after - count[0] - 1, data.size // 16
        count[0] += quads
        if 0 <= left < quads:
            program(offset, data[: 16 * left])
            raise error
        program(offset, data)

    monkeypatch.setattr(chip.flash.cells, "program", interrupted)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Stop(), MemoryError()])
def test_contents_are_back_after_any_exception(tmp_path, monkeypatch, error):
    chip = make_chip()
    before = chip.state.data.copy()
    interrupt(chip, monkeypatch, error)
    with on(chip) as board, pytest.raises(type(error)):
        flash_test(board, QUICK, str(tmp_path / "t"))
    assert np.array_equal(chip.state.data, before)
    assert not Folder(tmp_path / "t").unfinished


def test_cancel(tmp_path):
    chip = make_chip()
    before = chip.state.data.copy()
    with on(chip) as board, pytest.raises(Cancelled):
        flash_test(board, QUICK, str(tmp_path / "t"), cancel=lambda: bool(chip.flash.operations))
    assert np.array_equal(chip.state.data, before)
    assert inside(chip, RANGE)


def pulled(tmp_path, plan=STANDARD, after=0x250000):
    """A chip whose cable was pulled in the middle, and what it held."""
    chip = make_chip(f"unplug,after={after}")
    before = chip.state.data.copy()
    with pytest.raises(ProbeError) as error:
        run(chip, tmp_path / "t", plan)
    assert "--restore" in error.value.advice
    assert not np.array_equal(chip.state.data, before)
    return chip, before


def test_a_pulled_cable_and_restore(tmp_path):
    chip, before = pulled(tmp_path)
    folder = Folder(tmp_path / "t")
    assert folder.unfinished
    with on(chip) as board:
        assert restore(board, str(tmp_path / "t")).ok
    assert np.array_equal(chip.state.data, before)
    assert not folder.unfinished
    assert inside(chip, RANGE)


def test_restore_wants_the_same_chip_and_the_right_permission(tmp_path):
    chip, _ = pulled(tmp_path)
    other = make_chip("seed=77")
    with on(other) as board, pytest.raises(InputError, match="another chip"):
        restore(board, str(tmp_path / "t"))
    assert untouched(other)
    with on(chip, AddressRange(FIRST, SECOND)) as board, pytest.raises(PermissionRefused):
        restore(board, str(tmp_path / "t"))


def test_a_damaged_backup_is_not_written(tmp_path):
    chip, _ = pulled(tmp_path)
    path = tmp_path / "t" / "backup.bin"
    path.write_bytes(b"x" + path.read_bytes()[1:])
    count = len(chip.flash.operations)
    with on(chip) as board, pytest.raises(InputError, match="damaged"):
        restore(board, str(tmp_path / "t"))
    assert len(chip.flash.operations) == count


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"kind": "h5diag flash test 1"}', "nonsense", '{"kind": "h5diag flash test 1", "sectors": 5}'],
)
def test_a_damaged_manifest(tmp_path, text):
    chip, _ = pulled(tmp_path)
    (tmp_path / "t" / "manifest.json").write_text(text)
    with on(chip) as board, pytest.raises(InputError, match="manifest"):
        restore(board, str(tmp_path / "t"))


def test_the_next_start_notices_restores_and_goes_on(tmp_path):
    chip, before = pulled(tmp_path)
    finished = sum(e["event"] == "step" for e in Folder(tmp_path / "t").events())
    assert finished > 2
    told = []
    result = run(chip, tmp_path / "t", STANDARD, tell=told.append)
    assert any("put back first" in t for t in told)
    assert any(f"{finished} of" in r for r in result.remarks)
    assert [s.verdict for s in result.sectors] == ["good", "good"]
    assert result.conditions.power_cycles == 1
    assert np.array_equal(chip.state.data, before)
    erases = [o.address for o in chip.flash.operations if o.kind == "erase"]
    assert erases.count(FIRST) <= STANDARD.erase_cycles + 2


def test_the_next_start_with_another_range_does_not_lose_the_backup(tmp_path):
    chip, before = pulled(tmp_path)
    plan = TestPlan(AddressRange(FIRST, SECOND), Level.QUICK)
    with on(chip, plan.range) as board, pytest.raises(InputError, match="interrupted"):
        flash_test(board, plan, str(tmp_path / "t"))
    with on(chip) as board:
        assert restore(board, str(tmp_path / "t")).ok
    assert np.array_equal(chip.state.data, before)


def test_a_journal_line_cut_by_a_kill(tmp_path):
    chip, before = pulled(tmp_path)
    with (tmp_path / "t" / "journal.jsonl").open("ab") as stream:
        stream.write(b'\n{"event": "st')
    run(chip, tmp_path / "t", STANDARD)
    assert np.array_equal(chip.state.data, before)
    assert not Folder(tmp_path / "t").unfinished


def test_other_files_are_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    chip = make_chip()
    with on(chip) as board, pytest.raises(InputError, match="other files"):
        flash_test(board, QUICK, str(tmp_path))
    assert untouched(chip)


def test_a_sector_that_does_not_come_back_is_said(tmp_path):
    chip = make_chip(f"dead-sector@{FIRST}-{SECOND},fails=1")
    result = run(chip, tmp_path / "t", STANDARD)
    assert not result.restored
    assert "NOT ALL BACK" in " ".join(str(result).split())
    assert json.loads((tmp_path / "t" / "result.json").read_text())["restored"] is False
