"""Layouts of ST's OEMiROT boot loader by formula.

Names: ``oemirot-{2m,1m}-{overwrite,swap}[-1image][-data1|-data2]``. ``-1image`` means secure and non-secure
code assembled in one image; ``-data1`` adds a secure data image, ``-data2`` a non-secure one as well.

Source of the composition and of the sizes: STM32CubeH5 ``Projects/NUCLEO-H563ZI/Applications/ROT/OEMiROT_Boot/
Inc/flash_layout.h`` (areas 4, 0, 1, 5, 2, 3, 6, 7 follow each other from the end of the boot loader and scratch).
"""

from __future__ import annotations

import re
from itertools import product

from msgspec.structs import replace

from h5diag.chip import DEFAULT_CHIP, Chip, chip_names, load_chip
from h5diag.errors import InputError
from h5diag.layout.slots import Layout, Loader, Mode, Role, Security, Slot
from h5diag.memory import AddressRange

REF = "STM32CubeH5, NUCLEO-H563ZI OEMiROT_Boot/Inc/flash_layout.h"
BOOT_SIZE = 0x18000
SCRATCH_SIZE = 0x10000
_MODES = {"overwrite": Mode.OVERWRITE, "swap": Mode.SWAP_SCRATCH}
SECURE_SIZE = 0x6000
NONSECURE_SIZE = {"2m": 0xA0000, "1m": 0x40000}
FLASH_SIZE = {"2m": 0x200000, "1m": 0x100000}


def preset_names() -> tuple[str, ...]:
    """Return the names of all presets."""
    return tuple(
        f"oemirot-{size}-{mode}{images}{data}"
        for size, mode, images, data in product(NONSECURE_SIZE, _MODES, ("", "-1image"), ("", "-data1", "-data2"))
    )


def preset(name: str, chip: Chip | None = None) -> Layout:
    """Return the preset called `name`; InputError when there is none or it does not fit `chip`."""
    if name not in preset_names():
        raise InputError(f"no layout preset is called {name!r}", advice="presets: " + ", ".join(preset_names()))
    words = name.split("-")
    size, mode = words[1], _MODES[words[2]]
    data = 2 if "data2" in words else 1 if "data1" in words else 0
    chip = chip or chip_with_flash(FLASH_SIZE[size])
    sector, one = chip.flash.sector_size, "1image" in words
    s_data, ns_data = sector * (data >= 1), sector * (data >= 2)
    begin = BOOT_SIZE + (SCRATCH_SIZE if mode.swaps else 0)
    areas = compose(
        begin=begin,
        one_image=one,
        secure=SECURE_SIZE,
        nonsecure=NONSECURE_SIZE[size],
        secure_data=s_data,
        nonsecure_data=ns_data,
    )
    base = chip.flash.base
    slots = [
        Slot("boot", None, Role.BOOT, Security.SECURE, AddressRange(base, base + BOOT_SIZE)),
        Slot("scratch", None, Role.SCRATCH, Security.SECURE, AddressRange(base + BOOT_SIZE, base + begin)),
    ]
    slots += [area_slot(i, start, length, base, one) for i, (start, length) in areas.items() if length]
    secure_stop = areas[0][0] + SECURE_SIZE
    try:
        return Layout(
            name,
            chip,
            mode,
            tuple(slots),
            AddressRange(base, base + secure_stop),
            AddressRange(base, base + begin),
            REF,
            Loader.ST,
        )
    except ValueError as error:
        raise InputError(f"the layout does not fit the chip: {error}", source=name) from None


def chip_with_flash(size: int, sector: int = 0, *, text: str = "") -> Chip:
    """Return the chip that a layout is for: the one that its text names, else one by its size.

    Parameters
    ----------
    size
        Bytes of flash, 0 when the layout does not say; a size that no chip file knows gives the default chip with two
        equal banks of that size in all.
    sector
        Erase unit that a layout counts in, 0 when it does not say: 4 or 2 KiB is an STM32L5 or U3.
    text
        The layout's own text. One part (``STM32H573xx``, ``st/h5/stm32h563Xi.dtsi``) or family in it is taken.

    Raises
    ------
    InputError
        When no chip can have that size: not two banks of whole sectors, or above 16 MiB.
    """
    names = r"(?:stm32|nucleo[-_]|\bb[-_])(wba\d\d|[a-z]\d[0-9a-z]\d)"  # parts, and boards that are named by theirs
    parts = {m.lower() for m in re.findall(names, text, re.IGNORECASE)}
    families = {m.lower() for m in re.findall(r"stm32(wba|[a-z]\d)", text, re.IGNORECASE)}
    chips = [load_chip(name) for name in (DEFAULT_CHIP, *chip_names())]
    fits = [c for c in chips if size in (0, c.flash.size)]
    usual = ("l5", "u3") if sector in (0x800, 0x1000) else ("h5", "u5")
    named = [[c for c in fits if c.name.startswith(f"stm32{p}")] for p in parts if len(parts) == 1]
    named += [[c for c in fits if c.family == f] for f in (*(families if len(families) == 1 else ()), *usual)]
    if found := next(filter(None, named), None):
        return max(found, key=lambda c: (c.name == DEFAULT_CHIP, c.flash.size))
    chip = chips[0]
    if size % (2 * chip.flash.sector_size) or not 0 < size <= 1 << 24:
        raise InputError(f"a flash of {size:#x} bytes is none of an STM32H5", advice="name the chip with --chip")
    flash = replace(chip.flash, size=size, bank_size=size // 2, ref="flash_layout.h")
    return replace(chip, name=f"stm32h5-{size // 1024}k", title=f"an STM32H5 with {size // 1024} KiB", flash=flash)


def compose(
    *, begin: int, one_image: bool, secure: int, nonsecure: int, secure_data: int, nonsecure_data: int
) -> dict[int, tuple[int, int]]:
    """Return offset and size of each flash area, by its number in ST's header; size 0 = not there."""
    sizes = {
        4: secure_data,
        0: secure + nonsecure if one_image else secure,
        1: 0 if one_image else nonsecure,
        5: nonsecure_data,
    }
    sizes |= {2: sizes[0], 3: sizes[1], 6: secure_data, 7: nonsecure_data}
    areas, at = {}, begin
    for number in (4, 0, 1, 5, 2, 3, 6, 7):
        areas[number] = (at, sizes[number])
        at += sizes[number]
    return areas


_AREA = {
    0: (0, "secure primary", Role.PRIMARY, Security.SECURE),
    1: (1, "non-secure primary", Role.PRIMARY, Security.NONSECURE),
    2: (0, "secure secondary", Role.SECONDARY, Security.SECURE),
    3: (1, "non-secure secondary", Role.SECONDARY, Security.NONSECURE),
    4: (2, "secure data primary", Role.PRIMARY, Security.SECURE),
    5: (3, "non-secure data primary", Role.PRIMARY, Security.NONSECURE),
    6: (2, "secure data secondary", Role.SECONDARY, Security.SECURE),
    7: (3, "non-secure data secondary", Role.SECONDARY, Security.NONSECURE),
}


def area_slot(number: int, offset: int, size: int, base: int, one_image: bool) -> Slot:
    """Return the slot for area `number` of ST's header, `offset` bytes into the flash at `base`."""
    image, name, role, security = _AREA[number]
    if one_image and number in (0, 2):
        name, security = f"application {role.value}", Security.MIXED
    return Slot(name, image, role, security, AddressRange(base + offset, base + offset + size))
