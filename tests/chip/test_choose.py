"""One place chooses the chip: the order, the narrowing, and that no device is taken for another."""

from dataclasses import dataclass

import pytest

from h5diag.chip import Chip, KnownBy, chip_names, choose_chip, describe, find_device, load_chip
from h5diag.chip.files import index, make_index
from h5diag.errors import InputError
from h5diag.evidence.texts import chip_of, parse_log
from h5diag.layout import load_layout
from h5diag.tables import packaged_bytes


@dataclass
class Read:
    dev_id: int | None
    flash_kib: int | None = None


@dataclass
class Laid:
    chip: Chip


ALL = {
    "given": "l5",
    "identity": Read(0x474),
    "dev_ids": [0x482],
    "option_names": ["SRAM1_3_RST", "PRODUCT_STATE", "NSBOOTADD"],
    "sidecars": ["stm32u545re"],
    "layout": Laid(load_chip("stm32h523cc")),
}
ORDER = [
    ("given", "stm32l552ze", KnownBy.GIVEN),
    ("identity", "stm32h503rb", KnownBy.IDENTITY),
    ("dev_ids", "stm32u575zi", KnownBy.DEV_ID),
    ("option_names", "stm32h563zi", KnownBy.OPTION_NAMES),
    ("sidecars", "stm32u545re", KnownBy.SIDECAR),
    ("layout", "stm32h523cc", KnownBy.LAYOUT),
]


def test_the_index_is_what_the_files_make():
    assert make_index().encode() == packaged_bytes("chip/index.json"), "run `make index`"


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_the_order(first):
    given = {name: ALL[name] for name, _, _ in ORDER[first:]}
    choice = choose_chip(**given)
    _, name, by = ORDER[first]
    assert (choice.chip.name, choice.known_by, choice.assumed) == (name, by, False)
    assert choice.text


def test_nothing_known_is_an_assumption_and_says_so():
    choice = choose_chip(dev_ids=[None, 0, 0xFFF, -1, 0xFFFFFFFF], sidecars=["no such chip"], marking="MB1404")
    assert choice.assumed
    assert choice.chip.name == "stm32h563zi"
    assert "assumed" in choice.text
    assert choice.to_dict()["chip_known_by"] == "assumed"


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("STM32H743ZIT6", "STM32H7xx"),
        ("STM32H745XI", "STM32H7xx"),
        ("STM32H723ZG", "STM32H72x/STM32H73x"),
        ("STM32H7B3LI", "STM32H7A/B"),
        ("STM32H7S78", "STM32H7RSxx"),
        ("stm32g474retx", "STM32G47x/G48x/G414"),
        ("STM32G0B1RE", "STM32G0B0xx/B1xx/C1xx"),
        ("STM32C5A3", "STM32C59x/5A3"),
        ("STM32F401RE", "STM32F401xD/E"),
        ("STM32F401CC", "STM32F401xB/C"),
        ("STM32WB35CC", "STM32WB5x/35xx"),
        ("STM32F103C8T6", "STM32F1"),
    ],
)
@pytest.mark.parametrize("how", ["marking", "device_name", "targets", "sidecars"])
def test_a_name_without_a_chip_file_is_never_taken_for_another_chip(name, device, how):
    choice = choose_chip(**{how: [name] if how in ("targets", "sidecars") else name})
    assert (choice.chip, choice.assumed) == (None, False)
    assert device in choice.text
    assert "knows none of its options" in choice.text
    assert choice.to_dict()["device"]["name"] == device
    assert choice.read_as.family == choice.device.series.lower().removeprefix("stm32")


@pytest.mark.parametrize(
    ("series", "kib", "chip", "sized"),
    [
        ("STM32H5", None, "stm32h563zi", False),
        ("STM32H5", 1024, "stm32h563zg", True),
        ("STM32WB", None, None, True),
        ("STM32W1", None, "stm32h563zi", True),
    ],
)
def test_a_series_names_the_family_and_nothing_more(series, kib, chip, sized):
    choice = choose_chip(families=[series], flash_kib=kib)
    assert (choice.chip.name if choice.chip else None, choice.sized) == (chip, sized)
    assert choice.assumed is (series == "STM32W1")  # which no list here has
    assert choose_chip(families=[series], targets=["stm32u575zitx"]).chip.name == "stm32u575zi"


@pytest.mark.parametrize(("name", "chip"), [("STM32U575ZIT6", "stm32u575zi"), ("STM32L552ZE", "stm32l552ze")])
def test_a_marking_names_its_chip_where_nothing_better_does(name, chip):
    assert choose_chip(marking=name).chip.name == chip
    assert choose_chip(marking=name, dev_ids=[0x484]).chip.name.startswith("stm32h56")


@pytest.mark.parametrize(
    ("text", "chip", "device"),
    [
        ("*** Booting Zephyr ***\nboard nucleo_wba55cg ready", "stm32wba55cg", ""),
        ("Board: nucleo_h563zi", "stm32h563zi", ""),
        ("app on b_u585i_iot02a/stm32u585xx", "stm32u575zi", ""),
        ("project for STM32F446RE, CubeIDE", None, "STM32F446xx"),
        ("C:\\FW\\Projects\\B-L4S5I-IOT01A\\a.hex", None, "STM32L4Rxxx/STM32L4Sxxx"),
    ],
)
def test_a_part_or_board_of_which_a_text_speaks_names_the_family(text, chip, device):
    choice = chip_of([parse_log(text)])
    assert (choice.assumed, choice.sized) == (False, False)
    assert (choice.chip.name if choice.chip else None) == chip
    assert device == (choice.device.name if choice.device and not choice.chip else "")
    # Whatever is more than talk comes first, and a list of parts of several series names nothing.
    assert chip_of([parse_log(text)], given="stm32l552ze").chip.name == "stm32l552ze"
    assert chip_of([parse_log(text)], layout=load_layout("oemirot-2m-overwrite")).known_by is KnownBy.LAYOUT
    assert chip_of([parse_log(f"{text}\nsupported: STM32G431KB")]).assumed
    assert chip_of([parse_log("stm32_flash_init, STM32CubeProgrammer v2.19.0")]).assumed


def test_a_chip_that_nothing_was_read_as_is_not_named():
    choice = choose_chip()
    assert choice.to_dict()["chip"] == "stm32h563zi"
    assert choice.to_dict(needed=False) | {"chip_text": ""} == {
        "chip": None,
        "chip_known_by": "assumed",
        "chip_text": "",
    }


@pytest.mark.parametrize(
    ("narrowing", "name"),
    [
        ({}, "stm32h563zi"),
        ({"flash_kib": 1024}, "stm32h563zg"),
        ({"flash_kib": 77}, "stm32h563zi"),
        ({"marking": "STM32H562ZGT6"}, "stm32h562zg"),
        ({"marking": "STM32L552ZET6"}, "stm32h563zi"),
        ({"device_name": "STM32H573"}, "stm32h573ii"),
        ({"device_name": "STM32H573", "flash_kib": 1024}, "stm32h563zg"),
    ],
)
def test_size_marking_and_name_narrow_within_the_family_only(narrowing, name):
    for how in ({"dev_ids": [0x10016484]}, {"identity": Read(0x484)}):
        assert choose_chip(**how, **narrowing).chip.name == name


def test_a_family_word_is_narrowed_and_a_name_is_not():
    assert choose_chip(given="stm32h563zi", flash_kib=1024).chip.name == "stm32h563zi"
    assert choose_chip(given="h5", dev_ids=[0x484], flash_kib=2048).chip.name == "stm32h563zi"
    assert "0x472" in choose_chip(given="h563", dev_ids=[0x472]).text
    with pytest.raises(InputError, match="known:"):
        choose_chip(given="h99")


def test_a_size_that_only_the_data_base_knows_moves_the_second_bank():
    chip = choose_chip(dev_ids=[0x47A], flash_kib=3072).chip
    assert [b.start for b in chip.banks] == [0x08000000, 0x08180000]
    assert "3072 KiB" in chip.title
    assert choose_chip(dev_ids=[0x47A], flash_kib=777).chip.flash.size == 4 << 20


@pytest.mark.parametrize("name", chip_names())
def test_every_chip_file_is_found_by_its_own_identity(name):
    chip = load_chip(name)
    found = choose_chip(
        dev_ids=[chip.identity.dev_id],
        flash_kib=chip.flash.size // 1024,
        marking=chip.parts[0].replace("?", "V") + "T6",
    )
    assert found.chip is chip


@pytest.mark.parametrize("device", index().devices, ids=[f"{d.dev_id:03x}-{i}" for i, d in enumerate(index().devices)])
def test_no_device_is_taken_for_another(device):
    files = {load_chip(p.name).identity.dev_id for p in index().parts}
    for choice in (choose_chip(dev_ids=[device.dev_id]), choose_chip(device_name=device.name)):
        assert choice.known_by is KnownBy.DEV_ID
        assert choice.device.dev_id == device.dev_id
        if device.dev_id in files:
            assert choice.chip.identity.dev_id == device.dev_id
        else:
            assert choice.chip is None
            assert choice.to_dict()["device"] == {"dev_id": device.dev_id, "name": device.name}
            assert device.name in choice.text
        assert choice.read_as.identity.dev_id == device.dev_id
    by_names = choose_chip(option_names=device.options)
    family = by_names.device.series if by_names.chip is None else "STM32" + by_names.chip.family.upper()
    assert by_names.assumed or family == device.series


def test_a_device_that_no_list_knows_is_no_other():
    choice = choose_chip(dev_ids=[0x7A5])
    assert choice.chip is None
    assert choice.to_dict()["device"] == {"dev_id": 0x7A5, "name": None}
    assert choice.read_as.options == ()
    assert choose_chip(dev_ids=[0x7A5, 0x484]).chip.name == "stm32h563zi"


@pytest.mark.parametrize(
    ("dev_id", "kib", "size", "bank"),
    [
        (0x469, 512, 512, 256),  # the row of the banks of 128 KiB names the same span
        (0x480, 2048, 2048, 1024),
        (0x44E, 512, 512, 256),
        (0x417, 64, 64, 64),  # the data memory behind it is no flash
        (0x433, None, 512, 512),
        (0x483, 512, 512, 512),  # one row has a bank without a sector
    ],
)
def test_a_device_without_a_chip_file_has_the_flash_that_was_read(dev_id, kib, size, bank):
    flash = describe(find_device(dev_id), kib).flash
    assert (flash.size // 1024, flash.bank_size // 1024) == (size, bank)


def test_a_device_without_a_chip_file_has_geometry_and_protection_only():
    chip = describe(find_device(0x413))
    assert (chip.flash.size, chip.flash.base, chip.trustzone, chip.errata) == (1 << 20, 0x08000000, False, ())
    assert [chip.state(v).name for v in (0xAA, 0xCC, 0x3F)] == ["RDP 0", "RDP 2", "RDP 1"]
    assert describe(find_device(0x410)).state(1).debug == "none"
    assert describe(find_device(0x417)).flash.erased == 0
    assert describe(find_device(0x486)).options == ()
