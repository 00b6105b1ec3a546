#!/usr/bin/env python3
"""Build the sample loaders of h5diag into the folder above: ``python build.py``; needs arm-none-eabi-gcc."""

from __future__ import annotations

import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
L5, L5_TZ, H5, U5 = 0x20000004, 0x20018004, 0x20003004, 0x20000004

VARIANTS: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "l5-good": ("CHIP_L5", L5, ()),
    "l5-tz-good": ("CHIP_L5", L5_TZ, ()),
    "h5-good": ("CHIP_H5", H5, ()),
    "u5-good": ("CHIP_U5", U5, ()),
    "h5-without-read": ("CHIP_H5", H5, ("WITHOUT_READ",)),
    "h5-wrong-base": ("CHIP_H5", 0x20010004, ()),
    "l5-overlap": ("CHIP_L5", 0x20000000, ()),
    "l5-tz-too-large": ("CHIP_L5", L5_TZ, ("BAD_TOO_LARGE",)),
    "h5-no-storage-info": ("CHIP_H5", H5, ("BAD_NO_STORAGE_INFO",)),
    "h5-shared-segment": ("CHIP_H5", H5, ("BAD_SHARED_SEGMENT",)),
    "u5-dirty-bss": ("CHIP_U5", U5, ("BAD_DIRTY_BSS",)),
    "u5-stack": ("CHIP_U5", U5, ("BAD_STACK",)),
    "h5-null-call": ("CHIP_H5", H5, ("BAD_NULL_CALL",)),
    "h5-no-write-enable": ("CHIP_H5", H5, ("BAD_NO_WRITE_ENABLE",)),
    "u5-erase-short": ("CHIP_U5", U5, ("BAD_ERASE_SHORT",)),
    "h5-hang": ("CHIP_H5", H5, ("BAD_HANG",)),
    "h5-float": ("CHIP_H5", H5, ("BAD_FLOAT",)),
    "h5-no-thumb-bit": ("CHIP_H5", H5, ("BAD_NO_THUMB_BIT",)),
    "h5-stored-elsewhere": ("CHIP_H5", H5, ("LOAD_IN_FLASH",)),
}
"""File name to chip, link address and switches of ``loader.c``."""


def build(name: str, folder: Path) -> Path:
    """Build one variant into `folder` and return its path."""
    chip, address, switches = VARIANTS[name]
    load = 0x08010000 if "LOAD_IN_FLASH" in switches else address
    fpu = ("-mfloat-abi=hard", "-mfpu=fpv5-sp-d16") if "BAD_FLOAT" in switches else ("-mfloat-abi=soft",)
    out = folder / f"{name}.stldr"
    subprocess.run(
        [
            "arm-none-eabi-gcc",
            "-mcpu=cortex-m33",
            "-mthumb",
            *fpu,
            "-Os",
            "-std=c11",
            "-Wall",
            "-Wextra",
            "-ffreestanding",
            "-fno-common",
            "-nostdlib",
            f"-D{chip}",
            *(f"-D{s}" for s in switches),
            f"-Wl,-T,{HERE / 'loader.ld'},-z,max-page-size=4,--no-warn-rwx-segments,--strip-debug",
            f"-Wl,--defsym=LINK_ADDRESS={address:#x},--defsym=LOAD_ADDRESS={load:#x},--build-id=none",
            "-o",
            str(out),
            str(HERE / "loader.c"),
        ],
        check=True,
    )
    out.chmod(0o644)
    return out


if __name__ == "__main__":
    for variant in VARIANTS:
        print(build(variant, HERE.parent).name)
