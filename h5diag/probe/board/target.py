"""The STM32H5 for pyOCD, without a pack: memory map from the chip file, no flash algorithm."""

from __future__ import annotations

from typing import Any

from pyocd.core.memory_map import MemoryMap, RamRegion, RomRegion
from pyocd.coresight.coresight_target import CoreSightTarget
from pyocd.target import TARGET

from h5diag.chip import Chip, load_chip

TARGET_NAME = "stm32h563xi"


def memory_map(chip: Chip) -> MemoryMap:
    """Return pyOCD's memory map of a chip: flash as ROM, so that nothing is programmed by accident."""
    regions = [
        RomRegion(name="flash", start=chip.flash.base, length=chip.flash.size, is_boot_memory=True),
        RomRegion(name="flash secure", start=chip.flash.secure_base, length=chip.flash.size),
    ]
    for r in chip.regions:
        if r.kind == "ram":
            regions.append(RamRegion(name=r.name, start=r.base, length=r.size))
            if r.secure_base:
                regions.append(RamRegion(name=f"{r.name} secure", start=r.secure_base, length=r.size))
    return MemoryMap(*regions)


class H5Target(CoreSightTarget):  # type: ignore[misc]
    """An STM32H5 with two access ports; discovery finds the core on the second by itself."""

    VENDOR = "STMicroelectronics"

    def __init__(self, session: Any) -> None:
        super().__init__(session, memory_map(load_chip()))


TARGET[TARGET_NAME] = H5Target
