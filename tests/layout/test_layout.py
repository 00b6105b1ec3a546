"""Slots, presets, a user's flash_layout.h, and the names of displacements."""

from __future__ import annotations

from pathlib import Path

import pytest

from h5diag.chip import load_chip
from h5diag.errors import InputError
from h5diag.layout import ExplanationKind, Mode, Role, explain, load_layout, parse_flash_layout, preset_names
from h5diag.memory import AddressRange
from tests.work import calls

HEADER = """
#define MCUBOOT_OVERWRITE_ONLY
#define MCUBOOT_APP_IMAGE_NUMBER 2
#include "no_such_file.h"
#define SECTOR (0x2000)
#define FLASH_B_SIZE (0x100000)
#define FLASH_TOTAL_SIZE (FLASH_B_SIZE+FLASH_B_SIZE)
#define FLASH_AREA_BL2_OFFSET (0x0000)
#define FLASH_AREA_BL2_SIZE (0x18000u)
#if defined(MCUBOOT_OVERWRITE_ONLY)
#define FLASH_AREA_SCRATCH_SIZE 0
#else
#define FLASH_AREA_SCRATCH_SIZE (8 * SECTOR)
#endif
#define BEGIN (FLASH_AREA_BL2_SIZE + FLASH_AREA_SCRATCH_SIZE)
#define FLASH_S_PARTITION_SIZE (3*SECTOR)
#define FLASH_AREA_0_OFFSET (BEGIN)
#define FLASH_AREA_0_SIZE (FLASH_S_PARTITION_SIZE)
#define FLASH_AREA_1_OFFSET (FLASH_AREA_0_OFFSET + FLASH_AREA_0_SIZE)
#define FLASH_AREA_1_SIZE ((1 > 2) ? (0x1000) : (0xA0000))
#define FLASH_AREA_2_OFFSET (FLASH_AREA_1_OFFSET + FLASH_AREA_1_SIZE)
#define FLASH_AREA_2_SIZE (FLASH_AREA_0_SIZE)
#define FLASH_AREA_3_OFFSET (FLASH_AREA_2_OFFSET + FLASH_AREA_2_SIZE)
#define FLASH_AREA_3_SIZE (FLASH_AREA_1_SIZE)
"""


def offsets(name: str) -> dict[str, int]:
    return {s.name: s.range.start - 0x08000000 for s in load_layout(name).slots}


def test_the_default_layout_has_the_numbers_of_st_header():
    layout = load_layout("oemirot-2m-overwrite")
    assert offsets("oemirot-2m-overwrite") == {
        "boot": 0,
        "secure primary": 0x18000,
        "non-secure primary": 0x1E000,
        "secure secondary": 0xBE000,
        "non-secure secondary": 0xC4000,
    }
    assert layout.slots[-1].range.stop == 0x08164000
    assert layout.secure_range == AddressRange(0x08000000, 0x0801E000)  # SECWM1 0..0xE
    assert layout.hidden_range == AddressRange(0x08000000, 0x08018000)  # HDP1 0..0xB


def test_swap_and_1m_presets():
    assert offsets("oemirot-2m-swap") == {
        "boot": 0,
        "scratch": 0x18000,
        "secure primary": 0x28000,
        "non-secure primary": 0x2E000,
        "secure secondary": 0xCE000,
        "non-secure secondary": 0xD4000,
    }
    one = load_layout("oemirot-1m-overwrite")
    assert [s.range.start - 0x08000000 for s in one.image_slots] == [0x18000, 0x1E000, 0x5E000, 0x64000]
    assert one.slots[-1].range.stop == 0x080A4000
    assert one.chip.flash.size == 0x100000


def test_data_images_stand_where_the_header_composes_them():
    with_data = offsets("oemirot-2m-overwrite-data2")
    assert with_data["secure data primary"] == 0x18000
    assert with_data["secure primary"] == 0x1A000
    assert with_data["non-secure data primary"] == 0x20000 + 0xA0000
    assert with_data["secure data secondary"] == with_data["non-secure secondary"] + 0xA0000
    assert "non-secure data primary" not in offsets("oemirot-2m-overwrite-data1")


def test_one_image_merges_secure_and_nonsecure():
    slots = {s.name: s for s in load_layout("oemirot-2m-overwrite-1image").slots}
    assert slots["application primary"].range == AddressRange(0x08018000, 0x080BE000)
    assert slots["application secondary"].range.start == 0x080BE000


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_fits_and_pairs_its_slots(name):
    layout = load_layout(name)
    for slot in layout.image_slots:
        other = layout.counterpart(slot)
        assert other
        assert other.image == slot.image
        assert other.range.size == slot.range.size
        assert not slot.range.start % layout.chip.flash.sector_size
    assert layout.slot_at(0x0C018000 if layout.mode is Mode.OVERWRITE else 0x0C028000).role is Role.PRIMARY


def test_a_users_header_gives_the_same_slots_as_the_preset():
    mine, preset = parse_flash_layout(HEADER), load_layout("oemirot-2m-overwrite")
    assert mine.slots == preset.slots
    assert (mine.mode, mine.secure_range, mine.hidden_range) == (preset.mode, preset.secure_range, preset.hidden_range)


def test_a_header_in_swap_mode_has_a_scratch_area():
    mine = parse_flash_layout(HEADER.replace("#define MCUBOOT_OVERWRITE_ONLY", ""))
    assert mine.slots == load_layout("oemirot-2m-swap").slots


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("#define FLASH_AREA_0_OFFSET (BEGIN)", "", "FLASH_AREA_0_OFFSET"),
        ("#define FLASH_AREA_0_OFFSET (BEGIN)", "#define FLASH_AREA_0_OFFSET (ELSEWHERE + 4)", "FLASH_AREA_0_OFFSET"),
        ("(0x18000u)", "(1/0)", "FLASH_AREA_BL2_SIZE"),
        ("(0x18000u)", "__import__('os')", "FLASH_AREA_BL2_SIZE"),
        ("(0x18000u)", "0x1FFFFFFFF", "FLASH_AREA_BL2_SIZE"),
        ("#define SECTOR", "#error no way\n#define SECTOR", "no way"),
    ],
)
def test_a_bad_header_names_the_macro(old, new, named):
    with pytest.raises(InputError, match=named):
        parse_flash_layout(HEADER.replace(old, new))


SIZE = "FLASH_AREA_BL2_SIZE"
HOSTILE = {
    "shift": f"#define {SIZE} (1<<100000000000)\n",
    "computed shift": f"#define {SIZE} (1<<(1000000*1000000))\n",
    "doubling": "".join(f"#define A{i} A{i - 1} + A{i - 1}\n" for i in range(1, 40)) + f"#define {SIZE} (A39)\n",
    "doubling arguments": f"#define F(x) x x x x\n#define {SIZE} " + "F(" * 60 + "1" + ")" * 60 + "\n",
    "pasting": f"#define D(x) x##x\n#define E(x) D(x)\n#define {SIZE} " + "E(" * 40 + "1" + ")" * 40 + "\n",
    "growing arguments": "#define F(x) " + "x " * 480 + "\n#define G(x) F(F(F(x)))\nG(G(1))\n",
    "dear conditions": "#define X " + "1+" * 480 + "1\n" + "#if X\n#endif\n" * 7000,
    "open comments": "/*\n" * 40000,
    "escaped quotes": ('"' + '\\"' * 480 + "\n") * 130,
    "one long line": f"#define {SIZE} " + "(" * 20000 + "1" + ")" * 20000,
    "deep macros": "".join(f"#define A{i} A{i + 1}\n" for i in range(5000)) + f"#define {SIZE} A0\n",
    "too long": "#define A 1\n" * 20000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_header_ends_soon_and_is_named(name):
    with pytest.raises(InputError, match=r"mine\.h.*(macro FLASH_AREA_BL2_SIZE|flash_layout\.h|not closed)"):
        calls(lambda: parse_flash_layout(HOSTILE[name], source="mine.h"), 5_000_000)


def test_slots_that_overlap_or_leave_the_flash_are_refused():
    with pytest.raises(InputError, match="overlap"):
        parse_flash_layout(
            HEADER.replace(
                "#define FLASH_AREA_1_OFFSET (FLASH_AREA_0_OFFSET + FLASH_AREA_0_SIZE)",
                "#define FLASH_AREA_1_OFFSET FLASH_AREA_0_OFFSET",
            )
        )
    with pytest.raises(InputError, match=r"'non-secure primary'.*leaves the flash"):
        parse_flash_layout(HEADER.replace("(0xA0000)", "(0x1F0000)"))


def test_a_name_that_is_nothing_is_one_line_with_the_presets():
    with pytest.raises(InputError, match="presets"):
        load_layout("oemirot-3m")
    with pytest.raises(InputError, match="no such file"):
        load_layout("nowhere/flash_layout.h")


def test_a_header_file_is_read(tmp_path: Path):
    path = tmp_path / "flash_layout.h"
    path.write_text(HEADER)
    assert load_layout(path).name == str(path)


@pytest.mark.parametrize(
    ("reference", "dump", "kind"),
    [
        (0x08018000, 0x08018000, ExplanationKind.IN_PLACE),
        (0x08018000, 0x0C018000, ExplanationKind.ALIAS),
        (0x0C018000, 0x0C0BE000, ExplanationKind.SLOT),
        (0x08018400, 0x0C0BE400, ExplanationKind.SLOT),
        (0x08018000, 0x080BE010, ExplanationKind.UNEXPLAINED),
        (0x08018000, 0x08118000, ExplanationKind.BANK),
        (0x08118000, 0x0C018000, ExplanationKind.BANK),
        (0x08018000, 0x08032000, ExplanationKind.SECTOR_MOVE),
        (0x08018000, 0x08018010, ExplanationKind.UNEXPLAINED),
        (0x20000000, 0x20002000, ExplanationKind.UNEXPLAINED),
    ],
)
def test_a_displacement_gets_its_name(reference, dump, kind):
    assert load_layout("oemirot-2m-overwrite").explain(reference, dump, 32).kind is kind


def test_without_slots_no_displacement_is_called_slot():
    found = explain(load_chip(), 0x0C018000, 0x0C0BE000, 32)
    assert found.kind is ExplanationKind.SECTOR_MOVE
    assert "0xA6000 above" in found.text


@pytest.mark.parametrize(
    ("reference", "dump", "wraps"),
    [(0x90000000, 0x91000000, True), (0x91000000, 0x90000000, True), (0x90000000, 0x91800000, False),
     (0x90000000, 0x90000100, False), (0x20000000, 0x21000000, False)],
)  # fmt: skip
def test_a_power_of_two_in_an_external_memory_is_a_wrap(reference, dump, wraps):
    found = explain(load_chip(), reference, dump, 32)
    assert found.kind is ExplanationKind.UNEXPLAINED
    assert ("wrap" in found.text) is wraps


def test_no_slot_is_false_and_named():
    layout = load_layout("oemirot-2m-overwrite")
    assert layout.slot_at(0x08170000) is None
