"""Our own flash algorithm for pyOCD's `Flash` class; source and build script stand beside the blob.

The code is position-independent and begins with four branches of four bytes: Init, UnInit, EraseSector, ProgramPage.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from pyocd.core.memory_map import FlashRegion
from pyocd.flash.flash import Flash

from h5diag.chip import Chip
from h5diag.memory import AddressRange

_HEADER = (0xE7FDBE00,)  # bkpt #0, and a branch back to it: where every call returns to
_STACK = 0x400


def code() -> bytes:
    """Return the blob, padded to whole words."""
    blob = resources.files(__name__).joinpath("flash_algorithm.bin").read_bytes()
    return blob + bytes(-len(blob) % 4)


def describe(ram: AddressRange, page_size: int) -> dict[str, Any]:
    """Return pyOCD's description of the algorithm, placed at the begin of `ram`.

    Parameters
    ----------
    ram
        SRAM that may be overwritten: code, 1 KB of stack, and two buffers of `page_size` must fit.
    page_size
        Bytes programmed by one call; a multiple of 16.

    Raises
    ------
    ValueError
        When `ram` is too small.
    """
    blob = code()
    words = [int.from_bytes(blob[i : i + 4], "little") for i in range(0, len(blob), 4)]
    start = ram.start
    entry = start + 4 * len(_HEADER)
    stack = (entry + len(blob) + _STACK + 7) & ~7
    buffers = [stack, stack + page_size]
    if buffers[-1] + page_size > ram.stop:
        raise ValueError(f"{ram} is too small for the flash algorithm and two pages of {page_size} bytes")
    return {
        "load_address": start,
        "instructions": [*_HEADER, *words],
        "pc_init": entry + 1,
        "pc_unInit": entry + 5,
        "pc_erase_sector": entry + 9,
        "pc_program_page": entry + 13,
        "begin_stack": stack,
        "static_base": stack,
        "page_buffers": buffers,
        "min_program_length": 16,
        "analyzer_supported": False,
    }


def make_flash(target: Any, chip: Chip, ram: AddressRange, *, secure: bool = False, page_size: int = 0x2000) -> Flash:
    """Return pyOCD's `Flash` for the user flash of `target`, over our algorithm.

    Parameters
    ----------
    target
        pyOCD's target, as `Board.target`.
    chip
        Geometry.
    ram
        As in `describe`.
    secure
        Work through the secure alias and registers.
    page_size
        As in `describe`.
    """
    base = chip.flash.secure_base if secure else chip.flash.base
    region = FlashRegion(
        name="user flash",
        start=base,
        length=chip.flash.size,
        sector_size=chip.flash.sector_size,
        page_size=page_size,
        phrase_size=chip.flash.program_unit,
        erased_byte_value=chip.flash.erased,
    )
    flash = Flash(target, describe(ram, page_size))
    flash.region = region
    return flash
