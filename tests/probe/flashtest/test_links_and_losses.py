"""A link fault is never the chip, and what the user's flash held comes back or is said to wait: each with its control."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest
from pyocd.core import exceptions

from h5diag.app.cli import main
from h5diag.case import load_case
from h5diag.case.results import to_document
from h5diag.errors import InputError, ProbeError
from h5diag.judge import diagnose
from h5diag.memory import AddressRange
from h5diag.probe.board import ConnectMode, Permissions, connect
from h5diag.probe.flashtest import Folder, Level, TestPlan, Way, flash_test, restore
from h5diag.probe.flashtest.patterns import pattern
from h5diag.sim.virtual import VirtualChip, parse_items

from ..link.fakes import CountingProbe, LastWordProbe
from .support import FIRST, QUICK, RANGE, SECOND, STANDARD, make_chip, on, programmed, run, sector_bytes, untouched

RANGE_TEXT = f"0x{RANGE.start:08X}:0x{RANGE.stop:08X}"
WITH_CORE = TestPlan(AddressRange(FIRST, SECOND), Level.QUICK, way=Way.REGISTERS, burst=0x2000)


def held(chip, probe=None, *, ram=False, where=RANGE):
    permissions = Permissions(erase=(where,), halt=True, ram=ram)
    return connect("virtual", probe=probe or CountingProbe(chip), mode=ConnectMode.HALT, permissions=permissions)


def verdict_of(tmp_path, result):
    (tmp_path / "c").mkdir(exist_ok=True)
    (tmp_path / "c" / "flashtest.json").write_text(json.dumps(to_document(result)))
    text = 'chip = "stm32h563zi"\n[suspect]\nflashtest = "flashtest.json"\n'
    (tmp_path / "c" / "case.toml").write_text(text)
    (board,) = diagnose(load_case(tmp_path / "c")).boards
    return board.verdict


# ---------------------------------------------------------------------------------------------------- never the chip
@pytest.mark.parametrize("ram", [False, True], ids=["words", "core"])
@pytest.mark.parametrize("fault", ["zero-chunk,repeat=1,rate=0.05", "drop-word,repeat=1,rate=0.002"])
def test_a_link_that_errs_at_fixed_places_is_never_faulty(fault, ram, tmp_path):
    name, _, rest = fault.partition(",")
    chip = VirtualChip(parse_items([f"{name}@{FIRST:#x}-{RANGE.stop:#x},{rest}"]))
    before = chip.state.data.copy()
    plan = TestPlan(RANGE, Level.QUICK, way=Way.REGISTERS, burst=0x2000)
    with held(chip, ram=ram) as board:
        result = flash_test(board, plan, str(tmp_path / "t"))
    assert not [s for s in result.sectors if s.verdict == "bad"]
    assert verdict_of(tmp_path, result).word.value != "faulty"
    assert verdict_of(tmp_path, result).hypothesis("flash-defect").status.value != "supported"
    assert verdict_of(tmp_path, result).hypothesis("worn-cells").status.value != "supported"
    if ram:  # the core's word keeps even a backup with lost chunks from being written
        assert np.array_equal(chip.state.data, before)
    assert np.array_equal(chip.state.data, before) or result.restored is False, "nothing is lost unsaid"


def test_a_probe_that_repeats_the_last_word_of_its_bursts_is_never_faulty(tmp_path):
    chip = VirtualChip(parse_items([]))
    before = chip.state.data.copy()
    with held(chip, LastWordProbe(chip)) as board:
        result = flash_test(board, QUICK, str(tmp_path / "t"))
    assert [s.verdict for s in result.sectors] == ["untested", "untested"]
    assert "two ways of reading differ" in result.sectors[0].reason
    assert np.array_equal(chip.state.data, before)


@pytest.mark.parametrize(("ram", "path"), [(False, "single-word"), (True, "core-checksum")])
def test_truly_stuck_cells_are_still_proved(ram, path, tmp_path):
    chip = make_chip(f"stuck-bit@{FIRST + 0x100:#x}-{FIRST + 0x104:#x},bit=3,value=0")
    plan = TestPlan(AddressRange(FIRST, SECOND), Level.STANDARD, way=Way.REGISTERS, burst=0x2000)
    with on(chip, plan.range, ram=ram) as board:
        result = flash_test(board, plan, str(tmp_path / "t"))
    assert result.conditions.second_path == path
    assert [s.verdict for s in result.sectors] == ["bad"]
    assert verdict_of(tmp_path, result).word.value == "faulty"


def test_without_a_second_path_it_is_at_most_suspect(tmp_path):
    import msgspec

    chip = make_chip(f"stuck-bit@{FIRST + 0x100:#x}-{FIRST + 0x104:#x},bit=3,value=0")
    result = run(chip, tmp_path / "t", TestPlan(AddressRange(FIRST, SECOND), Level.STANDARD, way=Way.REGISTERS))
    assert verdict_of(tmp_path, result).word.value == "faulty"
    replace = msgspec.structs.replace
    without = replace(result, conditions=replace(result.conditions, second_path=None))
    assert verdict_of(tmp_path, without).word.value == "suspect"


# ---------------------------------------------------------------------------------------------------- march
def test_an_erase_that_takes_another_sector_of_the_range_is_found(tmp_path):
    chip = make_chip(f"far-erase@{FIRST:#x}-{SECOND:#x},distance=1")
    result = run(chip, tmp_path / "t", STANDARD)
    faults = {(f.kind, f.address) for f in result.faults}
    assert ("alias", SECOND) in faults
    assert not [s for s in run(make_chip(), tmp_path / "u", STANDARD).sectors if s.verdict != "good"]


def test_cells_that_an_erase_beside_them_disturbs_are_found(tmp_path, monkeypatch):
    chip = make_chip()
    erase = chip.flash.cells.erase
    first = (FIRST - 0x08000000) // 0x2000

    def disturbing(sector):
        erase(sector)
        if sector == first:
            chip.state.data[SECOND - 0x08000000 + 0x123] |= 0x10

    monkeypatch.setattr(chip.flash.cells, "erase", disturbing)
    result = run(chip, tmp_path / "t", STANDARD)
    found = [f for f in result.faults if f.address == SECOND + 0x120]
    assert [(f.kind, f.bit) for f in found] == [("coupling", 28)]


# ---------------------------------------------------------------------------------------------------- outside
@pytest.mark.parametrize("ram", [False, True], ids=["link", "core"])
@pytest.mark.parametrize("fault", ["far-erase", "far-program"])
def test_damage_outside_of_the_range_is_seen(fault, ram, tmp_path):
    where = AddressRange(0x08000000, 0x08002000)
    distance = 32 if fault == "far-erase" else 0x40000
    chip = make_chip(f"{fault}@0x08000000-0x08002000,distance={distance}")
    plan = TestPlan(where, Level.QUICK, way=Way.REGISTERS, burst=0x2000)
    with on(chip, where, ram=ram) as board:
        result = flash_test(board, plan, str(tmp_path / "t"))
    assert result.outside == ((0x08040000, 0x08042000),)
    assert result.restored is False
    assert any("outside" in r for r in result.remarks)
    control = make_chip()
    with on(control, where, ram=ram) as board:
        assert flash_test(board, plan, str(tmp_path / "u")).outside == ()


# ---------------------------------------------------------------------------------------------------- whose contents
def interrupted(tmp_path, *items):
    """An interrupted test: the chip, what it held, and its folder."""
    chip = make_chip(*items, "unplug,after=0x250000")
    before = chip.state.data.copy()
    with pytest.raises(ProbeError):
        run(chip, tmp_path / "t", STANDARD)
    assert not np.array_equal(chip.state.data, before)
    return chip, before, str(tmp_path / "t")


def test_an_unknown_uid_is_no_match_but_the_contents_may_tell(tmp_path):
    chip, before, folder = interrupted(tmp_path)
    for content in (
        np.random.default_rng(8).integers(0, 256, RANGE.size, np.uint8),
        np.full(RANGE.size, 0xFF, np.uint8),
    ):
        other = make_chip("seed=8", "uid-zero")
        other.state.data[RANGE.start - 0x08000000 : RANGE.stop - 0x08000000] = content
        with on(other) as board, pytest.raises(InputError, match=r"somebody|UID"):
            restore(board, folder)
        assert untouched(other)
    # The same board, whose UID does not read now: its flash holds one of our patterns.
    sector_bytes(chip, FIRST)[:] = pattern("address", FIRST, 0x2000)
    uid = chip.bus._areas
    zero = [
        (b, n, lambda o, size, x: np.zeros(size, np.uint8)) for b, n, _ in uid if b == chip.description.identity.uid
    ]
    chip.bus._areas = [(b, 12, r) for b, _, r in zero] + uid
    with on(chip) as board:
        assert restore(board, folder).ok
    assert np.array_equal(chip.state.data, before)


def test_exchanged_banks_are_refused(tmp_path):
    chip, before, folder = interrupted(tmp_path)
    swap = chip.description.register("OPTSR_CUR").field("SWAP_BANK")
    chip.flash.options["OPTSR_CUR"] = swap.put(chip.flash.options["OPTSR_CUR"], 1)
    chip.flash.power_up()
    done = len(chip.flash.operations)
    with on(chip) as board, pytest.raises(InputError, match="SWAP_BANK"):
        restore(board, folder)
    assert len(chip.flash.operations) == done
    chip.flash.options["OPTSR_CUR"] = swap.put(chip.flash.options["OPTSR_CUR"], 0)
    chip.flash.power_up()
    with on(chip) as board:
        assert restore(board, folder).ok
    assert np.array_equal(chip.state.data, before)


def test_contents_written_since_are_not_overwritten_unasked(tmp_path):
    chip, before, folder = interrupted(tmp_path)
    new = np.random.default_rng(4).integers(0, 256, 0x2000, np.uint8)
    sector_bytes(chip, FIRST)[:] = new
    with on(chip) as board, pytest.raises(InputError, match="--force"):
        restore(board, folder)
    with on(chip) as board, pytest.raises(InputError, match="--force"):
        flash_test(board, STANDARD, folder)
    assert np.array_equal(sector_bytes(chip, FIRST), new)
    with on(chip) as board:
        assert restore(board, folder, force=True).ok
    assert np.array_equal(chip.state.data, before)


def test_a_finished_test_is_not_put_back_again(tmp_path):
    chip = make_chip()
    run(chip, tmp_path / "t")
    with on(chip) as board, pytest.raises(InputError, match="finished"):
        restore(board, str(tmp_path / "t"))


def test_a_folder_belongs_to_one_run_and_one_board(tmp_path):
    a, b = make_chip(), make_chip("seed=3")
    refused = []

    def second(found):
        with on(b) as board, pytest.raises(InputError, match="another run"):
            flash_test(board, QUICK, str(tmp_path / "t"))
        refused.append(1)

    with on(a) as board:
        flash_test(board, QUICK, str(tmp_path / "t"), tell=lambda text: second(text) if "backup of" in text else None)
    assert refused
    assert untouched(b)
    with on(b) as board, pytest.raises(InputError, match="another chip"):
        flash_test(board, QUICK, str(tmp_path / "t"))
    assert untouched(b)
    assert Folder(tmp_path / "t").manifest().uid


def test_a_size_that_does_not_read_is_no_reason_to_guess(tmp_path):
    chip = make_chip("size-zero")
    with on(chip) as board, pytest.raises(InputError, match="size"):
        flash_test(board, QUICK, str(tmp_path / "t"))
    assert untouched(chip)


# ---------------------------------------------------------------------------------------------------- every way out
@pytest.mark.parametrize("after", [3, 130, 520])
def test_a_moment_without_power_is_told_and_the_contents_wait(after, tmp_path, capsys):
    state = tmp_path / "chip"
    items = f"virtual:state={state}+power-dip,after={after}"
    folder = str(tmp_path / "t")
    command = [
        "flashtest",
        "--range",
        RANGE_TEXT,
        "--allow-erase",
        "--out",
        folder,
        "--level",
        "quick",
        "--way",
        "registers",
    ]
    assert main([*command, "--probe", items]) == 3
    err = capsys.readouterr().err
    assert "power" in err
    assert f"--restore {folder}" in err
    assert "Traceback" not in err
    assert main(["flashtest", "--probe", f"virtual:state={state}", "--restore", folder, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["restored"] is True
    sound = make_chip()
    kept = np.fromfile(state, np.uint8)[8192 : 8192 + sound.state.data.size]
    assert np.array_equal(kept, sound.state.data)


def test_ctrl_c_in_the_middle_puts_the_contents_back(tmp_path):
    chip = VirtualChip(parse_items([]))
    before = chip.state.data.copy()

    def strike(name, words):
        if programmed(chip) > 300:
            probe.before = lambda *a: None
            os.kill(os.getpid(), signal.SIGINT)

    probe = CountingProbe(chip, strike)
    with held(chip, probe) as board, pytest.raises(KeyboardInterrupt, match="are back"):
        flash_test(board, QUICK, str(tmp_path / "t"))
    assert np.array_equal(chip.state.data, before)


def test_ctrl_c_while_sectors_do_not_erase_any_more_says_which(tmp_path):
    chip = VirtualChip(parse_items([]))

    def strike(name, words):
        if programmed(chip) > 300:
            probe.before = lambda *a: None
            chip.flash.cells.dead[(FIRST - 0x08000000) // 0x2000] = 3
            os.kill(os.getpid(), signal.SIGINT)

    probe = CountingProbe(chip, strike)
    with held(chip, probe) as board, pytest.raises(ProbeError, match="do not take their contents back") as caught:
        flash_test(board, QUICK, str(tmp_path / "t"))
    assert f"0x{FIRST:08X}" in str(caught.value)
    assert "--restore" in str(caught.value)


def test_a_link_that_fails_in_passing_puts_the_contents_back(tmp_path):
    chip = VirtualChip(parse_items([]))
    before = chip.state.data.copy()

    def strike(name, words):
        if programmed(chip) > 300 and name == "write_ap_multiple":
            probe.before = lambda *a: None
            raise exceptions.TransferError("No ACK")

    probe = CountingProbe(chip, strike)
    with held(chip, probe) as board, pytest.raises(ProbeError, match="are back"):
        flash_test(board, QUICK, str(tmp_path / "t"))
    assert np.array_equal(chip.state.data, before)


def test_a_disk_that_is_full_at_the_end_loses_no_result(tmp_path, monkeypatch):
    chip = make_chip()
    write = Folder._write

    def full(self, name, content):
        if name == "result.json":
            raise InputError("cannot be written (No space left on device)", source=name)
        write(self, name, content)

    monkeypatch.setattr(Folder, "_write", full)
    result = run(chip, tmp_path / "t")
    assert result.restored
    assert any("result.json was not written" in r for r in result.remarks)


def test_speeds_that_come_out_as_one_are_one_speed(tmp_path):
    class OneSpeed(CountingProbe):
        swd_hz = 1_800_000

    chip = VirtualChip(parse_items([]))
    with held(chip, OneSpeed(chip)) as board:
        result = flash_test(board, QUICK, str(tmp_path / "t"))
    assert result.conditions.swd_hz == (1_800_000,)
    assert any("one speed" in r for r in result.remarks)


def test_the_quick_test_says_that_it_excludes_nothing(tmp_path):
    assert "excludes nothing" in run(make_chip(), tmp_path / "t").headline
    assert "excludes nothing" not in run(make_chip(), tmp_path / "u", STANDARD).headline


@pytest.mark.parametrize("start", [FIRST, SECOND])
@pytest.mark.parametrize("value", [0, 1])
def test_a_cell_that_many_reads_disturb_is_found_erased_or_programmed(start, value, tmp_path, monkeypatch):
    chip = make_chip()
    at, reads = start - 0x08000000 + 0x321, [0]
    read, erase = chip.flash.cells.read, chip.flash.cells.erase

    def disturbed(offset, size):
        if offset <= at < offset + size:
            reads[0] += 1
            if reads[0] >= 60:
                chip.state.data[at] = chip.state.data[at] & 0xF7 | 8 * value
        return read(offset, size)

    def fresh(sector):
        if sector == at // 0x2000:
            reads[0] = 0
        erase(sector)

    monkeypatch.setattr(chip.flash.cells, "read", disturbed)
    monkeypatch.setattr(chip.flash.cells, "erase", fresh)
    result = run(chip, tmp_path / "t", STANDARD)
    assert [s.start for s in result.sectors if s.verdict == "bad"] == [start]
    assert {(f.address, f.bit) for f in result.faults} == {(start + 0x320, 11)}


def test_one_bit_that_the_link_gets_wrong_at_one_speed_is_no_weak_cell(tmp_path):
    class Fast(CountingProbe):
        """Bit 3 of the eighth word of a burst is high above 2 MHz."""

        def read_ap_multiple(self, addr, count=1, now=True):
            got = super().read_ap_multiple(addr, count, now)
            bad = count >= 32 and self.chip.clock.frequency_hz > 2e6
            spoil = (lambda w: [*w[:7], w[7] | 8, *w[8:]]) if bad else list
            return spoil(got) if now else lambda: spoil(got())

    chip = VirtualChip(parse_items([]))
    before = chip.state.data.copy()
    before[0x40000:0x44000] = chip.state.data[0x40000:0x44000] = 0xFF
    with held(chip, Fast(chip)) as board:
        result = flash_test(board, STANDARD, str(tmp_path / "t"))
    assert {s.verdict for s in result.sectors} == {"untested"}
    assert not result.faults
    assert np.array_equal(chip.state.data, before)


class FixedPlaceProbe(CountingProbe):
    """In bursts of any length the words at one place of the port's window lose a bit; read alone they are right."""

    places: tuple[int, ...] = (0x3FC,)

    def read_ap_multiple(self, addr, count=1, now=True):
        start = self.wire._tar[1]
        got = super().read_ap_multiple(addr, count, now)

        def spoilt(words):
            here = [start + 4 * i for i in range(len(words))]
            return [
                w & ~0x100 if count > 1 and RANGE.start <= a < RANGE.stop and a & 0x3FF in self.places else w
                for a, w in zip(here, words, strict=True)
            ]

        return spoilt(got) if now else lambda: spoilt(got())


@pytest.mark.parametrize("places", [(0x3FC,), (0x40, 0x140, 0x240, 0x340), (0,)], ids=str)
def test_a_link_that_errs_at_a_place_of_its_window_in_bursts_of_any_length_is_neither_believed_nor_restored(
    places, tmp_path
):
    chip = make_chip()
    before = chip.state.data.copy()
    probe = FixedPlaceProbe(chip)
    probe.places = places
    with connect(
        "virtual", probe=probe, mode=ConnectMode.HALT, permissions=Permissions(erase=(RANGE,), halt=True)
    ) as board:
        result = flash_test(board, STANDARD, str(tmp_path / "t"))
    assert not [s for s in result.sectors if s.verdict == "bad"]
    assert np.array_equal(chip.state.data, before) or not result.restored, "no wrong byte is called back"
    assert any("two ways of reading differ" in s.reason for s in result.sectors)
