"""The flash controller's rules, each with what must not happen."""

import numpy as np
import pytest

from h5diag.memory import Access, AddressRange
from h5diag.probe.flashtest.programmer import DirectFlash, FlashError
from h5diag.sim.virtual import VirtualChip, parse_items

from .support import chip_of, writable

BASE = 0x08010000
WHERE = AddressRange(BASE, BASE + 0x8000)
NS = 0x40022000
KEYS = (0x45670123, 0xCDEF89AB)


@pytest.fixture
def chip():
    return VirtualChip(parse_items(()))


def reg(chip, name):
    return chip.flash.read(chip.description.register(name).offset, False)


def put(chip, name, value, secure=False):
    chip.flash.write(chip.description.register(name).offset, value, secure)


def flags(chip, name="NSSR"):
    r = chip.description.register(name)
    return {f.name for f in r.fields if f.get(chip.flash.read(r.offset, name == "SECSR"))}


def unlock(chip):
    for key in KEYS:
        put(chip, "NSKEYR", key)


def store(chip, offset, words):
    for i, w in enumerate(words):
        chip.flash.store(offset + 4 * i, int(w).to_bytes(4, "little"), False)


def settle(chip):
    chip.clock.now_s += 1.0


def erase(chip, sector):
    put(chip, "NSCR", 4 | sector << 6 | 0x20)
    settle(chip)


def test_keys_open_and_a_wrong_one_locks_until_reset(chip):
    assert reg(chip, "NSCR") & 1
    unlock(chip)
    assert not reg(chip, "NSCR") & 1
    chip.reset()
    put(chip, "NSKEYR", KEYS[1])
    unlock(chip)
    assert reg(chip, "NSCR") & 1
    chip.reset()
    unlock(chip)
    assert not reg(chip, "NSCR") & 1


def test_a_locked_control_register_does_nothing(chip):
    before = chip.state.data[:0x2000].copy()
    erase(chip, 0)
    assert (chip.state.data[:0x2000] == before).all()
    assert not chip.flash.operations


def test_erase_is_busy_for_a_while_and_touches_one_sector(chip):
    unlock(chip)
    before = chip.state.data.copy()
    put(chip, "NSCR", 4 | 32 << 6 | 0x20)
    assert "BSY" in flags(chip)
    settle(chip)
    assert flags(chip) == {"EOP"}
    assert (chip.state.data[0x40000:0x42000] == 0xFF).all()
    before[0x40000:0x42000] = 0xFF
    assert (chip.state.data == before).all()


def test_quad_words_program_and_bits_only_fall(chip):
    unlock(chip)
    erase(chip, 32)
    put(chip, "NSCR", 2)
    store(chip, 0x40000, [0x12345678, 0xF0F0F0F0])
    assert "WBNE" in flags(chip)
    store(chip, 0x40008, [0, 0xFFFFFFFF])
    settle(chip)
    assert "WBNE" not in flags(chip)
    assert chip.state.data[0x40000:0x40010].view("<u4").tolist() == [0x12345678, 0xF0F0F0F0, 0, 0xFFFFFFFF]
    store(chip, 0x40000, [0xFFFF0000, 0x0F0F0F0F, 0xFFFFFFFF, 0])
    settle(chip)
    assert chip.state.data[0x40000:0x40010].view("<u4").tolist() == [0x12340000, 0, 0, 0]
    assert not flags(chip) & {"PGSERR", "WRPERR", "INCERR"}


@pytest.mark.parametrize(
    ("steps", "error"),
    [
        ([("store", 0x40000)], "PGSERR"),
        ([("pg",), ("store", 0x40004)], "INCERR"),
        ([("pg",), ("store", 0x40000), ("store", 0x40010)], "INCERR"),
        ([("pg",), ("store", 0x40000), ("store", 0x40000)], "STRBERR"),
        ([("start", 4 | 8)], "PGSERR"),
        ([("start", 4 | 2)], "PGSERR"),
        ([("start", 0)], "PGSERR"),
    ],
)
def test_wrong_sequences_raise_their_flag_and_change_nothing(chip, steps, error):
    unlock(chip)
    before = chip.state.data.copy()
    for step in steps:
        if step[0] == "pg":
            put(chip, "NSCR", 2)
        elif step[0] == "store":
            store(chip, step[1], [0])
        else:
            put(chip, "NSCR", step[1] | 0x20)
    assert error in flags(chip)
    assert (chip.state.data == before).all()
    erase(chip, 32)
    assert (chip.state.data == before).all(), "a stale error must refuse the next operation"
    put(chip, "NSCCR", 0xFF0000)
    put(chip, "NSCR", 0)
    erase(chip, 32)
    assert (chip.state.data[0x40000:0x42000] == 0xFF).all()


def test_flags_clear_only_through_the_clear_register(chip):
    unlock(chip)
    store(chip, 0x40000, [0])
    put(chip, "NSSR", 0)
    assert "PGSERR" in flags(chip)
    put(chip, "NSCCR", 1 << 18)
    assert "PGSERR" not in flags(chip)


def test_write_protection_refuses_erase_bank_erase_and_programming():
    chip = VirtualChip(parse_items(()))
    chip.flash.options["WRP1R_CUR"] = 0xFFFFFFFF & ~(1 << 8)  # sectors 32 to 35
    unlock(chip)
    before = chip.state.data.copy()
    for control in (4 | 32 << 6, 8, 0x8000):
        put(chip, "NSCR", control | 0x20)
        assert "WRPERR" in flags(chip)
        put(chip, "NSCCR", 0xFF0000)
    put(chip, "NSCR", 2)
    store(chip, 0x40000, [0] * 4)
    assert "WRPERR" in flags(chip)
    assert (chip.state.data == before).all()


def test_bank_and_mass_erase(chip):
    unlock(chip)
    put(chip, "NSCR", 8 | 1 << 31 | 0x20)
    settle(chip)
    assert (chip.state.data[0x100000:] == 0xFF).all()
    assert (chip.state.data[:0x100000] != 0xFF).any()
    put(chip, "NSCR", 0x8020)
    settle(chip)
    assert (chip.state.data == 0xFF).all()


def test_swapped_banks_show_exchanged_and_bksel_names_the_physical_one(chip):
    before = chip.state.data.copy()
    for key in (0x08192A3B, 0x4C5D6E7F):
        put(chip, "OPTKEYR", key)
    put(chip, "OPTSR_PRG", reg(chip, "OPTSR_CUR") | 1 << 31)
    put(chip, "OPTCR", 2)
    settle(chip)
    assert (chip.bus.read(0x08000000, 1024, False) == before[:1024]).all(), "takes effect at reset"
    chip.reset()
    assert (chip.bus.read(0x08000000, 1024, False) == before[0x100000:0x100400]).all()
    assert (chip.bus.read(0x08100000 - 512, 1024, False)[512:] == before[:512]).all()
    unlock(chip)
    erase(chip, 0)
    assert (chip.bus.read(0x08100000, 0x2000, False) == 0xFF).all()
    assert (chip.bus.read(0x08000000, 1024, False) == before[0x100000:0x100400]).all()


def test_options_need_their_keys_and_start(chip):
    old = reg(chip, "SECWM1R_CUR")
    put(chip, "SECWM1R_PRG", 5)
    put(chip, "OPTCR", 2)
    assert reg(chip, "SECWM1R_CUR") == old
    for key in (0x08192A3B, 0x4C5D6E7F):
        put(chip, "OPTKEYR", key)
    put(chip, "SECWM1R_PRG", 5)
    assert reg(chip, "SECWM1R_CUR") == old
    put(chip, "OPTCR", 2)
    assert reg(chip, "SECWM1R_CUR") == 5
    assert [o.kind for o in chip.flash.operations] == ["option-write", "option-start"]
    put(chip, "OPTSR_PRG", 0x1100)
    put(chip, "OPTCR", 2)
    assert "OPTCHANGEERR" in flags(chip), "no product state of that value"


def test_a_reset_in_mid_operation_leaves_opsr_and_a_torn_quad_word(chip):
    unlock(chip)
    erase(chip, 40)
    put(chip, "NSCR", 2)
    store(chip, 0x50010, [0x11111111] * 4)
    chip.reset()
    cut = chip.description.interruption(reg(chip, "OPSR"))
    assert (cut.code, cut.address) == (1, 0x08050010)
    chip.bus.read(0x08050010, 16, False)
    place = chip.description.ecc_location("ECCDETR", reg(chip, "ECCDETR"))
    assert (place.kind.value, place.address) == ("double", 0x08050010)
    chip.reset()
    assert reg(chip, "OPSR") == 0, "a reset with nothing under way clears it"


@pytest.mark.parametrize(("count", "register", "shows"), [(1, "ECCCORR", False), (2, "ECCDETR", True)])
def test_stuck_cells_and_the_ecc(count, register, shows):
    where = AddressRange(0x08150000, 0x08150010)
    items = [f"cell-stuck@0x{where.start:X}-0x{where.stop:X},value=0,bit={b}" for b in (9, 77)[:count]]
    chip = VirtualChip(parse_items(items))
    data = chip.bus.read(where.start, 16, False)
    assert (bool((data != chip.state.data[0x150000:0x150010]).any())) == shows
    place = chip.description.ecc_location(register, reg(chip, register))
    assert place.address == where.start
    other = "ECCDETR" if register == "ECCCORR" else "ECCCORR"
    assert reg(chip, other) == 0
    put(chip, register, 1 << (30 if register == "ECCCORR" else 31))
    assert reg(chip, register) == 0
    sound = VirtualChip(parse_items(()))
    sound.bus.read(where.start, 16, False)
    assert reg(sound, "ECCCORR") == reg(sound, "ECCDETR") == 0


def test_dead_and_slow_sectors_and_coupling():
    dead = "dead-sector@0x08060000-0x08062000"
    chip = VirtualChip(parse_items([dead, "slow-sector@0x08070000-0x08072000,factor=20"]))
    unlock(chip)
    before = chip.state.data[0x60000:0x62000].copy()
    erase(chip, 48)
    assert (chip.state.data[0x60000:0x62000] == before).all()
    times = []
    for sector in (56, 57):
        put(chip, "NSCR", 4 | sector << 6 | 0x20)
        begun = chip.clock.now_s
        while "BSY" in flags(chip):
            chip.clock.now_s += 1e-5
        times.append(chip.clock.now_s - begun)
    assert times[0] > 15 * times[1]

    chip = VirtualChip(parse_items(["coupling@0x08060000-0x08060020,distance=1"]))
    unlock(chip)
    erase(chip, 48)
    put(chip, "NSCR", 2)
    store(chip, 0x60010, [0xFFFFFFFF] * 4)
    store(chip, 0x60000, [0] * 4)
    assert (chip.state.data[0x60010:0x60020] != 0xFF).sum() == 1


def test_an_aliased_address_line_reads_and_writes_elsewhere():
    chip = VirtualChip(parse_items(["address-alias@0x08060000-0x08070000,bit=14"]))
    low, high = chip.bus.read(0x08060000, 64, False), chip.bus.read(0x08064000, 64, False)
    assert (low == high).all()
    sound = VirtualChip(parse_items(()))
    assert (sound.bus.read(0x08060000, 64, False) != sound.bus.read(0x08064000, 64, False)).any()


@pytest.mark.parametrize("items", ["", "link=memory"])
def test_programming_by_registers_through_pyocd(items):
    with writable(WHERE, items) as board:
        chip, flash = chip_of(board), DirectFlash(board)
        before = chip.state.data.copy()
        data = np.random.default_rng(1).integers(0, 256, 0x2000, dtype=np.uint8)
        data[0x100:0x200] = 0xFF
        sector = board.chip.sector_at(BASE + 0x2000)
        with flash.unlocked():
            assert flash.erase(sector).seconds > 0.001
            assert (board.read(sector.range.start, sector.range.stop) == 0xFF).all()
            flash.program(sector.range.start, data)
        assert (board.read(sector.range.start, sector.range.stop) == data).all()
        assert (chip.state.marks[0x12100 // 16 : 0x12200 // 16] == 0).all(), "erased quad-words stay unprogrammed"
        before[0x12000:0x14000] = data
        assert (chip.state.data == before).all()
        assert reg(chip, "NSCR") & 1, "locked again"


def test_errors_of_the_controller_come_with_their_flags():
    with writable(WHERE) as board:
        chip_of(board).flash.options["WRP1R_CUR"] = 0
        flash = DirectFlash(board)
        with flash.unlocked(), pytest.raises(FlashError) as caught:
            flash.erase(board.chip.sector_at(BASE))
        assert caught.value.flags == ("WRPERR",)
        assert caught.value.address == BASE


def test_the_secure_side_needs_the_secure_registers():
    where = AddressRange(0x08000000, 0x08200000)
    with writable(where) as board:
        chip = chip_of(board)
        options = chip.flash.options
        options["OPTSR2_CUR"] = options["OPTSR2_CUR"] & 0xFFFFFF | 0xB4 << 24
        options["SECWM1R_CUR"] = 0x7F << 16
        chip.flash.generation += 1
        sector = board.chip.sector_at(0x08040000)
        plain, secure = DirectFlash(board, Access.NONSECURE), DirectFlash(board, Access.SECURE)
        with plain.unlocked(), pytest.raises(FlashError, match="WRPERR"):
            plain.erase(sector)
        with secure.unlocked():
            secure.erase(sector)
            secure.program(0x0C040000, np.full(16, 0xA5, np.uint8))
        assert (chip.state.data[0x40000:0x40010] == 0xA5).all()
        assert (board.read(0x0C040000, 0x0C040010, access=Access.SECURE) == 0xA5).all()
        assert not board.read(0x08040000, 0x08040010, access=Access.NONSECURE).any()
