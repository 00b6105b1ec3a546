"""Status registers of families without a chip file, and the names by which tools call such a device."""

from __future__ import annotations

import pytest

from h5diag.chip import EccKind, chip_names, choose_chip, load_chip
from h5diag.chip.devices import status_registers
from h5diag.chip.facts import Field
from h5diag.evidence.texts import parse_registers


@pytest.mark.parametrize(
    ("name", "register", "flag", "bit"),
    [("STM32G47x/G48x", "SR", "PGSERR", 7), ("STM32F411xx", "SR", "PGPERR", 6), ("STM32H7xx", "SR", "WRPERR", 17)],
)
def test_a_device_has_the_flags_of_its_series(name: str, register: str, flag: str, bit: int) -> None:
    chip = choose_chip(dev_ids=(0x450,) if "H7" in name else (), device_name=name).read_as
    assert chip.register(register).get(flag, 1 << bit) == 1
    assert chip.register(register).get(flag, ~(1 << bit) & 0xFFFFFFFF) == 0


def test_every_row_names_its_source_and_single_bits() -> None:
    for row in status_registers():
        assert row.ref.startswith("RM")
        assert row.series
        assert all(0 <= bit < 32 for bit in row.flags.values())
        assert len(set(row.flags.values())) == len(row.flags)


@pytest.mark.parametrize("line", ["FLASH_SR : 0x000000A0", "FLASH->SR = 0xA0", "FLASH_NS->SR 0x000000A0"])
def test_a_status_register_of_two_letters_is_a_register(line: str) -> None:
    assert [(r.name, r.value) for r in parse_registers(line)] == [("SR", 0xA0)]


@pytest.mark.parametrize("name", chip_names())
def test_an_option_is_found_by_its_name_and_its_aliases_in_any_case(name: str) -> None:
    chip = load_chip(name)
    for option in chip.options:
        for word in (option.name, *option.aliases):
            assert chip.option(word.lower()).name == option.name
    with pytest.raises(KeyError, match="no option"):
        chip.option("NO_SUCH_OPTION")


def test_a_field_has_the_bits_that_the_manual_names() -> None:
    nibble, bit = Field.parse("LATENCY[7:4]"), Field.parse("BSY[16]")
    assert (nibble.name, nibble.lsb, nibble.width, nibble.mask, nibble.get(0x5A)) == ("LATENCY", 4, 4, 0xF0, 5)
    assert (bit.lsb, bit.width, bit.mask, bit.get(1 << 16)) == (16, 1, 1 << 16, 1)
    assert Field.parse("ALL[31:0]").mask == 0xFFFFFFFF
    for text in ("X[32]", "X[3:4]", "X", "X[-1]"):
        with pytest.raises(ValueError, match="not "):
            Field.parse(text)


@pytest.mark.parametrize("name", ["stm32h563zi", "stm32u575zi", "stm32l552ze"])
def test_an_ecc_register_tells_corrected_and_double_errors_apart(name: str) -> None:
    chip = load_chip(name)
    for register in ("ECCCORR", "ECCDETR", "ECCR"):
        if register not in {r.name for r in chip.registers}:
            continue
        fields = {f.name: f for f in chip.register(register).fields}
        for flag, kind in (("ECCD", EccKind.DOUBLE), ("ECCC", EccKind.CORRECTED)):
            if flag in fields:
                assert chip.ecc_location(register, fields[flag].mask).kind is kind
        assert chip.ecc_location(register, 0).kind not in (EccKind.DOUBLE, EccKind.CORRECTED)
