"""Layouts of other headers and other files: U5, L5, STiROT, TF-M, external memories, devicetree, pm.yml, own TOML."""

from __future__ import annotations

from pathlib import Path

import pytest

from h5diag.chip import load_chip
from h5diag.errors import InputError
from h5diag.layout import Layout, Loader, Mode, Role, load_layout, parse_flash_layout

H573, U585 = (load_chip(n) for n in ("stm32h573ii", "stm32u585ai"))

AREAS = """
#define FLASH_TOTAL_SIZE {total}
#define FLASH_AREA_IMAGE_SECTOR_SIZE {sector}
#define FLASH_AREA_BL2_SIZE (0x14000)
#define FLASH_AREA_0_OFFSET (0x14000)
#define FLASH_AREA_0_SIZE (0x20000)
#define FLASH_AREA_2_OFFSET (0x34000)
#define FLASH_AREA_2_SIZE (0x20000)
"""


def areas(extra: str = "", total: str = "0x200000", sector: str = "0x2000") -> str:
    return extra + AREAS.format(total=total, sector=sector)


def starts(layout: Layout) -> dict[str, int]:
    return {s.name: s.range.start for s in layout.slots}


def test_a_part_that_the_header_asks_for_is_defined_by_the_chip():
    header = '#if defined(STM32U585xx)\n#define BANK 0x100000\n#else\n#error "which part?"\n#endif\n'
    header = areas(header, total="(BANK * 2)")
    assert parse_flash_layout(header, chip=U585).chip is U585
    with pytest.raises(InputError, match="--chip"):
        parse_flash_layout(header)
    with pytest.raises(InputError, match="which part"):
        parse_flash_layout(header, chip=H573)


def test_without_a_chip_the_guess_is_said_and_of_the_right_family():
    guess = parse_flash_layout(areas(total="0x80000", sector="0x1000"))
    assert guess.chip.family == "l5"
    assert any("--chip" in r for r in guess.remarks)
    assert not any("--chip" in r for r in parse_flash_layout(areas(), chip=H573).remarks)


def test_a_header_for_another_flash_is_said():
    small = parse_flash_layout(areas(total="0x80000"), chip=H573)
    assert any("512 KiB" in r and "2 MiB" in r for r in small.remarks)


@pytest.mark.parametrize("macro", ["MCUBOOT_IMAGE_NUMBER", "MCUBOOT_APP_IMAGE_NUMBER"])
def test_one_image_by_either_name(macro):
    layout = parse_flash_layout(areas(f"#define {macro} 1\n"), chip=H573)
    assert list(starts(layout)) == ["boot", "application primary", "application secondary"]
    assert layout.mode is Mode.OVERWRITE
    assert any("does not say how" in r for r in layout.remarks)


def test_slots_on_another_device_do_not_overlap_with_those_inside():
    far = "#define FLASH_AREA_2_DEVICE_ID (1)\n#define FLASH_AREA_0_DEVICE_ID (7 - 7)\n"
    header = areas(far).replace("(0x34000)", "(0x14000)")
    layout = parse_flash_layout(header, chip=U585)
    secondary = next(s for s in layout.slots if s.role is Role.SECONDARY)
    assert (secondary.device, secondary.range.start) == ("device 1", 0x14000)
    assert layout.slot_at(0x08014000).role is Role.PRIMARY
    assert any("another memory" in r for r in layout.remarks)
    with pytest.raises(InputError, match="overlap"):
        parse_flash_layout(header.replace("DEVICE_ID (1)", "DEVICE_ID (0)"), chip=U585)


def test_a_device_that_only_the_flash_map_numbers_is_the_flash_itself():
    # ST's own headers: the number stands in another header, and all areas but those outside have its difference.
    own = "#define FLASH_AREAS_DEVICE_ID (FLASH_DEVICE_ID - FLASH_DEVICE_ID)\n"
    own += "#define FLASH_AREA_0_DEVICE_ID (FLASH_AREAS_DEVICE_ID)\n"
    layout = parse_flash_layout(areas(own), chip=H573)
    assert all(s.device == parse_flash_layout(areas(), chip=H573).slots[0].device for s in layout.slots)
    with pytest.raises(InputError, match="FLASH_AREA_0_OFFSET uses NOT_THERE"):
        parse_flash_layout(areas() + "#define FLASH_AREA_0_OFFSET (NOT_THERE)\n", chip=H573)


def test_a_first_stage_in_rom_has_no_boot_slot():
    header = areas("#define MCUBOOT_S_DATA_IMAGE_NUMBER 0\n").replace("#define FLASH_AREA_BL2_SIZE (0x14000)\n", "")
    layout = parse_flash_layout(header, chip=H573)
    assert layout.slot("boot") is None
    assert layout.loader is Loader.ST
    assert any("ROM" in r for r in layout.remarks)


def test_the_casts_of_tf_m_are_read_and_its_loader_is_upstream():
    header = areas("#define TFM_HAL_FLASH_PROGRAM_UNIT (0x8)\n").replace("(0x34000)", "((uint32_t)0x34000)")
    layout = parse_flash_layout(header, chip=H573)
    assert starts(layout)["application secondary"] == 0x08034000
    assert layout.loader is Loader.UPSTREAM


@pytest.mark.parametrize(
    ("macro", "mode"),
    [
        ("MCUBOOT_SWAP_USING_MOVE", Mode.SWAP_MOVE),
        ("MCUBOOT_SWAP_USING_OFFSET", Mode.SWAP_OFFSET),
        ("MCUBOOT_DIRECT_XIP", Mode.DIRECT_XIP),
        ("MCUBOOT_DIRECT_XIP\n#define MCUBOOT_DIRECT_XIP_REVERT", Mode.DIRECT_XIP_REVERT),
        ("MCUBOOT_RAM_LOAD", Mode.RAM_LOAD),
        ("MCUBOOT_OVERWRITE_ONLY", Mode.OVERWRITE),
    ],
)
def test_the_mode_is_the_boot_loaders_own_macro(macro, mode):
    assert parse_flash_layout(areas(f"#define {macro}\n"), chip=H573).mode is mode


TREE = """
/dts-v1/;
#include <vendor/part.dtsi>
// slot9_partition: is no node
&flash0 {
    partitions {
        compatible = "fixed-partitions";
        boot_partition: partition@0 { label = "mcuboot"; reg = <0x0 DT_SIZE_K(48)>; };
        slot0_partition: partition@c000 { reg = <0xc000 (DT_SIZE_K(128) + 0x2000)>; };
        slot1_partition: partition@30000 { label = "image-1"; reg = <0x30000 DT_SIZE_K(128)>; };
        scratch_partition: partition@50000 { reg = <0x50000 (2 * 0x2000)>; };
        storage_partition: partition@60000 { reg = <0x60000 0x4000>; };
    };
};
&octo {
    partitions { compatible = "fixed-partitions"; slot3_partition: p@0 { reg = <0 0x10000>; }; };
};
"""


def written(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["board.dts", "part.dtsi", "app.overlay"])
def test_a_devicetree_gives_its_fixed_partitions(tmp_path, name):
    layout = load_layout(written(tmp_path, name, TREE), H573)
    slots = {s.name: (s.range.start, s.range.size, s.device) for s in layout.slots}
    assert slots == {
        "boot": (0x08000000, 0xC000, None),
        "image 0 primary": (0x0800C000, 0x22000, None),
        "image 0 secondary": (0x08030000, 0x20000, None),
        "scratch": (0x08050000, 0x4000, None),
        "image 1 secondary": (0, 0x10000, "octo"),
    }
    assert (layout.mode, layout.loader) == (Mode.SWAP_SCRATCH, Loader.UPSTREAM)
    assert any("--boot-mode" in r for r in layout.remarks)
    moving = load_layout(written(tmp_path, name, TREE.replace("scratch_", "spare_")), H573)
    assert moving.mode is Mode.SWAP_MOVE


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("slot0_partition:", "other_partition:", "slot0_partition"),
        ("<0xc000 (DT", "<0xc000 1 (DT", "3 cells"),
        ("<0x30000 DT", "<MAX_SIZE DT", "MAX_SIZE"),
        ("<0x30000 DT_SIZE_K(128)>", "<0x0 DT_SIZE_K(128)>", "overlap"),
        ("<0x30000 DT", "<0x99999999999999999999 DT", "more than any address"),
        ("<0x30000 DT", "<(08+1) DT", "which is no number"),
    ],
)
def test_a_devicetree_that_cannot_be_used_is_one_line(tmp_path, old, new, said):
    assert old in TREE
    with pytest.raises(InputError, match=said):
        load_layout(written(tmp_path, "board.dts", TREE.replace(old, new)), H573)


def test_a_hostile_devicetree_ends(tmp_path):
    with pytest.raises(InputError, match="no board"):
        load_layout(written(tmp_path, "a.dts", "a{" * 30_000), H573)


PM = """
app:
  address: 0x10200
  region: flash_primary
  size: 0x3fe00
mcuboot:
  address: 0x0
  region: flash_primary
  size: 0x10000
mcuboot_primary:
  orig_span: &id001
  - mcuboot_pad
  - app
  address: 0x10000   # behind the loader
  region: flash_primary
  size: 0x40000
  span: *id001
mcuboot_secondary:
  address: 0x0
  device: OUTER
  region: external_flash
  size: 0x40000
"""


def test_a_partition_manager_file_is_read(tmp_path):
    layout = load_layout(written(tmp_path, "pm.yml", PM), H573)
    slots = {s.name: (s.range.start, s.range.size, s.device) for s in layout.slots}
    assert slots == {
        "boot": (0x08000000, 0x10000, None),
        "image 0 primary": (0x08010000, 0x40000, None),
        "image 0 secondary": (0, 0x40000, "OUTER"),
    }
    with pytest.raises(InputError, match="mcuboot_primary"):
        load_layout(written(tmp_path, "pm.yml", PM.replace("mcuboot_primary", "primary")), H573)


OWN = """
mode = "direct-xip"
loader = "upstream"
[[slots]]
name = "left"
start = 0x10000
size = 0x20000
role = "primary"
image = 0
[[slots]]
start = "0x08030000"
size = "128 * 1024"
role = "secondary"
"""


def test_a_toml_of_ones_own_is_read(tmp_path):
    layout = load_layout(written(tmp_path, "own.toml", OWN), H573)
    assert starts(layout) == {"left": 0x08010000, "image 0 secondary": 0x08030000}
    assert (layout.mode, layout.loader) == (Mode.DIRECT_XIP, Loader.UPSTREAM)
    assert layout.slots[1].range.size == 0x20000


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('role = "primary"', 'role = "first"', "slots.1..role"),
        ("start = 0x10000\n", "", "slots.1..start"),
        ("start = 0x10000", "start = true", "start must be"),
        ('mode = "direct-xip"', 'mode = "swap"', "swap-scratch"),
        ("mode =", "mod =", "unknown key 'mod'"),
        ("[[slots]]", "[[areas]]", "slots"),
        ('start = "0x08030000"', 'start = "0x081F0000"', "leaves the flash"),
        ("= 0x10000", "= =", "as TOML"),
        ("= 0x10000", "= " + "9" * 5000, "as TOML"),
        ("[[slots]]", "a" + ".a" * 501 + " = 1\n[[slots]]", "dots in a line"),
    ],
)
def test_a_wrong_toml_names_the_key(tmp_path, old, new, said):
    assert old in OWN
    with pytest.raises(InputError, match=said):
        load_layout(written(tmp_path, "own.toml", OWN.replace(old, new)), H573)


def test_a_device_that_the_flash_map_numbers_is_the_chips_own_where_only_differences_stand():
    inside = areas("#define FLASH_AREA_0_DEVICE_ID (FLASH_DEVICE_ID - FLASH_DEVICE_ID)\n")
    assert all(s.device is None for s in parse_flash_layout(inside, chip=H573).slots)
    own = areas("#define FLASH_DEVICE_ID 7\n#define FLASH_AREA_0_DEVICE_ID (FLASH_DEVICE_ID)\n")
    assert all(s.device is None for s in parse_flash_layout(own, chip=H573).slots)


@pytest.mark.parametrize("name", ["FLASH_DEVICE_ID_2", "FLASH_AREA_2_DEVICE_ID"])
def test_either_name_of_an_areas_device_puts_it_outside(name):
    header = areas(f"#define OCTO (FLASH_DEVICE_ID + 1)\n#define {name} (OCTO)\n").replace("(0x34000)", "(0x0)")
    secondary = next(s for s in parse_flash_layout(header, chip=U585).slots if s.role is Role.SECONDARY)
    assert (secondary.device, secondary.range.start) == ("device 101", 0)


def test_the_part_macro_has_all_letters_of_the_family():
    header = areas('#ifndef STM32WBA65xx\n#error "unknown part"\n#endif\n')
    assert parse_flash_layout(header, chip=load_chip("stm32wba65ri")).image_slots


def test_a_header_of_regions_names_the_header_of_slots():
    regions = '#include "my_flash_layout.h"\n#ifndef BOOT\n#error "no"\n#endif\n#define CODE (FLASH_AREA_0_OFFSET)\n'
    with pytest.raises(InputError, match=r"regions, not slots; give the my_flash_layout\.h"):
        parse_flash_layout(regions, chip=H573)


def test_where_areas_have_numbers_one_without_is_no_slot():
    header = areas("#define FLASH_AREA_0_ID (1)\n#define FLASH_AREA_1_OFFSET 0\n#define FLASH_AREA_1_SIZE 0x90000\n")
    assert "boot" in starts(parse_flash_layout(header + "#define FLASH_AREA_2_ID (2)\n", chip=H573))
    with pytest.raises(InputError, match="overlap"):
        parse_flash_layout(header + "#define FLASH_AREA_1_ID (2)\n", chip=H573)


def test_a_download_slot_behind_the_flash_that_the_header_names_is_left_out_and_said():
    header = areas().replace("(0x34000)", "(0x1FF000)")
    layout = parse_flash_layout(header, chip=H573)
    assert not any(s.role is Role.SECONDARY for s in layout.slots)
    assert any("leaves the flash that the header itself names" in r for r in layout.remarks)
    with pytest.raises(InputError, match="leaves the flash"):
        parse_flash_layout(header, chip=load_chip("stm32h563zg"))


@pytest.mark.parametrize(
    ("macros", "loader"),
    [
        ("#define TFM_HAL_PROGRAM_UNIT 16\n#define FLASH_AREA_BEGIN_OFFSET 0\n", Loader.UPSTREAM),
        ("#define TFM_NV_COUNTERS_SIZE 16\n#define MCUBOOT_EXT_LOADER\n#define DEV TFM_Driver_FLASH0\n", Loader.ST),
        ("#if defined(TFM_COMPATIBILITY)\n#endif\n#define MCUBOOT_USE_HASH_REF\n", Loader.ST),
        ("#define TFM_NV_COUNTERS_SIZE 16\n", None),
        ("#define MCUBOOT_SWAP_USING_MOVE\n#define MCUBOOT_APP_IMAGE_NUMBER 1\n", None),
    ],
)
def test_whose_boot_loader_a_header_is_for(macros, loader):
    assert parse_flash_layout(areas(macros), chip=H573).loader is loader


@pytest.mark.parametrize(
    ("text", "total", "sector", "name"),
    [
        ("/* for stm32h573i_dk */\n", "0x200000", "0x2000", "stm32h573ii"),
        ("/* stm32wba65i-dk */\n", "0x200000", "0x2000", "stm32wba65ri"),
        ("/* nucleo_l552ze_q, same as in stm32l552xx.h */\n", "0x80000", "0x1000", "stm32l552ze"),
        ("#if defined(STM32U575xx)\n#elif defined(STM32U585xx)\n#endif\n", "0x200000", "0x2000", "stm32u575zi"),
        ("/* for an STM32L476 */\n", "0x200000", "0x2000", "stm32h563zi"),
    ],
)
def test_the_chip_is_taken_by_what_the_header_names(text, total, sector, name):
    layout = parse_flash_layout(areas(text, total=total, sector=sector))
    assert layout.chip.name == name
    assert any("--chip" in r for r in layout.remarks)


MERGED = """
/dts-v1/;
/ {
    compatible = "st,stm32u585-board";
    soc {
        flash: flash-controller@40022000 {
            compatible = "st,stm32-flash-controller", "st,stm32u5-flash-controller";
            reg = < 0x40022000 0x400 >;
            flash0: flash@8000000 {
                compatible = "st,stm32-nv-flash", "soc-nv-flash";
                reg = < 0x8000000 0x200000 >;
                partitions {
                    ranges;
                    boot_partition: partition@0 {
                        compatible = "zephyr,mapped-partition";
                        reg = < 0x0 0x10000 >;
                    };
                    slot0_partition: partition@10000 { label = "image-0"; reg = < 0x10000 0x20000 >; };
                    slot0_ns_partition: partition@30000 { reg = < 0x30000 0x40000 >; };
                };
            };
        };
        octospi1: spi@420d1400 {
            nor: flash@0 {
                reg = < 0x0 0x4000000 >;
                partitions { slot1_partition: partition@0 { reg = < 0x0 0x20000 >; }; };
            };
        };
    };
};
"""


def test_the_builds_merged_devicetree_gives_chip_slots_and_the_other_memory(tmp_path):
    layout = load_layout(written(tmp_path, "zephyr.dts", MERGED))
    assert (layout.chip.name, layout.chip.flash.size) == ("stm32u585ai", 0x200000)
    assert starts(layout) == {
        "boot": 0x08000000,
        "image 0 primary": 0x08010000,
        "image 1 primary": 0x08030000,
        "image 0 secondary": 0,
    }
    assert {s.name for s in layout.slots if s.device} == {"image 0 secondary"}


def test_a_devicetree_without_partitions_names_what_it_includes(tmp_path):
    path = written(tmp_path, "board.dts", '/dts-v1/;\n#include "board-common.dtsi"\n/ { model = "b"; };\n')
    with pytest.raises(InputError, match=r"includes board-common\.dtsi\), or the build's zephyr\.dts"):
        load_layout(path)
